"""The dangerous modules, and that each is covered whole, every branch, by test files of its own.

    python -m tests.dangerous            measures each, prints a table, exits with 1 when one is not
    python -m tests.dangerous gate tail  those whose path has one of these words

What a mistake in them costs is money or trust: whether an order may leave, what is held, what is known after a crash. That some day of the
simulation reaches a line is not enough for them: somebody has written down what it is for, next to it.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
UNIT = "tests/unit"

SETTINGS = """[run]
branch = True
concurrency = thread
data_file = {data}
include ={modules}
"""
"""Only the modules themselves are measured: the measuring costs more than the tests."""

DANGEROUS: Mapping[str, Sequence[str]] = {
    "domain/orders.py": (f"{UNIT}/domain/test_orders.py", f"{UNIT}/domain/test_order_sequences.py"),
    "domain/trading.py": (f"{UNIT}/domain/test_trading.py",),
    "execution/gate.py": (f"{UNIT}/execution/test_gate.py",),
    "execution/gaps.py": (f"{UNIT}/execution/test_gaps.py",),
    "execution/kill.py": (f"{UNIT}/execution/test_kill.py",),
    "execution/missed_fills.py": (f"{UNIT}/execution/test_missed_fills.py",),
    "execution/older_copy.py": (f"{UNIT}/execution/test_older_copy.py",),
    "execution/order_states.py": (
        f"{UNIT}/execution/test_order_states.py",
        f"{UNIT}/execution/test_order_state_sequences.py",
        f"{UNIT}/execution/test_ahead.py",
    ),
    "execution/reconciliation.py": ("tests/reconciliation/test_kernels.py",),
    "journal/archive.py": (f"{UNIT}/journal/test_archive.py", f"{UNIT}/journal/test_compaction.py"),
    "journal/compaction.py": (f"{UNIT}/journal/test_compaction.py",),
    "journal/format.py": (f"{UNIT}/journal/test_format.py", f"{UNIT}/journal/test_journal.py"),
    "journal/log.py": (f"{UNIT}/journal/test_log.py",),
    "journal/reader.py": (
        f"{UNIT}/journal/test_journal.py",
        f"{UNIT}/journal/test_verify.py",
        f"{UNIT}/journal/test_tail.py",
        f"{UNIT}/journal/test_migrate.py",
        f"{UNIT}/journal/test_archive.py",
    ),
    "journal/replay.py": (f"{UNIT}/journal/test_replay.py",),
    "journal/tail.py": (f"{UNIT}/journal/test_tail.py",),
    "journal/threaded.py": (
        f"{UNIT}/journal/test_threaded.py",
        f"{UNIT}/journal/test_threaded_by_steps.py",
        f"{UNIT}/journal/test_promptness.py",
    ),
    "portfolio/ledger.py": (f"{UNIT}/portfolio",),
    "portfolio/lots.py": (f"{UNIT}/portfolio",),
    "risk/checks.py": (f"{UNIT}/risk/test_checks.py",),
    "risk/guard_state.py": (f"{UNIT}/risk/test_guard_state.py",),
    "risk/guards.py": (f"{UNIT}/risk/test_guards.py",),
    "risk/handler.py": (f"{UNIT}/risk/test_guard_keeper.py",),
    "risk/readings.py": (f"{UNIT}/risk/test_guards.py",),
    "risk/state.py": (f"{UNIT}/risk/test_state.py",),
    "service/kill_record.py": (f"{UNIT}/service/test_kill_switch.py",),
    "service/kill_sales.py": (f"{UNIT}/service/test_kill_switch.py",),
    "service/kill_switch.py": (f"{UNIT}/service/test_kill_switch.py",),
    "service/recovery.py": (f"{UNIT}/service/test_recovery.py",),
    "service/staircase.py": (f"{UNIT}/service/test_staircase.py",),
    "service/state.py": (f"{UNIT}/service/test_state.py",),
    "service/stopping.py": (f"{UNIT}/service/test_stopping.py",),
}
"""Each module with the tests that are its own."""


def uncovered(modules: Sequence[str], tests: Sequence[str]) -> Mapping[str, Sequence[str]]:
    """Run the tests that these modules share; return the lines and branches of each that none reaches, and what fails of all of them."""
    with tempfile.TemporaryDirectory() as directory:
        settings, report = Path(directory) / "settings", Path(directory) / "report.json"
        measured = "".join(f"\n    alchemiser/{module}" for module in modules)
        settings.write_text(SETTINGS.format(data=Path(directory) / "data", modules=measured))
        coverage = (sys.executable, "-m", "coverage")
        run = (*coverage, "run", f"--rcfile={settings}", "-m", "pytest")
        # Of the plugins, those that no unit test asks for only cost their start.
        tried = _called(*run, "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-p", "no:schemathesis", "-m", "not slow", *tests)
        if tried.returncode:
            return dict.fromkeys(modules, (f"its tests fail: {tried.stdout[-2_000:]}",))
        _called(*coverage, "json", f"--rcfile={settings}", "-q", "-o", str(report))
        found = json.loads(report.read_text())["files"]
    return {module: _missing(found[f"alchemiser/{module}"]) for module in modules}


def by_tests(chosen: Sequence[str]) -> Mapping[Sequence[str], Sequence[str]]:
    """Return the modules of each list of tests: what shares its tests is measured in one run of them."""
    modules: dict[Sequence[str], list[str]] = {}
    for module in chosen:
        modules.setdefault(DANGEROUS[module], []).append(module)
    return modules


def _missing(measured: Mapping[str, Any]) -> list[str]:
    lines = [f"line {number}" for number in measured["missing_lines"]]
    branches = [f"from {begin} to {end if end > 0 else 'the end'}" for begin, end in measured["missing_branches"]]
    return [*lines, *branches]


def _called(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)


def main(wanted: Sequence[str]) -> int:
    """Measure the modules, several at once, and print the table."""
    modules = by_tests([module for module in DANGEROUS if not wanted or any(word in module for word in wanted)])
    failed = False
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for found in pool.map(uncovered, modules.values(), modules.keys()):
            for module, missing in found.items():
                failed = failed or bool(missing)
                sys.stdout.write(f"{module:30} {', '.join(missing) or 'every line, every branch'}\n")
            sys.stdout.flush()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
