"""The charts of a tear sheet as Plotly figures, without colours of paper and ink: those are the page's, light or dark.

Needs the extra ``report``. A figure is data; nothing is drawn here, the browser draws it.
"""

from collections.abc import Sequence
from datetime import date

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from alchemiser.backtest.analysis import Analysis
from alchemiser.backtest.drawdowns import underwater
from alchemiser.backtest.periods import Period, Rolling
from alchemiser.backtest.record import Book, Contribution
from alchemiser.market.arrays import Floats

INK = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#8c8c8c", "#b8a800", "#7b61c4", "#4d9221", "#a65628", "#999933")
"""Colours that differ for colour-blind eyes too, and are seen on white and on black."""

FALL = "#d55e00"
SYMBOLS_DRAWN = 11
FEW_DAYS = 6
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def charts_of(analysis: Analysis, book: Book) -> dict[str, go.Figure]:
    """Return the figures of a run by the name of their place in the page; those that would be empty are left out."""
    figures = {
        "equity": equity_chart(analysis, book),
        "months": month_chart(analysis.months, analysis.years),
    }
    if any(value is not None for value in analysis.rolling.volatility):
        figures["rolling"] = rolling_chart(book.dates, analysis.rolling)
    figures["allocation"] = allocation_chart(book.dates, book.weights())
    if analysis.contributions:
        figures["symbols"] = contribution_chart(analysis.contributions)
    if len(analysis.strategies) > 1:
        figures["strategies"] = contribution_chart(analysis.strategies)
    return figures


def equity_chart(analysis: Analysis, book: Book) -> go.Figure:
    """Return the curve, the benchmark's beside it, and below it how far it is under its peak.

    Where money came and went, the performance without it is drawn too, and the falls are those of the performance.
    """
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, row_heights=[0.72, 0.28], vertical_spacing=0.04)
    days = _days(book.dates)
    hover = "%{y:$,.2f}"
    line = {"color": INK[0], "width": 1.8}
    mode = "lines" if len(days) > 1 else "markers"
    figure.add_trace(go.Scatter(x=days, y=list(book.equity), name="equity", mode=mode, hovertemplate=hover, line=line), 1, 1)
    if book.performance is not None:
        line = {"color": INK[0], "width": 1.3, "dash": "dot"}
        drawn = go.Scatter(x=days, y=list(book.performance), name="without deposits and withdrawals", hovertemplate=hover, line=line)
        figure.add_trace(drawn, 1, 1)
    if analysis.benchmark is not None:
        other = analysis.benchmark
        line = {"color": INK[6], "width": 1.3}
        figure.add_trace(go.Scatter(x=days, y=other.equity, name=other.symbol, hovertemplate=hover, line=line), 1, 1)
    below = (-underwater(book.curve, book.initial)).tolist()
    fall = go.Scatter(x=days, y=below, name="drawdown", hovertemplate="%{y:.2%}", fill="tozeroy", line={"color": FALL, "width": 1})
    figure.add_trace(fall, 2, 1)
    figure.update_yaxes(tickprefix="$", tickformat="~s", row=1, col=1)
    figure.update_yaxes(tickformat=".0%", row=2, col=1, range=None if min(below) < 0.0 else [-0.01, 0.0])
    return _named_days(_laid_out(figure, height=520), days)


def month_chart(months: Sequence[Period], years: Sequence[Period]) -> go.Figure:
    """Return the heat map of months, a row per year with its total at the end; the newest year is on top."""
    values = {month.period: month.value for month in months}
    labels = [year.period for year in years]
    cells = [
        [values.get(f"{label}-{month:02}") for month in range(1, 13)] + [year.value] for label, year in zip(labels, years, strict=True)
    ]
    texts = [["" if value is None else f"{value:z.1%}" for value in row] for row in cells]
    bound = float(np.quantile(np.abs([month.value for month in months]), 0.9)) or 0.01
    heat = go.Heatmap(
        x=[*MONTHS, "Year"],
        y=labels,
        z=cells,
        text=texts,
        texttemplate="%{text}",
        hovertemplate="%{y} %{x}: %{z:.2%}<extra></extra>",
        colorscale=[[0.0, "#d55e00"], [0.5, "#f4f4f2"], [1.0, "#0072b2"]],
        zmin=-bound,
        zmid=0.0,
        zmax=bound,
        showscale=False,
        xgap=2,
        ygap=2,
    )
    figure = _laid_out(go.Figure(heat), height=90 + 28 * len(labels))
    figure.update_layout(hovermode="closest", xaxis={"side": "top", "fixedrange": True})
    figure.update_yaxes(type="category", fixedrange=True, dtick=1)
    return figure


