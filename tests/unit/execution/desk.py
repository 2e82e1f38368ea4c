"""A small trading floor for handler tests: the real bus and the real inline states on virtual time, and a venue that follows a script."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import msgspec

from alchemiser.bus.bus import Bus
from alchemiser.bus.envelope import Envelope
from alchemiser.domain.account import Account, Asset, BrokerActivity, BrokerPosition
from alchemiser.domain.activities import AccountActivity
from alchemiser.domain.errors import NotFoundAtVenue, VenueError, VenueUnavailable
from alchemiser.domain.events import (
    Event,
    ExecutionReported,
    OrderFilled,
    QuoteUpdated,
    RebalanceCompleted,
    RebalanceParked,
    RebalancePlanned,
    RecoveryCompleted,
    SessionOpened,
    StreamConnected,
)
from alchemiser.domain.intents import Intent, Wish
from alchemiser.domain.market import Bar, MarketSnapshot, Quote, Session
from alchemiser.domain.orders import ExecutionReport, NewOrder, OrderType, Side, TimeInForce
from alchemiser.domain.venue import After, WhyNot
from alchemiser.execution.gate import SubmitGate
from alchemiser.execution.handler import ExecutionHandler
from alchemiser.execution.ladder import LadderRules
from alchemiser.execution.order_states import OrderStates
from alchemiser.execution.parts import ExecutionParts
from alchemiser.execution.rebalances import Rebalances
from alchemiser.execution.run_state import Quotes
from alchemiser.execution.tactics import TacticRules
from alchemiser.service.clock import VirtualClock

START = datetime(2025, 3, 3, 20, 50, tzinfo=UTC)
SESSION = Session(date=date(2025, 3, 3), opens_at=START - timedelta(hours=6), closes_at=START + timedelta(minutes=10))
ACCOUNT = Account(account_number="A", cash=Decimal(10_000), equity=Decimal(10_000), buying_power=Decimal(10_000), multiplier=1)


def report_of(
    order: NewOrder, event: str, status: str, *, last: str | None = None, cumulative: str = "0", execution: str | None = None
) -> ExecutionReport:
    """Return what the venue says of an order."""
    return ExecutionReport(
        event=event,
        status=status,
        client_order_id=order.client_order_id,
        venue_order_id=f"v-{order.client_order_id}",
        symbol=order.symbol,
        side=order.side,
        quantity=order.quantity,
        cumulative_quantity=Decimal(cumulative),
        average_price=None,
        at=START,
        execution_id=execution,
        last_quantity=None if last is None else Decimal(last),
        last_price=None if last is None else Decimal(100),
    )


@dataclass
class ScriptedVenue:
    """Implements ``domain.venue.Venue``.

    ``submits`` says what the next submits do: an error is raised, a callable is called with the order. Orders that arrived are in
    ``known``; look-ups answer from it, or raise what ``look_ups`` holds first.
    """

    submits: deque[VenueError | Callable[[NewOrder], None]] = field(default_factory=deque)
    look_ups: deque[VenueError] = field(default_factory=deque)
    replaces: deque[VenueError] = field(default_factory=deque)
    cancels: deque[VenueError] = field(default_factory=deque)
    known: dict[str, ExecutionReport] = field(default_factory=dict)
    activities: list[BrokerActivity] = field(default_factory=list)
    listed: list[ExecutionReport] = field(default_factory=list)
    failing: deque[VenueError] = field(default_factory=deque)
    is_at_hand: bool = False
    why_not: WhyNot = lambda symbol, side: None
    sent: list[NewOrder] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)
    on_replace: Callable[[NewOrder, NewOrder], None] = lambda old, new: None
    on_cancel: Callable[[str], None] = lambda venue_order_id: None

    def guard(self, why_not: WhyNot) -> None:
        """Ask before an order leaves."""
        self.why_not = why_not

    async def submit(self, order: NewOrder, *, after: After | None = None) -> ExecutionReport:
        """Do what the script says, by default accept."""
        if after is not None:
            await after()
        if (reason := self.why_not(order.symbol, order.side)) is not None:
            raise VenueUnavailable(reason)
        self.sent.append(order)
        step = self.submits.popleft() if self.submits else None
        if isinstance(step, VenueError):
            raise step
        accepted = msgspec.structs.replace(report_of(order, "query", "pending_new"), source="submit")
        self.known.setdefault(order.client_order_id, accepted)
        if step is not None:
            step(order)
        return accepted

    async def submit_now(self, order: NewOrder) -> ExecutionReport | None:
        """Have no connection at hand, unless the script says so."""
        return await self.submit(order) if self.is_at_hand else None

    async def replace(
        self, venue_order_id: str, *, symbol: str, side: Side, client_order_id: str, quantity: Decimal, limit_price: Decimal
    ) -> ExecutionReport:
        """Do what the script says, by default put the new order in the place of the old one."""
        if self.replaces:
            raise self.replaces.popleft()
        old = next(order for order in self.sent if f"v-{order.client_order_id}" == venue_order_id)
        order = msgspec.structs.replace(old, client_order_id=client_order_id, quantity=quantity, limit_price=limit_price)
        self.sent.append(order)
        accepted = report_of(order, "query", "new")
        self.known[client_order_id] = accepted
        self.on_replace(old, order)
        return accepted

    async def cancel(self, venue_order_id: str) -> None:
        """Take the cancel."""
        self.cancelled.append(venue_order_id)
        if self.cancels:
            raise self.cancels.popleft()
        self.on_cancel(venue_order_id)

    async def order_by_client_id(self, client_order_id: str) -> ExecutionReport:
        """Look the order up."""
        if self.look_ups:
            raise self.look_ups.popleft()
        if client_order_id not in self.known:
            raise NotFoundAtVenue(f"order not found for {client_order_id}")
        return self.known[client_order_id]

    async def open_orders(self) -> tuple[ExecutionReport, ...]:
        """List the open orders."""
        if self.failing:
            raise self.failing.popleft()
        return tuple(self.listed)

    async def account(self) -> Account:
        """Return the account."""
        return ACCOUNT

    async def account_and_positions(self) -> tuple[Account, tuple[BrokerPosition, ...]]:
        """Return the account, which holds nothing."""
        return ACCOUNT, ()

    async def fills_since(self, after: datetime | None) -> tuple[BrokerActivity, ...]:
        """Return the executions."""
        return tuple(self.activities)

    async def activities_since(self, after: datetime) -> tuple[AccountActivity, ...]:
        """Tell of nothing without a trade."""
        return ()

    async def replay_since(self, event_id: str) -> tuple[ExecutionReport, ...] | None:
        """Tell nothing again."""
        return None

    async def assets(self, symbols: Sequence[str]) -> dict[str, Asset]:
        """Trade everything."""
        return {symbol: Asset(symbol=symbol, is_tradable=True, is_fractionable=True) for symbol in symbols}

    async def sessions(self, start: date, end: date) -> tuple[Session, ...]:
        """Know one session."""
        return (SESSION,)

    async def now(self) -> datetime:
        """Tell the time of the start."""
        return START

    async def snapshots(self, symbols: Sequence[str]) -> dict[str, MarketSnapshot]:
        """Know nothing."""
        return {}

    async def daily_bars(self, symbols: Sequence[str], *, start: date, end: date) -> dict[str, tuple[Bar, ...]]:
        """Know nothing."""
        return {}


class Floor:
    """The bus with gate, order states, rebalances and the execution handler, running on virtual time."""

    def __init__(
        self,
        venue: ScriptedVenue,
        rules: LadderRules | None = None,
        tactics: TacticRules | None = None,
        publish_pauses: Iterable[float] = (),
    ) -> None:
        self.venue = venue
        self.read_quotes: Quotes = lambda symbol, now: Quote(symbol=symbol, bid=99.99, bid_size=100, ask=100.01, ask_size=100, at=now)
        self._publish_pauses = iter(publish_pauses)
        self.clock = VirtualClock(START)
        self.bus = Bus(clock=self.clock)
        self.events: list[Event] = []
        self.orders = OrderStates(self.bus.post)
        self.gate = SubmitGate(now=self.clock.now, cut_off=lambda session: START + timedelta(minutes=9))
        venue.guard(self.gate.why_not)
        self.rebalances = Rebalances()
        self.ended = asyncio.Event()
        self.handler = ExecutionHandler(
            ExecutionParts(
                venue=venue,
                orders=self.orders,
                gate=self.gate,
                rebalances=self.rebalances,
                quotes=lambda symbol, now: self.read_quotes(symbol, now),
                clock=self.clock,
                publish=self._publish,
                durable=self.bus.durable,
                is_durable=self.bus.is_durable,
                session=lambda day: SESSION,
                cut_off=lambda day: START + timedelta(minutes=9),
                rules=rules or LadderRules(),
                tactics=tactics or TacticRules(),
                epoch="e",
            )
        )
        for name, part in (("orders", self.orders), ("gate", self.gate), ("rebalances", self.rebalances)):
            self.bus.subscribe_inline(name, part.listens_to, part)
        handler = self.handler
        self.bus.subscribe("execution", handler.listens_to, handler.handle, promptly=(OrderFilled, QuoteUpdated), wants=handler.wants)
        self.bus.subscribe_inline("memory", (Event,), self._remember)

    async def _publish(self, event: Event, correlation: str | None = None) -> Envelope:
        """Publish as the bus does, after the next pause: it waits where a mailbox or the journal's backlog is full."""
        pause = next(self._publish_pauses, 0.0)
        if pause:
            await self.clock.sleep(pause)
        return await self.bus.publish(event, correlation=correlation)

    def _remember(self, envelope: Envelope) -> None:
        self.events.append(envelope.event)
        if isinstance(envelope.event, RebalanceCompleted | RebalanceParked):
            self.ended.set()

    def of(self, kind: type[Event]) -> list[Event]:
        """Return the events of one type."""
        return [event for event in self.events if isinstance(event, kind)]

    def names(self) -> list[str]:
        """Return the names of all events, in order."""
        return [type(event).__name__ for event in self.events]

    def report(
        self, order: NewOrder, event: str, status: str, *, last: str | None = None, cumulative: str = "0", execution: str | None = None
    ) -> None:
        """Let the order stream say something."""
        one = report_of(order, event, status, last=last, cumulative=cumulative, execution=execution)
        self.bus.post(ExecutionReported(at=self.clock.now(), report=one))

    def fill(self, order: NewOrder) -> None:
        """Let the order stream report a complete fill."""
        quantity = str(order.quantity)
        self.report(order, "fill", "filled", last=quantity, cumulative=quantity, execution=f"x-{order.client_order_id}")

    async def run(self, play: Callable[[], Awaitable[object]], *, open_gate: bool = True) -> None:
        """Run the floor while ``play`` plays."""
        async with asyncio.TaskGroup() as group:
            started = asyncio.Event()
            tasks = [group.create_task(self.bus.run(started.set)), group.create_task(self.handler.run())]
            await started.wait()
            if open_gate:
                self.bus.post(StreamConnected(at=START, stream="orders"))
                self.bus.post(SessionOpened(at=START, session=SESSION))
                await self.bus.publish(RecoveryCompleted(at=START, events_replayed=0, fills_recovered=0, open_orders=0))
            await play()
            await self.bus.close(drain_seconds=5)
            for task in tasks:
                task.cancel()

    async def plan(self, *intents: Intent) -> None:
        """Publish a plan."""
        await self.bus.publish(plan_of(*intents))

    async def work(self, *intents: Intent) -> None:
        """Run the floor until a plan of these intents has ended."""

        async def play() -> None:
            await self.plan(*intents)
            await self.ended.wait()

        await self.run(play)


