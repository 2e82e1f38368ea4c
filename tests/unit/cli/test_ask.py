"""Questions to the daemon, and to its journal when there is none."""

import http.server
import io
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from alchemiser.cli import ask as ask_module
from alchemiser.cli.daemon_client import Answer, ControlRefused, refusal_of
from alchemiser.domain.errors import ConfigError, NoDaemon, NotReady, SafetyRefused, UsageError
from alchemiser.journal.journal import Journal
from alchemiser.service.http import ACTIONS, open_door
from alchemiser.service.settings import Settings
from alchemiser.service.state_file import HttpAddress, write_http_address
from tests.unit.cli.conftest import AsyncCommand, Command
from tests.unit.service.conftest import NOT_READY, FakeView
from tests.unit.service.trading_day import ORDER_ID, WHOLE_DAY, Life

QUESTIONS = ("status", "positions", "orders", "pnl", "events", "strategies")


@pytest.mark.parametrize("question", QUESTIONS)
async def test_the_running_daemon_answers(alchemiser_beside: AsyncCommand, state: str, question: str) -> None:
    """The answer is one JSON document that says it is live."""
    ended = await alchemiser_beside(question, "--state", state, "--json")

    assert (0, "") == (ended.code, ended.err)
    assert json.loads(ended.out)["live"] is True


async def test_answers_are_readable(alchemiser_beside: AsyncCommand, state: str) -> None:
    """Without ``--json`` the same is shown for a person."""
    ended = await alchemiser_beside("positions", "--state", state)

    assert ended.out.startswith("1 symbols for 0.00\n\nsymbol  quantity  price")
    assert "TECL         1.5      -" in ended.out


async def test_events_are_selected(alchemiser_beside: AsyncCommand, state: str) -> None:
    """``--after`` and ``--limit`` reach the daemon."""
    ended = await alchemiser_beside("events", "--state", state, "--after", "4", "--limit", "2", "--json")

    assert [5, 6] == [row["sequence"] for row in json.loads(ended.out)["events"]]


@pytest.mark.usefixtures("nobody")
@pytest.mark.parametrize("question", QUESTIONS)
def test_the_journal_answers_when_no_daemon_does(alchemiser: Command, monkeypatch: pytest.MonkeyPatch, question: str) -> None:
    """The answer says that it is not live, and as of when it is true."""
    monkeypatch.setattr(ask_module, "load_attribute", lambda path: lambda state: FakeView())

    as_json = alchemiser(question, "--json")
    as_text = alchemiser(question)

    document = json.loads(as_json.out)
    assert (0, 0) == (as_json.code, as_text.code)
    assert (False, "2025-03-03T15:00:00+00:00") == (document["live"], document["as_of"])
    assert as_text.out.startswith("No daemon is running. This is the journal's last word, as of 2025-03-03T15:00:00+00:00.\n")


