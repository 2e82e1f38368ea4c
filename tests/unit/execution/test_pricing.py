"""Prices: limits lie on the tick, inside the slippage bound, and cross more of the spread with every rung."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alchemiser.domain.market import Quote
from alchemiser.domain.money import tick_of
from alchemiser.domain.orders import NewOrder, OrderType, Side, TimeInForce
from alchemiser.execution.pricing import (
    BASIS_POINT,
    is_behind,
    is_outside_collar,
    limit_price,
    spread_bps,
    takes_liquidity,
    within_displayed,
    worst_price,
)
from tests.unit.execution.desk import START

WIDE = Decimal(10_000)


def quote(bid: float, ask: float) -> Quote:
    """Return a quote."""
    return Quote(symbol="SPY", bid=bid, bid_size=100, ask=ask, ask_size=100, at=START)


def order(side: Side, limit: str | None) -> NewOrder:
    """Return an order at a limit, or at the market."""
    return NewOrder(
        client_order_id="e-20250303.1-SPY-1",
        symbol="SPY",
        side=side,
        quantity=Decimal(10),
        order_type=OrderType.MARKET if limit is None else OrderType.LIMIT,
        time_in_force=TimeInForce.DAY,
        limit_price=None if limit is None else Decimal(limit),
    )


@pytest.mark.parametrize(
    ("side", "rung", "expected"),
    [
        (Side.BUY, "0", "99.90"),
        (Side.BUY, "0.5", "100.00"),
        (Side.BUY, "0.75", "100.05"),
        (Side.BUY, "1", "100.10"),
        (Side.BUY, "1.5", "100.20"),
        (Side.SELL, "0", "100.10"),
        (Side.SELL, "0.5", "100.00"),
        (Side.SELL, "0.75", "99.95"),
        (Side.SELL, "1", "99.90"),
    ],
)
def test_a_rung_is_a_share_of_the_spread(side: Side, rung: str, expected: str) -> None:
    """Nothing of it is our own side, half the mid, all of it the other side."""
    assert Decimal(expected) == limit_price(side, quote(99.90, 100.10), Decimal(rung), Decimal(100), WIDE)


def test_between_two_ticks_the_side_that_fills_is_taken() -> None:
    """The mid of a one-cent spread is half a cent: a buy rounds up, a sell down."""
    narrow = quote(100.00, 100.01)

    assert Decimal("100.01") == limit_price(Side.BUY, narrow, Decimal("0.5"), Decimal(100), WIDE)
    assert Decimal("100.00") == limit_price(Side.SELL, narrow, Decimal("0.5"), Decimal(100), WIDE)


def test_no_limit_goes_beyond_the_allowed_slippage() -> None:
    """However far the market has run, the worst price is bounded by the arrival price."""
    bound = Decimal(50)

    assert Decimal("100.50") == limit_price(Side.BUY, quote(103, 104), Decimal(1), Decimal(100), bound)
    assert Decimal("99.50") == limit_price(Side.SELL, quote(95, 96), Decimal(1), Decimal(100), bound)


def test_below_a_dollar_the_tick_is_finer() -> None:
    """A hundredth of a cent, as the venue has it."""
    assert Decimal("0.5001") == limit_price(Side.BUY, quote(0.5, 0.5002), Decimal("0.5"), Decimal("0.5"), WIDE)


@given(
    side=st.sampled_from(list(Side)),
    bid_cents=st.integers(2, 100_000),
    spread_cents=st.integers(1, 500),
    rung=st.decimals(0, 2, places=2),
    drift_bps=st.integers(-300, 300),
    bound=st.integers(1, 200),
)
def test_every_limit_is_on_the_tick_and_inside_the_bound(
    side: Side, bid_cents: int, spread_cents: int, rung: Decimal, drift_bps: int, bound: int
) -> None:
    """Whatever the quote: a price the venue takes, and one that the settings allow."""
    bid, ask = bid_cents / 100, (bid_cents + spread_cents) / 100
    arrival = Decimal(repr((bid + ask) / 2)) * (1 + drift_bps * BASIS_POINT)

    price = limit_price(side, quote(bid, ask), rung, arrival, Decimal(bound))
    assert price % tick_of(price) == 0
    assert side.sign * (price - arrival * (1 + side.sign * bound * BASIS_POINT)) <= 0


@pytest.mark.parametrize(
    ("side", "limit", "rung", "behind"),
    [
        (Side.BUY, "99.89", "0.5", True),
        (Side.BUY, "99.90", "0.5", False),
        (Side.BUY, "100.09", "1", True),
        (Side.BUY, "100.10", "1", False),
        (Side.SELL, "100.11", "0.5", True),
        (Side.SELL, "100.10", "0.5", False),
        (Side.SELL, "99.91", "1", True),
        (Side.SELL, "99.90", "1", False),
        (Side.BUY, None, "1", False),
    ],
)
def test_when_the_market_has_moved_away(side: Side, limit: str | None, rung: str, behind: bool) -> None:
    """A taker that no longer reaches the other side, a maker that is worse than its own; a market order never is."""
    assert behind is is_behind(order(side, limit), quote(99.90, 100.10), Decimal(rung))


@pytest.mark.parametrize(
    ("side", "limit", "outside"),
    [
        (Side.BUY, "105", False),
        (Side.BUY, "105.01", True),
        (Side.BUY, "80", False),
        (Side.SELL, "95", False),
        (Side.SELL, "94.99", True),
        (Side.SELL, "120", False),
    ],
)
def test_a_limit_that_would_pay_far_beyond_the_mid_is_outside_the_collar(side: Side, limit: str, outside: bool) -> None:
    """Five percent: a spread that puts a limit there is not to be believed."""
    assert outside is is_outside_collar(side, Decimal(limit), quote(90.0, 110.0), Decimal(500))


@pytest.mark.parametrize(
    ("side", "bps", "expected"),
    [(Side.BUY, "50", "100.50"), (Side.SELL, "50", "99.50"), (Side.BUY, "12.34", "100.12"), (Side.SELL, "12.34", "99.88")],
)
def test_the_worst_price_is_rounded_to_the_careful_side(side: Side, bps: str, expected: str) -> None:
    """On the tick, and never a tick further than was allowed."""
    assert Decimal(expected) == worst_price(side, Decimal(100), Decimal(bps))


def test_room_beyond_the_far_side_is_inside_the_bound_too() -> None:
    """A marketable limit pays a little more than the far side, and never more than the slippage that is allowed."""
    live = quote(99.90, 100.00)

    assert Decimal("100.10") == limit_price(Side.BUY, live, Decimal(1), Decimal(100), WIDE, through_bps=Decimal(10))
    assert Decimal("99.80") == limit_price(Side.SELL, live, Decimal(1), Decimal(100), WIDE, through_bps=Decimal(10))
    assert Decimal("100.05") == limit_price(Side.BUY, live, Decimal(1), Decimal(100), Decimal(5), through_bps=Decimal(10))


@pytest.mark.parametrize(
    ("side", "limit", "takes"),
    [
        (Side.BUY, None, True),
        (Side.BUY, "100.10", True),
        (Side.BUY, "100.09", False),
        (Side.SELL, "99.90", True),
        (Side.SELL, "99.91", False),
    ],
)
def test_which_orders_trade_with_what_is_displayed(side: Side, limit: str | None, takes: bool) -> None:
    """A market order, and a limit that reaches the far side."""
    assert takes is takes_liquidity(side, None if limit is None else Decimal(limit), quote(99.90, 100.10))


@pytest.mark.parametrize(
    ("quantity", "share", "whole", "expected"),
    [
        ("30", "0.5", True, "30"),
        ("80", "0.5", True, "50"),
        ("80", "0.333", True, "33"),
        ("80", "0.3333", False, "33.33"),
        ("80", "0.001", True, "1"),
        ("0.4", "0.001", False, "0.4"),
        ("500", "2", True, "200"),
    ],
)
def test_an_order_takes_a_part_of_what_is_displayed(quantity: str, share: str, whole: bool, expected: str) -> None:
    """At most the share of the hundred shares that the far side shows; one share may always be asked for."""
    found = within_displayed(Side.BUY, Decimal(quantity), quote(99.90, 100.10), Decimal(share), whole=whole)
    assert Decimal(expected) == found


def test_the_spread_is_measured_against_the_mid() -> None:
    """Twenty cents on a hundred dollars are twenty basis points."""
    assert pytest.approx(20.0) == spread_bps(quote(99.90, 100.10))
