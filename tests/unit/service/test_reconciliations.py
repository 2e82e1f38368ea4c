"""When comparisons are asked for: on the timer of an open session, and by somebody who waits for the answer."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, timedelta

from alchemiser.bus.envelope import Envelope
from alchemiser.domain.events import Event, Reconciled, ReconciliationDue, ReconciliationFailed, SessionClosed, SessionOpened
from alchemiser.domain.market import Session
from alchemiser.service.clock import VirtualClock
from alchemiser.service.reconciliations import Reconciliations
from tests.solipsism import virtual

START = datetime(2025, 3, 3, 15, 0, tzinfo=UTC)
SESSION = Session(date=date(2025, 3, 3), opens_at=START, closes_at=START + timedelta(hours=6))
DONE = Reconciled(at=START, reason="operator", attempts=1, reports=(), differences=(), parked={})
FAILED = ReconciliationFailed(at=START, reason="operator", code="venue_unavailable", error="503", retries=False)


class Desk:
    """Reconciliations and what they ask for."""

    def __init__(self) -> None:
        self.clock = VirtualClock(START)
        self.asked: list[tuple[str, float]] = []
        self.reconciliations = Reconciliations(every_seconds=600, clock=self.clock, publish=self.publish)

    async def publish(self, event: Event) -> None:
        """Remember when it was asked for and why."""
        assert isinstance(event, ReconciliationDue)
        self.asked.append((event.reason, round((event.at - START).total_seconds())))

    def hear(self, event: Event) -> None:
        """Let an event happen."""
        self.reconciliations(Envelope(1, event, 0.0))


def played(play: Callable[[Desk], Awaitable[None]]) -> Desk:
    """Play a scene while the timer runs."""

    async def main() -> Desk:
        desk = Desk()
        timer = asyncio.create_task(desk.reconciliations.run())
        await play(desk)
        timer.cancel()
        return desk

    return virtual(main)


def test_the_timer_runs_while_the_session_is_open() -> None:
    """Not before it, not after it, and again in the next one."""

    async def play(desk: Desk) -> None:
        await desk.clock.sleep(5_000)
        desk.hear(SessionOpened(at=START, session=SESSION))
        await desk.clock.sleep(1_300)
        desk.hear(SessionClosed(at=START, session=SESSION))
        await desk.clock.sleep(5_000)
        desk.hear(SessionOpened(at=START, session=SESSION))
        await desk.clock.sleep(700)

    assert [("timer", 5_600), ("timer", 6_200), ("timer", 11_900)] == played(play).asked


def test_who_asks_is_told_what_came_of_it() -> None:
    """Each of those who wait, also that it could not be done; who has no patience left is told nothing."""

    async def play(desk: Desk) -> None:
        async with asyncio.TaskGroup() as group:
            first = group.create_task(desk.reconciliations.ask("one", patience_seconds=45))
            second = group.create_task(desk.reconciliations.ask("two", patience_seconds=45))
            hasty = group.create_task(desk.reconciliations.ask("hasty", patience_seconds=1))
            await desk.clock.sleep(2)
            desk.hear(DONE)
        assert (DONE, DONE, None) == (first.result(), second.result(), hasty.result())
        third = asyncio.create_task(desk.reconciliations.ask("three", patience_seconds=45))
        await desk.clock.sleep(1)
        desk.hear(FAILED)
        assert await third == FAILED

    assert ["one", "two", "hasty", "three"] == [reason for reason, _ in played(play).asked]
