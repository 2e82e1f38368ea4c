"""A start begins with the newest snapshot that can be trusted; with none it replays everything, and finds the same state."""

import sqlite3
from contextlib import closing
from pathlib import Path
from unittest.mock import patch

import pytest
from structlog.testing import capture_logs

from alchemiser import __version__
from alchemiser.bus.envelope import Envelope
from alchemiser.domain.errors import JournalFailed, VerificationFailed
from alchemiser.domain.events import Event, FillBooked, RebalanceCompleted, RebalancePlanned, StreamConnected
from alchemiser.journal.archive import archive_of
from alchemiser.journal.compaction import compact
from alchemiser.journal.format import Snapshot
from alchemiser.journal.journal import Journal
from alchemiser.journal.reader import JournalReader
from alchemiser.service import recovery
from alchemiser.service.recovery import SNAPSHOT_VERSION, STATE, Recovered, recover, snapshot_of
from alchemiser.service.snapshots import PUT_OFF_AT_MOST, SnapshotKeeper
from alchemiser.service.state import JournaledState
from alchemiser.service.verification import verify_journal
from tests.unit.journal.scenes import open_journal
from tests.unit.journal.test_migrate import FORMATS, old_journal
from tests.unit.service.trading_day import RESULT, WHOLE_DAY, Life

LIFE = Life(WHOLE_DAY)
LAST = len(LIFE.envelopes)


def nobody(event: Event) -> None:
    """Be told by a replay, which tells nothing."""
    raise AssertionError(f"a replay published {event}")


def state_after(sequence: int) -> JournaledState:
    """Return the state after so many events of the day."""
    state = JournaledState(nobody)
    state.replay(LIFE.envelopes[:sequence])
    return state


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The journal of a day, with snapshots after events 8 and 14."""
    path = tmp_path / "journal.sqlite"
    with open_journal(path) as journal:
        for envelope in LIFE.envelopes:
            journal.append(envelope)
        for sequence in (8, 14):
            journal.save_snapshot(snapshot_of(state_after(sequence), sequence))
    return path


def recovered(path: Path) -> tuple[Recovered, JournaledState]:
    """Recover from a journal."""
    state = JournaledState(nobody)
    with JournalReader.open(path) as reader:
        return recover(state, reader), state


def execute(path: Path, statement: str, *values: object) -> None:
    """Change a journal behind everybody's back."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(statement, values)
    connection.close()


def test_a_start_takes_up_the_newest_snapshot_and_replays_what_came_after(path: Path) -> None:
    """The state is that of the whole journal; only the tail was read."""
    how, state = recovered(path)

    assert Recovered(snapshot=14, events=LAST - 14, rejected=()) == how
    assert LIFE.hashes[-1] == state.hash()


def test_what_lies_before_the_snapshot_is_not_read(path: Path) -> None:
    """The time of a start does not grow with the age of the journal."""
    execute(path, "DELETE FROM events WHERE sequence < 14")
    how, state = recovered(path)

    assert (14, LAST - 14) == (how.snapshot, how.events)
    assert LIFE.hashes[-1] == state.hash()


