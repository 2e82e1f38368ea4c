"""``alchemiser backtest``: strategies over history."""

import time
from datetime import date
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from alchemiser.backtest.vector import BacktestResult, FillAt, Terms, run_vector
from alchemiser.cli.options import ConfigOption, JsonOption, StrategyOption
from alchemiser.cli.price_files import read_day, read_opens, read_panel, wanted_strategies
from alchemiser.domain.errors import UsageError
from alchemiser.strategies.sources import load_strategy

STRETCHES_SHOWN = 5


def backtest_command(
    *,
    strategy: StrategyOption = None,
    bars: Annotated[Path | None, typer.Option(metavar="DIR", help="Folder with one SYMBOL.csv or SYMBOL.parquet each.")] = None,
    start: Annotated[str | None, typer.Option(metavar="YYYY-MM-DD", help="Default: the first session with a target.")] = None,
    end: Annotated[str | None, typer.Option(metavar="YYYY-MM-DD", help="Default: the last session with a bar.")] = None,
    engine: Annotated[Literal["vector", "event"], typer.Option(help="How the days are run.")] = "vector",
    cash: Annotated[float, typer.Option(min=1.0, help="Dollars at the start.")] = 100_000.0,
    slippage_bps: Annotated[float, typer.Option(min=0.0, max=1_000.0, help="Cost of what is traded, in basis points.")] = 0.0,
    fill: Annotated[FillAt, typer.Option(help="The price at which a decision is filled.")] = "close",
    risk_free: Annotated[float, typer.Option(min=0.0, max=1.0, help="Yearly risk-free rate for the ratios, as a fraction.")] = 0.0,
    report: Annotated[Path | None, typer.Option(metavar="FILE.html", help="Also write a page with the curve.")] = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Run strategies over the bars of a folder and report the figures.

    Example: alchemiser backtest --strategy tecl --bars data/daily --start 2021-01-04
    """
    if engine == "event":
        raise UsageError("--engine event is not available yet; use --engine vector")
    if report is not None:
        raise UsageError("--report is not available yet; --json has the whole curve")
    first, last = read_day("--start", start), read_day("--end", end)
    if first is not None and last is not None and first > last:
        raise UsageError(f"--start {first} is after --end {last}")
    result = _run(strategy, bars, config, Terms(cash=cash, slippage_bps=slippage_bps, fill=fill, risk_free=risk_free), first, last)
    if json:
        typer.echo(msgspec.json.encode(result))
    else:
        _show(result)


def _run(
    strategy: list[str] | None, bars: Path | None, config: Path | None, terms: Terms, start: date | None, end: date | None
) -> BacktestResult:
    wanted, folder = wanted_strategies(strategy, bars, config)
    loaded = [load_strategy(source) for source in wanted]
    as_of = end or date.max
    panel = read_panel(folder, loaded, as_of=as_of)
    opens = read_opens(folder, loaded, as_of=as_of) if terms.fill == "next-open" else None
    return run_vector(loaded, panel, terms, timer=time.perf_counter, start=start, end=end, opens=opens)


def _show(result: BacktestResult) -> None:
    console = Console(highlight=False)
    console.print(f"{result.start} to {result.end}, {result.sessions} sessions, {result.seconds:.2f} s")
    figures = result.metrics
    table = Table(show_header=False, box=None)
    for label, text in (
        ("final equity", f"{result.equity[-1]:,.2f}"),
        ("total return", f"{figures.total_return:.2%}"),
        ("yearly return", f"{figures.cagr:.2%}"),
        ("volatility", f"{figures.volatility:.2%}"),
        ("sharpe", _ratio(figures.sharpe)),
        ("sortino", _ratio(figures.sortino)),
        ("largest drawdown", f"{figures.max_drawdown:.2%}"),
        ("calmar", _ratio(figures.calmar)),
        ("yearly turnover", f"{figures.turnover:.2f}"),
        ("costs", f"{figures.costs:,.2f}"),
    ):
        table.add_row(label, text)
    console.print(table)
    for failure in result.failures[:STRETCHES_SHOWN]:
        stretch = f"{failure.first} to {failure.last} ({failure.sessions} sessions)"
        console.print(f"{failure.strategy} had no target {stretch}: {failure.reason}", style="yellow", markup=False, soft_wrap=True)
    if len(result.failures) > STRETCHES_SHOWN:
        sessions = sum(failure.sessions for failure in result.failures[STRETCHES_SHOWN:])
        console.print(f"and {len(result.failures) - STRETCHES_SHOWN} more such stretches, {sessions} sessions in all; --json has them")


def _ratio(value: float | None) -> str:
    return "none" if value is None else f"{value:.2f}"
