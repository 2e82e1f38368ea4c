"""No look-ahead: for every shipped strategy and every day, cutting the data after the day changes nothing of that day.

Prices are random walks, started late for some symbols and with holes in others; the same on real prices is a golden test.
"""

import numpy as np
import pytest

from alchemiser.market.arrays import Days, Floats
from alchemiser.strategies.base import LoadedStrategy
from alchemiser.strategies.catalog import SHIPPED
from alchemiser.strategies.outcome import NotComputable, Proposal
from alchemiser.strategies.panel import PricePanel
from alchemiser.strategies.sources import StrategySource, load_strategy

SESSIONS = 236
DAYS = np.arange(738_000, 738_000 + SESSIONS, dtype=np.int64)


def market(symbols: tuple[str, ...]) -> dict[str, tuple[Days, Floats]]:
    """Return random walks; the third symbol is young, the fifth skips a session now and then."""
    dice = np.random.default_rng(20250331)
    found = {}
    for number, symbol in enumerate(symbols):
        closes = 100 * np.exp(np.cumsum(dice.normal(0, 0.02, SESSIONS)))
        kept = np.arange(SESSIONS) >= 30 if number == 2 else dice.random(SESSIONS) > (0.01 if number == 4 else -1)
        found[symbol] = (DAYS[kept], closes[kept])
    return found


@pytest.mark.parametrize("name", SHIPPED)
def test_cutting_the_data_changes_no_day(name: str) -> None:
    """Decided on the whole history or on what was known that day: the same weights, on every single day."""
    strategy: LoadedStrategy = load_strategy(StrategySource(name, name, 1.0))
    prices = market(strategy.symbols)
    whole = strategy.on(PricePanel(prices))
    proposals = 0
    for place in range(SESSIONS):
        cut = PricePanel({symbol: (days[days <= DAYS[place]], closes[days <= DAYS[place]]) for symbol, (days, closes) in prices.items()})
        expected, actual = whole.decide(place, explain=False), strategy.on(cut).decide(cut.last, explain=False)
        assert expected == actual, place
        proposals += isinstance(actual, Proposal)
        if isinstance(actual, NotComputable):
            assert isinstance(whole.decide(place), NotComputable)
    assert proposals > 5, "some days must be decided for this to mean anything"
