"""Python strategies: what they see, and that nothing wrong they return is ever traded."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from alchemiser.domain.rebalancing import Frequency
from alchemiser.strategies.outcome import NotComputable, Proposal
from alchemiser.strategies.panel import PricePanel
from alchemiser.strategies.python import MarketView, PythonStrategy
from tests.unit.strategies.python_examples import Momentum, Saying

DAYS = np.arange(730_000, 730_008, dtype=np.int64)
PANEL = PricePanel({"SPY": (DAYS, np.arange(100.0, 108.0)), "BIL": (DAYS[:7], np.full(7, 90.0)), "XLK": (DAYS, np.full(8, 5.0))})


def outcome_of(answer: Any, place: int = 6) -> Proposal | NotComputable:
    strategy = Saying()
    strategy.answer = answer
    return PythonStrategy("says", 1.0, strategy).on(PANEL).decide(place)


def test_a_python_strategy_decides_and_explains() -> None:
    """Weights are sorted floats without zeros, notes are the explanation."""
    outcome = PythonStrategy("momentum", 1.0, Momentum()).on(PANEL).decide(7)

    assert isinstance(outcome, Proposal)
    assert outcome.weights == {"SPY": 1.0}
    assert outcome.explanation == (f"SPY gained 4.9 percent by {PANEL.session(7)}, last 107",)
    assert PythonStrategy("momentum", 1.0, Momentum()).on(PANEL).decide(7, explain=False) == Proposal({"SPY": 1.0})


def test_too_short_a_history_is_a_reason() -> None:
    """A measure that cannot be had stops the strategy with the reason of the panel."""
    outcome = PythonStrategy("momentum", 1.0, Momentum()).on(PANEL).decide(4)

    assert str(outcome) == f"SPY has 5 closes up to {PANEL.session(4)}, cumulative-return(SPY, 5) needs 6"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (None, "returned NoneType, expected a mapping"),
        ([("SPY", 1.0)], "returned list"),
        ({"SPY": 0.6}, "weights that add up to 0.6, not to 1"),
        ({"SPY": 1.2, "BIL": -0.2}, "-0.2 for BIL"),
        ({"SPY": math.nan}, "nan for SPY"),
        ({"SPY": math.inf}, "inf for SPY"),
        ({"SPY": "1"}, "'1' for SPY"),
        ({"SPY": True}, "True for SPY"),
        ({"XLK": 1.0}, "'XLK', which is not among the symbols it declares"),
        ({}, "weights that add up to 0"),
        (ZeroDivisionError("by zero"), "Saying.decide raised ZeroDivisionError: by zero"),
        (SystemExit(0), "Saying.decide raised SystemExit: 0"),
        (lambda market: market.measure("rsi", "XLK", 3), "XLK is not among the symbols"),
        (lambda market: market.measure("rsj", "SPY", 3), "raised ValueError: 'rsj' is not an indicator"),
    ],
)
def test_wrong_answers_become_reasons(answer: Any, words: str) -> None:
    """Whatever is wrong with an answer is the reason why there is no target; nothing is repaired."""
    outcome = outcome_of(answer)

    assert isinstance(outcome, NotComputable)
    assert words in str(outcome)


def test_what_has_no_price_cannot_be_held() -> None:
    """A target in a symbol without a price today is refused."""
    assert "BIL would be held: BIL has no bar on" in str(outcome_of({"BIL": 1.0}, place=7))


def test_closes_are_as_many_as_needed_and_read_only() -> None:
    """A strategy gets all closes up to the session, or a reason when they are fewer than it declares; it cannot write to them."""
    view = MarketView(PANEL, 6, ("SPY", "BIL"), bars_needed=7)

    def writes(market: MarketView) -> Mapping[str, float]:
        market.closes("SPY")[0] = 1.0
        return {"SPY": 1.0}

    def asks_too_early(_: MarketView) -> Mapping[str, float]:
        return dict.fromkeys(["SPY"], float(MarketView(PANEL, 3, ("SPY",), bars_needed=7).closes("SPY")[0]))

    assert view.closes("SPY").tolist() == list(range(100, 107))
    assert "read-only" in str(outcome_of(writes))
    assert "SPY has 4 closes up to" in str(outcome_of(asks_too_early))


def test_the_history_of_all_strategies_is_out_of_reach() -> None:
    """Who makes what he was given writable writes into his own copy."""
    mine = MarketView(PANEL, 6, ("SPY",), bars_needed=7).closes("SPY")
    mine.flags.writeable = True
    mine[:] = 1.0

    assert mine.base is None
    assert MarketView(PANEL, 6, ("SPY",), bars_needed=7).closes("SPY").tolist() == list(range(100, 107))


def test_declared_needs() -> None:
    """The loaded strategy repeats what its class declares; it trades daily and never on the event loop."""
    loaded = PythonStrategy("momentum", 0.5, Momentum())

    assert (("BIL", "SPY"), 6, 6, True) == (loaded.symbols, loaded.bars_needed, loaded.bars_settled, loaded.is_large)
    assert loaded.header.frequency is Frequency.DAILY
