"""The decisions of a run for its page: those of the strategies, whole, and the same each time."""

import base64
import gzip
from collections.abc import Mapping
from typing import Any

import msgspec

from alchemiser.backtest.decisions import Decided, decisions_of, packed
from alchemiser.strategies.base import LoadedStrategy
from alchemiser.strategies.outcome import NotComputable
from alchemiser.strategies.panel import PricePanel
from alchemiser.strategies.python import MarketView, PythonStrategy, Strategy
from alchemiser.strategies.symphony.strategy import SymphonyStrategy
from tests.unit.strategies.test_variants import all_forms, panel


class Noted(Strategy):
    """Holds one symbol and says so, once there are three closes."""

    symbols = ("AAA",)
    bars_needed = 3

    def decide(self, market: MarketView) -> Mapping[str, float]:
        """Return everything in it."""
        market.closes("AAA")
        market.note("because I like it")
        return {"AAA": 1.0}


def decided() -> tuple[PricePanel, list[list[Decided]]]:
    prices = panel(sessions=60)
    strategies: list[LoadedStrategy] = [SymphonyStrategy("forms", 0.5, all_forms()), PythonStrategy("noted", 0.5, Noted())]
    return prices, decisions_of(strategies, prices, [prices.session(place) for place in range(len(prices))])


def test_they_are_those_of_the_strategies() -> None:
    """Weights, path and reasons of every session."""
    prices, found = decided()
    decider = SymphonyStrategy("forms", 0.5, all_forms()).on(prices)
    with_target = 0
    for place, (forms, noted) in enumerate(found):
        outcome = decider.decide(place)
        if isinstance(outcome, NotComputable):
            assert (forms.reason, forms.tree, forms.weights) == (str(outcome), None, {})
        else:
            with_target += 1
            assert forms.tree is not None
            assert forms.weights == outcome.weights
            assert outcome.tree is not None
            assert len(forms.tree.parts) == len(outcome.tree["parts"]) == 2
        if place < 2:
            assert noted.reason is not None
        else:
            assert (noted.notes, noted.weights, noted.tree) == (("because I like it",), {"AAA": 1.0}, None)
    assert 0 < with_target < len(found)


def test_a_path_says_what_held() -> None:
    """Each step with its line and its text; a condition with its answer, anything else without."""
    _, found = decided()
    tree = found[-1][0].tree
    assert tree is not None
    condition = tree.parts[0].path[0]

    assert condition.line == 3
    assert condition.text.startswith("rsi(AAA, 5) ")
    assert condition.holds is condition.text.endswith("yes")
    leaves = tree.parts[0].parts or tree.parts
    assert all(leaf.symbol or leaf.parts for leaf in leaves)


def test_they_travel_as_compressed_text() -> None:
    """The browser reads back what was packed, and the same decisions are the same text."""
    _, found = decided()
    text = packed(found)
    read: Any = msgspec.json.decode(gzip.decompress(base64.b64decode(text)))

    assert text == packed(decided()[1])
    assert len(read) == 60
    assert read[-1][1] == {"strategy": "noted", "weights": {"AAA": 1.0}, "notes": ["because I like it"]}
    assert msgspec.convert(read, list[list[Decided]]) == found
