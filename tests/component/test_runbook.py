"""The runbook in real processes: what it tells to type works, and what it calls safe mends what it should.

Most alerts are provoked on virtual time (``tests/simulation/safe_actions.py`` says where); here is what needs a process of its own.
"""

import json
import os
import re
import shlex
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from alchemiser.cli.app import run as alchemiser
from tests.component.processes import PROGRAM, Daemon, daemon, environment, run
from tests.component.test_alerts import RUNBOOK
from tests.simulation.drills import PROMTOOL, Drill, told_by_prometheus
from tests.simulation.safe_actions import actions_of, alerts_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(200)]

TOKEN = "only-for-the-runbook"

HUNGRY = """
from alchemiser.strategies.python import Strategy

class Hungry(Strategy):
    symbols = ("SPY",)
    bars_needed = 2
    {body}

    def decide(self, market):
        return {{"SPY": 1.0}}
"""
MUCH = 'held = bytearray(b"x") * 500_000_000'


def read(state: Path, path: str) -> str:
    """Return what the daemon of a state directory answers."""
    url = json.loads((state / "http.json").read_text())["url"]
    with urllib.request.urlopen(f"{url}{path}", timeout=30) as answer:  # noqa: S310 - our own daemon
        return str(answer.read().decode())


@pytest.mark.skipif(PROMTOOL is None, reason="needs promtool, of Debian's package prometheus")
def test_a_daemon_that_needs_too_much_memory_is_restarted(tmp_path: Path) -> None:
    """A strategy keeps half a gigabyte; mended and restarted, the daemon needs as much as ever. A minute here is a scrape of now."""
    drill, state = Drill(), tmp_path / "state"
    env = {"PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])}
    wanted = ("--embedded", "--speed", "1", "--strategy", "hungry:Hungry", "--state", str(state))
    for body, minutes in ((MUCH, range(20)), ("pass", range(20, 25))):
        (tmp_path / "hungry.py").write_text(HUNGRY.format(body=body))
        with daemon(*wanted, env=env) as running:
            running.wait_for("recovery_completed")
            scraped = read(state, "/metrics")
            assert running.stop() == 0
        for minute in minutes:
            drill.take(minute, scraped)
    drill.asked = [("AlchemiserMemoryHigh", 19, True), ("AlchemiserMemoryHigh", 24, False)]
    drill.does("AlchemiserMemoryHigh", "A restart outside the session frees it.")

    assert told_by_prometheus(drill, tmp_path) == ""
    assert drill.provoked() == alerts_of(test_a_daemon_that_needs_too_much_memory_is_restarted)
    assert drill.carried_out == actions_of(test_a_daemon_that_needs_too_much_memory_is_restarted)


def test_what_keeps_it_from_starting_is_named_and_mended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the start itself and by the doctor, in the same words; what is mended starts."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ALCHEMISER_SERVICE__HTTP", "127.0.0.1:0")
    settings = tmp_path / "alchemiser.toml"
    settings.write_text('[schedule]\ndecision = "soon"\n')
    for command in (["run", "--embedded", "--days", "1"], ["doctor"]):
        capsys.readouterr()
        assert alchemiser(command) == 3
        assert "schedule.decision" in "".join(capsys.readouterr())

    settings.write_text('[schedule]\ndecision = "close - 15m"\n')
    assert alchemiser(["doctor"]) == 0
    assert run("run", "--embedded", "--days", "1", cwd=tmp_path).returncode == 0


@contextmanager
def exchange() -> Iterator[dict[str, str]]:
    """Run an exchange of another process, in real time, and yield what it prints of itself."""
    arguments = [*PROGRAM, "exchange", "--day", "2025-03-03", "--port", "0"]
    with subprocess.Popen(arguments, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())
        finally:
            process.terminate()
            process.wait()


