"""One strategy over all sessions at once: where no decision depends on what is held, a run is a few products of arrays.

That is so for a single symphony whose header is a calendar frequency or none: which days are acted upon follows from the targets alone.
Corridors, several strategies and fills without a price are lived through session by session in ``vector``, whose conventions these are;
the tests hold both to the same curve. Sums go symbol by symbol, so that a run on fewer days is the beginning of one on more of them.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from functools import lru_cache

import numpy as np
from msgspec import Struct

from alchemiser.backtest.result import DatedTarget, DatedTargets, Opens, Terms
from alchemiser.domain.rebalancing import Frequency, Header, period_of
from alchemiser.market.arrays import Flags, Floats, Places
from alchemiser.strategies.base import AllSessions, Decider, LoadedStrategy
from alchemiser.strategies.panel import PRICE, PricePanel

_BASIS_POINTS = 10_000.0


class Filled(Struct, frozen=True):
    """What the fills of a run follow from: for each the weights of the symbols, their prices, and the equity before and after its costs."""

    symbols: list[str]
    fills: Places
    weights: Floats
    prices: list[Floats]
    before: Floats
    after: Floats


class Curve(Struct, frozen=True):
    """What a run came to; ``without_target`` are the places of the sessions that had none, ``filled`` is what it was filled with."""

    equity: Floats
    targets: Sequence[DatedTarget]
    traded_shares: Floats
    costs: float
    without_target: Sequence[int] = ()
    filled: Filled | None = None


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
    end = first + len(dates)
    if (
        terms.flows
        or terms.whole_shares
        or len(strategies) != 1
        or strategies[0].header.threshold is not None
        or not isinstance(deciders[0], AllSessions)
    ):
        return None
    names, weights = deciders[0].all_weights()
    weights, has_target = weights[:, first:end], deciders[0].has_target()[first:end]
    used = np.flatnonzero(weights.max(axis=1) > 0.0)
    symbols, weights = [names[place] for place in used.tolist()], weights if len(used) == len(names) else weights[used]
    acted = np.flatnonzero(acted_upon(strategies[0].header, weights, has_target, dates))
    marks = [marks_of(panel, symbol)[first:end] for symbol in symbols]
    fills, prices = acted, marks
    if terms.fill == "next-open":
        fills = acted[acted < len(dates) - 1] + 1
        opened = _opened(symbols, opens, dates)
        wanted = np.flatnonzero(has_target[:-1])
        if np.isnan(_at(opened, wanted + 1)[_at(weights, wanted) > 0.0]).any():
            return None
        prices = [np.where(np.isnan(own), np.concatenate((mark[:1], mark[:-1])), own) for own, mark in zip(opened, marks, strict=True)]
    filled = _at(weights, acted[: len(fills)])
    life = lived(filled, fills, prices, marks, len(dates), terms)
    allocation = strategies[0].allocation

    return Curve(
        equity=life.equity,
        targets=DatedTargets(lambda: _targets(acted[: len(fills)], symbols, weights * allocation, dates)),
        traded_shares=life.traded,
        costs=life.costs,
        without_target=(np.flatnonzero(~has_target) + first).tolist(),
        filled=Filled(symbols, fills, filled, [_at(price, fills) for price in prices], life.before, life.after),
    )


class Life(Struct, frozen=True):
    """The equity of every session; for each fill the part of the equity that it traded, and the equity before and after its costs."""

    equity: Floats
    traded: Floats
    before: Floats
    after: Floats

    @property
    def costs(self) -> float:
        """What all fills cost, in dollars."""
        return float(np.sum(self.before - self.after))


def lived(filled: Floats, fills: Places, prices: Sequence[Floats], marks: Sequence[Floats], sessions: int, terms: Terms) -> Life:
    """Return how an account lives that is filled with these weights.

    ``filled`` has a row of weights per symbol and a column per fill, ``fills`` their sessions; ``prices`` is what is paid for each symbol
    on every session, ``marks`` what it is worth at the close.
    """
    if not len(fills):
        return Life(np.full(sessions, terms.cash), np.empty(0), np.empty(0), np.empty(0))
    rate = terms.slippage_bps / _BASIS_POINTS
    grown = np.zeros(len(fills) - 1)
    traded = np.zeros(len(fills))
    values = np.zeros(sessions)
    # Which fill a session lives on: the last one up to its close.
    latest = np.cumsum(np.bincount(fills, minlength=sessions)) - 1
    drifted = []
    # Symbol by symbol: what belongs to one stays in the cache of the processor.
    for weights, price, mark in zip(filled, prices, marks, strict=True):
        paid = _at(price, fills)
        shares = weights / paid
        values += _at(shares, latest) * mark
        drifted.append(shares[:-1] * paid[1:])
        grown += drifted[-1]
    for weights, drift in zip(filled, drifted, strict=True):
        traded[0] += weights[0]
        np.divide(drift, grown, out=drift)
        traded[1:] += np.abs(np.subtract(weights[1:], drift, out=drift), out=drift)
    kept = 1.0 - rate * traded
    before = terms.cash * np.concatenate([[1.0], np.cumprod(grown * kept[:-1])])
    after = before * kept
    equity = _at(after, latest) * values
    equity[: fills[0]] = terms.cash
    return Life(equity, traded, before, after)


def _at(values: Floats, places: Places) -> Floats:
    """Return the values at ascending places, without copying where those are all of them, once each."""
    if values.shape[-1] == len(places) > 0 and places[0] == 0 and places[-1] == len(places) - 1:
        return values
    return values.take(places, axis=-1)


def acted_upon(header: Header, weights: Floats, has_target: Flags, dates: Sequence[date]) -> Flags:
    """Return the sessions whose target is due, as ``domain.rebalancing`` has it: here each follows from the target before."""
    if header.frequency is Frequency.DAILY:
        return has_target
    rows = np.flatnonzero(has_target)
    if header.frequency is Frequency.NONE:
        held = weights[:, rows] > 0.0
        is_new = np.concatenate([[True], (held[:, 1:] != held[:, :-1]).any(axis=0)])[: len(rows)]
    else:
        periods = [_period(header.frequency, dates[row]) for row in rows.tolist()]
        is_new = np.array([place == 0 or period != periods[place - 1] for place, period in enumerate(periods)], dtype=np.bool_)
    acted = np.zeros(len(has_target), dtype=np.bool_)
    acted[rows[is_new]] = True
    return acted


def marks_of(panel: PricePanel, symbol: str) -> Floats:
    """Return the last known close of every session; before the first it is 1, which is as good as any price of no shares."""
    column = panel.column(symbol, PRICE)
    if column.known.all():
        return column.values
    places = np.where(column.known, np.arange(len(column.known)), 0)
    marks: Floats = np.where(column.known, column.values, 1.0)[np.maximum.accumulate(places)]
    return marks


def closes_of(panel: PricePanel, symbol: str) -> list[float | None]:
    """Return the last known close of every session, ``None`` before the first."""
    known = np.flatnonzero(panel.column(symbol, PRICE).known)
    first = int(known[0]) if len(known) else len(panel)
    known_closes: list[float] = marks_of(panel, symbol)[first:].tolist()
    return [*[None] * first, *known_closes]


@lru_cache(maxsize=65_536)
def _period(frequency: Frequency, day: date) -> tuple[int, ...]:
    return period_of(frequency, day)


def _opened(symbols: Sequence[str], opens: Opens, dates: Sequence[date]) -> Floats:
    """Return the open of every symbol (a row) and session, not a number where it is not known."""
    found = np.full((len(symbols), len(dates)), np.nan)
    place_of = {day.toordinal(): place for place, day in enumerate(dates)}
    for row, symbol in enumerate(symbols):
        by_day: Mapping[int, float] = opens.by_symbol.get(symbol, {})
        for day, price in by_day.items():
            if (place := place_of.get(day)) is not None:
                found[row, place] = price
    return found


def _targets(acted: Places, symbols: Sequence[str], weights: Floats, dates: Sequence[date]) -> list[DatedTarget]:
    """Return the targets; neighbours that are the same share their weights."""
    order = sorted(range(len(symbols)), key=symbols.__getitem__)
    scaled = weights[order][:, acted]
    is_new = np.ones(len(acted), dtype=np.bool_)
    is_new[1:] = (scaled[:, 1:] != scaled[:, :-1]).any(axis=0)
    distinct = scaled[:, is_new].T
    rows, places = np.nonzero(distinct)
    ends = np.cumsum(np.bincount(rows, minlength=len(distinct))).tolist()
    items = list(zip([symbols[order[place]] for place in places.tolist()], distinct[rows, places].tolist(), strict=True))
    found = [dict(items[begin:end]) for begin, end in zip([0, *ends], ends, strict=False)]
    which = (np.cumsum(is_new) - 1).tolist()
    return [DatedTarget(dates[row], found[place]) for row, place in zip(acted.tolist(), which, strict=True)]
