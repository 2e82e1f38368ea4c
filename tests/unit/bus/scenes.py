"""What the bus tests share: events to publish, a tap that remembers, and the bus running for the length of a block."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime

from alchemiser.bus.bus import Bus
from alchemiser.bus.envelope import Envelope
from alchemiser.bus.reports import HandlerStatistics
from alchemiser.domain.errors import JournalFailed
from alchemiser.domain.events import DecisionDue, Event, QuoteUpdated, StreamLost, TimerElapsed

START = datetime(2025, 3, 3, 14, 30, tzinfo=UTC)


def tick(key: str = "x") -> TimerElapsed:
    """Return an event that is neither market data nor journaled."""
    return TimerElapsed(at=START, kind="test", key=key)


def fact(reason: str = "x") -> StreamLost:
    """Return a journaled event."""
    return StreamLost(at=START, stream="orders", reason=reason)


def quote(symbol: str, bid: float = 10.0) -> QuoteUpdated:
    """Return a quote."""
    return QuoteUpdated(at=START, symbol=symbol, bid=bid, bid_size=100.0, ask=bid + 0.01, ask_size=100.0)


def decision(rebalance_id: str = "20250303.1") -> DecisionDue:
    """Return an event that names its rebalance."""
    return DecisionDue(at=START, rebalance_id=rebalance_id, session=date(2025, 3, 3), reason="test")


def symbol_of(event: QuoteUpdated) -> str:
    """Return what a quote is the latest of."""
    return event.symbol


class Witness:
    """A handler, of either kind, that remembers what it saw."""

    def __init__(self) -> None:
        self.seen: list[Envelope] = []

    @property
    def sequences(self) -> list[int]:
        """The sequence numbers in the order seen."""
        return [envelope.sequence for envelope in self.seen]

    @property
    def events(self) -> list[Event]:
        """The events in the order seen."""
        return [envelope.event for envelope in self.seen]

    def __call__(self, envelope: Envelope) -> None:
        """See inline."""
        self.seen.append(envelope)

    async def handle(self, envelope: Envelope) -> None:
        """See from a mailbox."""
        self.seen.append(envelope)


class Gate:
    """A mailbox handler that remembers what it saw and finishes nothing until it is opened."""

    def __init__(self) -> None:
        self.seen: list[Envelope] = []
        self.entered = asyncio.Event()
        self._open = asyncio.Event()

    async def handle(self, envelope: Envelope) -> None:
        """See, then wait for the gate."""
        self.seen.append(envelope)
        self.entered.set()
        await self._open.wait()

    def open(self) -> None:
        """Let everything through from now on."""
        self._open.set()


class MemoryTap:
    """A tap that keeps envelopes in memory, with a bound and a fault to inject."""

    def __init__(self) -> None:
        self.taken: list[Envelope] = []
        self.asked_durable: list[int] = []
        self.has_room = True
        self.is_broken = False
        self._roomy = asyncio.Event()

    def append(self, envelope: Envelope) -> None:
        """Take an envelope."""
        if self.is_broken:
            raise JournalFailed("the disk is full")
        self.taken.append(envelope)

    async def room(self) -> None:
        """Wait until there is room."""
        await self._roomy.wait()

    def is_durable(self, sequence: int) -> bool:
        """Say that what was asked for is."""
        return sequence <= max(self.asked_durable, default=0)

    async def durable(self, sequence: int) -> None:
        """Remember the question."""
        self.asked_durable.append(sequence)

    def make_room(self) -> None:
        """Let the publishers go on."""
        self.has_room = True
        self._roomy.set()


@asynccontextmanager
async def running(bus: Bus, drain_seconds: float = 5.0) -> AsyncIterator[None]:
    """Run the bus for the length of the block, then close it in order."""
    async with asyncio.TaskGroup() as group:
        group.create_task(bus.run(), name="bus")
        await settled()
        yield
        await bus.close(drain_seconds=drain_seconds)


async def settled(turns: int = 50) -> None:
    """Let every task run until all of them wait for time or for each other."""
    loop = asyncio.get_running_loop()
    for _ in range(turns):
        ready = loop.create_future()
        loop.call_soon(ready.set_result, None)
        await ready


async def elapsed(seconds: float) -> None:
    """Let that much virtual time pass."""
    loop = asyncio.get_running_loop()
    due = loop.create_future()
    loop.call_later(seconds, due.set_result, None)
    await due


def statistics_of(bus: Bus, name: str) -> HandlerStatistics:
    """Return the statistics of one subscription."""
    return next(found for found in bus.statistics() if found.name == name)


def raising(error: BaseException) -> Callable[[Envelope], None]:
    """Return an inline handler that raises."""

    def call(_: Envelope) -> None:
        raise error

    return call


def posting(bus: Bus, make: Callable[[], Event]) -> Callable[[Envelope], None]:
    """Return an inline handler that answers every event with one of its own."""

    def call(_: Envelope) -> None:
        bus.post(make())

    return call
