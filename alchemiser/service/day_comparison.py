"""Live against backtest: when a session has ended, the backtest recomputes it and each strategy is told how far it was from that.

What there is to recompute is in the journal (:mod:`alchemiser.portfolio.day`), so a restart in the evening compares what the process
before it could not, once. The bars come from where the decision had them, the closes from one request. The arithmetic is in
:mod:`alchemiser.backtest.live_day`, which the first comparison loads; it runs aside and holds nothing up.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from decimal import Decimal
from functools import partial
from typing import Any, Final

import structlog
from msgspec import Struct
from msgspec.structs import replace

from alchemiser.bus.envelope import Envelope
from alchemiser.domain.day_comparison import StrategyDay
from alchemiser.domain.errors import DataError, VenueError
from alchemiser.domain.events import DayCompared, LedgerCompared, RecoveryCompleted, SessionOpened
from alchemiser.domain.market import MarketSnapshot, Session
from alchemiser.domain.money import from_float
from alchemiser.domain.runtime import Clock
from alchemiser.domain.venue import Venue
from alchemiser.market.calendar import new_york_date
from alchemiser.portfolio.day import DayFacts, DayRecord
from alchemiser.service.decision_market import DecisionMarket
from alchemiser.service.deferred import load
from alchemiser.strategies.aside import RunAside
from alchemiser.strategies.base import LoadedStrategy

COMPARE: Final = "alchemiser.backtest.live_day:compare_day"
PRICES: Final = "alchemiser.backtest.live_day:DayPrices"

PAUSES_SECONDS: Final = (2.0, 8.0)
"""Pauses between attempts to ask for the closes; after the last one the session is told without numbers."""

PATIENCE_SECONDS: Final = 60.0
"""How long the end of a run waits for the comparison of its last session, in seconds of the loop."""

_log = structlog.get_logger(__name__)


class ComparisonParts(Struct, frozen=True):
    """What the comparison works with; ``strategies`` are those that run now, a difference of more than ``limit_bps`` is an alarm."""

    record: DayRecord
    venue: Venue
    market: DecisionMarket
    clock: Clock
    publish: Callable[..., Awaitable[object]]
    strategies: Callable[[], Sequence[LoadedStrategy]]
    run_aside: RunAside
    limit_bps: Decimal


class DayComparison:
    """Publishes one ``DayCompared`` per session."""

    listens_to = (LedgerCompared, RecoveryCompleted, SessionOpened)

    def __init__(self, parts: ComparisonParts) -> None:
        self._parts = parts
        self._done = asyncio.Event()

    def limit(self, limit_bps: Decimal) -> None:
        """Raise the alarm beyond this difference, from the next comparison on."""
        self._parts = replace(self._parts, limit_bps=limit_bps)

    async def handle(self, envelope: Envelope) -> None:
        """Compare the session that waits for it, if one does."""
        facts = self._parts.record.ended
        if facts is None or facts.session is None:
            return
        release = self._parts.clock.hold(f"the comparison of {facts.session.date}")
        try:
            event = await self._compared(facts, facts.session)
            await self._parts.publish(event, correlation=event.rebalance_id)
        finally:
            release()
            self._done.set()

    async def settled(self) -> None:
        """Return when no session waits to be compared; after a while all the same, for the next start makes up for it."""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while self._parts.record.ended is not None:
                    self._done.clear()
                    await self._done.wait()
        except TimeoutError:
            _log.warning("day_not_compared", waited_seconds=PATIENCE_SECONDS, next="compared at the next start")

    async def _compared(self, facts: DayFacts, session: Session) -> DayCompared:
        parts, strategies = self._parts, tuple(self._parts.strategies())
        prices = await self._prices(facts, session, strategies)
        try:
            history: Any = await parts.market.history_of(session.date)
        except (VenueError, DataError) as error:
            history = str(error)
        compare = load(COMPARE)
        days: tuple[StrategyDay, ...] = await parts.run_aside(partial(compare, facts, strategies, history, prices))
        beyond = tuple(day.strategy for day in days if day.compared and abs(day.compared.difference_bps) > parts.limit_bps)
        return DayCompared(
            at=parts.clock.now(),
            session=session.date,
            rebalance_id=facts.plan.rebalance_id if facts.plan else None,
            strategies=days,
            closes=dict(prices.closes),
            limit_bps=parts.limit_bps,
            beyond=beyond,
        )

    async def _prices(self, facts: DayFacts, session: Session, strategies: Sequence[LoadedStrategy]) -> Any:
        """Return the closes of the session and of the one before; those that cannot be had are absent, and the comparison names them."""
        symbols = sorted(facts.symbols() | {symbol for strategy in strategies for symbol in strategy.symbols_held})
        snapshots = await self._snapshots(symbols)
        closes: dict[str, Decimal] = {}
        before: dict[str, Decimal] = {}
        for symbol in sorted(snapshots):
            for bar in (snapshots[symbol].previous, snapshots[symbol].today):
                if bar is not None:
                    day = new_york_date(bar.start)
                    if day == session.date:
                        closes[symbol] = from_float(bar.close)
                    elif day < session.date:
                        before[symbol] = from_float(bar.close)
        return load(PRICES)(closes=closes, before=before)

    async def _snapshots(self, symbols: Sequence[str]) -> dict[str, MarketSnapshot]:
        for pause in (*PAUSES_SECONDS, None):
            try:
                return await self._parts.venue.snapshots(symbols) if symbols else {}
            except VenueError as error:
                if pause is None:
                    _log.warning("closes_not_known", error=str(error), action="the session is told without numbers")
                    break
                await self._parts.clock.sleep(pause)
        return {}
