"""Seeded runs of the whole daemon and the whole exchange: the rules hold under faults, kills and restarts, and the referee can say no.

The campaign of hundreds of seeds is a stage of its own: ``python -m tests.simulation --seeds 320 --jobs 2``.
"""

from pathlib import Path

import pytest

from tests.simulation.campaign import play, scenario_of
from tests.simulation.checker import broken_rules
from tests.simulation.kept import kept_cases
from tests.simulation.planted import PLANTED

QUICK = (16, 2, 4, 6, 9)
"""A handful for every run of the tests; the first of them has no faults at all."""

SEEDS_PER_PLANT = 30
"""Within so many seeds each planted bug is found."""

FIRST_FOR_PLANT = {"missed_cut_off": 214, "deaf_recovery": 225}
"""Where the search begins for bugs that take a rare combination; all are found within the first thousand."""


@pytest.mark.parametrize("seed", QUICK)
def test_a_run_breaks_no_rule(tmp_path: Path, seed: int) -> None:
    """Whatever the seed throws at it, nothing is lost, doubled, sent at the wrong time or left open."""
    assert broken_rules(play(scenario_of(seed), tmp_path)) == []


def test_the_record_of_a_run_is_not_empty(tmp_path: Path) -> None:
    """The rules were judged by something: orders, executions and bookings, sells among them."""
    record = play(scenario_of(16), tmp_path)

    assert len(record.of("FillBooked")) == len(record.activities) > 5
    assert {order["side"] for order in record.orders} == {"buy", "sell"}
    assert len(record.of("RebalanceCompleted")) == len(record.sessions)


@pytest.mark.parametrize("name", kept_cases())
def test_a_kept_case_breaks_no_rule(tmp_path: Path, name: str) -> None:
    """What was found once stays found."""
    case = kept_cases()[name]
    assert case.story, f"{name} does not say what it was"
    assert broken_rules(play(case.scenario, tmp_path)) == [], case.story


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.parametrize("name", sorted(PLANTED))
def test_a_planted_bug_is_found(tmp_path: Path, name: str) -> None:
    """Each bug that was put in on purpose breaks a rule within a bounded number of seeds."""
    first = FIRST_FOR_PLANT.get(name, 1)
    with PLANTED[name]():
        found = (broken_rules(play(scenario_of(seed), _made(tmp_path, seed))) for seed in range(first, first + SEEDS_PER_PLANT))
        assert any(found), f"{name} was not found within {SEEDS_PER_PLANT} seeds: the referee is weak"


def _made(directory: Path, seed: int) -> Path:
    """Return a directory of its own for a seed."""
    own = directory / str(seed)
    own.mkdir()
    return own
