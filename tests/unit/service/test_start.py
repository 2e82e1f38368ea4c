"""The start: what prevents it is one error of the tree; beside an exchange that somebody else runs it recovers and stops in order."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, MutableMapping
from contextlib import asynccontextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
import structlog
from structlog.testing import capture_logs
from structlog.typing import EventDict

from alchemiser.domain.errors import (
    AlchemiserError,
    BusClosed,
    ConfigError,
    CredentialsRefused,
    DataError,
    SafetyRefused,
    StrategyError,
    VenueUnavailable,
)
from alchemiser.domain.events import DaemonStarted, DaemonStopped, DaemonStopping, RecoveryCompleted
from alchemiser.domain.market import Session
from alchemiser.journal.reader import JournalReader
from alchemiser.market.calendar import TradingCalendar
from alchemiser.service.clock import LeapClock
from alchemiser.service.embedded import EmbeddedMarket, daily_source, embedded_market
from alchemiser.service.offline import JOURNAL_FILE
from alchemiser.service.settings import RunOptions, Settings
from alchemiser.service.start import _compare_calendars, _first, run_daemon
from alchemiser.service.surroundings import Surroundings

STRATEGIES = {"mine": {"source": "tests.unit.strategies.python_examples:Momentum"}}
NOWHERE = {
    "mode": "paper",
    "trading_url": "http://127.0.0.1:1",
    "data_url": "http://127.0.0.1:1",
    "trading_stream_url": "ws://127.0.0.1:1/stream",
    "data_stream_url": "ws://127.0.0.1:1/v2/iex",
    "key_id": "key",
    "secret_key": "secret",
}


def settings_of(state: Path, alpaca: dict[str, Any] | None = None, **tables: Any) -> Settings:
    """Return settings of a quiet daemon."""
    service = {"state": state, "http": "127.0.0.1:0", "stop_seconds": 5}
    return Settings.model_validate({"service": service, "alpaca": alpaca or {}, "strategies": STRATEGIES, **tables})


def quiet() -> Surroundings:
    """Return surroundings without threads and signals."""
    return Surroundings(is_threaded=False, takes_signals=False)


@pytest.mark.parametrize(
    ("missing", "words"),
    [
        (("key_id", "secret_key"), "alpaca.key_id and alpaca.secret_key are needed"),
        (("secret_key",), "alpaca.key_id and alpaca.secret_key are needed"),
    ],
)
async def test_trading_elsewhere_needs_credentials(tmp_path: Path, missing: tuple[str, ...], words: str) -> None:
    """The error names the settings."""
    alpaca = {key: value for key, value in NOWHERE.items() if key not in missing}

    with pytest.raises(ConfigError, match=words):
        await run_daemon(settings_of(tmp_path, alpaca), RunOptions(), quiet())


async def test_the_addresses_of_a_venue_belong_together(tmp_path: Path) -> None:
    """One of them alone would send orders to one place and listen at another."""
    alpaca = {"mode": "embedded", "trading_url": "http://127.0.0.1:1", "key_id": "key", "secret_key": "secret"}

    with pytest.raises(ConfigError, match="are set together or not at all"):
        await run_daemon(settings_of(tmp_path, alpaca), RunOptions(), quiet())


async def test_a_state_directory_that_cannot_be_made_is_a_setting_to_fix(tmp_path: Path) -> None:
    """A file is in its place."""
    (tmp_path / "file").write_text("")

    with pytest.raises(ConfigError, match=r"service\.state .* cannot be made"):
        await run_daemon(settings_of(tmp_path / "file" / "state"), RunOptions(), quiet())


async def test_a_venue_that_cannot_be_reached_ends_the_start(tmp_path: Path) -> None:
    """After the time that a request may take; nothing was traded."""
    alpaca = NOWHERE | {"request_deadline_seconds": 0.2}

    with pytest.raises(VenueUnavailable):
        await run_daemon(settings_of(tmp_path, alpaca), RunOptions(), quiet())


async def test_strategies_that_cannot_be_loaded_end_the_start_before_anything_is_made(tmp_path: Path) -> None:
    """Not even the state directory."""
    settings = settings_of(tmp_path / "state", strategies={"wrong": {"source": "nowhere:Thing"}})

    with pytest.raises(StrategyError):
        await run_daemon(settings, RunOptions(), quiet())
    assert not (tmp_path / "state").exists()


async def test_bars_that_cannot_be_read_end_the_start(tmp_path: Path) -> None:
    """The error comes out of the groups of tasks as itself."""
    with pytest.raises(DataError, match="nothing-here"):
        await run_daemon(settings_of(tmp_path, embedded={"bars": tmp_path / "nothing-here"}), RunOptions(days=1), quiet())


def test_the_error_of_a_run_is_the_first_cause() -> None:
    """Whatever is nested how deep; that the bus was closed when it happened is only what followed."""
    cause = VenueUnavailable("the venue is away")
    inner = BaseExceptionGroup[AlchemiserError]("inner", [cause, DataError("later")])
    nested = BaseExceptionGroup[Any]("tasks", [BusClosed("late"), inner])

    assert _first(nested) is cause
    closed = BusClosed("alone")
    assert _first(ExceptionGroup("tasks", [closed])) is closed


@asynccontextmanager
async def exchange_elsewhere(tmp_path: Path) -> AsyncIterator[EmbeddedMarket]:
    """Run an exchange as another process would, on real sockets and at twenty times real speed."""
    state = tmp_path / "exchange"
    state.mkdir()
    settings = settings_of(state, embedded={"speed": 20})
    source = daily_source(settings, ("BIL", "SPY"))
    async with embedded_market(settings, RunOptions(days=1), source, ("BIL", "SPY"), Surroundings()) as market:
        assert market is not None
        async with asyncio.TaskGroup() as group:
            task = group.create_task(market.server.run(), name="exchange")
            yield market
            task.cancel()


def alpaca_at(market: EmbeddedMarket, **changes: Any) -> dict[str, Any]:
    """Return the settings of a daemon that trades there."""
    address = market.address
    return {
        "mode": "paper",
        "trading_url": address.rest,
        "data_url": address.rest,
        "trading_stream_url": address.trading_stream,
        "data_stream_url": address.data_stream,
        "key_id": address.key_id,
        "secret_key": address.secret_key,
        **changes,
    }


async def test_refused_credentials_end_the_start(tmp_path: Path) -> None:
    """Trying again cannot help."""
    async with exchange_elsewhere(tmp_path) as market:
        with pytest.raises(CredentialsRefused):
            await run_daemon(settings_of(tmp_path / "state", alpaca_at(market, secret_key="wrong")), RunOptions(), quiet())


async def test_another_account_than_the_agreed_one_is_not_traded_live(tmp_path: Path) -> None:
    """The third of the three agreements is the broker's own word."""
    async with exchange_elsewhere(tmp_path) as market:
        settings = settings_of(tmp_path / "state", alpaca_at(market, mode="live", account_number="SOMEBODY-ELSE"))
        with pytest.raises(SafetyRefused, match="SOMEBODY-ELSE"):
            await run_daemon(settings, RunOptions(live_agreed=True), quiet())


