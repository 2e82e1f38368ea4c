"""The account's equity over time (section 8.7): sampled by the minute while it changes, exact at every close.

Memory is bounded: minutes are kept for eight days, every fifth for thirty-one, closes for ever. Minutes without a change are not kept.
"""

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final, Literal

import msgspec

from alchemiser.domain.money import to_cents
from alchemiser.exchange.activities import Activity
from alchemiser.exchange.errors import invalid
from alchemiser.exchange.fields import read_choice, read_flag, read_names, read_time
from alchemiser.exchange.timeline import NEW_YORK, Timeline, local_time
from alchemiser.exchange.turns import Work, collect

Frame = Literal["1Min", "5Min", "15Min", "1H", "1D"]
Reporting = Literal["market_hours", "extended_hours", "continuous"]
Reset = Literal["per_day", "no_reset"]

MINUTE: Final = timedelta(minutes=1)
_FRAMES: Final[dict[Frame, timedelta]] = {
    "1Min": MINUTE,
    "5Min": 5 * MINUTE,
    "15Min": 15 * MINUTE,
    "1H": 60 * MINUTE,
    "1D": timedelta(days=1),
}
_PERIOD: Final = re.compile(r"([1-9]\d{0,3})([DWMA])", re.ASCII)
_DAYS: Final = {"W": 7, "M": 30, "A": 365}
_LONGEST_INTRADAY: Final = timedelta(days=31)
_MINUTES_KEPT: Final = 8 * 24 * 60
_FIVES_KEPT: Final = 31 * 24 * 60
_POINTS_IN_ONE_GO: Final = 500
_RATIO: Final = Decimal("0.0000000001")


