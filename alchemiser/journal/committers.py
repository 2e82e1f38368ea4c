"""When the journal commits: the seam between the journal and its two ways of doing it, and the simpler of them.

Both write the same file. Group commit: whatever was appended since the last commit goes into one transaction, so a hundred events cost
one flush. A service commits on a thread of its own, or on the loop where that is quicker: ``threaded``.
A simulation runs on virtual time, where a loop that waits for a thread sees nothing to wait for and jumps; so there it happens on the loop.

After an error nothing is written any more: a failed flush may have lost what the next one would claim to have kept.
"""

from collections.abc import Callable
from typing import Protocol

from alchemiser.domain.errors import JournalFailed
from alchemiser.journal.format import Draft, Snapshot
from alchemiser.journal.store import Store
from alchemiser.journal.writer import CommitStatistics, Writer

OnCommit = Callable[[float, int], None]
"""Called with the seconds a commit took and its number of events, on the loop."""

INLINE_BATCH = 512


class Committer(Protocol):
    """The seam between the journal and its two ways of committing."""

    @property
    def durable_sequence(self) -> int:
        """The newest event that is durable."""

    @property
    def has_room(self) -> bool:
        """Whether the backlog is below its bound."""

    def append(self, draft: Draft, *, is_awaited: bool = False) -> None:
        """Take a draft to be committed, at once if somebody is going to wait for it. Raises ``JournalFailed``."""

    def save(self, snapshot: Snapshot) -> None:
        """Take a snapshot to be committed after the drafts taken before it. Raises ``JournalFailed``."""

    async def durable(self, sequence: int) -> None:
        """Return when that event is committed. Raises ``JournalFailed``."""

    async def room(self) -> None:
        """Return when the backlog is below its bound. Raises ``JournalFailed``."""

    def close(self) -> None:
        """Commit what was taken, then close the file. Raises ``JournalFailed``."""

    def statistics(self) -> CommitStatistics:
        """Return the writing in numbers."""


class InlineCommitter:
    """Commits on the loop: when durability is asked for, when a batch is full, and at the end."""

    def __init__(self, store: Store, *, on_commit: OnCommit | None) -> None:
        self._writer = Writer(store)
        self._on_commit = on_commit
        self._drafts: list[Draft] = []
        self._snapshots: list[Snapshot] = []
        self._failure: JournalFailed | None = None

    @property
    def durable_sequence(self) -> int:
        """The newest event that is committed."""
        return self._writer.durable_sequence

    @property
    def has_room(self) -> bool:
        """Always true: a full batch is committed at once."""
        return True

    def append(self, draft: Draft, *, is_awaited: bool = False) -> None:
        """Take a draft; commit when the batch is full."""
        self._refuse_after_failure()
        self._drafts.append(draft)
        if len(self._drafts) >= INLINE_BATCH:
            self._commit()

    def save(self, snapshot: Snapshot) -> None:
        """Take a snapshot."""
        self._refuse_after_failure()
        self._snapshots.append(snapshot)

    async def durable(self, sequence: int) -> None:
        """Commit now."""
        if self.durable_sequence < sequence:
            self._refuse_after_failure()
            self._commit()

    async def room(self) -> None:
        """Return at once."""
        self._refuse_after_failure()

    def close(self) -> None:
        """Commit what is left and close."""
        try:
            if self._failure is None and (self._drafts or self._snapshots):
                self._commit()
        finally:
            self._writer.store.close()

    def statistics(self) -> CommitStatistics:
        """Return the writing in numbers."""
        return self._writer.statistics(len(self._drafts))

    def _commit(self) -> None:
        drafts, snapshots = self._drafts, self._snapshots
        self._drafts, self._snapshots = [], []
        try:
            seconds = self._writer.commit(drafts, snapshots)
        except JournalFailed as failure:
            self._failure = failure
            raise
        if self._on_commit is not None:
            self._on_commit(seconds, len(drafts))

    def _refuse_after_failure(self) -> None:
        if self._failure is not None:
            raise JournalFailed(str(self._failure)) from self._failure
