"""Moving old events out of a journal, also while a daemon writes it.

Only events before the older of the kept snapshots are moved, so that a start needs none of them. They are copied first, each checked
against the chain, and are durable in the archive before they are taken out of the journal, a batch at a time: whenever it is cut off, every
event is in one of the two, and the next compaction goes on. Rows are never rewritten, and the events that readers see stay the same, so
does the state.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec

from alchemiser.domain.errors import DataError, VerificationFailed
from alchemiser.journal.archive import (
    BEGINS_AFTER,
    BEGINS_CHECKSUM,
    COMPACTED,
    COMPACTED_CHECKSUM,
    Start,
    archive_of,
)
from alchemiser.journal.format import COLUMNS, SCHEMA, Row, checksum_of, first_checksum
from alchemiser.journal.migrate import readable_format

BATCH: Final = 2_000
"""Events that are moved in one transaction: a daemon that writes meanwhile waits for no more than these."""

_BUSY_SECONDS: Final = 10.0
_MARKS: Final = ", ".join("?" * len(Row._fields))


class Compacted(msgspec.Struct, frozen=True, kw_only=True):
    """What a compaction did: ``moved`` events, up to the event ``until``; ``dropped`` ones left the archive for good."""

    moved: int
    until: int
    dropped: int = 0


def compact(journal: Path, *, before: datetime | None, drop_before: datetime | None = None, gives_back: bool = False) -> Compacted:
    """Move the events from before that moment, all that may be moved when it is ``None``, into the archive.

    Events of the archive from before ``drop_before`` are deleted. ``gives_back`` shrinks the journal's file, which takes a copy of it and
    is for a journal that nobody writes; otherwise new events fill the room. Raises ``DataError`` when a file cannot be read or written or
    the archive is another journal's, and ``VerificationFailed`` when an event to be moved is not as it was written; whatever was moved
    until then is in its place.
    """
    try:
        with _opened(journal) as source:
            meta = _meta_of(source)
            if readable_format(journal, meta) < 2:
                raise DataError(f"journal {journal} has an older format, which the next start brings forward; nothing was moved")
            begin = _moved_until(meta)
            with _archive(archive_of(journal), meta["epoch"], begin) as target:
                until = _until(source, before)
                _copy(source, target, begin, until)
                moved = _take_out(source, until)
                dropped = 0 if drop_before is None else _drop(target, drop_before)
            if gives_back:
                source.execute("VACUUM")
            return Compacted(moved=moved, until=max(until, begin.sequence), dropped=dropped)
    except (sqlite3.Error, OSError) as error:
        raise DataError(f"journal {journal} cannot be compacted: {error}; no event is lost, and the next time goes on") from error


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    if not path.is_file():
        raise DataError(f"there is no journal at {path}")
    with closing(sqlite3.connect(path, isolation_level=None, timeout=_BUSY_SECONDS)) as connection:
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA wal_autocheckpoint = 0")  # Its writer does that when nothing is urgent.
        yield connection


@contextmanager
def _archive(path: Path, epoch: str, begin: Start) -> Iterator[sqlite3.Connection]:
    """Open the archive, made anew where there is none; what a compaction that was cut off had copied too far leaves it again."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    with closing(sqlite3.connect(path, isolation_level=None, timeout=_BUSY_SECONDS)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")  # One file, which can be put away by itself.
        connection.execute("PRAGMA synchronous = EXTRA")
        with _transaction(connection):
            for statement in SCHEMA[:2]:
                connection.execute(statement)
            meta = _meta_of(connection)
            if not meta:
                written = {"epoch": epoch, BEGINS_AFTER: str(begin.sequence), BEGINS_CHECKSUM: begin.checksum}
                connection.executemany("INSERT INTO meta VALUES (?, ?)", written.items())
            elif meta["epoch"] != epoch:
                raise DataError(f"{path} is the archive of another journal; nothing was moved (put it away)")
            connection.execute("DELETE FROM events WHERE sequence > ?", (begin.sequence,))
        yield connection


