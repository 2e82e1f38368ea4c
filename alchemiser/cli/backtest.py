"""``alchemiser backtest``: strategies over history."""

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import typer

from alchemiser.backtest.analysis import Questions, analyse
from alchemiser.backtest.data_version import DataVersion, data_version
from alchemiser.backtest.decisions import Decided, decisions_of
from alchemiser.backtest.document import document_of
from alchemiser.backtest.flows import left_out, parse_flow, performance_of
from alchemiser.backtest.periods import ROLLING_SESSIONS
from alchemiser.backtest.provenance import gaps_of, provenance_of
from alchemiser.backtest.record import Recorder
from alchemiser.backtest.result import BacktestResult, Charges, FillAt, Opens, Terms
from alchemiser.backtest.vector import run_vector
from alchemiser.cli.backtest_text import show
from alchemiser.cli.day_options import read_day
from alchemiser.cli.minute_files import DECIDED_AT, MinuteBars, read_along
from alchemiser.cli.options import MOST_CASH, ConfigOption, JsonOption, StrategyOption
from alchemiser.cli.price_files import files_named, levels_of, read_benchmark, read_history, read_opens, wanted_strategies
from alchemiser.cli.session_bar import session_bar
from alchemiser.domain.errors import DataError, UsageError
from alchemiser.exchange.bars import AdjustedCloses, BarFolder
from alchemiser.market.arrays import Days, Floats
from alchemiser.service.deferred import load
from alchemiser.strategies.base import LoadedStrategy
from alchemiser.strategies.panel import PricePanel
from alchemiser.strategies.sources import load_strategy

TEAR_SHEET = "alchemiser.backtest.tear_sheet:tear_sheet"
"""What draws the page: loaded when one is asked for, for it needs the extra ``report``."""

EVENT_ENGINE = "alchemiser.backtest.event_engine:run_event"
"""The engine with the daemon's handlers and the exchange in it: loaded when it is asked for."""

PANEL_AT_DECISION = "alchemiser.backtest.minute_market:panel_at_decision"
"""What a decision along minutes has seen: loaded with the engine."""


