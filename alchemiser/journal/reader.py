"""Reading a journal, also while a daemon writes it: events, snapshots, and the check of the chain.

A reader sees what has been committed. It reads in pages, each its own short transaction, so that it never keeps the writer's log from
being checkpointed.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from alchemiser.bus.envelope import Envelope
from alchemiser.domain.errors import DataError
from alchemiser.domain.events import Event
from alchemiser.journal.format import COLUMNS, FORMAT_VERSION, Row, Snapshot, checksum_of, decode_row, first_checksum, snapshot_checksum

PAGE = 1_000


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


class JournalReader:
    """A read-only view of a journal's file; a context manager."""

    def __init__(self, path: Path, connection: sqlite3.Connection, epoch: str) -> None:
        self.path = path
        self.epoch = epoch
        self._connection = connection

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open the file for reading. Raises ``DataError`` when there is none or it is not a journal of this version."""
        if not path.is_file():
            raise DataError(f"there is no journal at {path}")
        try:
            connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None, timeout=5.0)
            meta = dict(connection.execute("SELECT key, value FROM meta"))
        except sqlite3.Error as error:
            raise DataError(f"journal {path} cannot be read: {error}") from error
        if meta.get("format") != str(FORMAT_VERSION):
            connection.close()
            raise DataError(f"journal {path} has format {meta.get('format')}, this version reads format {FORMAT_VERSION}")
        return cls(path, connection, meta["epoch"])

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
        return int(self._connection.execute("SELECT coalesce(max(sequence), 0) FROM events").fetchone()[0])

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

    def tail(self, count: int, types: Iterable[str] | None = None, *, correlation: str | None = None) -> list[Envelope]:
        """Return the newest ``count`` events that match, oldest first; types by name."""
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
        """Yield the rows as they are stored; the arguments are those of :meth:`read`, types by name."""
        names = None if types is None else tuple(types)
        left = limit
        while left is None or left > 0:
            page = PAGE if left is None else min(PAGE, left)
            where, values = _conditions(after, names, until, correlation)
            query = f"SELECT {COLUMNS} FROM events WHERE {where} ORDER BY sequence LIMIT ?"  # noqa: S608 - no value in it
            rows = self._connection.execute(query, (*values, page)).fetchall()
            for row in rows:
                yield Row(*row)
            if len(rows) < page:
                return
            after = rows[-1][0]
            left = None if left is None else left - len(rows)

    def verify(self, after: int = 0) -> Verification:
        """Check that every row after that one is there, unchanged and readable, to the end."""
        events, first, last = 0, None, None
        previous: str | None = first_checksum(self.epoch)
        try:
            if after:
                found = self._connection.execute("SELECT checksum FROM events WHERE sequence = ?", (after,)).fetchone()
                if found is None:
                    return Verification(
                        events=0, first_sequence=None, last_sequence=None, first_bad=after, problem=f"event {after} is missing"
                    )
                previous = found[0]
            # The head first: rows that a live daemon adds meanwhile come after it and are checked by the chain alone.
            head_sequence, head_checksum = self._head()
            head_seen = (after, previous) == (head_sequence, head_checksum)
            for row in self.rows(after):
                problem = _problem_of(row, previous)
                if problem is not None:
                    return Verification(events=events, first_sequence=first, last_sequence=last, first_bad=row.sequence, problem=problem)
                events, first, last, previous = events + 1, first or row.sequence, row.sequence, row.checksum
                head_seen = head_seen or (row.sequence == head_sequence and row.checksum == head_checksum)
        except sqlite3.Error as error:
            return Verification(
                events=events,
                first_sequence=first,
                last_sequence=last,
                first_bad=(last or after) + 1,
                problem=f"the file cannot be read after event {last or after}: {error}",
            )
        if not head_seen:
            return Verification(
                events=events,
                first_sequence=first,
                last_sequence=last,
                first_bad=(last or after) + 1,
                problem=f"the end is missing: event {head_sequence} was written, the last one found is {last or after}",
            )
        return Verification(events=events, first_sequence=first, last_sequence=last)

    def load_snapshot(self, name: str) -> Snapshot | None:
        """Return the newest undamaged snapshot of that name, ``None`` when there is none: then everything is replayed."""
        query = "SELECT sequence, payload, checksum FROM snapshots WHERE name = ? ORDER BY sequence DESC"
        for sequence, payload, checksum in self._connection.execute(query, (name,)).fetchall():
            snapshot = Snapshot(name, sequence, payload)
            if snapshot_checksum(snapshot) == checksum:
                return snapshot
        return None

    def _head(self) -> tuple[int, str]:
        meta = dict(self._connection.execute("SELECT key, value FROM meta WHERE key LIKE 'head_%'"))
        return int(meta["head_sequence"]), meta["head_checksum"]


def _problem_of(row: Row, previous: str | None) -> str | None:
    if previous is None or row.checksum != checksum_of(row, previous):
        return f"event {row.sequence} ({row.type}) is changed, or an event before it is missing"
    try:
        decode_row(row)
    except DataError as error:
        return str(error)
    return None


def _conditions(after: int, types: Iterable[str] | None, until: int | None, correlation: str | None) -> tuple[str, tuple[object, ...]]:
    where, values = ["sequence > ?"], [after]
    conditions: list[object] = list(values)
    if until is not None:
        where.append("sequence <= ?")
        conditions.append(until)
    if types is not None:
        names = tuple(types)
        where.append(f"type IN ({', '.join('?' * len(names))})")
        conditions.extend(names)
    if correlation is not None:
        where.append("correlation = ?")
        conditions.append(correlation)
    return " AND ".join(where), tuple(conditions)
