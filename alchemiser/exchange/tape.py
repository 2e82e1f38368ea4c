"""The market that the exchange shows: quotes, trades and bars of its symbols at any moment, from daily bars and a seed.

Promises: the same source, calendar, symbols and seed give the same market, in whatever order it is asked; nothing later than the moment
asked for shows in an answer; there is no I/O but when symbols are put on it. Every other method is a question: the tape keeps no time, and
no state but a cache of two paths per symbol.

Each day is traded in its own units: a split shows in the prices of its ex-day, from the beginning of that day's pre-market on, when what
stands from the session before is restated.

A symbol is on the tape from its first bar to its last. In a session without a bar its quotes stand at the last close and nothing
is printed. Asking for a symbol that is not on the tape raises ``DataError``.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from fractions import Fraction
from typing import Final

import msgspec
import numpy as np

from alchemiser.domain.errors import DataError
from alchemiser.domain.market import Bar, Quote, Session
from alchemiser.exchange.bars import DailySource
from alchemiser.exchange.halts import Halt, halt_of
from alchemiser.exchange.path import DayPath, TapeBar, TapePrint, ticks_per_dollar, trade_count_of
from alchemiser.exchange.recorded_path import RecordedPath, recorded_bar, recorded_bars
from alchemiser.exchange.recordings import Recordings
from alchemiser.exchange.series import Adjustment, DailyBars, DailySeries
from alchemiser.market.calendar import TradingCalendar, midnight, new_york_date

_PRE_MARKET: Final = timedelta(hours=4)
"""Where in New York's day the pre-market begins, and with it the units of that day."""

_LARGEST_RATE: Final = 1_000

Path = DayPath | RecordedPath
"""What happens in one symbol on one day: invented from its bar, or recorded."""


class TapeBounds(msgspec.Struct, frozen=True):
    """The first and the last session on which every one of some symbols is on the tape, and the symbols that decide about them."""

    first: Session
    last: Session
    youngest: str
    shortest: str

    def outside(self, day: date) -> DataError:
        """Return the refusal of a day beyond them."""
        why = f"the bars of {self.youngest} are the last to begin, those of {self.shortest} the first to end"
        return DataError(f"{day} lies outside what the bars allow, {self.first.date} to {self.last.date}: {why}")


