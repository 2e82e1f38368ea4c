"""The file of the journal's write-ahead log: how long it is, and the room laid out in it for the commits to come.

A flush of a file that has grown also writes what the file system keeps about it, which takes as long as the commit itself once more. So
whenever the log has outgrown its file, the file is lengthened by zeros, and the commits that follow write over them: they find the room
there. SQLite reads its log up to the first frame that is not of the present round, and no frame of zeros is; after a checkpoint the
log begins anew in the same file.

Room is never part of a promise: where there is none to be had, a full disk for example, the log grows as it would have.
"""

import os
from pathlib import Path
from typing import Final

MAX_BYTES: Final = 64 * 1024 * 1024
"""Above this the log is checkpointed even while events keep coming."""

LONG_BYTES: Final = MAX_BYTES // 2
"""Above this the log is long, and its file is cut back to it when it begins anew after a checkpoint."""

ROOM_BYTES: Final = 256 * 1024
"""Laid out at a time: some thirty commits of one event."""


class Log:
    """The log of one journal, watched by its writer between two commits. Its own way to the file holds no lock of SQLite's."""

    def __init__(self, journal: Path, *, has_room: bool) -> None:
        """``has_room`` asks for room to be laid out; without it the file is only measured."""
        self._path = journal.with_name(f"{journal.name}-wal")
        self._has_room = has_room
        self._bytes = 0

    @property
    def is_long(self) -> bool:
        """Whether one of the next commits may have to make a checkpoint."""
        return self._bytes > LONG_BYTES

    @property
    def is_too_long(self) -> bool:
        """Whether it is time for a checkpoint, whoever waits."""
        return self._bytes > MAX_BYTES

    def committed(self) -> None:
        """Take note that a commit was written, and lay out more room when it went beyond what there was."""
        try:
            found = os.stat(self._path).st_size
        except FileNotFoundError:
            found = 0
        if found > self._bytes and self._has_room:
            found += self._lay_out(found)
        self._bytes = found

    def _lay_out(self, end: int) -> int:
        """Lengthen the file and return by how much; nothing where the disk has no room left, which a commit will find out if it matters."""
        try:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                return os.pwrite(descriptor, bytes(ROOM_BYTES), end)
            finally:
                os.close(descriptor)
        except OSError:
            self._has_room = False
            return 0
