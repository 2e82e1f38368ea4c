"""The alarm: a deadline that rings once, at the time it was last set to, and never before."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

from alchemiser.bus.alarm import Alarm
from alchemiser.service.clock import VirtualClock
from tests.unit.bus.scenes import START, settled


class Bell:
    """Remembers when it was rung."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock
        self.rung: list[float] = []

    async def ring(self) -> None:
        """Take note of the time, in seconds since the start."""
        self.rung.append(round((self._clock.now() - START).total_seconds(), 3))


def after(seconds: float) -> datetime:
    """Return a time so long after the start."""
    return START + timedelta(seconds=seconds)


@asynccontextmanager
async def waiting(clock: VirtualClock) -> AsyncIterator[tuple[Alarm, Bell]]:
    """Run an alarm for the length of the block."""
    bell = Bell(clock)
    alarm = Alarm(clock, bell.ring)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(alarm.run(), name="alarm")
        await settled()
        yield alarm, bell
        task.cancel()


async def test_it_rings_once_at_its_time(clock: VirtualClock) -> None:
    """A deadline that has rung is over."""
    async with waiting(clock) as (alarm, bell):
        alarm.set(after(5))
        await clock.sleep(60)

        assert [5.0] == bell.rung


async def test_it_can_be_set_before_it_runs(clock: VirtualClock) -> None:
    """What was set while nobody waited counts as soon as somebody does."""
    bell = Bell(clock)
    alarm = Alarm(clock, bell.ring)
    alarm.set(after(3))
    async with asyncio.TaskGroup() as group:
        task = group.create_task(alarm.run(), name="alarm")
        await clock.sleep(10)
        task.cancel()

    assert [3.0] == bell.rung


async def test_a_moved_deadline_rings_at_the_new_time_only(clock: VirtualClock) -> None:
    """Earlier or later: the last setting counts."""
    async with waiting(clock) as (alarm, bell):
        alarm.set(after(5))
        await clock.sleep(1)
        alarm.set(after(20))
        await clock.sleep(10)
        assert bell.rung == []

        alarm.set(after(12))
        await clock.sleep(60)
        assert [12.0] == bell.rung


async def test_one_that_has_passed_rings_at_once(clock: VirtualClock) -> None:
    """A deadline in the past is not waited for."""
    async with waiting(clock) as (alarm, bell):
        await clock.sleep(7)
        alarm.set(after(2))
        await clock.sleep(1)

        assert [7.0] == bell.rung


async def test_taken_back_it_does_not_ring(clock: VirtualClock) -> None:
    """Set to nothing it waits to be set again, and the same time may be set again."""
    async with waiting(clock) as (alarm, bell):
        alarm.set(after(5))
        await clock.sleep(1)
        alarm.set(None)
        await clock.sleep(30)
        assert bell.rung == []

        alarm.set(after(40))
        await clock.sleep(60)
        assert [40.0] == bell.rung


async def test_a_deadline_that_is_moved_away_and_back_keeps_its_time(clock: VirtualClock) -> None:
    """Setting it to nothing and to the same time again, in one breath, is no reason to ring early."""
    async with waiting(clock) as (alarm, bell):
        alarm.set(after(5))
        await clock.sleep(1)
        alarm.set(None)
        alarm.set(after(5))
        await settled()
        assert bell.rung == []

        await clock.sleep(60)
        assert [5.0] == bell.rung


async def test_it_can_be_set_while_it_rings(clock: VirtualClock) -> None:
    """The usual life: what follows from the ring sets the next deadline."""
    rung: list[float] = []

    async def ring() -> None:
        rung.append(round(clock.monotonic(), 3))
        if len(rung) < 3:
            alarm.set(clock.now() + timedelta(seconds=10))

    alarm = Alarm(clock, ring)
    alarm.set(after(10))
    async with asyncio.TaskGroup() as group:
        task = group.create_task(alarm.run(), name="alarm")
        await clock.sleep(120)
        task.cancel()

    assert [10.0, 20.0, 30.0] == rung


async def test_it_can_be_brought_forward_and_not_put_off(clock: VirtualClock) -> None:
    """Whoever has something to do sooner says so; who has time changes nothing for the others."""
    async with waiting(clock) as (alarm, bell):
        alarm.bring_forward(after(5))
        alarm.bring_forward(after(7))
        alarm.bring_forward(after(3))
        await clock.sleep(60)

        assert [3.0] == bell.rung
