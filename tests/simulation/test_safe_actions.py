"""No alert without a drill, and no word of the runbook's safe actions that nobody has tried."""

import re
from importlib import import_module

from tests.component.test_alerts import ALERTS, RUNBOOK
from tests.simulation.safe_actions import PROVOKED, SAFE_ACTIONS


def test_every_alert_is_provoked_somewhere() -> None:
    """By a daemon that really has what it is about."""
    assert {name for name, _, _ in ALERTS} == PROVOKED.keys()


def test_the_table_has_every_word_of_the_safe_actions() -> None:
    """An action that is added to the runbook, or changed there, needs a test that carries it out."""
    entries = re.findall(r"^## (\w+)$.*?^- \*\*Safe actions\*\*: (.*?)\n(?:\n|\Z)", RUNBOOK.read_text(), re.MULTILINE | re.DOTALL)
    told = {alert: " ".join(text.split()) for alert, text in entries}

    assert told == {alert: " ".join(phrase for phrase, _ in parts) for alert, parts in SAFE_ACTIONS.items()}


def test_the_tests_that_are_named_exist() -> None:
    """A test that was renamed carries nothing out."""
    for name in {*PROVOKED.values(), *(by for parts in SAFE_ACTIONS.values() for _, by in parts if by is not None)}:
        module, _, test = name.partition(":")
        assert callable(getattr(import_module(module), test)), name
