"""Group commit on a thread, what it promises when the disk fails, and kill -9."""

import asyncio
import os
import resource
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from alchemiser.bus.envelope import Envelope
from alchemiser.domain.errors import DataError, JournalFailed
from alchemiser.domain.events import CancelRequested
from alchemiser.journal import promptness, threaded
from alchemiser.journal.format import Row, Snapshot
from alchemiser.journal.journal import Journal
from alchemiser.journal.reader import JournalReader
from alchemiser.journal.store import Store
from tests.unit.journal.scenes import ORDER, START, filled, lost, open_journal, snapshot


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    """Where the journal of a test is; afterwards no writer thread is left."""
    yield tmp_path / "journal.sqlite"
    assert "journal writer" not in [thread.name for thread in threading.enumerate()]


async def test_a_hundred_events_cost_one_flush(path: Path) -> None:
    """Whatever was appended since the last commit goes into one transaction, also for many who wait."""
    measures: list[int] = []
    with open_journal(path, threaded=True, on_commit=lambda seconds, count: measures.append(count)) as journal:
        filled(journal, range(1, 101))
        async with asyncio.TaskGroup() as group:
            for sequence in (10, 50, 100):
                group.create_task(journal.durable(sequence), name=f"waiting for {sequence}")

        assert (1, 100) == (journal.statistics().commits, journal.statistics().events)
        assert [100] == measures

        filled(journal, [101])
        await journal.durable(101)
        await journal.durable(50)

        assert 2 == journal.statistics().commits
        assert journal.statistics().slowest_seconds <= journal.statistics().seconds


async def test_events_that_nobody_waits_for_are_committed_soon(path: Path) -> None:
    """The linger is an upper bound; here it is nothing at all."""
    committed = asyncio.Event()
    with open_journal(path, threaded=True, linger_seconds=0.0, on_commit=lambda *_: committed.set()) as journal:
        filled(journal, [1])
        await journal.durable(1)
        committed.clear()
        filled(journal, [2])
        await committed.wait()

        assert 2 == journal.durable_sequence


