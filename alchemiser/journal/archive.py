"""The archive beside a journal, ``journal.archive.sqlite``: the old events that a compaction moved out of it, row by row as they were.

Readers see journal and archive as one, so that whatever reads from the first event finds it. Where the archive was taken away, a start goes
on from a snapshot; what needs the events before it says so. ``compaction`` fills it, this module says how it is found and joined.
"""

import sqlite3
from pathlib import Path
from typing import Final, NamedTuple

from alchemiser.journal.format import COLUMNS

COMPACTED: Final = "compacted_sequence"
COMPACTED_CHECKSUM: Final = "compacted_checksum"
"""In the journal's ``meta``: the newest event that was moved out of it, and its checksum."""

BEGINS_AFTER: Final = "begins_after"
BEGINS_CHECKSUM: Final = "begins_checksum"
"""In the archive's ``meta``: the event before its first one, 0 when it holds all, and that event's checksum."""

_MOVED: Final = f"(SELECT CAST(value AS INTEGER) FROM main.meta WHERE key = '{COMPACTED}')"  # noqa: S608 - a constant

_JOINED: Final = f"""CREATE TEMP VIEW events AS
    SELECT {COLUMNS} FROM archive.events WHERE sequence <= {_MOVED} UNION ALL SELECT {COLUMNS} FROM main.events"""  # noqa: S608 - constants
"""What was copied and not yet taken out of the journal is there twice, and counts once: the journal says up to where it was moved."""


class Start(NamedTuple):
    """Where the events that can be read begin: after that one, which has this checksum."""

    sequence: int
    checksum: str


def archive_of(journal: Path) -> Path:
    """Return where the archive of a journal is."""
    return journal.with_name(f"{journal.stem}.archive{journal.suffix}")


def join_archive(journal: Path, connection: sqlite3.Connection, epoch: str) -> bool:
    """Let a reading connection see the archive's events before the journal's; return whether there is an archive of that journal.

    Raises ``sqlite3.Error`` when there is one that cannot be read.
    """
    path = archive_of(journal)
    if not path.is_file():
        return False
    connection.execute("ATTACH ? AS archive", (f"{path.absolute().as_uri()}?mode=ro",))
    is_made = connection.execute("SELECT count(*) FROM archive.sqlite_master WHERE name = 'meta'").fetchone()[0]
    if not is_made or dict(connection.execute("SELECT key, value FROM archive.meta")).get("epoch") != epoch:
        connection.execute("DETACH archive")
        return False
    connection.execute(_JOINED)
    return True


def start_of(connection: sqlite3.Connection, *, is_joined: bool, first_checksum: str) -> Start:
    """Return where the events begin: at the first one, unless there is no archive any more, or its own beginning was let go."""
    meta = dict(connection.execute("SELECT key, value FROM main.meta"))
    if COMPACTED not in meta:
        return Start(0, first_checksum)
    if is_joined:
        archived = dict(connection.execute("SELECT key, value FROM archive.meta"))
        return Start(int(archived[BEGINS_AFTER]), archived[BEGINS_CHECKSUM])
    return Start(int(meta[COMPACTED]), meta[COMPACTED_CHECKSUM])
