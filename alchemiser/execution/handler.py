"""The execution handler: carries out what the pacing of a rebalance decides, and brings the venue's answers back as events.

It awaits, the decisions are in ``pacing``. Nothing leaves before its intention is durable, or what was written ahead of it; no submit is
ever repeated blindly; an answer that cannot be read is looked up by client order id until the venue says what became of the order.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from datetime import date, datetime
from functools import partial
from typing import Any

import structlog
from msgspec import Struct, field
from msgspec.structs import replace

from alchemiser.bus.alarm import Alarm
from alchemiser.bus.begun import begin, breathe
from alchemiser.bus.envelope import Envelope
from alchemiser.domain.errors import (
    BusClosed,
    CredentialsRefused,
    NotFoundAtVenue,
    OutcomeUnknown,
    VenueError,
    VenueUnavailable,
)
from alchemiser.domain.errors import OrderRejected as RejectedByVenue
from alchemiser.domain.events import (
    AccountObserved,
    CancelRequested,
    Event,
    ExecutionReported,
    FillBroken,
    GapClosed,
    OrderClosed,
    OrderFilled,
    OrderIntended,
    OrderNotFound,
    OrderOutcomeUnknown,
    OrderPrepared,
    OrderRejected,
    OrderUnprepared,
    OrderWithheld,
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
from alchemiser.domain.market import Session
from alchemiser.domain.orders import ExecutionReport, NewOrder, Order, OrderState
from alchemiser.domain.reconciliation import UNRESOLVED, Parking
from alchemiser.domain.runtime import Clock
from alchemiser.domain.shortfall import Shortfall
from alchemiser.domain.venue import Venue
from alchemiser.execution.costs import shortfall_of
from alchemiser.execution.gate import SubmitGate
from alchemiser.execution.ladder import LadderRules
from alchemiser.execution.missed_fills import CLOCK_DOUBT, missed_fills
from alchemiser.execution.order_states import OrderStates
from alchemiser.execution.pacing import RebalanceRun
from alchemiser.execution.rebalances import Rebalances
from alchemiser.execution.run_state import Quotes
from alchemiser.execution.tactics import TacticRules
from alchemiser.execution.work import Ask, Cancel, Command, LookAtAccount, Prepare, Replace, Stage, Submit

LOOK_UP_PAUSES_SECONDS = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0)
"""Pauses between look-ups of an order whose outcome is unknown; the last repeats."""

NOT_FOUND_ANSWERS = 4
"""How often the venue must say that it does not know an order before it is believed: its lists are only eventually consistent."""

_log = structlog.get_logger(__name__)

LOOK_REASON = "a buy was refused"
"""The reason of a look at the account that lowers the cash of the rebalance in progress."""

SENDERS = 8
"""How many requests about orders may be under way at once, beside those for which a connection was at hand."""


class ExecutionParts(Struct, frozen=True):
    """What the handler works with.

    ``durable`` returns when all that was published, or what was up to an event's number, would survive a crash; ``is_durable`` says whether
    what was up to a number would. ``session`` gives the hours of a day, ``cut_off`` the last moment of it at which an order may still be
    worked. Where nothing is made durable nothing ``writes_ahead``, which is there to save waiting for a disk. ``shortfall`` reckons what a
    rebalance has cost, ``None`` where nobody asks.
    """

    venue: Venue
    orders: OrderStates
    gate: SubmitGate
    rebalances: Rebalances
    quotes: Quotes
    clock: Clock
    publish: Callable[..., Awaitable[Envelope]]
    durable: Callable[..., Awaitable[None]]
    is_durable: Callable[[int], bool]
    session: Callable[[date], Session]
    cut_off: Callable[[date], datetime]
    rules: LadderRules
    epoch: str
    tactics: TacticRules = field(default_factory=TacticRules)
    writes_ahead: bool = True
    shortfall: Callable[[RebalancePlanned, Iterable[Order]], Shortfall | None] = shortfall_of


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
        self._run: RebalanceRun | None = None
        self._tasks: asyncio.TaskGroup | None = None
        self._senders = asyncio.Semaphore(SENDERS)
        self._alarm = Alarm(parts.clock, self._ring)
        self._is_stopping = False
        self._is_looking = self._has_news = False
        self._begun = 0
        """How many requests had to wait for something, and were given tasks."""
        self._written_ahead: dict[str, int] = {}
        """The numbers of the events that tell of orders before their time, by client order id."""

    @property
    def active(self) -> RebalanceRun | None:
        """The rebalance in progress, if any."""
        return self._run

    async def run(self) -> None:
        """Own the requests that are under way, until cancelled."""
        async with asyncio.TaskGroup() as self._tasks:
            self._tasks.create_task(self._alarm.run(), name="execution deadlines")

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
        run = self._run
        return run is not None and self._is_news(run.on_fill(told.fill, self._parts.clock.now()))

    def _has_ended(self, told: OrderClosed) -> bool:
        run, key = self._run, told.client_order_id
        order = self._parts.orders.get(key) if run is not None and run.is_live(key) else None
        return run is not None and order is not None and self._is_news(run.on_end(order, self._parts.clock.now()))

    def _has_broken(self, told: FillBroken) -> bool:
        """What is taken back for good is for the next plan to buy; what is corrected comes next."""
        if self._run is not None and told.replaced_by is not None:
            self._run.on_correction(told.fill, told.replaced_by)
        return False

    def _is_news(self, is_worth_a_look: bool) -> bool:
        """Return whether the handler has to be woken for a look; where it is looking already it looks once more."""
        self._has_news |= is_worth_a_look
        return is_worth_a_look and not self._is_looking

    async def handle(self, envelope: Envelope) -> None:
        """Deal with a plan, a deadline, a quote, a change of what is allowed, or what was told of an order."""
        match envelope.event:
            case QuoteUpdated(symbol=symbol):
                if self._run is not None and symbol in self._run.works:
                    await self._follow(self._run, symbol)
                return
            case RebalancePlanned() as plan:
                await self._begin(plan, self._parts.clock.now())
            case RecoveryCompleted():
                await self._resume(self._parts.clock.now())
            case TradingStateChanged() if self._run is not None:
                self._bar(self._run)
            case SessionClosed() if self._run is not None:
                self._run.close("the session has closed")
            case _:
                pass
        await self._step()

    async def stop(self, reason: str, *, cancel_orders: bool) -> None:
        """Begin nothing new and, if so asked, cancel what is working. The rebalance stays unfinished; the next start takes it up."""
        self._is_stopping = True
        self._run = None
        self._alarm.set(None)
        if cancel_orders:
            for order in self._parts.orders.open_orders():
                self._spawn(partial(self._cancel, order.client_order_id, reason), f"cancel {order.client_order_id}")

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
                self._spawn(partial(self._look_up, order.client_order_id), f"look up {order.client_order_id}")
            elif plan is None and not _sells_for_a_kill(order):
                self._spawn(partial(self._cancel, order.client_order_id, "no rebalance owns it"), f"cancel {order.client_order_id}")
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

    def _new_run(self, plan: RebalancePlanned, now: datetime) -> RebalanceRun:
        return RebalanceRun(
            plan=plan,
            epoch=self._parts.epoch,
            rules=self._parts.rules,
            quotes=self._parts.quotes,
            started_at=now,
            cut_off=self._parts.cut_off(plan.session),
            session=self._parts.session(plan.session),
            tactics=self._parts.tactics,
            order_of=self._parts.orders.get,
            orders_before=self._parts.orders.count_of_session(plan.session),
            why_parked=self._parts.gate.why_parked,
        )

    async def _follow(self, run: RebalanceRun, symbol: str) -> None:
        """Carry out what a new quote of a symbol leads to. Mostly that is nothing, and quotes are many: only that symbol is looked at."""
        now, stage = self._parts.clock.now(), run.stage_of(symbol)
        if stage is Stage.ENDED or self._is_stopping:
            return
        look = run.offer if stage is Stage.WAITING else run.watch
        commands = look(symbol, now, self._parts.gate.reasons)
        for command in commands:
            await self._carry_out(command, run.plan.rebalance_id)
        if commands:
            await breathe()
            await self._look_ahead(run)
            if self._run is not run:
                return
        is_over = run.stage_of(symbol) is Stage.ENDED
        if is_over or (commands and stage is not Stage.WAITING):
            await self._step()  # Others may have the cash that this one gives up.
        else:
            self._alarm.bring_forward(run.due_of(symbol, now))

    async def _step(self) -> None:
        """Carry out what is to be done now, and arrange to look again in time."""
        run = self._run
        if run is None or self._is_stopping:
            return
        before = self._begun
        self._has_news = self._is_looking = True
        try:
            while self._has_news and self._run is run and run.under_way:
                self._has_news = False
                await self._look(run)
        finally:
            self._is_looking = False
        if self._begun != before:
            await breathe()  # What was just begun leaves before anything else is done.
        await self._look_ahead(run)
        if run.is_ended and self._run is run:
            await self._end(run, None)
        self._alarm.set(None if self._run is None else self._run.next_due(self._parts.clock.now()))

    async def _look(self, run: RebalanceRun) -> None:
        now = self._parts.clock.now()
        for command in run.steps(now, self._parts.gate.reasons):
            await self._carry_out(command, run.plan.rebalance_id)
            if isinstance(command, Submit) and command.is_prepared:
                await breathe()  # It leaves before the next one is reckoned.
                if self._run is not run:
                    return

    async def _look_ahead(self, run: RebalanceRun) -> None:
        """Write down what comes next, so that it need not wait for the disk then."""
        if self._run is not run or not self._parts.writes_ahead:
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
                await self._publish(OrderUnprepared, step.client_order_id, reason=step.reason)
        if steps:
            self._spawn(self._flush, "flush what was written ahead")

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
        await self._park_unresolved(key, now)
        await self._parts.publish(event, correlation=key)

    async def _park_unresolved(self, rebalance_id: str, now: datetime) -> None:
        """Park the symbols of orders that a rebalance leaves without knowing their end: a second one might double them."""
        for order in self._parts.orders.open_orders():
            parts = split_client_order_id(order.client_order_id)
            if parts is None or parts[1] != rebalance_id:
                continue
            reason = f"the rebalance had to end while order {order.client_order_id} was {order.state.value}"
            parking = Parking(code=UNRESOLVED, reason=reason, since=now)
            await self._parts.publish(SymbolParked(at=now, symbol=order.request.symbol, parking=parking), correlation=rebalance_id)

    async def _carry_out(self, command: Command, rebalance_id: str) -> None:
        match command:
            case Submit(order=order):
                intended = await self._intend(command, rebalance_id)
                ahead = self._written_ahead.pop(order.client_order_id, None) if command.is_prepared else None
                # What can be done at once is done, and the rest left to a task.
                send = partial(self._submit, order, intended if ahead is None else ahead)
                left = begin(self._place(order, rebalance_id, send))
                if left is not None:
                    self._own(left, f"submit {order.client_order_id}")
                if ahead is not None:
                    self._spawn(self._flush, "flush behind an order")
            case Replace(client_order_id=key, submit=Submit(order=order) as submit):
                await self._intend(submit, rebalance_id, replaces=key)
                self._own(self._place(order, rebalance_id, partial(self._replace, key, order)), f"replace {key} by {order.client_order_id}")
            case Cancel(client_order_id=key, reason=reason):
                self._spawn(partial(self._cancel, key, reason), f"cancel {key}")
            case Ask(client_order_id=key):
                self._spawn(partial(self._ask, key), f"ask {key}")
            case LookAtAccount():
                self._spawn(self._look_at_account, "look at the account")

    async def _intend(self, submit: Submit, rebalance_id: str, replaces: str | None = None) -> int:
        """Publish that an order will leave, and return the number of that event."""
        intended = OrderIntended(
            at=self._parts.clock.now(),
            rebalance_id=rebalance_id,
            intent_id=submit.intent_id,
            attempt=submit.attempt,
            order=submit.order,
            tactic=submit.tactic,
            step=submit.step,
            rung=submit.rung,
            quote=submit.quote,
            replaces=replaces,
            is_prepared=submit.is_prepared,
        )
        return (await self._parts.publish(intended, correlation=rebalance_id)).sequence

    def _spawn(self, work: Callable[[], Coroutine[Any, Any, None]], name: str) -> None:
        self._own(self._finished(work, name), name)

    def _own(self, work: Coroutine[Any, Any, None], name: str) -> None:
        assert self._tasks is not None, "run() owns the tasks and has not been started"
        self._begun += 1
        try:
            self._tasks.create_task(work, name=name)
        except RuntimeError:  # The tasks are being ended and take no more; the next start asks what became of the order.
            work.close()
            raise

    async def _finished(self, work: Callable[[], Coroutine[Any, Any, None]], name: str) -> None:
        """See a request through; when its answer comes after the bus has ended, the next start asks for it again."""
        try:
            await work()
        except BusClosed:
            _answered_late(name)

    async def _submit(self, order: NewOrder, tells: int) -> ExecutionReport:
        """Send an order when the event of that number is durable, which tells of it, and the one that opened the gate.

        What came after them becomes durable while the order travels. Where it was written ahead they have mostly long been, a connection is
        at hand, and the order leaves before this is awaited for the first time.
        """
        needed = max(tells, self._parts.gate.opened_by)
        if self._parts.is_durable(needed):
            report = await self._parts.venue.submit_now(order)
            if report is not None:
                return report
        await breathe()  # From here on in a task of its own.
        async with self._senders:
            self._check_gate(order)
            return await self._parts.venue.submit(order, after=partial(self._parts.durable, needed))

    def _check_gate(self, order: NewOrder) -> None:
        """Raise ``VenueUnavailable`` where the gate is closed; the venue asks again when the bytes are about to leave."""
        why_not = self._parts.gate.why_not(order.symbol, order.side)
        if why_not is not None:
            raise VenueUnavailable(why_not)

    async def _flush(self) -> None:
        await self._parts.durable()

    async def _replace(self, old_key: str, order: NewOrder) -> ExecutionReport:
        """Ask the venue to put the order in the place of a live one. It may fill that one first, and refuses then."""
        async with self._senders:
            self._check_gate(order)
            await self._parts.durable()
            old = self._parts.orders.get(old_key)
            if old is None or old.is_terminal or old.venue_order_id is None or order.limit_price is None:
                raise VenueUnavailable(f"order {old_key} has ended, nothing was asked for in its place")
            try:
                return await self._parts.venue.replace(
                    old.venue_order_id,
                    symbol=order.symbol,
                    side=order.side,
                    client_order_id=order.client_order_id,
                    quantity=order.quantity,
                    limit_price=order.limit_price,
                )
            except NotFoundAtVenue as error:
                raise VenueUnavailable(f"the venue does not know order {old_key}, nothing took its place: {error}") from error

    async def _place(self, order: NewOrder, rebalance_id: str, send: Callable[[], Awaitable[ExecutionReport]]) -> None:
        """Send what makes a new order, with ``send`` seeing to durability, and say which of the four outcomes it had."""
        key = order.client_order_id
        try:
            try:
                report = await send()
            except RejectedByVenue as error:
                await self._publish(OrderRejected, key, code=error.code, message=str(error))
            except CredentialsRefused as error:
                await self._publish(OrderWithheld, key, reason=str(error))
                await self._halt(str(error))
            except VenueUnavailable as error:
                await self._publish(OrderWithheld, key, reason=str(error))
            except OutcomeUnknown as error:
                await self._publish(OrderOutcomeUnknown, key, reason=str(error))
                await self._look_up(key)
            else:
                known = self._parts.orders.get(key)
                if known is None or report.cumulative_quantity > known.cumulative_quantity or not known.is_terminal:
                    # Otherwise the stream has told of its end already.
                    await self._parts.publish(ExecutionReported(at=self._parts.clock.now(), report=report), correlation=rebalance_id)
        except BusClosed:
            _answered_late(key)

    async def _cancel(self, key: str, reason: str) -> None:
        order = self._parts.orders.get(key)
        if order is None or order.is_terminal:
            return
        if order.state is not OrderState.CANCELLING:
            await self._publish(CancelRequested, key, reason=reason)
        await self._parts.durable()
        async with self._senders:
            try:
                venue_order_id = order.venue_order_id or (await self._parts.venue.order_by_client_id(key)).venue_order_id
                await self._parts.venue.cancel(venue_order_id)
            except VenueError:
                # Whatever the reason, what counts is the state of the order; asked for here and, if need be, again by the pacing.
                await self._ask(key)

    async def _ask(self, key: str) -> None:
        """Ask the venue for the state of an order, and for the executions that it counts and we have not seen."""
        try:
            report = await self._parts.venue.order_by_client_id(key)
            await self._parts.publish(ExecutionReported(at=self._parts.clock.now(), report=report))
            order = self._parts.orders.get(key)
            if order is not None and order.missing_quantity:
                activities = await self._parts.venue.fills_since(order.intended_at - CLOCK_DOUBT)
                for missed in missed_fills(activities, self._parts.orders):
                    await self._parts.publish(ExecutionReported(at=missed.at, report=missed))
        except CredentialsRefused as error:
            await self._halt(str(error))
        except VenueError:
            return  # No evidence about the order; the pacing asks again.

    async def _look_at_account(self) -> None:
        """Ask what the broker has; without an answer our own count stays."""
        try:
            account, positions = await self._parts.venue.account(), await self._parts.venue.positions()
        except CredentialsRefused as error:
            await self._halt(str(error))
        except (VenueUnavailable, OutcomeUnknown):
            return
        else:
            now = self._parts.clock.now()
            await self._parts.publish(AccountObserved(at=now, account=account, positions=positions, reason=LOOK_REASON))
            if self._run is not None:
                # Not as a listener: accounts are looked at many times a day for other reasons, of which a run wants to know nothing.
                self._run.on_account(account)
                self._alarm.bring_forward(now)

    async def _look_up(self, key: str) -> None:
        """Ask about an order of unknown outcome until the venue has answered; only silence from a stopping daemon ends it early."""
        not_found, number = 0, 0
        while not self._is_stopping:
            await self._parts.clock.sleep(LOOK_UP_PAUSES_SECONDS[min(number, len(LOOK_UP_PAUSES_SECONDS) - 1)])
            number += 1
            try:
                report = await self._parts.venue.order_by_client_id(key)
            except NotFoundAtVenue:
                not_found += 1
                if not_found >= NOT_FOUND_ANSWERS:
                    await self._publish(OrderNotFound, key)
                    return
            except CredentialsRefused as error:
                await self._halt(str(error))
            except VenueError:
                continue  # An error on the way says nothing about the order.
            else:
                await self._parts.publish(ExecutionReported(at=self._parts.clock.now(), report=report))
                return

    async def _publish(self, kind: type[Event], key: str, **fields: object) -> None:
        await self._parts.publish(kind(at=self._parts.clock.now(), client_order_id=key, **fields))  # type: ignore[call-arg]

    async def _halt(self, reason: str) -> None:
        """Halt trading, unless that has been done."""
        if self._parts.gate.is_halted:
            return
        now = self._parts.clock.now()
        await self._parts.publish(TradingStateChanged(at=now, state="halted", by="execution", reason=reason))

    async def _ring(self) -> None:
        await self._parts.publish(TimerElapsed(at=self._parts.clock.now(), kind="execution", key=""))


def _answered_late(request: str) -> None:
    _log.warning("answer_after_the_end", request=request)


def _sells_for_a_kill(order: Order) -> bool:
    parts = split_client_order_id(order.client_order_id)
    return parts is not None and is_of_a_kill(parts[1])
