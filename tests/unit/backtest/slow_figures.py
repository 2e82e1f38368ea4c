"""The definitions of the figures once more, in plain Python and without sharing a line with the package: loops, sums, sorted lists."""

import math
from collections.abc import Sequence
from itertools import pairwise
from statistics import NormalDist, correlation, covariance, fmean, quantiles, stdev, variance


def returns(equity: Sequence[float]) -> list[float]:
    return [after / before - 1 for before, after in pairwise(equity)]


def figures(equity: Sequence[float], initial: float, risk_free: float) -> dict[str, float]:
    moves = returns(equity)
    excess = [move - risk_free / 252 for move in moves]
    peak, deepest, squares = initial, 0.0, 0.0
    for value in equity:
        peak = max(peak, value)
        fall = 1 - value / peak
        deepest = max(deepest, fall)
        squares += fall * fall
    growth = equity[-1] / initial
    cagr = math.exp(math.log(growth) * 252 / len(moves)) - 1
    yearly = stdev(moves) * 252**0.5
    below = math.sqrt(sum(value * value for value in excess if value < 0) / len(excess)) * 252**0.5
    mean = fmean(moves)
    moment = {power: fmean((move - mean) ** power for move in moves) for power in (2, 3, 4)}
    ranked = sorted(moves)
    worst = ranked[: 1 + math.floor((len(ranked) - 1) * 5 / 100)]
    return {
        "total_return": growth - 1,
        "cagr": cagr,
        "volatility": yearly,
        "sharpe": fmean(excess) * 252 / yearly,
        "sortino": fmean(excess) * 252 / below,
        "max_drawdown": deepest,
        "calmar": cagr / deepest,
        "value_at_risk": -quantiles(moves, n=20, method="inclusive")[0],
        "expected_shortfall": -fmean(worst),
        "ulcer_index": math.sqrt(squares / len(equity)),
        "win_rate": sum(move > 1e-12 for move in moves) / sum(abs(move) > 1e-12 for move in moves),
        "best_session": ranked[-1],
        "worst_session": ranked[0],
        "skewness": moment[3] / moment[2] ** 1.5,
        "excess_kurtosis": moment[4] / moment[2] ** 2 - 3,
    }


def against(equity: Sequence[float], closes: Sequence[float], risk_free: float) -> dict[str, float]:
    mine, theirs = returns(equity), returns(closes)
    beta = covariance(mine, theirs) / variance(theirs)
    active = [one - other for one, other in zip(mine, theirs, strict=True)]
    error = stdev(active) * 252**0.5
    free = risk_free / 252
    residuals = [(one - free) - beta * (other - free) for one, other in zip(mine, theirs, strict=True)]
    up = [(one, other) for one, other in zip(mine, theirs, strict=True) if other > 0]
    down = [(one, other) for one, other in zip(mine, theirs, strict=True) if other < 0]
    return {
        "beta": beta,
        "alpha": (1 + fmean(residuals)) ** 252 - 1,
        "correlation": correlation(mine, theirs),
        "tracking_error": error,
        "information_ratio": fmean(active) * 252 / error,
        "up_capture": yearly([one for one, _ in up]) / yearly([other for _, other in up]),
        "down_capture": yearly([one for one, _ in down]) / yearly([other for _, other in down]),
    }


def yearly(moves: Sequence[float]) -> float:
    grown = 1.0
    for move in moves:
        grown *= 1 + move
    return float(grown ** (252 / len(moves)) - 1)


def rolling(equity: Sequence[float], closes: Sequence[float], window: int, risk_free: float) -> list[tuple[float, float, float, float]]:
    """Return total return, volatility, Sharpe ratio and beta of every window."""
    rows = []
    for end in range(window, len(equity)):
        mine, theirs = returns(equity[end - window : end + 1]), returns(closes[end - window : end + 1])
        deviation = stdev(mine) * 252**0.5
        beta = covariance(mine, theirs) / variance(theirs)
        rows.append((equity[end] / equity[end - window] - 1, deviation, (fmean(mine) * 252 - risk_free) / deviation, beta))
    return rows


def deflated_sharpe(equity: Sequence[float], trials: int, trial_variance: float) -> float:
    """Bailey and Lopez de Prado (2014), equation 2, in their symbols."""
    moves = returns(equity)
    observations = len(moves)
    estimate = fmean(moves) / stdev(moves)
    mean = fmean(moves)
    second, third, fourth = (fmean((move - mean) ** power for move in moves) for power in (2, 3, 4))
    gamma3, gamma4 = third / second**1.5, fourth / second**2
    euler = 0.5772156649015329
    inverse = NormalDist().inv_cdf
    threshold = trial_variance**0.5 * ((1 - euler) * inverse(1 - 1 / trials) + euler * inverse(1 - 1 / (trials * math.e)))
    statistic = (estimate - threshold) * math.sqrt(observations - 1)
    return NormalDist().cdf(statistic / math.sqrt(1 - gamma3 * estimate + (gamma4 - 1) / 4 * estimate**2))
