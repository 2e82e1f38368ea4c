"""A request of aiohttp that asks before its first byte leaves, and whose bytes leave in the same breath.

Of itself aiohttp writes a body in a task of its own, which before Python 3.12 begins a turn of the loop later, behind whatever else is
waiting for that turn. Here the writing begins at once; only what of it has to wait, for a connection that takes no more, is left to the
task. Its tracing could ask before the first byte too, but costs several signals for each request.
"""

from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextvars import ContextVar
from types import coroutine
from typing import Any

import aiohttp
from aiohttp.connector import Connection

leave: ContextVar[Callable[[], Awaitable[None]]] = ContextVar("leave")
"""Awaited when a request of this context has its connection and is about to be written; what it raises ends the request unsent."""


class PromptRequest(aiohttp.ClientRequest):
    """A request that asks ``leave`` before it is written."""

    async def send(self, conn: Connection) -> aiohttp.ClientResponse:
        """Write the request once it may leave."""
        await leave.get()()
        return await super().send(conn)

    def write_bytes(self, *arguments: Any) -> Coroutine[Any, Any, None]:  # its signature differs by version
        """Begin to write head and body now, and return what is left of that."""
        writing = super().write_bytes(*arguments)
        try:
            awaited = writing.send(None)
        except StopIteration:
            return _nothing_left()
        return _rest(writing, awaited)


async def _nothing_left() -> None:
    """Be done."""


async def _rest(writing: Coroutine[Any, Any, None], awaited: object) -> None:
    await _resumed(writing, awaited)


@coroutine
def _resumed(writing: Coroutine[Any, Any, None], awaited: object) -> Generator[Any, Any, None]:
    """Go on with a coroutine that was begun elsewhere and waits for ``awaited``."""
    try:
        while True:
            try:
                sent = yield awaited
            except BaseException as error:  # noqa: BLE001 - whatever it is, it is meant for the coroutine
                awaited = writing.throw(error)
            else:
                awaited = writing.send(sent)
    except StopIteration:
        pass
