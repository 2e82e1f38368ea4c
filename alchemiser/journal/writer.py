"""One commit after the other into the journal's file, measured; what goes wrong becomes ``JournalFailed``.

Who calls it, and on which thread, is decided in ``committers``.
"""

import sqlite3
import time
from collections.abc import Sequence

import msgspec

from alchemiser.domain.errors import JournalFailed
from alchemiser.journal.format import Draft, Row, Snapshot
from alchemiser.journal.promptness import Promptness
from alchemiser.journal.store import Store


class CommitStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """The journal's writing in numbers."""

    commits: int
    events: int
    backlog: int
    seconds: float
    slowest_seconds: float


class Locked(Exception):
    """Another process keeps the file locked; nothing was written, and whoever may wait tries again."""


class Writer:
    """What both ways of committing share: the store, the commit itself, its measure."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.promptness = Promptness()
        self.durable_sequence, self.checksum = store.head
        self.commits = self.events = 0
        self.seconds = self.slowest_seconds = 0.0

    def commit(self, drafts: Sequence[Draft], snapshots: list[Snapshot], *, is_patient: bool = True) -> float:
        """Commit and return the seconds it took. Raises ``JournalFailed``, and ``Locked`` when it was not to wait for a locked file."""
        began = time.perf_counter()
        rows: list[Row] = []
        checksum = self.checksum
        for draft in drafts:
            row = draft.row_after(checksum)
            checksum = row.checksum
            rows.append(row)
        try:
            self.store.be_patient(is_patient)
            self.store.commit(rows, snapshots)
        except (sqlite3.Error, OSError) as error:
            if not is_patient and getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY:
                raise Locked from error
            lost = f"{len(rows)} events from {rows[0].sequence} on" if rows else "a snapshot"
            raise JournalFailed(f"journal {self.store.path} cannot be written ({error}): {lost} not durable; the daemon stops") from error
        seconds = time.perf_counter() - began
        self.promptness.flushed(self.store.flush_seconds)
        self.commits += 1
        self.events += len(rows)
        self.seconds += seconds
        self.slowest_seconds = max(self.slowest_seconds, seconds)
        if rows:
            self.durable_sequence, self.checksum = rows[-1].sequence, checksum
        return seconds

    def checkpoint(self) -> None:
        """Shorten the log. Raises ``JournalFailed``."""
        try:
            self.store.checkpoint()
        except sqlite3.Error as error:
            raise JournalFailed(f"journal {self.store.path} cannot be checkpointed ({error}); the daemon stops") from error

    def statistics(self, backlog: int) -> CommitStatistics:
        """Return the writing in numbers; so many events wait."""
        return CommitStatistics(
            commits=self.commits, events=self.events, backlog=backlog, seconds=self.seconds, slowest_seconds=self.slowest_seconds
        )
