"""What must hold in every journal, checked from its events alone: orders, executions, money.

It shares nothing with the components that trade but the events themselves, so that one mistake is not made twice. The rules: money and
shares balance; an execution counts once; an intent has one live order, and an id one body; what was filled never falls and never exceeds
what was ordered. A journal may end anywhere: what its end does not hold yet is no fault.
"""

from bisect import bisect_right
from collections import deque
from datetime import datetime
from decimal import Decimal
from typing import Final

import msgspec

from alchemiser.bus.envelope import Envelope
from alchemiser.domain.activities import LotMethod, Treatment
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
from alchemiser.domain.money import CENT, ONE, ZERO
from alchemiser.domain.orders import Fill, NewOrder, Side

_DUST: Final = Decimal("0.00000001")
"""Shares that a ratio which never ends may leave."""


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
        self._books = _Books()

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
                    for problem in self._books.trade((name, crossing.symbol), _Traded("", quantity, crossing.price, at))
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
            traded = _Traded(event.execution_id, entry.quantity, entry.price, fill.at)
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


class _Traded(msgspec.Struct, frozen=True):
    """Signed shares of one strategy that changed hands at a price, then; nameless when they were crossed inside."""

    execution_id: str
    quantity: Decimal
    price: Decimal
    at: datetime
    method: LotMethod = LotMethod.FIFO
    picks: tuple[str, ...] = ()


class _Changed(msgspec.Struct, frozen=True):
    """What an issuer did: the shares became ``factor`` times as many, ``cost`` went with others; ``arrived`` came, at a price."""

    execution_id: str
    at: datetime
    factor: Decimal = ONE
    cost: Decimal = ZERO
    cash: Decimal = ZERO
    arrived: tuple[tuple[Decimal, Decimal, str], ...] = ()


class _Position(msgspec.Struct):
    """What a strategy traded of one symbol, in the order of the times, and what that leaves: first in, first out.

    Prices of shares that an issuer has changed may never end: from then on profits are compared to the cent. Where the shares of two
    symbols became one, ``is_blended``, nothing is said of which were sold.
    """

    trades: list[_Traded | _Changed] = []
    lots: list[tuple[Decimal, Decimal, str]] = []
    realised: Decimal = ZERO
    is_changed: bool = False
    is_reshaped: bool = False
    is_blended: bool = False

    def take_in(self, one: _Traded | _Changed) -> None:
        """Count one more trade, at its place."""
        if not self.is_changed and (not self.trades or one.at >= self.trades[-1].at):
            self.trades.append(one)
            self._count(one)
            return
        place = next(
            (place for place, other in enumerate(self.trades) if one.execution_id and other.execution_id == one.execution_id), None
        )
        if place is not None and isinstance(one, _Traded):
            self.trades[place] = msgspec.structs.replace(one, at=self.trades[place].at)
        else:
            self.trades.insert(bisect_right(self.trades, one.at, key=lambda other: other.at), one)
        self.count_again()

    def count_again(self) -> None:
        """Count all trades from the first."""
        self.lots, self.realised = [], ZERO
        for one in self.trades:
            self._count(one)

    def agrees(self, said: Decimal, made: Decimal) -> bool:
        """Whether a profit is what it should be."""
        return said == made or self.is_blended or (self.is_reshaped and abs(said - made) < CENT)

    def _count(self, one: _Traded | _Changed) -> None:
        if isinstance(one, _Changed):
            self._reshape(one)
        else:
            self._trade(one)

    def _reshape(self, one: _Changed) -> None:
        if not one.factor:
            self.realised += one.cash - sum((held * cost for held, cost, _ in self.lots), ZERO)
            self.lots = []
        else:
            whole = sum((held * cost for held, cost, _ in self.lots), ZERO)
            left = (whole - one.cost) / whole if whole else ONE
            self.lots = [(held * one.factor, cost * left / one.factor, name) for held, cost, name in self.lots]
        self.lots.extend(one.arrived)

    def _trade(self, one: _Traded) -> None:
        left = one.quantity
        while left and self.lots and (self.lots[0][0] > 0) != (left > 0):
            place = self._place(one)
            held, cost, name = self.lots.pop(place)
            taken = min(abs(held), abs(left)) * (1 if held > 0 else -1)
            if self.is_reshaped and abs(taken - held) < _DUST:
                taken = held
            left += taken
            if self.is_reshaped and abs(left) < _DUST:
                left = ZERO
            self.realised += taken * (one.price - cost)
            if taken != held:
                self.lots.insert(place, (held - taken, cost, name))
        if left:
            self.lots.append((left, one.price, one.execution_id))

    def _place(self, one: _Traded) -> int:
        """Return the place of the lot that a sale closes next; what is owed is given back in its order."""
        if one.quantity > 0 or one.method is LotMethod.FIFO:
            return 0
        if one.method is LotMethod.LIFO:
            return len(self.lots) - 1
        if one.method is LotMethod.HIGHEST_COST:
            return max(range(len(self.lots)), key=lambda place: (self.lots[place][1], -place))
        names = [name for _, _, name in self.lots]
        return next((names.index(pick) for pick in one.picks if pick in names), 0)