async def test_symbols_that_the_broker_does_not_know_end_the_start(tmp_path: Path) -> None:
    """When no strategy can do without them."""
    async with exchange_elsewhere(tmp_path) as market:
        settings = settings_of(tmp_path / "state", alpaca_at(market), strategies={"tecl": {}})
        with pytest.raises(StrategyError, match="unknown to the broker"):
            await run_daemon(settings, RunOptions(), quiet())


class Ear:
    """A processor of log lines that tells when a line of that name was written."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.heard = asyncio.Event()

    def __call__(self, logger: Any, method: str, line: MutableMapping[str, Any]) -> EventDict:
        """Listen, and write nothing."""
        if line["event"] == self._name:
            self.heard.set()
        raise structlog.DropEvent


async def test_beside_an_exchange_of_its_own_the_daemon_recovers_and_stops_on_sigterm(tmp_path: Path) -> None:
    """As in a drill of two processes: the daemon takes its time from the exchange, and the signal ends it with exit code 0."""
    ear = Ear("recovery_completed")
    structlog.configure(processors=[ear], cache_logger_on_first_use=False)
    try:
        async with exchange_elsewhere(tmp_path) as market, asyncio.timeout(20), asyncio.TaskGroup() as group:
            settings = settings_of(tmp_path / "state", alpaca_at(market))
            run = group.create_task(run_daemon(settings, RunOptions(), Surroundings()), name="daemon")
            await ear.heard.wait()
            assert (tmp_path / "state" / "http.json").exists()
            os.kill(os.getpid(), signal.SIGTERM)
            assert await run == 0
    finally:
        structlog.reset_defaults()

    with JournalReader.open(tmp_path / "state" / JOURNAL_FILE) as reader:
        events = [envelope.event for envelope in reader.read()]
    (started,) = [event for event in events if isinstance(event, DaemonStarted)]
    (stopping,) = [event for event in events if isinstance(event, DaemonStopping)]
    assert ("paper", {"mine": 1.0}) == (started.mode, started.strategies)
    assert started.at.year == 2025
    assert any(isinstance(event, RecoveryCompleted) for event in events)
    assert stopping.reason == "SIGTERM was received"
    assert isinstance(events[-1], DaemonStopped)


class OtherCalendar:
    """A broker that trades on a holiday, closes early on one day and not at all on another."""

    def __init__(self, sessions: tuple[Session, ...]) -> None:
        self._sessions = sessions

    async def sessions(self, start: date, end: date) -> tuple[Session, ...]:
        """Return what it knows."""
        return self._sessions


async def test_calendars_that_differ_are_told() -> None:
    """One of them is wrong, and a person finds out which."""
    calendar = TradingCalendar.new_york()
    monday, tuesday, *rest = calendar.sessions(date(2025, 3, 3), date(2025, 5, 2))
    shorter = msgspec.structs.replace(tuesday, closes_at=tuesday.closes_at - timedelta(hours=3))
    clock = LeapClock(monday.opens_at)
    same: Any = OtherCalendar((monday, tuesday, *rest))
    other: Any = OtherCalendar((shorter, *rest))

    with capture_logs() as lines:
        await _compare_calendars(same, calendar, clock)
        assert lines == []
        await _compare_calendars(other, calendar, clock)
    assert [("error", "2025-03-03"), ("error", "2025-03-04")] == [(line["log_level"], line["difference"][:10]) for line in lines]
