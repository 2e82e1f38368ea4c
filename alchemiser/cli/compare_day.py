"""``alchemiser compare-day``: how far each strategy's session was from its backtest, and why."""

import json
import sys
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any

import typer

from alchemiser.cli.ask import answer
from alchemiser.cli.day_options import day_named
from alchemiser.cli.options import ConfigOption, JsonOption, StateOption, load
from alchemiser.cli.tables import table
from alchemiser.service.day_view import compared_session
from alchemiser.service.offline import JOURNAL_FILE
from alchemiser.service.settings import Settings
from alchemiser.service.view import to_json

Document = Mapping[str, Any]


def compare_day_command(
    *,
    session: Annotated[
        str | None, typer.Option("--session", metavar="YYYY-MM-DD", help="That session, from the journal. Default: the last one.")
    ] = None,
    state: StateOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show how far the last session of each strategy was from its backtest, in basis points of its capital, and which parts that has.

    Example: alchemiser compare-day --json
    """
    settings = load(config, state=state).settings
    found = _of_session(session, settings) if session is not None else answer("pnl", settings).get("live_against_backtest")
    if as_json:
        sys.stdout.buffer.write(to_json(found) + b"\n")
    else:
        sys.stdout.write(compare_day_text(found))


def compare_day_text(day: Document | None) -> str:
    """Return the comparison as a person reads it: a line per strategy with its parts, then what was decided otherwise or not compared."""
    if day is None:
        return "No session has been compared with its backtest yet: that is done when one has ended.\n"
    compared = {name: one for name, one in day["strategies"].items() if one["reason"] is None}
    lines = [f"{day['session']}, live against backtest, in basis points of the capital; the limit is {day['limit_bps']}"]
    if compared:
        rows = [
            {
                "strategy": name,
                "live": _bps(one["live_bps"]),
                "backtest": _bps(one["backtest_bps"]),
                "difference": _bps(one["difference_bps"]),
            }
            | {part: _bps(amount["bps"]) for part, amount in one["parts"].items()}
            | {"dollars": f"{Decimal(one['difference']):+z,.2f}", "": "beyond the limit" if name in day["beyond"] else ""}
            for name, one in compared.items()
        ]
        lines += ["", table(rows).rstrip("\n")]
    for name, one in day["strategies"].items():
        for symbol, weights in one["other_weights"].items():
            live, backtest = (_weight(weights[side]) for side in ("live", "backtest"))
            lines.append(f"{name} decided otherwise of {symbol}: {live} live, {backtest} in the backtest")
        if one["reason"] is not None:
            lines.append(f"{name} was not compared: {one['reason']}")
    return "\n".join(lines) + "\n"


def _of_session(text: str, settings: Settings) -> Document:
    session = day_named("--session", text)
    found: Document = json.loads(to_json(compared_session(settings.service.state / JOURNAL_FILE, session)))
    return found


def _bps(value: Any) -> str:
    return f"{Decimal(value):+z.2f}"


def _weight(weight: float | None) -> str:
    return "no target" if weight is None else f"{weight:.4%}"
