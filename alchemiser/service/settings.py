"""Every setting of the daemon: its type, its default, its meaning.

The tree is one typed value, read in one place (``load_settings``) and frozen from then on. A key that is not in it, a value of the wrong
type and shares that do not add up are ``ConfigError``; nothing is guessed. The descriptions here are the text of ``docs/settings.md``.
"""

from datetime import date
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Literal, get_args, get_origin

import msgspec
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    SecretStr,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from alchemiser.domain.activities import LotMethod
from alchemiser.market.schedule import Schedule, parse_schedule
from alchemiser.service.settings_sources import Layer, LayerSource, WrittenText

ALLOCATION_TOLERANCE: Final = Decimal("1e-9")
"""How far from 1 the shares of the strategies may add up."""

_SPEED_AT_MOST: Final = 100_000

Mode = Literal["embedded", "paper", "live"]
TacticChoice = Literal["ladder", "marketable_limit", "twap", "vwap", "moc", "loc"]


def _moment(value: object) -> Schedule:
    return value if isinstance(value, Schedule) else parse_schedule(str(value))


def _address(value: str) -> str:
    host, separator, port = value.rpartition(":")
    if not (separator and host and port.isdecimal() and int(port) <= 65535):
        raise ValueError("expected host:port, for example 127.0.0.1:8080")
    return value


def _url(value: str) -> str:
    scheme, separator, rest = value.partition("://")
    if not separator or not rest or scheme not in ("http", "https", "ws", "wss"):
        raise ValueError("expected a URL that begins with https://, http://, wss:// or ws://")
    return value.rstrip("/")


def _speed(value: object) -> Decimal | Literal["leap"]:
    if value == "leap":
        return "leap"
    try:
        speed = Decimal(str(value))
    except InvalidOperation:
        speed = Decimal(0)
    if not speed.is_finite() or not 0 < speed <= _SPEED_AT_MOST:
        raise ValueError(f"expected 'leap' or a number above 0 and up to {_SPEED_AT_MOST}")
    return speed


Moment = Annotated[Schedule, PlainValidator(_moment), PlainSerializer(str)]
Speed = Annotated[Decimal | Literal["leap"], PlainValidator(_speed)]
Address = Annotated[str, AfterValidator(_address)]
Url = Annotated[str, AfterValidator(_url)]


class Section(BaseModel):
    """One table of the settings."""

    # The whole tree is compiled once, with the settings; each section for itself would double the time of every start.
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    @field_validator("*", mode="before")
    @classmethod
    def _keep_types_apart(cls, value: object, info: ValidationInfo) -> object:
        """Refuse what pydantic would quietly convert: text for a number, true for a count.

        Text from the environment and from secret files was never anything else, and is converted.
        """
        assert info.field_name is not None
        kinds = _kinds(cls.model_fields[info.field_name].annotation)
        if isinstance(value, WrittenText):
            return value.split(",") if tuple in kinds else value
        for part in value if isinstance(value, list | tuple) else (value,):
            if isinstance(part, str) and kinds & _NUMBERS and not kinds & {str, Literal}:
                raise ValueError("expected a number, found text")
            if isinstance(part, str) and kinds == {bool}:
                raise ValueError("expected true or false, found text")
            if isinstance(part, bool) and kinds & _NUMBERS:
                raise ValueError("expected a number, found true or false")
            if not isinstance(part, bool) and kinds == {bool}:
                raise ValueError("expected true or false, found a number")
        return value


_NUMBERS: Final = frozenset({int, float, Decimal})


def _kinds(annotation: Any) -> set[object]:
    """Return the plain types that a field's annotation is made of; ``Literal`` stands for its words."""
    origin = get_origin(annotation)
    if origin is None:
        return {annotation} - {type(None), Ellipsis}
    if origin is Literal:
        return {Literal}
    parts = (get_args(annotation)[0],) if origin is Annotated else get_args(annotation)
    return {kind for part in parts for kind in _kinds(part)} | ({tuple} if origin is tuple else set())


