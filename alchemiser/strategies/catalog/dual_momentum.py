"""Dual momentum: the strongest of two stock markets while stocks beat bills, otherwise bonds. A shipped example in Python.

Use it as ``dual_momentum``, or copy it and change what it looks at.
"""

from collections.abc import Mapping

from alchemiser.strategies.python import MarketView, Strategy

LOOKBACK_SESSIONS = 252


class DualMomentum(Strategy):
    """Relative momentum chooses the stock market, absolute momentum decides whether to hold stocks at all; monthly decisions do."""

    symbols = ("SPY", "EFA", "AGG", "BIL")
    bars_needed = LOOKBACK_SESSIONS + 1
    lookback_sessions = LOOKBACK_SESSIONS

    def decide(self, market: MarketView) -> Mapping[str, float]:
        """Return everything in one fund."""
        gains = {symbol: market.measure("cumulative-return", symbol, self.lookback_sessions) for symbol in ("SPY", "EFA", "BIL")}
        strongest = "SPY" if gains["SPY"] >= gains["EFA"] else "EFA"
        market.note(", ".join(f"{symbol} gained {gain:.2f}% in {self.lookback_sessions} sessions" for symbol, gain in gains.items()))
        if gains[strongest] > gains["BIL"]:
            market.note(f"{strongest} beats the other market and bills")
            return {strongest: 1.0}
        market.note("no stock market beats bills: bonds")
        return {"AGG": 1.0}
