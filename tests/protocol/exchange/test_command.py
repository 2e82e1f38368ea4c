"""``alchemiser exchange``: one line says where it is, it serves until it is told to stop, and it names what it cannot use."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from alchemiser.cli import exchange as command
from alchemiser.cli.app import run
from alchemiser.cli.exchange import ExchangeOptions, serve_exchange
from alchemiser.cli.exchange_switches import parse_switches, read_switches, switch_table
from alchemiser.domain.errors import AlchemiserError, ConfigError, DataError, SafetyRefused, UsageError
from alchemiser.exchange.assembly import SYNTHETIC_LAST_DAY
from tests.protocol.exchange.harness import running


class Serving:
    """An exchange served by the command's own function, in this loop."""

    def __init__(self, **options: Any) -> None:
        self.stop = asyncio.Event()
        self.lines: list[str] = []
        self._options = ExchangeOptions(**options)
        self._ready = asyncio.Event()

    async def __aenter__(self) -> "Serving":
        self._group = asyncio.TaskGroup()
        await self._group.__aenter__()
        self._group.create_task(serve_exchange(self._options, announce=self._announce, stop=self.stop), name="exchange")
        await self._ready.wait()
        return self

    async def __aexit__(self, *error: Any) -> None:
        self.stop.set()
        await self._group.__aexit__(*error)

    def _announce(self, line: str) -> None:
        self.lines.append(line)
        self._ready.set()

    async def get(self, path: str) -> Any:
        """Return the answer to a question asked with the credentials of the line."""
        line = json.loads(self.lines[0])
        headers = {"APCA-API-KEY-ID": line["key_id"], "APCA-API-SECRET-KEY": line["secret_key"]}
        async with aiohttp.ClientSession(headers=headers) as http, http.get(line["rest"] + path) as response:
            assert response.status == 200
            return await response.json()


def bar_folder(path: Path) -> Path:
    """Write two symbols of two weeks, one of which ends early."""
    days = [date(2025, 3, day) for day in (3, 4, 5, 6, 7, 10, 11, 12, 13, 14)]
    for symbol, count in (("AAA", 10), ("BBB", 6)):
        rows = [f"{day},{10 + n},{12 + n},{9 + n},{11 + n},100000" for n, day in enumerate(days[:count])]
        (path / f"{symbol}.csv").write_text("\n".join(["date,open,high,low,close,volume", *rows]) + "\n")
    return path


async def test_the_line_says_where_and_with_what() -> None:
    """The line has exactly the members that others rely on, and they open the door of a market that is open."""
    async with Serving() as serving:
        (text,) = serving.lines
        line = json.loads(text)
        assert list(line) == ["rest", "trading_stream", "data_stream", "key_id", "secret_key"]
        assert line["trading_stream"] == line["rest"].replace("http", "ws") + "/stream"
        clock = await serving.get("/v2/clock")
        assert clock["is_open"]
        assert clock["timestamp"].startswith(SYNTHETIC_LAST_DAY.isoformat())
        assert len(await serving.get("/v2/assets")) > 40


async def test_bars_decide_the_sessions(tmp_path: Path) -> None:
    """Without a day the last sessions of the longest histories are played; with one, those from it on, in prices of that day."""
    bars = bar_folder(tmp_path)
    async with Serving(bars=bars, days=2, speed=None, cash=Decimal(5)) as serving:
        assert (await serving.get("/v2/clock"))["timestamp"].startswith("2025-03-13")
        assert (await serving.get("/v2/account"))["cash"] == "5"
        assert (await serving.get("/v2/stocks/AAA/snapshot"))["prevDailyBar"]["c"] == 18
        assert (await serving.get("/v2/stocks/BBB/quotes/latest"))["quote"] is None
    async with Serving(bars=bars, day=date(2025, 3, 4), speed=1000.0) as serving:
        assert (await serving.get("/v2/clock"))["timestamp"].startswith("2025-03-04")


async def test_recordings_are_played(tmp_path: Path) -> None:
    """The day that was recorded is the market; a day without a trade is refused."""
    path = tmp_path / "trades.csv"
    path.write_text("symbol,ts,price,size\nXYZ,2025-03-03T14:30:00Z,100,10\nXYZ,2025-03-03T14:31:00Z,101,10\n")
    async with Serving(recordings=path) as serving:
        assert (await serving.get("/v2/clock"))["timestamp"].startswith("2025-03-03T09:30")
        assert (await serving.get("/v2/stocks/XYZ/trades/latest"))["trade"]["p"] == 100
    assert "no trade was recorded on 2025-03-04" in str(await refused(recordings=path, day=date(2025, 3, 4)))


