"""The figures against a slow transcription of their definitions, and against what must hold of any curve."""

import math
from collections.abc import Sequence
from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alchemiser.backtest.data_version import data_version
from alchemiser.backtest.drawdowns import drawdowns_of, underwater
from alchemiser.backtest.inference import expected_maximum, intervals_of, resampled, sharpe_test
from alchemiser.backtest.metrics import metrics_of
from alchemiser.backtest.periods import months_of, rolling_of, years_of
from alchemiser.backtest.versus import versus
from tests.unit.backtest import slow_figures

SEEDS = range(8)


def curve(seed: int, sessions: int = 300, drift: float = 0.0005) -> list[float]:
    """Return a curve of fat-tailed returns, some of them zero."""
    random = np.random.default_rng(seed)
    moves = random.standard_t(4, sessions) * 0.01 + drift
    moves[random.random(sessions) < 0.05] = 0.0
    return [float(value) for value in 100_000 * np.cumprod(1 + moves)]


def days(count: int, first: date = date(2024, 11, 25)) -> list[date]:
    weekdays = (first + timedelta(days=offset) for offset in range(count * 2))
    return [day for day in weekdays if day.weekday() < 5][:count]


@pytest.mark.parametrize("seed", SEEDS)
def test_every_figure_is_its_definition(seed: int) -> None:
    """All figures of a curve are those of the slow transcription."""
    equity, risk_free = curve(seed), 0.02 * (seed % 3)
    found = metrics_of(equity, initial=100_500.0, risk_free=risk_free)

    for name, value in slow_figures.figures(equity, 100_500.0, risk_free).items():
        assert getattr(found, name) == pytest.approx(value, rel=1e-9), name


@pytest.mark.parametrize("seed", SEEDS)
def test_every_figure_against_a_benchmark_is_its_definition(seed: int) -> None:
    """Alpha, beta, correlation, tracking error, information ratio and capture are those of the slow transcription."""
    closes = curve(seed + 100)
    equity = [value**0.5 * other**0.5 for value, other in zip(curve(seed), closes, strict=True)]
    found = versus("SPY", equity, closes, initial=100_000.0, risk_free=0.03)

    for name, value in slow_figures.against(equity, closes, 0.03).items():
        assert getattr(found, name) == pytest.approx(value, rel=1e-9), name
    assert found.equity[0] == pytest.approx(100_000.0)
    assert found.metrics == metrics_of(found.equity, initial=100_000.0, risk_free=0.03)


def test_a_run_that_is_its_benchmark() -> None:
    """Holding the benchmark has beta, correlation and capture one, and no alpha or tracking error."""
    closes = curve(1)
    same = versus("SPY", closes, closes, initial=closes[0])

    assert (same.beta, same.correlation, same.up_capture, same.down_capture) == pytest.approx((1, 1, 1, 1))
    assert same.alpha == pytest.approx(0.0, abs=1e-12)
    assert (same.tracking_error, same.information_ratio, same.excess_return) == (0.0, None, 0.0)


def test_a_benchmark_that_never_moves_has_no_line() -> None:
    """Without a variance there is neither slope nor capture; a single session has none either."""
    flat = versus("BIL", [100.0, 101.0, 102.0], [50.0, 50.0, 50.0], initial=100.0)
    single = versus("BIL", [100.0], [50.0], initial=100.0)

    assert (flat.alpha, flat.beta, flat.correlation, flat.up_capture, flat.down_capture) == (None,) * 5
    assert (single.beta, single.tracking_error, single.information_ratio) == (None, 0.0, None)


@pytest.mark.parametrize("seed", SEEDS)
def test_rolling_figures_are_those_of_each_window(seed: int) -> None:
    """Each value is that of the returns of its window alone; before there are enough of them there is none."""
    equity, closes, window = curve(seed, 60), curve(seed + 50, 60), 20
    found = rolling_of(equity, window=window, risk_free=0.01, benchmark=closes)
    assert found.beta is not None
    rows = list(zip(found.total_return, found.volatility, found.sharpe, found.beta, strict=True))

    assert rows[:window] == [(None,) * 4] * window
    for row, expected in zip(rows[window:], slow_figures.rolling(equity, closes, window, 0.01), strict=True):
        assert row == pytest.approx(expected, rel=1e-9)


def test_a_run_shorter_than_the_window() -> None:
    """There is no rolling figure, and as many empty places as sessions; a window of the whole run has one."""
    assert rolling_of([1.0, 2.0], window=20).sharpe == [None, None]
    assert rolling_of([1.0, 2.0], window=20).beta is None
    assert rolling_of([1.0, 2.0, 3.0], window=2).total_return == [None, None, pytest.approx(2.0)]


