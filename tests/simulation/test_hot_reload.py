"""Symphony files edited while the whole daemon trades, on virtual time: taken when it is safe, with what they newly need, or not at all."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from alchemiser.bus.envelope import Envelope
from alchemiser.domain.events import (
    Event,
    HandlerFailed,
    OrderFilled,
    RebalanceCompleted,
    StrategyFailed,
    StrategyNotReloaded,
    StrategyReloaded,
    StrategyReloadPostponed,
    TargetProposed,
)
from alchemiser.exchange.server import ServerSettings
from alchemiser.service import embedded
from alchemiser.service.clock import VirtualClock
from tests.simulation.days import journal_of, simulate
from tests.simulation.test_days import of_type
from tests.solipsism import LoopConnector

MORNING = datetime(2025, 1, 2, 15, 0, tzinfo=UTC)
DECISION = datetime(2025, 1, 2, 20, 50, tzinfo=UTC)
EXCHANGE = "http://127.0.0.1:8001/_exchange"


def holding(symbol: str) -> str:
    """Return a symphony that holds one symbol."""
    return f'(defsymphony "It" {{:rebalance-frequency :daily}} (asset "{symbol}"))'


def trending(symbol: str, window: int) -> str:
    """Return a symphony that holds a symbol above its average, and otherwise nothing but it either."""
    condition = f'(> (current-price "{symbol}") (moving-average-price "{symbol}" {{:window {window}}}))'
    return f'(defsymphony "It" {{:rebalance-frequency :daily}} (if {condition} [(asset "{symbol}")] [(asset "{symbol}")]))'


@dataclass
class Folder:
    """The folder of symphonies, and a hand at the keyboard that knows the market's time."""

    path: Path
    clock: VirtualClock | None = None
    log: list[dict[str, Any]] = field(default_factory=list)

    def write(self, text: str, name: str = "mine") -> None:
        """Write a file as editors do: beside it, and then in its place."""
        (self.path / "new").write_text(text)
        (self.path / "new").rename(self.path / f"{name}.clj")

    async def until(self, when: datetime) -> None:
        """Wait for a moment of the market."""
        assert self.clock is not None
        await self.clock.sleep_until(when)

    async def control(self, method: str, path: str, body: object = None) -> Any:
        """Ask the exchange's control endpoints."""
        async with (
            aiohttp.ClientSession(connector=LoopConnector()) as http,
            http.request(method, f"{EXCHANGE}/{path}", json=body, raise_for_status=True) as answer,
        ):
            return await answer.json(content_type=None) if answer.status != 204 else None

    async def subscriptions(self) -> list[tuple[str, list[str]]]:
        """Return every change of the market stream's symbols so far, as the exchange heard it."""
        rows = await self.control("GET", "log")
        frames = [row["data"] for row in rows if row["kind"] == "frame" and (row["stream"], row["direction"]) == ("market", "in")]
        return [(frame["action"], frame["quotes"]) for frame in frames if "quotes" in frame]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    """The folder ``strategies`` of the working directory, with a symphony that holds SPY."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "strategies").mkdir()
    made = Folder(tmp_path / "strategies")
    made.write(holding("SPY"))
    return made


def trade(
    folder: Folder,
    script: Callable[[], Awaitable[None]],
    *,
    days: int = 2,
    turn_seconds: float = 60.0,
    strategies: dict[str, Any] | None = None,
    bars: Path | None = None,
) -> list[Envelope]:
    """Trade some days while the script runs beside, and return the journal. No handler may fail, whatever is done to the files."""

    async def beside(clock: VirtualClock) -> None:
        folder.clock = clock
        await script()

    state = folder.path.parent / "state"
    state.mkdir()
    overrides = {"strategies": strategies or {"mine": {}}, "market.history_sessions": 30, "embedded.bars": bars}
    assert simulate(state, days=days, overrides=overrides, beside=beside, turn_seconds=turn_seconds) == 0
    journal = journal_of(state)
    assert of_type(journal, HandlerFailed) == []
    return journal


def targets(journal: list[Envelope]) -> list[dict[str, float]]:
    """Return the targets in their order."""
    return [event.weights for event in of_type(journal, TargetProposed)]


def news(journal: list[Envelope]) -> list[Event]:
    """Return what was said of changed files."""
    kinds = (StrategyReloaded, StrategyNotReloaded, StrategyReloadPostponed)
    return [envelope.event for envelope in journal if isinstance(envelope.event, kinds)]


def test_a_new_symbol_and_a_longer_history_are_traded_at_the_next_decision(folder: Folder) -> None:
    """Listed, subscribed and fetched before the swap; the symbol that was sold is unsubscribed when it is gone, not before."""
    seen: list[list[tuple[str, list[str]]]] = []

    async def script() -> None:
        await folder.until(MORNING + timedelta(days=1))
        folder.write(trending("GLD", 200))
        await folder.until(MORNING + timedelta(days=1, minutes=10))
        seen.append(await folder.subscriptions())
        await folder.until(DECISION + timedelta(days=1, minutes=8))
        seen.append(await folder.subscriptions())

    journal = trade(folder, script)

    (reloaded,) = news(journal)
    assert isinstance(reloaded, StrategyReloaded)
    assert reloaded.at < MORNING + timedelta(days=1, minutes=2)
    assert "held, new: GLD" in reloaded.changes
    assert targets(journal) == [{"SPY": 1.0}, {"GLD": 1.0}]
    assert of_type(journal, StrategyFailed) == []
    assert {event.fill.symbol for event in of_type(journal, OrderFilled)} == {"SPY", "GLD"}
    assert seen[0] == [("subscribe", ["SPY"]), ("subscribe", ["GLD"])]
    assert seen[1][2:] == [("unsubscribe", ["SPY"])]


def test_a_reconnected_stream_asks_for_the_grown_set(folder: Folder) -> None:
    """What a new version needed is wanted for good, not on that one connection."""
    seen: list[tuple[str, list[str]]] = []

    async def script() -> None:
        await folder.until(MORNING)
        folder.write(holding("GLD"))
        await folder.until(MORNING + timedelta(minutes=10))
        await folder.control("POST", "faults", {"kind": "drop_stream", "stream": "market"})
        await folder.until(MORNING + timedelta(minutes=20))
        seen.extend(await folder.subscriptions())

    journal = trade(folder, script, days=1)

    assert seen[-1] == ("subscribe", ["GLD"])
    assert targets(journal) == [{"GLD": 1.0}]


def test_a_symbol_that_the_bars_do_not_have(folder: Folder) -> None:
    """The old version goes on; the message names file and symbol; a good edit afterwards is taken."""
    bars = folder.path.parent / "bars"
    bars.mkdir()
    days = [f"2024-{month:02d}-{day:02d}" for month in (11, 12) for day in range(1, 32) if day < 31 or month == 12]
    weekdays = [day for day in days if datetime.fromisoformat(day).weekday() < 5 and day not in ("2024-11-28", "2024-12-25")]
    for symbol in ("SPY", "GLD", "OLD"):
        until = weekdays[:30] if symbol == "OLD" else [*weekdays, "2025-01-02", "2025-01-03"]
        (bars / f"{symbol}.csv").write_text("\n".join(("date,close", *(f"{day},{100 + n}" for n, day in enumerate(until)))) + "\n")

    async def script() -> None:
        for minutes, symbol in enumerate(("NOPE", "OLD", "GLD")):
            await folder.until(MORNING + timedelta(minutes=10 * minutes))
            folder.write(holding(symbol))

    journal = trade(folder, script, days=1, bars=bars)

    unknown, ended, taken = news(journal)
    assert isinstance(unknown, StrategyNotReloaded)
    assert unknown.reason.startswith("strategies/mine.clj: ")
    assert "no bars of NOPE" in unknown.reason
    assert isinstance(ended, StrategyNotReloaded)
    assert "OLD: its bars go from 2024-11-01 to" in ended.reason
    assert isinstance(taken, StrategyReloaded)
    assert targets(journal) == [{"GLD": 1.0}]


def test_a_bad_edit_and_then_a_good_one(folder: Folder) -> None:
    """The bad one is told with its place and changes nothing, the good one is taken."""

    async def script() -> None:
        await folder.until(MORNING)
        folder.write(holding("GLD") + ")")
        await folder.until(DECISION + timedelta(minutes=5))
        folder.write(holding("TLT"))

    journal = trade(folder, script)

    refused, taken = news(journal)
    assert isinstance(refused, StrategyNotReloaded)
    assert "strategies/mine.clj: line 1" in refused.reason
    assert isinstance(taken, StrategyReloaded)
    assert targets(journal) == [{"SPY": 1.0}, {"TLT": 1.0}]


def test_two_edits_in_quick_succession(folder: Folder) -> None:
    """The last one counts, told once; and a decision that is due at that moment is already its."""

    async def script() -> None:
        await folder.until(DECISION - timedelta(seconds=1))
        folder.write(holding("GLD"))
        folder.write(holding("TLT"))

    journal = trade(folder, script, days=1, turn_seconds=900.0)

    (taken,) = news(journal)
    assert isinstance(taken, StrategyReloaded)
    assert targets(journal) == [{"TLT": 1.0}]


def test_an_edit_during_a_rebalance_waits_for_its_end(folder: Folder) -> None:
    """It is told with its difference at once, and swapped in when the rebalance is over; a newer edit takes its place."""

    async def script() -> None:
        await folder.until(DECISION - timedelta(minutes=1))
        await folder.control("POST", "faults", {"kind": "delay", "path": "/v2/orders", "method": "POST", "seconds": 8})
        await folder.until(DECISION + timedelta(seconds=1))
        folder.write(holding("GLD"))
        await folder.until(DECISION + timedelta(seconds=4))
        folder.write(holding("TLT"))

    journal = trade(folder, script, days=1, turn_seconds=2.0)

    first, second, taken = news(journal)
    assert isinstance(first, StrategyReloadPostponed)
    assert "held, new: GLD" in first.changes
    assert "rebalance 20250102.1 is in progress" in first.reason
    assert isinstance(second, StrategyReloadPostponed)
    assert "held, new: TLT" in second.changes
    assert isinstance(taken, StrategyReloaded)
    kinds = [type(envelope.event) for envelope in journal]
    assert kinds.index(StrategyReloadPostponed) < kinds.index(RebalanceCompleted) < kinds.index(StrategyReloaded)


def test_an_edit_while_disconnected(folder: Folder) -> None:
    """A version that needs nothing new is taken at once; one that needs a symbol waits for the stream, and the old one decides."""

    async def script() -> None:
        await folder.until(DECISION - timedelta(minutes=20))
        outage = [{"kind": "refuse_stream", "stream": "market", "status": 503, "times": 1000}, {"kind": "drop_stream", "stream": "market"}]
        await folder.control("POST", "faults", outage)
        await folder.until(DECISION - timedelta(minutes=18))
        folder.write(trending("SPY", 20))
        await folder.until(DECISION - timedelta(minutes=15))
        folder.write(holding("GLD"))
        await folder.until(DECISION + timedelta(minutes=9))
        await folder.control("DELETE", "faults")

    journal = trade(folder, script)

    at_once, waits, taken = news(journal)
    assert isinstance(at_once, StrategyReloaded)
    assert at_once.at < DECISION - timedelta(minutes=15)
    assert isinstance(waits, StrategyReloadPostponed)
    assert "the market stream is not connected, so GLD cannot be subscribed" in waits.reason
    assert isinstance(taken, StrategyReloaded)
    assert targets(journal) == [{"SPY": 1.0}, {"GLD": 1.0}]


def test_a_plan_that_does_not_allow_as_many_symbols(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """The venue's refusal is told in words, the former symbols stay subscribed, and the daemon lives on."""
    monkeypatch.setattr(embedded, "ServerSettings", partial(ServerSettings, symbol_limit=1))

    async def script() -> None:
        await folder.until(MORNING)
        folder.write(holding("GLD"))
        await folder.until(MORNING + timedelta(minutes=5))
        await folder.control("POST", "faults", {"kind": "drop_stream", "stream": "market"})

    journal = trade(folder, script, days=1)

    (refused,) = news(journal)
    assert isinstance(refused, StrategyNotReloaded)
    assert refused.reason.startswith("strategies/mine.clj: subscribe of GLD: the venue answered 405 symbol limit exceeded")
    assert targets(journal) == [{"SPY": 1.0}]
    assert len(of_type(journal, RebalanceCompleted)) == 1


