"""Closing with work in flight, and the round trip that health lives on."""

import asyncio

import pytest

from alchemiser.bus.bus import Bus
from alchemiser.bus.delivery import latest_per
from alchemiser.bus.envelope import Envelope
from alchemiser.bus.reports import DrainReport, Unfinished
from alchemiser.domain.errors import BusClosed, InvariantBroken
from alchemiser.domain.events import QuoteUpdated, StreamLost, TimerElapsed
from alchemiser.service.clock import VirtualClock
from tests.unit.bus.scenes import Gate, Witness, elapsed, fact, quote, running, settled, symbol_of, tick


async def test_closing_lets_work_in_flight_finish_in_order(bus: Bus, clock: VirtualClock) -> None:
    """Also what handlers publish to each other meanwhile; from outside nothing is taken any more."""
    witness = Witness()

    async def slow(_: Envelope) -> None:
        await clock.sleep(0.5)
        await bus.publish(fact())

    bus.subscribe("slow", [TimerElapsed], slow)
    bus.subscribe("witness", [StreamLost], witness.handle)
    async with asyncio.TaskGroup() as group:
        group.create_task(bus.run(), name="bus")
        await settled()
        for _ in range(3):
            bus.post(tick())
        closing = group.create_task(bus.close(drain_seconds=10.0), name="closing")
        await settled()

        with pytest.raises(BusClosed, match="closed"):
            bus.post(tick())

    assert [4, 5, 6] == witness.sequences
    assert closing.result().unfinished == ()
    assert 1.5 == pytest.approx(closing.result().seconds)


async def test_handlers_that_do_not_finish_are_cancelled_and_named(bus: Bus) -> None:
    """With what they were at and how much still waited."""
    gate, cancelled = Gate(), Witness()

    async def handle(envelope: Envelope) -> None:
        try:
            await gate.handle(envelope)
        except asyncio.CancelledError:
            cancelled(envelope)
            raise

    bus.subscribe("stuck", [TimerElapsed], handle)
    bus.subscribe("fine", [TimerElapsed], Witness().handle)
    async with asyncio.TaskGroup() as group:
        group.create_task(bus.run(), name="bus")
        await settled()
        for _ in range(3):
            bus.post(tick())
        await settled()
        report = await bus.close(drain_seconds=2.0)

    assert (Unfinished(handler="stuck", waiting=2, busy_with=1, event_type="TimerElapsed"),) == report.unfinished
    assert 2.0 == pytest.approx(report.seconds)
    assert [1] == cancelled.sequences


async def test_closing_does_not_wait_out_the_pause_after_a_failure(bus: Bus) -> None:
    """What waits behind the failure is dealt with at once, and so are further failures."""
    seen = Witness()

    async def handle(envelope: Envelope) -> None:
        seen(envelope)
        raise RuntimeError("down")

    bus.subscribe("handler", [TimerElapsed], handle)
    async with asyncio.TaskGroup() as group:
        group.create_task(bus.run(), name="bus")
        for _ in range(8):
            bus.post(tick())
        await settled()
        report = await bus.close(drain_seconds=5.0)

    assert report.unfinished == ()
    assert 0.1 > report.seconds
    assert 8 == len(seen.seen)


async def test_closing_twice_or_before_running_is_harmless(bus: Bus) -> None:
    """A bus that never ran names what waits in vain."""
    bus.subscribe("handler", [TimerElapsed], Witness().handle)
    bus.post(tick())
    first = await bus.close(drain_seconds=5.0)
    second = await bus.close(drain_seconds=5.0)

    waiting = (Unfinished(handler="handler", waiting=1, busy_with=None, event_type=None),)
    assert [DrainReport(seconds=0.0, unfinished=waiting)] * 2 == [first, second]
    with pytest.raises(BusClosed):
        await bus.publish(tick())
    await bus.run()


async def test_a_bus_runs_once(bus: Bus) -> None:
    """Two sets of tasks would handle every event twice."""
    async with running(bus):
        with pytest.raises(InvariantBroken, match="once"):
            await bus.run()
    with pytest.raises(InvariantBroken, match="once"):
        await bus.run()


async def test_run_says_when_the_mailboxes_are_up(bus: Bus) -> None:
    """The composition root need not guess."""
    started = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(bus.run(started.set), name="bus")
        await started.wait()
        await bus.close(drain_seconds=1.0)


