"""From settings to the rules that the business rooms work by: the settings know no room, the rooms know no settings."""

from alchemiser.execution.ladder import LadderRules
from alchemiser.portfolio.plan import PlanRules
from alchemiser.risk.checks import RiskLimits
from alchemiser.service.settings import Settings


def plan_rules(settings: Settings) -> PlanRules:
    """Return how plans are made."""
    portfolio = settings.portfolio
    return PlanRules(
        no_trade_band=portfolio.no_trade_band,
        cash_reserve=portfolio.cash_reserve,
        minimum_notional=portfolio.minimum_notional,
        fractional=portfolio.fractional,
    )


def ladder_rules(settings: Settings) -> LadderRules:
    """Return how orders are worked."""
    execution = settings.execution
    return LadderRules(
        rungs=execution.ladder,
        rung_seconds=execution.repeg_seconds,
        max_slippage_bps=execution.max_slippage_bps,
        fallback=execution.fallback,
        order_deadline_seconds=execution.order_deadline_seconds,
        price_collar_bps=settings.risk.price_collar_bps,
        max_orders_per_session=settings.risk.max_orders_per_day,
    )


def risk_limits(settings: Settings) -> RiskLimits:
    """Return what no order may go beyond."""
    return RiskLimits(
        minimum_notional=settings.portfolio.minimum_notional,
        maximum_order_notional=settings.risk.max_order_notional,
        maximum_position_weight=settings.risk.max_position_weight,
    )
