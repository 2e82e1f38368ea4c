"""What would be traded now: the plan that a decision of this moment would lead to, made in the same way, published to nobody.

The running daemon makes it of its own parts; without one it is made as ``preview_sources`` says.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal

import msgspec

from alchemiser.domain.errors import OrderDenied, VenueError
from alchemiser.domain.events import RebalancePlanned, StrategyFailed
from alchemiser.domain.intents import Adjustment, Crossing, Denial, Intent
from alchemiser.domain.market import Session
from alchemiser.domain.money import CENT, ZERO, from_float
from alchemiser.domain.orders import Side
from alchemiser.market.calendar import TradingCalendar
from alchemiser.portfolio.planning import Decision, PortfolioParts, plan_decision
from alchemiser.risk.checks import CHECKS
from alchemiser.strategies.answers import Answer, Tell

PREVIEW = "preview"
"""Stands for the id of the rebalance, which there is none of."""


class PlannedOrder(msgspec.Struct, frozen=True, kw_only=True):
    """One order that would be worked. Dollars; ``cost`` is half the quoted spread of what is traded, null without a quote."""

    symbol: str
    side: Side
    quantity: Decimal
    price: Decimal
    notional: Decimal
    drift: float
    cost: Decimal | None
    strategies: Mapping[str, Decimal]


class PlannedStrategy(msgspec.Struct, frozen=True, kw_only=True):
    """What one strategy wants: ``ok`` with its weights, or ``failed``; ``reason`` says why it failed or keeps what it holds today."""

    name: str
    status: str
    capital: Decimal | None
    weights: Mapping[str, float] | None
    reason: str | None


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """The whole answer. Without a plan ``reason`` says why there is none."""

    as_of: datetime
    sends: bool = False
    reason: str | None = None
    equity: Decimal | None = None
    cash: Decimal | None = None
    target: Mapping[str, float] = {}
    strategies: Sequence[PlannedStrategy] = ()
    orders: Sequence[PlannedOrder] = ()
    crossings: Sequence[Crossing] = ()
    denials: Sequence[Denial] = ()
    adjustments: Sequence[Adjustment] = ()
    checks: Sequence[str] = ()
    cost: Decimal | None = None


async def preview_now(parts: PortfolioParts, answer: Callable[[Tell], Awaitable[object]], calendar: TradingCalendar) -> Preview:
    """Return what would be traded if a decision were due now, in this session or for the next one; ``answer`` asks the strategies."""
    given: list[Answer] = []

    async def take(answered: Answer) -> None:
        given.append(answered)

    await answer(take)
    now = parts.clock.now()
    return await preview(parts, given, calendar.session_at(now) or calendar.next_session(now))


async def preview(parts: PortfolioParts, given: Sequence[Answer], session: Session) -> Preview:
    """Return what would be traded after these answers of the strategies. What prevents a plan is in the answer, not raised."""
    decision = Decision(PREVIEW, session.date)
    for answer in given:
        decision.add(answer)
    now = parts.clock.now()
    unfinished = parts.unfinished()
    if unfinished is not None:
        return without_plan(now, given, f"rebalance {unfinished} is in progress; its orders may still fill")
    reason = decision.why_no_plan()
    if reason is not None:
        return without_plan(now, given, reason)
    try:
        account, positions = await parts.venue.account_and_positions()
        plan = await plan_decision(parts, decision, account, positions)
    except (VenueError, OrderDenied) as error:
        return without_plan(now, given, f"no plan can be made: {error}")
    return shown(plan, given)


def shown(plan: RebalancePlanned, answers: Sequence[Answer]) -> Preview:
    """Return a plan as the answer to ``alchemiser plan``."""
    orders = [_order(intent, plan.half_spreads) for intent in plan.intents]
    costs = [order.cost for order in orders if order.cost is not None]
    return Preview(
        as_of=plan.at,
        equity=plan.equity,
        cash=plan.cash,
        target=plan.target,
        strategies=[_strategy(answer, plan) for answer in answers],
        orders=orders,
        crossings=plan.crossings,
        denials=plan.denials,
        adjustments=plan.adjustments,
        checks=[check.code.value for check in CHECKS],
        cost=sum(costs, ZERO) if len(costs) == len(orders) else None,
    )


def without_plan(now: datetime, answers: Sequence[Answer], reason: str) -> Preview:
    """Return the answer when there is no plan."""
    return Preview(as_of=now, reason=reason, strategies=[_strategy(answer, None) for answer in answers])


def _order(intent: Intent, half_spreads: Mapping[str, float]) -> PlannedOrder:
    notional = intent.quantity * intent.reference_price
    half = half_spreads.get(intent.symbol)
    return PlannedOrder(
        symbol=intent.symbol,
        side=intent.side,
        quantity=intent.quantity,
        price=intent.reference_price,
        notional=notional.quantize(CENT),
        drift=intent.drift,
        cost=None if half is None else (notional * from_float(half, decimals=9)).quantize(CENT),
        strategies={wish.strategy: wish.quantity for wish in intent.wishes},
    )


def _strategy(answer: Answer, plan: RebalancePlanned | None) -> PlannedStrategy:
    return PlannedStrategy(
        name=answer.strategy,
        status="failed" if isinstance(answer, StrategyFailed) else "ok",
        capital=plan.capital.get(answer.strategy) if plan else None,
        weights=None if isinstance(answer, StrategyFailed) else answer.weights,
        reason=answer.reason if isinstance(answer, StrategyFailed) else plan.kept.get(answer.strategy) if plan else None,
    )
