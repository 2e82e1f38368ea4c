"""A run as one HTML file that needs nothing else: no network, no font, no script beside it.

Charts are drawn by Plotly, whose code is in the file; the tables are plain HTML and are there without any script. The page is light or
dark as the reader's system is, and light on paper. It has no wall time in it: the same run gives the same bytes.
"""

from collections.abc import Iterable, Sequence
from html import escape

import plotly.io
from plotly.offline import get_plotlyjs

from alchemiser.backtest.analysis import Analysis
from alchemiser.backtest.charts import charts_of
from alchemiser.backtest.decisions import Decided, packed
from alchemiser.backtest.page import DECISION, DECISION_SCRIPT, PAGE, SCRIPT, STYLE
from alchemiser.backtest.record import Book
from alchemiser.backtest.result import BacktestResult, Terms

TRADES_SHOWN = 250

_HEADINGS = {
    "equity": "Equity and drawdown",
    "months": "Months and years",
    "rolling": "Rolling figures",
    "allocation": "Allocation at the close",
    "symbols": "Profit by symbol",
    "strategies": "Profit by strategy",
}
_CAVEAT = (
    "Symbols are those that the strategies name today: what was closed or renamed since is in the figures only where its bars are. "
    "Closes are those of one feed, adjusted as of the end."
)
_LOG_SWITCH = '<button type="button" id="log" aria-pressed="false">logarithmic</button>'


def tear_sheet(
    title: str,
    result: BacktestResult,
    analysis: Analysis,
    book: Book,
    terms: Terms,
    decisions: Sequence[Sequence[Decided]] = (),
) -> str:
    """Return the page of a run; with the decisions of each of its sessions, it shows those of any day."""
    charts = charts_of(analysis, book)
    sections = []
    for name in charts:
        note = f" <small>over {analysis.rolling.window} sessions</small>" if name == "rolling" else ""
        button = f'{_LOG_SWITCH} <small class="hint">drag to zoom, double click to come back</small>' if name == "equity" else ""
        sections.append(f'<section><h2>{_HEADINGS[name]}{note}{button}</h2><div class="chart" id="{name}"></div></section>')
    if decisions:
        sections.insert(1, DECISION)
    specs = ",".join(f'"{name}":{plotly.io.to_json(figure, validate=False, engine="json")}' for name, figure in charts.items())
    return PAGE.format(
        title=escape(title),
        style=STYLE,
        summary=escape(_summary(result, terms)),
        tiles=_tiles(result, analysis),
        charts="\n".join(sections),
        tables="\n".join(_tables(result, analysis, book)),
        decisions=packed(decisions) if decisions else "",
        plotly=get_plotlyjs(),
        specs=specs.replace("</", "<\\/"),
        script=SCRIPT + (DECISION_SCRIPT if decisions else ""),
    )


def _summary(result: BacktestResult, terms: Terms) -> str:
    fill = {"close": "at the close of the decision", "next-open": "at the next open", "path": "along the next session"}[terms.fill]
    return (
        f"{result.start} to {result.end}, {result.sessions} sessions, {result.engine} engine. From ${terms.cash:,.2f}, filled {fill}, "
        f"{terms.slippage_bps:g} basis points of what is traded, risk-free rate {terms.risk_free:.2%}."
    )


def _tiles(result: BacktestResult, analysis: Analysis) -> str:
    figures = result.metrics
    tiles = [
        ("final equity", f"${result.equity[-1]:,.2f}"),
        ("total return", _percent(figures.total_return)),
        ("yearly return", _percent(figures.cagr)),
        ("volatility", _percent(figures.volatility)),
        ("Sharpe", _number(figures.sharpe)),
        ("Sortino", _number(figures.sortino)),
        ("largest drawdown", _percent(figures.max_drawdown)),
        ("Calmar", _number(figures.calmar)),
        ("value at risk 95 %", _percent(figures.value_at_risk)),
        ("expected shortfall", _percent(figures.expected_shortfall)),
        ("ulcer index", _percent(figures.ulcer_index)),
        ("win rate", _percent(figures.win_rate)),
        ("yearly turnover", _number(figures.turnover)),
        ("costs", f"${figures.costs:,.2f}"),
        ("average exposure", _percent(analysis.exposure.average)),
        ("time in market", _percent(analysis.exposure.time_in_market)),
    ]
    return "".join(f"<div><dt>{escape(label)}</dt><dd>{escape(text)}</dd></div>" for label, text in tiles)


