"""Which rebalances there were and how far each got: an inline component that makes a restart carry on where the journal ends."""

from collections.abc import Callable, Mapping
from datetime import date, timedelta
from functools import lru_cache
from typing import Any, Final

import msgspec

from alchemiser.bus.envelope import Envelope
from alchemiser.domain.events import (
    DecisionDue,
    DecisionMissed,
    Event,
    FlattenOrdered,
    RebalanceCompleted,
    RebalanceParked,
    RebalancePlanned,
)
from alchemiser.domain.ids import is_of_a_kill
from alchemiser.domain.memory import Remembering

_KEPT: Final = timedelta(days=10)
"""Sessions are remembered for so long: whether one has had its decision is only asked of the present one."""

_day: Final = lru_cache(maxsize=64)(date.isoformat)
"""How a session is written here; the same few are asked for again and again."""


class RebalancesMemory(msgspec.Struct, kw_only=True):
    """The number of the latest rebalance by session, the sessions that have had their decision, and the rebalances that matter now.

    ``due`` is the latest decision while it has neither a plan nor an end.
    """

    numbers: dict[str, int]
    settled: dict[str, None]
    due: DecisionDue | FlattenOrdered | None
    unfinished: RebalancePlanned | None
    last: RebalanceCompleted | RebalanceParked | None


class Rebalances(Remembering):
    """Remembers the latest decision of each session and the plan that has not ended."""

    memory_type = RebalancesMemory
    listens_to = (DecisionDue, FlattenOrdered, DecisionMissed, RebalancePlanned, RebalanceCompleted, RebalanceParked)

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._settled: dict[str, None] = {}
        self._due: DecisionDue | FlattenOrdered | None = None
        self.unfinished: RebalancePlanned | None = None
        self.last: RebalanceCompleted | RebalanceParked | None = None
        self.acts: Final[Mapping[type[Event], Callable[[Any], object]]] = {
            DecisionDue: self._begin,
            FlattenOrdered: self._begin,
            DecisionMissed: self._miss,
            RebalancePlanned: self._plan,
            RebalanceCompleted: self._end,
            RebalanceParked: self._end,
        }

    def next_number(self, session: date) -> int:
        """Return the number of the next rebalance of a session, from 1."""
        return self._numbers.get(_day(session), 0) + 1

    def unfinished_id(self) -> str | None:
        """Return the id of the plan that has not ended, if there is one."""
        return None if self.unfinished is None else self.unfinished.rebalance_id

    @property
    def undecided(self) -> DecisionDue | FlattenOrdered | None:
        """The decision that has neither a plan nor an end, if there is one; of an earlier process, when nobody is at it."""
        return self._due

    def is_settled(self, session: date) -> bool:
        """Whether the session has its decision: a plan was made, or it was stated why there is none."""
        return _day(session) in self._settled

    def __call__(self, envelope: Envelope) -> None:
        """Apply one event."""
        act = self.acts.get(type(envelope.event))
        if act is not None:
            act(envelope.event)

    def _begin(self, due: DecisionDue | FlattenOrdered) -> None:
        day = _day(due.session)
        self._numbers[day] = self._numbers.get(day, 0) + 1
        first = _day(due.session - _KEPT)
        for days in (self._numbers, self._settled):
            # Sessions come one after the other: the oldest is the first.
            while (oldest := next(iter(days), first)) < first:
                del days[oldest]
        self._due = due

    def _miss(self, missed: DecisionMissed) -> None:
        self._settled[_day(missed.session)] = None

    def _plan(self, plan: RebalancePlanned) -> None:
        if is_of_a_kill(plan.rebalance_id):
            return
        self._settled[_day(plan.session)] = None
        self.unfinished = plan
        if self._due is not None and self._due.rebalance_id == plan.rebalance_id:
            self._due = None

    def _end(self, end: RebalanceCompleted | RebalanceParked) -> None:
        if self._due is not None and self._due.rebalance_id == end.rebalance_id:
            self._settled[_day(self._due.session)] = None
            self._due = None
        if self.unfinished is not None and self.unfinished.rebalance_id == end.rebalance_id:
            self.unfinished = None  # One that a newer plan has taken the place of ends after that plan was made.
        self.last = end
