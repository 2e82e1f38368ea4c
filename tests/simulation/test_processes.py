"""Real processes, real sockets, a real disk: daemons killed with -9 behind a bad network lose nothing and double nothing."""

import asyncio
from pathlib import Path

import pytest

from tests.simulation.processes import Report, campaign
from tests.simulation.proxy import WEIGHTS

RESTARTS = 50


@pytest.mark.slow
@pytest.mark.timeout(480)
def test_fifty_restarts_behind_a_bad_network_lose_nothing(tmp_path: Path) -> None:
    """After fifty daemons were ended at random moments the books are the exchange's, to the cent and to the share fraction."""
    report = asyncio.run(campaign(1, RESTARTS, tmp_path))

    assert report.broken == [], report
    assert report.restarts == RESTARTS
    assert report.kills > RESTARTS / 2
    assert report.executions > 10
    assert set(report.struck) == set(WEIGHTS), "the network was not bad in every way"
    assert set(report.ended_as) <= {0, 5, -9, -15}, report.ended_as


def test_a_report_says_what_was_broken() -> None:
    """Its text is what a person reads after a failure."""
    assert "chain: torn" in str(Report(seed=1, broken=["chain: torn"]))
