"""``alchemiser config``."""

import json
from pathlib import Path

import pytest

from tests.unit.cli.conftest import Command


def test_shows_every_value_and_its_place(alchemiser: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An operator sees what is in force and why; secrets are masked."""
    Path("alchemiser.toml").write_text("[service]\nstop_seconds = 5.0\n")
    monkeypatch.setenv("APCA_API_SECRET_KEY", "HUSHHUSH")

    as_json = json.loads(alchemiser("config", "show", "--state", "here", "--json").out)
    as_text = alchemiser("config", "show").out

    place = str(tmp_path / "alchemiser.toml")
    assert place == as_json["file"]
    assert {"value": 5.0, "from": f"{place}, line 2"} == as_json["settings"]["service.stop_seconds"]
    assert {"value": "here", "from": "command line"} == as_json["settings"]["service.state"]
    assert as_json["settings"]["alpaca.secret_key"]["value"] == "**********"
    assert "HUSH" not in as_text
    assert "alchemiser.toml, line 2" in as_text


def test_a_mistake_is_one_line(alchemiser: Command) -> None:
    """A wrong file ends with 3 and says where."""
    Path("alchemiser.toml").write_text("[service]\nhtp = 1\n")

    ended = alchemiser("config", "show")

    assert (3, "") == (ended.code, ended.out)
    assert "did you mean service.http?" in ended.err