def rolling_chart(dates: Sequence[date], rolling: Rolling) -> go.Figure:
    """Return the rolling Sharpe ratio, with the rolling volatility and, against a benchmark, the rolling beta below."""
    rows: list[tuple[str, Sequence[float | None], str]] = [("Sharpe", rolling.sharpe, ".2f"), ("volatility", rolling.volatility, ".1%")]
    if rolling.beta is not None:
        rows.append(("beta", rolling.beta, ".2f"))
    figure = make_subplots(rows=len(rows), cols=1, shared_xaxes=True, vertical_spacing=0.05)
    for place, (name, values, form) in enumerate(rows, start=1):
        line = {"color": INK[place - 1], "width": 1.4}
        drawn = go.Scatter(x=_days(dates), y=list(values), name=name, hovertemplate=f"%{{y:{form}}}", line=line)
        figure.add_trace(drawn, place, 1)
        figure.update_yaxes(title_text=name, tickformat=form if "%" in form else "~g", row=place, col=1)
    figure.add_hline(y=0.0, line_width=1, line_dash="dot", line_color="#8c8c8c", row=1, col=1)
    figure = _laid_out(figure, height=150 + 130 * len(rows))
    figure.update_layout(showlegend=False)
    return figure


def allocation_chart(dates: Sequence[date], weights: dict[str, Floats]) -> go.Figure:
    """Return what the account was in at every close, stacked: the symbols held most, what else was held, and the rest in cash."""
    ranked = sorted(weights, key=lambda symbol: (-float(np.mean(weights[symbol])), symbol))
    named, others = ranked[:SYMBOLS_DRAWN], ranked[SYMBOLS_DRAWN:]
    layers = {symbol: weights[symbol] for symbol in named}
    if others:
        layers[f"{len(others)} others"] = np.sum([weights[symbol] for symbol in others], axis=0)
    invested = np.sum(list(layers.values()), axis=0) if layers else np.zeros(len(dates))
    layers["cash"] = np.maximum(1.0 - invested, 0.0)
    figure = go.Figure()
    for place, (name, values) in enumerate(layers.items()):
        colour = "#bdbdbd" if name == "cash" else INK[place % len(INK)]
        figure.add_trace(
            go.Scatter(
                x=_days(dates),
                y=[round(value, 6) for value in values.tolist()],
                name=name,
                stackgroup="account",
                hovertemplate="%{y:.1%}",
                fillcolor=colour,
                line={"width": 0, "shape": "hv", "color": colour},
            )
        )
    figure = _laid_out(figure, height=380)
    figure.update_yaxes(tickformat=".0%", range=[0.0, 1.0])
    return _named_days(figure, _days(dates))


def contribution_chart(contributions: Sequence[Contribution]) -> go.Figure:
    """Return a bar per name, the largest profit on top."""
    ordered = list(reversed(contributions))
    bars = go.Bar(
        x=[entry.profit for entry in ordered],
        y=[entry.name for entry in ordered],
        customdata=[[entry.share, entry.costs] for entry in ordered],
        orientation="h",
        marker={"color": [INK[0] if entry.profit >= 0.0 else FALL for entry in ordered]},
        hovertemplate="%{y}: %{x:$,.2f}, %{customdata[0]:.2%} of the initial cash, costs %{customdata[1]:$,.2f}<extra></extra>",
    )
    figure = _laid_out(go.Figure(bars), height=110 + 26 * len(ordered))
    figure.update_layout(hovermode="closest", showlegend=False)
    figure.update_xaxes(tickprefix="$", tickformat="~s")
    figure.update_yaxes(type="category", dtick=1)
    return figure


def _days(dates: Sequence[date]) -> list[str]:
    return [day.isoformat() for day in dates]


def _named_days(figure: go.Figure, days: Sequence[str]) -> go.Figure:
    """Return the figure with a name for each day of a few, which Plotly would divide into hours."""
    if len(days) <= FEW_DAYS:
        figure.update_xaxes(tickvals=list(days), ticktext=list(days))
    return figure


def _laid_out(figure: go.Figure, *, height: int) -> go.Figure:
    figure.update_layout(
        template="none",
        height=height,
        margin={"l": 64, "r": 16, "t": 32, "b": 36},
        hovermode="x unified",
        legend={"orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 0.0},
        font={"size": 12},
    )
    return figure
