"""Settings are changed while the daemon trades: a whole morning of reloads over its own door, on virtual time."""

from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from alchemiser.domain.errors import ConfigError
from alchemiser.domain.events import (
    DecisionDue,
    RebalancePlanned,
    SettingsNotReloaded,
    SettingsReloaded,
    StrategyReloaded,
    StrategyWarned,
    TargetProposed,
)
from alchemiser.journal.reader import JournalReader
from alchemiser.market.calendar import TradingCalendar
from alchemiser.service.clock import VirtualClock
from alchemiser.service.offline import JOURNAL_FILE
from alchemiser.service.settings import Settings
from alchemiser.service.state import JournaledState
from tests.simulation.days import FIRST_DAY, journal_of, simulate, simulated_settings
from tests.solipsism import LoopConnector

pytestmark = pytest.mark.slow

FIRST = {"service.token": "the-first-token", "strategies": {"own": {"source": "tests.simulation.rotations:HoldOne"}}}
SECOND = {
    "service.token": "the-second-token",
    "schedule.decision": "close - 60m",
    "portfolio.deployment": Decimal("0.5"),
    "execution.reconcile_seconds": 600.0,
    "embedded.seed": 99,
    "strategies": {
        "own": {"source": "tests.simulation.rotations:HoldNine", "allocation": Decimal("0.25")},
        "more": {"source": "tests.simulation.rotations:HoldOne", "allocation": Decimal("0.75")},
    },
}
THIRD = {**SECOND, "strategies": {"more": {"source": "tests.simulation.rotations:HoldOne"}}}


class Morning:
    """What an operator did in the first session, and what he was answered."""

    def __init__(self, state: Path) -> None:
        self.written: Settings | ConfigError = simulated_settings(state, FIRST)
        self.state = state
        self.answers: list[tuple[int, Any]] = []

    def read(self) -> Settings:
        """Read what is written."""
        if isinstance(self.written, ConfigError):
            raise self.written
        return self.written

    async def ask(self, token: str, **arguments: object) -> None:
        """Ask for a reload with that token."""
        async with (
            aiohttp.ClientSession(connector=LoopConnector()) as http,
            http.post("http://127.0.0.1:8099/api/v1/reload", json=arguments, headers={"Authorization": f"Bearer {token}"}) as answer,
        ):
            self.answers.append((answer.status, await answer.json()))

    async def live(self, clock: VirtualClock) -> None:
        """Reload: a mistake, a check, the new settings, and once more with either token."""
        session = TradingCalendar.new_york().session(FIRST_DAY)
        assert session is not None
        await clock.sleep_until(session.opens_at + timedelta(hours=1))
        self.written = ConfigError("alchemiser.toml, line 7: risk.max_ordr_notional is not a setting; nothing was started")
        await self.ask("the-first-token")
        self.written = simulated_settings(self.state, SECOND)
        await self.ask("the-first-token", check=True)
        await self.ask("the-first-token")
        await self.ask("the-first-token")
        await self.ask("the-second-token", reason="once more")
        await clock.sleep_until(session.closes_at - timedelta(minutes=20))
        self.written = simulated_settings(self.state, THIRD)
        await self.ask("the-second-token")


@pytest.fixture(scope="module")
def morning(tmp_path_factory: pytest.TempPathFactory) -> Morning:
    """A day with reloads in its first session."""
    lived = Morning(tmp_path_factory.mktemp("state"))
    assert simulate(lived.state, overrides=FIRST, beside=lived.live, read_settings=lived.read) == 0
    return lived


def test_a_mistake_changes_nothing_and_names_its_line(morning: Morning) -> None:
    """To whoever asked and in the journal."""
    status, document = morning.answers[0]

    assert (status, document["error"]["code"]) == (409, "ConfigError")
    assert "line 7" in document["error"]["message"]
    (refused,) = (envelope.event for envelope in journal_of(morning.state) if isinstance(envelope.event, SettingsNotReloaded))
    assert refused.reason == document["error"]["message"]
    assert refused.reason.endswith("nothing was changed")


def test_a_check_says_what_the_reload_then_does(morning: Morning) -> None:
    """The same differences; the second reload finds only what needs a start. No secret is told."""
    (checked, first), (taken, second), _, (again, third), _ = morning.answers[1:]

    assert (checked, taken, again) == (200, 200, 200)
    assert first["changes"] == second["changes"]
    assert {change["key"] for change in second["changes"]} >= {"service.token", "schedule.decision", "strategies.more.allocation"}
    assert [(change["key"], change["takes_effect"]) for change in third["changes"]] == [("embedded.seed", "at the next start")]
    assert "the-second-token" not in str(morning.answers)


def test_the_token_is_rotated_at_once(morning: Morning) -> None:
    """The old one is refused from the reload on, the new one let in."""
    assert [status for status, _ in morning.answers[2:]] == [200, 401, 200, 200]


def test_the_next_decision_is_made_by_the_new_settings(morning: Morning) -> None:
    """Its moment, its strategies with their shares and sources, and how much of the equity they may use."""
    events = [envelope.event for envelope in journal_of(morning.state)]
    (due,) = (event for event in events if isinstance(event, DecisionDue))
    (plan,) = (event for event in events if isinstance(event, RebalancePlanned))
    proposed = {event.strategy: event for event in events if isinstance(event, TargetProposed)}
    session = TradingCalendar.new_york().session(FIRST_DAY)

    assert session is not None
    assert abs(due.at - (session.closes_at - timedelta(minutes=60))) < timedelta(seconds=5)
    assert set(proposed) == {"own", "more"}
    assert len(proposed["own"].weights) == 9
    # Half of the equity, less the reserve.
    assert {name: float(capital / plan.equity) for name, capital in plan.capital.items()} == pytest.approx(
        {"own": 0.125, "more": 0.375}, rel=0.01
    )
    assert [event.strategy for event in events if isinstance(event, StrategyReloaded)] == ["own"]


def test_the_reload_is_one_event_from_which_the_state_follows(morning: Morning) -> None:
    """Replayed from its first event the journal gives the state whose hash the snapshots hold; the shares are those of the reload."""
    state = JournaledState(lambda event: None)
    with JournalReader.open(morning.state / JOURNAL_FILE) as reader:
        hashes = {}
        reloaded, last = (envelope.event for envelope in reader.read() if isinstance(envelope.event, SettingsReloaded))
        for envelope in reader.read():
            state.replay([envelope])
            hashes[envelope.sequence] = state.hash()
        snapshots = [stored.snapshot for stored in reader.snapshots("state")]

    assert snapshots
    assert [hashes[one.sequence] for one in snapshots] == [one.state_hash for one in snapshots]
    assert isinstance(reloaded, SettingsReloaded)
    assert isinstance(last, SettingsReloaded)
    assert (reloaded.strategies, last.strategies) == ({"own": 0.25, "more": 0.75}, {"more": 1.0})
    assert state.overview.started is not None
    assert state.overview.started.strategies == {"more": 1.0}


def test_what_a_strategy_holds_that_was_taken_out_is_named(morning: Morning) -> None:
    """Nobody sells it, as after a restart: an operator should know."""
    events = [envelope.event for envelope in journal_of(morning.state)]

    (warned,) = (event for event in events if isinstance(event, StrategyWarned) and "no longer in the settings" in event.warnings[0])

    assert warned.strategy == "own"
    assert "give it the share 0 for one decision first" in warned.warnings[0]
