"""A campaign of seeded runs of the whole daemon against the whole exchange.

For example::

  python -m tests.simulation --seeds 1000 --jobs 2     a campaign, with progress and a summary
  python -m tests.simulation --seed 232                one seed in detail: what was thrown at it, and its journal
  python -m tests.simulation --kept --jobs 2           all kept cases again
  python -m tests.simulation --planted                 the table of the bugs put in on purpose, and which rules find them

Exit codes are 0 all rules held, 1 a rule was broken or, with --whole-menu, a line of the menu was never seen, 2 wrong usage, 130
interrupted (the summary tells how far it came).
"""

import argparse
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

import msgspec

from tests.simulation.campaign import scenario_of
from tests.simulation.faults import Scenario
from tests.simulation.hunt import hunt, table_of
from tests.simulation.items import ITEMS, items_of
from tests.simulation.kept import DIRECTORY, Case, keep, kept_cases
from tests.simulation.planted import PLANTED
from tests.simulation.runner import Outcome, commit, line_of, outcome_of, outcomes, quiet, seeds
from tests.simulation.shrink import smallest

PROGRESS_SECONDS = 10.0
SHRUNK_AT_MOST = 3
"""How many failing runs of a campaign are made small; the others are named."""

INTERRUPTED = 130


@dataclass
class Summary:
    """A campaign in numbers."""

    runs: int = 0
    days: int = 0
    daemons: int = 0
    orders: int = 0
    executions: int = 0
    events: int = 0
    seconds: float = 0.0
    planned: Counter[str] = field(default_factory=Counter)
    struck: Counter[str] = field(default_factory=Counter)
    given: Counter[str] = field(default_factory=Counter)
    happened: Counter[str] = field(default_factory=Counter)
    slowest: tuple[float, str] = (0.0, "")
    failed: dict[str, tuple[str, ...]] = field(default_factory=dict)
    traces: dict[str, str] = field(default_factory=dict)

    def add(self, outcome: Outcome) -> None:
        """Count a run."""
        self.runs += 1
        self.days += len(outcome.scenario.sessions)
        self.daemons += outcome.daemons
        self.orders += outcome.orders
        self.executions += outcome.executions
        self.events += outcome.events
        self.planned.update(outcome.scenario.kinds())
        self.struck.update(outcome.struck)
        self.given.update(items_of(outcome.scenario.seed))
        self.happened.update(outcome.happened)
        self.slowest = max(self.slowest, (outcome.seconds, outcome.name))
        self.traces[outcome.name] = outcome.trace
        if outcome.broken:
            self.failed[outcome.name] = outcome.broken

    @property
    def unseen(self) -> list[str]:
        """The lines of the menu that were seen in no run."""
        return [name for name in ITEMS if not self.happened[name]]

    def lines(self) -> Iterator[str]:
        """Yield what is to be said at the end."""
        yield f"faults by kind, struck of planned ({self.struck.total()} of {self.planned.total()}):"
        for kind in sorted(self.planned | self.struck):
            yield f"  {self.struck[kind]:6} of {self.planned[kind]:6}  {kind}"
        yield "lines of the menu of faults: runs in which they were seen, and runs that were given them for certain:"
        for name in ITEMS:
            yield f"  {self.happened[name]:6} of {self.given[name]:6}  {name}"
        yield f"never seen: {', '.join(self.unseen) or 'none'}"
        yield (
            f"{self.runs} runs, {self.days} days simulated, {self.daemons} daemons, {self.orders} orders, {self.executions} executions, "
            f"{self.events} events"
        )
        rate, (longest, name) = self.days / max(self.seconds, 0.001), self.slowest
        yield f"{self.seconds:.0f} s ({rate:.1f} days a second), the slowest was {name} with {longest:.1f} s"
        yield f"commit {commit()}, failures: {', '.join(self.failed) or 'none'}"


def main() -> int:
    """Run what was asked for and return the exit code."""
    chosen = _arguments()
    if not chosen.logs:
        quiet()
    stop = _stop_on_signals()
    if chosen.planted:
        return _hunt()
    if chosen.seed is not None:
        return _in_detail(chosen.seed, chosen.keep)
    return _campaign(chosen, stop)


def _stop_on_signals() -> threading.Event:
    """Interrupt what runs at SIGINT and SIGTERM, and return what says so: a run may swallow it, in a finalizer for instance."""
    stop = threading.Event()

    def interrupt(number: int, frame: FrameType | None) -> None:
        stop.set()
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, interrupt)
    signal.signal(signal.SIGTERM, interrupt)
    return stop