async def test_a_state_folder_is_continued(tmp_path: Path) -> None:
    """The second start finds the account of the first, in the market of its seed; another market is refused, and says which it is not."""
    async with Serving(state=tmp_path, seed=7) as serving:
        first = await serving.get("/v2/account")
    refusal = await refused(state=tmp_path, seed=2)
    assert isinstance(refusal, DataError)
    assert "this account has lived in the market of seed 7, not 2; go on with seed 7" in str(refusal)
    for again in ({}, {"seed": 7}):
        async with Serving(state=tmp_path, **again) as serving:
            assert (await serving.get("/v2/account"))["account_number"] == first["account_number"]
    assert isinstance(await refused(state=tmp_path, seed=1), DataError), "also after a restart that named none"


async def test_a_state_folder_has_one_exchange(tmp_path: Path) -> None:
    """A second exchange on the state of a running one is refused, names its holder, and leaves the first alone; when that ends it may."""
    async with Serving(state=tmp_path / "a b") as serving:
        refusal = await refused(state=tmp_path / "a b")
        assert isinstance(refusal, SafetyRefused)
        assert f"process {os.getpid()}" in str(refusal)
        assert (await serving.get("/v2/account"))["status"] == "ACTIVE"
    async with Serving(state=tmp_path / "a b"):
        pass


async def test_a_state_folder_that_cannot_be_is_named(tmp_path: Path) -> None:
    """A state below a file is a data error that names the folder."""
    (tmp_path / "file").touch()
    refusal = await refused(state=tmp_path / "file" / "state")
    assert isinstance(refusal, DataError)
    assert str(tmp_path / "file" / "state") in str(refusal)


async def test_faults_come_from_a_file(tmp_path: Path) -> None:
    """A list of faults in a file is planned from the start."""
    path = tmp_path / "faults.json"
    path.write_text('[{"kind": "refuse_stream", "stream": "orders"}]')
    async with Serving(faults=path) as serving:
        (fault,) = await serving.get("/_exchange/faults")
        assert fault["kind"] == "refuse_stream"


async def refused(**options: Any) -> AlchemiserError:
    """Return why the exchange does not start."""
    with pytest.raises(AlchemiserError) as refusal:
        await serve_exchange(ExchangeOptions(**options), announce=lambda _: None, stop=asyncio.Event())
    return refusal.value


async def test_what_cannot_be_used_is_named(tmp_path: Path) -> None:
    """A port that is taken, a folder that is none, a day without bars, a file that is no list of faults: one clear error each."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        error = await refused(port=port)
        assert isinstance(error, ConfigError)
        assert f"127.0.0.1:{port}: the port is taken" in str(error)
    assert isinstance(await refused(bars=tmp_path / "nowhere"), DataError)
    assert isinstance(await refused(bars=bar_folder(tmp_path), day=date(2026, 1, 5)), DataError)
    for content in ("{", '[{"kind": "earthquake"}]', '[{"kind": "halt", "symbol": "NOPE"}]'):
        (tmp_path / "faults.json").write_text(content)
        assert str(tmp_path / "faults.json") in str(await refused(faults=tmp_path / "faults.json"))


async def test_nobody_else_can_reach_it() -> None:
    """The exchange serves loopback only, because its control endpoints ask for no credentials."""
    async with running() as exchange:
        await exchange.server.stop()
        with pytest.raises(SafetyRefused, match=r"0\.0\.0\.0"):
            await exchange.server.start(host="0.0.0.0")  # noqa: S104 - it is refused


@pytest.mark.parametrize(
    "arguments",
    [
        ["--day", "tomorrow"],
        ["--speed", "fast"],
        ["--speed", "0"],
        ["--cash", "much"],
        ["--cash", "-1"],
        ["--cash", "inf"],
        ["--cash", "1e400"],
        ["--key-id", "K"],
        ["--port", "70000"],
        ["--set", "colour=blue"],
        ["--set", "engine"],
        ["--engine", "steam"],
        ["--rate-limit", "0"],
        ["--set", "hold_slot_seconds=long"],
        ["--set", "hold_slot_seconds=nan"],
        ["--set", "rate_limit=0"],
        ["--set", "match_ms=-5"],
        ["--set", "collar=NaN"],
        ["--set", "impact_bps=Infinity"],
        ["--set", "smallest_order=-1"],
        ["--set", "interest_rate=x"],
        ["--set", "partial_fill_probability=2"],
        ["--set", "price_decimals=-1"],
        ["--set", "plan=iex,gold"],
        ["--set", "plan="],
        ["--set", "splits=perhaps"],
        ["--set", "cls_cut_off_minutes=7"],
    ],
)
def test_wrong_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Arguments that make no sense are wrong usage, said in one line and with exit code 2."""
    assert run(["exchange", *arguments]) == 2
    assert capsys.readouterr().err


