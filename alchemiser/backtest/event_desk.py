"""The desk of an event-driven run: the daemon's own handlers, wired to the exchange in memory instead of to a broker.

What the daemon has and this has not: a journal, streams that may break, reconciliation, recovery, health and the operator. Who listens to
what is the daemon's table (``service.daemon``), for the same classes in the same order.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from msgspec import Struct

from alchemiser.backtest.event_market import EventMarket
from alchemiser.backtest.leap import LeapingClock
from alchemiser.backtest.memory_venue import ACCOUNT_NUMBER, MemoryVenue
from alchemiser.bus.bus import Bus
from alchemiser.domain.errors import InvariantBroken
from alchemiser.domain.events import (
    DaemonStarted,
    DecisionDue,
    Event,
    HandlerFailed,
    RebalanceCompleted,
    RebalanceParked,
    RecoveryCompleted,
    ResultReported,
    StreamConnected,
)
from alchemiser.domain.ids import rebalance_id
from alchemiser.domain.market import Session
from alchemiser.execution.gate import SubmitGate
from alchemiser.execution.handler import ExecutionHandler
from alchemiser.execution.ladder import LadderRules
from alchemiser.execution.order_states import OrderStates
from alchemiser.execution.parking import ParkedSymbols
from alchemiser.execution.parts import ExecutionParts
from alchemiser.execution.rebalances import Rebalances
from alchemiser.market.calendar import TradingCalendar
from alchemiser.market.quotes import QuoteBook
from alchemiser.portfolio.handler import ON_SCHEDULE, Rebalancer
from alchemiser.portfolio.ledger import Ledger
from alchemiser.portfolio.plan import PlanRules
from alchemiser.portfolio.planning import PortfolioParts
from alchemiser.portfolio.standing import StandingTargets
from alchemiser.risk.checks import RiskLimits
from alchemiser.risk.pre_trade import PreTrade
from alchemiser.risk.state import TradingState
from alchemiser.strategies.aside import Done
from alchemiser.strategies.base import LoadedStrategy
from alchemiser.strategies.handler import StrategyHandler
from alchemiser.strategies.reload import Changed, Stamp, Unusable
from alchemiser.strategies.renewal import Renewal
from alchemiser.strategies.sources import StrategySource

EPOCH = "bt"

BURST = 64
"""So many events the execution deals with in a row: on virtual time nobody waits for its turn."""


class DeskRules(Struct, frozen=True, kw_only=True):
    """How the desk plans, checks and works orders."""

    plan: PlanRules
    ladder: LadderRules
    limits: RiskLimits
    price_decimals: int


class DeskParts(Struct, frozen=True):
    """What a desk is made of; ``windows`` are the hours in which the decision of a day may be worked."""

    strategies: Sequence[LoadedStrategy]
    market: EventMarket
    venue: MemoryVenue
    clock: LeapingClock
    calendar: TradingCalendar
    windows: Mapping[date, Session]
    rules: DeskRules


class Desk:
    """The handlers of one run. :meth:`decide` and :meth:`until_over` return when what they began is over."""

    def __init__(self, parts: DeskParts) -> None:
        self._parts = parts
        clock, venue, market, rules = parts.clock, parts.venue, parts.market, parts.rules
        self.bus = bus = Bus(clock=clock)
        venue.report_to(bus.post)
        self.orders = OrderStates(bus.post)
        self.ledger = Ledger(bus.post)
        self.standing = StandingTargets()
        self.rebalances = Rebalances()
        self.trading = TradingState()
        self.parked = ParkedSymbols()
        self.gate = SubmitGate(now=clock.now, cut_off=_closes_at, parked=self.parked.why)
        venue.guard(self.gate.why_not)
        allocations = {strategy.name: Decimal(repr(strategy.allocation)) for strategy in parts.strategies}
        self.strategies = StrategyHandler(
            Renewal(parts.strategies, reloader=_NeverChanged(), supply=_AllThere(), publish=bus.publish, clock=clock, run_aside=_at_once),
            market,
            bus.publish,
            clock,
            run_aside=_at_once,
            unfinished=self.rebalances.unfinished_id,
        )
        check = PreTrade(
            orders=self.orders,
            parked=self.parked,
            trading=self.trading,
            quotes=QuoteBook(),
            calendar=parts.calendar,
            cut_off=_closes_at,
            limits=rules.limits,
            mids=market.mid,
            allocations=allocations,
        )
        self.rebalancer = Rebalancer(
            PortfolioParts(
                venue=venue,
                ledger=self.ledger,
                clock=clock,
                publish=bus.publish,
                mids=market.mid,
                assets=venue.assets,
                check=check.check,
                rules=rules.plan,
                allocations=allocations,
                unfinished=self.rebalances.unfinished_id,
                standing=self.standing,
                trading=self.trading.scopes,
                half_spreads=market.half_spread,
                price_decimals=rules.price_decimals,
            )
        )
        self.execution = ExecutionHandler(
            ExecutionParts(
                venue=venue,
                orders=self.orders,
                gate=self.gate,
                rebalances=self.rebalances,
                quotes=market.quote,
                clock=clock,
                publish=bus.publish,
                durable=bus.durable,
                is_durable=bus.is_durable,
                session=parts.windows.__getitem__,
                cut_off=self._cut_off_on,
                rules=rules.ladder,
                epoch=EPOCH,
                writes_ahead=False,
                shortfall=lambda plan, orders: None,  # The notes of a run count its costs.
            )
        )
        self._awaited: asyncio.Future[None] | None = None
        self._ended_by: Event | None = None
        self._wire()

    def _wire(self) -> None:
        bus = self.bus
        bus.subscribe_acts("order states", self.orders.acts)
        bus.subscribe_inline("parked symbols", ParkedSymbols.listens_to, self.parked)
        bus.subscribe_acts("ledger", self.ledger.acts)
        bus.subscribe_acts("standing targets", self.standing.acts)
        bus.subscribe_acts("rebalances", self.rebalances.acts)
        bus.subscribe_inline("trading state", TradingState.listens_to, self.trading)
        bus.subscribe_inline("submit gate", SubmitGate.listens_to, self.gate)
        ends = (RebalanceCompleted, RebalanceParked, ResultReported, HandlerFailed)
        bus.subscribe_acts("end of a step", dict.fromkeys(ends, self._over))
        # These two hear a few times a session of one thing each: they deal with it where it is published. The strategies hear of
        # decisions alone, because their files stay as they are.
        bus.subscribe("strategies", (DecisionDue,), self.strategies.handle, promptly=(DecisionDue,))
        rebalancer = self.rebalancer
        bus.subscribe("rebalancer", Rebalancer.listens_to, rebalancer.handle, wants=rebalancer.wants, promptly=Rebalancer.listens_to)
        execution = self.execution
        bus.subscribe("execution", ExecutionHandler.listens_to, execution.handle, capacity=4096, wants=execution.wants, burst=BURST)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run the mailboxes and the requests about orders while the block runs."""
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self.bus.run(), name="bus"),
                group.create_task(self.execution.run(), name="execution"),
            ]
            await asyncio.sleep(0)  # Both own task groups, which exist once they have begun.
            yield
            await self.bus.close(drain_seconds=1.0)
            for task in tasks:
                task.cancel("the run is over")

    async def start(self) -> None:
        """Publish what a daemon that has recovered has published."""
        at = self._parts.clock.now()
        shares = {strategy.name: strategy.allocation for strategy in self._parts.strategies}
        await self.bus.publish(
            DaemonStarted(at=at, mode="backtest", version="", epoch=EPOCH, account_number=ACCOUNT_NUMBER, strategies=shares)
        )
        await self.bus.publish(StreamConnected(at=at, stream="orders"))
        await self.bus.publish(RecoveryCompleted(at=at, events_replayed=0, fills_recovered=0, open_orders=0))

    def decide(self, day: date) -> Coroutine[Any, Any, None]:
        """Have the strategies decide on a day, and return when the rebalance that follows has ended."""
        key = rebalance_id(day, self.rebalances.next_number(day))
        return self.until_over(DecisionDue(at=self._parts.clock.now(), rebalance_id=key, session=day, reason=ON_SCHEDULE))

    async def until_over(self, begins: Event) -> None:
        """Publish what begins a step, and return when it is over: the rebalance has ended, or the result of the session is in."""
        self._ended_by = None
        self.bus.post(begins)  # Between two steps no mailbox is full, so that there is nothing to wait for.
        if self._ended_by is None:
            self._awaited = asyncio.get_running_loop().create_future()
            await self._awaited
        if isinstance(end := self._ended_by, HandlerFailed):
            raise InvariantBroken(f"handler {end.handler} failed at {end.event_type}: {end.error}; the run is given up")

    def _over(self, end: RebalanceCompleted | RebalanceParked | ResultReported | HandlerFailed) -> None:
        if self._ended_by is None:
            self._ended_by = end
            if self._awaited is not None and not self._awaited.done():
                self._awaited.set_result(None)

    def _cut_off_on(self, day: date) -> datetime:
        return self._parts.windows[day].closes_at


def _closes_at(session: Session) -> datetime:
    return session.closes_at


async def _at_once(function: Callable[[], Done]) -> Done:
    return function()


class _NeverChanged:
    """The files of a run are what they were when it began."""

    sources: tuple[StrategySource, ...] = ()

    def is_behind(self) -> bool:
        """Return that nothing has changed."""
        return False

    def follow(self, sources: Sequence[StrategySource], seen: Mapping[Path, Stamp]) -> None:
        """Follow nothing: nobody changes the settings of a run."""

    def refresh(self, strategies: Iterable[LoadedStrategy]) -> Sequence[Changed | Unusable]:
        """Return no news."""
        return ()


class _AllThere:
    """The supply of a run: every price it may need is in its panel."""

    async def admit(self, new: LoadedStrategy, old: LoadedStrategy | None) -> tuple[str, ...]:
        """Return no remarks."""
        return ()

    async def release(self, strategies: Sequence[LoadedStrategy]) -> None:
        """Keep everything."""
