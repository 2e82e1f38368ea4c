"""The order stream: ``trade_updates`` over ``/stream`` (section 5 of the protocol reference).

The server says nothing until spoken to. Both forms of authentication are understood; each ``listen`` replaces the set of streams; there
is no replay: what happens while nobody listens is not sent later. One connection per account: a second one is refused, at the handshake
with 429, or after its authentication when both came at once; where that is switched on, the place of a connection that broke stays taken
for a while. Frames hold JSON and are binary, as on paper, unless text is chosen; a client that asks for msgpack gets msgpack.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, Protocol

import msgspec
from aiohttp import web

from alchemiser.domain.runtime import Clock
from alchemiser.exchange.access import OAUTH, Credentials
from alchemiser.exchange.connection import Connection, Frame
from alchemiser.exchange.faults import FaultBook
from alchemiser.exchange.orders import OrderUpdate
from alchemiser.exchange.traffic import TrafficLog
from alchemiser.exchange.wire import UNREADABLE, Encoding, decode, encode

_QUEUE_FRAMES: Final = 10_000
_STREAMS: Final = ("trade_updates",)
_LEGACY_NOTE: Final = "the authenticate action is deprecated, use auth"


class Slots(Protocol):
    """Who may be connected."""

    def refuses(self) -> bool:
        """Return whether right credentials are refused this time."""

    def take(self, session: "OrderSession") -> bool:
        """Give the session the account's slot; return whether it has it now."""


class OrderSession:
    """The protocol of one connection, without a socket: what a client says, and what is answered."""

    def __init__(self, credentials: Credentials, slots: Slots) -> None:
        self._credentials = credentials
        self._slots = slots
        self.is_authorized = False
        self.is_refused = False
        self.streams: tuple[str, ...] = ()

    def receive(self, message: Any) -> dict[str, Any]:
        """Return the answer to one message; after a refusal the connection is to be closed."""
        match message:
            case {"action": "auth", "key": str(key), "secret": str(secret)}:
                return self._authenticate(key, secret)
            case {"action": "authenticate", "data": {"key_id": str(key), "secret_key": str(secret)}}:
                return self._authenticate(key, secret, note=_LEGACY_NOTE)
            case {"action": "authenticate", "data": {"oauth_token": str(token)}}:
                return self._authenticate(OAUTH, token, note=_LEGACY_NOTE)
            case {"action": "auth" | "authenticate"}:
                return _authorization("unauthorized", "authenticate")
            case {"action": "listen"} if not self.is_authorized:
                return _authorization("unauthorized", "listen")
            case {"action": "listen", "data": {"streams": list(names)}}:
                self.streams = tuple(name for name in _STREAMS if name in names)
                return {"stream": "listening", "data": {"streams": list(self.streams)}}
            case {"action": str(action)}:
                return _error(f"invalid action or data: {action}")
        return _error("invalid message: expected an object with an action")

    def _authenticate(self, key: str, secret: str, note: str | None = None) -> dict[str, Any]:
        if not self._credentials.accept(key, secret) or self._slots.refuses():
            return _authorization("unauthorized", "authenticate", note)
        if not self._slots.take(self):
            self.is_refused = True
            return _error("connection limit exceeded: another connection of this account is open")
        self.is_authorized = True
        return _authorization("authorized", "authenticate", note)


def _authorization(status: str, action: str, note: str | None = None) -> dict[str, Any]:
    message = {} if note is None else {"message": note}
    return {"stream": "authorization", "data": {"action": action, "status": status, **message}}


def _error(text: str) -> dict[str, Any]:
    return {"action": "error", "data": {"error_message": text}}


