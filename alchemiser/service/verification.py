"""Whether a journal can be trusted: its chain, its end, its snapshots, and the rules that every run has to keep.

Four questions, in this order, because each answer rests on the one before: is every event there as it was written; is every event there
that had been durable; does each snapshot hold the state that follows from the events before it; do orders, executions and money add up.
"""

from collections.abc import Mapping

import msgspec

from alchemiser.domain.errors import DataError, InvariantBroken
from alchemiser.domain.events import Event, JournalTailDropped
from alchemiser.journal.audit import Audit
from alchemiser.journal.reader import JournalReader, StoredSnapshot, Verification
from alchemiser.journal.tail import Tail
from alchemiser.service.recovery import SNAPSHOT_VERSION, STATE
from alchemiser.service.state import JournaledState


class SnapshotCheck(msgspec.Struct, frozen=True, kw_only=True):
    """What was found out about one snapshot: ``problem`` says why a start will not use it, ``note`` why it could not be compared."""

    sequence: int
    version: str
    state_hash: str
    problem: str | None = None
    note: str | None = None


class JournalVerification(msgspec.Struct, frozen=True, kw_only=True):
    """The answers. ``state_hash`` is that of the state at the end, ``None`` when the chain is broken; ``problems`` are in words.

    ``tail`` is how the journal ends; ``dropped`` are the ends that earlier starts found torn, as they wrote it down. ``begins_after`` is
    the event up to which all is in an archive that is not there: the state then begins with a snapshot, and orders and money are not added
    up. ``open_orders`` are those that have not ended at its end, by their ids, ``has_stopped`` whether that is the end of an orderly stop.
    """

    chain: Verification
    tail: Tail
    begins_after: int = 0
    dropped: tuple[str, ...] = ()
    snapshots: tuple[SnapshotCheck, ...] = ()
    problems: tuple[str, ...] = ()
    state_hash: str | None = None
    open_orders: tuple[str, ...] = ()
    has_stopped: bool = False

    @property
    def is_intact(self) -> bool:
        """Whether nothing was found."""
        return self.first_problem is None

    @property
    def first_problem(self) -> str | None:
        """What was found first, in words."""
        if not self.chain.is_intact:
            return f"it is damaged at event {self.chain.first_bad}: {self.chain.problem}"
        if self.tail.promised_event is not None:
            return f"its end is lost: {self.tail.text}"
        for check in self.snapshots:
            if check.problem is not None:
                return f"the snapshot after event {check.sequence} cannot be used: {check.problem}; a start replays the events instead"
        return "; ".join(self.problems) or None


def verify_journal(reader: JournalReader) -> JournalVerification:
    """Check a journal from its first event to its last."""
    chain, tail = reader.verify(), reader.look_at_end()
    if not chain.is_intact:
        return JournalVerification(chain=chain, tail=tail)
    stored = {one.snapshot.sequence: one for one in reader.snapshots(STATE)}
    if begins_after := reader.start.sequence:
        return _without_archive(reader, chain, tail, stored, begins_after)
    state, audit = JournaledState(_nobody), Audit()
    hashes, dropped = {0: state.hash()}, list[str]()
    try:
        for envelope in reader.read():
            audit(envelope)
            if isinstance(event := envelope.event, JournalTailDropped):
                dropped.append(f"event {envelope.sequence}: {event.reason}")
            state.replay((envelope,))
            if envelope.sequence in stored:
                hashes[envelope.sequence] = state.hash()
    except InvariantBroken as error:
        problems = (*audit.problems, _no_start(error))
        return JournalVerification(chain=chain, tail=tail, dropped=tuple(dropped), problems=problems)
    found = JournalVerification(chain=chain, tail=tail, dropped=tuple(dropped), problems=tuple(audit.problems))
    return _at_its_end(found, state, stored, hashes)


def _without_archive(
    reader: JournalReader, chain: Verification, tail: Tail, stored: Mapping[int, StoredSnapshot], begins_after: int
) -> JournalVerification:
    """Check what there is: from the oldest snapshot that can be used on, each newer one against a replay."""
    usable = [one for _, one in sorted(stored.items()) if one.problem is None and one.snapshot.version == SNAPSHOT_VERSION]
    if not usable:
        problem = f"events up to {begins_after} were moved out of it and are not there, and no snapshot can be used instead"
        return JournalVerification(chain=chain, tail=tail, begins_after=begins_after, problems=(problem,))
    first = usable[0].snapshot
    state = JournaledState(_nobody)
    try:
        state.restore(first.payload, first.state_hash)
    except DataError as error:
        problem = f"the snapshot after event {first.sequence} cannot be used: {error}"
        return JournalVerification(chain=chain, tail=tail, begins_after=begins_after, problems=(problem,))
    hashes = {first.sequence: state.hash()}
    try:
        for envelope in reader.read(first.sequence):
            state.replay((envelope,))
            if envelope.sequence in stored:
                hashes[envelope.sequence] = state.hash()
    except InvariantBroken as error:
        return JournalVerification(chain=chain, tail=tail, begins_after=begins_after, problems=(_no_start(error),))
    return _at_its_end(JournalVerification(chain=chain, tail=tail, begins_after=begins_after), state, stored, hashes)


def _at_its_end(
    found: JournalVerification, state: JournaledState, stored: Mapping[int, StoredSnapshot], hashes: Mapping[int, str]
) -> JournalVerification:
    """Add what follows from the whole of it: whether each snapshot is that of a replay, and what is left at its end."""
    return msgspec.structs.replace(
        found,
        snapshots=tuple(_checked(one, hashes.get(sequence)) for sequence, one in sorted(stored.items())),
        state_hash=state.hash(),
        open_orders=tuple(order.client_order_id for order in state.orders.open_orders()),
        has_stopped=state.overview.stopped is not None,
    )


def _no_start(error: InvariantBroken) -> str:
    return f"the daemon could not start with it: {error}"


def _checked(stored: StoredSnapshot, replayed: str | None) -> SnapshotCheck:
    snapshot, problem, note = stored.snapshot, stored.problem, None
    if problem is None and snapshot.version != SNAPSHOT_VERSION:
        note = f"version {snapshot.version} made it, this is {SNAPSHOT_VERSION}: it was not compared and will not be used"
    elif problem is None and replayed != snapshot.state_hash:
        problem = f"its state has the hash {snapshot.state_hash}, a replay up to it gives {replayed or 'nothing'}"
    return SnapshotCheck(sequence=snapshot.sequence, version=snapshot.version, state_hash=snapshot.state_hash, problem=problem, note=note)


def _nobody(event: Event) -> None:
    raise AssertionError(f"a replay published {type(event).__name__}")
