"""Alpaca's own JavaScript client, from its registry and unmodified, trades and streams against the exchange."""

import asyncio
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, NoReturn

import msgspec
import pytest

from tests.protocol.exchange.harness import SYMBOLS, running

FOLDER = Path(__file__).parent / "js"


def lacking(reason: str) -> NoReturn:
    """Leave the client out for want of something; where everything is to be there, that is a failure."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder where the client is installed, exactly as the lock says."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        lacking("node and npm are not installed; they are needed to run Alpaca's JavaScript client")
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    if int(re.findall(r"\d+", version)[0]) < 20:
        lacking(f"node {version} is too old for Alpaca's JavaScript client, which needs 20")
    folder = tmp_path_factory.mktemp("js")
    shutil.copytree(FOLDER, folder, dirs_exist_ok=True)
    subprocess.run([npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts"], cwd=folder, check=True, timeout=300, capture_output=True)
    return folder


async def run(client: Path, argument: str) -> Any:
    """Return what the script reports."""
    script = await asyncio.create_subprocess_exec(
        "timeout", "60", "node", "trade.mjs", argument, cwd=client, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, errors = await script.communicate()
    assert script.returncode == 0, errors.decode()
    return msgspec.json.decode(out)


@pytest.mark.slow
@pytest.mark.timeout(400)
async def test_the_javascript_client_trades_and_streams(client: Path) -> None:
    """Orders of three kinds, their events, quotes and bars, positions, lists, history and a typed refusal: all as its models want them."""
    async with running() as exchange:
        report = await run(client, msgspec.json.encode(exchange.address).decode())

    assert report["account"] == "ACTIVE"
    assert report["bought"] == ["pending_new", "new", "fill"]
    assert report["cancelled"] == ["pending_new", "new", "pending_cancel", "canceled"]
    assert report["legs"] == 2
    assert report["positions"][0] == ["SPY", "3"]
    assert report["found"] == "js-1"
    assert report["listed"] >= 3
    assert report["watchlist"] == "js"
    assert report["assets"] == list(SYMBOLS)
    assert (report["calendar"], report["isOpen"]) == (2, True)
    assert report["refusal"] == [422, 42210000]
    assert report["bars"] == 5
    assert report["snapshot"]
    assert "SPY" in report["quote"].values()
    assert "SPY" in report["bar"].values()


def test_the_lock_names_no_registry() -> None:
    """The lock file carries versions and hashes only, so that any registry may serve it."""
    lock = (FOLDER / "package-lock.json").read_text()
    assert "resolved" not in lock
    assert "://" not in lock
    assert '"integrity": "sha512-' in lock
