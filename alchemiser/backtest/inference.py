"""How much of a figure may be luck: intervals by resampling, and the Sharpe ratio after many tries.

The bootstrap draws circular blocks (Politis and Romano 1992), which keep the dependence of neighbouring sessions; the interval is that of
percentiles. The same seed gives the same numbers. The probabilistic and the deflated Sharpe ratio follow Bailey and Lopez de Prado (2012,
2014): the probability that the true Sharpe ratio is above zero, and above the best of that many tries without any skill, given the
length, the skewness and the kurtosis of the returns.
"""

import math
from collections.abc import Sequence
from statistics import NormalDist

import msgspec
import numpy as np

from alchemiser.backtest.metrics import SESSIONS_PER_YEAR, STILL, moments_of, returns_of
from alchemiser.market.arrays import Floats

BLOCK_SESSIONS = 21
"""A month."""

_AT_ONCE = 64
_EULER = 0.57721566490153286


class Interval(msgspec.Struct, frozen=True):
    """The middle ``confidence`` of what resampling gives for a figure."""

    low: float
    high: float


class Intervals(msgspec.Struct, frozen=True, kw_only=True):
    """Intervals of the main figures, and how they were drawn; an interval is ``None`` where a sample has no such figure."""

    samples: int
    block_sessions: int
    seed: int
    confidence: float
    cagr: Interval | None
    volatility: Interval | None
    sharpe: Interval | None
    max_drawdown: Interval | None


class SharpeTest(msgspec.Struct, frozen=True, kw_only=True):
    """Probabilities that the Sharpe ratio is real; ``expected_best`` is the yearly Sharpe ratio of the best of the tries without skill."""

    trials: int
    probabilistic: float | None
    expected_best: float | None
    deflated: float | None


def intervals_of(
    equity: Sequence[float],
    *,
    samples: int,
    seed: int = 0,
    block_sessions: int = BLOCK_SESSIONS,
    confidence: float = 0.95,
    risk_free: float = 0.0,
) -> Intervals:
    """Return the intervals of yearly return, volatility, Sharpe ratio and largest drawdown over ``samples`` resampled curves."""
    returns = returns_of(equity)
    if len(returns) < 2 or not samples:
        drawn: dict[str, list[float]] = {"cagr": [], "volatility": [], "sharpe": [], "max_drawdown": []}
    else:
        drawn = _drawn(returns, samples, seed, block_sessions, risk_free)
    found = {name: _interval(values, confidence) for name, values in drawn.items()}
    return Intervals(samples=samples, block_sessions=block_sessions, seed=seed, confidence=confidence, **found)


def resampled(returns: Floats, samples: int, block_sessions: int, random: np.random.Generator) -> Floats:
    """Return that many rows of returns, each made of blocks that begin anywhere and go round at the end."""
    count = len(returns)
    blocks = math.ceil(count / block_sessions)
    begins = random.integers(0, count, size=(samples, blocks, 1))
    places = (begins + np.arange(block_sessions)).reshape(samples, -1)[:, :count] % count
    rows: Floats = returns[places]
    return rows


def sharpe_test(equity: Sequence[float], *, trials: int = 1, risk_free: float = 0.0, trial_variance: float | None = None) -> SharpeTest:
    """Return how likely the Sharpe ratio is real after so many ``trials``.

    ``trial_variance`` is the variance of the trials' Sharpe ratios per session; where it is not known, that of the estimate itself for
    returns without skill, ``1 / (n - 1)``, stands for it.
    """
    returns = returns_of(equity)
    skewness, kurtosis = moments_of(returns)
    count = len(returns)
    if count < 2 or skewness is None or kurtosis is None:
        return SharpeTest(trials=trials, probabilistic=None, expected_best=None, deflated=None)
    sharpe = float(np.mean(returns) - risk_free / SESSIONS_PER_YEAR) / float(np.std(returns, ddof=1))
    variance = 1.0 / (count - 1) if trial_variance is None else trial_variance
    best = math.sqrt(variance) * expected_maximum(trials)
    spread = 1.0 - skewness * sharpe + (kurtosis - 1.0) / 4.0 * sharpe**2

    def probability(threshold: float) -> float | None:
        return NormalDist().cdf((sharpe - threshold) * math.sqrt((count - 1) / spread)) if spread > 0.0 else None

    return SharpeTest(
        trials=trials, probabilistic=probability(0.0), expected_best=best * math.sqrt(SESSIONS_PER_YEAR), deflated=probability(best)
    )


def expected_maximum(trials: int) -> float:
    """Return the expected largest of that many standard normal draws, as Bailey and Lopez de Prado (2014) approximate it; 0 for one."""
    if trials <= 1:
        return 0.0
    normal = NormalDist()
    return (1.0 - _EULER) * normal.inv_cdf(1.0 - 1.0 / trials) + _EULER * normal.inv_cdf(1.0 - 1.0 / (trials * math.e))


def _drawn(returns: Floats, samples: int, seed: int, block_sessions: int, risk_free: float) -> dict[str, list[float]]:
    """Resample in parts, so that memory does not grow with the number of samples."""
    random = np.random.default_rng(seed)
    drawn: dict[str, list[float]] = {"cagr": [], "volatility": [], "sharpe": [], "max_drawdown": []}
    for begin in range(0, samples, _AT_ONCE):
        rows = resampled(returns, min(_AT_ONCE, samples - begin), block_sessions, random)
        with np.errstate(over="ignore", invalid="ignore"):  # A curve that ends in debts has no yearly return.
            growth = np.cumprod(1.0 + rows, axis=1)
            drawn["cagr"] += (growth[:, -1] ** (SESSIONS_PER_YEAR / len(returns)) - 1.0).tolist()
        peaks = np.maximum(np.maximum.accumulate(growth, axis=1), 1.0)
        deviation = rows.std(axis=1, ddof=1)
        deviation[deviation < STILL] = 0.0
        deviation *= math.sqrt(SESSIONS_PER_YEAR)
        excess = rows.mean(axis=1) * SESSIONS_PER_YEAR - risk_free
        drawn["volatility"] += deviation.tolist()
        drawn["sharpe"] += (excess[deviation > 0.0] / deviation[deviation > 0.0]).tolist()
        drawn["max_drawdown"] += ((peaks - growth) / peaks).max(axis=1).tolist()
    return drawn


def _interval(values: list[float], confidence: float) -> Interval | None:
    if not values or not all(map(math.isfinite, values)):
        return None
    low, high = np.quantile(np.array(values), [(1.0 - confidence) / 2.0, (1.0 + confidence) / 2.0]).tolist()
    return Interval(low, high)