@pytest.mark.usefixtures("nobody")
def test_with_neither_there_is_no_daemon(alchemiser: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """No daemon and no journal: exit code 7, in one line."""

    def no_journal(state: Path) -> FakeView:
        raise NoDaemon(f"there is no journal in {state}")

    monkeypatch.setattr(ask_module, "load_attribute", lambda path: no_journal)

    ended = alchemiser("status")

    assert (7, "") == (ended.code, ended.out)
    assert ended.err.startswith("alchemiser: no daemon has written its address to state: none runs there; ")
    assert ended.err.endswith("; there is no journal in state\n")


def test_an_address_that_was_never_written_is_no_daemon(alchemiser: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """Port 0 and no ``http.json``: there is nobody to ask."""
    monkeypatch.setenv("ALCHEMISER_SERVICE__HTTP", "127.0.0.1:0")

    ended = alchemiser("health")

    assert ended.code == 7
    assert "no daemon has written its address to state" in ended.err


def test_a_state_directory_of_somebody_else_is_said_to_be_one(alchemiser: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A unit's own directory is closed to others: that is not the same as that no daemon runs."""
    monkeypatch.setattr(os, "access", lambda path, mode: path != tmp_path)  # Root, who may be testing, may read everything.
    monkeypatch.setenv("ALCHEMISER_SERVICE__STATE", str(tmp_path))

    ended = alchemiser("health")

    assert ended.code == 7
    assert "may not be read by this user" in ended.err


async def test_health_is_an_exit_code(alchemiser_beside: AsyncCommand, view: FakeView, state: str) -> None:
    """0 when ready, 8 with the reasons when not."""
    well = await alchemiser_beside("health", "--state", state)
    view.report = NOT_READY
    unwell = await alchemiser_beside("health", "--state", state)
    as_json = await alchemiser_beside("health", "--state", state, "--json")

    assert (0, "live and ready\n") == (well.code, well.out)
    assert (8, "alchemiser: the daemon is live but not ready; orders_stream: lost <since> 15:00\n") == (unwell.code, unwell.err)
    assert (8, False) == (as_json.code, json.loads(as_json.out)["ready"])


@pytest.mark.usefixtures("nobody")
def test_health_without_a_daemon_is_seven(alchemiser: Command) -> None:
    """A container without a daemon is not healthy."""
    assert alchemiser("health").code == 7


@pytest.mark.parametrize("action", [action for action in ACTIONS if action not in ("rearm", "kill", "lots", "reload")])
async def test_control_reaches_the_daemon(alchemiser_beside: AsyncCommand, view: FakeView, state: str, action: str) -> None:
    """Each action is sent with its reason and the token of the settings."""
    more = ["--yes"] if action == "flatten" else []

    as_json = await alchemiser_beside(action, "--state", state, "--reason", "drill", "--json", *more)
    as_text = await alchemiser_beside(action, "--state", state, *more)

    assert {"action": action, "accepted": True, "state": "paused"} == json.loads(as_json.out)
    assert "accepted  yes" in as_text.out
    assert [(action, {"reason": "drill"}), (action, {"reason": "operator"})] == view.asked


@pytest.mark.parametrize("action", ["pause", "resume", "halt", "reduce"])
async def test_one_strategy_is_named(alchemiser_beside: AsyncCommand, view: FakeView, state: str, action: str) -> None:
    """Where it is not, the account is meant."""
    assert (await alchemiser_beside(action, "--state", state, "--strategy", "klm")).code == 0

    assert [(action, {"reason": "operator", "strategy": "klm"})] == view.asked


async def test_a_guard_is_armed_again_by_name(alchemiser_beside: AsyncCommand, view: FakeView, state: str) -> None:
    """With the strategy and the reset where they are asked for."""
    await alchemiser_beside("rearm", "drawdown", "--state", state)
    await alchemiser_beside("rearm", "strategy_drawdown", "--strategy", "klm", "--reset", "--reason", "seen", "--state", state)

    first = {"reason": "operator", "guard": "drawdown", "reset": False}
    second = {"reason": "seen", "strategy": "klm", "guard": "strategy_drawdown", "reset": True}
    assert [("rearm", first), ("rearm", second)] == view.asked


@pytest.mark.parametrize(
    ("refusal", "code"),
    [(UsageError("there is no guard 'nonsense'"), 2), (NotReady("a rebalance is in progress"), 4), (ConfigError("bad"), 3)],
)
async def test_a_refusal_of_the_daemon_has_the_code_of_its_kind(
    alchemiser_beside: AsyncCommand, view: FakeView, state: str, refusal: Exception, code: int
) -> None:
    """What makes no sense is wrong usage as anywhere else; what it will not do now is a refusal."""
    view.refusal = refusal
    ended = await alchemiser_beside("rearm", "nonsense", "--state", state)

    assert code == ended.code
    assert str(refusal) in ended.err


@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        (400, {"code": "bad_request", "message": "which?"}, UsageError),
        (401, {"code": "unauthorised", "message": "a token"}, SafetyRefused),
        (403, {"code": "no_token", "message": "control is off"}, SafetyRefused),
        (409, {"code": "ConfigError", "message": "line 3"}, ConfigError),
        (409, {"code": "NotReady", "message": "closed"}, ControlRefused),
        (429, {"code": "too_many_requests", "message": "wait"}, ControlRefused),
        (404, None, ControlRefused),
    ],
)
def test_a_refusal_says_what_the_caller_must_do(status: int, error: Any, kind: type[Exception]) -> None:
    """By its exit code, whether it was a question or a command."""
    found = refusal_of(Answer(status, {} if error is None else {"error": error}), "halt")

    assert kind is type(found)
    assert ("HTTP 404" if error is None else error["message"]) in str(found)


async def test_a_daemon_that_fails_at_an_answer_is_no_stranger(
    alchemiser_beside: AsyncCommand, view: FakeView, state: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A bug in it is said to be one, and where to look."""
    view.refusal = RuntimeError("bug")
    ended = await alchemiser_beside("halt", "--state", state)

    assert 1 == ended.code
    assert "failed at POST /api/v1/halt; its log has the reason" in ended.err


async def test_lots_are_named_by_the_executions_that_bought_them(alchemiser_beside: AsyncCommand, view: FakeView, state: str) -> None:
    """In the order in which they are to be sold; without any the settings count again."""
    await alchemiser_beside("lots", "SPY", "z", "x", "--reason", "tax", "--state", state)
    await alchemiser_beside("lots", "SPY", "--state", state)

    first = {"reason": "tax", "symbol": "SPY", "lots": ["z", "x"]}
    assert [("lots", first), ("lots", {"reason": "operator", "symbol": "SPY", "lots": []})] == view.asked


async def test_parked_symbols_are_cleared_by_name(alchemiser_beside: AsyncCommand, view: FakeView, state: str) -> None:
    """The option may be repeated; without it a comparison is asked for."""
    ended = await alchemiser_beside("reconcile", "--state", state, "--clear", "SPY", "--clear", "QQQ")

    assert ended.code == 0
    assert [("reconcile", {"reason": "operator", "clear": ["SPY", "QQQ"]})] == view.asked


async def test_cash_is_booked_with_its_amount(alchemiser_beside: AsyncCommand, view: FakeView, state: str) -> None:
    """A debit begins with a minus; clearing symbols is another thing."""
    ended = await alchemiser_beside("reconcile", "--state", state, "--accept-cash", "-1.23", "--reason", "by hand")
    both = await alchemiser_beside("reconcile", "--state", state, "--accept-cash=1", "--clear", "SPY")

    assert (ended.code, both.code) == (0, 2)
    assert [("reconcile", {"reason": "by hand", "accept_cash": "-1.23"})] == view.asked


async def test_flatten_asks_first(alchemiser_beside: AsyncCommand, view: FakeView, state: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Selling everything needs a yes; without anybody to give it, it is not done."""
    monkeypatch.setattr("sys.stdin", io.StringIO(""))

    ended = await alchemiser_beside("flatten", "--state", state)

    assert ended.code == 4
    assert view.asked == []


async def test_a_token_may_be_any_printable_text(
    alchemiser_beside: AsyncCommand, view: FakeView, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A token that is not ASCII opens the door that was given the same one."""
    monkeypatch.setenv("ALCHEMISER_SERVICE__TOKEN", "geheim-ünï-☃")
    settings = Settings.model_validate({"service": {"http": "127.0.0.1:0", "state": tmp_path, "token": "geheim-ünï-☃"}})
    async with open_door(view, settings, metrics=lambda: (b"", "text/plain")):
        ended = await alchemiser_beside("pause", "--state", str(tmp_path))

    assert (0, "") == (ended.code, ended.err)
    assert [action for action, _ in view.asked] == ["pause"]


async def test_control_with_a_wrong_token_is_refused(
    alchemiser_beside: AsyncCommand, view: FakeView, state: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The daemon's refusal is shown in its words, with the code for safety."""
    monkeypatch.setenv("ALCHEMISER_SERVICE__TOKEN", "another-token")

    ended = await alchemiser_beside("halt", "--state", state)

    assert ended.code == 4
    assert "halt was refused: this needs the header" in ended.err
    assert view.asked == []


async def test_what_the_daemon_will_not_do_is_passed_on(alchemiser_beside: AsyncCommand, view: FakeView, state: str) -> None:
    """A refusal for the daemon's state keeps its text."""
    view.refusal = NoDaemon("not now")

    ended = await alchemiser_beside("resume", "--state", state)

    assert (4, "alchemiser: resume was refused: not now\n") == (ended.code, ended.err)


class Stranger(http.server.BaseHTTPRequestHandler):
    """A server that is not the daemon."""

    answer: ClassVar[Any] = b""

    def do_GET(self) -> None:
        """Answer whatever the test wants."""
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.answer)))
        self.end_headers()
        self.wfile.write(self.answer)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing."""


@pytest.fixture
def stranger(tmp_path: Path) -> Iterator[str]:
    """Serve another program at the address that a state directory names, and return the directory."""
    server = http.server.HTTPServer(("127.0.0.1", 0), Stranger)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    port = server.server_address[1]
    write_http_address(tmp_path, HttpAddress(url=f"http://127.0.0.1:{port}", host="127.0.0.1", port=port, pid=1))
    yield str(tmp_path)
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("answer", [b"<html>", b"[]"])
def test_another_program_is_not_taken_for_the_daemon(alchemiser: Command, stranger: str, answer: bytes) -> None:
    """What answers with something else is named, not shown as state."""
    Stranger.answer = answer

    ended = alchemiser("status", "--state", stranger)

    assert ended.code == 3
    assert "is not the daemon" in ended.err


def test_another_program_is_not_healthy(alchemiser: Command, stranger: str) -> None:
    """A JSON answer without the word live comes from somebody else."""
    Stranger.answer = b"{}"

    assert alchemiser("health", "--state", stranger).code == 7


def test_orders_of_an_earlier_session_come_from_the_journal(alchemiser: Command, tmp_path: Path) -> None:
    """Whether a daemon runs or not; a date that is none is the caller's mistake, no journal is said."""
    asked = ("orders", "--state", str(tmp_path), "--session")
    assert 2 == alchemiser(*asked, "yesterday").code
    assert 7 == alchemiser(*asked, "2025-03-03").code

    with Journal.open(tmp_path / "journal.sqlite", new_epoch=lambda: "abc123", threaded=False) as journal:
        for envelope in Life(WHOLE_DAY).envelopes:
            journal.append(envelope)
    answer = json.loads(alchemiser(*asked, "2025-03-03", "--json").out)
    assert ("2025-03-03", [ORDER_ID]) == (answer["session"], [row["client_order_id"] for row in answer["orders"]])
    assert ORDER_ID in alchemiser(*asked, "2025-03-03").out
