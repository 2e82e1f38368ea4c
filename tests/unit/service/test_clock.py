"""The clocks keep the promises of the runtime: they never go back, wake in order, and leap only when nobody holds them."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
import uvloop

from alchemiser.service.clock import LeapClock, VirtualClock, WallClock
from alchemiser.service.runtime import SeededRuntime
from tests.solipsism import virtual

START = datetime(2025, 3, 3, 14, 0, tzinfo=UTC)


def test_virtual_time_passes_without_waiting() -> None:
    """A day of waiting takes no time, and ends at the moment that was waited for."""

    async def main() -> tuple[datetime, float]:
        clock = VirtualClock(START)
        await clock.sleep_until(START + timedelta(days=1))
        await clock.sleep(-1)
        clock.hold("nothing")()
        return clock.now(), clock.monotonic()

    now, seconds = virtual(main)
    assert START + timedelta(days=1) <= now < START + timedelta(days=1, milliseconds=1)
    assert seconds == pytest.approx(86_400)


async def test_wall_time_is_the_machines() -> None:
    """It is in UTC, goes forward, and a moment that has passed is not waited for."""
    clock = WallClock()
    before = clock.monotonic()

    await clock.sleep(0)
    await clock.sleep_until(clock.now() - timedelta(hours=1))
    clock.hold("nothing")()
    assert clock.now().utcoffset() == timedelta(0)
    assert clock.monotonic() >= before


@pytest.mark.parametrize("kind", [WallClock, LeapClock])
def test_a_wait_in_real_time_does_not_spin(kind: type[WallClock | LeapClock]) -> None:
    """The timers of a fast loop are whole milliseconds: a fraction is waited out in one of them, not looked at again and again."""
    looks = 0

    class Counted(kind):  # type: ignore[misc, valid-type]
        def now(self) -> datetime:
            nonlocal looks
            looks += 1
            found: datetime = super().now()
            return found

        def monotonic(self) -> float:
            nonlocal looks
            looks += 1
            found: float = super().monotonic()
            return found

    async def main() -> None:
        clock = Counted() if kind is WallClock else Counted(START, speed=1.0, leaps=False)
        for tenths in range(1, 28, 3):
            due = clock.now() + timedelta(milliseconds=tenths / 10)
            await clock.sleep_until(due)
            assert clock.now() >= due

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
    assert looks < 9 * 40


async def test_a_leap_goes_to_the_next_waiter_and_no_further() -> None:
    """Waiters wake in the order of their times, each at its time."""
    clock = LeapClock(START)
    woken: list[tuple[str, float]] = []

    async def waiter(name: str, seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append((name, clock.monotonic()))

    async with asyncio.TaskGroup() as group:
        for name, seconds in (("late", 7200.0), ("early", 60.0), ("middle", 3600.0)):
            group.create_task(waiter(name, seconds))

    assert ["early", "middle", "late"] == [name for name, _ in woken]
    for (_, at), due in zip(woken, (60.0, 3600.0, 7200.0), strict=True):
        assert due <= at < due + 30


async def test_a_held_clock_runs_at_its_bounded_speed() -> None:
    """While a decision or an order is in progress, a second of market time leaves its share of wall time."""
    clock = LeapClock(START, speed=50.0)
    release = clock.hold("a rebalance")
    loop = asyncio.get_running_loop()

    began = loop.time()
    await clock.sleep(5)
    held_seconds = loop.time() - began
    assert ["a rebalance"] == list(clock.holds)
    release()
    release()
    assert not list(clock.holds)
    assert held_seconds == pytest.approx(0.1, abs=0.05)


async def test_a_hold_taken_while_somebody_waits_stops_the_leap() -> None:
    """A decision that begins while others wait far ahead keeps the clock from leaping to them."""
    clock = LeapClock(START, speed=50.0)
    async with asyncio.TaskGroup() as group:
        far = group.create_task(clock.sleep(36_000))
        release = clock.hold("a decision")
        await clock.sleep(1)
        assert clock.monotonic() < 60
        release()
        await far
    assert clock.monotonic() >= 36_000


async def test_it_can_be_set_forward_and_never_back() -> None:
    """Setting the clock forward wakes whoever waited for less."""
    clock = LeapClock(START, speed=1.0, leaps=False)
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(clock.sleep_until(START + timedelta(hours=2)))
        await clock.sleep(0)
        clock.advance(7201)
        await waiting
    clock.set_speed(1000.0, leaps=False)
    before = clock.now()
    await clock.sleep(1)
    assert clock.now() > before
    with pytest.raises(ValueError):
        clock.advance(-1)
    with pytest.raises(ValueError):
        clock.set_speed(0, leaps=True)
    with pytest.raises(ValueError):
        LeapClock(START, speed=-1)


async def test_a_cancelled_wait_leaves_nothing_behind() -> None:
    """Who stops waiting does not hold up the others."""
    clock = LeapClock(START)
    async with asyncio.TaskGroup() as group:
        first = group.create_task(clock.sleep(100))
        second = group.create_task(clock.sleep(200))
        await asyncio.wait([first], timeout=0)
        first.cancel()
        await second
    assert clock.monotonic() >= 200


def test_ids_follow_from_seed_and_time() -> None:
    """The same seed at the same time gives the same ids, which sort by time; jitter drawn in between does not change them."""

    async def main() -> tuple[list[str], list[str]]:
        clock = VirtualClock(START)
        one, other = SeededRuntime(clock, 7), SeededRuntime(clock, 7)
        one.random.random()
        first = [one.new_id(), other.new_id()]
        await clock.sleep(1)
        return first, [one.new_id(), other.new_id()]

    first, second = virtual(main)
    assert first[0] == first[1]
    assert second[0] == second[1]
    assert first[0] < second[0]
    assert all(len(text) == 26 for text in first + second)
    assert SeededRuntime(WallClock()).new_id() != SeededRuntime(WallClock()).new_id()
