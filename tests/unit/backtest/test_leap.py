"""Virtual time: the loop that never waits and its clock."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from alchemiser.backtest.leap import LeapingClock, run_leaping
from alchemiser.domain.errors import DataError, InvariantBroken

START = datetime(2025, 3, 3, 14, 30, tzinfo=UTC)


def test_the_time_leaps_to_whoever_waits_for_the_earliest_moment() -> None:
    """Sleepers wake in the order of their moments, at those moments, and those of one moment in the order in which they went to sleep."""
    clock = LeapingClock(START)
    woken: list[tuple[str, float]] = []

    async def sleeper(name: str, seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append((name, clock.monotonic()))

    async def everybody() -> None:
        async with asyncio.TaskGroup() as group:
            for name, seconds in (("late", 86_400.0 * 365), ("first", 1.5), ("second", 1.5), ("now", 0.0), ("past", -3.0)):
                group.create_task(sleeper(name, seconds))

    run_leaping(clock, everybody)
    assert woken == [("now", 0.0), ("past", 0.0), ("first", 1.5), ("second", 1.5), ("late", 86_400.0 * 365)]
    assert clock.now() == START + timedelta(days=365)


def test_a_cancelled_sleeper_moves_no_time() -> None:
    """Whoever no longer waits is not leapt to."""
    clock = LeapingClock(START)

    async def impatient() -> None:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(clock.sleep(1_000.0))
            await clock.sleep(1.0)
            task.cancel()
        await clock.sleep(1.0)

    run_leaping(clock, impatient)
    assert clock.monotonic() == 2.0


def test_turning_to_a_moment_wakes_all_before_it() -> None:
    """Time that is moved by hand passes every moment that is waited for on the way, and never goes back."""
    clock = LeapingClock(START)

    async def turned() -> list[float]:
        async with asyncio.TaskGroup() as group:
            waiting = [group.create_task(clock.sleep(seconds)) for seconds in (1.0, 2.0, 9.0)]
            await asyncio.sleep(0)
            clock.turn_to(START + timedelta(seconds=5))
            await asyncio.sleep(0)
            done = [task.done() for task in waiting]
            clock.turn_to(START)
            now = clock.monotonic()
        return [*map(float, done), now]

    assert run_leaping(clock, turned) == [1.0, 1.0, 0.0, 5.0]


def test_a_deadline_of_the_loop_passes_only_when_nobody_waits_for_market_time() -> None:
    """A guard against a handler that hangs does not fire while market time can still leap."""
    clock = LeapingClock(START)

    async def guarded() -> str:
        async with asyncio.timeout(5.0):
            await clock.sleep(1_000_000.0)
        try:
            async with asyncio.timeout(5.0):
                await asyncio.get_running_loop().create_future()
        except TimeoutError:
            return "the guard fired"
        return "it hangs"

    assert run_leaping(clock, guarded) == "the guard fired"


def test_tasks_that_wait_for_one_another_are_given_up() -> None:
    """Nothing left to happen is a fault of ours, said in words, not a process that hangs."""

    async def never() -> None:
        await asyncio.get_running_loop().create_future()

    with pytest.raises(InvariantBroken, match="every task waits for another one"):
        run_leaping(LeapingClock(START), never)


def test_an_error_of_a_task_comes_out_as_itself() -> None:
    """The command line knows what to do about a DataError, and nothing about a group of errors."""

    async def failing() -> None:
        raise DataError("line 3 is wrong")

    async def grouped() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(failing())

    with pytest.raises(DataError, match="line 3 is wrong"):
        run_leaping(LeapingClock(START), grouped)
