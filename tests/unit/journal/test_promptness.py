"""When a commit on the loop beats one on the thread: the judgement itself, and what the journal makes of it."""

import asyncio
import sqlite3
import threading
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from alchemiser.domain.errors import JournalFailed
from alchemiser.journal import committers
from alchemiser.journal.format import Row, Snapshot
from alchemiser.journal.promptness import MOST_EVENTS, QUICK_SECONDS, Promptness
from alchemiser.journal.store import Store
from tests.unit.journal.scenes import filled, open_journal
from tests.unit.journal.test_committers import disk_of

QUICK, SLOW = QUICK_SECONDS / 10, QUICK_SECONDS * 10


def prompt() -> Promptness:
    """Return the judgement of a quick disk."""
    promptness = Promptness()
    promptness.flushed(QUICK)
    return promptness


def test_a_disk_that_nobody_has_measured_is_not_trusted() -> None:
    """The first commit is the thread's."""
    assert not Promptness().is_prompt(1)
    assert prompt().is_prompt(1)


def test_one_slow_flush_is_believed_at_once_and_lived_down_slowly() -> None:
    """A disk that stalls now and then holds the loop for one flush, not for each."""
    promptness = prompt()
    promptness.flushed(SLOW)
    for _ in range(5):
        assert not promptness.is_prompt(1)
        promptness.flushed(QUICK)
    assert not promptness.is_prompt(1)
    for _ in range(20):
        promptness.flushed(QUICK)
    assert promptness.is_prompt(1)


def test_many_events_and_many_who_wait_are_for_the_thread() -> None:
    """They share its commit; one who waits alone has nobody to share with."""
    promptness = prompt()
    assert promptness.is_prompt(MOST_EVENTS)
    assert not promptness.is_prompt(MOST_EVENTS + 1)
    promptness.served(2)
    assert not promptness.is_prompt(1)
    promptness.served(1)
    assert promptness.is_prompt(1)
    promptness.begin_turn()
    assert not promptness.is_prompt(1)
    promptness.end_turn()
    assert promptness.is_prompt(1)


async def next_turn() -> None:
    """Let the loop run everybody else once."""
    turn = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(turn.set_result, None)
    await turn


class SteadyStore(Store):
    """A store whose flushes are said to take as long as the test wants; who flushed is kept."""

    seconds = QUICK
    threads: list[str]

    def commit(self, rows: Sequence[Row], snapshots: Sequence[Snapshot]) -> None:
        """Commit, and claim a duration."""
        super().commit(rows, snapshots)
        self.threads.append(threading.current_thread().name)
        self.flush_seconds = self.seconds


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> type[SteadyStore]:
    """Let journals be kept by the steady store, whatever else the disk has to do."""

    class FreshStore(SteadyStore):
        threads: list[str] = []  # noqa: RUF012 - of this test alone

    monkeypatch.setattr("alchemiser.journal.journal.Store", FreshStore)
    return FreshStore


async def test_who_waits_alone_for_a_quick_disk_is_served_by_the_loop(tmp_path: Path, store: type[SteadyStore]) -> None:
    """The thread has measured the disk once; from then on no thread is changed, and what is promised is in the file."""
    path = tmp_path / "journal.sqlite"
    measures: list[int] = []
    with open_journal(path, threaded=True, on_commit=lambda seconds, count: measures.append(count)) as journal:
        for sequence in range(1, 5):
            filled(journal, [sequence])
            await journal.durable(sequence)
            assert journal.durable_sequence == sequence
            with closing(sqlite3.connect(path)) as other:
                assert other.execute("SELECT max(sequence) FROM events").fetchone() == (sequence,)
            await next_turn()

        assert store.threads == ["journal writer", "MainThread", "MainThread", "MainThread"]
        assert measures == [1, 1, 1, 1]
        assert journal.statistics().commits == 4
        assert journal.verify().is_intact


