"""``alchemiser doctor``."""

import json
from pathlib import Path

import pytest

from tests.unit.cli.conftest import Command


@pytest.fixture(autouse=True)
def _a_free_port(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no other program's port decide."""
    monkeypatch.setenv("ALCHEMISER_SERVICE__HTTP", "127.0.0.1:0")


def test_a_good_machine_ends_with_zero(alchemiser: Command) -> None:
    """Every check is listed, as text and as JSON."""
    as_text, as_json = alchemiser("doctor"), alchemiser("doctor", "--json")

    assert (0, 0) == (as_text.code, as_json.code)
    assert json.loads(as_json.out)["ok"] is True
    assert "journal" in as_text.out


def test_the_first_problem_gives_the_code(alchemiser: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """The code is the one that a start would end with."""
    monkeypatch.setenv("ALCHEMISER_ALPACA__MODE", "paper")

    ended = alchemiser("doctor", "--json")

    assert ended.code == 3
    assert json.loads(ended.out)["ok"] is False


def test_settings_that_cannot_be_read_are_findings(alchemiser: Command) -> None:
    """A wrong settings file is shown like every other problem, a line each."""
    Path("alchemiser.toml").write_text("[service]\nhtp = 1\n[jurnal]\n")

    ended = alchemiser("doctor", "--json")

    assert ended.code == 3
    assert ["problem", "problem"] == [finding["verdict"] for finding in json.loads(ended.out)["findings"]]
