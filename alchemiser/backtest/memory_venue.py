"""The exchange as a venue without a wire: every request is a call of its core, every answer is there at once.

It keeps the promises of ``domain.venue.Venue`` that a backtest needs: what the order stream would tell arrives as ``ExecutionReported`` in
the order in which it happened, the answer to an order that was filled before it came is the execution, a refusal is an ``OrderRejected``
with the exchange's own words. Nothing is ever lost on the way, so there is nothing to be told again. Prices of decisions and histories come
from the panel of the run and cannot be had here.
"""

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

from alchemiser.domain.account import Account, Asset, BrokerActivity, BrokerPosition
from alchemiser.domain.activities import AccountActivity
from alchemiser.domain.errors import NotFoundAtVenue, OrderRejected, VenueUnavailable
from alchemiser.domain.events import Event, ExecutionReported
from alchemiser.domain.market import Bar, MarketSnapshot, Quote, Session
from alchemiser.domain.orders import ExecutionReport, NewOrder, OrderType, Side, TimeInForce
from alchemiser.domain.runtime import Clock
from alchemiser.domain.venue import After, WhyNot
from alchemiser.exchange.engine import Exchange
from alchemiser.exchange.errors import ApiError
from alchemiser.exchange.margin import Valuation
from alchemiser.exchange.orders import STATUS_NAMES, OrderStatus, OrderUpdate, VenueOrder
from alchemiser.exchange.orders import OrderType as VenueOrderType
from alchemiser.exchange.orders import Side as VenueSide
from alchemiser.exchange.orders import TimeInForce as VenueTimeInForce
from alchemiser.exchange.requests import ActivityFilter, OrderFilter, OrderRequest, ReplaceRequest

ACCOUNT_NUMBER = "BACKTEST"
_SIDES = {"buy": Side.BUY, "sell": Side.SELL}
# The venue's words in tables: to ask a member of an enumeration for its value takes its time, and every order asks for three.
_SIDE_WORDS: Final[dict[Side, VenueSide]] = {Side.BUY: "buy", Side.SELL: "sell"}
_TYPE_WORDS: Final[dict[OrderType, VenueOrderType]] = {OrderType.MARKET: "market", OrderType.LIMIT: "limit"}
_TIME_WORDS: Final[dict[TimeInForce, VenueTimeInForce]] = {
    TimeInForce.DAY: "day",
    TimeInForce.IOC: "ioc",
    TimeInForce.OPG: "opg",
    TimeInForce.CLS: "cls",
}
_FILLED = OrderStatus.FILLED


