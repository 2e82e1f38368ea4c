"""The figures of an equity curve.

Rates are fractions, a year has 252 sessions, and the deviation of returns is that of a sample. ``turnover`` is one-way and yearly: half
of what was traded, bought and sold, as a share of the equity. ``costs`` is dollars. A ratio whose denominator is zero is ``None``: a
curve that never moves has no Sharpe ratio, not a ratio of zero; a yearly return too large for a number, of few and wild sessions, is
``None`` too. Losses (drawdown, value at risk, expected shortfall, ulcer index) are positive numbers.

With the session returns ``r``, the yearly risk-free rate ``f`` and ``n`` returns:

- volatility: ``std(r) * sqrt(252)``; Sharpe (1994): ``(mean(r) * 252 - f) / volatility``;
- Sortino and Price (1994): the same numerator over ``sqrt(mean(min(r - f / 252, 0) ** 2) * 252)``, the target being the risk-free rate;
- Calmar: the yearly return over the largest drawdown, both of the whole run;
- value at risk (historical, 95 %): minus the 5 % quantile of the returns, interpolated linearly;
- expected shortfall (Acerbi and Tasche 2002): minus the mean of the worst ``floor(0.05 * (n - 1)) + 1`` returns;
- ulcer index (Martin 1987): the root of the mean of the squared drawdowns at every close;
- win rate: sessions that gained, of those that moved; skewness and excess kurtosis: the moments of the population.
"""

import math
from collections.abc import Sequence

import msgspec
import numpy as np

from alchemiser.backtest.drawdowns import underwater
from alchemiser.market.arrays import Floats

SESSIONS_PER_YEAR = 252
TAIL = 0.05
STILL = 1e-12
"""A curve that moves by less than this part of itself has not moved."""


class Metrics(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of one run; see the module for their definitions."""

    total_return: float
    cagr: float | None
    volatility: float
    sharpe: float | None
    sortino: float | None
    max_drawdown: float
    calmar: float | None
    turnover: float
    costs: float
    value_at_risk: float | None
    expected_shortfall: float | None
    ulcer_index: float
    win_rate: float | None
    best_session: float | None
    worst_session: float | None
    skewness: float | None
    excess_kurtosis: float | None


def metrics_of(
    equity: Sequence[float] | Floats,
    *,
    initial: float,
    traded_shares: Sequence[float] | Floats = (),
    costs: float = 0.0,
    risk_free: float = 0.0,
) -> Metrics:
    """Return the figures of an equity curve, one value per session.

    ``initial`` is the cash before the first session's trades, ``traded_shares`` the notional of each rebalance over the equity then,
    ``risk_free`` a yearly rate. The first session earns nothing: what is decided at its close earns from the next one on.
    """
    equity = np.asarray(equity, dtype=np.float64)
    returns = returns_of(equity)
    years = len(returns) / SESSIONS_PER_YEAR
    growth = float(equity[-1]) / initial
    cagr = yearly(growth, len(returns))
    excess = returns - risk_free / SESSIONS_PER_YEAR
    yearly_excess = float(np.mean(excess)) * SESSIONS_PER_YEAR if len(excess) else 0.0
    volatility = volatility_of(returns)
    downside = math.sqrt(float(np.mean(np.minimum(excess, 0.0) ** 2)) * SESSIONS_PER_YEAR) if len(excess) else 0.0
    below = underwater(equity, initial)
    drawdown = float(np.max(below))
    skewness, kurtosis = moments_of(returns)
    moved = int(np.count_nonzero(returns))
    ranked = np.sort(returns)
    return Metrics(
        total_return=growth - 1.0,
        cagr=cagr,
        volatility=volatility,
        sharpe=ratio(yearly_excess, volatility),
        sortino=ratio(yearly_excess, downside),
        max_drawdown=drawdown,
        calmar=None if cagr is None else ratio(cagr, drawdown),
        turnover=float(np.sum(traded_shares)) / 2.0 / years if years else 0.0,
        costs=costs,
        value_at_risk=_value_at_risk(ranked) if len(ranked) else None,
        expected_shortfall=_expected_shortfall(ranked) if len(ranked) else None,
        ulcer_index=math.sqrt(float(np.mean(below**2))),
        win_rate=ratio(float(np.count_nonzero(returns > 0.0)), float(moved)),
        best_session=float(ranked[-1]) if len(ranked) else None,
        worst_session=float(ranked[0]) if len(ranked) else None,
        skewness=skewness,
        excess_kurtosis=None if kurtosis is None else kurtosis - 3.0,
    )


def returns_of(equity: Sequence[float] | Floats) -> Floats:
    """Return the return of every session but the first; one that only the last digits of floats make is none, nor is one of nothing."""
    curve = np.asarray(equity, dtype=np.float64)
    returns = quotients(curve[1:], curve[:-1]) - 1.0
    returns[np.abs(returns) < STILL] = 0.0
    return returns


def quotients(after: Floats, before: Floats) -> Floats:
    """Return what each value became of the one before: 1 where there was nothing left, or debts alone, to become anything."""
    had = before > 0.0
    if had.all():
        grown: Floats = after / before
        return grown
    return np.divide(after, before, out=np.ones(len(after)), where=had)


def yearly(growth: float, returns: int) -> float | None:
    """Return what a growth over so many returns is in a year: 0 for none.

    ``None`` where the number is too large to be one, and where debts are left: no yearly loss is more than everything.
    """
    if growth < 0.0:
        return None
    try:
        return float(growth ** (SESSIONS_PER_YEAR / returns)) - 1.0 if returns else 0.0
    except OverflowError:
        return None


def volatility_of(returns: Floats) -> float:
    """Return the yearly deviation of session returns, 0 for fewer than two, and where only the last digits of floats differ."""
    deviation = float(np.std(returns, ddof=1)) if len(returns) > 1 else 0.0
    return deviation * math.sqrt(SESSIONS_PER_YEAR) if deviation >= STILL else 0.0


def moments_of(returns: Floats) -> tuple[float | None, float | None]:
    """Return skewness and kurtosis (3 for the normal distribution) of the population, ``None`` for returns that do not vary."""
    if not len(returns):
        return None, None
    deviations = returns - np.mean(returns)
    squares = deviations * deviations  # products: a power of an array costs ten times as much
    variance = float(np.mean(squares))
    if variance < STILL**2:
        return None, None
    return float(np.mean(squares * deviations)) / variance**1.5, float(np.mean(squares * squares)) / variance**2


def ratio(numerator: float, denominator: float) -> float | None:
    """Return a quotient, ``None`` where there is nothing to divide by."""
    return numerator / denominator if denominator > 0.0 else None


def _value_at_risk(ranked: Floats) -> float:
    place = TAIL * (len(ranked) - 1)
    below = int(place)
    above = min(below + 1, len(ranked) - 1)
    return 0.0 - float(ranked[below] + (place - below) * (ranked[above] - ranked[below]))


def _expected_shortfall(ranked: Floats) -> float:
    count = int(TAIL * (len(ranked) - 1)) + 1
    return 0.0 - float(np.mean(ranked[:count]))
