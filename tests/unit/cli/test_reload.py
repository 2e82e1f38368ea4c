"""``alchemiser reload``: what is printed, what is JSON, and the exit codes."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from alchemiser.domain.errors import ConfigError, NotReady
from tests.unit.cli.conftest import AsyncCommand
from tests.unit.service.conftest import FakeView

NOW, LATER, LATE = "at once", "at the next decision", "at the next start"


def change(key: str, when: str, because: str = "") -> dict[str, Any]:
    """Return a change as the daemon tells it."""
    return {"key": key, "before": "1", "after": "2", "takes_effect": when, "because": because}


@pytest.mark.parametrize(
    ("changes", "waits_for", "arguments", "expected"),
    [
        ([], None, [], "Nothing differs from the settings that run.\n"),
        ([change("a.b", NOW)], "20250102.1", [], "a.b: 1 -> 2, at once\n"),
        (
            [change("a.b", LATER)],
            "20250102.1",
            [],
            "a.b: 1 -> 2, at the next decision\nWhat decisions are made of waits for the end of rebalance 20250102.1.\n",
        ),
        (
            [change("a.b", LATE, "the door is open there")],
            None,
            ["--check"],
            "a.b: 1 -> 2, at the next start (the door is open there)\n"
            "Nothing was changed: this was a check.\n1 of them need a restart: a.b.\n",
        ),
    ],
    ids=["nothing", "at once", "amid a rebalance", "check"],
)
async def test_the_difference_is_printed(
    alchemiser_beside: AsyncCommand,
    view: FakeView,
    state: str,
    monkeypatch: pytest.MonkeyPatch,
    changes: list[dict[str, Any]],
    waits_for: str | None,
    arguments: list[str],
    expected: str,
) -> None:
    """Setting by setting, with when it takes effect; the JSON is what the daemon answered."""

    async def control(action: str, given: Mapping[str, Any]) -> Mapping[str, Any]:
        assert (action, given["check"]) == ("reload", bool(arguments))
        return {"changes": changes, "waits_for": waits_for}

    monkeypatch.setattr(view, "control", control)

    printed = await alchemiser_beside("reload", "--state", state, *arguments)
    as_json = await alchemiser_beside("reload", "--state", state, "--json", *arguments)

    assert (printed.code, printed.out) == (0, expected)
    assert json.loads(as_json.out) == {"action": "reload", "accepted": True, "changes": changes, "waits_for": waits_for}


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (ConfigError("a.toml, line 3: wrong; nothing was changed"), 3, "alchemiser: a.toml, line 3: wrong; nothing was changed\n"),
        (NotReady("no prices; nothing was changed"), 4, "alchemiser: reload was refused: no prices; nothing was changed\n"),
    ],
)
async def test_what_is_wrong_has_its_exit_code(
    alchemiser_beside: AsyncCommand, view: FakeView, state: str, monkeypatch: pytest.MonkeyPatch, error: Exception, code: int, words: str
) -> None:
    """3 for settings that somebody must mend, 4 for what cannot be done now."""

    async def control(action: str, given: Mapping[str, Any]) -> Mapping[str, Any]:
        raise error

    monkeypatch.setattr(view, "control", control)

    refused = await alchemiser_beside("reload", "--state", state)

    assert (refused.code, refused.out, refused.err) == (code, "", words)


async def test_a_broken_file_is_said_before_anybody_is_asked(alchemiser_beside: AsyncCommand, view: FakeView, tmp_path: Path) -> None:
    """In the words of a reload: nothing was to be started."""
    file = tmp_path / "broken.toml"
    file.write_text("[service]\nstop_secnds = 9\n")

    refused = await alchemiser_beside("reload", "--config", str(file))

    assert refused.code == 3
    assert refused.err.endswith(
        f"{file}, line 2: service.stop_secnds is not a setting; did you mean service.stop_seconds?; nothing was changed\n"
    )
    assert view.asked == []
