"""The results of a sweep as text for a terminal."""

from collections.abc import Sequence
from typing import Any

from alchemiser.backtest.sweep.results import Ranked
from alchemiser.backtest.sweep.run import WalkForward
from alchemiser.cli.tables import table

_SHOWN = ("sharpe", "cagr", "max_drawdown", "volatility", "turnover")
_PERCENT = frozenset({"cagr", "max_drawdown", "volatility", "total_return"})


def ranking_text(ranked: Sequence[Ranked], by: str, count: int) -> str:
    """Return the best variants as a table, the figure they are ranked by first."""
    figures = list(dict.fromkeys((by, *_SHOWN)))
    rows = [
        {**{name: f"{value:g}" for name, value in entry.parameters.items()}, **{name: _figure(entry.metrics, name) for name in figures}}
        for entry in ranked
    ]
    return f"The best {len(rows)} of {count} variants by {by}\n{table(rows) if rows else ''}".rstrip()


def walk_text(walked: WalkForward, by: str) -> str:
    """Return the folds and the figures of the stitched sessions."""
    rows = [
        {
            "chosen on": f"{fold.train_start} to {fold.train_end}",
            "tried until": str(fold.test_end),
            **{name: f"{value:g}" for name, value in fold.parameters.items()},
            f"{by} there": f"{fold.train_score:.2f}",
            "and after": "-" if fold.test_score is None else f"{fold.test_score:.2f}",
        }
        for fold in walked.folds
    ]
    figures = walked.metrics
    note = "" if walked.switches_are_charged else "\nWhat switching from one choice to the next costs is not in it."
    return (
        f"Walking forward, {len(walked.folds)} times\n{table(rows)}"
        f"Out of sample, {walked.dates[0]} to {walked.dates[-1]}: total return {figures.total_return:.2%}, "
        f"Sharpe {_figure(figures, 'sharpe')}, largest drawdown {figures.max_drawdown:.2%}{note}"
    )


def _figure(metrics: Any, name: str) -> str:
    value = getattr(metrics, name)
    if value is None:
        return "-"
    return f"{value:.2%}" if name in _PERCENT else f"{value:.2f}"
