"""Reading a journal, also while a daemon writes it: events, snapshots, and the check of the chain.

A reader sees what has been committed, the events that were moved into the archive before those of the journal. It reads in pages, each its
own short transaction, so that it never keeps the writer's log from being checkpointed.
"""

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from alchemiser.bus.envelope import Envelope
from alchemiser.domain.errors import DataError, VerificationFailed
from alchemiser.domain.events import Event
from alchemiser.journal.archive import Start, archive_of, join_archive, start_of
from alchemiser.journal.format import COLUMNS, Row, Snapshot, checksum_of, decode_row, first_checksum, snapshot_checksum
from alchemiser.journal.lock import WriterLock
from alchemiser.journal.migrate import readable_format
from alchemiser.journal.tail import Tail, tail_of, torn_bytes

PAGE = 1_000

SNAPSHOTS_SINCE = 2
"""The format since which a snapshot says what it was taken after."""


class Verification(msgspec.Struct, frozen=True, kw_only=True):
    """The result of checking the chain. ``first_bad`` is the sequence number where it breaks, ``problem`` says how."""

    events: int
    first_sequence: int | None
    last_sequence: int | None
    first_bad: int | None = None
    problem: str | None = None

    @property
    def is_intact(self) -> bool:
        """Whether every row is there and as it was written."""
        return self.problem is None


class StoredSnapshot(msgspec.Struct, frozen=True):
    """A snapshot as it was found; ``problem`` says why it must not be used, and is ``None`` when nothing speaks against it."""

    snapshot: Snapshot
    problem: str | None