def _campaign(chosen: argparse.Namespace, stop: threading.Event) -> int:
    """Run many, and say what came of it."""
    scenarios = seeds(chosen.first, chosen.seeds)
    if chosen.kept:
        scenarios = ((name, case.scenario) for name, case in kept_cases().items())
    summary, failures = Summary(), list[Outcome]()
    is_interrupted = False
    began = time.perf_counter()
    with closing(outcomes(scenarios, jobs=chosen.jobs, keep=chosen.keep)) as running:
        try:
            for outcome in _with_progress(running, summary):
                if outcome.broken:
                    failures.append(outcome)
                    _say(outcome.story)
                    if not chosen.all:
                        break
                if stop.is_set():
                    raise KeyboardInterrupt
        except KeyboardInterrupt:
            is_interrupted = True
            _progress("interrupted: what has begun is finished")
    summary.seconds = time.perf_counter() - began
    for line in summary.lines():
        _say(line)
    if chosen.json is not None:
        chosen.json.write_bytes(msgspec.json.format(msgspec.json.encode(summary)))
    if is_interrupted:
        return INTERRUPTED
    if not chosen.kept:
        for outcome in failures[:SHRUNK_AT_MOST]:
            _say(_kept(outcome, chosen.cases))
    return 1 if failures or (chosen.whole_menu and summary.unseen) else 0


def _with_progress(running: Iterator[Outcome], summary: Summary) -> Iterator[Outcome]:
    """Count outcomes as they come, and say now and then how far the campaign is."""
    began = told = time.perf_counter()
    for outcome in running:
        summary.add(outcome)
        if time.perf_counter() - told > PROGRESS_SECONDS:
            told = time.perf_counter()
            _progress(f"{summary.runs} runs, {summary.days} days, {len(summary.failed)} failed, {told - began:.0f} s")
        yield outcome


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.simulation", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=_positive, default=100, metavar="N", help="how many seeds (default 100)")
    parser.add_argument("--from", dest="first", type=int, default=1, metavar="S", help="the first seed (default 1)")
    parser.add_argument("--jobs", type=_positive, default=1, metavar="J", help="how many processes (default 1)")
    parser.add_argument("--seed", type=int, metavar="N", help="run this one, and tell everything about it")
    parser.add_argument("--kept", action="store_true", help="run the kept cases instead of seeds")
    parser.add_argument("--planted", action="store_true", help="look for every bug that can be put in on purpose, and print a table")
    parser.add_argument("--whole-menu", action="store_true", help="fail too when a line of the menu of faults was seen in no run")
    parser.add_argument("--all", action="store_true", help="go on after a failing run")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep the journals of the runs in this directory")
    parser.add_argument(
        "--cases",
        type=Path,
        default=DIRECTORY,
        metavar="DIR",
        help="where failing runs are kept once they are small (default: the kept cases)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the summary, with the trace of each run, as JSON")
    parser.add_argument("--logs", action="store_true", help="show the daemons' own log lines (one process only)")
    return parser.parse_args()


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a number from 1 on")
    return number


def _hunt() -> int:
    """Look for every planted bug and print the table; return 1 when one was not found."""
    searches = []
    for name in PLANTED:
        searches.append(hunt(name))
        _progress(f"{name}: {searches[-1].seed}")
    for line in table_of(searches):
        _say(line)
    return 1 if any(one.seed is None for one in searches) else 0


def _in_detail(seed: int, keep_in: Path | None) -> int:
    """Run one seed and say what was thrown at it, what happened and what it broke."""
    scenario = scenario_of(seed)
    name = f"seed-{seed}"
    outcome = outcome_of(name, scenario, keep_in, is_told=True)
    _say(msgspec.json.format(msgspec.json.encode(scenario)).decode())
    for row in outcome.journal:
        _say(line_of(row))
    summary = Summary(seconds=outcome.seconds)
    summary.add(outcome)
    for line in summary.lines():
        _say(line)
    _say(f"trace {outcome.trace}")
    _say(outcome.story or "every rule held")
    return 1 if outcome.broken else 0


def _kept(outcome: Outcome, directory: Path) -> str:
    """Make a failing run small, keep it, and return what to say about it."""
    _progress(f"{outcome.name} is being made smaller")

    def still_fails(candidate: Scenario) -> bool:
        return bool(set(outcome_of(outcome.name, candidate).rules) & set(outcome.rules))

    small = smallest(outcome.scenario, still_fails)
    case = Case(story="", seed=small.seed, commit=commit(), rules=outcome.rules, scenario=small)
    path = keep(case, outcome.name, directory)
    left = small.kinds()
    return f"{outcome.name} kept in {path}: {len(small.sessions)} day(s), {len(left)} fault(s): {', '.join(left) or 'none'}"


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _progress(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
