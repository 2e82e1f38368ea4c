"""Ids that survive a restart, and money that adds up."""

import math
from datetime import date
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from alchemiser.domain.ids import client_order_id, rebalance_id, rebalance_within, split_client_order_id
from alchemiser.domain.money import from_float, number_string, printed, round_price_down, round_price_up, tick_of, to_float, truncate_shares

PRICES = st.decimals(min_value="0.0001", max_value="100000", places=6)


def test_a_client_order_id_names_what_it_is_for() -> None:
    """Epoch, rebalance, intent and attempt can be read from the id."""
    text = client_order_id("a1b2c3", rebalance_id(date(2025, 3, 3), 2), "BRK.B", 12)

    assert text == "a1b2c3-20250303.2-BRK.B-12"
    assert split_client_order_id(text) == ("a1b2c3", "20250303.2", "BRK.B", 12)
    assert rebalance_within(text) == "20250303.2"


@pytest.mark.parametrize(
    ("epoch", "rebalance", "intent", "attempt"),
    [
        ("A!", "20250303.1", "SPY", 1),
        ("abc", "2025", "SPY", 1),
        ("abc", "20250303.1", "S-Y", 1),
        ("abc", "20250303.1", "SPY", 0),
        ("abc", "20250303.1", "X" * 60, 1),
    ],
)
def test_ambiguous_parts_are_refused(epoch: str, rebalance: str, intent: str, attempt: int) -> None:
    """An id that could be read in two ways is never made."""
    with pytest.raises(ValueError):
        client_order_id(epoch, rebalance, intent, attempt)


@pytest.mark.parametrize(
    "text",
    [
        "904837e3-3b76-47ec-b432-046db621571b",
        "my-own-order-1",
        "abc-20250303.1-SPY",
        "abc-20250303.1-SPY-",
        "abc-20250303.1-SPY-1-2",
        "abc-20250303.1-SPY-one",
        "abc-20250303.1--1",
        "abc-20250303.1-SPY-1\n",
        "",
    ],
)
def test_foreign_ids_are_not_taken_for_ours(text: str) -> None:
    """What somebody else's order carries is not one of ours, whether it is a UUID or only resembles one of ours."""
    assert split_client_order_id(text) is None


def test_rebalances_are_counted_from_one() -> None:
    """There is no rebalance number zero."""
    with pytest.raises(ValueError):
        rebalance_id(date(2025, 3, 3), 0)


@given(PRICES)
def test_rounding_to_the_tick_never_crosses_the_price(price: Decimal) -> None:
    """Down is not above, up is not below, and both are on the venue's tick."""
    low, high = round_price_down(price), round_price_up(price)

    assert low <= price <= high
    assert low % tick_of(price) == 0
    assert high % tick_of(price) == 0


@given(st.decimals(min_value=-10_000, max_value=10_000, places=12))
def test_share_quantities_are_cut_toward_zero(quantity: Decimal) -> None:
    """A quantity never grows by rounding, on either side of zero."""
    assert abs(truncate_shares(quantity)) <= abs(quantity)
    assert truncate_shares(quantity, whole=True) == int(quantity)


@pytest.mark.parametrize(
    ("value", "text"), [("0", "0"), ("-0.00", "0"), ("1E+3", "1000"), ("0.100", "0.1"), ("150", "150"), ("12.3400", "12.34")]
)
def test_number_strings_are_plain(value: str, text: str) -> None:
    """No exponent, no trailing zeros."""
    assert text == number_string(Decimal(value))


def test_a_float_becomes_the_number_it_prints_as() -> None:
    """Binary noise does not enter the exact side."""
    assert Decimal("0.3") == from_float(0.1 + 0.2, decimals=6)


@given(st.floats(min_value=-1e12, max_value=1e12), st.integers(min_value=0, max_value=15))
def test_of_what_a_float_prints_as_no_digit_is_lost(value: float, decimals: int) -> None:
    """Nothing is rounded but what is printed, and that half to even."""
    rounded = Decimal(repr(value)).quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_EVEN)

    assert from_float(value, decimals=decimals) == rounded


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_float_is_printed_with_all_of_its_digits(value: float) -> None:
    """So that the float which is nearest to it is the one that it was."""
    assert printed(value) == Decimal(repr(value))


@given(st.decimals(allow_nan=False, allow_infinity=False) | st.floats(allow_nan=False, allow_infinity=False).map(Decimal))
@example(Decimal("-0"))
@example(Decimal("-0E-12"))
@example(Decimal(2**53 + 1))  # as far from the one below as from the one above
@example(Decimal("1E+22"))
def test_a_number_becomes_the_float_that_is_nearest(value: Decimal) -> None:
    """To the last digit and the sign of zero, as the built-in conversion has it."""
    assume(abs(value) < Decimal("1E+300"))
    assert repr(to_float(value)) == repr(float(value))


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_what_is_no_number_does_not_enter_the_exact_side(value: float) -> None:
    """Infinity, and what could not be computed, stop at the border."""
    with pytest.raises(InvalidOperation):
        from_float(value)
