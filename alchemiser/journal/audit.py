"""What must hold in every journal, checked from its events alone: orders, executions, money.

It shares nothing with the components that trade but the events themselves, so that one mistake is not made twice. The rules: money and
shares balance; an execution counts once; an intent has one live order, and an id one body; what was filled never falls and never exceeds
what was ordered. A journal may end anywhere: what its end does not hold yet is no fault.
"""

from collections import deque
from decimal import Decimal

import msgspec

from alchemiser.bus.envelope import Envelope
from alchemiser.domain.events import (
    ActivityBooked,
    DaemonStarted,
    Event,
    FillBooked,
    FillBroken,
    LotsNamed,
    OrderClosed,
    OrderFilled,
    OrderIntended,
    RebalancePlanned,
    ResultReported,
)
from alchemiser.domain.money import ZERO
from alchemiser.domain.orders import Fill, NewOrder
from alchemiser.journal.audited_books import AuditedBooks, Traded


class _Seen(msgspec.Struct):
    """What was written down of one order; of one that ``is_presumed`` only the most it may be of."""

    request: NewOrder
    intent: tuple[str, str]
    is_presumed: bool
    filled: Decimal = ZERO
    is_live: bool = True


class Audit:
    """Reads events in order and collects what breaks a rule, each in words, in ``problems``."""

    listens_to = (
        DaemonStarted,
        LotsNamed,
        OrderIntended,
        OrderFilled,
        FillBroken,
        OrderClosed,
        FillBooked,
        ActivityBooked,
        RebalancePlanned,
        ResultReported,
    )

    def __init__(self) -> None:
        self.problems: list[str] = []
        self._orders: dict[str, _Seen] = {}
        self._live: dict[tuple[str, str], str] = {}
        self._fills: dict[str, Fill] = {}
        self._booked: set[str] = set()
        self._broken: set[str] = set()
        self._unbooked: deque[str] = deque()
        self._unsaid: set[str] = set()
        """Executions whose booking was on its way when something else happened to its shares: what it says was earned is of before that."""
        self._activities: set[tuple[str, str]] = set()
        self._books = AuditedBooks()

    def __call__(self, envelope: Envelope) -> None:
        """Check one event."""
        place = f"event {envelope.sequence}"
        self.problems += [f"{place}: {problem}" for problem in self._check(envelope.event)]

    def _check(self, event: Event) -> list[str]:
        match event:
            case DaemonStarted() | LotsNamed():
                self._books.follow(event)
                return []
            case OrderIntended():
                return self._intended(event)
            case OrderFilled(fill=fill):
                return self._filled(fill)
            case FillBroken(fill=fill, replaced_by=replaced_by):
                return self._broken_fill(fill, replaced_by)
            case OrderClosed():
                return self._closed(event)
            case FillBooked():
                return self._booking(event)
            case ActivityBooked():
                return self._activity(event)
            case RebalancePlanned(crossings=crossings, at=at):
                return [
                    problem
                    for crossing in crossings
                    for name, quantity in ((crossing.seller, -crossing.quantity), (crossing.buyer, crossing.quantity))
                    for problem in self._books.trade((name, crossing.symbol), Traded("", quantity, crossing.price, at))
                ]
            case ResultReported(realised=realised):
                return self._books.compare(realised)
            case _:
                return []

    def _intended(self, event: OrderIntended) -> list[str]:
        name, intent = event.order.client_order_id, (event.rebalance_id, event.intent_id)
        problems = []
        before = self._orders.get(name)
        if before is not None and before.request != event.order:
            problems.append(f"order {name} is intended a second time with another body")
        other = self._live.get(intent)
        if other is not None and not event.is_presumed:
            problems.append(f"order {name} is intended while order {other} of the same intent is live")
        self._orders[name] = _Seen(event.order, intent, event.is_presumed, before.filled if before else ZERO)
        if other is None or not event.is_presumed:  # Beside a live order one is presumed that was to follow it.
            self._live[intent] = name
        return problems

    def _filled(self, fill: Fill) -> list[str]:
        if fill.execution_id in self._fills:
            return [f"execution {fill.execution_id} counts a second time"]
        self._fills[fill.execution_id] = fill
        self._unbooked.append(fill.execution_id)
        self._books.expect(fill)
        order = self._orders.get(fill.client_order_id)
        if order is None:
            return [f"execution {fill.execution_id} is of order {fill.client_order_id}, which was never intended"]
        order.filled += fill.quantity
        request, problems = order.request, []
        if fill.quantity <= 0:
            problems.append(f"execution {fill.execution_id} is of {fill.quantity} shares, so that less would be filled than before")
        if (fill.side, fill.symbol) != (request.side, request.symbol):
            problems.append(
                f"execution {fill.execution_id} is a {fill.side} of {fill.symbol}, its order a {request.side} of {request.symbol}"
            )
        if order.filled > request.quantity:
            problems.append(f"{order.filled} shares of order {fill.client_order_id} are filled, {request.quantity} were ordered")
        return problems

    def _broken_fill(self, fill: Fill, replaced_by: str | None) -> list[str]:
        standing = self._fills.get(fill.execution_id)
        if standing is None or fill.execution_id in self._broken:
            return [f"execution {fill.execution_id} is taken back, and did not count"]
        self._broken.add(fill.execution_id)
        if fill.client_order_id in self._orders:
            self._orders[fill.client_order_id].filled -= standing.quantity
        self._books.take_back(standing, replaced_by)
        self._unsaid |= {key for key in self._unbooked if self._fills[key].symbol == fill.symbol}
        return []

    def _closed(self, event: OrderClosed) -> list[str]:
        order = self._orders.get(event.client_order_id)
        if order is None:
            return [f"order {event.client_order_id} ends, and was never intended"]
        problems = []
        if not order.is_live:
            problems.append(f"order {event.client_order_id} ends a second time")
        if order.filled != event.cumulative_quantity:
            problems.append(
                f"order {event.client_order_id} ends with {event.cumulative_quantity} shares filled, its executions are {order.filled}"
            )
        if event.state == "filled" and event.cumulative_quantity < order.request.quantity and not order.is_presumed:
            problems.append(f"order {event.client_order_id} ends as filled with {event.cumulative_quantity} of {order.request.quantity}")
        order.is_live = False
        if self._live.get(order.intent) == event.client_order_id:
            del self._live[order.intent]
        return problems

    def _booking(self, event: FillBooked) -> list[str]:
        fill = self._fills.get(event.execution_id)
        if fill is None:
            return [f"execution {event.execution_id} is booked, but its fill is not in the journal"]
        if event.execution_id in self._booked:
            return [f"execution {event.execution_id} is booked a second time"]
        self._booked.add(event.execution_id)
        sign = fill.side.sign
        problems = []
        while self._unbooked and (first := self._unbooked.popleft()) != event.execution_id:
            # Fills are booked in their order; only those at the end of a journal may still wait for it, and who was taken back never is.
            if first not in self._broken:
                problems.append(f"execution {first} of order {self._fills[first].client_order_id} was passed over in booking")
        shares = sum((entry.quantity for entry in event.entries), ZERO)
        if shares != sign * fill.quantity:
            problems.append(f"{shares} shares are booked for execution {event.execution_id} of {sign * fill.quantity}")
        cash = sum((entry.cash for entry in event.entries), ZERO)
        if cash != -sign * fill.quantity * fill.price:
            problems.append(
                f"{cash} dollars are booked for execution {event.execution_id}, which moved {-sign * fill.quantity * fill.price}"
            )
        for entry in event.entries if event.execution_id not in self._broken else ():
            traded = Traded(event.execution_id, entry.quantity, entry.price, fill.at)
            said = None if event.execution_id in self._unsaid else entry.realised
            problems += self._books.trade((entry.strategy, event.symbol), traded, said)
        return problems

    def _activity(self, event: ActivityBooked) -> list[str]:
        row = event.activity
        if (row.activity_id, row.status) in self._activities:
            return [f"row {row.activity_id} of the account's activities is booked a second time"]
        self._activities.add((row.activity_id, row.status))
        problems = []
        cash = sum((entry.cash for entry in event.entries), ZERO) + event.account_cash + event.transferred
        if row.status == "executed" and cash != row.amount:
            problems.append(f"{cash} dollars are booked for row {row.activity_id}, which moved {row.amount}")
        self._books.change(event)
        return problems