class MemoryVenue:
    """The venue of one run. ``news`` are the quotes of symbols, which the exchange is about to need, that it has not seen."""

    def __init__(self, exchange: Exchange, clock: Clock, *, news: Callable[[Iterable[str], datetime], Sequence[Quote]]) -> None:
        self._exchange = exchange
        self._clock = clock
        self._news = news
        self._why_not: WhyNot = lambda symbol, side: None
        self._post: Callable[[Event], object] = lambda event: None
        self._assets = {
            symbol: Asset(symbol=symbol, is_tradable=asset.tradable, is_fractionable=asset.fractionable, is_shortable=asset.shortable)
            for symbol, asset in exchange.assets.items()
        }

    def report_to(self, post: Callable[[Event], object]) -> None:
        """Tell the order stream to ``post`` from now on."""
        self._post = post

    def guard(self, why_not: WhyNot) -> None:
        """Ask ``why_not`` before anything new enters."""
        self._why_not = why_not

    def show(self, symbols: Iterable[str], now: datetime) -> None:
        """Let the exchange see what is new of the market in these symbols."""
        news = self._news
        if quotes := news(symbols, now):
            self._exchange.on_quotes(quotes, now)

    def tell(self) -> None:
        """Post what has happened to orders since the last time; a state that was left again in between is nothing to be heard of."""
        if updates := self._exchange.drain():
            self._tell(updates)

    # --- orders ---

    async def submit(self, order: NewOrder, *, after: After | None = None) -> ExecutionReport:
        """Enter an order, which trades at once when it can. Raises ``OrderRejected``."""
        if after is not None:
            await after()
        return await self.submit_now(order)

    async def submit_now(self, order: NewOrder) -> ExecutionReport:
        """Enter an order at once, as :meth:`submit` does."""
        now = self._clock.now()
        if (reason := self._why_not(order.symbol, order.side)) is not None:
            raise VenueUnavailable(reason)
        self.show((order.symbol,), now)
        request = OrderRequest(
            symbol=order.symbol,
            side=_SIDE_WORDS[order.side],
            type=_TYPE_WORDS[order.order_type],
            time_in_force=_TIME_WORDS[order.time_in_force],
            qty=order.quantity,
            limit_price=order.limit_price,
            client_order_id=order.client_order_id,
        )
        try:
            entered = self._exchange.submit(request, now)
        except ApiError as refusal:
            raise _rejected(refusal) from refusal
        if entered.status is not _FILLED:
            return self._answer(entered, "submit")
        updates = self._exchange.drain()
        execution = updates.pop()
        if updates:
            self._tell(updates)
        return _report_of(execution, "submit")

    async def replace(
        self, venue_order_id: str, *, symbol: str, side: Side, client_order_id: str, quantity: Decimal, limit_price: Decimal
    ) -> ExecutionReport:
        """Replace an open order. Raises ``OrderRejected`` and ``NotFoundAtVenue``."""
        now = self._clock.now()
        if (reason := self._why_not(symbol, side)) is not None:
            raise VenueUnavailable(reason)
        self.show((symbol,), now)
        request = ReplaceRequest(qty=quantity, limit_price=limit_price, client_order_id=client_order_id)
        try:
            entered = self._exchange.replace(venue_order_id, request, now)
        except ApiError as refusal:
            if refusal.status == 404:
                raise _not_found(refusal) from refusal
            raise _rejected(refusal) from refusal
        return self._answer(entered, "replace")

    async def cancel(self, venue_order_id: str) -> None:
        """Ask for a cancel. Raises ``OrderRejected`` when the order has ended."""
        try:
            self._exchange.cancel(venue_order_id, self._clock.now())
        except ApiError as refusal:
            raise _rejected(refusal) from refusal
        self._exchange.advance(self._clock.now())
        self.tell()

    async def order_by_client_id(self, client_order_id: str) -> ExecutionReport:
        """Return the state of an order. Raises ``NotFoundAtVenue``."""
        try:
            return _state_of(self._exchange.order_by_client_id(client_order_id), "query", self._clock.now())
        except ApiError as refusal:
            raise _not_found(refusal) from refusal

    async def open_orders(self) -> tuple[ExecutionReport, ...]:
        """Return every order that has not ended."""
        return tuple(_state_of(order, "query", self._clock.now()) for order in self._exchange.orders(OrderFilter(limit=500)))

    # --- account ---

    async def account(self) -> Account:
        """Return the account."""
        return _account_of(self._exchange.standing.valuation())

    async def account_and_positions(self) -> tuple[Account, tuple[BrokerPosition, ...]]:
        """Return the account and all positions, sorted by symbol, of one moment."""
        value, holdings = self._exchange.standing.survey()
        positions = []
        for position, free, price in holdings:
            shown = BrokerPosition(
                symbol=position.symbol,
                quantity=position.quantity,
                available_quantity=free,
                average_entry_price=position.average_entry_price,
                current_price=price,
            )
            positions.append(shown)
        return _account_of(value), tuple(positions)

    async def fills_since(self, after: datetime | None) -> tuple[BrokerActivity, ...]:
        """Return the fills after that time, oldest first."""
        wanted = ActivityFilter(types=("FILL",), after=after, direction="asc", page_size=sys.maxsize)
        return tuple(_fill_of(row) for row in self._exchange.activities(wanted))

    async def activities_since(self, after: datetime) -> tuple[AccountActivity, ...]:
        """Return nothing: the prices of a backtest are adjusted, so that nothing happens to shares without a trade."""
        return ()

    async def replay_since(self, event_id: str) -> tuple[ExecutionReport, ...] | None:
        """Return ``None``: nothing is lost, so nothing is told again."""
        return None

    async def assets(self, symbols: Sequence[str]) -> dict[str, Asset]:
        """Return what is known of these symbols."""
        found = {}
        for symbol in symbols:
            if symbol in self._assets:
                found[symbol] = self._assets[symbol]
        return found

    # --- the market ---

    async def sessions(self, start: date, end: date) -> tuple[Session, ...]:
        """Raise ``VenueUnavailable``: the sessions of a run are those of its bars."""
        raise VenueUnavailable(f"the sessions from {start} to {end} are those of the bars; the exchange in memory is not asked")

    async def now(self) -> datetime:
        """Return the market time."""
        return self._clock.now()

    async def snapshots(self, symbols: Sequence[str]) -> dict[str, MarketSnapshot]:
        """Raise ``VenueUnavailable``: decisions are made on the panel of the run."""
        raise VenueUnavailable(f"the prices of {len(symbols)} symbols are those of the bars; the exchange in memory is not asked")

    async def daily_bars(self, symbols: Sequence[str], *, start: date, end: date) -> dict[str, tuple[Bar, ...]]:
        """Raise ``VenueUnavailable``: decisions are made on the panel of the run."""
        raise VenueUnavailable(f"the bars of {len(symbols)} symbols from {start} to {end} are those of the run")

    # --- private ---

    def _tell(self, updates: Sequence[OrderUpdate]) -> None:
        latest = {update.state.id: number for number, update in enumerate(updates)}
        for number, update in enumerate(updates):
            if update.qty is not None or latest[update.state.id] == number:
                self._post(ExecutionReported(at=update.at, report=_report_of(update, "stream")))

    def _answer(self, entered: VenueOrder, source: str) -> ExecutionReport:
        report = _state_of(entered, source, entered.submitted_at)
        self._exchange.advance(self._clock.now())
        self.tell()
        return report


