"""An intent without a live order: whether its next order goes, what it asks for, and when the intent has ended. Pure; part of the pacing.

A buy is released as soon as the cash it needs is free, largest drift first; once no sell is left that could bring more, a buy is re-sized
to the cash there is.
"""

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal

from msgspec.structs import replace

from alchemiser.domain.market import Quote
from alchemiser.domain.money import ZERO, number_string, truncate_shares
from alchemiser.domain.orders import Side, TimeInForce
from alchemiser.execution.ahead import is_covered
from alchemiser.execution.bounds import bounded_quantity, dearest_price, is_beyond_collar
from alchemiser.execution.decisions import Fall, GiveUp, Send, Wait
from alchemiser.execution.run_state import DEADLINE, RunState
from alchemiser.execution.work import Command, LiveOrder, Stage, Submit, Work

_NO_CASH = "the cash it needs has not landed"


def release(run: RunState, now: datetime, gate_reason: str) -> Iterator[Command]:
    """Send what may go now, in the order of the plan, and end what has nothing more to wait for."""
    is_cash_awaited = False
    for work in list(run.under_way.values()):
        if work.stage is not Stage.WAITING:
            continue
        end_if_over(run, work, now)
        work.wake = None
        if is_cash_awaited or work.stage is not Stage.WAITING:
            continue
        command = release_one(run, work, now, gate_reason)
        if command is not None:
            yield command
        # Cash is kept for the largest drift; the smaller ones wait behind it.
        is_cash_awaited = waits_for_cash(work)


def waits_for_cash(work: Work) -> bool:
    """Return whether an intent is a buy that goes as soon as its cash has landed."""
    return work.stage is Stage.WAITING and work.intent.side is Side.BUY and work.reason == _NO_CASH


def release_one(run: RunState, work: Work, now: datetime, gate_reason: str) -> Command | None:
    """Return the next order of one intent if it may go now; note why it does not."""
    work.wake = None
    if gate_reason:
        work.reason = gate_reason
    elif work.not_before is None or now >= work.not_before:
        return _send(run, work, now)
    return None


def end_if_over(run: RunState, work: Work, now: datetime) -> None:
    """End an intent that has nothing more to wait for."""
    if _is_as_good_as_filled(run, work):
        run.end(work, None)
    elif run.stop_reason is not None:
        run.end(work, run.stop_reason)
    elif work.barred is not None:
        run.end(work, work.barred)
    elif (parked := run.why_parked(work.intent.symbol)) is not None:
        run.end(work, parked)  # At once: buys wait for the cash of sells, and this one brings none.
    elif run.close_reason is not None:
        run.end(work, work.reason or work.shortage or run.close_reason)
    elif now >= min(work.deadline, run.cut_off):
        run.end(work, work.reason or work.shortage or DEADLINE)


def _is_as_good_as_filled(run: RunState, work: Work) -> bool:
    """Whether less than the venue's smallest order is left; reckoned anew when that has changed, because most of a plan only waits."""
    if work.filled_quantity is not work.judged_filled:
        leaves = work.leaves_quantity
        sendable = truncate_shares(leaves, whole=not work.intent.is_fractionable) if leaves else leaves
        work.judged_filled = work.filled_quantity
        work.is_too_small = sendable <= 0 or sendable * work.intent.reference_price < run.rules.smallest_order
    return work.is_too_small


def _send(run: RunState, work: Work, now: datetime) -> Command | None:
    if work.resend and work.last is not None:
        return _sent(run, work, work.last, now)
    quote = run.quote_of(work, now)
    wanted = _wanted(run, work, now, quote)
    if wanted is None:
        return None
    if isinstance(quote, Quote):
        if is_beyond_collar(wanted, work.intent, quote, run.rules):
            work.reason = f"the limit {wanted.limit_price} is outside the price collar around {quote.bid} x {quote.ask}"
            return None
        wanted = _of(bounded_quantity(wanted, work.intent, quote, run.rules), wanted)
    if run.orders_left <= 0:
        run.end(work, f"the session has had its {run.rules.max_orders_per_session} orders")
        return None
    if work.intent.side is Side.BUY:
        quantity = _payable(run, work, wanted, quote)
        if quantity is None:
            return None
        wanted = _of(quantity, wanted)
    prepared = work.prepared
    submit = run.next_submit(work, wanted, quote)
    if is_covered(submit.order, prepared):
        submit = replace(submit, is_prepared=True)
    return _sent(run, work, submit, now)


def _of(quantity: Decimal, wanted: Send) -> Send:
    return wanted if quantity == wanted.quantity else replace(wanted, quantity=quantity)


def _wanted(run: RunState, work: Work, now: datetime, quote: Quote | str) -> Send | None:
    """Ask the tactic of an intent, or the one that takes over from it, what is to be sent; note why it is nothing."""
    answer = work.tactic.open(run.situation(work, now, quote))
    if isinstance(answer, Fall):
        run.fall(work, answer.reason, now)
        if work.stage is Stage.ENDED:
            return None
        answer = work.tactic.open(run.situation(work, now, quote))
    match answer:
        case Wait(reason=reason, until=until):
            work.reason, work.wake = reason, until
            return None
        case GiveUp(reason=reason) | Fall(reason=reason):
            run.end(work, reason)
            return None
    return answer


def _payable(run: RunState, work: Work, wanted: Send, quote: Quote | str) -> Decimal | None:
    """Return the shares of a buy that go now; note why it waits, or ends, when it is none."""
    quantity = _affordable(run, work, wanted, quote)
    if quantity is None:
        work.reason = _NO_CASH
        return None
    if quantity <= 0 or quantity * work.intent.reference_price < run.rules.smallest_order:
        run.end(work, "the cash that was left is less than the smallest order")
        return None
    if quantity < wanted.quantity:
        work.shortage = f"the cash reached for {number_string(quantity)} of {number_string(wanted.quantity)} shares"
    return quantity


def _affordable(run: RunState, work: Work, wanted: Send, quote: Quote | str) -> Decimal | None:
    """Return the shares of a buy that may go now, ``None`` while it has to wait for cash."""
    price, free = dearest_price(wanted.limit_price, work.intent, quote, run.rules), run.free_cash()
    if wanted.quantity * price <= free:
        return wanted.quantity
    if any(other.intent.side is Side.SELL for other in run.under_way.values()):
        return None
    whole = not work.intent.is_fractionable or wanted.time_in_force is TimeInForce.CLS
    return truncate_shares(max(free, ZERO) / price, whole=whole)


def _sent(run: RunState, work: Work, submit: Submit, now: datetime) -> Submit:
    work.live = {submit.order.client_order_id: LiveOrder(submit.order, submit.dearest, submit.rung)}
    work.last, work.resend = submit, False
    work.stage, work.stage_since, work.reason = Stage.WORKING, now, None
    work.wake = now + run.repeg_time
    work.rung_since = work.rung_since or now
    return submit
