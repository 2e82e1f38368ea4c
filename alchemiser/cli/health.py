"""``alchemiser health``: the running daemon's own word, as an exit code. For container health checks."""

import sys

from alchemiser.cli.daemon_client import ask
from alchemiser.cli.options import ConfigOption, JsonOption, StateOption, load
from alchemiser.domain.errors import NoDaemon, NotReady
from alchemiser.service.view import to_json


def health_command(*, state: StateOption = None, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Exit 0 when the running daemon is live and ready, 8 when it is not, 7 when there is none.

    Example: alchemiser health --state state
    """
    report = ask(load(config, state=state).settings, "/healthz").document
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
