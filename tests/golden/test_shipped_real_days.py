"""The shipped strategies on every real session from 2021 to March 2025: their targets, their failures, and no look-ahead.

The real data is not part of the repository; without it these tests are skipped. Some instruments are younger than 2021 and some are not in
the data at all: those days are failures with a reason, and the numbers here say how many.
"""

from datetime import date
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from alchemiser.cli.price_files import read_panel
from alchemiser.strategies.base import LoadedStrategy
from alchemiser.strategies.outcome import NotComputable, Proposal
from alchemiser.strategies.panel import PRICE, PricePanel
from alchemiser.strategies.sources import StrategySource, load_strategy
from alchemiser.strategies.symphony.strategy import SymphonyStrategy
from tests.unit.strategies.slow_interpreter import SlowInterpreter

DATA = Path(__file__).parents[2].parent / "shared" / "data" / "daily"
START, END = date(2021, 1, 4), date(2025, 3, 31)
HISTORY_FROM = date(2019, 6, 3)
"""More than a year before the first session: enough for every average of two hundred days."""

pytestmark = pytest.mark.skipif(not (DATA / "TECL.csv").exists(), reason="the real daily bars are not beside the repository")


@cache
def strategy(name: str) -> LoadedStrategy:
    return load_strategy(StrategySource(name, name, 1.0))


@cache
def panel(name: str) -> PricePanel:
    return read_panel(DATA, [strategy(name)], as_of=END)


def sessions(prices: PricePanel) -> range:
    return range(prices.place_through(START), len(prices))


@pytest.mark.parametrize(
    ("name", "decided", "missing"),
    [
        ("tecl", 1_065, None),
        ("nuclear", 803, "SMR"),
        ("klm", 0, "QQQE"),
    ],
)
def test_every_session_is_decided_or_says_why_not(name: str, decided: int, missing: str | None) -> None:
    """The sessions add up, weights are shares, and each failure names the symbol that is too young or not there."""
    prices = panel(name)
    decider = strategy(name).on(prices)
    failed = 0
    for place in sessions(prices):
        outcome = decider.decide(place)
        if isinstance(outcome, NotComputable):
            assert missing is not None, outcome
            assert missing in outcome.reasons[-1], outcome
            failed += 1
        else:
            assert sum(outcome.weights.values()) == pytest.approx(1.0, abs=1e-9)
            assert min(outcome.weights.values()) > 0
            assert outcome.explanation
    assert len(sessions(prices)) == 1_065
    assert decided == 1_065 - failed


@pytest.mark.parametrize("name", ["tecl", "nuclear"])
def test_the_slow_reading_agrees(name: str) -> None:
    """On every eighth session the weights are those of the day-by-day interpreter, to the last bit."""
    prices, loaded = panel(name), strategy(name)
    assert isinstance(loaded, SymphonyStrategy)
    closes = {symbol: [prices.column(symbol, PRICE).at(place) for place in range(len(prices))] for symbol in loaded.symbols}
    slow, fast = SlowInterpreter(loaded.symphony, closes), loaded.on(prices)
    for place in sessions(prices)[::8]:
        expected, actual = slow.target(place), fast.decide(place, explain=False)
        if isinstance(actual, Proposal):
            assert expected is not None
            assert {symbol: expected[symbol] for symbol in sorted(expected)} == actual.weights
        else:
            assert expected is None


def look_ahead(name: str, step: int) -> int:
    """Compare each ``step``-th session decided on all the data with the same decided on what was known; return how many had a target."""
    prices, loaded = panel(name), strategy(name)
    first = prices.place_through(HISTORY_FROM)
    bars = {}
    for symbol in prices.symbols:
        column = prices.column(symbol, PRICE)
        known = [place for place in range(first, len(prices)) if column.known[place]]
        bars[symbol] = (np.array([prices.session(place).toordinal() for place in known], dtype=np.int64), column.values[known])
    whole = PricePanel(bars)
    decider, targets = loaded.on(whole), 0
    for place in range(whole.place_through(START), len(whole), step):
        expected = decider.decide(place, explain=False)
        cut = PricePanel(bars, until=whole.session(place))
        assert expected == loaded.on(cut).decide(cut.last, explain=False), whole.session(place)
        targets += isinstance(expected, Proposal)
    return targets


@pytest.mark.parametrize("name", ["tecl", "nuclear", "klm"])
def test_no_look_ahead(name: str) -> None:
    """On every twentieth session nothing later changes the decision."""
    assert (look_ahead(name, 20) > 30) is (name != "klm")


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", ["tecl", "nuclear", "klm"])
def test_no_look_ahead_on_any_session(name: str) -> None:
    """On not a single session does anything later change the decision."""
    assert (look_ahead(name, 1) > 700) is (name != "klm")
