"""The indicators of the symphony language, in NumPy over time.

A :class:`Measure` names an indicator and its windows. :func:`tail` computes it for every bar of a series at once; the answer is aligned
to the *end* of the series and has one number per bar on which the indicator can be computed, so that there is no NaN, no filler and
no mask to forget: a series that is too short has an empty tail.

What is promised:

- the value of a bar depends on that bar and the ones before it only: cutting the series later never changes it, to the last bit;
- :class:`LastBar` gives the value for a live price after a fixed history, equal to the last bit to :func:`tail` over both together;
- sums run from the oldest to the newest bar of a window and are never differences of running totals, because prices of products with
  many reverse splits fall through ten orders of magnitude and a running total would drown the recent ones.

Prices are positive finite floats: whoever hands in a series has checked that. Units: returns, deviations of returns, drawdowns and
oscillators are in percent, the relative strength index is 0 to 100, the others are prices.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

NEGLIGIBLE_SEED_SHARE = 0.001
"""A smoothed average counts as settled when its start has at most this share of the weight."""


@dataclass(frozen=True, slots=True)
class Measure:
    """An indicator and its windows in bars, for example ``Measure("rsi", (10,))``; its name is one of :data:`INDICATORS`."""

    name: str
    windows: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        indicator = INDICATORS.get(self.name)
        if indicator is None:
            raise ValueError(f"{self.name!r} is not an indicator; known are {', '.join(INDICATORS)}")
        if len(self.windows) != len(indicator.window_names) or any(window < 1 for window in self.windows):
            raise ValueError(f"{self.name} takes {len(indicator.window_names)} positive windows, not {self.windows}")

    def __str__(self) -> str:
        return f"{self.name}({', '.join(map(str, self.windows))})" if self.windows else self.name

    def of(self, subject: str) -> str:
        """Return the text of this measure of a subject, for example ``rsi(SPY, 10)``."""
        return f"{self.name}({', '.join((subject, *map(str, self.windows)))})"

    @property
    def bars_needed(self) -> int:
        """The fewest closes for which there is a value."""
        return INDICATORS[self.name].bars_needed(self.windows)

    @property
    def bars_settled(self) -> int:
        """The closes after which the start of a smoothed average has lost its influence; otherwise the same as ``bars_needed``."""
        return INDICATORS[self.name].bars_settled(self.windows)

    @property
    def longest_window(self) -> int:
        """The longest window, 1 for an indicator without any."""
        return max(self.windows, default=1)

    @property
    def is_price_level(self) -> bool:
        """Whether the value is in units of price, which makes no sense for something that has no price of its own."""
        return INDICATORS[self.name].is_price_level


class Indicator(NamedTuple):
    """What is known of one indicator: the windows it takes with their customary lengths, its needs, and how to compute it."""

    window_names: tuple[str, ...]
    default_windows: tuple[int, ...]
    is_price_level: bool
    bars_needed: Callable[[tuple[int, ...]], int]
    bars_settled: Callable[[tuple[int, ...]], int]
    compute: Callable[[Floats, tuple[int, ...]], Floats]


def tail(measure: Measure, closes: Floats) -> Floats:
    """Return the values of ``measure`` for the last bars of ``closes``: one per bar that has enough bars before it, oldest first."""
    if len(closes) < measure.bars_needed:
        return np.empty(0)
    return INDICATORS[measure.name].compute(closes, measure.windows)


class LastBar:
    """A measure over a fixed history and a last price that may change: recomputing it costs one step, not the whole history."""

    def __init__(self, measure: Measure, history: Floats) -> None:
        self._measure = measure
        self._price = _last_bar(measure, history)

    def value(self, price: float) -> float | None:
        """Return the measure with ``price`` as the last close, ``None`` when the history is too short."""
        return self._price(price)


# --- kernels: each returns one value per bar from the first computable one ---


def _window_sum(values: Floats, window: int) -> Floats:
    """Return the sum of each ``window`` neighbouring values, added oldest first."""
    count = len(values) - window + 1
    total = values[:count].copy()
    for offset in range(1, window):
        total += values[offset : offset + count]
    return total


def _window_mean(values: Floats, window: int) -> Floats:
    return _window_sum(values, window) / window


def _window_deviation(values: Floats, window: int) -> Floats:
    """Return the population standard deviation of each window, from its own mean: no difference of large squares."""
    count = len(values) - window + 1
    mean = _window_mean(values, window)
    total = np.zeros(count)
    for offset in range(window):
        total += (values[offset : offset + count] - mean) ** 2
    deviation: Floats = np.sqrt(total / window)
    return deviation


def _percent_returns(closes: Floats) -> Floats:
    return (closes[1:] / closes[:-1] - 1.0) * 100.0


def _current_price(closes: Floats, windows: tuple[int, ...]) -> Floats:
    return closes


def _moving_average_price(closes: Floats, windows: tuple[int, ...]) -> Floats:
    return _window_mean(closes, windows[0])


def _cumulative_return(closes: Floats, windows: tuple[int, ...]) -> Floats:
    (window,) = windows
    return (closes[window:] / closes[:-window] - 1.0) * 100.0


def _moving_average_return(closes: Floats, windows: tuple[int, ...]) -> Floats:
    return _window_mean(_percent_returns(closes), windows[0])


def _deviation_of_return(closes: Floats, windows: tuple[int, ...]) -> Floats:
    return _window_deviation(_percent_returns(closes), windows[0])


def _deviation_of_price(closes: Floats, windows: tuple[int, ...]) -> Floats:
    return _window_deviation(closes, windows[0])


def _max_drawdown(closes: Floats, windows: tuple[int, ...]) -> Floats:
    (window,) = windows
    count = len(closes) - window + 1
    peak = closes[:count].copy()
    worst = np.zeros(count)
    for offset in range(1, window):
        close = closes[offset : offset + count]
        np.maximum(peak, close, out=peak)
        np.maximum(worst, (peak - close) / peak, out=worst)
    return worst * 100.0


def _smoothed(average: float, new: float, window: int) -> float:
    """Wilder's step, in the one form that batch and live share."""
    return (average * (window - 1) + new) / window