async def test_cancelling_the_run_cancels_the_handlers(bus: Bus) -> None:
    """Cancellation is a normal path: the bus has ended after it."""
    gate = Gate()
    bus.subscribe("gate", [TimerElapsed], gate.handle)
    task = asyncio.create_task(bus.run(), name="bus")
    bus.post(tick())
    await gate.entered.wait()
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(BusClosed):
        bus.post(tick())


async def test_a_late_task_of_a_handler_cannot_publish_after_the_end(bus: Bus) -> None:
    """It is told, instead of publishing to nobody."""
    gate, late = asyncio.Event(), asyncio.Event()
    failures: list[BaseException] = []

    async def straggler() -> None:
        late.set()
        await gate.wait()
        try:
            await bus.publish(fact())
        except BusClosed as error:
            failures.append(error)

    async with asyncio.TaskGroup() as group:

        async def handle(_: Envelope) -> None:
            group.create_task(straggler(), name="straggler")

        bus.subscribe("handler", [TimerElapsed], handle)
        async with running(bus):
            bus.post(tick())
            await late.wait()
        gate.set()

    assert 1 == len(failures)


async def test_a_turn_names_who_answered(bus: Bus) -> None:
    """A marker goes through every mailbox, behind what waits there."""
    witness = Witness()
    bus.subscribe("one", [TimerElapsed], witness.handle)
    bus.subscribe("two", [TimerElapsed], Witness().handle)
    async with running(bus):
        bus.post(tick())
        report = await bus.turn(5.0)

    assert ["one", "two"] == list(report.answered)
    assert report.is_healthy
    assert [1] == witness.sequences


async def test_a_turn_without_mailboxes_is_healthy(bus: Bus) -> None:
    """There is nobody to be stuck."""
    report = await bus.turn(5.0)

    assert report.is_healthy
    assert {} == report.answered


async def test_a_turn_tells_busy_from_stuck(bus: Bus) -> None:
    """Sending an order may take its seconds; beyond the handler's own limit it is stuck, and named with how long."""
    gate = Gate()
    bus.subscribe("sender", [TimerElapsed], gate.handle, limit_seconds=30.0)
    bus.subscribe("other", [TimerElapsed], Witness().handle)
    async with running(bus):
        bus.post(tick())
        bus.post(tick())
        early = await bus.turn(5.0)
        await elapsed(20.0)
        late = await bus.turn(5.0)
        gate.open()
        await settled()
        after = await bus.turn(5.0)

    assert {"sender": pytest.approx(5.0)} == early.busy
    assert {} == early.overdue
    assert {} == late.busy
    assert {"sender": pytest.approx(30.0)} == late.overdue
    assert ["other"] == list(late.answered)
    assert not late.is_healthy
    assert after.is_healthy


async def test_a_stream_of_conflated_quotes_does_not_delay_a_turn(bus: Bus, clock: VirtualClock) -> None:
    """Quotes that come faster than they are handled are no line to wait in."""
    symbols = [f"S{number}" for number in range(100)]

    async def slow(_: Envelope) -> None:
        for symbol in symbols:
            bus.post(quote(symbol))
        await clock.sleep(1.0)

    bus.subscribe("prices", [QuoteUpdated], slow, policy=latest_per(symbol_of))
    async with running(bus, drain_seconds=0.0):
        bus.post(quote("SPY"))
        await settled()
        report = await bus.turn(5.0)

    assert 1.0 >= report.answered["prices"]


async def test_a_turn_waits_behind_facts(bus: Bus, clock: VirtualClock) -> None:
    """For facts the line is the point: the marker proves that they are being handled."""

    async def slow(_: Envelope) -> None:
        await clock.sleep(1.0)

    bus.subscribe("handler", [StreamLost], slow)
    async with running(bus):
        for _ in range(3):
            bus.post(fact())
        report = await bus.turn(5.0)

    assert 3.0 == pytest.approx(report.answered["handler"])


async def test_a_turn_during_the_end_returns(bus: Bus) -> None:
    """Health may be asked while the bus is closing."""
    gate = Gate()
    bus.subscribe("stuck", [TimerElapsed], gate.handle)
    async with asyncio.TaskGroup() as group:
        group.create_task(bus.run(), name="bus")
        bus.post(tick())
        await gate.entered.wait()
        turn = group.create_task(bus.turn(60.0), name="turn")
        await settled()
        await bus.close(drain_seconds=1.0)

    assert {"stuck": pytest.approx(1.0)} == turn.result().busy
