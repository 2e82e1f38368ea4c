"""Strategies that hold one symbol or thirty, in equal parts: for what depends on how many there are."""

from collections.abc import Mapping

from alchemiser.strategies.python import MarketView, Strategy

THIRTY = tuple(f"{letter}{letter}{last}" for letter in "ABCDEFGHIJ" for last in "XYZ")


class HoldOne(Strategy):
    """Everything in one symbol."""

    symbols = ("SPY",)
    bars_needed = 2

    def decide(self, market: MarketView) -> Mapping[str, float]:
        """Return equal parts of all symbols."""
        return {symbol: 1 / len(self.symbols) for symbol in self.symbols}


class HoldNine(HoldOne):
    """Equal parts of nine symbols."""

    symbols: tuple[str, ...] = THIRTY[:9]  # type: ignore[assignment]


class HoldThirty(HoldOne):
    """Equal parts of thirty symbols."""

    symbols: tuple[str, ...] = THIRTY  # type: ignore[assignment]
