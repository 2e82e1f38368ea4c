"""Events per CPU second through the bus, against NautilusTrader's MessageBus in the same process.

- Ours: ``Bus.post`` of a ``QuoteUpdated`` to inline handlers on the wall clock: envelope, sequence number, time, cause, a guard
  around every handler, order of nested posts.
- Peer: ``MessageBus.publish`` of the same object on a topic: no envelope, no guard, nested publishes run inside the outer one.

Handlers are the same closure that counts. What ours promises (order, numbering, isolation) is checked before anything is timed.
Beside it, without a peer: delivery through a mailbox, against a bare ``asyncio.Queue`` with one consumer as the floor.

``python benchmarks/bus.py`` prints a table and exits with 1 when a target is missed, with 0 when the peer is not installed.
"""

import asyncio
import logging
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.util import find_spec
from typing import Any

import structlog
import uvloop
from measure import alternate, cpu_nanoseconds, environment

from alchemiser.bus.bus import Bus
from alchemiser.bus.envelope import Envelope
from alchemiser.domain.events import HandlerFailed, QuoteUpdated, TimerElapsed
from alchemiser.service.clock import WallClock

TARGETS = {1: 3.0, 4: 1.5, 16: 0.8}
"""Inline subscribers, and how many times as many events per CPU second as the peer we must handle."""

EVENTS = 100_000
MAILBOX_EVENTS = 20_000
REPEATS = 15

NOW = datetime(2025, 3, 3, 14, 30, tzinfo=UTC)
QUOTE = QuoteUpdated(at=NOW, symbol="SPY", bid=500.0, bid_size=100.0, ask=500.01, ask_size=200.0)


class Count:
    """How often a handler was called; the handler itself is a bare closure, the cheapest that Python has."""

    def __init__(self) -> None:
        self.value: Callable[[], int]
        self.call: Callable[[object], None]
        count = 0

        def call(_: object) -> None:
            nonlocal count
            count += 1

        self.call = call
        self.value = lambda: count


