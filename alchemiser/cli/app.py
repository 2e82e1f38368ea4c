"""The command line: the table of commands, and what an error looks like to the one who typed it."""

import os
import sys
from collections.abc import Iterator, Sequence
from typing import Any, Final, cast

import typer

from alchemiser import __version__
from alchemiser.cli.lazy import LazyGroup, Target
from alchemiser.domain.errors import AlchemiserError, SafetyRefused, UsageError
from alchemiser.service.deferred import load
from alchemiser.service.logs import configure_logging

COMMANDS: Final = {
    "run": Target("alchemiser.cli.run:run_command", "Run the daemon: embedded exchange, paper or live."),
    "exchange": Target("alchemiser.cli.exchange:exchange_command", "Run the embedded exchange alone, for any Alpaca client."),
    "signals": Target("alchemiser.cli.signals:signals_command", "Evaluate strategies for a day, with the explanation."),
    "check": Target("alchemiser.cli.check:check_command", "Check symphony files; nothing is traded."),
    "plan": Target("alchemiser.cli.plan:plan_command", "What would be traded now, with costs and denials; nothing is sent."),
    "backtest": Target("alchemiser.cli.backtest:backtest_command", "Run strategies over history."),
    "backtest compare": Target("alchemiser.cli.backtest_compare:backtest_compare", "Two results of backtest, side by side."),
    "sweep": Target("alchemiser.cli.sweep:sweep_command", "Try many variants of strategies over history, and walk forward."),
    "sweep rank": Target("alchemiser.cli.sweep:sweep_rank", "Rank the variants of a sweep by any figure."),
    "sweep knobs": Target("alchemiser.cli.sweep:sweep_knobs", "List the numbers of strategies that can be varied."),
    "strategy graph": Target("alchemiser.cli.strategy:strategy_graph", "Draw a symphony, with the path of a day."),
    "status": Target("alchemiser.cli.ask:status_command", "What the daemon is doing."),
    "positions": Target("alchemiser.cli.ask:positions_command", "What the account holds, and for which strategy."),
    "orders": Target("alchemiser.cli.ask:orders_command", "The orders of the session."),
    "pnl": Target("alchemiser.cli.ask:pnl_command", "Equity, cash and profit, per strategy."),
    "compare-day": Target("alchemiser.cli.compare_day:compare_day_command", "How far the last session was from its backtest, and why."),
    "events": Target("alchemiser.cli.ask:events_command", "The last events of the journal."),
    "strategies": Target("alchemiser.cli.ask:strategies_command", "The strategies, their shares and their last targets."),
    "pause": Target("alchemiser.cli.control:pause_command", "Send nothing new; open orders stay. Or of one strategy."),
    "resume": Target("alchemiser.cli.control:resume_command", "Trade again after a pause, a reduction or a halt."),
    "halt": Target("alchemiser.cli.control:halt_command", "Stop trading now and cancel what is open."),
    "reduce": Target("alchemiser.cli.control:reduce_command", "Only lower risk from now on: sell and cancel, buy nothing."),
    "kill": Target("alchemiser.cli.kill:kill_command", "Cancel everything and halt, even while the daemon is stuck."),
    "flatten": Target("alchemiser.cli.control:flatten_command", "Sell everything."),
    "rebalance": Target("alchemiser.cli.control:rebalance_command", "Decide and trade now instead of at the next decision."),
    "reconcile": Target("alchemiser.cli.control:reconcile_command", "Compare everything with the broker now, or clear parked symbols."),
    "rearm": Target("alchemiser.cli.control:rearm_command", "Arm a guard again that has tripped."),
    "lots": Target("alchemiser.cli.control:lots_command", "Name the lots that sales of a symbol close first."),
    "reload": Target("alchemiser.cli.reload:reload_command", "Have the daemon read its settings again, and say what that changes."),
    "stop": Target("alchemiser.cli.control:stop_command", "Stop the daemon in order; asked twice, in a hurry."),
    "data pull": Target("alchemiser.cli.data:data_pull", "Bring the bar store up to date with Alpaca."),
    "data import": Target("alchemiser.cli.data:data_import", "Bring bar files into the bar store."),
    "data ls": Target("alchemiser.cli.data_look:data_ls", "List what the bar store has."),
    "data check": Target("alchemiser.cli.data_look:data_check", "Check the bar store against the calendar and itself."),
    "journal show": Target("alchemiser.cli.journal:journal_show", "Show the events of a journal."),
    "journal verify": Target("alchemiser.cli.journal:journal_verify", "Prove that a journal is whole."),
    "journal export": Target("alchemiser.cli.journal:journal_export", "Write a journal as lines of JSON."),
    "journal replay": Target("alchemiser.cli.journal:journal_replay", "Rebuild the state from a journal."),
    "journal compact": Target("alchemiser.cli.journal_compact:journal_compact", "Move old events out of the journal, into its archive."),
    "backup": Target("alchemiser.cli.backup:backup_command", "Write the state directory into one file, also of a running daemon."),
    "restore": Target("alchemiser.cli.backup:restore_command", "Put a backup into an empty state directory."),
    "ledger export": Target("alchemiser.cli.ledger:ledger_export", "Write the books as CSV or Parquet, with a year for the tax return."),
    "config show": Target("alchemiser.cli.config:config_show", "Every setting, its value and where it came from."),
    "config reference": Target("alchemiser.cli.config:config_reference", "What every setting means, as Markdown."),
    "doctor": Target("alchemiser.cli.doctor:doctor_command", "Everything that would stop a good start, with what to do."),
    "notify": Target("alchemiser.cli.notify:notify_command", "Send a test message to every address of the settings."),
    "health": Target("alchemiser.cli.health:health_command", "Exit 0 when the running daemon is ready."),
    "completion": Target("alchemiser.cli.completion:completion_command", "Teach bash, zsh or fish to complete commands and options."),
}
"""Every command. Two words are a command of a group, or below a command that exists by itself too."""

