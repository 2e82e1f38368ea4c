"""Deep and wide files, and groups ranked inside groups: time grows with the size of the file and never with its depth.

Limits on time are loose, because machines are busy; that they hold at all is what matters. Tight ones are in the benchmark.
"""

import math
import time

import numpy as np
import pytest

from alchemiser.domain.errors import SymphonyError
from alchemiser.strategies.outcome import Proposal
from alchemiser.strategies.panel import PricePanel
from alchemiser.strategies.symphony.check import check_text
from alchemiser.strategies.symphony.printer import print_symphony
from alchemiser.strategies.symphony.strategy import HistoryDecider
from tests.unit.strategies.slow_interpreter import SlowInterpreter

SYMBOLS = tuple("ABCDEFGH")
CHOICES = [f'(if (> (rsi "{symbol}" {window}) 50) (asset "A") (asset "{symbol}"))' for symbol in SYMBOLS for window in range(2, 7)]


def panel(sessions: int) -> PricePanel:
    dice = np.random.default_rng(3)
    days = np.arange(738_000, 738_000 + sessions, dtype=np.int64)
    return PricePanel({symbol: (days, 100 * np.exp(np.cumsum(dice.normal(0, 0.02, sessions)))) for symbol in SYMBOLS})


def decided(text: str, sessions: int) -> Proposal:
    outcome = HistoryDecider(check_text(text), panel(sessions)).decide(sessions - 1)
    assert isinstance(outcome, Proposal), outcome
    return outcome


def symphony(root: str) -> str:
    return f'(defsymphony "Size" {{:rebalance-frequency :daily}} {root})'


def test_nearly_three_hundred_levels() -> None:
    """The deepest file there may be is read, printed, evaluated and explained without the host stack."""
    levels = 148
    root = "".join(f'(if (> (rsi "{SYMBOLS[level % 8]}" {level + 2}) 101) [(asset "A")] [' for level in range(levels))
    text = symphony(root + '(asset "B")' + "])" * levels)
    tree = check_text(text)

    assert tree.depth == 298
    assert len(tree.nodes) == len(check_text(print_symphony(tree)).nodes) == levels + 2
    assert decided(text, 200).weights == {"B": 1.0}
    assert len(decided(text, 200).explanation) == levels


@pytest.mark.slow
def test_a_hundred_thousand_distinct_nodes() -> None:
    """A file of more than two and a half megabytes in which nothing repeats is checked and decided on every session."""
    asset = '(asset "{}")'
    parts = [
        f'(group "{number}" [(if (> (rsi "{SYMBOLS[number % 8]}" 3) {number / 1000:.3f}) '
        f"{asset.format(SYMBOLS[number % 7])} {asset.format(SYMBOLS[number % 5])})])"
        for number in range(50_000)
    ]
    text = symphony(f"(weight-equal [{' '.join(parts)}])")
    began = time.process_time()
    tree = check_text(text)
    outcome = HistoryDecider(tree, panel(30)).decide(29)

    assert (len(text) > 2_500_000, len(tree.nodes)) == (True, 100_008)
    assert isinstance(outcome, Proposal)
    assert abs(math.fsum(outcome.weights.values()) - 1) < 1e-9
    assert time.process_time() - began < 40.0


def test_two_and_a_half_megabytes_that_repeat() -> None:
    """A large file that repeats itself is few nodes, and is loaded in time that grows with its size only."""
    choice = '(filter (rsi {:window 10}) (select-top 1) [(asset "B") (asset "C")])'
    block = f'(if (> (rsi "A" {{:window 10}}) 79)\n     [(asset "A" nil)]\n     [{choice}])\n'
    text = symphony(f"(weight-equal [{block * 22_000}])")
    began = time.process_time()
    tree = check_text(text)

    assert len(text) > 2_500_000
    assert len(tree.nodes) == 7 - 1
    assert time.process_time() - began < 5.0


def nested(levels: int, window: int) -> str:
    """Return a filter that ranks groups that hold filters that rank groups, and so on."""
    root = '(weight-equal [(asset "A") (asset "B")])'
    for level in range(levels):
        other = f'(group "other {level}" [(filter (rsi {{:window 5}}) (select-top 1) [(asset "C") (asset "{SYMBOLS[level % 8]}")])])'
        root = f'(filter (cumulative-return {{:window {window}}}) (select-top 1) [(group "g{level}" [{root}]) {other}])'
    return root


def test_groups_ranked_inside_groups_are_linear() -> None:
    """Three deep with long windows needs nine hundred past decisions of the innermost group; eight deep costs three times that of three."""
    tree = check_text(symphony(nested(3, 300)))

    assert (tree.longest_window, tree.bars_needed) == (300, 906)
    assert decided(symphony(nested(3, 300)), 1_000).explanation

    def seconds(levels: int) -> float:
        began = time.process_time()
        decided(symphony(nested(levels, 20)), 800)
        return time.process_time() - began

    seconds(3)
    assert seconds(24) < 40 * max(min(seconds(3), seconds(3)), 0.002), "eight times the levels, not two to the eighth times the work"


def test_nested_groups_equal_the_slow_reading() -> None:
    """Three groups deep, every session is that of the day-by-day interpreter, to the last bit."""
    tree, prices = check_text(symphony(nested(3, 6))), panel(60)
    slow = SlowInterpreter(tree, {symbol: prices.closes(symbol, 59).tolist() for symbol in SYMBOLS})
    fast = HistoryDecider(tree, prices)
    for day in range(60):
        expected, actual = slow.target(day), fast.decide(day)
        assert (expected is None) is not isinstance(actual, Proposal)
        if isinstance(actual, Proposal):
            assert expected == actual.weights


@pytest.mark.parametrize(
    "root",
    [
        """(weight-equal [(weight-inverse-volatility 5 [(asset "A") (asset "B")])
         (weight-inverse-volatility 3 [(group "g" [(weight-equal [(weight-inverse-volatility 4 [(asset "C") (asset "D")]) (asset "E")])])
           (filter (stdev-return 3) (select-bottom 2)
             [(weight-inverse-volatility 6 [(asset "F") (asset "G")]) (asset "H") (asset "A")])])])""",
        f"(weight-equal [{' '.join(CHOICES)}])",
        f"(filter (rsi 3) (select-top 33) [{' '.join(CHOICES)}])",
    ],
    ids=["weights new every day", "wide", "wide filter"],
)
def test_what_differs_every_day_equals_the_slow_reading(root: str) -> None:
    """Weightings that are mixed anew every day, and mixes of many parts, are those of the day-by-day interpreter, to the last bit."""
    sessions = 330
    tree, prices = check_text(symphony(root)), panel(sessions)
    slow = SlowInterpreter(tree, {symbol: prices.closes(symbol, sessions - 1).tolist() for symbol in SYMBOLS})
    fast = HistoryDecider(tree, prices)
    for day in range(10, sessions, 7):
        expected, actual = slow.target(day), fast.decide(day)
        assert expected is not None
        assert isinstance(actual, Proposal)
        assert expected == actual.weights


def test_files_beyond_the_limits_are_refused_politely() -> None:
    """Too deep and too large are said with the limit, not with a crash."""
    for text, words in (("(" * 400, "deeper than 300"), ("x" * 1_000_000, r"expected \(defsymphony")):
        with pytest.raises(SymphonyError, match=words):
            check_text(text)
