"""A wait for a moment that may be moved while it is waited for: the settings are read again, and what was due at four is due at three."""

import asyncio
from collections.abc import Callable
from datetime import datetime

from alchemiser.domain.runtime import Clock


class MovableWait:
    """One wait at a time; whoever has moved its moment says so."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._sleep: asyncio.Task[None] | None = None

    async def until(self, moment: Callable[[], datetime]) -> None:
        """Return when the moment has come, wherever it was moved to meanwhile; at once when it has passed."""
        while self._clock.now() < (due := moment()):
            async with asyncio.TaskGroup() as group:
                self._sleep = group.create_task(self._clock.sleep_until(due), name="a moment that may be moved")
            self._sleep = None

    def moved(self) -> None:
        """Have the wait look again at when its moment is."""
        if self._sleep is not None:
            self._sleep.cancel("its moment was moved")
