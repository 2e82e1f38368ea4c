"""A request of aiohttp that asks before its first byte leaves, and whose bytes leave in the same breath.

Of itself aiohttp writes a body in a task of its own, which before Python 3.12 begins a turn of the loop later, behind whatever else is
waiting for that turn. Here the writing begins at once; only what of it has to wait, for a connection that takes no more, is left to the
task. Its tracing could ask before the first byte too, but costs several signals for each request.
"""

from collections.abc import Awaitable, Callable, Coroutine
from contextvars import ContextVar
from typing import Any

import aiohttp
from aiohttp.connector import Connection

from alchemiser.bus.begun import begin

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
        return begin(super().write_bytes(*arguments)) or _nothing_left()


async def _nothing_left() -> None:
    """Be done."""
