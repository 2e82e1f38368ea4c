"""What an operator may ask of the running daemon; all of it needs its token.

``pause``, ``resume``, ``halt``, ``reduce``, ``flatten``, ``rebalance``, ``reconcile``, ``rearm``, ``lots``, ``stop``.
"""

import sys
from typing import Annotated, Any

import typer

from alchemiser.cli.daemon_client import tell
from alchemiser.cli.options import ConfigOption, JsonOption, StateOption, load
from alchemiser.cli.tables import render
from alchemiser.domain.errors import UsageError
from alchemiser.service.view import to_json

ReasonOption = Annotated[str, typer.Option("--reason", help="Why, for the journal.")]
OneStrategyOption = Annotated[str | None, typer.Option("--strategy", metavar="NAME", help="This strategy only. Default: the account.")]


def pause_command(
    *,
    strategy: OneStrategyOption = None,
    reason: ReasonOption = "operator",
    state: StateOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Send nothing new until resumed; what is open at the broker stays. A strategy that is paused keeps what it holds.

    Example: alchemiser pause --reason "earnings tonight"
    """
    _tell("pause", _about(strategy, reason), state, config, as_json=as_json)


def resume_command(
    *,
    strategy: OneStrategyOption = None,
    reason: ReasonOption = "operator",
    state: StateOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Trade again after a pause, a reduction or a halt. What a guard holds back is re-armed instead.

    Example: alchemiser resume
    """
    _tell("resume", _about(strategy, reason), state, config, as_json=as_json)


def halt_command(
    *,
    strategy: OneStrategyOption = None,
    reason: ReasonOption = "operator",
    state: StateOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Stop trading now: nothing more is sent, open orders are cancelled, positions stay. Of a strategy, also what it trades with others.

    Example: alchemiser halt --reason "something looks wrong"
    """
    _tell("halt", _about(strategy, reason), state, config, as_json=as_json)


def reduce_command(
    *,
    strategy: OneStrategyOption = None,
    reason: ReasonOption = "operator",
    state: StateOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Only lower risk from now on: sell and cancel, buy nothing, until resumed.

    Example: alchemiser reduce --strategy klm --reason "too wild for me"
    """
    _tell("reduce", _about(strategy, reason), state, config, as_json=as_json)


def flatten_command(
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    reason: ReasonOption = "operator",
    state: StateOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Sell everything the strategies hold, and buy nothing until resumed.

    Example: alchemiser flatten --yes
    """
    if not yes:
        typer.confirm("Sell everything the strategies hold?", abort=True, err=True)
    _tell("flatten", {"reason": reason}, state, config, as_json=as_json)


def rebalance_command(
    *, reason: ReasonOption = "operator", state: StateOption = None, config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Decide and trade now, instead of at the next decision.

    Example: alchemiser rebalance
    """
    _tell("rebalance", {"reason": reason}, state, config, as_json=as_json)


def reconcile_command(
    *,
    clear: Annotated[list[str] | None, typer.Option("--clear", help="Clear this parked symbol instead; may be repeated.")] = None,
    accept_cash: Annotated[
        str | None,
        typer.Option("--accept-cash", metavar="DOLLARS", help="Book this difference of cash, broker less books, once you can explain it."),
    ] = None,
    reason: ReasonOption = "operator",
    state: StateOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare orders, positions and cash with the broker now, and say what was found; or clear parked symbols or cash by hand.

    A symbol that was cleared by hand is parked again by the next comparison that finds the same difference.

    A difference of cash that a trade by hand has left is booked with --accept-cash=-1.23: to the account, to no strategy, with the reason.
    It must be the difference that is found at that moment, to the cent.

    Example: alchemiser reconcile --json
    """
    if clear and accept_cash is not None:
        raise UsageError("--clear and --accept-cash are two things; do one after the other")
    more: dict[str, Any] = {"clear": clear} if clear else {} if accept_cash is None else {"accept_cash": accept_cash}
    _tell("reconcile", {"reason": reason} | more, state, config, as_json=as_json)


def rearm_command(
    guard: Annotated[str, typer.Argument(metavar="GUARD", help="The guard, as `alchemiser status` names it: drawdown.")],
    *,
    strategy: Annotated[str | None, typer.Option("--strategy", metavar="NAME", help="Whose, for a guard of one strategy.")] = None,
    reset: Annotated[bool, typer.Option("--reset", help="Although it is not clear: have it measure anew from now on.")] = False,
    reason: ReasonOption = "operator",
    state: StateOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Arm a guard again that has tripped, and lift what it restricted. One that is not clear yet stays tripped, unless --reset says so.

    Example: alchemiser rearm strategy_drawdown --strategy klm --reason "understood"
    """
    _tell("rearm", _about(strategy, reason) | {"guard": guard, "reset": reset}, state, config, as_json=as_json)


def lots_command(
    symbol: Annotated[str, typer.Argument(metavar="SYMBOL", help="Of which symbol.")],
    lots: Annotated[
        list[str] | None, typer.Argument(metavar="[EXECUTION]...", help="The executions that bought the lots, first sold first.")
    ] = None,
    *,
    reason: ReasonOption = "operator",
    state: StateOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Name the lots of a symbol that sales close first from now on; without any, sales close lots as the settings say again.

    Whatever `ledger.lots` is, and also after a restart. `alchemiser ledger export` lists the lots with the executions that bought them.

    Example: alchemiser lots SPY 20250303::7f3a --reason "the long-term ones first"
    """
    _tell("lots", {"reason": reason, "symbol": symbol, "lots": lots or []}, state, config, as_json=as_json)


def stop_command(
    *, reason: ReasonOption = "operator", state: StateOption = None, config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Stop the daemon in order: begin nothing, cancel, wait for the last states, write the state down. Asked twice, it hurries.

    Example: alchemiser stop --reason "new kernel"
    """
    _tell("stop", {"reason": reason}, state, config, as_json=as_json)


def _about(strategy: str | None, reason: str) -> dict[str, Any]:
    return {"reason": reason} | ({} if strategy is None else {"strategy": strategy})


def _tell(action: str, arguments: dict[str, Any], state: StateOption, config: ConfigOption, *, as_json: bool) -> None:
    done = tell(load(config, state=state).settings, action, arguments)
    if as_json:
        sys.stdout.buffer.write(to_json(done) + b"\n")
    else:
        sys.stdout.write(render(done))
