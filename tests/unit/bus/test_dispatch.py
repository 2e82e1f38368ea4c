"""Order, numbering, causes, and inline handlers that raise."""

import asyncio
from decimal import Decimal
from typing import NoReturn

import pytest
import structlog

from alchemiser.bus import bus as bus_module
from alchemiser.bus.bus import Bus
from alchemiser.bus.delivery import HALT
from alchemiser.bus.envelope import Envelope
from alchemiser.domain.errors import BusClosed, InvariantBroken, JournalFailed
from alchemiser.domain.events import (
    DecisionDue,
    Event,
    ExecutionReported,
    HandlerFailed,
    OrderFilled,
    OrderNotFound,
    QuoteUpdated,
    StreamLost,
    TimerElapsed,
    TradingStateChanged,
)
from alchemiser.domain.orders import ExecutionReport, Side, fill_of
from alchemiser.service.clock import VirtualClock
from tests.unit.bus.scenes import (
    START,
    MemoryTap,
    Witness,
    decision,
    elapsed,
    fact,
    posting,
    quote,
    raising,
    running,
    settled,
    statistics_of,
    tick,
)


async def test_sequence_numbers_have_no_holes(bus: Bus) -> None:
    """Every event gets the next number, whether anybody listens or not."""
    posted = [bus.post(event) for event in (tick(), fact(), quote("SPY"))]

    assert [1, 2, 3] == [envelope.sequence for envelope in posted]
    assert 3 == bus.last_sequence


async def test_numbering_continues_a_journal(clock: VirtualClock) -> None:
    """A bus that is given the first number starts there."""
    bus = Bus(clock=clock, first_sequence=42)

    assert 42 == bus.post(tick()).sequence


async def test_subscribers_see_their_types_only_and_in_order(bus: Bus) -> None:
    """Routing is by type; within a type, publish order."""
    witness = Witness()
    bus.subscribe_inline("witness", [TimerElapsed, StreamLost], witness)
    for event in (tick("a"), quote("SPY"), fact("b"), tick("c")):
        bus.post(event)

    assert [tick("a"), fact("b"), tick("c")] == witness.events


async def test_the_root_type_means_every_event(bus: Bus) -> None:
    """Who subscribes to ``Event`` sees types that were first published later, too."""
    witness = Witness()
    bus.subscribe_inline("witness", [Event], witness)
    bus.post(tick())
    bus.post(fact())

    assert [1, 2] == witness.sequences


async def test_inline_handlers_are_called_in_the_order_of_subscription(bus: Bus) -> None:
    """The ledger that subscribed before the metrics is up to date when they look."""
    calls: list[str] = []
    for name in ("first", "second", "third"):
        bus.subscribe_inline(name, [TimerElapsed], lambda _, name=name: calls.append(name))  # type: ignore[misc]
    bus.post(tick())

    assert ["first", "second", "third"] == calls


async def test_a_nested_post_is_dispatched_after_the_present_event(bus: Bus) -> None:
    """Every handler sees the cause before the effect, also one that subscribed after the handler that posted."""
    witness = Witness()

    def answer(envelope: Envelope) -> None:
        event = envelope.event
        if isinstance(event, TimerElapsed) and len(event.key) < 3:
            bus.post(tick(event.key + "l"))
            bus.post(tick(event.key + "r"))

    bus.subscribe_inline("answering", [TimerElapsed], answer)
    bus.subscribe_inline("witness", [TimerElapsed], witness)
    bus.post(tick("."))

    assert [".", ".l", ".r", ".ll", ".lr", ".rl", ".rr"] == [event.key for event in witness.events if isinstance(event, TimerElapsed)]
    assert sorted(witness.sequences) == witness.sequences


