"""The exchange behind one address: both REST APIs, both streams and the control endpoints.

Whoever runs one makes a core (:func:`alchemiser.exchange.assembly.open_core`), hands it over with a tape and a clock, calls
:meth:`ExchangeServer.start`, keeps :meth:`ExchangeServer.run` running (it lets market time pass) and calls :meth:`ExchangeServer.stop`
at the end. It starts no task of its own but those of its connections, and it serves on any listening socket, an in-memory one of a
virtual-time loop included.
"""

import asyncio
import errno
import ipaddress
import socket
from collections.abc import Callable, Sequence
from datetime import date, datetime
from random import Random
from typing import Annotated, Any, Final

import msgspec
from aiohttp import web

from alchemiser.domain.errors import ConfigError, SafetyRefused
from alchemiser.domain.runtime import Clock
from alchemiser.exchange.access import Credentials
from alchemiser.exchange.calls import Handler, Route, carried
from alchemiser.exchange.control import ControlApi
from alchemiser.exchange.corporate_actions import ActionBook
from alchemiser.exchange.data_plan import DataPlan
from alchemiser.exchange.engine import Exchange
from alchemiser.exchange.event_stream import EventStream
from alchemiser.exchange.express import Express
from alchemiser.exchange.fault_menu import AnyFault
from alchemiser.exchange.faults import FaultBook
from alchemiser.exchange.feed import MarketFeed
from alchemiser.exchange.front_door import NEVER, FrontDoor, taking_back
from alchemiser.exchange.gate import Gate, error_answer
from alchemiser.exchange.handler import Driver
from alchemiser.exchange.market_stream import FEEDS, NIGHT_FEEDS, Feed, MarketStream
from alchemiser.exchange.order_stream import OrderStream
from alchemiser.exchange.persistence import StateFile
from alchemiser.exchange.rate_limit import RateLimit
from alchemiser.exchange.rest_calendar import CalendarApi
from alchemiser.exchange.rest_data import DataApi
from alchemiser.exchange.rest_screener import ScreenerApi
from alchemiser.exchange.rest_trading import TradingApi
from alchemiser.exchange.rest_watchlists import WatchlistApi
from alchemiser.exchange.tape import MarketTape
from alchemiser.exchange.ticks import TickGrid
from alchemiser.exchange.traffic import TrafficLog
from alchemiser.market.calendar import TradingCalendar

_STOP_SECONDS: Final = 2.0
_STIRRING: Final = ("/v2/orders", "/v2/positions", "/v2/stocks/snapshots")
"""Paths whose requests make the market move by the second for a while: somebody trades, or prices what will be traded."""


_Count = Annotated[int, msgspec.Meta(ge=1)]


class ServerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What can be chosen about the faces.

    ``rate_limit`` and ``data_rate_limit`` are requests per market minute of the trading and of the data API, ``None`` for no limit.
    ``order_connections`` and ``market_connections`` bound the authenticated connections of the account and of each feed;
    ``limit_at_handshake`` refuses one too many of the market stream there (429) instead of when it authenticates (406). A broken connection
    of the order stream keeps its place for ``hold_slot_seconds``. ``symbol_limit`` bounds the symbols of quotes and trades of one
    connection. ``plan`` is the feeds the account may use. ``text_frames`` makes the order stream's frames text, as on live, instead of
    binary, as on paper. ``deflate`` grants permessage-deflate to clients that ask for it. ``limit_bands`` keeps symbols from trading
    outside of limit-up and limit-down.

    ``by_the_second`` moves the market every second also while it is quiet: right for real time, too slow for a leaping clock.
    ``hold_for_clients`` keeps a leaping clock from leaping through a session while a client is there: for clients that have a clock of
    their own.
    """

    rate_limit: _Count | None = None
    data_rate_limit: _Count | None = None
    order_connections: _Count = 1
    market_connections: _Count = 1
    limit_at_handshake: bool = False
    hold_slot_seconds: Annotated[float, msgspec.Meta(ge=0, le=86_400)] = 0.0
    symbol_limit: _Count | None = None
    plan: tuple[Feed, ...] = FEEDS
    text_frames: bool = False
    deflate: bool = False
    limit_bands: bool = True
    by_the_second: bool = False
    hold_for_clients: bool = False


class ExchangeAddress(msgspec.Struct, frozen=True, kw_only=True):
    """Where the exchange is and what opens it; its JSON is the line that ``alchemiser exchange`` prints."""

    rest: str
    trading_stream: str
    data_stream: str
    key_id: str
    secret_key: str

    def __repr__(self) -> str:
        return f"ExchangeAddress(rest={self.rest!r}, key_id={self.key_id!r})"


class ExchangeProgress(msgspec.Struct, frozen=True, kw_only=True):
    """How an exchange is doing: market time, connections of streams, open orders, and how many requests and frames it has seen."""

    now: datetime
    clients: int
    open_orders: int
    seen: int


class ExchangeServer:
    """One exchange on one address."""

    def __init__(
        self,
        *,
        core: Exchange,
        tape: MarketTape,
        calendar: TradingCalendar,
        clock: Clock,
        last_day: date,
        credentials: Credentials | None = None,
        settings: ServerSettings | None = None,
        state: StateFile | None = None,
        seed: int = 0,
    ) -> None:
        """Take the parts.

        ``last_day`` is the date of the last session that is played; without a ``state`` file nothing is kept; ``seed`` decides about
        faults that strike with a probability.
        """
        self._core = core
        self._clock = clock
        chosen = settings or ServerSettings()
        self.credentials = credentials or Credentials.generate()
        self.faults = FaultBook(Random(seed))  # noqa: S311 - faults of a simulation
        core.obey(self.faults)
        self.traffic = TrafficLog(self.credentials)
        self.order_stream = OrderStream(
            credentials=self.credentials,
            clock=clock,
            faults=self.faults,
            traffic=self.traffic,
            max_connections=chosen.order_connections,
            text_frames=chosen.text_frames,
            deflate=chosen.deflate,
            hold_slot_seconds=chosen.hold_slot_seconds,
        )
        self.market_stream = MarketStream(
            credentials=self.credentials,
            clock=clock,
            faults=self.faults,
            traffic=self.traffic,
            max_connections=chosen.market_connections,
            symbol_limit=chosen.symbol_limit,
            plan=chosen.plan,
            deflate=chosen.deflate,
            limit_at_handshake=chosen.limit_at_handshake,
        )
        kept = state or StateFile(None)
        issuers = ActionBook(tape)
        self.event_stream = EventStream(
            core=core,
            clock=clock,
            faults=self.faults,
            traffic=self.traffic,
            answer_headers=lambda: self._gate.answer_headers(),
            issuers=issuers,
            earlier=kept.events,
        )
        self._feed = feed = MarketFeed(tape=tape, core=core, stream=self.market_stream, limit_bands=chosen.limit_bands)
        self._driver = Driver(
            core=core,
            feed=feed,
            grid=TickGrid(calendar, last_day),
            calendar=calendar,
            clock=clock,
            order_stream=self.order_stream,
            market_stream=self.market_stream,
            event_stream=self.event_stream,
            issuers=issuers,
            faults=self.faults,
            state=kept,
            traffic=self.traffic,
            by_the_second=chosen.by_the_second,
            hold_for_clients=chosen.hold_for_clients,
        )
        self._gate = Gate(
            credentials=self.credentials,
            clock=clock,
            faults=self.faults,
            traffic=self.traffic,
            rate_limit=RateLimit(chosen.rate_limit),
            data_rate_limit=RateLimit(chosen.data_rate_limit),
            stir=self._driver.stir,
            symbol_of_order=core.symbol_of_order,
        )
        trading = TradingApi(core=core, driver=self._driver, calendar=calendar)
        data = DataApi(driver=self._driver, feed=feed, tape=tape, issuers=issuers, plan=DataPlan(chosen.plan))
        control = ControlApi(
            core=core,
            driver=self._driver,
            feed=feed,
            calendar=calendar,
            clock=clock,
            faults=self.faults,
            traffic=self.traffic,
        )
        screener = ScreenerApi(driver=self._driver, tape=tape, issuers=issuers)
        watchlists = WatchlistApi(core=core, driver=self._driver)
        calendars = CalendarApi(driver=self._driver, calendar=calendar, overnight=core.plays_overnight)
        events: list[Route] = [
            ("GET", "/v2/events/trades", self.event_stream.trades),
            ("GET", "/v2beta1/events/activities", self.event_stream.activities),
            ("GET", "/v1beta1/events/corporate-actions", self.event_stream.corporate_actions),
        ]
        at_once = trading.routes()
        self._express = Express(self._gate, [(route, _stirs(route[1])) for route in at_once])
        awaiting = [*trading.awaiting_routes(), *data.routes(), *screener.routes(), *watchlists.routes(), *calendars.routes(), *events]
        self._app = self._application([(method, path, carried(answering)) for method, path, answering in at_once] + awaiting, control)
        self._runner: web.AppRunner | None = None
        self._listener: asyncio.Server | None = None

    async def start(self, *, host: str = "127.0.0.1", port: int = 0, sock: socket.socket | Any | None = None) -> ExchangeAddress:
        """Listen, on ``sock`` when one is given, and return the address.

        Raises ``ConfigError`` when the port is taken and ``SafetyRefused`` for a host that others can reach.
        """
        assert self._runner is None, "an exchange is started once"
        if not ipaddress.ip_address(host).is_loopback:
            raise SafetyRefused(f"the exchange does not listen on {host}: its control endpoints ask for no credentials; use 127.0.0.1")
        self._runner = web.AppRunner(
            self._app, handle_signals=False, access_log=None, shutdown_timeout=_STOP_SECONDS, keepalive_timeout=NEVER
        )
        await self._runner.setup()
        behind = self._runner.server
        assert behind is not None, "a runner that is set up has a server"
        place = {"host": host, "port": port} if sock is None else {"sock": sock}
        try:
            self._listener = await asyncio.get_running_loop().create_server(lambda: FrontDoor(behind(), self._express.answer), **place)
        except OSError as error:
            await self._runner.cleanup()
            self._runner = None
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                reason = "is taken" if error.errno == errno.EADDRINUSE else "may not be used"
                raise ConfigError(
                    f"the exchange cannot listen on {host}:{port}: the port {reason}; choose another, or 0 for a free one"
                ) from error
            raise
        taken_host, taken_port = (self._listener.sockets[0] if sock is None else sock).getsockname()[:2]
        base = f"{taken_host}:{taken_port}"
        return ExchangeAddress(
            rest=f"http://{base}",
            trading_stream=f"ws://{base}/stream",
            data_stream=f"ws://{base}/v2/sip",
            key_id=self.credentials.key_id,
            secret_key=self.credentials.secret_key,
        )

    @property
    def symbols(self) -> tuple[str, ...]:
        """The symbols that have a market."""
        return self._feed.symbols

    @property
    def progress(self) -> ExchangeProgress:
        """How the exchange is doing; it changes nothing and may be asked from another thread."""
        streams = (self.order_stream, self.market_stream, self.event_stream)
        return ExchangeProgress(
            now=self._clock.now(),
            clients=sum(stream.connections for stream in streams),
            open_orders=self._core.open_orders,
            seen=self.traffic.seen,
        )

    async def run(self, *, linger: bool = False) -> None:
        """Let market time pass until the last session is over; with ``linger``, until cancelled."""
        await self._driver.run(linger=linger)

    async def stop(self) -> None:
        """Close the streams, let requests end, stop listening and keep the state. Harmless when it was never started."""
        self._gate.stop()
        self.order_stream.drop(1001)
        self.market_stream.drop(1001)
        self.event_stream.drop(1001)
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
            self._driver.keep()

    def list_symbols(self, listing: Callable[[datetime], Sequence[str]]) -> None:
        """List more symbols by a function that does so at a time and returns them; their market is there at once."""
        self._driver.act(lambda now: self._feed.show(listing(now), now))

    def plan_faults(self, faults: list[AnyFault]) -> None:
        """Plan faults as ``POST /_exchange/faults`` does."""
        self.faults.add(faults)
        self._driver.wake()

    def _application(self, routes: list[Route], control: ControlApi) -> web.Application:
        app = web.Application(middlewares=[taking_back, self._answered], client_max_size=2**20)
        guarded = [(method, path, self._gate.guard(handler, is_trading=_stirs(path))) for method, path, handler in routes]
        open_to_all = [(method, path, self._gate.logged(handler)) for method, path, handler in control.routes()]
        for method, path, handler in [*guarded, *open_to_all]:
            app.router.add_route(method, path, handler)
            # A client whose base URL ends in a slash asks for //v2/...; the service does not mind.
            app.router.add_route(method, "/" + path, handler)
        app.router.add_route("GET", "/stream", self.order_stream.handle)
        day_feeds = "|".join(feed for feed in FEEDS if feed not in NIGHT_FEEDS)
        app.router.add_route("GET", f"/v2/{{feed:{day_feeds}}}", self.market_stream.handle)
        app.router.add_route("GET", f"/v1beta1/{{feed:{'|'.join(NIGHT_FEEDS)}}}", self.market_stream.handle)
        return app

    @web.middleware
    async def _answered(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Give what no handler was found for an answer in JSON, and note quietly when there is nobody any more to be answered."""
        try:
            return await handler(request)
        except web.HTTPException as error:
            return error_answer(error.status, "endpoint not found" if error.status == 404 else error.reason.lower())
        except ConnectionResetError:
            self.traffic.event(self._clock.now(), request.path, "the client was gone before it was answered")
            return error_answer(499, "client closed request")


def _stirs(path: str) -> bool:
    return path.startswith(_STIRRING) or path.endswith(("/latest", "/snapshot"))
