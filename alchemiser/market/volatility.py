"""How much a portfolio moved: the yearly volatility of holding fixed weights over past sessions."""

import math
from collections.abc import Mapping

import numpy as np

from alchemiser.market.history import DailyHistory

SESSIONS_PER_YEAR = 252


def yearly_volatility(history: DailyHistory, weights: Mapping[str, float], *, sessions: int) -> float | None:
    """Return the standard deviation of the daily returns over the last ``sessions`` sessions, times the root of 252, as a fraction.

    What the weights leave is cash, which does not move. ``None`` when a symbol has no closes, or all of them together not enough.
    """
    held = sorted(symbol for symbol, weight in weights.items() if weight)
    if not held:
        return 0.0
    if any(symbol not in history.symbols for symbol in held):
        return None
    _, closes = history.aligned(held)
    closes = closes[:, -(sessions + 1) :]
    if closes.shape[1] < sessions + 1:
        return None
    returns = np.array([weights[symbol] for symbol in held]) @ (closes[:, 1:] / closes[:, :-1] - 1.0)
    deviation = float(np.std(returns, ddof=1))
    return deviation * math.sqrt(SESSIONS_PER_YEAR)
