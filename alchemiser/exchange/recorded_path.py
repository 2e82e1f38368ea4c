"""One symbol's course through a session that was recorded: the prints and quotes that there really were.

It answers as :class:`~alchemiser.exchange.path.DayPath` does, which invents what this one knows. Prints are those of the recording, at
their own times; quotes too, where they were recorded. Otherwise the market stands around the line from print to print, with the spread of
a symbol of that turnover. What was recorded outside of the session is left out, but for the quote that stood when it opened.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Final

import numpy as np

from alchemiser.domain.errors import DataError
from alchemiser.domain.market import Bar, Quote, Session
from alchemiser.exchange.halts import Halt
from alchemiser.exchange.noise import noise_key, uniforms
from alchemiser.exchange.path import STEP_SECONDS, TapeBar, TapePrint, most_lots, spread_bps, ticks_per_dollar
from alchemiser.exchange.recordings import SECOND, Counts, Prints, Quotes, RecordedDay, Recordings
from alchemiser.exchange.series import DailySeries
from alchemiser.market.calendar import TradingCalendar, midnight, new_york_date

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_INSTANT: Final = timedelta(microseconds=1)
_MINUTE: Final = timedelta(minutes=1)


def recorded_bar(symbol: str, session: Session, day: RecordedDay) -> Bar | None:
    """Return the daily bar of a recorded session, ``None`` when nothing was traded in it."""
    prints = None if day.prints is None else _inside(day.prints, session)
    if prints is None or not len(prints.times):
        return None
    return Bar(
        symbol=symbol,
        start=midnight(session.date),
        open=prints.prices.item(0),
        high=float(prints.prices.max()),
        low=float(prints.prices.min()),
        close=prints.prices.item(-1),
        volume=float(prints.sizes.sum()),
    )


def recorded_bars(recordings: Recordings, symbol: str, calendar: TradingCalendar) -> list[Bar]:
    """Return the daily bars of all recorded sessions of a symbol, oldest first."""
    bars = []
    for day in recordings.days(symbol):
        known, session = recordings.day(symbol, day), calendar.session(day)
        bar = None if known is None or session is None else recorded_bar(symbol, session, known)
        if bar is not None:
            bars.append(bar)
    return bars


class RecordedSource:
    """The daily bars of recordings alone: of the sessions that were recorded, and of no other.

    Raises ``DataError`` when nothing was traded in a session.
    """

    def __init__(self, recordings: Recordings, calendar: TradingCalendar) -> None:
        self._bars = {symbol: bars for symbol in recordings.symbols if (bars := recorded_bars(recordings, symbol, calendar))}
        if not self._bars:
            raise DataError("the recordings hold no trade in any session")

    @property
    def symbols(self) -> tuple[str, ...]:
        """The symbols that can be asked for, in alphabetical order."""
        return tuple(self._bars)

    def series(self, symbol: str) -> DailySeries:
        """Return the bars of a symbol. Raises ``DataError`` when there are none."""
        bars = self._bars.get(symbol)
        if bars is None:
            raise DataError(f"{symbol} was not recorded; there are {', '.join(self._bars)}")
        close = np.array([bar.close for bar in bars])
        return DailySeries(
            symbol=symbol,
            days=np.array([new_york_date(bar.start).toordinal() for bar in bars], np.int64),
            open=np.array([bar.open for bar in bars]),
            high=np.array([bar.high for bar in bars]),
            low=np.array([bar.low for bar in bars]),
            close=close,
            volume=np.array([bar.volume for bar in bars]),
            total_return=close,
            split=np.ones(len(bars)),
            is_close_only=np.zeros(len(bars), bool),
        )


class RecordedPath:
    """One symbol's recorded session; its bar is that of :func:`recorded_bar`."""

    halt: Halt | None = None

    def __init__(self, symbol: str, bar: Bar, session: Session, day: RecordedDay, seed: int) -> None:
        assert day.prints is not None, f"{symbol} {session.date}: nothing was traded"
        self.symbol = symbol
        self.session = session
        self._bar = bar
        self._prints = _inside(day.prints, session)
        self._quotes = day.quotes
        self._per_dollar = ticks_per_dollar(bar.low)
        turnover = bar.close * bar.volume
        self._spread_ticks = max(1, round(bar.close * spread_bps(turnover) * 1e-4 * self._per_dollar))
        self._most_lots = most_lots(bar.volume)
        self._key = noise_key(seed, "recorded lots", symbol, session.date.isoformat())

    @property
    def has_quotes(self) -> bool:
        """Whether its quotes were recorded."""
        return self._quotes is not None

    def mid(self, at: datetime) -> float:
        """Return the middle of the market."""
        quote = self._recorded_quote(at)
        if quote is not None and quote.bid > 0 and quote.ask > 0:
            return quote.mid
        return float(np.interp(_micros(at), self._prints.times, self._prints.prices))

    def quote(self, at: datetime) -> Quote:
        """Return the best bid and offer, stamped ``at``, or the close when that comes first."""
        stamp = min(at, self.session.closes_at)
        recorded = self._recorded_quote(stamp)
        if recorded is not None:
            return recorded
        bid_ticks = max(1, round(self.mid(at) * self._per_dollar - self._spread_ticks / 2))
        step = min(max(int((at - self.session.opens_at).total_seconds()) // STEP_SECONDS, 0), len(self._lots[0]) - 1)
        return Quote(
            symbol=self.symbol,
            bid=bid_ticks / self._per_dollar,
            bid_size=self._lots[0].item(step),
            ask=(bid_ticks + self._spread_ticks) / self._per_dollar,
            ask_size=self._lots[1].item(step),
            at=stamp,
        )

    def quotes(self, after: datetime, until: datetime) -> Iterator[Quote]:
        """Yield the recorded quotes of the session after one moment up to and including another, each at its own time."""
        if self._quotes is None:
            return
        after = max(after, self.session.opens_at - _INSTANT)
        first, end = (self._place(self._quotes.times, at) for at in (after, min(until, self.session.closes_at)))
        for place in range(first, end):
            yield self._quote_at(self._quotes, place, _moment(self._quotes.times.item(place)))

    def trade(self, at: datetime) -> TapePrint | None:
        """Return the last print at or before that moment, ``None`` before the first."""
        place = self._place(self._prints.times, at)
        return None if place == 0 else self._print(place - 1)

    def trades(self, after: datetime, until: datetime) -> Iterator[TapePrint]:
        """Yield the prints after one moment up to and including another, in order."""
        for place in range(self._place(self._prints.times, after), self._place(self._prints.times, until)):
            yield self._print(place)

    def running_bar(self, at: datetime) -> TapeBar | None:
        """Return the day's bar as it stands then, ``None`` before the first print."""
        return self._bar_of(self._bar.start, 0, self._place(self._prints.times, at))

    def minute_bars(self, until: datetime) -> tuple[TapeBar, ...]:
        """Return the bars of all minutes that have ended by then, oldest first; a minute without a print has none."""
        return tuple(bar for bar in self._every_minute[: self._minutes_ended(until)] if bar is not None)

    def last_minute_bar(self, until: datetime) -> TapeBar | None:
        """Return the last of :meth:`minute_bars`, ``None`` when there is none."""
        ended = self._every_minute[: self._minutes_ended(until)]
        return next((bar for bar in reversed(ended) if bar is not None), None)

    def _minutes_ended(self, until: datetime) -> int:
        return min(max((until - self.session.opens_at) // _MINUTE, 0), self._minutes)

    @property
    def _minutes(self) -> int:
        return (self.session.closes_at - self.session.opens_at) // _MINUTE

    def _minute_end(self, minute: int) -> datetime:
        """Return when a minute is over; the closing print belongs to the last one."""
        end = self.session.opens_at + (minute + 1) * _MINUTE
        return end + _INSTANT if minute + 1 == self._minutes else end

    @cached_property
    def _every_minute(self) -> tuple[TapeBar | None, ...]:
        return tuple(self._minute_bar(minute) for minute in range(self._minutes))

    def _minute_bar(self, minute: int) -> TapeBar | None:
        start = self.session.opens_at + minute * _MINUTE
        first, end = (self._place(self._prints.times, at - _INSTANT) for at in (start, self._minute_end(minute)))
        return self._bar_of(start, first, end)

    def _bar_of(self, start: datetime, first: int, end: int) -> TapeBar | None:
        prices, sizes = self._prints.prices[first:end], self._prints.sizes[first:end]
        if not len(prices):
            return None
        low, high, volume = float(prices.min()), float(prices.max()), int(sizes.sum())
        return TapeBar(
            symbol=self.symbol,
            start=start,
            open=prices.item(0),
            high=high,
            low=low,
            close=prices.item(-1),
            volume=volume,
            trade_count=len(prices),
            vwap=min(max(float(prices @ sizes) / volume, low), high),
        )

    def _print(self, place: int) -> TapePrint:
        return TapePrint(
            symbol=self.symbol,
            price=self._prints.prices.item(place),
            size=self._prints.sizes.item(place),
            at=_moment(self._prints.times.item(place)),
            number=place + 1,
        )

    def _recorded_quote(self, at: datetime) -> Quote | None:
        if self._quotes is None:
            return None
        return self._quote_at(self._quotes, max(self._place(self._quotes.times, at) - 1, 0), at)

    def _quote_at(self, quotes: Quotes, place: int, at: datetime) -> Quote:
        return Quote(
            symbol=self.symbol,
            bid=quotes.bids.item(place),
            bid_size=quotes.bid_sizes.item(place),
            ask=quotes.asks.item(place),
            ask_size=quotes.ask_sizes.item(place),
            at=at,
        )

    @cached_property
    def _lots(self) -> tuple[Counts, Counts]:
        count = int((self.session.closes_at - self.session.opens_at).total_seconds()) // STEP_SECONDS + 1
        draws = uniforms(self._key, 2 * count)
        lots = 100 + 100 * (draws * draws * self._most_lots).astype(np.int64)
        return lots[:count], lots[count:]

    @staticmethod
    def _place(times: Counts, at: datetime) -> int:
        """Return how many of some times are not after a moment."""
        return int(np.searchsorted(times, _micros(at), side="right"))


def _inside(prints: Prints, session: Session) -> Prints:
    """Return the prints of the session, those of its open and of its close included."""
    first = np.searchsorted(prints.times, _micros(session.opens_at), side="left")
    end = np.searchsorted(prints.times, _micros(session.closes_at), side="right")
    return Prints(prints.times[first:end], prints.prices[first:end], prints.sizes[first:end])


def _micros(at: datetime) -> int:
    return (at - _EPOCH) // _INSTANT


def _moment(microseconds: int) -> datetime:
    return _EPOCH + timedelta(seconds=microseconds // SECOND, microseconds=microseconds % SECOND)
