"""``alchemiser signals``: what each strategy wants to hold on a day, and why."""

import time
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.text import Text
from rich.tree import Tree

from alchemiser.cli.day_options import read_day
from alchemiser.cli.options import ConfigOption, JsonOption, StateOption, StrategyOption, load
from alchemiser.cli.price_files import read_panel, wanted_strategies
from alchemiser.domain.errors import DataError, UsageError
from alchemiser.domain.events import DaemonStarted, DecisionDue, SettingsReloaded, StrategyFailed, TargetProposed
from alchemiser.journal.reader import JournalReader
from alchemiser.market.calendar import TradingCalendar
from alchemiser.service.offline import JOURNAL_FILE
from alchemiser.strategies.base import LoadedStrategy
from alchemiser.strategies.outcome import NotComputable
from alchemiser.strategies.panel import PricePanel
from alchemiser.strategies.sources import StrategySource, load_all

FAILED = 3
TREE_WIDTH = 1_000
"""Columns of an explanation: a line of it is one line, however long, for people and for grep."""


class Signal(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of one strategy: weights, or the reason why there are none.

    ``explanation`` is the path in words, ``tree`` the same with its numbers (null for a strategy written in Python). ``is_fragile`` says
    that a small move of a price would have changed the decision.
    """

    name: str
    status: str
    weights: dict[str, float] | None = None
    reason: str | None = None
    explanation: tuple[str, ...] = ()
    is_fragile: bool = False
    tree: Mapping[str, Any] | None = None
    seconds: float = 0.0


class Signals(msgspec.Struct, frozen=True, kw_only=True):
    """The answers of all strategies and the account target of those that have one.

    ``session`` is the last one seen by ``as_of``; both are null when there is not a single bar.
    """

    as_of: date | None
    session: date | None
    strategies: list[Signal]
    target: dict[str, float]


def signals_command(
    *,
    strategy: StrategyOption = None,
    bars: Annotated[Path | None, typer.Option(metavar="DIR", help="Folder with one SYMBOL.csv or SYMBOL.parquet each.")] = None,
    as_of: Annotated[str | None, typer.Option(metavar="YYYY-MM-DD", help="The day to decide. Default: the last one with a bar.")] = None,
    decision: Annotated[
        str | None, typer.Option(metavar="ID", help="Show a decision of the daemon from its journal instead, as 20250303.1.")
    ] = None,
    state: StateOption = None,
    explain: Annotated[bool, typer.Option("--explain/--no-explain", help="Show the path of every decision.")] = True,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Evaluate strategies on the closes up to a day, and say why they want what they want.

    Example: alchemiser signals --strategy tecl --bars data/daily --as-of 2025-03-31
    """
    if decision is not None:
        if strategy or bars or as_of:
            raise UsageError("--decision shows what was decided; it goes with --state, not with --strategy, --bars or --as-of")
        signals = decided(load(config, state=state).settings.service.state / JOURNAL_FILE, decision)
    else:
        wanted, folder = wanted_strategies(strategy, bars, config)
        signals = signals_of(wanted, folder, read_day("--as-of", as_of))
    if json:
        typer.echo(msgspec.json.encode(signals))
    else:
        heading = f"Targets on the closes of {signals.session or 'no session'}" if decision is None else f"Targets of decision {decision}"
        _show(signals, heading, explain=explain)
    if any(signal.status != "ok" for signal in signals.strategies):
        raise typer.Exit(FAILED)


def signals_of(wanted: Sequence[StrategySource], folder: Path, as_of: date | None) -> Signals:
    """Return what the strategies want on a day, by default the last one with a bar; each failure stays with its strategy."""
    loaded, refused = load_all(wanted)
    panel = read_panel(folder, loaded, as_of=as_of or date.max)
    place = len(panel) - 1
    session = panel.session(place) if place >= 0 else None
    stale = _staleness(session, as_of)
    answers: dict[str, Signal] = {name: Signal(name=name, status="failed", reason=str(error)) for name, error in refused.items()}
    for strategy in loaded:
        answers[strategy.name] = Signal(name=strategy.name, status="failed", reason=stale) if stale else _signal(strategy, panel, place)
    shares = {source.name: source.allocation for source in wanted}
    return Signals(
        as_of=as_of or session,
        session=session,
        strategies=[answers[source.name] for source in wanted],
        target=_account_target(answers, shares),
    )


def decided(journal: Path, decision: str) -> Signals:
    """Return what the strategies answered to a decision of the daemon, with the path and the live prices' numbers of that moment.

    Raises ``DataError`` when the journal has no answers to it.
    """
    answers: dict[str, Signal] = {}
    session: date | None = None
    shares: dict[str, float] = {}
    with JournalReader.open(journal) as reader:
        due = 0
        for envelope in reader.read_named(("DecisionDue", "TargetProposed", "StrategyFailed"), correlation=decision):
            match envelope.event:
                case DecisionDue(session=day):
                    session, due = day, envelope.sequence
                case TargetProposed() as answer:
                    answers[answer.strategy] = Signal(
                        name=answer.strategy,
                        status="ok",
                        weights=answer.weights,
                        explanation=answer.explanation,
                        is_fragile=answer.is_fragile,
                        tree=answer.tree,
                    )
                case StrategyFailed() as answer:
                    answers[answer.strategy] = Signal(name=answer.strategy, status="failed", reason=answer.reason)
        for envelope in reader.read_named(("DaemonStarted", "SettingsReloaded")):
            if isinstance(envelope.event, DaemonStarted | SettingsReloaded) and envelope.sequence < due:
                shares = envelope.event.strategies
    if not answers:
        raise DataError(f"{journal}: no strategy has answered to a decision {decision}; see journal show --type DecisionDue")
    shares = {name: shares.get(name, 0.0) for name in answers}
    return Signals(as_of=session, session=session, strategies=list(answers.values()), target=_account_target(answers, shares))


def _staleness(session: date | None, as_of: date | None) -> str | None:
    """Return why the bars are too old to decide ``as_of``: the market has had a session since the last of them."""
    if session is None:
        return "there is not a single bar of the symbols that are needed"
    if as_of is None:
        return None
    try:
        expected = TradingCalendar.new_york().sessions(session, as_of)[-1:]
    except DataError as error:
        return f"whether the bars reach {as_of} cannot be known: {error}"
    if expected and expected[0].date > session:
        return f"the bars end on {session}, before the session of {expected[0].date}"
    return None


def _signal(strategy: LoadedStrategy, panel: PricePanel, place: int) -> Signal:
    began = time.perf_counter()
    outcome = strategy.on(panel).decide(place)
    seconds = time.perf_counter() - began
    if isinstance(outcome, NotComputable):
        return Signal(name=strategy.name, status="failed", reason=str(outcome), seconds=seconds)
    return Signal(
        name=strategy.name,
        status="ok",
        weights=dict(outcome.weights),
        explanation=outcome.explanation,
        is_fragile=outcome.is_fragile,
        tree=outcome.tree,
        seconds=seconds,
    )


def _account_target(answers: Mapping[str, Signal], shares: Mapping[str, float]) -> dict[str, float]:
    """Return the weights of the strategies that have some, times their shares.

    Those that failed keep what they hold, which is not known here.
    """
    merged: dict[str, float] = {}
    for name, share in shares.items():
        for symbol, weight in (answers[name].weights or {}).items():
            merged[symbol] = merged.get(symbol, 0.0) + share * weight
    return {symbol: merged[symbol] for symbol in sorted(merged)}


def _show(signals: Signals, heading: str, *, explain: bool) -> None:
    console = Console(highlight=False, soft_wrap=True)
    console.print(heading, markup=False)
    for signal in signals.strategies:
        console.print(f"\n{signal.name}: ", end="", style="bold", markup=False)
        if signal.weights is None:
            console.print(f"failed, {signal.reason}", style="red", markup=False)
            continue
        console.print(_weights(signal.weights) + (" (close: a small move would change it)" if signal.is_fragile else ""), markup=False)
        if explain:
            Console(highlight=False, width=TREE_WIDTH).print(_tree(signal))
    if len(signals.strategies) > 1:
        console.print("\naccount: ", end="", style="bold")
        console.print(_weights(signals.target), markup=False)


def _tree(signal: Signal) -> Tree:
    """Return the path of a decision as a tree; of a strategy written in Python, its notes."""
    root = Tree("", hide_root=True)
    if signal.tree is None:
        for line in signal.explanation:
            root.add(Text(line))
    else:
        _grow(root, signal.tree)
    return root


def _grow(tree: Tree, branch: Mapping[str, Any]) -> None:
    for step in branch["path"]:
        tree.add(Text(f"line {step['line']}: {step['text']}"))
    if "symbol" in branch:
        tree.add(Text(f"{branch['symbol']} {branch['share']:.2%}", style="bold"))
    for part in branch.get("parts", ()):
        _grow(tree.add(Text(f"{part['share']:.2%} of the whole")), part)


def _weights(weights: Mapping[str, float]) -> str:
    return ", ".join(f"{symbol} {weight:.2%}" for symbol, weight in weights.items()) or "nothing"