class AlpacaSettings(Section):
    """Which account is traded, and where the broker is."""

    hosts: ClassVar[dict[str, dict[str, str]]] = {
        "paper": {
            "trading_url": "https://paper-api.alpaca.markets",
            "data_url": "https://data.alpaca.markets",
            "trading_stream_url": "wss://paper-api.alpaca.markets/stream",
            "data_stream_url": "wss://stream.data.alpaca.markets/v2/{feed}",
        },
        "live": {
            "trading_url": "https://api.alpaca.markets",
            "data_url": "https://data.alpaca.markets",
            "trading_stream_url": "wss://api.alpaca.markets/stream",
            "data_stream_url": "wss://stream.data.alpaca.markets/v2/{feed}",
        },
    }

    mode: Mode = Field(
        default="embedded",
        description="`embedded` trades on our own exchange, `paper` and `live` at Alpaca. Without it: `paper` when credentials "
        "are given, else `embedded`. `live` also needs `--live` and `account_number`.",
    )
    feed: Literal["iex", "sip", "delayed_sip"] = Field(
        default="iex", description="The market-data feed; `sip` needs a data subscription at Alpaca."
    )
    trading_url: Url | None = Field(
        default=None, description="Base of the trading REST API. Default: the host of the mode; embedded: our exchange."
    )
    data_url: Url | None = Field(default=None, description="Base of the market-data REST API. Default: Alpaca's; embedded: our exchange.")
    trading_stream_url: Url | None = Field(default=None, description="Complete address of the order stream. Default: the host of the mode.")
    data_stream_url: Url | None = Field(
        default=None, description="Complete address of the market-data stream. Default: Alpaca's, with the feed."
    )
    key_id: SecretStr | None = Field(default=None, description="The key id; also `APCA_API_KEY_ID`. Keep it out of the settings file.")
    secret_key: SecretStr | None = Field(
        default=None, description="The secret key; also `APCA_API_SECRET_KEY`. Keep it out of the settings file."
    )
    account_number: str | None = Field(
        default=None, description="The account that may be traded live: it must equal the one that Alpaca reports."
    )
    request_deadline_seconds: float = Field(
        default=10.0, gt=0, le=120, description="Total time that one REST request may take, wall seconds."
    )

    @model_validator(mode="before")
    @classmethod
    def _fill_in_what_the_mode_implies(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        has_credentials = bool(data.get("key_id")) and bool(data.get("secret_key"))
        mode = data.get("mode") or ("paper" if has_credentials else "embedded")
        feed = data.get("feed") or cls.model_fields["feed"].default
        implied = {key: url.format(feed=feed) for key, url in cls.hosts.get(str(mode), {}).items()}
        return {**implied, **{key: value for key, value in data.items() if value is not None}, "mode": mode}

    @property
    def has_credentials(self) -> bool:
        """Whether both parts of the key are there."""
        return bool(self.key_id and self.secret_key)


class ServiceSettings(Section):
    """The process: its state, its door, its logs, its end."""

    state: Path = Field(default=Path("state"), description="Directory of the journal and of `http.json`. One daemon per directory.")
    http: Address = Field(
        default="127.0.0.1:8080", description="Address of health, metrics and API; port 0 picks one and writes it to `STATE/http.json`."
    )
    token: SecretStr | None = Field(
        default=None,
        description="Bearer token of the control requests. Without it they are refused, and so is any address wider than loopback.",
    )
    log_format: Literal["auto", "json", "pretty"] = Field(
        default="auto", description="`auto` is `pretty` on a terminal and `json` elsewhere."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="The least severe log line that is written."
    )
    stop_seconds: float = Field(default=10.0, gt=0, le=300, description="How long an orderly stop may take in all.")
    cancel_orders_on_stop: bool = Field(default=True, description="Whether open orders are cancelled when the daemon stops.")
    turn_limit_seconds: float = Field(
        default=5.0, gt=0, description="Live means: the bus has turned round within this time. Feeds the watchdog too."
    )


class StrategySettings(Section):
    """One strategy and its share of the account. The name of the table is the name of the strategy."""

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

    decision: Moment = Field(
        default=parse_schedule("close - 10m"),
        description="The moment of each session: `close - 10m`, `open + 5m`, or a New York time such as `15:50`.",
    )


class MarketSettings(Section):
    """What the daemon wants to know of the market."""

    history_sessions: int = Field(default=756, ge=1, le=10_000, description="Daily bars kept per symbol, unless a strategy needs more.")
    quote_max_age_seconds: float = Field(default=30.0, gt=0, description="A quote older than this prices no order.")
    silence_seconds: float = Field(
        default=90.0, gt=0, description="How long the market stream may bring nothing in an open session before it is connected anew."
    )


class DataSettings(Section):
    """The history of bars on this machine."""

    store: Path | None = Field(
        default=None,
        description="Folder of the bar store (`alchemiser data`). The daemon takes its daily history from it and asks the broker only "
        "for what is missing; commands without `--bars` read it. The embedded market does not write to it.",
    )


class GroupSettings(Section):
    """Symbols that are limited together."""

    symbols: tuple[str, ...] = Field(min_length=1, max_length=500, description="The symbols of the group.")
    max_weight: float = Field(gt=0, le=4, description="The largest share of the equity that they may have together.")


class PortfolioSettings(Section):
    """From target weights to wanted changes."""

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
        default=5.0, gt=0, description="How long one attempt may stand in quiet times; longer where the spread is wide."
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
        description="How long one intent is worked before the rest of it is parked; buys that wait for sells have twice as long, slices "
        "their window on top.",
    )
    cutoff: Moment = Field(default=parse_schedule("close - 1m"), description="No order is sent after this moment of the session.")
    reconcile_seconds: float = Field(
        default=1800.0,
        ge=10,
        description="How often orders, positions and cash are compared with the broker's in an open session.",
    )
    reconcile_attempts: int = Field(
        default=4, ge=1, le=20, description="How often the broker is asked about a difference before its symbol is parked."
    )
    order_silence_seconds: float = Field(
        default=15.0, gt=0, description="How long the order stream may say nothing of an order before it is connected anew and a gap opens."
    )