def activity(order: NewOrder, execution: str, quantity: str, total: str, at: datetime) -> BrokerActivity:
    """Return an execution as the venue lists it."""
    return BrokerActivity(
        activity_id=f"x::{execution}",
        execution_id=execution,
        venue_order_id=f"v-{order.client_order_id}",
        symbol=order.symbol,
        side=order.side.value,
        quantity=Decimal(quantity),
        price=Decimal(100),
        cumulative_quantity=Decimal(total),
        at=at,
    )


def plan_of(*intents: Intent) -> RebalancePlanned:
    """Return a plan of these intents."""
    return RebalancePlanned(
        at=START,
        rebalance_id="20250303.1",
        session=SESSION.date,
        equity=Decimal(10_000),
        cash=Decimal(10_000),
        target={},
        prices={},
        capital={},
        intents=intents,
        denials=(),
        crossings=(),
    )


def order_of(intent: Intent) -> NewOrder:
    """Return the first order of an intent."""
    return NewOrder(
        client_order_id=f"e-20250303.1-{intent.symbol}-1",
        symbol=intent.symbol,
        side=intent.side,
        quantity=intent.quantity,
        order_type=OrderType.LIMIT,
        time_in_force=TimeInForce.DAY,
        limit_price=Decimal(100),
    )


def buy(symbol: str = "SPY", quantity: str = "10", side: Side = Side.BUY) -> Intent:
    """Return an intent to buy, or to sell."""
    return Intent(
        intent_id=symbol,
        symbol=symbol,
        side=side,
        quantity=Decimal(quantity),
        reference_price=Decimal(100),
        drift=0.1,
        wishes=(Wish(strategy="s", quantity=Decimal(quantity)),),
    )
