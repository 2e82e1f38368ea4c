"""A symphony on prices: streams of ranked groups, volatilities of what is held, and no look ahead."""

from collections.abc import Iterable
from datetime import date
from unittest.mock import ANY

import numpy as np
import pytest

from alchemiser.domain.rebalancing import Frequency
from alchemiser.market.arrays import Floats
from alchemiser.market.indicators import Measure, tail
from alchemiser.strategies.live_panel import LivePanel
from alchemiser.strategies.outcome import NotComputable, Proposal
from alchemiser.strategies.panel import PricePanel
from alchemiser.strategies.symphony.check import check_text
from alchemiser.strategies.symphony.strategy import HistoryDecider, SymphonyStrategy
from alchemiser.strategies.symphony.tree import Filter, Group, Node, WeightEqual

DAYS = np.arange(730_000, 730_400, dtype=np.int64)


def growth(percent_returns: Iterable[float]) -> Floats:
    """Return the value of 1 before and after each return."""
    return np.asarray(np.cumprod([1.0, *(1.0 + value / 100.0 for value in percent_returns)]), dtype=np.float64)


def walk(dice: np.random.Generator, count: int) -> Floats:
    """Return random closes."""
    return growth(dice.normal(0.0, 2.0, count - 1).tolist()) * 50.0


def prices_of(percent_returns: list[float]) -> Floats:
    return growth(percent_returns) * 100.0


def panel_of(**closes: Floats) -> PricePanel:
    """Return a panel in which all series end on the same day."""
    longest = max(len(values) for values in closes.values())
    return PricePanel({symbol: (DAYS[longest - len(values) : longest], values) for symbol, values in closes.items()})


def decider(root: str, panel: PricePanel) -> HistoryDecider:
    return HistoryDecider(check_text(f'(defsymphony "Test" {{}} {root})'), panel)


def ranked_group(root: str, panel: PricePanel) -> tuple[HistoryDecider, Node]:
    """Return the decider of a filter, and the first child that it ranks."""
    symphony = check_text(f'(defsymphony "Test" {{}} {root})')
    assert isinstance(symphony.root, Filter)
    return HistoryDecider(symphony, panel), symphony.root.children[0]


# A group that holds A for two days and B for two: the signal S is above 100 on the days that decide for A.
SWITCHING = '(group "G" [(if (> (current-price "S") 100) [(asset "A")] [(asset "B")])])'
EXAMPLE_17 = panel_of(A=prices_of([1.0, -1.0, 2.0, 0.5]), B=prices_of([-0.5, 1.0, 0.0, 2.0]), S=np.array([101.0, 101.0, 99.0, 99.0, 99.0]))


@pytest.mark.parametrize(
    ("measure", "expected"),
    [
        (Measure("stdev-return", (4,)), 1.118034),
        (Measure("cumulative-return", (4,)), 1.98980),
        (Measure("moving-average-return", (4,)), 0.5),
        (Measure("max-drawdown", (5,)), 1.0),
        (Measure("rsi", (2,)), 89.909283),
    ],
    ids=str,
)
def test_a_group_is_measured_on_its_own_history(measure: Measure, expected: float) -> None:
    """What was decided at a close earns the next day's return (worked example 17)."""
    windows = " ".join(map(str, measure.windows))
    bound, group = ranked_group(f'(filter ({measure.name} {windows}) (select-top 1) [{SWITCHING} (asset "A")])', EXAMPLE_17)

    assert expected == pytest.approx(bound.node_value(group, measure, 4), abs=1e-5)


def test_a_group_is_brought_back_to_its_weights_every_day() -> None:
    """Half A and half B with +10, +10 and -10, -10 percent earns nothing (worked example 18)."""
    group = '(group "G" [(weight-equal [(asset "A") (asset "B")])])'
    panel = panel_of(A=prices_of([10.0, 10.0]), B=prices_of([-10.0, -10.0]))
    bound, child = ranked_group(f"(filter (cumulative-return 2) (select-top 1) [{group}])", panel)

    assert bound.node_value(child, Measure("cumulative-return", (2,)), 2) == pytest.approx(0.0, abs=1e-12)


def test_inverse_volatility_is_of_what_is_held_today() -> None:
    """A group's volatility is that of its holdings today, by weight; a bare asset beside it does not open it (worked example 19)."""
    calm, wild = [1.0, -1.0, 2.0], [2.0, -2.0, 4.0]
    panel = panel_of(A=prices_of(calm), B=prices_of(wild), S=np.array([99.0, 99.0, 99.0, 101.0]))
    group = '(group "G" [(if (> (current-price "S") 100) [(asset "A")] [(asset "B")])])'
    outcome = decider(f'(weight-inverse-volatility 3 [{group} (asset "B")])', panel).decide(3)

    assert isinstance(outcome, Proposal)
    assert outcome.weights == pytest.approx({"A": 2 / 3, "B": 1 / 3})


