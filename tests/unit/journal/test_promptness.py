"""When a commit on the loop beats one on the thread: the judgement itself, and what the journal makes of it."""

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from alchemiser.domain.errors import JournalFailed
from alchemiser.journal import threaded
from alchemiser.journal.format import Row, Snapshot
from alchemiser.journal.journal import Journal
from alchemiser.journal.promptness import MOST_EVENTS, QUICK_SECONDS, Promptness
from alchemiser.journal.store import Store
from tests.unit.journal.scenes import filled, open_journal, snapshot
from tests.unit.journal.test_threaded import disk_of

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


def test_many_events_are_for_the_thread() -> None:
    """The loop has others to serve."""
    assert prompt().is_prompt(MOST_EVENTS)
    assert not prompt().is_prompt(MOST_EVENTS + 1)


def test_who_shared_a_commit_is_expected_to_share_the_next() -> None:
    """One who waits alone has nobody to share with; the second of a turn is not alone."""
    promptness = prompt()
    told: list[bool] = [promptness.is_alone]
    notes: tuple[Callable[[], None], ...] = (
        lambda: promptness.served(2),
        lambda: promptness.served(1),
        promptness.begin_turn,
        promptness.end_turn,
    )
    for note in notes:
        note()
        told.append(promptness.is_alone)
    assert told == [True, False, True, False, True]


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


async def crowded(journal: Journal, producers: int, each: int) -> None:
    """Let so many producers append and wait, one event after the other."""
    taken = journal.last_sequence

    async def produce() -> None:
        nonlocal taken
        for _ in range(each):
            taken += 1
            mine = taken
            filled(journal, [mine])
            await journal.durable(mine)
            assert journal.durable_sequence >= mine

    async with asyncio.TaskGroup() as group:
        for number in range(producers):
            group.create_task(produce(), name=f"producer {number}")


async def test_a_crowd_shares_one_commit_a_turn(tmp_path: Path, store: type[SteadyStore]) -> None:
    """Of a hundred who come in one turn of the loop the first is served alone, the others together when the turn ends, and so on."""
    with open_journal(tmp_path / "journal.sqlite", threaded=True) as journal:
        filled(journal, [1])
        await journal.durable(1)
        await crowded(journal, 100, 5)
        assert journal.statistics().events == 501
        assert journal.verify().is_intact

    assert store.threads[0] == "journal writer"
    assert set(store.threads[1:]) == {"MainThread"}
    assert len(store.threads) <= 8


async def test_a_crowd_shares_the_commits_of_the_thread_where_the_disk_is_slow(tmp_path: Path, store: type[SteadyStore]) -> None:
    """The loop is never held by the disk; a hundred still cost one flush."""
    store.seconds = SLOW
    with open_journal(tmp_path / "journal.sqlite", threaded=True) as journal:
        await crowded(journal, 100, 5)
        assert journal.statistics().events == 500

    assert set(store.threads) == {"journal writer"}
    assert len(store.threads) <= 20


async def test_one_who_gives_up_disturbs_nobody_who_shares_its_commit(tmp_path: Path, store: type[SteadyStore]) -> None:
    """Each waits for itself."""
    with open_journal(tmp_path / "journal.sqlite", threaded=True) as journal:
        await crowded(journal, 3, 1)
        filled(journal, [4, 5, 6])
        waiting = [asyncio.create_task(journal.durable(sequence), name=f"waits for {sequence}") for sequence in (4, 5, 6)]
        asyncio.get_running_loop().call_soon(waiting[1].cancel)
        await asyncio.wait(waiting)
        assert [one.cancelled() for one in waiting] == [False, True, False]
        assert journal.durable_sequence == 6


async def test_a_shared_commit_that_fails_is_told_to_all(tmp_path: Path, store: type[SteadyStore]) -> None:
    """On the loop as on the thread."""
    journal = open_journal(tmp_path / "journal.sqlite", threaded=True)
    await crowded(journal, 3, 1)
    commits = len(store.threads)
    filled(journal, [4, 5])
    with disk_of(1):
        found = await asyncio.gather(journal.durable(4), journal.durable(5), return_exceptions=True)

    assert [type(one) for one in found] == [JournalFailed, JournalFailed]
    assert len(store.threads) == commits
    assert journal.durable_sequence == 3
    with pytest.raises(JournalFailed):
        journal.close()


async def test_nothing_is_shared_after_the_thread_has_failed(
    tmp_path: Path, store: type[SteadyStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those who came before it failed, and whose turn ends after it, are told; what they wait for would follow what was lost."""
    path = tmp_path / "journal.sqlite"
    is_writing, goes_on, commit = threading.Event(), threading.Event(), store.commit

    def failing(self: SteadyStore, rows: Sequence[Row], snapshots: Sequence[Snapshot]) -> None:
        if not snapshots:
            commit(self, rows, snapshots)
            return
        is_writing.set()
        goes_on.wait()
        raise sqlite3.OperationalError("the disk is gone")

    def fail() -> None:
        goes_on.set()
        (writer,) = (thread for thread in threading.enumerate() if thread.name == "journal writer")
        writer.join()

    journal = open_journal(path, threaded=True)
    await crowded(journal, 3, 1)
    monkeypatch.setattr(store, "commit", failing)
    filled(journal, [4])
    journal.save_snapshot(snapshot("state", 4))
    await asyncio.to_thread(is_writing.wait)
    filled(journal, [5, 6])
    waiting = [asyncio.create_task(journal.durable(sequence), name=f"waits for {sequence}") for sequence in (5, 6)]
    asyncio.get_running_loop().call_soon(fail)
    waiting.append(asyncio.create_task(journal.durable(6), name="comes when it has failed"))
    found = await asyncio.gather(*waiting, return_exceptions=True)

    assert [type(one) for one in found] == [JournalFailed] * 3
    with pytest.raises(JournalFailed, match="the disk is gone"):
        journal.close()
    with open_journal(path) as again:
        assert again.last_sequence == 3


def test_a_crowd_of_another_loop_is_served(tmp_path: Path, store: type[SteadyStore]) -> None:
    """A turn of a loop that is closed will never end."""
    with open_journal(tmp_path / "journal.sqlite", threaded=True) as journal:
        for _ in range(3):
            asyncio.run(crowded(journal, 3, 2))
        assert journal.durable_sequence == 18


async def test_a_crowd_does_not_hold_the_loop_for_who_locks_the_file(tmp_path: Path, store: type[SteadyStore]) -> None:
    """The thread waits for the lock."""
    path = tmp_path / "journal.sqlite"
    with open_journal(path, threaded=True) as journal:
        await crowded(journal, 3, 1)
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            waiting = asyncio.create_task(crowded(journal, 2, 1), name="a crowd")
            for _ in range(5):
                await next_turn()
            assert not waiting.done()
            other.execute("ROLLBACK")
        await waiting
        assert store.threads[-1] == "journal writer"
        assert journal.durable_sequence == 5


async def test_after_commits_on_the_loop_the_log_is_checkpointed_too(
    tmp_path: Path, store: type[SteadyStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread, which nobody woke, is reminded."""
    monkeypatch.setattr(threaded, "IDLE_SECONDS", 0.02)
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
