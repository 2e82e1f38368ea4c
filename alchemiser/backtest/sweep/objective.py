"""What makes one variant better than another: one figure of its equity, over all sessions or over a window of them."""

import math
from typing import Final, Literal, get_args

import numpy as np

from alchemiser.backtest.metrics import SESSIONS_PER_YEAR, ratio, returns_of, volatility_of, yearly
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
    growth = float(equity[-1] / equity[0])
    if objective == "total_return":
        return growth - 1.0
    if objective == "cagr":
        return _or_worst(yearly(growth, len(equity) - 1))
    if objective in ("max_drawdown", "calmar"):
        drawdown = float(np.max(1.0 - equity / np.maximum.accumulate(equity)))
        if objective == "max_drawdown":
            return -drawdown
        cagr = yearly(growth, len(equity) - 1)
        return WORST if cagr is None else _or_worst(ratio(cagr, drawdown))
    returns = returns_of(equity)
    if objective == "volatility":
        return -volatility_of(returns)
    excess = returns - risk_free / SESSIONS_PER_YEAR
    spread = volatility_of(returns)
    if objective == "sortino":
        spread = math.sqrt(float(np.mean(np.minimum(excess, 0.0) ** 2)) * SESSIONS_PER_YEAR)
    return _or_worst(ratio(float(np.mean(excess)) * SESSIONS_PER_YEAR, spread))


def _or_worst(figure: float | None) -> float:
    return WORST if figure is None else figure
