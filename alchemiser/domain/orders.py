"""Orders and their state machine: what an execution report does to an order, and nothing else.

Promises: a report is applied at most once, in whatever order reports arrive; cumulative plus leaves is the quantity of a live order; an
order that has ended stays ended. Only a bust or a correction takes back what was filled: then the execution it names never counts
again, also when it is heard of later. What is filled in the end depends on the reports alone and not on their order. The venue's rules
are those of section 4 of the protocol reference; values that the venue may add later are kept as plain text and change nothing.
"""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Final

import msgspec
from msgspec.structs import replace

from alchemiser.domain.money import ZERO


class Side(StrEnum):
    """Which way shares move."""

    BUY = "buy"
    SELL = "sell"

    def __init__(self, word: str) -> None:
        self.sign: Final = 1 if word == "buy" else -1
        """Plus one for a buy, minus one for a sell."""


BUY: Final = Side.BUY
SELL: Final = Side.SELL
"""Sides, and below types and times in force, by names of their own: to look a member up in its class takes as long as three calls."""


class OrderType(StrEnum):
    """The order types the daemon sends."""

    MARKET = "market"
    LIMIT = "limit"


MARKET: Final = OrderType.MARKET
LIMIT: Final = OrderType.LIMIT


class TimeInForce(StrEnum):
    """The times in force the daemon sends."""

    DAY = "day"
    IOC = "ioc"
    OPG = "opg"
    CLS = "cls"


DAY: Final = TimeInForce.DAY
CLS: Final = TimeInForce.CLS


class OrderState(StrEnum):
    """Where an order is in its life, seen from the daemon."""

    INTENDED = "intended"  # durable here, not yet known to the venue
    UNKNOWN = "unknown"  # sent, and no readable answer came
    WORKING = "working"  # the venue has it
    CANCELLING = "cancelling"  # a cancel was asked for; a fill may still win
    FILLED = "filled"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    REJECTED = "rejected"
    REPLACED = "replaced"
    NEVER_SENT = "never_sent"  # intended, and the venue says it does not know it


_WORKING: Final = OrderState.WORKING
_CANCELLING: Final = OrderState.CANCELLING
_FILLED: Final = OrderState.FILLED

TERMINAL: Final = frozenset(
    {
        OrderState.FILLED,
        OrderState.CANCELLED,
        OrderState.EXPIRED,
        OrderState.REJECTED,
        OrderState.REPLACED,
        OrderState.NEVER_SENT,
    }
)

CORRECTIONS: Final = frozenset({"trade_bust", "trade_correct"})
"""The events that take an execution back; a correction brings another in its place."""

_EXECUTIONS: Final = frozenset({"fill", "partial_fill", "trade", "trade_correct"})

_VENUE_STATES: Final = {
    "filled": OrderState.FILLED,
    "canceled": OrderState.CANCELLED,
    "expired": OrderState.EXPIRED,
    "rejected": OrderState.REJECTED,
    "replaced": OrderState.REPLACED,
    "pending_cancel": OrderState.CANCELLING,
}


_BEFORE_THE_MARKET: Final = ("accepted", "pending_new")


class NewOrder(msgspec.Struct, frozen=True, kw_only=True):
    """An order as it is to be sent. ``limit_price`` is set exactly for limit orders; quantities are shares, always positive."""

    client_order_id: str
    symbol: str
    side: Side
    quantity: Decimal
    order_type: OrderType
    time_in_force: TimeInForce
    limit_price: Decimal | None = None


class ExecutionReport(msgspec.Struct, frozen=True):
    """Anything the venue says about one order, whichever road it came by.

    ``event`` is the venue's word for what happened (``new``, ``partial_fill``, ``fill``, ``canceled``, ...; ``query`` for the
    answer to a question) and ``status`` its word for the state after it. ``execution_id``, ``last_quantity`` and ``last_price`` describe
    one execution and are set only when there is one. ``cumulative_quantity`` and ``average_price`` are totals of the order.
    ``previous_execution_id`` names the execution that a bust or a correction takes back.
    """

    event: str
    status: str
    client_order_id: str
    venue_order_id: str
    symbol: str
    side: Side
    quantity: Decimal | None
    cumulative_quantity: Decimal
    average_price: Decimal | None
    at: datetime
    source: str = "stream"
    event_id: str | None = None
    execution_id: str | None = None
    last_quantity: Decimal | None = None
    last_price: Decimal | None = None
    position_quantity: Decimal | None = None
    limit_price: Decimal | None = None
    replaced_by: str | None = None
    replaces: str | None = None
    previous_execution_id: str | None = None


