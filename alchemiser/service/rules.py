"""From settings to the rules that the business rooms work by: the settings know no room, the rooms know no settings."""

from alchemiser.domain.activities import SpinOff
from alchemiser.execution.ladder import LadderRules
from alchemiser.execution.tactics import TacticRules
from alchemiser.portfolio.band import Band
from alchemiser.portfolio.constraints import Constraints, GroupCap
from alchemiser.portfolio.plan import PlanRules
from alchemiser.risk.checks import RiskLimits
from alchemiser.risk.guards import GuardAction, GuardName, GuardRule
from alchemiser.service.settings import Settings


def plan_rules(settings: Settings) -> PlanRules:
    """Return how plans are made."""
    portfolio = settings.portfolio
    return PlanRules(
        band=Band(
            absolute=float(portfolio.no_trade_band),
            relative=float(portfolio.no_trade_band_relative),
            is_cost_aware=portfolio.cost_aware_band,
            risk_aversion=portfolio.risk_aversion,
        ),
        cash_reserve=portfolio.cash_reserve,
        deployment=portfolio.deployment,
        minimum_notional=portfolio.minimum_notional,
        fractional=portfolio.fractional,
        constraints=Constraints(
            symbol_at_most=portfolio.max_weight,
            groups={
                name: GroupCap(symbols=frozenset(group.symbols), at_most=group.max_weight)
                for name, group in sorted(portfolio.groups.items())
            },
            target_volatility=portfolio.target_volatility,
            turnover_at_most=portfolio.max_turnover,
        ),
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
        opening_minutes=execution.opening_minutes,
        closing_minutes=execution.closing_minutes,
        max_displayed_share=execution.max_displayed_share,
        replaces=execution.replace,
        price_collar_bps=settings.risk.price_collar_bps,
        max_orders_per_session=settings.risk.max_orders_per_day,
    )


def tactic_rules(settings: Settings) -> TacticRules:
    """Return which tactic works what, and how."""
    execution = settings.execution
    return TacticRules(
        default=execution.tactic,
        by_strategy={name: strategy.tactic for name, strategy in settings.strategies.items() if strategy.tactic is not None},
        by_symbol={symbol.upper(): tactic for symbol, tactic in execution.symbol_tactics.items()},
        through_bps=execution.through_bps,
        marketable_tries=execution.marketable_tries,
        window_seconds=execution.slice_window_seconds,
        slices=execution.slices,
        volume_profile=execution.volume_profile,
        auction_cutoff=execution.auction_cutoff,
        loc_limit_bps=execution.loc_limit_bps,
        auction_fallback=execution.auction_fallback,
    )


def risk_limits(settings: Settings) -> RiskLimits:
    """Return what no order may go beyond."""
    return RiskLimits(
        minimum_notional=settings.portfolio.minimum_notional,
        maximum_order_notional=settings.risk.max_order_notional,
        maximum_daily_notional=settings.risk.max_daily_notional,
        maximum_position_weight=settings.risk.max_position_weight,
        maximum_orders_per_day=settings.risk.max_orders_per_day,
        price_collar_bps=settings.risk.price_collar_bps,
    )


def guard_rules(settings: Settings) -> dict[GuardName, GuardRule]:
    """Return when each guard trips, and what it does then."""
    found = {}
    for name in GuardName:
        one = getattr(settings.risk.guards, name.value)
        found[name] = GuardRule(action=GuardAction(one.action), limit=one.limit, cleared=one.cleared)
    return found


def spin_offs(settings: Settings) -> dict[str, SpinOff]:
    """Return what the settings say of spin-offs, by the new symbol."""
    return {
        symbol.upper(): SpinOff(parent=said.parent.upper() if said.parent else None, cost_fraction=said.cost_fraction)
        for symbol, said in settings.ledger.spin_offs.items()
    }
