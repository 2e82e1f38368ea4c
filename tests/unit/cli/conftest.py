"""The command line as a function: arguments in, exit code and texts out."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import msgspec
import pytest

from alchemiser.cli.app import run
from alchemiser.service.http import open_door
from alchemiser.service.settings import Settings
from tests.unit.service.conftest import FakeView

TOKEN = "a-token-for-tests"


class Ended(msgspec.Struct, frozen=True):
    """How a command ended."""

    code: int
    out: str
    err: str


Command = Callable[..., Ended]
AsyncCommand = Callable[..., Awaitable[Ended]]


@pytest.fixture(autouse=True)
def _an_empty_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run every test in an empty directory, without settings in the environment."""
    monkeypatch.chdir(tmp_path)
    for name in ("APCA_API_KEY_ID", "APCA_API_SECRET_KEY", "CREDENTIALS_DIRECTORY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def alchemiser(capsys: pytest.CaptureFixture[str]) -> Command:
    """Return the command line."""

    def command(*arguments: str) -> Ended:
        capsys.readouterr()
        code = run(arguments)
        out, err = capsys.readouterr()
        return Ended(code, out, err)

    return command


@pytest.fixture
def alchemiser_beside(alchemiser: Command) -> AsyncCommand:
    """Return the command line for tests whose loop serves the daemon that it asks."""

    async def command(*arguments: str) -> Ended:
        return await asyncio.to_thread(alchemiser, *arguments)

    return command


@pytest.fixture
def view() -> FakeView:
    """Return a daemon's view."""
    return FakeView()


@pytest.fixture
async def state(view: FakeView, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[str]:
    """Serve the view and return the state directory of that daemon."""
    monkeypatch.setenv("ALCHEMISER_SERVICE__TOKEN", TOKEN)
    directory = tmp_path / "daemon"
    directory.mkdir()
    settings = Settings.model_validate({"service": {"http": "127.0.0.1:0", "state": directory, "token": TOKEN}})
    async with open_door(view, settings, metrics=lambda: (b"", "text/plain")):
        yield str(directory)


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make sure that the default address has no daemon."""
    monkeypatch.setenv("ALCHEMISER_SERVICE__HTTP", "127.0.0.1:1")
