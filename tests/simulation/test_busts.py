"""Executions that the exchange takes back or corrects, through the whole daemon: at work, after the close, while nobody is there."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.simulation.campaign import play, scenario_of
from tests.simulation.checker import broken_rules
from tests.simulation.faults import End, Scenario

QUIET = scenario_of(16)
"""Two days without a fault."""

CLOSE = QUIET.sessions[0].closes_at
AWAY = (End("crash", 900.0, at=CLOSE + timedelta(minutes=5)),)


def with_faults(*faults: dict[str, Any], ends: tuple[End, ...] = ()) -> Scenario:
    """Return the quiet days with these faults of the exchange."""
    return replace(QUIET, faults=faults, ends=ends)


CASES: dict[str, tuple[Scenario, list[str]]] = {
    "broken while orders are at work": (with_faults({"kind": "bust", "seconds": 20}), ["trade_bust"]),
    "broken after the close": (with_faults({"kind": "bust", "seconds": 1200}), ["trade_bust"]),
    "corrected": (with_faults({"kind": "correct", "by": "0.05", "seconds": 5}), ["trade_correct"]),
    "broken while the daemon is away": (with_faults({"kind": "bust", "seconds": 1200}, ends=AWAY), ["trade_bust"]),
    "corrected while the daemon is away": (with_faults({"kind": "correct", "by": "0.05", "seconds": 1200}, ends=AWAY), ["trade_correct"]),
    "told twice": (with_faults({"kind": "bust", "seconds": 60}, {"kind": "duplicate_updates", "times": 400}), ["trade_bust"]),
}


@pytest.mark.parametrize("name", CASES)
def test_the_books_follow_the_exchange(tmp_path: Path, name: str) -> None:
    """Taken back once, by whichever road it came; afterwards books and exchange agree, and a replay gives the same state."""
    scenario, reasons = CASES[name]
    record = play(scenario, tmp_path)

    assert [row.event["reason"] for row in record.of("FillBroken")] == reasons
    assert broken_rules(record) == []
    assert record.of("LedgerCompared")[-1].event["differences"] == []
    found = [one["code"] for row in record.of("Reconciled") for one in row.event["differences"]]
    assert ("fill_broken" in found) == ("away" in name)
