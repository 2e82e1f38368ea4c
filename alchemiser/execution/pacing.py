"""The pacing of one rebalance: which order is sent, moved, cancelled or asked about next. Pure; the handler carries out what it says.

Sells go first. A buy is released as soon as the cash it needs is free, largest drift first; once no sell is left that could bring more,
a buy is re-sized to the cash there is. How an intent is worked is its tactic's decision. An order that is no longer right is replaced where
the venue allows it, and otherwise cancelled; only when its end is confirmed what is left goes out again. One intent has at most one live
order, and every intent ends filled or parked with a reason by its deadline.

What is done about an intent with a live order is decided in ``live_orders``, about one without in ``release``; what a rebalance knows is
in ``run_state``.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from alchemiser.domain.account import Account
from alchemiser.domain.ids import split_client_order_id
from alchemiser.domain.intents import IntentOutcome
from alchemiser.domain.money import ZERO
from alchemiser.domain.orders import BUY, CLS, SELL, Fill, Order, OrderState
from alchemiser.execution.ahead import look_ahead
from alchemiser.execution.bounds import dearest_price
from alchemiser.execution.live_orders import watch
from alchemiser.execution.release import end_if_over, release_one, waits_for_cash
from alchemiser.execution.run_state import CANCEL_REPEAT_SECONDS, RunState
from alchemiser.execution.work import (
    CANCELLING,
    ENDED,
    WAITING,
    WORKING,
    Command,
    LiveOrder,
    LookAtAccount,
    Prepare,
    Stage,
    Unprepare,
    Work,
)

MAX_REJECTIONS = 3
"""An intent whose orders were refused this often is parked: asking again would be a storm."""

RETRY_SECONDS = 1.0
"""The first pause after an order did not reach the venue or was refused; it doubles with each further one, up to a minute."""

SHORTEST_PAUSE = timedelta(milliseconds=10)
"""The least time after which it is worth looking again without any news."""


class RebalanceRun(RunState):
    """One rebalance from its plan to its end. Every method that returns commands may be called at any time, also twice."""

    @property
    def is_ended(self) -> bool:
        """Whether every intent has ended."""
        return not self.under_way

    def next_due(self, now: datetime) -> datetime | None:
        """Return when :meth:`advance` has something to do even if nothing happens before; ``None`` when the run has ended."""
        soon = now + self.repeg_time
        due = min([self._due(work, soon) for work in self.under_way.values()], default=None)
        return None if due is None else max(due, now + SHORTEST_PAUSE)  # Never at once: what could be done at this moment has been done.

    def resume(self, orders: Iterable[Order], now: datetime) -> None:
        """Take over what an earlier process did for this rebalance: fills, attempts, how far each tactic came, and the live orders.

        A live order is cancelled first, but for one that waits for the closing auction: after the cut-off there is no second.
        """
        for order in orders:
            work = self._work_of(order.client_order_id)
            if work is None:
                continue
            self.sent[order.client_order_id] = work
            self.count(work, order.cumulative_quantity, order.filled_value)
            parts = split_client_order_id(order.client_order_id)
            work.attempt = max(work.attempt, parts[3] if parts else 0)
            if order.tactic not in ("", work.tactic.name):
                self.fall(work, f"{order.tactic} was at work before the restart", now)
            if order.state is OrderState.REJECTED and order.request.time_in_force is CLS:
                self.fall(work, f"the auction order was refused: {order.reason}", now)
            work.rung = max(work.rung, order.rung)
            if not order.is_terminal or order.missing_quantity:
                work.live[order.client_order_id] = LiveOrder(
                    order.request,
                    dearest_price(order.request.limit_price, work.intent, self.quote_of(work, now), self.rules),
                    order.rung,
                    order.request.quantity - order.cumulative_quantity,
                    is_replacement=order.replaces is not None,
                )
                work.stage, work.stage_since = CANCELLING, now - timedelta(seconds=CANCEL_REPEAT_SECONDS)
                if work.is_in_auction and order.state is not OrderState.CANCELLING:
                    work.stage = WORKING

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
        self.cash = min(self.cash, account.cash, max(account.buying_power, ZERO) + self.reserved_cash())

    def on_correction(self, fill: Fill, replaced_by: str) -> None:
        """Take note that another execution stands in the place of this one, and is to be heard of next: the two count once."""
        if fill.client_order_id in self.sent:
            self.corrected[replaced_by] = fill

    def on_fill(self, fill: Fill) -> bool:
        """Count a fill of one of this run's orders; others are not its business. Return whether it is worth looking what follows."""
        key = fill.client_order_id
        work = self.sent.get(key)
        if work is None:
            return False
        if self.corrected:
            self._count_out(work, self.corrected.pop(fill.execution_id, None))
        quantity = fill.quantity
        self.count(work, quantity, quantity * fill.price)
        live = work.live.get(key)
        if live is not None:
            live.leaves = leaves = live.leaves - quantity
            if not leaves:
                return fill.side is SELL  # What completes a purchase brings no cash: it is looked when it has ended.
        work.quiet_until = None
        return True

    def on_end(self, order: Order, now: datetime) -> bool:
        """Draw the consequence of the end of one of this run's orders. Return whether it is worth looking what follows."""
        key = order.request.client_order_id
        work = self.sent.get(key)
        ended = None if work is None else work.live.pop(key, None)
        if work is None or ended is None:
            return False  # That is known.
        if work.stage is ENDED:
            return True  # It was given up, and what it might have taken is free now.
        is_refused = order.state in _REFUSED
        if ended.is_replacement and is_refused:
            work.not_replaceable = True
        if work.live:
            # The other one of a replacement goes on: the new order, or the old one where the venue refused.
            current = work.current
            assert current is not None
            work.rung = max(work.rung, current.rung)
            work.quiet_until = None
            return True  # It may ask for more than is left.
        if work.is_too_small and not is_refused:
            self.end(work, None)
        else:
            self._wait_again(work, ended, order, now, is_refused=is_refused)
        return work.prepared is not None or self._is_worth_a_look()

    def _is_worth_a_look(self) -> bool:
        """Whether there is anything to do besides what an intent with a live order will say in its own time."""
        for work in self.under_way.values():
            if work.stage is not WORKING or len(work.live) > 1:
                return True
        return not self.under_way

    def advance(self, now: datetime, gate_reasons: dict[str, str]) -> list[Command]:
        """Return what is to be done now. ``gate_reasons`` is why nothing may be sent; cancels are asked for all the same."""
        return list(self.steps(now, gate_reasons))

    def steps(self, now: datetime, gate_reasons: dict[str, str]) -> Iterator[Command]:
        """Yield what :meth:`advance` returns, one by one: the first may be carried out before the next is reckoned."""
        for work in list(self.under_way.values()):
            if work.stage is WAITING or work.stage is ENDED or (work.quiet_until is not None and now < work.quiet_until):
                continue
            yield from watch(self, work, now, is_open=not gate_reasons)
        gate_reason, is_cash_awaited = "; ".join(gate_reasons.values()), False
        for work in list(self.under_way.values()):
            if work.stage is not WAITING:
                continue
            end_if_over(self, work, now)
            work.wake = None
            if is_cash_awaited or work.stage is not WAITING:
                continue
            command = release_one(self, work, now, gate_reason)
            if command is not None:
                yield command
            else:
                # Cash is kept for the largest drift; the smaller ones wait behind it.
                is_cash_awaited = waits_for_cash(work)
        if not self.refused.isdisjoint(self.under_way):
            self.refused.clear()
            yield LookAtAccount("a buy was refused: the broker may have less than we count")

    def stage_of(self, intent_id: str) -> Stage:
        """Return where an intent is."""
        return self.works[intent_id].stage

    def watch(self, intent_id: str, now: datetime, gate_reasons: dict[str, str]) -> list[Command]:
        """Return what is to be done about the live order of one intent: the part of :meth:`advance` that a new quote of it can change."""
        return list(watch(self, self.works[intent_id], now, is_open=not gate_reasons))

    def offer(self, intent_id: str, now: datetime, gate_reasons: dict[str, str]) -> list[Command]:
        """Return what is to be done about one intent with no live order: the part of :meth:`advance` that a new quote of it can change."""
        offered = self.works[intent_id]
        end_if_over(self, offered, now)
        if offered.stage is not WAITING:
            return []
        for work in self.under_way.values():
            if work is offered:
                break
            if work.stage is WAITING and waits_for_cash(work):
                return []  # It stands behind a larger drift that waits for cash, and no quote brings cash.
        offered.wake = None
        command = release_one(self, offered, now, "; ".join(gate_reasons.values()))
        return [] if command is None else [command]

    def due_of(self, intent_id: str, now: datetime) -> datetime:
        """Return when there is something to do about an intent with a live order even if nothing happens before."""
        return max(self._due(self.works[intent_id], now + self.repeg_time), now + SHORTEST_PAUSE)

    def look_ahead(self) -> list[Prepare | Unprepare]:
        """Return what is to be written down about orders before their time, see ``ahead``; each is said once."""
        may_send = self.stop_reason is None and self.close_reason is None and self.orders_left > 0
        return list(look_ahead(self.works.values(), self.next_id, may_send=may_send))

    def outcomes(self) -> tuple[IntentOutcome, ...]:
        """Return how each intent stands or ended, in the order of the plan."""
        return tuple([work.outcome() for work in self.works.values()])

    # --- what follows from what happened ---

    def _count_out(self, work: Work, fill: Fill | None) -> None:
        if fill is None:
            return
        self.count(work, -fill.quantity, -fill.quantity * fill.price)
        live = work.live.get(fill.client_order_id)
        if live is not None:
            live.leaves += fill.quantity

    def _wait_again(self, work: Work, ended: LiveOrder, order: Order, now: datetime, *, is_refused: bool) -> None:
        """Let what is left of an intent wait for its next order, unless it has nothing more to wait for."""
        work.stage, work.quiet_until = WAITING, None
        if not is_refused or work.stage_since is None:
            work.stage_since = now  # One that was refused has not stood at all: it waits since it was sent.
        if ended.order.time_in_force is CLS and order.state in (OrderState.CANCELLED, OrderState.EXPIRED):
            work.reason = "the closing auction did not fill it"
        if is_refused and not ended.is_replacement:
            self._count_refusal(work, ended, order, now)
        if work.stage is WAITING:
            end_if_over(self, work, now)

    def _count_refusal(self, work: Work, ended: LiveOrder, order: Order, now: datetime) -> None:
        """Draw the consequence of an order that did not arrive, or that the venue refused."""
        work.reason = order.reason
        work.not_before = now + timedelta(seconds=min(RETRY_SECONDS * 2**work.setbacks, 60.0))
        work.setbacks += 1
        if order.state is OrderState.NEVER_SENT:
            # The venue provably does not know the id: the same order may go again, and only under the same id.
            work.again = ended
            return
        work.rejections += 1
        if order.request.side is BUY:
            self.refused.add(work.intent.intent_id)
        if work.rejections >= MAX_REJECTIONS:
            self.end(work, f"rejected {work.rejections} times: {order.reason}")
        elif order.request.time_in_force is CLS:
            self.fall(work, f"the auction order was refused: {order.reason}", now)

    def _due(self, work: Work, soon: datetime) -> datetime:
        """Return when there is something to do about an intent that has not ended, ``soon`` when it cannot say."""
        is_awaited = work.stage is CANCELLING or len(work.live) > 1
        if is_awaited and work.stage is not WAITING and work.stage_since is not None:
            return work.stage_since + timedelta(seconds=CANCEL_REPEAT_SECONDS)
        return min(work.wake or soon, work.deadline)

    def _stir(self) -> None:
        """Have every live order looked at again."""
        for work in self.works.values():
            work.quiet_until = None

    def _work_of(self, key: str) -> Work | None:
        parts = split_client_order_id(key)
        if parts is None or parts[:2] != (self.epoch, self.plan.rebalance_id):
            return None
        return self.works.get(parts[2])


_REFUSED = (OrderState.NEVER_SENT, OrderState.REJECTED)
