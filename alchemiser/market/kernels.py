"""The arithmetic of the indicators: one NumPy pass over a series, and the single steps that a live last bar repeats.

Every kernel returns one value per bar from the first computable one, aligned to the end of the series. What looks at a window depends on
the bars of that window and on nothing else: it is put together from windows of one, two, four, eight ... bars, each the sum of two
neighbours, and never from differences of running totals, because prices of products with many reverse splits fall through ten orders of
magnitude and a running total would drown the recent ones. A window of 200 bars costs nine additions then, not 199, and rounds less.

A smoothed average is a recursion. It is walked through in stretches of :data:`STRETCH` bars, all of them at once, each from nothing; what
the bars before a stretch still weigh in it is added afterwards. Stretches are counted from the first value, so that a longer series
changes nothing, and a live last bar continues the last one (:class:`Smoothing`): both give the same bits.
"""

import math
from collections.abc import Sequence
from functools import cache

import numpy as np

from alchemiser.market.arrays import Floats

STRETCH = 32
"""Bars of a smoothed average that are walked through one by one."""


def window_sum(values: Floats, window: int) -> Floats:
    """Return the sum of each ``window`` neighbouring values."""
    total, covered = values, 0
    block, size = values, 1
    while True:
        if window & size:
            total = total[: len(block) - covered] + block[covered:] if covered else block
            covered += size
        if covered == window:
            return total[: len(values) - window + 1]
        block = block[:-size] + block[size:]
        size *= 2


def window_mean(values: Floats, window: int) -> Floats:
    """Return the arithmetic mean of each window."""
    return window_sum(values, window) / window


def window_deviation(values: Floats, window: int) -> Floats:
    """Return the population standard deviation of each window: no difference of large squares.

    Sums and squared deviations of two neighbouring windows make those of both (Chan, Golub and LeVeque 1979).
    """
    total, squares, covered = values, np.zeros(len(values)), 0
    block, spread, size = values, squares, 1  # of one value: no deviation at all
    while True:
        if window & size:
            if covered:
                count = len(block) - covered
                apart = total[:count] / covered - block[covered:] / size
                squares = squares[:count] + spread[covered:] + apart * apart * (covered * size / (covered + size))
                total = total[:count] + block[covered:]
            else:
                total, squares = block, spread
            covered += size
        if covered == window:
            deviation: Floats = np.sqrt(squares[: len(values) - window + 1] / window)
            return deviation
        apart = block[:-size] - block[size:]
        spread = spread[:-size] + spread[size:] + apart * apart / (2 * size)
        block = block[:-size] + block[size:]
        size *= 2


def sum_but_last(values: Floats, window: int) -> tuple[float, list[float]]:
    """Return what :func:`window_sum` adds up before the last of ``window`` values: that value, added to each from the right, is the sum.

    ``values`` are the ``window - 1`` before it: first comes the part that stands alone, then the left halves, the largest first.
    """
    size = 1 << (window.bit_length() - 1)
    alone = float(window_sum(values[: window - size], window - size)[0]) if window > size else 0.0
    lefts, begin = [], window - size
    while size > 1:
        size //= 2
        lefts.append(float(window_sum(values[begin : begin + size], size)[0]))
        begin += size
    return alone, lefts


def percent_returns(closes: Floats) -> Floats:
    """Return the change of each bar in percent of the one before."""
    return (closes[1:] / closes[:-1] - 1.0) * 100.0


def cumulative_return(closes: Floats, window: int) -> Floats:
    """Return the change over ``window`` bars in percent."""
    return (closes[window:] / closes[:-window] - 1.0) * 100.0


def max_drawdown(closes: Floats, window: int) -> Floats:
    """Return the largest fall from a running peak inside each window, as a positive percentage."""
    count = len(closes) - window + 1
    peak = closes[:count].copy()
    worst = np.zeros(count)
    for offset in range(1, window):
        close = closes[offset : offset + count]
        np.maximum(peak, close, out=peak)
        np.maximum(worst, (peak - close) / peak, out=worst)
    return worst * 100.0


# --- Wilder's smoothing ---


