"""Seeded runs of the whole daemon and the whole exchange: the rules hold under faults, kills and restarts, and the referee can say no.

The campaign of hundreds of seeds is a stage of its own: ``python -m tests.simulation --seeds 160 --jobs 2``.
"""

from collections import Counter
from pathlib import Path

import pytest

from tests.simulation.campaign import play, scenario_of
from tests.simulation.checker import RULES, broken_rules
from tests.simulation.hunt import Found, hunt, seeds_for, table_of
from tests.simulation.items import ITEMS, items_of
from tests.simulation.kept import kept_cases
from tests.simulation.planted import PLANTED
from tests.simulation.steps import STEP_RULES

PAGE = Path(__file__).parent.parent.parent / "docs" / "simulation.md"

QUICK = (16, 2, 4, 6, 9)
"""A handful for every run of the tests; the first of them has no faults at all."""


@pytest.mark.parametrize("seed", QUICK)
def test_a_run_breaks_no_rule(tmp_path: Path, seed: int) -> None:
    """Whatever the seed throws at it, nothing is lost, doubled, sent at the wrong time or left open."""
    assert broken_rules(play(scenario_of(seed), tmp_path)) == []


def test_the_record_of_a_run_is_not_empty(tmp_path: Path) -> None:
    """The rules were judged by something: orders, executions and bookings, sells among them, and looks at the daemon between events."""
    record = play(scenario_of(16), tmp_path)

    assert len(record.of("FillBooked")) == len(record.activities) > 5
    assert {order["side"] for order in record.orders} == {"buy", "sell"}
    assert len(record.of("RebalanceCompleted")) == len(record.sessions)
    assert len({sample.after for sample in record.samples}) > len(record.journal) / 2, "the witness looked away"


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
    """Each bug that was put in on purpose breaks a rule about what it spoils within a bounded number of seeds."""
    found = hunt(name)
    assert found.seed is not None, f"{name} was not found within {found.searched} seeds: the referee is weak"
    assert found.seed <= 1_000


def test_a_plant_names_rules_and_lines_that_there_are() -> None:
    """A bug of which no rule can be broken would be looked for in vain, and one that tells nothing of itself cannot be judged."""
    rules = {rule.__name__.lstrip("_") for rule in (*RULES, *STEP_RULES)}
    for plant in PLANTED.values():
        assert plant.rules
        assert plant.rules <= rules
        assert plant.story
        assert plant.line is None or seeds_for(plant.name)


def test_the_page_lists_every_planted_bug() -> None:
    """What it says is wrong with each, and which rule finds it, is what the plants say of themselves."""
    rows = [f"| {plant.story} | `{'`, `'.join(sorted(plant.rules))}` |" for plant in PLANTED.values()]
    assert "\n".join(rows) in PAGE.read_text()


def test_the_table_of_planted_bugs_names_what_was_not_found() -> None:
    """Whoever reads it sees which bug got through."""
    head, sound, missed = table_of([Found("double_apply", 3, 3, ("once",), 1.0), Found("new_bug", None, 30)])
    assert "seed" in head
    assert "once" in sound
    assert "NOT FOUND" in missed


def test_every_line_of_the_menu_is_given_to_seeds() -> None:
    """Within the seeds of one campaign each line comes at least four times, and whatever is given can be told from its name."""
    given = Counter(name for seed in range(1, 321) for name in items_of(seed))
    assert set(given) == set(ITEMS)
    assert min(given.values()) >= 4
    assert all(scenario_of(seed).sessions for seed in range(1, 321))
