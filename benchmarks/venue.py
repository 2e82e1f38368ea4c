"""The venue of the latency benchmarks: one account over real sockets, its order stream, its market stream and its orders.

It does the least that a client of Alpaca can live with, so that what is measured is the client: it takes every order, keeps it open,
and fills it when the benchmark says so. Times are taken at its sockets: a frame leaves when it is handed to the socket, an order has
arrived when the last byte of its request has.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from websockets.asyncio.server import ServerConnection, serve
from websockets.frames import Frame, Opcode

START = datetime(2025, 3, 3, 16, tzinfo=UTC)
"""The market time of the benchmarks: a Monday, eleven o'clock in New York."""

ACCOUNT = {
    "account_number": "PA000000001",
    "status": "ACTIVE",
    "cash": "1000000",
    "equity": "1000000",
    "buying_power": "1000000",
    "multiplier": "1",
}
ASSET = {"class": "us_equity", "exchange": "NYSE", "status": "active", "tradable": True, "fractionable": True, "shortable": True}


@dataclass(frozen=True)
class Address:
    """Where a client finds the venue."""

    rest: str
    stream: str


@dataclass
class OpenOrder:
    """An order as the venue keeps it, in Alpaca's words."""

    body: dict[str, str]
    number: int
    arrived: float
    status: str = "new"

    def document(self) -> dict[str, Any]:
        """Return the order object."""
        is_filled, at = self.status == "filled", START.isoformat()
        return {
            "id": str(UUID(int=self.number)),
            "client_order_id": self.body.get("client_order_id", f"unnamed-{self.number}"),
            "created_at": at,
            "updated_at": at,
            "submitted_at": at,
            "filled_at": at if is_filled else None,
            "asset_id": str(UUID(int=1)),
            "symbol": self.body["symbol"],
            "asset_class": "us_equity",
            "qty": self.body["qty"],
            "filled_qty": self.body["qty"] if is_filled else "0",
            "filled_avg_price": self.body["limit_price"] if is_filled else None,
            "order_class": "simple",
            "order_type": "limit",
            "type": "limit",
            "side": self.body["side"],
            "time_in_force": "day",
            "limit_price": self.body["limit_price"],
            "status": self.status,
            "extended_hours": False,
        }


