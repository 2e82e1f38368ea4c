"""The trading floor: what happens to admitted orders as time passes and the market moves (sections 4, 9.1 and 10).

Acknowledging, matching, electing stops, cancels and replacements that take their time, the opening and the closing of a day. Everything
that waits is a :class:`~alchemiser.exchange.snapshot.Due` in one heap, so the same calls give the same events however coarsely time is
advanced between them. Market data stamped with a moment is seen by what is due at that moment.
"""

from datetime import datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Final

from alchemiser.domain.money import ZERO, from_float, truncate_shares
from alchemiser.exchange.activities import ActivityLog, Traded
from alchemiser.exchange.admission import Admission
from alchemiser.exchange.agenda import Agenda
from alchemiser.exchange.assets import OVERNIGHT_HALTED, OVERNIGHT_TRADABLE
from alchemiser.exchange.blotter import Blotter
from alchemiser.exchange.book import Book, Level, is_within
from alchemiser.exchange.charges import FeesOfDay
from alchemiser.exchange.groups import Groups
from alchemiser.exchange.ids import uuid_text
from alchemiser.exchange.matching import (
    Execution,
    elects,
    is_behind,
    is_marketable,
    is_triggered,
    join_queue,
    next_execution,
    reopening_price,
    tape_execution,
    trade_through_quantity,
    trail,
    whole_execution,
)
from alchemiser.exchange.orders import OrderStatus, VenueOrder
from alchemiser.exchange.settings import ExchangeSettings
from alchemiser.exchange.snapshot import Due, ExchangeState
from alchemiser.exchange.standing import Standing
from alchemiser.exchange.timeline import CLOSED, OVERNIGHT, REGULAR, Timeline
from alchemiser.exchange.whims import PARKED, NoWhims, Whims

_IMMEDIATE: Final = ("ioc", "fok")
# Looking a member of an enumeration up takes its time; every order asks for these.
_PENDING_NEW: Final = OrderStatus.PENDING_NEW
_NEW: Final = OrderStatus.NEW
_PARTIALLY_FILLED: Final = OrderStatus.PARTIALLY_FILLED
_FILLED: Final = OrderStatus.FILLED
_PENDING_CANCEL: Final = OrderStatus.PENDING_CANCEL
_PENDING: Final = (_PENDING_CANCEL, OrderStatus.PENDING_REPLACE)


