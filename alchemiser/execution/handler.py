"""The execution handler: carries out what the pacing of a rebalance decides, and tells it what has happened.

It awaits; the decisions are in ``pacing``, what is asked of the venue in ``requests``. That an order will leave is published before the
request for it begins.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from msgspec.structs import replace

from alchemiser.bus.alarm import Alarm
from alchemiser.bus.begun import breathe
from alchemiser.bus.envelope import Envelope
from alchemiser.domain.account import Account
from alchemiser.domain.events import (
    Event,
    FillBroken,
    GapClosed,
    OrderClosed,
    OrderFilled,
    OrderIntended,
    OrderPrepared,
    OrderUnprepared,
    QuoteUpdated,
    RebalanceCompleted,
    RebalanceParked,
    RebalancePlanned,
    RecoveryCompleted,
    SessionClosed,
    SymbolParked,
    TimerElapsed,
    TradingStateChanged,
)
from alchemiser.domain.ids import is_of_a_kill, split_client_order_id
from alchemiser.domain.orders import Order
from alchemiser.domain.reconciliation import UNRESOLVED, Parking
from alchemiser.execution.ladder import LadderRules
from alchemiser.execution.pacing import RebalanceRun
from alchemiser.execution.parts import ExecutionParts
from alchemiser.execution.requests import OrderRequests
from alchemiser.execution.tactics import TacticRules, Tactics
from alchemiser.execution.work import ENDED, WAITING, Ask, Cancel, Command, Prepare, Replace


class ExecutionHandler:
    """Works one rebalance at a time. ``run`` owns its tasks; ``handle`` is its mailbox, whose events ``wants`` looks at first."""

    listens_to = (
        RebalancePlanned,
        OrderFilled,
        FillBroken,
        OrderClosed,
        TimerElapsed,
        GapClosed,
        RecoveryCompleted,
        TradingStateChanged,
        SessionClosed,
        QuoteUpdated,
    )

    def __init__(self, parts: ExecutionParts) -> None:
        self._parts = parts
        self._tactics = Tactics(parts.tactics, parts.rules)
        self._run: RebalanceRun | None = None
        self._requests = OrderRequests(parts, self._has_account)
        self._alarm = Alarm(parts.clock, self._ring)
        self._is_stopping = False
        self._is_looking = self._has_news = False
        self._written_ahead: dict[str, int] = {}
        """The numbers of the events that tell of orders before their time, by client order id."""

    @property
    def active(self) -> RebalanceRun | None:
        """The rebalance in progress, if any."""
        return self._run

    async def run(self) -> None:
        """Own the requests that are under way, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            self._requests.begin_in(tasks)
            tasks.create_task(self._alarm.run(), name="execution deadlines")

    @property
    def wants(self) -> Mapping[type[Event], Callable[[Any], bool]]:
        """What takes in, where events of a type are dispatched, what they say; it says whether it is worth looking what follows from it.

        So the cash of a fill counts from then on, whatever the handler is at.
        """
        return {
            OrderFilled: self._has_filled,
            OrderClosed: self._has_ended,
            FillBroken: self._has_broken,
            QuoteUpdated: lambda quote: self._run is not None and quote.symbol in self._run.works,
        }

    def _has_filled(self, told: OrderFilled) -> bool:
        return self._run is not None and self._run.on_fill(told.fill) and self._is_news()

    def _has_ended(self, told: OrderClosed) -> bool:
        run = self._run
        if run is None or (order := self._parts.orders.get(told.client_order_id)) is None:
            return False
        return run.on_end(order, self._parts.clock.now()) and self._is_news()

    def _has_broken(self, told: FillBroken) -> bool:
        """What is taken back for good is for the next plan to buy; what is corrected comes next."""
        if self._run is not None and told.replaced_by is not None:
            self._run.on_correction(told.fill, told.replaced_by)
        return False

    def _is_news(self) -> bool:
        """Return whether the handler has to be woken for a look; where it is looking already it looks once more."""
        self._has_news = True
        return not self._is_looking

    async def handle(self, envelope: Envelope) -> None:
        """Deal with a plan, a deadline, a quote, a change of what is allowed, or what was told of an order."""
        event, run = envelope.event, self._run
        if isinstance(event, QuoteUpdated):
            if run is not None and event.symbol in run.works:
                await self._follow(run, event.symbol)
            return
        if isinstance(event, RebalancePlanned):
            await self._begin(event, self._parts.clock.now())
        elif isinstance(event, RecoveryCompleted):
            await self._resume(self._parts.clock.now())
        elif run is None:
            return
        elif isinstance(event, TradingStateChanged):
            self._bar(run)
        elif isinstance(event, SessionClosed):
            run.close("the session has closed")
        if self._run is not None:
            await self._step()

    async def stop(self, reason: str, *, cancel_orders: bool) -> None:
        """Begin nothing new and, if so asked, cancel what is working. The rebalance stays unfinished; the next start takes it up."""
        self._is_stopping = True
        self._requests.stop()
        self._run = None
        self._alarm.set(None)
        if cancel_orders:
            for order in self._parts.orders.open_orders():
                self._requests.cancel(order.client_order_id, reason)

    async def _begin(self, plan: RebalancePlanned, now: datetime) -> None:
        unfinished = self._parts.rebalances.unfinished
        if unfinished is None or unfinished.rebalance_id != plan.rebalance_id:
            return  # The kill switch carries it out; or it was taken up and ended, when recovery ended after the plan was made.
        if self._run is not None:
            if self._run.plan.rebalance_id == plan.rebalance_id:
                return
            await self._end(self._run, "a newer rebalance was planned")
        self._run = self._new_run(plan, now)
        self._bar(self._run)

    def _bar(self, run: RebalanceRun) -> None:
        """Have a run leave what may no longer be traded: all of it after a halt, single intents where only those are concerned."""
        gate = self._parts.gate
        if gate.is_halted:
            run.stop(gate.reasons["trading"])
        for intent_id, reason in gate.barred(run.plan):
            run.bar(intent_id, reason)

    async def _resume(self, now: datetime) -> None:
        """Take up what an earlier process left: orders of unknown outcome, the unfinished rebalance, orders that no rebalance owns."""
        plan = self._parts.rebalances.unfinished
        for order in self._parts.orders.open_orders():
            if order.venue_order_id is None:  # Whatever was asked for since: the venue has not said yet that it has the order.
                self._requests.look_up(order.client_order_id)
            elif plan is None and not _sells_for_a_kill(order):
                self._requests.cancel(order.client_order_id, "no rebalance owns it")
        if plan is None or self._run is not None:
            return
        run = self._new_run(plan, now)
        run.resume(self._parts.orders, now)
        self._bar(run)
        if now >= run.cut_off:
            run.close("the daemon was away when the session's cut-off passed")
        self._run = run

    def work_by(self, rules: LadderRules, tactics: TacticRules) -> None:
        """Work the orders of the next rebalance by these rules; one in progress keeps its own."""
        self._parts = replace(self._parts, rules=rules, tactics=tactics)
        self._tactics = Tactics(tactics, rules)

    def _new_run(self, plan: RebalancePlanned, now: datetime) -> RebalanceRun:
        parts = self._parts
        # By its place: a class of ours that is called with this many names takes three times as long.
        return RebalanceRun(
            plan,
            parts.epoch,
            parts.rules,
            parts.quotes,
            now,
            parts.cut_off(plan.session),
            parts.session(plan.session),
            self._tactics,
            parts.orders.count_of_session(plan.session),
            parts.gate.why_parked,
            parts.orders.get,
        )

    async def _follow(self, run: RebalanceRun, symbol: str) -> None:
        """Carry out what a new quote of a symbol leads to. Mostly that is nothing, and quotes are many: only that symbol is looked at."""
        now, stage = self._parts.clock.now(), run.stage_of(symbol)
        if stage is ENDED or self._is_stopping:
            return
        look = run.offer if stage is WAITING else run.watch
        commands = look(symbol, now, self._parts.gate.reasons)
        if commands:
            await self._carry_out(commands, run)
            await breathe()
            if self._parts.writes_ahead:
                await self._look_ahead(run)
            if self._run is not run:
                return
        is_over = run.stage_of(symbol) is ENDED
        if is_over or (commands and stage is not WAITING):
            await self._step()  # Others may have the cash that this one gives up.
        else:
            self._alarm.bring_forward(run.due_of(symbol, now))

    async def _step(self) -> None:
        """Carry out what is to be done now, until nothing new is told meanwhile, and arrange to look again in time."""
        run = self._run
        if run is None or self._is_stopping:
            return
        before = self._requests.begun
        try:
            self._has_news = self._is_looking = True
            while self._has_news and self._run is run and run.under_way:
                self._has_news = False
                await self._carry_out(run.steps(self._parts.clock.now(), self._parts.gate.reasons), run)
            self._is_looking = False  # What is told from here on is looked at when the handler is woken for it.
            if self._requests.begun != before:
                await breathe()  # What was just begun leaves before anything else is done.
            if self._parts.writes_ahead:
                await self._look_ahead(run)
            if not run.under_way and self._run is run:
                await self._end(run, None)
        finally:  # Also after a failure: what was told during a look has been taken in and not been looked at, and nobody tells it again.
            self._is_looking = False
            self._alarm.set(None if self._run is None else self._run.next_due(self._parts.clock.now()))

    async def _look_ahead(self, run: RebalanceRun) -> None:
        """Write down what comes next, so that it need not wait for the disk then."""
        if self._run is not run:
            return
        now, key = self._parts.clock.now(), run.plan.rebalance_id
        steps = run.look_ahead()
        for step in steps:
            if isinstance(step, Prepare):
                fields = {name: getattr(step, name) for name in step.__struct_fields__}
                envelope = await self._parts.publish(OrderPrepared(at=now, rebalance_id=key, **fields), correlation=key)
                self._written_ahead[step.client_order_id] = envelope.sequence
            else:
                self._written_ahead.pop(step.client_order_id, None)
                await self._requests.publish(OrderUnprepared, step.client_order_id, reason=step.reason)
        if steps:
            self._requests.flush("flush what was written ahead")

    async def _end(self, run: RebalanceRun, reason: str | None) -> None:
        self._run = None
        self._written_ahead.clear()
        now, outcomes = self._parts.clock.now(), run.outcomes()
        key = run.plan.rebalance_id
        open_ends = [f"{outcome.symbol}: {outcome.reason}" for outcome in outcomes if outcome.state != "filled"]
        reason = reason or "; ".join(open_ends)
        shortfall = self._parts.shortfall(run.plan, self._parts.orders)
        event: Event = RebalanceCompleted(at=now, rebalance_id=key, outcomes=outcomes, shortfall=shortfall)
        if reason:
            event = RebalanceParked(at=now, rebalance_id=key, reason=reason, outcomes=outcomes, shortfall=shortfall)
        for order in self._parts.orders.open_orders():
            await self._park_unresolved(order, key, now)
        await self._parts.publish(event, correlation=key)

    async def _park_unresolved(self, order: Order, rebalance_id: str, now: datetime) -> None:
        """Park the symbol of an order that a rebalance leaves without knowing its end: a second one might double it."""
        parts = split_client_order_id(order.client_order_id)
        if parts is None or parts[1] != rebalance_id:
            return
        reason = f"the rebalance had to end while order {order.client_order_id} was {order.state.value}"
        parking = Parking(code=UNRESOLVED, reason=reason, since=now)
        await self._parts.publish(SymbolParked(at=now, symbol=order.request.symbol, parking=parking), correlation=rebalance_id)

    async def _carry_out(self, commands: Iterable[Command], run: RebalanceRun) -> None:
        """Carry out one command after the other, each before the next is reckoned."""
        rebalance_id, requests = run.plan.rebalance_id, self._requests
        for command in commands:
            if isinstance(command, OrderIntended):
                order = command.order
                ahead = self._written_ahead.pop(order.client_order_id, None) if command.is_prepared else None
                told = await self._parts.publish(command, rebalance_id)
                requests.submit(order, rebalance_id, told.sequence if ahead is None else ahead)
                if ahead is not None:
                    requests.flush("flush behind an order")
                if command.is_prepared:
                    await breathe()  # It leaves before the next one is reckoned.
                    if self._run is not run:
                        return
            elif isinstance(command, Replace):
                await self._parts.publish(command.intended, rebalance_id)
                requests.replace(command.client_order_id, command.intended.order, rebalance_id)
            elif isinstance(command, Cancel):
                requests.cancel(command.client_order_id, command.reason)
            elif isinstance(command, Ask):
                requests.ask(command.client_order_id)
            else:
                requests.look_at_account()

    def _has_account(self, account: Account) -> None:
        """Lower the cash of the run. Not as a listener: accounts are looked at many times a day for reasons that are no run's business."""
        if self._run is not None:
            self._run.on_account(account)
            self._alarm.bring_forward(self._parts.clock.now())

    async def _ring(self) -> None:
        await self._parts.publish(TimerElapsed(at=self._parts.clock.now(), kind="execution", key=""))


def _sells_for_a_kill(order: Order) -> bool:
    parts = split_client_order_id(order.client_order_id)
    return parts is not None and is_of_a_kill(parts[1])
