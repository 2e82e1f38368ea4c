"""A short way to send requests to one address, with nothing made anew but the body.

What a session of aiohttp does around a request (cookies, redirects, retries, proxies, a request object and its headers) an order never
needs, and it is most of the time until the bytes are written. A line keeps the head of its requests, borrows a connection of the session's
connector, asks for leave, writes head and body in the same breath, and has aiohttp's own protocol read the answer. The connections that it
borrowed it keeps at hand for a while: over those :meth:`Line.send_now` writes without anybody having to wait.

It sends once: nothing is retried here, and nothing redirected.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from contextlib import ExitStack
from ssl import SSLContext
from types import TracebackType
from typing import Final, NamedTuple, Self

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.http import HttpProcessingError
from yarl import URL

KEPT_AT_MOST: Final = 8
"""So many connections are kept at hand: an order that follows while others are still being answered does not wait for one either."""

_END: Final = "\r\n"


class Answer(NamedTuple):
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Line:
    """The way to one address over the connections of a session; ``headers`` are sent beside those of the session.

    A connection is kept at hand for ``idle_seconds`` of the loop: after that the other side may be about to end it. The one that was used
    last is used first, so that those of a burst go when it is over. Raises ``ValueError`` for a header that would break out of its line.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        method: str,
        url: URL,
        *,
        headers: Mapping[str, str],
        ssl: SSLContext | bool,
        idle_seconds: float = 15.0,
    ) -> None:
        self._session = session
        self._loop = asyncio.get_running_loop()
        # Never sent: it says whom to connect to, and what aiohttp would put into the head.
        self._pattern = aiohttp.ClientRequest(
            method, url, headers={**session.headers, **headers}, session=session, ssl=ssl, loop=self._loop
        )
        lines = [f"{name}: {value}" for name, value in self._pattern.headers.items() if name.lower() != "content-length"]
        if any(character in line for line in lines for character in _END):
            raise ValueError(f"a header of {method} {url} has a line break in it; nothing is sent")
        self._head = _END.join([f"{method} {url.raw_path_qs} HTTP/1.1", *lines, "Content-Length: "]).encode()
        self._idle_seconds = idle_seconds
        self._kept: deque[tuple[Connection, float]] = deque()
        """The connections at hand and when each was put there, the newest last."""

    @property
    def is_at_hand(self) -> bool:
        """Whether a request could be written this very moment."""
        while self._kept:
            if self._is_usable(*self._kept[-1]):
                return True
            self._kept.pop()[0].close()
        return False

    def send_now(self, body: bytes) -> "Flight":
        """Write a body over the connection that :attr:`is_at_hand`, and return what reads the answer."""
        return self._write(self._kept.pop()[0], body)

    async def send(self, body: bytes, leave: Callable[[], Awaitable[None]]) -> Answer:
        """Send a body when ``leave`` has returned, and return the answer. What ``leave`` raises ends the request unsent.

        Raises what a session raises: ``aiohttp.ClientError`` and ``OSError``.
        """
        connector = self._session.connector
        if connector is None or connector.closed:
            raise aiohttp.ClientConnectionError("the session is closed")
        if self.is_at_hand:
            connection, _ = self._kept.pop()
        else:
            connection = await connector.connect(self._pattern, [], self._session.timeout)
        with ExitStack() as unsent:
            unsent.callback(connection.close)
            await leave()
            unsent.pop_all()
        with self._write(connection, body) as flight:
            return await flight.answer()

    def close(self) -> None:
        """Give up the connections that are kept at hand."""
        while self._kept:
            self._kept.pop()[0].close()

    def _write(self, connection: Connection, body: bytes) -> "Flight":
        protocol = connection.protocol
        transport = None if protocol is None else protocol.transport
        if protocol is None or transport is None or transport.is_closing():
            connection.close()
            raise aiohttp.ClientConnectionResetError("the connection was lost before anything was written to it")
        transport.write(b"%b%d\r\n\r\n%b" % (self._head, len(body), body))
        protocol.set_response_params(read_until_eof=True)
        return Flight(connection, protocol, self._keep)

    def _keep(self, connection: Connection) -> None:
        """Keep a connection at hand whose answer has been read, unless there are enough or it may not be used again."""
        while self._kept and not self._is_usable(*self._kept[0]):
            self._kept.popleft()[0].close()
        protocol = connection.protocol
        if len(self._kept) >= KEPT_AT_MOST or protocol is None or protocol.should_close or self._session.closed:
            connection.release()
            return
        transport = protocol.transport
        if transport is not None and transport.get_extra_info("ssl_object") is None:
            # What is written leaves then and there. By default uvloop keeps it until everything has run that is ready to.
            transport.set_write_buffer_limits(high=0)
        self._kept.append((connection, self._loop.time()))

    def _is_usable(self, connection: Connection, since: float) -> bool:
        return not connection.closed and self._loop.time() - since <= self._idle_seconds


class Flight:
    """A request that was written, on its way; ``land`` takes the connection back when its answer has been read.

    A context manager: left before that, by whatever error, it closes the connection, for nobody reads the answer any more.
    """

    def __init__(self, connection: Connection, protocol: ResponseHandler, land: Callable[[Connection], None]) -> None:
        self._connection = connection
        self._protocol = protocol
        self._land = land
        self._has_landed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if not self._has_landed:
            self._connection.close()

    async def answer(self) -> Answer:
        """Return the answer. Raises ``aiohttp.ClientError`` and ``OSError``."""
        try:
            message, payload = await self._protocol.read()
            while 100 <= message.code < 200:  # Of no consequence, the answer is still to come.
                message, payload = await self._protocol.read()
            content = await payload.read()
        except HttpProcessingError as error:
            raise aiohttp.ClientPayloadError(f"the answer is not HTTP: {error.message}") from error
        self._has_landed = True
        self._land(self._connection)
        return Answer(message.code, message.headers, content)
