"""One process per thing: a lock file that the operating system releases when its holder dies, however it dies.

The file says who holds it: process and host. Since when is the time of the file. Nothing is decided by what it says, only by the lock.
"""

import fcntl
import os
import socket
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from alchemiser.domain.errors import SafetyRefused


class Holder(msgspec.Struct):
    """Who wrote the lock file."""

    pid: int
    host: str


class WriterLock:
    """The right to a thing, held from :meth:`take` to :meth:`release`."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor

    @classmethod
    def take(cls, journal: Path) -> "WriterLock":
        """Take the lock of a journal. Raises ``SafetyRefused``, naming its holder, when the journal is being written by another process."""
        return cls.of(
            journal.with_name(f"{journal.name}.lock"),
            f"journal {journal} is being written",
            "two daemons on one journal would trade twice, so this one stops",
        )

    @staticmethod
    def is_held(journal: Path) -> bool:
        """Return whether the process that took the lock of a journal last is alive on this host. Takes nothing, so it refuses nobody."""
        try:
            holder = msgspec.json.decode(journal.with_name(f"{journal.name}.lock").read_bytes(), type=Holder)
            if holder.host != socket.gethostname():
                return True  # Who can say?
            os.kill(holder.pid, 0)
        except (OSError, msgspec.DecodeError):
            return False
        return True

    @classmethod
    def of(cls, path: Path, taken: str, why: str) -> "WriterLock":
        """Take the lock in that file. Raises ``SafetyRefused`` when another process has it, and ``OSError`` when the file cannot be had.

        ``taken`` says what the other process does, ``why`` what this one does about it.
        """
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = _holder(descriptor)
            os.close(descriptor)
            raise SafetyRefused(f"{taken} by {holder}; {why}") from error
        os.ftruncate(descriptor, 0)
        os.write(descriptor, msgspec.json.encode(Holder(os.getpid(), socket.gethostname())))
        return cls(descriptor)

    def release(self) -> None:
        """Give the lock back. The file stays: removing it could take it from under a process that is just opening it."""
        if self._descriptor is not None:
            os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = None


def _holder(descriptor: int) -> str:
    """Say who holds a lock, as its file tells."""
    try:
        holder = msgspec.json.decode(os.read(descriptor, 512), type=Holder)
    except msgspec.DecodeError:
        return "a process that has not said who it is"
    since = datetime.fromtimestamp(os.fstat(descriptor).st_mtime, UTC)
    return f"process {holder.pid} on {holder.host} since {since:%Y-%m-%d %H:%M:%S} UTC"