def _strength(gain: float, loss: float) -> float:
    """Return the relative strength index of an average gain and loss: 100 without losses, 50 when nothing moved at all."""
    if loss == 0.0:
        return 50.0 if gain == 0.0 else 100.0
    return 100.0 - 100.0 / (1.0 + gain / loss)


def _wilder_averages(closes: Floats, window: int) -> list[tuple[float, float]]:
    """Return the average gain and loss per bar, from the mean of the first ``window`` changes on."""
    changes = np.diff(closes)
    gains: list[float] = np.maximum(changes, 0.0).tolist()
    losses: list[float] = np.maximum(-changes, 0.0).tolist()
    # fsum, because the built-in sum rounds differently from one Python version to the next.
    gain, loss = math.fsum(gains[:window]) / window, math.fsum(losses[:window]) / window
    averages = [(gain, loss)]
    for gained, lost in zip(gains[window:], losses[window:], strict=True):
        gain, loss = _smoothed(gain, gained, window), _smoothed(loss, lost, window)
        averages.append((gain, loss))
    return averages


def _relative_strength(closes: Floats, windows: tuple[int, ...]) -> Floats:
    return np.array([_strength(gain, loss) for gain, loss in _wilder_averages(closes, windows[0])])


def _ema_step(average: float, new: float, window: int) -> float:
    factor = 2.0 / (window + 1)
    return average + factor * (new - average)


def _ema(values: Sequence[float], window: int) -> list[float]:
    """Return the exponential average at every value, started at the first value."""
    average = values[0]
    averages = [average]
    for value in values[1:]:
        average = _ema_step(average, value, window)
        averages.append(average)
    return averages


def _exponential_average(closes: Floats, windows: tuple[int, ...]) -> Floats:
    (window,) = windows
    return np.array(_ema(closes.tolist(), window)[window - 1 :])


def _oscillator_of(short: float, long: float) -> float:
    return (short - long) / long * 100.0


def _oscillator_values(closes: Floats, short: int, long: int) -> list[float]:
    """Return the oscillator at every bar, also those before it counts as computable: its signal line starts at the first bar."""
    prices = closes.tolist()
    return [_oscillator_of(fast, slow) for fast, slow in zip(_ema(prices, short), _ema(prices, long), strict=True)]


def _oscillator(closes: Floats, windows: tuple[int, ...]) -> Floats:
    short, long = windows
    return np.array(_oscillator_values(closes, short, long)[max(short, long) - 1 :])


def _oscillator_signal(closes: Floats, windows: tuple[int, ...]) -> Floats:
    short, long, smooth = windows
    return np.array(_ema(_oscillator_values(closes, short, long), smooth)[max(short, long) + smooth - 2 :])


