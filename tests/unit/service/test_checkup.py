"""What would stop a good start, found before it: real directories, real sockets, a broker on loopback."""

import importlib.util
import json
import os
import shutil
import socket
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import pytest
from aiohttp import web

from alchemiser.bus.envelope import Envelope
from alchemiser.cli.app import run
from alchemiser.cli.check import BrokerAnswer, check_one
from alchemiser.domain.account import Asset
from alchemiser.domain.events import DaemonStopping
from alchemiser.exchange.assets import asset_json, listed
from alchemiser.journal.journal import Journal
from alchemiser.market.calendar import TradingCalendar, new_york_date
from alchemiser.market.store.store import BarStore
from alchemiser.service import checkup
from alchemiser.service.bar_import import ImportWish, files_of, import_files
from alchemiser.service.checkup import CALENDAR_AHEAD, Finding, check_up
from alchemiser.service.clock import WallClock
from alchemiser.service.flush_speed import FlushSpeed
from alchemiser.service.offline import JOURNAL_FILE
from alchemiser.service.settings_load import load_settings
from alchemiser.service.state_file import HttpAddress, write_http_address
from alchemiser.strategies.catalog import shipped_symphony
from alchemiser.strategies.symphony.check import check_bytes

CREDENTIALS = {"APCA_API_KEY_ID": "PKTESTTESTTEST", "APCA_API_SECRET_KEY": "secret-secret"}


def account(**changes: Any) -> dict[str, Any]:
    """Return an account as the broker reports it."""
    money = {"cash": "1000", "equity": "1000", "buying_power": "1000"}
    return {"account_number": "PA1", "status": "ACTIVE", "multiplier": "1", **money, **changes}


class Broker:
    """Answers account, clock, calendar and assets as a test wants; it knows the symbols of the TECL strategy."""

    def __init__(self) -> None:
        self.account = account()
        self.status = 200
        self.sessions: list[dict[str, str]] = []
        self.untradable: set[str] = set()
        self.unknown: set[str] = set()
        self.market_data: tuple[int, Any] = (200, {"SPY": {}})
        self.now: Callable[[], datetime] = WallClock().now

    def application(self) -> web.Application:
        """Return the routes."""
        app = web.Application()
        app.router.add_get("/v2/account", self._account)
        app.router.add_get("/v2/clock", self._clock)
        app.router.add_get("/v2/calendar", self._calendar)
        app.router.add_get("/v2/assets", self._assets)
        app.router.add_get("/v2/stocks/snapshots", self._snapshots)
        return app

    async def _account(self, request: web.Request) -> web.Response:
        return web.json_response(self.account if self.status == 200 else {"message": "forbidden."}, status=self.status)

    async def _clock(self, request: web.Request) -> web.Response:
        now = self.now().isoformat()
        return web.json_response({"timestamp": now, "is_open": False, "next_open": now, "next_close": now})

    async def _calendar(self, request: web.Request) -> web.Response:
        return web.json_response(self.sessions)

    async def _snapshots(self, request: web.Request) -> web.Response:
        status, body = self.market_data
        return web.json_response(body, status=status)

    async def _assets(self, request: web.Request) -> web.Response:
        symbols = [symbol for symbol in check_bytes(shipped_symphony("tecl")).symbols if symbol not in self.unknown]
        return web.json_response([asset_json(listed(symbol, tradable=symbol not in self.untradable)) for symbol in symbols])


class Desk(NamedTuple):
    """A broker and the environment of a daemon that trades with it."""

    broker: Broker
    environ: dict[str, str]


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    """Serve a broker on loopback."""
    broker = Broker()
    runner = web.AppRunner(broker.application())
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield Desk(broker, CREDENTIALS | {"ALCHEMISER_ALPACA__TRADING_URL": url, "ALCHEMISER_ALPACA__DATA_URL": url})
    await runner.cleanup()


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


async def findings_of(environ: dict[str, str], **overrides: Any) -> list[Finding]:
    """Return what the doctor finds."""
    free = {"ALCHEMISER_SERVICE__HTTP": "127.0.0.1:0"}
    dotted = {key.replace("__", "."): value for key, value in overrides.items()}
    return await check_up(load_settings(environ=free | environ, overrides=dotted, secrets=()), WallClock())


