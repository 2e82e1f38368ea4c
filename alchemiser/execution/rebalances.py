"""Which rebalances there were and how far each got: an inline component that makes a restart carry on where the journal ends."""

from datetime import date

from alchemiser.bus.envelope import Envelope
from alchemiser.domain.events import (
    DecisionDue,
    DecisionMissed,
    FlattenOrdered,
    RebalanceCompleted,
    RebalanceParked,
    RebalancePlanned,
)


class Rebalances:
    """Remembers the latest decision of each session and the plan that has not ended."""

    listens_to = (DecisionDue, FlattenOrdered, DecisionMissed, RebalancePlanned, RebalanceCompleted, RebalanceParked)

    def __init__(self) -> None:
        self._numbers: dict[date, int] = {}
        self._settled: set[date] = set()
        self._due: DecisionDue | FlattenOrdered | None = None
        self.unfinished: RebalancePlanned | None = None
        self.last: RebalanceCompleted | RebalanceParked | None = None

    def next_number(self, session: date) -> int:
        """Return the number of the next rebalance of a session, from 1."""
        return self._numbers.get(session, 0) + 1

    def unfinished_id(self) -> str | None:
        """Return the id of the plan that has not ended, if there is one."""
        return None if self.unfinished is None else self.unfinished.rebalance_id

    def is_settled(self, session: date) -> bool:
        """Whether the session has its decision: a plan was made, or it was stated why there is none."""
        return session in self._settled

    def __call__(self, envelope: Envelope) -> None:
        """Apply one event."""
        match envelope.event:
            case DecisionDue(session=session) | FlattenOrdered(session=session) as due:
                self._numbers[session] = self.next_number(session)
                self._due = due
            case DecisionMissed(session=session):
                self._settled.add(session)
            case RebalancePlanned() as plan:
                self._settled.add(plan.session)
                self.unfinished = plan
            case RebalanceCompleted() | RebalanceParked() as end:
                if self._due is not None and self._due.rebalance_id == end.rebalance_id:
                    self._settled.add(self._due.session)
                if self.unfinished is not None and self.unfinished.rebalance_id == end.rebalance_id:
                    self.unfinished = None  # One that a newer plan has taken the place of ends after that plan was made.
                self.last = end
            case _:
                pass
