"""Daily closes per symbol, adjusted, oldest first: what indicators are computed from.

Promises: days ascend without duplicates and closes are positive and finite, checked when they enter, so nobody downstream has to; an array
handed out never changes afterwards. A session without a bar is not filled in.

It does not fetch, adjust or store: the closes come adjusted from the venue or from bar files.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from hashlib import blake2b
from typing import Self, TypeVar

import numpy as np

from alchemiser.domain.errors import DataError
from alchemiser.domain.market import Bar
from alchemiser.market.arrays import Days, Floats
from alchemiser.market.calendar import new_york_date

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

    def version_of(self, symbols: Iterable[str]) -> str:
        """Return the version of the days and closes of these symbols: another one as soon as any of them differs, or is missing."""
        whole = blake2b(digest_size=16)
        for symbol in sorted(symbols):
            series = self._series.get(symbol)
            whole.update(f"{symbol} {series.digest() if series else 'none'}\n".encode())
        return whole.hexdigest()

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

    def _of(self, symbol: str) -> "_Series":
        series = self._series.get(symbol)
        if series is None:
            raise DataError(f"{symbol}: no daily history is known; known are {', '.join(self._series) or 'none'}")
        return series


class _Series:
    """The days and closes of one symbol, read-only and nobody else's."""

    __slots__ = ("_digest", "closes", "days")

    def __init__(self, days: Days, closes: Floats) -> None:
        self.days, self.closes = _read_only(days.copy()), _read_only(closes.copy())
        self._digest = ""

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