WRONG = {
    "its payload is torn": ("UPDATE snapshots SET payload = substr(payload, 1, 100) WHERE sequence = 14", "its checksum is another"),
    "its hash is another": ("UPDATE snapshots SET state_hash = 'f' WHERE sequence = 14", "its checksum is another"),
    "it is of another journal": (
        "UPDATE snapshots SET chain = (SELECT checksum FROM events WHERE sequence = 13) WHERE sequence = 14",
        "its checksum is another",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_snapshot_is_named_and_the_older_one_used(path: Path, name: str) -> None:
    """Nothing is lost by it but time."""
    statement, words = WRONG[name]
    execute(path, statement)
    how, state = recovered(path)

    assert (8, LAST - 8) == (how.snapshot, how.events)
    assert [True] == [reason.startswith("the snapshot after event 14 is not used") and words in reason for reason in how.rejected]
    assert LIFE.hashes[-1] == state.hash()


def keep(path: Path, *snapshots: Snapshot) -> None:
    """Put these snapshots in the place of those that are there."""
    execute(path, "DELETE FROM snapshots")
    with open_journal(path) as journal:
        for one in snapshots:
            journal.save_snapshot(one)


def test_a_snapshot_that_gives_another_state_is_never_used(path: Path) -> None:
    """Whole and well bound, and still not what it claims: of another version, unreadable, or with another hash."""
    right = snapshot_of(state_after(9), 9)
    keep(path, Snapshot(STATE, 9, "0.0/0", right.state_hash, right.payload), Snapshot(STATE, 12, SNAPSHOT_VERSION, "h", b"{}"))
    how, state = recovered(path)
    assert (0, LAST) == (how.snapshot, how.events)
    assert ["cannot be read", "version 0.0/0 made it"] == [
        next(words for words in ("cannot be read", "version 0.0/0 made it", "hash") if words in reason) for reason in how.rejected
    ]
    assert LIFE.hashes[-1] == state.hash()

    keep(path, right, Snapshot(STATE, 12, SNAPSHOT_VERSION, "ffff", state_after(12).dump()))
    how, state = recovered(path)
    assert (9, LAST - 9) == (how.snapshot, how.events)
    assert "has the hash" in how.rejected[0]
    assert LIFE.hashes[-1] == state.hash()


@pytest.mark.parametrize("sequence", [14, 15, LAST - 1])
def test_a_start_never_builds_on_a_changed_journal(path: Path, sequence: int) -> None:
    """After the snapshot every event is checked; the first that is changed stops the start, in words and with exit code 6."""
    execute(path, "UPDATE events SET payload = replace(payload, '2025', '2024') WHERE sequence = ?", sequence)
    if sequence == 14:  # It is the one that the snapshot was taken after.
        execute(path, "UPDATE events SET checksum = 'f' WHERE sequence = 14")
        words = "event 14"
    else:
        words = f"event {sequence}"
    with pytest.raises(VerificationFailed, match=words) as error:
        recovered(path)
    assert error.value.exit_code == 6


@pytest.mark.parametrize("number", FORMATS)
def test_an_old_journal_is_replayed_to_the_state_it_tells(tmp_path: Path, number: int) -> None:
    """Read as it is, brought forward, and taken up from a snapshot: one state, one hash; and it verifies."""
    path = old_journal(tmp_path, number)
    how, as_it_was = recovered(path)
    assert (0, 86) == (how.snapshot, how.events)

    with open_journal(path) as journal:
        state = JournaledState(nobody)
        recover(state, journal)
        journal.save_snapshot(snapshot_of(state, journal.last_sequence))
    how, from_snapshot = recovered(path)
    assert 0 == how.events
    assert as_it_was.hash() == state.hash() == from_snapshot.hash()
    with JournalReader.open(path) as reader:
        found = verify_journal(reader)
    assert found.first_problem is None
    assert as_it_was.hash() == found.state_hash


# --- verification ---


def verified(path: Path) -> str | None:
    """Return the first problem of a journal."""
    with JournalReader.open(path) as reader:
        return verify_journal(reader).first_problem


def test_a_journal_with_good_snapshots_verifies(path: Path) -> None:
    """The snapshots hold what a replay up to them gives; an empty journal has nothing wrong with it."""
    assert verified(path) is None
    empty = path.with_name("empty.sqlite")
    with open_journal(empty) as journal:
        journal.save_snapshot(snapshot_of(JournaledState(nobody), 0))
    assert verified(empty) is None


def test_a_snapshot_that_lies_is_found_by_a_replay(path: Path) -> None:
    """Its checksums are right, its state is that of another moment: only a replay can tell."""
    other = state_after(10)
    keep(path, Snapshot(STATE, 14, SNAPSHOT_VERSION, other.hash(), other.dump()))
    assert "a replay up to it gives" in str(verified(path))


def test_a_snapshot_of_another_version_is_no_fault(path: Path) -> None:
    """It cannot be compared, and it will not be used."""
    other = state_after(10)
    keep(path, Snapshot(STATE, 14, "0.0/0", other.hash(), other.dump()))
    with JournalReader.open(path) as reader:
        found = verify_journal(reader)
    assert found.is_intact
    assert ["version 0.0/0 made it" in str(check.note) for check in found.snapshots] == [True]


def test_a_damaged_snapshot_is_a_fault(path: Path) -> None:
    """Though a start would go on without it."""
    execute(path, "UPDATE snapshots SET payload = x'00' WHERE sequence = 14")
    assert "the snapshot after event 14 cannot be used: it is changed" in str(verified(path))


def test_a_broken_chain_is_said_first(path: Path) -> None:
    """Nothing else can be said of a changed journal."""
    execute(path, "UPDATE events SET causation = 77 WHERE sequence = 5")
    assert "it is damaged at event 5" in str(verified(path))


def test_events_that_do_not_add_up_are_a_fault(tmp_path: Path) -> None:
    """Every checksum is right, and the story is not: a booking twice, and one of a fill that never was."""
    path = tmp_path / "journal.sqlite"
    booking = next(envelope for envelope in LIFE.envelopes if isinstance(envelope.event, FillBooked))
    with open_journal(path) as journal:
        for envelope in (*LIFE.envelopes, Envelope(LAST + 1, booking.event, 0.0)):
            journal.append(envelope)
    assert "e1 is booked a second time" in str(verified(path))

    with open_journal(path) as journal:
        assert isinstance(booking.event, FillBooked)
        strange = FillBooked(at=booking.event.at, execution_id="e7", symbol="SPY", entries=booking.event.entries)
        journal.append(Envelope(LAST + 2, strange, 0.0))
    assert "e7 is booked, but its fill is not" in str(verified(path))
    assert "the daemon could not start with it" in str(verified(path))


def test_events_that_do_not_add_up_are_a_fault_also_without_the_archive(path: Path) -> None:
    """What is left is replayed from the oldest snapshot on, and what a start would trip over is told."""
    assert compact(path, before=None).moved
    archive_of(path).unlink()
    assert verified(path) is None
    booking = next(envelope.event for envelope in LIFE.envelopes if isinstance(envelope.event, FillBooked))
    with open_journal(path) as journal:
        strange = FillBooked(at=booking.at, execution_id="e7", symbol="SPY", entries=booking.entries)
        journal.append(Envelope(LAST + 1, strange, 0.0))

    assert "the daemon could not start with it" in str(verified(path))


# --- when snapshots are taken ---


def kept(journal: Journal) -> list[int]:
    """Return the events that snapshots were taken after."""
    return sorted(stored.snapshot.sequence for stored in journal.snapshots(STATE))


@pytest.mark.parametrize(("every", "since", "after"), [(0, 0, []), (3, 0, [3, 6]), (3, 2, [1, 4]), (3, 9, [1, 4]), (100, 0, [])])
async def test_the_state_is_written_down_after_so_many_events(tmp_path: Path, every: int, since: int, after: list[int]) -> None:
    """Counted from the snapshot before, also across a restart; 0 means never."""
    with open_journal(tmp_path / "journal.sqlite") as journal:
        keeper = SnapshotKeeper(JournaledState(nobody), journal, every_events=every, since=since)
        for number in range(1, 7):
            envelope = Envelope(number, StreamConnected(at=RESULT.at, stream="market"), 0.0)
            journal.append(envelope)
            keeper(envelope)
        await journal.durable(6)
        assert after == kept(journal)


async def test_no_order_waits_for_the_state_to_be_written_down(tmp_path: Path) -> None:
    """A snapshot that is due while a rebalance is in progress is made with the event that ends it."""
    path = tmp_path / "journal.sqlite"
    number_of = {type(envelope.event): envelope.sequence for envelope in LIFE.envelopes}
    planned, ended, result = (number_of[kind] for kind in (RebalancePlanned, RebalanceCompleted, type(RESULT)))
    with open_journal(path) as journal:
        state = JournaledState(nobody)
        keeper = SnapshotKeeper(state, journal, every_events=planned + 1, since=0)
        for envelope in LIFE.envelopes:
            journal.append(envelope)
            state.replay([envelope])
            keeper(envelope)
        await journal.durable(LAST)
        assert [ended, result] == kept(journal)
    how, again = recovered(path)
    assert Recovered(snapshot=result, events=LAST - result, rejected=()) == how
    assert LIFE.hashes[-1] == again.hash()


async def test_a_rebalance_without_an_end_puts_a_snapshot_off_for_a_while_only(tmp_path: Path) -> None:
    """A start after it would have to replay ever more."""
    with open_journal(tmp_path / "journal.sqlite") as journal:
        state = JournaledState(nobody)
        state.rebalances.unfinished = next(event for event in WHOLE_DAY if isinstance(event, RebalancePlanned))
        keeper = SnapshotKeeper(state, journal, every_events=2, since=0)
        for number in range(1, 2 * PUT_OFF_AT_MOST + 4):
            envelope = Envelope(number, StreamConnected(at=RESULT.at, stream="market"), 0.0)
            journal.append(envelope)
            keeper(envelope)
        await journal.durable(number)
        assert [2 * PUT_OFF_AT_MOST] == kept(journal)


async def test_the_state_is_written_down_at_the_end_of_a_session(tmp_path: Path) -> None:
    """When the result of the session is in; the snapshot holds the result, and a start needs no more than it."""
    path = tmp_path / "journal.sqlite"
    with open_journal(path) as journal:
        state = JournaledState(nobody)
        keeper = SnapshotKeeper(state, journal, every_events=0, since=0)
        for envelope in LIFE.envelopes:
            journal.append(envelope)
            state.replay([envelope])
            keeper(envelope)
            if envelope.event == RESULT:
                result_at = envelope.sequence
        assert keeper.take() == LAST
        await journal.durable(LAST)
        assert [result_at, LAST] == kept(journal)
    how, again = recovered(path)
    assert Recovered(snapshot=LAST, events=0, rejected=()) == how
    assert LIFE.hashes[-1] == again.hash()


def test_a_journal_that_cannot_be_written_takes_no_snapshot(tmp_path: Path) -> None:
    """It is an error like that of an event: nobody may think that the state was kept."""
    with (
        open_journal(tmp_path / "journal.sqlite") as journal,
        patch.object(journal, "save_snapshot", side_effect=JournalFailed("disk full")),
        pytest.raises(JournalFailed),
    ):
        SnapshotKeeper(JournaledState(nobody), journal, every_events=0, since=0).take()


def test_who_folds_otherwise_says_so() -> None:
    """The version of a snapshot is the program's and that of the folding."""
    assert f"{__version__}/{recovery.FOLD}" == SNAPSHOT_VERSION


def test_how_the_state_was_found_is_in_the_log() -> None:
    """One line with what it was made of, and one for each snapshot that could not be trusted."""
    state = state_after(LAST)
    with capture_logs() as lines:
        Recovered(snapshot=8, events=6, rejected=("the snapshot after event 14 is not used: damaged",)).tell(state)

    rejected, told = lines
    assert ("snapshot_not_used", "warning") == (rejected["event"], rejected["log_level"])
    assert "event 14" in rejected["reason"]
    assert ("state_recovered", 8, 6, state.hash()) == (told["event"], told["snapshot"], told["events_replayed"], told["state_hash"])
