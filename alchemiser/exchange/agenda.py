"""Everything that waits for its time, in one heap: latencies of orders and the moments of the trading day."""

from collections.abc import Iterable
from datetime import datetime
from heapq import heappush

from alchemiser.exchange.snapshot import Due, DueKind, ExchangeState


class Agenda:
    """What is still to be done; entries of one moment keep the order in which they were planned."""

    def __init__(self, state: ExchangeState) -> None:
        self._state = state

    def plan(self, at: datetime, kind: DueKind, order_id: str = "") -> None:
        """Remember that something is to be done at a time."""
        self._state.sequence += 1
        heappush(self._state.due, Due(at, self._state.sequence, kind, order_id))

    def plan_later(self, moments: Iterable[tuple[datetime, DueKind]], after: datetime) -> None:
        """Remember those moments of a day, given in order of time, that are later than ``after``."""
        due, sequence = self._state.due, self._state.sequence
        put = heappush if due else list.append  # Where nothing waits, what comes in order is a heap as it is.
        for at, kind in moments:
            if at > after:
                sequence += 1
                put(due, Due(at, sequence, kind))
        self._state.sequence = sequence

    def next_due(self) -> datetime | None:
        """Return the time of the earliest entry."""
        return self._state.due[0].at if self._state.due else None
