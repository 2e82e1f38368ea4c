"""The settings of what limits trading and of the books: guards, risk, ledger."""

from decimal import Decimal
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import Field, model_validator

from alchemiser.domain.activities import LotMethod
from alchemiser.service.settings_section import AT_ONCE, AT_THE_NEXT_DECISION, Section, TakesEffect, at_the_next_start

_ONE_RULE: Final = at_the_next_start("the books keep one rule from start to stop; `alchemiser lots` names lots while the daemon runs")


class GuardSettings(Section):
    """One guard."""

    takes_effect: ClassVar[TakesEffect] = AT_ONCE

    action: Literal["off", "alarm", "reduce", "halt"] = Field(
        description="What it does besides saying so: nothing (`alarm`), only sales from then on (`reduce`), or a halt; `off` reads nothing."
    )
    limit: Decimal = Field(gt=0, description="The value at which it trips.")
    cleared: Decimal = Field(ge=0, description="The value at which it is clear again, and may be armed again by hand.")

    @model_validator(mode="after")
    def _clears_below_its_limit(self) -> "GuardSettings":
        if self.cleared >= self.limit:
            raise ValueError(f"cleared must be below limit, found {self.cleared} and {self.limit}")
        return self


class GuardsSettings(Section):
    """The guards: what trips them, and what happens then. What each reads is in docs/risk.md."""

    takes_effect: ClassVar[TakesEffect] = AT_ONCE

    defaults: ClassVar[dict[str, dict[str, Any]]] = {
        "daily_loss": {"action": "alarm", "limit": Decimal("0.05"), "cleared": Decimal("0.03")},
        "strategy_daily_loss": {"action": "alarm", "limit": Decimal("0.1"), "cleared": Decimal("0.06")},
        "drawdown": {"action": "alarm", "limit": Decimal("0.2"), "cleared": Decimal("0.15")},
        "strategy_drawdown": {"action": "alarm", "limit": Decimal("0.3"), "cleared": Decimal("0.25")},
        "rejects": {"action": "alarm", "limit": Decimal(5), "cleared": Decimal(0)},
        "slippage": {"action": "alarm", "limit": Decimal(50), "cleared": Decimal(25)},
        "stale_data": {"action": "alarm", "limit": Decimal(120), "cleared": Decimal(30)},
        "ledger": {"action": "alarm", "limit": Decimal(1), "cleared": Decimal("0.01")},
    }

    daily_loss: GuardSettings = Field(default_factory=dict, validate_default=True)
    strategy_daily_loss: GuardSettings = Field(default_factory=dict, validate_default=True)
    drawdown: GuardSettings = Field(default_factory=dict, validate_default=True)
    strategy_drawdown: GuardSettings = Field(default_factory=dict, validate_default=True)
    rejects: GuardSettings = Field(default_factory=dict, validate_default=True)
    slippage: GuardSettings = Field(default_factory=dict, validate_default=True)
    stale_data: GuardSettings = Field(default_factory=dict, validate_default=True)
    ledger: GuardSettings = Field(default_factory=dict, validate_default=True)

    @model_validator(mode="before")
    @classmethod
    def _fill_in_each_guards_own_defaults(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        given = {name: data.get(name, {}) for name in cls.defaults}
        filled = {name: {**cls.defaults[name], **one} if isinstance(one, dict) else one for name, one in given.items()}
        return {**data, **filled}


class RiskSettings(Section):
    """Limits that every order must pass before it is sent."""

    takes_effect: ClassVar[TakesEffect] = AT_THE_NEXT_DECISION

    max_order_notional: Decimal = Field(default=Decimal(1_000_000), gt=0, description="The most dollars that one order may be worth.")
    max_daily_notional: Decimal | None = Field(
        default=None, gt=0, description="After so many dollars bought and sold in a session nothing more is bought."
    )
    max_position_weight: Decimal = Field(
        default=Decimal(1), gt=0, le=4, description="The largest share of the equity that one symbol may have."
    )
    price_collar_bps: Decimal = Field(
        default=Decimal(500), gt=0, description="A limit price further from the mid than this is refused, in basis points."
    )
    max_orders_per_day: int = Field(default=1_000, ge=1, description="The most orders that one session may see.")
    live_backtest_limit_bps: Annotated[Decimal, AT_ONCE] = Field(
        default=Decimal(50),
        gt=0,
        description="A strategy whose session was further than this from its backtest, up or down, raises an alarm: basis points of its "
        "capital. See docs/live-against-backtest.md.",
    )
    guards: GuardsSettings = Field(default_factory=dict, validate_default=True)


class SpinOffSettings(Section):
    """What a person says of one spin-off: no broker tells how the cost is parted."""

    takes_effect: ClassVar[TakesEffect] = AT_ONCE

    parent: str | None = Field(
        default=None, description="The symbol that the shares were spun off from; without it the one that the broker's row names."
    )
    cost_fraction: Decimal = Field(
        default=Decimal(0),
        ge=0,
        le=1,
        description="The part of the parent's cost that goes with the new shares, from the issuer's form 8937.",
    )


class LedgerSettings(Section):
    """The books."""

    takes_effect: ClassVar[TakesEffect] = AT_ONCE

    lots: Annotated[LotMethod, _ONE_RULE] = Field(
        default=LotMethod.FIFO,
        description="Which lots a sale closes first: the oldest, the newest, those that cost most for a share, or those named in "
        "`ledger.specific` and then the oldest. It holds for sales from the next start on.",
    )
    specific: Annotated[dict[str, tuple[str, ...]], _ONE_RULE] = Field(
        default_factory=dict,
        description='With `lots = "specific"`: by symbol the lots to be sold first, in that order, by the id of the execution that '
        "bought them, as `alchemiser ledger export` writes it.",
    )

    spin_offs: dict[str, SpinOffSettings] = Field(
        default_factory=dict, description="What the cost of spun-off shares is, by their symbol; without a word of it they cost nothing."
    )
