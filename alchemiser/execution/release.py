"""An intent without a live order: whether its next order goes, what it asks for, and when the intent has ended. Pure; part of the pacing.

A buy is released as soon as the cash it needs is free, largest drift first. Once nothing is left that could bring more, no sell and no
order that asks for more than is wanted and is on its way out, a buy is re-sized to the cash there is.
"""

from datetime import datetime
from decimal import Decimal

from msgspec.structs import replace

from alchemiser.domain.events import OrderIntended
from alchemiser.domain.market import Quote
from alchemiser.domain.money import ZERO, number_string, truncate_shares
from alchemiser.domain.orders import BUY, CLS, SELL
from alchemiser.execution.ahead import is_covered
from alchemiser.execution.bounds import bounded, dearest_price
from alchemiser.execution.decisions import Fall, GiveUp, Send, Wait
from alchemiser.execution.run_state import DEADLINE, RunState
from alchemiser.execution.work import ENDED, WAITING, WORKING, LiveOrder, Work

_NO_CASH = "the cash it needs has not landed"


def waits_for_cash(work: Work) -> bool:
    """Return whether an intent is a buy that goes as soon as its cash has landed."""
    return work.stage is WAITING and work.intent.side is BUY and work.reason == _NO_CASH


def end_if_over(run: RunState, work: Work, now: datetime) -> None:
    """End an intent that has nothing more to wait for."""
    if work.is_too_small:
        run.end(work, None)
    elif run.stop_reason is not None:
        run.end(work, run.stop_reason)
    elif work.barred is not None:
        run.end(work, work.barred)
    elif (parked := run.why_parked(work.intent.symbol)) is not None:
        run.end(work, parked)  # At once: buys wait for the cash of sells, and this one brings none.
    elif run.close_reason is not None:
        run.end(work, work.reason or work.shortage or run.close_reason)
    elif now >= work.deadline or now >= run.cut_off:
        run.end(work, work.reason or work.shortage or DEADLINE)


def release_one(run: RunState, work: Work, now: datetime, gate_reason: str) -> OrderIntended | None:
    """Return the next order of one intent if it may go now; note why it does not."""
    if gate_reason:
        work.reason = gate_reason
        return None
    if work.not_before is not None and now < work.not_before:
        return None
    again = work.again
    if again is not None and again.intended is not None:
        return _sent(run, work, replace(again.intended, at=now), again.dearest, now)
    intent = work.intent
    quote = run.quotes(intent.symbol, now)
    answer = work.tactic.open(run.situation(work, now, quote))
    wanted = answer if isinstance(answer, Send) else _instead_of(answer, run, work, now, quote)
    if wanted is None:
        return None
    if isinstance(quote, Quote):
        within = bounded(wanted, intent, quote, run.rules)
        if within is None:
            work.reason = f"the limit {wanted.limit_price} is outside the price collar around {quote.bid} x {quote.ask}"
            return None
        wanted = within
    if run.orders_left <= 0:
        run.end(work, f"the session has had its {run.rules.max_orders_per_session} orders")
        return None
    dearest = ZERO
    if intent.side is BUY:
        dearest = dearest_price(wanted.limit_price, intent, quote, run.rules)
        payable = _payable(run, work, wanted, dearest)
        if payable is None:
            return None
        wanted = payable
    prepared = work.prepared
    intended = run.next_order(work, wanted, quote, now)
    if prepared is not None and is_covered(intended.order, prepared):
        intended = replace(intended, is_prepared=True)
    return _sent(run, work, intended, dearest, now)


def _instead_of(answer: Wait | Fall | GiveUp, run: RunState, work: Work, now: datetime, quote: Quote | str) -> Send | None:
    """Return what the tactic that takes over from one that cannot be used sends; note why it is nothing."""
    if isinstance(answer, Fall):
        run.fall(work, answer.reason, now)
        if work.stage is ENDED:
            return None
        taken_over = work.tactic.open(run.situation(work, now, quote))
        if isinstance(taken_over, Send):
            return taken_over
        answer = taken_over
    if isinstance(answer, Wait):
        work.reason, work.wake = answer.reason, answer.until
    else:
        run.end(work, answer.reason)
    return None


def _payable(run: RunState, work: Work, wanted: Send, dearest: Decimal) -> Send | None:
    """Return a buy of the shares that go now at ``dearest`` dollars each; note why it waits, or ends, when it is none."""
    intent, quantity, free = work.intent, wanted.quantity, run.free_cash()
    if quantity * dearest > free:
        if any(other.intent.side is SELL or other.asks_too_much for other in run.under_way.values()):
            work.reason = _NO_CASH
            return None
        whole = not intent.is_fractionable or wanted.time_in_force is CLS
        quantity = truncate_shares(max(free, ZERO) / dearest, whole=whole)
    if quantity <= 0 or quantity * intent.reference_price < run.rules.smallest_order:
        run.end(work, "the cash that was left is less than the smallest order")
        return None
    if quantity == wanted.quantity:
        return wanted
    work.shortage = f"the cash reached for {number_string(quantity)} of {number_string(wanted.quantity)} shares"
    return replace(wanted, quantity=quantity)


def _sent(run: RunState, work: Work, intended: OrderIntended, dearest: Decimal, now: datetime) -> OrderIntended:
    order = intended.order
    key = order.client_order_id
    run.sent[key] = work
    work.live[key] = LiveOrder(order, dearest, intended.rung, order.quantity, intended)
    work.again = None
    if work.rung_since is None or work.stage_since is None:
        work.rung_since = now
    else:
        work.rung_since += now - work.stage_since  # The time of a rung stands still while nothing of it is at the venue.
    work.stage, work.stage_since, work.reason = WORKING, now, None
    work.wake = now + run.repeg_time
    return intended
