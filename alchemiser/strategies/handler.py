"""The strategy handler: when a decision is due, every strategy gets the same prices and answers with a target or a reason.

One failing strategy never touches another: each ends in its own ``TargetProposed`` or ``StrategyFailed``. Files that have changed are read
again first, and whenever else there is time. Prices are asked for once, for all strategies together. A strategy that may take long is
decided in a thread, so that quotes and fills keep flowing meanwhile.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from alchemiser.bus.envelope import Envelope
from alchemiser.domain.errors import DataError, VenueError
from alchemiser.domain.events import (
    DecisionApproached,
    DecisionDue,
    Event,
    RebalanceCompleted,
    RebalanceParked,
    StrategyFailed,
    StrategyFilesChanged,
    StreamConnected,
    TargetProposed,
)
from alchemiser.domain.runtime import Clock
from alchemiser.strategies.aside import RunAside, in_thread
from alchemiser.strategies.base import LoadedStrategy
from alchemiser.strategies.outcome import NotComputable, Proposal
from alchemiser.strategies.panel import Panel
from alchemiser.strategies.renewal import Renewal


class DecisionMarket(Protocol):
    """Where the prices of a decision come from."""

    async def prepare(self, symbols: Sequence[str], rebalance_id: str) -> Panel:
        """Return the daily closes of these symbols with their live prices as the last session.

        A symbol without a price that may be used is absent, with the reason. Raises ``VenueError`` or ``DataError`` when nothing can
        be had.
        """


class StrategyHandler:
    """Answers ``DecisionDue`` with one ``TargetProposed`` or ``StrategyFailed`` per strategy, in the order of the strategies."""

    listens_to = (DecisionDue, DecisionApproached, RebalanceCompleted, RebalanceParked, StreamConnected, StrategyFilesChanged)

    def __init__(
        self,
        renewal: Renewal,
        market: DecisionMarket,
        publish: Callable[[Event], Awaitable[object]],
        clock: Clock,
        *,
        run_aside: RunAside = in_thread,
        unfinished: Callable[[], str | None] = lambda: None,
    ) -> None:
        """``run_aside`` runs what takes long; on virtual time, where threads do not exist, it runs it at once.

        ``unfinished`` names the plan that has not ended, also one of an earlier process.
        """
        self._renewal = renewal
        self._market = market
        self._publish = publish
        self._clock = clock
        self._run_aside = run_aside
        self._unfinished = unfinished
        self._deciding: str | None = None

    @property
    def symbols(self) -> tuple[str, ...]:
        """Every symbol whose prices any of the strategies may need, sorted."""
        return tuple(sorted({symbol for strategy in self._renewal.strategies for symbol in strategy.symbols}))

    @property
    def is_waiting(self) -> bool:
        """Whether a new version of a strategy waits for something."""
        return self._renewal.is_waiting

    async def handle(self, envelope: Envelope) -> None:
        """Decide every strategy when a decision is due; at other moments see whether their files have changed."""
        match envelope.event:
            case DecisionDue() as due:
                await self._keep_up()
                self._deciding = due.rebalance_id
                await self._answer(due)
            case RebalanceCompleted(rebalance_id=key) | RebalanceParked(rebalance_id=key):
                if self._deciding == key:
                    self._deciding = None
                await self._keep_up()
                if self._under_way() is None:
                    await self._renewal.tidy()
            case DecisionApproached() | StreamConnected() | StrategyFilesChanged():
                await self._keep_up()
            case _:
                pass

    async def _keep_up(self) -> None:
        await self._renewal.keep_up(self._under_way())

    def _under_way(self) -> str | None:
        # From the decision to the end of its rebalance: prices of both versions are needed, and a strategy has one target only.
        key = self._deciding or self._unfinished()
        return None if key is None else f"rebalance {key} is in progress"

    async def _answer(self, event: DecisionDue) -> None:
        strategies = self._renewal.strategies
        try:
            panel = await self._market.prepare(self.symbols, event.rebalance_id)
            place = panel.last
        except (VenueError, DataError) as error:
            for strategy in strategies:
                await self._fail(event, strategy, f"the prices for the decision could not be had: {error}")
            return
        for strategy in strategies:
            await self._decide(event, strategy, panel, place)

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
