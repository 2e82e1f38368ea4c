"""Settings that are read again: whole or not at all, at one event, and never amid a rebalance what decisions are made of."""

import asyncio
import os
import signal
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from msgspec.structs import replace

from alchemiser.bus.bus import Bus
from alchemiser.domain.errors import ConfigError, NotReady, StrategyError, VenueUnavailable
from alchemiser.domain.events import DecisionDue, Event, RebalanceParked, SettingsNotReloaded, SettingsReloaded
from alchemiser.domain.setting_change import SettingChange, in_words
from alchemiser.service.clock import VirtualClock
from alchemiser.service.reload import Reload, changes_between, reloading_on_hangup
from alchemiser.service.settings import Settings
from alchemiser.service.settings_load import load_settings
from alchemiser.strategies.aside import Done

NOW = datetime(2025, 1, 2, 15, 0, tzinfo=UTC)
DUE = DecisionDue(at=NOW, rebalance_id="20250102.1", session=date(2025, 1, 2), reason="schedule")
PARKED = RebalanceParked(at=NOW, rebalance_id="20250102.1", reason="nothing wanted", outcomes=())


def settings(**values: Any) -> Settings:
    """Return settings with these values by dotted key."""
    return load_settings(overrides={key.replace("__", "."): value for key, value in values.items()}, environ={}, secrets=()).settings


class House:
    """A bus with a reload on it, what it was given to take, and what it published."""

    def __init__(self, *, unfinished: str | None = None) -> None:
        clock = VirtualClock(NOW)
        self.bus = Bus(clock=clock)
        self.written: Settings | ConfigError = settings()
        self.fault: Exception | None = None
        self.taken: list[str] = []
        self.events: list[Event] = []
        self.reload: Reload[float] = Reload(
            settings(),
            read=self.read,
            takes=self,
            publish=self.bus.publish,
            durable=self.bus.durable,
            clock=clock,
            run_aside=self.aside,
            unfinished=unfinished,
        )
        self.bus.subscribe_inline("reload", Reload.listens_to, self.reload)
        self.bus.subscribe_inline("all", (Event,), lambda envelope: self.events.append(replace(envelope.event, at=NOW)))

    def read(self) -> Settings:
        """Read what is written."""
        if isinstance(self.written, ConfigError):
            raise self.written
        return self.written

    async def aside(self, function: Callable[[], Done]) -> Done:
        """Do it here."""
        return function()

    async def prepare(self, settings: Settings, *, admits: bool) -> float:
        """Prepare the length of a stop, which stands for everything."""
        if self.fault is not None:
            raise self.fault
        return settings.service.stop_seconds

    def take_at_once(self, prepared: float) -> None:
        """Take note."""
        self.taken.append(f"at once {prepared}")

    def take_for_decisions(self, prepared: float) -> None:
        """Take note."""
        self.taken.append(f"decisions {prepared}")


async def test_new_settings_are_taken_at_one_event() -> None:
    """The event names what differs, old and new, and when each takes effect; what runs is what was written but for what needs a start."""
    house = House()
    house.written = settings(service__stop_seconds=7.0, service__http="127.0.0.1:1", strategies={"klm": {}})

    asked = await house.reload.ask("operator")

    assert [in_words(change) for change in asked.changes] == [
        "service.http: 127.0.0.1:8080 -> 127.0.0.1:1, at the next start (the door is open there)",
        "service.stop_seconds: 10.0 -> 7.0, at once",
        "strategies.tecl.on_missing: stop -> nothing, at the next decision",
        "strategies.tecl.volatility: holdings -> nothing, at the next decision",
        "strategies.klm.on_missing: nothing -> stop, at the next decision",
        "strategies.klm.volatility: nothing -> holdings, at the next decision",
        "strategies.tecl.allocation: 1 -> nothing, at the next decision",
        "strategies.klm.allocation: nothing -> 1, at the next decision",
    ]
    assert house.taken == ["at once 7.0", "decisions 7.0"]
    (event,) = house.events
    assert event == SettingsReloaded(at=NOW, by="operator", changes=asked.changes, strategies={"klm": 1.0})
    assert (house.reload.running.service.stop_seconds, house.reload.running.service.http) == (7.0, "127.0.0.1:8080")


async def test_what_needs_a_start_only_is_told_and_changes_nothing() -> None:
    """No event: the daemon is what it was."""
    house = House()
    house.written = settings(embedded__seed=3)

    asked = await house.reload.ask("operator")

    assert ([change.key for change in asked.changes], house.taken, house.events) == (["embedded.seed"], [], [])


async def test_a_check_changes_nothing() -> None:
    """It says what would change."""
    house = House()
    house.written = settings(service__stop_seconds=7.0)

    asked = await house.reload.ask("operator", only_checks=True)

    assert ([change.key for change in asked.changes], house.taken, house.events) == (["service.stop_seconds"], [], [])
    assert house.reload.running == settings()


