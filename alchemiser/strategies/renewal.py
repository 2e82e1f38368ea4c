"""New versions of strategies, from the moment their files change to the moment they are swapped in.

A version is read and checked when its file changes. It is swapped in when nothing is under way, neither a decision nor the rebalance that
follows from it, and when its prices can be had: its symbols listed and subscribed, its history fetched. What may be had later is waited
for, a newer edit takes the place of an older one, and whatever goes wrong leaves the old version trading, with the reason told once.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Protocol

from msgspec import Struct
from msgspec.structs import replace

from alchemiser.domain.errors import ConfigError, DataError, VenueError
from alchemiser.domain.events import Event, StrategyNotReloaded, StrategyReloaded, StrategyReloadPostponed
from alchemiser.domain.runtime import Clock
from alchemiser.strategies.aside import RunAside
from alchemiser.strategies.base import LoadedStrategy, symbols_of
from alchemiser.strategies.python import PythonStrategy
from alchemiser.strategies.reload import Changed, Stamp, Unusable, stamps_of_sources
from alchemiser.strategies.sources import StrategySource, load_strategy
from alchemiser.strategies.symphony.strategy import SymphonyStrategy

UNDER_WAY = "under way"


class Supply(Protocol):
    """What arranges that the prices of a strategy can be had."""

    async def admit(self, new: LoadedStrategy, old: LoadedStrategy | None) -> tuple[str, ...]:
        """Arrange for everything that a new version needs, or a strategy without an old one, and return what should be known about it.

        Raises ``DataError`` or ``ConfigError`` when it cannot be had, and ``VenueError`` when it may be had later. Then nothing has
        changed.
        """

    async def release(self, strategies: Sequence[LoadedStrategy]) -> None:
        """Give up what none of these strategies needs and nobody holds."""


class Files(Protocol):
    """Where the strategies are written down, and whether that has changed."""

    def is_behind(self) -> bool:
        """Return whether there is something that :meth:`refresh` has not looked at."""

    def refresh(self, strategies: Iterable[LoadedStrategy]) -> Sequence[Changed | Unusable]:
        """Return what became of what has changed since the last call."""

    @property
    def sources(self) -> tuple[StrategySource, ...]:
        """Where the strategies come from."""

    def follow(self, sources: Sequence[StrategySource], seen: Mapping[Path, Stamp]) -> None:
        """Watch these from now on, new ones as of when they were ``seen``."""


class Roster(Struct, frozen=True):
    """The strategies of new settings: where they come from, those that had to be loaded for it, and how their files were before that."""

    sources: tuple[StrategySource, ...]
    loaded: Mapping[str, LoadedStrategy]
    seen: Mapping[Path, Stamp]


class Renewal:
    """The strategies that run, kept up to date with their files."""

    def __init__(
        self,
        strategies: Sequence[LoadedStrategy],
        *,
        reloader: Files,
        supply: Supply,
        publish: Callable[[Event], Awaitable[object]],
        clock: Clock,
        run_aside: RunAside,
    ) -> None:
        self._run(tuple(strategies))
        self._reloader = reloader
        self._supply = supply
        self._publish = publish
        self._clock = clock
        self._run_aside = run_aside
        self._waiting: dict[str, Changed] = {}
        self._told: dict[str, set[str]] = {}

    @property
    def is_waiting(self) -> bool:
        """Whether a new version waits for something."""
        return bool(self._waiting)

    def is_behind(self) -> bool:
        """Whether :meth:`keep_up` has anything to do."""
        return bool(self._waiting) or self._reloader.is_behind()

    async def keep_up(self, under_way: str | None) -> None:
        """Read what has changed, and swap in what can be; ``under_way`` says in words what forbids a swap just now, if anything does."""
        release = self._clock.hold("strategies are read again")
        try:
            await self._read()
            for name in list(self._waiting):
                await self._try(name, under_way)
        finally:
            release()

    async def prepare(self, sources: Sequence[StrategySource], *, admits: bool) -> Roster:
        """Load what new settings change: strategies that are new, and those that come from elsewhere or are read by other rules.

        With ``admits`` their prices are arranged for, too. Nothing else has changed yet.
        Raises ``StrategyError`` for one that cannot be loaded, and what :meth:`Supply.admit` raises for one that cannot be had.
        """
        before = {source.name: source for source in self._reloader.sources}
        running = {strategy.name: strategy for strategy in self.strategies}
        seen = stamps_of_sources(sources)
        loaded: dict[str, LoadedStrategy] = {}
        for source in sources:
            was = before.get(source.name)
            if was is None or replace(was, allocation=source.allocation) != source:
                loaded[source.name] = await self._run_aside(partial(load_strategy, source))
        if admits:
            for name, strategy in loaded.items():
                await self._supply.admit(strategy, running.get(name))
        return Roster(tuple(sources), loaded, seen)

    def take(self, roster: Roster) -> tuple[str, ...]:
        """Run the strategies of new settings from the next decision on; return those that were loaded anew in the place of another.

        The caller sees to it that no decision and no rebalance is under way.
        """
        running = {strategy.name: strategy for strategy in self.strategies}
        self._run(
            tuple(_with_share(roster.loaded.get(source.name) or running[source.name], source.allocation) for source in roster.sources)
        )
        self._reloader.follow(roster.sources, roster.seen)
        shares = {source.name: source.allocation for source in roster.sources if source.name not in roster.loaded}
        self._waiting = {
            name: replace(changed, strategy=_with_share(changed.strategy, shares[name]))
            for name, changed in self._waiting.items()
            if name in shares
        }
        return tuple(name for name in roster.loaded if name in running)

    async def tidy(self) -> None:
        """Give up the prices that nobody needs any more: a rebalance is over, and what was sold need not be watched."""
        await self._supply.release(self.strategies)

    def _run(self, strategies: tuple[LoadedStrategy, ...]) -> None:
        """Let these be the strategies that run, and their symbols what prices may be needed of."""
        self.strategies = strategies
        self.symbols = symbols_of(strategies)

    async def _read(self) -> None:
        before = {source.name: source for source in self._reloader.sources}
        found = await self._run_aside(partial(self._reloader.refresh, self.strategies))
        after = {source.name: source for source in self._reloader.sources}
        for news in found:
            if isinstance(news, Changed):
                name = news.strategy.name
                was, now = before[name], after.get(name)
                if now is None or replace(was, allocation=now.allocation) != now:
                    continue  # New settings took its place while it was read.
                self._waiting[name] = replace(news, strategy=_with_share(news.strategy, now.allocation))
                self._told.pop(name, None)
            else:
                self._waiting.pop(news.name, None)
                await self._publish(StrategyNotReloaded(at=self._clock.now(), strategy=news.name, reason=news.reason))

    async def _try(self, name: str, under_way: str | None) -> None:
        changed = self._waiting.get(name)
        if changed is None:
            return  # New settings came while another one was tried.
        old = next(strategy for strategy in self.strategies if strategy.name == name)
        if under_way is not None:
            await self._postpone(changed, UNDER_WAY, under_way)
            return
        try:
            remarks = await self._supply.admit(changed.strategy, old)
        except VenueError as error:
            await self._postpone(changed, type(error).__name__, str(error))
            return
        except (DataError, ConfigError) as error:
            self._waiting.pop(name, None)
            await self._publish(StrategyNotReloaded(at=self._clock.now(), strategy=name, reason=f"{changed.file}: {error}"))
            return
        if self._waiting.get(name) is not changed:
            return  # New settings came while its prices were arranged for: it is gone, or waits with another share for the next occasion.
        del self._waiting[name]
        self._run(tuple(changed.strategy if strategy is old else strategy for strategy in self.strategies))
        await self._publish(StrategyReloaded(at=self._clock.now(), strategy=name, changes=(*changed.changes, *remarks)))
        await self.tidy()

    async def _postpone(self, changed: Changed, kind: str, reason: str) -> None:
        name = changed.strategy.name
        told = self._told.setdefault(name, set())
        # Once for each kind, because the words of an outage are others at every attempt; that a rebalance is on passes by itself.
        if kind not in told and not (told and kind == UNDER_WAY):
            told.add(kind)
            postponed = StrategyReloadPostponed(at=self._clock.now(), strategy=name, changes=changed.changes, reason=reason)
            await self._publish(postponed)


def _with_share(strategy: LoadedStrategy, share: float) -> LoadedStrategy:
    """Return a strategy with another share of the account; one that was refused stays as it is, for it trades nothing."""
    if isinstance(strategy, SymphonyStrategy | PythonStrategy) and strategy.allocation != share:
        return replace(strategy, allocation=share)
    return strategy