def _tables(result: BacktestResult, analysis: Analysis, book: Book) -> Iterable[str]:
    if analysis.benchmark is not None:
        other = analysis.benchmark
        rows = [
            ("total return", _percent(result.metrics.total_return), _percent(other.metrics.total_return)),
            ("yearly return", _percent(result.metrics.cagr), _percent(other.metrics.cagr)),
            ("volatility", _percent(result.metrics.volatility), _percent(other.metrics.volatility)),
            ("Sharpe", _number(result.metrics.sharpe), _number(other.metrics.sharpe)),
            ("largest drawdown", _percent(result.metrics.max_drawdown), _percent(other.metrics.max_drawdown)),
            ("alpha", _percent(other.alpha), ""),
            ("beta", _number(other.beta), ""),
            ("correlation", _number(other.correlation), ""),
            ("tracking error", _percent(other.tracking_error), ""),
            ("information ratio", _number(other.information_ratio), ""),
            ("up capture", _number(other.up_capture), ""),
            ("down capture", _number(other.down_capture), ""),
        ]
        yield _table(f"Against {other.symbol}", ("figure", "run", other.symbol), rows)
    yield _table("How much may be luck", ("figure", "from", "to"), _luck(analysis))
    falls = [
        (
            _percent(fall.depth),
            str(fall.peak or "the start"),
            str(fall.trough),
            str(fall.recovered or "not yet"),
            str(fall.sessions),
        )
        for fall in analysis.drawdowns
    ]
    yield _table("Largest falls", ("depth", "after", "trough", "recovered", "sessions"), falls)
    years = [
        (
            str(year.year),
            str(year.rebalances),
            str(year.trades),
            *_dollars(year.bought, year.sold),
            _number(year.turnover),
            *_dollars(year.costs),
        )
        for year in analysis.activity
    ]
    yield _table("Trading by year", ("year", "sessions with trades", "trades", "bought", "sold", "turnover", "costs"), years)
    last = book.trades[-TRADES_SHOWN:]
    trades = [
        (str(trade.date), trade.symbol, f"{trade.shares:+,.4f}", f"{trade.position:,.4f}", *_dollars(trade.price, trade.cost))
        for trade in reversed(last)
    ]
    heading = f"Trades: the last {len(last)} of {len(book.trades)}" if len(last) < len(book.trades) else f"Trades: {len(last)}"
    yield _table(heading, ("day", "symbol", "shares", "held after", "price", "cost"), trades, is_folded=True)
    if result.failures:
        stretches = [(each.strategy, str(each.first), str(each.last), str(each.sessions), each.reason) for each in result.failures]
        yield _table("Without a target", ("strategy", "first", "last", "sessions", "reason of the first"), stretches, is_folded=True)
    data = [(entry.symbol, str(entry.bars), str(entry.first), str(entry.last), entry.sha256[:16]) for entry in analysis.data.symbols]
    yield _table("Bars", ("symbol", "bars", "first", "last", "SHA-256"), data, is_folded=True)
    yield f"<footer><p>Bars <code>{escape(analysis.data.version)}</code>.</p><p>{_CAVEAT}</p></footer>"


def _luck(analysis: Analysis) -> list[tuple[str, str, str]]:
    rows = []
    if analysis.intervals is not None:
        drawn = analysis.intervals
        note = f"{drawn.confidence:.0%} of {drawn.samples} resampled curves"
        for name, interval, text in (
            ("yearly return", drawn.cagr, _percent),
            ("volatility", drawn.volatility, _percent),
            ("Sharpe", drawn.sharpe, _number),
            ("largest drawdown", drawn.max_drawdown, _percent),
        ):
            if interval is not None:
                rows.append((f"{name}, {note}", text(interval.low), text(interval.high)))
    tested = analysis.sharpe_test
    rows.append(("probability that the Sharpe ratio is above 0", _percent(tested.probabilistic), ""))
    if tested.trials > 1:
        rows.append((f"and above the best of {tested.trials} tries without skill (deflated)", _percent(tested.deflated), ""))
    return rows


def _table(heading: str, columns: Sequence[str], rows: Iterable[Sequence[str]], *, is_folded: bool = False) -> str:
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    if is_folded:
        return f"<section><details><summary>{escape(heading)}</summary>{table}</details></section>"
    return f"<section><h2>{escape(heading)}</h2>{table}</section>"


def _percent(value: float | None) -> str:
    return "none" if value is None else f"{value:,.2%}"


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:,.2f}"


def _dollars(*values: float) -> list[str]:
    return [f"${value:,.2f}" for value in values]
