"""The state of every order the daemon sent: an inline component that turns execution reports into fills and endings.

It applies the pure state machine of ``domain.orders`` and publishes what is new: ``OrderFilled`` for an execution seen for the first time,
``OrderClosed`` when an order reaches its last state. Reports of orders that are not ours are counted and left alone.
"""

from collections.abc import Callable, Iterator
from datetime import date, datetime

import msgspec

from alchemiser.bus.envelope import Envelope
from alchemiser.domain.events import (
    CancelRequested,
    Event,
    ExecutionReported,
    OrderClosed,
    OrderFilled,
    OrderIntended,
    OrderNotFound,
    OrderOutcomeUnknown,
    OrderRejected,
    OrderWithheld,
)
from alchemiser.domain.orders import ExecutionReport, Order, OrderState, apply_report


class OrderStates:
    """All orders by client order id. What it knows follows from journaled events alone; while replaying it publishes nothing."""

    listens_to = (
        OrderIntended,
        ExecutionReported,
        OrderRejected,
        OrderOutcomeUnknown,
        OrderNotFound,
        OrderWithheld,
        CancelRequested,
        OrderFilled,
        OrderClosed,
    )

    def __init__(self, post: Callable[[Event], object]) -> None:
        self._post = post
        self._replaying = False
        self._orders: dict[str, Order] = {}
        self._by_venue_id: dict[str, str] = {}
        self._open: dict[str, None] = {}
        self._announced_fills: set[str] = set()
        self._announced_ends: set[str] = set()
        self._fills: dict[str, OrderFilled] = {}
        self._of_session: dict[str, int] = {}
        self.foreign_reports = 0

    def get(self, client_order_id: str) -> Order | None:
        """Return an order by our id."""
        return self._orders.get(client_order_id)

    def by_venue_id(self, venue_order_id: str) -> Order | None:
        """Return an order by the venue's id."""
        client_order_id = self._by_venue_id.get(venue_order_id)
        return None if client_order_id is None else self._orders[client_order_id]

    def open_orders(self) -> tuple[Order, ...]:
        """Return the orders that have not ended, oldest first."""
        return tuple(self._orders[client_order_id] for client_order_id in self._open)

    def incomplete(self) -> tuple[Order, ...]:
        """Return the orders of which the venue reported more filled than the executions seen."""
        return tuple(order for order in self._orders.values() if order.missing_quantity)

    def count_of_session(self, session: date) -> int:
        """Return how many orders were intended in a session."""
        return self._of_session.get(f"{session:%Y%m%d}", 0)

    def __iter__(self) -> Iterator[Order]:
        """Iterate over all orders, oldest first."""
        return iter(self._orders.values())

    @property
    def last_fill_at(self) -> datetime | None:
        """Return when the latest known execution happened."""
        return max((event.at for event in self._fills.values()), default=None)

    def replay(self, envelope: Envelope) -> None:
        """Apply an event of the journal without publishing anything."""
        self._replaying = True
        try:
            self(envelope)
        finally:
            self._replaying = False

    def settle(self) -> int:
        """Publish the fills and endings that follow from the journal and that it does not hold (it was cut short); return how many."""
        missing = [event for key, event in self._fills.items() if key not in self._announced_fills]
        for event in missing:
            self._announce_fill(event)
        ended = [
            order
            for key, order in self._orders.items()
            if order.is_terminal and not order.missing_quantity and key not in self._announced_ends
        ]
        for order in ended:
            self._announce_end(order, order.intended_at)
        return len(missing) + len(ended)

    def __call__(self, envelope: Envelope) -> None:
        """Apply one event."""
        match envelope.event:
            case OrderIntended(order=request, at=at, rebalance_id=rebalance):
                if request.client_order_id not in self._orders:
                    day = rebalance.split(".")[0]
                    self._of_session[day] = self._of_session.get(day, 0) + 1
                self._announced_ends.discard(request.client_order_id)  # It may go again after it was withheld.
                self._store(Order(request=request, state=OrderState.INTENDED, intended_at=at), at)
            case ExecutionReported(report=report):
                self._report(report)
            case OrderRejected(client_order_id=key, message=message, at=at):
                self._end(key, OrderState.REJECTED, message, at)
            case OrderNotFound(client_order_id=key, at=at):
                self._end(key, OrderState.NEVER_SENT, "the venue does not know the order", at)
            case OrderWithheld(client_order_id=key, reason=reason, at=at):
                self._end(key, OrderState.NEVER_SENT, reason, at)
            case OrderOutcomeUnknown(client_order_id=key, reason=reason, at=at):
                self._move(key, (OrderState.INTENDED,), OrderState.UNKNOWN, reason, at)
            case CancelRequested(client_order_id=key, reason=reason, at=at):
                self._move(key, (OrderState.WORKING, OrderState.INTENDED, OrderState.UNKNOWN), OrderState.CANCELLING, reason, at)
            case OrderFilled(fill=fill):
                self._announced_fills.add(fill.execution_id)
            case OrderClosed(client_order_id=key):
                self._announced_ends.add(key)
            case _:
                pass

    def _report(self, report: ExecutionReport) -> None:
        order = self._orders.get(report.client_order_id) or self.by_venue_id(report.venue_order_id)
        if order is None:
            self.foreign_reports += 1
            return
        changed, fill = apply_report(order, report)
        self._by_venue_id[report.venue_order_id] = order.client_order_id
        if fill is not None:
            fill = msgspec.structs.replace(fill, client_order_id=order.client_order_id)
            event = OrderFilled(at=fill.at, fill=fill)
            self._fills[fill.execution_id] = event
            # The order is stored first: whoever hears of the fill sees the order after it.
            self._orders[order.client_order_id] = changed
            if not self._replaying:
                self._announce_fill(event)
        self._store(changed, report.at)

    def _end(self, key: str, state: OrderState, reason: str, at: datetime) -> None:
        order = self._orders.get(key)
        if order is not None and not order.is_terminal:
            self._store(msgspec.structs.replace(order, state=state, reason=reason), at)

    def _move(self, key: str, before: tuple[OrderState, ...], after: OrderState, reason: str, at: datetime) -> None:
        order = self._orders.get(key)
        if order is not None and order.state in before:
            self._store(msgspec.structs.replace(order, state=after, reason=reason), at)

    def _store(self, order: Order, at: datetime) -> None:
        key = order.client_order_id
        self._orders[key] = order
        if not order.is_terminal:
            self._open[key] = None
            return
        self._open.pop(key, None)
        if not self._replaying and key not in self._announced_ends and not order.missing_quantity:
            self._announce_end(order, at)

    def _announce_fill(self, event: OrderFilled) -> None:
        self._announced_fills.add(event.fill.execution_id)
        self._post(event)

    def _announce_end(self, order: Order, at: datetime) -> None:
        self._announced_ends.add(order.client_order_id)
        self._post(
            OrderClosed(
                at=at,
                client_order_id=order.client_order_id,
                symbol=order.request.symbol,
                state=order.state.value,
                cumulative_quantity=order.cumulative_quantity,
                average_price=order.average_price,
                reason=order.reason,
            )
        )
