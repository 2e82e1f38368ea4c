"""Every fault of the menu alone: it really strikes, and whatever it does the rules hold."""

from pathlib import Path

import pytest

from tests.simulation.campaign import play
from tests.simulation.checker import broken_rules
from tests.simulation.health import health_of, table
from tests.simulation.menu import MENU


@pytest.mark.slow
@pytest.mark.parametrize("name", MENU)
def test_a_fault_alone_breaks_no_rule(tmp_path: Path, name: str) -> None:
    """The fault was there, it was seen to do what it does, and nothing was lost, doubled, sent at the wrong time or left open.

    Meanwhile health told what the table of ``docs/health.md`` says.
    """
    line = MENU[name]
    record = play(line.scenario, tmp_path)

    assert broken_rules(record) == []
    assert line.kind is None or any(kind.startswith(line.kind) for kind in record.struck)
    assert line.seen(record), f"{name} was not seen to do anything"
    assert health_of(record) == table()[name], "docs/health.md"


def test_every_fault_is_in_the_table_of_health() -> None:
    """In the order of the menu, and none that is not on it."""
    assert list(table()) == list(MENU)


def test_the_menu_is_not_short() -> None:
    """A line that was lost would be missed by nobody."""
    assert len(MENU) > 120
