"""Virtual time: an event loop that never waits, and the clock that leaps when nothing is left to do.

A backtest runs the daemon's handlers on this loop. As long as any of them has something to do, the time stands still; when all of them
wait, it becomes that of the next thing that anybody waits for. Nothing here opens a socket or starts a thread, and the same calls in the
same order give the same order of events on every machine.
"""

import asyncio
import heapq
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context
from datetime import datetime, timedelta
from itertools import count
from typing import Any, TypeVar, TypeVarTuple, Unpack

from alchemiser.domain.errors import InvariantBroken
from alchemiser.domain.runtime import Release

Result = TypeVar("Result")
Arguments = TypeVarTuple("Arguments")


def _nothing() -> None:
    """Release a hold that no clock took."""


class LeapingClock:
    """Market time that stands still until :meth:`leap` or :meth:`advance` moves it."""

    def __init__(self, start: datetime) -> None:
        self._start = start
        self._now = start
        self._seconds = 0.0
        self._order = count()
        self._waiters: list[tuple[datetime, int, asyncio.Future[None]]] = []

    def now(self) -> datetime:
        """Return the market time."""
        return self._now

    def monotonic(self) -> float:
        """Return the market seconds since the start."""
        return self._seconds

    async def sleep(self, seconds: float) -> None:
        """Return after that many market seconds."""
        await self.sleep_until(self._now + timedelta(seconds=seconds))

    async def sleep_until(self, when: datetime) -> None:
        """Return when the market time has reached ``when``."""
        if when > self._now:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            heapq.heappush(self._waiters, (when, next(self._order), waiter))
            await waiter

    def hold(self, reason: str) -> Release:
        """Do nothing: this clock moves only when every task waits."""
        return _nothing

    def turn_to(self, when: datetime) -> None:
        """Move to ``when``; whoever waits for a moment until then wakes."""
        while self._waiters and self._waiters[0][0] <= when:
            self.leap()
        self._move(when)

    def leap(self) -> bool:
        """Move to the next moment that anybody waits for and wake who waits for it; return whether there is one."""
        while self._waiters:
            when, _, waiter = heapq.heappop(self._waiters)
            if not waiter.done():
                self._move(when)
                waiter.set_result(None)
                return True
        return False

    def _move(self, when: datetime) -> None:
        # The seconds are kept beside the time: every event asks for them, and the time moves a few times a session.
        if when > self._now:
            self._now = when
            self._seconds = (when - self._start).total_seconds()


class _Leaper:
    """Stands where a loop has its selector: asked to wait for sockets, of which there are none, it lets the time leap."""

    def __init__(self, on_quiet: Callable[[float | None], None]) -> None:
        self._on_quiet = on_quiet

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None or timeout > 0:
            self._on_quiet(timeout)
        return []


class LeapLoop(asyncio.BaseEventLoop):
    """A loop whose tasks wait for one another and for a :class:`LeapingClock`, and for nothing else."""

    _ready: deque[asyncio.Handle]
    _scheduled: list[asyncio.TimerHandle]
    _stopping: bool

    def __init__(self, clock: LeapingClock) -> None:
        super().__init__()
        self._clock = clock
        self._seconds = 0.0
        self._selector = _Leaper(self._leap)

    def time(self) -> float:
        """Return seconds that pass only while nobody waits for market time: for deadlines that guard against a handler that hangs."""
        return self._seconds

    def call_soon(
        self, callback: Callable[[Unpack[Arguments]], object], *args: *Arguments, context: Context | None = None
    ) -> asyncio.Handle:
        """Have something called in the next turn; nobody calls from another thread, or after the end."""
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def _run_once(self) -> None:
        """Take one turn as the base class does, without looking at sockets and, where there is none, at deadlines."""
        if self._scheduled:
            super()._run_once()  # type: ignore[misc] # the base class has it, and its description has not
            return
        ready = self._ready
        if not ready and not self._stopping:
            self._leap(None)
        for _ in range(len(ready)):  # What these add waits for the next turn.
            handle = ready.popleft()
            if not handle._cancelled:  # noqa: SLF001 - a loop knows its handles
                handle._run()  # noqa: SLF001

    def _leap(self, timeout: float | None) -> None:
        if self._clock.leap():
            return
        if timeout is None:
            raise InvariantBroken("every task waits for another one and nothing is left to happen; the run is given up")
        self._seconds += timeout

    def _process_events(self, event_list: list[Any]) -> None:
        """Do nothing: there are no sockets to hear of."""

    def _write_to_self(self) -> None:
        """Do nothing: there is no other thread to wake the loop from."""


def run_leaping(clock: LeapingClock, make: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
    """Run a coroutine to its end on a loop of that clock. Raises what it raises."""
    with asyncio.Runner(loop_factory=lambda: LeapLoop(clock)) as runner:
        try:
            return runner.run(make())
        except BaseExceptionGroup as group:
            raise _first_of(group) from group


def _first_of(error: BaseException) -> BaseException:
    """Return the first error inside the groups of a task group's tasks."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
