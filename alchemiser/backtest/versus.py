"""A run against a benchmark: buying and holding one symbol over the same sessions.

With the session returns ``r`` and ``b``, both less the risk-free rate where it matters, and 252 sessions a year:

- beta: ``cov(r, b) / var(b)``; alpha (Jensen 1968): ``(1 + mean(r - beta * b)) ** 252 - 1``, of excess returns; correlation: Pearson's;
- tracking error: ``std(r - b) * sqrt(252)``; information ratio: ``mean(r - b) * 252 / tracking error``;
- up (down) capture: the yearly return over only those sessions on which the benchmark rose (fell), over that of the benchmark.
"""

import math
from collections.abc import Sequence

import msgspec
import numpy as np

from alchemiser.backtest.metrics import SESSIONS_PER_YEAR, Metrics, metrics_of, ratio, returns_of, yearly
from alchemiser.market.arrays import Floats


class Versus(msgspec.Struct, frozen=True, kw_only=True):
    """The benchmark's equity and figures, from the same cash, and what the run did relative to it."""

    symbol: str
    alpha: float | None
    beta: float | None
    correlation: float | None
    tracking_error: float
    information_ratio: float | None
    up_capture: float | None
    down_capture: float | None
    excess_return: float
    metrics: Metrics
    equity: list[float]


def versus(symbol: str, equity: Sequence[float], closes: Sequence[float], *, initial: float, risk_free: float = 0.0) -> Versus:
    """Compare a curve with the closes of a symbol on the same sessions."""
    mine, theirs = returns_of(equity), returns_of(closes)
    active = mine - theirs
    beta, correlation = _line(mine, theirs)
    error = float(np.std(active, ddof=1)) * math.sqrt(SESSIONS_PER_YEAR) if len(active) > 1 else 0.0
    held = [initial * close / closes[0] for close in closes]
    return Versus(
        symbol=symbol,
        alpha=None if beta is None else _alpha(mine, theirs, beta, risk_free),
        beta=beta,
        correlation=correlation,
        tracking_error=error,
        information_ratio=ratio(float(np.mean(active)) * SESSIONS_PER_YEAR, error) if len(active) else None,
        up_capture=_capture(mine, theirs, theirs > 0.0),
        down_capture=_capture(mine, theirs, theirs < 0.0),
        excess_return=float(equity[-1]) / initial - held[-1] / initial,
        metrics=metrics_of(held, initial=initial, risk_free=risk_free),
        equity=held,
    )


def _line(mine: Floats, theirs: Floats) -> tuple[float | None, float | None]:
    """Return slope and correlation, ``None`` where a side does not vary."""
    if len(mine) < 2:
        return None, None
    covariance = np.cov(mine, theirs, ddof=1)
    beta = ratio(float(covariance[0, 1]), float(covariance[1, 1]))
    return beta, ratio(float(covariance[0, 1]), math.sqrt(float(covariance[0, 0]) * float(covariance[1, 1])))


def _alpha(mine: Floats, theirs: Floats, beta: float, risk_free: float) -> float | None:
    daily = risk_free / SESSIONS_PER_YEAR
    residual = float(np.mean(mine - daily - beta * (theirs - daily)))
    return yearly(1.0 + residual, 1)


def _capture(mine: Floats, theirs: Floats, on: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> float | None:
    if not on.any():
        return None
    count = int(np.count_nonzero(on))
    gained, offered = yearly(float(np.prod(1.0 + mine[on])), count), yearly(float(np.prod(1.0 + theirs[on])), count)
    return None if gained is None or offered is None else gained / offered
