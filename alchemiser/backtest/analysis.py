"""Everything that is said about a run beside its curve, computed from the curve and the book.

One pure function makes it, so that both engines, the JSON answer, the terminal and the page tell the same figures.
"""

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from alchemiser.backtest.data_version import DataVersion
from alchemiser.backtest.drawdowns import Drawdown, drawdowns_of
from alchemiser.backtest.inference import Intervals, SharpeTest, intervals_of, sharpe_test
from alchemiser.backtest.periods import ROLLING_SESSIONS, Period, Rolling, months_of, rolling_of, years_of
from alchemiser.backtest.provenance import Provenance
from alchemiser.backtest.record import Activity, Book, Contribution
from alchemiser.backtest.versus import Versus, versus
from alchemiser.market.arrays import Floats

DRAWDOWNS_LISTED = 10


class Questions(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked about a run: the number of resampled curves (0 for none) and their seed, the tries made, the rolling window."""

    bootstrap: int = 1_000
    seed: int = 0
    trials: int = 1
    window: int = ROLLING_SESSIONS
    risk_free: float = 0.0


class Exposure(msgspec.Struct, frozen=True, kw_only=True):
    """How much of the account was invested at the closes, on average and at most, and on which share of the sessions at all."""

    average: float
    maximum: float
    time_in_market: float


class Analysis(msgspec.Struct, frozen=True, kw_only=True):
    """The answers; ``contributions`` are per symbol and, like those per strategy, add up to the profit of the account."""

    exposure: Exposure
    drawdowns: list[Drawdown]
    months: list[Period]
    years: list[Period]
    rolling: Rolling
    contributions: list[Contribution]
    strategies: list[Contribution]
    activity: list[Activity]
    benchmark: Versus | None
    intervals: Intervals | None
    sharpe_test: SharpeTest
    data: DataVersion
    provenance: Provenance | None = None


def analyse(book: Book, data: DataVersion, questions: Questions, benchmark: tuple[str, Sequence[float]] | None = None) -> Analysis:
    """Answer the questions about a run. ``benchmark`` is a symbol and its close on every session of the run."""
    dates, equity, initial, risk_free = book.dates, book.curve, book.initial, questions.risk_free
    intervals = intervals_of(equity, samples=questions.bootstrap, seed=questions.seed, risk_free=risk_free) if questions.bootstrap else None
    return Analysis(
        exposure=exposure_of(book.weights(), len(dates)),
        drawdowns=drawdowns_of(dates, equity, initial=initial, most=DRAWDOWNS_LISTED),
        months=months_of(dates, equity, initial=initial),
        years=years_of(dates, equity, initial=initial),
        rolling=rolling_of(equity, window=questions.window, risk_free=risk_free, benchmark=benchmark[1] if benchmark else None),
        contributions=book.contributions(),
        strategies=list(book.strategies),
        activity=book.activity(),
        benchmark=versus(benchmark[0], equity, benchmark[1], initial=initial, risk_free=risk_free) if benchmark else None,
        intervals=intervals,
        sharpe_test=sharpe_test(equity, trials=questions.trials, risk_free=risk_free),
        data=data,
    )


def exposure_of(weights: Mapping[str, Floats], sessions: int) -> Exposure:
    """Return the exposure of weights per symbol and session."""
    invested = sum((np.abs(values) for values in weights.values()), np.zeros(sessions))
    return Exposure(average=float(np.mean(invested)), maximum=float(np.max(invested)), time_in_market=float(np.mean(invested > 0.0)))
