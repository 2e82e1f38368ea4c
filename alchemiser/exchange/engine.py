"""The embedded exchange itself: one account, its orders and the market they meet, without sockets, clock or loop.

Promises: deterministic (the same calls with the same seed give the same answers, ids included); a refusal raises ``errors.ApiError`` and
changes nothing; cash and positions are exact; what is told by :meth:`Exchange.drain` is everything that happened to orders, in order.
Every method that takes ``now`` (UTC) first does whatever was due until then; time that goes back counts as standing still. It knows no
client, credential, stream or fault: those are the matter of the faces around it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from heapq import heappop
from random import Random
from typing import Any, Final

from alchemiser.domain.market import Quote, Session
from alchemiser.domain.money import SUB_CENT, from_float
from alchemiser.exchange.account import Position
from alchemiser.exchange.activities import ActivityLog
from alchemiser.exchange.admission import Admission
from alchemiser.exchange.agenda import Agenda
from alchemiser.exchange.assets import AssetChange, AssetRecord
from alchemiser.exchange.blotter import Blotter
from alchemiser.exchange.book import Books
from alchemiser.exchange.corrections import Corrections
from alchemiser.exchange.day import DayShift
from alchemiser.exchange.errors import ApiError, not_found
from alchemiser.exchange.floor import Floor
from alchemiser.exchange.groups import Groups
from alchemiser.exchange.issuer_actions import CorporateAction, check_listed
from alchemiser.exchange.issuers import Issuers
from alchemiser.exchange.margin_calls import MarginRecord
from alchemiser.exchange.order_desk import OrderDesk
from alchemiser.exchange.orders import OrderUpdate, VenueOrder
from alchemiser.exchange.parts import StateChanges, StateParts
from alchemiser.exchange.portfolio_history import HistoryFilter, HistoryReport, mark_after
from alchemiser.exchange.requests import ActivityFilter, OrderFilter, OrderRequest, ReplaceRequest
from alchemiser.exchange.settings import ExchangeSettings
from alchemiser.exchange.snapshot import ExchangeState, decode_state, encode_state, fresh_state
from alchemiser.exchange.standing import Standing
from alchemiser.exchange.statements import account_json, configuration_json, configured, position_json
from alchemiser.exchange.timeline import CLOSED, NEW_YORK, REGULAR, Timeline
from alchemiser.exchange.turns import Work, at_once
from alchemiser.exchange.watchlists import Watchlists
from alchemiser.exchange.whims import Whims

_NEVER: Final = datetime.max.replace(tzinfo=UTC)


class Exchange:
    """A venue with one account. Without a ``state`` it opens a new account at ``opened_at``."""

    def __init__(
        self,
        *,
        settings: ExchangeSettings,
        assets: Mapping[str, AssetRecord],
        sessions: Callable[[date], Session | None],
        random: Random,
        opened_at: datetime,
        state: ExchangeState | None = None,
    ) -> None:
        timeline = Timeline(sessions, overnight=settings.overnight)
        if state is None:
            state = fresh_state(settings, timeline, random, opened_at)
        state.books = Books(state.books, price_decimals=settings.price_decimals)
        self._state = state
        self._parts = StateParts(state, random)
        self._settings = settings
        self._random = random
        self._timeline = timeline
        self._agenda = agenda = Agenda(state)
        self._log = log = ActivityLog(state.activities)
        listed = dict(assets)  # One for all who look things up in it: more may be listed later.
        self._blotter = Blotter(state, random, settings, listed)
        self.standing = Standing(state, self._blotter, listed, settings)
        """How the account stands; to be asked only."""
        self._admission = admission = Admission(
            state, blotter=self._blotter, standing=self.standing, timeline=timeline, settings=settings, random=random
        )
        self._floor = Floor(
            state,
            agenda=agenda,
            blotter=self._blotter,
            groups=Groups(self._blotter, agenda, self.standing, settings),
            log=log,
            standing=self.standing,
            admission=admission,
            timeline=timeline,
            settings=settings,
            random=random,
        )
        self._corrections = Corrections(state, blotter=self._blotter, floor=self._floor, log=log, settings=settings)
        self._issuers = Issuers(state, blotter=self._blotter, standing=self.standing, floor=self._floor, log=log, settings=settings)
        self._day = DayShift(
            state,
            agenda=agenda,
            blotter=self._blotter,
            standing=self.standing,
            floor=self._floor,
            issuers=self._issuers,
            log=log,
            timeline=timeline,
            settings=settings,
        )
        self._watchlists = Watchlists(
            state.watchlists, account_id=state.account.id, asset_of=self.standing.asset, new_uuid=self._blotter.new_uuid
        )
        self._history = HistoryReport(state.history, timeline, (state.opened_at.astimezone(NEW_YORK).date(), state.starting_cash))
        self._desk = OrderDesk(
            state,
            blotter=self._blotter,
            standing=self.standing,
            admission=admission,
            floor=self._floor,
            settings=settings,
        )
        if not settings.equity_by_minute:
            state.sample_at = _NEVER
        if not state.due:
            self._day.plan_day(opened_at)

    # --- orders ---

    def submit(self, request: OrderRequest, now: datetime) -> VenueOrder:
        """Accept an order or raise ``ApiError``; ``order_text`` makes the answer."""
        at = self.advance(now)
        order = self._admission.admit(request, at)
        self._floor.enter(order, at)
        return order

    def replace(self, order_id: str, request: ReplaceRequest, now: datetime) -> VenueOrder:
        """Replace a working order and return the new one; until that is done the old one may still be filled."""
        return self._desk.replace(order_id, request, self.advance(now))

    def cancel(self, order_id: str, now: datetime) -> None:
        """Ask for a cancel (204); the cancel itself follows on the order stream. Asking again meanwhile is harmless unless switched."""
        self._desk.cancel(order_id, self.advance(now))

    def cancel_all(self, now: datetime) -> list[dict[str, Any]]:
        """Ask for the cancel of every open order; return the rows of the 207 answer, with the error of those that are refused."""
        return self._desk.cancel_all(self.advance(now))

    def order(self, order_id: str) -> VenueOrder:
        """Return the order with that id, dashed or not. Raises the 404 of an unknown one."""
        return self._blotter.get(order_id)

    def order_by_client_id(self, client_order_id: str) -> VenueOrder:
        """Return the order with that client order id. Raises the 404 of an unknown one."""
        return self._blotter.get_by_client_id(client_order_id)

    def symbol_of_order(self, *, order_id: str | None, client_order_id: str | None) -> str | None:
        """Return the symbol of the order that one of two ids names, ``None`` when there is no such order."""
        try:
            if order_id is not None:
                return self._blotter.get(order_id).symbol
            return None if client_order_id is None else self._blotter.get_by_client_id(client_order_id).symbol
        except ApiError:
            return None

    def orders(self, wanted: OrderFilter) -> list[VenueOrder]:
        """Return the orders that match, in the order asked for."""
        return self._blotter.listing(wanted)

    # --- account ---

    def close_position(self, symbol: str, now: datetime, qty: Decimal | None = None, percentage: Decimal | None = None) -> VenueOrder:
        """Close a position, or a part of it, with a market order; ``symbol`` may be an asset id.

        Raises the 404 of an unknown symbol and of a position that does not exist, and the 403 of shares that open orders hold.
        """
        return self._desk.close(symbol, self.advance(now), qty, percentage)

    def close_all_positions(self, now: datetime, cancel_orders: bool) -> list[dict[str, Any]]:
        """Close every position, with ``cancel_orders`` after cancelling every open order; return the rows of the 207 answer."""
        return self._desk.close_all(self.advance(now), cancel_orders=cancel_orders)

    @property
    def positions(self) -> Mapping[str, Position]:
        """The positions by symbol; only the exchange changes them."""
        return self._state.account.positions

    def account_json(self) -> dict[str, Any]:
        """Return the account (8.1)."""
        value = self.standing.valuation()
        return account_json(
            self._state.account,
            value,
            maintenance=self.standing.maintenance_margin(),
            reserved=self.standing.reserved_buying_power(value.multiplier),
            opened_at=self._state.opened_at,
            now=self._state.now,
            settings=self._settings,
        )

    def positions_json(self) -> list[dict[str, Any]]:
        """Return all positions (8.3), sorted by symbol."""
        return [self.position_json(symbol) for symbol in sorted(self._state.account.positions)]

    def position_json(self, symbol: str) -> dict[str, Any]:
        """Return one position; ``symbol`` may be an asset id. Raises the 404 of an unknown symbol and of a position that does not exist."""
        asset = self.standing.asset_to_hold(symbol)
        position = self._state.account.positions.get(asset.symbol)
        if position is None:
            raise not_found("position does not exist")
        price = self.standing.price_of(asset.symbol)
        before = self._state.books[asset.symbol].previous_close
        return position_json(
            position,
            asset,
            held=self.standing.held_shares(asset.symbol),
            price=price,
            previous_close=price if before is None else before.quantize(SUB_CENT, ROUND_HALF_EVEN),
        )

    def asset(self, symbol_or_id: str) -> AssetRecord:
        """Return one asset. Raises the 404 of an unknown one."""
        return self.standing.asset(symbol_or_id)

    @property
    def assets(self) -> Mapping[str, AssetRecord]:
        """All assets by symbol; ``assets.asset_json`` describes one."""
        return self.standing.assets

    def list_asset(self, asset: AssetRecord, previous_close: float | None) -> None:
        """List one more symbol, whose last close is given when it has one; one that is listed already stays as it is."""
        if asset.symbol in self.standing.assets:
            return
        self.standing.list_asset(asset)
        if previous_close is not None:
            self.on_previous_close(asset.symbol, previous_close)

    def activities(self, wanted: ActivityFilter) -> list[dict[str, Any]]:
        """Return account activities (8.6), a page at a time."""
        return self._log.page(wanted)

    def configurations(self) -> dict[str, Any]:
        """Return the account configurations (8.2)."""
        return configuration_json(self._state.account.configuration, legacy=self._settings.legacy_account_fields)

    def configure(self, changes: Mapping[str, Any]) -> dict[str, Any]:
        """Apply PATCH changes to the configurations and return them all. Raises the 400 of a bad value."""
        self._state.account.configuration = configured(self._state.account.configuration, changes)
        return self.configurations()

    @property
    def margin(self) -> MarginRecord:
        """The margin call that is open and the freeze that followed from one; nobody but the account's days may change it."""
        return self._state.account.margin

    def block(self, *, account: bool | None = None, trading: bool | None = None, transfers: bool | None = None) -> None:
        """Block the account or a part of what it may do, as the broker would; ``None`` leaves a flag as it is."""
        flags = self._state.account
        flags.is_blocked = flags.is_blocked if account is None else account
        flags.is_trading_blocked = flags.is_trading_blocked if trading is None else trading
        flags.is_transfer_blocked = flags.is_transfer_blocked if transfers is None else transfers

    def portfolio_history(self, now: datetime, wanted: HistoryFilter | None = None) -> dict[str, Any]:
        """Return the account's equity over time (8.7). Raises ``ApiError`` for a span too long for its time frame."""
        return at_once(self.history_work(now, wanted))

    def history_work(self, now: datetime, wanted: HistoryFilter | None = None) -> Work[dict[str, Any]]:
        """Make the answer of :meth:`portfolio_history` in turns: what happens meanwhile to minutes that are over changes nothing."""
        at = self.advance(now)
        return self._history.json(wanted or HistoryFilter(), now=at, equity=self.standing.equity(), flows=self._log.cash_flows())

    @property
    def watchlists(self) -> Watchlists:
        """The account's watchlists (8.8); their changes are part of the state."""
        return self._watchlists

    # --- the market ---

    def on_quotes(self, quotes: Sequence[Quote], now: datetime) -> None:
        """Take the new national best bids and offers of one moment: displayed sizes are fresh, resting orders are looked at."""
        at = self.advance(now, inclusive=False)
        books, waiting = self._state.books, self._state.due
        for quote in quotes:
            books[quote.symbol].take_quote(quote)
        if waiting and waiting[0].at <= at:
            self.advance(at)
        if self._blotter.open.orders:
            for quote in quotes:
                self._floor.look_at_all(quote.symbol, at)

    def on_trade(self, symbol: str, price: float, size: float, now: datetime) -> None:
        """Take a trade of the tape: it marks positions, elects stops and trades through resting limits."""
        at = self.advance(now, inclusive=False)
        self._floor.take_trade(symbol, price, size, at)
        self.advance(at)

    def on_halt(self, symbol: str, halted: bool, now: datetime, *, until: datetime | None = None, cross: float | None = None) -> None:
        """Halt or resume trading of a symbol: orders are accepted and not filled while it is halted, and meet in an auction afterwards.

        ``until`` is when the halt ends, where that is known; somebody has to end it all the same. ``cross`` is the price that the auction
        printed, where the tape has it.
        """
        at = self.advance(now)
        book = self._state.books[symbol]
        was_halted, book.is_halted, book.halted_until = book.is_halted, halted, until if halted else None
        if was_halted and not halted:
            self._floor.reopen(symbol, at, cross)
        self._floor.look_at_all(symbol, at)

    def obey(self, whims: Whims) -> None:
        """Let the venue have whims from now on: what it does to orders without being asked."""
        self._floor.whims = whims

    @property
    def pauses(self) -> dict[str, datetime]:
        """The symbols whose halt has a known end, and that end."""
        return {symbol: book.halted_until for symbol, book in self._state.books.items() if book.halted_until is not None}

    def on_bands(self, symbol: str, band: tuple[float, float] | None, now: datetime) -> None:
        """Set the limit-down and limit-up prices of a symbol, outside of which nothing trades; ``None`` lifts them, as every night does."""
        at = self.advance(now)
        exact = None if band is None else (from_float(band[0], decimals=4), from_float(band[1], decimals=4))
        self._state.books[symbol].band = exact
        self._floor.look_at_all(symbol, at)

    def on_asset(self, symbol: str, change: AssetChange, now: datetime) -> None:
        """Change what may be done with a symbol; open short sales of what is hard to borrow end before the next day begins.

        Raises the 404 of an unknown one.
        """
        self.advance(now)
        self.standing.change_asset(symbol, change)

    def last_execution(self, symbol: str | None = None) -> str | None:
        """Return the id of the last execution that stands, of a symbol or of any; ``None`` when there is none."""
        return self._corrections.last_execution(symbol)

    def bust(self, execution_id: str, now: datetime) -> VenueOrder:
        """Break an execution of the account, as if it had never been; return its order. Raises ``ApiError`` where that is not possible."""
        return self._corrections.bust(execution_id, self.advance(now))

    def correct(
        self, execution_id: str, now: datetime, *, price: Decimal | None = None, by: Decimal | None = None, quantity: Decimal | None = None
    ) -> VenueOrder:
        """Correct the price of an execution, to another one or ``by`` some dollars, or its quantity; return its order.

        Raises ``ApiError`` where that is not possible.
        """
        return self._corrections.correct(execution_id, self.advance(now), price=price, by=by, quantity=quantity)

    def announce(self, actions: Iterable[CorporateAction], now: datetime) -> None:
        """Schedule corporate actions; ``issuer_actions.actions_of`` reads them from rows of section 7.4.

        Each takes effect when its ex-date begins. What is scheduled already and what is past is left out, so a whole history may be given
        at every start. Raises ``DataError`` for a symbol that is not listed.
        """
        at = self.advance(now)
        actions = list(actions)
        check_listed(actions, self.standing.assets)
        today = self._timeline.trading_day(at.astimezone(NEW_YORK).date())
        has_begun = today is None or at >= today.pre_market_opens_at
        self._issuers.announce(actions, at.astimezone(NEW_YORK).date() - timedelta(days=0 if has_begun else 1))

    def on_previous_close(self, symbol: str, price: float) -> None:
        """Tell what the symbol closed at before this exchange's first day: day gains count from it, and it is the first mark."""
        book = self._state.books[symbol]
        book.previous_close = from_float(price, decimals=9)
        if book.last_price is None:
            book.take_trade(price, None)

    # --- time ---

    def advance(self, now: datetime, inclusive: bool = True) -> datetime:
        """Do what is due until ``now``, in order of time, and return the exchange's time: ``now``, or later if time was seen to go back.

        What is due at that very moment is left undone without ``inclusive``: it sees the market data of the moment.
        """
        state = self._state
        at, waiting = state.now, state.due
        is_later = now > at
        if is_later:
            at = now
        # Every quote and order comes through here, and hardly any finds something that is due.
        while waiting and (due := waiting[0]).at <= at and (inclusive or due.at != at):
            heappop(waiting)
            if due.at > state.now:
                state.now = due.at
            if due.at >= state.sample_at:
                self._sample(due.at)
            if due.order_id:
                self._floor.perform(due)
            else:
                self._day.perform[due.kind](due.at)
        if is_later:  # Of a moment that has been before, the mark has been too.
            state.now = at
            if at >= state.sample_at:
                self._sample(at)
        return at

    def next_due(self) -> datetime | None:
        """Return the earliest time at which :meth:`advance` has something to do, ``None`` at the end of the calendar."""
        return self._agenda.next_due()

    @property
    def plays_overnight(self) -> bool:
        """Whether the night before a trading day is a session."""
        return self._settings.overnight

    @property
    def open_orders(self) -> int:
        """How many orders are open."""
        return len(self._blotter.open.orders)

    @property
    def has_working_orders(self) -> bool:
        """Whether an order is live in the session; one that waits for the session or for the closing auction is not."""
        phase = self._state.phase
        return phase is not CLOSED and self._blotter.open.any_sent(extended_hours_only=phase is not REGULAR)

    def drain(self) -> list[OrderUpdate]:
        """Return the order-stream events since the last call, oldest first."""
        updates = self._state.updates
        if not updates:
            return []
        self._state.updates = []
        return updates

    # --- state ---

    def snapshot(self) -> bytes:
        """Return the complete state, the random generator's included."""
        self._blotter.complete_state()
        self._log.complete_state()
        return encode_state(self._state, self._random)

    def changes(self) -> StateChanges:
        """Return what has changed of the complete state since the last call, the first time all of it.

        ``parts.joined`` makes of all the bytes that :meth:`snapshot` gives.
        """
        self._log.complete_state()
        return self._parts.changes(*self._blotter.take_changes())

    @classmethod
    def restore(
        cls,
        data: bytes,
        *,
        settings: ExchangeSettings,
        assets: Mapping[str, AssetRecord],
        sessions: Callable[[date], Session | None],
        random: Random,
    ) -> "Exchange":
        """Return the exchange that :meth:`snapshot` described; ``random`` is set to the state it had. Raises ``DataError``."""
        state = decode_state(data, random)
        return cls(settings=settings, assets=assets, sessions=sessions, random=random, opened_at=state.opened_at, state=state)

    # --- private ---

    def _sample(self, at: datetime) -> None:
        # Nothing has happened since the mark, or it would have been sampled then: the equity of now is that of the mark.
        self._state.history.sample(self._state.sample_at, self.standing.equity())
        self._state.sample_at = mark_after(at)
