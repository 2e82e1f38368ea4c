"""The embedded market: which sessions it plays, where it goes on after a restart, and at what speed."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from alchemiser.domain.errors import DataError, StrategyError
from alchemiser.exchange.bars import BarFolder
from alchemiser.exchange.generator import SyntheticMarket
from alchemiser.service.clock import LeapClock, VirtualClock
from alchemiser.service.embedded import BEFORE_OPEN, HELD_SPEED, SYNTHETIC_FIRST, daily_source, embedded_market, enter_market
from alchemiser.service.roster import RefusedStrategy, load_roster
from alchemiser.service.settings import RunOptions, Settings
from alchemiser.service.surroundings import Surroundings
from tests.solipsism import LoopConnector, listen, virtual

SESSIONS = ("2025-03-03", "2025-03-04", "2025-03-05", "2025-03-06", "2025-03-07")
MOMENTUM = "tests.unit.strategies.python_examples:Momentum"


def settings_of(state: Path, **embedded: Any) -> Settings:
    """Return settings of an embedded market."""
    return Settings.model_validate({"service": {"state": state}, "embedded": embedded, "strategies": {"mine": {"source": MOMENTUM}}})


@pytest.fixture
def bars(tmp_path: Path) -> Path:
    """A folder with one week of two symbols."""
    folder = tmp_path / "bars"
    folder.mkdir()
    for symbol in ("BIL", "SPY"):
        rows = [f"{day},{100 + number}" for number, day in enumerate(SESSIONS)]
        (folder / f"{symbol}.csv").write_text("\n".join(("date,close", *rows)) + "\n")
    return folder


def in_memory() -> Surroundings:
    """Return surroundings on virtual time."""
    return Surroundings(make_clock=VirtualClock, connector=LoopConnector, exchange_listener=listen(8001))


def played(settings: Settings, options: RunOptions, *, until: datetime | None = None) -> tuple[datetime, date] | None:
    """Open the market, play it until a time, and return when it began and its last session; ``None`` when there is nothing to play."""
    source = daily_source(settings, ("BIL", "SPY"))

    async def main() -> tuple[datetime, date] | None:
        async with embedded_market(settings, options, source, ("BIL", "SPY"), in_memory()) as market:
            if market is None:
                return None
            begins_at = market.clock.now()
            if until is not None:
                async with asyncio.TaskGroup() as group:
                    task = group.create_task(market.server.run(), name="exchange")
                    await market.clock.sleep_until(until)
                    task.cancel()
            return begins_at.replace(microsecond=0), market.last_session
        raise AssertionError("unreachable")

    settings.service.state.mkdir(exist_ok=True)
    return virtual(main)


def opens_at(day: str) -> datetime:
    """Return when a session of that week opens."""
    return datetime.fromisoformat(f"{day}T14:30:00+00:00")


@pytest.mark.parametrize(
    ("options", "first", "last"),
    [
        (RunOptions(days=2), "2025-03-06", "2025-03-07"),
        (RunOptions(start=date(2025, 3, 4), days=2), "2025-03-04", "2025-03-05"),
        (RunOptions(start=date(2025, 3, 5)), "2025-03-05", "2025-03-07"),
        (RunOptions(), "2025-03-07", "2025-03-07"),
    ],
    ids=["the last two", "two from a day", "all from a day", "the last"],
)
def test_the_sessions_that_are_played(tmp_path: Path, bars: Path, options: RunOptions, first: str, last: str) -> None:
    """It begins a little before the first of them opens: time to connect and to recover."""
    assert (opens_at(first) - BEFORE_OPEN, date.fromisoformat(last)) == played(settings_of(tmp_path / "s", bars=bars), options)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (RunOptions(days=6), "6 sessions were asked for"),
        (RunOptions(start=date(2025, 3, 6), days=3), "3 sessions from 2025-03-06"),
        (RunOptions(start=date(2025, 4, 1)), "2025-04-01"),
        (RunOptions(start=date(2025, 4, 1), days=1), "2025-04-01 lies outside"),
        (RunOptions(start=date(2020, 1, 2)), "2020-01-02"),
    ],
)
def test_sessions_without_bars_are_refused(tmp_path: Path, bars: Path, options: RunOptions, words: str) -> None:
    """The error says what the bars allow."""
    with pytest.raises(DataError, match=words) as refused:
        played(settings_of(tmp_path / "s", bars=bars), options)
    assert "2025-03-07" in str(refused.value)


def test_a_synthetic_market_begins_where_it_always_does(tmp_path: Path) -> None:
    """Whatever the date of the machine; another first session may be asked for."""
    settings = settings_of(tmp_path / "s")

    assert (opens_at(f"{SYNTHETIC_FIRST}") - BEFORE_OPEN, date(2025, 1, 3)) == played(settings, RunOptions(days=2))
    assert (opens_at("2025-03-05") - BEFORE_OPEN, date(2025, 3, 5)) == played(settings, RunOptions(start=date(2025, 3, 5), days=1))


def test_bars_come_from_the_folder_or_are_made(tmp_path: Path, bars: Path) -> None:
    """A made market has exactly the symbols that are needed."""
    assert isinstance(daily_source(settings_of(tmp_path, bars=bars), ("SPY",)), BarFolder)
    made = daily_source(settings_of(tmp_path), ("XYZ", "ABC"))
    assert isinstance(made, SyntheticMarket)
    assert made.symbols == ("ABC", "XYZ")


def test_a_restart_goes_on_where_the_market_was_left(tmp_path: Path, bars: Path) -> None:
    """The account and the market time are kept beside the journal."""
    settings, options = settings_of(tmp_path / "s", bars=bars), RunOptions(days=2)
    left_at = datetime(2025, 3, 6, 17, 0, tzinfo=UTC)

    played(settings, options, until=left_at)
    again = played(settings, options)
    assert again is not None
    assert left_at <= again[0] < left_at + timedelta(minutes=1)


def test_sessions_that_were_played_are_not_played_again(tmp_path: Path, bars: Path) -> None:
    """There is nothing to do; later sessions may be asked for."""
    settings = settings_of(tmp_path / "s", bars=bars)
    first = RunOptions(start=date(2025, 3, 3), days=1)

    played(settings, first, until=datetime(2025, 3, 3, 21, 30, tzinfo=UTC))
    assert played(settings, first) is None
    later = played(settings, RunOptions(start=date(2025, 3, 4), days=1))
    assert later is not None
    assert later[0] >= datetime(2025, 3, 3, 21, 30, tzinfo=UTC)


def test_it_speaks_the_protocol_from_the_start(tmp_path: Path, bars: Path) -> None:
    """Whoever has the address and the key may ask for the account."""
    settings = settings_of(tmp_path, bars=bars, cash=1234)

    async def main() -> str:
        source = daily_source(settings, ("SPY",))
        async with embedded_market(settings, RunOptions(days=1), source, ("SPY",), in_memory()) as market:
            assert market is not None
            headers = {"APCA-API-KEY-ID": market.address.key_id, "APCA-API-SECRET-KEY": market.address.secret_key}
            async with (
                aiohttp.ClientSession(connector=LoopConnector(), headers=headers) as http,
                http.get(f"{market.address.rest}/v2/account") as answer,
            ):
                return str((await answer.json())["cash"])
        raise AssertionError("unreachable")

    assert float(virtual(main)) == 1234


@pytest.mark.parametrize(("speed", "expected", "leaps"), [("leap", HELD_SPEED, True), (50, 50.0, False)])
async def test_the_clock_leaps_or_runs_at_a_speed(tmp_path: Path, bars: Path, speed: str | int, expected: float, leaps: bool) -> None:
    """Over quiet stretches, or evenly; both over real sockets."""
    settings = settings_of(tmp_path, bars=bars, speed=speed)
    async with embedded_market(settings, RunOptions(days=1), daily_source(settings, ()), ("SPY",), Surroundings()) as market:
        assert market is not None
        assert isinstance(market.clock, LeapClock)
        assert (expected, leaps) == (market.clock.speed, market.clock.leaps)
        assert market.address.rest.startswith("http://127.0.0.1:")


def entered(settings: Settings, held: Sequence[str] = ()) -> tuple[list[str], bool]:
    """Enter the market of a roster; return the strategies that can run, and whether there is a market."""

    async def main() -> tuple[list[str], bool]:
        async with AsyncExitStack() as stack:
            roster, market = await enter_market(stack, settings, RunOptions(days=1), load_roster(settings), set(held), in_memory())
            return [strategy.name for strategy in roster if not isinstance(strategy, RefusedStrategy)], market is not None

    return virtual(main)


def test_strategies_without_bars_are_refused(tmp_path: Path, bars: Path) -> None:
    """The folder decides which can run; what an earlier run holds and the folder lacks does not prevent the start."""
    both = {"mine": {"source": MOMENTUM}, "tecl": {}}
    settings = Settings.model_validate({"service": {"state": tmp_path}, "embedded": {"bars": bars}, "strategies": both})

    assert (["mine"], True) == entered(settings, ["SPY", "GONE"])


def test_without_a_strategy_that_has_bars_there_is_no_start(tmp_path: Path, bars: Path) -> None:
    """The symbols that are missing are named."""
    settings = Settings.model_validate({"service": {"state": tmp_path}, "embedded": {"bars": bars}, "strategies": {"tecl": {}}})

    with pytest.raises(StrategyError, match="TECL"):
        entered(settings)


def test_recorded_days_reach_the_market(tmp_path: Path, bars: Path) -> None:
    """A day that was recorded is traded as it was, on top of the daily bars."""
    recordings = tmp_path / "trades.csv"
    trades = [f"SPY,2025-03-03T{clock}Z,{price},10" for clock, price in (("14:30:00", 321.5), ("14:31:00", 322.25), ("20:00:00", 319.75))]
    recordings.write_text("\n".join(("symbol,ts,price,size", *trades)) + "\n")
    settings = settings_of(tmp_path / "s", bars=bars, recordings=recordings)
    settings.service.state.mkdir()

    async def main() -> Any:
        options = RunOptions(start=date(2025, 3, 3), days=1)
        async with embedded_market(settings, options, daily_source(settings, ("SPY",)), ("SPY",), in_memory()) as market:
            assert market is not None
            address = market.address
            keys = {"APCA-API-KEY-ID": address.key_id, "APCA-API-SECRET-KEY": address.secret_key}
            async with asyncio.TaskGroup() as group, aiohttp.ClientSession(connector=LoopConnector(), headers=keys) as http:
                task = group.create_task(market.server.run(), name="exchange")
                await market.clock.sleep_until(datetime(2025, 3, 3, 14, 40, tzinfo=UTC))
                async with http.get(f"{address.rest}/v2/stocks/SPY/trades") as response:
                    answer = await response.json()
                task.cancel()
            return answer

    answer = virtual(main)
    assert [(each["p"], each["s"]) for each in answer["trades"]] == [(321.5, 10), (322.25, 10)]


@pytest.mark.slow
def test_halts_reach_the_market(tmp_path: Path) -> None:
    """A market that halts tells of it on the stream of statuses; of ten symbols and twenty days some halt, and none without the setting."""

    def halted(*, halts: bool) -> int:
        symbols = ("BIL", "IEF", "QQQ", "SHY", "SPXL", "SPY", "TECL", "TLT", "TQQQ", "XLK")
        settings = settings_of(tmp_path / f"halts {halts}", halts=halts)
        settings.service.state.mkdir()

        async def main() -> int:
            source = daily_source(settings, symbols)
            async with embedded_market(settings, RunOptions(days=2), source, symbols, in_memory()) as market:
                assert market is not None
                keys = {"APCA-API-KEY-ID": market.address.key_id, "APCA-API-SECRET-KEY": market.address.secret_key}
                seen = 0
                async with asyncio.TaskGroup() as group, aiohttp.ClientSession(connector=LoopConnector()) as http:
                    task = group.create_task(market.server.run(), name="exchange")
                    async with http.ws_connect(market.address.data_stream, headers=keys) as socket:
                        await socket.send_json({"action": "subscribe", "statuses": ["*"]})
                        closes_at = datetime(2025, 1, 3, 21, tzinfo=UTC)
                        reader = group.create_task(count_statuses(socket), name="reader")
                        await market.clock.sleep_until(closes_at)
                        await socket.close()
                        seen = await reader
                    task.cancel()
                return seen
            raise AssertionError("unreachable")

        return virtual(main)

    assert halted(halts=False) == 0
    assert halted(halts=True) > 0


async def count_statuses(socket: aiohttp.ClientWebSocketResponse) -> int:
    """Return how many statuses a stream told of until it ended."""
    return sum([sum(each["T"] == "s" for each in message.json()) async for message in socket])
