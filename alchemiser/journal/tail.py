"""The end of the journal's log: what of it belongs to no whole commit, and whether events went with it that had been durable.

SQLite reads its log up to the last whole commit and drops the rest without a word. That is right for a commit that was cut off, which was
promised to nobody, and would be silent too about commits that were promised and are gone: a log that was cut, a disk that lied, an older
copy put back. Two witnesses tell them apart.

* The log itself: frames after the last whole commit that carry the salts of the present log are what a commit left that did not end.
* A note beside the journal, ``journal.sqlite-head``: the newest event that was durable, written after each commit and never flushed. It can
  be behind what the disk has, never ahead of it; so an event that it names and the journal lacks is an event that was lost.

Nothing is repaired here: what SQLite dropped stays dropped, the comparison with the venue finds what the lost events were about.
"""

import os
import sqlite3
import struct
from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

NOTE_SUFFIX: Final = "-head"

_NOTE_BYTES: Final = 128
_HEADER: Final = struct.Struct(">8I")
"""Of the log: magic number, version, bytes of a page, number of the checkpoint, two salts, two checksums; all big-endian."""

_FRAME: Final = struct.Struct(">6I")
"""Of a frame: number of the page, pages of the file after a commit and else nothing, two salts, two checksums."""

_SALTS: Final = slice(8, 16)
"""Where the salts are in the header of a frame."""

_MAGIC: Final = {0x377F0682: "<", 0x377F0683: ">"}
"""The magic numbers, and the order of bytes in which each has the checksums reckoned."""

_SUMMED: Final = 8
"""How much of a frame's header its checksum covers, besides its page."""


class Head(NamedTuple):
    """The newest durable event of the journal with that epoch, and its checksum."""

    epoch: str
    sequence: int
    checksum: str


class Tail(msgspec.Struct, frozen=True, kw_only=True):
    """How a journal ends. ``last_event`` is the newest event that is there.

    ``torn_bytes`` are those of a commit that did not end; ``promised_event`` is the newest event that had been durable where that is
    another one than the last, ``None`` where nothing is missing.
    """

    last_event: int
    torn_bytes: int = 0
    promised_event: int | None = None

    @property
    def is_whole(self) -> bool:
        """Whether nothing was dropped."""
        return not self.torn_bytes and self.promised_event is None

    @property
    def text(self) -> str:
        """What was dropped, in words; empty when nothing was."""
        found = []
        if self.promised_event is not None:
            found.append(
                f"event {self.promised_event} had been durable, and what is there ends at event {self.last_event} and is not what led to it"
                if self.promised_event <= self.last_event
                else f"events up to {self.promised_event} had been durable, those after {self.last_event} are gone"
            )
        if self.torn_bytes:
            found.append(f"the log ends with {self.torn_bytes} bytes of a commit that did not end after event {self.last_event}")
        return "; ".join(found)


class HeadNote:
    """The note beside a journal that is open for writing."""

    def __init__(self, journal: Path) -> None:
        self._descriptor = os.open(_beside(journal, NOTE_SUFFIX), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)

    def write(self, head: Head) -> None:
        """Note what is durable now. Raises ``OSError``."""
        os.pwrite(self._descriptor, _written(head), 0)

    def close(self) -> None:
        """Close the file; the note stays."""
        os.close(self._descriptor)


def read_note(journal: Path) -> Head | None:
    """Return what the note beside a journal says; ``None`` when there is none, or none that can be read."""
    try:
        raw = _beside(journal, NOTE_SUFFIX).read_bytes()
    except OSError:
        return None
    words = raw[:_NOTE_BYTES].decode("ascii", "replace").split()
    if len(words) != 4 or not words[1].isdecimal():
        return None
    head = Head(words[0], int(words[1]), words[2])
    return head if _written(head) == raw else None


def torn_bytes(journal: Path) -> int:
    """Return how many bytes of a commit that did not end are at the end of the log; nobody may be writing it."""
    try:
        log = _beside(journal, "-wal").read_bytes()
    except FileNotFoundError:
        return 0
    if not log.strip(b"\0"):
        return 0  # Room for a log that has not begun.
    if len(log) < _HEADER.size or (header := _HEADER.unpack_from(log))[0] not in _MAGIC:
        return len(log)
    order, frame_bytes, salts = _MAGIC[header[0]], _FRAME.size + header[2], log[16:24]
    whole = place = _whole_until(log, order, frame_bytes, salts)
    while place < len(log):
        found = log[place + _SALTS.start : place + _SALTS.stop]
        if len(found) == len(salts) and found != salts:
            break  # Left by an earlier round of the log, which this one has not come to yet.
        place += frame_bytes
    return min(place, len(log)) - whole


def _whole_until(log: bytes, order: str, frame_bytes: int, salts: bytes) -> int:
    """Return where the last whole commit ends, as SQLite finds it."""
    place = whole = _HEADER.size
    sums = _summed(log[: _HEADER.size - 8], order, (0, 0))
    if sums != _HEADER.unpack_from(log)[6:]:
        return whole
    while place + frame_bytes <= len(log):
        frame = _FRAME.unpack_from(log, place)
        begin = place + _FRAME.size
        sums = _summed(log[place : place + _SUMMED] + log[begin : place + frame_bytes], order, sums)
        if log[place + _SALTS.start : place + _SALTS.stop] != salts or sums != frame[4:]:
            break
        place += frame_bytes
        if frame[1]:
            whole = place
    return whole


def _summed(data: bytes, order: str, sums: tuple[int, int]) -> tuple[int, int]:
    """Return SQLite's checksum of these bytes after what was summed before: Fibonacci's, over pairs of 32-bit words."""
    first, second = sums
    for one, other in struct.iter_unpack(f"{order}2I", data):
        first = (first + one + second) & 0xFFFFFFFF
        second = (second + other + first) & 0xFFFFFFFF
    return first, second


def tail_of(journal: Path, connection: sqlite3.Connection, meta: Mapping[str, str], torn: int) -> Tail:
    """Return how a journal ends whose ``meta`` was read over that connection; ``torn`` is what :func:`torn_bytes` found."""
    noted, last = read_note(journal), int(meta["head_sequence"])
    if noted is None or noted.epoch != meta["epoch"] or not noted.sequence:
        return Tail(last_event=last, torn_bytes=torn)
    found = connection.execute("SELECT checksum FROM events WHERE sequence = ?", (noted.sequence,)).fetchone()
    is_there = found is not None and found[0] == noted.checksum
    return Tail(last_event=last, torn_bytes=torn, promised_event=None if is_there else noted.sequence)


def _written(head: Head) -> bytes:
    text = f"{head.epoch} {head.sequence} {head.checksum}"
    return f"{text} {blake2b(text.encode(), digest_size=8).hexdigest()}".ljust(_NOTE_BYTES - 1).encode() + b"\n"


def _beside(journal: Path, suffix: str) -> Path:
    return journal.with_name(journal.name + suffix)
