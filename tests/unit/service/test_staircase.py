"""The staircase: each stage has its time and no more, what it leaves is said, and haste skips all but the vital."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from alchemiser.domain.errors import JournalFailed
from alchemiser.domain.events import StopStage
from alchemiser.service.staircase import Stage, Staircase
from tests.solipsism import virtual


async def at_once() -> None:
    """Do it."""


async def never() -> None:
    """Wait for what does not come."""
    await asyncio.Event().wait()


def stage(name: str, work: Callable[[], Awaitable[None]], *, limit: float = 3.0, left: str = "", is_vital: bool = False) -> Stage:
    """Return a stage."""
    return Stage(name=name, limit_seconds=limit, work=work, left=lambda: left, is_vital=is_vital)


def walked(*stages: Stage, hurry_after: float | None = None) -> tuple[tuple[StopStage, ...], float]:
    """Walk the stages and return what became of them, and how long it took."""

    async def main() -> tuple[tuple[StopStage, ...], float]:
        loop = asyncio.get_running_loop()
        stairs = Staircase(stages)
        if hurry_after is not None:
            loop.call_later(hurry_after, stairs.hurry)
        began = loop.time()
        found = await stairs.walk()
        assert stairs.current is None
        assert tuple(stairs.walked) == found
        return found, loop.time() - began

    return virtual(main)


def told(stages: tuple[StopStage, ...]) -> list[tuple[str, str, int, str]]:
    """Return name, outcome, whole seconds and what was left."""
    return [(one.name, one.outcome, round(one.seconds), one.left) for one in stages]


def test_stages_are_walked_in_their_order_without_waiting_for_their_limits() -> None:
    """A stage that is done makes room for the next at once."""
    stages, seconds = walked(stage("one", at_once), stage("two", at_once))
    assert [("one", "done", 0, ""), ("two", "done", 0, "")] == told(stages)
    assert [3.0, 3.0] == [one.limit_seconds for one in stages]
    assert seconds < 0.01


@pytest.mark.parametrize("is_vital", [False, True])
def test_a_stage_that_hangs_is_given_up_at_its_own_limit_and_the_next_begins(*, is_vital: bool) -> None:
    """Vital or not; what it left undone is said."""
    stages, seconds = walked(
        stage("one", never, limit=2.0, left="an order", is_vital=is_vital), stage("two", never, limit=5.0), stage("three", at_once)
    )
    assert [("one", "timed out", 2, "an order"), ("two", "timed out", 5, ""), ("three", "done", 0, "")] == told(stages)
    assert seconds == pytest.approx(7.0, abs=0.01)


def test_haste_ends_the_stage_in_progress_and_skips_to_the_vital_ones() -> None:
    """Also those that nobody has begun; what they would have done is named as left."""
    stages, seconds = walked(
        stage("one", never, left="a"), stage("two", never, left="b"), stage("three", at_once, is_vital=True), hurry_after=1.0
    )
    assert [("one", "skipped", 1, "a"), ("two", "skipped", 0, "b"), ("three", "done", 0, "")] == told(stages)
    assert seconds == pytest.approx(1.0, abs=0.01)


def test_haste_does_not_shorten_a_vital_stage() -> None:
    """What is known is written down, within its own limit."""
    stages, _ = walked(stage("one", never, limit=4.0, is_vital=True), hurry_after=1.0)
    assert [("one", "timed out", 4, "")] == told(stages)


def test_a_stage_is_cleaned_up_before_the_next_begins() -> None:
    """Its work is cancelled and has ended; nothing of it goes on behind the others' backs."""
    events: list[str] = []

    async def stubborn() -> None:
        try:
            await never()
        finally:
            events.append("one cleaned up")

    async def second() -> None:
        events.append("two begins")

    walked(stage("one", stubborn, limit=1.0), stage("two", second))
    assert ["one cleaned up", "two begins"] == events


def test_an_error_ends_the_staircase() -> None:
    """A journal that cannot be written saves nothing any more; the process must say so and go."""

    async def failing() -> None:
        raise JournalFailed("disk full")

    with pytest.raises(JournalFailed, match="disk full"):
        walked(stage("one", failing), stage("two", never))


def test_being_cancelled_itself_it_leaves_no_task_behind() -> None:
    """The whole process is going: the work in progress goes with it."""

    async def main() -> None:
        stairs = Staircase([stage("one", never, limit=60.0)])
        walk = asyncio.create_task(stairs.walk())
        await asyncio.wait([walk], timeout=1.0)
        assert stairs.current == "one"
        walk.cancel()
        await asyncio.wait([walk])
        assert {asyncio.current_task()} == asyncio.all_tasks()

    virtual(main)
