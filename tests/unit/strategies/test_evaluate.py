"""Evaluation of one decision: weights, ties, missing numbers, and the path in words."""

import pytest

from alchemiser.strategies.outcome import NotComputable
from alchemiser.strategies.symphony.check import check_text
from alchemiser.strategies.symphony.choice import COMPARE, inverse_shares, rank
from alchemiser.strategies.symphony.evaluate import Decision, Rules, decide
from alchemiser.strategies.symphony.explain import Compared, Ranked, lines_of
from alchemiser.strategies.symphony.tree import Comparator, Symphony
from tests.unit.strategies.conftest import InjectedReadings


def symphony(root: str) -> Symphony:
    return check_text(f'(defsymphony "Test" {{}}\n{root})')


def decided(root: str, readings: InjectedReadings | None = None, rules: Rules | None = None) -> Decision:
    outcome = decide(symphony(root), readings or InjectedReadings(), rules or Rules())
    assert isinstance(outcome, Decision), outcome
    return outcome


def stopped(root: str, readings: InjectedReadings, rules: Rules | None = None) -> NotComputable:
    outcome = decide(symphony(root), readings, rules or Rules())
    assert isinstance(outcome, NotComputable), outcome
    return outcome


def assets(symbols: str) -> str:
    return " ".join(f'(asset "{symbol}")' for symbol in symbols.split())


RANKED = f"(filter (rsi 10) (select-top 2) [{assets('A B C')}])"


@pytest.mark.parametrize(
    ("root", "weights"),
    [
        (assets("X"), {"X": 1.0}),
        (f'(weight-equal [{assets("X")} (group "g" [(weight-equal [{assets("Y Z")}])])])', {"X": 0.5, "Y": 0.25, "Z": 0.25}),
        (f"(weight-equal [{assets('X X Y')}])", {"X": 2 / 3, "Y": 1 / 3}),
        (
            f"(weight-specified 0.6 (weight-equal [{assets('A B')}]) 0.4 (weight-inverse-volatility 3 [{assets('C B')}]))",
            {"A": 0.3, "B": 0.3 + 0.4 / 3, "C": 0.8 / 3},
        ),
        (f"(if (< 2 1) [{assets('A')}] [{assets('X Y Z')}])", {"X": 1 / 3, "Y": 1 / 3, "Z": 1 / 3}),
        (f"(weight-specified 1 {assets('A')} 0 {assets('B')})", {"A": 1.0}),
    ],
)
def test_weightings(root: str, weights: dict[str, float]) -> None:
    """Shares multiply on the way down and add up where a symbol is reached twice."""
    outcome = decided(root, InjectedReadings({"stdev-return(B, 3)": 2.0}))

    assert outcome.weights == pytest.approx(weights, abs=1e-12)
    assert list(outcome.weights) == sorted(outcome.weights)


@pytest.mark.parametrize(
    ("root", "values", "weights"),
    [
        (RANKED, {"rsi(A, 10)": 61.0, "rsi(B, 10)": 60.0, "rsi(C, 10)": 61.0}, {"A": 0.5, "C": 0.5}),
        (RANKED.replace("top 2", "top 1"), {"rsi(A, 10)": 61.0, "rsi(C, 10)": 61.0}, {"A": 1.0}),
        (RANKED.replace("top 2", "bottom 1"), {"rsi(A, 10)": 61.0, "rsi(C, 10)": 40.0}, {"C": 1.0}),
        (RANKED.replace("top 2", "bottom 3").replace(assets("A B C"), assets("A B")), {}, {"A": 0.5, "B": 0.5}),
        (f"(weight-equal [{assets('X')} {RANKED.replace('top 2', 'top 1')}])", {"rsi(C, 10)": 51.0}, {"X": 0.5, "C": 0.5}),
        (RANKED.replace(assets("A B C"), assets("A A B")), {"rsi(A, 10)": 51.0}, {"A": 1.0}),
        (
            f'(filter (rsi 10) (select-top 1) [{assets("A")} (group "G" [(weight-equal [{assets("B C")}])])])',
            {"rsi(G, 10)": 51.0},
            {"B": 0.5, "C": 0.5},
        ),
    ],
)
def test_filters(root: str, values: dict[str, float], weights: dict[str, float]) -> None:
    """The best by score are kept in equal shares, ties in the order of the file; a kept group brings its whole portfolio."""
    assert decided(root, InjectedReadings(values)).weights == pytest.approx(weights)


