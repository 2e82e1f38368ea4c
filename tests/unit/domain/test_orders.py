"""The order state machine: every sequence of reports, duplicated, late and out of order."""

from datetime import UTC, datetime
from decimal import Decimal

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
