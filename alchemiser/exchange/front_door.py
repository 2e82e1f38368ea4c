"""The front door of a connection: plain requests are answered at once, everything else is aiohttp's.

aiohttp's own protocol stands behind every door and gets, byte for byte, whatever the door does not answer itself: requests that are not
plain, endpoints that await, WebSockets, event streams. A plain request that is not answered at once is lent to it: when its answer has
been written (:meth:`FrontDoor.take_back`), the door looks at what comes next. After anything else the connection is aiohttp's for good.
Answers leave in the order of the requests either way.
"""

import asyncio
from collections.abc import Callable
from typing import Final, cast

from aiohttp import web

from alchemiser.exchange.calls import Handler
from alchemiser.exchange.heads import HEAD_END, Head, read_head

NEVER: Final = 10 * 365 * 86_400.0
"""The idle seconds after which aiohttp may close a connection: it does not see what passes at the door, and would close a busy one."""

_MOST_BODY_BYTES: Final = 2**16
"""Larger bodies are aiohttp's from the start."""

Answer = Callable[[Head, bytes], bytes | None]


class FrontDoor(asyncio.Protocol):
    """One connection; ``answer`` returns the bytes of an answer, or ``None`` for a request that is not answered at once."""

    def __init__(self, behind: asyncio.Protocol, answer: Answer) -> None:
        self._behind = behind
        self._answer = answer
        self._held = b""
        self._is_lent = False
        self._is_given = False
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Open the door, and the protocol behind it."""
        self._transport = cast(asyncio.Transport, transport)
        self._behind.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Answer what can be answered at once, in order, and pass on the rest."""
        if self._held:
            data, self._held = self._held + data, b""
        while data:
            is_behind = self._is_given or self._is_lent
            end = -1 if is_behind else data.find(HEAD_END)
            head = None if end < 0 else read_head(data[:end])
            if head is None or head.length > _MOST_BODY_BYTES:
                self._give(data)
                return
            begin = end + len(HEAD_END)
            if len(data) < begin + head.length:
                self._held = data  # Many clients send a head and its body one after the other.
                return
            request, data = data[: begin + head.length], data[begin + head.length :]
            answer = self._answer(head, request[begin:])
            if answer is None:
                self._is_lent = True
                self._behind.data_received(request)
            elif self._transport is not None:
                self._transport.write(answer)

    @property
    def is_lent(self) -> bool:
        """Whether aiohttp is answering a plain request."""
        return self._is_lent and not self._is_given

    def take_back(self) -> None:
        """Look at what comes next again: the answer to the request that was lent has been written."""
        self._is_lent = False

    def eof_received(self) -> bool | None:
        """Pass on that the client sends no more."""
        self._give(self._held)
        return self._behind.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """Pass on that the connection is gone."""
        self._transport = None
        self._behind.connection_lost(exc)

    def pause_writing(self) -> None:
        """Answer nothing at once to a client that does not read what it is sent."""
        self._give(self._held)
        self._behind.pause_writing()

    def resume_writing(self) -> None:
        """Pass on that the client reads again."""
        self._behind.resume_writing()

    def _give(self, data: bytes) -> None:
        """Give the connection to aiohttp for good."""
        self._held = b""
        self._is_given = True
        if data:
            self._behind.data_received(data)


@web.middleware
async def taking_back(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Write the answer to a request that was lent here, instead of leaving it to aiohttp, so that the door knows when it is done."""
    response = await handler(request)
    door = None if request.transport is None else request.transport.get_protocol()
    if isinstance(door, FrontDoor) and door.is_lent:
        try:
            await response.prepare(request)
            await response.write_eof()
        except ConnectionError:
            return response  # The client is gone, which aiohttp sees too.
        door.take_back()
    return response
