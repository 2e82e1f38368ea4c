"""Every setting of the daemon: its type, its default, its meaning.

The tree is one typed value, read in one place (``load_settings``) and frozen from then on. A key that is not in it, a value of the wrong
type and shares that do not add up are ``ConfigError``; nothing is guessed. The descriptions here are the text of ``docs/settings.md``.
"""

from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, ClassVar, Final, Literal

import msgspec
from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from alchemiser.service.settings_risk import LedgerSettings, RiskSettings
from alchemiser.service.settings_section import AT_ONCE, Address, Mode, Section, Speed, TakesEffect, Url, at_the_next_start
from alchemiser.service.settings_sources import Layer, LayerSource
from alchemiser.service.settings_trading import (
    DataSettings,
    ExecutionSettings,
    MarketSettings,
    PortfolioSettings,
    ScheduleSettings,
    StrategySettings,
)

ALLOCATION_TOLERANCE: Final = Decimal("1e-9")
"""How far from 1 the shares of the strategies may add up."""


class AlpacaSettings(Section):
    """Which account is traded, and where the broker is."""

    takes_effect: ClassVar[TakesEffect] = at_the_next_start(
        "the connections to the broker, and the lock on the account, are made at the start"
    )

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
    key_id: Annotated[SecretStr | None, AT_ONCE] = Field(
        default=None, description="The key id; also `APCA_API_KEY_ID`. Keep it out of the settings file."
    )
    secret_key: Annotated[SecretStr | None, AT_ONCE] = Field(
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

    takes_effect: ClassVar[TakesEffect] = AT_ONCE

    state: Annotated[Path, at_the_next_start("the journal is open there")] = Field(
        default=Path("state"), description="Directory of the journal and of `http.json`. One daemon per directory."
    )
    http: Annotated[Address, at_the_next_start("the door is open there")] = Field(
        default="127.0.0.1:8080", description="Address of health, metrics and API; port 0 picks one and writes it to `STATE/http.json`."
    )
    token: SecretStr | None = Field(
        default=None,
        description="Bearer token of the control requests. Without it they are refused, and so is any address wider than loopback.",
    )
    keyring: str | None = Field(
        default=None,
        description="Name of a service in the machine's key ring that holds secrets, named like secret files (`apca_api_key_id`, ...). "
        "Needs the extra `keyring`.",
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
        default=5.0, gt=0, le=3_600, description="Live means: the bus has turned round within this time. Feeds the watchdog too."
    )

    @field_validator("token")
    @classmethod
    def _fits_into_a_header(cls, token: SecretStr | None) -> SecretStr | None:
        if token is not None and not (token.get_secret_value().isprintable() and token.get_secret_value().strip()):
            raise ValueError("a token that fits into a line: printable characters, and at least one of them")
        return token


class JournalSettings(Section):
    """The durable record."""

    takes_effect: ClassVar[TakesEffect] = AT_ONCE

    group_commit_milliseconds: Annotated[float, at_the_next_start("the writer of the journal is made with it")] = Field(
        default=2.0, ge=0, le=1000, description="How long a commit waits for company; durability is not affected."
    )
    snapshot_events: int = Field(
        default=10_000,
        ge=0,
        description="After so many events the state is written down besides the ends of sessions and an orderly stop, or when the "
        "rebalance in progress has ended; 0 for never.",
    )
    retention_days: int = Field(
        default=0,
        ge=0,
        le=36_500,
        description="Events older than this are moved into `journal.archive.sqlite` after each session, where every command still finds "
        "them; 0 keeps them all in the journal. `alchemiser journal compact` does the same by hand.",
    )
    archive_days: int = Field(
        default=0,
        ge=0,
        le=36_500,
        description="Events of the archive that are older than this are deleted for good after each session; 0 keeps them. Tax returns, "
        "`journal replay` and an upgrade that folds events anew need them.",
    )

    @model_validator(mode="after")
    def _archives_longer_than_it_keeps(self) -> "JournalSettings":
        if 0 < self.archive_days < self.retention_days or (self.archive_days and not self.retention_days):
            raise ValueError("archive_days is counted from the event, so it must not be less than retention_days, which must be set too")
        return self


class NotificationSettings(Section):
    """Who is told what needs a person: mail, chat, webhooks. Needs the extra `notify`."""

    takes_effect: ClassVar[TakesEffect] = AT_ONCE

    urls: tuple[SecretStr, ...] = Field(
        default=(),
        max_length=20,
        description="Where messages go, each an address of apprise: `mailto://user:password@host`, `slack://...`, `json://host/path`. They "
        "hold passwords: keep them out of the settings file.",
    )
    level: Literal["info", "warning", "error"] = Field(default="warning", description="The least severe news that is sent.")
    digest: bool = Field(default=True, description="Whether a summary is sent at the end of each session.")
    repeat_seconds: float = Field(default=3600.0, ge=0, le=31_536_000, description="The same news is not sent again within this time.")
    at_most_per_hour: int = Field(default=20, ge=1, le=1_000, description="More messages than this are held back and counted.")


class EmbeddedSettings(Section):
    """The embedded exchange."""

    takes_effect: ClassVar[TakesEffect] = at_the_next_start("the exchange is made at the start")

    cash: Decimal = Field(default=Decimal(100_000), gt=0, le=10**12, description="Dollars in the account at first.")
    seed: int = Field(
        default=1,
        ge=0,
        description="Seed of the market's path: the same seed, the same market. A state directory keeps the one it began with.",
    )
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