async def test_what_a_request_follows_from_does_not_linger(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the disk is slow it is committed when the turn of the loop has ended, before anybody has begun to wait for it."""
    monkeypatch.setattr(promptness, "QUICK_SECONDS", -1.0)
    committed = asyncio.Event()
    with open_journal(path, threaded=True, linger_seconds=3600.0, on_commit=lambda *_: committed.set()) as journal:
        filled(journal, [1])
        await journal.durable(1)
        committed.clear()
        for sequence in (2, 3):
            journal.append(Envelope(sequence, CancelRequested(at=START, client_order_id=ORDER, reason="x"), 0.0))
            await committed.wait()
            committed.clear()

        assert journal.durable_sequence == 3


async def test_who_waits_for_more_than_a_commit_brought_waits_for_the_next(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A commit wakes those alone whose events were in it."""
    is_writing, goes_on = threading.Event(), threading.Event()

    class GatedStore(Store):
        def commit(self, rows: Sequence[Row], snapshots: Sequence[Snapshot]) -> None:
            is_writing.set()
            goes_on.wait()
            super().commit(rows, snapshots)

    monkeypatch.setattr("alchemiser.journal.journal.Store", GatedStore)
    told: list[int] = []

    async def wait_for(sequence: int) -> None:
        await journal.durable(sequence)
        told.append(sequence)
        assert journal.durable_sequence >= sequence

    with filled(open_journal(path, threaded=True), [1]) as journal:
        async with asyncio.TaskGroup() as group:
            group.create_task(wait_for(1), name="waits for the first commit")
            await asyncio.to_thread(is_writing.wait)
            filled(journal, [2])
            second = group.create_task(wait_for(2), name="waits for the second commit")
            await asyncio.wait([second], timeout=0)
            goes_on.set()

        assert told == [1, 2]
        assert journal.statistics().commits == 2


async def test_a_publisher_that_gave_up_is_passed_over(path: Path) -> None:
    """The next one gets the room."""
    with Journal.open(path, new_epoch=lambda: "abc123", linger_seconds=60.0, backlog=1) as journal:
        filled(journal, [1])
        waiting = [asyncio.create_task(journal.room(), name=f"publisher {number}") for number in range(2)]
        await asyncio.wait(waiting, timeout=0)
        waiting[0].cancel()
        await asyncio.wait(waiting)
        assert [one.cancelled() for one in waiting] == [True, False]


async def test_the_log_is_checkpointed_when_idle(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not inside a commit, where somebody waits."""
    monkeypatch.setattr(threaded, "IDLE_SECONDS", 0.001)
    checkpointed = threading.Event()

    class WatchedStore(Store):
        def checkpoint(self) -> None:
            super().checkpoint()
            if self.head[0]:  # The tables may be moved before the event is written.
                checkpointed.set()

    monkeypatch.setattr("alchemiser.journal.journal.Store", WatchedStore)
    with filled(open_journal(path, threaded=True), [1]) as journal:
        await journal.durable(1)
        await asyncio.to_thread(checkpointed.wait, 10)

        with closing(sqlite3.connect(f"file:{path}?immutable=1", uri=True)) as connection, connection:
            assert [(1,)] == connection.execute("SELECT sequence FROM events").fetchall()
        connection.close()


async def test_a_long_log_is_checkpointed_while_busy(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its size has a bound."""
    monkeypatch.setattr("alchemiser.journal.log.MAX_BYTES", 0)
    with filled(open_journal(path), [1]) as journal:
        await journal.durable(1)
        with closing(sqlite3.connect(f"file:{path}?immutable=1", uri=True)) as connection, connection:
            assert [(1,)] == connection.execute("SELECT sequence FROM events").fetchall()
        connection.close()


async def test_a_full_backlog_holds_publishers_back(path: Path) -> None:
    """``room`` returns when the disk has caught up."""
    journal = Journal.open(path, new_epoch=lambda: "abc123", linger_seconds=60.0, backlog=10)
    with journal:
        await journal.room()
        filled(journal, range(1, 11))

        assert not journal.has_room

        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(journal.room(), name="publisher")
            await asyncio.wait([waiting], timeout=0)
            assert not waiting.done()
            await journal.durable(10)

        assert journal.has_room


async def test_a_disk_that_has_stopped_is_not_waited_for_for_ever(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``post`` cannot wait; far beyond the bound it fails."""
    monkeypatch.setattr(threaded, "HARD_FACTOR", 2)
    journal = Journal.open(path, new_epoch=lambda: "abc123", linger_seconds=60.0, backlog=5)
    filled(journal, range(1, 11))

    with pytest.raises(JournalFailed, match="does not take"):
        journal.append(lost(11))
    with pytest.raises(JournalFailed):
        await journal.room()
    with pytest.raises(JournalFailed):
        journal.close()


@contextmanager
def disk_of(limit_bytes: int) -> Iterator[None]:
    """Let no file grow beyond the limit: what a full disk looks like to a writer."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)


@pytest.mark.parametrize("threaded", [True, False])
async def test_a_full_disk_is_said_and_nothing_is_pretended(path: Path, *, threaded: bool) -> None:
    """Whoever waits for durability gets the error, so does everybody after; what was durable before is still there."""
    journal = filled(open_journal(path, threaded=threaded), range(1, 6))
    await journal.durable(5)
    with disk_of(os.stat(f"{path}-wal").st_size + 4096):
        for sequence in range(6, 400):
            journal.append(lost(sequence, reason="y" * 2_000))

        with pytest.raises(JournalFailed, match=r"394 events from 6 on not durable"):
            await journal.durable(399)

    assert 5 == journal.durable_sequence
    await journal.durable(5)
    with pytest.raises(JournalFailed):
        journal.append(lost(400))
    with pytest.raises(JournalFailed):
        await journal.durable(399)
    with pytest.raises(JournalFailed):
        await journal.room()
    with pytest.raises(JournalFailed):
        journal.save_snapshot(snapshot("state", 5))
    if threaded:
        with pytest.raises(JournalFailed):
            journal.close()
    else:
        journal.close()

    with open_journal(path) as again:
        assert 5 == again.last_sequence
        assert again.verify().is_intact


async def test_everybody_who_waits_is_told_of_the_failure(path: Path) -> None:
    """Those for durability and those for room."""
    journal = Journal.open(path, new_epoch=lambda: "abc123", linger_seconds=60.0, backlog=1)
    filled(journal, [1])
    with disk_of(1):
        results = await asyncio.gather(journal.room(), journal.durable(1), return_exceptions=True)

    assert [JournalFailed, JournalFailed] == [type(result) for result in results]
    with pytest.raises(JournalFailed):
        journal.close()


def test_a_failure_at_the_end_is_raised_by_closing(path: Path) -> None:
    """The last events are as good as the first."""
    journal = open_journal(path)
    filled(journal, range(1, 300))
    with disk_of(1), pytest.raises(JournalFailed, match="from 1 on"):
        journal.close()


def test_a_read_only_place_is_refused() -> None:
    """Also for those whom permissions do not stop."""
    with pytest.raises(DataError, match="cannot be opened for writing"):
        open_journal(Path("/proc/alchemiser/journal.sqlite"))


async def test_who_gave_up_waiting_is_forgotten(path: Path) -> None:
    """Cancelling one who waits disturbs nobody."""
    with filled(open_journal(path, threaded=True), [1, 2]) as journal:
        first = asyncio.create_task(journal.durable(1), name="gives up")
        await asyncio.wait([first], timeout=0)
        first.cancel()
        await journal.durable(2)
        await asyncio.wait([first])

        assert journal.durable_sequence == 2


def test_a_journal_outlives_its_loop(path: Path) -> None:
    """The loop may be closed before the journal is; what was taken is written all the same."""
    with open_journal(path, threaded=True) as journal:

        async def use() -> None:
            filled(journal, [1])
            await journal.durable(1)

        asyncio.run(use())
        filled(journal, range(2, 50))
    with JournalReader.open(path) as reader:
        assert 49 == reader.last_sequence


_VICTIM = """
import asyncio, sys
from pathlib import Path
from alchemiser.bus.envelope import Envelope
from alchemiser.domain.events import StreamLost
from alchemiser.journal.format import Row, Snapshot
from alchemiser.journal.journal import Journal
from datetime import UTC, datetime

async def main():
    journal = Journal.open(Path(sys.argv[1]), new_epoch=lambda: "abc123")
    at = datetime(2025, 3, 3, tzinfo=UTC)
    sequence = journal.last_sequence
    while True:
        for _ in range(7):
            sequence += 1
            journal.append(Envelope(sequence, StreamLost(at=at, stream="orders", reason="x"), 0.0))
        await journal.durable(sequence)
        print(sequence, flush=True)
        journal.append(Envelope(sequence := sequence + 1, StreamLost(at=at, stream="orders", reason="not waited for"), 0.0))

asyncio.run(main())
"""


def test_kill_9_loses_nothing_that_was_durable(path: Path) -> None:
    """A real process, really killed, three times over; its lock dies with it, and the next one carries on."""
    for _ in range(3):
        victim = subprocess.Popen([sys.executable, "-c", _VICTIM, str(path)], stdout=subprocess.PIPE, text=True)
        assert victim.stdout is not None
        promised = 0
        for _line in range(5):
            promised = int(victim.stdout.readline())
        victim.send_signal(signal.SIGKILL)
        promised = int(([str(promised), *victim.stdout.read().split()])[-1])
        victim.stdout.close()
        victim.wait()

        with open_journal(path) as journal:
            assert promised <= journal.last_sequence
            assert journal.verify().is_intact
            assert list(range(1, journal.last_sequence + 1)) == [envelope.sequence for envelope in journal.read()]
