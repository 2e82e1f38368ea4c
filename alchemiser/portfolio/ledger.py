"""The ledger: every fill booked once, to the strategies that asked for it, exact to the cent and to the share fraction.

An inline component of the bus. It keeps one :class:`~alchemiser.portfolio.lots.Book` per strategy and the cash of the account: fills,
and all that happens to an account without a trade. What it
knows follows from journaled events alone, so replaying them gives the same books; while it replays it publishes nothing. A fill changes
the books when its booking comes back as an event: after each event the state is that of a replay up to it.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import msgspec

from alchemiser.bus.envelope import Envelope
from alchemiser.domain.account import BrokerPosition
from alchemiser.domain.activities import FIFO, AccountActivity, LotMethod, SpinOff, Treatment
from alchemiser.domain.errors import InvariantBroken
from alchemiser.domain.events import (
    AccountObserved,
    ActivityBooked,
    BookEntry,
    DaemonStarted,
    Event,
    FillBooked,
    FillBroken,
    LotsNamed,
    OrderClosed,
    OrderFilled,
    OrderIntended,
    RebalancePlanned,
    SessionOpened,
)
from alchemiser.domain.ids import session_id
from alchemiser.domain.intents import Crossing
from alchemiser.domain.market import Session
from alchemiser.domain.memory import Remembering
from alchemiser.domain.money import CENT, ZERO, number_string
from alchemiser.domain.orders import SELL, Fill
from alchemiser.portfolio.activities import CANCELLED, Facts, booking_of, in_order, reversal_of
from alchemiser.portfolio.attribution import split_fill
from alchemiser.portfolio.issuers import carry_out
from alchemiser.portfolio.lots import Book, Trade
from alchemiser.portfolio.shelf import Foreseen, Shelf

ACTIVITIES_KEPT: Final = timedelta(days=21)
"""How much older than the newest row of the broker's activities a row may be and still be known again; they are asked for since less."""

CORRECTED: Final = "correct"


class OwnOrder(msgspec.Struct, kw_only=True):
    """An order of ours: the intent of which rebalance it works for, when it was intended, and whether its end was announced."""

    rebalance: str
    intent: str
    intended_at: datetime
    has_ended: bool = False


class Booking(msgspec.Struct, kw_only=True):
    """How an execution was booked: for which order, and who got what; nobody anything when it was taken back."""

    order: str
    symbol: str
    entries: tuple[BookEntry, ...]


class Closing(msgspec.Struct, frozen=True):
    """Which lots a sale closes, and those that a person named, by the executions that bought them."""

    method: LotMethod = FIFO
    picks: tuple[str, ...] = ()


OLDEST_FIRST: Final = Closing()


class LedgerMemory(msgspec.Struct, kw_only=True):
    """What the ledger remembers.

    ``waiting`` is what each strategy still waits for, by rebalance and intent; ``orders`` are ours, ``booked`` is how each of their
    executions was booked; ``unbooked`` are fills whose booking has not come yet, by execution, ``closings`` which lots those of them
    close that do not close the oldest: as it held when they were heard of, whatever is said until they are booked. ``instead`` is who
    had what of an execution that was corrected, by the execution that stands in its place. ``activities`` are the newest rows without a
    trade as they were booked, by id.
    ``account_cash`` is the profit that is no strategy's, ``transferred`` what came in and went out, ``in_kind`` the same in shares,
    ``at_broker`` the broker's positions when they were last seen. ``lot_method`` says which lots a sale closes, ``specific`` those that a
    person named in the settings, ``named`` while the daemon ran, by symbol.
    """

    shelf: Shelf
    opening_cash: Decimal | None
    opening_equity: Decimal
    opened_at: datetime | None
    in_kind: Decimal
    activities: dict[str, ActivityBooked]
    account_cash: Decimal
    transferred: Decimal
    at_broker: tuple[BrokerPosition, ...]
    lot_method: LotMethod
    specific: dict[str, tuple[str, ...]]
    waiting: dict[str, dict[str, dict[str, Decimal]]]
    orders: dict[str, OwnOrder]
    booked: dict[str, Booking]
    unbooked: dict[str, Fill]
    closings: dict[str, Closing]
    session: Session | None
    instead: dict[str, dict[str, Decimal]]
    named: dict[str, tuple[str, ...]] = {}


