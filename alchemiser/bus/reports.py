"""What the bus tells of itself: statistics, the report of a round trip, the report of its end."""

import msgspec


class HandlerStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """One subscription in numbers. From ``depth`` on they are about mailboxes; inline handlers have no queue."""

    name: str
    kind: str  # ``inline`` or ``mailbox``
    handled: int
    failed: int
    depth: int = 0  # waiting now
    high_water: int = 0  # most that ever waited
    capacity: int = 0
    conflated: int = 0  # overwritten by a newer one of the same key, or pushed out by newer keys
    overflowed: int = 0  # taken beyond the bound because waiting was impossible or would have been a deadlock
    publishers_waiting: int = 0
    busy_seconds: float | None = None  # how long it has been at its present event
    busy_with: int | None = None  # sequence number of that event


class TurnReport(msgspec.Struct, frozen=True, kw_only=True):
    """A round trip through the bus: one marker went to every mailbox and came back, or did not.

    ``busy`` are the handlers that did not answer within the limit of the round trip and are still within their own; ``overdue`` are
    those beyond their own: they are stuck. Values are seconds: until the answer, or without one.
    """

    seconds: float
    answered: dict[str, float]
    busy: dict[str, float]
    overdue: dict[str, float]

    @property
    def is_healthy(self) -> bool:
        """Whether nothing is stuck."""
        return not self.overdue


class Unfinished(msgspec.Struct, frozen=True, kw_only=True):
    """A mailbox that did not finish in time: how many events still waited, and the one its handler was at."""

    handler: str
    waiting: int
    busy_with: int | None
    event_type: str | None


class DrainReport(msgspec.Struct, frozen=True, kw_only=True):
    """How the bus ended."""

    seconds: float
    unfinished: tuple[Unfinished, ...] = ()
