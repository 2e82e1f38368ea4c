"""Reconciliation kernels: what the venue's answers say that the order states do not know yet. Pure."""

from collections.abc import Iterable

from alchemiser.domain.account import BrokerActivity
from alchemiser.domain.orders import ExecutionReport, Order, Side
from alchemiser.execution.order_states import OrderStates


def missed_fills(activities: Iterable[BrokerActivity], orders: OrderStates) -> tuple[ExecutionReport, ...]:
    """Return the executions among the broker's activities that our orders have not seen, oldest first, as execution reports.

    An activity whose cumulative quantity an order has already reached was seen, whatever its id: the venue does not promise that the ids of
    activities and of stream events agree.
    """
    reports: list[ExecutionReport] = []
    reached = {order.client_order_id: order.cumulative_quantity for order in orders}
    for activity in activities:
        order = orders.by_venue_id(activity.venue_order_id)
        if order is None or activity.execution_id in order.execution_ids:
            continue
        if activity.cumulative_quantity <= reached[order.client_order_id]:
            continue
        reached[order.client_order_id] = activity.cumulative_quantity
        reports.append(_report(activity, order))
    return tuple(reports)


def unaccounted(open_at_venue: Iterable[ExecutionReport], orders: OrderStates) -> tuple[Order, ...]:
    """Return our open orders that the venue does not list as open: each has to be asked about by its id."""
    listed = {report.client_order_id for report in open_at_venue}
    return tuple(order for order in orders.open_orders() if order.client_order_id not in listed)


def _report(activity: BrokerActivity, order: Order) -> ExecutionReport:
    is_last = activity.cumulative_quantity >= order.request.quantity
    return ExecutionReport(
        event="fill" if is_last else "partial_fill",
        status="filled" if is_last else order.venue_status or "partially_filled",
        client_order_id=order.client_order_id,
        venue_order_id=activity.venue_order_id,
        symbol=activity.symbol,
        side=Side(order.request.side),
        quantity=order.request.quantity,
        cumulative_quantity=activity.cumulative_quantity,
        average_price=None,
        at=activity.at,
        source="activity",
        execution_id=activity.execution_id,
        last_quantity=activity.quantity,
        last_price=activity.price,
    )
