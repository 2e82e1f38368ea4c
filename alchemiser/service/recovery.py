"""Where a start begins: the newest snapshot that can be trusted, and the journal after it.

A snapshot is used when it is undamaged, belongs to the event before it, was made by this version, and gives the state whose hash was
written with it. One that is not is named and the one before it is tried; when none is left the whole journal is replayed, which gives the
same state and takes longer. Every event that is replayed is checked against the chain first: a start never builds on a changed journal.
"""

from collections.abc import Iterator
from typing import Final, Protocol

import msgspec
import structlog

from alchemiser import __version__
from alchemiser.bus.envelope import Envelope
from alchemiser.domain.errors import DataError
from alchemiser.journal.format import Snapshot
from alchemiser.journal.reader import StoredSnapshot
from alchemiser.service.state import JournaledState

STATE: Final = "state"
"""The name of the snapshots of the journaled state."""

FOLD: Final = 20
"""Raised when the components come to make something else of the same events: snapshots from before are then replayed anew."""

SNAPSHOT_VERSION: Final = f"{__version__}/{FOLD}"

_log = structlog.get_logger(__name__)


class Source(Protocol):
    """A journal, open for writing or for reading."""

    def snapshots(self, name: str) -> list[StoredSnapshot]:
        """Return the snapshots of that name, newest first, each with what speaks against it."""

    def read_chained(self, after: int = 0) -> Iterator[Envelope]:
        """Yield the events after that one, each checked against the chain."""


class Recovered(msgspec.Struct, frozen=True, kw_only=True):
    """How a state was found: the event of the snapshot, 0 without one, the events replayed after it, and the snapshots not used."""

    snapshot: int
    events: int
    rejected: tuple[str, ...]

    def tell(self, state: JournaledState) -> None:
        """Write to the log how ``state`` was found."""
        for reason in self.rejected:
            _log.warning("snapshot_not_used", reason=reason, action="an older one is used, or the whole journal is replayed")
        _log.info("state_recovered", snapshot=self.snapshot, events_replayed=self.events, state_hash=state.hash())


def recover(state: JournaledState, source: Source) -> Recovered:
    """Bring a fresh state to where the journal ends. Raises ``VerificationFailed`` when the journal is damaged."""
    rejected = []
    begin = 0
    for stored in source.snapshots(STATE):
        problem = _take_up(state, stored)
        if problem is None:
            begin = stored.snapshot.sequence
            break
        rejected.append(f"the snapshot after event {stored.snapshot.sequence} is not used: {problem}")
    events = state.replay(source.read_chained(begin))
    return Recovered(snapshot=begin, events=events, rejected=tuple(rejected))


def snapshot_of(state: JournaledState, sequence: int) -> Snapshot:
    """Return the snapshot of a state that follows from the events up to that one."""
    return Snapshot(STATE, sequence, SNAPSHOT_VERSION, state.hash(), state.dump())


def _take_up(state: JournaledState, stored: StoredSnapshot) -> str | None:
    """Restore the state and return ``None``, or why not."""
    snapshot = stored.snapshot
    if stored.problem is not None:
        return stored.problem
    if snapshot.version != SNAPSHOT_VERSION:
        return f"version {snapshot.version} made it, this is {SNAPSHOT_VERSION}"
    try:
        state.restore(snapshot.payload, snapshot.state_hash)
    except DataError as error:
        return str(error)
    return None
