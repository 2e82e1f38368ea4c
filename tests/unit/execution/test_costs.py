"""What trading cost: in basis points per order, step and strategy, against the arrival price, the mid and the close."""

from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alchemiser.domain.intents import Wish
from alchemiser.domain.orders import Order, OrderState, Side
from alchemiser.domain.shortfall import Shortfall
from alchemiser.execution.costs import shortfall_of, with_closes
from tests.unit.execution.desk import START, order_of, plan_of
from tests.unit.execution.situations import wanted


def filled(quantity: str, price: str, *, number: int = 1, step: str = "rung 1", mid: float | None = 100.0, side: Side = Side.BUY) -> Order:
    """Return an order that was filled at a price."""
    request = msgspec.structs.replace(
        order_of(wanted(side, quantity)), client_order_id=f"e-20250303.1-SPY-{number}", quantity=Decimal(quantity), side=side
    )
    return Order(
        request=request,
        state=OrderState.FILLED,
        intended_at=START,
        cumulative_quantity=Decimal(quantity),
        filled_value=Decimal(quantity) * Decimal(price),
        tactic="ladder",
        step=step,
        sent_mid=mid,
    )


@pytest.mark.parametrize(
    ("side", "price", "arrival", "mid", "close"),
    [
        (Side.BUY, "100.10", 10.0, -9.98004, 10.0),
        (Side.BUY, "99.90", -10.0, -29.94012, -10.0),
        (Side.SELL, "99.90", 10.0, 29.94012, 10.0),
        (Side.SELL, "100.10", -10.0, 9.98004, -10.0),
    ],
)
def test_slippage_is_positive_when_it_cost_money(side: Side, price: str, arrival: float, mid: float, close: float) -> None:
    """Paid more or received less than the arrival price of 100, the mid of 100.20 and the close of 100."""
    plan = plan_of(wanted(side, "10"))
    cost = with_closes(shortfall_of(plan, [filled("10", price, mid=100.2, side=side)]), {"SPY": Decimal(100)})

    total = cost.total
    assert total is not None
    assert arrival == pytest.approx(total.arrival_bps)
    assert mid == pytest.approx(total.mid_bps, abs=1e-4)
    assert close == pytest.approx(total.close_bps)
    assert Decimal(str(arrival / 10)) == total.arrival_cost


def test_the_close_is_not_known_before_the_close() -> None:
    """What cannot be said yet is not there, rather than zero."""
    cost = shortfall_of(plan_of(wanted()), [filled("10", "100.10")])
    assert cost.total is not None
    assert (None, None, None) == (cost.total.close_bps, cost.orders[0].close, cost.unfilled_cost)


def test_one_order_without_a_mid_leaves_the_sum_without_one() -> None:
    """Its own steps are told all the same; nothing is guessed."""
    cost = shortfall_of(plan_of(wanted()), [filled("4", "100.10"), filled("6", "100.20", number=2, step="last resort", mid=None)])
    assert cost.total is not None
    assert cost.total.mid_bps is None
    assert cost.steps["ladder: rung 1"].mid_bps == pytest.approx(10.0)
    assert cost.steps["ladder: last resort"].mid_bps is None
    assert cost.total.arrival_bps == pytest.approx(16.0), "weighted by value"


def test_strategies_share_the_cost_as_they_share_the_intent() -> None:
    """Each by what it asked for of the intent."""
    intent = msgspec.structs.replace(
        wanted(), wishes=(Wish(strategy="a", quantity=Decimal("2.5")), Wish(strategy="b", quantity=Decimal("7.5")))
    )
    cost = shortfall_of(plan_of(intent), [filled("8", "100.10")])
    assert {"a": Decimal(2), "b": Decimal(6)} == {name: slippage.quantity for name, slippage in cost.strategies.items()}


@pytest.mark.parametrize(("side", "close", "expected"), [(Side.BUY, "101", "6.00"), (Side.BUY, "99", "-6.00"), (Side.SELL, "99", "6.00")])
def test_what_was_not_traded_has_a_cost_too(side: Side, close: str, expected: str) -> None:
    """Six shares that were wanted at 100 and not had: what the market did until the close."""
    cost = shortfall_of(plan_of(wanted(side, "10")), [filled("4", "100", side=side)])
    assert Decimal(expected) == with_closes(cost, {"SPY": Decimal(close)}).unfilled_cost
    assert with_closes(cost, {}).unfilled_cost is None


def test_orders_of_other_rebalances_and_without_fills_are_left_out() -> None:
    """Neither yesterday's nor what was cancelled untouched."""
    yesterday = msgspec.structs.replace(filled("10", "90").request, client_order_id="e-20250228.1-SPY-1")
    other = msgspec.structs.replace(filled("10", "90"), request=yesterday)
    nothing = msgspec.structs.replace(filled("10", "100"), cumulative_quantity=Decimal(0), filled_value=Decimal(0))
    cost = shortfall_of(plan_of(wanted()), [other, nothing])
    assert Shortfall(unfilled=cost.unfilled) == cost
    assert [Decimal(10)] == [one.quantity for one in cost.unfilled]


@given(st.lists(st.tuples(st.integers(1, 50), st.integers(9_000, 11_000)), min_size=1, max_size=6))
def test_the_parts_add_up_to_the_whole(fills: list[tuple[int, int]]) -> None:
    """Cost in dollars: orders, steps and the total agree to the cent that each of them is rounded to."""
    total = sum(quantity for quantity, _ in fills)
    orders = [
        filled(str(quantity), str(Decimal(cents) / 100), number=number, step=f"rung {number}")
        for number, (quantity, cents) in enumerate(fills, start=1)
    ]
    cost = shortfall_of(plan_of(wanted(quantity=str(total))), orders)
    assert cost.total is not None
    assert cost.unfilled == ()
    exact = sum((Decimal(cents) / 100 - 100) * quantity for quantity, cents in fills)
    assert exact == cost.total.arrival_cost == sum(step.arrival_cost for step in cost.steps.values())
    assert float(exact) / (total * 100) * 10_000 == pytest.approx(cost.total.arrival_bps)
