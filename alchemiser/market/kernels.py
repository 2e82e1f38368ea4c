"""The arithmetic of the indicators: one NumPy pass over a series, and the single steps that a live last bar repeats.

Every kernel returns one value per bar from the first computable one, aligned to the end of the series. Sums run from the oldest to the
newest bar of a window and are never differences of running totals, because prices of products with many reverse splits fall through ten
orders of magnitude and a running total would drown the recent ones. A smoothed average has one form of its step, which history and last
bar share, so that both give the same bits.
"""

import math
from collections.abc import Sequence

import numpy as np

from alchemiser.market.arrays import Floats

BATCH_FROM = 4
"""From so many series on, smoothing all of them in one walk through time is cheaper than one after the other."""


def window_sum(values: Floats, window: int) -> Floats:
    """Return the sum of each ``window`` neighbouring values, added oldest first."""
    count = len(values) - window + 1
    total = values[:count].copy()
    for offset in range(1, window):
        total += values[offset : offset + count]
    return total


def window_mean(values: Floats, window: int) -> Floats:
    """Return the arithmetic mean of each window."""
    return window_sum(values, window) / window


def window_deviation(values: Floats, window: int) -> Floats:
    """Return the population standard deviation of each window, from its own mean: no difference of large squares."""
    count = len(values) - window + 1
    mean = window_mean(values, window)
    total = np.zeros(count)
    for offset in range(window):
        total += (values[offset : offset + count] - mean) ** 2
    deviation: Floats = np.sqrt(total / window)
    return deviation


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


def smoothed(average: float, new: float, window: int) -> float:
    """Return the next average of Wilder's smoothing."""
    return (average * (window - 1) + new) / window


def strength(gain: float, loss: float) -> float:
    """Return the relative strength index of an average gain and loss: 100 without losses, 50 when nothing moved at all."""
    if loss == 0.0:
        return 50.0 if gain == 0.0 else 100.0
    return 100.0 - 100.0 / (1.0 + gain / loss)


def wilder_averages(closes: Floats, window: int) -> tuple[list[float], list[float]]:
    """Return the average gain and the average loss of every bar, from the mean of the first ``window`` changes on."""
    gains, losses = _moves(closes)
    gained, lost = gains.tolist(), losses.tolist()
    gain, loss = _start(gains, window), _start(losses, window)
    gain_of, loss_of = [gain], [loss]
    weight = window - 1
    for up, down in zip(gained[window:], lost[window:], strict=True):
        # The steps of ``smoothed``, written out: two calls a bar would be most of the time.
        gain, loss = (gain * weight + up) / window, (loss * weight + down) / window
        gain_of.append(gain)
        loss_of.append(loss)
    return gain_of, loss_of


def relative_strength(closes: Floats, window: int) -> Floats:
    """Return the relative strength index of one series."""
    gains, losses = wilder_averages(closes, window)
    return _strengths(np.array(gains), np.array(losses))


def relative_strengths(batch: Sequence[tuple[Floats, int]]) -> list[Floats]:
    """Return the relative strength index of many series, each with its window and with enough bars, in one walk through time."""
    if len(batch) < BATCH_FROM:
        return [relative_strength(closes, window) for closes, window in batch]
    count = len(batch)
    moves = np.zeros((max(len(closes) for closes, _ in batch) - 1, 2 * count))
    starts: dict[int, list[tuple[int, float]]] = {}
    for column, (closes, window) in enumerate(batch):
        for place, one_way in zip((column, column + count), _moves(closes), strict=True):
            moves[: len(one_way), place] = one_way
            starts.setdefault(window - 1, []).append((place, _start(one_way, window)))
    window_of = np.array([window for _, window in batch] * 2, dtype=np.float64)
    weight_of = window_of - 1.0
    # Before its start and behind its end a column holds numbers that nobody reads.
    averages, average = np.empty_like(moves), np.zeros(2 * count)
    for bar, new in enumerate(moves):
        np.multiply(average, weight_of, out=average)
        np.add(average, new, out=average)
        np.divide(average, window_of, out=average)
        for place, start in starts.get(bar, ()):
            average[place] = start
        averages[bar] = average
    return [
        _strengths(averages[window - 1 : len(closes) - 1, column], averages[window - 1 : len(closes) - 1, column + count])
        for column, (closes, window) in enumerate(batch)
    ]


def _strengths(gains: Floats, losses: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        values: Floats = 100.0 - 100.0 / (1.0 + gains / losses)
    values[(gains == 0.0) & (losses == 0.0)] = 50.0
    return values


def _moves(closes: Floats) -> tuple[Floats, Floats]:
    changes = np.diff(closes)
    return np.maximum(changes, 0.0), np.maximum(-changes, 0.0)


def _start(one_way: Floats, window: int) -> float:
    # fsum, because the built-in sum rounds differently from one Python version to the next.
    return math.fsum(one_way[:window].tolist()) / window


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
