"""The strategy handler: when a decision is due, every strategy gets the same prices and answers with a target or a reason.

One failing strategy never touches another: each ends in its own ``TargetProposed`` or ``StrategyFailed``. Files that have changed are read
again first. Prices are asked for once, for all strategies together. A strategy that may take long is decided in a thread, so that quotes
and fills keep flowing meanwhile.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeVar

from anyio import to_thread

from alchemiser.bus.envelope import Envelope
from alchemiser.domain.errors import DataError, VenueError
from alchemiser.domain.events import DecisionDue, Event, StrategyFailed, StrategyNotReloaded, StrategyReloaded, TargetProposed
from alchemiser.domain.runtime import Clock
from alchemiser.strategies.base import LoadedStrategy
from alchemiser.strategies.outcome import NotComputable, Proposal
from alchemiser.strategies.panel import Panel
from alchemiser.strategies.reload import Reloader, Swapped

Done = TypeVar("Done")


class RunAside(Protocol):
    """Runs a function without holding up the event loop."""

    async def __call__(self, function: Callable[[], Done]) -> Done:
        """Return what the function returns."""


async def in_thread(function: Callable[[], Done]) -> Done:
    """Run a function in a thread."""
    return await to_thread.run_sync(function)


class DecisionMarket(Protocol):
    """Where the prices of a decision come from."""

    async def prepare(self, symbols: Sequence[str], rebalance_id: str) -> Panel:
        """Return the daily closes of these symbols with their live prices as the last session.

        A symbol without a price that may be used is absent, with the reason. Raises ``VenueError`` or ``DataError`` when nothing can
        be had.
        """


class StrategyHandler:
    """Answers ``DecisionDue`` with one ``TargetProposed`` or ``StrategyFailed`` per strategy, in the order of the strategies."""

    def __init__(
        self,
        strategies: Sequence[LoadedStrategy],
        market: DecisionMarket,
        publish: Callable[[Event], Awaitable[object]],
        clock: Clock,
        *,
        run_aside: RunAside = in_thread,
        reloader: Reloader | None = None,
    ) -> None:
        """``run_aside`` runs what takes long; on virtual time, where threads do not exist, it runs it at once."""
        self._reloader = reloader
        self._strategies = tuple(strategies)
        self._market = market
        self._publish = publish
        self._clock = clock
        self._run_aside = run_aside

    @property
    def symbols(self) -> tuple[str, ...]:
        """Every symbol whose prices any of the strategies may need, sorted."""
        return tuple(sorted({symbol for strategy in self._strategies for symbol in strategy.symbols}))

    async def handle(self, envelope: Envelope) -> None:
        """Decide every strategy when a decision is due; other events are not for us."""
        event = envelope.event
        if not isinstance(event, DecisionDue):
            return
        await self._reload()
        try:
            panel = await self._market.prepare(self.symbols, event.rebalance_id)
            place = panel.last
        except (VenueError, DataError) as error:
            for strategy in self._strategies:
                await self._fail(event, strategy, f"the prices for the decision could not be had: {error}")
            return
        for strategy in self._strategies:
            await self._decide(event, strategy, panel, place)

    async def _reload(self) -> None:
        """Swap in the strategies whose files have changed, and tell what became of each."""
        reloader = self._reloader
        if reloader is None:
            return
        for news in await self._run_aside(lambda: reloader.refresh(self._strategies)):
            if isinstance(news, Swapped):
                new = news.strategy
                self._strategies = tuple(new if strategy.name == new.name else strategy for strategy in self._strategies)
                await self._publish(StrategyReloaded(at=self._clock.now(), strategy=new.name, changes=news.changes))
            else:
                await self._publish(StrategyNotReloaded(at=self._clock.now(), strategy=news.name, reason=news.reason))

    async def _decide(self, event: DecisionDue, strategy: LoadedStrategy, panel: Panel, place: int) -> None:
        def decided() -> Proposal | NotComputable:
            return strategy.on(panel).decide(place)

        outcome = await self._run_aside(decided) if strategy.is_large else decided()
        if isinstance(outcome, NotComputable):
            await self._fail(event, strategy, str(outcome))
            return
        proposed = TargetProposed(
            at=self._clock.now(),
            rebalance_id=event.rebalance_id,
            strategy=strategy.name,
            weights=dict(outcome.weights),
            prices=panel.prices(strategy.symbols, place),
            explanation=outcome.explanation,
            header=strategy.header,
        )
        await self._publish(proposed)

    async def _fail(self, event: DecisionDue, strategy: LoadedStrategy, reason: str) -> None:
        failed = StrategyFailed(at=self._clock.now(), rebalance_id=event.rebalance_id, strategy=strategy.name, reason=reason)
        await self._publish(failed)