@pytest.mark.parametrize("only_checks", [False, True])
@pytest.mark.parametrize(
    ("written", "fault", "kind", "words"),
    [
        (ConfigError("a.toml, line 3: risk.x is not a setting; nothing was started"), None, ConfigError, "line 3"),
        (settings(service__http="0.0.0.0:80", service__token="a-token"), None, None, ""),
        (settings(), StrategyError("klm.clj: line 2 is wrong"), ConfigError, "klm.clj: line 2 is wrong"),
        (settings(), VenueUnavailable("no answer"), NotReady, "no answer"),
    ],
    ids=["file", "wider after a start", "strategy", "venue"],
)
async def test_what_is_wrong_changes_nothing_and_is_said(
    written: Settings | ConfigError, fault: Exception | None, kind: type[Exception] | None, words: str, *, only_checks: bool
) -> None:
    """The place to mend is named to whoever asked and in the journal; a check is journaled never."""
    house = House()
    house.written, house.fault = written, fault
    if kind is None:  # The address takes effect at the next start, so the token is all that is taken.
        assert [change.key for change in (await house.reload.ask("operator", only_checks=only_checks)).changes] == [
            "service.http",
            "service.token",
        ]
        return

    with pytest.raises(kind, match=words) as refused:
        await house.reload.ask("operator", only_checks=only_checks)

    assert str(refused.value).endswith("; nothing was changed")
    assert "nothing was started" not in str(refused.value)
    assert house.taken == []
    assert house.events == ([] if only_checks else [SettingsNotReloaded(at=NOW, by="operator", reason=str(refused.value))])
    assert house.reload.running == settings()


async def test_an_open_door_keeps_its_token() -> None:
    """A token is not taken away from a daemon whose door others can reach: it would refuse to start so."""
    house = House()
    house.reload.running = settings(service__http="0.0.0.0:80", service__token="a-token")
    house.written = settings(service__http="127.0.0.1:80")

    with pytest.raises(ConfigError, match="which others can reach"):
        await house.reload.ask("operator")

    assert house.taken == []


async def test_a_key_that_has_gone_is_a_mistake() -> None:
    """Both halves, or one: the daemon goes on with those that it has."""
    house = House()
    house.reload.running = settings(alpaca__key_id="PKONE", alpaca__secret_key="the-secret", alpaca__mode="paper")

    for written in (settings(alpaca__mode="paper"), settings(alpaca__mode="paper", alpaca__key_id="PKONE")):
        house.written = written
        with pytest.raises(ConfigError, match="are not there any more"):
            await house.reload.ask("operator")

    assert house.taken == []


async def test_what_decisions_are_made_of_waits_for_the_end_of_a_rebalance() -> None:
    """Amid a decision its answers and its plan belong together; what else is new is taken at once."""
    house = House()
    house.written = settings(service__stop_seconds=7.0)
    house.bus.post(DUE)

    asked = await house.reload.ask("operator")
    amid = list(house.taken)
    house.bus.post(PARKED)

    assert asked.waits_for == "20250102.1"
    assert amid == ["at once 7.0"]
    assert house.taken == ["at once 7.0", "decisions 7.0"]


async def test_a_rebalance_of_an_earlier_process_is_waited_for_too() -> None:
    """And of two reloads meanwhile the newer is taken, once."""
    house = House(unfinished="20250102.1")
    for seconds in (7.0, 8.0):
        house.written = settings(service__stop_seconds=seconds)
        await house.reload.ask("operator")

    house.bus.post(PARKED)

    assert house.taken == ["at once 7.0", "at once 8.0", "decisions 8.0"]


async def test_a_daemon_without_sources_has_nothing_to_read() -> None:
    """One that was made by a program, not by the command line."""
    house = House()
    house.reload._read = None

    with pytest.raises(ConfigError, match="not started from settings"):
        await house.reload.ask("operator")


async def test_a_hangup_asks_and_what_is_wrong_ends_nothing() -> None:
    """SIGHUP is answered in the journal."""
    asked = asyncio.Event()

    async def ask() -> None:
        asked.set()
        raise ConfigError("line 3")

    with reloading_on_hangup(ask, enabled=True):
        os.kill(os.getpid(), signal.SIGHUP)
        await asked.wait()

    with reloading_on_hangup(ask, enabled=False):
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_DFL


def test_shares_that_nobody_has_written_are_told() -> None:
    """One strategy more halves that of the other; shares that are written are told as they are written, once."""
    one, both = settings(strategies={"tecl": {}}), settings(strategies={"tecl": {}, "klm": {}})
    written = settings(strategies={"tecl": {"allocation": Decimal("0.6")}, "klm": {"allocation": Decimal("0.4")}})

    def shares(before: Settings, after: Settings) -> list[str]:
        return [in_words(change) for change in changes_between(before, after) if change.key.endswith("allocation")]

    assert shares(one, both) == [
        "strategies.tecl.allocation: 1 -> 0.5, at the next decision",
        "strategies.klm.allocation: nothing -> 0.5, at the next decision",
    ]
    assert shares(both, written) == [
        "strategies.tecl.allocation: nothing -> 0.6, at the next decision",
        "strategies.klm.allocation: nothing -> 0.4, at the next decision",
    ]
    assert shares(one, settings(strategies={"tecl": {"allocation": Decimal(1)}})) == [
        "strategies.tecl.allocation: nothing -> 1, at the next decision"
    ]


def test_a_secret_is_never_told() -> None:
    """That it is another one is."""
    change = SettingChange(key="service.token", before="**********", after="**********", takes_effect="at once")

    assert in_words(change) == "service.token: another secret, at once"
