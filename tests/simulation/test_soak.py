"""The soak: thirty days on end in one process, and nothing that grows but the history of what was traded."""

import asyncio
import gc
import os
import resource
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from statistics import median

import pytest

from alchemiser.market.calendar import TradingCalendar
from alchemiser.service.clock import VirtualClock
from alchemiser.service.settings import RunOptions
from alchemiser.service.start import run_daemon
from tests.simulation.days import FIRST_DAY, in_memory, journal_of, simulated_settings
from tests.solipsism import virtual

DAYS = 30
SETTLED_AFTER = 5
"""How many days the caches may fill: of histories, of compiled settings, of connections."""


@dataclass(frozen=True)
class Level:
    """How much there is of everything, an hour after the close of a day."""

    tasks: int
    handles: int
    objects: int
    megabytes: float


def resident_megabytes() -> float:
    """Return how much of the machine's memory the process takes now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def level() -> Level:
    """Count what there is now."""
    gc.collect()
    return Level(
        tasks=len(asyncio.all_tasks()),
        handles=len(os.listdir("/proc/self/fd")),
        objects=len(gc.get_objects()),
        megabytes=resident_megabytes(),
    )


@pytest.mark.slow
@pytest.mark.timeout(420)
def test_thirty_days_leave_nothing_behind(tmp_path: Path) -> None:
    """Tasks and file handles are as many after the last day as after the first; objects and memory grow by what a day's record takes."""
    sessions = TradingCalendar.new_york().sessions(FIRST_DAY, FIRST_DAY + timedelta(days=60))[:DAYS]
    settings = simulated_settings(
        tmp_path, {"strategies": {"rotation": {"source": "tests.simulation.traders:Rotation"}}, "market.history_sessions": 20}
    )
    levels: list[Level] = []

    async def watch(clock: VirtualClock) -> None:
        for session in sessions[:-1]:
            await clock.sleep_until(session.closes_at + timedelta(hours=1))
            levels.append(level())

    async def main() -> int:
        surroundings = in_memory(ping_seconds=3600.0, turn_seconds=3600.0)
        watching = asyncio.create_task(watch(VirtualClock(sessions[0].opens_at - timedelta(minutes=15))), name="watch")
        code = await run_daemon(settings, RunOptions(start=FIRST_DAY, days=DAYS), surroundings)
        await watching
        return code

    assert virtual(main) == 0
    kinds = [type(envelope.event).__name__ for envelope in journal_of(tmp_path)]
    assert kinds.count("RebalanceCompleted") + kinds.count("RebalanceParked") == DAYS
    settled = levels[SETTLED_AFTER:]

    told = "\n".join(map(str, levels))
    assert growth([one.tasks for one in settled]) == 0, told
    assert settled[-1].tasks <= settled[0].tasks + TASKS_PASSING, told
    assert max(one.handles for one in settled) <= settled[0].handles, told
    assert growth([one.objects for one in settled]) < OBJECTS_A_DAY, told
    assert growth([one.megabytes for one in settled]) < MEGABYTES_A_DAY, told
    assert settled[-1].megabytes < settled[0].megabytes + MEGABYTES_IN_ALL, told


def growth(counts: list[float] | list[int]) -> float:
    """Return by how much a count grows in a typical day."""
    return median(after - before for before, after in pairwise(counts))


TASKS_PASSING = 2
"""Requests and probes that may be under way while tasks are counted."""

OBJECTS_A_DAY = 400
"""What the record of a day takes: the exchange's orders and executions, which are its to keep, and the result in the overview."""

MEGABYTES_A_DAY = 1.0
MEGABYTES_IN_ALL = 30.0
