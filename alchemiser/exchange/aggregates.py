"""Bars of any length out of the tape's minutes and days, and the rows of the historical endpoints, lazily and in order.

Lengths are those of section 7.2: minutes, hours, days, weeks, months. Minutes and hours are aligned to midnight in New York, weeks
begin on Monday. A bar that is still running shows what has happened so far, never more.
"""

import re
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from itertools import groupby
from typing import Final

import msgspec

from alchemiser.domain.market import Quote, Session
from alchemiser.exchange.path import STEP_SECONDS, TapeBar, TapePrint
from alchemiser.exchange.series import Adjustment
from alchemiser.exchange.tape import MarketTape
from alchemiser.market.calendar import midnight, new_york_date

_PATTERN: Final = re.compile(r"(\d{0,2})(Min|T|Hour|H|Day|D|Week|W|Month|M)", re.ASCII)
_UNITS: Final = {"T": "Min", "H": "Hour", "D": "Day", "W": "Week", "M": "Month"}
_ALLOWED: Final = {"Min": range(1, 60), "Hour": range(1, 24), "Day": range(1, 2), "Week": range(1, 2), "Month": (1, 2, 3, 4, 6, 12)}
_INSTANT: Final = timedelta(microseconds=1)


class TimeFrame(msgspec.Struct, frozen=True):
    """The length of a bar."""

    amount: int
    unit: str

    @property
    def is_intraday(self) -> bool:
        """Whether bars are shorter than a day."""
        return self.unit in ("Min", "Hour")

    def bucket(self, start: datetime) -> datetime:
        """Return when the bar begins that holds this minute or day."""
        day = new_york_date(start)
        match self.unit:
            case "Min" | "Hour":
                length = timedelta(minutes=self.amount) if self.unit == "Min" else timedelta(hours=self.amount)
                first = midnight(day)
                return first + (start - first) // length * length
            case "Week":
                return midnight(day - timedelta(days=day.weekday()))
            case "Month":
                return midnight(date(day.year, (day.month - 1) // self.amount * self.amount + 1, 1))
        return start


def parse_time_frame(text: str) -> TimeFrame | None:
    """Return the time frame of a text such as ``5Min`` or ``1D``, ``None`` when the venue knows no such one."""
    match = _PATTERN.fullmatch(text)
    if match is None:
        return None
    amount, unit = int(match[1] or 1), _UNITS.get(match[2], match[2])
    return TimeFrame(amount, unit) if amount in _ALLOWED[unit] else None


def parse_adjustment(words: Sequence[str]) -> Adjustment | None:
    """Return what a list of adjustments amounts to, ``None`` when one is unknown. Spin-offs are among the splits of the source."""
    wanted = {"split" if word == "spin-off" else word for word in words or ("raw",)}
    if not wanted <= {"raw", "split", "dividend", "all"}:
        return None
    wanted.discard("raw")
    if "all" in wanted or wanted == {"split", "dividend"}:
        return Adjustment.ALL
    return Adjustment(wanted.pop()) if wanted else Adjustment.RAW


class AuctionDay(msgspec.Struct, frozen=True):
    """The first and the last print of a session, which the auctions made; ``closing`` is ``None`` while the session runs."""

    opening: TapePrint
    closing: TapePrint | None

    @property
    def at(self) -> datetime:
        """When the opening auction was."""
        return self.opening.at


class History:
    """What the tape knows of the past, as seen at ``until``; every answer is in order of time, or against it."""

    def __init__(self, tape: MarketTape, until: datetime, *, descending: bool = False) -> None:
        self._tape = tape
        self._until = until
        self._descending = descending

    @property
    def is_descending(self) -> bool:
        """Whether the latest comes first."""
        return self._descending

    def bars(self, symbol: str, frame: TimeFrame, adjustment: Adjustment, start: datetime, end: datetime) -> Iterator[TapeBar]:
        """Yield the bars that begin from ``start`` to ``end``, both included."""
        if symbol not in self._tape.symbols:
            return
        parts = (
            self._minutes(symbol, frame, adjustment, start, end) if frame.is_intraday else self._days(symbol, frame, adjustment, start, end)
        )
        for begin, group in groupby(parts, key=lambda bar: frame.bucket(bar.start)):
            if start <= begin <= end:
                members = list(group)
                yield _merged(begin, members[::-1] if self._descending else members)

    def trades(self, symbol: str, start: datetime, end: datetime) -> Iterator[TapePrint]:
        """Yield the prints from ``start`` to ``end``, both included."""
        for session in self._sessions(symbol, start, end):
            after = max(start - _INSTANT, session.opens_at - _INSTANT)
            prints = self._tape.trades_between(symbol, after, min(end, self._until, session.closes_at))
            yield from reversed(prints) if self._descending else prints

    def quotes(self, symbol: str, start: datetime, end: datetime) -> Iterator[Quote]:
        """Yield quotes from ``start`` to ``end``, both included: the recorded ones, or one for each step of an invented path."""
        step = timedelta(seconds=STEP_SECONDS)
        for session in self._sessions(symbol, start, end):
            after = max(start - _INSTANT, session.opens_at - _INSTANT)
            recorded = self._tape.quotes_between(symbol, after, min(end, self._until, session.closes_at))
            if recorded is not None:
                yield from reversed(recorded) if self._descending else recorded
                continue
            first = -((session.opens_at - max(start, session.opens_at)) // step)
            last = (min(end, self._until, session.closes_at) - session.opens_at) // step
            places = range(first, last + 1)
            for place in reversed(places) if self._descending else places:
                quote = self._tape.quote_at(symbol, session.opens_at + place * step)
                if quote is not None:
                    yield quote

    def auctions(self, symbol: str, start: datetime, end: datetime) -> Iterator[AuctionDay]:
        """Yield the auctions of the sessions that opened from ``start`` to ``end``, both included."""
        for session in self._sessions(symbol, start, end):
            until = min(self._until, session.closes_at)
            if not start <= session.opens_at <= min(end, self._until):
                continue
            # Two prints of thousands: a day is not to cost more than its path.
            opening = self._tape.trades_between(symbol, session.opens_at - _INSTANT, session.opens_at)
            if opening:
                yield AuctionDay(opening[0], self._tape.trade_at(symbol, until) if self._until >= session.closes_at else None)

    def _sessions(self, symbol: str, start: datetime, end: datetime) -> Sequence[Session]:
        calendar = self._tape.calendar
        if symbol not in self._tape.symbols:
            return ()
        # Before its first bar and after its last one a symbol has nothing, however far back or ahead somebody asks.
        bounds = self._tape.bounds([symbol])
        first = max(new_york_date(start), bounds.first.date)
        last = min(new_york_date(min(end, self._until)), bounds.last.date)
        sessions = calendar.sessions(first, last) if first <= last else ()
        return sessions[::-1] if self._descending else sessions

    def _minutes(self, symbol: str, frame: TimeFrame, adjustment: Adjustment, start: datetime, end: datetime) -> Iterator[TapeBar]:
        for session in self._sessions(symbol, start, end):
            price_factor, share_factor = self._factors(symbol, session.date, adjustment)
            # From the beginning of the bar that holds the start, so that a bar is never cut at its front.
            bars = self._tape.minute_bars(symbol, frame.bucket(max(start, session.opens_at)), session.closes_at, until=self._until)
            for bar in reversed(bars) if self._descending else bars:
                yield bar if price_factor == share_factor == 1 else _scaled(bar, price_factor, share_factor)

    def _days(self, symbol: str, frame: TimeFrame, adjustment: Adjustment, start: datetime, end: datetime) -> Iterator[TapeBar]:
        longest = timedelta(days=0 if frame.unit == "Day" else 7 if frame.unit == "Week" else 31 * frame.amount)
        first = new_york_date(start)
        last = min(new_york_date(end) + longest, new_york_date(self._until))
        bars = self._tape.daily_bars(symbol, first, last, adjustment, until=self._until)
        yield from reversed(bars) if self._descending else bars

    def _factors(self, symbol: str, on: date, adjustment: Adjustment) -> tuple[float, float]:
        """Return what turns the prices, and the volumes, that were traded on a day into adjusted ones."""
        if adjustment is Adjustment.RAW:
            return 1.0, 1.0
        wanted = Adjustment.RAW, Adjustment.SPLIT, adjustment
        bars = [self._tape.daily_bars(symbol, on, on, kind, until=self._until) for kind in wanted]
        if not all(bars):
            return 1.0, 1.0
        traded, split, adjusted = (found[0].close for found in bars)
        return adjusted / traded, traded / split if adjustment in (Adjustment.SPLIT, Adjustment.ALL) else 1.0


def _scaled(bar: TapeBar, price_factor: float, share_factor: float) -> TapeBar:
    prices = {name: round(getattr(bar, name) * price_factor, 6) for name in ("open", "high", "low", "close", "vwap")}
    return msgspec.structs.replace(bar, volume=round(bar.volume * share_factor), **prices)


def _merged(start: datetime, bars: Sequence[TapeBar]) -> TapeBar:
    """Return one bar of several, oldest first."""
    if len(bars) == 1:
        return msgspec.structs.replace(bars[0], start=start)
    volume = sum(bar.volume for bar in bars)
    weighted = sum(bar.vwap * bar.volume for bar in bars) / volume if volume else bars[-1].vwap
    return TapeBar(
        symbol=bars[0].symbol,
        start=start,
        open=bars[0].open,
        high=max(bar.high for bar in bars),
        low=min(bar.low for bar in bars),
        close=bars[-1].close,
        volume=volume,
        trade_count=sum(bar.trade_count for bar in bars),
        vwap=round(weighted, 6),
    )
