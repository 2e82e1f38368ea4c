"""The broker's requests, as ``domain.venue.Venue`` asks for them, over Alpaca's REST API.

Promises: nothing but errors under ``VenueError`` comes out; a submit is sent once, and one that the venue cannot process is looked up by
its id before it counts as refused; lists that come in pages are followed to their end or refused, never cut short.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import partial
from random import Random
from types import TracebackType
from typing import Final, Self, TypeVar

import aiohttp
import msgspec
import structlog

from alchemiser.alpaca import market_wire, wire
from alchemiser.alpaca.credentials import AnyCredentials
from alchemiser.alpaca.event_replay import Unreplayable, read_replay, time_of
from alchemiser.alpaca.refusals import unproven
from alchemiser.alpaca.rest import Host, OnRequest, Request, RestClient, RestLimits
from alchemiser.alpaca.tls import prepare_trust
from alchemiser.domain.account import Account, Asset, BrokerActivity, BrokerPosition
from alchemiser.domain.activities import AccountActivity
from alchemiser.domain.errors import CredentialsRefused, NotFoundAtVenue, OrderRejected, OutcomeUnknown, VenueError, VenueUnavailable
from alchemiser.domain.market import Bar, MarketSnapshot, Session
from alchemiser.domain.money import number_string
from alchemiser.domain.orders import ExecutionReport, NewOrder, Side
from alchemiser.domain.runtime import Clock
from alchemiser.domain.venue import After, WhyNot

_log = structlog.get_logger(__name__)

S = TypeVar("S")
T = TypeVar("T")

ORDERS_PER_PAGE: Final = 500
FILLS_PER_PAGE: Final = 100
BARS_PER_PAGE: Final = 10_000
PAGES_AT_MOST: Final = 1_000

_UNPROCESSABLE: Final = 422
_ENDED: Final = frozenset({"filled", "canceled", "expired", "rejected", "replaced"})

_ORDER: Final = msgspec.json.Decoder(wire.WireOrder)
_ORDERS: Final = msgspec.json.Decoder(list[wire.WireOrder])
_ACCOUNT: Final = msgspec.json.Decoder(wire.WireAccount)
_POSITIONS: Final = msgspec.json.Decoder(list[wire.WirePosition])
_ASSETS: Final = msgspec.json.Decoder(list[wire.WireAsset])
_ACTIVITIES: Final = msgspec.json.Decoder(list[wire.WireActivity])
_NON_TRADES: Final = msgspec.json.Decoder(list[wire.WireNonTrade])
_SESSIONS: Final = msgspec.json.Decoder(list[wire.WireSession])
_CLOCK: Final = msgspec.json.Decoder(wire.WireClock)
_SNAPSHOTS: Final = msgspec.json.Decoder(dict[str, market_wire.RestSnapshot | None])
_BARS: Final = msgspec.json.Decoder(market_wire.RestBars)


class AlpacaVenue:
    """One Alpaca account; an asynchronous context manager that owns its HTTP session.

    ``feed`` is the market-data feed of snapshots and bars; ``make_connector`` replaces the TCP connector, for sockets in memory;
    ``on_request`` is told of every request, for metrics.
    """

    def __init__(
        self,
        credentials: AnyCredentials,
        *,
        trading_url: str,
        data_url: str,
        clock: Clock,
        random: Random,
        feed: str | None = None,
        limits: RestLimits | None = None,
        make_connector: Callable[[], aiohttp.BaseConnector] | None = None,
        on_request: OnRequest | None = None,
    ) -> None:
        self._rest = RestClient(
            credentials, clock=clock, random=random, limits=limits, make_connector=make_connector, on_request=on_request
        )
        self._trading = Host(trading_url)
        self._data = Host(data_url)
        self._clock = clock
        self._feed = feed
        self._why_not: WhyNot | None = None
        self._replays = True

    async def __aenter__(self) -> Self:
        await prepare_trust((self._trading.base_url, self._data.base_url))
        await self._rest.__aenter__()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        await self._rest.__aexit__(kind, error, traceback)

    @property
    def requests_made(self) -> int:
        """How many requests were sent since the start, retries included."""
        return self._rest.requests_made

    @property
    def requests_left(self) -> int | None:
        """How many requests the trading host still allows in this minute; ``None`` until an answer of this minute has told."""
        return self._trading.quota.remaining(self._clock.now().timestamp())

    @property
    def requests(self) -> dict[tuple[str, str, str], int]:
        """Requests sent, by method, path template and status; ``none`` stands for no answer."""
        return dict(self._rest.requests)

    # --- orders ---

    def guard(self, why_not: WhyNot) -> None:
        """Have ``why_not`` asked whenever the bytes of a submit or a replacement are about to leave."""
        self._why_not = why_not

    async def submit(self, order: NewOrder, *, after: After | None = None) -> ExecutionReport:
        """Send an order once, when ``after`` has returned; everything but the sending is done while that is awaited.

        Raises ``OrderRejected`` on a proven refusal and ``OutcomeUnknown`` when no readable answer came.
        """
        request = self._request_of(order, after)
        return await self._place(request, order.client_order_id, source="submit")

    async def submit_now(self, order: NewOrder) -> ExecutionReport | None:
        """Send an order over the connection that is at hand; ``None``, and nothing is sent, when there is none or the quota is used up.

        Raises as :meth:`submit` does.
        """
        request = self._request_of(order, None)
        try:
            body = await self._rest.call_now(self._trading, request)
        except OrderRejected as refused:
            return await self._look_behind(refused, order.client_order_id)
        return None if body is None else self._report(request, body, source="submit")

    async def replace(
        self, venue_order_id: str, *, symbol: str, side: Side, client_order_id: str, quantity: Decimal, limit_price: Decimal
    ) -> ExecutionReport:
        """Replace an open order by one of that total quantity and price, and return the new one. Raises as :meth:`submit` does."""
        body = {"qty": number_string(quantity), "limit_price": number_string(limit_price), "client_order_id": client_order_id}
        request = Request(
            method="PATCH",
            path=f"/v2/orders/{venue_order_id}",
            template="/v2/orders/{id}",
            what=f"replacement of order {venue_order_id} by {client_order_id}",
            body=msgspec.json.encode(body),
            may_leave=partial(self._why_withheld, symbol, side),
        )
        return await self._place(request, client_order_id, source="replace")

    async def cancel(self, venue_order_id: str) -> None:
        """Ask for a cancel; the cancel itself arrives as an execution report.

        An order that has ended already needs none. Raises ``OrderRejected`` when the venue refuses to cancel an order that is still open.
        """
        request = Request(
            method="DELETE", path=f"/v2/orders/{venue_order_id}", template="/v2/orders/{id}", what=f"cancel of order {venue_order_id}"
        )
        try:
            await self._rest.call(self._trading, request)
        except OrderRejected as refused:
            if refused.status != _UNPROCESSABLE or not await self._has_ended(venue_order_id):
                raise
            _log.info("cancel came too late", venue_order_id=venue_order_id, answer=str(refused))

    async def cancel_all(self) -> None:
        """Ask for the cancel of every open order of the account, whoever sent it."""
        await self._rest.call(self._trading, Request(method="DELETE", path="/v2/orders", what="cancel of every open order"))

    async def order_by_client_id(self, client_order_id: str) -> ExecutionReport:
        """Return the state of the order. Raises ``NotFoundAtVenue`` when the venue says it does not know the id."""
        request = Request(
            method="GET",
            path="/v2/orders:by_client_order_id",
            what=f"look-up of order {client_order_id}",
            query=wire.query(client_order_id=client_order_id),
        )
        return self._report(request, await self._rest.call(self._trading, request), source="query")

    async def open_orders(self) -> tuple[ExecutionReport, ...]:
        """Return every order that has not ended, oldest first. Orders that are not of one symbol and side are logged and left out."""
        found: dict[str, ExecutionReport] = {}
        pages = _Pages()
        while True:
            request = Request(
                method="GET",
                path="/v2/orders",
                what="list of open orders",
                query=wire.query(status="open", limit=ORDERS_PER_PAGE, direction="asc", after_order_id=pages.cursor),
            )
            orders = await self._ask(request, _ORDERS)
            for order in orders:
                report = self._readable(order)
                if report is not None:
                    found[order.id] = report
            if len(orders) < ORDERS_PER_PAGE:
                return tuple(found.values())
            pages.turn(request, orders[-1].id)

    # --- account ---

    async def account(self) -> Account:
        """Return the account."""
        return wire.account_of(await self._ask(Request(method="GET", path="/v2/account", what="account"), _ACCOUNT))

    async def positions(self) -> tuple[BrokerPosition, ...]:
        """Return all positions."""
        rows = await self._ask(Request(method="GET", path="/v2/positions", what="positions"), _POSITIONS)
        return tuple(wire.position_of(row) for row in rows)

    async def account_and_positions(self) -> tuple[Account, tuple[BrokerPosition, ...]]:
        """Return the account, and then all positions."""
        return await self.account(), await self.positions()

    async def fills_since(self, after: datetime | None) -> tuple[BrokerActivity, ...]:
        """Return the fills after that time, oldest first; all of them when ``after`` is ``None``.

        The venue keeps these times to the millisecond only, so the whole millisecond of ``after`` is included: a fill may be
        returned that is known already, and is recognised by its execution id, but none is left out. Rows that break or correct a fill
        are among them.
        """
        floor = None if after is None else after - timedelta(microseconds=after.microsecond % 1000)
        bound = None if floor is None else floor - timedelta(milliseconds=1)
        found: dict[str, BrokerActivity] = {}
        pages = _Pages()
        while True:
            request = Request(
                method="GET",
                path="/v2/account/activities/FILL",
                what="list of fills",
                query=wire.query(after=bound, direction="asc", page_size=FILLS_PER_PAGE, page_token=pages.cursor),
                is_bulk=True,
            )
            rows = await self._ask(request, _ACTIVITIES)
            for row in rows:
                if floor is None or row.transaction_time >= floor:
                    found[row.id] = _meaning(request, wire.activity_of, row)
            if len(rows) < FILLS_PER_PAGE:
                return tuple(sorted(found.values(), key=lambda fill: fill.at))
            pages.turn(request, rows[-1].id)

    async def activities_since(self, after: datetime) -> tuple[AccountActivity, ...]:
        """Return what happened to the account without a trade and was written after that time, oldest first."""
        found: dict[str, AccountActivity] = {}
        pages = _Pages()
        while True:
            request = Request(
                method="GET",
                path="/v2/account/activities",
                what="list of what happened without a trade",
                query=wire.query(
                    category="non_trade_activity",
                    after=after,
                    direction="asc",
                    page_size=FILLS_PER_PAGE,
                    page_token=pages.cursor,
                ),
                is_bulk=True,
            )
            rows = await self._ask(request, _NON_TRADES)
            found |= {row.id: _meaning(request, wire.non_trade_of, row) for row in rows}
            if len(rows) < FILLS_PER_PAGE:
                return tuple(sorted(found.values(), key=lambda row: row.at))
            pages.turn(request, rows[-1].id)

    async def replay_since(self, event_id: str) -> tuple[ExecutionReport, ...] | None:
        """Return the order events after that one, oldest first, from the venue's replayable event source.

        ``None`` where there is no such source, where the id says no time, and where the source gives no whole answer just now: then the
        lists have to do. Not being served is remembered until the process ends.
        """
        since, until = time_of(event_id), self._clock.now() - timedelta(milliseconds=1)
        if not self._replays or since is None or since > until:
            return None
        request = Request(
            method="GET",
            path="/v2/events/trades",
            what=f"replay of the order events since {event_id}",
            query=wire.query(since=since, until=until),
            accept="text/event-stream",
        )
        try:
            body = await self._rest.call(self._trading, request)
            return read_replay(body, after_id=event_id, fallback_at=self._clock.now())
        except Unreplayable as error:
            _log.warning("the replay of the order events is not whole", reason=str(error), next="the lists are asked")
        except (CredentialsRefused, VenueUnavailable) as error:
            _log.info("the order events are not replayed just now", reason=str(error), next="the lists are asked")
        except VenueError as error:
            self._replays = False
            _log.info("the venue does not replay order events", reason=str(error), next="the lists are asked from now on")
        return None

    async def assets(self, symbols: Sequence[str]) -> dict[str, Asset]:
        """Return what is known of these symbols; unknown and inactive ones are absent. One request, however many symbols."""
        request = Request(
            method="GET",
            path="/v2/assets",
            what="list of assets",
            query=wire.query(status="active", asset_class="us_equity"),
            is_bulk=True,
        )
        by_symbol = {row.symbol: row for row in await self._ask(request, _ASSETS)}
        return {symbol: wire.asset_of(by_symbol[symbol]) for symbol in symbols if symbol in by_symbol}

    # --- time ---

    async def sessions(self, start: date, end: date) -> tuple[Session, ...]:
        """Return the exchange's sessions from ``start`` to ``end``, both included."""
        request = Request(method="GET", path="/v2/calendar", what="calendar", query=wire.query(start=start, end=end))
        rows = await self._ask(request, _SESSIONS)
        return tuple(_meaning(request, wire.session_of, row) for row in rows if start <= row.date <= end)

    async def now(self) -> datetime:
        """Return the venue's own clock, in UTC."""
        answer = await self._ask(Request(method="GET", path="/v2/clock", what="clock"), _CLOCK)
        return answer.timestamp.astimezone(UTC)

    # --- market data ---

    async def snapshots(self, symbols: Sequence[str]) -> dict[str, MarketSnapshot]:
        """Return the latest quote, trade and daily bars of these symbols; unknown ones are absent. One request, however many symbols."""
        if not symbols:
            return {}
        request = Request(
            method="GET",
            path="/v2/stocks/snapshots",
            what=f"snapshots of {len(symbols)} symbols",
            query=wire.query(symbols=",".join(symbols), feed=self._feed),
        )
        found = await self._ask(request, _SNAPSHOTS, host=self._data)
        return {symbol: market_wire.snapshot_of(symbol, row) for symbol in symbols if (row := found.get(symbol)) is not None}

    async def daily_bars(self, symbols: Sequence[str], *, start: date, end: date) -> dict[str, tuple[Bar, ...]]:
        """Return the daily bars from ``start`` to ``end``, both included, adjusted for splits and dividends, oldest first.

        Symbols without any are absent.
        """
        if not symbols:
            return {}
        found: dict[str, dict[datetime, Bar]] = {symbol: {} for symbol in symbols}
        pages = _Pages()
        while True:
            request = Request(
                method="GET",
                path="/v2/stocks/bars",
                what=f"daily bars of {len(symbols)} symbols",
                query=wire.query(
                    symbols=",".join(symbols),
                    timeframe="1Day",
                    start=_midnight(start),
                    end=_midnight(end),
                    adjustment="all",
                    limit=BARS_PER_PAGE,
                    sort="asc",
                    # History has no delayed feed: the consolidated tape itself may be asked for what is older than that.
                    feed="sip" if self._feed == "delayed_sip" else self._feed,
                    page_token=pages.cursor,
                ),
                is_bulk=True,
            )
            page = await self._ask(request, _BARS, host=self._data)
            for symbol, rows in (page.bars or {}).items():
                if symbol in found:
                    found[symbol].update((row.t, row.bar(symbol)) for row in rows)
            if not page.next_page_token:
                return {symbol: tuple(bars[at] for at in sorted(bars)) for symbol, bars in found.items() if bars}
            pages.turn(request, page.next_page_token)

    # --- inside ---

    def _request_of(self, order: NewOrder, after: After | None) -> Request:
        return Request(
            method="POST",
            path="/v2/orders",
            what=f"submit of order {order.client_order_id} ({order.side} {number_string(order.quantity)} {order.symbol})",
            body=msgspec.json.encode(wire.order_body(order)),
            may_leave=partial(self._why_withheld, order.symbol, order.side),
            after=after,
        )

    def _why_withheld(self, symbol: str, side: Side) -> str | None:
        return None if self._why_not is None else self._why_not(symbol, side)

    async def _place(self, request: Request, client_order_id: str, *, source: str) -> ExecutionReport:
        """Send what makes a new order, and look behind an unprocessable one: it may have arrived although it was refused."""
        try:
            body = await self._rest.call(self._trading, request)
        except OrderRejected as refused:
            return await self._look_behind(refused, client_order_id)
        return self._report(request, body, source=source)

    async def _look_behind(self, refused: OrderRejected, client_order_id: str) -> ExecutionReport:
        if refused.status != _UNPROCESSABLE:
            raise refused
        # Code and status of a taken id are those of any bad field, and the text may change; only a look tells. A 422 has also been
        # answered for an order that was executed.
        try:
            return await self.order_by_client_id(client_order_id)
        except NotFoundAtVenue:
            if "must be unique" not in str(refused):
                raise refused from None
            raise OutcomeUnknown(f"{refused}; yet the venue does not find it, so it must be looked up again") from refused
        except VenueError as silent:
            raise OutcomeUnknown(f"{refused}; whether it arrived could not be asked ({silent}), it must be looked up") from refused

    async def _has_ended(self, venue_order_id: str) -> bool:
        request = Request(
            method="GET", path=f"/v2/orders/{venue_order_id}", template="/v2/orders/{id}", what=f"look-up of order {venue_order_id}"
        )
        return (await self._ask(request, _ORDER)).status in _ENDED

    async def _ask(self, request: Request, decoder: msgspec.json.Decoder[T], *, host: Host | None = None) -> T:
        return _meaning(request, decoder.decode, await self._rest.call(host or self._trading, request))

    def _report(self, request: Request, body: bytes, *, source: str) -> ExecutionReport:
        order = _meaning(request, _ORDER.decode, body)
        return _meaning(request, lambda order: wire.order_report(order, source=source, fallback_at=self._clock.now()), order)

    def _readable(self, order: wire.WireOrder) -> ExecutionReport | None:
        try:
            return wire.order_report(order, source="query", fallback_at=self._clock.now())
        except msgspec.ValidationError as error:
            _log.warning("an open order at the venue is not one of ours", venue_order_id=order.id, error=str(error))
            return None


def _meaning(request: Request, read: Callable[[S], T], raw: S) -> T:
    """Return what an answer means; one that cannot be read proves nothing about the request."""
    try:
        return read(raw)
    except (msgspec.DecodeError, ValueError) as error:
        raise unproven(request.subject, f"its answer is not what was expected: {error}") from error


class _Pages:
    """The cursor of a list that comes in pages; one that was given before, or one too many, would never come to an end."""

    def __init__(self) -> None:
        self.cursor: str | None = None
        self._seen: set[str] = set()

    def turn(self, request: Request, cursor: str) -> None:
        if cursor in self._seen or len(self._seen) >= PAGES_AT_MOST:
            raise VenueUnavailable(f"{request.what}: its pages do not come to an end; nothing of it is used")
        self._seen.add(cursor)
        self.cursor = cursor


def _midnight(day: date) -> datetime:
    """Return when a day of the exchange begins, which is the time of its daily bar."""
    return datetime.combine(day, time(), wire.NEW_YORK)
