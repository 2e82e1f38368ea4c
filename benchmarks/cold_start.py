"""Cold start to ready and memory of the idle daemon, against the least that could be done with Alpaca's own library.

- Ours: ``alchemiser run --paper`` against an ``alchemiser exchange`` in another process, until ``/readyz`` answers 200: settings, journal,
  recovery, account, calendar, history, both streams authorised and subscribed.
- Peer: an aiohttp server that imports alpaca-py's ``TradingClient``, ``TradingStream`` and ``StockDataStream`` and answers ``/readyz``.
  It connects to nothing.

Both sides are started as new processes, in turn, with their bytecode compiled beforehand as an installation has it (in a directory of the
benchmark's own) and their files read before. A start ends when ``/readyz`` has answered 200; it is asked when the process has announced
itself in its output, not again and again, which would take time from the one that is asked. Beside the time stands the CPU time that the
process has taken by then, the better witness on a machine that is not quiet. Memory is the resident set after the process has been idle for
a while; the daemon keeps receiving quotes meanwhile. For orientation: a bare interpreter that imports aiohttp, the floor of both.

``python benchmarks/cold_start.py`` prints a table and exits with 1 when a target is missed, with 0 when the peer is not installed.
"""

import http.client
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from threading import Timer
from typing import NamedTuple

from measure import Spread, environment, spread_of

TARGET = 2.0
"""How many times faster and leaner than the peer the daemon must be."""

REPEATS = 9
WARM_UPS = 1
IDLE_SECONDS = 3.0
DEADLINE_SECONDS = 60.0

PEER = """
import sys
from functools import partial
from aiohttp import web
from alpaca.data.live import StockDataStream
from alpaca.trading.client import TradingClient
from alpaca.trading.stream import TradingStream

async def readyz(request):
    return web.json_response({"ready": True})

app = web.Application()
app.router.add_get("/readyz", readyz)
web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=partial(print, flush=True))
"""

FLOOR = """
import sys
from functools import partial
from aiohttp import web

async def readyz(request):
    return web.json_response({"ready": True})

app = web.Application()
app.router.add_get("/readyz", readyz)
web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=partial(print, flush=True))
"""

READY = {"daemon": b'"recovery_completed"', "peer": b"Running on", "aiohttp alone": b"Running on"}
"""What each side says when it is ready."""


class Start(NamedTuple):
    """One start: seconds until ready, CPU seconds until then, and resident memory when idle, in megabytes."""

    seconds: float
    cpu_seconds: float
    megabytes: float


