"""Daily closes per symbol, adjusted, oldest first: what indicators are computed from.

Promises: days ascend without duplicates and closes are positive and finite, checked when they enter, so nobody downstream has to; an array
handed out never changes afterwards, whatever is appended later; adding the live price as the last bar does not copy the history.
A session without a bar is not filled in: :meth:`DailyHistory.bars_missing` names it and the reader decides.

It does not fetch, adjust or store: the closes come adjusted from the venue or from bar files.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from hashlib import blake2b
from typing import Final, Self, TypeVar

import numpy as np

from alchemiser.domain.errors import DataError
from alchemiser.domain.market import Bar
from alchemiser.market.arrays import Days, Floats
from alchemiser.market.calendar import TradingCalendar, new_york_date

_SPARE_BARS: Final = 64

T = TypeVar("T", Floats, Days)


class DailyHistory:
    """The daily closes of many symbols. Asking for a symbol that was never added raises ``DataError``."""

    def __init__(self) -> None:
        self._series: dict[str, _Series] = {}

    @classmethod
    def from_bars(cls, bars: Mapping[str, Sequence[Bar]]) -> Self:
        """Return the history of daily bars as the venue answers them; a bar's day is the date in New York on which it starts."""
        history = cls()
        for symbol, members in bars.items():
            history.add(symbol, [new_york_date(bar.start) for bar in members], [bar.close for bar in members])
        return history

    def add(self, symbol: str, days: Sequence[date], closes: Sequence[float] | Floats) -> None:
        """Take the whole history of a symbol, in place of what was known of it.

        Raises ``DataError`` naming symbol and day when days do not ascend, one is there twice, or a close is not a positive number.
        """
        self.add_ordinals(symbol, np.fromiter((day.toordinal() for day in days), np.int64, len(days)), closes)

    def add_ordinals(self, symbol: str, days: Days, closes: Sequence[float] | Floats) -> None:
        """Take the whole history of a symbol as :meth:`add` does, its days as ordinals."""
        values = np.asarray(closes, dtype=np.float64)
        if len(days) != len(values):
            raise DataError(f"{symbol}: {len(days)} days and {len(values)} closes were given; they must be as many")
        _check(symbol, days, values)
        self._series[symbol] = _Series(days, values)

    def append(self, symbol: str, day: date, close: float) -> None:
        """Add the close of the next session. Raises ``DataError`` when it is not after the last day, or not a positive number."""
        series = self._series.get(symbol)
        ordinal = day.toordinal()
        if series is None:
            series = self._series[symbol] = _Series(np.empty(0, np.int64), np.empty(0, np.float64))
        last = series.days[-1:]
        _check(symbol, np.append(last, ordinal), np.array([close] if not len(last) else [series.closes[-1], close]))
        series.append(ordinal, close)

    @property
    def symbols(self) -> tuple[str, ...]:
        """The symbols that were added, in the order of adding."""
        return tuple(self._series)

    def closes(self, symbol: str, *, through: date | None = None) -> Floats:
        """Return the closes up to and including ``through``, or all of them; the array is read-only."""
        series = self._of(symbol)
        return series.closes if through is None else series.closes[: series.count_through(through.toordinal())]

    def days(self, symbol: str, *, through: date | None = None) -> Days:
        """Return the days of :meth:`closes`, as ordinals; the array is read-only."""
        series = self._of(symbol)
        return series.days if through is None else series.days[: series.count_through(through.toordinal())]

    def last_day(self, symbol: str) -> date | None:
        """Return the day of the last close, ``None`` when there is none."""
        days = self._of(symbol).days
        return date.fromordinal(int(days[-1])) if len(days) else None

    def version_of(self, symbols: Iterable[str]) -> str:
        """Return the version of the days and closes of these symbols: another one as soon as any of them differs, or is missing."""
        whole = blake2b(digest_size=16)
        for symbol in sorted(symbols):
            series = self._series.get(symbol)
            whole.update(f"{symbol} {series.digest() if series else 'none'}\n".encode())
        return whole.hexdigest()

    def closes_with_live(self, symbol: str, day: date, price: float) -> Floats:
        """Return the closes of the days before ``day`` and the live price as the bar of ``day``; the array is read-only.

        A bar of ``day`` itself, as venues send it while the session runs, gives way to the live price.
        Raises ``DataError`` when the price is not a positive number.
        """
        if not 0 < price < np.inf:
            raise DataError(f"{symbol}: the live price {price} of {day} is not a positive number")
        return self._of(symbol).closes_with(day.toordinal(), price)

    def aligned(self, symbols: Sequence[str], *, through: date | None = None) -> tuple[Days, Floats]:
        """Return the days on which every one of the symbols has a close, and those closes, one row per symbol."""
        common: Days | None = None
        for symbol in symbols:
            days = self.days(symbol, through=through)
            common = days if common is None else np.intersect1d(common, days, assume_unique=True)
        if common is None:
            raise DataError("no symbols were named whose closes could be aligned")
        rows = [self.closes(symbol)[np.searchsorted(self.days(symbol), common)] for symbol in symbols]
        return common, np.stack(rows)

    def bars_missing(self, symbol: str, calendar: TradingCalendar, *, through: date) -> tuple[date, ...]:
        """Return the sessions without a close, from the symbol's first close to ``through``, both included."""
        days = self._of(symbol).days
        if not len(days):
            return ()
        first = max(date.fromordinal(int(days[0])), calendar.first_day)
        known = set(days.tolist())
        return tuple(session.date for session in calendar.sessions(first, through) if session.date.toordinal() not in known)

    def symbols_behind(self, symbols: Iterable[str], day: date) -> tuple[str, ...]:
        """Return those of the symbols whose last close is older than ``day``, or that have none at all."""
        behind: list[str] = []
        for symbol in symbols:
            last = self.last_day(symbol) if symbol in self._series else None
            if last is None or last < day:
                behind.append(symbol)
        return tuple(behind)

    def _of(self, symbol: str) -> "_Series":
        series = self._series.get(symbol)
        if series is None:
            raise DataError(f"{symbol}: no daily history is known; known are {', '.join(self._series) or 'none'}")
        return series


