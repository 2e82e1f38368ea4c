"""Two results side by side: what differs in their figures, and how far apart their curves are on every day both have.

Curves are compared from their last common beginning: each over its value on the first common day, so that runs with different cash or
starts can be compared. ``equity`` differences are in dollars as they stand.
"""

import math
from pathlib import Path
from typing import Any

import msgspec

from alchemiser.backtest.document import digest_of
from alchemiser.domain.errors import DataError

SAME = 1e-9
"""The relative difference of two equities that is taken for rounding."""


class StoredResult(msgspec.Struct, frozen=True, kw_only=True):
    """What is read of a result; anything else in it is not needed."""

    engine: str
    metrics: dict[str, float | None]
    dates: list[str]
    equity: list[float]
    digest: str | None = None
    data: dict[str, Any] | None = None
    terms: dict[str, Any] | None = None


class TermChange(msgspec.Struct, frozen=True):
    """A term of trade on which the two runs differ, as each has it."""

    name: str
    first: Any
    second: Any


class FigureChange(msgspec.Struct, frozen=True):
    """One figure of both, and the second less the first where both have it."""

    name: str
    first: float | None
    second: float | None
    difference: float | None


class DayChange(msgspec.Struct, frozen=True):
    """The equity of both on a day in dollars, and the growth of the second since the first common day over that of the first, less 1."""

    date: str
    first: float
    second: float
    difference: float
    relative: float


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """The whole comparison.

    ``terms`` are those that differ; ``first_difference`` is the first day whose equities differ by more than rounding.
    """

    first: str
    second: str
    is_same: bool
    same_data: bool | None
    terms: list[TermChange]
    figures: list[FigureChange]
    sessions: int
    only_first: int
    only_second: int
    largest_relative: float
    largest_on: str
    first_difference: str | None
    equity: list[DayChange]


def read_result(path: Path) -> StoredResult:
    """Read what ``backtest --json`` printed. Raises ``DataError`` for a file that is not that, or was changed since."""
    try:
        text = path.read_bytes()
        result = msgspec.json.decode(text, type=StoredResult)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); nothing is compared") from error
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        raise DataError(f"{path}: not a result of backtest --json ({error}); nothing is compared") from error
    if len(result.dates) != len(result.equity) or not result.dates:
        raise DataError(f"{path}: {len(result.dates)} dates and {len(result.equity)} equities; nothing is compared")
    if not all(math.isfinite(value) and value >= 0.0 for value in result.equity):
        raise DataError(f"{path}: an equity that is not a number or negative; nothing is compared")
    if result.digest is not None and result.digest != digest_of(msgspec.json.decode(text)):
        raise DataError(f"{path}: its content is not what its digest says; it was changed after it was written")
    return result


def compare(first: tuple[str, StoredResult], second: tuple[str, StoredResult]) -> Comparison:
    """Compare two results under their names. Raises ``DataError`` when they have no day in common."""
    (first_name, one), (second_name, other) = first, second
    mine, theirs = dict(zip(one.dates, one.equity, strict=True)), dict(zip(other.dates, other.equity, strict=True))
    days = [day for day in one.dates if day in theirs]
    if not days:
        raise DataError(f"{first_name} and {second_name} have no day in common")
    start = mine[days[0]] or 1.0, theirs[days[0]] or 1.0
    changes = [
        DayChange(day, mine[day], theirs[day], theirs[day] - mine[day], _apart(mine[day] / start[0], theirs[day] / start[1]))
        for day in days
    ]
    largest = max(changes, key=lambda change: abs(change.relative))
    names = dict.fromkeys((*one.metrics, *other.metrics))
    figures = [_figure(name, one.metrics.get(name), other.metrics.get(name)) for name in names]
    versions = one.data and one.data.get("version"), other.data and other.data.get("version")
    return Comparison(
        first=first_name,
        second=second_name,
        is_same=(one.dates, one.equity, one.metrics) == (other.dates, other.equity, other.metrics),
        same_data=versions[0] == versions[1] if all(versions) else None,
        terms=_terms(one.terms or {}, other.terms or {}),
        figures=figures,
        sessions=len(days),
        only_first=len(mine) - len(days),
        only_second=len(theirs) - len(days),
        largest_relative=largest.relative,
        largest_on=largest.date,
        first_difference=next((change.date for change in changes if abs(change.difference) > SAME * change.first), None),
        equity=changes,
    )


def _apart(one: float, other: float) -> float:
    """Return how much more the second has become than the first: without bound where only the first has lost everything."""
    if one:
        return other / one - 1.0
    return math.inf if other else 0.0


def _terms(one: dict[str, Any], other: dict[str, Any]) -> list[TermChange]:
    """Return the terms that both tell and that differ."""
    return [TermChange(name, one[name], other[name]) for name in one if name in other and one[name] != other[name]]


def _figure(name: str, first: float | None, second: float | None) -> FigureChange:
    return FigureChange(name, first, second, None if first is None or second is None else second - first)
