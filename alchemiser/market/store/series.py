"""One stored series: the daily bars of a symbol from one feed with one adjustment, and what is known about them. Values only, no files.

Two answers of a venue about the same days are compared here (:func:`compare`). Prices adjusted for splits and dividends are relative to the
day they were asked for: after the next dividend every earlier close is another number. Bars from before and after it do not go together, so
an answer is joined to what is stored only where both say the same about the days that they share.
"""

import re
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final, Literal, Self

import msgspec
import numpy as np

from alchemiser.domain.errors import DataError
from alchemiser.market.arrays import Days, Floats

Adjusting = Literal["raw", "split", "all"]
"""What prices are adjusted for: nothing, splits, or splits and dividends."""

ADJUSTMENTS: Final[tuple[Adjusting, ...]] = ("raw", "split", "all")
COLUMNS: Final = ("open", "high", "low", "close", "volume")

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,30}")
_SAME: Final = 1e-9
_DAYS_NAMED: Final = 3
_ROUNDING_DOLLARS: Final = 0.011
"""A price in cents is off by half of one, and so is the one that it is compared with."""


class SeriesKey(msgspec.Struct, frozen=True, order=True):
    """Which series: ``feed`` is the venue's name of it, or what an import called its source."""

    symbol: str
    feed: str
    adjustment: Adjusting

    def __str__(self) -> str:
        return f"{self.symbol} {self.feed} {self.adjustment}"


class SeriesInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What is known about a series beside its bars.

    The source was asked for the days from ``asked_from`` to ``asked_through``: where there is no bar between them, it has none.
    """

    symbol: str
    feed: str
    adjustment: Adjusting
    asked_from: date
    asked_through: date
    source: str
    written_at: datetime
    format: int = 1

    @property
    def key(self) -> SeriesKey:
        """The name of the series."""
        return SeriesKey(self.symbol, self.feed, self.adjustment)


@dataclass(frozen=True, slots=True)
class BarColumns:
    """Daily bars as columns of equal length, oldest first: days as ordinals, prices in dollars, volume in shares.

    Where only the close is known, the rest is not a number.
    """

    days: Days
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats

    def __len__(self) -> int:
        return len(self.days)

    @classmethod
    def of(cls, rows: "list[tuple[int, float, float, float, float, float]]") -> Self:
        """Return the columns of rows of day, open, high, low, close and volume."""
        table = np.array([row[1:] for row in rows], dtype=np.float64).reshape(len(rows), len(COLUMNS))
        return cls(np.array([row[0] for row in rows], dtype=np.int64), *(table[:, place].copy() for place in range(len(COLUMNS))))

    def taken(self, which: "np.ndarray[tuple[int], np.dtype[np.bool_]] | slice") -> "BarColumns":
        """Return the rows that are chosen."""
        return BarColumns(self.days[which], *(getattr(self, name)[which] for name in COLUMNS))

    def then(self, later: "BarColumns") -> "BarColumns":
        """Return these bars up to the day before the first of ``later``, and those."""
        if not len(later):
            return self
        kept = self.taken(slice(0, int(np.searchsorted(self.days, later.days[0]))))
        return BarColumns(
            np.concatenate((kept.days, later.days)), *(np.concatenate((getattr(kept, name), getattr(later, name))) for name in COLUMNS)
        )


@dataclass(frozen=True, slots=True)
class Series:
    """A series with its bars."""

    info: SeriesInfo
    bars: BarColumns

    @property
    def first_day(self) -> date | None:
        """The day of the first bar, if there is any."""
        return date.fromordinal(int(self.bars.days[0])) if len(self.bars) else None

    @property
    def last_day(self) -> date | None:
        """The day of the last bar, if there is any."""
        return date.fromordinal(int(self.bars.days[-1])) if len(self.bars) else None


class Comparison(msgspec.Struct, frozen=True):
    """What two answers say about the days that both speak of.

    ``factor`` is what the stored closes would have to be multiplied by, where one number does for all of them.
    """

    shared: int
    differing: tuple[date, ...]
    factor: float | None

    @property
    def is_same(self) -> bool:
        """Whether they agree."""
        return not self.differing

    def __str__(self) -> str:
        if self.is_same:
            return f"the {self.shared} bars that both have agree"
        if self.factor is not None:
            return f"all closes differ by the factor {self.factor:.6g}: a split or a dividend since"
        named = ", ".join(map(str, self.differing[:_DAYS_NAMED])) + (" and more" if len(self.differing) > _DAYS_NAMED else "")
        return f"{len(self.differing)} of {self.shared} bars differ ({named}): they were corrected"


def compare(known: BarColumns, fresh: BarColumns) -> Comparison:
    """Compare what is stored with a fresh answer, from the first day of that answer to the last day that is stored.

    A day that only one of them has differs.
    """
    if not len(fresh) or not len(known):
        return Comparison(0, (), None)
    low, high = int(fresh.days[0]), int(known.days[-1])
    ours = known.taken((known.days >= low) & (known.days <= high))
    theirs = fresh.taken(fresh.days <= high)
    days = np.union1d(ours.days, theirs.days)
    both = np.intersect1d(ours.days, theirs.days)
    before, after = (side.taken(np.isin(side.days, both)) for side in (ours, theirs))
    equal = np.ones(len(both), dtype=np.bool_)
    for name in COLUMNS:
        equal &= np.isclose(getattr(before, name), getattr(after, name), rtol=_SAME, atol=0.0, equal_nan=True)
    differing = np.union1d(np.setxor1d(ours.days, theirs.days), both[~equal])
    return Comparison(len(days), tuple(date.fromordinal(day) for day in differing.tolist()), _factor(before.close, after.close, len(days)))


def checked_name(kind: str, name: str) -> str:
    """Return the name of a symbol or a feed. Raises ``DataError`` when it cannot be the name of a file."""
    if not _NAME.fullmatch(name):
        raise DataError(f"{kind} {name!r}: expected letters, digits, dots, hyphens and underscores, at most 31 of them")
    return name


def _factor(before: Floats, after: Floats, days: int) -> float | None:
    """Return the one factor between all closes, as far as prices in cents can tell; ``None`` where there is none or it is 1."""
    if not days or len(before) != days:
        return None
    if not np.all((before > 0) & (after > 0)):
        return None
    ratios = after / before
    factor = float(np.median(ratios))
    tolerance = _SAME + _ROUNDING_DOLLARS / np.minimum(before, after)
    is_one = bool(np.all(np.abs(ratios - 1.0) <= _SAME))
    return None if is_one or not np.all(np.abs(ratios / factor - 1.0) <= tolerance) else factor
