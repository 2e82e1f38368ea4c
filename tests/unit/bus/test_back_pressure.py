"""Publishers wait for full mailboxes and a full journal, and never for each other in a circle."""

import asyncio

import pytest

from alchemiser.bus.bus import Bus
from alchemiser.bus.delivery import latest_per
from alchemiser.bus.envelope import Envelope
from alchemiser.domain.errors import BusClosed
from alchemiser.domain.events import Event, MailboxFilled, QuoteUpdated, StreamLost, TimerElapsed
from alchemiser.service.clock import VirtualClock
from tests.unit.bus.scenes import Gate, MemoryTap, Witness, fact, quote, running, settled, statistics_of, symbol_of, tick


async def test_a_full_mailbox_holds_its_publishers_back(bus: Bus) -> None:
    """``publish`` returns when there is room; the bound is not passed, and nothing is lost or reordered."""
    gate = Gate()
    bus.subscribe("handler", [TimerElapsed], gate.handle, capacity=2)
    published: list[int] = []

    async def publish() -> None:
        for number in range(6):
            envelope = await bus.publish(tick(str(number)))
            published.append(envelope.sequence)

    async with running(bus), asyncio.TaskGroup() as group:
        group.create_task(publish(), name="publisher")
        await settled()

        # One is being handled, two wait; the alarm took a number, too.
        assert 3 == len(published)
        assert 1 == statistics_of(bus, "handler").publishers_waiting

        gate.open()

    assert [tick(str(number)) for number in range(6)] == [envelope.event for envelope in gate.seen]
    assert (2, 0) == (statistics_of(bus, "handler").high_water, statistics_of(bus, "handler").overflowed)


async def test_publishers_are_let_in_first_come_first_served(bus: Bus) -> None:
    """Also when a newcomer comes just as there is room again."""
    gate = Gate()
    bus.subscribe("handler", [TimerElapsed], gate.handle, capacity=1)
    async with running(bus), asyncio.TaskGroup() as group:
        for name in "abcdef":
            group.create_task(bus.publish(tick(name)), name=name)
            await settled(3)
        gate.open()
        await settled(2)
        group.create_task(bus.publish(tick("late")), name="late")

    assert [*"abcdef", "late"] == [envelope.event.key for envelope in gate.seen if isinstance(envelope.event, TimerElapsed)]


async def test_other_types_and_conflated_types_do_not_wait(bus: Bus) -> None:
    """Only who would fill the full mailbox is held back."""
    gate = Gate()
    bus.subscribe("handler", [TimerElapsed, QuoteUpdated], gate.handle, capacity=1, policy=latest_per(symbol_of, only=[QuoteUpdated]))
    async with running(bus):
        for _ in range(3):
            bus.post(tick())
        await settled()
        await bus.publish(fact())
        await bus.publish(quote("SPY"))
        gate.open()

    assert 4 == len(gate.seen)


async def test_a_publisher_that_gives_up_passes_its_room_on(bus: Bus) -> None:
    """Cancelling one publisher, waiting or just let in, never strands the next."""
    gate = Gate()
    bus.subscribe("handler", [TimerElapsed], gate.handle, capacity=1)
    async with running(bus), asyncio.TaskGroup() as group:
        bus.post(tick("handled"))
        await gate.entered.wait()
        bus.post(tick("waiting"))
        waiting = [group.create_task(bus.publish(tick(name)), name=name) for name in ("a", "b", "c")]
        await settled()
        waiting[0].cancel()
        await settled()
        gate.open()
        # The handler is about to make room for b, which is cancelled in the same breath.
        while not waiting[1].done():
            if statistics_of(bus, "handler").publishers_waiting < 2:
                waiting[1].cancel()
            await settled(1)

    assert [tick("handled"), tick("waiting"), tick("c")] == [envelope.event for envelope in gate.seen]


async def test_a_publisher_that_gives_up_ends_the_episode(bus: Bus) -> None:
    """The mailbox is empty and nobody is about to fill it: the next time that its bound is reached is an alarm of its own."""
    gate, alarms = Gate(), Witness()
    bus.subscribe("handler", [TimerElapsed], gate.handle, capacity=1)
    bus.subscribe_inline("alarms", [MailboxFilled], alarms)
    async with running(bus), asyncio.TaskGroup() as group:
        bus.post(tick("handled"))
        await gate.entered.wait()
        bus.post(tick("waiting"))
        late = group.create_task(bus.publish(tick("late")))
        await settled()
        gate.open()
        while statistics_of(bus, "handler").publishers_waiting:
            await settled(1)
        late.cancel()  # It has been let in, and is not on its feet yet.
        await settled()
        assert [tick("handled"), tick("waiting")] == [envelope.event for envelope in gate.seen]
        assert 2 == len(alarms.seen), "a bound of one is reached by each"
        bus.post(tick("again"))
    assert 3 == len(alarms.seen)


