"""What makes one variant better than another: one figure of its equity, over all sessions or over a window of them."""

import math
from typing import Final, Literal, get_args

import numpy as np

from alchemiser.backtest.metrics import SESSIONS_PER_YEAR
from alchemiser.market.arrays import Floats

Objective = Literal["sharpe", "sortino", "cagr", "calmar", "total_return", "volatility", "max_drawdown"]

OBJECTIVES: Final[tuple[Objective, ...]] = get_args(Objective)
SMALLER_IS_BETTER: Final = frozenset({"volatility", "max_drawdown"})

WORST: Final = -math.inf


def score_of(equity: Floats, objective: Objective, risk_free: float = 0.0) -> float:
    """Return how good a stretch of equity is, larger is better: the figure as :mod:`alchemiser.backtest.metrics` defines it.

    What smaller is better of is negative; a figure that does not exist is minus infinity.
    """
    if len(equity) < 2:
        return WORST
    if objective in ("total_return", "cagr"):
        growth = float(equity[-1] / equity[0])
        return growth - 1.0 if objective == "total_return" else _yearly(growth, len(equity) - 1)
    if objective in ("max_drawdown", "calmar"):
        drawdown = float(np.max(1.0 - equity / np.maximum.accumulate(equity)))
        if objective == "max_drawdown":
            return -drawdown
        return _yearly(float(equity[-1] / equity[0]), len(equity) - 1) / drawdown if drawdown > 0.0 else WORST
    returns = equity[1:] / equity[:-1] - 1.0
    if objective == "volatility":
        return -_deviation(returns)
    excess = returns - risk_free / SESSIONS_PER_YEAR
    spread = _deviation(returns) if objective == "sharpe" else math.sqrt(float(np.mean(np.minimum(excess, 0.0) ** 2)) * SESSIONS_PER_YEAR)
    return float(np.mean(excess)) * SESSIONS_PER_YEAR / spread if spread > 0.0 else WORST


def _yearly(growth: float, returns: int) -> float:
    return float(growth ** (SESSIONS_PER_YEAR / returns)) - 1.0


def _deviation(returns: Floats) -> float:
    return float(np.std(returns, ddof=1)) * math.sqrt(SESSIONS_PER_YEAR) if len(returns) > 1 else 0.0
