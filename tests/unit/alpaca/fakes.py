"""A clock that never waits, and small venues that say what a test tells them to, on real loopback sockets."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from aiohttp import web
from pydantic import SecretStr
from websockets.asyncio.server import ServerConnection, serve

from alchemiser.alpaca.credentials import Credentials
from alchemiser.domain.events import Event
from alchemiser.domain.runtime import Release

START = datetime(2025, 3, 3, 14, 30, tzinfo=UTC)
KEY_ID = "PKTESTKEYID"
SECRET = "very-secret-indeed"


def credentials() -> Credentials:
    return Credentials(SecretStr(KEY_ID), SecretStr(SECRET))


class InstantClock:
    """Market time that passes only by sleeping, and at once; ``waits`` are the sleeps that were asked for."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.waits: list[float] = []

    def now(self) -> datetime:
        return START + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.seconds += max(seconds, 0.0)

    async def sleep_until(self, when: datetime) -> None:
        await self.sleep((when - self.now()).total_seconds())

    def hold(self, reason: str) -> Release:
        return lambda: None


@dataclass
class Answer:
    """One scripted answer of a REST venue."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)

    def response(self) -> web.Response:
        raw = self.body if isinstance(self.body, bytes) else b"" if self.body is None else msgspec.json.encode(self.body)
        return web.Response(status=self.status, body=raw, headers={"Content-Type": "application/json", **self.headers})


@dataclass
class Asked:
    """One request that a REST venue received."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any


class ScriptedVenue:
    """Answers request after request from a list, and keeps what was asked."""

    def __init__(self) -> None:
        self.answers: deque[Answer | Callable[[web.Request], Awaitable[web.StreamResponse]]] = deque()
        self.asked: list[Asked] = []
        self.url = ""

    def answer(self, *bodies: Any) -> None:
        """Answer the next requests with these, each a body or an ``Answer``."""
        self.answers.extend(body if isinstance(body, Answer) else Answer(body=body) for body in bodies)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        self.asked.append(
            Asked(request.method, request.path, dict(request.query), dict(request.headers), msgspec.json.decode(raw) if raw else None)
        )
        answer = self.answers.popleft()
        return answer.response() if isinstance(answer, Answer) else await answer(request)

    @asynccontextmanager
    async def running(self, sock: Any = None) -> AsyncIterator["ScriptedVenue"]:
        """Serve on a free loopback port, or on the given in-memory socket."""
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self.handle)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site: web.BaseSite = web.TCPSite(runner, "127.0.0.1", 0) if sock is None else web.SockSite(runner, sock)
        await site.start()
        host, port = runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        try:
            yield self
        finally:
            await runner.cleanup()


Talk = Callable[[ServerConnection], Awaitable[None]]


@asynccontextmanager
async def stream_venue(*talks: Talk, refusals: tuple[int, ...] = ()) -> AsyncIterator[str]:
    """Serve web sockets on loopback: the first handshakes are refused with those codes, then each connection follows the next talk.

    The last talk serves every further connection. Gives the address.
    """
    queue, codes = deque(talks), deque(refusals)
    errors: list[BaseException] = []

    async def converse(connection: ServerConnection) -> None:
        talk = queue.popleft() if len(queue) > 1 else queue[0]
        try:
            await talk(connection)
        except AssertionError as error:
            errors.append(error)

    def admit(connection: ServerConnection, request: Any) -> Any:
        return connection.respond(codes.popleft(), "refused\n") if codes else None

    async with serve(converse, "127.0.0.1", 0, process_request=admit, compression=None, close_timeout=0.2) as server:
        yield f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}/stream"
    if errors:
        raise errors[0]


class Listener:
    """Keeps what was published, and lets a test wait for it."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._changed = asyncio.Event()

    def post(self, event: Event) -> None:
        self.events.append(event)
        self._changed.set()

    async def publish(self, event: Event) -> None:
        self.post(event)

    def of(self, *kinds: type[Event]) -> list[Any]:
        """Return the events of these kinds, in order."""
        return [event for event in self.events if isinstance(event, kinds)]

    async def until(self, count: int, *kinds: type[Event], seconds: float = 10) -> list[Any]:
        """Return the events of these kinds once there are that many; give up after so many seconds of the loop."""
        async with asyncio.timeout(seconds):
            while len(found := self.of(*kinds)) < count:
                self._changed.clear()
                await self._changed.wait()
        return found


@asynccontextmanager
async def running(stream: Any) -> AsyncIterator[asyncio.Task[None]]:
    """Run a stream while the body runs; an error of the stream stays in its task."""
    task = asyncio.create_task(stream.run(), name="stream under test")
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


ORDER_ID = "7b08df51-c1ac-453c-99f9-323a5f075f0d"
CLIENT_ID = "e1-20250303.1-s1-1"


def order_json(**changes: Any) -> dict[str, Any]:
    """Return the protocol reference's sample order with changes."""
    sample = {
        "id": ORDER_ID,
        "client_order_id": CLIENT_ID,
        "created_at": "2026-08-12T14:31:24.668464435Z",
        "updated_at": "2026-08-12T14:31:24.668464435Z",
        "submitted_at": "2026-08-12T14:31:24.577215743Z",
        "filled_at": None,
        "expired_at": None,
        "expires_at": "2026-08-12T20:00:00Z",
        "canceled_at": None,
        "failed_at": None,
        "replaced_at": None,
        "replaced_by": None,
        "replaces": None,
        "asset_id": "b0b6dd9d-8b9b-48a9-ba46-b9d54906e415",
        "symbol": "AAPL",
        "asset_class": "us_equity",
        "notional": None,
        "qty": "2",
        "filled_qty": "0",
        "filled_avg_price": None,
        "order_class": "",
        "order_type": "limit",
        "type": "limit",
        "side": "buy",
        "position_intent": "buy_to_open",
        "time_in_force": "day",
        "limit_price": "150",
        "stop_price": None,
        "status": "pending_new",
        "extended_hours": False,
        "legs": None,
        "trail_percent": None,
        "trail_price": None,
        "hwm": None,
        "subtag": None,
        "source": None,
    }
    return {**sample, **changes}


def update_json(**changes: Any) -> dict[str, Any]:
    """Return the protocol reference's sample fill with changes of its ``data``."""
    data = {
        "event": "fill",
        "event_id": "01J8ZC9W3S7N6T1Q4B2M0XK5RD",
        "at": "2026-09-18T14:31:02.714905Z",
        "execution_id": "98e9d0ca-abe1-4d6d-8b5c-493b1ef6a8af",
        "timestamp": "2026-09-18T14:31:02.709112Z",
        "price": "179.08",
        "qty": "100",
        "position_qty": "100",
        "settle_date": "2026-09-21",
        "swap_rate": "1",
        "order": order_json(status="filled", qty="100", filled_qty="100", filled_avg_price="179.08", cancel_requested_at=None),
    }
    return {"stream": "trade_updates", "data": {**data, **changes}}
