"""Which rebalances there were and how far each got: an inline component that makes a restart carry on where the journal ends."""

from datetime import date, timedelta

import msgspec

from alchemiser.bus.envelope import Envelope
from alchemiser.domain.events import (
    DecisionDue,
    DecisionMissed,
    FlattenOrdered,
    RebalanceCompleted,
    RebalanceParked,
    RebalancePlanned,
)
from alchemiser.domain.ids import is_of_a_kill
from alchemiser.domain.memory import Remembering

KEPT_DAYS = 10
"""Sessions are remembered for so many days: whether one has had its decision is only asked of the present one."""


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

    def next_number(self, session: date) -> int:
        """Return the number of the next rebalance of a session, from 1."""
        return self._numbers.get(session.isoformat(), 0) + 1

    def unfinished_id(self) -> str | None:
        """Return the id of the plan that has not ended, if there is one."""
        return None if self.unfinished is None else self.unfinished.rebalance_id

    @property
    def undecided(self) -> DecisionDue | FlattenOrdered | None:
        """The decision that has neither a plan nor an end, if there is one; of an earlier process, when nobody is at it."""
        return self._due

    def is_settled(self, session: date) -> bool:
        """Whether the session has its decision: a plan was made, or it was stated why there is none."""
        return session.isoformat() in self._settled

    def __call__(self, envelope: Envelope) -> None:
        """Apply one event."""
        match envelope.event:
            case DecisionDue(session=session) | FlattenOrdered(session=session) as due:
                day = session.isoformat()
                self._numbers[day] = self._numbers.get(day, 0) + 1
                self._forget_before(session)
                self._due = due
            case DecisionMissed(session=session):
                self._settled[session.isoformat()] = None
            case RebalancePlanned() as plan if not is_of_a_kill(plan.rebalance_id):
                self._settled[plan.session.isoformat()] = None
                self.unfinished = plan
                if self._due is not None and self._due.rebalance_id == plan.rebalance_id:
                    self._due = None
            case RebalanceCompleted() | RebalanceParked() as end:
                if self._due is not None and self._due.rebalance_id == end.rebalance_id:
                    self._settled[self._due.session.isoformat()] = None
                    self._due = None
                if self.unfinished is not None and self.unfinished.rebalance_id == end.rebalance_id:
                    self.unfinished = None  # One that a newer plan has taken the place of ends after that plan was made.
                self.last = end
            case _:
                pass

    def _forget_before(self, session: date) -> None:
        first = (session - timedelta(days=KEPT_DAYS)).isoformat()
        for days in (self._numbers, self._settled):
            for day in list(days):
                if day < first:
                    del days[day]