def check() -> None:
    """Stop unless handlers see every event once, in order, numbered, and apart from one that raises."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    bus = Bus(clock=WallClock())
    seen: list[Envelope] = []
    failures: list[Envelope] = []

    def broken(_: Envelope) -> None:
        raise RuntimeError("a handler that always fails")

    def nesting(envelope: Envelope) -> None:
        if isinstance(envelope.event, TimerElapsed) and envelope.event.key == "outer":
            bus.post(TimerElapsed(at=NOW, kind="check", key="inner"))

    bus.subscribe_inline("broken", [TimerElapsed], broken)
    bus.subscribe_inline("nesting", [TimerElapsed], nesting)
    bus.subscribe_inline("seen", [TimerElapsed], seen.append)
    bus.subscribe_inline("failures", [HandlerFailed], failures.append)
    for _ in range(100):
        bus.post(TimerElapsed(at=NOW, kind="check", key="outer"))

    keys = [envelope.event.key for envelope in seen if isinstance(envelope.event, TimerElapsed)]
    numbers = [envelope.sequence for envelope in seen]
    if keys != ["outer", "inner"] * 100 or numbers != sorted(set(numbers)) or not failures:
        sys.exit("bus: order, numbering or isolation of handlers is broken; nothing was timed")


def ours(subscribers: int) -> Callable[[], float]:
    bus = Bus(clock=WallClock())
    counts = [Count() for _ in range(subscribers)]
    for number, count in enumerate(counts):
        bus.subscribe_inline(f"handler {number}", [QuoteUpdated], count.call)

    def loop() -> None:
        post = bus.post
        for _ in range(EVENTS):
            post(QUOTE)

    return measured(loop, counts)


def peer(subscribers: int) -> Callable[[], float]:
    from nautilus_trader.common.component import LiveClock, MessageBus  # noqa: PLC0415 - the peer is an extra
    from nautilus_trader.model.identifiers import TraderId  # noqa: PLC0415

    bus: Any = MessageBus(trader_id=TraderId("BENCH-001"), clock=LiveClock())
    counts = [Count() for _ in range(subscribers)]
    for count in counts:
        bus.subscribe("data.quotes.SPY", count.call)

    def loop() -> None:
        publish = bus.publish
        for _ in range(EVENTS):
            publish("data.quotes.SPY", QUOTE)

    return measured(loop, counts)


def measured(loop: Callable[[], None], counts: list[Count]) -> Callable[[], float]:
    """Return what measures the loop once and checks that every handler got every event."""

    def measure() -> float:
        before = [count.value() for count in counts]
        cost = cpu_nanoseconds(loop, EVENTS)
        if [count.value() - start for count, start in zip(counts, before, strict=True)] != [EVENTS] * len(counts):
            sys.exit("a handler missed events; the measurement is worth nothing")
        return cost

    return measure


def through_mailbox() -> float:
    """Return the CPU time per event that is published, waits for room, and is handled by a mailbox."""

    async def main() -> None:
        bus = Bus(clock=WallClock())
        count = Count()

        async def handle(envelope: Envelope) -> None:
            count.call(envelope)

        bus.subscribe("handler", [QuoteUpdated], handle)
        async with asyncio.TaskGroup() as group:
            group.create_task(bus.run(), name="bus")
            for _ in range(MAILBOX_EVENTS):
                await bus.publish(QUOTE)
            report = await bus.close(drain_seconds=60.0)
        if count.value() != MAILBOX_EVENTS or report.unfinished:
            sys.exit("the mailbox lost events; the measurement is worth nothing")

    return cpu_nanoseconds(lambda: uvloop.run(main()), MAILBOX_EVENTS)


def through_queue() -> float:
    """Return the CPU time per item through an ``asyncio.Queue`` of the same bound and one consumer that yields after each."""

    async def main() -> None:
        queue: asyncio.Queue[QuoteUpdated | None] = asyncio.Queue(1024)
        count = Count()

        async def handle(item: QuoteUpdated) -> None:
            count.call(item)

        async def consume() -> None:
            while (item := await queue.get()) is not None:
                await handle(item)
                await asyncio.sleep(0)

        async with asyncio.TaskGroup() as group:
            group.create_task(consume(), name="consumer")
            for _ in range(MAILBOX_EVENTS):
                await queue.put(QUOTE)
            await queue.put(None)

    return cpu_nanoseconds(lambda: uvloop.run(main()), MAILBOX_EVENTS)


def main() -> int:
    """Check, measure, print; return 1 when a target is missed."""
    if find_spec("nautilus_trader") is None:
        print("skipped: nautilus_trader is not installed; install the extra 'bench'")
        return 0
    check()
    print(f"{environment('nautilus_trader', 'msgspec', 'uvloop')}; {REPEATS} runs of {EVENTS:,} events, CPU nanoseconds per event")
    print(
        f"{'subscribers':>12} {'ours':>9} {'spread':>17} {'nautilus':>9} {'spread':>17} {'ratio':>6} {'target':>7} {'our events/CPU s':>18}"
    )
    missed = False
    for subscribers, target in TARGETS.items():
        found = alternate({"ours": ours(subscribers), "peer": peer(subscribers)}, repeats=REPEATS)
        ratio = found["peer"].median / found["ours"].median
        missed |= ratio < target
        note = "" if ratio >= target else "  MISSED"
        print(f"{subscribers:>12} {found['ours']} {found['peer']} {ratio:5.2f}x {target:6.1f}x {1e9 / found['ours'].median:18,.0f}{note}")
    found = alternate({"mailbox": through_mailbox, "queue": through_queue}, repeats=5, warm_ups=1)
    ratio = found["queue"].median / found["mailbox"].median
    print(
        f"{'mailbox':>12} {found['mailbox']} {found['queue']} {ratio:5.2f}x  (second column: a bare asyncio.Queue, no envelope, no guard)"
    )
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