def _until(source: sqlite3.Connection, before: datetime | None) -> int:
    """Return the newest event that may be moved, 0 for none: each snapshot keeps the event it was taken after."""
    oldest = source.execute("SELECT min(sequence) FROM snapshots").fetchone()[0]
    if oldest is None:
        return 0
    keeps = source.execute("SELECT coalesce(max(sequence), 0) FROM events WHERE sequence <= ?", (oldest,)).fetchone()[0]
    if before is not None:
        at = before.astimezone(UTC).isoformat(timespec="microseconds")
        young = source.execute("SELECT min(sequence) FROM events WHERE at >= ?", (at,)).fetchone()[0]
        keeps = keeps if young is None else min(keeps, young)
    return int(source.execute("SELECT coalesce(max(sequence), 0) FROM events WHERE sequence < ?", (keeps,)).fetchone()[0])


def _copy(source: sqlite3.Connection, target: sqlite3.Connection, begin: Start, until: int) -> None:
    previous, after = begin.checksum, begin.sequence
    last = target.execute("SELECT sequence, checksum FROM events ORDER BY sequence DESC LIMIT 1").fetchone()
    if last is not None and last != (begin.sequence, begin.checksum):
        raise VerificationFailed(f"the archive ends at event {last[0]}, the journal goes on after {begin.sequence}; nothing was moved")
    query = f"SELECT {COLUMNS} FROM events WHERE sequence > ? AND sequence <= ? ORDER BY sequence LIMIT ?"  # noqa: S608 - constants
    while rows := [Row(*row) for row in source.execute(query, (after, until, BATCH))]:
        for row in rows:
            if row.checksum != checksum_of(row, previous):
                raise VerificationFailed(f"event {row.sequence} ({row.type}) is changed, or one before it is missing; it was not moved")
            previous = row.checksum
        with _transaction(target):
            target.executemany(f"INSERT INTO events ({COLUMNS}) VALUES ({_MARKS})", rows)  # noqa: S608 - constants
        after = rows[-1].sequence


def _take_out(source: sqlite3.Connection, until: int) -> int:
    moved = 0
    query = "SELECT sequence, checksum FROM (SELECT sequence, checksum FROM events WHERE sequence <= ? ORDER BY sequence LIMIT ?) "
    while last := source.execute(query + "ORDER BY sequence DESC LIMIT 1", (until, BATCH)).fetchone():
        with _transaction(source):
            moved += source.execute("DELETE FROM events WHERE sequence <= ?", (last[0],)).rowcount
            written = ((COMPACTED, str(last[0])), (COMPACTED_CHECKSUM, last[1]))
            source.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", written)
    return moved


def _drop(target: sqlite3.Connection, before: datetime) -> int:
    """Delete the oldest events of the archive, up to the first one that is young enough."""
    at = before.astimezone(UTC).isoformat(timespec="microseconds")
    young = target.execute("SELECT min(sequence) FROM events WHERE at >= ?", (at,)).fetchone()[0]
    where, values = ("", ()) if young is None else ("WHERE sequence < ?", (young,))
    query = f"SELECT sequence, checksum FROM events {where} ORDER BY sequence DESC LIMIT 1"  # noqa: S608 - no value in it
    last = target.execute(query, values).fetchone()
    if last is None:
        return 0
    with _transaction(target):
        dropped = target.execute("DELETE FROM events WHERE sequence <= ?", (last[0],)).rowcount
        written = ((BEGINS_AFTER, str(last[0])), (BEGINS_CHECKSUM, last[1]))
        target.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", written)
    target.execute("VACUUM")
    return dropped


def _meta_of(connection: sqlite3.Connection) -> dict[str, str]:
    return dict(connection.execute("SELECT key, value FROM meta"))


def _moved_until(meta: dict[str, str]) -> Start:
    if COMPACTED not in meta:
        return Start(0, first_checksum(meta["epoch"]))
    return Start(int(meta[COMPACTED]), meta[COMPACTED_CHECKSUM])


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:  # It was not committed.
            connection.execute("ROLLBACK")
