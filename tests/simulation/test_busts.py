"""Executions that the exchange takes back or corrects, through the whole daemon: at work, after the close, while nobody is there."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from alchemiser.market.calendar import TradingCalendar
from tests.simulation.campaign import play, scenario_of
from tests.simulation.checker import broken_rules
from tests.simulation.faults import End, Scenario
from tests.simulation.items import FIRST_SESSION

QUIET = scenario_of(16)
"""Two days without a fault."""

DAY = 24 * 60 * 60
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
    "broken while its shares are being sold": (with_faults({"kind": "bust", "seconds": DAY + 30, "times": 6}), ["trade_bust"] * 6),
    "broken when its shares have been sold": (with_faults({"kind": "bust", "seconds": DAY + 300, "times": 6}), ["trade_bust"] * 6),
    "told twice": (with_faults({"kind": "bust", "seconds": 60}, {"kind": "duplicate_updates", "times": 400}), ["trade_bust"]),
}


QUICK = ("broken after the close", "corrected while the daemon is away")
"""The two that every run of the tests plays; the others are for the second stage."""


@pytest.mark.parametrize("name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in CASES])
def test_the_books_follow_the_exchange(tmp_path: Path, name: str) -> None:
    """Taken back once, by whichever road it came; afterwards books and exchange agree, and a replay gives the same state."""
    scenario, reasons = CASES[name]
    record = play(scenario, tmp_path)

    assert [row.event["reason"] for row in record.of("FillBroken")] == reasons
    assert broken_rules(record) == []
    assert record.of("LedgerCompared")[-1].event["differences"] == []
    found = [one["code"] for row in record.of("Reconciled") for one in row.event["differences"]]
    assert ("fill_broken" in found) == ("away" in name)


@pytest.mark.slow
def test_what_is_owed_is_bought_back_by_the_next_decision(tmp_path: Path) -> None:
    """Purchases are taken back after their shares were sold: books and exchange are short alike until the strategy decides again."""
    days = TradingCalendar.new_york().sessions(FIRST_SESSION, FIRST_SESSION + timedelta(days=10))[:3]
    record = play(replace(with_faults({"kind": "bust", "seconds": DAY + 300, "times": 6}), sessions=tuple(days)), tmp_path)

    owed = [one for row in record.of("Reconciled") for one in row.event["differences"] if one["code"] == "position_owed"]
    assert {one["subject"] for one in owed} == {"FFZ", "HHY"}
    assert all(one["ours"] == one["theirs"] for one in owed)
    adjusted = [one["subject"] for row in record.of("RebalancePlanned") for one in row.event["adjustments"] if one["code"] == "owed_first"]
    assert adjusted == ["FFZ", "HHY"]
    assert all(Decimal(position["qty"]) > 0 for position in record.positions)
    assert len(record.of("RebalanceCompleted")) == len(days)
    assert broken_rules(record) == []
