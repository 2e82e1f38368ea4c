"""The order stream: every update of every order, published as it arrives.

The reader decodes, publishes and returns; it runs nobody else's code and decides nothing. An update is published straight from the
socket, without a task being woken for it; where publishing has to wait, the stream's task sees it through, and what comes meanwhile
waits behind it. Everything is published, duplicates too: the order's state knows what it has seen. Nothing is replayed by the venue
after a loss, so whoever hears ``StreamLost`` has a gap to close.
"""

import asyncio
from collections import deque
from collections.abc import Coroutine
from functools import partial
from random import Random
from typing import Any, Final, NoReturn, TypeVar

import msgspec
import structlog
from websockets.asyncio.client import ClientConnection

from alchemiser.alpaca.backoff import ReconnectPolicy
from alchemiser.alpaca.credentials import AnyCredentials
from alchemiser.alpaca.feed import FeedLimits, FeedLost, open_feed
from alchemiser.alpaca.order_frames import Authorization, Listening, OrderFrame, Other, ProtocolError, Unreadable, Update, read_frame
from alchemiser.alpaca.reconnect import Connecting, Publish, with_present_key
from alchemiser.bus.begun import begin
from alchemiser.domain.errors import CredentialsRefused
from alchemiser.domain.events import ExecutionReported, FrameUnreadable
from alchemiser.domain.runtime import Clock

_log = structlog.get_logger(__name__)

STREAM: Final = "orders"
RAW_CHARACTERS: Final = 2_000
"""So much of an unreadable frame is kept."""

FRAMES_AT_MOST: Final = 1_000
"""When so many frames wait because their events have to, nothing more is read from the connection until half of them are taken."""

_UPDATES: Final = "trade_updates"
_LISTEN: Final = msgspec.json.encode({"action": "listen", "data": {"streams": [_UPDATES]}}).decode()

F = TypeVar("F", Authorization, Listening)


class _Kept(msgspec.Struct, frozen=True):
    """An unreadable frame: why it is, and as much of it as is kept."""

    error: str
    raw: str


Waiting = OrderFrame | _Kept | Coroutine[Any, Any, None]
"""A frame that has to be taken, or what is left of taking one that was begun."""


class Inbox:
    """The frames of one connection that wait for the stream's task. When they are many the connection is not read any more."""

    def __init__(self) -> None:
        self.transport: asyncio.ReadTransport | None = None
        self._waiting: deque[Waiting | None] = deque()
        self._awaited: asyncio.Future[None] | None = None
        self._is_paused = False

    @property
    def is_awaited(self) -> bool:
        """Whether nothing waits and the task is at nothing: what comes now may be taken at once."""
        return self._awaited is not None and not self._awaited.done()

    def put(self, waiting: Waiting | None) -> None:
        """Let something wait for the task."""
        self._waiting.append(waiting)
        if self._awaited is not None and not self._awaited.done():
            self._awaited.set_result(None)
        if self.transport is not None and not self._is_paused and len(self._waiting) >= FRAMES_AT_MOST:
            self._is_paused = True
            self.transport.pause_reading()

    def end(self) -> None:
        """Say that the connection has ended: after what waits there is nothing more."""
        self.put(None)

    async def next(self) -> Waiting | None:
        """Return what waits longest, ``None`` for the end."""
        while not self._waiting:
            self._awaited = asyncio.get_running_loop().create_future()
            try:
                await self._awaited
            finally:
                self._awaited = None
        found = self._waiting.popleft()
        if self._is_paused and self.transport is not None and len(self._waiting) <= FRAMES_AT_MOST // 2:
            self._is_paused = False
            self.transport.resume_reading()
        return found


