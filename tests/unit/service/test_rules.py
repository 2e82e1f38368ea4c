"""From settings to rules: every setting of portfolio, execution and risk reaches the room that it is for."""

from decimal import Decimal

from alchemiser.execution.ladder import LadderRules
from alchemiser.portfolio.band import Band
from alchemiser.portfolio.plan import PlanRules
from alchemiser.risk.checks import RiskLimits
from alchemiser.service.rules import ladder_rules, plan_rules, risk_limits
from alchemiser.service.settings import Settings

SETTINGS = Settings.model_validate(
    {
        "portfolio": {"no_trade_band": 0.02, "cash_reserve": 0.03, "minimum_notional": 7, "fractional": False},
        "execution": {
            "ladder": [0.25, 1],
            "repeg_seconds": 9,
            "max_slippage_bps": 33,
            "fallback": "park",
            "order_deadline_seconds": 77,
        },
        "risk": {"max_order_notional": 1234, "max_position_weight": 0.5, "price_collar_bps": 250, "max_orders_per_day": 17},
    }
)


def test_plans() -> None:
    """The no-trade band, the reserve, the smallest trade, fractions."""
    expected = PlanRules(band=Band(absolute=0.02), cash_reserve=Decimal("0.03"), minimum_notional=Decimal(7), fractional=False)

    assert expected == plan_rules(SETTINGS)


def test_orders() -> None:
    """The rungs, their time, the bounds, what comes after the last."""
    expected = LadderRules(
        rungs=(Decimal("0.25"), Decimal(1)),
        rung_seconds=9.0,
        max_slippage_bps=Decimal(33),
        fallback="park",
        order_deadline_seconds=77.0,
        price_collar_bps=Decimal(250),
        max_orders_per_session=17,
    )

    assert expected == ladder_rules(SETTINGS)


def test_limits() -> None:
    """The smallest trade is a matter of the portfolio, the largest order and position of risk."""
    expected = RiskLimits(
        minimum_notional=Decimal(7),
        maximum_order_notional=Decimal(1234),
        maximum_position_weight=Decimal("0.5"),
        maximum_orders_per_day=17,
        price_collar_bps=Decimal(250),
    )

    assert expected == risk_limits(SETTINGS)


def test_the_defaults_of_the_settings_are_those_of_the_rooms() -> None:
    """One of them would otherwise be a surprise to whoever reads the other."""
    settings = Settings()

    assert PlanRules() == plan_rules(settings)
    assert LadderRules() == ladder_rules(settings)
