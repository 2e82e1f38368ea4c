"""``alchemiser sweep``: many variants of strategies over history, ranked, and chosen while walking forward."""

import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from alchemiser.backtest.result import run_range
from alchemiser.backtest.sweep.bench import ALLOCATION, Bench, attributes_of
from alchemiser.backtest.sweep.folds import folds_of
from alchemiser.backtest.sweep.job import Job, JobStrategy, packed
from alchemiser.backtest.sweep.objective import Objective
from alchemiser.backtest.sweep.results import Results, question_of
from alchemiser.backtest.sweep.run import Sweep, Told, WalkForward
from alchemiser.backtest.sweep.search import Grid, Optuna, Search
from alchemiser.backtest.sweep.space import dimension_of
from alchemiser.backtest.sweep.workers import HereAndNow, Workers, processes
from alchemiser.cli.day_options import read_day
from alchemiser.cli.options import MOST_CASH, ConfigOption, JsonOption, StrategyOption
from alchemiser.cli.price_files import files_named, read_history, wanted_strategies
from alchemiser.cli.sweep_text import ranking_text, walk_text
from alchemiser.domain.errors import DataError, UsageError
from alchemiser.service.deferred import load
from alchemiser.strategies.base import LoadedStrategy
from alchemiser.strategies.catalog import shipped_symphony
from alchemiser.strategies.panel import PricePanel
from alchemiser.strategies.sources import StrategySource, class_of, file_of, load_strategy, version_of
from alchemiser.strategies.symphony.printer import print_symphony
from alchemiser.strategies.symphony.strategy import SymphonyStrategy
from alchemiser.strategies.symphony.variants import knobs_of, read_again

CLUSTER = "alchemiser.backtest.sweep.cluster:cluster"
"""Loaded when a cluster is named: it needs the extra ``dask``."""

RESULTS = Path("sweep.db")
LINES = 20
"""So many lines tell the progress where there is no terminal."""


