"""A short way to send requests to one address, with nothing made anew but the body.

What a session of aiohttp does around a request (cookies, redirects, retries, proxies, a request object and its headers) an order never
needs, and it is most of the time until the bytes are written. A line keeps the head of its requests, borrows a connection of the session's
connector, asks for leave, writes head and body in the same breath, and has aiohttp's own protocol read the answer.

It sends once: nothing is retried here, and nothing redirected.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from ssl import SSLContext
from typing import Final, NamedTuple

import aiohttp
from aiohttp.http import HttpProcessingError
from yarl import URL

_END: Final = "\r\n"


class Answer(NamedTuple):
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Line:
    """The way to one address over the connections of a session; ``headers`` are sent beside those of the session.

    Raises ``ValueError`` for a header that would break out of its line.
    """

    def __init__(
        self, session: aiohttp.ClientSession, method: str, url: URL, *, headers: Mapping[str, str], ssl: SSLContext | bool
    ) -> None:
        self._session = session
        # Never sent: it says whom to connect to, and what aiohttp would put into the head.
        self._pattern = aiohttp.ClientRequest(
            method, url, headers={**session.headers, **headers}, session=session, ssl=ssl, loop=asyncio.get_running_loop()
        )
        lines = [f"{name}: {value}" for name, value in self._pattern.headers.items() if name.lower() != "content-length"]
        if any(character in line for line in lines for character in _END):
            raise ValueError(f"a header of {method} {url} has a line break in it; nothing is sent")
        self._head = _END.join([f"{method} {url.raw_path_qs} HTTP/1.1", *lines, "Content-Length: "]).encode()

    async def send(self, body: bytes, leave: Callable[[], Awaitable[None]]) -> Answer:
        """Send a body when ``leave`` has returned, and return the answer. What ``leave`` raises ends the request unsent.

        Raises what a session raises: ``aiohttp.ClientError`` and ``OSError``.
        """
        connector = self._session.connector
        if connector is None or connector.closed:
            raise aiohttp.ClientConnectionError("the session is closed")
        connection = await connector.connect(self._pattern, [], self._session.timeout)
        try:
            protocol = connection.protocol
            assert protocol is not None, "it was just borrowed"
            protocol.set_response_params(read_until_eof=True)
            await leave()
            transport = protocol.transport
            if transport is None or transport.is_closing():
                raise aiohttp.ClientConnectionResetError("the connection was lost before anything was written to it")
            transport.write(b"%b%d\r\n\r\n%b" % (self._head, len(body), body))
            message, payload = await protocol.read()
            while 100 <= message.code < 200:  # Of no consequence, the answer is still to come.
                message, payload = await protocol.read()
            content = await payload.read()
        except HttpProcessingError as error:
            connection.close()
            raise aiohttp.ClientPayloadError(f"the answer is not HTTP: {error.message}") from error
        except BaseException:
            connection.close()
            raise
        connection.release()
        return Answer(message.code, message.headers, content)
