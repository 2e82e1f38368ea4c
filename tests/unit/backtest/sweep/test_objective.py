"""The figure by which variants are chosen is the figure of the report, and the windows of a walk-forward do not overlap."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alchemiser.backtest.metrics import metrics_of
from alchemiser.backtest.sweep.folds import Fold, folds_of
from alchemiser.backtest.sweep.objective import OBJECTIVES, SMALLER_IS_BETTER, WORST, Objective, score_of
from alchemiser.domain.errors import UsageError
from alchemiser.market.arrays import Floats

CURVE: Floats = np.cumprod(1 + np.random.default_rng(3).normal(0.0005, 0.01, 300)).astype(np.float64) * 100_000


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("risk_free", [0.0, 0.03])
def test_the_score_is_the_figure(objective: Objective, risk_free: float) -> None:
    """Of the whole curve as the report has it; negative where smaller is better."""
    metrics = metrics_of(CURVE.tolist(), initial=float(CURVE[0]), risk_free=risk_free)
    sign = -1.0 if objective in SMALLER_IS_BETTER else 1.0

    assert score_of(CURVE, objective, risk_free) == pytest.approx(sign * getattr(metrics, objective), rel=1e-12)


@pytest.mark.parametrize("objective", ["sharpe", "sortino", "calmar"])
def test_a_figure_that_does_not_exist_is_the_worst(objective: Objective) -> None:
    """Nothing moved, or there is nothing to look at."""
    assert score_of(np.full(10, 7.0), objective) == WORST
    assert score_of(np.array([7.0]), objective) == WORST


@pytest.mark.parametrize("objective", ["cagr", "calmar"])
def test_a_yearly_return_too_large_for_a_number_is_the_worst(objective: Objective) -> None:
    """Of few and wild sessions there is no yearly return, in the report and here; the sweep goes on."""
    assert score_of(np.array([1.0, 0.9, 3_000.0]), objective) == WORST


def test_last_digits_do_not_make_a_ratio() -> None:
    """A curve that only the sums of floats move has no Sharpe ratio to be chosen by."""
    curve: Floats = np.array([100.0, 100.00000000000001, 100.00000000000003] * 9)
    assert len(set(curve.tolist())) == 3
    assert score_of(curve, "sharpe") == WORST


@given(st.sampled_from(["rolling", "anchored"]), st.integers(0, 50), st.integers(40, 400), st.integers(2, 30), st.integers(1, 30))
def test_the_tests_of_a_walk_join_and_lie_behind_their_training(walk: str, first: int, length: int, train: int, test: int) -> None:
    """Every session after the first choice is tried once, by a choice that has not seen it."""
    last = first + length
    folds = folds_of(walk, first, last, train=train, test=test)  # type: ignore[arg-type]

    assert folds[0].train_first == first
    assert folds[-1].test_last == last
    for fold, after in pairwise(folds):
        assert fold.test_last == after.chosen
    for fold in folds:
        assert fold.train_first < fold.chosen < fold.test_last
        assert fold.chosen - fold.train_first == train - 1 or walk == "anchored"
        assert walk == "rolling" or fold.train_first == first


def test_a_walk_that_has_nothing_to_test_is_refused() -> None:
    """Training as long as the history, or a test of no session."""
    assert folds_of("rolling", 0, 9, train=9, test=5) == (Fold(0, 8, 9),)
    with pytest.raises(UsageError, match="only 10 sessions"):
        folds_of("rolling", 0, 9, train=10, test=5)
    for train, test in ((1, 5), (5, 0)):
        with pytest.raises(UsageError, match="training takes"):
            folds_of("rolling", 0, 99, train=train, test=test)
