"""Listeners that are told afterwards: in order, a moment later, every event, whatever happens to the bus."""

import asyncio
from datetime import UTC, datetime

import pytest

from alchemiser.bus.afterwards import AFTERWARDS_SECONDS, AT_MOST
from alchemiser.bus.bus import Bus
from alchemiser.bus.envelope import Envelope
from alchemiser.domain.errors import BusClosed, InvariantBroken
from alchemiser.domain.events import Event, HandlerFailed, TimerElapsed
from alchemiser.service.clock import VirtualClock, WallClock
from tests.solipsism import virtual

NOW = datetime(2025, 3, 3, 16, tzinfo=UTC)


def event(key: str) -> TimerElapsed:
    """Return an event that is told from others by its key."""
    return TimerElapsed(at=NOW, kind="test", key=key)


def keys(seen: list[Event]) -> list[str]:
    """Return the keys of the timers among the events."""
    return [each.key for each in seen if isinstance(each, TimerElapsed)]


class Log:
    """A listener that notes what it is told, and may fail at it."""

    def __init__(self, *, fails: bool) -> None:
        self.told: list[Event] = []
        self._fails = fails

    def __call__(self, envelope: Envelope) -> None:
        """Note an event."""
        self.told.append(envelope.event)
        if self._fails:
            raise ValueError("the log is gone")


def test_they_are_told_a_moment_later_and_in_order() -> None:
    """While the loop is at the event nobody is told; a few milliseconds later all is, as it was published."""

    async def main() -> None:
        loop, told = asyncio.get_running_loop(), list[tuple[str, float]]()

        def listen(envelope: Envelope) -> None:
            assert isinstance(envelope.event, TimerElapsed)
            told.append((envelope.event.key, loop.time()))

        clock = VirtualClock(NOW)
        bus = Bus(clock=clock)
        bus.subscribe_afterwards("log", [TimerElapsed], listen)
        began = loop.time()
        for key in "ab":
            bus.post(event(key))
        assert told == []
        await clock.sleep(1)
        bus.post(event("c"))
        await clock.sleep(1)
        expected = [("a", AFTERWARDS_SECONDS), ("b", AFTERWARDS_SECONDS), ("c", 1 + AFTERWARDS_SECONDS)]
        assert expected == [(key, round(at - began, 3)) for key, at in told]

    virtual(main)


def test_without_a_loop_they_are_told_at_once() -> None:
    """Nobody could tell them later."""
    told: list[Event] = []
    bus = Bus(clock=WallClock())
    bus.subscribe_afterwards("log", [TimerElapsed], lambda envelope: told.append(envelope.event))
    bus.post(event("a"))
    assert keys(told) == ["a"]


def test_a_burst_does_not_fill_the_memory() -> None:
    """What waits has a bound; at the bound everything is told at once, in order."""

    async def main() -> None:
        told: list[Event] = []
        bus = Bus(clock=VirtualClock(NOW))
        bus.subscribe_afterwards("log", [TimerElapsed], lambda envelope: told.append(envelope.event))
        for number in range(AT_MOST):
            bus.post(event(str(number)))
        assert keys(told) == [str(number) for number in range(AT_MOST)]

    virtual(main)


def test_a_failure_is_an_event_caused_by_what_it_failed_at() -> None:
    """As for every handler: the next event is told all the same."""

    async def main() -> None:
        failures: list[Envelope] = []
        told: list[Event] = []

        def listen(envelope: Envelope) -> None:
            assert isinstance(envelope.event, TimerElapsed)
            if envelope.event.key == "a":
                raise ValueError("a line that cannot be written")
            told.append(envelope.event)

        clock = VirtualClock(NOW)
        bus = Bus(clock=clock)
        bus.subscribe_afterwards("log", [TimerElapsed], listen)
        bus.subscribe_inline("failures", [HandlerFailed], failures.append)
        first = bus.post(event("a"))
        bus.post(event("b"))
        await clock.sleep(1)
        assert [failure.causation for failure in failures] == [first.sequence]
        assert keys(told) == ["b"]
        assert [(each.handled, each.failed) for each in bus.statistics() if each.name == "log"] == [(1, 1)]

    virtual(main)


def test_a_broken_invariant_ends_the_bus() -> None:
    """Also when it is found afterwards."""

    async def main() -> None:
        def listen(_: Envelope) -> None:
            raise InvariantBroken("a count went down")

        clock = VirtualClock(NOW)
        bus = Bus(clock=clock)
        bus.subscribe_afterwards("counts", [TimerElapsed], listen)
        bus.post(event("a"))
        with pytest.raises(InvariantBroken):
            await bus.run()

    virtual(main)


@pytest.mark.parametrize("fails", [False, True])
def test_everything_is_told_before_the_bus_has_ended(fails: bool) -> None:
    """The last lines of a log are those that matter: a close tells what still waits, whether or not the listener fails at it."""

    async def main() -> None:
        log = Log(fails=fails)

        bus = Bus(clock=VirtualClock(NOW))
        bus.subscribe_afterwards("log", [TimerElapsed], log)
        for key in "abc":
            bus.post(event(key))
        await bus.close(drain_seconds=1.0)
        assert keys(log.told) == ["a", "b", "c"]
        with pytest.raises(BusClosed):
            bus.post(event("d"))

    virtual(main)


@pytest.mark.parametrize("fails", [False, True])
def test_everything_is_told_when_the_bus_breaks(fails: bool) -> None:
    """What led to the end stands in the log, and a log that fails then cannot hide the cause."""

    async def main() -> None:
        log = Log(fails=fails)

        def broken(_: Envelope) -> None:
            raise InvariantBroken("two and two are five")

        bus = Bus(clock=VirtualClock(NOW))
        bus.subscribe_afterwards("log", [TimerElapsed], log)
        bus.subscribe_inline("broken", [TimerElapsed], broken)
        with pytest.raises(InvariantBroken):
            bus.post(event("a"))
        assert keys(log.told) == ["a"]
        with pytest.raises(InvariantBroken, match="two and two"):
            await bus.run()

    virtual(main)


def test_it_can_be_unsubscribed() -> None:
    """What was published before is still told."""

    async def main() -> None:
        told: list[Event] = []
        clock = VirtualClock(NOW)
        bus = Bus(clock=clock)
        leave = bus.subscribe_afterwards("log", [TimerElapsed], lambda envelope: told.append(envelope.event))
        bus.post(event("a"))
        leave()
        bus.post(event("b"))
        await clock.sleep(1)
        assert keys(told) == ["a"]

    virtual(main)
