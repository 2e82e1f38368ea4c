"""Mailboxes: one event at a time, in order; conflation; slow and failing handlers."""

import asyncio

import pytest

from alchemiser.bus import mailbox as mailbox_module
from alchemiser.bus.bus import Bus
from alchemiser.bus.delivery import HALT, latest_per
from alchemiser.bus.envelope import Envelope
from alchemiser.domain.errors import InvariantBroken
from alchemiser.domain.events import Event, HandlerFailed, MailboxFilled, QuoteUpdated, StreamLost, TimerElapsed, TradingStateChanged
from alchemiser.service.clock import VirtualClock
from tests.unit.bus.scenes import Gate, Witness, elapsed, fact, quote, running, settled, statistics_of, symbol_of, tick


async def test_events_are_handled_one_at_a_time_and_in_order(bus: Bus, clock: VirtualClock) -> None:
    """A handler needs no lock."""
    seen: list[int] = []
    inside = 0

    async def handle(envelope: Envelope) -> None:
        nonlocal inside
        inside += 1
        assert 1 == inside
        await clock.sleep(0.5)
        seen.append(envelope.sequence)
        inside -= 1

    bus.subscribe("handler", [TimerElapsed, StreamLost], handle)
    async with running(bus):
        for event in (tick(), fact(), tick(), fact()):
            bus.post(event)

    assert [1, 2, 3, 4] == seen


async def test_what_was_published_before_the_bus_ran_waits_for_it(bus: Bus) -> None:
    """Recovery may publish before the handlers start."""
    witness = Witness()
    bus.subscribe("witness", [TimerElapsed], witness.handle)
    bus.post(tick())
    async with running(bus):
        bus.post(tick())

    assert [1, 2] == witness.sequences


async def test_a_mailbox_may_join_and_leave_while_the_bus_runs(bus: Bus) -> None:
    """One that leaves still deals with what waits for it; then its task ends and its name is free."""
    gate, witness = Gate(), Witness()
    async with running(bus):
        leave = bus.subscribe("gate", [TimerElapsed], gate.handle)
        bus.post(tick("1"))
        bus.post(tick("2"))
        await gate.entered.wait()
        leave()
        leave()
        bus.post(tick("3"))
        gate.open()
        await settled()
        bus.subscribe("gate", [TimerElapsed], witness.handle)
        bus.post(tick("4"))

        assert ["bus", "mailbox gate"] == sorted(task.get_name() for task in asyncio.all_tasks() if "Task" not in task.get_name())[:2]

    assert [tick("1"), tick("2")] == [envelope.event for envelope in gate.seen]
    assert [tick("4")] == witness.events


async def test_unsubscribing_a_mailbox_of_a_bus_that_never_ran_forgets_it(bus: Bus) -> None:
    """There is no task to wait for."""
    leave = bus.subscribe("witness", [TimerElapsed], Witness().handle)
    leave()

    assert () == bus.statistics()


async def test_a_slow_handler_delays_only_itself(bus: Bus) -> None:
    """The others are done while it is at its first event."""
    gate, witness = Gate(), Witness()
    bus.subscribe("slow", [TimerElapsed], gate.handle)
    bus.subscribe("quick", [TimerElapsed], witness.handle)
    async with running(bus):
        for _ in range(10):
            bus.post(tick())
        await settled()

        slow = statistics_of(bus, "slow")
        assert 10 == len(witness.seen)
        assert (1, 9, 0) == (len(gate.seen), slow.depth, slow.handled)
        assert 1 == slow.busy_with

        gate.open()

    assert 10 == statistics_of(bus, "slow").handled


async def test_a_handler_that_never_waits_lets_the_others_run(bus: Bus) -> None:
    """A long backlog of quick events may not keep the loop for itself."""
    order: list[str] = []

    async def first(_: Envelope) -> None:
        order.append("a")

    async def second(_: Envelope) -> None:
        order.append("b")

    bus.subscribe("first", [TimerElapsed], first)
    bus.subscribe("second", [TimerElapsed], second)
    for _ in range(5):
        bus.post(tick())
    async with running(bus):
        await settled()

    assert "ababababab" == "".join(order)


