"""One web socket to the venue: opened with a deadline, kept alive by pings, and every way it can end told apart.

Opening a feed gives a connection or raises; whatever may be better next time is :class:`FeedLost`. There is no reconnecting here.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from logging import DEBUG, Logger, LoggerAdapter, getLogger
from typing import Any, Final

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.client import ClientProtocol
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI
from websockets.frames import Frame, Opcode
from websockets.protocol import Event, State

from alchemiser.alpaca.splitter import FrameSplitter
from alchemiser.alpaca.tls import needs_trust, trust
from alchemiser.domain.errors import ConfigError, CredentialsRefused

MESSAGE_BYTES_AT_MOST: Final = 16 * 2**20
"""A burst of quotes is far below; anything above is not a message of this protocol."""

_CLOSE_SECONDS: Final = 1.0
_REFUSED: Final = (401, 403)
_TOO_MANY: Final = 429
_END_OF_HEAD: Final = b"\r\n\r\n"
_HEAD_BYTES_AT_MOST: Final = 2**16

Receive = Callable[[bytes, bool], None]
"""Takes one message: its bytes, and whether it came as text. It returns at once."""


class FeedLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of a connection, in seconds of the event loop. Without ``ping_seconds`` no pings are sent."""

    handshake_seconds: float = 10.0
    ping_seconds: float | None = 10.0
    pong_seconds: float = 20.0


class FeedLost(Exception):
    """A connection could not be made or has ended, and should be made again; ``is_crowded`` when the venue says there are too many."""

    def __init__(self, reason: str, *, is_crowded: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.is_crowded = is_crowded


class PushConnection(ClientConnection):
    """A connection that hands each message to ``receive`` straight from the socket.

    ``recv()`` would wake a task for each message, which costs more than decoding it; so the usual frames are taken off the bytes by a
    splitter, and the library sees the others only. Whatever ``receive`` raises ends the connection and is kept in ``failure``.
    """

    def __init__(self, protocol: ClientProtocol, *, receive: Receive, ended: Callable[[], None], **settings: Any) -> None:
        super().__init__(protocol, **settings)
        self._receive = receive
        self._ended = ended
        self._splitter = FrameSplitter(self._hand_over, super().data_received, bytes_at_most=MESSAGE_BYTES_AT_MOST)
        self._greeting: bytearray | None = bytearray()
        self._fragments: list[bytes] = []
        self._is_text = False
        self.failure: BaseException | None = None

    def data_received(self, data: bytes) -> None:
        """Leave the handshake to the library, and take frames from then on."""
        if self._greeting is None:
            self._splitter.feed(data)
            return
        # The answer to the handshake and the first frames may come in one piece, which must be cut between them.
        self._greeting += data
        head, end, frames = bytes(self._greeting).partition(_END_OF_HEAD)
        if not end and len(head) < _HEAD_BYTES_AT_MOST:
            return
        self._greeting = None
        super().data_received(head + end)
        if self.protocol.state is not State.OPEN:
            super().data_received(frames)  # refused: what follows is the reason
        elif frames:
            self._splitter.feed(frames)

    def eof_received(self) -> None:
        """Let the library judge an answer that ended before its head did."""
        if self._greeting:
            super().data_received(bytes(self._greeting))
        super().eof_received()

    def process_event(self, event: Event) -> None:
        """Put fragments together; leave the handshake and the control frames to the library."""
        if not isinstance(event, Frame) or event.opcode not in (Opcode.BINARY, Opcode.TEXT, Opcode.CONT):
            super().process_event(event)
            return
        if event.opcode is not Opcode.CONT:
            self._is_text = event.opcode is Opcode.TEXT
        self._fragments.append(bytes(event.data))
        if event.fin:
            message = b"".join(self._fragments)
            self._fragments.clear()
            self._hand_over(message, self._is_text)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell that no more messages will come."""
        super().connection_lost(exc)
        self._ended()

    def _hand_over(self, message: bytes, is_text: bool) -> None:
        if self.failure is not None:
            return
        try:
            self._receive(message, is_text)
        except BaseException as error:  # Whoever holds the feed open raises it, also a stop of the process.
            self.failure = error
            self.transport.abort()
            raise


@asynccontextmanager
async def open_feed(
    url: str, *, limits: FeedLimits, receive: Receive, ended: Callable[[], None], headers: Mapping[str, str] | None = None
) -> AsyncIterator[ClientConnection]:
    """Connect, give the connection to send by, hand every message to ``receive``, call ``ended`` once after the last, and close in the end.

    Raises ``FeedLost`` for whatever may be better next time, also when the connection ends under the body, ``CredentialsRefused`` when
    the handshake is refused with 401 or 403, ``ConfigError`` for an address that cannot be one, and what ``receive`` raised, which ends
    the connection.
    """
    made: list[PushConnection] = []

    def create(protocol: ClientProtocol, **settings: Any) -> PushConnection:
        made.append(PushConnection(protocol, receive=receive, ended=ended, **settings))
        return made[-1]

    connection = await _connect(url, limits=limits, headers=headers, create=create)
    try:
        yield connection
    except ConnectionClosed as error:
        raise FeedLost(f"the connection ended: {error}") from error
    finally:
        await connection.close()
        if made[-1].failure is not None:
            raise made[-1].failure


async def _connect(
    url: str, *, limits: FeedLimits, headers: Mapping[str, str] | None, create: Callable[..., ClientConnection]
) -> ClientConnection:
    try:
        return await connect(
            url,
            additional_headers=dict(headers or {}),
            ssl=trust() if needs_trust(url) else None,
            create_connection=create,  # type: ignore[arg-type] # declared as a class, documented as a factory
            # Inflating would cost more than the bytes it saves.
            compression=None,
            proxy=None,
            open_timeout=limits.handshake_seconds,
            ping_interval=limits.ping_seconds,
            ping_timeout=limits.pong_seconds,
            close_timeout=_CLOSE_SECONDS,
            max_size=MESSAGE_BYTES_AT_MOST,
            logger=_Discreet(getLogger(__name__)),
        )
    except InvalidStatus as error:
        status = error.response.status_code
        if status in _REFUSED:
            raise CredentialsRefused(f"{url}: the handshake was refused with HTTP {status}; check the key id and secret") from None
        raise FeedLost(f"the handshake was answered with HTTP {status}", is_crowded=status == _TOO_MANY) from error
    except InvalidURI as error:
        raise ConfigError(f"{url} is not the address of a web socket; expected ws://... or wss://...") from error
    except (InvalidHandshake, ConnectionClosed, OSError) as error:
        # Cut off at the right moment, a connection is closed before its handshake has begun.
        raise FeedLost(f"cannot connect: {str(error) or type(error).__name__}") from error


class _Discreet(LoggerAdapter[Logger]):
    """A logger that is never at debug level: there the library writes out every frame, the one with the secret key too."""

    def __init__(self, logger: Logger) -> None:
        super().__init__(logger, {})

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802 - the name of logging
        """Refuse the debug level whatever the settings say."""
        return level > DEBUG and super().isEnabledFor(level)
