"""A sweep as a real process: killed and called again, and on a Dask cluster of processes."""

import json
import os
import re
import select
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.component.processes import PROGRAM, environment, run
from tests.unit.cli.test_signals_check_backtest import sessions
from tests.unit.strategies.test_variants import ALL_FORMS, SYMBOLS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

VARY = ("--vary", "3:threshold=30..69:1", "--vary", "4:window=4..13:1")
VARIANTS = 400


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with bars and a symphony."""
    random = np.random.default_rng(11)
    days = sessions(900)
    (tmp_path / "bars").mkdir()
    for symbol in SYMBOLS:
        closes = 100 * np.cumprod(1 + random.normal(0, 0.01, len(days)))
        rows = [f"{day},{close}" for day, close in zip(days, closes.tolist(), strict=True)]
        (tmp_path / "bars" / f"{symbol}.csv").write_text("\n".join(["date,close", *rows, ""]))
    (tmp_path / "own.clj").write_text(ALL_FORMS)
    return tmp_path


def sweep(place: Path, *more: str, vary: tuple[str, ...] = VARY) -> Any:
    """Run a sweep to its end and return its answer."""
    done = run("sweep", "--strategy", "own.clj", "--bars", "bars", *vary, *more, "--json", cwd=place)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_sweep_that_was_killed_goes_on(place: Path) -> None:
    """Killed with some of its variants written: the next call evaluates the others only, and no worker outlives its parent."""
    command = [*PROGRAM, "sweep", "--strategy", "own.clj", "--bars", "bars", *VARY, "--results", "s.db", "--json"]
    with subprocess.Popen(command, env=environment(), cwd=place, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert re.fullmatch(rf"\d+/{VARIANTS} variants\n", process.stderr.readline())
        children = [os.pidfd_open(child) for child in _children_of(process.pid)]
        process.send_signal(signal.SIGKILL)
    written = _count(place / "s.db")
    assert 0 < written < VARIANTS

    again = sweep(place, "--results", "s.db")
    assert (again["variants"], again["evaluated"]) == (VARIANTS, VARIANTS - written)
    whole = sweep(place, "--results", "other.db")
    assert whole["ranked"] == again["ranked"]
    for child in children:
        assert _has_ended(child)
        os.close(child)


def test_a_cluster_gives_the_same_results(place: Path) -> None:
    """A scheduler and two workers as processes: the same figures as here, and the same file."""
    pytest.importorskip("distributed", reason="the extra dask is not installed")
    vary = ("--vary", "3:threshold=40..60:2", "--vary", "4:window=4,8")
    here = sweep(place, "--results", "here.db", "--workers", "1", vary=vary)
    with _cluster() as address:
        there = sweep(place, "--results", "there.db", "--cluster", address, vary=vary)
    for answer in (here, there):
        answer.pop("seconds")
        answer.pop("results")

    assert here == there
    done = run("sweep", "--strategy", "own.clj", "--bars", "bars", *vary, "--cluster", "tcp://127.0.0.1:1", "--results", "x.db", cwd=place)
    assert (done.returncode, "the scheduler cannot be reached" in done.stderr) == (3, True)


def _count(path: Path) -> int:
    if not path.exists():
        return 0
    connection = sqlite3.connect(path, timeout=5)
    try:
        return int(connection.execute("SELECT count(*) FROM variants").fetchone()[0])
    except sqlite3.OperationalError:
        return 0  # not made yet
    finally:
        connection.close()


def _children_of(parent: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]


def _has_ended(descriptor: int) -> bool:
    """Return whether a process ends within a moment."""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(10_000))


@contextmanager
def _cluster() -> Iterator[str]:
    # nothing of the dashboard: it needs packages that the extra does not bring
    scheduler = _start("distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard")
    workers = []
    try:
        assert scheduler.stderr is not None
        address = next(found[0] for line in scheduler.stderr if (found := re.search(r"tcp://127\.0\.0\.1:\d+", line)))
        workers = [_start("distributed.cli.dask_worker", address, "--nthreads", "1", "--no-nanny", "--no-dashboard") for _ in range(2)]
        code = (
            f"import distributed; c = distributed.Client({address!r}, set_as_default=False); c.wait_for_workers(2, timeout=40); c.close()"
        )
        subprocess.run([sys.executable, "-c", code], env=environment(), check=True, timeout=50, capture_output=True)
        yield address
    finally:
        for process in (*workers, scheduler):
            process.kill()
            process.communicate()


def _start(module: str, *arguments: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.Popen(command, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