def free_port() -> int:
    """Return a port that was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def is_ready(port: int) -> bool:
    """Return whether ``/readyz`` answers 200."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1.0)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def resident_megabytes(pid: int) -> float:
    """Return the resident set of a process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"process {pid} has no resident set")


def cpu_seconds(pid: int) -> float:
    """Return the CPU time that the threads of a process have taken."""
    return sum(int((task / "schedstat").read_text().split()[0]) for task in Path(f"/proc/{pid}/task").iterdir()) / 1e9


def start(command: Sequence[str], port: int, environ: dict[str, str], announcement: bytes) -> Start:
    """Start a process, wait until it is ready, let it idle, look at its memory and stop it."""
    began = time.perf_counter()
    process = subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    too_late = Timer(DEADLINE_SECONDS, process.kill)
    too_late.start()
    said: list[bytes] = []
    try:
        while not (announcement in b"".join(said) and is_ready(port)):
            said.append(_line_of(process, said))
        seconds, used = time.perf_counter() - began, cpu_seconds(process.pid)
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=IDLE_SECONDS)
        if not is_ready(port):
            raise RuntimeError(f"{command[:4]} was ready and is not any more")
        return Start(seconds, used, resident_megabytes(process.pid))
    finally:
        too_late.cancel()
        process.terminate()
        process.communicate(timeout=30)


def _line_of(process: subprocess.Popen[bytes], said: Sequence[bytes]) -> bytes:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        text = b"".join(said).decode(errors="replace")
        raise RuntimeError(f"{process.args!r} did not become ready:\n{text[-4000:]}")
    return line


@contextmanager
def exchange(environ: dict[str, str]) -> Iterator[dict[str, str]]:
    """Run an embedded exchange in a process of its own and yield its addresses and credentials."""
    process = subprocess.Popen(
        [sys.executable, "-m", "alchemiser", "exchange", "--speed", "1"], env=environ, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise RuntimeError("the exchange did not start; what it said is above")
        yield json.loads(line)
    finally:
        process.terminate()
        process.wait(timeout=30)


def daemon_environ(base: dict[str, str], venue: dict[str, str], port: int) -> dict[str, str]:
    """Return the environment that points a daemon at this exchange."""
    return base | {
        "APCA_API_KEY_ID": venue["key_id"],
        "APCA_API_SECRET_KEY": venue["secret_key"],
        "ALCHEMISER_ALPACA__TRADING_URL": venue["rest"],
        "ALCHEMISER_ALPACA__DATA_URL": venue["rest"],
        "ALCHEMISER_ALPACA__TRADING_STREAM_URL": venue["trading_stream"],
        "ALCHEMISER_ALPACA__DATA_STREAM_URL": venue["data_stream"],
        "ALCHEMISER_SERVICE__HTTP": f"127.0.0.1:{port}",
    }


class Running(NamedTuple):
    """A daemon that is ready: its process, and the port of its door."""

    process: subprocess.Popen[bytes]
    port: int

    @property
    def pid(self) -> int:
        """The id of the process."""
        return self.process.pid

    def leave_alone(self, seconds: float) -> None:
        """Let so many seconds pass. Raises ``RuntimeError`` when the daemon ends meanwhile: what is measured then is not a daemon."""
        with suppress(subprocess.TimeoutExpired):
            raise RuntimeError(f"the daemon ended with {self.process.wait(timeout=seconds)} while it was measured")


@contextmanager
def daemon(directory: Path, environ: dict[str, str], venue: dict[str, str]) -> Iterator[Running]:
    """Run a daemon that trades at this exchange; yield it when it is ready, and stop it."""
    port, log = free_port(), directory / "log"
    command = [sys.executable, "-m", "alchemiser", "run", "--paper", "--state", str(directory / "state")]
    ours = daemon_environ(environ, venue, port)
    with log.open("wb") as output, subprocess.Popen(command, env=ours, stdout=output, stderr=output) as process:
        try:
            asked = [sys.executable, "-m", "alchemiser", "health", "--wait", str(DEADLINE_SECONDS), "--state", str(directory / "state")]
            if subprocess.run(asked, env=ours, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode:
                raise RuntimeError(f"the daemon did not become ready:\n{log.read_text()[-4000:]}")
            yield Running(process, port)
        finally:
            process.terminate()
            process.wait(timeout=30)


def clean_environ() -> dict[str, str]:
    """Return the environment without settings of whoever runs the benchmark."""
    return {key: value for key, value in os.environ.items() if not key.startswith(("ALCHEMISER", "APCA", "PYTHONDONTWRITE"))}


def measure(directory: Path) -> dict[str, list[Start]]:
    """Start every side in turn and return what was measured."""
    environ = clean_environ()
    environ["PYTHONPYCACHEPREFIX"] = str(directory / "bytecode")
    sides = ["daemon", "aiohttp alone", *(["peer"] if find_spec("alpaca") else [])]
    starts: dict[str, list[Start]] = {side: [] for side in sides}
    with exchange(environ) as venue:
        for turn in range(WARM_UPS + REPEATS):
            for side in sides:
                port = free_port()
                if side == "daemon":
                    command = [sys.executable, "-m", "alchemiser", "run", "--paper", "--state", str(directory / f"state-{turn}")]
                    found = start(command, port, daemon_environ(environ, venue, port), READY[side])
                else:
                    program = PEER if side == "peer" else FLOOR
                    found = start([sys.executable, "-c", program, str(port)], port, environ, READY[side])
                if turn >= WARM_UPS:
                    starts[side].append(found)
    return starts


def main() -> int:
    """Measure, print and judge."""
    packages = ["aiohttp", "pydantic", "numpy", *(["alpaca-py", "pandas"] if find_spec("alpaca") else [])]
    print(environment(*packages))
    with tempfile.TemporaryDirectory() as directory:
        starts = measure(Path(directory))
    seconds = {side: spread_of([found.seconds * 1000 for found in founds]) for side, founds in starts.items()}
    megabytes = {side: spread_of([found.megabytes for found in founds]) for side, founds in starts.items()}
    cpu = {side: spread_of([found.cpu_seconds * 1000 for found in founds]) for side, founds in starts.items()}
    print(f"{'':16} {'ms to ready':>28}   {'ms of CPU to ready':>28}   {'MB resident when idle':>28}")
    for side in starts:
        print(f"{side:16} {seconds[side]!s:>28}   {cpu[side]!s:>28}   {megabytes[side]!s:>28}")
    if "peer" not in starts:
        print("alpaca-py is not installed (extra bench): nothing to compare with")
        return 0
    print(f"{cpu['peer'].median / cpu['daemon'].median:5.2f} times less CPU than the peer")
    verdicts = [_judge("faster", seconds), _judge("leaner", megabytes)]
    return 0 if all(verdicts) else 1


def _judge(word: str, spreads: dict[str, Spread]) -> bool:
    ratio = spreads["peer"].median / spreads["daemon"].median
    print(f"{ratio:5.2f} times {word} than the peer; target {TARGET:g}: {'met' if ratio >= TARGET else 'MISSED'}")
    return ratio >= TARGET


if __name__ == "__main__":
    sys.exit(main())