def texts(findings: list[Finding], verdict: str) -> list[str]:
    """Return the findings of one verdict as text."""
    return [f"{finding.check}: {finding.text}" for finding in findings if finding.verdict == verdict]


@pytest.mark.usefixtures("place")
async def test_a_machine_without_an_account_can_start() -> None:
    """The embedded exchange needs nothing; the missing token is a warning."""
    findings = await findings_of({})

    assert texts(findings, "problem") == []
    assert ["secrets: without service.token the daemon cannot be paused or halted over HTTP"] == texts(findings, "warning")
    assert {"settings", "secrets", "agreement", "strategies", "state", "disk", "journal", "door", "venue"} == {
        finding.check for finding in findings
    }


@pytest.mark.usefixtures("place")
async def test_symbols_that_the_broker_does_not_trade_are_warnings(desk: Desk) -> None:
    """By name, with the strategy; one that is only looked at need not be tradable."""
    desk.broker.untradable = {"TECL", "XLK"}
    desk.broker.unknown = {"KMLM"}
    warnings = texts(await findings_of(desk.environ), "warning")

    assert [text for text in warnings if text.startswith("symbols")] == [
        "symbols: tecl: KMLM is unknown to the broker",
        "symbols: tecl: TECL cannot be traded at the broker",
    ]