async def test_a_slow_disk_never_holds_the_loop_twice(tmp_path: Path, store: type[SteadyStore]) -> None:
    """As soon as one flush was slow, wherever it happened, the thread does them."""
    with open_journal(tmp_path / "journal.sqlite", threaded=True) as journal:
        for sequence in range(1, 7):
            if sequence == 3:
                store.seconds = SLOW
            filled(journal, [sequence])
            await journal.durable(sequence)
            await next_turn()

    assert store.threads == ["journal writer", "MainThread", "MainThread", "journal writer", "journal writer", "journal writer"]


async def test_a_crowd_shares_the_commits_of_the_thread(tmp_path: Path, store: type[SteadyStore]) -> None:
    """Of a hundred who come in one turn of the loop the first may be served alone; the others share."""
    taken = 1

    async def produce() -> None:
        nonlocal taken
        for _ in range(5):
            taken += 1
            mine = taken
            filled(journal, [mine])
            await journal.durable(mine)
            assert journal.durable_sequence >= mine

    with open_journal(tmp_path / "journal.sqlite", threaded=True) as journal:
        filled(journal, [1])
        await journal.durable(1)
        async with asyncio.TaskGroup() as group:
            for number in range(100):
                group.create_task(produce(), name=f"producer {number}")
        assert journal.statistics().events == 501

    assert store.threads.count("MainThread") <= 1
    assert len(store.threads) <= 20


async def test_after_commits_on_the_loop_the_log_is_checkpointed_too(
    tmp_path: Path, store: type[SteadyStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread, which nobody woke, is reminded."""
    monkeypatch.setattr(committers, "IDLE_SECONDS", 0.02)
    path = tmp_path / "journal.sqlite"
    checkpoints = threading.Semaphore(0)
    original = store.checkpoint

    def checkpoint(self: Store) -> None:
        original(self)
        checkpoints.release()

    monkeypatch.setattr(store, "checkpoint", checkpoint)
    with open_journal(path, threaded=True) as journal:
        for sequence in (1, 2):
            filled(journal, [sequence])
            await journal.durable(sequence)
            assert await asyncio.to_thread(checkpoints.acquire, timeout=10)
            await next_turn()

        assert store.threads == ["journal writer", "MainThread"]
        with closing(sqlite3.connect(f"file:{path}?immutable=1", uri=True)) as connection:
            assert connection.execute("SELECT max(sequence) FROM events").fetchone() == (2,)


async def test_a_commit_on_the_loop_that_fails_ends_the_journal(tmp_path: Path, store: type[SteadyStore]) -> None:
    """As one on the thread does: who waits is told, nothing is written any more, and closing says so again."""
    path = tmp_path / "journal.sqlite"
    journal = filled(open_journal(path, threaded=True), [1])
    await journal.durable(1)
    filled(journal, [2])
    with disk_of(1), pytest.raises(JournalFailed, match="from 2 on not durable"):
        await journal.durable(2)

    assert journal.durable_sequence == 1
    assert store.threads == ["journal writer"]
    with pytest.raises(JournalFailed):
        filled(journal, [3])
    with pytest.raises(JournalFailed):
        await journal.durable(2)
    with pytest.raises(JournalFailed):
        journal.close()
    with open_journal(path) as again:
        assert again.last_sequence == 1


async def test_the_loop_does_not_wait_for_who_locks_the_file(tmp_path: Path, store: type[SteadyStore]) -> None:
    """Another process may keep it for seconds: that is waited for on the thread, and then nothing is missing."""
    path = tmp_path / "journal.sqlite"
    with filled(open_journal(path, threaded=True), [1]) as journal:
        await journal.durable(1)
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            filled(journal, [2])
            waiting = asyncio.create_task(journal.durable(2), name="waits for durability")
            await next_turn()
            assert not waiting.done()
            other.execute("ROLLBACK")
        await waiting
        assert store.threads == ["journal writer", "journal writer"]
        await next_turn()
        filled(journal, [3])
        await journal.durable(3)
        assert store.threads[2:] == ["MainThread"]
        assert journal.verify().is_intact