@dataclass
class Venue:
    """One account. ``on_order`` is called with each order when it has arrived; the answer leaves when it returns."""

    on_order: Callable[[OpenOrder], None] = lambda order: None
    orders: dict[str, OpenOrder] = field(default_factory=dict)
    order_stream: ServerConnection | None = None
    market_stream: ServerConnection | None = None
    subscribed: asyncio.Event = field(default_factory=asyncio.Event)
    listening: asyncio.Event = field(default_factory=asyncio.Event)
    frames: int = 0
    _quotes: int = 0

    async def open(self, stack: AsyncExitStack) -> Address:
        """Listen on two free ports of the loopback until the stack is left."""
        server = await asyncio.get_running_loop().create_server(lambda: _Door(self), "127.0.0.1", 0)
        stack.callback(server.close)
        streams = await stack.enter_async_context(serve(self._converse, "127.0.0.1", 0, compression=None, ping_interval=None))
        rest, stream = (item.sockets[0].getsockname()[1] for item in (server, streams))
        return Address(f"http://127.0.0.1:{rest}", f"ws://127.0.0.1:{stream}")

    def rest(self, side: str, symbol: str, price: str, quantity: str) -> OpenOrder:
        """Keep an order that nobody sent, for clients that only react."""
        body = {"symbol": symbol, "side": side, "qty": quantity, "limit_price": price, "client_order_id": f"resting-{len(self.orders)}"}
        return self._keep(body, 0.0)

    def fill(self, order: OpenOrder) -> float:
        """Fill the order at its limit, tell the order stream, and return when the frame left."""
        order.status = "filled"
        self.frames += 1
        update = {
            "event": "fill",
            "event_id": f"{self.frames:026}",
            "execution_id": str(UUID(int=self.frames)),
            "order": order.document(),
            "timestamp": (START + timedelta(microseconds=self.frames)).isoformat(),
            "price": order.body["limit_price"],
            "qty": order.body["qty"],
            "position_qty": order.body["qty"],
        }
        frame = Frame(Opcode.BINARY, msgspec.json.encode({"stream": "trade_updates", "data": update})).serialize(mask=False)
        assert self.order_stream is not None
        left = time.perf_counter()
        self.order_stream.transport.write(frame)
        return left

    def quote(self, symbol: str, bid: float, ask: float) -> float:
        """Send a quote, one in its frame, and return when it left."""
        self._quotes += 1
        at = START - timedelta(hours=1) + timedelta(microseconds=self._quotes)
        quote = {"T": "q", "S": symbol, "bx": "U", "bp": bid, "bs": 100, "ax": "Q", "ap": ask, "as": 200, "c": ["R"], "t": at, "z": "C"}
        frame = Frame(Opcode.BINARY, msgspec.msgpack.encode([quote])).serialize(mask=False)
        assert self.market_stream is not None
        left = time.perf_counter()
        self.market_stream.transport.write(frame)
        return left

    def answer(self, method: str, target: str, body: bytes, at: float) -> tuple[int, object]:
        """Return the status and the document that answer a request."""
        path, _, query = target.partition("?")
        match method, path:
            case "POST", "/v2/orders":
                order = self._keep(msgspec.json.decode(body, type=dict[str, Any]), at)
                self.on_order(order)
                return 200, order.document()
            case "GET", "/v2/account":
                return 200, ACCOUNT
            case "GET", "/v2/orders:by_client_order_id" if order := self.orders.get(query.partition("=")[2]):
                return 200, order.document()
            case "GET", "/v2/orders" | "/v2/positions" | "/v2/account/activities" | "/v2/assets" | "/v2/calendar":
                return 200, []
            case "GET", _ if path.startswith("/v2/orders/") and (order := self.orders.get(path.rpartition("/")[2])):
                return 200, order.document()
            case _:
                return 404, {"code": 40410000, "message": "not known here"}

    def _keep(self, body: dict[str, Any], at: float) -> OpenOrder:
        order = OpenOrder({name: str(value) for name, value in body.items()}, len(self.orders) + 1, at)
        self.orders[order.document()["client_order_id"]] = order
        return order

    async def _converse(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        if connection.request.path == "/stream":
            await connection.recv()
            await connection.send(_update("authorization", {"status": "authorized", "action": "authenticate"}))
            await connection.recv()
            await connection.send(_update("listening", {"streams": ["trade_updates"]}))
            self.order_stream = connection
            self.listening.set()
        else:
            await connection.send(msgspec.msgpack.encode([{"T": "success", "msg": "connected"}]))
            await connection.recv()
            await connection.send(msgspec.msgpack.encode([{"T": "success", "msg": "authenticated"}]))
            wanted = msgspec.msgpack.decode(await connection.recv())
            await connection.send(msgspec.msgpack.encode([{"T": "subscription", "quotes": wanted.get("quotes", [])}]))
            self.market_stream = connection
            self.subscribed.set()
        await connection.wait_closed()


class _Door(asyncio.Protocol):
    """HTTP/1.1 with lengths and kept connections, and nothing else; so that the venue costs little beside its client."""

    def __init__(self, venue: Venue) -> None:
        self._venue = venue
        self._bytes = b""
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the connection."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer every request that is complete."""
        at = time.perf_counter()
        self._bytes += data
        while (end := self._bytes.find(b"\r\n\r\n")) >= 0:
            head = self._bytes[:end].decode("latin-1")
            lines = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:])
            size = end + 4 + int(lines.get("content-length", 0))
            if len(self._bytes) < size:
                return
            body, self._bytes = self._bytes[end + 4 : size], self._bytes[size:]
            method, target, _ = head.split(" ", 2)
            status, document = self._venue.answer(method, target, body, at)
            content = msgspec.json.encode(document)
            self._transport.write(
                b"HTTP/1.1 %d OK\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: %d\r\n\r\n" % (status, len(content))
                + content
            )


def _update(stream: str, data: dict[str, Any]) -> bytes:
    return msgspec.json.encode({"stream": stream, "data": data})
