"""The no-trade band: the widest of what is asked for, and the formula that its docstring cites."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alchemiser.portfolio.band import Band


@pytest.mark.parametrize(
    ("band", "weight", "half_spread", "width"),
    [
        (Band(absolute=0.01), 0.5, None, 0.01),
        (Band(absolute=0.01, relative=0.1), 0.5, None, 0.05),
        (Band(absolute=0.01, relative=0.1), 0.05, None, 0.01),
        # (3 / 6 * 0.25 * 0.25 * 0.0008) ^ (1/3)
        (Band(absolute=0.0, is_cost_aware=True), 0.5, 0.0008, 0.02924017738212866),
        (Band(absolute=0.04, is_cost_aware=True), 0.5, 0.0008, 0.04),
        (Band(absolute=0.0, is_cost_aware=True), 0.5, None, 0.0),
        (Band(absolute=0.0, is_cost_aware=True), 1.0, 0.0008, 0.0),
        (Band(absolute=0.0, is_cost_aware=True), 0.0, 0.0008, 0.0),
        (Band(absolute=0.0, is_cost_aware=False), 0.5, 0.0008, 0.0),
    ],
)
def test_the_widest_counts(band: Band, weight: float, half_spread: float | None, width: float) -> None:
    """Absolute, relative and cost-aware bands do not add up; the widest is the band."""
    assert band.half_width(weight, half_spread) == pytest.approx(width)


@given(weight=st.floats(0.01, 0.99), cheap=st.floats(0, 0.01), more=st.floats(0, 0.01))
def test_what_costs_more_is_traded_later(weight: float, cheap: float, more: float) -> None:
    """A wider spread never narrows the band."""
    band = Band(is_cost_aware=True)
    assert band.half_width(weight, cheap + more) >= band.half_width(weight, cheap) >= band.absolute