def backtest_command(
    *,
    strategy: StrategyOption = None,
    bars: Annotated[Path | None, typer.Option(metavar="DIR", help="Folder with one SYMBOL.csv or SYMBOL.parquet each.")] = None,
    start: Annotated[str | None, typer.Option(metavar="YYYY-MM-DD", help="Default: the first session with a target.")] = None,
    end: Annotated[str | None, typer.Option(metavar="YYYY-MM-DD", help="Default: the last session with a bar.")] = None,
    engine: Annotated[Literal["vector", "event"], typer.Option(help="How the days are run.")] = "vector",
    cash: Annotated[float, typer.Option(min=1.0, max=MOST_CASH, help="Dollars at the start.")] = 100_000.0,
    slippage_bps: Annotated[float, typer.Option(min=0.0, max=1_000.0, help="Cost of what is traded, in basis points.")] = 0.0,
    spread_bps: Annotated[float, typer.Option(min=0.0, max=1_000.0, help="Quoted spread, in basis points; event engine.")] = 0.0,
    fees: Annotated[bool, typer.Option("--fees", help="Charge the regulators' fees on sales; event engine.")] = False,
    cents: Annotated[bool, typer.Option("--cents", help="Round the cash of every execution to cents; event engine.")] = False,
    margin_rate: Annotated[float, typer.Option(min=0.0, max=1.0, help="Yearly interest on debts, a fraction; event engine.")] = 0.0,
    whole_shares: Annotated[bool, typer.Option("--whole-shares", help="Buy no fractions of (adjusted) shares.")] = False,
    flow: Annotated[list[str] | None, typer.Option(metavar="AMOUNT@WHEN", help="500@monthly, -2000@2024-07-01; repeatable.")] = None,
    minutes: Annotated[Path | None, typer.Option(metavar="PATH", help="Minute bars: a file or a folder; event engine.")] = None,
    decide: Annotated[
        str | None, typer.Option(metavar="WHEN", help=f"When a session with minute bars is decided. Default: {DECIDED_AT}.")
    ] = None,
    fill: Annotated[FillAt, typer.Option(help="The price at which a decision is filled.")] = "close",
    risk_free: Annotated[float, typer.Option(min=0.0, max=1.0, help="Yearly risk-free rate for the ratios, as a fraction.")] = 0.0,
    benchmark: Annotated[str | None, typer.Option(metavar="SYMBOL", help="Compare with buying and holding this symbol.")] = None,
    bootstrap: Annotated[int, typer.Option(min=0, max=100_000, help="Resampled curves for the intervals; 0 leaves them out.")] = 1_000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the resampling.")] = 0,
    trials: Annotated[
        int, typer.Option(min=1, max=1_000_000_000, help="Variants tried before this one, for the deflated Sharpe ratio.")
    ] = 1,
    window: Annotated[int, typer.Option(min=2, help="Sessions of the rolling figures.")] = ROLLING_SESSIONS,
    report: Annotated[Path | None, typer.Option(metavar="FILE.html", help="Also write a page of charts and tables.")] = None,
    config: ConfigOption = None,
    json: JsonOption = False,
) -> None:
    """Run strategies over the bars of a folder and report the figures. Two results: alchemiser backtest compare A.json B.json.

    Example: alchemiser backtest --strategy tecl --bars data/daily --start 2021-01-04 --benchmark SPY --report tecl.html
    """
    draw = None if report is None else _drawing()
    first, last = read_day("--start", start), read_day("--end", end)
    if first is not None and last is not None and first > last:
        raise DataError(f"--start {first} is after --end {last}: there is no session between them")
    charges = Charges(spread_bps=spread_bps, fees=fees, in_cents=cents, margin_rate=margin_rate)
    if engine == "vector" and charges != Charges():
        raise UsageError("--spread-bps, --fees, --cents and --margin-rate are about single orders and nights; they need --engine event")
    if engine == "vector" and fill == "path":
        raise UsageError("--fill path works single orders along the session; it needs --engine event")
    terms = Terms(
        cash=cash,
        slippage_bps=slippage_bps,
        fill=fill,
        risk_free=risk_free,
        whole_shares=whole_shares,
        flows=tuple(map(parse_flow, flow or ())),
    )
    wanted, folder = wanted_strategies(strategy, bars, config)
    loaded = [load_strategy(source) for source in wanted]
    as_of = last or date.max
    symbols = {symbol for one in loaded for symbol in one.symbols}
    along = read_along(folder, minutes, symbols, as_of=as_of, decision=decide, fill=fill, engine=engine)
    if along is not None:
        history, panel, files = along.history, along.panel, along.files
    else:
        history, panel = read_history(folder, symbols, as_of=as_of, refuse_broken=True)
        files = BarFolder(folder)
    days_of = {symbol: history.days(symbol) for symbol in history.symbols}
    gaps = gaps_of(days_of, {symbol: str(folder if files is None else files.place_of(symbol)) for symbol in history.symbols})
    opens = read_opens(folder, loaded, as_of=as_of) if fill != "close" and along is None else None
    recorder = Recorder()
    run: Callable[..., BacktestResult] = run_vector
    with files_named(wanted), session_bar() as lived:
        if engine == "event":
            run = partial(load(EVENT_ENGINE), charges=charges, intraday=along.intraday if along else None, lived=lived)
        result = run(loaded, panel, terms, timer=time.perf_counter, start=first, end=last, opens=opens, recorder=recorder)
    book = recorder.book
    if result.flows:
        book = msgspec.structs.replace(book, performance=performance_of(result.equity, result.dates, result.flows))
    closes = {symbol: (history.days(symbol), history.closes(symbol)) for symbol in history.symbols}
    questions = Questions(bootstrap=bootstrap, seed=seed, trials=trials, window=window, risk_free=risk_free)
    held = None if benchmark is None else (benchmark.upper(), _benchmark(folder, along, benchmark.upper(), result.dates))
    analysis = analyse(book, _version(closes, opens, along), questions, held)
    provenance = provenance_of(loaded, result.targets, result.failures, days_of, feed=files.feed if files else None, gaps=gaps)
    intraday = None if along is None else along.intraday.report(result.dates)
    outside = tuple(left_out(terms.flows, result.dates))
    analysis = msgspec.structs.replace(analysis, provenance=msgspec.structs.replace(provenance, intraday=intraday, flows_left_out=outside))
    if draw is not None and report is not None:
        title = ", ".join(f"{one.name} {one.allocation:.0%}" if len(loaded) > 1 else one.name for one in loaded)
        _write(report, draw(title, result, analysis, book, terms, charges, _decided(loaded, panel, result, along)))
    if json:
        typer.echo(msgspec.json.encode(document_of(result, analysis, terms, charges)))
    else:
        show(result, analysis)


def _benchmark(folder: Path, along: MinuteBars | None, symbol: str, sessions: Sequence[date]) -> list[float]:
    """Return the levels of a benchmark; those of a run without daily bars are the closes of its minutes."""
    if along is None or along.files is not None:
        return read_benchmark(folder, symbol, sessions)
    if symbol not in along.history.symbols:
        raise DataError(f"--benchmark {symbol}: without daily bars it has to be a symbol of the strategies")
    return levels_of(AdjustedCloses(symbol, along.history.days(symbol), along.history.closes(symbol)), sessions)


def _version(closes: Mapping[str, tuple[Days, Floats]], opens: Opens | None, along: MinuteBars | None) -> DataVersion:
    return data_version(closes, opens.by_symbol if opens else None, along.intraday.recordings if along else None)


def _decided(
    strategies: Sequence[LoadedStrategy], panel: PricePanel, result: BacktestResult, along: MinuteBars | None
) -> list[list[Decided]]:
    if along is None:
        return decisions_of(strategies, panel, result.dates)
    seen_at = partial(load(PANEL_AT_DECISION), along.intraday, panel)
    return decisions_of(strategies, panel, result.dates, seen_at=seen_at)


def _drawing() -> Callable[..., str]:
    try:
        draw: Callable[..., str] = load(TEAR_SHEET)
    except ModuleNotFoundError as error:
        raise UsageError(f"--report needs {error.name}, which is not installed: pip install 'alchemiser[report]'") from error
    return draw


def _write(path: Path, page: str) -> None:
    try:
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"--report {path}: cannot be written ({error.strerror})") from error