# --- drawdowns ---


def test_falls_with_their_dates() -> None:
    """Peak, trough and recovery of each fall, the deepest first; the cash at the start is a peak without a date, the last fall is open."""
    on = days(8)
    equity = [99.0, 100.0, 110.0, 88.0, 99.0, 110.0, 120.0, 114.0]
    first, second, third = drawdowns_of(on, equity, initial=100.0)

    assert (first.peak, first.trough, first.recovered) == (on[2], on[3], on[5])
    assert (first.sessions, first.sessions_to_recover) == (3, 2)
    assert (second.peak, second.trough, second.recovered) == (on[6], on[7], None)
    assert (second.sessions, second.sessions_to_recover) == (1, None)
    assert (third.peak, third.trough, third.recovered) == (None, on[0], on[1])
    assert (first.depth, second.depth, third.depth) == pytest.approx((0.2, 0.05, 0.01))
    assert drawdowns_of(on, equity, initial=100.0, most=1) == [first]


@given(st.lists(st.floats(min_value=1.0, max_value=1e6), min_size=1, max_size=60))
def test_falls_cover_every_session_under_water(equity: list[float]) -> None:
    """The falls do not overlap, the deepest is the largest drawdown, and outside of them the curve is at a peak."""
    on = days(len(equity))
    falls = drawdowns_of(on, equity, initial=1_000.0)
    below = underwater(equity, 1_000.0)
    lengths = sum(fall.sessions - (fall.recovered is not None) for fall in falls)

    assert lengths == int(np.count_nonzero(below))
    assert (falls[0].depth if falls else 0.0) == float(np.max(below)) == metrics_of(equity, initial=1_000.0).max_drawdown
    assert len({fall.trough for fall in falls}) == len(falls)


# --- months and years ---


def test_months_and_years_chain_to_the_whole() -> None:
    """Each month goes from the last session of the month before; all together compound to the total return."""
    equity = curve(3, 90)
    on = days(len(equity))
    months, years = months_of(on, equity, initial=100_000.0), years_of(on, equity, initial=100_000.0)

    assert [month.period for month in months] == ["2024-11", "2024-12", "2025-01", "2025-02", "2025-03"]
    assert [year.period for year in years] == ["2024", "2025"]
    last_of = {f"{day:%Y-%m}": value for day, value in zip(on, equity, strict=True)}
    assert months[1].value == pytest.approx(last_of["2024-12"] / last_of["2024-11"] - 1)
    for periods in (months, years):
        assert np.prod([1 + period.value for period in periods]) == pytest.approx(equity[-1] / 100_000)


# --- luck ---


def test_the_same_seed_gives_the_same_intervals() -> None:
    """Resampling is a function of its seed; another seed draws something else near it."""
    equity = curve(5)
    one, again, other = (intervals_of(equity, samples=200, seed=seed) for seed in (1, 1, 2))

    assert one == again
    assert one != other


@pytest.mark.parametrize("seed", range(4))
def test_intervals_enclose_the_figure(seed: int) -> None:
    """The middle 95 % of resampled figures lie around the figure of the curve, and a lower confidence is narrower."""
    equity = curve(seed, 500)
    figures = metrics_of(equity, initial=equity[0])
    wide, narrow = intervals_of(equity, samples=300), intervals_of(equity, samples=300, confidence=0.5)

    for name in ("cagr", "volatility", "sharpe"):
        interval, inner = getattr(wide, name), getattr(narrow, name)
        assert interval.low < getattr(figures, name) < interval.high
        assert interval.low < inner.low < inner.high < interval.high


def test_blocks_are_runs_of_the_returns() -> None:
    """A resampled row is made of consecutive returns, going round at the end, as many as there are; blocks of all of them are rotations."""
    returns = np.arange(10, dtype=np.float64)
    rows = resampled(returns, 50, 4, np.random.default_rng(7))

    assert rows.shape == (50, 10)
    for row in rows.tolist():
        for begin in (0, 4, 8):
            block = row[begin : begin + 4]
            assert block == [(block[0] + offset) % 10 for offset in range(len(block))]
    assert all(sorted(row) == returns.tolist() for row in resampled(returns, 5, 10, np.random.default_rng(7)).tolist())


def test_constant_returns_have_an_interval_without_width() -> None:
    """Where every sample is the same the ends coincide; without a deviation there is no Sharpe ratio, without returns nothing."""
    steady = intervals_of([2.0**power for power in range(30)], samples=10)
    nothing = intervals_of([100.0], samples=10)

    assert steady.cagr is not None
    assert steady.cagr.low == steady.cagr.high == pytest.approx(2.0**252 - 1)
    assert steady.sharpe is None
    assert (nothing.cagr, nothing.sharpe) == (None, None)