async def test_only_the_newest_per_key_waits(bus: Bus) -> None:
    """What was overwritten is counted; the newer one keeps the place in line, so that a busy symbol is not put off for ever."""
    gate = Gate()
    bus.subscribe("prices", [QuoteUpdated], gate.handle, policy=latest_per(symbol_of))
    async with running(bus):
        bus.post(quote("BUSY"))
        await gate.entered.wait()
        for event in (quote("SPY", 1.0), quote("TQQQ", 1.0), quote("SPY", 2.0), quote("SPY", 3.0)):
            bus.post(event)
        gate.open()

    assert [quote("BUSY"), quote("SPY", 3.0), quote("TQQQ", 1.0)] == [envelope.event for envelope in gate.seen]
    assert 2 == statistics_of(bus, "prices").conflated


async def test_facts_in_a_conflating_mailbox_are_never_dropped(bus: Bus) -> None:
    """The policy concerns market data only; facts keep their order among it."""
    gate = Gate()
    bus.subscribe("execution", [QuoteUpdated, StreamLost], gate.handle, policy=latest_per(symbol_of))
    async with running(bus):
        bus.post(fact("first"))
        await gate.entered.wait()
        for event in (quote("SPY", 1.0), fact("a"), quote("TQQQ"), fact("b"), quote("SPY", 2.0)):
            bus.post(event)
        gate.open()

    seen = [envelope.event for envelope in gate.seen]
    assert [fact("first"), fact("a"), fact("b")] == [event for event in seen if isinstance(event, StreamLost)]
    assert [quote("SPY", 2.0), quote("TQQQ")] == [event for event in seen if isinstance(event, QuoteUpdated)]


async def test_types_left_out_of_the_policy_are_delivered_every_one(bus: Bus) -> None:
    """Timers have no symbol and must not be lost."""
    gate = Gate()
    bus.subscribe("execution", [QuoteUpdated, TimerElapsed], gate.handle, policy=latest_per(symbol_of, only=[QuoteUpdated]))
    async with running(bus):
        for event in (tick("a"), tick("b"), tick("c")):
            bus.post(event)
        gate.open()

    assert [tick("a"), tick("b"), tick("c")] == [envelope.event for envelope in gate.seen]


async def test_too_many_keys_push_the_oldest_out(bus: Bus) -> None:
    """The bound holds for keys too."""
    witness = Witness()
    bus.subscribe("prices", [QuoteUpdated], witness.handle, policy=latest_per(symbol_of), capacity=2)
    for symbol in ("A", "B", "C"):
        bus.post(quote(symbol))
    async with running(bus):
        await settled()

    assert [quote("B"), quote("C")] == witness.events
    assert (1, 2) == (statistics_of(bus, "prices").conflated, statistics_of(bus, "prices").high_water)


async def test_a_key_function_that_raises_is_that_handlers_failure(bus: Bus) -> None:
    """It costs the others nothing."""
    failures, witness = Witness(), Witness()
    bus.subscribe("timers", [TimerElapsed], witness.handle, policy=latest_per(symbol_of))
    bus.subscribe_inline("failures", [HandlerFailed], failures)
    async with running(bus):
        bus.post(tick())

    assert "AttributeError" in str(failures.events[0])
    assert 1 == statistics_of(bus, "timers").failed


def test_facts_cannot_be_conflated() -> None:
    """Asking for it is a mistake in the wiring and is refused there."""
    with pytest.raises(ValueError, match="StreamLost"):
        latest_per(symbol_of, only=[StreamLost])


async def test_after_a_failure_the_handler_goes_on_with_the_next_event(bus: Bus, clock: VirtualClock) -> None:
    """It pauses, longer each time it fails in a row, and the event it failed on is named."""
    began: list[float] = []
    failures = Witness()

    async def handle(envelope: Envelope) -> None:
        began.append(round(clock.monotonic(), 3))
        if envelope.sequence != 4:
            raise RuntimeError("down")

    bus.subscribe("handler", [StreamLost], handle)
    bus.subscribe_inline("failures", [HandlerFailed], failures)
    for _ in range(6):
        bus.post(fact())
    async with running(bus):
        await elapsed(10.0)

    assert [0.0, 0.125, 0.375, 0.875, 0.875, 1.0] == began
    assert [1, 2, 3, 5, 6] == [event.sequence for event in failures.events if isinstance(event, HandlerFailed)]
    assert "continues with the next event after 0.125 s" == failures.events[0].action  # type: ignore[attr-defined]
    assert [1, 2, 3, 5, 6] == [envelope.causation for envelope in failures.seen]
    assert (1, 5) == (statistics_of(bus, "handler").handled, statistics_of(bus, "handler").failed)


