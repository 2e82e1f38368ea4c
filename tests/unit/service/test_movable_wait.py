"""A wait whose moment is moved: later, earlier, into the past."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from alchemiser.service.clock import VirtualClock
from alchemiser.service.movable_wait import MovableWait
from tests.solipsism import virtual

NOW = datetime(2025, 1, 2, 15, 0, tzinfo=UTC)


@pytest.mark.parametrize(("moved_to", "ends_at"), [(100, 100), (20, 20), (5, 10), (60, 60)], ids=["later", "earlier", "past", "same"])
def test_it_ends_when_the_moved_moment_has_come(moved_to: int, ends_at: int) -> None:
    """Ten seconds after it began it is told that its moment is another one; one in the past has come."""

    async def scene() -> None:
        clock = VirtualClock(NOW)
        wait, due = MovableWait(clock), [60]
        wait.moved()  # Nobody waits yet.

        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(wait.until(lambda: NOW + timedelta(seconds=due[0])))
            await clock.sleep(10)
            due[0] = moved_to
            wait.moved()
            await waiting

        assert (clock.now() - NOW).total_seconds() == pytest.approx(ends_at, abs=0.01)

    virtual(scene)
