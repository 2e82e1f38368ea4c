"""The strategy handler: when a decision is due, every strategy answers, and the answers are published.

Files that have changed are read again first, and whenever else there is time.
"""

from collections.abc import Awaitable, Callable, Sequence

from alchemiser.bus.envelope import Envelope
from alchemiser.domain.events import (
    DecisionApproached,
    DecisionDue,
    Event,
    RebalanceCompleted,
    RebalanceParked,
    StrategyFilesChanged,
    StreamConnected,
)
from alchemiser.domain.runtime import Clock
from alchemiser.strategies.answers import DecisionMarket, Tell, answer_all
from alchemiser.strategies.aside import RunAside, in_thread
from alchemiser.strategies.base import LoadedStrategy
from alchemiser.strategies.renewal import Renewal, Roster
from alchemiser.strategies.sources import StrategySource


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
        return self._renewal.symbols

    @property
    def strategies(self) -> tuple[LoadedStrategy, ...]:
        """The strategies as they run now."""
        return self._renewal.strategies

    def answer(self, rebalance_id: str, tell: Tell) -> Awaitable[None]:
        """Tell what every strategy answers now, one after the other; nothing else is published."""
        renewal = self._renewal
        return answer_all(
            renewal.strategies, renewal.symbols, self._market, rebalance_id, tell, clock=self._clock, run_aside=self._run_aside
        )

    async def prepare(self, sources: Sequence[StrategySource], *, admits: bool) -> Roster:
        """Load what new settings change; see :meth:`Renewal.prepare`."""
        return await self._renewal.prepare(sources, admits=admits)

    def take(self, roster: Roster) -> tuple[str, ...]:
        """Run the strategies of new settings from the next decision on; see :meth:`Renewal.take`."""
        return self._renewal.take(roster)

    async def tidy(self) -> None:
        """Give up the prices that nobody needs any more."""
        await self._renewal.tidy()

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
                await self.answer(due.rebalance_id, self._publish)
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
        if self._renewal.is_behind():
            await self._renewal.keep_up(self._under_way())

    def _under_way(self) -> str | None:
        # From the decision to the end of its rebalance: prices of both versions are needed, and a strategy has one target only.
        key = self._deciding or self._unfinished()
        return None if key is None else f"rebalance {key} is in progress"