class GuardSettings(Section):
    """One guard."""

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
    guards: GuardsSettings = Field(default_factory=dict, validate_default=True)


class SpinOffSettings(Section):
    """What a person says of one spin-off: no broker tells how the cost is parted."""

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

    lots: LotMethod = Field(
        default=LotMethod.FIFO,
        description="Which lots a sale closes first: the oldest, the newest, those that cost most for a share, or those named in "
        "`ledger.specific` and then the oldest. It holds for sales from the next start on.",
    )
    specific: dict[str, tuple[str, ...]] = Field(
        default_factory=dict,
        description='With `lots = "specific"`: by symbol the lots to be sold first, in that order, by the id of the execution that '
        "bought them, as `alchemiser ledger export` writes it.",
    )

    spin_offs: dict[str, SpinOffSettings] = Field(
        default_factory=dict, description="What the cost of spun-off shares is, by their symbol; without a word of it they cost nothing."
    )


class JournalSettings(Section):
    """The durable record."""

    group_commit_milliseconds: float = Field(
        default=2.0, ge=0, le=1000, description="How long a commit waits for company; durability is not affected."
    )
    snapshot_events: int = Field(
        default=10_000,
        ge=0,
        description="After so many events the state is written down besides the ends of sessions and an orderly stop; 0 for never.",
    )


class NotificationSettings(Section):
    """Who is told what needs a person: mail, chat, webhooks. Needs the extra `notify`."""

    urls: tuple[SecretStr, ...] = Field(
        default=(),
        max_length=20,
        description="Where messages go, each an address of apprise: `mailto://user:password@host`, `slack://...`, `json://host/path`. They "
        "hold passwords: keep them out of the settings file.",
    )
    level: Literal["info", "warning", "error"] = Field(default="warning", description="The least severe news that is sent.")
    digest: bool = Field(default=True, description="Whether a summary is sent at the end of each session.")
    repeat_seconds: float = Field(default=3600.0, ge=0, description="The same news is not sent again within this time.")
    at_most_per_hour: int = Field(default=20, ge=1, le=1_000, description="More messages than this are held back and counted.")


