"""The ledger: every fill booked once, to the strategies that asked for it, exact to the cent and to the share fraction.

An inline component of the bus. It keeps one :class:`~alchemiser.portfolio.lots.Book` per strategy and the cash of the account. What it
knows follows from journaled events alone, so replaying them gives the same books; while it replays it publishes nothing. A fill changes
the books when its booking comes back as an event: after each event the state is that of a replay up to it.
"""

from collections import deque
from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal

import msgspec

from alchemiser.bus.envelope import Envelope
from alchemiser.domain.errors import InvariantBroken
from alchemiser.domain.events import (
    AccountObserved,
    BookEntry,
    DaemonStarted,
    Event,
    FillBooked,
    FillBroken,
    OrderClosed,
    OrderFilled,
    OrderIntended,
    RebalancePlanned,
    SessionOpened,
)
from alchemiser.domain.intents import Crossing
from alchemiser.domain.market import Session
from alchemiser.domain.memory import Remembering
from alchemiser.domain.money import ZERO, number_string
from alchemiser.domain.orders import Fill, Side
from alchemiser.portfolio.attribution import split_fill
from alchemiser.portfolio.lots import Book, Lot


class OwnOrder(msgspec.Struct, kw_only=True):
    """An order of ours: the plan's intent that it works for, when it was intended, and whether its end was announced."""

    intent: str
    intended_at: datetime
    has_ended: bool = False


class Booking(msgspec.Struct, kw_only=True):
    """How an execution was booked: for which order, who got what, and the lots that a sale took from each strategy."""

    order: str
    symbol: str
    entries: tuple[BookEntry, ...]
    taken: dict[str, tuple[Lot, ...]]


class LedgerMemory(msgspec.Struct, kw_only=True):
    """What the ledger remembers.

    ``waiting`` is what each strategy still waits for, by intent; ``orders`` are ours, ``booked`` is how each of their executions was
    booked; ``unbooked`` are fills whose booking has not come yet, by execution.
    """

    books: dict[str, Book]
    opening_cash: Decimal | None
    waiting: dict[str, dict[str, Decimal]]
    orders: dict[str, OwnOrder]
    booked: dict[str, Booking]
    unbooked: dict[str, Fill]
    session: Session | None


