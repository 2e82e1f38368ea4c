"""The settings are read again beside the running daemon: at SIGHUP, and when an operator asks.

They are read and checked whole first, strategies and addresses included: one mistake, and nothing is changed. What differs is told setting
by setting. Everything that a running daemon can change is then taken in one step, at one event of the journal; what decisions are made of
waits for the end of a rebalance that is under way, and what only a start can change is named with the reason.
"""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from alchemiser.bus.envelope import Envelope
from alchemiser.domain.errors import AlchemiserError, ConfigError, NotReady, SafetyRefused, StrategyError, VenueError
from alchemiser.domain.errors import DataError as WrongData
from alchemiser.domain.events import (
    DecisionDue,
    Event,
    FlattenOrdered,
    RebalanceCompleted,
    RebalanceParked,
    SettingsNotReloaded,
    SettingsReloaded,
)
from alchemiser.domain.runtime import Clock
from alchemiser.domain.setting_change import SettingChange
from alchemiser.service.safety import require_private_door
from alchemiser.service.settings import Settings
from alchemiser.service.settings_effect import takes_effect, until_the_next_start
from alchemiser.service.settings_load import differences, in_words_of_a_reload
from alchemiser.service.settings_section import When
from alchemiser.strategies.aside import RunAside

Prepared = TypeVar("Prepared")


class Takes(Protocol[Prepared]):
    """The daemon, as far as it takes new settings."""

    async def prepare(self, settings: Settings, *, admits: bool) -> Prepared:
        """Make everything that can fail, and change nothing but, with ``admits``, which prices are at hand. Raises what is wrong."""

    def take_at_once(self, prepared: Prepared) -> None:
        """Work by the new settings from now on, but for decisions."""

    def take_for_decisions(self, prepared: Prepared) -> None:
        """Decide by the new settings from now on; nothing is under way."""


class Asked(msgspec.Struct, frozen=True):
    """What came of a reload: what differs, and what a change of decisions waits for, if it does."""

    changes: tuple[SettingChange, ...]
    waits_for: str | None = None


class Reload(Generic[Prepared]):
    """Takes new settings while the daemon runs. Inline; :meth:`ask` does the reading."""

    listens_to = (SettingsReloaded, DecisionDue, FlattenOrdered, RebalanceCompleted, RebalanceParked)

    def __init__(
        self,
        running: Settings,
        *,
        read: Callable[[], Settings] | None,
        takes: Takes[Prepared],
        publish: Callable[[Event], Awaitable[object]],
        durable: Callable[[], Awaitable[object]],
        clock: Clock,
        run_aside: RunAside,
        unfinished: str | None,
    ) -> None:
        """``read`` reads the sources of the settings, where there are any; ``unfinished`` is the rebalance that an earlier process left."""
        self.running = running
        """The settings by which the daemon works."""
        self._read = read
        self._takes = takes
        self._publish = publish
        self._durable = durable
        self._clock = clock
        self._run_aside = run_aside
        self._under_way: dict[str, None] = {} if unfinished is None else {unfinished: None}
        self._turn = asyncio.Lock()
        self._coming: tuple[Settings, Prepared] | None = None
        self._waiting: Prepared | None = None

    async def ask(self, by: str, *, only_checks: bool = False) -> Asked:
        """Read the settings and take them, or with ``only_checks`` say what that would change.

        Raises ``ConfigError`` that names every place to mend, and ``NotReady`` when the prices of a strategy cannot be had now; then
        nothing has changed, and the journal says why.
        """
        async with self._turn:
            try:
                return await self._reload(by, only_checks=only_checks)
            except (ConfigError, SafetyRefused, StrategyError, WrongData, VenueError) as error:
                reason = in_words_of_a_reload(error)
                if not only_checks:
                    await self._publish(SettingsNotReloaded(at=self._clock.now(), by=by, reason=reason))
                if isinstance(error, VenueError):
                    raise NotReady(reason) from error
                raise ConfigError(reason) from None

    async def _reload(self, by: str, *, only_checks: bool) -> Asked:
        if self._read is None:
            raise ConfigError("this daemon was not started from settings that can be read again")
        written = await self._run_aside(self._read)
        if self.running.alpaca.has_credentials and not written.alpaca.has_credentials:
            raise ConfigError("alpaca.key_id and alpaca.secret_key are not there any more, or one of them is not")
        settings = until_the_next_start(self.running, written)
        require_private_door(settings)
        changes = changes_between(self.running, written)
        prepared = await self._takes.prepare(settings, admits=not only_checks)
        if not only_checks and any(change.takes_effect != When.NEXT_START for change in changes):
            shares = {name: float(share) for name, share in settings.allocations().items()}
            self._coming = (settings, prepared)
            await self._publish(SettingsReloaded(at=self._clock.now(), by=by, changes=changes, strategies=shares))
            await self._durable()
        return Asked(changes, next(iter(self._under_way), None))

    def __call__(self, envelope: Envelope) -> None:
        """Take what was prepared, at its event; what decisions are made of not before what is under way has ended."""
        match envelope.event:
            case SettingsReloaded():
                assert self._coming is not None, "nobody else publishes it"
                (self.running, self._waiting), self._coming = self._coming, None
                self._takes.take_at_once(self._waiting)
            case DecisionDue(rebalance_id=key) | FlattenOrdered(rebalance_id=key):
                self._under_way[key] = None
            case RebalanceCompleted(rebalance_id=key) | RebalanceParked(rebalance_id=key):
                self._under_way.pop(key, None)
            case _:
                pass
        if self._waiting is not None and not self._under_way:
            prepared, self._waiting = self._waiting, None
            self._takes.take_for_decisions(prepared)


def changes_between(running: Settings, written: Settings) -> tuple[SettingChange, ...]:
    """Return what differs, each with when it takes effect. A table that came or went whole is told by its values.

    Shares that nobody has written are told too: one strategy more makes those of the others smaller.
    """
    found = []
    for one in differences(running, written):
        effect = takes_effect(one.key)
        change = SettingChange(
            key=one.key, before=_text(one.before), after=_text(one.after), takes_effect=effect.when.value, because=effect.because
        )
        found.append(change)
    return (*found, *_unwritten_shares(running, written, {change.key for change in found}))


def _unwritten_shares(running: Settings, written: Settings, told: Collection[str]) -> Iterator[SettingChange]:
    before, after = running.allocations(), written.allocations()
    for name in dict.fromkeys((*before, *after)):
        key = f"strategies.{name}.allocation"
        one, other = (None if share is None else f"{share:.6g}" for share in (before.get(name), after.get(name)))
        if one != other and key not in told:
            yield SettingChange(key=key, before=one, after=other, takes_effect=takes_effect(key).when.value)


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return msgspec.json.encode(value).decode()


@contextmanager
def reloading_on_hangup(ask: Callable[[], Awaitable[object]], *, enabled: bool) -> Iterator[None]:
    """Call it at each SIGHUP while the block runs; what is wrong is in the journal and in the log."""
    if not enabled:
        yield
        return
    loop = asyncio.get_running_loop()
    tasks: dict[asyncio.Task[None], None] = {}

    async def asked() -> None:
        with suppress(AlchemiserError):  # It is in the journal, and told from there; or the daemon is stopping.
            await ask()

    def hung_up() -> None:
        task = loop.create_task(asked(), name="settings are read again")
        tasks[task] = None
        task.add_done_callback(lambda done: tasks.pop(done, None))

    loop.add_signal_handler(signal.SIGHUP, hung_up)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGHUP)
        for task in tasks:
            task.cancel("the daemon has stopped")
