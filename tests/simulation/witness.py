"""What a daemon says of itself, taken down at every step: whenever its bus is at rest and the next event is about to be journaled.

Three kinds of things: its state (orders, books, cash), its health, and how full its queues are. Beside them stands the end of the
journal at that moment, so that the state can be compared with what a replay of just that much of the journal gives. All of it is plain
data; what must hold of it is up to the referee.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from alchemiser.journal.committers import InlineCommitter
from alchemiser.journal.journal import Journal
from alchemiser.journal.reader import JournalReader
from alchemiser.journal.replay import replay
from alchemiser.service.daemon import Daemon
from alchemiser.service.state import JournaledState
from tests.simulation.record import Audit, Sample, State


@dataclass
class Witness:
    """Takes samples of one daemon after the other."""

    samples: list[Sample] = field(default_factory=list)

    def look(self, life: int, daemon: Daemon, at: datetime) -> None:
        """Take a sample, unless the bus is in the middle of something: what an event leads to belongs to it."""
        bus, journal = daemon.bus, daemon.parts.journal
        if bus._current is not None:
            return
        health = daemon.answers.health()
        statistics = [one for one in bus.statistics() if one.kind == "mailbox"]
        self.samples.append(
            Sample(
                life=life,
                at=at,
                after=journal.last_sequence,
                end=end_of(journal),
                state=state_of(daemon.state),
                live=health.live,
                ready=health.ready,
                reasons=tuple(reason.code for reason in health.reasons),
                queues=tuple((one.name, one.depth, one.capacity) for one in statistics if one.depth),
                overflowed=sum(one.overflowed for one in statistics),
            )
        )


def end_of(journal: Journal) -> str:
    """Return the checksum of the newest event that the journal took, committed or not; of one that was lost on a full disk, that it is."""
    committer = journal._committer
    assert isinstance(committer, InlineCommitter), "a simulation commits on the loop"
    end, sequence = committer._writer.checksum, committer.durable_sequence
    for draft in committer._drafts:
        row = draft.row_after(end)
        end, sequence = row.checksum, row.sequence
    return end if sequence == journal.last_sequence else f"lost: {journal.last_sequence}"


def state_of(state: JournaledState) -> State:
    """Return the state as plain data."""
    books = {name: book for name, book in sorted(state.ledger.books.items()) if book.lots or book.cash_flow}
    return State(
        orders={order.client_order_id: (str(order.state), order.request.quantity, order.cumulative_quantity) for order in state.orders},
        books={name: book.holdings() for name, book in books.items()},
        flows={name: book.cash_flow for name, book in books.items()},
        holdings=state.ledger.holdings(),
        cash=state.ledger.cash,
        trading=state.trading.state,
        rebalance=state.rebalances.unfinished_id(),
        digest=state.hash(),
    )


def audit_of(path: Path, sampled: Collection[str] = ()) -> Audit:
    """Replay a journal event by event, then twice as a whole, and verify its chain; keep the states that there is a sample to compare with.

    ``sampled`` are the checksums of the newest events of the samples.
    """
    state, states = JournaledState(_nothing_follows), dict[str, State]()
    with JournalReader.open(path) as reader:
        ends = dict(reader._connection.execute("SELECT sequence, checksum FROM events"))
        for envelope in reader.read():
            state.replay([envelope])
            if (end := ends[envelope.sequence]) in sampled:
                states[end] = state_of(state)
        first, second = replay(reader.read()), replay(reader.read())
        verified = reader.verify().problem
    return Audit(states=states, hashes=(first.state_hash, second.state_hash), problems=first.problems, verified=verified)


def _nothing_follows(event: object) -> None:
    raise AssertionError(f"a replay published {event}")
