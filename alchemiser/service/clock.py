"""The clocks: wall time, the virtual time of an event loop, and accelerated time for the embedded exchange.

This is the one module that reads the machine's clock. All of them keep the promises of ``domain.runtime.Clock``.
"""

import asyncio
import heapq
import itertools
import math
import time
from datetime import UTC, datetime, timedelta

from alchemiser.domain.runtime import Release

_SHORTEST_TIMER_SECONDS = 1e-6
"""A wait that floats made shorter than the loop's resolution would end where it began."""

_TIMER_STEP_SECONDS = 0.001
"""The timers of the loop are whole milliseconds, rounded down as often as up: a shorter wait would be a spin of the processor."""

_LONGEST_TIMER_SECONDS = 43_200.0
"""Longer waits are made of several: a loop whose time jumps takes a timer of a day for a deadlock."""


async def wait_loop_seconds(seconds: float) -> None:
    """Return after that many seconds of the event loop, whatever market time does meanwhile.

    The one way past the injected clock, for what is no business of the market: whether this process is alive, how long a socket or
    somebody else's server stays silent, a file that a person makes. On an accelerated clock market seconds pass in no time, and a wait of
    this kind would keep it from leaping; on virtual time both are the same. Everything else waits on the injected clock.
    """
    await asyncio.sleep(seconds)


def _nothing() -> None:
    """Release a hold that no clock took."""


class WallClock:
    """Market time is the machine's time."""

    def now(self) -> datetime:
        """Return the machine's time in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return the machine's monotonic seconds."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Wait that many seconds."""
        await asyncio.sleep(max(seconds, 0.0))

    async def sleep_until(self, when: datetime) -> None:
        """Wait until the machine's clock shows ``when``, also when it was stepped meanwhile."""
        while (left := (when - self.now()).total_seconds()) > 0:  # noqa: ASYNC110 - this is the clock
            # Short stretches, because a suspended or stepped machine moves the goal.
            await asyncio.sleep(max(min(left, 30.0), _TIMER_STEP_SECONDS))

    def hold(self, reason: str) -> Release:
        """Do nothing: wall time cannot leap."""
        return _nothing


class VirtualClock:
    """Market time is the running loop's own time, which begins at ``start``; for loops whose time jumps."""

    def __init__(self, start: datetime) -> None:
        self._start = start
        self._loop = asyncio.get_running_loop()
        self._zero = self._loop.time()

    def now(self) -> datetime:
        """Return the start plus the loop's seconds."""
        return self._start + timedelta(seconds=self.monotonic())

    def monotonic(self) -> float:
        """Return the loop's seconds since the clock was made."""
        return self._loop.time() - self._zero

    async def sleep(self, seconds: float) -> None:
        """Wait that many seconds of the loop."""
        due = self.monotonic() + seconds
        while (left := due - self.monotonic()) > 0:  # noqa: ASYNC110 - this is the clock
            await asyncio.sleep(min(max(left, _SHORTEST_TIMER_SECONDS), _LONGEST_TIMER_SECONDS))

    async def sleep_until(self, when: datetime) -> None:
        """Wait until the loop's time has reached ``when``."""
        while (left := (when - self.now()).total_seconds()) > 0:
            await self.sleep(left)

    def hold(self, reason: str) -> Release:
        """Do nothing: a virtual clock jumps only when every task waits."""
        return _nothing


