"""Indicators: the worked examples, needs in bars, no look at later bars, and the live last bar."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alchemiser.market.arrays import Floats
from alchemiser.market.indicators import INDICATORS, Measure, tail
from alchemiser.market.kernels import STRETCH, window_deviation, window_sum
from alchemiser.market.last_bar import LastBar

P = np.array([100, 102, 101, 104, 103, 106, 108, 107, 110, 109], dtype=float)
Q = np.array([100, 120, 90, 105, 80, 100], dtype=float)

EXAMPLES = [
    ("rsi", (3,), P, 68.534371),
    ("rsi", (5,), P, 73.152838),
    ("rsi", (9,), P, 76.470588),
    ("moving-average-price", (3,), P, 108.666667),
    ("moving-average-price", (5,), P, 108.0),
    ("exponential-moving-average-price", (3,), P, 108.6484375),
    ("exponential-moving-average-price", (5,), P, 107.738709),
    ("cumulative-return", (1,), P, -0.909091),
    ("cumulative-return", (5,), P, 5.825243),
    ("moving-average-return", (3,), P, 0.322907),
    ("moving-average-return", (5,), P, 1.153627),
    ("stdev-return", (3,), P, 1.754226),
    ("stdev-return", (5,), P, 1.728225),
    ("stdev-price", (3,), P, 1.247219),
    ("stdev-price", (5,), P, 1.414214),
    ("percentage-price-oscillator", (3, 5), P, 0.844385),
    ("percentage-price-oscillator-signal", (3, 5, 3), P, 0.922075),
    ("macd", (3, 5), P, 0.909728),
    ("macd-signal", (3, 5, 3), P, 0.985474),
    ("max-drawdown", (6,), Q, 33.333333),
    ("max-drawdown", (5,), Q, 33.333333),
    ("max-drawdown", (4,), Q, 23.809524),
    ("max-drawdown", (3,), Q, 23.809524),
    ("current-price", (), P, 109.0),
    ("moving-average-return", (2,), np.array([100.0, 110.0, 99.0]), 0.0),
]

MEASURES = [
    Measure("current-price"),
    Measure("moving-average-price", (7,)),
    Measure("exponential-moving-average-price", (5,)),
    Measure("rsi", (6,)),
    Measure("cumulative-return", (4,)),
    Measure("moving-average-return", (5,)),
    Measure("stdev-return", (5,)),
    Measure("stdev-price", (4,)),
    Measure("max-drawdown", (6,)),
    Measure("percentage-price-oscillator", (3, 6)),
    Measure("percentage-price-oscillator-signal", (3, 6, 4)),
]

series_of_prices = st.lists(st.floats(0.01, 1e6), min_size=1, max_size=40).map(lambda prices: np.array(prices))


BANDS = [Measure("upper-bollinger", (4,), 2.0), Measure("lower-bollinger", (5,), 1.5)]
MEASURES += [Measure("macd", (3, 6)), Measure("macd-signal", (3, 6, 4)), *BANDS]


def last(measure: Measure, closes: Floats) -> float:
    return float(tail(measure, closes)[-1])


@pytest.mark.parametrize(("name", "windows", "closes", "expected"), EXAMPLES)
def test_worked_examples(name: str, windows: tuple[int, ...], closes: Floats, expected: float) -> None:
    """Every indicator gives the number of the language's worked examples."""
    assert expected == pytest.approx(last(Measure(name, windows), closes), abs=1e-6)


@pytest.mark.parametrize(("closes", "expected"), [([5.0] * 20, 50.0), (range(1, 21), 100.0), (range(20, 0, -1), 0.0)])
def test_strength_of_extreme_series(closes: list[float], expected: float) -> None:
    """A flat series has strength 50, one that only rises 100, one that only falls 0."""
    assert expected == last(Measure("rsi", (10,)), np.array(closes, dtype=float))


@pytest.mark.parametrize("measure", MEASURES, ids=str)
def test_first_value_comes_with_the_bars_needed(measure: Measure) -> None:
    """One close fewer than needed gives no value, exactly that many give one: short history is never a number."""
    closes = np.linspace(10, 20, measure.bars_needed) + np.sin(np.arange(measure.bars_needed))

    assert len(tail(measure, closes[1:])) == 0
    assert len(tail(measure, closes)) == 1
    assert len(tail(measure, np.append(closes, [15.0, 16.0]))) == 3


@pytest.mark.parametrize("measure", MEASURES, ids=str)
@given(closes=series_of_prices)
def test_later_bars_never_change_a_value(measure: Measure, closes: Floats) -> None:
    """The value of a bar is the same, to the last bit, however the series goes on."""
    whole = tail(measure, closes)
    for length in range(measure.bars_needed, len(closes) + 1):
        assert whole[length - measure.bars_needed] == tail(measure, closes[:length])[-1]


@pytest.mark.parametrize("measure", MEASURES, ids=str)
@given(closes=series_of_prices, price=st.floats(0.01, 1e6))
def test_live_last_bar_equals_the_batch(measure: Measure, closes: Floats, price: float) -> None:
    """A live price on top of a history gives the bit-same number as computing everything again, or no number where that has none."""
    batch = tail(measure, np.append(closes, price))
    expected = float(batch[-1]) if len(batch) else None

    assert expected == LastBar(measure, closes).value(price)


