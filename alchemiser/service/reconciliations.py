"""When the daemon compares itself with the venue beside its gaps: on a timer while the session is open, and when somebody asks."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from functools import partial

from alchemiser.bus.envelope import Envelope
from alchemiser.domain.events import Reconciled, ReconciliationDue, ReconciliationFailed, SessionClosed, SessionOpened, SettingsReloaded
from alchemiser.domain.runtime import Clock
from alchemiser.service.movable_wait import MovableWait

Outcome = Reconciled | ReconciliationFailed


class Reconciliations:
    """Asks for comparisons and hands out what came of them. Inline; :meth:`run` is the timer."""

    listens_to = (SessionOpened, SessionClosed, Reconciled, ReconciliationFailed, SettingsReloaded)

    def __init__(self, *, every_seconds: float, clock: Clock, publish: Callable[..., Awaitable[object]]) -> None:
        self.every_seconds = every_seconds
        self._clock = clock
        self._publish = publish
        self._in_session = asyncio.Event()
        self._pause = MovableWait(clock)
        self._waiting: list[asyncio.Future[Outcome]] = []

    def __call__(self, envelope: Envelope) -> None:
        """Take note of the session, and of a comparison that has ended."""
        match envelope.event:
            case SessionOpened():
                self._in_session.set()
            case SessionClosed():
                self._in_session.clear()
            case SettingsReloaded():
                self._pause.moved()
            case Reconciled() | ReconciliationFailed() as outcome:
                waiting, self._waiting = self._waiting, []
                for future in waiting:
                    if not future.done():
                        future.set_result(outcome)
            case _:
                pass

    async def run(self) -> None:
        """Ask for a comparison every so many market seconds of a session, until cancelled."""
        while True:
            await self._in_session.wait()
            await self._pause.until(partial(self._due_since, self._clock.now()))
            if self._in_session.is_set():
                await self._publish(ReconciliationDue(at=self._clock.now(), reason="timer"))

    def _due_since(self, began: datetime) -> datetime:
        return began + timedelta(seconds=self.every_seconds)

    async def ask(self, reason: str, *, patience_seconds: float) -> Outcome | None:
        """Ask for a comparison now and return what came of it, ``None`` when that takes longer than so many seconds of the loop."""
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        await self._publish(ReconciliationDue(at=self._clock.now(), reason=reason))
        try:
            async with asyncio.timeout(patience_seconds):
                return await future
        except TimeoutError:
            return None
