"""The round trips of the bus: how often, what a proven one leads to, and what a stuck bus does not get."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import pytest

from alchemiser.bus.bus import Bus
from alchemiser.bus.envelope import Envelope
from alchemiser.domain.events import StrategyFilesChanged, TimerElapsed
from alchemiser.service.clock import VirtualClock
from alchemiser.service.liveness import RELOAD_RETRY_SECONDS, Liveness, LivenessParts
from alchemiser.service.metrics import DaemonMetrics
from alchemiser.service.notify import SystemdNotifier
from alchemiser.service.vitals import Vitals
from alchemiser.strategies.reload import Reloader
from alchemiser.strategies.sources import StrategySource
from tests.solipsism import virtual

NOW = datetime(2025, 3, 3, 15, 0, tzinfo=UTC)


class Watchdog(SystemdNotifier):
    """A manager that notes when it was fed, in seconds of the loop."""

    def __init__(self, watchdog_seconds: float | None = None) -> None:
        super().__init__({} if watchdog_seconds is None else {"WATCHDOG_USEC": str(int(watchdog_seconds * 1e6))})
        self.fed: list[float] = []

    def feed_watchdog(self) -> None:
        """Note the time."""
        self.fed.append(round(asyncio.get_running_loop().time(), 1))


def lived(
    seconds: float,
    *,
    watchdog: Watchdog,
    every_seconds: float | None = None,
    stuck_after: float | None = None,
    waits: Callable[[], bool] = lambda: False,
    sources: tuple[StrategySource, ...] = (),
    beside: Callable[[], None] = lambda: None,
    tidy: Callable[[], None] = lambda: None,
) -> list[float]:
    """Send markers round for so long; return when the strategies' files were said to have changed, in seconds of the loop."""

    async def main() -> list[float]:
        loop, clock, changed = asyncio.get_running_loop(), VirtualClock(NOW), list[float]()
        bus, released = Bus(clock=clock), asyncio.Event()

        async def hang(envelope: Envelope) -> None:
            await released.wait()

        bus.subscribe("stuck", [TimerElapsed], hang, limit_seconds=1.0)
        bus.subscribe_inline("files", [StrategyFilesChanged], lambda envelope: changed.append(round(loop.time(), 1)))
        parts = LivenessParts(
            bus=bus,
            vitals=Vitals(loop_time=loop.time, now=clock.now, limit_seconds=10.0),
            metrics=DaemonMetrics(),
            notifier=watchdog,
            reloader=Reloader(sources),
            clock=clock,
            limit_seconds=lambda: 10.0,
            waits=waits,
            tidy=tidy,
        )
        async with asyncio.TaskGroup() as group:
            running = [group.create_task(bus.run()), group.create_task(Liveness(parts).run(every_seconds))]
            if stuck_after is not None:
                await clock.sleep(stuck_after)
                bus.post(TimerElapsed(at=NOW, kind="test", key="x"))
            beside()
            await clock.sleep(seconds - (stuck_after or 0.0))
            released.set()
            for task in running:
                task.cancel()
        return changed

    return virtual(main)


@pytest.mark.parametrize(
    ("every", "watched", "expected"),
    [(None, None, [0, 5, 10, 15, 20]), (8.0, None, [0, 8, 16]), (8.0, 12.0, [0, 6, 12, 18]), (8.0, 60.0, [0, 8, 16])],
)
def test_the_bus_is_probed_twice_within_its_limit(every: float | None, watched: float | None, expected: list[int]) -> None:
    """Unless another pace is asked for; the watchdog of the manager makes it quicker, never slower."""
    watchdog = Watchdog(watched)
    lived(21.0, watchdog=watchdog, every_seconds=every)

    assert expected == [round(at) for at in watchdog.fed]


def test_garbage_is_looked_for_on_the_same_beat() -> None:
    """Nobody else sees to it while there are no orders."""
    watchdog, tidied = Watchdog(), list[None]()
    lived(21.0, watchdog=watchdog, tidy=lambda: tidied.append(None))

    assert len(watchdog.fed) == len(tidied) > 1


def test_a_bus_that_is_stuck_does_not_feed_the_watchdog() -> None:
    """A handler has hung since the eighth second, beyond its limit of one: what was fed before was proven, and nothing is fed after."""
    watchdog = Watchdog()
    lived(200.0, watchdog=watchdog, stuck_after=8.0)

    assert [0, 5] == [round(at) for at in watchdog.fed]


def test_a_file_that_changes_is_told_once(tmp_path: Path) -> None:
    """At the next round trip."""
    file = tmp_path / "mine.clj"
    file.write_text("a")

    def edit() -> None:
        file.write_text("another")

    source = StrategySource(name="mine", source=str(file), allocation=1.0)
    assert [0] == [round(at) for at in lived(300.0, watchdog=Watchdog(), sources=(source,), beside=edit)]


def test_a_version_that_waits_for_its_prices_is_tried_again_now_and_then() -> None:
    """Once a minute, and not at every round trip."""
    tried = lived(300.0, watchdog=Watchdog(), waits=lambda: True)

    assert 5 == len(tried)
    assert all(later - earlier >= RELOAD_RETRY_SECONDS for earlier, later in pairwise(tried))
