"""Older formats of the journal, brought forward when a writer opens the file.

Before anything is changed the whole file is copied beside it, as ``journal.sqlite.format-N``. The change itself is one transaction: it
happens or it does not. Events are never rewritten, so the chain of checksums stays what it was. A format that a newer version wrote is
refused: this version cannot know what its rows mean.
"""

import os
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

import msgspec

from alchemiser.domain.errors import DataError
from alchemiser.journal.format import FORMAT_VERSION, SCHEMA

STEPS: Final[dict[int, Sequence[str]]] = {
    # Format 1 had a table for snapshots that did not say what they were taken after; no version wrote one.
    1: ("DROP TABLE IF EXISTS snapshots", *(statement for statement in SCHEMA if "TABLE IF NOT EXISTS snapshots" in statement)),
}
"""What leads from each older format to the one after it."""


class Migration(msgspec.Struct, frozen=True):
    """A journal was brought forward from an older format; the file as it was is kept at ``backup``."""

    from_format: int
    to_format: int
    backup: Path


def readable_format(path: Path, meta: dict[str, str]) -> int:
    """Return the format that a journal's ``meta`` names. Raises ``DataError``, in words, for one that this version cannot read."""
    text = meta.get("format", "")
    if not text.isdecimal():
        raise DataError(f"journal {path} does not say which format it has, so it is none of ours; nothing was started")
    found = int(text)
    if found > FORMAT_VERSION:
        raise DataError(
            f"journal {path} has format {found}, which a newer version of the program wrote; this one knows formats up to "
            f"{FORMAT_VERSION}. Nothing was started or changed: install the newer version, or choose another state directory"
        )
    return found


def bring_forward(path: Path, connection: sqlite3.Connection) -> Migration | None:
    """Bring the journal to the present format; return what was done, ``None`` when there was nothing to do.

    Raises ``DataError`` for a format that this version cannot read, ``sqlite3.Error`` and ``OSError`` when copying or changing it
    fails; the journal is then as it was.
    """
    if connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'meta'").fetchone()[0] == 0:
        return None  # It is just being made.
    meta = dict(connection.execute("SELECT key, value FROM meta"))
    found = readable_format(path, meta) if meta else FORMAT_VERSION
    if found == FORMAT_VERSION:
        return None
    backup = _copy(path, connection, found)
    try:
        connection.execute("BEGIN IMMEDIATE")
        for number in range(found, FORMAT_VERSION):
            for statement in STEPS[number]:
                connection.execute(statement)
        connection.execute("UPDATE meta SET value = ? WHERE key = 'format'", (str(FORMAT_VERSION),))
        connection.execute("COMMIT")
    except sqlite3.Error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return Migration(found, FORMAT_VERSION, backup)


def _copy(path: Path, connection: sqlite3.Connection, number: int) -> Path:
    """Copy the journal, what is only in its log included, and return the copy once it is on the disk."""
    backup = path.with_name(f"{path.name}.format-{number}")
    unfinished = backup.with_name(f"{backup.name}.part")
    unfinished.unlink(missing_ok=True)
    os.close(os.open(unfinished, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    with closing(sqlite3.connect(unfinished)) as copy:
        connection.backup(copy)
    descriptor = os.open(unfinished, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    unfinished.rename(backup)
    return backup
