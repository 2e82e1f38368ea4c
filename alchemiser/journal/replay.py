"""The state that a journal tells, rebuilt from its events alone, and a hash of it.

An audit, apart from the rooms that trade: it folds orders with the pure state machine, positions and cash from fills, and the strategies'
parts from bookings and crossings. Two journals of the same run have the same hash; a journal whose fills do not add up says where.
"""

from collections import Counter
from collections.abc import Iterable
from decimal import Decimal
from hashlib import blake2b

import msgspec

from alchemiser.bus.envelope import Envelope
from alchemiser.domain.events import (
    ActivityBooked,
    CancelRequested,
    ExecutionReported,
    FillBooked,
    FillBroken,
    OrderClosed,
    OrderFilled,
    OrderIntended,
    OrderNotFound,
    OrderOutcomeUnknown,
    OrderRejected,
    OrderWithheld,
    RebalancePlanned,
    Reconciled,
    TradingStateChanged,
)
from alchemiser.domain.money import ZERO
from alchemiser.domain.orders import ExecutionReport, Fill, Order, OrderState, apply_report
from alchemiser.domain.trading import ACTIVE, TradingScopes


class Replayed(msgspec.Struct, frozen=True, kw_only=True):
    """What a journal says happened. Quantities are signed shares; ``cash`` is what the fills moved; ``problems`` are in words.

    ``unbooked`` are fills that the journal holds without their booking: its end may be in between.
    """

    events: dict[str, int]
    last_sequence: int
    orders: dict[str, str]
    open_orders: tuple[str, ...]
    positions: dict[str, Decimal]
    unbooked: tuple[str, ...]
    strategy_positions: dict[str, dict[str, Decimal]]
    cash: Decimal
    trading_state: str | None
    problems: tuple[str, ...]
    state_hash: str = ""


def replay(envelopes: Iterable[Envelope]) -> Replayed:
    """Fold the events, in order, and return the state with its hash."""
    fold = _Fold()
    for envelope in envelopes:
        fold.apply(envelope)
    state = fold.result()
    digest = blake2b(msgspec.json.encode(state, order="deterministic"), digest_size=16).hexdigest()
    return msgspec.structs.replace(state, state_hash=digest)


