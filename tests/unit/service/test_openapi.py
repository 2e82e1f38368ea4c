"""The description of the door: complete, and true under whatever schemathesis thinks of."""

import asyncio
import os
import shutil
from pathlib import Path

import aiohttp
import pytest

from alchemiser.service.door_limits import Rate
from alchemiser.service.health import HealthReport, Reason
from alchemiser.service.http import ACTIONS, open_door
from alchemiser.service.openapi import document
from alchemiser.service.settings import Settings
from alchemiser.service.view import RESOURCES
from tests.unit.service.conftest import FakeView

TOKEN = "a-token-for-tests"


def test_everything_that_can_be_asked_is_described() -> None:
    """A new resource or action is in the document by itself."""
    paths = document()["paths"]

    assert {path.rpartition("/")[2] for path, item in paths.items() if "post" in item} == set(ACTIONS)
    assert {path.rpartition("/")[2] for path in paths if path.startswith("/api/v1/")} == {*ACTIONS, *RESOURCES, "plan"}
    assert all(operation["summary"] for item in paths.values() for operation in item.values())


def test_a_reason_is_described_whole() -> None:
    """Whatever health says of one has a place in the document."""
    (told,) = HealthReport(live=True, ready=False, reasons=(Reason(code="starting", text="it starts"),)).document()["reasons"]
    described = document()["components"]["schemas"]["Reason"]

    assert set(told) == set(described["properties"]) == set(described["required"])
    assert told["severity"] in described["properties"]["severity"]["enum"]


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_the_door_does_what_the_document_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Generated requests, valid and not: no 500, no undocumented status, every body as described, no way around the token."""
    for rate in ("READS", "CONTROLS", "WRONG_TOKENS"):
        monkeypatch.setattr(f"alchemiser.service.http.{rate}", Rate(burst=1e9, per_second=1e9))
    program = shutil.which("schemathesis")
    assert program is not None, "schemathesis is one of the development tools"
    settings = Settings.model_validate({"service": {"http": "127.0.0.1:0", "state": tmp_path, "token": TOKEN}})
    view = FakeView()
    async with open_door(view, settings, metrics=lambda: (b"alchemiser_up 1\n", "text/plain; version=0.0.4")) as address:
        url = f"http://127.0.0.1:{address.port}/api/v1/openapi.json"
        async with aiohttp.ClientSession() as client, client.get(url) as response:
            assert (await response.json())["openapi"] == "3.1.0"
        arguments = ("run", url, "--header", f"Authorization: Bearer {TOKEN}", "--max-examples", "15", "--seed", "1", "--no-color")
        found = await asyncio.create_subprocess_exec(
            program,
            *arguments,
            "--checks",
            "all",
            cwd=tmp_path,
            env={**os.environ, "HOME": str(tmp_path)},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        out, _ = await found.communicate()

    assert found.returncode == 0, out.decode()[-8000:]
    assert {action for action, _ in view.asked} == set(ACTIONS)
