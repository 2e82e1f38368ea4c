"""The ledger: every fill booked once, to the strategies that asked for it, exact to the cent and to the share fraction.

An inline component of the bus. It keeps one :class:`~alchemiser.portfolio.lots.Book` per strategy and the cash of the account. What it
knows follows from journaled events alone, so replaying them gives the same books; while it replays it publishes nothing.
"""

from collections.abc import Callable, Mapping
from decimal import Decimal

from alchemiser.bus.envelope import Envelope
from alchemiser.domain.events import (
    AccountObserved,
    BookEntry,
    DaemonStarted,
    Event,
    FillBooked,
    OrderFilled,
    OrderIntended,
    RebalancePlanned,
)
from alchemiser.domain.intents import Crossing
from alchemiser.domain.money import ZERO, number_string
from alchemiser.domain.orders import Fill, Side
from alchemiser.portfolio.attribution import split_fill
from alchemiser.portfolio.lots import Book


class Ledger:
    """The books of all strategies and the cash of the account as our own fills make it.

    ``post`` publishes what follows from an event. A fill of an order that is not ours is not booked: it belongs to no strategy.
    """

    listens_to = (DaemonStarted, AccountObserved, RebalancePlanned, OrderIntended, OrderFilled, FillBooked)

    def __init__(self, post: Callable[[Event], object]) -> None:
        self._post = post
        self._replaying = False
        self._books: dict[str, Book] = {}
        self._opening_cash: Decimal | None = None
        self._waiting: dict[tuple[str, str], dict[str, Decimal]] = {}
        self._intents: dict[str, tuple[str, str]] = {}
        self._booked: set[str] = set()
        self._unbooked: dict[str, Fill] = {}

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
        for fill in fills:
            self._book(fill)
        return len(fills)

    def __call__(self, envelope: Envelope) -> None:
        """Apply one event."""
        match envelope.event:
            case DaemonStarted(strategies=strategies):
                for name in strategies:
                    self._books.setdefault(name, Book())
            case AccountObserved(account=account):
                if self._opening_cash is None:
                    self._opening_cash = account.cash
            case RebalancePlanned() as plan:
                self._plan(plan)
            case OrderIntended() as intended:
                self._intents[intended.order.client_order_id] = (intended.rebalance_id, intended.intent_id)
            case OrderFilled(fill=fill):
                if fill.client_order_id in self._intents and fill.execution_id not in self._booked:
                    self._unbooked[fill.execution_id] = fill
                    if not self._replaying:
                        self._book(fill)
            case FillBooked() as booked:
                self._apply(booked)
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
            (plan.rebalance_id, intent.intent_id): {wish.strategy: wish.quantity for wish in intent.wishes} for intent in plan.intents
        }
        for number, crossing in enumerate(plan.crossings, start=1):
            self._cross(plan, crossing, number)

    def _cross(self, plan: RebalancePlanned, crossing: Crossing, number: int) -> None:
        name = f"{plan.rebalance_id}/crossing/{number}"
        seller, _ = self._books.get(crossing.seller, Book()).sell(crossing.symbol, crossing.quantity, crossing.price)
        buyer = self._books.get(crossing.buyer, Book())
        self._books[crossing.seller] = seller
        self._books[crossing.buyer] = buyer.buy(crossing.symbol, crossing.quantity, crossing.price, at=plan.at, execution_id=name)

    def _book(self, fill: Fill) -> None:
        key = self._intents[fill.client_order_id]
        entries = []
        for strategy, quantity in split_fill(fill.quantity, self._waiting.get(key, {})).items():
            realised = ZERO
            if fill.side is Side.SELL:
                _, realised = self._books[strategy].sell(fill.symbol, quantity, fill.price)
            signed = fill.side.sign * quantity
            entries.append(BookEntry(strategy=strategy, quantity=signed, price=fill.price, cash=-signed * fill.price, realised=realised))
        booked = FillBooked(at=fill.at, execution_id=fill.execution_id, symbol=fill.symbol, entries=tuple(entries))
        self._waiting[key] = {
            name: left - sum((abs(entry.quantity) for entry in entries if entry.strategy == name), ZERO)
            for name, left in self._waiting[key].items()
        }
        self._unbooked.pop(fill.execution_id)
        self._booked.add(fill.execution_id)
        self._change(booked, fill)
        self._post(booked)

    def _apply(self, booked: FillBooked) -> None:
        """Apply a booking of the journal; our own came here when it was made and changes nothing."""
        if booked.execution_id in self._booked:
            return
        fill = self._unbooked.pop(booked.execution_id)
        self._booked.add(booked.execution_id)
        waiting = self._waiting.get(self._intents[fill.client_order_id], {})
        for entry in booked.entries:
            if entry.strategy in waiting:
                waiting[entry.strategy] -= abs(entry.quantity)
        self._change(booked, fill)

    def _change(self, booked: FillBooked, fill: Fill) -> None:
        for entry in booked.entries:
            book = self._books.get(entry.strategy, Book())
            if entry.quantity > 0:
                book = book.buy(booked.symbol, entry.quantity, entry.price, at=fill.at, execution_id=fill.execution_id)
            else:
                book, _ = book.sell(booked.symbol, -entry.quantity, entry.price)
            self._books[entry.strategy] = book
