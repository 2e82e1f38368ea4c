"""``alchemiser doctor``: everything that would stop a good start, with what to do about it."""

import asyncio
import sys

import typer

from alchemiser.cli.options import ConfigOption, JsonOption, StateOption, load
from alchemiser.cli.tables import table
from alchemiser.domain.errors import ConfigError
from alchemiser.service.checkup import Finding, check_up
from alchemiser.service.clock import WallClock
from alchemiser.service.view import to_json


def doctor_command(*, state: StateOption = None, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Check settings, credentials, strategies, state, journal, port, venue, clock and calendar. Changes nothing.

    Ends with the exit code that run would end with because of the first problem.

    Example: alchemiser doctor --json
    """
    try:
        findings = asyncio.run(check_up(load(config, state=state), WallClock()))
    except ConfigError as error:
        lines = str(error).splitlines()
        findings = [Finding(check="settings", verdict="problem", text=line, remedy="mend it", exit_code=error.exit_code) for line in lines]
    problems = [finding for finding in findings if finding.verdict == "problem"]
    if as_json:
        sys.stdout.buffer.write(to_json({"ok": not problems, "findings": findings}) + b"\n")
    else:
        rows = [{"": finding.verdict, "check": finding.check, "found": finding.text, "remedy": finding.remedy} for finding in findings]
        sys.stdout.write(table(rows))
    if problems:
        raise typer.Exit(problems[0].exit_code)
