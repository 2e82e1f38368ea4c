"""A whole day whose order stream goes mute in the middle of a rebalance: it is noticed, and nothing is lost or doubled."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from tests.simulation.campaign import play, scenario_of
from tests.simulation.checker import broken_rules


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
    assert {"orders"} == {row.event["stream"] for row in silent}
    assert timedelta(seconds=15) <= silent[0].at - at <= timedelta(seconds=30)
    assert any("it has said nothing of order" in row.event["reason"] for row in gaps)
    assert sum(len(row.event["differences"]) for row in record.of("Reconciled"))
    assert broken_rules(record) == []
