"""Whether the daemon is alive: a marker that goes round the bus again and again, and what is done each time that it comes back.

The watchdog of systemd is fed for a proven round trip and for nothing else, so that a process whose bus is stuck is started again. On the
same beat the files of the strategies are looked at and garbage is looked for. All of it is in seconds of the loop: liveness is not market
time.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from msgspec import Struct

from alchemiser.bus.bus import Bus
from alchemiser.domain.events import StrategyFilesChanged
from alchemiser.domain.runtime import Clock
from alchemiser.service.clock import wait_loop_seconds
from alchemiser.service.metrics import DaemonMetrics
from alchemiser.service.notify import SystemdNotifier
from alchemiser.service.vitals import Vitals
from alchemiser.strategies.reload import Reloader

TURNS_PER_LIMIT: Final = 2
"""How often the bus is probed within the time in which it must turn round."""

RELOAD_RETRY_SECONDS: Final = 60.0
"""How often a new version of a strategy that waits for its prices is tried again."""


class LivenessParts(Struct, frozen=True, kw_only=True):
    """What the round trips are made with, and whom they are told.

    ``limit_seconds`` is in how many seconds the bus must turn round, ``waits`` whether a new version of a strategy waits for its prices.
    ``tidy`` is called at every beat.
    """

    bus: Bus
    vitals: Vitals
    metrics: DaemonMetrics
    notifier: SystemdNotifier
    reloader: Reloader
    clock: Clock
    limit_seconds: Callable[[], float]
    waits: Callable[[], bool]
    tidy: Callable[[], None] = lambda: None


class Liveness:
    """Sends the marker round."""

    def __init__(self, parts: LivenessParts) -> None:
        self._parts = parts

    async def run(self, every_seconds: float | None = None) -> None:
        """Probe the bus until cancelled; by default twice within the time in which it must turn round."""
        parts, loop = self._parts, asyncio.get_running_loop()
        looks_again_at = loop.time()
        while True:
            limit_seconds = parts.limit_seconds()
            seconds = every_seconds or limit_seconds / TURNS_PER_LIMIT
            seconds = min(seconds, parts.notifier.feed_seconds or seconds)
            report = await parts.bus.turn(limit_seconds)
            parts.vitals.on_turn(report)
            parts.metrics.on_turn(report.seconds)
            parts.tidy()
            if report.is_healthy:
                parts.notifier.feed_watchdog()
            if parts.reloader.has_changed() or (parts.waits() and loop.time() >= looks_again_at):
                looks_again_at = loop.time() + RELOAD_RETRY_SECONDS
                parts.bus.post(StrategyFilesChanged(at=parts.clock.now()))
            due = loop.time() + seconds
            await wait_loop_seconds(seconds)
            parts.metrics.on_loop_lag(max(loop.time() - due, 0.0))
