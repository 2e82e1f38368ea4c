"""The state of every order the daemon sent: an inline component that turns execution reports into fills and endings.

It applies the pure state machine of ``domain.orders`` and publishes what is new: ``OrderFilled`` for an execution seen for the first time,
``OrderClosed`` when an order reaches its last state. Reports of orders that are not ours are counted and left alone.

What it remembers changes with journaled events alone, also while it lives: that a fill was announced counts when the announcement comes
back. So the state after an event is the state of a replay up to that event. Orders that have ended leave it when the session after theirs
is over; from then on the journal alone tells of them.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from alchemiser.bus.envelope import Envelope
from alchemiser.domain.events import (
    CancelRequested,
    DaemonStopped,
    Event,
    ExecutionReported,
    FillBroken,
    OrderClosed,
    OrderFilled,
    OrderIntended,
    OrderNotFound,
    OrderOutcomeUnknown,
    OrderPrepared,
    OrderRejected,
    OrderUnprepared,
    OrderWithheld,
    RebalanceCompleted,
    RebalanceParked,
    Reconciled,
    SessionOpened,
)
from alchemiser.domain.ids import rebalance_within, session_id
from alchemiser.domain.market import Session
from alchemiser.domain.memory import Remembering
from alchemiser.domain.orders import (
    CORRECTIONS,
    DAY,
    MARKET,
    TERMINAL,
    ExecutionReport,
    Fill,
    NewOrder,
    Order,
    OrderState,
    apply_report,
    broken_by,
)

_INTENDED: Final = OrderState.INTENDED
_CANCELLABLE: Final = (OrderState.WORKING, OrderState.INTENDED, OrderState.UNKNOWN)


class OrdersMemory(msgspec.Struct, kw_only=True):
    """What the order states remember.

    ``unannounced`` are executions whose ``OrderFilled`` has not come yet, by their ids, ``broken`` those taken back whose ``FillBroken``
    has not; ``closed`` are the orders whose end has been announced, ``of_session`` counts those intended in a session, by its day.
    ``fills`` are the executions of the orders that are remembered. ``prepared`` are the orders that may leave, or may have left, without
    having been intended here, by their ids.
    """

    orders: dict[str, Order]
    by_venue_id: dict[str, str]
    open: dict[str, None]
    unannounced: dict[str, OrderFilled]
    broken: dict[str, FillBroken]
    closed: dict[str, None]
    of_session: dict[str, int]
    session: Session | None
    last_fill_at: datetime | None
    foreign_reports: int
    fills: dict[str, Fill] = {}
    last_event_id: str | None = None
    prepared: dict[str, OrderPrepared] = {}


class OrderStates(Remembering):
    """The orders by client order id. What it knows follows from journaled events alone; while replaying it publishes nothing."""

    memory_type = OrdersMemory
    listens_to = (
        OrderPrepared,
        OrderUnprepared,
        OrderIntended,
        ExecutionReported,
        OrderRejected,
        OrderOutcomeUnknown,
        OrderNotFound,
        OrderWithheld,
        CancelRequested,
        OrderFilled,
        FillBroken,
        OrderClosed,
        Reconciled,
        SessionOpened,
        RebalanceCompleted,
        RebalanceParked,
        DaemonStopped,
    )

    def __init__(self, post: Callable[..., object]) -> None:
        """``post`` publishes an event, which belongs to the rebalance that it is given beside it."""
        self._post = post
        self._replaying = False
        self._orders: dict[str, Order] = {}
        self._by_venue_id: dict[str, str] = {}
        self._open: dict[str, None] = {}
        self._unannounced: dict[str, OrderFilled] = {}
        self._broken: dict[str, FillBroken] = {}
        self._closed: dict[str, None] = {}
        self._of_session: dict[str, int] = {}
        self._session: Session | None = None
        self._last_fill_at: datetime | None = None
        self.foreign_reports = 0
        self._fills: dict[str, Fill] = {}
        self.last_event_id: str | None = None
        """The newest event of the order stream that was heard of, by its id; ``None`` before the first that has one."""
        self._prepared: dict[str, OrderPrepared] = {}
        self.acts: Final[Mapping[type[Event], Callable[[Any], object]]] = {
            OrderIntended: self._intend,
            ExecutionReported: self._hear,
            Reconciled: self._compare,
            OrderRejected: lambda told: self._end(told, OrderState.REJECTED, told.message),
            OrderNotFound: lambda told: self._end(told, OrderState.NEVER_SENT, "the venue does not know the order"),
            OrderWithheld: lambda told: self._end(told, OrderState.NEVER_SENT, told.reason),
            OrderOutcomeUnknown: lambda told: self._move(told, (OrderState.INTENDED,), OrderState.UNKNOWN),
            CancelRequested: lambda told: self._move(told, _CANCELLABLE, OrderState.CANCELLING),
            # These three come after a report: they say that what follows from it is in the journal too.
            OrderFilled: lambda told: self._unannounced.pop(told.fill.execution_id, None),
            FillBroken: lambda told: self._broken.pop(told.fill.execution_id, None),
            OrderClosed: self._close,
            SessionOpened: self._turn_to,
            # What may leave without having been intended here, and what no longer can.
            OrderPrepared: self._prepare,
            OrderUnprepared: lambda told: self._prepared.pop(told.client_order_id, None),
            RebalanceCompleted: self._unprepare,
            RebalanceParked: self._unprepare,
            DaemonStopped: lambda told: self._prepared.clear(),
        }
        # Ends that were posted and have not come back yet; between events it is empty.
        self._closing: set[str] = set()

    def get(self, client_order_id: str) -> Order | None:
        """Return an order by our id."""
        return self._orders.get(client_order_id)

    def by_venue_id(self, venue_order_id: str) -> Order | None:
        """Return an order by the venue's id."""
        client_order_id = self._by_venue_id.get(venue_order_id)
        return None if client_order_id is None else self._orders.get(client_order_id)

    def open_orders(self) -> tuple[Order, ...]:
        """Return the orders that have not ended, oldest first."""
        return tuple(map(self._orders.__getitem__, self._open))

    def incomplete(self) -> tuple[Order, ...]:
        """Return the orders of which the venue reported more filled than the executions seen."""
        return tuple(order for order in self._orders.values() if order.missing_quantity)

    def count_of_session(self, session: date) -> int:
        """Return how many orders were intended in a session."""
        return self._of_session.get(session_id(session), 0)

    def __iter__(self) -> Iterator[Order]:
        """Iterate over all orders, oldest first."""
        return iter(self._orders.values())

    @property
    def fills(self) -> Mapping[str, Fill]:
        """Return the executions of the orders that are remembered, by their ids."""
        return self._fills

    @property
    def last_fill_at(self) -> datetime | None:
        """Return when the latest known execution happened."""
        return self._last_fill_at

    def replay(self, envelope: Envelope) -> None:
        """Apply an event of the journal without publishing anything."""
        self._replaying = True
        try:
            self(envelope)
        finally:
            self._replaying = False

    def settle(self) -> int:
        """Publish what follows from the journal and it does not hold (it was cut short): fills, endings, orders; return how many.

        An order that was prepared and of which nothing more is known may be at the venue: it is presumed to have been sent.
        """
        missing: list[Event] = [*self._broken.values(), *self._unannounced.values(), *map(_presumed, self._prepared.values())]
        for event in missing:
            self._post(event)
        ended = [
            order for key, order in self._orders.items() if order.is_terminal and not order.missing_quantity and key not in self._closed
        ]
        for order in ended:
            key = order.client_order_id
            self._announce_end(key, order, order.intended_at, rebalance_within(key))
        return len(missing) + len(ended)

    def __call__(self, envelope: Envelope) -> None:
        """Apply one event."""
        act = self.acts.get(type(envelope.event))
        if act is not None:
            act(envelope.event)

    def _close(self, told: OrderClosed) -> None:
        key = told.client_order_id
        self._closing.discard(key)
        if key in self._orders:
            self._closed[key] = None

    def _compare(self, reconciled: Reconciled) -> None:
        for report in reconciled.reports:
            self._hear(ExecutionReported(at=reconciled.at, report=report))

    def _prepare(self, told: OrderPrepared) -> None:
        self._prepared[told.client_order_id] = told

    def _unprepare(self, ended: RebalanceCompleted | RebalanceParked) -> None:
        for key, one in list(self._prepared.items()):
            if one.rebalance_id == ended.rebalance_id:
                del self._prepared[key]

    def _intend(self, intended: OrderIntended) -> None:
        key = intended.order.client_order_id
        self._prepared.pop(key, None)
        order = Order(
            request=intended.order,
            state=_INTENDED,
            intended_at=intended.at,
            tactic=intended.tactic,
            step=intended.step,
            rung=intended.rung,
            sent_mid=None if intended.quote is None else intended.quote.mid,
            replaces=intended.replaces,
            is_presumed=intended.is_presumed,
        )
        before = self._orders.get(key)
        if before is None:
            day = intended.rebalance_id.partition(".")[0]
            self._of_session[day] = self._of_session.get(day, 0) + 1
        else:
            # It goes again after it was withheld. What was heard of it all the same, a broken execution for one, does not count twice.
            self._closed.pop(key, None)
            order = replace(
                order,
                venue_order_id=before.venue_order_id,
                cumulative_quantity=before.cumulative_quantity,
                filled_value=before.filled_value,
                execution_ids=before.execution_ids,
                executions=before.executions,
                reported_quantity=before.reported_quantity,
                corrected_at=before.corrected_at,
            )
        self._orders[key] = order
        self._open[key] = None

    def _hear(self, told: ExecutionReported) -> None:
        report = told.report
        if report.event_id is not None:
            self.last_event_id = max(report.event_id, self.last_event_id or "")
        order = self._orders.get(report.client_order_id) or self.by_venue_id(report.venue_order_id)
        if order is None:
            self.foreign_reports += 1
            return
        key = order.request.client_order_id
        rebalance = rebalance_within(key)
        changed, fill = apply_report(order, report)
        self._by_venue_id[report.venue_order_id] = key
        if report.event in CORRECTIONS:
            self._take_back(order, report, fill)
        if fill is not None:
            if fill.client_order_id != key:
                fill = replace(fill, client_order_id=key)
            name, at = fill.execution_id, fill.at
            event = self._unannounced[name] = OrderFilled(at=at, fill=fill)
            self._fills[name] = fill
            if self._last_fill_at is None or self._last_fill_at < at:
                self._last_fill_at = at
            if not self._replaying:
                self._post(event, rebalance)
        if self._store(key, changed):
            self._announce_end(key, changed, report.at, rebalance)

    def _take_back(self, order: Order, report: ExecutionReport, instead: Fill | None) -> None:
        """Tell of the execution that a report takes back, if it does that; ``instead`` is what stands in its place."""
        broken = broken_by(order, report)
        if broken is None:
            return
        was = Fill(
            execution_id=broken.execution_id,
            client_order_id=order.request.client_order_id,
            venue_order_id=report.venue_order_id,
            symbol=order.request.symbol,
            side=order.request.side,
            quantity=broken.quantity,
            price=broken.price,
            at=report.at,
        )
        taken = FillBroken(at=report.at, fill=was, replaced_by=instead.execution_id if instead else None, reason=report.event)
        self._broken[broken.execution_id] = taken
        self._fills.pop(broken.execution_id, None)
        if not self._replaying:
            self._post(taken)

    def _end(self, told: OrderRejected | OrderNotFound | OrderWithheld, state: OrderState, reason: str) -> None:
        key = told.client_order_id
        order = self._orders.get(key)
        if order is not None and not order.is_terminal:
            ended = replace(order, state=state, reason=reason)
            if self._store(key, ended):
                self._announce_end(key, ended, told.at, rebalance_within(key))

    def _move(self, told: OrderOutcomeUnknown | CancelRequested, before: tuple[OrderState, ...], after: OrderState) -> None:
        key = told.client_order_id
        order = self._orders.get(key)
        if order is not None and order.state in before:
            self._store(key, replace(order, state=after, reason=told.reason))

    def _store(self, key: str, order: Order) -> bool:
        """Keep an order as it is now, and return whether its end is to be announced."""
        self._orders[key] = order
        if order.state not in TERMINAL:
            self._open[key] = None
            return False
        self._open.pop(key, None)
        if self._replaying or key in self._closed or key in self._closing:
            return False
        return order.reported_quantity <= order.cumulative_quantity

    def _turn_to(self, opened: SessionOpened) -> None:
        """Forget, at the first opening of a session, the orders that had ended before the session before it."""
        session, before = opened.session, self._session
        if before is not None and session.date <= before.date:
            return  # Opened again after a restart.
        self._session = session
        if before is None:
            return
        opened_at = before.opens_at
        for key in list(self._closed):
            order = self._orders[key]
            if order.intended_at >= opened_at:
                break  # Those behind it ended later; one that is older all the same leaves with it.
            if order.reported_quantity <= order.cumulative_quantity:
                del self._closed[key], self._orders[key]
                if order.venue_order_id is not None:
                    self._by_venue_id.pop(order.venue_order_id, None)
                for execution_id in order.execution_ids:
                    self._fills.pop(execution_id, None)
        first = session_id(before.date)
        for day in list(self._of_session):
            if day < first:
                del self._of_session[day]

    def _announce_end(self, key: str, order: Order, at: datetime, rebalance: str) -> None:
        self._closing.add(key)
        filled = order.cumulative_quantity
        self._post(
            OrderClosed(
                at=at,
                client_order_id=key,
                symbol=order.request.symbol,
                state=str(order.state),
                cumulative_quantity=filled,
                average_price=order.filled_value / filled if filled else None,
                reason=order.reason,
            ),
            rebalance,
        )


def _presumed(one: OrderPrepared) -> OrderIntended:
    """Return the intention of an order of which only the preparation is known; its id is never used for another."""
    order = NewOrder(
        client_order_id=one.client_order_id,
        symbol=one.symbol,
        side=one.side,
        quantity=one.quantity,
        order_type=MARKET,
        time_in_force=DAY,
    )
    return OrderIntended(
        at=one.at,
        rebalance_id=one.rebalance_id,
        intent_id=one.intent_id,
        attempt=one.attempt,
        order=order,
        tactic=one.tactic,
        step="presumed",
        rung=one.rung,
        is_presumed=True,
    )
