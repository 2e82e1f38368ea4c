"""An intent with a live order: whether the order stays, is replaced, is cancelled or asked about. Pure; part of the pacing.

How an intent is worked is its tactic's decision. An order that is no longer right is replaced where the venue allows it, and otherwise
cancelled. A cancel of which nothing is heard is asked for again, and given up only with its reason.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta

from alchemiser.domain.market import Quote
from alchemiser.domain.money import ZERO
from alchemiser.domain.orders import BUY, SELL
from alchemiser.execution.bounds import bounded, dearest_price, stands_as_wanted, venue_replaces
from alchemiser.execution.decisions import Keep, Move, Send, Standing
from alchemiser.execution.run_state import CANCEL_REPEAT_SECONDS, DEADLINE, RunState
from alchemiser.execution.work import CANCELLING, Ask, Cancel, Command, LiveOrder, Replace, Work


def watch(run: RunState, work: Work, now: datetime, *, is_open: bool) -> Iterator[Command]:
    """Decide about a live order: leave it, replace it, cancel it, or ask what became of it."""
    assert work.stage_since is not None
    work.quiet_until = None
    stood = (now - work.stage_since).total_seconds()
    if work.stage is CANCELLING:
        yield from _await_end(run, work, stood, now)
        return
    reason = _why_take_back(run, work, now)
    if reason is not None:
        yield from _take_back(run, work, reason, now)
        return
    if len(work.live) > 1:
        if stood >= CANCEL_REPEAT_SECONDS:
            work.stage_since = now
            yield from [Ask(key) for key in work.live]
        return
    current = work.current
    assert current is not None
    live = Standing(current.order, work.stage_since, current.rung, work.rung_since or now)
    answer = work.tactic.watch(run.situation(work, now, run.quote_of(work, now), live))
    if isinstance(answer, Keep):
        work.wake = answer.until
        may_move = work.stage_since + run.repeg_time  # Before that no tactic follows the market, whatever it does.
        work.quiet_until = min(answer.until, work.deadline, may_move if now < may_move else answer.until)
    else:
        yield from _move(run, work, answer, now, is_open=is_open)


def _await_end(run: RunState, work: Work, stood: float, now: datetime) -> Iterator[Command]:
    """Ask for the cancel again when nothing is heard of it; give up at last, and say so."""
    keys = list(work.live)
    if now >= work.deadline + timedelta(seconds=4 * CANCEL_REPEAT_SECONDS):
        run.end(work, f"the end of order {' and '.join(keys)} was never confirmed")
        yield from [Ask(key) for key in keys]
    elif stood >= CANCEL_REPEAT_SECONDS:
        work.stage_since = now
        for key in keys:
            yield from (Ask(key), Cancel(key, "the cancel was not confirmed"))


def _take_back(run: RunState, work: Work, reason: str, now: datetime) -> Iterator[Command]:
    work.stage, work.stage_since = CANCELLING, now
    yield from [Cancel(key, reason) for key in work.live]


def _why_take_back(run: RunState, work: Work, now: datetime) -> str | None:
    """Return why the live order has to go whatever its tactic says."""
    current = work.current
    assert current is not None
    if run.stop_reason is not None:
        return run.stop_reason
    if work.barred is not None:
        return work.barred
    if run.close_reason is not None and not work.is_in_auction:
        return run.close_reason
    if now >= work.deadline:
        return "the venue did not say how the closing auction ended" if work.is_in_auction else DEADLINE
    if len(work.live) == 1 and current.leaves > work.leaves_quantity:
        return "it would buy or sell more than is left of the intent"
    return None


def _move(run: RunState, work: Work, move: Move, now: datetime, *, is_open: bool) -> Iterator[Command]:
    """Bring a live order to where its tactic wants it: not at all if it stands there already, by a replacement, or by a cancel."""
    current = work.current
    assert current is not None
    if move.rung != current.rung:
        work.rung_since = now
    work.rung = move.rung
    wanted = work.tactic.open(run.situation(work, now, run.quote_of(work, now)))
    if isinstance(wanted, Send) and stands_as_wanted(current, wanted):
        if wanted.rung != current.rung:
            current.rung, work.stage_since = wanted.rung, now
        work.wake = now + run.repeg_time
        return
    if is_open and isinstance(wanted, Send) and _may_replace(run, work, current, wanted, now):
        work.stage_since = now
        quote = run.quote_of(work, now)
        dearest = dearest_price(wanted.limit_price, work.intent, quote, run.rules) if work.intent.side is BUY else ZERO
        old = current.order.client_order_id
        intended = run.next_order(work, wanted, quote, now, replaces=old)
        order = intended.order
        run.sent[order.client_order_id] = work
        work.live[order.client_order_id] = LiveOrder(order, dearest, wanted.rung, order.quantity, is_replacement=True)
        yield Replace(old, intended, move.reason)
        return
    yield from _take_back(run, work, move.reason, now)


def _may_replace(run: RunState, work: Work, current: LiveOrder, wanted: Send, now: datetime) -> bool:
    """Whether the venue lets this order be replaced, and settings and account bear the new one."""
    known, quote = run.order_of(current.order.client_order_id), run.quote_of(work, now)
    if not run.rules.replaces or work.not_replaceable or run.orders_left <= 0 or known is None or not isinstance(quote, Quote):
        return False
    intent = work.intent
    if not venue_replaces(known, current, wanted) or bounded(wanted, intent, quote, run.rules) is not wanted:
        return False
    cost = wanted.quantity * dearest_price(wanted.limit_price, intent, quote, run.rules)
    return intent.side is SELL or cost <= run.free_cash() + work.reserved
