"""The journal as the bus's tap, on a real loop and with its thread."""

import asyncio
from pathlib import Path

import pytest

from alchemiser.bus.bus import Bus
from alchemiser.bus.envelope import Envelope
from alchemiser.domain.errors import BusClosed, JournalFailed
from alchemiser.domain.events import OrderIntended, StreamLost, TimerElapsed
from alchemiser.journal.journal import Journal
from alchemiser.service.clock import WallClock
from tests.unit.journal.scenes import START, filled, intended, lost, open_journal, order
from tests.unit.journal.test_threaded import disk_of


@pytest.mark.parametrize("threaded", [True, False])
async def test_an_intention_is_durable_before_its_order_leaves(tmp_path: Path, *, threaded: bool) -> None:
    """The handler publishes, waits for durability, and only then would send; the cause is in the same journal."""
    path = tmp_path / "journal.sqlite"
    durable_when_sent: list[int] = []
    with open_journal(path, threaded=threaded) as journal:
        bus = Bus(clock=WallClock(), tap=journal, first_sequence=journal.last_sequence + 1)

        async def execute(_: Envelope) -> None:
            await bus.publish(intended(order()))
            await bus.durable()
            durable_when_sent.append(journal.durable_sequence)

        bus.subscribe("execution", [StreamLost], execute)
        async with asyncio.TaskGroup() as group:
            started = asyncio.Event()
            group.create_task(bus.run(started.set), name="bus")
            await started.wait()
            bus.post(TimerElapsed(at=START, kind="not journaled", key="x"))
            bus.post(lost(1).event, correlation="20250303.1")
            report = await bus.close(drain_seconds=10.0)

        assert report.unfinished == ()
        assert [3] == durable_when_sent
        kept = list(journal.read())
        assert [(2, StreamLost, None), (3, OrderIntended, 2)] == [
            (envelope.sequence, type(envelope.event), envelope.causation) for envelope in kept
        ]
        assert "20250303.1" == kept[0].correlation

    with open_journal(path) as journal:
        again = Bus(clock=WallClock(), tap=journal, first_sequence=journal.last_sequence + 1)

        assert 4 == again.post(lost(1).event).sequence


async def test_publishers_feel_a_slow_disk(tmp_path: Path) -> None:
    """``publish`` waits while the backlog is full, and goes on when it has been written."""
    with Journal.open(tmp_path / "journal.sqlite", new_epoch=lambda: "abc123", linger_seconds=60.0, backlog=3) as journal:
        bus = Bus(clock=WallClock(), tap=journal)
        async with asyncio.TaskGroup() as group:
            for _ in range(3):
                await bus.publish(lost(1).event)
            held = group.create_task(bus.publish(lost(1).event), name="publisher")
            await asyncio.wait([held], timeout=0)
            assert not held.done()
            await bus.durable()

        assert 4 == held.result().sequence


async def test_a_journal_that_fails_ends_the_bus(tmp_path: Path) -> None:
    """A handler that waits for durability gets the error, and ``run`` raises it: the daemon stops rather than trade unrecorded."""
    journal = filled(open_journal(tmp_path / "journal.sqlite", threaded=True), [1])
    bus = Bus(clock=WallClock(), tap=journal, first_sequence=2)

    async def execute(_: Envelope) -> None:
        await bus.durable()

    bus.subscribe("execution", [StreamLost], execute)
    bus.post(lost(1).event)
    with disk_of(1), pytest.raises(JournalFailed, match="cannot be written"):
        await bus.run()
    with pytest.raises(BusClosed):
        bus.post(lost(1).event)
    with pytest.raises(JournalFailed):
        journal.close()
