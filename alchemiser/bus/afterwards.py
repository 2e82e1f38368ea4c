"""Listeners that no order should wait for: log lines and counters, told of each event a moment later, in order.

While a fill becomes the next order nothing else should run on the loop. So what these listeners are told is kept for a few
milliseconds, in which whatever is urgent has been done, and then told one by one, a turn of the loop for each: a fill that comes just
then waits for one line of a log and not for all. It keeps everything and loses nothing: the bus flushes when it ends, also when it
breaks. Without a running loop there is nobody to wait for, and they are told at once.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from contextvars import Context

from alchemiser.bus.envelope import Envelope

AFTERWARDS_SECONDS = 0.005
"""How much later, in seconds of the loop: an order has left by then, and no reader of a log notices."""

AT_MOST = 1_000
"""When so many events wait they are told at once: in a burst that never ends the memory is worth more than the moment."""


class Afterwards:
    """Keeps the events of one listener; ``guarded`` tells it of one and never raises what the listener raises."""

    def __init__(self, guarded: Callable[[Envelope], None]) -> None:
        self._guarded = guarded
        self._waiting: deque[Envelope] = deque()
        self._timer: asyncio.Handle | None = None

    def put(self, envelope: Envelope) -> None:
        """Keep an event for later."""
        self._waiting.append(envelope)
        if self._timer is not None and len(self._waiting) < AT_MOST:
            return
        if self._timer is None:
            try:
                loop = asyncio.get_running_loop()
            except RuntimeError:
                pass
            else:
                # A context of its own: what a listener's failure leads to is not caused by whatever came first.
                self._timer = loop.call_later(AFTERWARDS_SECONDS, self._tell_one, loop, context=Context())
                return
        self.flush()

    def _tell_one(self, loop: asyncio.AbstractEventLoop) -> None:
        """Tell the listener of the event that waits longest, and of the next one in the next turn."""
        self._guarded(self._waiting.popleft())
        # The bus may have flushed meanwhile, because it broke.
        self._timer = loop.call_soon(self._tell_one, loop) if self._waiting else None

    def flush(self) -> None:
        """Tell the listener of everything that waits."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._waiting:
            self._guarded(self._waiting.popleft())
