"""``alchemiser run``: the daemon. Reads the settings, asks whether all agree, and hands over."""

import asyncio
from pathlib import Path
from typing import Annotated, Any

import typer
import uvloop

from alchemiser.cli.day_options import read_day
from alchemiser.cli.options import ConfigOption, StateOption, StrategyOption, load, read_strategies
from alchemiser.domain.errors import ConfigError, UsageError
from alchemiser.service.clock import WallClock
from alchemiser.service.deferred import defer
from alchemiser.service.deferred import load as load_attribute
from alchemiser.service.log_repeats import Repeats
from alchemiser.service.logs import configure_logging
from alchemiser.service.safety import require_live_agreement, require_private_door
from alchemiser.service.secrets import SecretMasker, secrets_of
from alchemiser.service.settings import RunOptions, Settings
from alchemiser.service.settings_load import DEFAULT, LoadedSettings

DAEMON = "alchemiser.service.start:run_daemon"


def run_command(
    *,
    embedded: Annotated[bool, typer.Option("--embedded", help="Trade on the embedded exchange. The default without credentials.")] = False,
    paper: Annotated[bool, typer.Option("--paper", help="Trade Alpaca's paper account. The default with credentials.")] = False,
    live: Annotated[bool, typer.Option("--live", help="Agree to trade real money; the settings must say so too.")] = False,
    strategy: StrategyOption = None,
    state: StateOption = None,
    config: ConfigOption = None,
    bars: Annotated[Path | None, typer.Option(metavar="DIR", help="Embedded: folder with one SYMBOL.csv or SYMBOL.parquet each.")] = None,
    start: Annotated[str | None, typer.Option(metavar="YYYY-MM-DD", help="Embedded: the first session.")] = None,
    days: Annotated[int | None, typer.Option(metavar="N", min=1, help="Embedded: end after N sessions.")] = None,
    speed: Annotated[str | None, typer.Option(metavar="X", help="Embedded: market seconds per second, or leap.")] = None,
) -> None:
    """Run the daemon until it is told to stop, or the embedded market ends.

    Example: alchemiser run --embedded --days 5 --state state
    """
    if embedded + paper + live > 1:
        raise UsageError("--embedded, --paper and --live exclude one another; give one of them")
    overrides: dict[str, Any] = {
        "alpaca.mode": "embedded" if embedded else "paper" if paper else None,
        "embedded.bars": bars,
        "embedded.speed": speed,
        "strategies": read_strategies(strategy),
    }
    loaded = load(config, state=state, overrides=overrides)
    settings = loaded.settings
    _check_whole_key(loaded)
    options = RunOptions(live_agreed=live, start=read_day("--start", start), days=days)
    _check_agreement(settings, options, {"--bars": bars, "--start": start, "--days": days, "--speed": speed})

    masker = SecretMasker(secrets_of(settings))
    repeats = Repeats(WallClock())

    def read_settings() -> Settings:
        # The file of the start by its name: that it has gone meanwhile must not be read as a wish for the defaults.
        found = load(loaded.file or config, state=state, overrides=overrides).settings
        masker.add(secrets_of(found))
        return found

    def log_by(found: Settings) -> None:
        configure_logging(level=found.service.log_level, style=found.service.log_format, masker=masker, repeats=repeats)

    log_by(settings)
    defer("numpy")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        run_daemon = load_attribute(DAEMON)
        told = {"masker": masker, "read_settings": read_settings, "log_by": log_by, "tell_repeats": repeats.tell_all}
        code = runner.run(repeats.beside(run_daemon(settings, options, **told)))
    raise typer.Exit(code)


def _check_whole_key(loaded: LoadedSettings) -> None:
    """Refuse half a key where the mode hangs on the key: a misspelt name would be a run on the embedded exchange that nobody asked for."""
    alpaca = loaded.settings.alpaca
    missing = "APCA_API_SECRET_KEY" if alpaca.key_id else "APCA_API_KEY_ID"
    if loaded.places["alpaca.mode"] == DEFAULT and bool(alpaca.key_id) != bool(alpaca.secret_key):
        raise ConfigError(f"half of the credentials is given and {missing} is not; set both, or say --embedded; nothing was started")


def _check_agreement(settings: Settings, options: RunOptions, embedded_options: dict[str, Any]) -> None:
    mode = settings.alpaca.mode
    require_live_agreement(settings, live_agreed=options.live_agreed)
    require_private_door(settings)
    given = [name for name, value in embedded_options.items() if value is not None]
    if mode != "embedded" and given:
        raise UsageError(f"{', '.join(given)}: only the embedded market has this, and the mode is {mode}; add --embedded or leave it out")
    if mode != "embedded" and not settings.alpaca.has_credentials:
        raise ConfigError(
            f"{mode} trading needs credentials: set APCA_API_KEY_ID and APCA_API_SECRET_KEY, or give secret files of those names; "
            "nothing was started"
        )
