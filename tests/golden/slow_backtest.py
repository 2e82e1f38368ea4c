"""A backtest as one would do it on paper: plain dictionaries, one day after the other, nothing of the engines.

Closes are read from the files again, what is held is shares by symbol, and the two Python strategies are written a second time from their
descriptions. Symphonies are decided by the slow interpreter of the tests.
"""

import csv
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from pathlib import Path

from alchemiser.strategies.symphony.tree import Symphony
from tests.unit.strategies.slow_interpreter import SlowInterpreter

Closes = Mapping[str, Mapping[date, float]]
Target = Mapping[str, float] | None


def read_closes(folder: Path, symbols: Sequence[str]) -> dict[str, dict[date, float]]:
    """Return the adjusted closes of the symbols that have a file."""
    found = {}
    for symbol in symbols:
        path = folder / f"{symbol}.csv"
        if path.exists():
            with path.open() as file:
                rows = [(date.fromisoformat(row["date"]), row["adj_close"]) for row in csv.DictReader(file)]
            found[symbol] = {day: float(close) for day, close in rows if close}
    return found


def days_of(closes: Closes) -> list[date]:
    """Return every day on which any symbol has a close."""
    return sorted({day for by_day in closes.values() for day in by_day})


def equity_of(closes: Closes, days: Sequence[date], targets: Mapping[date, Target], cash: float) -> list[float]:
    """Return the equity at every close; each target is bought at the close of its own day, whatever is held."""
    shares: dict[str, float] = {}
    last: dict[str, float] = {}
    curve = []
    for day in days_of(closes):
        last.update({symbol: by_day[day] for symbol, by_day in closes.items() if day in by_day})
        if day < days[0] or day > days[-1]:
            continue
        equity = cash + sum(count * last[symbol] for symbol, count in shares.items())
        target = targets.get(day)
        if target is not None:
            shares = {symbol: equity * weight / last[symbol] for symbol, weight in target.items()}
            cash = 0.0
        curve.append(cash + sum(count * last[symbol] for symbol, count in shares.items()))
    return curve


def figures_of(curve: Sequence[float], cash: float) -> dict[str, float]:
    """Return the figures that need nothing but the curve, each from its definition."""
    returns = [after / before - 1.0 for before, after in itertools.pairwise(curve)]
    mean = math.fsum(returns) / len(returns)
    deviation = math.sqrt(math.fsum((one - mean) ** 2 for one in returns) / (len(returns) - 1))
    below = math.sqrt(math.fsum(min(one, 0.0) ** 2 for one in returns) / len(returns))
    peak, worst = cash, 0.0
    for value in curve:
        peak = max(peak, value)
        worst = max(worst, 1.0 - value / peak)
    cagr = (curve[-1] / cash) ** (252.0 / len(returns)) - 1.0
    return {
        "total_return": curve[-1] / cash - 1.0,
        "cagr": cagr,
        "volatility": deviation * math.sqrt(252.0),
        "sharpe": mean * 252.0 / (deviation * math.sqrt(252.0)),
        "sortino": mean * 252.0 / (below * math.sqrt(252.0)),
        "max_drawdown": worst,
        "calmar": cagr / worst,
    }


class Recent:
    """What a plain strategy looks at: the closes of a symbol up to a day, the last ones last."""

    def __init__(self, closes: Closes) -> None:
        self._days = {symbol: sorted(by_day) for symbol, by_day in closes.items()}
        self._closes = closes
        self._place = {symbol: {day: place for place, day in enumerate(days)} for symbol, days in self._days.items()}

    def last(self, symbol: str, day: date, count: int) -> list[float] | None:
        """Return so many closes up to a day; nothing when there are fewer, or none of that very day."""
        place = self._place[symbol].get(day)
        if place is None or place + 1 < count:
            return None
        return [self._closes[symbol][known] for known in self._days[symbol][place + 1 - count : place + 1]]


def dual_momentum(recent: Recent, day: date) -> Target:
    """The better of SPY and EFA over 252 sessions if it beats bills, otherwise bonds."""
    closes = {symbol: recent.last(symbol, day, 253) for symbol in ("SPY", "EFA", "BIL", "AGG")}
    gains = {}
    for symbol in ("SPY", "EFA", "BIL"):
        found = closes[symbol]
        if found is None:
            return None
        gains[symbol] = found[-1] / found[0] - 1.0
    best = "SPY" if gains["SPY"] >= gains["EFA"] else "EFA"
    return {best: 1.0} if gains[best] > gains["BIL"] else {"AGG": 1.0}


def risk_parity(recent: Recent, day: date) -> Target:
    """SPY, TLT and GLD by the inverse of their deviation of 60 returns, scaled down to a volatility of 8 %, the rest in bills."""
    returns = {}
    for symbol in ("SPY", "TLT", "GLD"):
        closes = recent.last(symbol, day, 61)
        if closes is None:
            return None
        returns[symbol] = [after / before - 1.0 for before, after in itertools.pairwise(closes)]
    inverse = {symbol: 1.0 / _deviation(values) for symbol, values in returns.items()}
    parity = {symbol: value / sum(inverse.values()) for symbol, value in inverse.items()}
    together = [sum(parity[symbol] * returns[symbol][place] for symbol in parity) for place in range(60)]
    invested = min(0.08 / (_deviation(together) * math.sqrt(252.0)), 1.0)
    target = {symbol: share * invested for symbol, share in parity.items()}
    bills = 1.0 - math.fsum(target.values())
    if invested == 1.0:
        return target  # Without bills it does not matter whether there are any.
    return {**target, "BIL": bills} if recent.last("BIL", day, 1) else None


def _deviation(values: Sequence[float]) -> float:
    mean = math.fsum(values) / len(values)
    return math.sqrt(math.fsum((one - mean) ** 2 for one in values) / len(values))


PLAIN: dict[str, Callable[[Recent, date], Target]] = {"dual_momentum": dual_momentum, "risk_parity": risk_parity}


def slow_decisions(symphony: Symphony, closes: Closes, days: Sequence[date]) -> dict[date, Target]:
    """Return what the slow interpreter decides on some days."""
    every_day = days_of(closes)
    place_of = {day: place for place, day in enumerate(every_day)}
    series = {symbol: [by_day.get(day) for day in every_day] for symbol, by_day in closes.items()}
    missing = {symbol: [None] * len(every_day) for symbol in symphony.symbols if symbol not in closes}
    slow = SlowInterpreter(symphony, {**series, **missing})
    return {day: slow.target(place_of[day]) for day in days}
