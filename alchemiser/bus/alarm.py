"""A deadline on the injected clock that can be moved while it is waited for."""

from collections.abc import Awaitable, Callable
from datetime import datetime

import anyio

from alchemiser.domain.runtime import Clock


class Alarm:
    """Calls ``ring`` when the time it was last set to has come; set to ``None`` it waits to be set."""

    def __init__(self, clock: Clock, ring: Callable[[], Awaitable[object]]) -> None:
        self._clock = clock
        self._ring = ring
        self._when: datetime | None = None
        self._scope: anyio.CancelScope | None = None

    def set(self, when: datetime | None) -> None:
        """Move the deadline; one that has passed rings at once."""
        if when != self._when:
            self._when = when
            if self._scope is not None:
                self._scope.cancel()

    async def run(self) -> None:
        """Wait and ring, until cancelled."""
        while True:
            when = self._when
            with anyio.CancelScope() as scope:
                self._scope = scope
                if when is None:
                    await anyio.sleep_forever()
                else:
                    await self._clock.sleep_until(when)
            self._scope = None
            # Moved away and back again in one breath it is the same time, and still to come.
            if when is not None and when == self._when and not scope.cancel_called:
                self._when = None
                await self._ring()