class Smoothing:
    """Wilder's averages of series of moves: at every bar, from the mean of the first ``window`` on, and at one bar more."""

    def __init__(self, moves: Floats, window: int) -> None:
        """Take a row of moves per series, at least ``window`` of them each."""
        self._weight = (window - 1) / window
        self._fading = _fading(window)
        # fsum, because the built-in sum rounds differently from one Python version to the next.
        self._starts = [math.fsum(first) / window for first in moves[:, :window].tolist()]
        steps = moves[:, window:] / window
        self._count = steps.shape[1]
        stretches = -(-self._count // STRETCH)
        own = np.zeros((len(moves), stretches * STRETCH))
        own[:, : self._count] = steps
        # By bar of a stretch, series and stretch: all stretches go from bar to bar together.
        self._own = np.ascontiguousarray(own.reshape(len(moves), stretches, STRETCH).transpose(2, 0, 1))
        for bar in range(1, STRETCH if stretches else 0):
            self._own[bar] += self._own[bar - 1] * self._weight
        self._before = [self._carried(start, ends) for start, ends in zip(self._starts, self._own[-1].tolist(), strict=True)]

    def averages(self) -> Floats:
        """Return a row per series: its average at every bar that has one."""
        before = np.array(self._before)[:, : self._own.shape[2]]
        whole = self._own + np.multiply.outer(np.array(self._fading), before)
        own = whole.transpose(1, 2, 0).reshape(len(before), -1)[:, : self._count]
        return np.concatenate((np.array(self._starts)[:, None], own), axis=1)

    def next(self) -> list[tuple[float, float]]:
        """Return of each series what the average of one more bar has without its move: of the stretch, and of what was before the stretch.

        The move over ``window`` is added to the first, and their sum is the average.
        """
        stretch, bar = divmod(self._count, STRETCH)
        own = (self._own[bar - 1, :, stretch] * self._weight).tolist() if bar else [0.0] * len(self._before)
        return [(one, before[stretch] * self._fading[bar]) for one, before in zip(own, self._before, strict=True)]

    def _carried(self, average: float, ends: Sequence[float]) -> list[float]:
        """Return the average before each stretch, and before the next one."""
        carried = [average]
        for end in ends:
            carried.append(end + carried[-1] * self._fading[-1])
        return carried


@cache
def _fading(window: int) -> tuple[float, ...]:
    """Return what an average still weighs after one bar, two bars, ... of a stretch."""
    weight, left = (window - 1) / window, 1.0
    return tuple(left := left * weight for _ in range(STRETCH))


def strength(gain: float, loss: float) -> float:
    """Return the relative strength index of an average gain and loss: 100 without losses, 50 when nothing moved at all."""
    if loss == 0.0:
        return 50.0 if gain == 0.0 else 100.0
    return 100.0 - 100.0 / (1.0 + gain / loss)


def relative_strength(closes: Floats, window: int) -> Floats:
    """Return the relative strength index of a series."""
    gains, losses = smoothed_moves(closes, window).averages()
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        values: Floats = 100.0 - 100.0 / (1.0 + gains / losses)
    values[(gains == 0.0) & (losses == 0.0)] = 50.0
    return values


def smoothed_moves(closes: Floats, window: int) -> Smoothing:
    """Return the average gains and the average losses of a series."""
    changes = np.diff(closes)
    return Smoothing(np.maximum((changes, -changes), 0.0), window)


# --- exponential averages ---


def ema_step(average: float, new: float, window: int) -> float:
    """Return the next exponential average, with the factor 2 / (window + 1)."""
    factor = 2.0 / (window + 1)
    return average + factor * (new - average)


def ema(values: Sequence[float], window: int) -> list[float]:
    """Return the exponential average at every value, started at the first value."""
    average = values[0]
    averages = [average]
    for value in values[1:]:
        average = ema_step(average, value, window)
        averages.append(average)
    return averages


def difference(short: float, long: float) -> float:
    """Return the convergence of two averages in units of price."""
    return short - long


def percent_difference(short: float, long: float) -> float:
    """Return the oscillator of two averages in percent of the slower one."""
    return (short - long) / long * 100.0