class JournalReader:
    """A read-only view of a journal's file; a context manager."""

    def __init__(self, path: Path, connection: sqlite3.Connection, epoch: str, number: int) -> None:
        """``number`` is the format of the file."""
        self.path = path
        self.epoch = epoch
        self.format = number
        self._connection = connection
        self._archive = archive_of(path)
        self._is_joined = join_archive(path, connection, epoch)
        self.on_page: Callable[[int], object] = lambda sequence: None
        """Told of the newest event of each page that is read, for whoever waits."""

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open the file for reading, also one of an older format. Raises ``DataError`` when there is none or it is of a newer version."""
        if not path.is_file():
            raise DataError(f"there is no journal at {path}")
        try:
            connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None, timeout=5.0)
            meta = dict(connection.execute("SELECT key, value FROM meta"))
        except sqlite3.Error as error:
            raise DataError(f"journal {path} cannot be read: {error}") from error
        try:
            return cls(path, connection, meta["epoch"], readable_format(path, meta))
        except DataError:
            connection.close()
            raise
        except sqlite3.Error as error:
            connection.close()
            raise DataError(f"the archive of journal {path} cannot be read: {error}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    @property
    def last_sequence(self) -> int:
        """The sequence number of the newest committed event, 0 when there is none."""
        return int(self._connection.execute("SELECT coalesce(max(sequence), 0) FROM main.events").fetchone()[0])

    @property
    def start(self) -> Start:
        """Where the events begin: at the first one, unless the archive that holds it was taken away or let go of it."""
        self._see_archive()
        return start_of(self._connection, is_joined=self._is_joined, first_checksum=first_checksum(self.epoch))

    def read(
        self,
        after: int = 0,
        types: Iterable[type[Event]] | None = None,
        limit: int | None = None,
        *,
        until: int | None = None,
        correlation: str | None = None,
    ) -> Iterator[Envelope]:
        """Yield committed events in order.

        ``after`` is exclusive and ``until`` inclusive. Raises ``DataError`` at an event that cannot be read.
        """
        names = None if types is None else [event_type.__name__ for event_type in types]
        for row in self.rows(after, names, limit, until=until, correlation=correlation):
            yield decode_row(row)

    def read_named(
        self, types: Iterable[str] | None = None, *, after: int = 0, until: int | None = None, correlation: str | None = None
    ) -> Iterator[Envelope]:
        """Yield like :meth:`read`, with the types by name."""
        return map(decode_row, self.rows(after, types, until=until, correlation=correlation))

    def tail(self, count: int, types: Iterable[str] | None = None, *, correlation: str | None = None) -> list[Envelope]:
        """Return the newest ``count`` events that match, oldest first; types by name."""
        self._see_archive()
        where, values = _conditions(0, types, None, correlation)
        query = f"SELECT {COLUMNS} FROM events WHERE {where} ORDER BY sequence DESC LIMIT ?"  # noqa: S608 - no value in it
        rows = self._connection.execute(query, (*values, count)).fetchall()
        return [decode_row(Row(*row)) for row in reversed(rows)]

    def rows(
        self,
        after: int = 0,
        types: Iterable[str] | None = None,
        limit: int | None = None,
        *,
        until: int | None = None,
        correlation: str | None = None,
    ) -> Iterator[Row]:
        """Yield the rows as they are stored; the arguments are those of :meth:`read`, types by name. Raises ``DataError``."""
        names = None if types is None else tuple(types)
        left = limit
        while left is None or left > 0:
            self._see_archive()
            page = PAGE if left is None else min(PAGE, left)
            where, values = _conditions(after, names, until, correlation)
            query = f"SELECT {COLUMNS} FROM events WHERE {where} ORDER BY sequence LIMIT ?"  # noqa: S608 - no value in it
            try:
                rows = self._connection.execute(query, (*values, page)).fetchall()
            except sqlite3.Error as error:
                raise DataError(f"journal {self.path} cannot be read after event {after}: {error}") from error
            for row in rows:
                yield Row(*row)
            if rows:
                self.on_page(rows[-1][0])
            if len(rows) < page:
                return
            after = rows[-1][0]
            left = None if left is None else left - len(rows)

    def verify(self, after: int = 0) -> Verification:
        """Check that every row after that one is there, unchanged and readable, to the end."""
        walk = _Walk(newest=after)
        try:
            first_bad, problem = self._walk(walk, after)
        except (DataError, sqlite3.Error) as error:
            first_bad, problem = walk.newest + 1, f"the file cannot be read after event {walk.newest}: {error}"
        return Verification(
            events=walk.events,
            first_sequence=walk.oldest,
            last_sequence=walk.newest if walk.events else None,
            first_bad=first_bad,
            problem=problem,
        )

    def look_at_end(self) -> Tail:
        """Return how the journal ends: whether the log holds a part of a commit, and whether durable events are gone.

        While a daemon writes it, its log ends in the middle of something again and again; that is not looked at then.
        """
        torn = 0 if WriterLock.is_held(self.path) else torn_bytes(self.path)
        return tail_of(self.path, self._connection, dict(self._connection.execute("SELECT key, value FROM meta")), torn)

    def _walk(self, walk: "_Walk", after: int) -> tuple[int | None, str | None]:
        """Follow the chain and return where it breaks and how."""
        start = self.start
        previous = start.checksum
        if after > start.sequence:
            found = self._connection.execute("SELECT checksum FROM events WHERE sequence = ?", (after,)).fetchone()
            if found is None:
                return after, f"event {after} is missing"
            previous = found[0]
        # The head first: rows that a live daemon adds meanwhile come after it and are checked by the chain alone.
        meta = dict(self._connection.execute("SELECT key, value FROM meta"))
        head = int(meta["head_sequence"]), meta["head_checksum"]
        is_head_seen = (max(after, start.sequence), previous) == head
        for row in self.rows(after):
            problem = _problem_of(row, previous)
            if problem is not None:
                return row.sequence, problem
            previous = row.checksum
            walk.events += 1
            walk.oldest, walk.newest = walk.oldest or row.sequence, row.sequence
            is_head_seen = is_head_seen or (row.sequence, previous) == head
        if is_head_seen:
            return None, None
        return walk.newest + 1, f"the end is missing: event {head[0]} was written, the last one found is {walk.newest}"

    def read_chained(self, after: int = 0) -> Iterator[Envelope]:
        """Yield the events after that one to the end, each checked before it is given out: what a start may build on.

        Raises ``VerificationFailed`` at the first event that is changed or before which one is missing, also for those that are in no
        archive any more, and ``DataError`` at one that this version cannot read.
        """
        if after < (start := self.start).sequence:
            raise VerificationFailed(
                f"journal {self.path}: events up to {start.sequence} are needed, which were moved out of it, and {self._archive.name} "
                "does not hold them; nothing was started (put it back beside the journal)"
            )
        previous = self._checksum_at(after)
        for row in self.rows(after):
            if row.checksum != checksum_of(row, previous):
                raise VerificationFailed(f"journal {self.path}: {_changed(row)}; nothing was started (see `alchemiser journal verify`)")
            previous = row.checksum
            yield decode_row(row)

    def snapshots(self, name: str) -> list[StoredSnapshot]:
        """Return the snapshots of that name, newest first, each checked by itself and against the event it was taken after."""
        if self.format < SNAPSHOTS_SINCE:
            return []
        query = "SELECT sequence, version, state_hash, chain, payload, checksum FROM snapshots WHERE name = ? ORDER BY sequence DESC"
        found = []
        for sequence, version, state_hash, chain, payload, checksum in self._connection.execute(query, (name,)).fetchall():
            snapshot = Snapshot(name, sequence, version, state_hash, payload)
            problem = None
            if snapshot_checksum(snapshot, chain) != checksum:
                problem = "it is changed: its checksum is another"
            elif chain != self._checksum_at(sequence):
                problem = f"it was taken after another event {sequence} than the one that is here"
            found.append(StoredSnapshot(snapshot, problem))
        return found

    def _checksum_at(self, sequence: int) -> str:
        """Return the checksum of the newest event up to that one."""
        query = "SELECT checksum FROM events WHERE sequence <= ? ORDER BY sequence DESC LIMIT 1"
        self._see_archive()
        found = self._connection.execute(query, (sequence,)).fetchone()
        return self.start.checksum if found is None else str(found[0])

    def _see_archive(self) -> None:
        """Join an archive that was made since the file was opened."""
        if self._is_joined or not self._archive.exists():
            return
        try:
            self._is_joined = join_archive(self.path, self._connection, self.epoch)
        except sqlite3.Error as error:
            raise DataError(f"the archive of journal {self.path} cannot be read: {error}") from error


class _Walk(msgspec.Struct):
    """How far a verification has come."""

    newest: int
    events: int = 0
    oldest: int | None = None


def _changed(row: Row) -> str:
    return f"event {row.sequence} ({row.type}) is changed, or an event before it is missing"


def _problem_of(row: Row, previous: str) -> str | None:
    if row.checksum != checksum_of(row, previous):
        return _changed(row)
    try:
        decode_row(row)
    except DataError as error:
        return str(error)
    return None


def _conditions(after: int, types: Iterable[str] | None, until: int | None, correlation: str | None) -> tuple[str, tuple[object, ...]]:
    where, values = ["sequence > ?"], list[object]((after,))
    if until is not None:
        where.append("sequence <= ?")
        values.append(until)
    if types is not None:
        names = tuple(types)
        where.append(f"type IN ({', '.join('?' * len(names))})")
        values.extend(names)
    if correlation is not None:
        where.append("correlation = ?")
        values.append(correlation)
    return " AND ".join(where), tuple(values)
