"""One writer per journal: a lock file that the operating system releases when its holder dies, however it dies."""

import fcntl
import os
from pathlib import Path

from alchemiser.domain.errors import SafetyRefused


class WriterLock:
    """The right to write one journal, held from :meth:`take` to :meth:`release`."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor

    @classmethod
    def take(cls, journal: Path) -> "WriterLock":
        """Take the lock. Raises ``SafetyRefused``, naming the process that has it, when the journal is being written by another."""
        path = journal.with_name(f"{journal.name}.lock")
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.read(descriptor, 32).decode(errors="replace").strip() or "unknown"
            os.close(descriptor)
            raise SafetyRefused(
                f"journal {journal} is being written by process {holder}; two daemons on one journal would trade twice, so this one stops"
            ) from error
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        return cls(descriptor)

    def release(self) -> None:
        """Give the lock back. The file stays: removing it could take it from under a process that is just opening it."""
        if self._descriptor is not None:
            os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = None