def test_scores_that_differ_by_noise_are_a_tie() -> None:
    """Two scores that differ in the last bits are broken by the order of the file, and the explanation says so."""
    outcome = decided(RANKED.replace("top 2", "top 1"), InjectedReadings({"rsi(A, 10)": 60.0, "rsi(C, 10)": 60.00000000000001}))

    assert {"A": 1.0} == outcome.weights
    assert "a tie, broken by the order in the file" in lines_of(outcome.tree)[0]


def test_ranking_is_stable_and_complete() -> None:
    """Ranking returns every place once, the best first, equals in the order given."""
    assert rank([2.0, 3.0, 3.0, 1.0], largest_first=True) == [1, 2, 0, 3]
    assert rank([2.0, 3.0, 3.0, 1.0], largest_first=False) == [3, 0, 1, 2]
    assert rank([-1.0, -1.0 - 1e-12, 0.0, 0.0], largest_first=False) == [0, 1, 2, 3]
    assert rank([], largest_first=True) == []


@pytest.mark.parametrize(
    ("sigmas", "shares"),
    [
        ([1.247219, 2.494438], [2 / 3, 1 / 3]),
        ([2.0, 4.0, 1.0], [2 / 7, 1 / 7, 4 / 7]),
        ([1.118034, 2.236068], [2 / 3, 1 / 3]),
        ([1.0, 0.0, 0.0], [0.0, 0.5, 0.5]),
    ],
)
def test_inverse_shares(sigmas: list[float], shares: list[float]) -> None:
    """Shares are proportional to one over the volatility; what does not move at all takes everything."""
    assert inverse_shares(sigmas) == pytest.approx(shares, abs=1e-6)


def test_what_does_not_move_takes_everything() -> None:
    """A child with zero volatility leaves nothing for the others, and they do not appear with weight zero."""
    outcome = decided(f"(weight-inverse-volatility 3 [{assets('A B')}])", InjectedReadings({"stdev-return(A, 3)": 0.0}))

    assert {"A": 1.0} == outcome.weights


@pytest.mark.parametrize(
    ("comparator", "left", "right", "outcome"),
    [
        (">", 79.0, 79.0, False),
        (">", 79.0001, 79.0, True),
        (">=", 79.0, 79.0, True),
        ("<", 79.0, 79.0, False),
        ("<", 78.9999, 79.0, True),
        ("<=", 79.0, 79.0, True),
        ("=", 79.0, 79.0, True),
        ("=", 79.00001, 79.0, False),
    ],
)
def test_comparisons_are_exact(comparator: Comparator, left: float, right: float, outcome: bool) -> None:
    """No tolerance: a value on the threshold is on it."""
    assert outcome is COMPARE[comparator](left, right)


# --- what cannot be computed ---

CHOICE = f'(if (> (rsi "SPY" 10) 60) [{assets("A")}] [{RANKED}])'


def test_only_the_path_taken_needs_data() -> None:
    """Numbers of a branch that is not taken are never asked for, so their absence is harmless."""
    readings = InjectedReadings({"rsi(SPY, 10)": 61.0}, frozenset({"rsi(A, 10)", "rsi(B, 10)", "current-price(B)"}))

    assert {"A": 1.0} == decided(CHOICE, readings).weights
    assert readings.asked == ["rsi(SPY, 10)", "current-price(A)"]


@pytest.mark.parametrize(
    ("root", "missing", "reasons"),
    [
        (CHOICE, "rsi(SPY, 10)", ("line 2: rsi(SPY, 10) > 60", "rsi(SPY, 10) is missing")),
        (CHOICE, "rsi(B, 10)", ("line 2: top 2 by rsi(10) ranks B", "rsi(B, 10) is missing")),
        (CHOICE, "current-price(A)", ("line 2: A would be held", "current-price(A) is missing")),
        (
            f'(weight-inverse-volatility 3 [(group "g" [{assets("A")}]) {assets("B")}])',
            "stdev-return(g, 3)",
            ('line 2: the volatility of group "g"', "stdev-return(g, 3) is missing"),
        ),
        (
            f'(weight-inverse-volatility 3 [(group "g" [{assets("A")}]) {assets("B")}])',
            "current-price(A)",
            ('line 2: the volatility of group "g"', "line 2: A would be held", "current-price(A) is missing"),
        ),
        (
            f'(if (> 60 (rsi "SPY" 10)) [{assets("A")}] [{assets("B")}])',
            "rsi(SPY, 10)",
            ("line 2: 60 > rsi(SPY, 10)", "rsi(SPY, 10) is missing"),
        ),
    ],
)
def test_a_missing_number_on_the_path_stops_the_strategy(root: str, missing: str, reasons: tuple[str, ...]) -> None:
    """A condition, a filter, a weighting or an asset without its number ends in the chain of reasons, never in another number."""
    assert reasons == stopped(root, InjectedReadings({}, frozenset({missing}))).reasons


