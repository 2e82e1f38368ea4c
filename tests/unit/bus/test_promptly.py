"""Handlers that begin within the dispatch: in their place among the inline ones, one event at a time, and no less safe than a mailbox."""

import asyncio

import pytest
from structlog.testing import capture_logs

from alchemiser.bus.begun import begin, breathe
from alchemiser.bus.bus import Bus
from alchemiser.bus.delivery import latest_per
from alchemiser.bus.envelope import Envelope
from alchemiser.domain.errors import InvariantBroken
from alchemiser.domain.events import Event, HandlerFailed, QuoteUpdated, StreamLost, TimerElapsed
from alchemiser.service.clock import VirtualClock
from tests.unit.bus.scenes import Gate, MemoryTap, Witness, elapsed, fact, quote, running, settled, symbol_of, tick


class Story:
    """Who dealt with what, in order."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def inline(self, name: str) -> "Teller":
        """Return an inline handler that tells."""
        return Teller(name, self.told)

    async def handle(self, envelope: Envelope) -> None:
        """Tell, as a prompt handler."""
        self.told.append(f"prompt {type(envelope.event).__name__}")


class Teller:
    """An inline handler that tells under its name."""

    def __init__(self, name: str, told: list[str]) -> None:
        self._name = name
        self._told = told

    def __call__(self, envelope: Envelope) -> None:
        """Tell."""
        self._told.append(self._name)


async def test_an_idle_handler_begins_in_its_place_among_the_inline_ones(bus: Bus) -> None:
    """What stands before it has applied the event, what stands after it has not; types it is not prompt about reach its task as ever."""
    story = Story()
    bus.subscribe_inline("states", [TimerElapsed, StreamLost], story.inline("states"))
    bus.subscribe("execution", [TimerElapsed, StreamLost], story.handle, promptly=[TimerElapsed])
    bus.subscribe_inline("books", [TimerElapsed, StreamLost], story.inline("books"))
    async with running(bus):
        bus.post(tick())
        assert ["states", "prompt TimerElapsed", "books"] == story.told
        bus.post(fact())
        assert ["states", "books"] == story.told[3:]
        await settled()
        assert ["prompt StreamLost"] == story.told[5:]


async def test_before_the_bus_runs_a_prompt_handler_is_a_mailbox(bus: Bus) -> None:
    """There is no task that could see through what it begins."""
    witness = Witness()
    bus.subscribe("execution", [TimerElapsed], witness.handle, promptly=[TimerElapsed])
    bus.post(tick("early"))
    assert not witness.seen
    async with running(bus):
        await settled()
    assert [tick("early")] == witness.events


async def test_a_busy_handler_gets_the_next_events_in_order(bus: Bus) -> None:
    """One at a time: what comes while it waits is queued, and nothing overtakes what is queued."""
    gate = Gate()
    bus.subscribe("execution", [TimerElapsed], gate.handle, promptly=[TimerElapsed])
    async with running(bus):
        bus.post(tick("a"))
        assert [tick("a")] == [envelope.event for envelope in gate.seen]
        bus.post(tick("b"))
        bus.post(tick("c"))
        assert 1 == len(gate.seen)
        gate.open()
        await gate.entered.wait()
        await settled()
        bus.post(tick("d"))
    assert [tick(key) for key in "abcd"] == [envelope.event for envelope in gate.seen]


async def test_the_newest_quotes_wait_for_a_busy_handler(bus: Bus) -> None:
    """Conflation is that of any mailbox."""
    gate = Gate()
    bus.subscribe("execution", [QuoteUpdated], gate.handle, policy=latest_per(symbol_of), promptly=[QuoteUpdated])
    async with running(bus):
        for event in (quote("BUSY"), quote("SPY", 1.0), quote("TQQQ"), quote("SPY", 2.0)):
            bus.post(event)
        gate.open()
    assert [quote("BUSY"), quote("SPY", 2.0), quote("TQQQ")] == [envelope.event for envelope in gate.seen]


@pytest.mark.parametrize("promptly", [[], [TimerElapsed]])
async def test_only_what_a_handler_wants_is_delivered_and_it_is_asked_at_once(bus: Bus, promptly: list[type[Event]]) -> None:
    """It may take in what an event says while it is busy, and is woken only for what follows; a key function decides about wanted ones."""
    gate, asked = Gate(), list[Event]()

    def wish(event: Event) -> bool:
        asked.append(event)
        return event not in (tick("b"), quote("SPY", 3.0))

    types: list[type[Event]] = [TimerElapsed, QuoteUpdated]
    newest = latest_per(symbol_of, only=[QuoteUpdated])
    bus.subscribe("execution", types, gate.handle, policy=newest, promptly=promptly, wants=dict.fromkeys(types, wish))
    events = [tick("a"), tick("b"), quote("SPY", 1.0), quote("SPY", 2.0), quote("SPY", 3.0), tick("c")]
    async with running(bus):
        for event in events:
            bus.post(event)
        assert events == asked, "nobody waits for the handler to be asked"
        gate.open()
    assert [tick("a"), quote("SPY", 2.0), tick("c")] == [envelope.event for envelope in gate.seen]


async def test_a_handler_that_failed_is_asked_all_the_same(bus: Bus, clock: VirtualClock) -> None:
    """What an event says is taken in while its handler pauses after a failure; what is wanted waits until it goes on, in order."""
    asked, handled = list[Event](), list[Event]()

    def wish(event: Event) -> bool:
        asked.append(event)
        return event != tick("unwanted")

    async def handle(envelope: Envelope) -> None:
        handled.append(envelope.event)
        if envelope.event == tick("bad"):
            raise ValueError("no")

    bus.subscribe("execution", [TimerElapsed], handle, promptly=[TimerElapsed], wants={TimerElapsed: wish})
    events = [tick("bad"), tick("a"), tick("unwanted"), tick("b")]
    with capture_logs():
        async with running(bus):
            for event in events:
                bus.post(event)
            assert events == asked
            assert [tick("bad")] == handled, "it pauses"
            await clock.sleep(1)
            assert [tick("bad"), tick("a"), tick("b")] == handled


async def test_a_wish_that_raises_is_a_failure_of_its_handler(bus: Bus) -> None:
    """The event is not delivered, everybody else hears of it, and the next one is asked about again."""
    witness, failures = Witness(), Witness()

    def wish(event: Event) -> bool:
        if event == tick("bad"):
            raise ValueError("no")
        return True

    bus.subscribe("execution", [TimerElapsed], witness.handle, wants={TimerElapsed: wish})
    bus.subscribe_inline("failures", [HandlerFailed], failures)
    async with running(bus):
        bus.post(tick("bad"))
        bus.post(tick("good"))
    assert [tick("good")] == witness.events
    assert ["execution"] == [event.handler for event in failures.events if isinstance(event, HandlerFailed)]


async def test_what_it_publishes_to_itself_waits_for_its_end(bus: Bus) -> None:
    """A handler is never entered twice."""
    depth, deepest = 0, 0
    seen: list[Event] = []

    async def handle(envelope: Envelope) -> None:
        nonlocal depth, deepest
        depth += 1
        deepest = max(deepest, depth)
        seen.append(envelope.event)
        if envelope.event == tick("a"):
            await bus.publish(tick("b"))
        depth -= 1

    bus.subscribe("execution", [TimerElapsed], handle, promptly=[TimerElapsed])
    async with running(bus):
        bus.post(tick("a"))
        await settled()
    assert [tick("a"), tick("b")] == seen
    assert 1 == deepest


async def test_what_follows_has_its_cause_before_and_after_the_wait(bus: Bus) -> None:
    """Also where the rest is seen through by the task; and who posted it is not taken for its cause afterwards."""

    async def handle(envelope: Envelope) -> None:
        await bus.publish(fact("at once"))
        await breathe()
        await bus.publish(fact("later"))

    facts = Witness()
    bus.subscribe("execution", [TimerElapsed], handle, promptly=[TimerElapsed])
    bus.subscribe_inline("facts", [StreamLost], facts)
    async with running(bus):
        first = bus.post(tick(), correlation="20250303.1")
        unrelated = bus.post(quote("SPY"))
        await settled()
    assert [(first.sequence, "20250303.1")] * 2 == [(envelope.causation, envelope.correlation) for envelope in facts.seen]
    assert unrelated.causation is None


@pytest.mark.parametrize("waits", [False, True], ids=["at once", "after a wait"])
async def test_a_failure_is_its_own_and_the_next_event_is_dealt_with(bus: Bus, waits: bool) -> None:
    """Nobody else hears of it but the supervisor, and after its pause the handler goes on."""
    seen: list[Event] = []

    async def handle(envelope: Envelope) -> None:
        seen.append(envelope.event)
        if waits:
            await breathe()
        if envelope.event == tick("bad"):
            raise LookupError("no such thing")

    after, failures = Witness(), Witness()
    bus.subscribe("execution", [TimerElapsed], handle, promptly=[TimerElapsed])
    bus.subscribe_inline("books", [TimerElapsed], after)
    bus.subscribe_inline("failures", [HandlerFailed], failures)
    async with running(bus):
        bus.post(tick("bad"))
        bus.post(tick("good"))
        await elapsed(10.0)
        assert [tick("bad"), tick("good")] == seen == after.events
        assert ["execution"] == [event.handler for event in failures.events if isinstance(event, HandlerFailed)]


async def test_a_broken_invariant_ends_the_bus(bus: Bus) -> None:
    """As it does in any handler."""

    async def handle(envelope: Envelope) -> None:
        raise InvariantBroken("the cash is negative")

    bus.subscribe("execution", [TimerElapsed], handle, promptly=[TimerElapsed])
    ended = asyncio.create_task(bus.run())
    await settled()
    with pytest.raises(InvariantBroken):
        bus.post(tick())
    with pytest.raises(InvariantBroken):
        await ended


async def test_the_end_of_the_bus_waits_for_what_was_begun(bus: Bus) -> None:
    """A handler that waits is not quiet."""
    gate, ended = Gate(), []
    bus.subscribe("execution", [TimerElapsed], gate.handle, promptly=[TimerElapsed])
    async with running(bus):
        bus.post(tick())
        asyncio.get_running_loop().call_later(1.0, gate.open)
        report = await bus.close(drain_seconds=5.0)
        ended.append(report)
    assert 1.0 <= ended[0].seconds < 5.0
    assert () == ended[0].unfinished


def test_what_is_durable_is_asked_of_the_tap(clock: object) -> None:
    """Without a tap there is nothing to wait for."""
    tap = MemoryTap()
    assert Bus(clock=clock).is_durable(7)  # type: ignore[arg-type]
    with_tap = Bus(clock=clock, tap=tap)  # type: ignore[arg-type]
    assert not with_tap.is_durable(7)
    tap.asked_durable.append(7)
    assert with_tap.is_durable(7)


async def test_begin_raises_what_is_raised_before_the_first_wait() -> None:
    """Later the one who awaits the rest gets it."""

    async def fails(waits: bool) -> None:
        if waits:
            await breathe()
        raise LookupError("no such thing")

    with pytest.raises(LookupError):
        begin(fails(waits=False))
    rest = begin(fails(waits=True))
    assert rest is not None
    with pytest.raises(LookupError):
        await rest


async def test_what_is_left_is_cancelled_where_it_waits() -> None:
    """Also by a task that never took a step: it gives up what it holds."""
    given_up: list[str] = []

    async def holds() -> None:
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            given_up.append("cancelled")
            raise
        finally:
            given_up.append("given up")

    rest = begin(holds())
    assert rest is not None
    task = asyncio.create_task(rest)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    left = begin(holds())
    assert left is not None
    left.close()
    assert given_up == ["cancelled", "given up", "given up"]
