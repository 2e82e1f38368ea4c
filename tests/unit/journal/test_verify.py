"""The chain of checksums finds what is changed, missing or torn, and says where."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from alchemiser.journal.format import checksum_of
from alchemiser.journal.reader import JournalReader, Verification
from tests.unit.journal.scenes import filled, open_journal


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A journal of ten events."""
    path = tmp_path / "journal.sqlite"
    with filled(open_journal(path), range(1, 11)):
        pass
    return path


def verified(path: Path, after: int = 0) -> Verification:
    """Return what verifying the journal gives."""
    with JournalReader.open(path) as reader:
        return reader.verify(after)


def test_an_intact_journal_verifies(path: Path) -> None:
    """From the start or from any place."""
    assert Verification(events=10, first_sequence=1, last_sequence=10) == verified(path)
    assert Verification(events=4, first_sequence=7, last_sequence=10) == verified(path, after=6)
    assert verified(path, after=10).is_intact


@pytest.mark.parametrize(
    ("statement", "first_bad"),
    [
        ("UPDATE events SET payload = replace(payload, 'x', 'y') WHERE sequence = 4", 4),
        ("UPDATE events SET correlation = '20250303.9' WHERE sequence = 4", 4),
        ("UPDATE events SET at = '2025-01-01T00:00:00.000000+00:00' WHERE sequence = 4", 4),
        ("UPDATE events SET causation = NULL WHERE sequence = 4", 4),
        ("UPDATE events SET sequence = 40 WHERE sequence = 4", 5),
        ("DELETE FROM events WHERE sequence = 4", 5),
        ("DELETE FROM events WHERE sequence < 4", 4),
        ("DELETE FROM events WHERE sequence > 8", 9),
        ("DELETE FROM events", 1),
        ("UPDATE meta SET value = 'zzzzzz' WHERE key = 'epoch'", 1),
        ("UPDATE events SET payload = CAST(x'ff' AS TEXT) WHERE sequence = 4", 1),
    ],
)
def test_damage_is_found_where_it_is(path: Path, statement: str, first_bad: int) -> None:
    """A changed row is named itself, a missing one by the row after it, a missing end by the number that should come."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(statement)
    connection.close()

    result = verified(path)

    assert first_bad == result.first_bad
    assert not result.is_intact


def test_a_start_that_is_not_there_is_said(path: Path) -> None:
    """Verifying after an event needs that event."""
    assert Verification(events=0, first_sequence=None, last_sequence=None, first_bad=70, problem="event 70 is missing") == verified(
        path, 70
    )


def test_an_unreadable_event_is_found_though_the_chain_holds(path: Path) -> None:
    """An event that this version does not know is as good as missing."""
    with JournalReader.open(path) as reader:
        before, last = list(reader.rows(8))
    strange = last._replace(payload='{"type":"NeverHeardOf","at":"2025-03-03T20:50:00Z"}')
    strange = strange._replace(checksum=checksum_of(strange, before.checksum))
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE events SET payload = ?, checksum = ? WHERE sequence = 10", (strange.payload, strange.checksum))
        connection.execute("UPDATE meta SET value = ? WHERE key = 'head_checksum'", (strange.checksum,))
    connection.close()

    result = verified(path)

    assert (10, 9) == (result.first_bad, result.events)
    assert "NeverHeardOf" in str(result.problem)


def test_a_damaged_page_is_reported(path: Path) -> None:
    """Also when SQLite itself cannot read on."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        page_size = int(connection.execute("PRAGMA page_size").fetchone()[0])
        root = int(connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'events'").fetchone()[0])
    connection.close()
    with path.open("r+b") as file:
        file.seek((root - 1) * page_size)
        file.write(os.urandom(page_size))

    assert "cannot be read after event 0" in str(verified(path).problem)


def tear(path: Path, torn: Path, whole: int) -> None:
    """Copy a journal whose log is cut in its last commit: frames of it are there, but not the last of them."""
    torn.write_bytes(path.read_bytes())
    log = Path(f"{path}-wal").read_bytes()
    Path(f"{torn}-wal").write_bytes(log[: whole + (len(log) - whole) // 2])


async def test_a_torn_log_loses_only_what_was_not_durable(tmp_path: Path) -> None:
    """A log cut in the middle of a commit opens at the commit before it, and the numbering goes on from there."""
    path = tmp_path / "journal.sqlite"
    torn = tmp_path / "torn" / "journal.sqlite"
    torn.parent.mkdir()
    with filled(open_journal(path), range(1, 6)) as journal:
        await journal.durable(5)
        whole = os.stat(f"{path}-wal").st_size
        filled(journal, range(6, 9))
        await journal.durable(8)
        tear(path, torn, whole)

    with open_journal(torn) as journal:
        assert 5 == journal.last_sequence
        filled(journal, [6])
    assert Verification(events=6, first_sequence=1, last_sequence=6) == verified(torn)
