"""The journal of a running daemon: takes events from the bus, makes them durable, gives them back after a restart.

It is the bus's tap. Promises: what :meth:`Journal.durable` returned for survives kill -9 and power cuts; rows are in bus order; one process
writes at a time; an error of the disk is raised, never smoothed over. It does not interpret events.
"""

from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from alchemiser.bus.envelope import Envelope
from alchemiser.domain.errors import InvariantBroken
from alchemiser.domain.events import Event
from alchemiser.journal.committers import Committer, InlineCommitter, OnCommit
from alchemiser.journal.format import Draft, Snapshot
from alchemiser.journal.lock import WriterLock
from alchemiser.journal.migrate import Migration
from alchemiser.journal.reader import JournalReader, StoredSnapshot, Verification
from alchemiser.journal.store import Store, why_not_opened
from alchemiser.journal.tail import Tail
from alchemiser.journal.threaded import ThreadedCommitter
from alchemiser.journal.writer import CommitStatistics


class Journal:
    """One journal, open for writing; also a context manager that closes it."""

    def __init__(
        self,
        path: Path,
        *,
        lock: WriterLock,
        epoch: str,
        last_sequence: int,
        committer: Committer,
        migration: Migration | None = None,
        tail: Tail | None = None,
    ) -> None:
        """``migration`` says that the file was brought forward from an older format, ``tail`` how it ended when it was opened."""
        self.path = path
        self.epoch = epoch
        self.migration = migration
        self.tail = tail or Tail(last_event=last_sequence)
        self._lock = lock
        self._committer = committer
        self._reader = JournalReader.open(path)
        self._last_sequence = last_sequence
        self._is_closed = False

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        new_epoch: Callable[[], str],
        threaded: bool = True,
        linger_seconds: float = 0.002,
        backlog: int = 10_000,
        on_commit: OnCommit | None = None,
    ) -> Self:
        """Open the journal for writing, making it if there is none.

        ``new_epoch`` is asked for the epoch of a new one: six lowercase letters and digits. ``threaded`` is for services, on real time;
        without it commits happen on the loop and survive the process, not a power cut: for simulations and backtests.
        ``linger_seconds`` is how long a commit that nobody waits for waits for company; ``backlog`` how many events may be not yet durable
        before publishers are held back; ``on_commit`` is told the seconds and the number of events of every commit.

        Raises ``SafetyRefused`` when another process writes it, ``DataError`` when it cannot be opened, ``JournalFailed`` when there is no
        room for it, and ``VerificationFailed`` when its end is damaged.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = WriterLock.take(path)
        except OSError as error:
            raise why_not_opened(path, error) from error
        with ExitStack() as unopened:
            unopened.callback(lock.release)
            store = Store.open(path, new_epoch=new_epoch, is_synchronous=threaded)
            unopened.pop_all()
        epoch, (last_sequence, _) = store.epoch, store.head
        committer: Committer
        if threaded:
            committer = ThreadedCommitter(store, linger_seconds=linger_seconds, backlog=backlog, on_commit=on_commit)
        else:
            committer = InlineCommitter(store, on_commit=on_commit)
        return cls(
            path,
            lock=lock,
            epoch=epoch,
            last_sequence=last_sequence,
            committer=committer,
            migration=store.migration,
            tail=store.tail,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    @property
    def last_sequence(self) -> int:
        """The sequence number of the newest event taken, 0 in a new journal."""
        return self._last_sequence

    @property
    def durable_sequence(self) -> int:
        """The sequence number of the newest durable event."""
        return self._committer.durable_sequence

    @property
    def has_room(self) -> bool:
        """Whether the backlog is below its bound."""
        return self._committer.has_room

    def append(self, envelope: Envelope) -> None:
        """Take an envelope to be written; never waits. Sequence numbers rise; those of events that are not journaled are skipped.

        Raises ``InvariantBroken`` for a sequence number that is not new, and ``JournalFailed`` once the journal cannot be written.
        """
        if envelope.sequence <= self._last_sequence:
            raise InvariantBroken(f"event {envelope.sequence} came after event {self._last_sequence} was journaled; the process stops")
        self._committer.append(Draft.of(envelope), is_awaited=envelope.event.is_awaited)
        self._last_sequence = envelope.sequence

    def is_durable(self, sequence: int) -> bool:
        """Whether every event taken, up to that sequence number, is durable."""
        return min(sequence, self._last_sequence) <= self._committer.durable_sequence

    async def room(self) -> None:
        """Return when the backlog is below its bound."""
        await self._committer.room()

    def durable(self, sequence: int) -> Coroutine[Any, Any, None]:
        """Return when every event taken, up to that sequence number, is durable. Raises ``JournalFailed`` when it cannot become so."""
        last = self._last_sequence
        return self._committer.durable(sequence if sequence < last else last)

    def save_snapshot(self, snapshot: Snapshot) -> None:
        """Keep state that was folded from the events up to that one; written with the next commit, after those events.

        Raises ``InvariantBroken`` for a sequence number that was never taken, and ``JournalFailed`` once the journal cannot be written.
        """
        if snapshot.sequence > self._last_sequence:
            raise InvariantBroken(f"snapshot {snapshot.name} claims event {snapshot.sequence}, the journal ends at {self._last_sequence}")
        self._committer.save(snapshot)

    def snapshots(self, name: str) -> list[StoredSnapshot]:
        """Return the committed snapshots of that name, newest first, each with what speaks against it."""
        return self._reader.snapshots(name)

    def read_chained(self, after: int = 0) -> Iterator[Envelope]:
        """Yield the committed events after that one, each checked. Raises ``VerificationFailed`` at a broken chain."""
        return self._reader.read_chained(after)

    def read(self, after: int = 0, types: Iterable[type[Event]] | None = None, limit: int | None = None) -> Iterator[Envelope]:
        """Yield committed events after that sequence number, in order. Raises ``DataError`` at one that cannot be read."""
        return self._reader.read(after, types, limit)

    def verify(self, after: int = 0) -> Verification:
        """Check the committed rows after that one."""
        return self._reader.verify(after)

    def statistics(self) -> CommitStatistics:
        """Return the writing in numbers."""
        return self._committer.statistics()

    def close(self) -> None:
        """Write what was taken and close; blocks until it is written. Calling it twice is harmless.

        Raises ``JournalFailed`` when something was not written.
        """
        if self._is_closed:
            return
        self._is_closed = True
        self._reader.close()
        try:
            self._committer.close()
        finally:
            self._lock.release()
