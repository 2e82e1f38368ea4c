"""Variants of a symphony: what can be changed, that nothing else changes, and that many at once are what each is by itself."""

from datetime import date

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alchemiser.domain.errors import StrategyError, UsageError
from alchemiser.market.arrays import Days, Floats
from alchemiser.strategies.catalog import shipped_symphony
from alchemiser.strategies.panel import PricePanel
from alchemiser.strategies.symphony import variants
from alchemiser.strategies.symphony.check import check_bytes, check_text
from alchemiser.strategies.symphony.evaluate import STOP
from alchemiser.strategies.symphony.history import History
from alchemiser.strategies.symphony.tree import Symphony
from alchemiser.strategies.symphony.variants import Knob, VariantHistory, knobs_of, read_again, varied

ALL_FORMS = """(defsymphony "All forms" {:rebalance-frequency :daily}
 (weight-equal [
  (if (> (rsi "AAA" {:window 5}) 50)
   [(weight-specified 0.3 (asset "AAA") 0.7 (weight-inverse-volatility 6 [(asset "BBB") (asset "CCC")]))]
   [(filter (moving-average-return {:window 4}) (select-top 2) [(asset "AAA") (asset "BBB") (asset "CCC")])])
  (group "Inner" [(filter (stdev-return {:window 3}) (select-bottom 1) [
    (group "Ranked" [(if (< (current-price "BBB") (moving-average-price "BBB" {:window 7})) [(asset "BBB")] [(asset "CCC")])])
    (weight-equal [(asset "AAA") (asset "CCC")])])])]))"""
SYMBOLS = ("AAA", "BBB", "CCC")


def panel(symbols: tuple[str, ...] = SYMBOLS, sessions: int = 160) -> PricePanel:
    """Return seeded random walks, one of them with a gap."""
    random = np.random.default_rng(5)
    days: Days = np.arange(date(2024, 1, 2).toordinal(), date(2024, 1, 2).toordinal() + sessions, dtype=np.int64)
    closes: dict[str, Floats] = {symbol: 100 * np.cumprod(1 + random.normal(0, 0.02, sessions)).astype(np.float64) for symbol in symbols}
    history = {symbol: (days, values) for symbol, values in closes.items()}
    first = symbols[0]
    kept = np.arange(sessions) != 90
    history[first] = (days[kept], closes[first][kept])
    return PricePanel(history)


def all_forms() -> Symphony:
    return check_text(ALL_FORMS)


def by_key(symphony: Symphony) -> dict[str, Knob]:
    return {knob.key: knob for knob in knobs_of(symphony)}


def test_every_number_has_a_key() -> None:
    """In the order of the file, by line and kind, with what it is and what the file says."""
    assert [(knob.key, knob.value) for knob in knobs_of(all_forms())] == [
        ("3:window", 5),
        ("3:threshold", 50),
        ("4:share:1", 0.3),
        ("4:share:2", 0.7),
        ("4:window", 6),
        ("5:window", 4),
        ("5:count", 2),
        ("6:window", 3),
        ("6:count", 1),
        ("7:window", 7),
    ]
    assert by_key(all_forms())["3:threshold"].text == "rsi(AAA, 5) > 50"


def test_a_band_has_its_deviations() -> None:
    """Their half width is a number like any other."""
    text = """(defsymphony "Band" {:rebalance-frequency :daily}
      (if (> (current-price "AAA") (upper-bollinger "AAA" {:window 20 :standard-deviations 2})) [(asset "AAA")] [(asset "BBB")]))"""
    symphony = check_text(text)
    knobs = by_key(symphony)

    assert {knob.kind for knob in knobs.values()} == {"window", "deviations"}
    changed = varied(symphony, {knobs["2:deviations"]: 1.5})
    (again,) = (knob for knob in knobs_of(read_again(changed)) if knob.kind == "deviations")
    assert again.value == 1.5


def test_what_does_not_change_is_shared() -> None:
    """Only the changed node and those above it are new; without a change the symphony is the same."""
    symphony = all_forms()
    assert varied(symphony, {}) is symphony
    changed = varied(symphony, {by_key(symphony)["7:window"]: 9})
    new = [node for node, old in zip(changed.nodes, symphony.nodes, strict=True) if node is not old]

    assert 0 < len(new) < len(symphony.nodes) / 2
    assert by_key(changed)["7:window"].value == 9
    assert [knob.value for key, knob in by_key(changed).items() if key != "7:window"] == [
        knob.value for key, knob in by_key(symphony).items() if key != "7:window"
    ]


