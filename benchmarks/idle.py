"""What the daemon costs while it has nothing to do: resident memory, and the share of one core.

``alchemiser run --paper`` with one strategy, against an ``alchemiser exchange`` in another process whose day is over, so that no quote
moves: connected, authorised, subscribed, its bus probed and its streams pinged, waiting for the next session. After a while to settle its
CPU time is taken over a minute.

``python benchmarks/idle.py`` prints the numbers and exits with 1 when a target is missed.
"""

import json
import os
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from cold_start import DEADLINE_SECONDS, clean_environ, daemon, exchange, resident_megabytes
from measure import environment

TARGET_MEGABYTES = 80.0
TARGET_SHARE = 0.01
SETTLE_SECONDS = 10.0
SECONDS = 60.0
EVENING_SECONDS = 9 * 3600


def cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process until now, of all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def close_the_day(rest: str) -> None:
    """Set the exchange's clock to the evening: no quote moves, and no session follows."""
    body = json.dumps({"advance_seconds": EVENING_SECONDS}).encode()
    request = urllib.request.Request(f"{rest}/_exchange/clock", data=body, headers={"Content-Type": "application/json"})  # noqa: S310 - our own exchange
    with urllib.request.urlopen(request, timeout=DEADLINE_SECONDS):  # noqa: S310 - our own exchange
        pass


def measure(directory: Path) -> tuple[float, float]:
    """Return the megabytes and the share of a core of an idle daemon."""
    environ = clean_environ()
    with exchange(environ) as venue:
        close_the_day(venue["rest"])
        with daemon(directory, environ, venue) as running:
            running.leave_alone(SETTLE_SECONDS)
            before, began = cpu_seconds(running.pid), time.perf_counter()
            running.leave_alone(SECONDS)
            share = (cpu_seconds(running.pid) - before) / (time.perf_counter() - began)
            return resident_megabytes(running.pid), share


def main() -> int:
    """Measure, print and judge."""
    print(environment("aiohttp", "uvloop"))
    with tempfile.TemporaryDirectory() as directory:
        megabytes, share = measure(Path(directory))
    verdicts = [megabytes < TARGET_MEGABYTES, share < TARGET_SHARE]
    print(f"{megabytes:6.1f} MB resident; target {TARGET_MEGABYTES:g}: {'met' if verdicts[0] else 'MISSED'}")
    print(f"{share:6.2%} of a core; target {TARGET_SHARE:.0%}: {'met' if verdicts[1] else 'MISSED'}")
    return 0 if all(verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