class _Books:
    """What each strategy holds and has earned, once more and on its own."""

    def __init__(self) -> None:
        self._positions: dict[tuple[str, str], _Position] = {}
        self._lots = LotMethod.FIFO
        self._specific: dict[str, tuple[str, ...]] = {}
        self._named: dict[str, tuple[str, ...]] = {}
        self._expected: dict[str, tuple[LotMethod, tuple[str, ...]]] = {}

    def follow(self, said: DaemonStarted | LotsNamed) -> None:
        """Close lots from here on as the settings say, and where a person named some, those first."""
        if isinstance(said, LotsNamed):
            self._named[said.symbol] = said.lots
        else:
            self._lots, self._specific = said.lots, said.specific

    def expect(self, fill: Fill) -> None:
        """Take note of how a fill closes lots: as it holds when it is heard of."""
        if fill.side is Side.SELL:
            self._expected[fill.execution_id] = self._closing_of(fill.symbol)

    def _closing_of(self, symbol: str) -> tuple[LotMethod, tuple[str, ...]]:
        named = self._named.get(symbol, ())
        return LotMethod.SPECIFIC if named else self._lots, named or self._specific.get(symbol, ())

    def trade(self, key: tuple[str, str], one: _Traded, said: Decimal | None = None) -> list[str]:
        """Count a trade of a strategy in a symbol; ``said`` is the profit that its booking claims."""
        (strategy, symbol), position = key, self._positions.setdefault(key, _Position())
        before = position.realised
        if one.quantity < 0:
            method, picks = self._expected.get(one.execution_id) or self._closing_of(symbol)
            one = msgspec.structs.replace(one, method=method, picks=picks)
        position.take_in(one)
        problems = []
        if one.quantity < 0 and position.lots and position.lots[0][0] < 0 and not position.is_changed:
            held = sum((quantity for quantity, _, _ in position.lots), ZERO) - one.quantity
            problems.append(f"{strategy} sells {-one.quantity} {symbol} and holds {held}")
        if said is not None and not position.agrees(said, position.realised - before):
            problems.append(
                f"{strategy} is said to have earned {said} with {abs(one.quantity)} {symbol}, its lots say {position.realised - before}"
            )
        return problems

    def take_back(self, fill: Fill, replaced_by: str | None) -> None:
        """Count an execution no more; its place is kept for the one that replaces it. What was sold of it since is owed."""
        for (_, symbol), position in self._positions.items():
            if symbol != fill.symbol or all(one.execution_id != fill.execution_id for one in position.trades):
                continue
            kept = [] if replaced_by is None else [replaced_by]
            position.trades = [
                one
                for traded in position.trades
                for one in (
                    [traded]
                    if traded.execution_id != fill.execution_id or not isinstance(traded, _Traded)
                    else [msgspec.structs.replace(traded, execution_id=name, quantity=ZERO) for name in kept]
                )
            ]
            position.is_changed = True
            position.count_again()

    def change(self, event: ActivityBooked) -> None:
        """Count what a row without a trade does to shares."""
        row, new = event.activity, event.new_symbol
        for entry in event.entries:
            if entry.symbol is None or not (entry.quantity or entry.cost):
                continue
            position = self._positions.setdefault((entry.strategy, entry.symbol), _Position())
            held = sum((quantity for quantity, _, _ in position.lots), ZERO)
            if event.treatment is Treatment.EXCHANGE:
                if entry.symbol == row.symbol and new is not None:
                    came = next(one.quantity for one in event.entries if (one.strategy, one.symbol) == (entry.strategy, new))
                    self._exchange(entry.strategy, row.symbol, new, came / held if held else ONE)
                continue
            position.is_reshaped = True
            position.is_blended |= entry.quantity > 0 and bool(entry.cost) and bool(position.lots)
            if event.treatment is Treatment.SPIN_OFF and entry.quantity:
                price = entry.cost / entry.quantity
                position.take_in(_Changed(row.activity_id, row.at, arrived=((entry.quantity, price, row.activity_id),)))
            elif event.treatment is Treatment.SPIN_OFF:
                position.take_in(_Changed(row.activity_id, row.at, cost=-entry.cost))
            else:
                factor = (held + entry.quantity) / held if held else ONE
                position.take_in(_Changed(row.activity_id, row.at, factor=factor, cash=entry.cash))

    def _exchange(self, strategy: str, old: str, new: str, factor: Decimal) -> None:
        gone, there = self._positions.pop((strategy, old), _Position()), self._positions.get((strategy, new))
        if factor != ONE:
            gone.is_reshaped = True
            gone.take_in(_Changed("", gone.trades[-1].at, factor=factor))
        if there is not None:
            gone.is_blended = bool(gone.lots) and bool(there.lots)
            gone.lots.extend(there.lots)
            gone.realised += there.realised
            gone.trades = sorted((*gone.trades, *there.trades), key=lambda one: one.at)
            gone.is_changed = True
        self._positions[strategy, new] = gone

    def compare(self, said: dict[str, Decimal]) -> list[str]:
        """Compare the profit that a result claims."""
        made = dict.fromkeys(said, ZERO)
        whole = {name: _Position() for name in said}
        for (strategy, _), position in self._positions.items():
            if strategy in made:
                made[strategy] += position.realised
                whole[strategy].is_reshaped |= position.is_reshaped
                whole[strategy].is_blended |= position.is_blended
        return [
            f"the result of {strategy} is {amount}, its sales make {made[strategy]}"
            for strategy, amount in said.items()
            if not whole[strategy].agrees(amount, made[strategy])
        ]
