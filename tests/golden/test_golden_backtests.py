"""Whole runs of the shipped strategies on real days: every number pinned, and reviewed against a backtest on paper.

``backtests.json`` holds the figures as they were when the paper agreed. The bars are not part of the repository; without them the tests
are skipped. ``python -m tests.golden.test_golden_backtests`` writes the file anew, after the paper tests have passed.
"""

import hashlib
import io
import json
import sys
from contextlib import redirect_stderr, redirect_stdout
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from alchemiser.cli.app import run
from alchemiser.strategies.catalog import shipped_symphony
from alchemiser.strategies.symphony.check import check_bytes
from tests.golden.slow_backtest import PLAIN, Recent, equity_of, figures_of, read_closes, slow_decisions

BARS = Path(__file__).parents[3] / "shared" / "data" / "daily"
PINNED = Path(__file__).with_name("backtests.json")
STRATEGIES = {
    "nuclear": "nuclear",
    "tecl": "tecl",
    "dual_momentum": "alchemiser.strategies.catalog.dual_momentum:DualMomentum",
    "risk_parity": "alchemiser.strategies.catalog.risk_parity:RiskParity",
}
STEP = 11
"""The slow interpreter decides every so many days: all of them would take minutes."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not BARS.is_dir(), reason="the real bars are not here"),
    pytest.mark.timeout(300),
]


def call(*arguments: str) -> tuple[int, str, str]:
    """Run a command in this process; return its exit code and what it printed."""
    out, err = io.TextIOWrapper(io.BytesIO(), encoding="utf-8"), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = run(list(arguments))
    out.seek(0)
    return code, out.read(), err.getvalue()


def document(name: str, *options: str) -> dict[str, Any]:
    """Return the JSON document of a run on the real bars."""
    code, out, err = call("backtest", "--strategy", STRATEGIES[name], "--bars", str(BARS), "--bootstrap", "200", *options, "--json")
    assert code == 0, err
    found: dict[str, Any] = json.loads(out)
    return found


def pinned_of(found: dict[str, Any]) -> dict[str, Any]:
    """Return what is pinned of a document: all of it, long lists by their ends of months, and targets by a hash."""
    dates, equity = found["dates"], found["equity"]
    ends = [place for place, day in enumerate(dates) if place + 1 == len(dates) or dates[place + 1][:7] != day[:7]]
    left_out = ("dates", "equity", "targets", "rolling", "seconds", "digest")
    kept = {key: value for key, value in found.items() if key not in left_out}
    targets = [[target["date"], {symbol: f"{weight:.9f}" for symbol, weight in target["weights"].items()}] for target in found["targets"]]
    return {
        **kept,
        "ends_of_months": {dates[place]: equity[place] for place in ends},
        "targets": len(targets),
        "targets_sha256": hashlib.sha256(json.dumps(targets).encode()).hexdigest(),
        "dates_sha256": hashlib.sha256(json.dumps(dates).encode()).hexdigest(),
    }


def compare(found: object, expected: object, where: str) -> None:
    """Compare two documents: numbers to a billionth, everything else exactly."""
    if isinstance(expected, dict):
        assert isinstance(found, dict), where
        assert sorted(found) == sorted(expected), where
        for key in expected:
            compare(found[key], expected[key], f"{where}.{key}")
    elif isinstance(expected, list):
        assert isinstance(found, list), where
        assert len(found) == len(expected), where
        for place, (one, other) in enumerate(zip(found, expected, strict=True)):
            compare(one, other, f"{where}[{place}]")
    elif isinstance(expected, float):
        assert found == pytest.approx(expected, rel=1e-9, abs=1e-9), where
    else:
        assert found == expected, where


@pytest.mark.parametrize("name", STRATEGIES)
def test_every_number_is_what_it_was(name: str) -> None:
    """Figures, falls, years, months, contributions, activity, failures, data version: nothing may change unnoticed."""
    compare(pinned_of(document(name)), json.loads(PINNED.read_text())[name], name)


@pytest.mark.parametrize("name", STRATEGIES)
def test_the_paper_has_the_same_equity_and_figures(name: str) -> None:
    """The curve and every figure that follows from it alone, from targets that were acted upon and the files read again."""
    found = document(name)
    days = [date.fromisoformat(day) for day in found["dates"]]
    symbols = sorted({symbol for target in found["targets"] for symbol in target["weights"]} | {"SPY"})
    closes = read_closes(BARS, symbols)
    targets = {date.fromisoformat(target["date"]): target["weights"] for target in found["targets"]}
    curve = equity_of(closes, days, targets, 100_000.0)

    assert found["equity"] == pytest.approx(curve, rel=1e-9)
    for figure, value in figures_of(curve, 100_000.0).items():
        assert found["metrics"][figure] == pytest.approx(value, rel=1e-9), figure


@pytest.mark.parametrize("name", ["nuclear", "tecl"])
def test_the_slow_interpreter_has_the_same_targets(name: str) -> None:
    """Every so many days, those on which nothing could be decided included: the daily symphonies trade what the slow reading says."""
    found = document(name)
    symphony = check_bytes(shipped_symphony(name))
    closes = read_closes(BARS, symphony.symbols)
    acted = {date.fromisoformat(target["date"]): target["weights"] for target in found["targets"]}
    days = [date.fromisoformat(day) for day in found["dates"]][::STEP]

    expected = slow_decisions(symphony, closes, days)
    standing: dict[str, float] = {}
    latest = iter(sorted(acted.items()))
    ahead = next(latest, None)
    for day in days:
        while ahead is not None and ahead[0] <= day:
            standing, ahead = ahead[1], next(latest, None)
        target = expected[day]
        if target is not None and day in acted:
            assert acted[day] == pytest.approx(target), day
        elif target is not None:
            assert sorted(standing) == sorted(target), f"{day}: a target that selects something else was not acted upon"
        else:
            assert day not in acted, f"{day}: there was no target to act upon"


@pytest.mark.parametrize("name", sorted(PLAIN))
def test_the_python_strategies_trade_what_they_say(name: str) -> None:
    """Written a second time in plain Python they decide the same on every single day."""
    found = document(name)
    symbols = sorted({symbol for target in found["targets"] for symbol in target["weights"]} | {"SPY", "EFA", "BIL", "AGG"})
    recent = Recent(read_closes(BARS, symbols))
    acted = {date.fromisoformat(target["date"]): target["weights"] for target in found["targets"]}
    decided = {day: PLAIN[name](recent, day) for day in (date.fromisoformat(text) for text in found["dates"])}

    assert list(acted) == [day for day, target in decided.items() if target is not None]
    for day, weights in acted.items():
        assert weights == pytest.approx(decided[day], abs=1e-12), day


@pytest.mark.parametrize("engine", ["vector", "event"])
def test_klm_cannot_decide_on_these_bars_and_says_so(engine: str) -> None:
    """Symbols of KLM have no bars here: no curve is invented, the first missing number is named, exit code 3."""
    code, out, err = call("backtest", "--strategy", "klm", "--bars", str(BARS), "--engine", engine, "--json")

    assert (code, out) == (3, "")
    assert "there is no session with a target; on the last session klm: line 7: top 1 by stdev-return(5) ranks" in err
    assert "rsi(QQQE, 10) > 79" in err
    assert "no bars of QQQE" in err


if __name__ == "__main__":
    PINNED.write_text(json.dumps({name: pinned_of(document(name)) for name in STRATEGIES}, indent=1, sort_keys=True) + "\n")
    sys.stdout.write(f"{PINNED} was written\n")
