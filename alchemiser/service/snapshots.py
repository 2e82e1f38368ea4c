"""When the state is written down: at the end of a session, at an orderly stop, and after so many events. An inline component.

It is the last to hear of an event, so what it writes is the state after that event. The journal writes it with its next commit; nobody
waits for it. Encoding a state takes tens of milliseconds and more, in which nothing else is done: while a rebalance is in progress an order
might wait for that, so then it is put off until the rebalance has ended. A start replays a few thousand events more at worst.
"""

from typing import Final, get_args

from alchemiser.bus.envelope import Envelope
from alchemiser.domain.events import AnyEvent, ResultReported
from alchemiser.journal.journal import Journal
from alchemiser.service.recovery import snapshot_of
from alchemiser.service.state import JournaledState

PUT_OFF_AT_MOST: Final = 4
"""A rebalance may put a snapshot off until so many times the events have passed after which it was due."""


class SnapshotKeeper:
    """Writes snapshots of a state into the journal that it follows from."""

    listens_to: Final = tuple(kind for kind in get_args(AnyEvent) if kind.journaled)

    def __init__(self, state: JournaledState, journal: Journal, *, every_events: int, since: int) -> None:
        """``since`` is how many events the newest snapshot lies back; after ``every_events`` of them there is a new one, 0 for never."""
        self._state = state
        self._journal = journal
        self.every_events = every_events
        self._since = since
        self._sequence = journal.last_sequence

    def __call__(self, envelope: Envelope) -> None:
        """Count an event, and write the state down when it is time."""
        self._sequence = envelope.sequence
        self._since += 1
        if isinstance(envelope.event, ResultReported) or (0 < self.every_events <= self._since and self._is_quiet):
            self.take()

    @property
    def _is_quiet(self) -> bool:
        """Whether no order is likely to wait for a snapshot, or it has been put off for long enough."""
        return self._state.rebalances.unfinished is None or self._since >= self.every_events * PUT_OFF_AT_MOST

    def take(self) -> int:
        """Write the state as it is now and return the event it follows from. Raises ``JournalFailed`` when that cannot be written."""
        self._journal.save_snapshot(snapshot_of(self._state, self._sequence))
        self._since = 0
        return self._sequence
