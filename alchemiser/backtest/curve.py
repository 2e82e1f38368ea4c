"""The equity of given targets, all sessions at once: what :func:`alchemiser.backtest.vector.run_vector` does one session after the other.

Between two rebalances the number of shares does not change, so a curve is a product of growths from one rebalance to the next, and every
session hangs on the rebalance before it. That needs to be known beforehand on which sessions there is one: of a corridor header it is not,
because it depends on how far the holdings have drifted. Filled at the close, fractions of a share, the conventions of the vector engine.
"""

from collections.abc import Sequence
from datetime import date
from functools import lru_cache

import msgspec
import numpy as np

from alchemiser.backtest.metrics import Metrics, metrics_of
from alchemiser.domain.rebalancing import Frequency, Header, period_of
from alchemiser.market.arrays import Flags, Floats, Numbers, Places
from alchemiser.strategies.panel import PRICE, PricePanel

_BASIS_POINTS = 10_000.0


class Curve(msgspec.Struct, frozen=True):
    """The equity at every close from the place ``first`` of the panel on, what was traded at each rebalance as a share of it, and costs."""

    first: int
    equity: Floats
    traded_shares: Floats
    rebalanced: Places
    costs: float

    def metrics(self, initial: float, risk_free: float = 0.0) -> Metrics:
        """Return the figures of the curve."""
        return metrics_of(self.equity, initial=initial, traded_shares=self.traded_shares, costs=self.costs, risk_free=risk_free)  # type: ignore[arg-type]


class Marks:
    """The last known close of symbols at every session of a panel, 1 before the first: nothing is held before it."""

    def __init__(self, panel: PricePanel) -> None:
        self._panel = panel
        self._rows: dict[str, Floats] = {}

    def of(self, symbols: Sequence[str]) -> Floats:
        """Return a row of marks per symbol."""
        return np.stack([self._row(symbol) for symbol in symbols]) if symbols else np.ones((0, len(self._panel)))

    def _row(self, symbol: str) -> Floats:
        row = self._rows.get(symbol)
        if row is None:
            column = self._panel.column(symbol, PRICE)
            latest = np.maximum.accumulate(np.where(column.known, np.arange(len(self._panel)), -1))
            row = self._rows[symbol] = np.where(latest >= 0, column.values[latest], 1.0)
        return row


class Periods:
    """The periods of a calendar frequency to which the sessions of a panel belong, as numbers."""

    def __init__(self, panel: PricePanel) -> None:
        self._days = [panel.session(place) for place in range(len(panel))]
        self._numbers: dict[Frequency, Numbers] = {}

    def of(self, frequency: Frequency) -> Numbers:
        """Return a number per session; it is the same within a period."""
        found = self._numbers.get(frequency)
        if found is None:
            order = {period: number for number, period in enumerate(dict.fromkeys(_period(frequency, day) for day in self._days))}
            found = np.array([order[_period(frequency, day)] for day in self._days], dtype=np.int64)
            self._numbers[frequency] = found
        return found


def is_known_beforehand(header: Header) -> bool:
    """Return whether the sessions of the rebalances follow from the targets alone."""
    return header.threshold is None


def rebalances_of(header: Header, has_target: Flags, rows: Numbers, held: Flags, periods: Periods, first: int, last: int) -> Places:
    """Return the sessions from ``first`` to ``last`` on which a strategy acts, as :func:`alchemiser.domain.rebalancing.is_due` says.

    ``rows`` is the row of the target at each session, ``held`` tells of each row which symbols it names.
    """
    places = np.flatnonzero(has_target[first : last + 1]) + first
    if header.frequency is Frequency.DAILY or len(places) < 2:
        return places
    if header.frequency is not Frequency.NONE:
        numbers = periods.of(header.frequency)[places]
        changes = numbers[1:] != numbers[:-1]
    else:
        selected = held[rows[places]]
        changes = (selected[1:] != selected[:-1]).any(axis=1)
    chosen: Places = places[np.concatenate((np.array([True]), changes))]
    return chosen


def curve_of(weights: Floats, rebalanced: Places, marks: Floats, first: int, last: int, *, cash: float, slippage_bps: float) -> Curve:
    """Return the curve from ``first`` to ``last`` of targets (a row per rebalance) that are filled at the closes of these sessions."""
    rate = slippage_bps / _BASIS_POINTS
    equity = np.full(last - first + 1, cash)
    if not len(rebalanced):
        return Curve(first, equity, np.empty(0), rebalanced, 0.0)
    prices = np.ascontiguousarray(marks[:, rebalanced].T)
    grown = weights[:-1] * (prices[1:] / prices[:-1])
    growth = grown.sum(axis=1)
    traded = np.concatenate((weights[:1].sum(axis=1), np.abs(weights[1:] - grown / growth[:, None]).sum(axis=1)))
    kept = 1.0 - traded * rate
    before = cash * np.cumprod(np.concatenate((np.ones(1), growth * kept[:-1])))
    after = before * kept
    if len(rebalanced) == last - rebalanced[0] + 1:
        equity[rebalanced[0] - first :] = after
    else:
        places = np.arange(rebalanced[0], last + 1)
        hangs_on = np.searchsorted(rebalanced, places, side="right") - 1
        since = marks[:, places] / marks[:, rebalanced[hangs_on]]
        equity[rebalanced[0] - first :] = after[hangs_on] * np.einsum("ks,sk->k", weights[hangs_on], since)
        equity[rebalanced - first] = after
    return Curve(first, equity, traded, rebalanced, float((before * traded * rate).sum()))


@lru_cache(maxsize=65_536)
def _period(frequency: Frequency, day: date) -> tuple[int, ...]:
    return period_of(frequency, day)
