"""``alchemiser health``: the running daemon's own word, as an exit code. For container health checks."""

import asyncio
import sys
from contextlib import suppress
from typing import Annotated, Any, Final

import typer

from alchemiser.cli.daemon_client import ask
from alchemiser.cli.options import ConfigOption, JsonOption, StateOption, load
from alchemiser.domain.errors import NoDaemon, NotReady
from alchemiser.service.deferred import load as load_attribute
from alchemiser.service.settings import Settings
from alchemiser.service.view import to_json

LOOK_SECONDS: Final = 0.5
"""How long ``--wait`` waits for an event before it looks again."""

WATCH: Final = "alchemiser.cli.daemon_watch:watch"
CLOCK: Final = "alchemiser.service.clock:WallClock"


def health_command(
    *,
    wait: Annotated[float, typer.Option("--wait", metavar="SECONDS", min=0, help="Wait so long for a daemon that is starting.")] = 0.0,
    state: StateOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Exit 0 when the running daemon is live and ready, 8 when it is not, 7 when there is none.

    Example: alchemiser health --state state --wait 30
    """
    settings = load(config, state=state).settings
    if wait:
        asyncio.run(_wait_until_ready(settings, wait))
    report = ask(settings, "/healthz").document
    if "live" not in report:
        raise NoDaemon("something answers there, but it is not the daemon; check service.http and the state directory")
    if as_json:
        sys.stdout.buffer.write(to_json(report) + b"\n")
    reasons = [f"{reason['code']}: {reason['text']}" for reason in report.get("reasons", [])]
    if not (report.get("live") and report.get("ready")):
        word = "live but not ready" if report.get("live") else "not live"
        raise NotReady("; ".join([f"the daemon is {word}", *reasons]))
    if not as_json:
        sys.stdout.write("live and ready\n")


async def _wait_until_ready(settings: Settings, seconds: float) -> None:
    """Return when the daemon is ready, or after so many seconds: woken by its events once it has said where it listens."""

    def is_ready(look: Any) -> bool:
        report = look.documents.get("/healthz", {})
        return bool(report.get("live") and report.get("ready"))

    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await load_attribute(WATCH)(settings, load_attribute(CLOCK)(), ["/healthz"], is_ready, quiet_seconds=LOOK_SECONDS)
