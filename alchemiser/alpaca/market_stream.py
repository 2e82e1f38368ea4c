"""The market-data stream: quotes, trades, minute bars and trading statuses of the subscribed symbols, posted as typed events.

Messages go from the socket to ``post`` without a task in between; whoever is slow is the bus's concern, which may drop all but the
newest quote. Nothing is replayed by the venue after a loss.
"""

import asyncio
from collections.abc import Iterable
from functools import partial
from random import Random
from typing import Final, NoReturn

import msgspec
import structlog
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, ConnectionClosedError

from alchemiser.alpaca.backoff import ReconnectPolicy
from alchemiser.alpaca.credentials import AnyCredentials
from alchemiser.alpaca.feed import FeedLimits, FeedLost, open_feed
from alchemiser.alpaca.market_reader import STREAM, Control, MarketReader, Post
from alchemiser.alpaca.market_wire import Acknowledgement, Refusal, Success
from alchemiser.alpaca.reconnect import Connecting, Publish, with_present_key
from alchemiser.domain.errors import ConfigError, CredentialsRefused, VenueUnavailable
from alchemiser.domain.runtime import Clock

_log = structlog.get_logger(__name__)

CHANNELS: Final = ("quotes", "trades", "bars", "statuses")
"""What is asked for each symbol; corrections and cancellations of trades come by themselves."""

_HEADERS: Final = {"Content-Type": "application/msgpack"}
_ENDING: Final = frozenset({402, 404, 406, 411})
"""Errors after which the connection is of no use."""