class LeapClock:
    """Accelerated market time over real sockets.

    It runs at ``speed`` market seconds per wall second. With ``leaps`` it also jumps to the next thing that anybody waits for, once
    the loop has been quiet for ``settle_seconds``, unless somebody holds it: while a decision or an order is in progress it only
    runs, so that a deadline of seconds leaves the wall time that sockets need.
    """

    def __init__(self, start: datetime, *, speed: float = 20.0, leaps: bool = True, settle_seconds: float = 0.002) -> None:
        if speed <= 0:
            raise ValueError(f"the speed of a clock must be positive, not {speed}")
        self._start = start
        self._speed = speed
        self._leaps = leaps
        self._settle_seconds = settle_seconds
        self._market_seconds = 0.0
        self._wall_seconds = time.monotonic()
        self._waiters: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = itertools.count()
        self._holds: dict[int, str] = {}
        self._timer: asyncio.Handle | None = None

    @property
    def holds(self) -> tuple[str, ...]:
        """Why the clock does not leap just now."""
        return tuple(self._holds.values())

    @property
    def speed(self) -> float:
        """Market seconds per wall second, leaps aside."""
        return self._speed

    @property
    def leaps(self) -> bool:
        """Whether the clock jumps over quiet stretches."""
        return self._leaps

    def now(self) -> datetime:
        """Return the market time."""
        return self._start + timedelta(seconds=self.monotonic())

    def monotonic(self) -> float:
        """Return the market seconds since the clock was made."""
        return self._market_seconds + (time.monotonic() - self._wall_seconds) * self._speed

    async def sleep(self, seconds: float) -> None:
        """Wait that many market seconds."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        await self._wait(self.monotonic() + seconds)

    async def sleep_until(self, when: datetime) -> None:
        """Wait until the market time has reached ``when``."""
        while self.now() < when:
            await self._wait((when - self._start).total_seconds())

    def hold(self, reason: str) -> Release:
        """Keep the clock from leaping until the returned function is called."""
        key = next(self._order)
        self._holds[key] = reason
        self._schedule()

        def release() -> None:
            if self._holds.pop(key, None) is not None:
                self._schedule()

        return release

    def advance(self, seconds: float) -> None:
        """Jump forward by that many market seconds now, waking whoever was waiting for less."""
        if seconds < 0:
            raise ValueError("market time never goes back")
        self._set(self.monotonic() + seconds)

    def set_speed(self, speed: float, *, leaps: bool) -> None:
        """Run at another speed from now on."""
        if speed <= 0:
            raise ValueError(f"the speed of a clock must be positive, not {speed}")
        self._set(self.monotonic())
        self._speed, self._leaps = speed, leaps
        self._schedule()

    async def _wait(self, due: float) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiters, (due, next(self._order), future))
        self._schedule()
        await future

    def _set(self, market_seconds: float) -> None:
        self._market_seconds, self._wall_seconds = market_seconds, time.monotonic()
        self._wake()

    def _schedule(self) -> None:
        """Arrange the next wake: a leap after a quiet moment, or the time the next waiter is due at the present speed."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._waiters and self._waiters[0][2].done():
            heapq.heappop(self._waiters)
        if not self._waiters:
            return
        loop = asyncio.get_running_loop()
        left = (self._waiters[0][0] - self.monotonic()) / self._speed
        if self._leaps and not self._holds and left > self._settle_seconds:
            self._timer = loop.call_later(self._settle_seconds, self._settle, 4)
        elif self._speed > 1.0 or left <= 0.0:
            self._timer = loop.call_later(max(left, 0.0), self._wake)
        else:
            # Somebody who runs faster than real time is in a hurry, and may spin for a fraction of a millisecond; a server may not.
            self._timer = loop.call_later(math.ceil(left / _TIMER_STEP_SECONDS) * _TIMER_STEP_SECONDS, self._wake)

    def _settle(self, rounds: int) -> None:
        """Let the loop poll its sockets a few more times, then leap; a hold or a new waiter meanwhile starts over."""
        loop = asyncio.get_running_loop()
        if rounds > 0:
            self._timer = loop.call_soon(self._settle, rounds - 1)
            return
        self._timer = None
        while self._waiters and self._waiters[0][2].done():
            heapq.heappop(self._waiters)
        if self._waiters:
            self._set(max(self._waiters[0][0], self.monotonic()))

    def _wake(self) -> None:
        now = self.monotonic() + 1e-9
        while self._waiters and (self._waiters[0][0] <= now or self._waiters[0][2].done()):
            future = heapq.heappop(self._waiters)[2]
            if not future.done():
                future.set_result(None)
        self._schedule()
