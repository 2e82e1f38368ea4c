"""Python strategies that tests load by ``module:Class``."""

from collections.abc import Mapping
from typing import Any

from alchemiser.strategies.python import MarketView, Strategy


class Momentum(Strategy):
    """Stocks while they have risen over five sessions, bills otherwise."""

    symbols: tuple[str, ...] = ("SPY", "BIL")
    bars_needed = 6

    def decide(self, market: MarketView) -> Mapping[str, float]:
        """Return everything in one of the two."""
        gain = market.measure("cumulative-return", "SPY", 5)
        market.note(f"SPY gained {gain:.1f} percent by {market.session}, last {market.closes('SPY')[-1]:g}")
        return {"SPY": 1.0, "BIL": 0.0} if gain > 0 else {"BIL": 1}


class Saying(Strategy):
    """Returns or raises whatever it was told to."""

    symbols = ("SPY", "BIL")
    answer: Any = None

    def decide(self, market: MarketView) -> Mapping[str, float]:
        """Return the answer, or raise it."""
        if isinstance(self.answer, BaseException):
            raise self.answer
        if callable(self.answer):
            return self.answer(market)  # type: ignore[no-any-return]
        return self.answer  # type: ignore[no-any-return]


class Demanding(Strategy):
    """Cannot be made without an argument."""

    symbols = ("SPY",)

    def __init__(self, needed: int) -> None:
        self.needed = needed

    def decide(self, market: MarketView) -> Mapping[str, float]:
        """Never called."""
        return {}


class Unsymboled(Momentum):
    """Declares no symbols."""

    symbols = ()


class Unbarred(Momentum):
    """Declares a number of bars that is none."""

    bars_needed = 0


NOT_A_STRATEGY = 3
