"""The order stream: every update of every order, published as it arrives.

The reader decodes, publishes and returns; it runs nobody else's code and decides nothing. Everything is published, duplicates too: the
order's state knows what it has seen. Nothing is replayed by the venue after a loss, so whoever hears ``StreamLost`` has a gap to close.
"""

import asyncio
from random import Random
from typing import Final, NoReturn, TypeVar

import msgspec
import structlog
from websockets.asyncio.client import ClientConnection

from alchemiser.alpaca.backoff import ReconnectPolicy
from alchemiser.alpaca.credentials import Credentials
from alchemiser.alpaca.feed import FeedLimits, FeedLost, open_feed
from alchemiser.alpaca.order_frames import Authorization, Listening, OrderFrame, Other, ProtocolError, Unreadable, Update, read_frame
from alchemiser.alpaca.reconnect import Connecting, Publish
from alchemiser.domain.errors import CredentialsRefused
from alchemiser.domain.events import ExecutionReported, FrameUnreadable
from alchemiser.domain.runtime import Clock

_log = structlog.get_logger(__name__)

STREAM: Final = "orders"
RAW_CHARACTERS: Final = 2_000
"""So much of an unreadable frame is kept."""

_UPDATES: Final = "trade_updates"
_LISTEN: Final = msgspec.json.encode({"action": "listen", "data": {"streams": [_UPDATES]}}).decode()

F = TypeVar("F", Authorization, Listening)


class OrderStream:
    """Keeps the ``trade_updates`` stream connected."""

    def __init__(
        self,
        url: str,
        credentials: Credentials,
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
        await self.connecting.forever(self._converse)

    async def restart(self, reason: str) -> None:
        """End the present connection, if there is one, so that a new one is made: for a stream that is connected and mute."""
        await self.connecting.restart(reason)

    async def _converse(self) -> None:
        async with open_feed(self._url, limits=self._limits) as socket:
            try:
                async with asyncio.timeout(self._limits.handshake_seconds):
                    await self._greet(socket)
            except TimeoutError:
                raise FeedLost(f"no answer to the greeting within {self._limits.handshake_seconds:g} s") from None
            await self.connecting.connected(socket)
            while True:
                await self._take(await self._read(socket))

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
            frame = await self._read(socket)
            await self._take(frame)
            if isinstance(frame, kind):
                return frame

    async def _read(self, socket: ClientConnection) -> OrderFrame:
        raw = await socket.recv()
        self.frames += 1
        self.last_frame_at = self._clock.monotonic()
        frame = read_frame(raw, now=self._clock.now())
        if isinstance(frame, Unreadable):
            self.unreadable += 1
            text = raw if isinstance(raw, str) else raw.decode("utf-8", "backslashreplace")
            _log.error("frame of the order stream cannot be read", error=frame.error)
            await self._publish(FrameUnreadable(at=self._clock.now(), stream=STREAM, raw=text[:RAW_CHARACTERS], error=frame.error))
        return frame

    async def _take(self, frame: OrderFrame) -> None:
        match frame:
            case Update(report):
                await self._publish(ExecutionReported(at=self._clock.now(), report=report))
            case Authorization(False, text):
                raise CredentialsRefused(f"{self._url}: the venue refused the credentials of the order stream ({text})")
            case ProtocolError(text):
                # Mostly another connection of this account; coming back at once would only be refused again.
                raise FeedLost(f"the venue complains: {text}", is_crowded=True)
            case Other(stream):
                _log.debug("frame of no concern", stream=STREAM, about=stream)