class MarketStream:
    """Keeps the market-data stream connected and subscribed to a set of symbols.

    ``set_symbols`` may be called at any time; what is wanted is asked for again after every reconnect.
    """

    def __init__(
        self,
        url: str,
        credentials: AnyCredentials,
        *,
        post: Post,
        publish: Publish,
        clock: Clock,
        random: Random,
        symbols: Iterable[str] = (),
        channels: Iterable[str] = CHANNELS,
        limits: FeedLimits | None = None,
        policy: ReconnectPolicy | None = None,
    ) -> None:
        self._url = url
        self._credentials = credentials
        self._limits = limits or FeedLimits()
        self._channels = tuple(channels)
        self._symbols = _in_order(symbols)
        self._asked: tuple[str, ...] = ()
        self._socket: ClientConnection | None = None
        self._control: asyncio.Queue[Control | None] = asyncio.Queue()
        self._answer: asyncio.Future[Control | None] | None = None
        self._changing = asyncio.Lock()
        self.connecting = Connecting(STREAM, publish=publish, clock=clock, random=random, policy=policy)
        self.reader = MarketReader(post=post, clock=clock, on_control=self._hear)

    @property
    def is_connected(self) -> bool:
        """Whether the stream is subscribed now."""
        return self.connecting.is_connected

    @property
    def symbols(self) -> tuple[str, ...]:
        """The symbols that are wanted."""
        return self._symbols

    @property
    def frames(self) -> int:
        """Frames received since the start."""
        return self.reader.frames

    @property
    def unreadable(self) -> int:
        """Frames of which at least one message could not be read."""
        return self.reader.unreadable

    @property
    def last_frame_at(self) -> float | None:
        """When the last frame came, in the clock's monotonic seconds."""
        return self.reader.last_frame_at

    async def run(self) -> NoReturn:
        """Listen until cancelled.

        Raises ``CredentialsRefused`` when the venue does not accept the key, and ``ConfigError`` when the data plan does not allow
        what is asked, or the address cannot be one.
        """
        await self.connecting.forever(partial(with_present_key, self._credentials, self._converse))

    async def restart(self, reason: str) -> None:
        """End the present connection, if there is one, so that a new one is made: for a stream that is connected and mute."""
        await self.connecting.restart(reason)

    async def set_symbols(self, symbols: Iterable[str]) -> None:
        """Want these symbols from now on; return when the venue has confirmed it, or at once while not connected.

        When it is refused, or not confirmed, the former symbols stay wanted: who asked for symbols that the plan does not allow must not
        lose the others at the next connection. Raises ``ConfigError`` when the plan does not allow them, and ``VenueUnavailable`` when no
        confirmation came in time or the connection ended first; what a silent connection is subscribed to is not known, so it is made anew.
        """
        async with self._changing:
            former, self._symbols = self._symbols, _in_order(symbols)
            if self._socket is None:
                return
            try:
                async with asyncio.timeout(self._limits.handshake_seconds):
                    await self._change_or_restore(self._socket, former)
            except TimeoutError:
                self._symbols = former
                await self.restart("a change of its symbols was not confirmed")
                raise VenueUnavailable("the market stream did not confirm a change of its symbols; the former stay") from None
            except ConnectionClosed:
                self._symbols = former
                raise VenueUnavailable("the market stream was lost while its symbols changed; the former stay") from None

    async def _change_or_restore(self, socket: ClientConnection, former: tuple[str, ...]) -> None:
        try:
            await self._change(socket)
        except ConfigError:
            self._symbols = former
            await self._change(socket)
            raise

    async def _change(self, socket: ClientConnection) -> None:
        for action, symbols in _steps(self._asked, self._symbols):
            self._answer = asyncio.get_running_loop().create_future()
            await socket.send(self._message(action, symbols))
            answer = await self._answer
            if answer is None:
                raise ConnectionClosedError(None, None)
            if isinstance(answer, Refusal):
                raise ConfigError(
                    f"{action} of {', '.join(symbols)}: the venue answered {answer.code} {answer.msg}; the former symbols stay"
                )
            self._asked = _applied(self._asked, action, symbols)

    # --- one connection ---

    async def _converse(self) -> None:
        # A queue of its own, because the end of the last connection may be told late.
        control: asyncio.Queue[Control | None] = asyncio.Queue()
        self._control = control
        async with open_feed(
            self._url,
            limits=self._limits,
            headers=_HEADERS,
            receive=self.reader.receive,
            ended=lambda: control.put_nowait(None),
        ) as socket:
            try:
                async with asyncio.timeout(self._limits.handshake_seconds):
                    await self._greet(socket)
            except TimeoutError:
                raise FeedLost(f"no answer to the greeting within {self._limits.handshake_seconds:g} s") from None
            self._socket = socket
            try:
                await self.connecting.connected(socket)
                while True:
                    self._take(await self._next(socket))
            finally:
                self._socket = None
                self._tell(None)

    async def _greet(self, socket: ClientConnection) -> None:
        await self._expect(socket, Success)
        await socket.send(msgspec.msgpack.encode(self._credentials.auth_message()))
        await self._expect(socket, Success)
        self._asked = ()
        # Once more if other symbols were wanted meanwhile.
        while steps := _steps(self._asked, self._symbols):
            for action, symbols in steps:
                await socket.send(self._message(action, symbols))
                await self._expect(socket, Acknowledgement)
                self._asked = _applied(self._asked, action, symbols)

    async def _expect(self, socket: ClientConnection, kind: type[Success | Acknowledgement]) -> None:
        while not isinstance(message := await self._next(socket), kind):
            if isinstance(message, Refusal):
                raise meaning_of(message, self._url)

    async def _next(self, socket: ClientConnection) -> Control:
        message = await self._control.get()
        if message is None:
            raise FeedLost(f"the connection ended with code {socket.close_code} {socket.close_reason or ''}".rstrip())
        return message

    def _hear(self, message: Control) -> None:
        self._control.put_nowait(message)

    def _take(self, message: Control) -> None:
        if isinstance(message, Refusal) and message.code in _ENDING:
            raise meaning_of(message, self._url)
        if not self._tell(message):
            _log.warning("the market stream said something unasked", message=str(message))

    def _tell(self, message: Control | None) -> bool:
        """Give the answer to whoever waits for one, ``None`` when none will come on this connection; return whether anybody did."""
        if self._answer is None or self._answer.done():
            return False
        self._answer.set_result(message)
        return True

    def _message(self, action: str, symbols: tuple[str, ...]) -> bytes:
        return msgspec.msgpack.encode({"action": action, **dict.fromkeys(self._channels, symbols)})


def meaning_of(refusal: Refusal, url: str) -> FeedLost | CredentialsRefused | ConfigError:
    """Return the error that an error frame of the venue stands for while a session is being set up."""
    told = f"{url}: the venue answered {refusal.code} {refusal.msg}"
    match refusal.code:
        case 402 | 411:
            return CredentialsRefused(f"{told}; check the key id and secret of this account")
        case 405:
            return ConfigError(f"{told}; the data plan allows fewer symbols: trade fewer, or use a feed of a larger plan (alpaca.feed)")
        case 408 | 409 | 410:
            return ConfigError(f"{told}; the data plan does not include this feed or channel (alpaca.feed)")
        case 406:
            return FeedLost(f"{told}; another connection of this account is open", is_crowded=True)
    return FeedLost(told)


def _in_order(symbols: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(symbols)))


def _steps(asked: tuple[str, ...], wanted: tuple[str, ...]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Return how to get from what was asked to what is wanted: leaving first, so that a limit on symbols is not touched on the way."""
    steps = (
        ("unsubscribe", tuple(symbol for symbol in asked if symbol not in wanted)),
        ("subscribe", tuple(symbol for symbol in wanted if symbol not in asked)),
    )
    return tuple((action, symbols) for action, symbols in steps if symbols)


def _applied(asked: tuple[str, ...], action: str, symbols: tuple[str, ...]) -> tuple[str, ...]:
    return _in_order({*asked, *symbols} if action == "subscribe" else {*asked} - {*symbols})
