"""Falls of an equity curve below its highest value so far, each with its dates.

The cash at the start counts as the first peak, so the costs of the first trades are a fall too. A fall ends on the session on which the
curve is at its old peak again; one that has not ended yet has no such day.
"""

from collections.abc import Sequence
from datetime import date

import msgspec
import numpy as np

from alchemiser.market.arrays import Floats

_NO_FALL = 1e-12
"""A fall by less than this part of the peak is none."""


class Drawdown(msgspec.Struct, frozen=True, kw_only=True):
    """One fall: ``depth`` is positive, ``peak`` the session before it (``None`` for the cash at the start), ``sessions`` its length."""

    depth: float
    peak: date | None
    trough: date
    recovered: date | None
    sessions: int
    sessions_to_recover: int | None


def underwater(equity: Sequence[float] | Floats, initial: float) -> Floats:
    """Return, per session, how far the curve is below its highest value so far: 0 at a peak, 0.2 at a fifth below.

    What only the last digits of floats make is no fall.
    """
    curve = np.concatenate(([initial], np.asarray(equity, dtype=np.float64)))
    peaks = np.maximum.accumulate(curve)
    below: Floats = ((peaks - curve) / peaks)[1:]
    below[below < _NO_FALL] = 0.0
    return below


def drawdowns_of(dates: Sequence[date], equity: Sequence[float], *, initial: float, most: int | None = None) -> list[Drawdown]:
    """Return the falls, the deepest first and of equals the earlier; at most ``most`` of them."""
    below = underwater(equity, initial)
    is_down = np.concatenate(([False], below > 0.0, [False]))
    edges = np.flatnonzero(np.diff(is_down.astype(np.int8)))
    found = []
    for begin, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        trough = begin + int(np.argmax(below[begin:end]))
        has_ended = end < len(below)
        found.append(
            Drawdown(
                depth=float(below[trough]),
                peak=dates[begin - 1] if begin else None,
                trough=dates[trough],
                recovered=dates[end] if has_ended else None,
                sessions=end - begin + has_ended,
                sessions_to_recover=end - trough if has_ended else None,
            )
        )
    found.sort(key=lambda drawdown: (-drawdown.depth, drawdown.trough))
    return found[:most]