def test_what_must_not_wait_is_done_past_the_daemon(tmp_path: Path) -> None:
    """No daemon answers: the venue is told from the command line, and nothing is open there any more."""
    with exchange() as venue:
        keys = {"APCA_API_KEY_ID": venue["key_id"], "APCA_API_SECRET_KEY": venue["secret_key"]}

        def broker(method: str, path: str, **body: Any) -> Any:
            headers = {"APCA-API-KEY-ID": keys["APCA_API_KEY_ID"], "APCA-API-SECRET-KEY": keys["APCA_API_SECRET_KEY"]}
            data = json.dumps(body).encode() if body else None
            request = urllib.request.Request(f"{venue['rest']}{path}", method=method, data=data, headers=headers)  # noqa: S310 - our own
            with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - our own exchange
                return json.load(answer)

        for limit in ("1.00", "2.00"):
            order = {"symbol": "SPY", "side": "buy", "qty": "1", "type": "limit", "limit_price": limit, "time_in_force": "day"}
            broker("POST", "/v2/orders", **order)
        assert len(broker("GET", "/v2/orders")) == 2
        env = {
            **keys,
            "ALCHEMISER_ALPACA__TRADING_URL": venue["rest"],
            "ALCHEMISER_ALPACA__DATA_URL": venue["rest"],
            "ALCHEMISER_ALPACA__TRADING_STREAM_URL": venue["trading_stream"],
            "ALCHEMISER_ALPACA__DATA_STREAM_URL": venue["data_stream"],
        }
        done = run("kill", "--direct", "--reason", "the daemon is down", "--state", str(tmp_path / "state"), env=env)
        assert done.returncode == 0, done.stderr
        assert broker("GET", "/v2/orders") == []


# --- every command of the page ---

COMMANDS = re.findall(r"`((?:alchemiser|curl|systemctl|journalctl|iostat|top)\b[^`]*)`", re.sub(r"\s+", " ", RUNBOOK.read_text()))
"""What the page tells to type, in its order."""

NOT_HERE = {
    "systemctl status alchemiser": "no systemd runs here; that the unit is right is shown by systemd-analyze in test_deploy",
    "journalctl -u alchemiser -n 100": "no journal of systemd runs here; the lines are those of the daemon's standard error, in test_lives",
    "iostat": "a tool of the machine",
    "top": "a tool of the machine",
}
"""What is not typed in the test, and why."""

STANDS_FOR = {"GUARD": "drawdown", "NAME": "tecl", "SYMBOL": "SPY", "localhost:8080": "{door}"}
"""What a person puts in the place of a word of the page."""

OTHERWISE: dict[str, tuple[int, str]] = {
    "alchemiser reconcile --clear SYMBOL": (2, "SPY: not parked"),
    "alchemiser rearm": (2, "Missing argument 'GUARD'"),
    "alchemiser rearm GUARD": (2, "drawdown"),
    "alchemiser kill --direct": (3, "an embedded exchange ends with its daemon"),
    "alchemiser notify": (3, "notifications.urls"),
}
"""Commands that refuse on a daemon that has nothing of what they mend, with the exit code and words of the refusal."""


@contextmanager
def healthy_daemon(folder: Path) -> Iterator[Daemon]:
    """Run a daemon that has traded a day, in its next session, with an address for its messages."""
    state = folder / "state"
    traded = run("run", "--embedded", "--start", "2025-01-02", "--days", "1", "--state", str(state))
    assert traded.returncode == 0, traded.stderr
    arguments = ("--embedded", "--start", "2025-01-03", "--speed", "300", "--state", str(state))
    with daemon(*arguments, env={"ALCHEMISER_SERVICE__TOKEN": TOKEN}) as running:
        running.wait_for("session_opened")
        yield running
        assert running.stop() == 0


def test_every_command_of_the_runbook_works_as_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """On a daemon that is well: what asks answers, what acts acts, and what has nothing to act on says so."""
    commands = list(dict.fromkeys(command for command in COMMANDS if command not in NOT_HERE))
    assert len(commands) > 15
    with healthy_daemon(tmp_path):
        address = json.loads((tmp_path / "state" / "http.json").read_text())
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("ALCHEMISER_SERVICE__TOKEN", TOKEN)
        monkeypatch.setenv("ALCHEMISER_SERVICE__STATE", str(tmp_path / "state"))
        wrong = []
        for command in commands:
            typed = command
            for word, what in STANDS_FOR.items():
                typed = re.sub(rf"\b{word}\b", what.format(door=f"{address['host']}:{address['port']}"), typed)
            words = shlex.split(typed)
            capfd.readouterr()
            ended = alchemiser(words[1:]) if words[0] == "alchemiser" else subprocess.run(words, timeout=60, check=False).returncode
            said = "".join(capfd.readouterr())
            code, text = OTHERWISE.get(command, (0, ""))
            if ended != code or text not in said or not said:
                wrong.append(f"{typed} ended with {ended}: {said[-500:]}")
        assert wrong == []


def test_the_exceptions_are_on_the_page() -> None:
    """A command that is gone from the page leaves no exception behind."""
    assert {*NOT_HERE, *OTHERWISE} <= set(COMMANDS)
