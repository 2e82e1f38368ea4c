"""A run as one HTML file that needs nothing else: no network, no font, no script beside it.

Charts are drawn by Plotly, whose code is in the file; the tables are plain HTML and are there without any script. The page is light or
dark as the reader's system is, and light on paper. It has no wall time in it: the same run gives the same bytes.
"""

import math
from collections.abc import Iterable, Sequence
from html import escape

import plotly.io
from plotly.offline import get_plotlyjs

from alchemiser.backtest.analysis import Analysis
from alchemiser.backtest.charts import charts_of
from alchemiser.backtest.decisions import Decided, packed
from alchemiser.backtest.page import DECISION, DECISION_SCRIPT, PAGE, SCRIPT, STYLE
from alchemiser.backtest.provenance import Provenance
from alchemiser.backtest.record import Book
from alchemiser.backtest.result import BacktestResult, Charges, Terms

TRADES_SHOWN = 250

_HEADINGS = {
    "equity": "Equity and drawdown",
    "months": "Months and years",
    "rolling": "Rolling figures",
    "allocation": "Allocation at the close",
    "symbols": "Profit by symbol",
    "strategies": "Profit by strategy",
}
_LOG_SWITCH = '<button type="button" id="log" aria-pressed="false">logarithmic</button>'


def tear_sheet(
    title: str,
    result: BacktestResult,
    analysis: Analysis,
    book: Book,
    terms: Terms,
    charges: Charges,
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
        summary=escape(_summary(result, terms, charges)),
        tiles=_tiles(result, analysis),
        charts="\n".join(sections),
        tables="\n".join(_tables(result, analysis, book)),
        decisions=packed(decisions) if decisions else "",
        plotly=get_plotlyjs(),
        specs=specs.replace("</", "<\\/"),
        script=SCRIPT + (DECISION_SCRIPT if decisions else ""),
    )


def _summary(result: BacktestResult, terms: Terms, charges: Charges) -> str:
    fill = {"close": "at the close of the decision", "next-open": "at the next open", "path": "along the next session"}[terms.fill]
    costs = [
        f"{terms.slippage_bps:g} basis points of what is traded",
        *([f"a spread of {charges.spread_bps:g} basis points"] if charges.spread_bps else []),
        *(["the fees of the regulators"] if charges.fees else []),
        *([f"{charges.margin_rate:.2%} a year on debts"] if charges.margin_rate else []),
    ]
    counted = (", in whole shares" if terms.whole_shares else "") + (", with cash in cents" if charges.in_cents else "")
    return (
        f"{result.start} to {result.end}, {result.sessions} sessions, {result.engine} engine. "
        f"From ${terms.cash:,.2f}, filled {fill}{counted}. Costs: {', '.join(costs)}. Risk-free rate {terms.risk_free:.2%}.{_flows(result)}"
    )


def _flows(result: BacktestResult) -> str:
    if not result.flows:
        return ""
    came, went = (math.fsum(flow.amount for flow in result.flows if sign * flow.amount > 0) for sign in (1, -1))
    return f" ${came:,.2f} came and ${-went:,.2f} went on the way; the figures are of the performance, in which they have no part."


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
    if falls:
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
    if trades:
        yield _table(heading, ("day", "symbol", "shares", "held after", "price", "cost"), trades, is_folded=True)
    if result.failures:
        stretches = [(each.strategy, str(each.first), str(each.last), str(each.sessions), each.reason) for each in result.failures]
        yield _table("Without a target", ("strategy", "first", "last", "sessions", "reason of the first"), stretches, is_folded=True)
    series = analysis.data.symbols
    data = [(entry.symbol, str(entry.bars), str(entry.first or "-"), str(entry.last or "-"), entry.sha256[:16]) for entry in series]
    if analysis.provenance is not None:
        yield from _origin(analysis.provenance)
    yield _table("Bars", ("symbol", "bars", "first", "last", "SHA-256"), data, is_folded=True)
    yield f"<footer><p>Bars <code>{escape(analysis.data.version)}</code>.</p></footer>"


def _origin(known: Provenance) -> Iterable[str]:
    """Return what should be known before the figures are believed: the warm-up, the feed, what is missing."""
    warm_up = [
        (each.strategy, str(each.first_target or "never"), str(each.closes), str(each.bars_needed), str(each.bars_settled))
        for each in known.warm_up
    ]
    yield _table("Warm-up", ("strategy", "first target", "closes until then", "needed", "settled after"), warm_up)
    said = [f"{remark[0].upper()}{remark[1:]}." for remark in known.remarks()]
    yield f"<section><h2>Where the bars come from</h2>{''.join(f'<p>{escape(text)}</p>' for text in said)}</section>"
    gaps = [(gap.symbol, str(gap.first), str(gap.last), str(gap.sessions)) for gap in known.gaps]
    if gaps:
        yield _table(f"Gaps, lived through at the last close: {len(gaps)}", ("symbol", "first", "last", "sessions"), gaps, is_folded=True)


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
    return "none" if value is None else f"{value:z,.2%}"


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:z,.2f}"


def _dollars(*values: float) -> list[str]:
    return [f"${value:,.2f}" for value in values]
