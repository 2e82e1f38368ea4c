"""A disk that forgets what was not flushed: what is left of a journal's files after a power failure.

A flush is what SQLite was asked for: with ``synchronous=FULL`` the files are on the disk when a commit comes back, with less they are only
at a checkpoint, or never. What was written since may be there after the failure as a whole, up to somewhere, or sector by sector.
"""

import shutil
import sqlite3
from pathlib import Path
from random import Random

SECTOR = 512
FULL = 2
FILES = ("", "-wal")
"""What a journal consists of, besides what SQLite makes anew."""

HINT = "-head"
"""The file beside it, never flushed. It is written when a commit has come back, so it is never ahead of what was said to be there."""


class Disk:
    """The disk of one run; ``random`` decides what of the unflushed is there after a power failure."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._flushed: dict[str, bytes] = {}
        self._hints = b"", b""
        self._level = 0

    def mount(self, journal: Path, connection: sqlite3.Connection) -> None:
        """Take over the files of a journal as they were found, and ask how its writer flushes; from then on nothing is really flushed."""
        (self._level,) = connection.execute("PRAGMA synchronous").fetchone()
        connection.execute("PRAGMA synchronous = OFF")
        self._hints = (_read(journal, HINT),) * 2
        self._take(journal)

    def committed(self, journal: Path) -> None:
        """Take note that a commit has come back."""
        self._hints = self._hints[1], _read(journal, HINT)
        if self._level >= FULL:
            self._take(journal)

    def copy(self, journal: Path, heir: Path) -> None:
        """Give an heir the files as they are: a killed process takes nothing with it that it has written."""
        for suffix in (*FILES, HINT):
            source = journal.with_name(journal.name + suffix)
            if source.exists():
                shutil.copy(source, heir / source.name)

    def fail(self, journal: Path, heir: Path) -> None:
        """Give an heir what a power failure leaves."""
        for suffix in FILES:
            now, name = _read(journal, suffix), journal.name + suffix
            left = self._left(self._flushed.get(suffix, b""), now)
            if left:
                (heir / name).write_bytes(left)
        (heir / (journal.name + HINT)).write_bytes(self._random.choice(self._hints))

    def _take(self, journal: Path) -> None:
        self._flushed = {suffix: _read(journal, suffix) for suffix in FILES}

    def _left(self, flushed: bytes, now: bytes) -> bytes:
        """Return what of the bytes of now is there: nothing that is new, the first of it, or any of its sectors."""
        if flushed == now:
            return now
        sectors = range(0, max(len(now), len(flushed)), SECTOR)
        way, until = self._random.choice(("nothing", "the first", "any")), self._random.choice(sectors)
        kept = [(way == "any" and self._random.random() < 0.5) or (way == "the first" and place < until) for place in sectors]
        return b"".join((now if is_new else flushed)[place : place + SECTOR] for place, is_new in zip(sectors, kept, strict=True))


def _read(journal: Path, suffix: str) -> bytes:
    path = journal.with_name(journal.name + suffix)
    return path.read_bytes() if path.exists() else b""
