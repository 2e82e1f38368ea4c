"""Moving old events out of a journal: which may go, what is checked on the way, and what a compaction that was cut off leaves."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from alchemiser.domain.errors import DataError, VerificationFailed
from alchemiser.journal import compaction
from alchemiser.journal.archive import archive_of
from alchemiser.journal.compaction import Compacted, compact
from alchemiser.journal.reader import JournalReader, Verification
from tests.unit.journal.scenes import START, filled, journal_with, open_journal

EVENTS = 8
MAY_GO = 5
"""The events before the one that the older snapshot was taken after."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A journal of a few events, one a second, with two snapshots."""
    return journal_with(tmp_path / "journal.sqlite", events=EVENTS, snapshots=[MAY_GO + 1, EVENTS])


def second(sequence: int) -> datetime:
    """Return when that event happened."""
    return START + timedelta(seconds=sequence)


def in_file(path: Path) -> list[int]:
    """Return the events that a file holds itself."""
    with closing(sqlite3.connect(path)) as connection:
        return [row[0] for row in connection.execute("SELECT sequence FROM events ORDER BY sequence")]


def execute(path: Path, query: str, values: Sequence[object] = ()) -> None:
    """Change a file behind everybody's back."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(query, values)


def verified(path: Path) -> Verification:
    """Return what a check of the chain finds."""
    with JournalReader.open(path) as reader:
        return reader.verify()


@pytest.mark.parametrize(
    ("before", "moved"),
    [(None, 5), (second(9), 5), (second(7), 5), (second(4), 3), (second(1), 0), (second(-9), 0)],
    ids=["all", "after the last", "beyond the snapshot", "some", "none", "long ago"],
)
def test_what_is_old_enough_and_no_start_needs_is_moved(path: Path, before: datetime | None, moved: int) -> None:
    """A snapshot keeps the event that it was taken after and all later ones; nothing is lost or doubled."""
    assert compact(path, before=before) == Compacted(moved=moved, until=moved)
    assert in_file(archive_of(path)) == [*range(1, moved + 1)]
    assert in_file(path) == [*range(moved + 1, EVENTS + 1)]
    assert verified(path) == Verification(events=EVENTS, first_sequence=1, last_sequence=EVENTS)


def test_without_a_snapshot_everything_stays(tmp_path: Path) -> None:
    """The next start would have to replay it."""
    path = tmp_path / "journal.sqlite"
    filled(open_journal(path), range(1, 4)).close()
    assert compact(path, before=None) == Compacted(moved=0, until=0)
    assert in_file(path) == [1, 2, 3]


def test_a_second_compaction_goes_on_where_the_first_ended(path: Path) -> None:
    """In batches of any size; the chain runs through all of them."""
    assert compact(path, before=second(2)) == Compacted(moved=1, until=1)
    assert compact(path, before=second(4)) == Compacted(moved=2, until=3)
    assert compact(path, before=None, gives_back=True) == Compacted(moved=2, until=MAY_GO)
    assert compact(path, before=None) == Compacted(moved=0, until=MAY_GO)
    assert verified(path) == Verification(events=EVENTS, first_sequence=1, last_sequence=EVENTS)


def test_batches_of_one_move_the_same(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """How many go at a time is only a question of who waits meanwhile."""
    monkeypatch.setattr(compaction, "BATCH", 1)
    assert compact(path, before=None) == Compacted(moved=MAY_GO, until=MAY_GO)
    assert in_file(archive_of(path)) == [*range(1, MAY_GO + 1)]
    assert verified(path).is_intact


def test_what_was_copied_and_not_taken_out_is_copied_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A compaction that died in between leaves the journal whole; the next one forgets what was copied too far."""
    with monkeypatch.context() as patch:
        patch.setattr(compaction, "_take_out", lambda source, until: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            compact(path, before=None)
    assert in_file(archive_of(path)) == [*range(1, MAY_GO + 1)]
    assert in_file(path) == [*range(1, EVENTS + 1)]
    assert compact(path, before=second(2)) == Compacted(moved=1, until=1)
    assert in_file(archive_of(path)) == [1]
    assert verified(path) == Verification(events=EVENTS, first_sequence=1, last_sequence=EVENTS)


def test_a_changed_event_is_not_moved(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is named, and what was copied before it is in its place."""
    monkeypatch.setattr(compaction, "BATCH", 1)
    execute(path, "UPDATE events SET payload = replace(payload, 'orders', 'quotes') WHERE sequence = 3")
    with pytest.raises(VerificationFailed, match=r"event 3 \(StreamLost\) is changed, or one before it is missing"):
        compact(path, before=None)
    assert in_file(path) == [*range(1, EVENTS + 1)]


def test_an_archive_with_another_end_gets_nothing(path: Path) -> None:
    """Events between its end and the journal's beginning would be missing for ever."""
    compact(path, before=second(4))
    execute(archive_of(path), "DELETE FROM events WHERE sequence = 3")
    with pytest.raises(VerificationFailed, match="the archive ends at event 2, the journal goes on after 3"):
        compact(path, before=None)


def test_the_archive_of_another_journal_is_left_alone(path: Path) -> None:
    """Somebody put it there."""
    compact(path, before=second(4))
    execute(archive_of(path), "UPDATE meta SET value = 'zzz999' WHERE key = 'epoch'")
    with pytest.raises(DataError, match="is the archive of another journal; nothing was moved"):
        compact(path, before=None)
    assert in_file(archive_of(path)) == [1, 2, 3]
    with JournalReader.open(path) as reader, pytest.raises(VerificationFailed, match="events up to 3 are needed"):
        list(reader.read_chained())


def test_an_archive_that_was_made_and_never_filled_is_none(path: Path) -> None:
    """A compaction may die before its first commit; readers find every event in the journal."""
    archive_of(path).touch()
    assert verified(path) == Verification(events=EVENTS, first_sequence=1, last_sequence=EVENTS)
    assert compact(path, before=None).moved == MAY_GO


@pytest.mark.parametrize(
    ("drop_before", "dropped", "left"),
    [(second(-9), 0, [1, 2, 3, 4, 5]), (second(1), 0, [1, 2, 3, 4, 5]), (second(3), 2, [3, 4, 5]), (second(99), 5, [])],
    ids=["long ago", "the first", "some", "all"],
)
def test_what_is_too_old_leaves_the_archive_for_good(path: Path, drop_before: datetime, dropped: int, left: list[int]) -> None:
    """What is left verifies from where it begins."""
    assert compact(path, before=None, drop_before=drop_before) == Compacted(moved=MAY_GO, until=MAY_GO, dropped=dropped)
    assert in_file(archive_of(path)) == left
    found = verified(path)
    assert found.is_intact
    assert found.events == EVENTS - dropped
    assert compact(path, before=None, drop_before=drop_before) == Compacted(moved=0, until=MAY_GO)


def test_a_journal_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    """Nor is an archive."""
    with pytest.raises(DataError, match="there is no journal at"):
        compact(tmp_path / "journal.sqlite", before=None)
    assert list(tmp_path.iterdir()) == []


def test_an_older_format_is_the_next_starts_to_bring_forward(path: Path) -> None:
    """Its snapshots are of another shape."""
    execute(path, "UPDATE meta SET value = '1' WHERE key = 'format'")
    with pytest.raises(DataError, match="has an older format, which the next start brings forward; nothing was moved"):
        compact(path, before=None)
    assert not archive_of(path).exists()


def test_a_file_that_cannot_be_read_is_named(path: Path) -> None:
    """No event is lost by the attempt."""
    archive_of(path).write_bytes(b"no database, and long enough to be taken for the head of one" * 20)
    with pytest.raises(DataError, match="cannot be compacted: file is not a database; no event is lost, and the next time goes on"):
        compact(path, before=None)
    assert in_file(path) == [*range(1, EVENTS + 1)]


@pytest.mark.parametrize("how", ["ABORT", "ROLLBACK"])
def test_a_batch_that_cannot_be_committed_is_taken_back(path: Path, how: str) -> None:
    """By us, or by SQLite as it does when a disk is full: half of it would be in both files and count in neither."""
    execute(path, f"CREATE TRIGGER refused BEFORE DELETE ON events WHEN old.sequence = 4 BEGIN SELECT RAISE({how}, 'refused'); END")
    with pytest.raises(DataError, match="refused"):
        compact(path, before=None)
    execute(path, "DROP TRIGGER refused")
    assert in_file(path) == [*range(1, EVENTS + 1)]
    assert verified(path) == Verification(events=EVENTS, first_sequence=1, last_sequence=EVENTS)
    assert compact(path, before=None).moved == MAY_GO