class MarketTape:
    """The market of some symbols.

    Raises ``DataError`` when the source lacks one of the symbols, or has a bar on a day that is no session.
    """

    def __init__(
        self,
        source: DailySource,
        calendar: TradingCalendar,
        symbols: Sequence[str],
        seed: int,
        *,
        splits: bool = True,
        halts: bool = False,
        recordings: Recordings | None = None,
    ) -> None:
        """With ``halts`` a symbol stands still for some minutes now and then; see :mod:`alchemiser.exchange.halts`.

        Without ``splits`` the market is in the units of its source throughout, and no share ever splits. The days of ``recordings`` are
        played as they were recorded, and their daily bars are theirs.
        """
        if not symbols:
            raise DataError("a market without a single symbol was asked for")
        self.calendar = calendar
        self._seed = seed
        self._source = source
        self._has_splits = splits
        self.has_halts = halts
        self._recordings = recordings or Recordings({})
        self._series: dict[str, DailySeries] = {}
        # Looking back at earlier days must not cost the path of the day that is being traded.
        self._latest: dict[str, Path] = {}
        self._earlier: dict[str, Path] = {}
        self._session: Session | None = None
        self.add(symbols)

    @property
    def symbols(self) -> tuple[str, ...]:
        """The symbols on the tape, in the order they were named."""
        return tuple(self._series)

    def add(self, symbols: Sequence[str], *, reaching: tuple[date, date] | None = None) -> None:
        """Put more symbols of the source on the tape.

        Raises ``DataError`` as the constructor does, and when the bars of one do not go from the first to the last of the days
        ``reaching``; then none of them is added.
        """
        new = [symbol for symbol in symbols if symbol not in self._series]
        more = {symbol: self._series_of(symbol) for symbol in new}
        if reaching is not None:
            first, last = reaching
            for symbol, series in more.items():
                if series.first_day > first or series.last_day < last:
                    raise DataError(
                        f"{symbol}: its bars go from {series.first_day} to {series.last_day}, the market from {first} to {last}"
                    )
        if more:
            self._refuse_bars_outside_sessions(more)
            self._series.update(more)

    def bounds(self, symbols: Sequence[str] | None = None) -> TapeBounds:
        """Return the sessions between which all of the symbols, or all there are, have bars.

        Raises ``DataError`` when there is no such session.
        """
        chosen = {symbol: self._of(symbol) for symbol in (self._series if symbols is None else symbols)}
        youngest = max(chosen, key=lambda symbol: chosen[symbol].first_day)
        shortest = min(chosen, key=lambda symbol: chosen[symbol].last_day)
        first, last = chosen[youngest].first_day, chosen[shortest].last_day
        sessions = self.calendar.sessions(max(first, self.calendar.first_day), min(last, self.calendar.last_day))
        if not sessions:
            raise DataError(f"no session has bars of all symbols: {youngest} begins on {first}, {shortest} ends on {last}")
        return TapeBounds(sessions[0], sessions[-1], youngest, shortest)

    def last_sessions(self, count: int, symbols: Sequence[str] | None = None) -> tuple[Session, ...]:
        """Return the last ``count`` sessions on which all of the symbols, or all there are, are on the tape.

        Raises ``DataError`` when there are not as many.
        """
        bounds = self.bounds(symbols)
        sessions = self.calendar.sessions(bounds.first.date, bounds.last.date)
        if not 0 < count <= len(sessions):
            raise DataError(
                f"{count} sessions were asked for; the bars allow 1 to {len(sessions)}, {bounds.first.date} to {bounds.last.date}"
            )
        return sessions[-count:]

    def sessions_from(self, start: date, count: int, symbols: Sequence[str] | None = None) -> tuple[Session, ...]:
        """Return ``count`` sessions from the first one on or after ``start``. Raises ``DataError`` when the bars do not reach that far."""
        bounds = self.bounds(symbols)
        if not bounds.first.date <= start <= bounds.last.date:
            raise bounds.outside(start)
        sessions = self.calendar.sessions(start, bounds.last.date)
        if not 0 < count <= len(sessions):
            raise DataError(f"{count} sessions from {start} were asked for; the bars end on {bounds.last.date}, after {len(sessions)}")
        return sessions[:count]

    def quote_at(self, symbol: str, at: datetime) -> Quote | None:
        """Return the best bid and offer: live during the session, that of the last close otherwise; ``None`` when it is not on the tape."""
        session = self._started_session(at)
        path = self._path(symbol, session)
        return None if path is None else self._in_units(path.quote(at), session, at)

    def quotes_at(self, at: datetime, symbols: Sequence[str] | None = None) -> dict[str, Quote]:
        """Return the quotes of the symbols, or of all; those not on the tape at that moment are left out."""
        session = self._started_session(at)
        quotes: dict[str, Quote] = {}
        for symbol in self._series if symbols is None else symbols:
            path = self._path(symbol, session)
            if path is not None:
                quotes[symbol] = self._in_units(path.quote(at), session, at)
        return quotes

    def trade_at(self, symbol: str, at: datetime) -> TapePrint | None:
        """Return the last print at or before that moment, of an earlier session when this one has none; ``None`` before the first."""
        session = self._started_session(at)
        path = self._path(symbol, session)
        found = (None if path is None else path.trade(at)) or self._closing_print(symbol, at)
        shares = self._shares_since(symbol, session, at)
        if found is None or shares == 1:
            return found
        return msgspec.structs.replace(found, price=_on_tick(found.price / shares), size=max(1, round(found.size * shares)))

    def trades_between(self, symbol: str, after: datetime, until: datetime) -> tuple[TapePrint, ...]:
        """Return the prints after one moment up to and including another, both in the same session or outside any."""
        path = self._path(symbol, self._started_session(until))
        return () if path is None else tuple(path.trades(after, until))

    def quotes_between(self, symbol: str, after: datetime, until: datetime) -> tuple[Quote, ...] | None:
        """Return the recorded quotes after one moment up to and including another, of one session; ``None`` where none were recorded."""
        path = self._path(symbol, self._started_session(until))
        return tuple(path.quotes(after, until)) if isinstance(path, RecordedPath) and path.has_quotes else None

    def is_recorded(self, symbol: str, at: datetime) -> bool:
        """Whether the session that began last was recorded: then more may happen between two ticks than a tick shows."""
        return bool(self._recordings.symbols) and isinstance(self._path(symbol, self._started_session(at)), RecordedPath)

    def halt_at(self, symbol: str, at: datetime) -> Halt | None:
        """Return the halt that holds at that moment, ``None`` when the symbol trades or is not on the tape."""
        path = self._path(symbol, self._started_session(at))
        return path.halt if path is not None and path.halt is not None and path.halt.holds(at) else None

    def day_bar(self, symbol: str, at: datetime) -> TapeBar | None:
        """Return the running bar of the session that began last, as it stands then; ``None`` when the symbol has no bar that day."""
        session = self._started_session(at)
        if self._of(symbol).index_of(session.date) is None:
            return None
        path = self._path(symbol, session)
        return None if path is None else path.running_bar(at)

    def previous_bar(self, symbol: str, at: datetime, *, seen_at: datetime | None = None) -> TapeBar | None:
        """Return the last daily bar before the session that began last, ``None`` when there is none.

        It is in the units of that moment, or of another one, ``seen_at``.
        """
        session = self._started_session(at)
        series = self._of(symbol)
        index = series.index_through(session.date - timedelta(days=1))
        if index < 0:
            return None
        day = date.fromordinal(int(series.days[index]))
        bars = series.between(day, day, Adjustment.SPLIT, session.date, units_of=self.units_of(at if seen_at is None else seen_at))
        return _tape_bars(bars)[0]

    def splits(self, symbol: str, start: date, end: date) -> tuple[tuple[date, Fraction], ...]:
        """Return the splits with an ex-day from ``start`` to ``end``, both included: new shares for each old one."""
        series = self._of(symbol)
        inside = (series.days >= start.toordinal()) & (series.days <= end.toordinal()) & (series.split != 1)
        return tuple(
            (date.fromordinal(int(series.days[place])), Fraction(float(series.split[place])).limit_denominator(_LARGEST_RATE))
            for place in np.flatnonzero(inside)
        )

    def first_day(self, symbol: str) -> date:
        """Return the day of a symbol's first bar."""
        return self._of(symbol).first_day

    def units_of(self, at: datetime) -> date:
        """Return the day in whose units shares are counted: today when its pre-market has begun, else that of the session before."""
        today = new_york_date(at)
        if self.calendar.session(today) is not None and at >= midnight(today) + _PRE_MARKET:
            return today
        return self._started_session(at).date

    def units_change_after(self, at: datetime) -> datetime:
        """Return the first moment after ``at`` at which a day's units may begin: when a pre-market does, if the day has one."""
        today = new_york_date(at)
        begins = midnight(today) + _PRE_MARKET
        return begins if begins > at else midnight(today + timedelta(days=1)) + _PRE_MARKET

    def daily_bars(self, symbol: str, start: date, end: date, adjustment: Adjustment, *, until: datetime) -> tuple[TapeBar, ...]:
        """Return the daily bars from ``start`` to ``end``, both included, as the venue would answer at ``until``.

        The running bar of today is the last of them once its session has begun. Prices are adjusted as seen then.
        """
        series = self._of(symbol)
        session = self._started_session(until)
        is_running = until < session.closes_at and series.index_of(session.date) is not None and start <= session.date <= end
        last_whole = session.date - timedelta(days=1) if is_running else session.date
        bars = _tape_bars(series.between(start, min(end, last_whole), adjustment, session.date, units_of=self.units_of(until)))
        running = self.day_bar(symbol, until) if is_running else None
        return bars if running is None else (*bars, running)

    def minute_bars(self, symbol: str, start: datetime, end: datetime, *, until: datetime) -> tuple[TapeBar, ...]:
        """Return the minute bars that start from ``start`` to ``end``, both included, and have ended by ``until``, as traded."""
        series = self._of(symbol)
        first = max(new_york_date(start), series.first_day)
        last = min(new_york_date(end), new_york_date(until), series.last_day)
        bars: list[TapeBar] = []
        for session in self.calendar.sessions(first, last):
            path = self._path(symbol, session)
            if path is not None:
                bars.extend(bar for bar in path.minute_bars(until) if start <= bar.start <= end)
        return tuple(bars)

    def minute_bar(self, symbol: str, at: datetime) -> TapeBar | None:
        """Return the last minute bar that had ended by then in the session that began last, ``None`` when there is none."""
        path = self._path(symbol, self._started_session(at))
        return None if path is None else path.last_minute_bar(at)

    def _series_of(self, symbol: str) -> DailySeries:
        series = self._source.series(symbol)
        traded = (series if self._has_splits else series.without_splits()).with_invented_ranges(self._seed).as_traded()
        recorded = recorded_bars(self._recordings, symbol, self.calendar)
        return traded.with_days(recorded) if recorded else traded

    def _of(self, symbol: str) -> DailySeries:
        series = self._series.get(symbol)
        if series is None:
            raise DataError(f"{symbol} is not on the tape; there are {', '.join(self._series)}")
        return series

    def _started_session(self, at: datetime) -> Session:
        """Return the session that began last."""
        known = self._session
        if known is not None and known.opens_at <= at < known.closes_at:
            return known
        today = self.calendar.session(new_york_date(at))
        if today is None or today.opens_at > at:
            today = self.calendar.previous_session(new_york_date(at))
        self._session = today
        return today

    def _shares_since(self, symbol: str, session: Session, at: datetime) -> float:
        """Return how many shares one share of the session that began last has become."""
        return 1.0 if at < session.closes_at else self._of(symbol).shares_between(session.date, self.units_of(at))

    def _in_units(self, quote: Quote, session: Session, at: datetime) -> Quote:
        shares = self._shares_since(quote.symbol, session, at)
        if shares == 1:
            return quote
        bid = _on_tick(quote.bid / shares)
        ask = max(_on_tick(quote.ask / shares), round(bid + 1 / ticks_per_dollar(bid), 4))
        sizes = {name: max(1, round(size * shares)) for name, size in (("bid_size", quote.bid_size), ("ask_size", quote.ask_size))}
        return Quote(symbol=quote.symbol, bid=bid, ask=ask, at=quote.at, **sizes)

    def _path(self, symbol: str, session: Session) -> Path | None:
        latest = self._latest.get(symbol)
        if latest is not None and latest.session is session:
            return latest
        earlier = self._earlier.get(symbol)
        if earlier is not None and earlier.session is session:
            return earlier
        series = self._of(symbol)
        index = series.index_through(session.date)
        if index < 0 or series.last_day < session.date:
            return None
        path = self._new_path(symbol, _bar_of_session(series, index, session), session)
        if latest is None or latest.session.opens_at < session.opens_at:
            self._latest[symbol] = path
        else:
            self._earlier[symbol] = path
        return path

    def _new_path(self, symbol: str, bar: Bar, session: Session) -> Path:
        recorded = self._recordings.day(symbol, session.date)
        if recorded is not None and recorded_bar(symbol, session, recorded) is not None:
            return RecordedPath(symbol, bar, session, recorded, self._seed)
        return DayPath(symbol, bar, session, self._seed, halt=halt_of(symbol, session, self._seed) if self.has_halts else None)

    def _closing_print(self, symbol: str, at: datetime) -> TapePrint | None:
        """Return the closing print of the last day with volume before the session that began last."""
        series = self._of(symbol)
        today = self._started_session(at).date
        index = series.index_through(today - timedelta(days=1))
        printed = np.flatnonzero(series.volume[: index + 1])
        if not printed.size:
            return None
        day = date.fromordinal(int(series.days[printed[-1]]))
        session = self.calendar.session(day)
        shares = series.shares_between(day, today)
        price = float(series.close[printed[-1]])
        return None if session is None else TapePrint(symbol, price if shares == 1 else _on_tick(price / shares), 1, session.closes_at, 1)

    def _refuse_bars_outside_sessions(self, of: Mapping[str, DailySeries]) -> None:
        start = max(min(series.first_day for series in of.values()), self.calendar.first_day)
        end = min(max(series.last_day for series in of.values()), self.calendar.last_day)
        sessions = np.array([session.date.toordinal() for session in self.calendar.sessions(start, end)], np.int64)
        for symbol, series in of.items():
            inside = series.days[(series.days >= start.toordinal()) & (series.days <= end.toordinal())]
            strange = inside[~np.isin(inside, sessions, assume_unique=True)]
            if strange.size:
                raise DataError(f"{symbol}: there is a bar on {date.fromordinal(int(strange[0]))}, which is no session of the exchange")


