"""The figures of an equity curve.

Rates are fractions, a year has 252 sessions, and the deviation of returns is that of a sample. ``turnover`` is one-way and yearly: half
of what was traded, bought and sold, as a share of the equity. ``costs`` is dollars. A ratio whose denominator is zero is ``None``: a
curve that never moves has no Sharpe ratio, not a ratio of zero.
"""

import math
from collections.abc import Sequence

import msgspec
import numpy as np

SESSIONS_PER_YEAR = 252


class Metrics(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of one run; ``max_drawdown`` is positive."""

    total_return: float
    cagr: float
    volatility: float
    sharpe: float | None
    sortino: float | None
    max_drawdown: float
    calmar: float | None
    turnover: float
    costs: float


def metrics_of(
    equity: Sequence[float], *, initial: float, traded_shares: Sequence[float] = (), costs: float = 0.0, risk_free: float = 0.0
) -> Metrics:
    """Return the figures of an equity curve, one value per session.

    ``initial`` is the cash before the first session's trades, ``traded_shares`` the notional of each rebalance over the equity then,
    ``risk_free`` a yearly rate. The first session earns nothing: what is decided at its close earns from the next one on.
    """
    curve = np.asarray(equity, dtype=np.float64)
    returns = curve[1:] / curve[:-1] - 1.0
    years = len(returns) / SESSIONS_PER_YEAR
    growth = float(curve[-1]) / initial
    cagr = growth ** (1.0 / years) - 1.0 if years else 0.0
    excess = returns - risk_free / SESSIONS_PER_YEAR
    yearly_excess = float(np.mean(excess)) * SESSIONS_PER_YEAR if len(excess) else 0.0
    volatility = float(np.std(returns, ddof=1)) * math.sqrt(SESSIONS_PER_YEAR) if len(returns) > 1 else 0.0
    downside = math.sqrt(float(np.mean(np.minimum(excess, 0.0) ** 2)) * SESSIONS_PER_YEAR) if len(excess) else 0.0
    drawdown = _max_drawdown(np.concatenate(([initial], curve)))
    return Metrics(
        total_return=growth - 1.0,
        cagr=cagr,
        volatility=volatility,
        sharpe=_ratio(yearly_excess, volatility),
        sortino=_ratio(yearly_excess, downside),
        max_drawdown=drawdown,
        calmar=_ratio(cagr, drawdown),
        turnover=math.fsum(traded_shares) / 2.0 / years if years else 0.0,
        costs=costs,
    )


def _max_drawdown(curve: np.ndarray[tuple[int], np.dtype[np.float64]]) -> float:
    peaks = np.maximum.accumulate(curve)
    return float(np.max((peaks - curve) / peaks))


def _ratio(numerator: float, denominator: float) -> float | None:
    return numerator / denominator if denominator > 0.0 else None
