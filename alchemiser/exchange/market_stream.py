"""The market-data stream: ``/v2/{sip,iex,delayed_sip,test}``, ``/v1beta1/{boats,overnight}`` (section 6 of the protocol reference).

Every frame is an array; control messages come alone in one. Subscriptions add up, and each acknowledgement holds the complete resulting
state. A client authenticates by message within ten seconds, or by the headers of its handshake. Data go only to subscribers, in
batches; a client that falls too far behind is told so (407) and loses its connection. ``delayed_sip`` says the same a quarter of an
hour later; ``test`` knows the symbol ``FAKEPACA`` only; the feeds of the night speak from eight in the evening to four in the morning.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from datetime import datetime, time, timedelta
from typing import Any, Final, Literal, Protocol

from aiohttp import web

from alchemiser.domain.runtime import Clock
from alchemiser.exchange.access import Credentials, presented_pair
from alchemiser.exchange.connection import Connection, Frame
from alchemiser.exchange.faults import FaultBook
from alchemiser.exchange.traffic import TrafficLog
from alchemiser.exchange.wire import UNREADABLE, Batch, Encoding, MarketMessage, decode, encode
from alchemiser.market.calendar import NEW_YORK

Feed = Literal["sip", "iex", "delayed_sip", "test", "boats", "overnight"]
NIGHT_FEEDS: Final[tuple[Feed, ...]] = ("boats", "overnight")
FEEDS: Final[tuple[Feed, ...]] = ("sip", "iex", "delayed_sip", "test", *NIGHT_FEEDS)
_NIGHT_BEGINS, _NIGHT_ENDS = time(20), time(4)
AUTH_SECONDS: Final = 10.0
_DELAY: Final = timedelta(minutes=15)
_QUEUE_FRAMES: Final = 2_000
_BATCH_MESSAGES: Final = 500

_CHANNELS: Final = ("trades", "quotes", "bars", "updatedBars", "dailyBars", "statuses", "lulds", "imbalances")
_NOT_ACKNOWLEDGED: Final = "imbalances"  # a channel that the documented acknowledgement leaves out
_TEST_CHANNELS: Final = ("trades", "quotes", "bars")
_FOLLOWING_TRADES: Final = ("corrections", "cancelErrors")  # they come with trades and are never asked for

_ERRORS: Final = {
    400: "invalid syntax",
    401: "not authenticated",
    402: "auth failed",
    403: "already authenticated",
    404: "auth timeout",
    405: "symbol limit exceeded",
    406: "connection limit exceeded",
    407: "slow client",
    409: "insufficient subscription",
    410: "invalid subscribe action for this feed",
    500: "internal error",
}
_CLOSING_ERRORS: Final = frozenset({402, 404, 406, 409, 500})

Control = list[dict[str, Any]]
"""A control frame: an array of one message."""


def error_frame(code: int) -> Control:
    """Return the control frame of an error code."""
    return [{"T": "error", "code": code, "msg": _ERRORS[code]}]


class Slots(Protocol):
    """Who may be connected to a feed."""

    def is_free(self, feed: str) -> bool:
        """Return whether one more authenticated connection is allowed."""

    def refusal(self) -> int | None:
        """Return the error with which right credentials are refused this time."""


class MarketSession:
    """The protocol of one connection, without a socket: what a client says, what is answered, and what it wants to hear."""

    def __init__(
        self, feed: str, *, credentials: Credentials, slots: Slots, plan: Sequence[str] = FEEDS, symbol_limit: int | None = None
    ) -> None:
        self.feed = feed
        self.is_authenticated = False
        self.is_refused = False
        self._credentials = credentials
        self._slots = slots
        self._plan = plan
        self._symbol_limit = symbol_limit
        self._channels = _TEST_CHANNELS if feed == "test" else _CHANNELS
        self._wanted: dict[str, dict[str, None]] = {channel: {} for channel in self._channels}

    def opened(self, presented: tuple[str, str] | None) -> list[Control]:
        """Return what is said first; ``presented`` is the key pair of the handshake's headers."""
        frames: list[Control] = [[{"T": "success", "msg": "connected"}]]
        if presented is not None:
            frames.append(self._authenticate(*presented))
        return frames

    def receive(self, message: Any) -> Control:
        """Return the answer to one message; after a refusal the connection is to be closed."""
        match message:
            case {"action": "auth", "key": str(key), "secret": str(secret)}:
                return self._authenticate(key, secret)
            case {"action": "auth"}:
                return self._refuse(403 if self.is_authenticated else 402)
            case {"action": "subscribe" | "unsubscribe"} if not self.is_authenticated:
                return self._refuse(401)
            case {"action": "subscribe" | "unsubscribe" as action, **lists}:
                return self._change(str(action), lists)
        return self._refuse(400)

    def wants(self, channel: str, symbol: str) -> bool:
        """Return whether the client is subscribed to this."""
        # Corrections and cancels follow the trades.
        wanted = self._wanted.get("trades" if channel in _FOLLOWING_TRADES else channel)
        return wanted is not None and (symbol in wanted or "*" in wanted)

    def timed_out(self) -> Control:
        """Return what is said to a client that did not authenticate in time."""
        return self._refuse(404)

    def _authenticate(self, key: str, secret: str) -> Control:
        if self.is_authenticated:
            return self._refuse(403)
        if not self._credentials.accept(key, secret):
            return self._refuse(402)
        if (code := self._slots.refusal()) is not None:
            return self._refuse(code)
        if self.feed not in self._plan:
            return self._refuse(409)
        if not self._slots.is_free(self.feed):
            return self._refuse(406)
        self.is_authenticated = True
        return [{"T": "success", "msg": "authenticated"}]

    def _change(self, action: str, lists: dict[Any, Any]) -> Control:
        changes = {channel: symbols for channel, symbols in lists.items() if channel not in _FOLLOWING_TRADES}
        if not changes or not all(_is_symbol_list(symbols) for symbols in changes.values()):
            return self._refuse(400)
        if any(channel not in self._channels for channel in changes):
            return self._refuse(410)
        wanted = {channel: dict(symbols) for channel, symbols in self._wanted.items()}
        for channel, symbols in changes.items():
            for symbol in symbols:
                if action == "subscribe":
                    wanted[channel][symbol] = None
                else:
                    wanted[channel].pop(symbol, None)
        if self._symbol_limit is not None and len({**wanted["trades"], **wanted["quotes"]}) > self._symbol_limit:
            return self._refuse(405)
        self._wanted = wanted
        return self._acknowledgement()

    def _acknowledgement(self) -> Control:
        state = {channel: list(symbols) for channel, symbols in self._wanted.items() if channel != _NOT_ACKNOWLEDGED}
        if self.feed != "test":
            state.update({channel: list(self._wanted["trades"]) for channel in _FOLLOWING_TRADES})
        return [{"T": "subscription", **state}]

    def _refuse(self, code: int) -> Control:
        self.is_refused = code in _CLOSING_ERRORS
        return error_frame(code)