class Fill(msgspec.Struct, frozen=True, kw_only=True):
    """One execution: so many shares at that price, at that time. ``quantity`` is positive; ``side`` says which way."""

    execution_id: str
    client_order_id: str
    venue_order_id: str
    symbol: str
    side: Side
    quantity: Decimal
    price: Decimal
    at: datetime


class Execution(msgspec.Struct, frozen=True):
    """One execution that counts: so many shares at that price."""

    execution_id: str
    quantity: Decimal
    price: Decimal


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """One order and everything known of it. ``filled_value`` is the exact sum of quantity times price of its fills.

    ``executions`` are those that count; ``execution_ids`` those that do not count again, the broken ones included, which count no more.
    ``corrected_at`` is when the venue last took an execution back: its totals from before are of no use any more.
    ``tactic``, ``step`` and ``rung`` say why it was sent as it was, ``sent_mid`` is the mid, in dollars, that was seen then;
    ``replaces`` is the client order id of the order whose place it takes. Of one that ``is_presumed`` a crash left only the preparation: it
    may be of fewer shares than its request says, which the venue's first word about it settles.
    """

    request: NewOrder
    state: OrderState
    intended_at: datetime
    venue_order_id: str | None = None
    venue_status: str | None = None
    cumulative_quantity: Decimal = ZERO
    filled_value: Decimal = ZERO
    execution_ids: tuple[str, ...] = ()
    executions: tuple[Execution, ...] = ()
    reported_quantity: Decimal = ZERO
    corrected_at: datetime | None = None
    replaced_by: str | None = None
    reason: str | None = None
    tactic: str = ""
    step: str = ""
    rung: int = 0
    sent_mid: float | None = None
    replaces: str | None = None
    is_presumed: bool = False

    @property
    def client_order_id(self) -> str:
        """Our id of the order."""
        return self.request.client_order_id

    @property
    def leaves_quantity(self) -> Decimal:
        """Shares that may still be filled: zero once the order has ended."""
        return ZERO if self.is_terminal else self.request.quantity - self.cumulative_quantity

    @property
    def is_terminal(self) -> bool:
        """Whether the order has ended for good."""
        return self.state in TERMINAL

    @property
    def missing_quantity(self) -> Decimal:
        """Shares the venue says were filled and whose executions have not been seen yet."""
        return max(self.reported_quantity - self.cumulative_quantity, ZERO)

    def is_altered_by(self, symbol: str, side: str, quantity: Decimal | None) -> bool:
        """Whether an order of this symbol, side and number of shares, ``None`` where that is not said, is another than the one sent."""
        request = self.request
        if (request.symbol, request.side) != (symbol, side):
            return True
        if quantity is None or quantity == request.quantity:
            return False
        return not self.is_presumed or quantity > request.quantity

    @property
    def average_price(self) -> Decimal | None:
        """Average price of the fills seen so far, ``None`` before the first."""
        return self.filled_value / self.cumulative_quantity if self.cumulative_quantity else None


def fill_of(report: ExecutionReport) -> Fill | None:
    """Return the execution a report describes, or ``None`` when it describes none."""
    execution_id, quantity, price = report.execution_id, report.last_quantity, report.last_price
    if execution_id is None or price is None or quantity is None or quantity <= ZERO:
        return None
    return Fill(
        execution_id=execution_id,
        client_order_id=report.client_order_id,
        venue_order_id=report.venue_order_id,
        symbol=report.symbol,
        side=report.side,
        quantity=quantity,
        price=price,
        at=report.at,
    )


def broken_by(order: Order, report: ExecutionReport) -> Execution | None:
    """Return the execution that counts in ``order`` and that ``report`` takes back, if it does that."""
    if report.event not in CORRECTIONS:
        return None
    return next((one for one in order.executions if one.execution_id == report.previous_execution_id), None)


