"""The command line as a function: arguments in, exit code and texts out."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import msgspec
import pytest
import structlog

from alchemiser.cli.app import run


class Ended(msgspec.Struct, frozen=True):
    """How a command ended."""

    code: int
    out: str
    err: str


Command = Callable[..., Ended]
AsyncCommand = Callable[..., Awaitable[Ended]]


@pytest.fixture(autouse=True)
def _an_empty_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Run every test in an empty directory, without settings in the environment, and put the process's logging back."""
    monkeypatch.chdir(tmp_path)
    for name in ("APCA_API_KEY_ID", "APCA_API_SECRET_KEY", "CREDENTIALS_DIRECTORY"):
        monkeypatch.delenv(name, raising=False)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)
    structlog.reset_defaults()


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