def test_volatility_of_mixed_holdings_is_their_average() -> None:
    """Half calm, half wild: the volatility is the average of both, and a missing one stops the strategy."""
    panel = panel_of(A=prices_of([1.0, -1.0, 2.0]), B=prices_of([2.0, -2.0, 4.0]), Y=np.array([50.0]))
    mixed = '(group "G" [(weight-equal [(asset "A") (asset "{other}")])])'
    root = f'(weight-inverse-volatility 3 [{mixed} (asset "A")])'
    outcome = decider(root.replace("{other}", "B"), panel).decide(3)
    stopped = decider(root.replace("{other}", "Y"), panel).decide(3)

    assert isinstance(outcome, Proposal)
    assert outcome.weights == pytest.approx({"A": 0.4 / 2 + 0.6, "B": 0.4 / 2})
    assert isinstance(stopped, NotComputable)
    assert stopped.reasons[-1] == "Y has 1 closes up to 1999-09-09, stdev-return(Y, 3) needs 4".replace("1999-09-09", str(panel.session(3)))


def test_short_and_broken_streams_say_why() -> None:
    """A group is not measurable over sessions before it could be decided, nor across one on which what it held has no price."""
    young = panel_of(A=prices_of([1.0, 2.0, 3.0, 4.0]), B=prices_of([1.0]))
    group = '(group "G" [(weight-equal [(asset "A") (asset "B")])])'
    early = decider(f"(filter (stdev-return 3) (select-top 1) [{group}])", young).decide(4)
    days = DAYS[:6]
    broken = PricePanel({"A": (days, prices_of([1.0, 2.0, 3.0, 4.0, 5.0])), "B": (np.delete(days, 3), prices_of([1.0, 2.0, 3.0, 4.0]))})
    after_hole = decider(f"(filter (stdev-return 3) (select-top 1) [{group}])", broken).decide(5)

    assert isinstance(early, NotComputable)
    assert "needs 4 sessions and has 2 since" in early.reasons[1]
    assert "the bars of B begin only on" in early.reasons[-1]
    assert isinstance(after_hole, NotComputable)
    assert "B has no bar on" in after_hole.reasons[-1]


def test_nested_streams_agree_with_a_plain_recursion() -> None:
    """A filter of groups inside a ranked group is the same as deciding everything again for every day, the slow and obvious way."""
    dice = np.random.default_rng(7)
    closes = {symbol: walk(dice, 60) for symbol in "ABCDE"}
    inner = '(filter (stdev-return 3) (select-top 1) [(group "i" [(weight-equal [(asset "A") (asset "B")])]) (asset "C")])'
    root = (
        f'(filter (cumulative-return 4) (select-bottom 1) [(group "o" [{inner}]) (group "p" [(weight-equal [(asset "D") (asset "E")])])])'
    )
    bound = decider(root, panel_of(**closes))

    def earned(portfolio: dict[str, float], day: int) -> float:
        return sum(weight * float(closes[symbol][day] / closes[symbol][day - 1] - 1) for symbol, weight in portfolio.items())

    def inner_at(day: int) -> dict[str, float]:
        pair = [earned({"A": 0.5, "B": 0.5}, day - back) for back in (2, 1, 0)]
        single = [earned({"C": 1.0}, day - back) for back in (2, 1, 0)]
        return {"A": 0.5, "B": 0.5} if np.std(pair) >= np.std(single) else {"C": 1.0}

    def root_at(day: int) -> dict[str, float]:
        outer = np.prod([1 + earned(inner_at(day - back - 1), day - back) for back in range(4)])
        other = np.prod([1 + earned({"D": 0.5, "E": 0.5}, day - back) for back in range(4)])
        return inner_at(day) if outer <= other else {"D": 0.5, "E": 0.5}

    for day in range(10, 60):
        outcome = bound.decide(day, explain=False)
        assert isinstance(outcome, Proposal)
        assert outcome.weights == pytest.approx(root_at(day)), day


