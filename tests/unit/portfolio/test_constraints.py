"""Constraints: a stated order, no weight ever raised, every cap held, every change explained with its numbers."""

import math
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alchemiser.portfolio.constraints import Constrained, Constraints, GroupCap, Weights, constrain

SYMBOLS = ("AAA", "BBB", "CCC", "DDD")
TECH = {"tech": GroupCap(symbols=frozenset({"AAA", "BBB"}), at_most=0.4)}


def account(targets: Mapping[str, Weights | None], allocations: Mapping[str, float], kept: Mapping[str, float]) -> Weights:
    """Return the weights of the account, slowly."""
    total = dict(kept)
    for name, weights in targets.items():
        for symbol, weight in (weights or {}).items():
            total[symbol] = total.get(symbol, 0.0) + allocations[name] * weight
    return total


def told(found: Constrained) -> list[tuple[str, str, float, float]]:
    return [(note.code, note.subject, round(note.before, 6), round(note.after, 6)) for note in found.adjustments]


@pytest.mark.parametrize(
    ("targets", "kept", "rules", "expected", "notes"),
    [
        pytest.param({"s": {"AAA": 1.0}}, {}, Constraints(), {"AAA": 1.0}, [], id="nothing is limited"),
        pytest.param(
            {"s": {"AAA": 0.7, "BBB": 0.3}},
            {},
            Constraints(symbol_at_most=0.5),
            {"AAA": 0.5, "BBB": 0.3},
            [("symbol_weight", "AAA", 0.7, 0.5)],
            id="the rest of a capped symbol stays in cash",
        ),
        pytest.param(
            {"s": {"AAA": 0.6, "BBB": 0.2, "CCC": 0.2}},
            {},
            Constraints(groups=TECH),
            {"AAA": 0.3, "BBB": 0.1, "CCC": 0.2},
            [("group_weight", "tech", 0.8, 0.4)],
            id="a group gives way in proportion",
        ),
        pytest.param(
            {"s": {"AAA": 0.6, "CCC": 0.4}},
            {},
            Constraints(symbol_at_most=0.5, groups=TECH),
            {"AAA": 0.4, "CCC": 0.4},
            [("symbol_weight", "AAA", 0.6, 0.5), ("group_weight", "tech", 0.5, 0.4)],
            id="symbols before groups",
        ),
        pytest.param(
            {"s": {"AAA": 0.5}, "idle": None},
            {"AAA": 0.3},
            Constraints(symbol_at_most=0.5),
            {"AAA": 0.2},
            [("symbol_weight", "AAA", 0.8, 0.5)],
            id="what others keep counts",
        ),
        pytest.param(
            {"s": {"AAA": 0.5}, "idle": None},
            {"AAA": 0.6},
            Constraints(symbol_at_most=0.5),
            {"AAA": 0.0},
            [("symbol_weight", "AAA", 1.1, 0.6)],
            id="what others keep is never sold for a cap",
        ),
        pytest.param(
            {"s": {"AAA": -0.2, "BBB": 0.5}}, {}, Constraints(), {"AAA": 0.0, "BBB": 0.5}, [("no_short", "AAA", -0.2, 0.0)], id="no short"
        ),
    ],
)
def test_caps(
    targets: dict[str, Weights | None],
    kept: Weights,
    rules: Constraints,
    expected: Weights,
    notes: list[tuple[str, str, float, float]],
) -> None:
    """Each cap takes away what is too much, from those who can give way, and says so."""
    found = constrain(targets, {"s": 1.0, "idle": 1.0}, kept, rules)

    assert found.targets["s"] == pytest.approx(expected)
    assert told(found) == notes


def test_strategies_give_way_in_proportion() -> None:
    """Two strategies that share a capped symbol lose the same share of what they wanted."""
    found = constrain({"a": {"AAA": 1.0}, "b": {"AAA": 0.5, "BBB": 0.5}}, {"a": 0.5, "b": 0.5}, {}, Constraints(symbol_at_most=0.3))

    assert found.targets == {"a": pytest.approx({"AAA": 0.4}), "b": pytest.approx({"AAA": 0.2, "BBB": 0.5})}
    (note,) = found.adjustments
    assert "75.00%" in note.message
    assert "30.00%" in note.message