class Ledger(Remembering):
    """The books of all strategies and the cash of the account as our own fills make it.

    ``post`` publishes what follows from an event. A fill of an order that is not ours is not booked: it belongs to no strategy.
    """

    memory_type = LedgerMemory
    listens_to = (
        DaemonStarted,
        LotsNamed,
        AccountObserved,
        RebalancePlanned,
        OrderIntended,
        OrderFilled,
        FillBooked,
        FillBroken,
        ActivityBooked,
        OrderClosed,
        SessionOpened,
    )

    def __init__(self, post: Callable[[Event], object]) -> None:
        self._post = post
        self._replaying = False
        self._shelf = Shelf()
        self._opening_cash: Decimal | None = None
        self._opening_equity = ZERO
        self._opened_at: datetime | None = None
        self._in_kind = ZERO
        self._activities: dict[str, ActivityBooked] = {}
        self._account_cash = ZERO
        self._transferred = ZERO
        self._at_broker: tuple[BrokerPosition, ...] = ()
        self._lot_method = FIFO
        self._specific: dict[str, tuple[str, ...]] = {}
        self._waiting: dict[str, dict[str, dict[str, Decimal]]] = {}
        self._orders: dict[str, OwnOrder] = {}
        self._booked: dict[str, Booking] = {}
        self._unbooked: dict[str, Fill] = {}
        self._closings: dict[str, Closing] = {}
        self._session: Session | None = None
        self._instead: dict[str, dict[str, Decimal]] = {}
        self._named: dict[str, tuple[str, ...]] = {}
        # Fills that wait until the booking before theirs has come back: it decides what is still waited for. Between events it is empty.
        # What is foreseen is what the booking that is on its way will do, and what is waited for that it is part of, for as long as nothing
        # else has changed either.
        self._to_book: deque[Fill] = deque()
        self._booking: FillBooked | None = None
        self._foreseen: tuple[dict[str, Decimal], list[Foreseen]] | None = None
        self.acts: Final[Mapping[type[Event], Callable[[Any], None]]] = {
            FillBooked: self._apply,
            OrderFilled: self._hear,
            OrderIntended: self._intend,
            OrderClosed: self._end,
            AccountObserved: self._observe,
            RebalancePlanned: self._plan,
            SessionOpened: self._turn_to,
            FillBroken: self._undo,
            ActivityBooked: self._apply_activity,
            DaemonStarted: self._follow,
            LotsNamed: self._follow,
        }

    @property
    def books(self) -> Mapping[str, Book]:
        """The book of each strategy, by name."""
        return self._shelf.books

    @property
    def cash(self) -> Decimal | None:
        """The cash of the account in dollars as the first look at the broker and what was booked make it; ``None`` before that look."""
        if self._opening_cash is None:
            return None
        flows = ZERO
        for book in self._shelf.books.values():
            flows += book.cash_flow
        return self._opening_cash + flows + self._account_cash + self._transferred

    @property
    def account_cash(self) -> Decimal:
        """What the account earned that belongs to no strategy: interest, dividends of others' shares, fees of nobody's trades. Dollars."""
        return self._account_cash

    @property
    def transferred(self) -> Decimal:
        """What was paid into the account since it was first seen, less what was taken out of it, in dollars. It is no profit."""
        return self._transferred

    @property
    def paid_in(self) -> Decimal:
        """What was paid in since the account was first seen, less what was taken out, cash and shares, in dollars."""
        return self._transferred + self._in_kind

    @property
    def opened(self) -> tuple[datetime, Decimal] | None:
        """When the account was first seen, and its equity then in dollars."""
        return None if self._opened_at is None else (self._opened_at, self._opening_equity)

    @property
    def activities_since(self) -> datetime | None:
        """Since when rows of the account's activities may be missing; ``None`` before the account was first seen."""
        newest = max((booked.activity.at for booked in self._activities.values()), default=None)
        if self._opened_at is None or newest is None:
            return self._opened_at
        return max(self._opened_at, newest - ACTIVITIES_KEPT / 3)

    def holdings(self) -> dict[str, Decimal]:
        """Return the shares of every symbol over all strategies, by symbol in order."""
        books = self._shelf.books
        if len(books) == 1:  # A single book is in order, and nothing is to be added up.
            return next(iter(books.values())).holdings()
        total: dict[str, Decimal] = {}
        for _, book in sorted(books.items()):
            for symbol, quantity in book.holdings().items():
                total[symbol] = total.get(symbol, ZERO) + quantity
        return dict(sorted(total.items()))

    def replay(self, envelope: Envelope) -> None:
        """Apply an event of the journal without publishing anything."""
        self._replaying = True
        try:
            self(envelope)
        finally:
            self._replaying = False

    def take(self, rows: Iterable[AccountActivity], spin_offs: Mapping[str, SpinOff]) -> int:
        """Book the rows of the account's activities that have not been booked; return how many. What was before us is not ours.

        A row counts once, by its id. One that takes an earlier one back undoes it.
        """
        if self._opened_at is None:
            return 0
        opened_at = self._opened_at
        new = [row for row in rows if row.at > opened_at and _row_key(row) not in self._activities]
        for row, partner in in_order(new):
            self._post(self._activity_booking(row, partner, spin_offs))
        return len(new)

    def settle(self) -> int:
        """Book the fills whose booking the journal does not hold (it was cut short); return how many."""
        fills = list(self._unbooked.values())
        self._to_book.extend(fills)
        self._book_next()
        return len(fills)

    def __call__(self, envelope: Envelope) -> None:
        """Apply one event."""
        act = self.acts.get(type(envelope.event))
        if act is not None:
            act(envelope.event)

    def _intend(self, intended: OrderIntended) -> None:
        self._orders[intended.order.client_order_id] = OwnOrder(
            rebalance=intended.rebalance_id, intent=intended.intent_id, intended_at=intended.at
        )

    def _end(self, closed: OrderClosed) -> None:
        order = self._orders.get(closed.client_order_id)
        if order is not None:
            order.has_ended = True

    def _follow(self, said: DaemonStarted | LotsNamed) -> None:
        """Close lots from here on as the settings say, or as a person does, who comes first."""
        if isinstance(said, LotsNamed):
            self._named = {**self._named, said.symbol: said.lots}
            if not said.lots:
                del self._named[said.symbol]
            return
        self._lot_method, self._specific = said.lots, said.specific
        for name in said.strategies:
            self._shelf.book_of(name)

    def differences(self, positions: Mapping[str, Decimal], cash: Decimal) -> tuple[str, ...]:
        """Compare with the broker's positions and cash; return each difference in words, none when they agree.

        More shares at the broker than in the books are somebody else's and no difference; fewer are. Cash is compared to the cent.
        """
        found = []
        holdings = self.holdings()
        for symbol, quantity in holdings.items() if holdings != positions else ():
            at_broker = positions.get(symbol, ZERO)
            if at_broker < quantity:
                found.append(f"{symbol}: the books hold {number_string(quantity)}, the broker {number_string(at_broker)}")
        own = self.cash
        if own is not None and abs(own - cash) >= CENT:
            found.append(f"cash: the books hold {own:.2f}, the broker {cash:.2f}")
        return tuple(found)

    def _plan(self, plan: RebalancePlanned) -> None:
        # Earlier ones are kept: a fill that the venue was late to tell of may belong to a rebalance that has been parked.
        self._foreseen = None
        waiting = self._waiting.setdefault(plan.rebalance_id, {})
        for intent in plan.intents:
            waiting[intent.intent_id] = left = {}
            for wish in intent.wishes:
                left[wish.strategy] = wish.quantity
        for number, crossing in enumerate(plan.crossings, start=1):
            self._cross(plan, crossing, number)

    def _cross(self, plan: RebalancePlanned, crossing: Crossing, number: int) -> None:
        name = f"{plan.rebalance_id}/crossing/{number}"
        for strategy, quantity in ((crossing.seller, -crossing.quantity), (crossing.buyer, crossing.quantity)):
            closing = self._closing_of(crossing.symbol) if quantity < 0 else OLDEST_FIRST
            trade = Trade(
                execution_id=name, quantity=quantity, price=crossing.price, at=plan.at, method=closing.method, picks=closing.picks
            )
            self._shelf.carry_out(self._shelf.foreseen(strategy, crossing.symbol, trade))

    def _hear(self, filled: OrderFilled) -> None:
        fill = filled.fill
        key = fill.execution_id
        if fill.client_order_id not in self._orders or key in self._booked or key in self._unbooked:
            return
        self._unbooked[key] = fill
        if fill.side is SELL and (closing := self._closing_of(fill.symbol)) is not OLDEST_FIRST:
            self._closings[key] = closing
        if self._replaying:
            return
        if self._booking is None:  # Then none waits.
            self._book(fill)
        else:
            self._to_book.append(fill)

    def _book_next(self) -> None:
        while self._to_book and self._booking is None:
            self._book(self._to_book.popleft())

    def _book(self, fill: Fill) -> None:
        """Say who gets which part of a fill. The books change when that comes back as an event."""
        entries, foreseen = [], []
        waiting, key, symbol, price = self._waiting_for(fill.client_order_id), fill.execution_id, fill.symbol, fill.price
        parts = self._split_again(fill, waiting) if key in self._instead else split_fill(fill.quantity, waiting)
        is_sale = fill.side is SELL
        for strategy, quantity in parts.items():
            signed = -quantity if is_sale else quantity
            outcome = self._shelf.foreseen(strategy, symbol, self._trade_of(fill, signed))
            foreseen.append(outcome)
            entries.append(BookEntry(strategy=strategy, quantity=signed, price=price, cash=outcome.cash, realised=outcome.realised))
        self._foreseen = waiting, foreseen
        booking = self._booking = FillBooked(at=fill.at, execution_id=key, symbol=symbol, entries=tuple(entries))
        self._post(booking)

    def _split_again(self, fill: Fill, waiting: Mapping[str, Decimal]) -> dict[str, Decimal]:
        """Return who gets how much of what stands in the place of a corrected execution: it goes first to who had that."""
        had = {name: min(quantity, waiting.get(name, ZERO)) for name, quantity in self._instead[fill.execution_id].items()}
        again = min(fill.quantity, sum(had.values(), ZERO))
        parts = split_fill(again, had)
        left = {name: quantity - parts.get(name, ZERO) for name, quantity in waiting.items()}
        more = split_fill(fill.quantity - again, left)
        return {name: parts.get(name, ZERO) + more.get(name, ZERO) for name in sorted({*parts, *more})}

    def _apply(self, booked: FillBooked) -> None:
        """Change the books, once per execution, and let the next booking be made."""
        key, foreseen = booked.execution_id, None
        if booked is self._booking:
            self._booking, foreseen = None, self._foreseen
        if key not in self._booked:
            fill = self._unbooked.pop(key, None)
            if fill is None:
                raise InvariantBroken(f"execution {key} of {booked.symbol} is booked, but it was never a fill of ours; the daemon stops")
            self._booked[key] = Booking(order=fill.client_order_id, symbol=booked.symbol, entries=booked.entries)
            self._instead.pop(key, None)
            waiting, outcomes = foreseen or self._foreseen_anew(booked, fill)
            for entry in booked.entries:
                if entry.strategy in waiting:
                    waiting[entry.strategy] -= abs(entry.quantity)
            for outcome in outcomes:
                self._shelf.carry_out(outcome)
            self._closings.pop(key, None)
        if self._to_book:
            self._book_next()

    def _foreseen_anew(self, booked: FillBooked, fill: Fill) -> tuple[dict[str, Decimal], list[Foreseen]]:
        parts = [(entry.strategy, self._trade_of(fill, entry.quantity)) for entry in booked.entries]
        outcomes = [self._shelf.foreseen(strategy, booked.symbol, trade) for strategy, trade in parts]
        return self._waiting_for(fill.client_order_id), outcomes

    def _waiting_for(self, client_order_id: str) -> dict[str, Decimal]:
        """Return what each strategy still waits for of the intent that an order of ours works for."""
        order = self._orders[client_order_id]
        return self._waiting.get(order.rebalance, {}).get(order.intent, {})

    def _undo(self, told: FillBroken) -> None:
        """Take an execution that the venue took back out of the books: they become what they would be without it.

        Its shares are waited for again by who had them. Shares of it that have been sold since are owed.
        """
        broken, replaced_by = told.fill, told.replaced_by
        key = broken.execution_id
        if self._unbooked.pop(key, None) is not None:
            self._to_book = deque(fill for fill in self._to_book if fill.execution_id != key)
            self._closings.pop(key, None)
            self._booked[key] = Booking(order=broken.client_order_id, symbol=broken.symbol, entries=())
        booking = self._booked.get(key)
        if booking is None or not booking.entries:
            return  # Not ours, or taken back already.
        self._booked[key] = msgspec.structs.replace(booking, entries=())
        self._foreseen = None
        waiting = self._waiting_for(booking.order)
        for entry in booking.entries:
            symbol = self._shelf.name_at(booking.symbol, broken.at)
            taken = Trade(execution_id=key, quantity=entry.quantity, price=entry.price, at=broken.at)
            self._shelf.take_back(entry.strategy, symbol, taken, replaced_by=replaced_by)
            if entry.strategy in waiting:
                waiting[entry.strategy] += abs(entry.quantity)
        if replaced_by is not None:
            self._instead[replaced_by] = {entry.strategy: abs(entry.quantity) for entry in booking.entries}

    def _turn_to(self, opened: SessionOpened) -> None:
        """Forget now and then, at the first opening of a session, what cannot turn out otherwise any more; the books stay."""
        session, before = opened.session, self._session
        if before is not None and session.date <= before.date:
            return  # Opened again after a restart.
        self._session, self._foreseen = session, None
        if before is None:
            return
        if _week_of(session.date) != _week_of(before.date):
            self._forget_ended(before)
        if session.date.month != before.date.month:
            self._shelf.forget(session.date)

    def _forget_ended(self, before: Session) -> None:
        """Forget, as a week begins, the orders that had ended before the session before it."""
        unbooked, opened_at = {fill.client_order_id for fill in self._unbooked.values()}, before.opens_at
        orders = self._orders = {
            key: order for key, order in self._orders.items() if not order.has_ended or order.intended_at >= opened_at or key in unbooked
        }
        booked = self._booked = {execution: booking for execution, booking in self._booked.items() if booking.order in orders}
        self._instead = {execution: had for execution, had in self._instead.items() if execution in self._unbooked}
        # What an issuer did may be taken back for as long as its row is known, as an execution may for as long as its order is.
        self._shelf.settle(booked.keys() | self._activities.keys())
        in_use, first = {order.rebalance for order in orders.values()}, session_id(before.date)
        self._waiting = {rebalance: left for rebalance, left in self._waiting.items() if rebalance in in_use or rebalance >= first}
        if self._activities:
            self._forget_activities()

    def _closing_of(self, symbol: str) -> Closing:
        """Return which lots a sale of a symbol closes that is heard of now."""
        if symbol in self._named:
            return Closing(LotMethod.SPECIFIC, self._named[symbol])
        if self._lot_method is FIFO:
            return OLDEST_FIRST
        return Closing(self._lot_method, self._specific.get(symbol, ()))

    def _trade_of(self, fill: Fill, quantity: Decimal) -> Trade:
        """Return a strategy's part of a fill; when it is worked out anew later it closes the same lots."""
        closing = self._closings.get(fill.execution_id, OLDEST_FIRST)
        return Trade(
            execution_id=fill.execution_id,
            quantity=quantity,
            price=fill.price,
            at=fill.at,
            method=closing.method,
            picks=closing.picks,
        )

    # --- what happens without a trade ---

    def _observe(self, observed: AccountObserved) -> None:
        if self._opening_cash is None:
            self._opening_cash, self._opening_equity = observed.account.cash, observed.account.equity
            self._opened_at = observed.at
        self._at_broker = observed.positions

    def _activity_booking(self, row: AccountActivity, partner: AccountActivity | None, spin_offs: Mapping[str, SpinOff]) -> ActivityBooked:
        """Say who gets which part of a row. The books change when that comes back as an event."""
        at_broker = {position.symbol: position.quantity for position in self._at_broker}
        facts = Facts(self._shelf, at_broker, spin_offs, tuple(self._activities.values()))
        if row.status not in (CANCELLED, CORRECTED):
            return booking_of(row, partner, facts)
        wrong = self._activities.get(row.previous_id or row.activity_id)
        if wrong is None or wrong.treatment is Treatment.REVERSAL:
            nothing = ActivityBooked(at=row.at, activity=row, treatment=Treatment.REVERSAL, entries=())
            return nothing if row.status == CANCELLED else booking_of(row, partner, facts)
        reversal = reversal_of(row, wrong, self._shelf)
        if row.status == CANCELLED or reversal.treatment is Treatment.OTHER or any(entry.quantity for entry in reversal.entries):
            return reversal
        right = booking_of(row, partner, facts)
        return msgspec.structs.replace(
            right,
            entries=(*reversal.entries, *right.entries),
            account_cash=reversal.account_cash + right.account_cash,
            transferred=reversal.transferred + right.transferred,
            value_in_kind=reversal.value_in_kind + right.value_in_kind,
        )

    def _apply_activity(self, booked: ActivityBooked) -> None:
        """Change the books, once per row."""
        key = _row_key(booked.activity)
        if key in self._activities:
            return
        self._activities[key] = booked
        self._account_cash += booked.account_cash
        self._transferred += booked.transferred
        self._in_kind += booked.value_in_kind
        self._foreseen = None
        carry_out(booked, self._shelf)

    def _forget_activities(self) -> None:
        newest = max(booked.activity.at for booked in self._activities.values())
        self._activities = {key: booked for key, booked in self._activities.items() if booked.activity.at >= newest - ACTIVITIES_KEPT}


def _week_of(day: date) -> int:
    """Return which week since the first Monday of the calendar a day belongs to."""
    return (day.toordinal() - 1) // 7


def _row_key(row: AccountActivity) -> str:
    """Return what a row is known by: a row that comes again with another word for its state is news."""
    return row.activity_id if row.status not in (CANCELLED, CORRECTED) else f"{row.activity_id} {row.status}"