async def test_handlers_that_answer_each_other_for_ever_stop_the_process(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cascade has a bound; beyond it the process stops instead of turning in its grave."""
    monkeypatch.setattr(bus_module, "MAX_CASCADE", 10)
    bus.subscribe_inline("echo", [TimerElapsed], posting(bus, lambda: tick()))

    with pytest.raises(InvariantBroken, match="for ever"):
        bus.post(tick())
    with pytest.raises(BusClosed, match="broke"):
        bus.post(tick())


async def test_every_envelope_has_the_time_of_its_publication(bus: Bus, clock: VirtualClock) -> None:
    """Also what is not journaled has it, and what follows from another event: whoever hears of quotes measures how old they are."""
    witness = Witness()
    bus.subscribe_inline("answering", [QuoteUpdated], posting(bus, lambda: fact("answered")))
    bus.subscribe_inline("witness", [Event], witness)
    for _ in range(2):
        await clock.sleep(2.5)
        bus.post(quote("SPY"))

    first, *others = [envelope.time for envelope in witness.seen]
    assert [0.0, 2.5, 2.5] == [time - first for time in others]


async def test_cause_and_correlation_are_inherited(bus: Bus) -> None:
    """Any effect can be walked back to its cause; a rebalance's events carry its id however deep."""
    witness = Witness()
    bus.subscribe_inline("planner", [DecisionDue], posting(bus, lambda: fact("planned")))
    bus.subscribe_inline("broker", [StreamLost], posting(bus, lambda: tick("sent")))
    bus.subscribe_inline("witness", [Event], witness)
    bus.post(decision("20250303.7"))
    bus.post(tick("later"), correlation="by hand")

    assert [None, 1, 2, None] == [envelope.causation for envelope in witness.seen]
    assert ["20250303.7", "20250303.7", "20250303.7", "by hand"] == [envelope.correlation for envelope in witness.seen]


async def test_the_events_own_rebalance_wins_over_the_inherited_one(bus: Bus) -> None:
    """An event that names a rebalance belongs to that one, whatever led to it."""
    witness = Witness()
    bus.subscribe_inline("scheduler", [TimerElapsed], posting(bus, lambda: decision("20250303.2")))
    bus.subscribe_inline("witness", [DecisionDue], witness)
    bus.post(tick(), correlation="20250303.1")

    assert ["20250303.2"] == [envelope.correlation for envelope in witness.seen]


async def test_events_of_our_orders_belong_to_the_rebalance_in_their_id(bus: Bus) -> None:
    """Execution reports come from outside, with no cause; a foreign order belongs to none, and then the cause counts."""
    ours = OrderNotFound(at=START, client_order_id="abc123-20250303.4-TECL-1")
    foreign = OrderNotFound(at=START, client_order_id="made-by-hand")
    report = ExecutionReport(
        event="fill",
        status="filled",
        client_order_id="abc123-20250303.4-TECL-1",
        venue_order_id="v",
        symbol="TECL",
        side=Side.BUY,
        quantity=Decimal(1),
        cumulative_quantity=Decimal(1),
        average_price=Decimal(70),
        at=START,
        execution_id="e",
        last_quantity=Decimal(1),
        last_price=Decimal(70),
    )
    fill = fill_of(report)
    assert fill is not None
    posted = [bus.post(event) for event in (ours, foreign, ExecutionReported(at=START, report=report), OrderFilled(at=START, fill=fill))]

    assert ["20250303.4", None, "20250303.4", "20250303.4"] == [envelope.correlation for envelope in posted]

    witness = Witness()
    bus.subscribe_inline("answering", [DecisionDue], posting(bus, lambda: foreign))
    bus.subscribe_inline("witness", [OrderNotFound], witness)
    bus.post(decision("20250303.5"))

    assert ["20250303.5"] == [envelope.correlation for envelope in witness.seen]


async def test_mailbox_handlers_pass_cause_and_correlation_on(bus: Bus) -> None:
    """Also from tasks that a handler starts, and after it has waited."""
    witness = Witness()

    async def handle(envelope: Envelope) -> None:
        async def child() -> None:
            await bus.publish(fact("child"))

        async with asyncio.TaskGroup() as group:
            group.create_task(child(), name="child")
        await bus.publish(fact("own"))

    bus.subscribe("planner", [DecisionDue], handle)
    bus.subscribe_inline("witness", [StreamLost], witness)
    async with running(bus):
        bus.post(tick())
        bus.post(decision("20250303.7"))
        await settled()
        bus.post(fact("outside"))

    assert [2, 2, None] == [envelope.causation for envelope in witness.seen]
    assert ["20250303.7", "20250303.7", None] == [envelope.correlation for envelope in witness.seen]


async def test_a_raising_handler_stops_nobody(bus: Bus) -> None:
    """Neither the publisher nor another handler notices; the failure is an event that names handler, event and error."""
    witness, failures = Witness(), Witness()
    bus.subscribe_inline("broken", [StreamLost], raising(KeyError("AAPL")))
    bus.subscribe_inline("witness", [StreamLost], witness)
    bus.subscribe_inline("failures", [HandlerFailed], failures)
    first = bus.post(fact("a"))
    bus.post(fact("b"))

    assert [fact("a"), fact("b")] == witness.events
    assert (
        HandlerFailed(
            at=START,
            handler="broken",
            event_type="StreamLost",
            sequence=first.sequence,
            error="KeyError: 'AAPL'",
            action="continues with the next event",
        )
        == failures.events[0]
    )
    assert [first.sequence, 3] == [envelope.causation for envelope in failures.seen]
    assert (0, 2) == (statistics_of(bus, "broken").handled, statistics_of(bus, "broken").failed)
    assert (2, 0) == (statistics_of(bus, "witness").handled, statistics_of(bus, "witness").failed)


async def test_a_failure_while_handling_a_failure_does_not_loop(bus: Bus) -> None:
    """It is counted and logged, not published."""
    witness = Witness()
    bus.subscribe_inline("broken", [StreamLost, HandlerFailed], raising(ValueError("no")))
    bus.subscribe_inline("witness", [HandlerFailed], witness)
    bus.post(fact())

    assert [1] == [event.sequence for event in witness.events if isinstance(event, HandlerFailed)]
    assert 2 == statistics_of(bus, "broken").failed


async def test_a_handler_that_may_not_fail_halts_trading_once(bus: Bus) -> None:
    """The halt names the handler, and a handler that fails on the halt itself does not halt again."""
    witness = Witness()
    bus.subscribe_inline("ledger", [StreamLost, TradingStateChanged], raising(ValueError("no")), on_failure=HALT)
    bus.subscribe_inline("witness", [TradingStateChanged], witness)
    bus.post(fact())

    assert [("halted", "supervisor")] == [(event.state, event.by) for event in witness.events if isinstance(event, TradingStateChanged)]
    assert "ledger failed at event 1" in str(witness.events[0])


async def test_a_log_that_cannot_be_written_stops_nothing(bus: Bus) -> None:
    """A closed pipe or a full disk under the log must not reach the bus; the event has everything."""

    def broken(*_: object) -> NoReturn:
        raise OSError("no space left on device")

    failures = Witness()
    bus.subscribe_inline("broken", [StreamLost], raising(ValueError("no")))
    bus.subscribe_inline("failures", [HandlerFailed], failures)
    structlog.configure(processors=[broken])
    try:
        bus.post(fact())
    finally:
        structlog.reset_defaults()

    assert 1 == len(failures.seen)


async def test_failures_on_market_data_are_published_once_a_second(bus: Bus) -> None:
    """Ten thousand quotes a second may not become ten thousand journaled failures; the ones in between are counted."""
    failures = Witness()
    bus.subscribe_inline("broken", [QuoteUpdated], raising(ValueError("no")))
    bus.subscribe_inline("failures", [HandlerFailed], failures)
    for _ in range(100):
        bus.post(quote("SPY"))

    assert 1 == len(failures.seen)
    assert 100 == statistics_of(bus, "broken").failed


async def test_the_next_published_failure_says_how_many_were_only_counted(bus: Bus) -> None:
    """Nothing disappears."""
    failures = Witness()
    bus.subscribe_inline("broken", [QuoteUpdated], raising(ValueError("no")))
    bus.subscribe_inline("failures", [HandlerFailed], failures)
    for _ in range(5):
        bus.post(quote("SPY"))
    await elapsed(2.0)
    bus.post(quote("SPY"))

    assert 2 == len(failures.seen)
    assert "4 failures" in str(failures.events[1])


@pytest.mark.parametrize(
    "error", [InvariantBroken("cash is negative"), JournalFailed("disk full"), ExceptionGroup("g", [InvariantBroken("x")])]
)
async def test_what_no_supervisor_may_survive_reaches_the_publisher(bus: Bus, error: Exception) -> None:
    """A broken invariant in a handler ends the bus: nothing is dispatched after it."""
    witness = Witness()
    bus.subscribe_inline("broken", [StreamLost], raising(error))
    bus.subscribe_inline("witness", [StreamLost], witness)

    with pytest.raises(type(error)):
        bus.post(fact())
    with pytest.raises(BusClosed):
        bus.post(fact())
    assert [] == witness.seen


async def test_journaled_events_reach_the_tap_before_any_handler(clock: VirtualClock) -> None:
    """In bus order, and market data not at all."""
    tap = MemoryTap()
    bus = Bus(clock=clock, tap=tap)
    seen_before: list[int] = []
    bus.subscribe_inline("witness", [StreamLost], lambda envelope: seen_before.append(tap.taken[-1].sequence - envelope.sequence))
    for event in (fact("a"), quote("SPY"), fact("b")):
        bus.post(event)

    assert [fact("a"), fact("b")] == [envelope.event for envelope in tap.taken]
    assert [1, 3] == [envelope.sequence for envelope in tap.taken]
    assert [0, 0] == seen_before


async def test_an_event_that_cannot_be_journaled_is_seen_by_nobody(clock: VirtualClock) -> None:
    """The publisher is told, and the bus has ended."""
    tap = MemoryTap()
    bus = Bus(clock=clock, tap=tap)
    witness = Witness()
    bus.subscribe_inline("witness", [Event], witness)
    tap.is_broken = True

    with pytest.raises(JournalFailed):
        bus.post(fact())
    with pytest.raises(BusClosed):
        bus.post(tick())
    assert [] == witness.seen


async def test_durable_asks_the_tap_for_everything_published(clock: VirtualClock) -> None:
    """The order that follows from a fill leaves after both are durable."""
    tap = MemoryTap()
    bus = Bus(clock=clock, tap=tap)
    bus.post(fact())
    bus.post(fact())
    await bus.durable()
    await Bus(clock=clock).durable()

    assert [2] == tap.asked_durable


async def test_unsubscribing_ends_delivery_and_can_be_repeated(bus: Bus) -> None:
    """The others are not touched."""
    leaving, staying = Witness(), Witness()
    unsubscribe = bus.subscribe_inline("leaving", [TimerElapsed], leaving)
    bus.subscribe_inline("staying", [TimerElapsed], staying)
    bus.post(tick())
    unsubscribe()
    unsubscribe()
    bus.post(tick())

    assert [1] == leaving.sequences
    assert [1, 2] == staying.sequences


async def test_mistakes_in_subscribing_are_refused(bus: Bus) -> None:
    """Two handlers of one name, no types, a coroutine where a function is meant, no room at all."""
    witness = Witness()
    bus.subscribe_inline("witness", [TimerElapsed], witness)

    with pytest.raises(ValueError, match="already"):
        bus.subscribe_inline("witness", [TimerElapsed], witness)
    with pytest.raises(ValueError, match="already"):
        bus.subscribe("witness", [TimerElapsed], witness.handle)
    with pytest.raises(ValueError, match="no event type"):
        bus.subscribe_inline("other", [], witness)
    with pytest.raises(ValueError, match="coroutine"):
        bus.subscribe_inline("other", [TimerElapsed], witness.handle)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="capacity"):
        bus.subscribe("other", [TimerElapsed], witness.handle, capacity=0)


async def test_counts_are_kept_per_type_and_per_handler_from_when_it_joined(bus: Bus) -> None:
    """A handler that joined late did not handle what came before."""
    bus.post(tick())
    bus.subscribe_inline("late", [TimerElapsed, QuoteUpdated], Witness())
    bus.post(tick())
    bus.post(quote("SPY"))

    assert {"TimerElapsed": 2, "QuoteUpdated": 1} == bus.dispatched()
    assert 2 == statistics_of(bus, "late").handled