def test_cutting_the_data_never_changes_an_earlier_decision() -> None:
    """Decided on all data or only on data up to that day: the same weights, for every day (no look ahead)."""
    dice = np.random.default_rng(11)
    closes = {symbol: walk(dice, 80) for symbol in "ABCD"}
    root = """(if (> (rsi "A" 5) 50)
      [(filter (rsi 4) (select-top 1) [(group "x" [(weight-inverse-volatility 5 [(asset "B") (asset "C")])]) (asset "D")])]
      [(filter (max-drawdown 6) (select-bottom 2) [(asset "B") (asset "C") (asset "D")])])"""
    whole = decider(root, panel_of(**closes))
    for day in range(12, 80):
        cut = decider(root, PricePanel({symbol: (DAYS[: day + 1], values[: day + 1]) for symbol, values in closes.items()}))
        assert whole.decide(day) == cut.decide(day)


def test_streams_forget_nothing_and_repeat_nothing() -> None:
    """The column of a ranked group equals the indicator of its value series, and asking twice gives the same list."""
    bound, group = ranked_group(f'(filter (rsi 2) (select-top 1) [{SWITCHING} (asset "A")])', EXAMPLE_17)
    values = growth([1.0, -1.0, 0.0, 2.0])

    assert bound.node_value(group, Measure("rsi", (2,)), 4) == pytest.approx(float(tail(Measure("rsi", (2,)), values)[-1]))
    assert bound.decide(4) == bound.decide(4)


def test_a_symphony_says_what_it_needs() -> None:
    """The strategy repeats the facts of its tree; one that ranks groups is large, for it decides many sessions."""
    simple = SymphonyStrategy(
        "s", 0.5, check_text('(defsymphony "T" {:rebalance-frequency :weekly} (if (> (rsi "B" 9) 1) (asset "A") (asset "A")))')
    )
    ranking = SymphonyStrategy("r", 0.5, check_text(f'(defsymphony "T" {{}} (filter (rsi 2) (select-top 1) [{SWITCHING}]))'))

    assert (("A", "B"), 10, 68, False) == (simple.symbols, simple.bars_needed, simple.bars_settled, simple.is_large)
    assert simple.header.frequency is Frequency.WEEKLY
    assert ranking.is_large
    assert isinstance(check_text(f'(defsymphony "T" {{}} (weight-equal [{SWITCHING} (asset "A")]))').root, WeightEqual | Group)


def live_reasons(root: str, history: PricePanel, live: dict[str, float]) -> tuple[str, ...]:
    """Return why a symphony has no target on live prices behind a history."""
    panel = LivePanel(history, date.fromordinal(history.session(history.last).toordinal() + 1), live)
    strategy = SymphonyStrategy("test", 1.0, check_text(f'(defsymphony "Test" {{}} {root})'))
    told, untold = (strategy.on(panel).decide(panel.last, explain=explain) for explain in (True, False))
    assert isinstance(told, NotComputable)
    assert isinstance(untold, NotComputable)
    return told.reasons


def test_live_streams_say_why_they_are_not_measurable() -> None:
    """A short history, a holding without a live price, and a last close on which nothing was decided are told apart."""
    filtered = '(filter (stdev-return 3) (select-top 1) [(group "G" [(weight-equal [(asset "A") (asset "B")])]) (asset "A")])'
    two_days = panel_of(A=prices_of([1.0]), B=prices_of([1.0]))
    four_days = panel_of(A=prices_of([1.0, 2.0, 3.0]), B=prices_of([1.0, 2.0, 3.0]))
    days = DAYS[:4]
    hole = PricePanel({"A": (days, prices_of([1.0, 2.0, 3.0])), "B": (days[:3], prices_of([1.0, 2.0]))})

    short = live_reasons(filtered, two_days, {"A": 100.0, "B": 100.0})
    assert 'stdev-return(group "G", 3) needs 4 sessions and has 3 since' in short[1]
    assert short[-1] == "it is the first session"
    assert live_reasons(filtered, four_days, {"A": 100.0})[-1] == "there is no live price of B"
    assert "B has no bar on" in live_reasons(filtered, hole, {"A": 100.0, "B": 100.0})[-1]


def test_a_stream_that_begins_today_has_a_drawdown_of_one_bar() -> None:
    """What needs one value only is known although nothing was held over night."""
    root = '(filter (max-drawdown 1) (select-top 1) [(group "G" [(asset "A")])])'
    history = PricePanel({"S": (DAYS[:3], prices_of([1.0, 1.0]))})
    panel = LivePanel(history, date.fromordinal(int(DAYS[3])), {"A": 5.0})

    assert SymphonyStrategy("test", 1.0, check_text(f'(defsymphony "Test" {{}} {root})')).on(panel).decide(3) == Proposal(
        {"A": 1.0},
        ('line 1: top 1 by max-drawdown(1) of group "G" 0: group "G"',),
        tree=ANY,
    )
