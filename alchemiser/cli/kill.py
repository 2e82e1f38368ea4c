"""``alchemiser kill``: everything is cancelled and, if so asked, sold; by the daemon, or without it when it does not answer."""

import asyncio
import json
import sys
from typing import Annotated, Any, Final

import typer

from alchemiser.cli.control import ReasonOption
from alchemiser.cli.daemon_client import ask, tell
from alchemiser.cli.options import ConfigOption, JsonOption, StateOption, load
from alchemiser.cli.tables import render
from alchemiser.domain.errors import AlchemiserError, ConfigError, NoDaemon, SafetyRefused
from alchemiser.execution.kill import KillReport
from alchemiser.service.kill_direct import kill_directly
from alchemiser.service.kill_record import SWITCH_FILE
from alchemiser.service.settings import Settings
from alchemiser.service.view import to_json

ANSWER_SECONDS: Final = 20.0
"""How long the daemon has for its answer before the venue is told directly: it waits for its own kill for less."""

KNOCK_SECONDS: Final = 3.0
"""How long a daemon has to show that its loop turns: one that is stuck should not cost twenty seconds when it matters most."""

UNFINISHED: Final = 5


def kill_command(
    *,
    flatten: Annotated[bool, typer.Option("--flatten", help="Sell everything the strategies hold, too, at market.")] = False,
    direct: Annotated[bool, typer.Option("--direct", help="Do not ask the daemon: tell the venue from here.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before selling.")] = False,
    reason: ReasonOption = "operator",
    state: StateOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Cancel every open order of the account, halt, and say what was done and what could not be. It works while the daemon is stuck.

    A daemon that does not answer, or refuses, is passed over: the venue is told from here, with the credentials of the settings.

    Example: alchemiser kill --flatten --yes --reason "something is very wrong"
    """
    settings = load(config, state=state).settings
    if flatten and not yes:
        typer.confirm("Sell everything the strategies hold, at market?", abort=True, err=True)
    done = None if direct else _by_the_daemon(settings, reason, flatten=flatten)
    if done is None:
        done = _from_here(settings, reason, flatten=flatten)
    if as_json:
        sys.stdout.buffer.write(to_json(done) + b"\n")
    else:
        sys.stdout.write(render(done))
    if not done["kill"]["is_over"] or done["kill"]["could_not"]:
        raise typer.Exit(UNFINISHED)


def _by_the_daemon(settings: Settings, reason: str, *, flatten: bool) -> dict[str, Any] | None:
    """Have the daemon do it; ``None`` when it does not, and the venue can be told from here."""
    try:
        ask(settings, "/livez", deadline_seconds=KNOCK_SECONDS)
        return tell(settings, "kill", {"reason": reason, "flatten": flatten}, deadline_seconds=ANSWER_SECONDS)
    except AlchemiserError as error:  # Whatever it is, the switch is pulled all the same.
        if settings.alpaca.mode == "embedded" and settings.alpaca.trading_url is None:
            if isinstance(error, NoDaemon):
                raise
            other_ways = f"the file {settings.service.state / SWITCH_FILE}, or SIGUSR1 to the daemon, pulls the switch without a token"
            raise SafetyRefused(f"{error}; {other_ways}") from error
        sys.stderr.write(f"alchemiser: {error}; the venue is told from here\n")
        return None


def _from_here(settings: Settings, reason: str, *, flatten: bool) -> dict[str, Any]:
    found: list[KillReport] = []
    try:
        report = asyncio.run(kill_directly(settings, reason, flattens=flatten, watch=found.append))
    except KeyboardInterrupt:
        if not found:
            raise ConfigError("interrupted before anything was asked of the venue") from None
        report = found[0]
        report.could_not.append("it was interrupted before its end; the next start of the daemon carries on")
    found_out: dict[str, Any] = json.loads(to_json({"action": "kill", "accepted": True, "direct": True, "kill": report}))
    return found_out
