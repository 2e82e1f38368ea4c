"""A daemon that dies in the middle of each tactic: the next one carries on or parks with a reason, and the referee finds nothing."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.simulation.campaign import play, scenario_of
from tests.simulation.checker import broken_rules
from tests.simulation.faults import End

QUIET_SEED = 16
"""A seed that throws nothing of its own."""


@pytest.mark.parametrize("is_fractional", [True, pytest.param(False, marks=pytest.mark.slow)], ids=["fractional", "whole"])
@pytest.mark.parametrize(
    "tactic",
    ["ladder", "twap", "moc", *(pytest.param(name, marks=pytest.mark.slow) for name in ("marketable_limit", "vwap", "loc"))],
)
@pytest.mark.parametrize(
    "end",
    [
        End("crash at commit", 5.0, event="OrderIntended", count=2),
        pytest.param(End("crash after effect", 30.0, event="submit", count=2), marks=pytest.mark.slow),
    ],
    ids=["intended and not sent", "sent and not heard"],
)
def test_a_crash_in_the_middle_of_a_tactic(tmp_path: Path, tactic: str, end: End, is_fractional: bool) -> None:
    """Two sessions, the first interrupted; every rule of the referee holds, and the tactic is the one that was asked for."""
    settings = {
        "schedule.decision": "close - 14m",
        "portfolio.fractional": is_fractional,
        "execution.fallback": "market",
        "execution.tactic": tactic,
    }
    scenario = replace(scenario_of(QUIET_SEED), ends=(end,), settings=settings)
    assert scenario.faults == ()

    record = play(scenario, tmp_path)

    assert broken_rules(record) == []
    assert len(record.lives) >= 3, "the daemon was killed, came back, and was followed by the last one"
    assert tactic in {row.event["tactic"] for row in record.of("OrderIntended")}
    ended = [row for row in record.journal if row.kind in ("RebalanceCompleted", "RebalanceParked")]
    assert len(ended) == len(scenario.sessions)
    for row in ended:
        assert all(outcome["state"] == "filled" or outcome["reason"] for outcome in row.event["outcomes"])
