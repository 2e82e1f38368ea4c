"""The archive beside a journal, as a reader meets it: joined, made later, taken away, and damaged."""

from pathlib import Path

import pytest

from alchemiser.domain.errors import DataError, VerificationFailed
from alchemiser.journal.archive import archive_of
from alchemiser.journal.compaction import compact
from alchemiser.journal.reader import JournalReader
from tests.unit.journal.scenes import journal_with

EVENTS = 8
MOVED = 5
"""The snapshot keeps the event that it was taken after, and the two after it stay anyway."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A journal of a few events with a snapshot after the last but two."""
    return journal_with(tmp_path / "journal.sqlite", events=EVENTS, snapshots=[MOVED + 1])


def sequences(reader: JournalReader) -> list[int]:
    return [envelope.sequence for envelope in reader.read_chained()]


def test_journal_and_archive_read_as_one(path: Path) -> None:
    """Whoever opens the journal after a compaction finds every event, chained from the first."""
    assert compact(path, before=None).moved == MOVED
    with JournalReader.open(path) as reader:
        assert sequences(reader) == [*range(1, EVENTS + 1)]


def test_an_archive_that_is_made_later_is_joined(path: Path) -> None:
    """A reader that was there before the compaction misses nothing by it."""
    with JournalReader.open(path) as reader:
        compact(path, before=None)
        assert sequences(reader) == [*range(1, EVENTS + 1)]


def test_what_was_taken_away_is_asked_for(path: Path) -> None:
    """Without its archive a journal is read from where it begins; whoever needs what was before is told what is missing."""
    compact(path, before=None)
    archive_of(path).unlink()
    with JournalReader.open(path) as reader:
        assert [envelope.sequence for envelope in reader.read_chained(MOVED)] == [*range(MOVED + 1, EVENTS + 1)]
        with pytest.raises(VerificationFailed, match=rf"events up to {MOVED} are needed.*journal\.archive\.sqlite"):
            sequences(reader)


def test_an_archive_that_cannot_be_read_is_named(path: Path) -> None:
    """Found at the opening or by a reader that is there already: no event is given out as if nothing were missing."""
    with JournalReader.open(path) as early:
        compact(path, before=None)
        archive_of(path).write_bytes(b"not a database, and long enough to be taken for the head of one" * 20)
        with pytest.raises(DataError, match=r"the archive of journal .* cannot be read"):
            sequences(early)
    with pytest.raises(DataError, match=r"the archive of journal .* cannot be read"):
        JournalReader.open(path)
