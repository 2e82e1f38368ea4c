"""The exchange's state on disk: written before anybody is told what it implies.

One file, replaced atomically. It survives a kill of the process; it is not flushed to the disk, because a counterparty for drills need not
survive a power cut. The market time is part of it, so that a restarted exchange never goes back behind what its clients have seen.
"""

import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec

from alchemiser.domain.errors import DataError

_FORMAT: Final = 1


class SavedState(msgspec.Struct, frozen=True, kw_only=True):
    """What a restart continues from: the market time, and the core's own snapshot."""

    format: int
    at: datetime
    core: bytes


class StateFile:
    """The file that holds the state; with no path nothing is kept."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._core = b""

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
        return saved

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
            beside.write_bytes(msgspec.msgpack.encode(SavedState(format=_FORMAT, at=at, core=self._core)))
            os.replace(beside, self._path)
        except OSError as error:
            raise DataError(f"{self._path}: the exchange's state cannot be written ({error}); it stops rather than forget") from error
