"""Everything that a worker needs to evaluate variants, as bytes: strategies as text, bars as one block of memory, terms and windows.

On one machine the block lies in memory that all processes share; to a cluster it is sent once. Nothing here is pickled by us.
"""

from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np

from alchemiser.backtest.sweep.folds import Fold
from alchemiser.backtest.sweep.objective import Objective
from alchemiser.backtest.sweep.space import Dimension
from alchemiser.market.arrays import Days, Floats
from alchemiser.strategies.symphony.evaluate import Rules

History = Mapping[str, tuple[Days, Floats]]


class JobStrategy(msgspec.Struct, frozen=True):
    """A strategy as it travels: the text of a symphony, or the ``module:Class`` of one in Python, which the worker can import.

    ``version`` is that of the file of the class, where it has one.
    """

    name: str
    allocation: float
    rules: Rules
    symphony: bytes | None = None
    source: str = ""
    version: str = ""


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A sweep. ``layout`` says how many bars of which symbol lie in the block of bars, in order; ``absent`` why others have none."""

    strategies: tuple[JobStrategy, ...]
    layout: tuple[tuple[str, int], ...]
    absent: dict[str, str]
    first: int
    last: int
    dimensions: tuple[Dimension, ...] = ()
    cash: float = 100_000.0
    slippage_bps: float = 0.0
    risk_free: float = 0.0
    objective: Objective = "sharpe"
    folds: tuple[Fold, ...] = ()


def packed(history: History) -> tuple[bytes, tuple[tuple[str, int], ...]]:
    """Return the block of all bars, and its layout."""
    parts = [
        np.ascontiguousarray(values, dtype=kind).tobytes()
        for symbol in sorted(history)
        for values, kind in zip(history[symbol], ("<i8", "<f8"), strict=True)
    ]
    return b"".join(parts), tuple((symbol, len(history[symbol][0])) for symbol in sorted(history))


def unpacked(block: Any, layout: tuple[tuple[str, int], ...]) -> dict[str, tuple[Days, Floats]]:
    """Return the bars of a block without copying them; the arrays are read-only."""
    history = {}
    offset = 0
    for symbol, count in layout:
        days = np.frombuffer(block, dtype="<i8", count=count, offset=offset)
        closes = np.frombuffer(block, dtype="<f8", count=count, offset=offset + 8 * count)
        for values in (days, closes):
            values.flags.writeable = False
        history[symbol] = (days, closes)
        offset += 16 * count
    return history