def _on_tick(price: float) -> float:
    """Return a restated price as somebody could quote it."""
    per_dollar = ticks_per_dollar(price)
    return max(round(price * per_dollar), 1) / per_dollar


def _bar_of_session(series: DailySeries, index: int, session: Session) -> Bar:
    """Return the bar of a session, or one that stands still at the close before when the symbol has none that day."""
    if series.days[index] != session.date.toordinal():
        still = float(series.close[index])
        return Bar(symbol=series.symbol, start=midnight(session.date), open=still, high=still, low=still, close=still, volume=0)
    return Bar(
        symbol=series.symbol,
        start=midnight(session.date),
        open=float(series.open[index]),
        high=float(series.high[index]),
        low=float(series.low[index]),
        close=float(series.close[index]),
        volume=float(series.volume[index]),
    )


def _tape_bars(bars: DailyBars) -> tuple[TapeBar, ...]:
    rows = zip(
        bars.days.tolist(),
        bars.open.tolist(),
        bars.high.tolist(),
        bars.low.tolist(),
        bars.close.tolist(),
        bars.volume.tolist(),
        strict=True,
    )
    return tuple(
        TapeBar(
            bars.symbol,
            midnight(date.fromordinal(day)),
            opens,
            high,
            low,
            close,
            int(volume),
            trade_count_of(int(volume)),
            (high + low + close) / 3,
        )
        for day, opens, high, low, close, volume in rows
    )