@pytest.mark.parametrize(("trials", "expected"), [(10, 1.5746), (100, 2.5306), (1_000, 3.2551)])
def test_the_best_of_many_tries_without_skill(trials: int, expected: float) -> None:
    """The approximation of the paper, near the mean of the largest of that many normal draws."""
    drawn = np.random.default_rng(3).standard_normal((2_000, trials)).max(axis=1).mean()

    assert expected_maximum(trials) == pytest.approx(expected, abs=5e-4)
    assert expected_maximum(trials) == pytest.approx(float(drawn), rel=0.05)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_deflated_sharpe_ratio(seed: int) -> None:
    """The formula of the paper, with the variance of the tries or, unknown, that of the estimate; more tries leave less."""
    equity = curve(seed, 300, 0.001)
    known = sharpe_test(equity, trials=45, trial_variance=0.002)
    tests = [sharpe_test(equity, trials=trials) for trials in (1, 10, 1_000)]
    deflated = [test.deflated for test in tests if test.deflated is not None]

    assert known.deflated == pytest.approx(slow_figures.deflated_sharpe(equity, 45, 0.002))
    assert tests[1].deflated == pytest.approx(slow_figures.deflated_sharpe(equity, 10, 1 / 298))
    assert deflated == sorted(deflated, reverse=True)
    assert tests[0].deflated == tests[0].probabilistic
    assert sharpe_test([100.0, 100.0, 100.0]).deflated is None


# --- the version of the data ---


def series(closes: Sequence[float]) -> tuple[np.ndarray[tuple[int], np.dtype[np.int64]], np.ndarray[tuple[int], np.dtype[np.float64]]]:
    return np.arange(738_000, 738_000 + len(closes), dtype=np.int64), np.array(closes, dtype=np.float64)


def test_the_version_is_that_of_the_bars() -> None:
    """Order and memory layout do not matter; one close, one day, one name or one open does."""
    base = data_version({"A": series([1.0, 2.0]), "B": series([3.0])})
    shifted = (series([1.0, 2.0])[0] + 1, series([1.0, 2.0])[1])
    opened = {"A": {738_000: 1.0}}
    others = [
        data_version({"A": series([1.0, 2.0 + 4e-16]), "B": series([3.0])}),
        data_version({"A": shifted, "B": series([3.0])}),
        data_version({"A": series([1.0, 2.0]), "C": series([3.0])}),
        data_version({"A": series([1.0, 2.0]), "B": series([3.0])}, opened),
    ]

    assert data_version({"B": series([3.0]), "A": (series([1, 2])[0], np.array([1.0, 9.0, 2.0])[::2])}) == base
    assert len({base.version, *(other.version for other in others)}) == 5
    assert [entry.sha256 == base.symbols[1].sha256 for entry in (others[0].symbols[1], others[2].symbols[1])] == [True, True]


def test_the_numbers_of_an_independent_library() -> None:
    """The figures of a fixed curve are those that empyrical-reloaded 0.7.1 gives for it; the library itself is too heavy for the tests."""
    equity = [100_000 * math.exp(0.0004 * day + 0.02 * math.sin(day * day / 7) + 0.05 * math.sin(day / 9)) for day in range(260)]
    closes = [400 * math.exp(0.0003 * day + 0.015 * math.sin(day * day / 7) + 0.01 * math.cos(day * day / 5)) for day in range(260)]
    found = metrics_of(equity, initial=equity[0], risk_free=0.02)
    other = versus("SPY", equity, closes, initial=equity[0], risk_free=0.02)

    theirs = {
        "cagr": 0.09969264219430918,
        "volatility": 0.3268443119394534,
        "sharpe": 0.39229357955364835,
        "sortino": 0.5696852147549512,
        "max_drawdown": 0.11664940095641023,
        "calmar": 0.8546348406157912,
        "value_at_risk": 0.03424381511793716,
        "expected_shortfall": 0.03725976758473701,
    }
    against = {
        "alpha": 0.035012745465448525,
        "beta": 0.9388554770666702,
        "up_capture": 0.8834092258948519,
        "down_capture": 0.9956497220668669,
        "tracking_error": 0.18564710504821338,
    }
    assert {name: getattr(found, name) for name in theirs} == pytest.approx(theirs, rel=1e-10)
    assert {name: getattr(other, name) for name in against} == pytest.approx(against, rel=1e-10)
