"""Properties of the language, on random symphonies and random prices: printing, the slow reading, sums, look-ahead, missing inputs."""

import math

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alchemiser.market.arrays import Floats
from alchemiser.strategies.live_panel import LivePanel
from alchemiser.strategies.outcome import NotComputable, Proposal
from alchemiser.strategies.panel import PricePanel
from alchemiser.strategies.symphony.check import check_text
from alchemiser.strategies.symphony.evaluate import Rules
from alchemiser.strategies.symphony.printer import print_symphony
from alchemiser.strategies.symphony.strategy import HistoryDecider, LiveDecider
from alchemiser.strategies.symphony.tree import Asset, Filter, Group, If, Node, Symphony, WeightInverseVolatility, WeightSpecified
from tests.unit.strategies.grammar import SESSIONS, SYMBOLS, markets, symphonies
from tests.unit.strategies.slow_interpreter import Closes, SlowInterpreter

FIRST = 738_000
Market = dict[str, Closes]

thorough = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


def series(closes: Closes) -> tuple[np.ndarray[tuple[int], np.dtype[np.int64]], Floats]:
    known = [(FIRST + place, close) for place, close in enumerate(closes) if close is not None]
    return np.array([day for day, _ in known], dtype=np.int64), np.array([close for _, close in known], dtype=np.float64)


def panel_of(market: Market, sessions: int = SESSIONS) -> PricePanel:
    """Return the panel of the first sessions; a symbol that nobody uses keeps every session in it."""
    clock: Closes = [1.0] * sessions
    return PricePanel({symbol: series(closes[:sessions]) for symbol, closes in market.items()} | {"CLOCK": series(clock)})


def shape(node: Node) -> tuple[object, ...]:
    """Return everything that a node says itself."""
    match node:
        case Asset(symbol=symbol):
            return ("asset", symbol)
        case Group(name=name, child=child):
            return ("group", name, child.index)
        case If(condition=condition, then=then, otherwise=otherwise):
            return ("if", condition, then.index, otherwise.index)
        case Filter(measure=measure, select=select, count=count, children=children):
            return ("filter", measure, select, count, [child.index for child in children])
        case WeightSpecified(shares=shares, children=children):
            return ("specified", shares, [child.index for child in children])
        case WeightInverseVolatility(window=window, children=children):
            return ("inverse", window, [child.index for child in children])
        case _:
            return ("equal", [child.index for child in node.children])


def picture(symphony: Symphony) -> tuple[object, ...]:
    return (symphony.name, symphony.header, symphony.root.index, [shape(node) for node in symphony.nodes], symphony.symbols)


@thorough
@given(text=symphonies)
def test_what_is_printed_reads_back_as_the_same_tree(text: str) -> None:
    """Reading, printing and reading again gives the same nodes in the same order, the same name and header."""
    symphony = check_text(text)
    printed = print_symphony(symphony)

    assert picture(symphony) == picture(check_text(printed))
    assert printed == print_symphony(check_text(printed))


@thorough
@given(text=symphonies, market=markets, own=st.booleans())
def test_all_sessions_at_once_are_the_slow_reading_day_by_day(text: str, market: Market, own: bool) -> None:
    """Every session's weights, to the last bit; and every weight is a share: none negative, together 1. Volatility in either reading."""
    symphony = check_text(text)
    fast = HistoryDecider(symphony, panel_of(market), Rules(volatility="own" if own else "holdings"))
    slow = SlowInterpreter(symphony, market, own_volatility=own)
    for day in range(SESSIONS):
        expected, actual = slow.target(day), fast.decide(day)
        if expected is None:
            assert isinstance(actual, NotComputable), day
            assert actual.reasons[-1], "the chain ends with what is missing"
        else:
            assert isinstance(actual, Proposal), (day, actual)
            assert {symbol: expected[symbol] for symbol in sorted(expected)} == actual.weights, day
            assert min(actual.weights.values()) > 0
            assert abs(math.fsum(actual.weights.values()) - 1) < 1e-9
        assert (expected is None) == isinstance(fast.decide(day, explain=False), NotComputable)


@thorough
@given(text=symphonies, market=markets, rules=st.sampled_from([Rules(), Rules(volatility="own")]))
def test_live_prices_are_the_bar_behind_the_history(text: str, market: Market, rules: Rules) -> None:
    """A decision on live prices is that of a history which ends with them, in weights and in words, to the last bit."""
    symphony = check_text(text)
    whole = panel_of(market)
    live = {symbol: closes[-1] for symbol, closes in market.items() if closes[-1] is not None}
    today = whole.session(SESSIONS - 1)
    before = LivePanel(panel_of(market, SESSIONS - 1), today, live | {"CLOCK": 1.0})
    expected, actual = HistoryDecider(symphony, whole, rules).decide(SESSIONS - 1), LiveDecider(symphony, before, rules).decide(before.last)

    if isinstance(expected, Proposal):
        assert expected == actual
        assert LiveDecider(symphony, before, rules).decide(before.last, explain=False) == Proposal(expected.weights)
    else:
        assert isinstance(actual, NotComputable)
        assert len(expected.reasons) == len(actual.reasons)
    assert HistoryDecider(symphony, whole, rules).decide(SESSIONS - 2) == LiveDecider(symphony, before, rules).decide(SESSIONS - 2)


@thorough
@given(text=symphonies, market=markets, day=st.integers(0, SESSIONS - 1), noise=st.floats(0.5, 2.0))
def test_later_prices_never_change_a_day(text: str, market: Market, day: int, noise: float) -> None:
    """Cut off, or replaced by others: what comes after a day changes nothing of it."""
    symphony = check_text(text)
    other: Market = {
        symbol: [close if place <= day or close is None else close * noise for place, close in enumerate(closes)]
        for symbol, closes in market.items()
    }
    expected = HistoryDecider(symphony, panel_of(market)).decide(day)
    for panel in (panel_of(market, day + 1), panel_of(other)):
        actual = HistoryDecider(symphony, panel).decide(day)
        # Only the words of a reason may know more: when the bars of a young symbol begin.
        assert expected == actual or (isinstance(expected, NotComputable) and isinstance(actual, NotComputable))


@thorough
@given(text=symphonies, market=markets, gone=st.sampled_from(SYMBOLS))
def test_a_missing_input_never_changes_a_target_silently(text: str, market: Market, gone: str) -> None:
    """Without all the bars of a symbol a decision is the same, or there is none and the reason names the symbol."""
    symphony = check_text(text)
    without: Market = {symbol: closes for symbol, closes in market.items() if symbol != gone}
    day = SESSIONS - 1
    expected, actual = HistoryDecider(symphony, panel_of(market)).decide(day), HistoryDecider(symphony, panel_of(without)).decide(day)

    if isinstance(actual, Proposal):
        assert expected == actual
    elif isinstance(expected, Proposal):
        assert gone in actual.reasons[-1]


@thorough
@given(text=symphonies, market=markets, rules=st.sampled_from([Rules("else", "stop"), Rules("stop", "drop"), Rules("else", "drop")]))
def test_the_other_readings_agree_with_the_walk_too(text: str, market: Market, rules: Rules) -> None:
    """Also where an uncomputable condition counts as false or a candidate is dropped, history and walk decide the same."""
    symphony = check_text(text)
    decider = HistoryDecider(symphony, panel_of(market), rules)
    for day in range(SESSIONS):
        told = decider.decide(day)  # it asserts that both agree
        assert isinstance(told, Proposal) == isinstance(decider.decide(day, explain=False), Proposal)
