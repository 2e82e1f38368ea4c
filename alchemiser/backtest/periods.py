"""An equity curve by calendar month, by calendar year, and over a window that rolls along it."""

import math
from collections.abc import Sequence
from datetime import date

import msgspec
import numpy as np

from alchemiser.backtest.metrics import SESSIONS_PER_YEAR, STILL, quotients, returns_of
from alchemiser.market.arrays import Floats

ROLLING_SESSIONS = 126
"""Half a year."""


class Period(msgspec.Struct, frozen=True):
    """The return of a month (``2025-03``) or a year (``2025``), or of the part of it that the run has."""

    period: str
    value: float


class Rolling(msgspec.Struct, frozen=True, kw_only=True):
    """Figures over the last ``window`` sessions, one per session of the run; ``None`` until there are that many returns."""

    window: int
    total_return: list[float | None]
    volatility: list[float | None]
    sharpe: list[float | None]
    beta: list[float | None] | None


def months_of(dates: Sequence[date], equity: Sequence[float], *, initial: float) -> list[Period]:
    """Return the return of every calendar month, from the last session of the month before; the first from the initial cash."""
    return _by([f"{day:%Y-%m}" for day in dates], equity, initial)


def years_of(dates: Sequence[date], equity: Sequence[float], *, initial: float) -> list[Period]:
    """Return the return of every calendar year."""
    return _by([f"{day:%Y}" for day in dates], equity, initial)


def rolling_of(
    equity: Sequence[float], *, window: int = ROLLING_SESSIONS, risk_free: float = 0.0, benchmark: Sequence[float] | None = None
) -> Rolling:
    """Return the rolling figures; the ratios are annualised, beta is against the benchmark's levels on the same sessions."""
    returns = returns_of(equity)
    if len(returns) < window:
        nothing: list[float | None] = [None] * len(equity)
        return Rolling(window=window, total_return=nothing, volatility=nothing, sharpe=nothing, beta=None if benchmark is None else nothing)
    blank: list[float | None] = [None] * window
    slices = np.lib.stride_tricks.sliding_window_view(returns, window)
    curve = np.asarray(equity, dtype=np.float64)
    deviation = slices.std(axis=1, ddof=1)
    deviation[deviation < STILL] = 0.0
    deviation *= math.sqrt(SESSIONS_PER_YEAR)
    excess = slices.mean(axis=1) * SESSIONS_PER_YEAR - risk_free
    return Rolling(
        window=window,
        total_return=blank + (quotients(curve[window:], curve[:-window]) - 1.0).tolist(),
        volatility=blank + deviation.tolist(),
        sharpe=blank + _quotients(excess, deviation),
        beta=None if benchmark is None else blank + _betas(slices, returns_of(benchmark), window),
    )


def _betas(slices: Floats, benchmark: Floats, window: int) -> list[float | None]:
    others = np.lib.stride_tricks.sliding_window_view(benchmark, window)
    mine = slices - slices.mean(axis=1, keepdims=True)
    theirs = others - others.mean(axis=1, keepdims=True)
    return _quotients((mine * theirs).sum(axis=1), (theirs**2).sum(axis=1))


def _quotients(numerators: Floats, denominators: Floats) -> list[float | None]:
    pairs = zip(numerators.tolist(), denominators.tolist(), strict=True)
    return [numerator / denominator if denominator > 0.0 else None for numerator, denominator in pairs]


def _by(labels: Sequence[str], equity: Sequence[float], initial: float) -> list[Period]:
    periods = []
    before = initial
    for place, (label, value) in enumerate(zip(labels, equity, strict=True)):
        if place + 1 == len(labels) or labels[place + 1] != label:
            gained = value / before - 1.0 if before else 0.0
            periods.append(Period(label, gained if abs(gained) >= STILL else 0.0))
            before = value
    return periods
