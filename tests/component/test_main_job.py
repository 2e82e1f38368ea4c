"""The main job in real processes and real sockets: whole sessions, signals, kills, and one consistent story afterwards."""

import json
import signal
import urllib.request
from decimal import Decimal
from pathlib import Path
from random import Random

import pytest

from alchemiser.exchange.assets import listing
from alchemiser.exchange.engine import Exchange
from alchemiser.exchange.persistence import StateFile
from alchemiser.exchange.settings import ExchangeSettings
from alchemiser.market.calendar import TradingCalendar
from tests.component.processes import SHARED_BARS, ask, daemon, needs_bars, run

pytestmark = pytest.mark.timeout(400)


def exchange_account(state: Path) -> tuple[Decimal, dict[str, Decimal]]:
    """Return cash and positions of the embedded exchange as its own state file has them, read by the exchange's own code."""
    saved = StateFile(state / "exchange.state").load()
    assert saved is not None
    core = Exchange.restore(
        saved.core,
        settings=ExchangeSettings(),
        assets=listing(("BIL", "BSV", "KMLM", "SPXL", "SPY", "SQQQ", "TECL", "TQQQ", "UVXY", "XLK")),
        sessions=TradingCalendar.new_york().session,
        random=Random(0),
    )
    positions = {row["symbol"]: Decimal(row["qty"]) for row in core.positions_json()}
    return Decimal(core.account_json()["cash"]), positions


def told(state: Path) -> tuple[Decimal, dict[str, Decimal]]:
    """Return cash and positions as the daemon's commands tell them."""
    pnl = ask("pnl", "--state", str(state))
    positions = ask("positions", "--state", str(state))["positions"]
    return Decimal(pnl["ledger_cash"]), {row["symbol"]: Decimal(row["quantity"]) for row in positions}


def agree(state: Path) -> None:
    """Check that the daemon's books and the exchange's own account are the same to the cent and to the share fraction."""
    cash, positions = told(state)
    exchange_cash, exchange_positions = exchange_account(state)
    assert abs(cash - exchange_cash) < Decimal("0.01")
    assert positions == exchange_positions


@needs_bars
@pytest.mark.slow
def test_five_real_sessions_and_one_story(tmp_path: Path) -> None:
    """Five sessions of real data are traded; journal, status, positions, profit and the exchange agree to the cent."""
    done = run("run", "--embedded", "--bars", str(SHARED_BARS), "--days", "5", "--state", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr

    status = ask("status", "--state", str(tmp_path))
    pnl = ask("pnl", "--state", str(tmp_path))
    assert status["live"] is False
    assert status["open_orders"] == 0
    assert status["ledger"]["differences"] == []
    agree(tmp_path)
    assert Decimal(pnl["equity"]) == Decimal(status["equity"])
    profit = Decimal(pnl["realised"]) + Decimal(pnl["unrealised"])
    assert abs(Decimal(pnl["equity"]) - 100_000 - profit) < Decimal("0.01")

    lines = [json.loads(line) for line in run("journal", "export", "--state", str(tmp_path)).stdout.splitlines()]
    kinds = [line["event"]["type"] for line in lines]
    assert kinds.count("TargetProposed") == kinds.count("ResultReported") == 5
    assert kinds.count("OrderFilled") == kinds.count("FillBooked") > 0
    assert run("journal", "verify", "--state", str(tmp_path)).returncode == 0


@pytest.mark.slow
def test_a_synthetic_market_needs_nothing(tmp_path: Path) -> None:
    """Without bars and without settings the daemon trades a market of its own, from an empty directory."""
    done = run("run", "--days", "2", cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    assert (tmp_path / "state" / "journal.sqlite").exists()


def test_a_running_daemon_answers(tmp_path: Path) -> None:
    """Health, metrics and the questions are answered while it trades; the address is in the state directory."""
    with daemon("--embedded", "--speed", "5", "--days", "1", "--state", str(tmp_path)) as running:
        running.wait_for("ledger_compared")
        url = json.loads((tmp_path / "http.json").read_text())["url"]
        for path in ("/livez", "/readyz", "/healthz"):
            with urllib.request.urlopen(url + path, timeout=5) as response:  # noqa: S310
                assert response.status == 200
        with urllib.request.urlopen(url + "/metrics", timeout=5) as response:  # noqa: S310
            assert b"alchemiser_ready 1.0" in response.read()
        assert ask("status", "--state", str(tmp_path))["live"] is True
        assert run("health", "--state", str(tmp_path)).returncode == 0
        assert running.stop() == 0
    assert run("health", "--state", str(tmp_path)).returncode == 7


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["order_filled", "session_opened", "order_intended"])
def test_sigterm_in_mid_session_leaves_nothing_open_and_the_next_start_carries_on(tmp_path: Path, moment: str) -> None:
    """Stopped at any moment it exits 0 within ten seconds with no open order; the next start finishes the sessions."""
    arguments = ("--embedded", "--days", "2", "--state", str(tmp_path))
    with daemon(*arguments) as running:
        running.wait_for(moment)
        assert running.stop(seconds=10) == 0
        # The last stage has the last word; between it and the last event may be counts of lines that were said again and again.
        assert (running.lines[-1]["event"], running.lines[-1]["stage"]) == ("stop_stage", "exit")
        last = [line for line in running.lines if "repeated" not in line][-2:]
        assert [("daemon_stopped", []), ("stop_stage", None)] == [(line["event"], line.get("open_orders")) for line in last]

    assert run("run", *arguments).returncode == 0
    assert ask("status", "--state", str(tmp_path))["ledger"]["differences"] == []
    agree(tmp_path)
    decided = [
        event for event in ask("events", "--state", str(tmp_path), "--limit", "1000")["events"] if event["type"] == "RebalancePlanned"
    ]
    assert len({event["session"] for event in decided}) == len(decided) == 2


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["order_intended", "order_filled", "rebalance_completed"])
def test_kill_loses_nothing(tmp_path: Path, moment: str) -> None:
    """Killed without warning, the next start recovers what happened and ends with the books equal to the broker's."""
    arguments = ("--embedded", "--days", "2", "--state", str(tmp_path))
    with daemon(*arguments) as running:
        running.wait_for(moment)
        assert running.stop(signal.SIGKILL) == -signal.SIGKILL

    done = run("run", *arguments)
    assert done.returncode == 0, done.stderr
    agree(tmp_path)
    assert run("journal", "verify", "--state", str(tmp_path)).returncode == 0


def test_two_daemons_cannot_share_a_state(tmp_path: Path) -> None:
    """A second daemon on the same state is refused for safety and says who is there."""
    arguments = ("--embedded", "--speed", "5", "--days", "1", "--state", str(tmp_path))
    with daemon(*arguments) as running:
        running.wait_for("daemon_started")
        second = run("run", *arguments)
        assert second.returncode == 4
        assert str(running.process.pid) in second.stderr
        assert running.stop() == 0