class EmbeddedSettings(Section):
    """The embedded exchange."""

    cash: Decimal = Field(default=Decimal(100_000), gt=0, description="Dollars in the account at first.")
    seed: int = Field(default=1, ge=0, description="Seed of the market's path: the same seed, the same market.")
    speed: Speed = Field(
        default="leap",
        description="Market seconds per wall second, or `leap`: over quiet stretches, and 20 while anything is in progress.",
    )
    bars: Path | None = Field(
        default=None, description="Folder with one `SYMBOL.csv` or `.parquet` per symbol. Without it the market is synthetic."
    )
    splits: bool = Field(
        default=True,
        description="Trade each day in its own units: shares split over night, those of the bars or invented ones. Without it the market "
        "is in the units of its bars throughout.",
    )
    halts: bool = Field(
        default=False,
        description="Let symbols stand still now and then, by seed: five minutes for volatility, ten to sixty for news.",
    )
    recordings: Path | None = Field(
        default=None,
        description="Recorded minute bars, quotes and trades, a file or a folder: days that are in it are played as they were, on top of "
        "`embedded.bars`.",
    )
    dividends: bool = Field(
        default=False,
        description="Pay the dividends of the bars, or invented ones, in cash. The paper engine that it stands for pays none.",
    )


class Settings(BaseSettings):
    """All settings. Made by ``load_settings``; ``Settings()`` is the defaults and reads nothing from anywhere."""

    model_config = SettingsConfigDict(extra="forbid", frozen=True)

    alpaca: AlpacaSettings = Field(default_factory=dict, validate_default=True)
    service: ServiceSettings = Field(default_factory=dict, validate_default=True)
    strategies: dict[str, StrategySettings] = Field(
        default_factory=lambda: {"tecl": {}}, validate_default=True, min_length=1, max_length=64, description="What is traded."
    )
    schedule: ScheduleSettings = Field(default_factory=dict, validate_default=True)
    market: MarketSettings = Field(default_factory=dict, validate_default=True)
    data: DataSettings = Field(default_factory=dict, validate_default=True)
    portfolio: PortfolioSettings = Field(default_factory=dict, validate_default=True)
    execution: ExecutionSettings = Field(default_factory=dict, validate_default=True)
    risk: RiskSettings = Field(default_factory=dict, validate_default=True)
    ledger: LedgerSettings = Field(default_factory=dict, validate_default=True)
    journal: JournalSettings = Field(default_factory=dict, validate_default=True)
    notifications: NotificationSettings = Field(default_factory=dict, validate_default=True)
    embedded: EmbeddedSettings = Field(default_factory=dict, validate_default=True)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take values from keyword arguments and then from the layers handed in, highest first; never from the process's surroundings."""
        given = dict(init_settings())
        layers: tuple[Layer, ...] = given.pop("layers", ())
        own = Layer(name="arguments", values=given)
        return tuple(LayerSource(settings_cls, layer) for layer in (own, *layers))

    @model_validator(mode="after")
    def _shares_add_up(self) -> "Settings":
        given = {name: strategy.allocation for name, strategy in self.strategies.items() if strategy.allocation is not None}
        if given and len(given) != len(self.strategies):
            missing = ", ".join(name for name in self.strategies if name not in given)
            raise ValueError(f"strategies: every strategy or none gives an allocation; {missing} gives none")
        total = sum(given.values(), Decimal(0))
        if given and abs(total - 1) > ALLOCATION_TOLERANCE:
            parts = " + ".join(f"{name} {share}" for name, share in given.items())
            raise ValueError(f"strategies: allocations must add up to 1, found {total} ({parts})")
        return self

    def allocations(self) -> dict[str, Decimal]:
        """Return each strategy's share of the equity, in the order of the settings; they add up to 1 within 1e-9."""
        equal = Decimal(1) / len(self.strategies)
        return {name: equal if strategy.allocation is None else strategy.allocation for name, strategy in self.strategies.items()}


class RunOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What ``alchemiser run`` was told beyond the settings.

    ``live_agreed`` is the ``--live`` flag. ``start`` and ``days`` belong to the embedded market: the first session and how many of them are
    traded; without ``days`` it goes on until it is stopped or the bars end.
    """

    live_agreed: bool = False
    start: date | None = None
    days: int | None = None
