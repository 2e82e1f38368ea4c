"""Whole days that are hard on the reconciliation: a mute stream, and a process killed in the middle of a comparison."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from tests.simulation.campaign import play, scenario_of
from tests.simulation.checker import broken_rules
from tests.simulation.faults import End, EndKind


@pytest.mark.slow
def test_a_mute_order_stream_is_a_gap_and_a_new_connection(tmp_path: Path) -> None:
    """The connection stands and pings are answered; what it owes is missed, asked for, and the day ends as it should."""
    quiet = scenario_of(16)
    assert (quiet.faults, quiet.mutes, quiet.ends) == ((), (), ())
    session = quiet.sessions[0]
    lead = timedelta(minutes=int(quiet.settings["schedule.decision"].split()[2].rstrip("m")))
    at = session.closes_at - lead
    record = play(replace(quiet, mutes=(("orders", at, at + timedelta(seconds=60)),)), tmp_path)
    silent, gaps = record.of("StreamSilent"), record.of("GapOpened")

    assert silent
    # Pacing asks about its own orders meanwhile; that the stream owes a word is seen all the same.
    assert {"orders"} == {row.event["stream"] for row in silent}
    assert timedelta(seconds=15) <= silent[0].at - at <= timedelta(seconds=30)
    assert any("it has said nothing of order" in row.event["reason"] for row in gaps)
    assert sum(len(row.event["differences"]) for row in record.of("Reconciled"))
    assert broken_rules(record) == []


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["crash at event", "crash at commit"])
@pytest.mark.parametrize("event", ["ReconciliationStarted", "Reconciled", "AccountObserved", "GapClosed", "OrderFilled"])
def test_a_comparison_is_applied_as_a_whole_or_not_at_all(tmp_path: Path, kind: EndKind, event: str) -> None:
    """Killed before its record is durable nothing was applied, killed after it all was: what follows is made up for at the next start."""
    quiet = scenario_of(16)
    session = quiet.sessions[0]
    lead = timedelta(minutes=int(quiet.settings["schedule.decision"].split()[2].rstrip("m")))
    at = session.closes_at - lead
    lost = {"kind": "lose_updates", "at": at.isoformat(), "times": 6, "skip": 3}
    drop = {"kind": "drop_stream", "stream": "orders", "at": (at + timedelta(seconds=3)).isoformat()}
    end = End(kind, 3.0, event=event, count=1 if event == "GapClosed" else 2)
    record = play(replace(quiet, sessions=quiet.sessions[:1], faults=(lost, drop), ends=(end,)), tmp_path)

    assert [life.was_killed for life in record.lives].count(True) == 1
    assert broken_rules(record) == []
