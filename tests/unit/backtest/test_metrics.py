"""The figures of an equity curve."""

import math
from datetime import date

import pytest

from alchemiser.backtest.inference import intervals_of, sharpe_test
from alchemiser.backtest.metrics import metrics_of
from alchemiser.backtest.periods import months_of, rolling_of
from alchemiser.backtest.record import Book, Trade


def test_a_curve_whose_figures_are_known() -> None:
    """Every figure follows its definition: 252 sessions, sample deviation, positive drawdown, one-way yearly turnover."""
    returns = [0.10, -0.20, 0.25]
    curve = [100.0, 110.0, 88.0, 110.0]
    figures = metrics_of(curve, initial=100.0, traded_shares=[1.0, 2.0], costs=7.5)
    mean = sum(returns) / 3
    deviation = math.sqrt(sum((value - mean) ** 2 for value in returns) / 2)
    years = 3 / 252

    assert figures.total_return == pytest.approx(0.10)
    assert figures.cagr == pytest.approx(1.1 ** (1 / years) - 1)
    assert figures.volatility == pytest.approx(deviation * math.sqrt(252))
    assert figures.sharpe == pytest.approx(mean * 252 / (deviation * math.sqrt(252)))
    assert figures.sortino == pytest.approx(mean * 252 / (math.sqrt(0.04 / 3) * math.sqrt(252)))
    assert figures.max_drawdown == pytest.approx(0.2)
    assert figures.cagr is not None
    assert figures.calmar == pytest.approx(figures.cagr / 0.2)
    assert figures.turnover == pytest.approx(1.5 / years)
    assert figures.costs == 7.5


def test_the_risk_free_rate_lowers_the_ratios() -> None:
    """The excess over the daily part of the yearly rate is what the ratios measure."""
    curve = [100.0, 101.0, 100.5, 102.0]

    plain, excess = metrics_of(curve, initial=100.0), metrics_of(curve, initial=100.0, risk_free=0.05)

    assert plain.sharpe is not None
    assert excess.sharpe == pytest.approx(plain.sharpe - 0.05 / plain.volatility)
    assert plain.volatility == excess.volatility


def test_a_flat_curve_has_no_ratios() -> None:
    """A ratio with nothing below the line is no number, and a single session has no yearly rates."""
    flat, single = metrics_of([100.0, 100.0, 100.0], initial=100.0), metrics_of([99.0], initial=100.0)

    assert (flat.total_return, flat.cagr, flat.volatility, flat.max_drawdown) == (0.0, 0.0, 0.0, 0.0)
    assert (flat.sharpe, flat.sortino, flat.calmar) == (None, None, None)
    assert single.total_return == pytest.approx(-0.01)
    assert (single.cagr, single.turnover) == (0.0, 0.0)
    assert single.max_drawdown == pytest.approx(0.01)


def test_an_account_that_has_lost_everything() -> None:
    """It has lost everything once, and nothing of nothing from then on; no part of it is in any symbol."""
    days = [date(2025, 3, 3), date(2025, 3, 31), date(2025, 4, 1), date(2025, 4, 30)]
    curve = [100.0, 50.0, 0.0, 0.0]
    found = metrics_of(curve, initial=100.0)
    trades = [Trade(days[0], "A", 2.0, 50.0, 0.0, 2.0), Trade(days[2], "A", -1.0, 25.0, 25.0, 1.0)]
    book = Book(initial=100.0, dates=days, equity=curve, trades=trades, closes={"A": [50.0, 25.0, 25.0, 1.0]}, strategies=[])

    assert (found.total_return, found.cagr, found.max_drawdown, found.worst_session) == (-1.0, -1.0, 1.0, -1.0)
    assert [(month.period, month.value) for month in months_of(days, curve, initial=100.0)] == [("2025-03", -0.5), ("2025-04", -1.0)]
    assert [month.value for month in months_of(days, [0.0] * 4, initial=100.0)] == [-1.0, 0.0]
    assert rolling_of(curve, window=2).total_return == [None, None, -1.0, -1.0]
    assert book.weights()["A"].tolist() == [1.0, 1.0, 0.0, 0.0]
    assert book.activity()[0].turnover == pytest.approx(0.5)


def test_a_curve_that_grows_evenly_has_no_sharpe_ratio() -> None:
    """Only the last digits of its returns differ: that is no deviation to divide by, nowhere."""
    curve = [100.0 * 1.0001**place for place in range(300)]
    found, tested = metrics_of(curve, initial=100.0), sharpe_test(curve, trials=5)

    assert (found.volatility, found.sharpe, found.skewness) == (0.0, None, None)
    assert found.win_rate == 1.0
    assert set(rolling_of(curve, window=20).sharpe) == {None}
    assert intervals_of(curve, samples=20).sharpe is None
    assert (tested.probabilistic, tested.deflated) == (None, None)


def test_a_yearly_return_too_large_for_a_number() -> None:
    """Of two wild sessions nothing yearly is said; the rest is."""
    wild = metrics_of([1.0, 16_720.0], initial=1_000.0)

    assert (wild.cagr, wild.calmar, wild.max_drawdown) == (None, None, 0.999)


def test_the_drawdown_counts_from_the_first_dollar() -> None:
    """Costs of the first trades are a fall from the initial cash."""
    assert metrics_of([99.0, 100.0], initial=100.0).max_drawdown == pytest.approx(0.01)
