"""``alchemiser kill``: the daemon does it, or the venue is told from here; the exit code says whether all of it was done."""

import asyncio
import io
import json
import os
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from alchemiser.cli import kill as kill_module
from alchemiser.domain.errors import ConfigError, NotReady, UsageError
from alchemiser.execution.kill import KillReport
from alchemiser.service.settings import Settings
from alchemiser.service.state_file import HttpAddress, write_http_address
from tests.unit.cli.conftest import AsyncCommand, Command
from tests.unit.service.conftest import FakeView

CREDENTIALS = {"APCA_API_KEY_ID": "k", "APCA_API_SECRET_KEY": "s"}


@pytest.fixture
def direct(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, bool]]:
    """Stand for the direct way, and return what it was asked to do."""
    asked: list[tuple[str, bool]] = []

    async def kill_directly(settings: Settings, reason: str, *, flattens: bool, watch: Any) -> KillReport:
        asked.append((reason, flattens))
        report = KillReport(stage="over", is_over=True, ended={"a": "canceled"}, sold={"SPY": Decimal("1.50")})
        watch(report)
        if reason == "unfinished":
            report.could_not.append("order x has not ended")
        if reason == "interrupted":
            raise KeyboardInterrupt
        return report

    monkeypatch.setattr(kill_module, "kill_directly", kill_directly)
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    return asked


async def test_the_daemon_is_asked_first(
    alchemiser_beside: AsyncCommand, view: FakeView, state: str, direct: list[tuple[str, bool]]
) -> None:
    """With the token; its answer is shown."""
    view.killed = {"is_over": True, "could_not": [], "ended": {"a": "filled"}}
    ended = await alchemiser_beside("kill", "--state", state, "--reason", "drill", "--json")

    assert (0, []) == (ended.code, direct)
    assert {"a": "filled"} == json.loads(ended.out)["kill"]["ended"]
    assert [("kill", {"reason": "drill", "flatten": False})] == view.asked


async def test_what_is_not_over_or_could_not_be_done_is_five(alchemiser_beside: AsyncCommand, view: FakeView, state: str) -> None:
    """Somebody has to look at the venue."""
    view.killed = {"is_over": False, "could_not": []}
    assert 5 == (await alchemiser_beside("kill", "--state", state)).code
    view.killed = {"is_over": True, "could_not": ["1 ABC were not sold"]}
    assert 5 == (await alchemiser_beside("kill", "--state", state, "--flatten", "--yes")).code
    assert {"reason": "operator", "flatten": True} == view.asked[-1][1]


async def test_selling_asks_first(alchemiser_beside: AsyncCommand, view: FakeView, state: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without anybody to say yes nothing is done, not even the cancels: the command was another."""
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    assert (await alchemiser_beside("kill", "--flatten", "--state", state)).code != 0
    assert [] == view.asked


@pytest.mark.parametrize("refusal", [NotReady("too busy"), UsageError("never heard of it"), ConfigError("not now")])
async def test_a_daemon_that_refuses_is_passed_over(
    alchemiser_beside: AsyncCommand, view: FakeView, state: str, direct: list[tuple[str, bool]], refusal: Exception
) -> None:
    """Whatever its reason is: the cancels are wanted now."""
    view.refusal = refusal

    assert 0 == (await alchemiser_beside("kill", "--state", state, "--reason", "now")).code
    assert [("now", False)] == direct


@pytest.mark.usefixtures("nobody")
def test_a_daemon_that_does_not_answer_is_passed_over(alchemiser: Command, direct: list[tuple[str, bool]]) -> None:
    """The venue is told from here, and the reason is said on standard error."""
    ended = alchemiser("kill", "--reason", "stuck", "--json")

    assert (0, [("stuck", False)]) == (ended.code, direct)
    assert json.loads(ended.out)["direct"] is True
    assert {"SPY": "1.5"} == json.loads(ended.out)["kill"]["sold"]
    assert "the venue is told from here" in ended.err


async def test_a_stranger_at_the_address_is_passed_over(
    alchemiser: Command, tmp_path: Path, direct: list[tuple[str, bool]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What answers there is not the daemon: the venue is told from here."""

    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello")
        writer.close()

    server = await asyncio.start_server(babble, "127.0.0.1", 0)
    async with server:
        host, port = server.sockets[0].getsockname()
        write_http_address(tmp_path, HttpAddress(url=f"http://{host}:{port}", host=host, port=port, pid=os.getpid()))
        ended = await asyncio.to_thread(alchemiser, "kill", "--state", str(tmp_path), "--reason", "now")

    assert (0, [("now", False)]) == (ended.code, direct)
    assert "the venue is told from here" in ended.err


@pytest.mark.usefixtures("nobody")
@pytest.mark.parametrize(("reason", "code"), [("drill", 0), ("unfinished", 5), ("interrupted", 5)])
def test_the_direct_way_can_be_asked_for(alchemiser: Command, direct: list[tuple[str, bool]], reason: str, code: int) -> None:
    """Nobody else is asked; what it could not, or an interruption, is an exit code of its own."""
    ended = alchemiser("kill", "--direct", "--flatten", "--yes", "--reason", reason)

    assert (code, [(reason, True)]) == (ended.code, direct)
    assert "told from here" not in ended.err


async def test_who_has_no_token_is_told_what_works_without(
    alchemiser_beside: AsyncCommand, view: FakeView, state: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody but the daemon can tell an embedded exchange, so the refusal names the ways that need no token."""
    monkeypatch.setenv("ALCHEMISER_SERVICE__TOKEN", "another-token")
    ended = await alchemiser_beside("kill", "--state", state)

    assert 4 == ended.code
    assert f"the file {state}/KILL, or SIGUSR1 to the daemon, pulls the switch without a token" in ended.err
    assert [] == view.asked


@pytest.mark.usefixtures("nobody")
def test_an_embedded_exchange_ends_with_its_daemon(alchemiser: Command) -> None:
    """There is nothing to tell directly: no daemon is 7, and asked for by name it is a matter of settings."""
    assert 7 == alchemiser("kill").code
    refused = alchemiser("kill", "--direct")
    assert 3 == refused.code
    assert "needs the credentials" in refused.err
