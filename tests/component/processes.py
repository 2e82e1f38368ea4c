"""The real program in real processes: starting it, waiting for what it says, and what it leaves behind."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

SHARED_BARS = Path(os.environ.get("ALCHEMISER_TEST_BARS", Path(__file__).parents[3] / "shared" / "data" / "daily"))
PROGRAM = (sys.executable, "-m", "alchemiser")

needs_bars = pytest.mark.skipif(not SHARED_BARS.is_dir(), reason=f"the real bars are not at {SHARED_BARS}")


def environment(changes: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return a clean environment for the program: no settings of whoever runs the tests, a free port for its door."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("ALCHEMISER_", "APCA_", "NOTIFY_", "CREDENTIALS_"))}
    return {**kept, "ALCHEMISER_SERVICE__HTTP": "127.0.0.1:0", **(changes or {})}


def run(
    *arguments: str, env: Mapping[str, str] | None = None, cwd: Path | None = None, seconds: float = 300
) -> subprocess.CompletedProcess[str]:
    """Run the program to its end, however busy the machine is."""
    return subprocess.run(
        [*PROGRAM, *arguments], env=environment(env), cwd=cwd, capture_output=True, text=True, timeout=seconds, check=False
    )


def ask(*arguments: str, cwd: Path | None = None) -> Any:
    """Run a command that answers in JSON and return the answer."""
    done = run(*arguments, "--json", cwd=cwd)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


class Daemon:
    """A daemon in a process of its own, and the lines it has logged."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process
        self.lines: list[dict[str, Any]] = []

    def wait_for(self, event: str, count: int = 1) -> dict[str, Any]:
        """Read the log until an event was written so often, and return its line."""
        assert self.process.stderr is not None
        while True:
            seen = [line for line in self.lines if line.get("event") == event]
            if len(seen) >= count:
                return seen[count - 1]
            text = self.process.stderr.readline()
            assert text, f"the daemon ended before {event}: {self.lines[-3:]}"
            self.lines.append(json.loads(text))

    def stop(self, number: signal.Signals = signal.SIGTERM, seconds: float = 12) -> int:
        """Send a signal and return the exit code."""
        self.process.send_signal(number)
        _, rest = self.process.communicate(timeout=seconds)
        self.lines += [json.loads(text) for text in rest.splitlines()]
        return self.process.returncode


@contextmanager
def daemon(*arguments: str, env: Mapping[str, str] | None = None) -> Iterator[Daemon]:
    """Start ``alchemiser run`` and kill it if it is still there in the end."""
    process = subprocess.Popen(
        [*PROGRAM, "run", *arguments], env=environment(env), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    try:
        yield Daemon(process)
    finally:
        process.kill()
        process.communicate()