# --- needs ---


def _bars(extra: int) -> Callable[[tuple[int, ...]], int]:
    return lambda windows: windows[0] + extra


def _bars_of_oscillator(windows: tuple[int, ...]) -> int:
    return max(windows[:2]) + sum(windows[2:]) - len(windows[2:])


def _settled_strength(windows: tuple[int, ...]) -> int:
    (window,) = windows
    if window == 1:
        return 2
    return window + math.ceil(math.log(NEGLIGIBLE_SEED_SHARE) / math.log(1.0 - 1.0 / window))


def _settled_ema(windows: tuple[int, ...]) -> int:
    slowest = max(windows)
    if slowest == 1:
        return 1
    return slowest + math.ceil(math.log(NEGLIGIBLE_SEED_SHARE) / math.log(1.0 - 2.0 / (slowest + 1)))


_ONE_WINDOW = ("window",)

INDICATORS: dict[str, Indicator] = {
    "current-price": Indicator((), (), True, lambda windows: 1, lambda windows: 1, _current_price),
    "moving-average-price": Indicator(_ONE_WINDOW, (200,), True, _bars(0), _bars(0), _moving_average_price),
    "exponential-moving-average-price": Indicator(_ONE_WINDOW, (12,), True, _bars(0), _settled_ema, _exponential_average),
    "rsi": Indicator(_ONE_WINDOW, (14,), False, _bars(1), _settled_strength, _relative_strength),
    "cumulative-return": Indicator(_ONE_WINDOW, (60,), False, _bars(1), _bars(1), _cumulative_return),
    "moving-average-return": Indicator(_ONE_WINDOW, (21,), False, _bars(1), _bars(1), _moving_average_return),
    "stdev-return": Indicator(_ONE_WINDOW, (6,), False, _bars(1), _bars(1), _deviation_of_return),
    "stdev-price": Indicator(_ONE_WINDOW, (6,), True, _bars(0), _bars(0), _deviation_of_price),
    "max-drawdown": Indicator(_ONE_WINDOW, (60,), False, _bars(0), _bars(0), _max_drawdown),
    "percentage-price-oscillator": Indicator(
        ("short-window", "long-window"), (12, 26), False, _bars_of_oscillator, _settled_ema, _oscillator
    ),
    "percentage-price-oscillator-signal": Indicator(
        ("short-window", "long-window", "smooth-window"), (12, 26, 9), False, _bars_of_oscillator, _settled_ema, _oscillator_signal
    ),
}
"""Every indicator by the name the symphony language gives it."""


# --- the live last bar ---


def _last_bar(measure: Measure, history: Floats) -> Callable[[float], float | None]:
    """Return the function from a last price to the value, with everything that does not depend on that price done beforehand."""
    if len(history) + 1 < measure.bars_needed:
        return lambda price: None
    if measure.name == "rsi" and len(history) > measure.windows[0]:
        return _last_strength(history, measure.windows[0])
    if measure.name == "exponential-moving-average-price" and len(history):
        return _last_average(_ema(history.tolist(), measure.windows[0])[-1], measure.windows[0])
    if measure.name.startswith("percentage-price-oscillator") and len(history):
        return _last_oscillator(history, measure.windows)
    # All others look at their window only, and the first strength index is a plain mean of it.
    window = history[len(history) - measure.bars_needed + 1 :]
    return lambda price: float(tail(measure, np.append(window, price))[-1])


def _last_strength(history: Floats, window: int) -> Callable[[float], float]:
    gain, loss = _wilder_averages(history, window)[-1]
    previous = float(history[-1])

    def value(price: float) -> float:
        change = price - previous
        return _strength(_smoothed(gain, max(change, 0.0), window), _smoothed(loss, max(-change, 0.0), window))

    return value


def _last_average(average: float, window: int) -> Callable[[float], float]:
    return lambda price: _ema_step(average, price, window)


def _last_oscillator(history: Floats, windows: tuple[int, ...]) -> Callable[[float], float]:
    short, long = windows[:2]
    prices = history.tolist()
    fast, slow = _ema(prices, short)[-1], _ema(prices, long)[-1]
    signal = _ema(_oscillator_values(history, short, long), windows[2])[-1] if len(windows) > 2 else None

    def value(price: float) -> float:
        oscillator = _oscillator_of(_ema_step(fast, price, short), _ema_step(slow, price, long))
        return oscillator if signal is None else _ema_step(signal, oscillator, windows[2])

    return value
