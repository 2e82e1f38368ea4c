"""A node's own value stream: what one would have earned by holding it day after day.

What was decided at a close earns the next session's return, brought back to its weights each day. A session whose return is unknown,
because nothing could be decided the day before or what was held has no price, begins a new run at 1: a measure never spans it.
"""

from itertools import pairwise

import numpy as np

from alchemiser.market.arrays import Floats
from alchemiser.market.indicators import Measure, tail
from alchemiser.market.last_bar import LastBar
from alchemiser.strategies.panel import Column
from alchemiser.strategies.symphony.holdings import Weights


class Stream:
    """The value of one node over the sessions, and what it holds after the last of them (``None`` when nothing could be decided)."""

    def __init__(self, earned: Column, held_last: Weights | None) -> None:
        """``earned`` is the return of each session of what was decided the session before, as a fraction."""
        self.held_last = held_last
        self._starts: list[int] = np.flatnonzero(~earned.known).tolist()
        self._sessions = len(earned.values)
        self._values: Floats = np.ones(self._sessions)
        for start, end in self._runs():
            self._values[start + 1 : end] = np.cumprod(1.0 + earned.values[start + 1 : end])
        self._columns: dict[Measure, Column] = {}
        self._last_bars: dict[Measure, LastBar] = {}

    def start_of(self, place: int) -> int:
        """Return where the run begins to which a session belongs."""
        return max(start for start in self._starts if start <= place)

    def column(self, measure: Measure) -> Column:
        """Return a measure of the stream at every session."""
        column = self._columns.get(measure)
        if column is None:
            column = Column(np.zeros(self._sessions), np.zeros(self._sessions, dtype=np.bool_))
            for start, end in self._runs(measure.bars_needed):
                values = tail(measure, self._values[start:end])
                column.values[end - len(values) : end] = values
                column.known[end - len(values) : end] = True
            self._columns[measure] = column
        return column

    def last_bar(self, measure: Measure) -> LastBar:
        """Return a measure of the stream as a function of its value on a session behind the last one."""
        found = self._last_bars.get(measure)
        if found is None:
            found = self._last_bars[measure] = LastBar(measure, self._values[self._starts[-1] :])
        return found

    @property
    def last_value(self) -> float:
        """The value after the last session."""
        return float(self._values[-1])

    @property
    def last_start(self) -> int:
        """Where the last run begins."""
        return self._starts[-1]

    def _runs(self, at_least: int = 2) -> list[tuple[int, int]]:
        return [(start, end) for start, end in pairwise([*self._starts, self._sessions]) if end - start >= at_least]


def first_value(measure: Measure) -> float | None:
    """Return a measure of a stream that has just begun, ``None`` where one value is not enough."""
    values = tail(measure, np.ones(1))
    return float(values[-1]) if len(values) else None