def test_recent_values_survive_a_fall_through_ten_orders_of_magnitude() -> None:
    """The average of prices near 20 is exact although the series began at a hundred billion, as products with reverse splits do."""
    closes = np.concatenate((np.full(300, 1.2e11), np.full(300, 20.125)))

    assert last(Measure("moving-average-price", (200,)), closes) == 20.125
    assert last(Measure("stdev-price", (200,)), closes) == 0.0


@given(closes=st.lists(st.floats(1.0, 1e4), min_size=12, max_size=40).map(lambda prices: np.array(prices)))
def test_bounded_indicators_stay_inside_their_bounds(closes: Floats) -> None:
    """Strength lies in 0 to 100, a drawdown in 0 to 100, a deviation is not negative."""
    strength, drawdown = tail(Measure("rsi", (5,)), closes), tail(Measure("max-drawdown", (5,)), closes)

    assert bool(np.all((strength >= 0) & (strength <= 100)))
    assert bool(np.all((drawdown >= 0) & (drawdown <= 100)))
    assert bool(np.all(tail(Measure("stdev-return", (5,)), closes) >= 0))


def test_strength_settles_as_documented() -> None:
    """The bars for a settled strength are those of the strategies' table: the start has less than a thousandth of the weight."""
    assert (75 + 1, 155, 709) == tuple(Measure("rsi", (window,)).bars_settled for window in (10, 20, 90))
    assert math.pow(1 - 1 / 90, 709 - 90) < 0.001
    assert Measure("rsi", (1,)).bars_settled == 2
    assert Measure("exponential-moving-average-price", (1,)).bars_settled == 1
    assert Measure("exponential-moving-average-price", (12,)).bars_settled > 12
    assert Measure("moving-average-price", (200,)).bars_settled == 200


def test_a_measure_names_itself_and_its_mistakes() -> None:
    """A measure prints as it is written about, and one that does not exist cannot be made."""
    assert str(Measure("rsi", (10,))) == "rsi(10)"
    assert Measure("rsi", (10,)).of("SPY") == "rsi(SPY, 10)"
    assert str(Measure("current-price")) == "current-price"
    assert Measure("current-price").longest_window == 1
    with pytest.raises(ValueError, match="'rsj' is not an indicator"):
        Measure("rsj", (10,))
    for windows in ((), (0,), (3, 4)):
        with pytest.raises(ValueError, match="rsi takes 1 positive"):
            Measure("rsi", windows)


def test_every_indicator_is_tested_above() -> None:
    """No indicator is added without joining the tables of this file."""
    assert set(INDICATORS) == {measure.name for measure in MEASURES}
    assert set(INDICATORS) == {name for name, _, _, _ in EXAMPLES} | {measure.name for measure in BANDS}


def test_bands_lie_around_the_average() -> None:
    """A Bollinger band is the average plus or minus its number of population deviations."""
    assert last(Measure("upper-bollinger", (5,), 2.0), P) == pytest.approx(108 + 2 * 1.414214, abs=1e-6)
    assert last(Measure("lower-bollinger", (3,), 0.5), P) == pytest.approx(108.666667 - 0.5 * 1.247219, abs=1e-6)
    assert str(Measure("lower-bollinger", (3,), 0.5)) == "lower-bollinger(3, 0.5)"
    for name, windows, deviations in (("lower-bollinger", (3,), None), ("rsi", (3,), 2.0), ("upper-bollinger", (3,), -1.0)):
        with pytest.raises(ValueError, match="deviations"):
            Measure(name, windows, deviations)


LONG = 100.0 * np.exp(np.cumsum(np.random.default_rng(3).normal(0.0, 0.02, 3 * STRETCH + 40)))


@pytest.mark.parametrize("window", [1, 2, 14, STRETCH, STRETCH + 1])
def test_a_long_smoothed_average_is_that_of_the_recursion(window: int) -> None:
    """Stretch by stretch the index is what one gets bar by bar, at every bar."""
    moves = np.diff(LONG)
    gain = float(np.maximum(moves[:window], 0.0).mean())
    loss = float(np.maximum(-moves[:window], 0.0).mean())
    expected = [100.0 * gain / (gain + loss)]
    for move in moves[window:].tolist():
        gain = (gain * (window - 1) + max(move, 0.0)) / window
        loss = (loss * (window - 1) + max(-move, 0.0)) / window
        expected.append(100.0 * gain / (gain + loss))

    assert tail(Measure("rsi", (window,)), LONG) == pytest.approx(expected, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize(("name", "window"), [("rsi", 14), ("moving-average-price", 100), ("moving-average-return", 64)])
def test_a_live_bar_continues_a_stretch_wherever_it_stands(name: str, window: int) -> None:
    """At the beginning, in the middle and at the end of a stretch, the live value is that of the batch to the last bit."""
    measure = Measure(name, (window,))
    whole = tail(measure, LONG)
    for length in range(measure.bars_needed, len(LONG)):
        assert whole[length + 1 - measure.bars_needed] == LastBar(measure, LONG[:length]).value(float(LONG[length]))


@pytest.mark.parametrize("window", [1, 2, 3, 7, 20, 64, 90, 200])
def test_windows_are_what_numpy_says_of_each(window: int) -> None:
    """Put together from windows of powers of two, sums and deviations are those of each window by itself."""
    closes = np.concatenate((LONG, 1e6 * LONG))
    windows = np.lib.stride_tricks.sliding_window_view(closes, window)

    assert window_sum(closes, window) == pytest.approx(windows.sum(axis=1), rel=1e-14)
    assert window_deviation(closes, window) == pytest.approx(windows.std(axis=1), rel=1e-12, abs=1e-12)
