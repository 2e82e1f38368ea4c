"""The exchange's state on disk: written before anybody is told what it implies.

One file, replaced atomically, and beside it the events that can be replayed. It survives a kill of the process; it is not flushed to the
disk, because a counterparty for drills need not survive a power cut. The market time is part of it, so that a restarted exchange never goes
back behind what its clients have seen.
"""

import os
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec

from alchemiser.domain.errors import DataError
from alchemiser.exchange.event_file import EventFile
from alchemiser.exchange.orders import OrderUpdate

_FORMAT: Final = 1


class SavedState(msgspec.Struct, frozen=True, kw_only=True):
    """What a restart continues from: the market time, the core's own snapshot, and how far the file of events counts."""

    format: int
    at: datetime
    core: bytes
    event_bytes: int = 0
    events: int = 0


class StateFile:
    """The files that hold the state and the events; with no path nothing is kept."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._core = b""
        self._events = EventFile(None if path is None else path.with_name(path.name + ".events"))

    def load(self) -> SavedState | None:
        """Return the saved state, or ``None`` when there is none. Raises ``DataError`` for a file that cannot be read."""
        if self._path is None or not self._path.exists():
            return None
        try:
            saved = msgspec.msgpack.decode(self._path.read_bytes(), type=SavedState)
        except (OSError, msgspec.DecodeError) as error:
            raise DataError(f"{self._path}: not a readable exchange state ({error}); move it away to start a fresh account") from error
        if saved.format != _FORMAT:
            raise DataError(
                f"{self._path}: exchange state of format {saved.format}, expected {_FORMAT}; move it away to start a fresh account"
            )
        self._core = saved.core
        self._events.restore(saved.event_bytes, saved.events)
        return saved

    def events(self) -> list[bytes]:
        """Return the JSON of the events that are kept, oldest first. Raises ``DataError`` when they cannot be read."""
        return self._events.read()

    def keep_events(self, updates: Sequence[OrderUpdate]) -> None:
        """Write events that are about to be told; they count from the next :meth:`save` on. Raises ``DataError`` as that does."""
        if self._path is not None and updates:
            self._events.append([update.payload for update in updates])

    def save(self, at: datetime, snapshot: Callable[[], bytes] | None) -> None:
        """Write the market time and the core's snapshot; ``None`` means that the core has not changed since the last time.

        Raises ``DataError`` when the file cannot be written: what cannot be kept must not be told.
        """
        if self._path is None:
            return
        if snapshot is not None:
            self._core = snapshot()
        assert self._core, "the first thing that is kept is a snapshot"
        beside = self._path.with_name(self._path.name + ".new")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            saved = SavedState(format=_FORMAT, at=at, core=self._core, event_bytes=self._events.size, events=self._events.count)
            beside.write_bytes(msgspec.msgpack.encode(saved))
            os.replace(beside, self._path)
        except OSError as error:
            raise DataError(f"{self._path}: the exchange's state cannot be written ({error}); it stops rather than forget") from error
