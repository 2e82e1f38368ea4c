"""The lock: one holder, named with process, host and time; gone with its process, however that dies."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from alchemiser.domain.errors import SafetyRefused
from alchemiser.journal.lock import WriterLock

HOLDER = """
import sys
from pathlib import Path
from alchemiser.journal.lock import WriterLock
lock = WriterLock.take(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def test_the_holder_is_named_with_process_host_and_time(tmp_path: Path) -> None:
    """Whoever is refused knows where to look."""
    path = tmp_path / "journal.sqlite"
    lock = WriterLock.take(path)
    os.utime(f"{path}.lock", (1_764_000_000, 1_764_000_000))
    with pytest.raises(SafetyRefused) as error:
        WriterLock.take(path)
    assert f"is being written by process {os.getpid()} on {socket.gethostname()} since 2025-11-24 16:00:00 UTC" in str(error.value)
    assert error.value.exit_code == 4

    lock.release()
    lock.release()
    WriterLock.take(path).release()


@pytest.mark.parametrize("text", [b"", b"123\n", b'{"pid": "x"}', b"\x00\xff\xa2%.4 not the holder \x8b0"])
def test_a_holder_that_cannot_be_read_still_holds(tmp_path: Path, text: bytes) -> None:
    """Only the lock decides, not what the file says: a process may be about to write it, or be an older version."""
    path = tmp_path / "journal.sqlite"
    lock = WriterLock.take(path)
    Path(f"{path}.lock").write_bytes(text)
    with pytest.raises(SafetyRefused, match="a process that has not said who it is"):
        WriterLock.take(path)
    lock.release()


def test_a_killed_holder_holds_nothing(tmp_path: Path) -> None:
    """No file has to be removed by hand after kill -9."""
    path = tmp_path / "journal.sqlite"
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ}
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    with pytest.raises(SafetyRefused, match=f"process {process.pid} on"):
        WriterLock.take(path)
    process.send_signal(signal.SIGKILL)
    process.communicate()

    WriterLock.take(path).release()


def test_a_link_in_the_place_of_the_file_is_not_followed(tmp_path: Path) -> None:
    """In a directory that others can write to it could lead anywhere."""
    (tmp_path / "journal.sqlite.lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic link"):
        WriterLock.take(tmp_path / "journal.sqlite")
    assert not (tmp_path / "elsewhere").exists()
