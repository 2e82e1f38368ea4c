"""A deadline on the injected clock that can be moved while it is waited for."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime

from alchemiser.domain.runtime import Clock


class Alarm:
    """Calls ``ring`` when the time it was last set to has come; set to ``None`` it waits to be set."""

    def __init__(self, clock: Clock, ring: Callable[[], Awaitable[object]]) -> None:
        self._clock = clock
        self._ring = ring
        self._when: datetime | None = None
        self._sleeps_until: datetime | None = None
        self._idle: asyncio.Future[None] | None = None
        self._wait: asyncio.Timeout | None = None

    def set(self, when: datetime | None) -> None:
        """Move the deadline; one that has passed rings at once."""
        if when == self._when:
            return
        self._when = when
        if when is None or (self._sleeps_until is not None and when > self._sleeps_until):
            return  # It wakes before that and sleeps on; deadlines move with every event, and mostly they move away.
        if self._idle is not None:
            if not self._idle.done():
                self._idle.set_result(None)
        elif self._wait is not None and not self._wait.expired():
            # The wait is ended as if it had timed out, and begins anew with the new deadline.
            self._wait.reschedule(asyncio.get_running_loop().time())

    def bring_forward(self, when: datetime) -> None:
        """Move the deadline to ``when`` if that is sooner."""
        if self._when is None or when < self._when:
            self.set(when)

    async def run(self) -> None:
        """Wait and ring, until cancelled."""
        while True:
            when = self._when
            if when is None:
                self._idle = asyncio.get_running_loop().create_future()
                await self._idle
                self._idle = None
                continue
            self._sleeps_until = when
            try:
                async with asyncio.timeout(None) as self._wait:
                    await self._clock.sleep_until(when)
            except TimeoutError:
                continue
            finally:
                self._wait = self._sleeps_until = None
            if when == self._when:
                self._when = None
                await self._ring()
