"""What the benchmarks share: the machine in one line, the disk in one number, CPU time of a call, medians with their spread.

Sides of a comparison alternate within one run, so that a neighbour's load hits both; ratios are those of the medians.
"""

import gc
import os
import platform
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from typing import NamedTuple


class Spread(NamedTuple):
    """The median of several measurements, and the least and the greatest of them."""

    median: float
    least: float
    greatest: float

    def __str__(self) -> str:
        return f"{self.median:9.1f} {self.least:8.1f}-{self.greatest:<8.1f}"


def environment(*packages: str) -> str:
    """Return machine, Python and package versions in one line."""
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    return f"{platform.system()} {platform.machine()}, Python {platform.python_version()}, {versions}"


def cpu_nanoseconds(call: Callable[[], object], operations: int) -> float:
    """Return the CPU time of this process per operation while ``call`` runs."""
    gc.collect()
    began = time.process_time_ns()
    call()
    return (time.process_time_ns() - began) / operations


def flush_milliseconds() -> float:
    """Return the median of what one bare ``fdatasync`` of four appended kilobytes takes on this disk, now."""
    with tempfile.TemporaryFile(buffering=0) as file:
        found = []
        for _ in range(50):
            file.write(b"x" * 4096)
            began = time.perf_counter()
            os.fdatasync(file.fileno())
            found.append((time.perf_counter() - began) * 1000)
    return statistics.median(found)


def wake_milliseconds() -> float:
    """Return how much later than asked for one in a hundred sleeps of a millisecond ends on this machine, now.

    Somebody else has the processor then. A 99th percentile of anything that waits is not below this.
    """
    late, never = [], threading.Event()
    for _ in range(1_000):
        began = time.perf_counter()
        never.wait(0.001)
        late.append((time.perf_counter() - began) * 1000 - 1.0)
    return statistics.quantiles(late, n=100)[-1]


def spread_of(values: Sequence[float]) -> Spread:
    """Return the median, the least and the greatest."""
    return Spread(statistics.median(values), min(values), max(values))


def alternate(sides: Mapping[str, Callable[[], float]], *, repeats: int, warm_ups: int = 2) -> dict[str, Spread]:
    """Measure every side in turn, ``repeats`` times after warming up, and return the spread of each."""
    values: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(warm_ups + repeats):
        for name, measure in sides.items():
            value = measure()
            if turn >= warm_ups:
                values[name].append(value)
    return {name: spread_of(found) for name, found in values.items()}
