"""The settings of what is traded and how: strategies, schedule, market, data, portfolio, execution."""

from decimal import Decimal
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from alchemiser.market.schedule import parse_schedule
from alchemiser.service.settings_section import (
    AT_ONCE,
    AT_THE_NEXT_DECISION,
    Moment,
    Section,
    TacticChoice,
    TakesEffect,
    at_the_next_start,
)


class StrategySettings(Section):
    """One strategy and its share of the account. The name of the table is the name of the strategy."""

    takes_effect: ClassVar[TakesEffect] = AT_THE_NEXT_DECISION

    source: str | None = Field(
        default=None,
        description="A `.clj` file, the name of one in the folder `strategies`, a shipped name or `module:Class`. Default: the name of the "
        "table.",
    )
    allocation: Decimal | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Its share of the equity. All give one, adding up to 1, or none does and shares are equal.",
    )
    on_missing: Literal["stop", "else"] = Field(
        default="stop",
        description="A number of a symphony cannot be computed: `stop` it for this decision, it keeps what it holds, or read on as some "
        "engines do: the condition counts as false, the candidate of a filter is left out.",
    )
    volatility: Literal["holdings", "own"] = Field(
        default="holdings",
        description="The volatility of a group in an inverse volatility weighting: of what it holds today, or of its own history.",
    )
    tactic: TacticChoice | None = Field(
        default=None,
        description="How its orders are worked, see `execution.tactic`. Where several strategies trade one symbol together, that of the "
        "one which trades most of it counts.",
    )


class ScheduleSettings(Section):
    """When decisions are made."""

    takes_effect: ClassVar[TakesEffect] = AT_ONCE

    decision: Moment = Field(
        default=parse_schedule("close - 10m"),
        description="The moment of each session: `close - 10m`, `open + 5m`, or a New York time such as `15:50`.",
    )


class MarketSettings(Section):
    """What the daemon wants to know of the market."""

    takes_effect: ClassVar[TakesEffect] = AT_ONCE

    history_sessions: Annotated[int, at_the_next_start("the history is asked for by its length")] = Field(
        default=756, ge=1, le=10_000, description="Daily bars kept per symbol, unless a strategy needs more."
    )
    quote_max_age_seconds: float = Field(default=30.0, gt=0, le=604_800, description="A quote older than this prices no order.")
    silence_seconds: float = Field(
        default=90.0,
        gt=0,
        le=86_400,
        description="How long the market stream may bring nothing in an open session before it is connected anew.",
    )


class DataSettings(Section):
    """The history of bars on this machine."""

    takes_effect: ClassVar[TakesEffect] = at_the_next_start("the history is read from there")

    store: Path | None = Field(
        default=None,
        description="Folder of the bar store (`alchemiser data`). The daemon takes its daily history from it and asks the broker only "
        "for what is missing; commands without `--bars` read it. The embedded market does not write to it.",
    )


class GroupSettings(Section):
    """Symbols that are limited together."""

    takes_effect: ClassVar[TakesEffect] = AT_THE_NEXT_DECISION

    symbols: tuple[str, ...] = Field(min_length=1, max_length=500, description="The symbols of the group.")
    max_weight: float = Field(gt=0, le=4, description="The largest share of the equity that they may have together.")


class PortfolioSettings(Section):
    """From target weights to wanted changes."""

    takes_effect: ClassVar[TakesEffect] = AT_THE_NEXT_DECISION

    no_trade_band: Decimal = Field(
        default=Decimal("0.005"), ge=0, lt=1, description="Drifts of up to this share of a strategy's capital are left alone."
    )
    no_trade_band_relative: Decimal = Field(
        default=Decimal(0), ge=0, lt=1, description="Drifts of up to this share of the target weight are left alone."
    )
    cost_aware_band: bool = Field(default=False, description="Widen the band by what the quoted spread would cost.")
    risk_aversion: float = Field(default=3.0, gt=0, description="For the cost-aware band: the higher, the narrower.")
    max_weight: float | None = Field(default=None, gt=0, le=4, description="The largest target weight of one symbol, as a share of equity.")
    groups: dict[str, GroupSettings] = Field(default_factory=dict, description="Symbols that are limited together, by the group's name.")
    max_turnover: float | None = Field(
        default=None, gt=0, le=4, description="The most that one rebalance may buy and sell, as a share of equity; the rest waits."
    )
    target_volatility: float | None = Field(
        default=None, gt=0, le=4, description="Weights are scaled down until the yearly volatility of the target is no higher."
    )
    volatility_sessions: int = Field(default=60, ge=10, le=756, description="Over how many sessions that volatility is measured.")
    deployment: Decimal = Field(
        default=Decimal(1), gt=0, le=1, description="The share of the equity that the strategies may use; the rest is left alone."
    )
    cash_reserve: Decimal = Field(default=Decimal("0.005"), ge=0, lt=1, description="Share of the equity that is never invested.")
    minimum_notional: Decimal = Field(default=Decimal(5), ge=1, description="Changes of fewer dollars than this are left alone.")
    fractional: bool = Field(default=True, description="Whether fractions of a share are traded where the broker allows it.")