class _Fold:
    def __init__(self) -> None:
        self._events: Counter[str] = Counter()
        self._last_sequence = 0
        self._orders: dict[str, Order] = {}
        self._names: dict[str, str] = {}  # of our orders, by the venue's ids
        self._fills: dict[str, Fill] = {}
        self._fill_order: dict[str, int] = {}
        self._newest_booked = 0
        self._booked: dict[str, Decimal] = {}
        self._broken: set[str] = set()
        self._shares: dict[str, dict[str, Decimal]] = {}
        self._positions: dict[str, Decimal] = {}
        self._strategy_positions: dict[str, dict[str, Decimal]] = {}
        self._cash = ZERO
        self._scopes = TradingScopes()
        self._trading_state: str | None = None
        self._problems: list[str] = []

    def apply(self, envelope: Envelope) -> None:
        event = envelope.event
        self._events[type(event).__name__] += 1
        self._last_sequence = envelope.sequence
        match event:
            case OrderIntended():
                self._intended(envelope.sequence, event)
            case ExecutionReported():
                self._reported(event.report)
            case Reconciled():
                for report in event.reports:
                    self._reported(report)
            case OrderRejected() | OrderNotFound() | OrderWithheld() | OrderOutcomeUnknown() | CancelRequested():
                self._turned(event)
            case OrderClosed():
                self._closed(envelope.sequence, event)
            case OrderFilled():
                self._filled(envelope.sequence, event.fill)
            case FillBooked():
                self._book(envelope.sequence, event)
            case FillBroken():
                self._break(event.fill)
            case RebalancePlanned() | ActivityBooked():
                self._move_without_fills(event)
            case TradingStateChanged():
                self._scopes.apply(event)
                self._trading_state = ACTIVE if (account := self._scopes.account) is None else account.state
            case _:
                pass  # counted; it moves neither orders nor money

    def result(self) -> Replayed:
        self._compare()
        return Replayed(
            events=dict(sorted(self._events.items())),
            last_sequence=self._last_sequence,
            orders={name: order.state.value for name, order in self._orders.items()},
            open_orders=tuple(name for name, order in self._orders.items() if not order.is_terminal),
            positions={symbol: held for symbol, held in sorted(self._positions.items()) if held},
            unbooked=self._unbooked(),
            strategy_positions={
                strategy: {symbol: held for symbol, held in sorted(book.items()) if held}
                for strategy, book in sorted(self._strategy_positions.items())
            },
            cash=self._cash,
            trading_state=self._trading_state,
            problems=tuple(self._problems),
        )

    def _compare(self) -> None:
        unbooked = self._unbooked()
        for execution_id in unbooked:
            # A journal may end between a fill and its booking; the next start books it. But bookings are made in the order of fills.
            if self._fill_order[execution_id] < self._newest_booked:
                fill = self._fills[execution_id]
                self._problems.append(f"fill {execution_id} of order {fill.client_order_id} was passed over in booking")
        for execution_id in self._booked:
            if execution_id not in self._fills:
                self._problems.append(f"execution {execution_id} is booked, but its fill is not in the journal")
        shares: dict[str, Decimal] = {}
        for book in self._strategy_positions.values():
            for symbol, quantity in book.items():
                shares[symbol] = shares.get(symbol, ZERO) + quantity
        for symbol in sorted(self._positions.keys() | shares.keys()):
            waiting = sum(
                (fill.side.sign * fill.quantity for fill in map(self._fills.get, unbooked) if fill and fill.symbol == symbol), ZERO
            )
            filled, held = self._positions.get(symbol, ZERO) - waiting, shares.get(symbol, ZERO)
            if filled != held:
                self._problems.append(f"{symbol}: booked fills add up to {filled} shares, the strategies hold {held}")

    def _unbooked(self) -> tuple[str, ...]:
        # What was taken back before its turn came is never booked.
        return tuple(execution_id for execution_id in self._fills if execution_id not in self._booked and execution_id not in self._broken)

    def _intended(self, sequence: int, event: OrderIntended) -> None:
        name = event.order.client_order_id
        before = self._orders.get(name)
        if before is not None and before.state is not OrderState.NEVER_SENT:
            self._problems.append(f"event {sequence}: order {name} is intended again though it is {before.state}")
        self._orders[name] = Order(request=event.order, state=OrderState.INTENDED, intended_at=event.at, is_presumed=event.is_presumed)

    def _reported(self, report: ExecutionReport) -> None:
        name = self._names.get(report.venue_order_id, report.client_order_id)
        order = self._orders.get(name)
        if order is not None:  # others may trade the account by hand
            self._names[report.venue_order_id] = name
            self._orders[name] = apply_report(order, report)[0]

    def _turned(self, event: OrderRejected | OrderNotFound | OrderWithheld | OrderOutcomeUnknown | CancelRequested) -> None:
        order = self._orders.get(event.client_order_id)
        if order is None or order.is_terminal:
            return
        state = {
            OrderRejected: OrderState.REJECTED,
            OrderNotFound: OrderState.NEVER_SENT,
            OrderWithheld: OrderState.NEVER_SENT,
            OrderOutcomeUnknown: OrderState.UNKNOWN,
            CancelRequested: OrderState.CANCELLING,
        }[type(event)]
        self._orders[event.client_order_id] = msgspec.structs.replace(order, state=state)

    def _closed(self, sequence: int, event: OrderClosed) -> None:
        order = self._orders.get(event.client_order_id)
        if order is not None and order.cumulative_quantity != event.cumulative_quantity:
            self._problems.append(
                f"event {sequence}: order {event.client_order_id} closed with {event.cumulative_quantity} shares filled, "
                f"its execution reports add up to {order.cumulative_quantity}"
            )

    def _filled(self, sequence: int, fill: Fill) -> None:
        if fill.execution_id in self._fills:
            self._problems.append(f"event {sequence}: execution {fill.execution_id} is applied a second time")
            return
        self._fills[fill.execution_id] = fill
        self._fill_order[fill.execution_id] = sequence
        self._positions[fill.symbol] = self._positions.get(fill.symbol, ZERO) + fill.side.sign * fill.quantity
        self._cash -= fill.side.sign * fill.quantity * fill.price

    def _break(self, fill: Fill) -> None:
        self._broken.add(fill.execution_id)
        self._positions[fill.symbol] = self._positions.get(fill.symbol, ZERO) - fill.side.sign * fill.quantity
        self._cash += fill.side.sign * fill.quantity * fill.price
        for strategy, quantity in self._shares.get(fill.execution_id, {}).items():
            self._move(strategy, fill.symbol, -quantity)

    def _book(self, sequence: int, event: FillBooked) -> None:
        booked = sum((entry.quantity for entry in event.entries), ZERO)
        fill = self._fills.get(event.execution_id)
        if fill is not None and booked != fill.side.sign * fill.quantity:
            self._problems.append(
                f"event {sequence}: {booked} shares booked for execution {event.execution_id} of {fill.side.sign * fill.quantity}"
            )
        self._booked[event.execution_id] = booked
        self._newest_booked = max(self._newest_booked, self._fill_order.get(event.execution_id, 0))
        if event.execution_id in self._broken:
            return  # It was on its way when the execution was taken back, and books nothing any more.
        self._shares[event.execution_id] = {entry.strategy: entry.quantity for entry in event.entries}
        for entry in event.entries:
            self._move(entry.strategy, event.symbol, entry.quantity)

    def _move_without_fills(self, event: RebalancePlanned | ActivityBooked) -> None:
        if isinstance(event, RebalancePlanned):
            self._cross(event)
            return
        for entry in event.entries:
            if entry.symbol is not None and entry.quantity:
                self._move(entry.strategy, entry.symbol, entry.quantity)
                self._positions[entry.symbol] = self._positions.get(entry.symbol, ZERO) + entry.quantity
        moved = sum((entry.cash for entry in event.entries), ZERO)
        self._cash += moved + event.account_cash + event.transferred

    def _cross(self, event: RebalancePlanned) -> None:
        for crossing in event.crossings:
            self._move(crossing.seller, crossing.symbol, -crossing.quantity)
            self._move(crossing.buyer, crossing.symbol, crossing.quantity)

    def _move(self, strategy: str, symbol: str, quantity: Decimal) -> None:
        book = self._strategy_positions.setdefault(strategy, {})
        book[symbol] = book.get(symbol, ZERO) + quantity
