"""Journals of older versions: brought forward with a copy beside them, replayed to the same state, and never half changed.

``old/`` holds real journals that earlier versions wrote, as SQL: two days of trading in two processes.
"""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from alchemiser.domain.errors import DataError
from alchemiser.journal import migrate
from alchemiser.journal.format import FORMAT_VERSION
from alchemiser.journal.journal import Journal
from alchemiser.journal.reader import JournalReader
from alchemiser.journal.replay import replay
from tests.unit.journal.scenes import filled, open_journal, snapshot

OLD = Path(__file__).parent / "old"
FORMATS = [1]
"""Every format there ever was before the present one; each has its real journal."""


def old_journal(directory: Path, number: int) -> Path:
    """Write the journal of an older version into a directory."""
    path = directory / "journal.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript((OLD / f"journal-format-{number}.sql").read_text())
        connection.execute("PRAGMA journal_mode = WAL")
    return path


def content(path: Path) -> dict[str, list[tuple[object, ...]]]:
    """Return all that a database holds, by table."""
    with closing(sqlite3.connect(path)) as connection:
        tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
        return {table: connection.execute(f"SELECT * FROM {table}").fetchall() for table in tables}  # noqa: S608 - our own tables


def test_there_is_a_journal_of_every_older_format() -> None:
    """Whoever raises the format leaves a real journal of the one before."""
    assert FORMATS == list(range(1, FORMAT_VERSION))
    assert FORMATS == sorted(migrate.STEPS)
    assert all((OLD / f"journal-format-{number}.sql").is_file() for number in FORMATS)


@pytest.mark.parametrize("number", FORMATS)
def test_an_old_journal_is_read_and_brought_forward_with_nothing_lost(tmp_path: Path, number: int) -> None:
    """Before, by a reader, and after it tells the same events; its chain holds, it takes new ones, and its copy is what it was."""
    path = old_journal(tmp_path, number)
    before = content(path)
    with JournalReader.open(path) as reader:
        told = list(reader.read())
        assert number == reader.format
        assert reader.snapshots("state") == []
        assert reader.verify().is_intact

    with open_journal(path) as journal:
        assert journal.migration is not None
        assert (number, FORMAT_VERSION) == (journal.migration.from_format, journal.migration.to_format)
        backup = journal.migration.backup
        assert told == list(journal.read())
        assert journal.verify().is_intact
        filled(journal, [journal.last_sequence + 1])
        journal.save_snapshot(snapshot("state", journal.last_sequence))

    assert before == content(backup)
    with open_journal(path) as again:
        assert again.migration is None
        assert again.snapshots("state")[0].problem is None
        assert len(told) + 1 == again.verify().events


def test_replaying_an_old_journal_gives_its_positions(tmp_path: Path) -> None:
    """Four orders, seven executions, one position, every dollar accounted for."""
    with open_journal(old_journal(tmp_path, 1)) as journal:
        replayed = replay(journal.read())

    assert {"EFA": "752.789861925"} == {symbol: str(held) for symbol, held in replayed.positions.items()}
    assert replayed.problems == ()
    assert replayed.open_orders == ()
    assert ["cancelled", "cancelled", "cancelled", "filled"] == list(replayed.orders.values())


def test_a_change_that_fails_leaves_the_journal_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a migration is none; the next start tries again, over the copy of the first."""
    path = old_journal(tmp_path, 1)
    before = content(path)
    monkeypatch.setitem(migrate.STEPS, 1, ("DROP TABLE snapshots", "DROP TABLE there_is_none"))
    with pytest.raises(DataError, match="there_is_none"):
        open_journal(path)
    assert before == content(path)

    monkeypatch.undo()
    with open_journal(path) as journal:
        assert journal.migration is not None


def test_without_a_copy_nothing_is_changed(tmp_path: Path) -> None:
    """Where the copy cannot be written, the journal is not touched."""
    path = old_journal(tmp_path, 1)
    before = content(path)
    (tmp_path / "journal.sqlite.format-1.part").mkdir()
    with pytest.raises(DataError, match="nothing was started"):
        open_journal(path)
    assert before == content(path)


@pytest.mark.parametrize(
    ("value", "words"), [("99", "format 99, which a newer version of the program wrote"), ("two", "none of ours"), ("", "none of ours")]
)
def test_what_this_version_cannot_know_is_refused_in_words(tmp_path: Path, value: str, words: str) -> None:
    """Reading and writing alike, and the file stays as it is."""
    path = tmp_path / "journal.sqlite"
    with filled(open_journal(path), [1]):
        pass
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE meta SET value = ? WHERE key = 'format'", (value,))
    connection.close()
    before = content(path)

    for opened in (open_journal, JournalReader.open):
        with pytest.raises(DataError, match=words):
            opened(path)
    assert before == content(path)


def test_an_empty_file_becomes_a_journal(tmp_path: Path) -> None:
    """A process may have died between making the file and writing into it."""
    path = tmp_path / "journal.sqlite"
    path.touch()
    with Journal.open(path, new_epoch=lambda: "abc123", threaded=False) as journal:
        assert journal.migration is None
        assert journal.epoch == "abc123"
