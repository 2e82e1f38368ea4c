"""Indicators for a live last price: what does not depend on that price is done once, a new price costs one step.

The numbers equal :func:`~alchemiser.market.indicators.tail` over history and price together to the last bit: averages take the very step
that the batch takes, sums are those of the batch without their last term.
"""

from collections.abc import Callable

import numpy as np

from alchemiser.market.arrays import Floats
from alchemiser.market.indicators import OSCILLATORS, Measure, averages_of_two, tail
from alchemiser.market.kernels import (
    ema,
    ema_step,
    percent_returns,
    smoothed_moves,
    strength,
    sum_but_last,
)

OfPrice = Callable[[float], float]


class LastBar:
    """A measure over a fixed history and a last price that may change."""

    def __init__(self, measure: Measure, history: Floats) -> None:
        self._of_price = _prepared(measure, history) if len(history) + 1 >= measure.bars_needed else None

    def value(self, price: float) -> float | None:
        """Return the measure with ``price`` as the last close, ``None`` when the history is too short."""
        return None if self._of_price is None else self._of_price(price)


def _prepared(measure: Measure, history: Floats) -> OfPrice:
    """Return the function from a last price to the value; the history is long enough for one."""
    if not len(history):
        return _over_its_bars(measure, history)
    match measure.name:
        case "current-price":
            return lambda price: price
        case "rsi" if len(history) > measure.windows[0]:
            return _strength(history, measure.windows[0])
        case "moving-average-price" if measure.windows[0] > 1:
            return _mean(history, measure.windows[0])
        case "moving-average-return" if measure.windows[0] > 1:
            return _mean_return(history, measure.windows[0])
        case "cumulative-return":
            base = float(history[-measure.windows[0]])
            return lambda price: (price / base - 1.0) * 100.0
        case "max-drawdown" if measure.windows[0] > 1:
            return _drawdown(history[len(history) - measure.windows[0] + 1 :])
        case "exponential-moving-average-price":
            average, window = ema(history.tolist(), measure.windows[0])[-1], measure.windows[0]
            return lambda price: ema_step(average, price, window)
        case name if name.removesuffix("-signal") in OSCILLATORS:
            return _oscillator(history, measure)
        case _:
            return _over_its_bars(measure, history)


def _over_its_bars(measure: Measure, history: Floats) -> OfPrice:
    """Compute the batch over the bars that count: for what looks at its window only, and for the first strength, a mean of it."""
    window = history[len(history) - measure.bars_needed + 1 :]
    return lambda price: float(tail(measure, np.append(window, price))[-1])


def _strength(history: Floats, window: int) -> OfPrice:
    (gained, gain), (lost, loss) = smoothed_moves(history, window).next()
    previous = float(history[-1])

    def value(price: float) -> float:
        change = price - previous
        return strength(max(change, 0.0) / window + gained + gain, max(-change, 0.0) / window + lost + loss)

    return value


def _mean(history: Floats, window: int) -> OfPrice:
    alone, lefts = sum_but_last(history[len(history) - window + 1 :], window)
    lefts.reverse()

    def value(price: float) -> float:
        for left in lefts:
            price = left + price
        return (alone + price) / window

    return value


def _mean_return(history: Floats, window: int) -> OfPrice:
    mean = _mean(percent_returns(history[len(history) - window :]), window)
    previous = float(history[-1])
    return lambda price: mean((price / previous - 1.0) * 100.0)


def _drawdown(history: Floats) -> OfPrice:
    """Return the drawdown of a last price: the peak before it, and the worst fall that has already happened, are known."""
    peaks = np.maximum.accumulate(history)
    peak_before, worst_before = float(peaks[-1]), float(np.max((peaks - history) / peaks))

    def value(price: float) -> float:
        peak = max(peak_before, price)
        return max(worst_before, (peak - price) / peak) * 100.0

    return value


def _oscillator(history: Floats, measure: Measure) -> OfPrice:
    kind = OSCILLATORS[measure.name.removesuffix("-signal")]
    short, long, *smooth = measure.windows
    prices = history.tolist()
    fast, slow = ema(prices, short)[-1], ema(prices, long)[-1]
    signal = ema(averages_of_two(kind, history, short, long), smooth[0])[-1] if smooth else None

    def value(price: float) -> float:
        oscillator = kind(ema_step(fast, price, short), ema_step(slow, price, long))
        return oscillator if signal is None else ema_step(signal, oscillator, smooth[0])

    return value