def spread_out(weights: Mapping[str, float]) -> float:
    """Volatility of uncorrelated symbols of 40 % each."""
    return 0.4 * math.sqrt(sum(weight**2 for weight in weights.values()))


def test_a_volatility_target_scales_everything() -> None:
    """Twice the volatility asked for means half of everything."""
    found = constrain({"s": {"AAA": 1.0}}, {"s": 1.0}, {}, Constraints(target_volatility=0.2), spread_out)

    assert found.targets["s"] == pytest.approx({"AAA": 0.5})
    assert told(found) == [("target_volatility", "account", 0.4, 0.2)]


def test_what_is_kept_uses_up_the_volatility() -> None:
    """The others fill what is left of it, and get nothing when nothing is left."""
    rules = Constraints(target_volatility=0.2)
    some = constrain({"s": {"AAA": 1.0}, "idle": None}, {"s": 1.0, "idle": 1.0}, {"BBB": 0.3}, rules, spread_out)
    none = constrain({"s": {"AAA": 1.0}, "idle": None}, {"s": 1.0, "idle": 1.0}, {"BBB": 0.6}, rules, spread_out)

    assert some.targets["s"] == pytest.approx({"AAA": 0.4})
    assert none.targets["s"] == {"AAA": 0.0}


def test_an_unknown_volatility_is_said_and_changes_nothing() -> None:
    """Too little history is no reason to guess, nor to be silent."""
    found = constrain({"s": {"AAA": 1.0}}, {"s": 1.0}, {}, Constraints(target_volatility=0.2))

    assert found.targets == {"s": {"AAA": 1.0}}
    assert "cannot be computed" in found.adjustments[0].message


WEIGHTS = st.dictionaries(st.sampled_from(SYMBOLS), st.floats(0, 1), max_size=4).map(
    lambda raw: {symbol: weight / max(1.0, sum(raw.values())) for symbol, weight in raw.items()}
)
RULES = st.builds(
    Constraints,
    symbol_at_most=st.none() | st.floats(0.01, 1),
    groups=st.dictionaries(
        st.sampled_from(("x", "y")),
        st.builds(GroupCap, symbols=st.frozensets(st.sampled_from(SYMBOLS), min_size=1), at_most=st.floats(0.01, 1)),
        max_size=2,
    ),
    target_volatility=st.none() | st.floats(0.05, 0.5),
)


@given(targets=st.dictionaries(st.sampled_from("abc"), st.none() | WEIGHTS, min_size=1), kept=WEIGHTS, rules=RULES)
def test_every_limit_holds_and_no_weight_is_raised(targets: dict[str, Weights | None], kept: Weights, rules: Constraints) -> None:
    """Whatever is wanted: afterwards every cap and the volatility hold, unless what is kept alone breaks them."""
    kept = kept if None in targets.values() else {}
    allocations = {name: 1 / len(targets) for name in targets}
    found = constrain(targets, allocations, kept, rules, spread_out)
    after = account(found.targets, allocations, kept)

    for name, weights in targets.items():
        allowed = found.targets[name]
        assert (allowed is None) == (weights is None)
        assert all(0 <= (allowed or {})[symbol] <= weight for symbol, weight in (weights or {}).items())
    for symbol, weight in after.items():
        cap = rules.symbol_at_most
        assert cap is None or weight <= max(cap, kept.get(symbol, 0.0)) + 1e-9
    for group in rules.groups.values():
        assert sum(after.get(s, 0.0) for s in group.symbols) <= max(group.at_most, sum(kept.get(s, 0.0) for s in group.symbols)) + 1e-9
    if rules.target_volatility is not None:
        assert spread_out(after) <= max(rules.target_volatility, spread_out(kept)) + 1e-9


@given(targets=st.dictionaries(st.sampled_from("abc"), WEIGHTS, min_size=1), rules=RULES)
def test_every_change_is_explained_and_only_changes_are(targets: dict[str, Weights | None], rules: Constraints) -> None:
    """An unchanged target has no adjustment but that of a volatility nobody could compute; a changed one has at least one."""
    found = constrain(targets, {name: 1 / len(targets) for name in targets}, {}, rules, spread_out)

    assert bool(found.adjustments) == (found.targets != targets)
    assert all(note.message and note.after <= note.before for note in found.adjustments)
