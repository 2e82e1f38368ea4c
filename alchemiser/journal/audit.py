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
    Event,
    FillBooked,
    FillBroken,
    OrderClosed,
    OrderFilled,
    OrderIntended,
    RebalancePlanned,
    ResultReported,
)
from alchemiser.domain.money import ZERO
from alchemiser.domain.orders import Fill, NewOrder, Side


class _Seen(msgspec.Struct):
    """What was written down of one order."""

    request: NewOrder
    intent: tuple[str, str]
    filled: Decimal = ZERO
    is_live: bool = True


class Audit:
    """Reads events in order and collects what breaks a rule, each in words, in ``problems``."""

    listens_to = (OrderIntended, OrderFilled, FillBroken, OrderClosed, FillBooked, RebalancePlanned, ResultReported)

    def __init__(self) -> None:
        self.problems: list[str] = []
        self._orders: dict[str, _Seen] = {}
        self._live: dict[tuple[str, str], str] = {}
        self._fills: dict[str, Fill] = {}
        self._booked: set[str] = set()
        self._broken: set[str] = set()
        self._unbooked: deque[str] = deque()
        self._books = _Books()

    def __call__(self, envelope: Envelope) -> None:
        """Check one event."""
        place = f"event {envelope.sequence}"
        self.problems += [f"{place}: {problem}" for problem in self._check(envelope.event)]

    def _check(self, event: Event) -> list[str]:
        match event:
            case OrderIntended():
                return self._intended(event)
            case OrderFilled(fill=fill):
                return self._filled(fill)
            case FillBroken(fill=fill):
                return self._broken_fill(fill)
            case OrderClosed():
                return self._closed(event)
            case FillBooked():
                return self._booking(event)
            case RebalancePlanned(crossings=crossings):
                return [
                    problem
                    for crossing in crossings
                    for problem in (
                        *self._books.sell(crossing.seller, crossing.symbol, crossing.quantity, crossing.price),
                        *self._books.buy(crossing.buyer, crossing.symbol, crossing.quantity, crossing.price),
                    )
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
        if other is not None:
            problems.append(f"order {name} is intended while order {other} of the same intent is live")
        self._orders[name] = _Seen(event.order, intent, before.filled if before else ZERO)
        self._live[intent] = name
        return problems

    def _filled(self, fill: Fill) -> list[str]:
        if fill.execution_id in self._fills:
            return [f"execution {fill.execution_id} counts a second time"]
        self._fills[fill.execution_id] = fill
        self._unbooked.append(fill.execution_id)
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

    def _broken_fill(self, fill: Fill) -> list[str]:
        standing = self._fills.get(fill.execution_id)
        if standing is None or fill.execution_id in self._broken:
            return [f"execution {fill.execution_id} is taken back, and did not count"]
        self._broken.add(fill.execution_id)
        if fill.client_order_id in self._orders:
            self._orders[fill.client_order_id].filled -= standing.quantity
        # What it had earned, and from which lots, is not worked out a second time: from here on the books of this symbol are not compared.
        self._books.forget(standing.symbol)
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
        if event.state == "filled" and event.cumulative_quantity < order.request.quantity:
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
            # Fills are booked in their order; only those at the end of a journal may still wait for it.
            problems.append(f"execution {first} of order {self._fills[first].client_order_id} was passed over in booking")
        shares = sum((entry.quantity for entry in event.entries), ZERO)
        if shares != sign * fill.quantity:
            problems.append(f"{shares} shares are booked for execution {event.execution_id} of {sign * fill.quantity}")
        cash = sum((entry.cash for entry in event.entries), ZERO)
        if cash != -sign * fill.quantity * fill.price:
            problems.append(
                f"{cash} dollars are booked for execution {event.execution_id}, which moved {-sign * fill.quantity * fill.price}"
            )
        for entry in event.entries:
            if fill.side is Side.BUY:
                problems += self._books.buy(entry.strategy, event.symbol, entry.quantity, entry.price)
            else:
                problems += self._books.sell(entry.strategy, event.symbol, -entry.quantity, entry.price, entry.realised)
        return problems


class _Books:
    """Lots of each strategy, first in first out, once more and on their own."""

    def __init__(self) -> None:
        self._lots: dict[tuple[str, str], deque[tuple[Decimal, Decimal]]] = {}
        self._realised: dict[str, Decimal] = {}
        self._forgotten: set[str] = set()

    def forget(self, symbol: str) -> None:
        """Compare the lots of a symbol no more, nor what strategies have earned in all."""
        self._forgotten.add(symbol)

    def buy(self, strategy: str, symbol: str, quantity: Decimal, price: Decimal) -> list[str]:
        """Take shares in."""
        self._lots.setdefault((strategy, symbol), deque()).append((quantity, price))
        return []

    def sell(self, strategy: str, symbol: str, quantity: Decimal, price: Decimal, said: Decimal | None = None) -> list[str]:
        """Give shares out; ``said`` is the profit that the booking claims."""
        lots, left, realised = self._lots.setdefault((strategy, symbol), deque()), quantity, ZERO
        while left > 0 and lots:
            held, cost = lots.popleft()
            taken = min(held, left)
            left -= taken
            realised += taken * (price - cost)
            if taken < held:
                lots.appendleft((held - taken, cost))
        self._realised[strategy] = self._realised.get(strategy, ZERO) + realised
        problems: list[str] = []
        if symbol in self._forgotten:
            return problems
        if left > 0:
            problems.append(f"{strategy} sells {quantity} {symbol} and holds {quantity - left}")
        if said is not None and said != realised:
            problems.append(f"{strategy} is said to have earned {said} with {quantity} {symbol}, its lots say {realised}")
        return problems

    def compare(self, said: dict[str, Decimal]) -> list[str]:
        """Compare the profit that a result claims."""
        if self._forgotten:
            return []
        return [
            f"the result of {strategy} is {amount}, its sales make {self._realised.get(strategy, ZERO)}"
            for strategy, amount in said.items()
            if amount != self._realised.get(strategy, ZERO)
        ]
