"""Risk parity with a volatility target: stocks, bonds and gold by inverse volatility, the rest in bills. A shipped example in Python.

Use it as ``risk_parity``, or copy it and change what it looks at.
"""

import math
from collections.abc import Mapping

import numpy as np

from alchemiser.strategies.python import MarketView, Strategy

WINDOW_SESSIONS = 60
TARGET_VOLATILITY = 0.08
"""Of the whole, a year, as a fraction."""
SESSIONS_PER_YEAR = 252


class RiskParity(Strategy):
    """Each risky fund contributes as much as the others; together they are scaled down, never up, to the volatility that is wanted."""

    risky = ("SPY", "TLT", "GLD")
    symbols = (*risky, "BIL")
    bars_needed = WINDOW_SESSIONS + 1

    def decide(self, market: MarketView) -> Mapping[str, float]:
        """Return the shares of the risky funds, and bills for what is left."""
        closes = np.stack([market.closes(symbol)[-WINDOW_SESSIONS - 1 :] for symbol in self.risky])
        returns = closes[:, 1:] / closes[:, :-1] - 1.0
        deviations = returns.std(axis=1)
        if not deviations.all():
            raise ValueError("a fund has not moved in the whole window; its prices cannot be right")
        parity = (1.0 / deviations) / (1.0 / deviations).sum()
        volatility = float(np.std(parity @ returns)) * math.sqrt(SESSIONS_PER_YEAR)
        invested = min(TARGET_VOLATILITY / volatility, 1.0)
        market.note(
            f"at equal risk the volatility is {volatility:.2%} a year, {TARGET_VOLATILITY:.0%} is wanted: {invested:.1%} is invested"
        )
        weights = {symbol: float(share) * invested for symbol, share in zip(self.risky, parity, strict=True)}
        if invested == 1.0:
            return weights  # What the sums of floats leave is nothing to buy bills with.
        return {**weights, "BIL": max(1.0 - math.fsum(weights.values()), 0.0)}