class OrderStream:
    """All connections of the order stream."""

    def __init__(
        self,
        *,
        credentials: Credentials,
        clock: Clock,
        faults: FaultBook,
        traffic: TrafficLog,
        max_connections: int = 1,
        text_frames: bool = False,
        deflate: bool = False,
        hold_slot_seconds: float = 0.0,
    ) -> None:
        """``hold_slot_seconds`` is how long, of the loop, the place of a broken connection stays taken."""
        self._credentials = credentials
        self._clock = clock
        self._faults = faults
        self._traffic = traffic
        self._max_connections = max_connections
        self._text_frames = text_frames
        self._deflate = deflate
        self._hold_slot_seconds = hold_slot_seconds
        self._slots_held_until: list[float] = []
        self._held_back: bytes | None = None
        self._last_at: datetime | None = None
        self._clients: dict[OrderSession, tuple[Connection, Encoding]] = {}

    def take(self, session: OrderSession) -> bool:
        """Give the session the account's slot, if it is free."""
        return session.is_authorized or self._authorized < self._max_connections

    def refuses(self) -> bool:
        """Return whether a fault refuses this authentication, counting it."""
        return self._faults.auth_refusal("orders", self._clock.now()) is not None

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        return len(self._clients)

    @property
    def is_connected(self) -> bool:
        """Whether any client is connected."""
        return bool(self._clients)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Serve one connection from its handshake to its end."""
        refusal = self._faults.refusal("orders", self._clock.now())
        if refusal is not None or self._authorized >= self._max_connections:
            status = 429 if refusal is None else refusal.status
            self._traffic.event(self._clock.now(), "orders", f"handshake refused with {status}")
            return web.json_response({"message": "connection limit exceeded"}, status=status)
        encoding = Encoding.MSGPACK if request.headers.get("Content-Type") == "application/msgpack" else Encoding.JSON
        session = OrderSession(self._credentials, self)
        connection = Connection(request, queue_frames=_QUEUE_FRAMES, deflate=self._deflate)

        def receive(frame: Frame) -> None:
            try:
                message = decode(frame.payload, encoding, is_text=frame.is_text)
            except UNREADABLE:
                message = None
            self._traffic.frame(self._clock.now(), "orders", "in", frame.payload if message is None else message)
            answer = session.receive(message)
            self._send(connection, encoding, msgspec.json.encode(answer))
            if session.is_refused:
                connection.close()

        def opened() -> None:
            self._clients[session] = (connection, encoding)

        def ended() -> None:
            del self._clients[session]
            if session.is_authorized and not connection.ended_cleanly and self._hold_slot_seconds > 0:
                self._slots_held_until.append(asyncio.get_running_loop().time() + self._hold_slot_seconds)
            self._traffic.event(self._clock.now(), "orders", "ended")

        await connection.serve(receive, opened=opened, ended=ended)
        return connection.socket

    def publish(self, updates: Sequence[OrderUpdate]) -> None:
        """Send order updates to whoever listens; those that nobody hears are gone."""
        if not self._clients and self._faults.is_empty:
            return
        now = self._clock.now()
        for update in updates:
            symbol, event = update.state.symbol, update.event
            if self._faults.repeats_stamp(symbol, event, now) and self._last_at is not None:
                update = msgspec.structs.replace(update, at=self._last_at, written=None)
            self._last_at = update.at
            payload = b'{"stream":"trade_updates","data":%b}' % update.payload
            if self._held_back is None and self._faults.holds_back_update(symbol, event, now):
                self._held_back = payload
                continue
            if not self._faults.is_mute("orders", now, symbol):
                for _ in range(self._faults.copies_of_update(symbol, event, now)):
                    self._send_to_listeners(payload)
            if self._held_back is not None:
                late, self._held_back = self._held_back, None
                self._send_to_listeners(late)

    def send_raw(self, text: str) -> None:
        """Send a frame as it is to every connection."""
        for connection, _ in list(self._clients.values()):
            connection.send(Frame(text.encode(), self._text_frames))

    def drop(self, code: int | None = None) -> None:
        """End every connection: as a broken network would, or by a close frame with this code."""
        for connection, _ in list(self._clients.values()):
            connection.drop(code)

    def freeze(self) -> None:
        """Make every connection half open."""
        for connection, _ in self._clients.values():
            connection.freeze()

    @property
    def _authorized(self) -> int:
        """How many places are taken, those of broken connections included."""
        now = asyncio.get_running_loop().time()
        self._slots_held_until = [until for until in self._slots_held_until if until > now]
        return len(self._slots_held_until) + sum(session.is_authorized for session in self._clients)

    def _send_to_listeners(self, payload: bytes) -> None:
        if self._faults.is_mute("orders", self._clock.now()):
            return
        for session, (connection, encoding) in list(self._clients.items()):
            if "trade_updates" in session.streams:
                self._send(connection, encoding, payload)

    def _send(self, connection: Connection, encoding: Encoding, payload: bytes) -> None:
        """Send what is given as JSON, which is how nearly every client wants it."""
        now = self._clock.now()
        self._traffic.frame(now, "orders", "out", payload)
        is_json = encoding is Encoding.JSON
        is_text = self._text_frames and is_json
        data = payload if is_json else encode(msgspec.json.decode(payload), encoding)
        connection.send(Frame(data, is_text=is_text != self._faults.flips_opcode("orders", now)))
