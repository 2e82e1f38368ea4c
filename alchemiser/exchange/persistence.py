"""The exchange's state on disk: written before anybody is told what it implies.

One file: a checkpoint of the whole state, and behind it one record for each change, with the parts of the state that are different. Keeping
a change costs what has changed, however much there is. A file that has grown to several times its checkpoint is replaced, atomically, by a
new checkpoint; so is one that is not as it was left. Beside it are the events that can be replayed.

It survives a kill of the process at any moment: a last record that was not written completely counts for nothing, and nobody was told of
it. It is not flushed to the disk, because a counterparty for drills need not survive a power cut. The market time is part of it, so that a
restarted exchange never goes back behind what its clients have seen.
"""

import os
import struct
import zlib
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec

from alchemiser.domain.errors import DataError
from alchemiser.exchange.event_file import EventFile
from alchemiser.exchange.orders import OrderUpdate
from alchemiser.exchange.parts import StateChanges, joined

_FORMAT: Final = 2
_NAME: Final = b"alchemiser exchange state "
_HEADER: Final = _NAME + b"%d\n" % _FORMAT
_FRAME: Final = struct.Struct("<II")
"""Before each record: how many bytes it has, and their checksum."""

_LEAST_GROWTH: Final = 2**20
_GROWTH: Final = 3
"""A file is written anew when its records have grown to this many times the checkpoint before them."""

_NOTHING: Final = StateChanges({}, [])


class SavedState(msgspec.Struct, frozen=True, kw_only=True):
    """What a restart continues from: the market time, the core's own snapshot, and how far the file of events counts."""

    format: int
    at: datetime
    core: bytes
    event_bytes: int = 0
    events: int = 0
    seed: int | None = None


class _Record(msgspec.Struct, frozen=True, array_like=True):
    """One change; the first one of a file is the whole."""

    at: datetime
    parts: dict[str, bytes]
    gone: list[str]
    event_bytes: int
    events: int
    seed: int | None = None


class StateFile:
    """The files that hold the state and the events; with no path nothing is kept."""

    def __init__(self, path: Path | None, *, seed: int | None = None) -> None:
        """``seed`` is that of the market in which the state arises; ``None`` takes whatever seed a saved state has."""
        self._path = path
        self.seed = seed
        """The seed of the market; that of the saved state once it is loaded, ``None`` while nobody has said one."""
        self._parts: dict[str, bytes] = {}
        self._size = 0
        self._checkpoint_size = 0
        self._events = EventFile(None if path is None else path.with_name(path.name + ".events"))

    def load(self) -> SavedState | None:
        """Return the saved state, or ``None`` when there is none.

        Raises ``DataError`` for a file that cannot be read, and for a state of another seed: its account would go on among prices that
        have nothing to do with those at which it bought. A state that names no seed, as former versions wrote it, goes with any.
        """
        if self._path is None or not self._path.exists():
            return None
        try:
            data = self._path.read_bytes()
            saved = _read(data) if data.startswith(_HEADER) else _read_former(data)
        except (OSError, msgspec.DecodeError, KeyError) as error:
            raise DataError(f"{self._path}: not a readable exchange state ({error}); move it away to start a fresh account") from error
        if saved.seed is not None:
            if self.seed not in (None, saved.seed):
                raise DataError(
                    f"{self._path}: this account has lived in the market of seed {saved.seed}, not {self.seed}; "
                    f"go on with seed {saved.seed}, or move the file away to start a fresh account. Nothing was started"
                )
            self.seed = saved.seed
        self._events.restore(saved.event_bytes, saved.events)
        return saved

    def events(self) -> list[bytes]:
        """Return the JSON of the events that are kept, oldest first. Raises ``DataError`` when they cannot be read."""
        return self._events.read()

    def keep_events(self, updates: Sequence[OrderUpdate]) -> None:
        """Write events that are about to be told; they count from the next :meth:`save` on. Raises ``DataError`` as that does."""
        if self._path is not None and updates:
            self._events.append([update.payload for update in updates])

    def save(self, at: datetime, changes: Callable[[], StateChanges] | None) -> None:
        """Write the market time and what has changed of the core since the last time; ``None`` means that nothing has.

        What is told first is everything. Raises ``DataError`` when the file cannot be written: what cannot be kept must not be told.
        """
        if self._path is None:
            return
        found = _NOTHING if changes is None else changes()
        for name in found.gone:
            self._parts.pop(name, None)
        self._parts.update(found.parts)
        assert self._parts, "the first thing that is kept is the whole state"
        try:
            is_full = self._size > self._checkpoint_size + max(_LEAST_GROWTH, _GROWTH * self._checkpoint_size)
            if is_full or not self._append(self._path, self._framed(at, found)):
                self._write_checkpoint(self._path, at)
        except OSError as error:
            raise DataError(f"{self._path}: the exchange's state cannot be written ({error}); it stops rather than forget") from error

    def _framed(self, at: datetime, changes: StateChanges) -> bytes:
        record = _Record(at, changes.parts, changes.gone, self._events.size, self._events.count, self.seed)
        data = msgspec.msgpack.encode(record)
        return _FRAME.pack(len(data), zlib.crc32(data)) + data

    def _append(self, path: Path, data: bytes) -> bool:
        """Write a record behind the others; return whether that was possible: the file is there and as it was left."""
        if not self._size:
            return False
        try:
            file = os.open(path, os.O_WRONLY | os.O_APPEND)
        except FileNotFoundError:
            return False
        try:
            if os.fstat(file).st_size != self._size:
                return False
            written = os.write(file, data)
        finally:
            os.close(file)
        self._size += len(data)
        return written == len(data)

    def _write_checkpoint(self, path: Path, at: datetime) -> None:
        data = _HEADER + self._framed(at, StateChanges(self._parts, []))
        beside = path.with_name(path.name + ".new")
        path.parent.mkdir(parents=True, exist_ok=True)
        beside.write_bytes(data)
        os.replace(beside, path)
        self._size = self._checkpoint_size = len(data)


def _read(data: bytes) -> SavedState:
    """Return what a file of checkpoint and records says. Raises ``msgspec.DecodeError`` for one that says nothing, or is damaged."""
    parts: dict[str, bytes] = {}
    last: _Record | None = None
    begin = len(_HEADER)
    while begin + _FRAME.size <= len(data):
        length, checksum = _FRAME.unpack_from(data, begin)
        record = data[begin + _FRAME.size : begin + _FRAME.size + length]
        begin += _FRAME.size + length
        if begin > len(data):
            break  # The exchange was killed while it wrote this; nobody was told of it.
        if zlib.crc32(record) != checksum:
            raise msgspec.DecodeError(f"the record that ends at byte {begin} is damaged")
        last = msgspec.msgpack.decode(record, type=_Record)
        for name in last.gone:
            parts.pop(name, None)
        parts.update(last.parts)
    if last is None:
        raise msgspec.DecodeError("it has no complete checkpoint")
    return SavedState(format=_FORMAT, at=last.at, core=joined(parts), event_bytes=last.event_bytes, events=last.events, seed=last.seed)


def _read_former(data: bytes) -> SavedState:
    """Return what a file of format 1 says: one value, written as a whole. Raises ``msgspec.DecodeError`` for any other."""
    if data.startswith(_NAME):
        raise msgspec.DecodeError(f"it is of another format than {_FORMAT}")
    saved = msgspec.msgpack.decode(data, type=SavedState)
    if saved.format != 1:
        raise msgspec.DecodeError(f"its format is {saved.format}, not {_FORMAT}")
    return saved