class EquityHistory(msgspec.Struct):
    """What is kept. ``cents[i]`` is the equity from minute ``minutes[i]`` of the epoch until the next one that is kept."""

    closes: list[tuple[datetime, Decimal]] = []
    minutes: list[int] = []
    cents: list[int] = []

    def sample(self, at: datetime, equity: Decimal) -> None:
        """Remember the equity of a minute mark."""
        cents = int(to_cents(equity).scaleb(2))
        if not self.cents or self.cents[-1] != cents:
            self.minutes.append(_minute(at))
            self.cents.append(cents)

    def thin(self, at: datetime) -> None:
        """Forget what is too old, and all but every fifth minute of what is old."""
        if not self.minutes:
            return
        fives, nothing = _minute(at) - _MINUTES_KEPT, _minute(at) - _FIVES_KEPT
        kept: dict[int, int] = {}
        for minute, cents in zip(self.minutes, self.cents, strict=True):
            mark = minute if minute > fives else -(-minute // 5) * 5
            kept[max(mark, nothing)] = cents
        self.minutes, self.cents = list(kept), list(kept.values())

    def equity_at(self, at: datetime, before: Decimal) -> Decimal:
        """Return the equity at a minute mark; ``before`` is what it was before anything was kept."""
        index = bisect_right(self.minutes, _minute(at)) - 1
        return before if index < 0 else Decimal(self.cents[index]).scaleb(-2)

    def close_before(self, on: date, start: tuple[date, Decimal]) -> tuple[date, Decimal]:
        """Return date and equity of the last close before a date, or ``start``."""
        for at, equity in reversed(self.closes):
            day = at.astimezone(NEW_YORK).date()
            if day < on:
                return day, equity
        return start


class HistoryFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which history is asked for; ``period`` is a number and a unit, ``frame`` is chosen by the length when nobody says."""

    period: tuple[int, str] | None = None
    frame: Frame | None = None
    start: datetime | None = None
    end: datetime | None = None
    reporting: Reporting = "market_hours"
    reset: Reset = "per_day"
    cashflow_types: tuple[str, ...] = ()


_FLOW: Final = re.compile(
    "ALL|NONE|FILL|TRANS|MISC|ACAT[CS]|CFEE|CGD|CSD|CSW|DIV(CGL|CGS|FEE|FT|NRA|ROC|TW|TXEX)?|FEE|INT(NRA|TW)?|JNL[CS]?|MA|NC|OP[A-Z]*"
    "|PTC|PTR|REORG|SPIN|SPLIT|FOPT|OCT"
)
"""The types of activities (8.6), and two words for all and for none."""


def parse_history_filter(query: Mapping[str, str]) -> HistoryFilter:
    """Read the query of ``GET /v2/account/portfolio/history``. Raises ``ApiError`` for what cannot be read."""
    period = None
    if query.get("period"):
        match = _PERIOD.fullmatch(query["period"])
        if match is None:
            raise invalid(f"invalid period: {query['period'][:40]}")
        period = (int(match[1]), match[2])
    start, end = read_time(query, "start"), read_time(query, "end") or read_time(query, "date_end")
    if period is not None and start is not None and end is not None:
        raise invalid("only two of start, end and period can be specified")
    if start is not None and end is not None and start > end:
        raise invalid("start must be before end")
    default = "extended_hours" if read_flag(query, "extended_hours") else "market_hours"
    flows = read_names(query, "cashflow_types")
    if unknown := [name for name in flows if not _FLOW.fullmatch(name)]:
        raise invalid(f"invalid cashflow_types: {unknown[0][:40]}")
    return HistoryFilter(
        period=period,
        frame=read_choice(query, "timeframe", Frame) if query.get("timeframe") else None,
        start=start,
        end=end,
        reporting=read_choice(query, "intraday_reporting", Reporting, default),
        reset=read_choice(query, "pnl_reset", Reset, "per_day"),
        cashflow_types=() if flows == ("NONE",) else flows,
    )


class HistoryReport:
    """Answers what is asked of one account's history. ``opening`` is the day it was opened and the cash it began with."""

    def __init__(self, history: EquityHistory, timeline: Timeline, opening: tuple[date, Decimal]) -> None:
        self._history = history
        self._timeline = timeline
        self._opening = opening

    def json(self, wanted: HistoryFilter, *, now: datetime, equity: Decimal, flows: Iterable[Activity]) -> Work[dict[str, Any]]:
        """Make the history; ``equity`` is what the account is worth now. Raises ``ApiError`` for a span too long for its time frame."""
        start, end = self._span(wanted, now)
        frame = wanted.frame or _usual_frame(end - start)
        if frame != "1D" and end - start > _LONGEST_INTRADAY:
            raise invalid("intraday history is limited to 30 days")
        start = max(start, local_time(self._opening[0], time()))
        if frame == "1D":
            found = self._days(start, end, now, equity)
        else:
            found = self._buckets(start, end, _FRAMES[frame], wanted.reporting, now, equity)
        points = yield from collect(found, in_one_go=_POINTS_IN_ONE_GO)
        first = points[0][0].astimezone(NEW_YORK).date() if points else start.astimezone(NEW_YORK).date()
        base_on, base = self._history.close_before(first, self._opening)
        gains = yield from collect(self._gains(points, wanted.reset, base), in_one_go=_POINTS_IN_ONE_GO)
        columns = []
        for column in (
            (int(at.timestamp()) for at, _ in points),
            (float(to_cents(worth)) for _, worth in points),
            (float(to_cents(gain)) for gain, _ in gains),
            (float((gain / of).quantize(_RATIO)) if of else None for gain, of in gains),
        ):
            columns.append((yield from collect(column, in_one_go=_POINTS_IN_ONE_GO)))
        timestamps, equities, profits, percentages = columns
        return {
            "timestamp": timestamps,
            "equity": equities,
            "profit_loss": profits,
            "profit_loss_pct": percentages,
            "base_value": float(to_cents(base)),
            "base_value_asof": base_on.isoformat(),
            "timeframe": frame,
            "cashflow": _cash_flows(wanted.cashflow_types, [at + _FRAMES[frame] for at, _ in points], start, flows),
        }

    def _span(self, wanted: HistoryFilter, now: datetime) -> tuple[datetime, datetime]:
        end, start = min(wanted.end or now, now), wanted.start
        if start is None:
            start = self._period_before(end, wanted.period or (1, "M"))
        elif wanted.period is not None:
            count, unit = wanted.period
            end = min(start + timedelta(days=count * _DAYS.get(unit, 1)), now)
        return start, end

    def _period_before(self, end: datetime, period: tuple[int, str]) -> datetime:
        """Return the midnight at which a period begins; days are trading days, the one of ``end`` included."""
        count, unit = period
        day = end.astimezone(NEW_YORK).date()
        if unit != "D":
            day -= timedelta(days=min(count * _DAYS[unit], 36_500))
        while unit == "D" and count:
            trading_day = self._timeline.trading_day(day)
            if trading_day is not None and trading_day.pre_market_opens_at <= end:
                count -= 1
            if count == 0 or day < self._opening[0]:
                break
            day -= timedelta(days=1)
        return local_time(day, time())

    def _days(self, start: datetime, end: datetime, now: datetime, equity: Decimal) -> Iterator[tuple[datetime, Decimal]]:
        """Yield the close of each session, and the equity of now while today's has not come."""
        last = None
        for at, worth in self._history.closes:
            label = local_time(at.astimezone(NEW_YORK).date(), time())
            if start <= label <= end:
                last = label
                yield label, worth
        today = now.astimezone(NEW_YORK).date()
        label = local_time(today, time())
        day = self._timeline.trading_day(today)
        is_running = day is not None and day.pre_market_opens_at <= now < day.after_hours_close_at
        if label <= end and last != label and (is_running or last is None):
            yield label, equity

    def _buckets(
        self, start: datetime, end: datetime, frame: timedelta, reporting: Reporting, now: datetime, equity: Decimal
    ) -> Iterator[tuple[datetime, Decimal]]:
        """Yield the equity at the end of each bucket, labelled with its beginning; the last one that has begun is worth what it is now."""
        for opens, closes in self._hours(start, end, reporting):
            at = opens
            while at < min(closes, end, now):
                if at >= start:
                    ends = min(at + frame, closes)
                    yield at, equity if ends > now else self._history.equity_at(ends, self._opening[1])
                at += frame

    def _hours(self, start: datetime, end: datetime, reporting: Reporting) -> Iterator[tuple[datetime, datetime]]:
        on, last = start.astimezone(NEW_YORK).date(), end.astimezone(NEW_YORK).date()
        while on <= last:
            day = self._timeline.trading_day(on)
            if reporting == "continuous":
                yield local_time(on, time()), local_time(on + timedelta(days=1), time())
            elif day is not None and reporting == "market_hours":
                yield day.opens_at, day.closes_at
            elif day is not None:
                yield day.pre_market_opens_at, day.after_hours_close_at
            on += timedelta(days=1)

    def _gains(self, points: Sequence[tuple[datetime, Decimal]], reset: Reset, base: Decimal) -> Iterator[tuple[Decimal, Decimal]]:
        """Yield (gain, what it is a gain on) of each point."""
        on: date | None = None
        for at, worth in points:
            day = at.astimezone(NEW_YORK).date()
            if reset == "per_day" and day != on:
                on, base = day, self._history.close_before(day, self._opening)[1]
            yield worth - base, base


def _usual_frame(span: timedelta) -> Frame:
    if span < timedelta(days=7):
        return "1Min"
    return "15Min" if span < timedelta(days=30) else "1D"


def _cash_flows(types: tuple[str, ...], ends: list[datetime], start: datetime, flows: Iterable[Activity]) -> dict[str, list[float]]:
    """Return what moved cash without a trade, summed by type and bucket; what came between two buckets counts to the later one."""
    wanted = [] if types == ("ALL",) else list(types)
    sums: dict[str, list[Decimal]] = {kind: [Decimal(0)] * len(ends) for kind in wanted}
    for flow in flows if types else ():
        index = bisect_right(ends, flow.at)
        if flow.at < start or index == len(ends) or (wanted and flow.type not in wanted):
            continue
        sums.setdefault(flow.type, [Decimal(0)] * len(ends))[index] += flow.amount
    return {kind: [float(amount) for amount in amounts] for kind, amounts in sums.items()}


def _minute(at: datetime) -> int:
    return int(at.timestamp()) // 60


def mark_after(at: datetime) -> datetime:
    """Return the first minute mark after a time."""
    return datetime.fromtimestamp((_minute(at) + 1) * 60, UTC)