class Ledger(Remembering):
    """The books of all strategies and the cash of the account as our own fills make it.

    ``post`` publishes what follows from an event. A fill of an order that is not ours is not booked: it belongs to no strategy.
    """

    memory_type = LedgerMemory
    listens_to = (
        DaemonStarted,
        AccountObserved,
        RebalancePlanned,
        OrderIntended,
        OrderFilled,
        FillBooked,
        FillBroken,
        OrderClosed,
        SessionOpened,
    )

    def __init__(self, post: Callable[[Event], object]) -> None:
        self._post = post
        self._replaying = False
        self._books: dict[str, Book] = {}
        self._opening_cash: Decimal | None = None
        self._waiting: dict[str, dict[str, Decimal]] = {}
        self._orders: dict[str, OwnOrder] = {}
        self._booked: dict[str, Booking] = {}
        self._unbooked: dict[str, Fill] = {}
        self._session: Session | None = None
        # Fills that wait until the booking before theirs has come back: it decides what is still waited for. Between events it is empty.
        self._to_book: deque[Fill] = deque()
        self._booking: str | None = None

    @property
    def books(self) -> Mapping[str, Book]:
        """The book of each strategy, by name."""
        return self._books

    @property
    def cash(self) -> Decimal | None:
        """The cash of the account in dollars as the first look at the broker and our own fills make it; ``None`` before that look."""
        if self._opening_cash is None:
            return None
        return self._opening_cash + sum((book.cash_flow for book in self._books.values()), ZERO)

    def holdings(self) -> dict[str, Decimal]:
        """Return the shares of every symbol over all strategies, by symbol in order."""
        total: dict[str, Decimal] = {}
        for name in sorted(self._books):
            for symbol, quantity in self._books[name].holdings().items():
                total[symbol] = total.get(symbol, ZERO) + quantity
        return dict(sorted(total.items()))

    def replay(self, envelope: Envelope) -> None:
        """Apply an event of the journal without publishing anything."""
        self._replaying = True
        try:
            self(envelope)
        finally:
            self._replaying = False

    def settle(self) -> int:
        """Book the fills whose booking the journal does not hold (it was cut short); return how many."""
        fills = list(self._unbooked.values())
        self._to_book.extend(fills)
        self._book_next()
        return len(fills)

    def __call__(self, envelope: Envelope) -> None:
        """Apply one event."""
        match envelope.event:
            case DaemonStarted(strategies=strategies):
                self._books = {name: Book() for name in strategies} | self._books
            case AccountObserved(account=account) if self._opening_cash is None:
                self._opening_cash = account.cash
            case RebalancePlanned() as plan:
                self._plan(plan)
            case OrderIntended(order=order, rebalance_id=rebalance, intent_id=intent, at=at):
                self._orders[order.client_order_id] = OwnOrder(intent=_waiting_key(rebalance, intent), intended_at=at)
            case OrderClosed(client_order_id=key) if key in self._orders:
                self._orders[key].has_ended = True
            case OrderFilled(fill=fill) if fill.client_order_id in self._orders:
                self._take(fill)
            case FillBooked() as booked:
                self._apply(booked)
            case FillBroken(fill=fill):
                self._undo(fill)
            case SessionOpened(session=session):
                self._turn_to(session)
            case _:
                pass

    def differences(self, positions: Mapping[str, Decimal], cash: Decimal) -> tuple[str, ...]:
        """Compare with the broker's positions and cash; return each difference in words, none when they agree.

        More shares at the broker than in the books are somebody else's and no difference; fewer are. Cash is compared to the cent.
        """
        found = []
        for symbol, quantity in self.holdings().items():
            at_broker = positions.get(symbol, ZERO)
            if at_broker < quantity:
                found.append(f"{symbol}: the books hold {number_string(quantity)}, the broker {number_string(at_broker)}")
        if self.cash is not None and abs(self.cash - cash) >= Decimal("0.01"):
            found.append(f"cash: the books hold {self.cash:.2f}, the broker {cash:.2f}")
        return tuple(found)

    def _plan(self, plan: RebalancePlanned) -> None:
        # Earlier ones are kept: a fill that the venue was late to tell of may belong to a rebalance that has been parked.
        self._waiting |= {
            _waiting_key(plan.rebalance_id, intent.intent_id): {wish.strategy: wish.quantity for wish in intent.wishes}
            for intent in plan.intents
        }
        for number, crossing in enumerate(plan.crossings, start=1):
            self._cross(plan, crossing, number)

    def _cross(self, plan: RebalancePlanned, crossing: Crossing, number: int) -> None:
        name = f"{plan.rebalance_id}/crossing/{number}"
        seller, _ = self._books.get(crossing.seller, Book()).sell(crossing.symbol, crossing.quantity, crossing.price)
        buyer = self._books.get(crossing.buyer, Book())
        self._books[crossing.seller] = seller
        self._books[crossing.buyer] = buyer.buy(crossing.symbol, crossing.quantity, crossing.price, at=plan.at, execution_id=name)

    def _take(self, fill: Fill) -> None:
        if fill.execution_id in self._booked or fill.execution_id in self._unbooked:
            return
        self._unbooked[fill.execution_id] = fill
        if not self._replaying:
            self._to_book.append(fill)
            self._book_next()

    def _book_next(self) -> None:
        while self._to_book and self._booking is None:
            self._book(self._to_book.popleft())

    def _book(self, fill: Fill) -> None:
        """Say who gets which part of a fill. The books change when that comes back as an event."""
        waiting = self._waiting.get(self._orders[fill.client_order_id].intent, {})
        entries = []
        for strategy, quantity in split_fill(fill.quantity, waiting).items():
            realised = ZERO
            if fill.side is Side.SELL:
                _, realised = self._books[strategy].sell(fill.symbol, quantity, fill.price)
            signed = fill.side.sign * quantity
            entries.append(BookEntry(strategy=strategy, quantity=signed, price=fill.price, cash=-signed * fill.price, realised=realised))
        self._booking = fill.execution_id
        self._post(FillBooked(at=fill.at, execution_id=fill.execution_id, symbol=fill.symbol, entries=tuple(entries)))

    def _apply(self, booked: FillBooked) -> None:
        """Change the books, once per execution, and let the next booking be made."""
        if self._booking == booked.execution_id:
            self._booking = None
        self._change_once(booked)
        self._book_next()

    def _change_once(self, booked: FillBooked) -> None:
        if booked.execution_id in self._booked:
            return
        fill = self._unbooked.pop(booked.execution_id, None)
        if fill is None:
            raise InvariantBroken(
                f"execution {booked.execution_id} of {booked.symbol} is booked, but it was never a fill of ours; the daemon stops"
            )
        sold = {entry.strategy: -entry.quantity for entry in booked.entries if entry.quantity < 0}
        taken = {name: self._books.get(name, Book()).first(booked.symbol, quantity) for name, quantity in sold.items()}
        self._booked[booked.execution_id] = Booking(order=fill.client_order_id, symbol=booked.symbol, entries=booked.entries, taken=taken)
        waiting = self._waiting.get(self._orders[fill.client_order_id].intent, {})
        for entry in booked.entries:
            if entry.strategy in waiting:
                waiting[entry.strategy] -= abs(entry.quantity)
        self._change(booked, fill)

    def _undo(self, broken: Fill) -> None:
        """Take an execution out of the books that the venue took back; its shares are waited for again."""
        waiting_for_it = self._unbooked.pop(broken.execution_id, None)
        if waiting_for_it is not None:
            self._to_book = deque(fill for fill in self._to_book if fill.execution_id != broken.execution_id)
            nothing = Booking(order=broken.client_order_id, symbol=broken.symbol, entries=(), taken={})
            self._booked[broken.execution_id] = nothing
        booking = self._booked.get(broken.execution_id)
        if booking is None or not booking.entries:
            return  # Not ours, or taken back already.
        self._booked[broken.execution_id] = msgspec.structs.replace(booking, entries=(), taken={})
        waiting = self._waiting.get(self._orders[booking.order].intent, {})
        for entry in booking.entries:
            book = self._books[entry.strategy]
            if entry.quantity > 0:
                book = book.without_purchase(booking.symbol, entry.quantity, entry.price, broken.execution_id)
            else:
                book = book.without_sale(booking.symbol, booking.taken[entry.strategy], entry.price)
            self._books[entry.strategy] = book
            if entry.strategy in waiting:
                waiting[entry.strategy] += abs(entry.quantity)

    def _turn_to(self, session: Session) -> None:
        """Forget, at the first opening of a session, the orders that had ended before the session before it; the books stay."""
        before = self._session
        if before is not None and session.date <= before.date:
            return  # Opened again after a restart.
        self._session = session
        if before is None:
            return
        unbooked = {fill.client_order_id for fill in self._unbooked.values()}
        self._orders = {
            key: order
            for key, order in self._orders.items()
            if not order.has_ended or order.intended_at >= before.opens_at or key in unbooked
        }
        self._booked = {execution: booking for execution, booking in self._booked.items() if booking.order in self._orders}
        in_use = {order.intent for order in self._orders.values()}
        first = f"{before.date:%Y%m%d}"
        self._waiting = {intent: left for intent, left in self._waiting.items() if intent in in_use or intent >= first}

    def _change(self, booked: FillBooked, fill: Fill) -> None:
        for entry in booked.entries:
            book = self._books.get(entry.strategy, Book())
            if entry.quantity > 0:
                book = book.buy(booked.symbol, entry.quantity, entry.price, at=fill.at, execution_id=fill.execution_id)
            else:
                book, _ = book.sell(booked.symbol, -entry.quantity, entry.price)
            self._books[entry.strategy] = book


def _waiting_key(rebalance_id: str, intent_id: str) -> str:
    return f"{rebalance_id}/{intent_id}"
