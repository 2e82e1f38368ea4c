"""How long a disk takes to make a write durable, measured where the journal will be. Leaves nothing behind.

It is a look and no benchmark: a few small writes, while whatever else is going on goes on.
"""

import os
import tempfile
import time
from pathlib import Path
from typing import Final

import msgspec

_WRITES: Final = 8
_BYTES: Final = 4096


class FlushSpeed(msgspec.Struct, frozen=True):
    """The quickest and the slowest of a few flushes, in seconds."""

    quickest_seconds: float
    slowest_seconds: float


def measure_flush(directory: Path) -> FlushSpeed:
    """Write and flush a few times in a directory. Raises ``OSError`` where nothing can be written."""
    seconds = []
    with tempfile.TemporaryFile(dir=directory, buffering=0) as file:
        for _ in range(_WRITES):
            began = time.perf_counter()
            file.write(bytes(_BYTES))
            os.fsync(file.fileno())
            seconds.append(time.perf_counter() - began)
    return FlushSpeed(min(seconds), max(seconds))
