"""Two answers about the same days: whether they are the same, of another adjustment, or corrected."""

from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alchemiser.domain.errors import DataError
from alchemiser.market.store.series import BarColumns, checked_name, compare
from tests.unit.market.store.conftest import columns

DAYS = [date(2025, 3, 3) + timedelta(days=offset) for offset in range(12)]
closes = st.lists(st.floats(5, 5_000).map(lambda price: round(price, 2)), min_size=12, max_size=12)


def bars(prices: list[float], first: int = 0) -> BarColumns:
    return columns(dict(zip(DAYS[first:], prices[first:], strict=True)))


@settings(max_examples=40)
@given(closes, st.integers(0, 11))
def test_the_same_prices_agree(prices: list[float], first: int) -> None:
    """Whatever part of it is asked for again."""
    assert compare(bars(prices), bars(prices, first)).is_same


@settings(max_examples=40)
@given(closes, st.floats(0.05, 20).filter(lambda factor: abs(factor - 1) > 1e-3))
def test_a_new_adjustment_is_found_with_its_factor(prices: list[float], factor: float) -> None:
    """A split or a dividend since multiplies every stored close by one number."""
    found = compare(bars(prices), bars([price * factor for price in prices], 2))

    assert not found.is_same
    assert found.factor == pytest.approx(factor, rel=1e-9)
    assert "a split or a dividend since" in str(found)


@settings(max_examples=40)
@given(closes, st.integers(0, 11), st.floats(1.01, 3))
def test_a_corrected_bar_is_no_adjustment(prices: list[float], place: int, factor: float) -> None:
    """One close that changed is named by its day."""
    changed = [price * (factor if at == place else 1) for at, price in enumerate(prices)]
    found = compare(bars(prices), bars(changed))

    assert (found.differing, found.factor) == ((DAYS[place],), None)
    assert str(DAYS[place]) in str(found)


def test_a_day_that_only_one_has_differs() -> None:
    """A bar that came late, or was taken away, is a difference too; days outside of both are none."""
    known = columns({DAYS[0]: 1.0, DAYS[1]: 2.0, DAYS[3]: 4.0})
    fresh = columns({DAYS[1]: 2.0, DAYS[2]: 3.0, DAYS[3]: 4.0, DAYS[4]: 5.0})

    assert compare(known, fresh).differing == (DAYS[2],)
    assert compare(known, columns({DAYS[4]: 5.0})).is_same
    assert compare(columns({}), fresh).is_same


def test_a_close_of_zero_has_no_factor() -> None:
    """What cannot be divided is different, and nothing else is said of it."""
    found = compare(columns({DAYS[0]: 0.0}), columns({DAYS[0]: 2.0}))

    assert (found.differing, found.factor) == ((DAYS[0],), None)


def test_later_bars_take_the_place_of_those_from_their_first_day_on() -> None:
    """Joining keeps what was before, and has no day twice."""
    joined = columns({DAYS[0]: 1.0, DAYS[1]: 2.0, DAYS[2]: 3.0}).then(columns({DAYS[1]: 20.0, DAYS[4]: 40.0}))

    assert joined.days.tolist() == [DAYS[place].toordinal() for place in (0, 1, 4)]
    assert joined.close.tolist() == [1.0, 20.0, 40.0]
    assert np.all(np.diff(joined.days) > 0)


@pytest.mark.parametrize("name", ["", "..", "../x", "a/b", "SPY\n", "x" * 32, ".hidden"])
def test_a_name_that_is_no_file_name_is_refused(name: str) -> None:
    """No symbol leads out of the store."""
    with pytest.raises(DataError, match="expected letters"):
        checked_name("symbol", name)
    assert checked_name("symbol", "BRK.B") == "BRK.B"