def _account_of(value: Valuation) -> Account:
    return Account(
        account_number=ACCOUNT_NUMBER,
        cash=value.cash,
        equity=value.equity,
        buying_power=value.buying_power,
        multiplier=value.multiplier,
    )


def _rejected(refusal: ApiError) -> OrderRejected:
    return OrderRejected(refusal.message, code=refusal.code or 0, status=refusal.status)


def _not_found(refusal: ApiError) -> NotFoundAtVenue:
    return NotFoundAtVenue(refusal.message)


def _state_of(order: VenueOrder, source: str, at: datetime) -> ExecutionReport:
    return ExecutionReport(
        event="query",
        source=source,
        at=at,
        status=STATUS_NAMES[order.status],
        client_order_id=order.client_order_id,
        venue_order_id=order.id,
        symbol=order.symbol,
        side=_SIDES[order.side],
        quantity=order.qty,
        cumulative_quantity=order.filled_qty,
        average_price=order.average_price,
        limit_price=order.limit_price,
        replaced_by=order.replaced_by,
        replaces=order.replaces,
    )


def _report_of(update: OrderUpdate, source: str) -> ExecutionReport:
    order = update.state
    # By its place: a call with more than fifteen names takes ten times as long.
    return ExecutionReport(
        update.event,
        STATUS_NAMES[order.status],
        order.client_order_id,
        order.id,
        order.symbol,
        _SIDES[order.side],
        order.qty,
        order.filled_qty,
        order.average_price,
        update.at,
        source,
        None,
        None if update.qty is None else update.execution,
        update.qty,
        update.price,
        update.position_qty,
        order.limit_price,
        order.replaced_by,
        order.replaces,
        update.previous_execution_id,
    )


def _fill_of(row: Mapping[str, Any]) -> BrokerActivity:
    return BrokerActivity(
        activity_id=row["id"],
        execution_id=row["id"].rpartition("::")[2],
        venue_order_id=row["order_id"],
        symbol=row["symbol"],
        side=row["side"],
        quantity=Decimal(row["qty"]),
        price=Decimal(row["price"]),
        cumulative_quantity=Decimal(row["cum_qty"]),
        at=datetime.fromisoformat(row["transaction_time"]),
    )
