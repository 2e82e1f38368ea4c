"""What a sweep varies: dimensions, each a number of a strategy (or several that change together) and the values it may take.

``10:threshold=70..90:2`` is a range with its step, ``10:window=8,10,14`` a list, ``10:window+17:window=8..20`` changes two together.
"""

import math
from collections.abc import Iterator, Sequence
from decimal import Decimal, InvalidOperation
from itertools import product
from typing import Final

import msgspec

from alchemiser.domain.errors import UsageError

VARIANTS_AT_MOST: Final = 1_000_000
_VALUES_AT_MOST: Final = 10_000

Values = tuple[float, ...]
"""A variant: one value per dimension."""


class Dimension(msgspec.Struct, frozen=True):
    """The keys that change together, and their values in order. ``is_range`` says that what lies between them makes sense too."""

    keys: tuple[str, ...]
    values: Values
    is_range: bool = False

    @property
    def name(self) -> str:
        """The keys as they were written."""
        return "+".join(self.keys)


def dimension_of(text: str) -> Dimension:
    """Read ``KEY=VALUES``. Raises ``UsageError`` for what cannot be read."""
    named, separator, written = text.rpartition("=")
    keys = tuple(key.strip() for key in named.split("+"))
    if not separator or not all(keys):
        raise UsageError(f"--vary {text}: expected KEY=VALUES, for example 10:threshold=70..90:2 or 10:window=8,10,14")
    if len(set(keys)) != len(keys):
        raise UsageError(f"--vary {text}: a key is there twice")
    if ".." in written:
        return Dimension(keys, _range(text, written), is_range=True)
    values = tuple(float(_number(text, part)) for part in written.split(","))
    if len(set(values)) != len(values):
        raise UsageError(f"--vary {text}: a value is there twice")
    return Dimension(keys, values)


def grid_size(dimensions: Sequence[Dimension]) -> int:
    """Return how many variants a grid has. Raises ``UsageError`` when they are too many."""
    size = math.prod(len(dimension.values) for dimension in dimensions)
    if size > VARIANTS_AT_MOST:
        raise UsageError(f"the grid has {size:,} variants, more than {VARIANTS_AT_MOST:,}; take wider steps, or --search optuna")
    return size


def grid_of(dimensions: Sequence[Dimension]) -> Iterator[Values]:
    """Yield every variant, the last dimension changing fastest."""
    return product(*(dimension.values for dimension in dimensions))


def _range(text: str, written: str) -> Values:
    bounds, _, stepped = written.partition(":")
    low, _, high = bounds.partition("..")
    first, last, step = _number(text, low), _number(text, high), _number(text, stepped or "1")
    if step <= 0 or last < first:
        raise UsageError(f"--vary {text}: expected FROM..TO:STEP with FROM not above TO and a STEP above 0")
    count = int((last - first) / step) + 1
    if count > _VALUES_AT_MOST:
        raise UsageError(f"--vary {text}: {count:,} values, more than {_VALUES_AT_MOST:,}")
    return tuple(float(first + step * place) for place in range(count))


def _number(text: str, written: str) -> Decimal:
    try:
        value = Decimal(written.strip())
    except InvalidOperation as error:
        raise UsageError(f"--vary {text}: {written.strip()!r} is not a number") from error
    if not value.is_finite():
        raise UsageError(f"--vary {text}: {written.strip()!r} is not a finite number")
    return value