def test_check_tells_what_the_broker_says(place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A warning of the file where a broker answers; where none does, the file is checked all the same and why is said."""
    (place / "mine.clj").write_text('(defsymphony "Mine" {} (asset "TECL"))')
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    for name in ("TRADING", "DATA"):
        monkeypatch.setenv(f"ALCHEMISER_ALPACA__{name}_URL", "http://127.0.0.1:9")

    assert run(("check", "mine.clj", "--json")) == 0
    answer = json.loads(capsys.readouterr().out)
    assert "list of assets" in answer["broker"]
    assert run(("check", "mine.clj", "--json", "--offline")) == 0
    assert json.loads(capsys.readouterr().out)["broker"] == "not asked"

    assets = {"TECL": Asset(symbol="TECL", is_tradable=False, is_fractionable=True)}
    checked = check_one(place / "mine.clj")
    assert BrokerAnswer("asked", assets).remarked(checked).warnings == ("TECL cannot be traded at the broker",)
    assert BrokerAnswer("asked", {}).remarked(checked).warnings == ("TECL is unknown to the broker",)


@pytest.mark.usefixtures("place")
async def test_a_broker_that_answers_is_asked_for_everything(desk: Desk) -> None:
    """Account, clock and calendar are looked at; a calendar that differs from ours is a warning."""
    findings = await findings_of(desk.environ, service__token="a-token-for-tests")

    assert texts(findings, "problem") == []
    assert "venue: account PA1: equity 1000, cash 1000" in texts(findings, "ok")
    assert any(text.startswith("clock: ") for text in texts(findings, "ok"))
    assert any(text.startswith("calendar: the broker names no session until") for text in texts(findings, "warning"))


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize(
    ("change", "code", "text"),
    [
        ({"status": 401}, 5, "refus"),
        ({"status": 503}, 5, "no readable answer"),
        ({"account": account(trading_blocked=True)}, 4, "may not trade"),
        ({"account": account(account_number="OTHER")}, 4, "belong to OTHER, the settings expect PA1"),
    ],
)
async def test_what_the_broker_says_can_be_a_problem(desk: Desk, change: dict[str, Any], code: int, text: str) -> None:
    """Refused credentials, a blocked account and another account are problems with the code that a start would end with."""
    for name, value in change.items():
        setattr(desk.broker, name, value)

    findings = await findings_of(desk.environ | {"ALCHEMISER_ALPACA__REQUEST_DEADLINE_SECONDS": "0.5"}, alpaca__account_number="PA1")

    [problem] = [finding for finding in findings if finding.verdict == "problem"]
    assert code == problem.exit_code
    assert text in problem.text
    assert problem.remedy


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize(
    ("answer", "verdict", "text"),
    [
        ((200, {"SPY": {}}), "ok", "the plan includes the feed iex"),
        ((403, {"message": "subscription does not permit querying recent SIP data"}), "problem", "does not include the feed iex"),
        ((200, {}), "warning", "knows nothing of SPY"),
        ((503, {}), "warning", "is not known"),
    ],
)
async def test_the_market_data_plan_is_tried(desk: Desk, answer: tuple[int, Any], verdict: str, text: str) -> None:
    """A plan without the feed of the settings would end the start; a host that is away is not the plan's fault."""
    desk.broker.market_data = answer
    findings = await findings_of(desk.environ | {"ALCHEMISER_ALPACA__REQUEST_DEADLINE_SECONDS": "0.5"})

    [found] = [finding for finding in findings if finding.check == "market data"]
    assert (found.verdict, found.exit_code) == (verdict, 3 if verdict == "problem" else 0)
    assert text in found.text
    assert bool(found.remedy) == (verdict != "ok")


@pytest.mark.usefixtures("place")
async def test_the_flags_of_the_account_are_told(desk: Desk) -> None:
    """Also when they are as they should be."""
    assert "flags: none forbids trading; buying power 1000, multiplier 1" in texts(await findings_of(desk.environ), "ok")


@pytest.mark.usefixtures("place")
async def test_a_calendar_that_differs_is_a_warning(desk: Desk) -> None:
    """The broker's sessions are compared with our table, day by day; an equal one is fine."""
    ours = TradingCalendar.new_york()
    today = new_york_date(WallClock().now())
    zone = ZoneInfo("America/New_York")
    days = [
        {"date": str(day.date), "open": f"{day.opens_at.astimezone(zone):%H:%M}", "close": f"{day.closes_at.astimezone(zone):%H:%M}"}
        for day in ours.sessions(today, today + CALENDAR_AHEAD)
    ]

    desk.broker.sessions = days
    equal = await findings_of(desk.environ)
    desk.broker.sessions = days[1:]
    different = await findings_of(desk.environ)

    assert [finding.verdict for finding in equal if finding.check == "calendar"] == ["ok"]
    assert [finding.verdict for finding in different if finding.check == "calendar"] == ["warning"]


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize(("year", "remedy"), [(2025, "a time of its own")])
async def test_a_clock_that_is_off_is_a_warning(desk: Desk, year: int, remedy: str) -> None:
    """A machine whose clock differs from the broker's decides at the wrong time."""
    desk.broker.now = lambda: datetime(year, 3, 3, tzinfo=UTC)

    findings = await findings_of(desk.environ)

    [clock] = [finding for finding in findings if finding.check == "clock"]
    assert clock.verdict == "warning"
    assert remedy in clock.remedy


@pytest.mark.usefixtures("place")
async def test_trading_without_credentials_is_a_problem() -> None:
    """Paper needs a key, and the venue is not asked without one."""
    findings = await findings_of({}, alpaca__mode="paper")

    assert ["secrets: paper trading needs credentials, and there are none"] == texts(findings, "problem")
    assert "venue" not in {finding.check for finding in findings}


@pytest.mark.usefixtures("place")
async def test_live_trading_needs_its_agreement(desk: Desk) -> None:
    """Without the account number live trading is refused; with it the flag is still needed."""
    without = await findings_of(desk.environ, alpaca__mode="live")
    with_number = await findings_of(desk.environ, alpaca__mode="live", alpaca__account_number="PA1")

    assert "agreement" in [finding.check for finding in without if finding.verdict == "problem"]
    assert "agreement: live trading: mode and account number are set; --live must be given as well" in texts(with_number, "ok")


async def test_secrets_that_others_may_read_are_a_warning(place: Path) -> None:
    """A secret file with loose permissions, and a secret in the settings file, are named with their remedy."""
    secrets = place / "secrets"
    secrets.mkdir()
    (secrets / "apca_api_secret_key").write_text("secret-secret")
    (secrets / "apca_api_secret_key").chmod(0o644)
    (place / "alchemiser.toml").write_text('[service]\ntoken = "a-token-for-tests"\nhttp = "127.0.0.1:0"\n')
    (place / "alchemiser.toml").chmod(0o600)

    loaded = load_settings(environ={}, secrets=(secrets,))
    warnings = texts(await check_up(loaded, WallClock()), "warning")

    assert [
        f"secrets: alpaca.secret_key is in {secrets / 'apca_api_secret_key'}, which others may read",
        "secrets: service.token stands in the settings file",
    ] == warnings


@pytest.mark.usefixtures("place")
async def test_a_strategy_that_cannot_be_loaded_is_a_problem() -> None:
    """An unknown strategy stops the start and is found before it."""
    findings = await findings_of({}, strategies={"nonsense": {"source": "nonsense"}})

    [problem] = [finding for finding in findings if finding.verdict == "problem"]
    assert (problem.check, problem.exit_code) == ("strategies", 3)


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize(
    ("decision", "tactic", "verdicts"),
    [
        ("close - 10m", "moc", ["warning"]),
        ("close - 11m", "moc", ["ok"]),
        ("15:45", "loc", ["ok"]),
        ("open + 205m", "moc", ["warning"]),
        ("close - 10m", "twap", []),
    ],
)
async def test_a_decision_too_late_for_the_auction_is_a_warning(decision: str, tactic: str, verdicts: list[str]) -> None:
    """On a full day or on a half one: every order would fall to the alternative."""
    findings = await findings_of({}, schedule__decision=decision, execution__tactic=tactic)
    assert verdicts == [finding.verdict for finding in findings if finding.check == "tactics"]


async def test_bars_must_cover_the_strategies(place: Path) -> None:
    """A folder that lacks a symbol is named with what it lacks; one that cannot be read too."""
    (place / "bars").mkdir()
    (place / "bars" / "TECL.csv").write_text("date,close\n2025-03-03,70.0\n")

    lacking = await findings_of({}, embedded__bars=str(place / "bars"))
    missing = await findings_of({}, embedded__bars=str(place / "nowhere"))

    assert "has no file for" in texts(lacking, "problem")[0]
    assert ["bars"] == [finding.check for finding in missing if finding.verdict == "problem"]


async def test_the_bar_store_says_what_it_has(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not there yet is fine; a folder that is none, and no pyarrow, are problems with a word on what to do."""

    async def found() -> tuple[str, str]:
        findings = await findings_of({}, data__store=str(place / "bars"))
        ((verdict, text),) = [(finding.verdict, finding.text) for finding in findings if finding.check == "bar store"]
        return verdict, text

    assert not [finding for finding in await findings_of({}) if finding.check == "bar store"]
    assert await found() == ("ok", f"{place / 'bars'}: not there yet; the first decision makes it")
    (place / "SPY.csv").write_text("date,close\n2025-03-03,1\n")
    wish = ImportWish(feed="iex", closes="all")
    import_files(BarStore.made(place / "bars"), files_of([place / "SPY.csv"], None), wish, WallClock().now())
    verdict, text = await found()
    assert (verdict, "iex has 1 of the " in text) == ("ok", True)
    (place / "bars" / "store.json").write_text("?")
    verdict, text = await found()
    assert (verdict, "cannot be read" in text) == ("problem", True)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    verdict, text = await found()
    assert (verdict, "alchemiser[data]" in text) == ("problem", True)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
async def test_a_state_directory_that_cannot_be_written_is_a_problem(place: Path) -> None:
    """A journal that cannot be written stops the daemon."""
    os.chmod(place, 0o500)

    assert any("nothing can be written" in text for text in texts(await findings_of({}), "problem"))


async def test_a_state_directory_open_to_all_is_a_warning(place: Path) -> None:
    """Whoever may write the journal may rewrite what happened."""
    (place / "state").mkdir()
    os.chmod(place / "state", 0o777)  # noqa: S103 - the mistake that is to be found

    assert f"state: {Path('state')} may be written by everybody" in texts(await findings_of({}), "warning")


async def test_files_open_to_all_are_a_warning(place: Path) -> None:
    """The journal says what happened and the settings say what is traded: nobody else should write them."""
    (place / "state").mkdir(mode=0o700)
    (place / "alchemiser.toml").write_text('[service]\nhttp = "127.0.0.1:0"\n')
    for file in (place / "state" / "http.json", place / "alchemiser.toml"):
        file.touch()
        file.chmod(0o666)
    warnings = [finding for finding in await check_up(load_settings(environ={}, secrets=()), WallClock()) if finding.verdict == "warning"]

    named = {finding.remedy for finding in warnings if "may be written by everybody" in finding.text}
    assert {f"chmod 600 {Path('state') / 'http.json'}", f"chmod 600 {place / 'alchemiser.toml'}"} == named


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize(("free", "verdict"), [(50_000_000, "problem"), (500_000_000, "warning"), (5_000_000_000, "ok")])
async def test_room_for_the_journal_is_checked(monkeypatch: pytest.MonkeyPatch, free: int, verdict: str) -> None:
    """Little room is a warning, none is a problem."""
    usage = shutil.disk_usage(".")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=free))

    assert verdict in [finding.verdict for finding in await findings_of({}) if finding.check == "state"]


@pytest.mark.usefixtures("place")
async def test_a_slow_disk_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is never quick: a slow moment among quick ones is no reason to move the journal."""

    async def found(quickest: float, slowest: float) -> list[tuple[str, str]]:
        monkeypatch.setattr(checkup, "measure_flush", lambda place: FlushSpeed(quickest, slowest))
        return [(finding.verdict, finding.text) for finding in await findings_of({}) if finding.check == "disk"]

    ((verdict, text),) = await found(0.002, 0.7)
    assert (verdict, text.partition(": ")[2]) == ("ok", "a write is durable after 2.0 to 700.0 ms")
    ((verdict, _),) = await found(0.3, 0.7)
    assert verdict == "warning"


async def test_a_whole_journal_is_fine_and_a_broken_one_is_not(place: Path) -> None:
    """The chain is verified to its end; a byte that was changed is a problem with the code of a failed verification."""
    state = place / "state"
    state.mkdir()
    with Journal.open(state / JOURNAL_FILE, new_epoch=lambda: "abc123", threaded=False) as journal:
        for number in range(1, 4):
            journal.append(Envelope(number, DaemonStopping(at=datetime(2025, 3, 3, tzinfo=UTC), reason=f"reason {number}"), 0.0))
        await journal.durable(3)
    whole = await findings_of({})
    content = (state / JOURNAL_FILE).read_bytes()
    (state / JOURNAL_FILE).write_bytes(content.replace(b"reason 2", b"reason X"))
    broken = await findings_of({})

    assert "journal: 3 events, the chain is whole" in texts(whole, "ok")
    [problem] = [finding for finding in broken if finding.verdict == "problem"]
    assert ("journal", 6) == (problem.check, problem.exit_code)


async def test_the_door_may_be_taken(place: Path) -> None:
    """A port that another program has is a problem; one that our daemon has is none; a daemon that died is none either."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        taken = {"ALCHEMISER_SERVICE__HTTP": f"127.0.0.1:{port}"}
        (place / "state").mkdir()

        strange = await findings_of(taken)
        write_http_address(place / "state", HttpAddress(url=f"http://127.0.0.1:{port}", host="127.0.0.1", port=port, pid=os.getpid()))
        ours = await findings_of(taken)
        write_http_address(place / "state", HttpAddress(url=f"http://127.0.0.1:{port}", host="127.0.0.1", port=port, pid=2**22 + 1))
        died = await findings_of(taken)

    assert [f"door: 127.0.0.1:{port} is taken by another process"] == texts(strange, "problem")
    assert f"door: a daemon is running there already: process {os.getpid()} at http://127.0.0.1:{port}" in texts(ours, "ok")
    assert ["door"] == [finding.check for finding in died if finding.verdict == "problem"]


async def test_addresses_that_would_stop_a_start_are_a_problem() -> None:
    """The exit code is that of the start; the address, which holds a password, is not shown."""
    url = "nonsense://user:hunter2-hunter2@host"
    findings = await findings_of({"ALCHEMISER_NOTIFICATIONS__URLS": f'["{url}"]'})

    (problem,) = [finding for finding in findings if finding.verdict == "problem"]
    assert (problem.check, problem.exit_code) == ("notifications", 3)
    assert "number 1 (nonsense://...) is not an address that apprise knows" in problem.text
    assert "hunter2" not in problem.text


async def test_addresses_in_the_settings_file_are_a_warning(place: Path) -> None:
    """They hold passwords like any other secret."""
    (place / "alchemiser.toml").write_text('[notifications]\nurls = ["json://127.0.0.1:9/"]\n')

    findings = await findings_of({})

    assert "secrets: notifications.urls stands in the settings file" in texts(findings, "warning")
    assert "notifications: 1 can be read; alchemiser notify sends a message to each" in texts(findings, "ok")
