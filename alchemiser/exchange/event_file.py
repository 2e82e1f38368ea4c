"""The events of the order stream on disk, beside the saved state, so that they can be replayed after a restart (section 5.4).

One event a line, only ever appended. The saved state says how far the file counts: what was written after it is a future that never
was, and is overwritten. A full file is put aside in the place of the one before it, so that between one and two files are kept. Like the
state it survives a kill of the process and is not flushed to the disk.
"""

import os
from pathlib import Path
from typing import Final

from alchemiser.domain.errors import DataError
from alchemiser.exchange.event_log import KEPT_EVENTS


class EventFile:
    """The file of the events, and the full one before it; with no path nothing is kept."""

    def __init__(self, path: Path | None, *, most_events: int = KEPT_EVENTS) -> None:
        self._path = path
        self._most_events: Final = most_events
        self.size = 0
        self.count = 0
        # Files that were there before without a state belong to an account that is gone.
        self._is_new = True

    def restore(self, size: int, count: int) -> None:
        """Count only the first bytes and events of the file: those that the saved state knows."""
        self._is_new = False
        if self._path is None or not self._path.exists():
            return
        # A file that is shorter has been put aside after the state was saved; then nothing in the new one counts.
        if self._path.stat().st_size >= size:
            self.size, self.count = size, count

    def append(self, events: list[bytes]) -> None:
        """Write events. Raises ``DataError`` when that is not possible: what cannot be kept must not be told."""
        if self._path is None or not events:
            return
        data = b"".join(event + b"\n" for event in events)
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            if self._is_new:
                _aside(self._path).unlink(missing_ok=True)
                self._is_new = False
            if self.count >= self._most_events:
                os.replace(self._path, _aside(self._path))
                self.size = self.count = 0
            with self._path.open("r+b" if self.size else "wb") as file:
                file.truncate(self.size)
                file.seek(self.size)
                file.write(data)
        except OSError as error:
            raise DataError(f"{self._path}: the exchange's events cannot be written ({error}); it stops rather than forget") from error
        self.size += len(data)
        self.count += len(events)

    def read(self) -> list[bytes]:
        """Return the events that count, oldest first. Raises ``DataError`` for a file that cannot be read."""
        if self._path is None or self._is_new:
            return []
        before = _aside(self._path)
        try:
            older = before.read_bytes() if before.exists() else b""
            newer = self._path.read_bytes()[: self.size] if self.size else b""
            return [*older.splitlines(), *newer.splitlines()]
        except OSError as error:
            raise DataError(f"{self._path}: the exchange's events cannot be read ({error}); move it away to forget them") from error


def _aside(path: Path) -> Path:
    return path.with_name(path.name + ".old")