async def test_a_mailbox_that_may_not_fail_halts_trading(bus: Bus) -> None:
    """The halt follows the failure and inherits its cause."""
    witness = Witness()

    async def handle(_: Envelope) -> None:
        raise RuntimeError("down")

    bus.subscribe("execution", [StreamLost], handle, on_failure=HALT)
    bus.subscribe_inline("witness", [HandlerFailed, TradingStateChanged], witness)
    async with running(bus):
        bus.post(fact(), correlation="20250303.1")

    assert [HandlerFailed, TradingStateChanged] == [type(event) for event in witness.events]
    assert {("20250303.1", 1)} == {(envelope.correlation, envelope.causation) for envelope in witness.seen}


async def test_a_cancellation_that_nobody_asked_for_is_a_failure_not_the_end(bus: Bus) -> None:
    """A handler that awaited something others cancelled must not end its mailbox in silence."""
    failures, seen = Witness(), Witness()

    async def handle(envelope: Envelope) -> None:
        seen(envelope)
        if envelope.sequence == 1:
            cancelled: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            cancelled.cancel()
            await cancelled

    bus.subscribe("handler", [TimerElapsed], handle)
    bus.subscribe_inline("failures", [HandlerFailed], failures)
    async with running(bus):
        bus.post(tick())
        bus.post(tick())

    assert 1 == len(failures.seen)
    assert [1, 2] == seen.sequences


@pytest.mark.parametrize("error", [InvariantBroken("cash is negative"), ExceptionGroup("group", [InvariantBroken("cash")])])
async def test_a_broken_invariant_ends_the_run(bus: Bus, error: Exception) -> None:
    """``run`` raises it, and the other handlers are cancelled."""
    gate = Gate()

    async def handle(_: Envelope) -> None:
        raise error

    bus.subscribe("gate", [TimerElapsed], gate.handle)
    bus.subscribe("ledger", [TimerElapsed], handle)
    bus.post(tick())

    with pytest.raises(type(error)):
        await bus.run()
    with pytest.raises(type(error)):
        await bus.run()
    assert 1 == len(gate.seen)


async def test_the_end_of_the_process_is_not_a_handler_failure(bus: Bus) -> None:
    """``SystemExit`` and its like go through the supervisor."""

    class Ending(BaseException):
        pass

    async def handle(_: Envelope) -> None:
        raise Ending

    bus.subscribe("handler", [TimerElapsed], handle)
    bus.post(tick())

    with pytest.raises(BaseExceptionGroup) as caught:
        await bus.run()
    assert caught.value.subgroup(Ending) is not None


async def test_a_full_mailbox_raises_one_alarm_per_episode(bus: Bus) -> None:
    """It is raised again only after the mailbox has been half empty; what came beyond the bound is counted."""
    gate, alarms = Gate(), Witness()
    bus.subscribe("handler", [TimerElapsed], gate.handle, capacity=4)
    bus.subscribe_inline("alarms", [MailboxFilled], alarms)
    for _ in range(6):
        bus.post(tick())

    assert [("handler", 4)] == [(event.handler, event.depth) for event in alarms.events if isinstance(event, MailboxFilled)]
    assert (6, 2) == (statistics_of(bus, "handler").high_water, statistics_of(bus, "handler").overflowed)

    gate.open()
    async with running(bus):
        await settled()
        for _ in range(4):
            bus.post(tick())
        await settled()

    assert 2 == len(alarms.seen)
    assert 10 == len(gate.seen)


async def test_a_mailbox_far_beyond_its_bound_stops_the_process(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is not the place to find out that a handler is stuck."""
    monkeypatch.setattr(mailbox_module, "HARD_FACTOR", 2)
    bus.subscribe("handler", [Event], Gate().handle, capacity=4)

    for _ in range(7):
        bus.post(tick())

    with pytest.raises(InvariantBroken, match="stuck"):
        bus.post(tick())


@pytest.mark.parametrize(("burst", "turns"), [(1, [0, 1, 2, 3, 4]), (3, [0, 0, 0, 1, 1])])
async def test_everybody_has_a_turn_between_two_bursts(bus: Bus, burst: int, turns: list[int]) -> None:
    """Of what waits a mailbox deals with as many events as it may, then lets the loop run everybody else."""
    seen: list[int] = []
    turn = 0

    async def handle(envelope: Envelope) -> None:
        seen.append(turn)

    bus.subscribe("handler", [TimerElapsed], handle, burst=burst)
    async with running(bus):
        for _ in range(5):
            bus.post(tick())
        while len(seen) < 5:
            await asyncio.sleep(0)
            turn += bool(seen)

    first = seen[0]
    assert turns == [one - first for one in seen]