changes = st.fixed_dictionaries(
    {},
    optional={
        "3:window": st.integers(2, 12),
        "3:threshold": st.floats(20, 80),
        "4:share:1": st.sampled_from([0.0, 0.25, 1.0]),
        "4:window": st.integers(2, 12),
        "5:window": st.integers(2, 12),
        "5:count": st.integers(1, 3),
        "6:window": st.integers(2, 12),
        "6:count": st.integers(1, 2),
        "7:window": st.integers(2, 12),
    },
)


@settings(max_examples=15, deadline=None)
@given(st.lists(changes, min_size=1, max_size=4))
def test_many_variants_are_what_each_is_by_itself(changed: list[dict[str, float]]) -> None:
    """One after the other on shared work, to the last bit what a history of its own, read from its own text, says of every session."""
    symphony, prices = all_forms(), panel()
    together, knobs = VariantHistory(symphony, prices, STOP), by_key(symphony)
    for change in changed:
        variant = varied(symphony, {knobs[key]: value for key, value in change.items()})
        targets = together.targets(variant)
        alone = History(read_again(variant), prices, STOP)
        for place in range(len(prices)):
            row = int(targets.rows[place])
            weights = None if row < 0 else {s: w for s, w in zip(targets.symbols, targets.weights[:, row].tolist(), strict=True) if w}
            expected = alone.weights(place)
            assert weights == (None if expected is None else {symbol: weight for symbol, weight in expected.items() if weight})


@pytest.mark.parametrize("name", ["nuclear", "tecl", "klm"])
def test_the_shipped_symphonies_have_the_same_targets(name: str) -> None:
    """All at once and session by session."""
    symphony = check_bytes(shipped_symphony(name))
    prices = panel(symphony.symbols, 400)
    targets = VariantHistory(symphony, prices, STOP).targets(symphony)
    alone = History(symphony, prices, STOP)

    for place in range(len(prices)):
        row, expected = int(targets.rows[place]), alone.weights(place)
        assert (row < 0) == (expected is None)
        if expected is not None:
            assert {s: w for s, w in zip(targets.symbols, targets.weights[:, row].tolist(), strict=True) if w} == expected


def test_the_shared_work_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """After so many portfolios it begins anew, with the same answers."""
    symphony, prices = all_forms(), panel()
    together, knob = VariantHistory(symphony, prices, STOP), by_key(symphony)["4:window"]
    first = together.targets(varied(symphony, {knob: 8}))
    monkeypatch.setattr(variants, "PORTFOLIOS_AT_MOST", 1)
    for window in (4, 8):
        again = together.targets(varied(symphony, {knob: window}))

    np.testing.assert_array_equal(first.weights[:, first.rows], again.weights[:, again.rows])


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("3:window", 0, "a whole number from 1"),
        ("3:window", 2.5, "a whole number"),
        ("3:window", 1e9, "a whole number"),
        ("4:share:1", 1.5, "a number from 0 to 1"),
        ("5:count", 4, "cannot keep 4 of its 3 children"),
        ("3:threshold", float("inf"), "a number"),
    ],
)
def test_a_number_that_cannot_stand_there_is_refused(key: str, value: float, said: str) -> None:
    """With the key and what was expected."""
    symphony = all_forms()
    with pytest.raises(UsageError, match=said):
        varied(symphony, {by_key(symphony)[key]: value})


def test_shares_that_leave_nothing_are_refused() -> None:
    """When all the others are 0 there is nothing to scale."""
    text = '(defsymphony "Own" {:rebalance-frequency :daily} (weight-specified 1 (asset "AAA") 0 (asset "BBB")))'
    symphony = check_text(text)
    share = knobs_of(symphony)[0]

    assert varied(symphony, {share: 1.0}).root is not symphony.root
    with pytest.raises(StrategyError, match="the other shares are 0"):
        varied(symphony, {share: 0.5})
