"""A pull that is killed in the middle, as a real process against a real exchange: it goes on where it was."""

import json
import signal
import subprocess
from pathlib import Path

import pytest

from alchemiser.cli.pytest_plugin import RunningExchange
from alchemiser.exchange.bars import BarFolder
from alchemiser.market.calendar import TradingCalendar
from alchemiser.market.store.series import SeriesKey
from alchemiser.market.store.store import BarStore
from tests.component.processes import PROGRAM, daemon, environment, run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

SYMBOLS = ("AAA", "BBB", "CCC", "DDD", "EEE")
SESSIONS = 2_300


@pytest.fixture
def bars(tmp_path: Path) -> Path:
    """Nine years of bars of five symbols: more than a page of the venue."""
    folder = tmp_path / "csv"
    folder.mkdir()
    calendar = TradingCalendar.new_york()
    days = [session.date for session in calendar.sessions(calendar.first_day, calendar.last_day) if session.date.year >= 2016][:SESSIONS]
    for number, symbol in enumerate(SYMBOLS, start=1):
        rows = [f"{day},{100 * number + place % 17}" for place, day in enumerate(days)]
        (folder / f"{symbol}.csv").write_text("\n".join(["date,close", *rows, ""]))
    return folder


def test_a_kill_in_the_middle_costs_nothing_that_was_stored(bars: Path, tmp_path: Path) -> None:
    """Killed while the second page of the second adjustment is on its way: the next pull asks for the rest only, and all is there."""
    with subprocess.Popen(
        [*PROGRAM, "exchange", "--bars", str(bars), "--speed", "20"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        try:
            _kill_and_go_on(RunningExchange(**json.loads(process.stdout.readline())), bars, tmp_path / "bars")
        finally:
            process.terminate()


def test_a_pull_keeps_to_the_quota(bars: Path, tmp_path: Path) -> None:
    """With three requests a minute granted and seven to make, it waits for the next minute and is never refused."""
    command = [*PROGRAM, "exchange", "--bars", str(bars), "--speed", "60", "--rate-limit", "3"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        try:
            exchange = RunningExchange(**json.loads(process.stdout.readline()))
            done = run("data", "pull", *SYMBOLS, "--store", str(tmp_path / "bars"), "--json", env=_settings(exchange))
            entries = exchange.control("GET", "log")
        finally:
            process.terminate()
    assert done.returncode == 0, done.stderr
    answered = [entry["status"] for entry in entries if "status" in entry and not entry["path"].startswith("/_exchange")]
    assert json.loads(done.stdout)["requests"] == len(answered) == 7
    assert set(answered) == {200}


def test_the_daemon_decides_from_the_store_that_was_pulled(bars: Path, tmp_path: Path) -> None:
    """Its decision asks the venue for the sessions since the pull and no others, and stores them; the store is sound afterwards."""
    rule = '(if (> (moving-average-price "AAA" {:window 200}) 1) [(asset "BBB")] [(asset "CCC")])'
    (tmp_path / "own.clj").write_text(f'(defsymphony "Own" {{:rebalance-frequency :daily}} {rule})')
    store, state = tmp_path / "bars", tmp_path / "state"
    command = [*PROGRAM, "exchange", "--bars", str(bars), "--speed", "20"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        try:
            exchange = RunningExchange(**json.loads(process.stdout.readline()))
            env = {
                **_settings(exchange),
                "ALCHEMISER_ALPACA__TRADING_STREAM_URL": exchange.trading_stream,
                "ALCHEMISER_ALPACA__DATA_STREAM_URL": exchange.data_stream,
                "ALCHEMISER_DATA__STORE": str(store),
                "ALCHEMISER_SERVICE__TOKEN": "let-me-in",
            }
            pull = ("data", "pull", "AAA", "BBB", "CCC", "--adjustment", "all", "--end", "2024-12-31", "--json")
            assert run(*pull, env=env).returncode == 0
            pulled = BarStore(store).read(SeriesKey("AAA", "iex", "all"))
            before = len(_bar_requests(exchange))
            with daemon("--paper", "--strategy", str(tmp_path / "own.clj"), "--state", str(state), env=env) as running:
                running.wait_for("session_opened")
                asked = run("rebalance", "--state", str(state), "--json", env=env)
                assert asked.returncode == 0, asked.stderr
                running.wait_for("order_intended")
                running.stop()
            requests = _bar_requests(exchange)[before:]
        finally:
            process.terminate()
    assert len(requests) == 1
    assert "2016" not in json.dumps(requests), requests
    after = BarStore(store).read(SeriesKey("AAA", "iex", "all"))
    assert len(after.bars) > len(pulled.bars)
    assert after.info.asked_from == pulled.info.asked_from, "what was stored was kept"
    assert after.bars.close[: len(pulled.bars)].tolist() == pulled.bars.close.tolist()
    assert run("data", "check", "--store", str(store)).returncode == 0


def _settings(exchange: RunningExchange) -> dict[str, str]:
    return {
        "APCA_API_KEY_ID": exchange.key_id,
        "APCA_API_SECRET_KEY": exchange.secret_key,
        "ALCHEMISER_ALPACA__TRADING_URL": exchange.rest,
        "ALCHEMISER_ALPACA__DATA_URL": exchange.rest,
    }


def _kill_and_go_on(exchange: RunningExchange, bars: Path, store: Path) -> None:
    env = _settings(exchange)
    pull = ("data", "pull", *SYMBOLS, "--store", str(store), "--adjustment", "raw,all")
    # Two pages of raw bars, the first of the fully adjusted ones; the fourth request is never answered.
    exchange.control("POST", "faults", [{"kind": "timeout", "path": "/v2/stocks/bars", "skip": 3}])
    with subprocess.Popen([*PROGRAM, *pull], env=environment(env), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        told = [process.stderr.readline() for _ in range(9)]
        process.send_signal(signal.SIGKILL)
    assert told[-1].startswith("9/10 DDD iex all: pulled"), told
    stored = {str(key): len(BarStore(store).read(key).bars) for key in BarStore(store).series_keys()}
    assert stored["DDD iex all"] == stored["EEE iex raw"]
    assert 0 < stored["EEE iex all"] < stored["EEE iex raw"], "the first page ended inside of the last symbol"

    exchange.control("DELETE", "faults")
    before = len(_bar_requests(exchange))
    done = run(*pull, "--json", env=env)
    assert done.returncode == 0, done.stderr
    outcomes = {(entry["symbol"], entry["adjustment"]): entry["outcome"] for entry in json.loads(done.stdout)["series"]}
    assert {key for key, outcome in outcomes.items() if outcome != "up to date"} == {("EEE", "all")}
    assert len(_bar_requests(exchange)) - before == 1
    folder = BarFolder(bars)
    for symbol in SYMBOLS:
        read = BarStore(store).read(SeriesKey(symbol, "iex", "all")).bars
        whole = folder.series(symbol)
        assert read.days.tolist() == whole.days[: len(read)].tolist()
        assert read.close.tolist() == whole.close[: len(read)].tolist()
        assert len(read) >= SESSIONS - 1
    assert run("data", "check", "--store", str(store), env=env).returncode == 0


def _bar_requests(exchange: RunningExchange) -> list[object]:
    entries = exchange.control("GET", "log")
    return [entry for entry in (entries if isinstance(entries, list) else entries["log"]) if "/v2/stocks/bars" in json.dumps(entry)]
