"""``python -m tests.simulation --seeds 100 --from 1``: a campaign of seeded runs, with progress, and each failing seed in full."""

import argparse
import logging
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import structlog

from tests.simulation.campaign import play, scenario_of
from tests.simulation.checker import Record, Row, broken_rules

LAST_EVENTS = 40


def main() -> int:
    """Run the campaign; return 1 when a seed failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=100, help="how many seeds")
    parser.add_argument("--from", dest="first", type=int, default=1, help="the first seed")
    parser.add_argument("--keep", type=Path, help="directory that keeps the journals of the runs")
    parser.add_argument("--logs", action="store_true", help="show the daemons' own log lines")
    parser.add_argument("--all", action="store_true", help="go on after a failing seed")
    chosen = parser.parse_args()
    if not chosen.logs:
        logging.disable(logging.CRITICAL)
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    began, kinds, days, lives, failed = time.perf_counter(), Counter[str](), 0, 0, list[int]()
    for seed in range(chosen.first, chosen.first + chosen.seeds):
        with tempfile.TemporaryDirectory(prefix=f"seed-{seed}-") as temporary:
            directory = Path(temporary)
            if chosen.keep:
                directory = chosen.keep / str(seed)
                directory.mkdir(parents=True)
            scenario = scenario_of(seed)
            record = play(scenario, directory)
        kinds.update(scenario.kinds())
        days += len(scenario.sessions)
        lives += len(record.lives)
        found = broken_rules(record)
        if found:
            failed.append(seed)
            _say(story_of_failure(seed, record, found))
            if not chosen.all:
                break
        if (seed - chosen.first + 1) % 20 == 0:
            sys.stderr.write(f"{seed - chosen.first + 1} seeds, {time.perf_counter() - began:.0f} s\n")
    _say(f"{days} days, {lives} daemons, {time.perf_counter() - began:.0f} s, failed seeds: {failed or 'none'}")
    for kind, times in sorted(kinds.items()):
        _say(f"  {times:5} {kind}")
    return 1 if failed else 0


def story_of_failure(seed: int, record: Record, found: list[str]) -> str:
    """Return what is needed to understand a failing seed: the rules, the scenario, the commit, the last events."""
    scenario = scenario_of(seed)
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False).stdout.strip()
    lines = [f"SEED {seed} at commit {commit or 'unknown'}", *(f"  BROKEN {rule}" for rule in found)]
    lines += [f"  fault {fault}" for fault in scenario.faults]
    lines += [f"  {other}" for other in (*scenario.pins, *scenario.mutes, *scenario.ends)]
    lines += [f"  strategies {scenario.strategies}, settings {scenario.settings}"]
    lines += [f"  daemon {life}" for life in record.lives]
    lines += [_line(row) for row in record.journal[-LAST_EVENTS:]]
    return "\n".join(lines)


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _line(row: Row) -> str:
    event = {key: value for key, value in row.event.items() if key not in ("type", "at")}
    event = event.get("report") or event.get("fill") or event.get("order") or event
    told = " ".join(f"{key}={event[key]}" for key in _TOLD if event.get(key) is not None)
    return f"    {row.at:%d %H:%M:%S.%f} {row.sequence} {row.kind} {told or str(event)}"[:200]


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


if __name__ == "__main__":
    sys.exit(main())
