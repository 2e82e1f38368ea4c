"""The pacing of one rebalance: which order is sent, moved, cancelled or asked about next. Pure; the handler carries out what it says.

Sells go first. A buy is released as soon as the cash it needs is free, largest drift first; once no sell is left that could bring more,
a buy is re-sized to the cash there is. How an intent is worked is its tactic's decision. An order that is no longer right is replaced where
the venue allows it, and otherwise cancelled; only when its end is confirmed what is left goes out again. One intent has at most one live
order, and every intent ends filled or parked with a reason by its deadline.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

from msgspec.structs import replace

from alchemiser.domain.account import Account
from alchemiser.domain.events import RebalancePlanned
from alchemiser.domain.ids import client_order_id, split_client_order_id
from alchemiser.domain.intents import Intent, IntentOutcome
from alchemiser.domain.market import Quote, Session
from alchemiser.domain.money import ZERO, number_string, truncate_shares
from alchemiser.domain.orders import Fill, NewOrder, Order, OrderState, Side, TimeInForce
from alchemiser.execution.ahead import is_covered, look_ahead
from alchemiser.execution.bounds import bounded_quantity, dearest_price, is_beyond_collar, stands_as_wanted, venue_replaces
from alchemiser.execution.decisions import Fall, GiveUp, Keep, Move, Send, Situation, Standing, Wait
from alchemiser.execution.ladder import LadderRules
from alchemiser.execution.tactics import AUCTIONS, TacticRules, alternative, make, name_for
from alchemiser.execution.work import (
    Ask,
    Cancel,
    Command,
    LiveOrder,
    LookAtAccount,
    Prepare,
    Replace,
    Stage,
    Submit,
    Unprepare,
    Work,
)

MAX_REJECTIONS = 3
"""An intent whose orders were refused this often is parked: asking again would be a storm."""

RETRY_SECONDS = 1.0
"""The first pause after an order did not reach the venue or was refused; it doubles with each further one, up to a minute."""

CANCEL_REPEAT_SECONDS = 5.0
"""How long a confirmation of a cancel or a replacement is awaited before the order is asked about and the cancel repeated."""

SHORTEST_PAUSE = timedelta(milliseconds=10)
"""The least time after which it is worth looking again without any news."""

Quotes = Callable[[str, datetime], Quote | str]
"""The usable quote of a symbol at a time, or the reason why there is none."""


def _unknown(client_order_id: str) -> Order | None:
    return None


@dataclass
class RebalanceRun:
    """One rebalance from its plan to its end. Every method that returns commands may be called at any time, also twice.

    ``orders_before`` is how many orders the session has had already; ``why_parked`` says why nothing of a symbol is sent;
    ``order_of`` gives what is known of an order, ``None`` for nothing.
    """

    plan: RebalancePlanned
    epoch: str
    rules: LadderRules
    quotes: Quotes
    started_at: datetime
    cut_off: datetime
    session: Session
    tactics: TacticRules = field(default_factory=TacticRules)
    orders_before: int = 0
    why_parked: Callable[[str], str | None] = lambda symbol: None
    order_of: Callable[[str], Order | None] = _unknown
    cash: Decimal = field(init=False)
    works: dict[str, Work] = field(init=False)
    buys: tuple[Work, ...] = field(init=False)
    orders_left: int = field(init=False)
    stop_reason: str | None = None
    close_reason: str | None = None

    def __post_init__(self) -> None:
        """Prepare the intents in the order of the plan: sells first, then buys by drift."""
        self.cash = self.plan.cash
        self.orders_left = self.rules.max_orders_per_session - self.orders_before
        self.works = {intent.intent_id: self._new_work(intent) for intent in self.plan.intents}
        self.buys = tuple(work for work in self.works.values() if work.intent.side is Side.BUY)
        if sum((work.intent.quantity * work.intent.reference_price for work in self.buys), ZERO) <= self.cash:
            return
        for work in self.works.values():
            if work.intent.side is Side.SELL and work.tactic.name in AUCTIONS:
                # An auction pays at the close, when no buy can be sent any more.
                self._fall(work, "the buys need its cash before the close", self.started_at)

    @property
    def is_ended(self) -> bool:
        """Whether every intent has ended."""
        return all(work.stage is Stage.ENDED for work in self.works.values())

    def next_due(self, now: datetime) -> datetime | None:
        """Return when :meth:`advance` has something to do even if nothing happens before; ``None`` when the run has ended."""
        soon = now + self._repeg_time
        due = min((self._due(work, soon) for work in self.works.values() if work.stage is not Stage.ENDED), default=None)
        return None if due is None else max(due, now + SHORTEST_PAUSE)  # Never at once: what could be done at this moment has been done.

    def resume(self, orders: Iterable[Order], now: datetime) -> None:
        """Take over what an earlier process did for this rebalance: fills, attempts, how far each tactic came, and the live orders.

        A live order is cancelled first, but for one that waits for the closing auction: after the cut-off there is no second.
        """
        for order in orders:
            work = self._work_of(order.client_order_id)
            if work is None:
                continue
            work.filled_quantity += order.cumulative_quantity
            work.filled_value += order.filled_value
            self.cash -= order.request.side.sign * order.filled_value
            parts = split_client_order_id(order.client_order_id)
            work.attempt = max(work.attempt, parts[3] if parts else 0)
            if order.tactic not in ("", work.tactic.name):
                self._fall(work, f"{order.tactic} was at work before the restart", now)
            if order.state is OrderState.REJECTED and order.request.time_in_force is TimeInForce.CLS:
                self._fall(work, f"the auction order was refused: {order.reason}", now)
            work.rung = max(work.rung, order.rung)
            if not order.is_terminal or order.missing_quantity:
                work.live[order.client_order_id] = LiveOrder(
                    order.request,
                    dearest_price(order.request.limit_price, work.intent, self._quote(work, now), self.rules),
                    order.rung,
                    order.cumulative_quantity,
                    order.replaces is not None,
                )
                work.stage, work.stage_since = Stage.CANCELLING, now - timedelta(seconds=CANCEL_REPEAT_SECONDS)
                if work.is_in_auction and order.state is not OrderState.CANCELLING:
                    work.stage = Stage.WORKING

    def stop(self, reason: str) -> None:
        """Begin nothing new: the next :meth:`advance` cancels what is working and parks the rest."""
        self.stop_reason = self.stop_reason or reason
        self._stir()

    def bar(self, intent_id: str, reason: str) -> None:
        """Leave one intent: the next :meth:`advance` cancels what of it is working and parks the rest. The first reason counts."""
        work = self.works[intent_id]
        work.barred = work.barred or reason
        work.quiet_until = None

    def close(self, reason: str) -> None:
        """Begin nothing new after the cut-off; the orders in the closing auction are given the time to say how it ended."""
        self.close_reason = self.close_reason or reason
        self._stir()

    def on_account(self, account: Account) -> None:
        """Lower the cash to what the broker has, when that is less than our own count; never raise it."""
        self.cash = min(self.cash, account.cash, max(account.buying_power, ZERO) + self._reserved_cash())

    def on_fill(self, fill: Fill) -> None:
        """Count a fill of one of this run's orders; others are not its business."""
        work = self._work_of(fill.client_order_id)
        if work is None:
            return
        work.filled_quantity += fill.quantity
        work.filled_value += fill.quantity * fill.price
        live = work.live.get(fill.client_order_id)
        if live is not None:
            live.filled += fill.quantity
        if live is None or live.leaves:
            work.quiet_until = None  # Of an order that is filled only its end is awaited.
        self.cash -= fill.side.sign * fill.quantity * fill.price

    def on_end(self, order: Order, now: datetime) -> None:
        """Take note that an order of this run has ended."""
        work = self._work_of(order.client_order_id)
        ended = work.live.pop(order.client_order_id, None) if work is not None else None
        if work is None or ended is None or work.stage is Stage.ENDED:
            return
        work.quiet_until = None
        if ended.is_replacement and order.state in (OrderState.REJECTED, OrderState.NEVER_SENT):
            work.not_replaceable = True
        if work.live:
            # The other one of a replacement goes on: the new order, or the old one where the venue refused.
            current = work.current
            assert current is not None
            work.rung = max(work.rung, current.rung)
            return
        work.stage, work.stage_since = Stage.WAITING, now
        if ended.order.time_in_force is TimeInForce.CLS and order.state in (OrderState.CANCELLED, OrderState.EXPIRED):
            work.reason = "the closing auction did not fill it"
        if not ended.is_replacement:
            self._count_refusal(work, order, now)

    def advance(self, now: datetime, gate_reasons: dict[str, str]) -> list[Command]:
        """Return what is to be done now. ``gate_reasons`` is why nothing may be sent; cancels are asked for all the same."""
        return list(self.steps(now, gate_reasons))

    def steps(self, now: datetime, gate_reasons: dict[str, str]) -> Iterator[Command]:
        """Yield what :meth:`advance` returns, one by one: the first may be carried out before the next is reckoned."""
        for work in self.works.values():
            is_quiet = work.quiet_until is not None and now < work.quiet_until
            if work.stage in _LIVE_STAGES and not is_quiet:
                yield from self._watch(work, now, is_open=not gate_reasons)
        yield from self._release(now, "; ".join(gate_reasons.values()))
        refused = [work for work in self.works.values() if work.needs_look]
        for work in refused:
            work.needs_look = False
        if refused:
            yield LookAtAccount("a buy was refused: the broker may have less than we count")

    def stage_of(self, intent_id: str) -> Stage:
        """Return where an intent is."""
        return self.works[intent_id].stage

    def watch(self, intent_id: str, now: datetime, gate_reasons: dict[str, str]) -> list[Command]:
        """Return what is to be done about the live order of one intent: the part of :meth:`advance` that a new quote of it can change."""
        return list(self._watch(self.works[intent_id], now, is_open=not gate_reasons))

    def offer(self, intent_id: str, now: datetime, gate_reasons: dict[str, str]) -> list[Command]:
        """Return what is to be done about one intent with no live order: the part of :meth:`advance` that a new quote of it can change."""
        offered = self.works[intent_id]
        self._end_if_over(offered, now)
        if offered.stage is not Stage.WAITING:
            return []
        for work in self.works.values():
            if work is offered:
                break
            if work.stage is Stage.WAITING and self._waits_for_cash(work):
                return []  # It stands behind a larger drift that waits for cash, and no quote brings cash.
        return list(self._release_one(offered, now, "; ".join(gate_reasons.values())))

    def due_of(self, intent_id: str, now: datetime) -> datetime:
        """Return when there is something to do about an intent with a live order even if nothing happens before."""
        return max(self._due(self.works[intent_id], now + self._repeg_time), now + SHORTEST_PAUSE)

    def look_ahead(self) -> list[Prepare | Unprepare]:
        """Return what is to be written down about orders before their time, see ``ahead``; each is said once."""
        may_send = self.stop_reason is None and self.close_reason is None and self.orders_left > 0
        return list(look_ahead(self.works.values(), self._next_id, may_send=may_send))

    def outcomes(self) -> tuple[IntentOutcome, ...]:
        """Return how each intent stands or ended, in the order of the plan."""
        return tuple(work.outcome() for work in self.works.values())

    # --- an intent with a live order ---

    def _watch(self, work: Work, now: datetime, *, is_open: bool) -> Iterator[Command]:
        """Decide about a live order: leave it, replace it, cancel it, or ask what became of it."""
        assert work.stage_since is not None
        work.quiet_until = None
        stood = (now - work.stage_since).total_seconds()
        if work.stage is Stage.CANCELLING:
            yield from self._await_end(work, stood, now)
            return
        reason = self._why_take_back(work, now)
        if reason is not None:
            yield from self._take_back(work, reason, now)
            return
        if len(work.live) > 1:
            if stood >= CANCEL_REPEAT_SECONDS:
                work.stage_since = now
                yield from [Ask(key) for key in work.live]
            return
        answer = work.tactic.watch(self._situation(work, now))
        if isinstance(answer, Keep):
            work.wake = answer.until
            may_move = work.stage_since + self._repeg_time  # Before that no tactic follows the market, whatever it does.
            work.quiet_until = min(answer.until, work.deadline, may_move if now < may_move else answer.until)
        else:
            yield from self._move(work, answer, now, is_open=is_open)

    def _await_end(self, work: Work, stood: float, now: datetime) -> Iterator[Command]:
        """Ask for the cancel again when nothing is heard of it; give up at last, and say so."""
        keys = list(work.live)
        if now >= work.deadline + timedelta(seconds=4 * CANCEL_REPEAT_SECONDS):
            self._end(work, f"the end of order {' and '.join(keys)} was never confirmed")
            yield from [Ask(key) for key in keys]
        elif stood >= CANCEL_REPEAT_SECONDS:
            work.stage_since = now
            for key in keys:
                yield from (Ask(key), Cancel(key, "the cancel was not confirmed"))

    def _take_back(self, work: Work, reason: str, now: datetime) -> Iterator[Command]:
        work.stage, work.stage_since = Stage.CANCELLING, now
        yield from [Cancel(key, reason) for key in work.live]

    def _why_take_back(self, work: Work, now: datetime) -> str | None:
        """Return why the live order has to go whatever its tactic says."""
        current = work.current
        assert current is not None
        if self.stop_reason is not None:
            return self.stop_reason
        if work.barred is not None:
            return work.barred
        if self.close_reason is not None and not work.is_in_auction:
            return self.close_reason
        if now >= work.deadline:
            return "the venue did not say how the closing auction ended" if work.is_in_auction else _DEADLINE
        if len(work.live) == 1 and current.leaves > work.leaves_quantity:
            return "it would buy or sell more than is left of the intent"
        return None

    def _move(self, work: Work, move: Move, now: datetime, *, is_open: bool) -> Iterator[Command]:
        """Bring a live order to where its tactic wants it: not at all if it stands there already, by a replacement, or by a cancel."""
        current = work.current
        assert current is not None
        if move.rung != current.rung:
            work.rung_since = now
        work.rung = move.rung
        wanted = work.tactic.open(self._situation(work, now, has_live=False))
        if isinstance(wanted, Send) and stands_as_wanted(current, wanted):
            if wanted.rung != current.rung:
                current.rung, work.stage_since = wanted.rung, now
            work.wake = now + timedelta(seconds=self.rules.minimum_repeg_seconds)
            return
        if is_open and isinstance(wanted, Send) and self._may_replace(work, current, wanted, now):
            work.stage_since = now
            submit = self._next(work, wanted, self._quote(work, now))
            work.live[submit.order.client_order_id] = LiveOrder(submit.order, submit.dearest, submit.rung, is_replacement=True)
            yield Replace(current.order.client_order_id, submit, move.reason)
            return
        yield from self._take_back(work, move.reason, now)

    def _may_replace(self, work: Work, current: LiveOrder, wanted: Send, now: datetime) -> bool:
        """Whether the venue lets this order be replaced, and settings and account bear the new one."""
        known, quote = self.order_of(current.order.client_order_id), self._quote(work, now)
        if not self.rules.replaces or work.not_replaceable or self.orders_left <= 0 or known is None or not isinstance(quote, Quote):
            return False
        intent = work.intent
        if not venue_replaces(known, current, wanted) or is_beyond_collar(wanted, intent, quote, self.rules):
            return False
        if bounded_quantity(wanted, intent, quote, self.rules) != wanted.quantity:
            return False
        cost = wanted.quantity * dearest_price(wanted.limit_price, intent, quote, self.rules)
        return intent.side is Side.SELL or cost <= self._free_cash() + work.reserved

    # --- an intent with none ---

    def _release(self, now: datetime, gate_reason: str) -> Iterator[Command]:
        """Send what may go now, in the order of the plan, and end what has nothing more to wait for."""
        is_cash_awaited = False
        for work in self.works.values():
            if work.stage is not Stage.WAITING:
                continue
            self._end_if_over(work, now)
            work.wake = None
            if is_cash_awaited or work.stage is not Stage.WAITING:
                continue
            yield from self._release_one(work, now, gate_reason)
            # Cash is kept for the largest drift; the smaller ones wait behind it.
            is_cash_awaited = self._waits_for_cash(work)

    @staticmethod
    def _waits_for_cash(work: Work) -> bool:
        return work.stage is Stage.WAITING and work.intent.side is Side.BUY and work.reason == _NO_CASH

    def _release_one(self, work: Work, now: datetime, gate_reason: str) -> Iterator[Command]:
        work.wake = None
        if gate_reason:
            work.reason = gate_reason
        elif work.not_before is None or now >= work.not_before:
            command = self._send(work, now)
            if command is not None:
                yield command

    def _end_if_over(self, work: Work, now: datetime) -> None:
        if self._is_as_good_as_filled(work):
            self._end(work, None)
        elif self.stop_reason is not None:
            self._end(work, self.stop_reason)
        elif work.barred is not None:
            self._end(work, work.barred)
        elif (parked := self.why_parked(work.intent.symbol)) is not None:
            self._end(work, parked)  # At once: buys wait for the cash of sells, and this one brings none.
        elif self.close_reason is not None:
            self._end(work, work.reason or work.shortage or self.close_reason)
        elif now >= min(work.deadline, self.cut_off):
            self._end(work, work.reason or work.shortage or _DEADLINE)

    def _is_as_good_as_filled(self, work: Work) -> bool:
        """Whether less than the venue's smallest order is left; reckoned anew when that has changed, because most of a plan only waits."""
        if work.filled_quantity is not work.judged_filled:
            sendable = truncate_shares(work.leaves_quantity, whole=not work.intent.is_fractionable)
            work.judged_filled = work.filled_quantity
            work.is_too_small = sendable <= 0 or sendable * work.intent.reference_price < self.rules.smallest_order
        return work.is_too_small

    def _send(self, work: Work, now: datetime) -> Command | None:
        if work.resend and work.last is not None:
            return self._sent(work, work.last, now)
        quote = self._quote(work, now)
        wanted = self._wanted(work, now, quote)
        if wanted is None:
            return None
        if isinstance(quote, Quote):
            if is_beyond_collar(wanted, work.intent, quote, self.rules):
                work.reason = f"the limit {wanted.limit_price} is outside the price collar around {quote.bid} x {quote.ask}"
                return None
            wanted = replace(wanted, quantity=bounded_quantity(wanted, work.intent, quote, self.rules))
        if self.orders_left <= 0:
            self._end(work, f"the session has had its {self.rules.max_orders_per_session} orders")
            return None
        if work.intent.side is Side.BUY:
            quantity = self._payable(work, wanted, quote)
            if quantity is None:
                return None
            wanted = replace(wanted, quantity=quantity)
        prepared = work.prepared
        submit = self._next(work, wanted, quote)
        return self._sent(work, replace(submit, is_prepared=is_covered(submit.order, prepared)), now)

    def _wanted(self, work: Work, now: datetime, quote: Quote | str) -> Send | None:
        """Ask the tactic of an intent, or the one that takes over from it, what is to be sent; note why it is nothing."""
        answer = work.tactic.open(self._situation(work, now, quote))
        if isinstance(answer, Fall):
            self._fall(work, answer.reason, now)
            if work.stage is Stage.ENDED:
                return None
            answer = work.tactic.open(self._situation(work, now, quote))
        match answer:
            case Wait(reason=reason, until=until):
                work.reason, work.wake = reason, until
                return None
            case GiveUp(reason=reason) | Fall(reason=reason):
                self._end(work, reason)
                return None
        return answer

    def _payable(self, work: Work, wanted: Send, quote: Quote | str) -> Decimal | None:
        """Return the shares of a buy that go now; note why it waits, or ends, when it is none."""
        quantity = self._affordable(work, wanted, quote)
        if quantity is None:
            work.reason = _NO_CASH
            return None
        if quantity <= 0 or quantity * work.intent.reference_price < self.rules.smallest_order:
            self._end(work, "the cash that was left is less than the smallest order")
            return None
        if quantity < wanted.quantity:
            work.shortage = f"the cash reached for {number_string(quantity)} of {number_string(wanted.quantity)} shares"
        return quantity

    def _next(self, work: Work, wanted: Send, quote: Quote | str) -> Submit:
        """Give an order its id, which uses up one attempt and one order of the session."""
        key = self._next_id(work)
        work.attempt += 1
        work.prepared = None
        self.orders_left -= 1
        order = NewOrder(
            client_order_id=key,
            symbol=work.intent.symbol,
            side=work.intent.side,
            quantity=wanted.quantity,
            order_type=wanted.order_type,
            time_in_force=wanted.time_in_force,
            limit_price=wanted.limit_price,
        )
        seen = quote if isinstance(quote, Quote) else None
        dearest = dearest_price(wanted.limit_price, work.intent, quote, self.rules)
        return Submit(work.intent.intent_id, work.attempt, order, work.tactic.name, wanted.step, wanted.rung, seen, dearest)

    def _next_id(self, work: Work) -> str:
        return client_order_id(self.epoch, self.plan.rebalance_id, work.intent.intent_id, work.attempt + 1)

    def _sent(self, work: Work, submit: Submit, now: datetime) -> Submit:
        work.live = {submit.order.client_order_id: LiveOrder(submit.order, submit.dearest, submit.rung)}
        work.last, work.resend = submit, False
        work.stage, work.stage_since, work.reason = Stage.WORKING, now, None
        work.wake = now + timedelta(seconds=self.rules.minimum_repeg_seconds)
        work.rung_since = work.rung_since or now
        return submit

    def _count_refusal(self, work: Work, order: Order, now: datetime) -> None:
        """Draw the consequence of an order that did not arrive, or that the venue refused."""
        if order.state not in (OrderState.NEVER_SENT, OrderState.REJECTED):
            return
        work.reason = order.reason
        work.not_before = now + timedelta(seconds=min(RETRY_SECONDS * 2**work.setbacks, 60.0))
        work.setbacks += 1
        if order.state is OrderState.NEVER_SENT:
            # The venue provably does not know the id: the same order may go again, and only under the same id.
            work.resend = True
            return
        work.rejections += 1
        work.needs_look = order.request.side is Side.BUY
        if work.rejections >= MAX_REJECTIONS:
            self._end(work, f"rejected {work.rejections} times: {order.reason}")
        elif order.request.time_in_force is TimeInForce.CLS:
            self._fall(work, f"the auction order was refused: {order.reason}", now)

    def _fall(self, work: Work, reason: str, now: datetime) -> None:
        """Let the alternative take over an intent whose tactic cannot be used; it begins with its first rung."""
        work.fell_because = work.fell_because or f"{work.tactic.name}: {reason}"
        tactic = alternative(self.tactics, self.rules)
        if tactic is None:
            self._end(work, f"{work.tactic.name}: {reason}")
            return
        work.tactic, work.rung, work.rung_since = tactic, 0, None
        work.deadline = tactic.deadline(self.plan.at, now, self.cut_off, self.session)

    def _end(self, work: Work, reason: str | None) -> None:
        work.stage, work.reason, work.needs_look = Stage.ENDED, reason, False

    # --- cash, bounds and time ---

    def _free_cash(self) -> Decimal:
        return self.cash - self._reserved_cash()

    def _reserved_cash(self) -> Decimal:
        total = ZERO
        for work in self.buys:
            if work.live or work.resend:
                total += work.reserved
        return total

    def _affordable(self, work: Work, wanted: Send, quote: Quote | str) -> Decimal | None:
        """Return the shares of a buy that may go now, ``None`` while it has to wait for cash."""
        price, free = dearest_price(wanted.limit_price, work.intent, quote, self.rules), self._free_cash()
        if wanted.quantity * price <= free:
            return wanted.quantity
        if any(other.intent.side is Side.SELL and other.stage is not Stage.ENDED for other in self.works.values()):
            return None
        whole = not work.intent.is_fractionable or wanted.time_in_force is TimeInForce.CLS
        return truncate_shares(max(free, ZERO) / price, whole=whole)

    def _due(self, work: Work, soon: datetime) -> datetime:
        """Return when there is something to do about an intent that has not ended, ``soon`` when it cannot say."""
        is_awaited = work.stage is Stage.CANCELLING or len(work.live) > 1
        if is_awaited and work.stage is not Stage.WAITING and work.stage_since is not None:
            return work.stage_since + timedelta(seconds=CANCEL_REPEAT_SECONDS)
        return min(work.wake or soon, work.deadline)

    @property
    def _repeg_time(self) -> timedelta:
        return timedelta(seconds=self.rules.minimum_repeg_seconds)

    def _stir(self) -> None:
        """Have every live order looked at again."""
        for work in self.works.values():
            work.quiet_until = None

    def _quote(self, work: Work, now: datetime) -> Quote | str:
        return self.quotes(work.intent.symbol, now)

    def _situation(self, work: Work, now: datetime, quote: Quote | str | None = None, *, has_live: bool = True) -> Situation:
        current = work.current if has_live else None
        assert current is None or work.stage_since is not None
        return Situation(
            intent=work.intent,
            leaves=work.leaves_quantity,
            filled=work.filled_quantity,
            rung=work.rung,
            quote=self._quote(work, now) if quote is None else quote,
            now=now,
            begun=self.plan.at,
            deadline=work.deadline,
            cut_off=self.cut_off,
            session=self.session,
            live=None if current is None else Standing(current.order, work.stage_since or now, current.rung, work.rung_since or now),
        )

    def _new_work(self, intent: Intent) -> Work:
        tactic = make(name_for(intent, self.tactics), self.tactics, self.rules)
        begins = self.started_at
        if intent.side is Side.BUY and any(other.side is Side.SELL for other in self.plan.intents):
            # Waiting for the cash of the sells is not working: a buy has its full time after theirs.
            begins += timedelta(seconds=self.rules.order_deadline_seconds)
        return Work(intent=intent, tactic=tactic, deadline=tactic.deadline(self.plan.at, begins, self.cut_off, self.session))

    def _work_of(self, key: str) -> Work | None:
        parts = split_client_order_id(key)
        if parts is None or parts[:2] != (self.epoch, self.plan.rebalance_id):
            return None
        return self.works.get(parts[2])


_LIVE_STAGES = (Stage.WORKING, Stage.CANCELLING)
_NO_CASH = "the cash it needs has not landed"
_DEADLINE = "the deadline of the intent has passed"
