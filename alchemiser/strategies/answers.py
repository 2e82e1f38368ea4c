"""The answers to a decision: every strategy gets the same prices and answers with a target or a reason.

One failing strategy never touches another: each ends in its own ``TargetProposed`` or ``StrategyFailed``. Prices are asked for once, for
all strategies together. A strategy that may take long is decided in a thread, so that quotes and fills keep flowing meanwhile.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Protocol

import msgspec

from alchemiser.domain.errors import DataError, VenueError
from alchemiser.domain.events import StrategyFailed, TargetProposed
from alchemiser.domain.runtime import Clock
from alchemiser.strategies.aside import RunAside, in_thread
from alchemiser.strategies.base import LoadedStrategy
from alchemiser.strategies.outcome import NotComputable
from alchemiser.strategies.panel import Panel

TREE_BYTES_AT_MOST = 65_536
"""Longer paths are not journaled with their numbers; those of the shipped strategies have one to four thousand bytes."""


class DecisionMarket(Protocol):
    """Where the prices of a decision come from."""

    async def prepare(self, symbols: Sequence[str], rebalance_id: str) -> Panel:
        """Return the daily closes of these symbols with their live prices as the last session.

        A symbol without a price that may be used is absent, with the reason. Raises ``VenueError`` or ``DataError`` when nothing can
        be had.
        """


Answer = TargetProposed | StrategyFailed

Tell = Callable[[Answer], Awaitable[object]]
"""Takes an answer as soon as it is there."""


async def answer_all(
    strategies: Sequence[LoadedStrategy],
    symbols: Sequence[str],
    market: DecisionMarket,
    rebalance_id: str,
    tell: Tell,
    *,
    clock: Clock,
    run_aside: RunAside = in_thread,
) -> None:
    """Tell the answer of each strategy, in their order; ``symbols`` are all that any of them may need the price of."""
    try:
        panel = await market.prepare(symbols, rebalance_id)
        place = panel.last
    except (VenueError, DataError) as error:
        for strategy in strategies:
            reason = f"the prices for the decision could not be had: {error}"
            await tell(StrategyFailed(at=clock.now(), rebalance_id=rebalance_id, strategy=strategy.name, reason=reason))
        return
    for strategy in strategies:
        now = clock.now()
        if strategy.is_large:
            answer = await run_aside(partial(answer_of, strategy, panel, place, now, rebalance_id))
        else:
            answer = answer_of(strategy, panel, place, now, rebalance_id)
        await tell(answer)


def answer_of(strategy: LoadedStrategy, panel: Panel, place: int, at: datetime, rebalance_id: str) -> Answer:
    """Return what one strategy answers on a session of a panel."""
    outcome = strategy.on(panel).decide(place)
    symbols = strategy.symbols
    prices, bars = panel.prices(symbols, place), panel.version_of(symbols)
    if isinstance(outcome, NotComputable):
        return StrategyFailed(at=at, rebalance_id=rebalance_id, strategy=strategy.name, reason=str(outcome), prices=prices, bars=bars)
    return TargetProposed(
        at=at,
        rebalance_id=rebalance_id,
        strategy=strategy.name,
        weights=dict(outcome.weights),
        prices=prices,
        explanation=outcome.explanation,
        header=strategy.header,
        tree=_journaled(outcome.tree),
        is_fragile=outcome.is_fragile,
        bars=bars,
    )


def _journaled(tree: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return the path as the event keeps it. One through thousands of parts is kept in words only."""
    if tree is None or len(msgspec.json.encode(tree)) > TREE_BYTES_AT_MOST:
        return None
    return dict(tree)
