"""Missed executions: which of the broker's activities our orders have not seen, broken and corrected ones included. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Final, Protocol

from alchemiser.domain.account import BrokerActivity
from alchemiser.domain.money import ZERO
from alchemiser.domain.orders import ExecutionReport, Order, Side

CLOCK_DOUBT: Final = timedelta(minutes=5)
"""How wrong our clock may have been when an order was intended: its executions have the venue's time, and are known by their ids anyway."""


class KnownOrders(Protocol):
    """Orders that can be found by the venue's id and gone through, oldest first."""

    def by_venue_id(self, venue_order_id: str) -> Order | None:
        """Return an order by the venue's id."""

    def __iter__(self) -> Iterator[Order]:
        """Iterate over all orders."""


def missed_fills(activities: Iterable[BrokerActivity], orders: KnownOrders) -> tuple[ExecutionReport, ...]:
    """Return the executions among the broker's activities that our orders have not seen, oldest first, as execution reports.

    An execution is known by its id. The venue does not promise that the ids of activities and of stream events agree: shares that an order
    has seen under ids that the list does not have are taken for the oldest of the list. Never are more shares made of it than the
    venue itself counts. Of an order of which an execution was taken back the totals rise and fall: there the ids alone decide.
    """
    listed: dict[str, list[BrokerActivity]] = {}
    for activity in activities:
        order = orders.by_venue_id(activity.venue_order_id)
        if order is not None:
            listed.setdefault(order.client_order_id, []).append(activity)
    missed = [
        (activity, order)
        for order in orders
        if order.client_order_id in listed
        for activity in _missed_of(order, listed[order.client_order_id])
    ]
    return tuple(_report(activity, order) for activity, order in sorted(missed, key=lambda pair: pair[0].at))


def _missed_of(order: Order, rows: Sequence[BrokerActivity]) -> Iterator[BrokerActivity]:
    if order.corrected_at is not None or any(row.correction for row in rows):
        return _missed_by_id(order, rows)
    by_total: dict[Decimal, BrokerActivity] = {}
    for row in rows:
        # Each execution of an order takes it to another total: two rows with the same one are one execution, listed twice.
        if row.cumulative_quantity not in by_total or row.execution_id in order.execution_ids:
            by_total[row.cumulative_quantity] = row
    return _missed(order, by_total)


def _missed_by_id(order: Order, rows: Sequence[BrokerActivity]) -> Iterator[BrokerActivity]:
    """Yield what an order has not seen by its ids; nothing when that would make more of it than the venue counts."""
    standing = {one.execution_id: one.quantity for one in order.executions}
    known = set(order.execution_ids)
    missed: list[BrokerActivity] = []
    for row in sorted(rows, key=lambda row: row.at):
        if row.correction is not None and row.previous_execution_id is not None:
            is_news = row.previous_execution_id in standing or row.previous_execution_id not in known
            standing.pop(row.previous_execution_id, None)
            known.add(row.previous_execution_id)
        else:
            is_news = row.execution_id not in known
        if row.quantity > 0 and row.execution_id not in known:
            is_news = True
            known.add(row.execution_id)
            standing[row.execution_id] = row.quantity
        if is_news:
            missed.append(row)
    counted = max(max(rows, key=lambda row: row.at).cumulative_quantity, order.reported_quantity)
    return iter(missed if sum(standing.values(), ZERO) <= counted else ())


def _missed(order: Order, listed: Mapping[Decimal, BrokerActivity]) -> Iterator[BrokerActivity]:
    """Yield the executions of one order that it has not seen, oldest first."""
    rows = [row for _, row in sorted(listed.items())]
    named = sum((row.quantity for row in rows if row.execution_id in order.execution_ids), ZERO)
    # The list begins at the time that was asked for: what was filled before it is not in it.
    before = rows[0].cumulative_quantity - rows[0].quantity
    nameless = order.cumulative_quantity - named - before
    unseen = max(order.reported_quantity, rows[-1].cumulative_quantity) - order.cumulative_quantity
    for row in rows:
        if row.execution_id in order.execution_ids:
            continue
        if row.quantity <= nameless:
            nameless -= row.quantity
        elif row.quantity <= unseen:
            unseen -= row.quantity
            yield row


def _report(activity: BrokerActivity, order: Order) -> ExecutionReport:
    is_last = activity.cumulative_quantity >= order.request.quantity
    return ExecutionReport(
        event=activity.correction or ("fill" if is_last else "partial_fill"),
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
        previous_execution_id=activity.previous_execution_id,
    )