GROUPS: Final = {
    "strategy": "A symphony, looked at.",
    "data": "The bar history of this machine.",
    "journal": "The durable record of everything that happened.",
    "ledger": "The books: fills, lots, profit.",
    "config": "The settings.",
}

ASKED_BY_A_SHELL: Final = "_ALCHEMISER_COMPLETE"
"""The variable by which a shell asks what could come next."""

KNOW_THE_SHELLS: Final = "alchemiser.cli.completion:know_the_shells"

WRONG_USAGE: Final = cast("tuple[type[Exception], ...]", typer.BadParameter.__bases__)
"""What the parser raises for a call that it cannot read; Typer has a public name for one kind of it only."""

_HELP: Final = """The Alchemiser trades one Alpaca account with many strategies.

Without an account: alchemiser run --embedded --days 5. The version: alchemiser --version

\b
Exit codes:
  0 fine                             1 unexpected error
  2 wrong usage                      3 bad configuration, strategy or data
  4 refused for safety               5 venue unreachable or credentials refused
  6 a verification failed            7 no daemon running
  8 not ready
"""


def application() -> LazyGroup:
    """Return the command line as an object."""
    return LazyGroup(name="alchemiser", targets=COMMANDS, help=_HELP, summaries=GROUPS)


def main() -> None:
    """Run the command line of this process and end it."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run one command and return its exit code. An error of ours becomes one clear message on standard error, without a traceback."""
    if list(arguments) == ["--version"]:
        sys.stdout.write(f"alchemiser {__version__}\n")
        return 0
    if ASKED_BY_A_SHELL in os.environ:
        load(KNOW_THE_SHELLS)()
    # Until a command says otherwise only warnings are shown; standard output belongs to answers alone.
    configure_logging(level="warning")
    try:
        code = application().main(args=list(arguments), prog_name="alchemiser", standalone_mode=False)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0
    except typer.Abort:
        return _report([SafetyRefused("nobody agreed; nothing was done")])
    except WRONG_USAGE as error:
        return _report([_usage_error(error)])
    except AlchemiserError as error:
        return _report([error])
    except BaseExceptionGroup as group:
        errors = list(_leaves(group))
        ours = [error for error in errors if isinstance(error, AlchemiserError)]
        if len(ours) != len(errors):
            raise
        return _report(ours)
    return code if isinstance(code, int) else 0


def _usage_error(error: Any) -> UsageError:
    """Return what the parser found as an error of ours: one line, which ends with where to look."""
    found = " ".join(error.format_message().split())
    where = "alchemiser" if error.ctx is None else error.ctx.command_path
    return UsageError(f"{found}{'' if found[-1] in '.?' else '.'} See {where} --help")


def _report(errors: Sequence[AlchemiserError]) -> int:
    for text in dict.fromkeys(str(error) for error in errors):
        sys.stderr.write("".join(f"alchemiser: {line}\n" for line in text.splitlines()))
    return errors[0].exit_code


def _leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error