def apply_report(order: Order, report: ExecutionReport) -> tuple[Order, Fill | None]:
    """Return the order after ``report`` and the fill that is new in it, if any; what it takes back is told by :func:`broken_by`.

    A duplicate execution changes nothing. A late report never takes an order back: what is terminal stays terminal, and a fill that
    arrives after a cancel is still a fill. A live order whose fills add up to its quantity is filled whatever the report says, and a
    cancel or an expiry of an order that turns out to be all filled was none. A presumed order is from then on what the venue has.
    """
    if order.is_presumed:
        order = _as_at_venue(order, report)
    known, standing = order.execution_ids, order.executions
    cumulative, value = order.cumulative_quantity, order.filled_value
    is_correction = report.event in CORRECTIONS
    if is_correction and report.previous_execution_id is not None:
        known, standing = _without(report.previous_execution_id, known, standing)
        cumulative, value = sum([one.quantity for one in standing], ZERO), sum([one.quantity * one.price for one in standing], ZERO)
    fill = fill_of(report) if report.event in _EXECUTIONS else None
    if fill is not None:
        if fill.execution_id in known:
            fill = None
        else:
            quantity, price = fill.quantity, fill.price
            known += (fill.execution_id,)
            standing += (Execution(fill.execution_id, quantity, price),)
            cumulative += quantity
            value += quantity * price
    # What the venue counts as filled, and since when that may be believed.
    reported, corrected_at = order.reported_quantity, order.corrected_at
    if corrected_at is None or report.at >= corrected_at:
        if is_correction:
            reported, corrected_at = report.cumulative_quantity, report.at
        elif report.cumulative_quantity > reported:
            reported = report.cumulative_quantity
    state, status = _standing_after(order, report, cumulative)
    changed = replace(
        order,
        state=state,
        venue_order_id=order.venue_order_id or report.venue_order_id,
        venue_status=status,
        cumulative_quantity=cumulative,
        filled_value=value,
        execution_ids=known,
        executions=standing,
        reported_quantity=reported if reported >= cumulative else cumulative,
        corrected_at=corrected_at,
        replaced_by=report.replaced_by or order.replaced_by,
        # Why a cancel was asked for is no news of an order that filled all the same.
        reason=None if state is _FILLED else order.reason,
    )
    return changed, fill


def _without(broken: str, known: tuple[str, ...], standing: tuple[Execution, ...]) -> tuple[tuple[str, ...], tuple[Execution, ...]]:
    """Return the executions that do not count again, and those that count, once one of them is broken."""
    # Broken before it was heard of: it must not count when it is.
    known = known if broken in known else (*known, broken)
    return known, tuple(one for one in standing if one.execution_id != broken)


def _as_at_venue(order: Order, report: ExecutionReport) -> Order:
    """Return a presumed order with the body that the venue has under its id, as it is where the report does not say that."""
    if report.quantity is None or order.is_altered_by(report.symbol, report.side, report.quantity):
        return order
    limit = report.limit_price
    order_type = MARKET if limit is None else LIMIT
    request = replace(order.request, quantity=report.quantity, order_type=order_type, limit_price=limit)
    return replace(order, request=request, is_presumed=False)


def _standing_after(order: Order, report: ExecutionReport, cumulative: Decimal) -> tuple[OrderState, str | None]:
    """Return the state that a report leads to, and the venue's word for it.

    Never out of a last state but into that of an order which is all filled. The late answer to a submit is no news of an order at work.
    """
    status: str | None = report.status
    has_ended = order.state in TERMINAL
    is_answer = status in _BEFORE_THE_MARKET and report.source in ("submit", "replace")
    if has_ended or (is_answer and order.venue_status not in (None, *_BEFORE_THE_MARKET)):
        status = order.venue_status
    if cumulative >= order.request.quantity:
        return _FILLED, status
    if has_ended:
        return order.state, status
    state = _VENUE_STATES.get(report.status, _WORKING)
    if state is _WORKING and order.state is _CANCELLING and report.event != "order_cancel_rejected":
        return _CANCELLING, status  # Only the venue's refusal takes it back.
    return state, status
