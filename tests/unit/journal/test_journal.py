"""What the journal keeps, in both ways of committing, and who may open it."""

import errno
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from alchemiser.bus.envelope import Envelope
from alchemiser.domain.errors import DataError, InvariantBroken, JournalFailed, SafetyRefused, VerificationFailed
from alchemiser.domain.events import StreamConnected, StreamLost
from alchemiser.journal.committers import INLINE_BATCH
from alchemiser.journal.format import decode_row
from alchemiser.journal.journal import Journal
from alchemiser.journal.reader import PAGE, JournalReader, StoredSnapshot
from alchemiser.journal.store import why_not_opened
from tests.unit.journal.scenes import START, a_day, envelopes_of, filled, lost, open_journal, snapshot


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the journal of a test is; its directory does not exist yet."""
    return tmp_path / "state" / "journal.sqlite"


@pytest.mark.parametrize("threaded", [True, False])
async def test_what_was_taken_comes_back_as_it_was(path: Path, *, threaded: bool) -> None:
    """Every field of the envelope, every kind of value in the events."""
    envelopes = envelopes_of(a_day())
    with open_journal(path, threaded=threaded) as journal:
        for envelope in envelopes:
            journal.append(envelope)
        await journal.durable(journal.last_sequence)

        assert envelopes == list(journal.read())
        assert journal.verify().is_intact

    with JournalReader.open(path) as reader:
        assert envelopes == list(reader.read())


async def test_both_ways_of_committing_write_the_same_rows(tmp_path: Path) -> None:
    """A simulated journal may be compared with a real one."""
    rows = []
    for threaded in (True, False):
        path = tmp_path / str(threaded) / "journal.sqlite"
        with filled(open_journal(path, threaded=threaded), range(1, 700)) as journal:
            journal.save_snapshot(snapshot("state", 600))
            await journal.durable(350)
        with closing(sqlite3.connect(path)) as connection, connection:
            tables = ("SELECT * FROM meta", "SELECT * FROM events", "SELECT * FROM snapshots")
            rows.append([connection.execute(query).fetchall() for query in tables])
        connection.close()

    assert rows[0] == rows[1]


@pytest.mark.parametrize("threaded", [True, False])
def test_a_restart_continues_the_numbering(path: Path, *, threaded: bool) -> None:
    """The epoch stays, the numbers go on, the chain does not break at the seam."""
    with filled(open_journal(path, threaded=threaded), [1, 2, 5]):
        pass
    with Journal.open(path, new_epoch=lambda: "other1", threaded=threaded) as journal:
        assert ("abc123", 5, 5) == (journal.epoch, journal.last_sequence, journal.durable_sequence)
        filled(journal, [6, 9])
    with JournalReader.open(path) as reader:
        assert [1, 2, 5, 6, 9] == [envelope.sequence for envelope in reader.read()]
        assert reader.verify().is_intact


def test_numbers_only_rise(path: Path) -> None:
    """An event that comes late has no place in the order; the process stops."""
    with filled(open_journal(path), [1, 4]) as journal, pytest.raises(InvariantBroken, match="came after"):
        journal.append(lost(3))


def test_reading_by_place_type_and_number(path: Path) -> None:
    """Also across pages."""
    with open_journal(path) as journal:
        for number in range(1, 2 * PAGE + 11):
            event = StreamConnected(at=START, stream="market") if number % 100 == 0 else lost(number).event
            journal.append(Envelope(number, event, 0.0, "20250303.1" if number % 7 == 0 else None))
    with JournalReader.open(path) as reader:
        assert 2 * PAGE + 10 == len(list(reader.read()))
        assert [2009, 2010] == [envelope.sequence for envelope in reader.read(after=2008)]
        assert [1999, 2001] == [envelope.sequence for envelope in reader.read(1998, [StreamLost], 2)]
        assert [100, 200] == [envelope.sequence for envelope in reader.read(types=[StreamConnected], until=250)]
        assert 1500 == len(list(reader.read(limit=1500)))
        assert [] == list(reader.read(types=[]))
        assert [700, 1400] == [envelope.sequence for envelope in reader.read_named(["StreamConnected"], correlation="20250303.1")]
        assert [1900, 2000] == [envelope.sequence for envelope in reader.tail(2, ["StreamConnected"])]
        assert [2002, 2009] == [envelope.sequence for envelope in reader.tail(2, correlation="20250303.1")]


async def test_a_reader_sees_what_a_live_writer_has_committed(path: Path) -> None:
    """``journal show`` works while the daemon runs, and sees nothing that could still be lost."""
    with open_journal(path) as journal:
        filled(journal, [1, 2])
        await journal.durable(2)
        filled(journal, [3])
        with JournalReader.open(path) as reader:
            assert [1, 2] == [envelope.sequence for envelope in reader.read()]
            assert 2 == reader.last_sequence

            await journal.durable(3)

            assert [1, 2, 3] == [envelope.sequence for envelope in reader.read()]
            assert reader.verify().is_intact


async def test_a_second_writer_is_refused_by_name(path: Path) -> None:
    """Two daemons on one journal would trade twice; the message names the process to look at."""
    with open_journal(path), pytest.raises(SafetyRefused, match=r"process \d+"):
        open_journal(path)
    open_journal(path).close()


def test_closing_twice_is_harmless(path: Path) -> None:
    """The second call has nothing to do."""
    journal = filled(open_journal(path), [1])
    journal.close()
    journal.close()

    assert 1 == journal.durable_sequence


async def test_durability_of_what_was_never_taken_is_that_of_the_last_event(path: Path) -> None:
    """The bus asks for its own newest number, which need not be a journaled one."""
    with filled(open_journal(path, threaded=True), [1]) as journal:
        await journal.durable(99)

        assert 1 == journal.durable_sequence


def test_a_simulation_commits_full_batches_of_itself(path: Path) -> None:
    """Memory is bounded also when nobody asks for durability."""
    measures: list[int] = []
    with open_journal(path, on_commit=lambda _, count: measures.append(count)) as journal:
        filled(journal, range(1, INLINE_BATCH + 11))

        assert INLINE_BATCH == journal.durable_sequence
        assert 10 == journal.statistics().backlog

    assert [INLINE_BATCH, 10] == measures


@pytest.mark.parametrize("threaded", [True, False])
async def test_snapshots_come_back_and_old_ones_go(path: Path, *, threaded: bool) -> None:
    """The newest comes first; the one before it is kept; other names are apart."""
    with filled(open_journal(path, threaded=threaded), range(1, 10)) as journal:
        for sequence in (3, 6, 9):
            journal.save_snapshot(snapshot("ledger", sequence))
        journal.save_snapshot(snapshot("orders", 1))

        with pytest.raises(InvariantBroken, match="claims event 10"):
            journal.save_snapshot(snapshot("ledger", 10))
    with open_journal(path) as journal:
        assert [StoredSnapshot(snapshot("ledger", at), None) for at in (9, 6)] == journal.snapshots("ledger")
        assert [StoredSnapshot(snapshot("orders", 1), None)] == journal.snapshots("orders")
        assert journal.snapshots("nothing") == []


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("UPDATE snapshots SET payload = x'00' WHERE sequence = 9", "it is changed"),
        ("UPDATE snapshots SET state_hash = 'ffff' WHERE sequence = 9", "it is changed"),
        ("UPDATE snapshots SET version = '2' WHERE sequence = 9", "it is changed"),
        ("UPDATE snapshots SET sequence = 8 WHERE sequence = 9", "it is changed"),
        ("UPDATE snapshots SET chain = 'ffff' WHERE sequence = 9", "it is changed"),
        ("UPDATE events SET checksum = 'ffff' WHERE sequence = 9", "after another event 9"),
        ("DELETE FROM events WHERE sequence = 9", "after another event 9"),
    ],
)
def test_a_snapshot_says_what_speaks_against_it(path: Path, statement: str, problem: str) -> None:
    """It is bound to every part of itself and to the event it was taken after; the older one is not touched by that."""
    with filled(open_journal(path), range(1, 10)) as journal:
        journal.save_snapshot(snapshot("state", 6))
        journal.save_snapshot(snapshot("state", 9))
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(statement)
    connection.close()

    with JournalReader.open(path) as reader:
        newest, older = reader.snapshots("state")
    assert problem in str(newest.problem)
    assert older.problem is None


def test_a_snapshot_before_every_event_is_bound_to_the_journal(path: Path) -> None:
    """The state of an empty journal is a state too."""
    with open_journal(path) as journal:
        journal.save_snapshot(snapshot("state", 0))
    with JournalReader.open(path) as reader:
        assert [StoredSnapshot(snapshot("state", 0), None)] == reader.snapshots("state")


def test_what_a_start_reads_is_checked_against_the_chain(path: Path) -> None:
    """A changed event is not given out, nor what comes after it; what lies before the place read from does not matter."""
    with filled(open_journal(path), range(1, 10)):
        pass
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE events SET causation = 77 WHERE sequence = 5")
    connection.close()

    with JournalReader.open(path) as reader:
        checked = reader.read_chained()
        assert [1, 2, 3, 4] == [next(checked).sequence for _ in range(4)]
        with pytest.raises(VerificationFailed, match=r"event 5 .* is changed"):
            next(checked)
        assert [6, 7, 8, 9] == [envelope.sequence for envelope in reader.read_chained(5)]


def test_a_place_that_cannot_be_written_is_refused_clearly(tmp_path: Path) -> None:
    """A file where the directory should be; a directory where the file should be; a file that is no database."""
    (tmp_path / "file").write_text("x")
    (tmp_path / "directory").mkdir()
    (tmp_path / "text").write_text("this is not a database, and long enough to be taken for one" * 100)

    for path in (tmp_path / "file" / "journal", tmp_path / "directory", tmp_path / "text"):
        with pytest.raises(DataError, match="cannot be opened for writing"):
            open_journal(path)
    with pytest.raises(DataError, match="no journal"):
        JournalReader.open(tmp_path / "nothing")
    with pytest.raises(DataError, match="cannot be read"):
        JournalReader.open(tmp_path / "text")


def test_a_place_without_room_is_no_mistake_of_the_settings(tmp_path: Path) -> None:
    """A supervisor tries again after the one, and a person has to come for the other."""
    with closing(sqlite3.connect(tmp_path / "small", isolation_level=None)) as connection:
        connection.executescript("CREATE TABLE first (a); PRAGMA max_page_count = 2")
        with pytest.raises(sqlite3.OperationalError) as full:
            connection.execute("CREATE TABLE second (a)")

    for error in (full.value, OSError(errno.ENOSPC, "No space left on device"), OSError(errno.EDQUOT, "Quota exceeded")):
        refused = why_not_opened(tmp_path / "journal", error)
        assert (type(refused), refused.exit_code) == (JournalFailed, 1)
        assert str(refused).endswith("nothing was started")
    assert isinstance(why_not_opened(tmp_path / "journal", PermissionError(errno.EACCES, "Permission denied")), DataError)


def test_a_journal_of_another_format_is_not_touched(path: Path) -> None:
    """Neither read nor written: who wrote it knows more."""
    open_journal(path).close()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE meta SET value = '99' WHERE key = 'format'")
    connection.close()

    with pytest.raises(DataError, match="format 99"):
        open_journal(path)
    with pytest.raises(DataError, match="format 99"):
        JournalReader.open(path)


def test_an_event_that_this_version_does_not_know_is_named(path: Path) -> None:
    """Nothing is skipped in silence."""
    with filled(open_journal(path), [1]):
        pass
    with JournalReader.open(path) as reader:
        row = next(reader.rows())

    with pytest.raises(DataError, match="event 1"):
        decode_row(row._replace(payload='{"type":"NeverHeardOf","at":"2025-03-03T20:50:00Z"}'))


def test_a_cut_end_is_noticed_when_opening(path: Path) -> None:
    """A journal that lost its newest events would repeat their orders."""
    with filled(open_journal(path), range(1, 6)):
        pass
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DELETE FROM events WHERE sequence = 5")
    connection.close()

    with pytest.raises(VerificationFailed, match="event 5 was the last"):
        open_journal(path)
    with pytest.raises(VerificationFailed):
        open_journal(path)
