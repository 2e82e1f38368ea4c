"""One strategy over all sessions at once: where no decision depends on what is held, a run is a few products of arrays.

That is so for a single symphony whose header is a calendar frequency or none: which days are acted upon follows from the targets alone.
Corridors, several strategies and fills without a price are lived through session by session in ``vector``, whose conventions these are;
the tests hold both to the same curve. Sums go symbol by symbol, so that a run on fewer days is the beginning of one on more of them.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from functools import lru_cache
from typing import Protocol, runtime_checkable

import numpy as np
from msgspec import Struct

from alchemiser.backtest.result import DatedTarget, Opens, Terms
from alchemiser.domain.rebalancing import Frequency, Header, period_of
from alchemiser.market.arrays import Flags, Floats, Places
from alchemiser.strategies.base import Decider, LoadedStrategy
from alchemiser.strategies.panel import PRICE, PricePanel

_BASIS_POINTS = 10_000.0


@runtime_checkable
class AllSessions(Protocol):
    """A decider that knows its targets of every session at once."""

    def all_weights(self) -> tuple[list[str], Floats]:
        """Return symbols, and for every session a row of their weights: zeros where there is no target."""


class Curve(Struct, frozen=True):
    """What a run came to; ``without_target`` are the places of the sessions that had none."""

    equity: list[float]
    targets: list[DatedTarget]
    traded_shares: list[float]
    costs: float
    without_target: list[int]


def whole_curve(
    strategies: Sequence[LoadedStrategy],
    deciders: Sequence[Decider],
    panel: PricePanel,
    terms: Terms,
    opens: Opens,
    first: int,
    dates: Sequence[date],
) -> Curve | None:
    """Return the run of the sessions of ``dates`` from the place ``first`` on, ``None`` when it has to be lived through."""
    last = first + len(dates) - 1
    if (
        terms.flows
        or terms.whole_shares
        or len(strategies) != 1
        or strategies[0].header.threshold is not None
        or not isinstance(deciders[0], AllSessions)
    ):
        return None
    names, weights = deciders[0].all_weights()
    weights = weights[first : last + 1]
    used = np.flatnonzero(weights.any(axis=0))
    symbols, weights = [names[place] for place in used.tolist()], weights[:, used]
    has_target: Flags = np.asarray(weights.any(axis=1))
    acted = np.flatnonzero(acted_upon(strategies[0].header, weights, has_target, dates))
    marks = np.stack([marks_of(panel, symbol) for symbol in symbols], axis=1)[: last + 1]
    fills, prices = acted, marks[first:]
    if terms.fill == "next-open":
        fills = acted[acted < last - first] + 1
        prices = _opened(panel, symbols, opens, marks)[first:]
        if np.isnan(prices[fills][weights[fills - 1] > 0.0]).any():
            return None
        prices = np.where(np.isnan(prices), np.concatenate([marks[first : first + 1], marks[first:-1]]), prices)
    filled = weights[acted[: len(fills)]]
    equity, traded, costs = lived(filled, fills, prices, marks[first:], terms)
    columns = [(symbol, weights[acted, place]) for place, symbol in sorted(enumerate(symbols), key=lambda pair: pair[1])]
    return Curve(
        equity=equity.tolist(),
        targets=_targets(acted, columns, dates, strategies[0].allocation),
        traded_shares=traded.tolist(),
        costs=costs,
        without_target=(np.flatnonzero(~has_target) + first).tolist(),
    )


def lived(filled: Floats, fills: Places, prices: Floats, marks: Floats, terms: Terms) -> tuple[Floats, Floats, float]:
    """Return the equity of every session, what each fill traded as a share of the equity, and the dollars it all cost.

    ``filled`` has a row of weights per fill, ``fills`` their sessions; ``prices`` is what is paid, ``marks`` what things are worth at the
    close: a row per session, a column per symbol.
    """
    if not len(fills):
        return np.full(len(marks), terms.cash), np.empty(0), 0.0
    rate = terms.slippage_bps / _BASIS_POINTS
    bought = np.where(filled > 0.0, prices[fills], 1.0)
    drifted = filled[:-1] * np.where(filled[:-1] > 0.0, prices[fills[1:]], 0.0) / bought[:-1]
    grown = _row_sums(drifted)
    traded = np.concatenate([[_row_sums(filled[:1])[0]], _row_sums(np.abs(filled[1:] - drifted / grown[:, None]))])
    kept = 1.0 - rate * traded
    before = terms.cash * np.concatenate([[1.0], np.cumprod(grown * kept[:-1])])
    after = before * kept
    # Which fill a session lives on: the last one up to its close.
    latest = np.searchsorted(fills, np.arange(len(marks)), side="right") - 1
    shares = filled / bought
    values = np.zeros(len(marks))
    for symbol in range(filled.shape[1]):
        held = shares[latest, symbol]
        values += np.where(held > 0.0, held * marks[:, symbol], 0.0)
    equity = np.where(latest >= 0, after[latest] * values, terms.cash)
    return equity, traded, float(np.sum(before * rate * traded))


def _row_sums(values: Floats) -> Floats:
    total = np.zeros(len(values))
    for column in range(values.shape[1]):
        total += values[:, column]
    return total


def acted_upon(header: Header, weights: Floats, has_target: Flags, dates: Sequence[date]) -> Flags:
    """Return the sessions whose target is due, as ``domain.rebalancing`` has it: here each follows from the target before."""
    if header.frequency is Frequency.DAILY:
        return has_target
    rows = np.flatnonzero(has_target)
    if header.frequency is Frequency.NONE:
        held = weights[rows] > 0.0
        is_new = np.concatenate([[True], (held[1:] != held[:-1]).any(axis=1)])[: len(rows)]
    else:
        periods = [_period(header.frequency, dates[row]) for row in rows.tolist()]
        is_new = np.array([place == 0 or period != periods[place - 1] for place, period in enumerate(periods)], dtype=np.bool_)
    acted = np.zeros(len(has_target), dtype=np.bool_)
    acted[rows[is_new]] = True
    return acted


def marks_of(panel: PricePanel, symbol: str) -> Floats:
    """Return the last known close of every session; before the first it is a number that nobody reads."""
    column = panel.column(symbol, PRICE)
    if column.known.all():
        return column.values
    places = np.where(column.known, np.arange(len(column.known)), 0)
    marks: Floats = column.values[np.maximum.accumulate(places)]
    return marks


@lru_cache(maxsize=65_536)
def _period(frequency: Frequency, day: date) -> tuple[int, ...]:
    return period_of(frequency, day)


def _opened(panel: PricePanel, symbols: Sequence[str], opens: Opens, marks: Floats) -> Floats:
    """Return the open of every session and symbol, not a number where it is not known."""
    found = np.full(marks.shape, np.nan)
    place_of = {panel.session(place).toordinal(): place for place in range(len(marks))}
    for column, symbol in enumerate(symbols):
        by_day: Mapping[int, float] = opens.by_symbol.get(symbol, {})
        for day, price in by_day.items():
            if (place := place_of.get(day)) is not None:
                found[place, column] = price
    return found


def _targets(acted: Places, columns: Sequence[tuple[str, Floats]], dates: Sequence[date], allocation: float) -> list[DatedTarget]:
    """Return the targets; neighbours that are the same share their weights."""
    if not columns:
        return []
    names = [symbol for symbol, _ in columns]
    scaled = np.stack([weights for _, weights in columns], axis=1) * allocation
    is_new = np.ones(len(acted), dtype=np.bool_)
    is_new[1:] = (scaled[1:] != scaled[:-1]).any(axis=1)
    distinct = scaled[is_new]
    rows, places = np.nonzero(distinct)
    ends = np.cumsum(np.bincount(rows, minlength=len(distinct))).tolist()
    items = list(zip([names[place] for place in places.tolist()], distinct[rows, places].tolist(), strict=True))
    found = [dict(items[begin:end]) for begin, end in zip([0, *ends[:-1]], ends, strict=True)]
    which = (np.cumsum(is_new) - 1).tolist()
    return [DatedTarget(dates[row], found[place]) for row, place in zip(acted.tolist(), which, strict=True)]
