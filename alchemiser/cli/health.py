"""``alchemiser health``: the running daemon's own word, as an exit code. For container health checks."""

import sys
import time
from contextlib import suppress
from typing import Annotated, Final

import typer

from alchemiser.cli.daemon_client import ask
from alchemiser.cli.options import ConfigOption, JsonOption, StateOption, load
from alchemiser.domain.errors import NoDaemon, NotReady
from alchemiser.service.view import to_json

LOOK_SECONDS: Final = 0.5
"""How often ``--wait`` looks."""


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
    until = time.monotonic() + wait
    while time.monotonic() < until:
        with suppress(NoDaemon):
            report = ask(settings, "/healthz").document
            if report.get("live") and report.get("ready"):
                break
        time.sleep(LOOK_SECONDS)
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
