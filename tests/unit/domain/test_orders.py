"""The order state machine: every sequence of reports, duplicated, late and out of order."""

from datetime import UTC, datetime
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alchemiser.domain.orders import (
    ExecutionReport,
    NewOrder,
    Order,
    OrderState,
    OrderType,
    Side,
    TimeInForce,
    apply_report,
)

AT = datetime(2025, 3, 3, 20, 50, tzinfo=UTC)


def new_order(quantity: str = "10") -> Order:
    """Return an order of so many shares that has just been intended."""
    request = NewOrder(
        client_order_id="a-20250303.1-SPY-1",
        symbol="SPY",
        side=Side.BUY,
        quantity=Decimal(quantity),
        order_type=OrderType.LIMIT,
        time_in_force=TimeInForce.DAY,
        limit_price=Decimal("500"),
    )
    return Order(request=request, state=OrderState.INTENDED, intended_at=AT)


def report(event: str, status: str, cumulative: str = "0", last: str | None = None, execution: str | None = None) -> ExecutionReport:
    """Return an execution report of that order."""
    return ExecutionReport(
        event=event,
        status=status,
        client_order_id="a-20250303.1-SPY-1",
        venue_order_id="v1",
        symbol="SPY",
        side=Side.BUY,
        quantity=Decimal(10),
        cumulative_quantity=Decimal(cumulative),
        average_price=None,
        at=AT,
        execution_id=execution,
        last_quantity=None if last is None else Decimal(last),
        last_price=None if last is None else Decimal("499.5"),
    )


NEW = report("new", "new")
HALF = report("partial_fill", "partially_filled", "5", "5", "e1")
REST = report("fill", "filled", "10", "5", "e2")
CANCELLED = report("canceled", "canceled", "5")
PENDING_CANCEL = report("pending_cancel", "pending_cancel", "5")
CANCEL_REFUSED = report("order_cancel_rejected", "new", "5")
EXPIRED = report("expired", "expired", "5")
REJECTED = report("rejected", "rejected")
QUERY = report("query", "partially_filled", "5")
STRANGE = report("frobnicated", "quantum_superposed")

ALL = (NEW, HALF, REST, CANCELLED, PENDING_CANCEL, CANCEL_REFUSED, EXPIRED, REJECTED, QUERY, STRANGE)


def run(reports: tuple[ExecutionReport, ...]) -> tuple[Order, Decimal]:
    """Apply reports in order, checking after each what must always hold; return the order and what was announced as filled."""
    order, announced = new_order(), Decimal(0)
    for one in reports:
        before = order
        order, fill = apply_report(order, one)
        announced += fill.quantity if fill else 0

        assert order.cumulative_quantity >= before.cumulative_quantity, "cumulative never falls"
        assert announced == order.cumulative_quantity, "every announced fill is counted once"
        if not order.is_terminal:
            assert order.cumulative_quantity + order.leaves_quantity == order.request.quantity
        if before.is_terminal and order.cumulative_quantity == before.cumulative_quantity:
            assert order.state is before.state, "what has ended stays as it ended"
    return order, announced


@given(st.lists(st.sampled_from(ALL), max_size=12))
def test_the_order_of_reports_does_not_change_what_was_filled(reports: list[ExecutionReport]) -> None:
    """The executions in a set of reports are applied exactly once, whatever the order and the repetitions."""
    _, announced = run(tuple(reports))

    executions = {one.execution_id: one.last_quantity for one in reports if one.execution_id}
    assert sum(quantity for quantity in executions.values() if quantity is not None) == announced


def test_a_fill_after_a_cancel_is_still_a_fill() -> None:
    """A fill can win the race against a cancel; when it completes the order, the order is filled."""
    order, announced = run((NEW, HALF, CANCELLED, REST))

    assert order.state is OrderState.FILLED
    assert announced == 10


def test_a_refused_cancel_leaves_the_order_working() -> None:
    """Only the venue's refusal takes an order back from cancelling."""
    order, _ = run((NEW, PENDING_CANCEL, NEW))
    assert order.state is OrderState.CANCELLING

    order, _ = run((NEW, PENDING_CANCEL, CANCEL_REFUSED))
    assert order.state is OrderState.WORKING


def test_a_query_that_counts_more_than_was_seen_shows_what_is_missing() -> None:
    """A cumulative quantity without its executions is a check, not a fill."""
    order, announced = run((NEW, report("query", "filled", "10")))

    assert announced == 0
    assert order.missing_quantity == 10
    assert order.state is OrderState.FILLED


def test_an_unknown_status_is_kept_as_text_and_loses_nothing() -> None:
    """A word that the venue adds later changes no state and keeps fills flowing."""
    order, announced = run((NEW, STRANGE, HALF, REST))

    assert order.state is OrderState.FILLED
    assert announced == 10


@pytest.mark.parametrize(
    ("symbol", "side", "quantity", "is_altered", "is_altered_presumed"),
    [
        ("SPY", Side.BUY, "10", False, False),
        ("SPY", Side.BUY, None, False, False),
        ("SPY", Side.BUY, "7", True, False),
        ("SPY", Side.BUY, "11", True, True),
        ("QQQ", Side.BUY, "10", True, True),
        ("SPY", Side.SELL, "10", True, True),
    ],
)
def test_an_order_is_altered_by_another_body(
    symbol: str, side: Side, quantity: str | None, *, is_altered: bool, is_altered_presumed: bool
) -> None:
    """Of one that is only presumed to have been sent the number of shares was an upper bound."""
    order, said = new_order(), None if quantity is None else Decimal(quantity)
    assert order.is_altered_by(symbol, side, said) is is_altered
    assert msgspec.structs.replace(order, is_presumed=True).is_altered_by(symbol, side, said) is is_altered_presumed


@pytest.mark.parametrize(("limit", "order_type"), [(None, OrderType.MARKET), ("499", OrderType.LIMIT)])
def test_a_presumed_order_takes_the_body_that_the_venue_has(limit: str | None, order_type: OrderType) -> None:
    """From the first report on it is what was really sent; one of another symbol leaves it what was presumed."""
    presumed = msgspec.structs.replace(new_order(), is_presumed=True)
    price = None if limit is None else Decimal(limit)
    sent = msgspec.structs.replace(NEW, quantity=Decimal(7), limit_price=price)
    order, _ = apply_report(presumed, sent)
    request = order.request
    assert (request.quantity, request.order_type, request.limit_price, order.is_presumed) == (Decimal(7), order_type, price, False)
    other, _ = apply_report(presumed, msgspec.structs.replace(sent, symbol="QQQ"))
    assert (other.request, other.is_presumed) == (presumed.request, True)


def test_sides_have_signs_and_fills_an_average() -> None:
    """Plus for what is bought, minus for what is sold; before the first fill there is no price."""
    assert (Side.BUY.sign, Side.SELL.sign) == (1, -1)
    assert new_order().average_price is None
    order, _ = apply_report(new_order(), HALF)
    assert order.average_price == Decimal("499.5")