def sweep_command(
    *,
    strategy: StrategyOption = None,
    bars: Annotated[Path | None, typer.Option(metavar="DIR", help="Folder of bar files, or a bar store.")] = None,
    vary: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUES", help="What to vary: 10:threshold=70..90:2, 10:window=8,10,14. Keys: alchemiser sweep knobs."),
    ] = None,
    results: Annotated[Path, typer.Option(metavar="FILE", help="Where the results are kept; called again, it goes on.")] = RESULTS,
    by: Annotated[Objective, typer.Option(help="The figure that makes one variant better than another.")] = "sharpe",
    search: Annotated[Literal["grid", "optuna"], typer.Option(help="All of the grid, or what Optuna proposes.")] = "grid",
    trials: Annotated[int, typer.Option(min=1, max=1_000_000, help="Variants that Optuna tries (in each fold).")] = 200,
    seed: Annotated[int, typer.Option(min=0, help="Seed of Optuna.")] = 0,
    walk_forward: Annotated[
        Literal["rolling", "anchored"] | None, typer.Option(help="Choose on a window and try on the sessions after it, again and again.")
    ] = None,
    train: Annotated[int, typer.Option(metavar="SESSIONS", help="How long parameters are chosen on.")] = 756,
    test: Annotated[int, typer.Option(metavar="SESSIONS", help="How long a choice is tried on.")] = 126,
    start: Annotated[str | None, typer.Option(metavar="YYYY-MM-DD", help="Default: the first target of what is varied.")] = None,
    end: Annotated[str | None, typer.Option(metavar="YYYY-MM-DD", help="Default: the last session with a bar.")] = None,
    cash: Annotated[float, typer.Option(min=1.0, max=MOST_CASH, help="Dollars at the start.")] = 100_000.0,
    slippage_bps: Annotated[float, typer.Option(min=0.0, max=1_000.0, help="Cost of what is traded, in basis points.")] = 0.0,
    risk_free: Annotated[float, typer.Option(min=0.0, max=1.0, help="Yearly risk-free rate for the ratios, as a fraction.")] = 0.0,
    workers: Annotated[int | None, typer.Option(min=1, max=1_024, help="Processes. Default: one per core.")] = None,
    cluster: Annotated[str | None, typer.Option(metavar="ADDRESS", help="A Dask scheduler instead, as tcp://host:8786.")] = None,
    top: Annotated[int, typer.Option(min=1, max=10_000, help="How many variants to show.")] = 10,
    write: Annotated[Path | None, typer.Option(metavar="FILE.clj", help="Write the best variant of a symphony as a file.")] = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Try variants of strategies, filled at the close, on all cores; keep the results in a file and rank them.

    Example: alchemiser sweep --strategy tecl --bars data/daily --vary 10:threshold=70..90:2 --vary 10:window=8,10,14
    """
    dimensions = tuple(dimension_of(text) for text in vary or ())
    if not dimensions:
        raise UsageError("nothing is to be varied; name it with --vary KEY=VALUES. The keys: alchemiser sweep knobs --strategy NAME")
    first, last = read_day("--start", start), read_day("--end", end)
    wanted, folder = wanted_strategies(strategy, bars, config)
    block, panel, job = _prepared(wanted, folder, first, last)
    job = msgspec.structs.replace(
        job,
        dimensions=dimensions,
        cash=cash,
        slippage_bps=slippage_bps,
        risk_free=risk_free,
        objective=by,
        folds=() if walk_forward is None else folds_of(walk_forward, job.first, job.last, train=train, test=test),
    )
    if write is not None and (len(job.strategies) != 1 or job.strategies[0].symphony is None):
        raise UsageError(f"--write {write}: only the variant of a single symphony can be written as a file")
    bench = Bench(job, block)

    def make(number: int) -> Search:
        return Grid(dimensions) if search == "grid" else Optuna(dimensions, trials=trials, seed=seed + number)

    is_learning = search == "optuna"
    total = make(0).total * (len(job.folds) if is_learning and job.folds else 1)
    began = time.perf_counter()
    with ExitStack() as stack:
        file = stack.enter_context(Results.opened(results, question_of(job, block)))
        file.remember_objective(by)
        at_work = stack.enter_context(_workers(job, block, bench, workers, cluster, total))
        told = stack.enter_context(_progress(total))
        sweep = Sweep(bench, at_work, file, told=told)
        walked = sweep.walk(make, is_learning=is_learning) if job.folds else None
        if walked is None:
            sweep.search(make)
        best = sweep.best()
        seconds = time.perf_counter() - began
        if best is None:
            raise DataError(f"no variant has a figure to rank by; the first one: {sweep.failure or by + ' does not exist'}")
        if write is not None:
            _write(write, bench, tuple(best.parameters[dimension.name] for dimension in dimensions))
        document: dict[str, Any] = {
            "results": str(results),
            "start": panel.session(job.first),
            "end": panel.session(job.last),
            "variants": len(file),
            "evaluated": sweep.evaluated,
            "failed": len(file.failures()),
            "seconds": seconds,
            "by": by,
            "best": best,
            "ranked": sweep.ranked(top),
            "walk_forward": walked,
        }
    if json:
        typer.echo(msgspec.json.encode(document))
    else:
        typer.echo(_text(document, walked))


def sweep_rank(
    results: Annotated[Path, typer.Argument(metavar="FILE", help="The results of a sweep.")] = RESULTS,
    *,
    by: Annotated[Objective | None, typer.Option(help="Default: what the sweep looked for.")] = None,
    top: Annotated[int, typer.Option(min=1, max=10_000, help="How many variants to show.")] = 10,
    json: JsonOption = False,
) -> None:
    """Rank the variants of a sweep by any figure.

    Example: alchemiser sweep rank sweep.db --by calmar --top 20
    """
    with Results.opened(results) as file:
        figure = by or file.objective
        ranked, count = file.ranked(figure, top), len(file)
    if json:
        typer.echo(msgspec.json.encode({"results": str(results), "variants": count, "by": figure, "ranked": ranked}))
    else:
        typer.echo(ranking_text(ranked, figure, count))


def sweep_knobs(*, strategy: StrategyOption = None, config: ConfigOption = None, json: JsonOption = False) -> None:
    """List the numbers of strategies that a sweep can vary, each with its key.

    Example: alchemiser sweep knobs --strategy tecl
    """
    wanted, _ = wanted_strategies(strategy, Path(), config)
    rows = [row for source in wanted for row in _knob_rows(load_strategy(source), several=len(wanted) > 1)]
    if json:
        typer.echo(msgspec.json.encode({"knobs": rows}))
    else:
        width = max((len(row["key"]) for row in rows), default=0)
        for row in rows:
            typer.echo(f"{row['key']:<{width}}  {row['value']:>10g}  {row['text']}")


def _knob_rows(loaded: LoadedStrategy, *, several: bool) -> Iterator[dict[str, Any]]:
    before = f"{loaded.name}/" if several else ""
    if isinstance(loaded, SymphonyStrategy):
        for knob in knobs_of(loaded.symphony):
            yield {"key": before + knob.key, "value": knob.value, "kind": knob.kind, "text": knob.text}
    for name, value in attributes_of(loaded).items():
        yield {"key": before + name, "value": value, "kind": "attribute", "text": f"attribute of {loaded.name}"}
    if several:
        yield {"key": before + ALLOCATION, "value": loaded.allocation, "kind": ALLOCATION, "text": "share of the account"}


def _prepared(wanted: Sequence[StrategySource], folder: Path, first: date | None, last: date | None) -> tuple[bytes, PricePanel, Job]:
    """Return the bars as a block and as a panel, and the job that names them, its terms still those of the class."""
    loaded = [load_strategy(source) for source in wanted]
    history, panel = read_history(folder, {symbol for one in loaded for symbol in one.symbols}, as_of=last or date.max)
    block, layout = packed({symbol: (history.days(symbol), history.closes(symbol)) for symbol in history.symbols})
    with files_named(wanted):
        low, high = run_range(panel, {one.name: one.on(panel) for one in loaded}, first, last)
    strategies = tuple(map(_travelling, wanted))
    return block, panel, Job(strategies=strategies, layout=layout, absent=panel.reasons_absent, first=low, last=high)


def _travelling(source: StrategySource) -> JobStrategy:
    """Return a strategy as it travels to a worker; a file is read now, so that all workers have the same."""
    file = file_of(source.source)
    if file is None and (named := class_of(source.source)) is not None:
        return JobStrategy(source.name, source.allocation, source.rules, source=named, version=version_of(named))
    text = shipped_symphony(source.source) if file is None else file.read_bytes()
    return JobStrategy(source.name, source.allocation, source.rules, symphony=text)


@contextmanager
def _workers(job: Job, block: bytes, bench: Bench, count: int | None, cluster: str | None, total: int) -> Iterator[Workers]:
    if cluster is not None:
        try:
            connect = load(CLUSTER)
        except ModuleNotFoundError as error:
            raise UsageError(f"--cluster needs {error.name}, which is not installed: pip install 'alchemiser[dask]'") from error
        with connect(job, block, cluster) as found:
            yield found
        return
    count = count or len(os.sched_getaffinity(0))
    if count == 1 or total == 1:
        yield HereAndNow(bench)
        return
    with processes(job, block, count) as found:
        yield found


class _Lines:
    """A line on standard error now and then, for who is no terminal."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._done = 0
        self._said = 0

    def __call__(self, more: int) -> None:
        self._done += more
        if self._done - self._said >= max(1, self._total // LINES):
            self._said = self._done
            sys.stderr.write(f"{self._done}/{self._total} variants\n")
            sys.stderr.flush()


@contextmanager
def _progress(total: int) -> Iterator[Told]:
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _Lines(total)
        return
    columns = (TextColumn("variants"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("", total=total)
        yield lambda more: progress.advance(task, more)


def _write(path: Path, bench: Bench, values: tuple[float, ...]) -> None:
    (strategy,) = bench.strategies(values)
    assert isinstance(strategy, SymphonyStrategy), "a single symphony is varied"
    try:
        path.write_text(print_symphony(read_again(strategy.symphony)), encoding="utf-8")
    except OSError as error:
        raise UsageError(f"--write {path}: cannot be written ({error.strerror})") from error


def _text(document: dict[str, Any], walked: WalkForward | None) -> str:
    best = document["best"]
    tested = best.sharpe_test
    parts = [ranking_text(document["ranked"], document["by"], document["variants"])]
    if tested.deflated is not None:
        parts.append(
            f"After {tested.trials} tries without skill the best would have a Sharpe ratio of {tested.expected_best:.2f}; "
            f"that this one is better: {tested.deflated:.1%} (deflated Sharpe ratio)."
        )
    if document["failed"]:
        parts.append(f"{document['failed']} variants could not be run.")
    if walked is not None:
        parts.append(walk_text(walked, document["by"]))
    parts.append(f"{document['evaluated']} variants evaluated in {document['seconds']:.1f} s; results in {document['results']}")
    return "\n\n".join(parts)
