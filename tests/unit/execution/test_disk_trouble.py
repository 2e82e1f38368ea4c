"""A disk that is slow, full or locked: nothing is sent whose intention is not durable, and the process says why it ends."""

import asyncio
import sqlite3
import threading
from collections.abc import Sequence
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from alchemiser.bus.bus import Bus
from alchemiser.domain.errors import DataError, JournalFailed, VenueUnavailable
from alchemiser.domain.events import OrderIntended, OrderWithheld, StreamLost
from alchemiser.domain.orders import ExecutionReport, NewOrder
from alchemiser.domain.venue import After, WhyNot
from alchemiser.journal import store
from alchemiser.journal.format import Row, Snapshot
from alchemiser.journal.journal import Journal
from alchemiser.journal.reader import JournalReader
from alchemiser.journal.store import Store
from tests.unit.execution import desk
from tests.unit.execution.desk import START, Floor, ScriptedVenue, buy, plan_of
from tests.unit.journal.scenes import filled, open_journal

DISK_FULL = "database or disk is full"


class Disk:
    """What the commits of a journal's writer go through."""

    def __init__(self) -> None:
        self.takes = threading.Event()
        self.takes.set()
        self.is_asked = threading.Event()
        self.error: str | None = None

    def commit(self, real: Store, rows: Sequence[Row], snapshots: Sequence[Snapshot]) -> None:
        """Take them, in the end."""
        self.is_asked.set()
        assert self.takes.wait(20)
        if self.error is not None:
            raise sqlite3.OperationalError(self.error)
        _commit(real, rows, snapshots)


_commit = Store.commit


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    """The disk under every journal of a test."""
    one = Disk()
    monkeypatch.setattr(Store, "commit", lambda real, rows, snapshots: one.commit(real, rows, snapshots))
    return one


class GuardedVenue(ScriptedVenue):
    """A venue that asks for leave when the bytes of an order go, as the real one does: after the wait for durability."""

    why_not: WhyNot = staticmethod(lambda symbol, side: None)

    def guard(self, why_not: WhyNot) -> None:
        """Ask this from now on."""
        self.why_not = why_not

    async def submit(self, order: NewOrder, *, after: After | None = None) -> ExecutionReport:
        """Wait, ask, send."""

        async def leave() -> None:
            assert after is not None
            await after()
            reason = self.why_not(order.symbol, order.side)
            if reason is not None:
                raise VenueUnavailable(reason)

        return await super().submit(order, after=leave)


def floor_on(journal: Journal, venue: ScriptedVenue, monkeypatch: pytest.MonkeyPatch) -> Floor:
    """Return a trading floor whose bus is journaled."""
    monkeypatch.setattr(desk, "Bus", partial(Bus, tap=journal))
    return Floor(venue)


async def a_while() -> None:
    """Let everything happen that can."""
    for _ in range(20):
        await asyncio.to_thread(int)


async def test_a_slow_flush_holds_the_order_back_and_nothing_else(tmp_path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the disk takes its seconds the intention is known here and nothing has left; the bus turns, and then the order goes."""
    venue = ScriptedVenue()
    with open_journal(tmp_path / "journal.sqlite", threaded=True, linger_seconds=0.0) as journal:
        floor = floor_on(journal, venue, monkeypatch)

        async def play() -> None:
            await floor.bus.durable()
            disk.takes.clear()
            await floor.bus.publish(plan_of(buy()))
            await asyncio.to_thread(disk.is_asked.wait, 20)
            await a_while()
            assert len(floor.of(OrderIntended)) == 1
            assert venue.sent == []
            assert (await floor.bus.turn(5.0)).is_healthy
            disk.takes.set()
            await floor.bus.durable()
            await a_while()
            assert [floor.of(OrderIntended)[0].order] == venue.sent  # type: ignore[attr-defined]
            floor.fill(venue.sent[0])
            await floor.ended.wait()

        await floor.run(play)


async def test_what_happened_during_a_slow_flush_counts_when_the_order_would_leave(
    tmp_path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The order stream was lost meanwhile: the gate is asked after the wait, and the order stays."""
    venue = GuardedVenue()
    with open_journal(tmp_path / "journal.sqlite", threaded=True, linger_seconds=0.0) as journal:
        floor = floor_on(journal, venue, monkeypatch)
        venue.guard(floor.gate.why_not)

        async def play() -> None:
            await floor.bus.durable()
            disk.takes.clear()
            await floor.bus.publish(plan_of(buy()))
            await a_while()
            assert len(floor.of(OrderIntended)) == 1
            floor.bus.post(StreamLost(at=START, stream="orders", reason="reset"))
            disk.takes.set()
            await floor.bus.durable()
            await a_while()
            assert venue.sent == []
            assert len(floor.of(OrderWithheld)) == 1
            await floor.handler.stop("the test is over", cancel_orders=False)

        await floor.run(play)


@pytest.mark.parametrize("threaded", [True, False])
async def test_a_full_disk_ends_the_process_and_nothing_leaves(
    tmp_path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch, *, threaded: bool
) -> None:
    """The intention cannot be written, so the order is never sent; the error names the journal, the events and what is done."""
    venue = ScriptedVenue()
    path = tmp_path / "journal.sqlite"
    journal = open_journal(path, threaded=threaded, linger_seconds=60.0)
    floor = floor_on(journal, venue, monkeypatch)

    async def play() -> None:
        await floor.bus.durable()
        disk.error = DISK_FULL
        await floor.bus.publish(plan_of(buy()))
        await floor.ended.wait()

    with pytest.raises(ExceptionGroup) as group:
        await floor.run(play)
    failed = group.value.subgroup(JournalFailed)
    assert failed is not None
    assert DISK_FULL in str(_first(failed))
    assert "not durable; the daemon stops" in str(_first(failed))
    assert venue.sent == []
    if threaded:
        with pytest.raises(JournalFailed):
            journal.close()
    else:
        journal.close()

    disk.error = None
    with JournalReader.open(path) as reader:
        assert reader.verify().is_intact
        assert list(reader.read(types=(OrderIntended,))) == [], "what could not be written is not half there"


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def test_a_journal_that_another_process_keeps_locked_is_an_error_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A backup may hold it for seconds; longer, and a start is refused, a commit fails."""
    monkeypatch.setattr(store, "BUSY_SECONDS", 0.05)
    path = tmp_path / "journal.sqlite"
    journal = filled(open_journal(path), [1])
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(JournalFailed, match="database is locked"):
            journal.close()
        with pytest.raises(DataError, match=r"database is locked.*nothing was started"):
            open_journal(path)
        other.execute("ROLLBACK")
    with open_journal(path) as again:
        assert 0 == again.last_sequence