class Floor:
    """The matching of one exchange. The trading day calls it when a phase begins or ends; the exchange calls it for everything else."""

    def __init__(
        self,
        state: ExchangeState,
        *,
        agenda: Agenda,
        blotter: Blotter,
        groups: Groups,
        log: ActivityLog,
        standing: Standing,
        admission: Admission,
        timeline: Timeline,
        settings: ExchangeSettings,
        random: Random,
    ) -> None:
        self._state = state
        self._agenda = agenda
        self._blotter = blotter
        self._groups = groups
        self._log = log
        self._standing = standing
        self._admission = admission
        self._timeline = timeline
        self._settings = settings
        self._random = random
        self.whims: Whims = NoWhims()
        self._acknowledge_after = timedelta(milliseconds=settings.acknowledge_ms)
        self._match_after = timedelta(milliseconds=settings.match_ms)
        self._is_instant = settings.engine == "instant"
        self._quote_life = None if settings.quote_life_seconds is None else timedelta(seconds=settings.quote_life_seconds)

    # --- what orders go through ---

    def enter(self, order: VenueOrder, at: datetime) -> None:
        """Take in an admitted order: on its way to the market while its session is open, queued otherwise."""
        is_sent = self.is_session_open_for(order)
        if is_sent and self._is_instant and self._is_filled_at_once(order, at):
            return
        self._blotter.add(order)
        if is_sent:
            self.route(order, at)
        else:
            self._blotter.emit("accepted", order, at)
        for leg in order.legs:
            self._blotter.emit("held", leg, at)

    def route(self, order: VenueOrder, at: datetime) -> None:
        """Send an order to the market."""
        self._blotter.transition(order, _PENDING_NEW, at)
        self._agenda.plan(at + self._acknowledge_after, "acknowledge", order.id)

    def enter_replacement(self, old: VenueOrder, new: VenueOrder, at: datetime) -> None:
        """Begin to replace ``old`` by ``new``; until it is done ``old`` may still be filled."""
        self._blotter.transition(old, OrderStatus.PENDING_REPLACE, at, told=self._settings.pending_replace_event)
        old.replaced_by = new.id
        self._blotter.add(new)
        self._blotter.emit(new.status.value, new, at)
        self._agenda.plan(at + timedelta(milliseconds=self._settings.replace_ms), "replace", new.id)

    def ask_cancel(self, order: VenueOrder, at: datetime) -> None:
        """Begin to cancel an order and its group; what the market cannot touch now is cancelled at once."""
        if not self.is_session_open_for(order):
            self.cancel_now(order, at)
            return
        for member in self._blotter.group(order):
            if member is order or (member.status not in _PENDING and not self._groups.is_waiting(member)):
                self._blotter.transition(member, OrderStatus.PENDING_CANCEL, at)
                late = timedelta(seconds=self.whims.stalls_cancel(member.symbol, at))
                self._agenda.plan(at + timedelta(milliseconds=self._settings.cancel_ms) + late, "cancel", member.id)

    def cancel_now(self, order: VenueOrder, at: datetime) -> None:
        """Cancel an open order and its group."""
        self.end(order, OrderStatus.CANCELED, at)

    def end(self, order: VenueOrder, status: OrderStatus, at: datetime) -> None:
        """End an open order otherwise than by a fill, and what cannot go on without it."""
        self._blotter.transition(order, status, at)
        self._groups.ended(order, at)

    def perform(self, due: Due) -> None:
        """Do what was planned for an order; what the order's life has overtaken is left undone."""
        order = self._blotter.get(due.order_id)
        match due.kind:
            case "acknowledge" if order.status is _PENDING_NEW:
                self._acknowledge(order, due.at)
            case "match" if order.is_open:
                self._arrive(order, due.at)
            case "activate":
                self._groups.activate(order, due.at)
            case "cancel" if order.status is _PENDING_CANCEL:
                self._cancel(order, due.at)
            case "unpark" if order.status in PARKED:
                self._blotter.transition(order, OrderStatus.NEW, due.at)
                self._agenda.plan(due.at + self._match_after, "match", order.id)
            case "replace":
                self._replace(order, due.at)
            case _:
                pass

    def is_session_open_for(self, order: VenueOrder) -> bool:
        """Whether the present phase lets an order trade."""
        phase = self._state.phase
        if phase is REGULAR:
            return True
        if phase is OVERNIGHT:
            return order.extended_hours and self._trades_overnight(order.symbol)
        return order.extended_hours and phase is not CLOSED

    def _trades_overnight(self, symbol: str) -> bool:
        attributes = self._standing.asset(symbol).attributes
        is_tradable = OVERNIGHT_TRADABLE in attributes and OVERNIGHT_HALTED not in attributes
        return is_tradable and not self._state.account.configuration.disable_overnight_trading

    # --- what the market does ---

    def look_at_all(self, symbol: str, at: datetime) -> None:
        """Look at every open order of a symbol, oldest first."""
        found = self._blotter.open.by_symbol.get(symbol)
        if found is None:
            return
        book = self._state.books[symbol]
        near = {"buy": book.near("buy"), "sell": book.near("sell")}
        for order in list(found.orders.values()):
            level = near[order.side]
            # Thousands may rest behind the best price of their own side: none of them trades, and none has a queue to join.
            if not (order.is_resting and level is not None and is_behind(order, level.price)):
                self.look(order, at)

    def take_trade(self, symbol: str, price: float, size: float, at: datetime) -> None:
        """Show the book a trade of the tape: it elects stops and fills resting orders that it reaches."""
        book = self._state.books[symbol]
        book.take_trade(price, at)
        if book.is_halted or symbol not in self._blotter.open.by_symbol:
            return
        exact, left = from_float(price, decimals=4), from_float(size)
        for order in self._blotter.open_of(symbol):
            if is_behind(order, exact):
                continue
            if not order.is_matchable or not self.is_session_open_for(order):
                continue
            self._blotter.touch(order)
            if not is_triggered(order):
                self._follow(order, book, exact, at)
            elif order.is_resting and order.time_in_force != "cls" and self._settings.engine == "book":
                left -= self._fill_from_tape(order, book, exact, left, at)

    def look(self, order: VenueOrder, at: datetime) -> None:
        """Let an order trade with the book as it stands."""
        if not order.is_matchable or order.time_in_force == "cls" or not self.is_session_open_for(order):
            return
        book = self._state.books[order.symbol]
        level = book.far(order.side) if self._is_live(book, at) else None
        if level is None:
            if order.time_in_force in _IMMEDIATE:
                self.end_remainder(order, at)
            return
        if not is_triggered(order):
            return
        if order.time_in_force == "opg":
            self.auction(order, at)
            return
        if order.hold_price == 0 and not self._can_pay(order, level.price, at):
            return
        self._blotter.touch(order)
        self._execute_at(order, book, level, at)

    def auction(self, order: VenueOrder, at: datetime) -> None:
        """Let an auction order trade at the quote and cancel what is left of it."""
        book = self._state.books[order.symbol]
        level = book.far(order.side) if self._is_live(book, at) else None
        if order.is_matchable and level is not None:
            execution = whole_execution(order, level.price, self._free)
            if execution is not None:
                self._execute(order, execution, at)
        if order.is_open:
            self.end_remainder(order, at)

    def reopen(self, symbol: str, at: datetime, cross: float | None) -> None:
        """Let the auction after a halt trade: every order that its one price satisfies, at that price and whatever its size."""
        book = self._state.books[symbol]
        if self._state.phase is not REGULAR or not self._is_live(book, at):
            return
        price = reopening_price(book, cross)
        if price is None or not is_within(book.band, price):
            return
        for order in self._blotter.open_of(symbol):
            if not (order.is_matchable and is_triggered(order) and order.time_in_force != "cls" and order.is_open):
                continue
            if order.hold_price == 0 and not self._can_pay(order, price, at):
                continue
            execution = whole_execution(order, price, self._free)
            if execution is not None:
                self._execute(order, execution, at)

    def end_remainder(self, order: VenueOrder, at: datetime) -> None:
        """End what is left of an order that does not wait: ioc, fok, opg, cls."""
        is_cancelled = order.status is _PENDING_CANCEL or self._settings.auction_remainder == "canceled"
        self.end(order, OrderStatus.CANCELED if is_cancelled else OrderStatus.EXPIRED, at)

    def charge(self, order: VenueOrder, quantity: Decimal, price: Decimal, at: datetime) -> FeesOfDay:
        """Add the fees of an execution that is part of what the order has filled to those of the day; return them."""
        fees = FeesOfDay()
        day, before = self._timeline.date_of(at), order.filled_qty - quantity
        fees.add(order.sign, quantity, price, filled_before=before, on=day, settings=self._settings)
        self._state.account.fees.include(fees)
        return fees

    def cancel_misfits(self, symbol: str, at: datetime) -> None:
        """Cancel the orders that shares which came or went have made wrong: they would sell too much, or open the other side."""
        quantity = self._state.account.quantity(symbol)
        is_oversold = self._standing.free_shares(symbol) < 0
        for order in self._blotter.open_of(symbol):
            is_reducing = order.sign * quantity < 0
            # An earlier order of its group may have taken it along.
            if order.is_open and not order.is_dormant and (is_reducing != order.is_closing or (order.is_closing and is_oversold)):
                self.cancel_now(order, at)

    # --- private ---

    def _is_live(self, book: Book, at: datetime) -> bool:
        """Whether orders may trade on the quote: of this phase of the day, young enough, not crossed, and the symbol not halted."""
        quote, life = book.quote, self._quote_life
        if quote is None or book.is_halted or quote.at < self._state.phase_since or (quote.ask < quote.bid and quote.ask > 0):
            return False
        return life is None or at - quote.at <= life

    def _is_filled_at_once(self, order: VenueOrder, at: datetime) -> bool:
        """Fill an order that has just come in, if that is all that will ever happen to it, and return whether it was so."""
        if order.order_class or not order.hold_price or order.time_in_force in ("opg", "cls"):
            return False
        book = self._state.books[order.symbol]
        level = book.far(order.side) if is_triggered(order) and self._is_live(book, at) else None
        if level is None:
            return False
        if book.band is not None and not is_within(book.band, level.price):
            return False
        execution = whole_execution(order, level.price, self._free)
        if execution is None or not execution.completes:
            return False
        order.status = _NEW  # For no time at all: it is filled before anybody can hear that it works.
        self._book(order, execution, at)
        self._blotter.add(order)
        return True

    def _acknowledge(self, order: VenueOrder, at: datetime) -> None:
        if self.whims.rejects(order.symbol, at):
            self.end(order, OrderStatus.REJECTED, at)
            return
        self._blotter.transition(order, _NEW, at)
        parking = self.whims.parks(order.symbol, at)
        if parking is None:
            self._agenda.plan(at + self._match_after, "match", order.id)
        else:
            self._blotter.transition(order, parking.status, at)
            self._agenda.plan(at + timedelta(seconds=parking.seconds), "unpark", order.id)
        self._groups.acknowledged(order, at)

    def _cancel(self, order: VenueOrder, at: datetime) -> None:
        """Cancel an order as was asked, unless the market refuses: then it works on. The cancel of a group is never refused."""
        if order.order_class or not self.whims.refuses_cancel(order.symbol, at):
            self.cancel_now(order, at)
            return
        back = OrderStatus.PARTIALLY_FILLED if order.filled_qty else OrderStatus.NEW
        self._blotter.transition(order, back, at, event="order_cancel_rejected")
        if order.is_matchable:
            self.look(order, at)
        else:
            self._agenda.plan(at + self._match_after, "match", order.id)

    def _arrive(self, order: VenueOrder, at: datetime) -> None:
        order.is_matchable = True
        self._blotter.touch(order)
        book = self._state.books[order.symbol]
        if not is_triggered(order) and book.last is not None and book.last_at is not None and book.last_at >= self._state.phase_since:
            self._follow(order, book, book.last, at)
        self.look(order, at)

    def _replace(self, new: VenueOrder, at: datetime) -> None:
        old = self._blotter.get(new.replaces or "")
        is_held = new.status is OrderStatus.HELD
        is_wanted = is_held or new.status is OrderStatus.PENDING_NEW
        is_refused = self.whims.refuses_replace(old.symbol, at)
        if old.status is OrderStatus.PENDING_REPLACE and is_wanted and not is_refused and self._admission.resized(old, new):
            self._blotter.hand_over(old, new)
            self._blotter.transition(old, OrderStatus.REPLACED, at)
            if is_held:
                self._groups.wake_unless_dormant(new, at)
            else:
                self._acknowledge(new, at)
            return
        # Either the old order ended first, or the new one has nothing left to do or ended before it began.
        if is_wanted:
            self._blotter.transition(new, OrderStatus.REJECTED, at)
        if old.status is OrderStatus.PENDING_REPLACE:
            old.replaced_by = None
            back = OrderStatus.HELD if is_held else OrderStatus.PARTIALLY_FILLED if old.filled_qty else OrderStatus.NEW
            self._blotter.transition(old, back, at, event="order_replace_rejected")
            if is_held:
                self._groups.wake_unless_dormant(old, at)

    def _follow(self, order: VenueOrder, book: Book, price: Decimal, at: datetime) -> None:
        """Elect or trail a stop after a trade; a print outside the NBBO is no evidence."""
        bid, ask = book.far("sell"), book.far("buy")
        if self._is_live(book, at) and ((bid is not None and price < bid.price) or (ask is not None and price > ask.price)):
            return
        if elects(order, price):
            order.is_elected = True
            self._groups.elected(order, at)
            self.look(order, at)
            if order.status is OrderStatus.HELD:
                self._blotter.transition(order, OrderStatus.NEW, at)
        elif order.type == "trailing_stop":
            trail(order, price)

    def _fill_from_tape(self, order: VenueOrder, book: Book, price: Decimal, size: Decimal, at: datetime) -> Decimal:
        reached = trade_through_quantity(order, price, size)
        if reached <= 0:
            return ZERO
        execution = tape_execution(order, reached, self._free)
        if execution is None or not is_within(book.band, execution.price):
            return ZERO
        self._execute(order, execution, at)
        return execution.quantity

    def _can_pay(self, order: VenueOrder, price: Decimal, at: datetime) -> bool:
        """Reserve for an order that nobody could price when it came; the venue rejects it now if the account cannot pay."""
        order.hold_price = price
        self._blotter.hold_anew(order)
        if order.status in _PENDING or self._standing.lacks_buying_power_for(order, self._standing.valuation(), excluding=[order]) is None:
            return True
        self.end(order, OrderStatus.REJECTED, at)
        return False

    def _execute_at(self, order: VenueOrder, book: Book, level: Level, at: datetime) -> None:
        while order.is_open:
            execution = next_execution(order, level, settings=self._settings, random=self._random, free=self._free, band=book.band)
            if execution is None:
                break
            self._execute(order, execution, at)
            if self._settings.engine != "book":
                break
        if order.is_open and order.time_in_force in _IMMEDIATE:
            self.end_remainder(order, at)
        elif order.is_open and not is_marketable(order, level.price):
            join_queue(order, book.near(order.side))

    def _free(self, order: VenueOrder) -> Decimal | None:
        """Return how many shares may still go to a notional order that closes a position; one that opens has its bound in its dollars."""
        if not order.is_closing:
            return None
        return self._standing.free_shares(order.symbol, excluding=[order])

    def _execute(self, order: VenueOrder, execution: Execution, at: datetime) -> None:
        """Book an execution; the venue may cut it short, and the order with it."""
        half = truncate_shares(execution.quantity / 2, whole=execution.quantity == execution.quantity.to_integral_value())
        if half > 0 and order.notional is None and self.whims.cuts_short(order.symbol, at):
            self._book(order, Execution(half, execution.price, completes=False), at)
            if order.is_open:
                self.cancel_now(order, at)
        else:
            self._book(order, execution, at)

    def _book(self, order: VenueOrder, execution: Execution, at: datetime) -> None:
        quantity, price, sign = execution.quantity, execution.price, 1 if order.side == "buy" else -1
        order.filled_qty += quantity
        order.filled_value += quantity * price
        assert order.qty is None or order.filled_qty <= order.qty, f"order {order.id} is overfilled"
        settles = self._timeline.settlement_date(at)
        position = self._state.account.book(order.symbol, sign, quantity, price, settles)
        fees = self.charge(order, quantity, price, at) if self._settings.fees else None
        if execution.completes:
            order.move_to(_FILLED, at)
        elif order.status not in _PENDING:
            order.move_to(_PARTIALLY_FILLED, at)
        else:
            order.updated_at = at
        traded = Traded(uuid_text(self._random.getrandbits(128)), order.symbol, sign, quantity, price, settles, fees)
        self._log.add_execution(order, traded, at)
        self._blotter.executed(order, traded, position, at)
        if order.order_class:
            self._groups.executed(order, quantity, at)