def test_a_history_that_cannot_be_fetched(folder: Folder) -> None:
    """The old version decides, the reason is told once, and the new one is taken when the history can be had."""

    async def script() -> None:
        await folder.until(DECISION - timedelta(minutes=20))
        await folder.control("POST", "faults", {"kind": "http", "path": "/v2/stocks/bars", "status": 503, "symbol": "GLD", "times": 1000})
        folder.write(holding("GLD"))
        await folder.until(DECISION + timedelta(minutes=9))
        await folder.control("DELETE", "faults")

    journal = trade(folder, script)

    waits, taken = news(journal)
    assert isinstance(waits, StrategyReloadPostponed)
    assert "daily bars of 1 symbols" in waits.reason
    assert isinstance(taken, StrategyReloaded)
    assert targets(journal) == [{"SPY": 1.0}, {"GLD": 1.0}]


def test_files_that_come_and_go(folder: Folder) -> None:
    """A deleted file changes nothing; one that was missing at the start is taken when it comes; one without a share is told about."""

    async def script() -> None:
        await folder.until(MORNING)
        (folder.path / "mine.clj").unlink()
        folder.write(holding("GLD"), "late")
        folder.write(holding("GLD"), "stranger")

    journal = trade(folder, script, days=1, strategies={"mine": {}, "late": {}})

    said = {event.strategy: event for event in news(journal) if isinstance(event, StrategyReloaded | StrategyNotReloaded)}
    assert len(said) == len(news(journal)) == 3
    assert isinstance(said["late"], StrategyReloaded)
    assert said["late"].changes == ("it could not run before",)
    for name, words in (("mine", "strategies/mine.clj is gone"), ("stranger", "strategies/stranger.clj has no share of the account")):
        event = said[name]
        assert isinstance(event, StrategyNotReloaded)
        assert words in event.reason
    assert targets(journal) == [{"SPY": 1.0}, {"GLD": 1.0}]
    assert of_type(journal, StrategyFailed) == []


def test_an_edit_changes_nothing_of_the_rest(folder: Folder) -> None:
    """Two runs with the same edits at the same moments write the same journal."""

    async def script() -> None:
        await folder.until(MORNING)
        folder.write(holding("GLD"))

    def run() -> list[Event]:
        folder.write(holding("SPY"))
        journal = trade(folder, script, days=1)
        (folder.path.parent / "state").rename(folder.path.parent / f"state-{len(list(folder.path.parent.iterdir()))}")
        return [envelope.event for envelope in journal]

    assert run() == run()