class _Series:
    """The days and closes of one symbol in buffers with room at the end.

    A slot is written once. When the bar after the last is wanted with another value than its slot holds, the buffer is left to
    whoever was handed a view of it and a new one is made, so views never change.
    """

    __slots__ = ("_closes", "_days", "_digest", "_next", "_size", "closes", "days")

    def __init__(self, days: Days, closes: Floats) -> None:
        self._size = len(closes)
        self._next: float | None = None
        self._digest = ""
        self._days, self._closes = _with_room(days), _with_room(closes)
        self._expose()

    def append(self, ordinal: int, close: float) -> None:
        """Make ``close`` the last bar."""
        self._write_next(close)
        self._days[self._size] = ordinal
        self._size += 1
        self._next = None
        self._digest = ""
        self._expose()

    def closes_with(self, ordinal: int, price: float) -> Floats:
        """Return the closes before that day followed by ``price``."""
        if self._size and ordinal <= self.days[-1]:
            joined = np.append(self.closes[: self.count_through(ordinal - 1)], price)
        else:
            self._write_next(price)
            joined = self._closes[: self._size + 1]
        return _read_only(joined)

    def digest(self) -> str:
        """Return the hash of days and closes, the same on every machine."""
        if not self._digest:
            of = blake2b(np.ascontiguousarray(self.days, dtype="<i8").tobytes(), digest_size=16)
            of.update(np.ascontiguousarray(self.closes, dtype="<f8").tobytes())
            self._digest = of.hexdigest()
        return self._digest

    def count_through(self, ordinal: int) -> int:
        """Return how many bars are not after that day."""
        return int(np.searchsorted(self.days, ordinal, side="right"))

    def _write_next(self, close: float) -> None:
        if self._next == close:
            return
        if self._next is not None or self._size == len(self._closes):
            self._days, self._closes = _with_room(self.days), _with_room(self.closes)
        self._closes[self._size] = self._next = close

    def _expose(self) -> None:
        self.days = _read_only(self._days[: self._size])
        self.closes = _read_only(self._closes[: self._size])


def _with_room(values: T) -> T:
    roomy = np.empty(len(values) + _SPARE_BARS, dtype=values.dtype)
    roomy[: len(values)] = values
    return roomy


def _read_only(values: T) -> T:
    values.flags.writeable = False
    return values


def _check(symbol: str, days: Days, closes: Floats) -> None:
    steps = np.diff(days)
    if (wrong := np.flatnonzero(steps <= 0)).size:
        at = int(wrong[0])
        before, day = date.fromordinal(int(days[at])), date.fromordinal(int(days[at + 1]))
        raise DataError(f"{symbol}: {day} is there twice" if day == before else f"{symbol}: {day} comes after {before}; days must ascend")
    if (wrong := np.flatnonzero(~(np.isfinite(closes) & (closes > 0)))).size:
        at = int(wrong[0])
        raise DataError(f"{symbol}: the close {closes[at]} of {date.fromordinal(int(days[at]))} is not a positive number")
