"""The stop staircase: named stages, one after the other, each with its own time limit.

A stage that does not end in time is given up, and what it left undone is said; the next one begins. Whoever asks a second time is in a
hurry: the stage in progress and those after it are skipped, but for the vital ones, which write down what is known. The staircase itself
never takes longer than the sum of its limits.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import structlog
from msgspec import Struct

from alchemiser.domain.events import StopStage

DONE: Final = "done"
TIMED_OUT: Final = "timed out"
SKIPPED: Final = "skipped"

_log = structlog.get_logger(__name__)


class Stage(Struct, frozen=True, kw_only=True):
    """One stage. ``work`` does it; ``left`` says in words what is undone, empty when nothing is; a vital stage is never skipped."""

    name: str
    limit_seconds: float
    work: Callable[[], Awaitable[None]]
    left: Callable[[], str] = str
    is_vital: bool = False


class Staircase:
    """Walks the stages, once."""

    def __init__(self, stages: Sequence[Stage]) -> None:
        self._stages = stages
        self._hurry = asyncio.Event()
        self.walked: list[StopStage] = []
        self.current: str | None = None

    def hurry(self) -> None:
        """Skip what is not vital, the stage in progress included."""
        self._hurry.set()

    async def walk(self) -> tuple[StopStage, ...]:
        """Go down to the end and return what became of each stage. An error of a stage is raised: then there is nothing left to save."""
        for stage in self._stages:
            self.current = stage.name
            walked = await self._through(stage)
            self.walked.append(walked)
            say = _log.info if walked.outcome == DONE and not walked.left else _log.warning
            say("stop_stage", stage=walked.name, outcome=walked.outcome, seconds=round(walked.seconds, 3), left=walked.left)
        self.current = None
        return tuple(self.walked)

    async def _through(self, stage: Stage) -> StopStage:
        loop = asyncio.get_running_loop()
        began, outcome = loop.time(), DONE
        if self._hurry.is_set() and not stage.is_vital:
            return StopStage(name=stage.name, outcome=SKIPPED, seconds=0.0, limit_seconds=stage.limit_seconds, left=stage.left())
        work = asyncio.create_task(_awaited(stage.work), name=f"stop: {stage.name}")
        impatience = asyncio.create_task(self._hurry.wait(), name="a second request to stop")
        try:
            watched = (work,) if stage.is_vital else (work, impatience)
            await asyncio.wait(watched, timeout=stage.limit_seconds, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                outcome = SKIPPED if impatience.done() and not stage.is_vital else TIMED_OUT
        finally:
            impatience.cancel()
            if not work.done():
                work.cancel("the stage is over")
            await asyncio.wait((work, impatience))
        if not work.cancelled():
            work.result()
        return StopStage(
            name=stage.name, outcome=outcome, seconds=loop.time() - began, limit_seconds=stage.limit_seconds, left=stage.left()
        )


async def _awaited(work: Callable[[], Awaitable[None]]) -> None:
    await work()
