"""Strategies that trade every day: the weights change with the session and the prices, so that each session has sells and buys."""

from collections.abc import Mapping
from random import Random

from alchemiser.strategies.python import MarketView, Strategy


class Rotation(Strategy):
    """Random weights over a few of its symbols; a pure function of the session and the closes before it."""

    symbols: tuple[str, ...] = ("AAX", "BBY", "CCZ", "DDX", "EEY", "FFZ")
    bars_needed = 3

    def decide(self, market: MarketView) -> Mapping[str, float]:
        """Return random weights for two to five symbols."""
        known = [round(float(market.closes(symbol)[-2]), 2) for symbol in self.symbols]
        random = Random(f"{type(self).__name__} {market.session} {known}")
        chosen = sorted(random.sample(self.symbols, random.randint(2, min(5, len(self.symbols)))))
        parts = [random.uniform(0.2, 1.0) for _ in chosen]
        return {symbol: part / sum(parts) for symbol, part in zip(chosen, parts, strict=True)}


class SmallRotation(Rotation):
    """The same over four symbols, some of them those of :class:`Rotation`: the two meet on one symbol, and cross."""

    symbols = ("CCZ", "DDX", "GGX", "HHY")


class ShippedRotation(Rotation):
    """The same over symbols that an exchange of its own lists without being told."""

    symbols = ("BIL", "SPY", "TECL", "TQQQ", "UVXY", "XLK")


class ShippedSmallRotation(Rotation):
    """The same over other such symbols, some of them those of :class:`ShippedRotation` and of the shipped strategies."""

    symbols = ("BIL", "QQQ", "SPY", "TLT")
