"""What a restart finds is what the daemon was: every prefix of a journal replays to a state that the whole daemon really passed."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import get_args
from unittest.mock import patch

import pytest

from alchemiser.bus.envelope import Envelope
from alchemiser.domain.errors import JournalFailed
from alchemiser.domain.events import AnyEvent, Event, LedgerCompared, OrderFilled
from alchemiser.journal.format import Row, Snapshot
from alchemiser.journal.reader import JournalReader
from alchemiser.journal.store import Store
from alchemiser.service.daemon import Daemon
from alchemiser.service.offline import JOURNAL_FILE
from alchemiser.service.state import JournaledState
from alchemiser.service.verification import verify_journal
from tests.simulation.campaign import play, scenario_of
from tests.simulation.days import journal_of, simulate

JOURNALED = tuple(kind for kind in get_args(AnyEvent) if kind.journaled)


def nobody(event: Event) -> None:
    """Be told by a replay, which tells nothing."""
    raise AssertionError(f"a replay published {event}")


@contextmanager
def recorded() -> Iterator[dict[int, str]]:
    """Record the hash of the state after each journaled event of the daemons that start meanwhile, by sequence number."""
    hashes: dict[int, str] = {}

    wire = Daemon.wire

    def watched(daemon: Daemon) -> None:
        def record(envelope: Envelope) -> None:
            hashes[envelope.sequence] = daemon.state.hash()

        wire(daemon)
        daemon.bus.subscribe_inline("recorder of hashes", JOURNALED, record)

    with patch.object(Daemon, "wire", watched):
        yield hashes


def differing(journal: list[Envelope], lived: dict[int, str]) -> list[str]:
    """Replay a journal event by event and name each event after which the state is not the one that was lived."""
    state = JournaledState(nobody)
    found = []
    for envelope in journal:
        state.replay([envelope])
        if lived[envelope.sequence] != state.hash():
            found.append(f"{envelope.sequence} {type(envelope.event).__name__}")
    return found


def test_every_prefix_of_two_days_replays_to_a_state_that_was_lived(tmp_path: Path) -> None:
    """Two days in two processes: the second begins with what the first left, and no prefix of their journal tells another story."""
    with recorded() as lived:
        simulate(tmp_path, days=1)
        simulate(tmp_path, days=2)
    journal = journal_of(tmp_path)

    assert any(isinstance(envelope.event, OrderFilled) for envelope in journal)
    assert [] == differing(journal, lived)
    assert len(set(lived.values())) > len(journal) / 2


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(7100, 7120))
def test_every_prefix_replays_to_a_state_that_was_lived_whatever_went_wrong(tmp_path: Path, seed: int) -> None:
    """Crashes at every durable boundary, lost streams, refused orders: a killed daemon's last events may be gone, never different.

    Here it is asked after every event, also while the bus is busy; where it rests the referee asks in every seed of the campaign.
    """
    with recorded() as lived:
        play(scenario_of(seed), tmp_path)
    (last,) = sorted(tmp_path.glob("life-*"), key=lambda path: int(path.name.split("-")[1]))[-1:]

    assert [] == differing(journal_of(last), lived)


@pytest.mark.parametrize("commits", [1, 2, 3, 4])
def test_a_disk_that_fills_up_ends_the_daemon_and_the_next_one_carries_on(tmp_path: Path, commits: int) -> None:
    """The process ends with an error in words; nothing was sent that the journal does not hold, and the next start settles the rest."""
    commit, left = Store.commit, count(commits, -1)

    def filling(store: Store, rows: Sequence[Row], snapshots: Sequence[Snapshot]) -> None:
        if next(left) <= 0:
            raise sqlite3.OperationalError("database or disk is full")
        commit(store, rows, snapshots)

    with patch.object(Store, "commit", filling), pytest.raises(JournalFailed, match=r"disk is full.*the daemon stops"):
        simulate(tmp_path)
    assert simulate(tmp_path) == 0

    with JournalReader.open(tmp_path / JOURNAL_FILE) as reader:
        assert verify_journal(reader).first_problem is None
    last = [envelope.event for envelope in journal_of(tmp_path) if isinstance(envelope.event, LedgerCompared)][-1]
    assert last.differences == ()
