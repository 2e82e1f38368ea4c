"""What a run traded, session by session, and what follows from it: positions, weights, and who earned what.

A run that is given a :class:`Recorder` tells it every fill; one without pays nothing for it. The book adds up: the profits of the symbols
are the profit of the account, after costs, and so are those of the strategies.
"""

import math
from collections.abc import Mapping, Sequence
from datetime import date
from operator import itemgetter

import msgspec
import numpy as np

from alchemiser.market.arrays import Floats

_DUST = 1e-12
"""A change by less than this part of a position, or a cost of fewer dollars, is what sums of floats leave behind, and no trade."""


class Trade(msgspec.Struct, frozen=True):
    """One symbol's change on one session, netted over the strategies.

    ``shares`` is negative for a sale, ``position`` what is held after it, ``price`` and ``cost`` are dollars.
    """

    date: date
    symbol: str
    shares: float
    price: float
    cost: float
    position: float


class Contribution(msgspec.Struct, frozen=True):
    """What one symbol, or one strategy, added to the account: dollars after costs, and as a share of the cash at the start."""

    name: str
    profit: float
    share: float
    costs: float


class Activity(msgspec.Struct, frozen=True):
    """What was traded in a year: sessions with a trade, trades, dollars bought and sold, one-way turnover, and dollars of costs."""

    year: int
    rebalances: int
    trades: int
    bought: float
    sold: float
    turnover: float
    costs: float


class Book(msgspec.Struct, frozen=True, kw_only=True):
    """The whole run: ``closes`` has a value per session for each traded symbol, ``None`` before its first; ``strategies`` the profits."""

    initial: float
    dates: Sequence[date]
    equity: Sequence[float]
    trades: Sequence[Trade]
    closes: Mapping[str, Sequence[float | None]]
    strategies: Sequence[Contribution]
    performance: Sequence[float] | None = None

    @property
    def curve(self) -> Sequence[float]:
        """What figures are of: the equity, or the performance where money came and went."""
        return self.equity if self.performance is None else self.performance

    def weights(self) -> dict[str, Floats]:
        """Return each symbol's share of the equity at every close, after that session's trades, sorted by symbol."""
        equity = np.asarray(self.equity, dtype=np.float64)
        divisor = np.where(equity == 0.0, np.inf, equity)  # Of an account that has lost everything nothing is any part.
        return {symbol: values / divisor for symbol, values in self._values().items()}

    def contributions(self) -> list[Contribution]:
        """Return what each symbol earned, the largest profit first."""
        final = {symbol: float(values[-1]) for symbol, values in self._values().items()}
        flows: dict[str, list[float]] = {symbol: [value] for symbol, value in final.items()}
        costs: dict[str, list[float]] = {symbol: [] for symbol in final}
        for trade in self.trades:
            flows[trade.symbol].extend((-trade.shares * trade.price, -trade.cost))
            costs[trade.symbol].append(trade.cost)
        profits = {symbol: math.fsum(values) for symbol, values in flows.items()}
        ranked = sorted(profits, key=lambda symbol: (-profits[symbol], symbol))
        return [Contribution(name, profits[name], profits[name] / self.initial, math.fsum(costs[name])) for name in ranked]

    def activity(self) -> list[Activity]:
        """Return what was traded, by year, of every year of the run."""
        equity_on = dict(zip(self.dates, self.equity, strict=True))
        rows = []
        for year in sorted({day.year for day in self.dates}):
            trades = [trade for trade in self.trades if trade.date.year == year]
            bought = math.fsum(trade.shares * trade.price for trade in trades if trade.shares > 0)
            sold = math.fsum(-trade.shares * trade.price for trade in trades if trade.shares < 0)
            turnover = math.fsum(abs(trade.shares) * trade.price / (equity_on[trade.date] or math.inf) for trade in trades) / 2.0
            days = len({trade.date for trade in trades})
            rows.append(Activity(year, days, len(trades), bought, sold, turnover, math.fsum(trade.cost for trade in trades)))
        return rows

    def _values(self) -> dict[str, Floats]:
        """Return the dollars in each symbol at every close."""
        place_of = {day: place for place, day in enumerate(self.dates)}
        changes: dict[str, list[tuple[int, float]]] = {}
        for trade in self.trades:
            changes.setdefault(trade.symbol, []).append((place_of[trade.date], trade.position))
        values = {}
        for symbol in sorted(changes):
            shares = np.zeros(len(self.dates))
            for place, position in changes[symbol]:
                shares[place:] = position
            values[symbol] = shares * np.array([0.0 if close is None else close for close in self.closes[symbol]])
        return values


class Recorder:
    """Takes the fills of a run as they happen, and at its end is asked for the book."""

    def __init__(self) -> None:
        self.trades: list[Trade] = []
        self._book: Book | None = None

    @property
    def book(self) -> Book:
        """The book of the run that has ended."""
        assert self._book is not None, "the run has not ended"
        return self._book

    def filled(
        self, day: date, *, before: Mapping[str, float], after: Mapping[str, float], prices: Mapping[str, float], costs: Mapping[str, float]
    ) -> None:
        """Take the account's shares before and after a fill, the prices of it, and the dollars charged per symbol."""
        for symbol in sorted({*before, *after}):
            position = after.get(symbol, 0.0)
            change = position - before.get(symbol, 0.0)
            cost = costs.get(symbol, 0.0)
            if abs(change) > _DUST * max(abs(position), abs(position - change)) or cost > _DUST:
                self.trades.append(Trade(day, symbol, change, prices[symbol], cost, position))

    def filled_at_once(
        self,
        days: Sequence[date],
        symbols: Sequence[str],
        *,
        wanted: Sequence[Floats],
        positions: Sequence[Floats],
        prices: Sequence[Floats],
        rate: float,
    ) -> None:
        """Take all fills of a run: per symbol the shares wanted and those held after the costs, at each fill, and its price then.

        ``rate`` is the cost of what is traded, as a fraction.
        """
        found = []
        for place in sorted(range(len(symbols)), key=symbols.__getitem__):
            before = np.concatenate(([0.0], positions[place][:-1]))
            change = positions[place] - before
            cost = np.abs(wanted[place] - before) * prices[place] * rate
            is_trade = (np.abs(change) > _DUST * np.maximum(np.abs(positions[place]), np.abs(before))) | (cost > _DUST)
            fills = np.flatnonzero(is_trade)
            columns = [values[fills].tolist() for values in (change, prices[place], cost, positions[place])]
            found += [(fill, (symbols[place], *values)) for fill, *values in zip(fills.tolist(), *columns, strict=True)]
        found.sort(key=itemgetter(0))  # Stable: of one day they stay in the order of the symbols.
        self.trades += [Trade(days[fill], *values) for fill, values in found]

    @property
    def symbols(self) -> list[str]:
        """The symbols that were traded so far, sorted."""
        return sorted({trade.symbol for trade in self.trades})

    def ended(
        self,
        *,
        initial: float,
        dates: Sequence[date],
        equity: Sequence[float],
        closes: Mapping[str, Sequence[float | None]],
        strategies: Sequence[Contribution],
    ) -> None:
        """Take the curve, the closes of every symbol that was traded, and what the strategies earned."""
        self._book = Book(initial=initial, dates=dates, equity=equity, trades=self.trades, closes=closes, strategies=strategies)
