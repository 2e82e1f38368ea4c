"""What the journal's thread and the loop do to each other in between: each step happens when the test says so, on whatever disk."""

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from types import TracebackType

import pytest

from alchemiser.bus.envelope import Envelope
from alchemiser.domain.errors import JournalFailed
from alchemiser.domain.events import CancelRequested
from alchemiser.journal import threaded
from alchemiser.journal.format import Row, Snapshot
from alchemiser.journal.journal import Journal
from alchemiser.journal.promptness import QUICK_SECONDS
from alchemiser.journal.reader import JournalReader
from alchemiser.journal.store import Store
from alchemiser.journal.threaded import ThreadedCommitter
from tests.unit.journal.scenes import ORDER, START, filled, open_journal, snapshot

PATIENCE_SECONDS = 30.0


class SteppedStore(Store):
    """A store whose commits wait until they are allowed, and are said to have been quick."""

    is_allowed: threading.Event
    has_begun: threading.Event
    threads: list[str]

    def commit(self, rows: Sequence[Row], snapshots: Sequence[Snapshot]) -> None:
        """Commit when it is allowed."""
        self.has_begun.set()
        assert self.is_allowed.wait(PATIENCE_SECONDS)
        super().commit(rows, snapshots)
        self.threads.append(threading.current_thread().name)
        self.flush_seconds = QUICK_SECONDS / 10


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[SteppedStore]]:
    """Let journals be kept by the stepped store, which allows every commit until a test takes that back."""

    class FreshStore(SteppedStore):
        is_allowed = threading.Event()
        has_begun = threading.Event()
        threads: list[str] = []  # noqa: RUF012 - of this test alone

    FreshStore.is_allowed.set()
    monkeypatch.setattr("alchemiser.journal.journal.Store", FreshStore)
    yield FreshStore
    FreshStore.is_allowed.set()
    assert "journal writer" not in [thread.name for thread in threading.enumerate()]


def awaited(sequence: int) -> Envelope:
    """Return an envelope for whose durability somebody is going to wait."""
    return Envelope(sequence, CancelRequested(at=START, client_order_id=ORDER, reason="x"), 0.0)


async def wait_for(journal: Journal, sequence: int) -> None:
    """Wait until that event is durable, which may be appended before this begins."""
    await journal.durable(sequence)
    assert journal.durable_sequence >= sequence


def committer_of(journal: Journal) -> ThreadedCommitter:
    """Return what commits for a journal."""
    committer = journal._committer
    assert isinstance(committer, ThreadedCommitter)
    return committer


def next_commit(journal: Journal) -> Callable[[], None]:
    """Return what waits, on the loop and without giving way to it, until the thread has made and told its next commit."""
    committer, is_told = committer_of(journal), threading.Event()
    tell = committer._committed

    def committed(measure: tuple[float, int] | None) -> None:
        tell(measure)
        is_told.set()

    committer._committed = committed  # type: ignore[method-assign]

    def wait() -> None:
        assert is_told.wait(PATIENCE_SECONDS)

    return wait


class Overtaken:
    """A lock that somebody else gets first: what it does ``meanwhile`` has been done when the lock is ours."""

    def __init__(self, lock: threading.Lock, meanwhile: Callable[[], None]) -> None:
        self._lock = lock
        self._meanwhile: Callable[[], None] | None = meanwhile

    def __enter__(self) -> None:
        meanwhile, self._meanwhile = self._meanwhile, None
        if meanwhile is not None:
            meanwhile()
        self._lock.acquire()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._lock.release()


async def test_what_becomes_durable_while_the_lock_is_waited_for_is_not_written_again(tmp_path: Path, store: type[SteppedStore]) -> None:
    """The thread was about to commit when somebody began to wait: one commit is all there is."""
    with filled(open_journal(tmp_path / "journal.sqlite", threaded=True), [1]) as journal:
        committer, wait = committer_of(journal), next_commit(journal)
        lock = committer._lock

        def commit() -> None:
            with lock:
                committer._commit_now()
            wait()

        committer._lock = Overtaken(lock, commit)  # type: ignore[assignment]
        await journal.durable(1)

        assert (journal.durable_sequence, journal.statistics().commits) == (1, 1)


async def test_a_turn_whose_events_the_thread_has_taken_ends_without_a_commit(tmp_path: Path, store: type[SteppedStore]) -> None:
    """Something else had woken it: there is nothing left to be shared."""
    with open_journal(tmp_path / "journal.sqlite", threaded=True) as journal:
        wait = next_commit(journal)
        journal.append(awaited(1))
        journal.save_snapshot(snapshot("state", 1))
        wait()
        assert journal.durable_sequence == 1
        turn = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(turn.set_result, None)
        await turn

        assert journal.statistics().commits == 1


async def test_a_turn_that_began_while_the_thread_wrote_may_end_on_the_loop(tmp_path: Path, store: type[SteppedStore]) -> None:
    """When it ends the thread is free again and the disk known to be quick: no thread is changed, though no linger had begun."""
    with open_journal(tmp_path / "journal.sqlite", threaded=True) as journal:
        journal.append(awaited(1))
        await journal.durable(1)
        store.is_allowed.clear()
        store.has_begun.clear()
        wait = next_commit(journal)
        journal.save_snapshot(snapshot("state", 1))
        assert store.has_begun.wait(PATIENCE_SECONDS)
        waiting = asyncio.create_task(wait_for(journal, 2), name="waits for what is appended next")
        journal.append(awaited(2))
        store.is_allowed.set()
        wait()
        await waiting

        assert store.threads == ["journal writer", "journal writer", "MainThread"]


def test_without_a_loop_the_thread_is_woken_at_once(tmp_path: Path, store: type[SteppedStore]) -> None:
    """Nobody could call later; nothing lingers, whether or not somebody is going to wait."""
    path = tmp_path / "journal.sqlite"
    with open_journal(path, threaded=True) as journal:
        for sequence in (1, 2):
            wait = next_commit(journal)
            journal.append(awaited(sequence))
            wait()
            assert journal.durable_sequence == sequence
        wait = next_commit(journal)
        filled(journal, [3])
        wait()
        with JournalReader.open(path) as reader:
            assert reader.last_sequence == 3


def test_a_loop_that_is_closed_is_told_nothing_more(tmp_path: Path, store: type[SteppedStore]) -> None:
    """Those who waited are gone with it; the thread goes on, and the next loop is served."""
    with open_journal(tmp_path / "journal.sqlite", threaded=True) as journal:

        async def use(sequence: int) -> None:
            journal.append(awaited(sequence))
            await journal.durable(sequence)

        asyncio.run(use(1))
        wait = next_commit(journal)
        journal.save_snapshot(snapshot("state", 1))
        wait()
        asyncio.run(use(2))
        assert journal.durable_sequence == 2


def test_a_last_commit_that_does_not_end_is_not_waited_for_for_ever(
    tmp_path: Path, store: type[SteppedStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Closing says which journal it is; what the disk has not taken is not pretended to be there."""
    monkeypatch.setattr(threaded, "CLOSE_SECONDS", 0.01)
    path = tmp_path / "journal.sqlite"
    store.is_allowed.clear()
    journal = filled(open_journal(path, threaded=True), [1])
    writer = committer_of(journal)._thread
    with pytest.raises(JournalFailed, match=r"journal.sqlite did not finish its last commit within 0.01 s"):
        journal.close()
    assert journal.durable_sequence == 0

    store.is_allowed.set()
    writer.join(PATIENCE_SECONDS)
    with closing(committer_of(journal)._writer.store):
        assert journal.durable_sequence == 1