class ExecutionSettings(Section):
    """How an order is worked: the tactic, its steps, and the bounds that every price and every order keep. See docs/tactics.md."""

    takes_effect: ClassVar[TakesEffect] = AT_THE_NEXT_DECISION

    tactic: TacticChoice = Field(
        default="ladder",
        description="`ladder`: limits that cross more of the spread step by step; `marketable_limit`: limits that take the other side; "
        "`twap`, `vwap`: slices over a window; `moc`, `loc`: the closing auction.",
    )
    symbol_tactics: dict[str, TacticChoice] = Field(
        default_factory=dict, max_length=1_000, description="The tactic of single symbols, before that of the strategy and of `tactic`."
    )
    ladder: tuple[Annotated[Decimal, Field(ge=0, le=2)], ...] = Field(
        default=(Decimal("0.5"), Decimal("0.75"), Decimal(1)),
        min_length=1,
        max_length=20,
        description="The share of the spread that each attempt crosses: 0 joins our own side, 0.5 is the mid, 1 takes the other side.",
    )
    repeg_seconds: float = Field(
        default=5.0, gt=0, le=86_400, description="How long one attempt may stand in quiet times; longer where the spread is wide."
    )
    opening_minutes: float = Field(default=15.0, ge=0, le=390, description="So long after the open an attempt may stand twice as long.")
    closing_minutes: float = Field(default=5.0, ge=0, le=390, description="So long before the close an attempt may stand half as long.")
    replace: bool = Field(
        default=True, description="Whether a limit is moved by a replacement where the broker allows it, instead of cancel and submit."
    )
    through_bps: Decimal = Field(
        default=Decimal(5), ge=0, le=100, description="How far beyond the other side a marketable limit may pay, in basis points."
    )
    marketable_tries: int = Field(default=3, ge=1, le=20, description="How many marketable limits are tried before `fallback` applies.")
    slice_window_seconds: float = Field(default=240.0, gt=0, le=23_400, description="Over how long twap and vwap spread their slices.")
    slices: int = Field(default=4, ge=1, le=100, description="Into how many slices twap and vwap cut an order, if it is large enough.")
    volume_profile: tuple[Annotated[float, Field(gt=0, allow_inf_nan=False)], ...] = Field(
        default=(15.5, 9.0, 7.5, 6.5, 5.8, 5.2, 5.0, 4.8, 5.0, 5.5, 6.2, 8.0, 16.0),
        min_length=1,
        max_length=390,
        description="The volume curve of vwap: what each equal part of the session has of its volume, in any unit. Default: a stylised U "
        "over thirteen half hours, drawn after the literature and not estimated from the symbols.",
    )
    auction_cutoff: Moment = Field(
        default=parse_schedule("close - 10m"), description="From this moment on the broker takes no order for the closing auction."
    )
    loc_limit_bps: Decimal = Field(
        default=Decimal(50), gt=0, le=1000, description="How far from the arrival price a limit-on-close may be filled, in basis points."
    )
    auction_fallback: Literal["ladder", "marketable_limit", "twap", "vwap", "park"] = Field(
        default="ladder",
        description="What takes over where the closing auction cannot be used: too late, less than a share, refused, or sells that pay "
        "for buys.",
    )
    max_slippage_bps: Decimal = Field(
        default=Decimal(100), gt=0, description="No limit goes further than this from the arrival price, in basis points."
    )
    max_displayed_share: Decimal | None = Field(
        default=None,
        gt=0,
        le=100,
        description="The largest part of what the other side displays that one order may take. Default: no bound, because one exchange's "
        "feed shows only a little of what there is.",
    )
    fallback: Literal["market", "leave", "park"] = Field(
        default="market",
        description="The last resort: send a `market` order, `leave` the last limit standing until the deadline, or `park` what is left "
        "until the next decision.",
    )
    order_deadline_seconds: float = Field(
        default=180.0,
        gt=0,
        le=86_400,
        description="How long one intent is worked before the rest of it is parked; buys that wait for sells have twice as long, slices "
        "their window on top.",
    )
    cutoff: Annotated[Moment, AT_ONCE] = Field(
        default=parse_schedule("close - 1m"), description="No order is sent after this moment of the session."
    )
    reconcile_seconds: Annotated[float, AT_ONCE] = Field(
        default=1800.0,
        ge=10,
        le=86_400,
        description="How often orders, positions and cash are compared with the broker's in an open session.",
    )
    reconcile_attempts: Annotated[int, AT_ONCE] = Field(
        default=4, ge=1, le=20, description="How often the broker is asked about a difference before its symbol is parked."
    )
    order_silence_seconds: Annotated[float, AT_ONCE] = Field(
        default=15.0,
        gt=0,
        le=86_400,
        description="How long the order stream may say nothing of an order before it is connected anew and a gap opens.",
    )
