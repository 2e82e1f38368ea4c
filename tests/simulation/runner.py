"""Many scenarios, on one process or several, and what is left of each: counts, a trace, the rules that it broke and its story.

Interrupt-safe: whoever stops asking for outcomes ends the processes; what had been begun is finished, nothing is left behind.
"""

import hashlib
import logging
import multiprocessing
import signal
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from itertools import islice
from pathlib import Path
from types import FrameType

import msgspec
import structlog

from tests.simulation.campaign import play, scenario_of
from tests.simulation.checker import broken_rules
from tests.simulation.faults import Scenario
from tests.simulation.items import happened
from tests.simulation.record import Record, Row

LAST_EVENTS = 40
LIMIT_SECONDS = 120
"""How much of a processor one scenario may take: one that takes more turns on the spot."""


class TurnsOnTheSpot(BaseException):
    """A run did not end. Not an ``Exception``, so that nobody on its way takes it for an error of his own."""


@dataclass(frozen=True)
class Outcome:
    """What is left of one run."""

    name: str
    scenario: Scenario
    broken: tuple[str, ...] = ()
    story: str = ""
    trace: str = ""
    seconds: float = 0.0
    daemons: int = 0
    orders: int = 0
    executions: int = 0
    events: int = 0
    struck: Counter[str] = field(default_factory=Counter)
    happened: tuple[str, ...] = ()
    journal: tuple[Row, ...] = ()

    @property
    def rules(self) -> tuple[str, ...]:
        """The names of the rules that were broken, without what they found."""
        return tuple(sorted({found.partition(":")[0] for found in self.broken}))


def outcomes(scenarios: Iterable[tuple[str, Scenario]], *, jobs: int = 1, keep: Path | None = None) -> Generator[Outcome, None, None]:
    """Play scenarios, each with a name, and yield the outcome of each as it is there; ``keep`` is where their journals stay."""
    if jobs == 1:
        yield from (outcome_of(name, scenario, keep) for name, scenario in scenarios)
        return
    waiting, running = iter(scenarios), set[Future[Outcome]]()
    # Spawned and not forked: each process has its own seed of hashes, which no outcome may depend on.
    pool = ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn"), initializer=_deaf_and_quiet)
    try:
        while True:
            for name, scenario in islice(waiting, 2 * jobs - len(running)):
                running.add(pool.submit(outcome_of, name, scenario, keep))
            if not running:
                return
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                yield future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def outcome_of(name: str, scenario: Scenario, keep: Path | None = None, *, is_told: bool = False) -> Outcome:
    """Play one scenario and judge it; the outcome holds its journal only when ``is_told``.

    A run that raises, or does not end, is an outcome too: a broken one.
    """
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix=f"{name}-") as temporary:
        directory = Path(temporary)
        if keep is not None:
            directory = keep / name
            directory.mkdir(parents=True)
        try:
            with time_limit(LIMIT_SECONDS):
                record = play(scenario, directory)
        except (Exception, TurnsOnTheSpot) as error:  # noqa: BLE001 - the campaign goes on, and tells
            found = f"run: {type(error).__name__}: {error}"
            return Outcome(name, scenario, (found,), f"{name} at commit {commit()}\n  BROKEN {found}", seconds=time.perf_counter() - began)
    broken = tuple(broken_rules(record))
    return Outcome(
        name=name,
        scenario=scenario,
        broken=broken,
        story=story_of_failure(name, scenario, record, broken) if broken else "",
        trace=trace_of(record),
        seconds=time.perf_counter() - began,
        daemons=len(record.lives),
        orders=len(record.orders),
        executions=len(record.activities),
        events=len(record.journal),
        struck=Counter(record.struck),
        happened=happened(record),
        journal=tuple(record.journal) if is_told else (),
    )


def seeds(first: int, number: int) -> Iterator[tuple[str, Scenario]]:
    """Yield the scenarios of so many seeds, each with its name."""
    return ((f"seed-{seed}", scenario_of(seed)) for seed in range(first, first + number))


def trace_of(record: Record) -> str:
    """Return a digest of everything that was said on the wire and written down; random keys and ports leave none in it."""
    digest = hashlib.sha256()
    for row in record.journal:
        digest.update(msgspec.json.encode([row.sequence, row.kind, row.at, row.event]))
    for entry in record.log:
        digest.update(msgspec.json.encode(entry))
    return digest.hexdigest()


@cache
def commit() -> str:
    """Return the commit of the tree, with a ``+`` when it has changed since; ``unknown`` outside of a repository."""

    def asked(*words: str) -> str:
        return subprocess.run(["git", *words], capture_output=True, text=True, check=False, cwd=Path(__file__).parent).stdout.strip()

    known = asked("rev-parse", "--short", "HEAD")
    return f"{known}{'+' if asked('status', '--porcelain', '--untracked-files=no') else ''}" if known else "unknown"


def story_of_failure(name: str, scenario: Scenario, record: Record, found: Iterable[str]) -> str:
    """Return what is needed to understand a failing run: the rules, the scenario, the commit, the last events."""
    lines = [f"{name} at commit {commit()}", *(f"  BROKEN {rule}" for rule in found)]
    lines += [f"  fault {fault}" for fault in scenario.faults]
    lines += [f"  {other}" for other in (*scenario.pins, *scenario.mutes, *scenario.deeds, *scenario.ends)]
    lines += [f"  strategies {scenario.strategies}, settings {scenario.settings}"]
    lines += [f"  daemon {life}" for life in record.lives]
    lines += [line_of(row) for row in record.journal[-LAST_EVENTS:]]
    return "\n".join(lines)


def line_of(row: Row) -> str:
    """Return a row of the journal in a line."""
    event = {key: value for key, value in row.event.items() if key not in ("type", "at")}
    event = event.get("report") or event.get("fill") or event.get("order") or event
    told = " ".join(f"{key}={event[key]}" for key in _TOLD if event.get(key) is not None)
    return f"    {row.at:%d %H:%M:%S.%f} {row.sequence} {row.kind} {told or str(event)}"[:200]


def quiet() -> None:
    """Keep the daemons' own log lines to themselves."""
    logging.disable(logging.CRITICAL)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))


def _deaf_and_quiet() -> None:
    """Prepare a process of the pool: an interrupt is for the one that asks, which lets this one finish."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    quiet()


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise :class:`TurnsOnTheSpot` when the block takes more of a processor; on the main thread of a process.

    Its own time counts, not that of the clock on the wall: who turns on the spot uses it, and who has to share a busy machine does not.
    """

    def ring(number: int, frame: FrameType | None) -> None:
        raise TurnsOnTheSpot(f"the run did not end within {seconds:g} s of a processor")

    before: Callable[..., object] | int | None = signal.signal(signal.SIGPROF, ring)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


_TOLD = (
    "client_order_id",
    "event",
    "status",
    "state",
    "side",
    "quantity",
    "limit_price",
    "price",
    "cumulative_quantity",
    "rebalance_id",
    "stream",
    "symbol",
    "reason",
    "differences",
    "error",
)
