"""The rules of choice, each for one session and for all sessions at once: comparing, ranking with ties, sharing by inverse volatility.

Both forms stand side by side because they must agree to the last bit: a decision is the same whether it is made on its day or looked up
in a whole history.
"""

import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from alchemiser.market.arrays import Flags, Floats, Places
from alchemiser.strategies.symphony.tree import Comparator

TIE_TOLERANCE = 1e-9
"""Scores that differ by less than this part of themselves are a tie: the same holdings measured along two paths differ that much."""

FEW_KEPT = 6
"""Up to so many are kept of a filter without sorting all of its candidates."""

COMPARE: dict[Comparator, Callable[[Any, Any], Any]] = {
    ">": operator.gt,
    "<": operator.lt,
    ">=": operator.ge,
    "<=": operator.le,
    "=": operator.eq,
}
"""The comparisons: exact, without tolerance, of two numbers or of two columns."""


def is_tie(first: float, second: float) -> bool:
    """Return whether two scores are the same but for the noise of their computation."""
    return abs(first - second) <= TIE_TOLERANCE * max(abs(first), abs(second))


def rank(scores: Sequence[float], *, largest_first: bool) -> list[int]:
    """Return the places of ``scores`` from the best to the worst; ties, within a tolerance, stay in the order given."""
    by_score = sorted(range(len(scores)), key=lambda place: -scores[place] if largest_first else scores[place])
    order: list[int] = []
    tied: list[int] = []
    for place in by_score:
        if tied and not is_tie(scores[tied[0]], scores[place]):
            order.extend(sorted(tied))
            tied = []
        tied.append(place)
    return order + sorted(tied)


def best_of(scores: Floats, known: Flags, *, largest_first: bool) -> Places:
    """Return for each session (a column) the row that :func:`rank` puts first among those that are known."""
    badness = np.where(known, -scores if largest_first else scores, np.inf)
    best: Places = np.argmax(_ties(np.min(badness, axis=0), badness), axis=0)
    return best


def kept_of(scores: Floats, known: Flags, count: int, *, largest_first: bool) -> Flags:
    """Return for each session (a column) which rows are among the first ``count`` of :func:`rank` over those that are known."""
    if count >= len(scores):
        return known
    badness = np.where(known, -scores if largest_first else scores, np.inf)
    last_kept, first_left = _border(badness, count)
    kept: Flags = (badness <= last_kept) & known
    tied = np.flatnonzero(_ties(last_kept, first_left, twice=True))
    if len(tied):
        kept[:, tied] = _kept_in_order_given(badness[:, tied], count) & known[:, tied]
    return kept


def _border(badness: Floats, count: int) -> tuple[Floats, Floats]:
    """Return for each session the last number that is among the first ``count``, and the one after it."""
    if count > FEW_KEPT:
        ascending = np.sort(badness, axis=0)
        return ascending[count - 1], ascending[count]
    # Every row is put in its place among the best so far: far less than sorting each session when few are kept.
    best = np.full((count + 1, badness.shape[1]), np.inf)
    for row in badness:
        moving = row
        for place in best[:-1]:
            worse = np.maximum(place, moving)
            np.minimum(place, moving, out=place)
            moving = worse
        np.minimum(best[-1], moving, out=best[-1])
    return best[count - 1], best[count]


def _kept_in_order_given(badness: Floats, count: int) -> Flags:
    """Return which rows are among the first ``count`` where ties stay in the order given."""
    order = np.argsort(badness, axis=0, kind="stable")
    order = _in_order_given(order, np.take_along_axis(badness, order, axis=0))
    kept = np.zeros(badness.shape, dtype=np.bool_)
    np.put_along_axis(kept, order[:count], values=True, axis=0)
    return kept


def _ties(first: Floats, second: Floats, *, twice: bool = False) -> Flags:
    """Return :func:`is_tie` of columns, with twice the tolerance when looking for sessions that may have one."""
    with np.errstate(invalid="ignore"):
        near: Flags = np.abs(first - second) <= (2 if twice else 1) * TIE_TOLERANCE * np.maximum(np.abs(first), np.abs(second))
    return near & np.isfinite(second)


def _in_order_given(order: Places, ascending: Floats) -> Places:
    """Return the order with the members of each tie sorted by row."""
    cluster = np.zeros(order.shape, dtype=np.intp)
    anchor = ascending[0].copy()
    for position in range(1, len(order)):
        same = _ties(anchor, ascending[position])
        cluster[position] = cluster[position - 1] + ~same
        anchor = np.where(same, anchor, ascending[position])
    return np.take_along_axis(order, np.lexsort((order, cluster), axis=0), axis=0)


def inverse_shares(sigmas: Sequence[float]) -> list[float]:
    """Return shares proportional to one over each volatility.

    Children that do not move at all take everything, equally: it is the limit of the formula, and what Composer's engine is said to do.
    """
    still = [sigma == 0.0 for sigma in sigmas]
    if any(still):
        return [1.0 / sum(still) if is_still else 0.0 for is_still in still]
    inverses = [1.0 / sigma for sigma in sigmas]
    total = 0.0
    for inverse in inverses:  # one after the other: the built-in sum rounds differently from one Python version to the next
        total += inverse
    return [inverse / total for inverse in inverses]


def inverse_shares_of(sigmas: Floats) -> Floats:
    """Return :func:`inverse_shares` of each session (a column)."""
    still = sigmas == 0.0
    inverses = 1.0 / np.where(still, 1.0, sigmas)
    total = np.zeros(sigmas.shape[1])
    for inverse in inverses:
        total += inverse
    shares: Floats = inverses / total
    if still.any():
        count = still.sum(axis=0)
        shares = np.where(count > 0, still / np.maximum(count, 1), shares)
    return shares