class OrderStream:
    """Keeps the ``trade_updates`` stream connected."""

    def __init__(
        self,
        url: str,
        credentials: AnyCredentials,
        *,
        publish: Publish,
        clock: Clock,
        random: Random,
        limits: FeedLimits | None = None,
        policy: ReconnectPolicy | None = None,
    ) -> None:
        self._url = url
        self._credentials = credentials
        self._publish = publish
        self._clock = clock
        self._limits = limits or FeedLimits()
        self._inbox = Inbox()
        self.connecting = Connecting(STREAM, publish=publish, clock=clock, random=random, policy=policy)
        self.frames = 0
        """Frames received since the start."""
        self.unreadable = 0
        """Frames that could not be read."""
        self.last_frame_at: float | None = None
        """When the last frame came, in the clock's monotonic seconds."""

    @property
    def is_connected(self) -> bool:
        """Whether updates are being listened to now."""
        return self.connecting.is_connected

    async def run(self) -> NoReturn:
        """Listen until cancelled.

        Raises ``CredentialsRefused`` when the venue does not accept the key, and ``ConfigError`` for an address that cannot be one.
        """
        await self.connecting.forever(partial(with_present_key, self._credentials, self._converse))

    async def restart(self, reason: str) -> None:
        """End the present connection, if there is one, so that a new one is made: for a stream that is connected and mute."""
        await self.connecting.restart(reason)

    async def _converse(self) -> None:
        # An inbox of its own, because the end of the last connection may be told late.
        inbox = self._inbox = Inbox()
        async with open_feed(self._url, limits=self._limits, receive=self._receive, ended=inbox.end) as socket:
            inbox.transport = socket.transport
            try:
                async with asyncio.timeout(self._limits.handshake_seconds):
                    await self._greet(socket)
            except TimeoutError:
                raise FeedLost(f"no answer to the greeting within {self._limits.handshake_seconds:g} s") from None
            await self.connecting.connected(socket)
            while True:
                await self._finish(await self._next(socket))

    async def _greet(self, socket: ClientConnection) -> None:
        await socket.send(msgspec.json.encode(self._credentials.auth_message()).decode())
        await self._expect(socket, Authorization)
        await socket.send(_LISTEN)
        listening = await self._expect(socket, Listening)
        if _UPDATES not in listening.streams:
            raise FeedLost(f"the venue does not send {_UPDATES}, only {list(listening.streams)}")

    async def _expect(self, socket: ClientConnection, kind: type[F]) -> F:
        """Return the next frame of that kind; whatever comes before it is taken as at any other time."""
        while True:
            frame = await self._next(socket)
            await self._finish(frame)
            if isinstance(frame, kind):
                return frame

    async def _next(self, socket: ClientConnection) -> "Waiting":
        found = await self._inbox.next()
        if found is None:
            raise FeedLost(f"the connection ended: {socket.protocol.close_exc}")
        return found

    async def _finish(self, waiting: "Waiting") -> None:
        """Take a frame that waited, or see through what was begun with one; what comes meanwhile waits behind it."""
        if isinstance(waiting, Coroutine):
            await waiting
        else:
            await self._take(waiting)

    def _receive(self, raw: bytes, is_text: bool) -> None:
        """Take an update straight from the socket, unless something waits before it; leave all else to the task."""
        self.frames += 1
        self.last_frame_at = self._clock.monotonic()
        frame = read_frame(raw, now=self._clock.now())
        if isinstance(frame, Update) and self._inbox.is_awaited:
            left = begin(self._take(frame))
            if left is not None:
                self._inbox.put(left)
            return
        if isinstance(frame, Unreadable):
            self._inbox.put(_Kept(frame.error, raw.decode("utf-8", "backslashreplace")[:RAW_CHARACTERS]))
        else:
            self._inbox.put(frame)

    async def _take(self, frame: "OrderFrame | _Kept") -> None:
        match frame:
            case Update(report):
                await self._publish(ExecutionReported(at=self._clock.now(), report=report))
            case _Kept(error, raw):
                self.unreadable += 1
                _log.error("frame of the order stream cannot be read", error=error)
                await self._publish(FrameUnreadable(at=self._clock.now(), stream=STREAM, raw=raw, error=error))
            case Authorization(False, text):
                raise CredentialsRefused(f"{self._url}: the venue refused the credentials of the order stream ({text})")
            case ProtocolError(text):
                # Mostly another connection of this account; coming back at once would only be refused again.
                raise FeedLost(f"the venue complains: {text}", is_crowded=True)
            case Other(stream):
                _log.debug("frame of no concern", stream=STREAM, about=stream)