def test_other_engines_reading_of_a_missing_condition() -> None:
    """With the rule ``else`` an uncomputable condition counts as false, and the explanation says so."""
    outcome = decided(CHOICE, InjectedReadings({}, frozenset({"rsi(SPY, 10)"})), Rules(on_condition="else"))
    step = outcome.steps[0]

    assert {"A": 0.5, "B": 0.5} == outcome.weights
    assert isinstance(step, Compared)
    assert not step.is_fragile
    assert "taken for no, because rsi(SPY, 10) is missing" in str(step)


def test_other_engines_reading_of_a_missing_candidate() -> None:
    """With the rule ``drop`` an uncomputable candidate is left out and named; a filter without any left still stops."""
    rules = Rules(on_candidate="drop")
    outcome = decided(RANKED, InjectedReadings({}, frozenset({"rsi(A, 10)"})), rules)
    nothing = stopped(RANKED, InjectedReadings({}, frozenset({"rsi(A, 10)", "rsi(B, 10)", "rsi(C, 10)"})), rules)

    assert {"B": 0.5, "C": 0.5} == outcome.weights
    assert "left out A, because rsi(A, 10) is missing" in str(outcome.steps[0])
    assert nothing.reasons[0] == "line 2: top 2 by rsi(10) has no candidate left"


# --- the path in words ---


def test_the_path_is_told_with_its_numbers() -> None:
    """Every step of the path has its line, both sides of conditions, the scores, the shares; deeper parts are indented."""
    root = f"""(weight-specified
0.5 (if (> (rsi "SPY" 10) (rsi "QQQ" 10)) [{assets("A")}]
 [{assets("B")}])
0.5 (group "calm" [(weight-inverse-volatility 3 [{assets("A")}
 {RANKED}])]))"""
    readings = InjectedReadings({"rsi(SPY, 10)": 79.25, "rsi(B, 10)": 60.5, "stdev-return(B, 3)": 3.0})
    tree = symphony(root.replace("select-top 2", "select-top 1"))
    outcome = decide(tree, readings)

    assert isinstance(outcome, Decision)
    assert lines_of(outcome.tree) == (
        'line 2: split: the if of line 3 50%, group "calm" 50%',
        "  line 3: rsi(SPY, 10) 79.25 > rsi(QQQ, 10) 50: yes",
        "  line 5: inverse volatility by stdev-return(3): A 75% (volatility 1), the filter of line 6 25% (volatility 3)",
        "    line 6: top 1 by rsi(10) of B 60.5, A 50, C 50: B",
    )


@pytest.mark.parametrize(
    ("left", "threshold", "is_fragile"), [(79.1, 79, True), (82.0, 79, False), (500.0, 502, True), (500.0, 510, False)]
)
def test_close_decisions_are_flagged(left: float, threshold: int, is_fragile: bool) -> None:
    """Within two points, or half a percent for large values, a decision is called close; the outcome is not changed by that."""
    outcome = decided(
        f'(if (> (current-price "SPY") {threshold}) [{assets("A")}] [{assets("B")}])', InjectedReadings({"current-price(SPY)": left})
    )
    step = outcome.steps[0]

    assert isinstance(step, Compared)
    assert is_fragile is step.is_fragile
    assert is_fragile is str(step).endswith(", closely")


def test_a_cut_between_different_scores_is_no_tie() -> None:
    """Only a tie at the cut is reported: elsewhere the order in the file decided nothing."""
    step = decided(RANKED, InjectedReadings({"rsi(A, 10)": 61.0, "rsi(B, 10)": 61.0})).steps[0]

    assert isinstance(step, Ranked)
    assert not step.is_tie_at_cut


def test_deep_trees_are_evaluated_without_the_host_stack() -> None:
    """A chain of conditions as deep as a file may be is walked, not recursed into."""
    levels = 148
    root = "".join(f'(if (> (rsi "S{level}" 10) 90) [{assets("A")}] [' for level in range(levels)) + assets("B") + "])" * levels

    assert {"B": 1.0} == decided(root).weights
    assert levels == len(decided(root).steps)