@pytest.mark.parametrize(
    ("switch", "told"),
    [
        ("splits=perhaps", "splits=perhaps: expected true or false; nothing was started"),
        ("multiplier=3", "multiplier=3: expected 1 or 2 or 4; nothing was started"),
        ("rate_limit=0", "rate_limit=0: expected a whole number of at least 1 or none; nothing was started"),
        ("collar=NaN", "collar=NaN: expected a number of at least 0; nothing was started"),
        ("partial_fill_probability=2", "partial_fill_probability=2: expected a number from 0 to 1; nothing was started"),
        ("colour=blue", "--set colour=blue: the exchange has no switch of that name; it has acknowledge_ms, auction_remainder, "),
    ],
)
def test_a_refused_switch_says_what_it_may_be(switch: str, told: str) -> None:
    """The message names the switch, what was given, and what is possible."""
    with pytest.raises(UsageError) as refusal:
        read_switches(parse_switches([switch]), core={}, server={})
    assert str(refusal.value).startswith(told)


def test_no_limit_can_be_asked_for() -> None:
    """``none`` takes a limit away, and lists are given with commas."""
    _, server = read_switches(parse_switches(["rate-limit=none", "plan=iex,test"]), core={}, server={"rate_limit": 7})
    assert (server.rate_limit, server.plan) == (None, ("iex", "test"))


def test_the_page_lists_every_switch() -> None:
    """The table in the documentation is that of the code."""
    page = (Path(__file__).parents[3] / "docs" / "exchange.md").read_text(encoding="utf-8")
    assert switch_table() in page, f"docs/exchange.md lacks this table:\n{switch_table()}"


def test_the_options_reach_the_exchange(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is typed is what is served."""
    seen: list[ExchangeOptions] = []
    monkeypatch.setattr(command, "run_exchange", seen.append)
    arguments = (
        "--day 2025-03-03 --days 2 --port 1 --cash 5.5 --speed leap --seed 3 --key-id K --secret-key S --fees --rate-limit 7 --set plan=iex"
    )
    assert run(["exchange", *arguments.split()]) == 0

    (options,) = seen
    assert (options.day, options.days, options.port, options.cash) == (date(2025, 3, 3), 2, 1, Decimal("5.5"))
    assert (options.speed, options.seed) == (None, 3)
    assert options.credentials is not None
    assert options.credentials.accept("K", "S")
    assert options.switches == {"rate_limit": "7", "data_rate_limit": "7", "fees": "true", "plan": "iex"}


async def test_switches_reach_core_and_faces() -> None:
    """A switch of the account and one of the faces do what they say, wherever they belong."""
    async with Serving(day=date(2025, 3, 3), switches={"multiplier": "4", "rate_limit": "2", "cls_cut_off_minutes": "5"}) as serving:
        address = json.loads(serving.lines[0])
        headers = {"APCA-API-KEY-ID": address["key_id"], "APCA-API-SECRET-KEY": address["secret_key"]}
        async with aiohttp.ClientSession(headers=headers) as http, http.get(address["rest"] + "/v2/account") as response:
            assert (await response.json())["multiplier"] == "4"
            assert response.headers["X-RateLimit-Limit"] == "2"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly(number: signal.Signals) -> None:
    """SIGTERM and SIGINT end the process with 0; it has printed one line and nothing else."""
    process = subprocess.Popen(
        [sys.executable, "-m", "alchemiser", "exchange"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONWARNINGS": "error"},
    )
    with process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["rest"].startswith("http://127.0.0.1:")
        process.send_signal(number)
        out, err = process.communicate(timeout=20)

    assert (process.returncode, out, err) == (0, "", "")