def _is_night(at: datetime) -> bool:
    return not _NIGHT_ENDS <= at.astimezone(NEW_YORK).time() < _NIGHT_BEGINS


def _is_symbol_list(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(symbol, str) for symbol in value)


class MarketStream:
    """All connections of the market-data stream."""

    def __init__(
        self,
        *,
        credentials: Credentials,
        clock: Clock,
        faults: FaultBook,
        traffic: TrafficLog,
        max_connections: int = 1,
        symbol_limit: int | None = None,
        plan: Sequence[str] = FEEDS,
        deflate: bool = False,
        limit_at_handshake: bool = False,
        queue_frames: int = _QUEUE_FRAMES,
    ) -> None:
        """With ``limit_at_handshake`` one connection too many is refused with 429 there, instead of with 406 once it authenticates."""
        self._credentials = credentials
        self._clock = clock
        self._faults = faults
        self._traffic = traffic
        self._max_connections = max_connections
        self._symbol_limit = symbol_limit
        self._plan = plan
        self._deflate = deflate
        self._limit_at_handshake = limit_at_handshake
        self._queue_frames = queue_frames
        self._clients: dict[MarketSession, tuple[Connection, Encoding]] = {}
        self._delayed: deque[tuple[datetime, Batch]] = deque()

    def is_free(self, feed: str) -> bool:
        """Return whether one more authenticated connection is allowed on the feed."""
        return sum(session.is_authenticated and session.feed == feed for session in self._clients) < self._max_connections

    def refusal(self) -> int | None:
        """Return the error with which a fault refuses this authentication, counting it."""
        return self._faults.auth_refusal("market", self._clock.now())

    def has_clients(self, feed: str) -> bool:
        """Return whether an authenticated client is connected to the feed."""
        return any(session.is_authenticated and session.feed == feed for session in self._clients)

    def is_wanted(self, channel: str, symbol: str) -> bool:
        """Return whether any client is subscribed to this."""
        return any(session.wants(channel, symbol) for session in self._clients)

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
        feed = request.match_info["feed"]
        refusal = self._faults.refusal("market", self._clock.now())
        if refusal is not None or (self._limit_at_handshake and not self.is_free(feed)):
            status = 429 if refusal is None else refusal.status
            self._traffic.event(self._clock.now(), "market", f"handshake refused with {status}")
            return web.json_response({"message": "connection limit exceeded"}, status=status)
        encoding = Encoding.MSGPACK if request.headers.get("Content-Type") == "application/msgpack" else Encoding.JSON
        session = MarketSession(feed, credentials=self._credentials, slots=self, plan=self._plan, symbol_limit=self._symbol_limit)
        overflow = _frame(error_frame(407), encoding)
        connection = Connection(request, queue_frames=self._queue_frames, overflow=overflow, deflate=self._deflate)

        def opened() -> None:
            self._clients[session] = (connection, encoding)
            self._send_control(session, *session.opened(presented_pair(request.headers)))

        def receive(frame: Frame) -> None:
            try:
                message = decode(frame.payload, encoding, is_text=frame.is_text)
            except UNREADABLE:
                message = None
            self._traffic.frame(self._clock.now(), "market", "in", frame.payload if message is None else message)
            self._send_control(session, session.receive(message))

        def ended() -> None:
            del self._clients[session]
            self._traffic.event(self._clock.now(), "market", "ended")

        def auth_timeout() -> None:
            if session in self._clients and not session.is_authenticated:
                self._send_control(session, session.timed_out())

        timeout = asyncio.get_running_loop().call_later(AUTH_SECONDS, auth_timeout)
        try:
            await connection.serve(receive, opened=opened, ended=ended)
        finally:
            timeout.cancel()
        return connection.socket

    def publish(self, messages: Sequence[MarketMessage], at: datetime) -> None:
        """Send what happened in the market to whoever is subscribed."""
        batch = Batch(messages)
        for feed in ("sip", "iex"):
            self._deliver(feed, batch)
        if any(self.has_clients(feed) for feed in NIGHT_FEEDS) and _is_night(at):
            for feed in NIGHT_FEEDS:
                self._deliver(feed, batch)
        if self.has_clients("delayed_sip"):
            self._delayed.append((at, batch))
        while self._delayed and self._delayed[0][0] + _DELAY <= at:
            self._deliver("delayed_sip", self._delayed.popleft()[1])

    def publish_test(self, messages: Sequence[MarketMessage]) -> None:
        """Send what happened in the test symbol to the clients of the test feed."""
        self._deliver("test", Batch(messages))

    def send_raw(self, text: str) -> None:
        """Send a frame as it is to every connection."""
        for connection, encoding in list(self._clients.values()):
            connection.send(Frame(text.encode(), is_text=encoding is Encoding.JSON))

    def drop(self, code: int | None = None) -> None:
        """End every connection: as a broken network would, or by a close frame with this code."""
        for connection, _ in list(self._clients.values()):
            connection.drop(code)

    def freeze(self) -> None:
        """Make every connection half open."""
        for connection, _ in self._clients.values():
            connection.freeze()

    def _deliver(self, feed: str, batch: Batch) -> None:
        now = self._clock.now()
        if not batch.messages or self._faults.is_mute("market", now):
            return
        for session, (connection, encoding) in list(self._clients.items()):
            if session.feed != feed:
                continue
            wanted = [place for place, message in enumerate(batch.messages) if session.wants(message.channel, message.symbol)]
            if not self._faults.is_empty:
                wanted = [place for place in wanted if not self._faults.is_mute("market", now, batch.messages[place].symbol)]
            for start in range(0, len(wanted), _BATCH_MESSAGES):
                payload = batch.frame(wanted[start : start + _BATCH_MESSAGES], encoding)
                is_text = encoding is Encoding.JSON
                connection.send(Frame(payload, is_text=is_text != self._faults.flips_opcode("market", now)))

    def _send_control(self, session: MarketSession, *controls: Control) -> None:
        connection, encoding = self._clients[session]
        for control in controls:
            self._traffic.frame(self._clock.now(), "market", "out", control)
            connection.send(_frame(control, encoding))
        if session.is_refused:
            connection.close()


def _frame(control: Control, encoding: Encoding) -> Frame:
    return Frame(encode(control, encoding), is_text=encoding is Encoding.JSON)
