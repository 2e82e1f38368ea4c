"""Virtual time and in-memory sockets: the real HTTP and WebSocket stacks on async-solipsism's loop.

``virtual(main)`` runs a coroutine function on a loop whose clock jumps to the next timer when every task waits. ``LoopConnector`` makes
aiohttp's client, and ``listen`` its server, use the loop's in-memory sockets; websockets' client uses them of itself because it
calls ``loop.create_connection``.
"""

import asyncio
import warnings
from collections.abc import Awaitable, Callable
from selectors import EVENT_READ, EVENT_WRITE, SelectorKey
from typing import Any, TypeVar, cast

import aiohttp
import async_solipsism
from aiohttp.client_proto import ResponseHandler
from async_solipsism.selector import Selector
from async_solipsism.socket import Socket

T = TypeVar("T")

FOR_EVER_SECONDS: float = asyncio.base_events.MAXIMUM_SELECT_TIMEOUT  # type: ignore[attr-defined] # of asyncio itself
"""What the loop asks for when it has no timer."""


class QuickSelector(Selector):  # type: ignore[misc] # untyped
    """The selector of async-solipsism with the same answers in the same order, without four calls for each socket that has nothing to say.

    Every turn of the loop asks every socket: in a day of a daemon and an exchange that was a quarter of the whole time.
    """

    def select(self, timeout: float | None = None) -> list[tuple[SelectorKey, int]]:
        """Return the sockets that are ready, or let the time pass."""
        ready = []
        for key in self._fd_to_key.values():
            socket, wanted = key.fd.socket, key.events
            if wanted == EVENT_READ and type(socket) is Socket:
                queue = socket._read_queue
                if queue is None or queue._eof or queue._buffer:
                    ready.append((key, EVENT_READ))
                continue
            events = EVENT_READ if wanted & EVENT_READ and socket.read_ready() else 0
            events |= EVENT_WRITE if wanted & EVENT_WRITE and socket.write_ready() else 0
            if events:
                ready.append((key, events))
        if not ready and (timeout is None or timeout >= FOR_EVER_SECONDS):
            raise async_solipsism.SleepForeverError("nothing is ready, and nothing is ever going to be")
        if not ready and timeout:
            self.clock.advance(timeout)
        return ready


class VirtualLoop(async_solipsism.EventLoop):  # type: ignore[misc] # untyped
    """A virtual-time loop on which no timer runs before its time.

    Its time is a whole number of ticks, and the same moment reckoned by addition may be a last bit later: then aiohttp's keep-alive, woken
    at its time, finds that it is not due yet, and asks to be woken at once, for ever. So every timer runs a tick after its time.
    """

    def __init__(self) -> None:
        super().__init__()
        self._selector: Any = QuickSelector(self._selector.clock)

    def call_at(self, when: float, callback: Callable[..., object], *args: Any, context: Any = None) -> asyncio.TimerHandle:
        """Arrange a call for a tick after that time."""
        return cast(asyncio.TimerHandle, super().call_at(when + 1.5 * self._clock_resolution, callback, *args, context=context))


class LoopConnector(aiohttp.TCPConnector):
    """An aiohttp connector that asks the loop for its connections and resolves no names."""

    async def _create_connection(self, req: Any, traces: Any, timeout: Any) -> ResponseHandler:  # noqa: ASYNC109
        try:
            _, protocol = await self._loop.create_connection(self._factory, req.url.raw_host, req.url.port)
        except OSError as error:
            raise aiohttp.ClientConnectorError(req.connection_key, error) from error
        return protocol


def listen(port: int = 0, host: str = "127.0.0.1") -> Any:
    """Return a listening in-memory socket for ``aiohttp.web.SockSite`` or ``loop.create_server(sock=...)``."""
    return async_solipsism.ListenSocket((host, port, 0, 0))


def virtual(main: Callable[[], Awaitable[T]]) -> T:
    """Run ``main`` to its end on a fresh virtual-time loop and return its result."""
    with warnings.catch_warnings(), asyncio.Runner(loop_factory=VirtualLoop) as runner:
        # A timer that is due within the clock's resolution runs at once; that the clock does not move for it is right.
        warnings.simplefilter("ignore", async_solipsism.ResolutionWarning)

        async def call() -> T:
            return await main()

        return runner.run(call())
