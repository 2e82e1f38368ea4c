"""The indicators of the symphony language, in NumPy over time.

A :class:`Measure` names an indicator and its windows. :func:`tail` computes it for every bar of a series at once; the answer is aligned
to the *end* of the series and has one number per bar on which the indicator can be computed, so that there is no NaN, no filler and
no mask to forget: a series that is too short has an empty tail.

What is promised:

- the value of a bar depends on that bar and the ones before it only: cutting the series later never changes it, to the last bit;
- :class:`~alchemiser.market.last_bar.LastBar` gives the value for a live price after a fixed history, equal to the last bit to
  :func:`tail` over both together.

Prices are positive finite floats: whoever hands in a series has checked that. Units: returns, deviations of returns, drawdowns and
oscillators are in percent, the relative strength index is 0 to 100, the others are prices.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from msgspec import Struct

from alchemiser.market.arrays import Floats
from alchemiser.market.kernels import (
    cumulative_return,
    difference,
    ema,
    max_drawdown,
    percent_difference,
    percent_returns,
    relative_strength,
    window_deviation,
    window_mean,
)

NEGLIGIBLE_SEED_SHARE = 0.001
"""A smoothed average counts as settled when its start has at most this share of the weight."""
DEFAULT_DEVIATIONS = 2.0
"""How many standard deviations a Bollinger band is customarily away from the average."""


class Measure(Struct, frozen=True):
    """An indicator and its windows in bars, for example ``Measure("rsi", (10,))``; its name is one of :data:`INDICATORS`.

    ``deviations`` is the half width of a Bollinger band in standard deviations; no other indicator has one.
    """

    name: str
    windows: tuple[int, ...] = ()
    deviations: float | None = None

    def __post_init__(self) -> None:
        indicator = INDICATORS.get(self.name)
        if indicator is None:
            raise ValueError(f"{self.name!r} is not an indicator; known are {', '.join(INDICATORS)}")
        if len(self.windows) != len(indicator.window_names) or any(window < 1 for window in self.windows):
            raise ValueError(f"{self.name} takes {len(indicator.window_names)} positive windows, not {self.windows}")
        if indicator.is_band != (self.deviations is not None) or (self.deviations or 1.0) <= 0.0:
            raise ValueError(f"{self.name} takes {'a positive' if indicator.is_band else 'no'} number of deviations, not {self.deviations}")

    def __str__(self) -> str:
        return f"{self.name}({', '.join(self._numbers())})" if self.windows else self.name

    def of(self, subject: str) -> str:
        """Return the text of this measure of a subject, for example ``rsi(SPY, 10)``."""
        return f"{self.name}({', '.join((subject, *self._numbers()))})"

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

    def _numbers(self) -> tuple[str, ...]:
        return (*map(str, self.windows), *(() if self.deviations is None else (f"{self.deviations:g}",)))


class Indicator(NamedTuple):
    """What is known of one indicator: the windows it takes with their customary lengths, its needs, and how to compute it.

    ``is_band`` says that it also takes a number of standard deviations.
    """

    window_names: tuple[str, ...]
    default_windows: tuple[int, ...]
    is_price_level: bool
    bars_needed: Callable[[tuple[int, ...]], int]
    bars_settled: Callable[[tuple[int, ...]], int]
    compute: Callable[[Floats, Measure], Floats]
    is_band: bool = False


def tail(measure: Measure, closes: Floats) -> Floats:
    """Return the values of ``measure`` for the last bars of ``closes``: one per bar that has enough bars before it, oldest first."""
    if len(closes) < measure.bars_needed:
        return np.empty(0)
    return INDICATORS[measure.name].compute(closes, measure)


def averages_of_two(kind: Callable[[float, float], float], closes: Floats, short: int, long: int) -> list[float]:
    """Return what two exponential averages are to each other at every bar, also those before it counts as computable.

    The signal line of an oscillator starts at the first bar.
    """
    prices = closes.tolist()
    return [kind(fast, slow) for fast, slow in zip(ema(prices, short), ema(prices, long), strict=True)]


OSCILLATORS: dict[str, Callable[[float, float], float]] = {"percentage-price-oscillator": percent_difference, "macd": difference}
"""What a short and a long exponential average are to each other, by the name of the indicator; its signal has ``-signal`` behind it."""


def _current_price(closes: Floats, measure: Measure) -> Floats:
    return closes


def _exponential_average(closes: Floats, measure: Measure) -> Floats:
    (window,) = measure.windows
    return np.array(ema(closes.tolist(), window)[window - 1 :])


def _deviation_of_return(closes: Floats, measure: Measure) -> Floats:
    return window_deviation(percent_returns(closes), measure.windows[0])


def _oscillator(closes: Floats, measure: Measure) -> Floats:
    short, long = measure.windows
    return np.array(averages_of_two(OSCILLATORS[measure.name], closes, short, long)[max(short, long) - 1 :])


def _oscillator_signal(closes: Floats, measure: Measure) -> Floats:
    short, long, smooth = measure.windows
    oscillator = averages_of_two(OSCILLATORS[measure.name.removesuffix("-signal")], closes, short, long)
    return np.array(ema(oscillator, smooth)[max(short, long) + smooth - 2 :])


def _upper_band(closes: Floats, measure: Measure) -> Floats:
    assert measure.deviations is not None
    (window,) = measure.windows
    return window_mean(closes, window) + measure.deviations * window_deviation(closes, window)


def _lower_band(closes: Floats, measure: Measure) -> Floats:
    assert measure.deviations is not None
    (window,) = measure.windows
    return window_mean(closes, window) - measure.deviations * window_deviation(closes, window)


def _over_window(kernel: Callable[[Floats, int], Floats]) -> Callable[[Floats, Measure], Floats]:
    return lambda closes, measure: kernel(closes, measure.windows[0])


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


_ONE = ("window",)
_TWO = ("short-window", "long-window")
_THREE = (*_TWO, "smooth-window")

INDICATORS: dict[str, Indicator] = {
    "current-price": Indicator((), (), True, lambda windows: 1, lambda windows: 1, _current_price),
    "moving-average-price": Indicator(_ONE, (200,), True, _bars(0), _bars(0), _over_window(window_mean)),
    "exponential-moving-average-price": Indicator(_ONE, (12,), True, _bars(0), _settled_ema, _exponential_average),
    "rsi": Indicator(_ONE, (14,), False, _bars(1), _settled_strength, _over_window(relative_strength)),
    "cumulative-return": Indicator(_ONE, (60,), False, _bars(1), _bars(1), _over_window(cumulative_return)),
    "moving-average-return": Indicator(
        _ONE, (21,), False, _bars(1), _bars(1), _over_window(lambda closes, window: window_mean(percent_returns(closes), window))
    ),
    "stdev-return": Indicator(_ONE, (6,), False, _bars(1), _bars(1), _deviation_of_return),
    "stdev-price": Indicator(_ONE, (6,), True, _bars(0), _bars(0), _over_window(window_deviation)),
    "max-drawdown": Indicator(_ONE, (60,), False, _bars(0), _bars(0), _over_window(max_drawdown)),
    "percentage-price-oscillator": Indicator(_TWO, (12, 26), False, _bars_of_oscillator, _settled_ema, _oscillator),
    "percentage-price-oscillator-signal": Indicator(_THREE, (12, 26, 9), False, _bars_of_oscillator, _settled_ema, _oscillator_signal),
    "macd": Indicator(_TWO, (12, 26), True, _bars_of_oscillator, _settled_ema, _oscillator),
    "macd-signal": Indicator(_THREE, (12, 26, 9), True, _bars_of_oscillator, _settled_ema, _oscillator_signal),
    "upper-bollinger": Indicator(_ONE, (20,), True, _bars(0), _bars(0), _upper_band, is_band=True),
    "lower-bollinger": Indicator(_ONE, (20,), True, _bars(0), _bars(0), _lower_band, is_band=True),
}
"""Every indicator by the name the symphony language gives it."""
