"""The pacing of one rebalance: which order is sent, cancelled or asked about next. Pure; the handler carries out what it says.

Sells go first. A buy is released as soon as the cash it needs is free, largest drift first; once no sell is left that could bring more,
a buy is re-sized to the cash there is. One intent has at most one live order. An order that does not fill within its rung, or that the
market has left behind, is cancelled; when the cancel is confirmed, what is left goes out again, one rung higher if it was the rung that ran
out. Every intent ends filled or parked with a reason by its deadline.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

import msgspec

from alchemiser.domain.events import RebalancePlanned
from alchemiser.domain.ids import client_order_id
from alchemiser.domain.intents import Intent, IntentOutcome
from alchemiser.domain.market import Quote
from alchemiser.domain.money import ONE, ZERO, truncate_shares
from alchemiser.domain.orders import Fill, NewOrder, Order, OrderState, OrderType, Side
from alchemiser.execution.ladder import LadderRules, is_behind, is_outside_collar, next_order

MAX_REJECTIONS = 3
"""An intent whose orders were refused this often is parked: asking again would be a storm."""

RETRY_SECONDS = 1.0
"""The first pause after an order did not reach the venue or was refused; it doubles with each further one, up to a minute."""

CANCEL_REPEAT_SECONDS = 5.0
"""How long a confirmation of a cancel is awaited before the order is asked about and the cancel repeated."""

MARKET_CUSHION = Decimal("1.01")
"""Cash set aside for a market buy, relative to the ask: it may walk the book."""


class Stage(StrEnum):
    """Where an intent is."""

    WAITING = "waiting"
    WORKING = "working"
    CANCELLING = "cancelling"
    ENDED = "ended"


@dataclass(frozen=True)
class Submit:
    """Send this order."""

    intent_id: str
    attempt: int
    order: NewOrder


@dataclass(frozen=True)
class Cancel:
    """Ask for the cancel of this order."""

    client_order_id: str
    reason: str


@dataclass(frozen=True)
class Ask:
    """Ask the venue for the state of this order."""

    client_order_id: str


Command = Submit | Cancel | Ask
Quotes = Callable[[str, datetime], Quote | str]
"""The usable quote of a symbol at a time, or the reason why there is none."""


@dataclass
class Work:
    """One intent in progress."""

    intent: Intent
    deadline: datetime
    stage: Stage = Stage.WAITING
    attempt: int = 0
    rung: int = 0
    order: NewOrder | None = None
    stage_since: datetime | None = None
    order_filled: Decimal = ZERO
    filled_quantity: Decimal = ZERO
    filled_value: Decimal = ZERO
    rejections: int = 0
    setbacks: int = 0
    not_before: datetime | None = None
    resend: bool = False
    reason: str | None = None

    @property
    def leaves_quantity(self) -> Decimal:
        """Shares of the intent that are not filled yet."""
        return self.intent.quantity - self.filled_quantity

    @property
    def reserved(self) -> Decimal:
        """Dollars that the live order, or one that goes again as it is, may still take."""
        is_pending = self.stage in (Stage.WORKING, Stage.CANCELLING) or (self.stage is Stage.WAITING and self.resend)
        if self.order is None or self.order.side is Side.SELL or not is_pending:
            return ZERO
        price = self.order.limit_price or self.intent.reference_price * MARKET_CUSHION
        return (self.order.quantity - self.order_filled) * price


@dataclass
class RebalanceRun:
    """One rebalance from its plan to its end. Every method that returns commands may be called at any time, also twice.

    ``orders_before`` is how many orders the session has had already; ``why_parked`` says why nothing of a symbol is sent.
    """

    plan: RebalancePlanned
    epoch: str
    rules: LadderRules
    quotes: Quotes
    started_at: datetime
    cut_off: datetime
    orders_before: int = 0
    why_parked: Callable[[str], str | None] = lambda symbol: None
    cash: Decimal = field(init=False)
    works: dict[str, Work] = field(init=False)
    orders_left: int = field(init=False)
    stop_reason: str | None = None

    def __post_init__(self) -> None:
        """Prepare the intents in the order of the plan: sells first, then buys by drift."""
        self.cash = self.plan.cash
        self.orders_left = self.rules.max_orders_per_session - self.orders_before
        deadline = min(self.started_at + timedelta(seconds=self.rules.order_deadline_seconds), self.cut_off)
        self.works = {intent.intent_id: Work(intent=intent, deadline=deadline) for intent in self.plan.intents}

    @property
    def is_ended(self) -> bool:
        """Whether every intent has ended."""
        return all(work.stage is Stage.ENDED for work in self.works.values())

    def next_due(self, now: datetime) -> datetime | None:
        """Return when :meth:`advance` has something to do even if nothing happens before; ``None`` when the run has ended."""
        due = [moment for work in self.works.values() if (moment := self._due(work, now)) is not None]
        return min(due, default=None)

    def resume(self, orders: Iterable[Order], now: datetime) -> None:
        """Take over what an earlier process did for this rebalance: fills, attempts, and its live order, which is cancelled first."""
        for order in orders:
            work = self._work_of(order.client_order_id)
            if work is None:
                continue
            work.filled_quantity += order.cumulative_quantity
            work.filled_value += order.filled_value
            self.cash -= order.request.side.sign * order.filled_value
            work.attempt += 1
            if not order.is_terminal or order.missing_quantity:
                work.order, work.order_filled = order.request, order.cumulative_quantity
                work.stage, work.stage_since = Stage.CANCELLING, now - timedelta(seconds=CANCEL_REPEAT_SECONDS)

    def stop(self, reason: str) -> None:
        """Begin nothing new: the next :meth:`advance` cancels what is working and parks the rest."""
        self.stop_reason = self.stop_reason or reason

    def on_fill(self, fill: Fill) -> None:
        """Count a fill of one of this run's orders; others are not its business."""
        work = self._work_of(fill.client_order_id)
        if work is None:
            return
        work.filled_quantity += fill.quantity
        work.filled_value += fill.quantity * fill.price
        if work.order is not None and work.order.client_order_id == fill.client_order_id:
            work.order_filled += fill.quantity
        self.cash -= fill.side.sign * fill.quantity * fill.price

    def on_end(self, order: Order, now: datetime) -> None:
        """Take note that an order of this run has ended."""
        work = self._work_of(order.client_order_id)
        if work is None or work.order is None or work.order.client_order_id != order.client_order_id:
            return
        if work.stage is Stage.ENDED:
            return
        work.stage, work.stage_since = Stage.WAITING, now
        if order.state in (OrderState.NEVER_SENT, OrderState.REJECTED):
            work.reason = order.reason
            work.not_before = now + timedelta(seconds=min(RETRY_SECONDS * 2**work.setbacks, 60.0))
            work.setbacks += 1
        if order.state is OrderState.NEVER_SENT:
            # The venue provably does not know the id: the same order may go again, and only under the same id.
            work.resend = True
        elif order.state is OrderState.REJECTED:
            work.rejections += 1
            if work.rejections >= MAX_REJECTIONS:
                self._end(work, f"rejected {work.rejections} times: {order.reason}")

    def advance(self, now: datetime, gate_reasons: dict[str, str]) -> list[Command]:
        """Return what is to be done now. ``gate_reasons`` is why nothing may be sent; cancels are asked for all the same."""
        commands: list[Command] = []
        for work in self.works.values():
            if work.stage in (Stage.WORKING, Stage.CANCELLING):
                commands += self._watch(work, now)
        for work in self.works.values():
            if work.stage is Stage.WAITING:
                self._end_if_over(work, now)
        for work in self.works.values():
            if work.stage is not Stage.WAITING:
                continue
            if gate_reasons:
                work.reason = "; ".join(gate_reasons.values())
                continue
            if work.not_before is not None and now < work.not_before:
                continue
            command = self._send(work, now)
            if command is not None:
                commands.append(command)
            elif work.intent.side is Side.BUY and work.reason == _NO_CASH:
                break  # Cash is kept for the largest drift; the smaller ones wait behind it.
        return commands

    def outcomes(self) -> tuple[IntentOutcome, ...]:
        """Return how each intent stands or ended, in the order of the plan."""
        return tuple(_outcome(work) for work in self.works.values())

    def _watch(self, work: Work, now: datetime) -> list[Command]:
        """Decide about a live order: leave it, cancel it, or ask what became of it."""
        assert work.order is not None
        assert work.stage_since is not None
        key = work.order.client_order_id
        stood = (now - work.stage_since).total_seconds()
        if work.stage is Stage.CANCELLING:
            if now >= work.deadline + timedelta(seconds=4 * CANCEL_REPEAT_SECONDS):
                self._end(work, f"the end of order {key} was never confirmed")
                return [Ask(key)]
            if stood >= CANCEL_REPEAT_SECONDS:
                work.stage_since = now
                return [Ask(key), Cancel(key, "the cancel was not confirmed")]
            return []
        reason = self._why_cancel(work, stood, now)
        if reason is None:
            return []
        work.stage, work.stage_since = Stage.CANCELLING, now
        return [Cancel(key, reason)]

    def _why_cancel(self, work: Work, stood: float, now: datetime) -> str | None:
        assert work.order is not None
        if self.stop_reason is not None:
            return self.stop_reason
        if now >= work.deadline:
            return "the deadline of the intent has passed"
        if stood >= self.rules.rung_seconds:
            work.rung += 1
            return f"not filled within {self.rules.rung_seconds:g} s"
        quote = self.quotes(work.intent.symbol, now)
        rung = self.rules.rungs[min(work.rung, len(self.rules.rungs) - 1)]
        if stood >= self.rules.minimum_repeg_seconds and isinstance(quote, Quote) and is_behind(work.order, quote, rung):
            return "the market has moved away"
        return None

    def _end_if_over(self, work: Work, now: datetime) -> None:
        leaves = truncate_shares(work.leaves_quantity, whole=not work.intent.is_fractionable)
        if leaves * work.intent.reference_price < ONE:
            self._end(work, None)  # Less than the venue's smallest order is as good as filled.
        elif self.stop_reason is not None:
            self._end(work, self.stop_reason)
        elif (parked := self.why_parked(work.intent.symbol)) is not None:
            self._end(work, parked)  # At once: buys wait for the cash of sells, and this one brings none.
        elif now >= work.deadline:
            self._end(work, work.reason or "the deadline of the intent has passed")

    def _send(self, work: Work, now: datetime) -> Command | None:
        if work.resend and work.order is not None:
            work.resend = False
            return self._sent(work, work.order, now)
        quote = self.quotes(work.intent.symbol, now)
        if not isinstance(quote, Quote):
            work.reason = f"no usable quote: {quote}"
            return None
        key = client_order_id(self.epoch, self.plan.rebalance_id, work.intent.intent_id, work.attempt + 1)
        order = next_order(work.intent, key, work.leaves_quantity, work.rung, quote, self.rules)
        if order is None:
            self._end(work, "the ladder is used up")
            return None
        if is_outside_collar(order, quote, self.rules.price_collar_bps):
            work.reason = f"the limit {order.limit_price} is outside the price collar around {quote.bid} x {quote.ask}"
            return None
        if self.orders_left <= 0:
            self._end(work, f"the session has had its {self.rules.max_orders_per_session} orders")
            return None
        if order.side is Side.BUY:
            quantity = self._affordable(work, order, quote)
            if quantity is None:
                work.reason = _NO_CASH
                return None
            if quantity * work.intent.reference_price < ONE:
                self._end(work, "the cash that was left is less than the smallest order")
                return None
            order = msgspec.structs.replace(order, quantity=quantity)
        work.attempt += 1
        self.orders_left -= 1
        return self._sent(work, order, now)

    def _sent(self, work: Work, order: NewOrder, now: datetime) -> Submit:
        work.order, work.order_filled = order, ZERO
        work.stage, work.stage_since, work.reason = Stage.WORKING, now, None
        return Submit(work.intent.intent_id, work.attempt, order)

    def _affordable(self, work: Work, order: NewOrder, quote: Quote) -> Decimal | None:
        """Return the shares of a buy that may go now, ``None`` while it has to wait for cash."""
        price = order.limit_price if order.order_type is OrderType.LIMIT else None
        price = price or truncate_shares(Decimal(repr(quote.ask)) * MARKET_CUSHION)
        free = self.cash - sum((other.reserved for other in self.works.values()), ZERO)
        if order.quantity * price <= free:
            return order.quantity
        if any(other.intent.side is Side.SELL and other.stage is not Stage.ENDED for other in self.works.values()):
            return None
        return truncate_shares(max(free, ZERO) / price, whole=not work.intent.is_fractionable)

    def _due(self, work: Work, now: datetime) -> datetime | None:
        if work.stage is Stage.ENDED:
            return None
        if work.stage is Stage.WAITING or work.stage_since is None:
            return min(now + timedelta(seconds=self.rules.minimum_repeg_seconds), max(work.deadline, now))
        seconds = self.rules.rung_seconds if work.stage is Stage.WORKING else CANCEL_REPEAT_SECONDS
        due = work.stage_since + timedelta(seconds=seconds)
        return max(min(due, work.deadline), now) if work.stage is Stage.WORKING else max(due, now)

    def _end(self, work: Work, reason: str | None) -> None:
        work.stage, work.reason = Stage.ENDED, reason

    def _work_of(self, key: str) -> Work | None:
        for work in self.works.values():
            prefix = f"{self.epoch}-{self.plan.rebalance_id}-{work.intent.intent_id}-"
            if key.startswith(prefix):
                return work
        return None


_NO_CASH = "the cash it needs has not landed"


def _outcome(work: Work) -> IntentOutcome:
    average = work.filled_value / work.filled_quantity if work.filled_quantity else None
    slippage = None
    if average is not None:
        reference = work.intent.reference_price
        slippage = float((average - reference) / reference * work.intent.side.sign * 10_000)
    if work.stage is Stage.ENDED and work.reason is None:
        state = "filled"
    elif work.filled_quantity:
        state = "partial"
    else:
        state = "unfilled"
    return IntentOutcome(
        intent_id=work.intent.intent_id,
        symbol=work.intent.symbol,
        side=work.intent.side,
        quantity=work.intent.quantity,
        filled_quantity=work.filled_quantity,
        average_price=average,
        slippage_bps=slippage,
        state=state,
        reason=work.reason,
        attempts=work.attempt,
    )
