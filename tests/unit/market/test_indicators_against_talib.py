"""Every indicator against an independent library, TA-Lib, on a random walk and on real prices.

TA-Lib starts its exponential averages with a plain mean and ours with the first price, so those are compared once the start has lost its
influence. Returns and drawdowns it does not know; they are compared with their definitions, one day at a time.
"""

import csv
import statistics
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from alchemiser.market.arrays import Floats
from alchemiser.market.indicators import INDICATORS, Measure, tail

talib = pytest.importorskip("talib", reason="TA-Lib is not installed")

DATA = Path(__file__).parents[3].parent / "shared" / "data" / "daily"
REAL = ("SPY", "UVXY", "TECL", "KMLM")


def closes_of(name: str) -> Floats:
    if name == "walk":
        return np.asarray(100 * np.exp(np.cumsum(np.random.default_rng(5).normal(0, 0.02, 1_500))), dtype=np.float64)
    path = DATA / f"{name}.csv"
    if not path.exists():
        pytest.skip("the real daily bars are not beside the repository")
    with path.open() as file:
        return np.array([float(row["adj_close"]) for row in csv.DictReader(file)])[-1_500:]


def daily(function: Callable[[list[float]], float], bars: int) -> Callable[[Floats], Floats]:
    """Return a function over the last ``bars`` closes as a function over a series."""
    return lambda closes: np.array([function(closes[end - bars : end].tolist()) for end in range(bars, len(closes) + 1)])


def returns(closes: list[float]) -> list[float]:
    return [(after / before - 1) * 100 for before, after in pairwise(closes)]


def drawdown(closes: list[float]) -> float:
    return max((max(closes[: place + 1]) - close) / max(closes[: place + 1]) * 100 for place, close in enumerate(closes))


def oscillator(closes: Floats) -> Floats:
    return np.asarray(talib.PPO(closes, 12, 26, matype=1))


PEERS: list[tuple[Measure, Callable[[Floats], Floats], int]] = [
    (Measure("current-price"), lambda closes: closes, 0),
    (Measure("moving-average-price", (200,)), lambda closes: talib.SMA(closes, 200), 0),
    (Measure("exponential-moving-average-price", (20,)), lambda closes: talib.EMA(closes, 20), 300),
    (Measure("rsi", (10,)), lambda closes: talib.RSI(closes, 10), 0),
    (Measure("rsi", (70,)), lambda closes: talib.RSI(closes, 70), 0),
    (Measure("cumulative-return", (60,)), lambda closes: talib.ROC(closes, 60), 0),
    (Measure("moving-average-return", (20,)), daily(lambda closes: statistics.fmean(returns(closes)), 21), 0),
    (Measure("stdev-return", (14,)), daily(lambda closes: statistics.pstdev(returns(closes)), 15), 0),
    (Measure("stdev-price", (6,)), lambda closes: talib.STDDEV(closes, 6), 0),
    (Measure("max-drawdown", (60,)), daily(drawdown, 60), 0),
    (Measure("percentage-price-oscillator", (12, 26)), oscillator, 400),
    (Measure("percentage-price-oscillator-signal", (12, 26, 9)), lambda closes: talib.EMA(oscillator(closes), 9), 400),
    (Measure("macd", (12, 26)), lambda closes: talib.MACD(closes, 12, 26, 9)[0], 400),
    (Measure("macd-signal", (12, 26, 9)), lambda closes: talib.MACD(closes, 12, 26, 9)[1], 400),
    (Measure("upper-bollinger", (20,), 2.0), lambda closes: talib.BBANDS(closes, 20, 2, 2)[0], 0),
    (Measure("lower-bollinger", (20,), 1.5), lambda closes: talib.BBANDS(closes, 20, 1.5, 1.5)[2], 0),
]


@pytest.mark.parametrize("series", ["walk", *REAL])
@pytest.mark.parametrize(("measure", "peer", "settling"), PEERS, ids=[str(measure) for measure, _, _ in PEERS])
def test_the_library_agrees(measure: Measure, peer: Callable[[Floats], Floats], settling: int, series: str) -> None:
    """On every bar that both can compute, once the start is forgotten, both give the same number."""
    closes = closes_of(series)
    ours = tail(measure, closes)
    theirs = np.asarray(peer(closes))[-len(ours) :]
    if len(closes) > settling:
        compared = min(len(ours), len(theirs)) - settling
        assert compared > 100
        assert not np.isnan(theirs[-compared:]).any()
        # The library's deviation is a difference of large squares: it is the less exact of the two.
        scale = float(np.max(closes)) if measure.is_price_level else 100.0
        np.testing.assert_allclose(ours[-compared:], theirs[-compared:], rtol=1e-6, atol=1e-6 * scale)


def test_every_indicator_has_its_peer() -> None:
    """No indicator is added without being checked against something that was not written here."""
    assert {measure.name for measure, _, _ in PEERS} == set(INDICATORS)
