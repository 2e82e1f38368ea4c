"""What a sweep varies, as it is written on the command line."""

import pytest

from alchemiser.backtest.sweep.space import Dimension, dimension_of, grid_of, grid_size
from alchemiser.domain.errors import UsageError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10:threshold=70..72", Dimension(("10:threshold",), (70, 71, 72), is_range=True)),
        ("10:share:1=0.1..0.3:0.1", Dimension(("10:share:1",), (0.1, 0.2, 0.3), is_range=True)),
        ("x=1..2.4:0.5", Dimension(("x",), (1, 1.5, 2), is_range=True)),
        ("10:window=8,10,14", Dimension(("10:window",), (8, 10, 14))),
        ("a+b = 1, 2", Dimension(("a", "b"), (1, 2))),
        ("tecl/10:threshold=-5..-4", Dimension(("tecl/10:threshold",), (-5, -4), is_range=True)),
    ],
)
def test_values_are_lists_and_ranges(text: str, expected: Dimension) -> None:
    """Decimal steps do not drift, and a range ends at or before its end."""
    assert dimension_of(text) == expected


@pytest.mark.parametrize(
    "text", ["10", "=1", "a+=1", "a+a=1", "a=", "a=x", "a=1,1", "a=1..", "a=2..1", "a=1..2:0", "a=1..2:-1", "a=nan", "a=1..1e9", "a=inf"]
)
def test_what_cannot_be_read_is_refused(text: str) -> None:
    """With what was written."""
    with pytest.raises(UsageError, match="--vary"):
        dimension_of(text)


def test_a_grid_is_every_combination_in_order() -> None:
    """The last dimension changes fastest; too many variants are refused before any is made."""
    dimensions = [dimension_of("a=1,2"), dimension_of("b=3..4")]
    assert list(grid_of(dimensions)) == [(1, 3), (1, 4), (2, 3), (2, 4)]
    assert grid_size(dimensions) == 4
    with pytest.raises(UsageError, match="more than 1,000,000"):
        grid_size([dimension_of("a=1..1001"), dimension_of("b=1..1001")])
