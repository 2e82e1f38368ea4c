"""A run on the terminal: its figures, its curve in a few lines, its falls and who earned what."""

from rich.console import Console
from rich.table import Table

from alchemiser.backtest.analysis import Analysis
from alchemiser.backtest.record import Contribution
from alchemiser.backtest.result import BacktestResult
from alchemiser.cli.chart import line_chart

STRETCHES_SHOWN = 5
FALLS_SHOWN = 3
SYMBOLS_SHOWN = 6


def show(result: BacktestResult, analysis: Analysis) -> None:
    """Print a run."""
    console = Console(highlight=False)
    console.print(f"{result.start} to {result.end}, {_sessions(result.sessions)}, {result.seconds:.2f} s")
    if len(result.equity) > 1:
        console.print(line_chart(result.equity, is_plain=not console.encoding.startswith("utf")), markup=False)
    table = Table(show_header=False, box=None)
    for label, text in (*_figures(result), *_more_figures(analysis)):
        table.add_row(label, text)
    console.print(table)
    for fall in analysis.drawdowns[:FALLS_SHOWN]:
        since = f"after {fall.peak}" if fall.peak else "from the start"
        end = f"recovered {fall.recovered}" if fall.recovered else "not recovered"
        console.print(f"fell {fall.depth:.2%} {since} to {fall.trough}, {end} ({_sessions(fall.sessions)})", soft_wrap=True)
    if analysis.contributions:
        console.print(f"earned by symbol: {_earned(analysis.contributions)}", markup=False, soft_wrap=True)
    if len(analysis.strategies) > 1:
        console.print(f"earned by strategy: {_earned(analysis.strategies)}", markup=False, soft_wrap=True)
    console.print(f"bars: {analysis.data.version}", soft_wrap=True)
    _show_provenance(console, analysis)
    _show_failures(console, result)


def _show_provenance(console: Console, analysis: Analysis) -> None:
    known = analysis.provenance
    if known is None:
        return
    for one in known.warm_up:
        if one.first_target is None:
            console.print(f"{one.strategy} needs {one.bars_needed} closes; no target of it was acted upon", markup=False, soft_wrap=True)
            continue
        settled = "" if one.closes >= one.bars_settled else f"; it settles after {one.bars_settled}"
        text = f"{one.strategy} warmed up on {one.closes} closes, it needs {one.bars_needed}{settled}"
        console.print(f"{text}; its first target is of {one.first_target}", markup=False, soft_wrap=True)
    if known.gaps:
        lacking = sum(gap.sessions for gap in known.gaps)
        example = known.gaps[0]
        console.print(
            f"{lacking} bars are missing inside the series, such as {example.symbol} {example.first}: the last close stands for them",
            markup=False,
            soft_wrap=True,
        )
    for remark in known.remarks():
        console.print(remark, markup=False, soft_wrap=True)


def _figures(result: BacktestResult) -> list[tuple[str, str]]:
    figures = result.metrics
    return [
        ("final equity", f"{result.equity[-1]:,.2f}"),
        ("total return", share_text(figures.total_return)),
        ("yearly return", share_text(figures.cagr)),
        ("volatility", f"{figures.volatility:.2%}"),
        ("sharpe", ratio_text(figures.sharpe)),
        ("sortino", ratio_text(figures.sortino)),
        ("largest drawdown", f"{figures.max_drawdown:.2%}"),
        ("calmar", ratio_text(figures.calmar)),
        ("ulcer index", f"{figures.ulcer_index:.2%}"),
        ("value at risk 95 %", share_text(figures.value_at_risk)),
        ("expected shortfall", share_text(figures.expected_shortfall)),
        ("win rate", share_text(figures.win_rate)),
        ("yearly turnover", f"{figures.turnover:.2f}"),
        ("costs", f"{figures.costs:,.2f}"),
    ]


def _more_figures(analysis: Analysis) -> list[tuple[str, str]]:
    rows = [
        ("average exposure", f"{analysis.exposure.average:.2%}"),
        ("time in market", f"{analysis.exposure.time_in_market:.2%}"),
    ]
    if analysis.intervals is not None and analysis.intervals.sharpe is not None:
        interval = analysis.intervals.sharpe
        rows.append((f"sharpe, {analysis.intervals.confidence:.0%} interval", f"{interval.low:.2f} to {interval.high:.2f}"))
    if analysis.sharpe_test.trials > 1:
        rows.append((f"deflated sharpe, {analysis.sharpe_test.trials} tries", share_text(analysis.sharpe_test.deflated)))
    if analysis.benchmark is not None:
        other = analysis.benchmark
        rows += [
            (f"{other.symbol} total return", f"{other.metrics.total_return:.2%}"),
            (f"alpha to {other.symbol}", share_text(other.alpha)),
            (f"beta to {other.symbol}", ratio_text(other.beta)),
            (f"correlation with {other.symbol}", ratio_text(other.correlation)),
            ("tracking error", f"{other.tracking_error:.2%}"),
            ("up, down capture", f"{ratio_text(other.up_capture)}, {ratio_text(other.down_capture)}"),
        ]
    return rows


def _earned(contributions: list[Contribution]) -> str:
    ranked = sorted(contributions, key=lambda entry: (-abs(entry.profit), entry.name))
    told = ", ".join(f"{entry.name} {entry.profit:+z,.2f}" for entry in ranked[:SYMBOLS_SHOWN])
    rest = ranked[SYMBOLS_SHOWN:]
    return f"{told}, {len(rest)} others {sum(entry.profit for entry in rest):+z,.2f}" if rest else told


def _show_failures(console: Console, result: BacktestResult) -> None:
    for failure in result.failures[:STRETCHES_SHOWN]:
        stretch = f"{failure.first} to {failure.last} ({_sessions(failure.sessions)})"
        console.print(f"{failure.strategy} had no target {stretch}: {failure.reason}", style="yellow", markup=False, soft_wrap=True)
    if len(result.failures) > STRETCHES_SHOWN:
        sessions = sum(failure.sessions for failure in result.failures[STRETCHES_SHOWN:])
        console.print(f"and {len(result.failures) - STRETCHES_SHOWN} more such stretches, {sessions} sessions in all; --json has them")


def _sessions(count: int) -> str:
    return f"{count} session" if count == 1 else f"{count} sessions"


def ratio_text(value: float | None) -> str:
    """Return a ratio with two decimals, ``none`` where there is none."""
    return "none" if value is None else f"{value:z.2f}"


def share_text(value: float | None) -> str:
    """Return a fraction in percent, ``none`` where there is none."""
    return "none" if value is None else f"{value:z.2%}"