async def test_handlers_that_publish_to_each_other_do_not_deadlock(bus: Bus) -> None:
    """The event that would close the circle passes beyond the bound and is counted; nothing is lost."""
    left, right = Witness(), Witness()

    async def on_tick(envelope: Envelope) -> None:
        left(envelope)
        if len(left.seen) <= 5:
            for _ in range(4):
                await bus.publish(fact())

    async def on_fact(envelope: Envelope) -> None:
        right(envelope)
        if len(right.seen) <= 5:
            for _ in range(4):
                await bus.publish(tick())

    bus.subscribe("left", [TimerElapsed], on_tick, capacity=2)
    bus.subscribe("right", [StreamLost], on_fact, capacity=2)
    async with running(bus):
        await bus.publish(tick())
        await settled(200)

    assert (21, 20) == (len(left.seen), len(right.seen))
    assert 0 < statistics_of(bus, "left").overflowed + statistics_of(bus, "right").overflowed
    assert sorted(left.sequences) == left.sequences
    assert sorted(right.sequences) == right.sequences


async def test_a_handler_may_publish_to_itself_beyond_its_bound(bus: Bus) -> None:
    """The smallest circle."""
    witness = Witness()

    async def handle(envelope: Envelope) -> None:
        witness(envelope)
        if len(witness.seen) == 1:
            for _ in range(5):
                await bus.publish(tick())

    bus.subscribe("self", [TimerElapsed], handle, capacity=2)
    async with running(bus):
        await bus.publish(tick())

    assert 6 == len(witness.seen)
    assert 3 == statistics_of(bus, "self").overflowed


async def test_a_circle_of_three_is_found(bus: Bus) -> None:
    """Also when the handlers publish from tasks of their own."""
    kinds: tuple[type[Event], ...] = (TimerElapsed, StreamLost, QuoteUpdated)
    makers = (tick, fact, lambda: quote("SPY"))
    counts = [0, 0, 0]

    def subscribe(place: int) -> None:
        async def handle(_: Envelope) -> None:
            counts[place] += 1
            if counts[place] <= 3:
                async with asyncio.TaskGroup() as group:
                    for _child in range(3):
                        group.create_task(bus.publish(makers[(place + 1) % 3]()), name="child")

        bus.subscribe(f"handler {place}", [kinds[place]], handle, capacity=1)

    for place in range(3):
        subscribe(place)
    async with running(bus):
        await bus.publish(tick())
        await settled(200)

    assert [10, 9, 9] == counts


async def test_a_handler_that_waits_for_a_slow_one_is_not_a_circle(bus: Bus) -> None:
    """A chain only waits: the bound of the slow one holds."""
    gate = Gate()

    async def pass_on(_: Envelope) -> None:
        await bus.publish(fact())

    bus.subscribe("quick", [TimerElapsed], pass_on)
    bus.subscribe("slow", [StreamLost], gate.handle, capacity=1)
    async with running(bus):
        for _ in range(5):
            bus.post(tick())
        await settled()

        assert 1 == statistics_of(bus, "slow").depth
        assert 2 == statistics_of(bus, "quick").handled

        gate.open()

    assert 5 == len(gate.seen)
    assert 0 == statistics_of(bus, "slow").overflowed


async def test_publishers_wait_for_the_journal_too(clock: VirtualClock) -> None:
    """A backlog that the disk has not taken holds journaled events back, and only those."""
    tap = MemoryTap()
    tap.has_room = False
    bus = Bus(clock=clock, tap=tap)
    async with asyncio.TaskGroup() as group:
        held = group.create_task(bus.publish(fact()), name="publisher")
        await bus.publish(tick())
        await settled()

        assert not held.done()

        tap.make_room()

    assert 2 == held.result().sequence


async def test_publishers_that_still_wait_when_the_bus_ends_are_told(bus: Bus) -> None:
    """Their events were not published, and they know."""
    gate = Gate()
    bus.subscribe("stuck", [TimerElapsed], gate.handle, capacity=1)
    async with running(bus, drain_seconds=1.0):
        bus.post(tick())
        await settled()
        bus.post(tick())
        waiting = asyncio.create_task(bus.publish(tick()), name="publisher")
        await settled()

    with pytest.raises(BusClosed, match="room in mailbox stuck"):
        await waiting


async def test_publishers_that_come_after_the_end_do_not_wait_for_room(bus: Bus) -> None:
    """In a full mailbox whose task is over there will never be any."""
    gate = Gate()
    bus.subscribe("stuck", [TimerElapsed], gate.handle, capacity=1)
    async with running(bus, drain_seconds=1.0):
        bus.post(tick())
        await settled()
        bus.post(tick())

    late = asyncio.create_task(bus.publish(tick()), name="publisher")
    await settled()

    assert late.done()
    with pytest.raises(BusClosed, match="closed"):
        late.result()
