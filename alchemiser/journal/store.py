"""The journal's file: one SQLite database in WAL mode, written by one connection.

``synchronous=FULL`` makes a commit survive a power cut. A journal of a simulation asks for ``OFF``: its commits survive the death of the
process, and nobody pulls the plug of a simulation. Checkpoints are made when told, not inside a commit, where they would cost latency.
"""

import errno
import os
import sqlite3
import time
from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path
from typing import Final

from alchemiser.domain.errors import AlchemiserError, DataError, JournalFailed, VerificationFailed
from alchemiser.journal.format import COLUMNS, FORMAT_VERSION, SCHEMA, Row, Snapshot, first_checksum, snapshot_checksum
from alchemiser.journal.log import LONG_BYTES, Log
from alchemiser.journal.migrate import Migration, bring_forward
from alchemiser.journal.tail import Head, HeadNote, tail_of, torn_bytes

BUSY_SECONDS = 5.0
"""How long another process may keep the file locked, a backup for example, before a commit fails."""

KEPT_SNAPSHOTS = 2
"""Snapshots kept per name: the newest, and the one before in case the newest is damaged."""

_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT})

_HEAD: Final = "INSERT OR REPLACE INTO meta VALUES ('head_sequence', ?), ('head_checksum', ?)"


class Store:
    """The writing connection. Not safe for use by two threads at once."""

    def __init__(
        self, path: Path, connection: sqlite3.Connection, migration: Migration | None = None, *, is_synchronous: bool, torn: int = 0
    ) -> None:
        """``torn`` are the bytes of a commit that did not end, found at the end of the log."""
        self.path = path
        self.migration = migration
        self._connection = connection
        self._meta: dict[str, str] = dict(connection.execute("SELECT key, value FROM meta"))
        self.tail = tail_of(path, connection, self._meta, torn)
        self._note = HeadNote(path)
        self._is_checkpointed = False
        self._log = Log(path, has_room=is_synchronous)
        self._is_patient = True
        self.flush_seconds = 0.0
        """How long the newest commit waited for the disk."""

    @classmethod
    def open(cls, path: Path, *, new_epoch: Callable[[], str], is_synchronous: bool) -> "Store":
        """Open or create the file.

        A journal of an older format is brought forward first; ``migration`` then says so. Raises ``DataError`` when it cannot be opened
        or is of a newer version, ``JournalFailed`` when there is no room for it, and ``VerificationFailed`` when its end is not what was
        last written.
        """
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            is_new = path.stat().st_size == 0
            torn = torn_bytes(path)  # Before anything is written: the next commit begins where the last whole one ended.
            connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=BUSY_SECONDS)
            # A new journal promises nothing yet: it is made without SQLite's flush at every step, and flushed when it is whole.
            connection.execute(f"PRAGMA synchronous = {'FULL' if is_synchronous and not is_new else 'OFF'}")
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA wal_autocheckpoint = 0")
            connection.execute(f"PRAGMA journal_size_limit = {LONG_BYTES}")
            migration = bring_forward(path, connection)
            connection.execute("BEGIN IMMEDIATE")
            for statement in SCHEMA:
                connection.execute(statement)
            if connection.execute("SELECT count(*) FROM meta").fetchone()[0] == 0:
                epoch = new_epoch()
                meta = {"format": str(FORMAT_VERSION), "epoch": epoch, "head_sequence": "0", "head_checksum": first_checksum(epoch)}
                connection.executemany("INSERT INTO meta VALUES (?, ?)", meta.items())
            connection.execute("COMMIT")
            store = cls(path, connection, migration, is_synchronous=is_synchronous, torn=torn)
            if is_synchronous and store.head[0] == 0:
                connection.execute("PRAGMA synchronous = FULL")
                store.checkpoint()
                _sync_directory(path.parent)
        except (sqlite3.Error, OSError) as error:
            raise why_not_opened(path, error) from error
        store._check()
        return store

    @property
    def epoch(self) -> str:
        """The epoch given at creation."""
        return self._meta["epoch"]

    @property
    def head(self) -> tuple[int, str]:
        """The sequence number and the checksum of the newest row."""
        return int(self._meta["head_sequence"]), self._meta["head_checksum"]

    @property
    def needs_checkpoint(self) -> bool:
        """Whether something was committed since the last checkpoint."""
        return not self._is_checkpointed

    @property
    def is_log_long(self) -> bool:
        """Whether one of the next commits may have to make a checkpoint."""
        return self._log.is_long

    def be_patient(self, is_patient: bool) -> None:
        """Say whether the next commits wait while another process keeps the file locked. Raises ``sqlite3.Error``."""
        if is_patient != self._is_patient:
            self._connection.execute(f"PRAGMA busy_timeout = {int(BUSY_SECONDS * 1000) if is_patient else 0}")
            self._is_patient = is_patient

    def commit(self, rows: Sequence[Row], snapshots: Sequence[Snapshot]) -> None:
        """Write everything in one transaction. Raises ``sqlite3.Error``; then nothing of it was written."""
        connection = self._connection
        try:
            connection.execute("BEGIN IMMEDIATE")
            self._insert(f"INSERT INTO events ({COLUMNS}) VALUES ", rows)  # noqa: S608
            if rows:
                connection.execute(_HEAD, (str(rows[-1].sequence), rows[-1].checksum))
                if "created" not in self._meta:
                    connection.execute("INSERT INTO meta VALUES ('created', ?)", (rows[0].at,))
            for snapshot in snapshots:
                self._write_snapshot(snapshot)
            began = time.perf_counter()
            connection.execute("COMMIT")
            self.flush_seconds = time.perf_counter() - began
        except sqlite3.Error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        if rows:
            self._meta.setdefault("created", rows[0].at)
            self._meta["head_sequence"], self._meta["head_checksum"] = str(rows[-1].sequence), rows[-1].checksum
            self._note.write(Head(self.epoch, *self.head))
        self._is_checkpointed = False
        self._log.committed()
        if self._log.is_too_long:
            self.checkpoint()

    def checkpoint(self) -> None:
        """Move committed rows from the log into the database file, as far as readers allow, and flush both."""
        self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
        self._is_checkpointed = True

    def close(self) -> None:
        """Close the file; as the last connection it checkpoints and removes the log."""
        self._connection.close()
        self._note.close()

    def _insert(self, head: str, rows: Sequence[Sequence[object]]) -> None:
        """Insert many rows with few statements, of 64, 16, 4 or 1 rows so that each is compiled once.

        Every statement gives the interpreter to the loop and has to win it back: at one row each that took longer than the disk.
        """
        start = 0
        for size in (64, 16, 4, 1):
            while len(rows) - start >= size:
                part = rows[start : start + size]
                marks = f"({', '.join('?' * len(part[0]))})"
                self._connection.execute(head + ", ".join([marks] * size), list(chain.from_iterable(part)))
                start += size

    def _write_snapshot(self, snapshot: Snapshot) -> None:
        query = "SELECT checksum FROM events WHERE sequence <= ? ORDER BY sequence DESC LIMIT 1"
        found = self._connection.execute(query, (snapshot.sequence,)).fetchone()
        chain = first_checksum(self.epoch) if found is None else found[0]
        self._connection.execute(
            "INSERT OR REPLACE INTO snapshots (name, sequence, version, state_hash, chain, payload, checksum) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                snapshot.name,
                snapshot.sequence,
                snapshot.version,
                snapshot.state_hash,
                chain,
                snapshot.payload,
                snapshot_checksum(snapshot, chain),
            ),
        )
        self._connection.execute(
            "DELETE FROM snapshots WHERE name = ?1 AND sequence NOT IN "
            "(SELECT sequence FROM snapshots WHERE name = ?1 ORDER BY sequence DESC LIMIT ?2)",
            (snapshot.name, KEPT_SNAPSHOTS),
        )

    def _check(self) -> None:
        last = self._connection.execute("SELECT sequence, checksum FROM events ORDER BY sequence DESC LIMIT 1").fetchone()
        found = last or (0, first_checksum(self.epoch))
        if found != self.head:
            self.close()
            raise VerificationFailed(
                f"journal {self.path} ends at event {found[0]}, but event {self.head[0]} was the last one written: "
                "rows are missing or changed; nothing was started (see `alchemiser journal verify`)"
            )


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def why_not_opened(path: Path, error: Exception) -> AlchemiserError:
    """Return what it means that a journal cannot be opened for writing: a full disk passes, anything else is for a person to mend."""
    is_full = getattr(error, "errno", None) in _NO_ROOM or getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
    kind = JournalFailed if is_full else DataError
    return kind(f"journal {path} cannot be opened for writing: {error}; nothing was started")
