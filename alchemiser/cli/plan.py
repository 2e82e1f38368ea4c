"""``alchemiser plan``: what would be traded now, what it would cost, and what our own checks refuse. It sends nothing."""

import asyncio
import json
import sys
from collections.abc import Mapping
from datetime import date
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from alchemiser.cli.daemon_client import PLAN_DEADLINE_SECONDS, ask, refusal_of
from alchemiser.cli.day_options import read_day
from alchemiser.cli.options import ConfigOption, JsonOption, StateOption, StrategyOption, load, read_strategies
from alchemiser.cli.price_files import read_history
from alchemiser.cli.tables import table
from alchemiser.domain.errors import NoDaemon, UsageError
from alchemiser.service.preview_sources import preview_at_venue, preview_on_bars
from alchemiser.service.roster import load_roster
from alchemiser.service.settings import Settings
from alchemiser.service.view import to_json

FAILED = 3
CASH = Decimal(100_000)


def plan_command(
    *,
    strategy: StrategyOption = None,
    bars: Annotated[Path | None, typer.Option(metavar="DIR", help="Plan on the closes of a folder, from cash, without any venue.")] = None,
    as_of: Annotated[str | None, typer.Option(metavar="YYYY-MM-DD", help="With --bars: the day. Default: the last one with a bar.")] = None,
    cash: Annotated[str | None, typer.Option(metavar="DOLLARS", help="With --bars: what the account has. Default: 100000.")] = None,
    state: StateOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what would be traded now: orders, costs, crossings, and what was refused or adjusted. Nothing is sent.

    The running daemon is asked; without one the venue, with the credentials of the settings and the books of the journal.

    Example: alchemiser plan --strategy tecl --bars data/daily --as-of 2025-03-31
    """
    settings = load(config, state=state, overrides={"strategies": read_strategies(strategy)}).settings
    if bars is None and (as_of is not None or cash is not None):
        raise UsageError("--as-of and --cash belong to a plan on a folder of prices; name it with --bars DIR")
    if bars is not None:
        found = _on_bars(settings, bars, read_day("--as-of", as_of), _dollars(cash))
    elif strategy is not None:
        raise UsageError("--strategy is for a plan on a folder of prices; the account's own plan follows the settings")
    else:
        found = _of_the_account(settings)
    if as_json:
        sys.stdout.buffer.write(to_json(found) + b"\n")
    else:
        sys.stdout.write(_text(json.loads(to_json(found))))
    if found["reason"] is not None or any(_status(one) != "ok" for one in found["strategies"]):
        raise typer.Exit(FAILED)


def _of_the_account(settings: Settings) -> dict[str, Any]:
    try:
        answer = ask(settings, "/api/v1/plan", deadline_seconds=PLAN_DEADLINE_SECONDS)
    except NoDaemon as nobody:
        if settings.alpaca.mode == "embedded":
            raise NoDaemon(f"{nobody}; the embedded market is only there while it runs. A folder of prices will do: --bars DIR") from nobody
        return {"live": False, **msgspec.structs.asdict(asyncio.run(preview_at_venue(settings)))}
    if answer.status != 200:
        raise refusal_of(answer, "a plan")
    return answer.document


def _on_bars(settings: Settings, folder: Path, as_of: date | None, cash: Decimal) -> dict[str, Any]:
    symbols = {symbol for strategy in load_roster(settings) for symbol in strategy.symbols}
    history, panel = read_history(folder, symbols, as_of=as_of or date.max)
    return {"live": False, **msgspec.structs.asdict(preview_on_bars(settings, history, panel, cash))}


def _dollars(text: str | None) -> Decimal:
    try:
        dollars = CASH if text is None else Decimal(text)
    except InvalidOperation as error:
        raise UsageError(f"--cash {text}: expected an amount of dollars like 25000") from error
    if not dollars.is_finite() or dollars <= 0:
        raise UsageError(f"--cash {text}: expected an amount above 0")
    return dollars


def _status(strategy: Any) -> str:
    return str(strategy["status"] if isinstance(strategy, Mapping) else strategy.status)


def _text(plan: Mapping[str, Any]) -> str:
    """Return the plan as a person reads it: who wants what, what follows, what was refused, and the sum."""
    parts = [f"What would be traded at {plan['as_of']}. Nothing is sent.\n"]
    for strategy in plan["strategies"]:
        wants = _weights(strategy["weights"]) if strategy["weights"] is not None else "failed"
        reason = f" ({strategy['reason']})" if strategy["reason"] else ""
        parts.append(f"{strategy['name']}: {wants}{reason}\n")
    if plan["reason"] is not None:
        return "".join([*parts, f"\nThere is no plan: {plan['reason']}\n"])
    parts.append(f"\nequity {_money(plan['equity'])}, cash {_money(plan['cash'])}, target {_weights(plan['target'])}\n")
    orders = [
        {
            "side": order["side"],
            "symbol": order["symbol"],
            "quantity": order["quantity"],
            "price": order["price"],
            "notional": _money(order["notional"]),
            "cost": "?" if order["cost"] is None else _money(order["cost"]),
            "for": ", ".join(f"{name} {quantity}" for name, quantity in order["strategies"].items()),
        }
        for order in plan["orders"]
    ]
    parts.append(f"\norders\n{table(orders)}" if orders else "\norders: none\n")
    if orders:
        total = "unknown without quotes" if plan["cost"] is None else f"about {_money(plan['cost'])} dollars, half the spread"
        parts.append(f"\ncost: {total}; each order passed {len(plan['checks'])} checks\n")
    for cross in plan["crossings"]:
        words = f"{cross['quantity']} {cross['symbol']} from {cross['seller']} to {cross['buyer']} at {cross['price']}"
        parts.append(f"crossed inside: {words}\n")
    parts += [f"adjusted, {note['code']}: {note['message']}\n" for note in plan["adjustments"]]
    parts += [f"denied, {denial['message']}\n" for denial in plan["denials"]]
    return "".join(parts)


def _weights(weights: Mapping[str, float]) -> str:
    return ", ".join(f"{symbol} {weight:.2%}" for symbol, weight in weights.items()) or "nothing"


def _money(amount: str) -> str:
    return f"{Decimal(amount):,.2f}"
