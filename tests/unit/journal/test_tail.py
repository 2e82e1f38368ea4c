"""The end of the journal: a log that is cut anywhere is told as SQLite sees it, and lost promises are told from broken ones."""

import shutil
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import pytest

from alchemiser.bus.bus import Bus
from alchemiser.domain.events import DaemonStopping
from alchemiser.journal.journal import Journal
from alchemiser.journal.lock import WriterLock
from alchemiser.journal.reader import JournalReader
from alchemiser.journal.tail import Head, HeadNote, Tail, read_note, torn_bytes
from alchemiser.service.clock import VirtualClock
from alchemiser.service.verification import verify_journal

START = datetime(2025, 3, 3, 14, tzinfo=UTC)
EPOCH = "abc123"


def opened(path: Path) -> Journal:
    """Open a journal as a service does, on the loop."""
    return Journal.open(path, new_epoch=lambda: EPOCH, threaded=False)


async def written(path: Path, commits: int, *, events: int = 3) -> list[int]:
    """Write so many commits and return how long the log was after each; the journal is left as a killed process leaves it."""
    lengths = []
    with opened(path) as journal:
        bus = Bus(clock=VirtualClock(START), tap=journal, first_sequence=journal.last_sequence + 1)
        for _ in range(commits):
            for number in range(events):
                bus.post(DaemonStopping(at=START + timedelta(seconds=number), reason="r" * 900))
            await bus.durable()
            lengths.append(log_of(path).stat().st_size)
        killed = path.parent / "killed"
        killed.mkdir()
        for suffix in ("", "-wal", "-head"):
            shutil.copy(f"{path}{suffix}", killed)
    return lengths


def log_of(path: Path) -> Path:
    """Return the log of a journal."""
    return path.with_name(f"{path.name}-wal")


def copied(killed: Path, to: Path, log: bytes | None = None, *, noted: bool = True) -> Path:
    """Return a copy of what a killed process left, with this log."""
    to.mkdir()
    for file in killed.iterdir():
        if noted or not file.name.endswith("-head"):
            shutil.copy(file, to)
    if log is not None:
        log_of(to / "journal.sqlite").write_bytes(log)
    return to / "journal.sqlite"


def newest(path: Path) -> int:
    """Return the newest event that SQLite finds; the files stay what they were."""
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        return int(connection.execute("SELECT coalesce(max(sequence), 0) FROM events").fetchone()[0])


async def test_a_log_cut_anywhere_is_told_as_sqlite_finds_it(tmp_path: Path) -> None:
    """At every boundary of a frame and beside it: what is torn is what is after the last whole commit, and no promise is forgotten."""
    lengths = await written(tmp_path / "journal.sqlite", 4)
    killed, page = tmp_path / "killed", 4096 + 24
    log = log_of(killed / "journal.sqlite").read_bytes()
    assert lengths[-1] == len(log)
    cuts = {32 + frame * page + beside for frame in range((len(log) - 32) // page + 1) for beside in (-1, 0, 1, 12, 24)}
    commits_end = [32, *lengths]
    for cut in sorted(cut for cut in cuts if lengths[0] <= cut <= len(log)):
        path = copied(killed, tmp_path / f"cut-{cut}", log[:cut])
        whole = max(end for end in commits_end if end <= cut)
        events = 3 * lengths.index(whole) + 3
        assert torn_bytes(path) == cut - whole
        with JournalReader.open(path) as reader:
            found = verify_journal(reader)
        promised = 12 if events < 12 else None
        assert found.tail == Tail(last_event=events, torn_bytes=cut - whole, promised_event=promised)
        assert found.is_intact == (promised is None)
        assert newest(path) == events
        with opened(path) as journal:
            assert journal.tail == found.tail


@pytest.mark.parametrize("seed", range(20))
async def test_a_damaged_log_is_told_as_sqlite_finds_it(tmp_path: Path, seed: int) -> None:
    """One changed byte anywhere drops the commit it is in and all after it: these are lost promises, and they are named."""
    lengths = await written(tmp_path / "journal.sqlite", 4)
    random, log = Random(seed), bytearray(log_of(tmp_path / "killed" / "journal.sqlite").read_bytes())
    place = random.randrange(lengths[0], len(log))
    log[place] ^= 1 << random.randrange(8)
    path = copied(tmp_path / "killed", tmp_path / "damaged", bytes(log))
    whole = max(end for end in lengths if end <= place)

    with opened(path) as journal:
        tail = journal.tail
    assert tail.last_event == 3 * lengths.index(whole) + 3
    assert tail.promised_event == 12
    assert "events up to 12 had been durable" in tail.text
    # Damaged salts make a frame look as if an earlier round of the log had left it: only the note knows then.
    assert tail.torn_bytes in (0, len(log) - whole)


async def test_an_earlier_round_of_the_log_is_nothing_torn(tmp_path: Path) -> None:
    """After a checkpoint the log begins anew in the same file, and what is left behind its end is of no concern."""
    path = tmp_path / "journal.sqlite"
    with opened(path) as journal:
        bus = Bus(clock=VirtualClock(START), tap=journal)
        for events in (40, 1):
            for _ in range(events):
                bus.post(DaemonStopping(at=START, reason="r" * 900))
            await bus.durable()
            journal._committer._writer.checkpoint()  # type: ignore[attr-defined]
        bus.post(DaemonStopping(at=START, reason="the newest"))
        await bus.durable()
        assert torn_bytes(path) == 0
        (tmp_path / "killed").mkdir()
        for suffix in ("", "-wal", "-head"):
            shutil.copy(f"{path}{suffix}", tmp_path / "killed")
    with opened(tmp_path / "killed" / "journal.sqlite") as journal:
        assert journal.tail == Tail(last_event=42)


@pytest.mark.parametrize(("log", "torn"), [(b"", 0), (b"x" * 20, 20), (b"x" * 5000, 5000)])
async def test_a_log_without_a_head_is_torn_as_a_whole(tmp_path: Path, log: bytes, torn: int) -> None:
    """Not even its first lines were written."""
    await written(tmp_path / "journal.sqlite", 1)
    path = copied(tmp_path / "killed", tmp_path / "headless", log, noted=False)
    assert torn_bytes(path) == torn


async def test_a_head_that_is_damaged_loses_the_whole_log(tmp_path: Path) -> None:
    """SQLite does not look behind it."""
    await written(tmp_path / "journal.sqlite", 2)
    log = bytearray(log_of(tmp_path / "killed" / "journal.sqlite").read_bytes())
    log[14] ^= 1
    path = copied(tmp_path / "killed", tmp_path / "damaged", bytes(log))
    assert torn_bytes(path) == len(log) - 32


def test_a_journal_without_a_log_is_whole(tmp_path: Path) -> None:
    """An orderly end leaves none."""
    opened(tmp_path / "journal.sqlite").close()
    assert torn_bytes(tmp_path / "journal.sqlite") == 0


async def test_an_older_copy_is_told(tmp_path: Path) -> None:
    """Somebody put a copy of yesterday in the place of the journal: what it lacks is named, once, until the next commit."""
    path = tmp_path / "journal.sqlite"
    with opened(path) as journal:
        bus = Bus(clock=VirtualClock(START), tap=journal)
        bus.post(DaemonStopping(at=START, reason="one"))
    shutil.copy(path, tmp_path / "copy")
    with opened(path) as journal:
        bus = Bus(clock=VirtualClock(START), tap=journal, first_sequence=2)
        for reason in ("two", "three"):
            bus.post(DaemonStopping(at=START, reason=reason))
    shutil.copy(tmp_path / "copy", path)
    with opened(path) as journal:
        assert journal.tail == Tail(last_event=1, promised_event=3)
        assert "events up to 3 had been durable, those after 1 are gone" in journal.tail.text
    with opened(path) as journal:
        assert not journal.tail.is_whole
        Bus(clock=VirtualClock(START), tap=journal, first_sequence=2).post(DaemonStopping(at=START, reason="another two"))
    with opened(path) as journal:
        assert journal.tail.is_whole
        assert journal.tail.text == ""


async def test_another_past_is_told(tmp_path: Path) -> None:
    """The event that was promised has the number of one that is there, and is another."""
    path = tmp_path / "journal.sqlite"
    with opened(path) as journal:
        Bus(clock=VirtualClock(START), tap=journal).post(DaemonStopping(at=START, reason="one"))
    note = HeadNote(path)
    note.write(Head(EPOCH, 1, "another-checksum"))
    note.close()
    with opened(path) as journal:
        assert journal.tail.promised_event == 1
        assert "is not what led to it" in journal.tail.text


@pytest.mark.parametrize("note", [None, b"", b"abc123 9", b"abc123 nine ffff 00", b"abc123 9 ffff 0000000000000000\n", b"\xff" * 128])
async def test_a_note_that_cannot_be_read_says_nothing(tmp_path: Path, note: bytes | None) -> None:
    """It is a witness, not a part of the journal: without it the journal is what it is."""
    path = tmp_path / "journal.sqlite"
    with opened(path) as journal:
        Bus(clock=VirtualClock(START), tap=journal).post(DaemonStopping(at=START, reason="one"))
    beside = tmp_path / "journal.sqlite-head"
    beside.unlink() if note is None else beside.write_bytes(note)
    assert read_note(path) is None
    with opened(path) as journal:
        assert journal.tail == Tail(last_event=1)


async def test_the_note_of_another_journal_says_nothing(tmp_path: Path) -> None:
    """A new journal in the place of an old one has another epoch."""
    path = tmp_path / "journal.sqlite"
    note = HeadNote(path)
    note.write(Head("zzz999", 70, "ffff"))
    note.close()
    with opened(path) as journal:
        assert journal.tail.is_whole


async def test_a_journal_that_is_being_written_is_not_called_torn(tmp_path: Path) -> None:
    """A reader beside a daemon may see half of a commit, which is not torn but under way."""
    await written(tmp_path / "journal.sqlite", 2)
    log = log_of(tmp_path / "killed" / "journal.sqlite").read_bytes()
    path = copied(tmp_path / "killed", tmp_path / "live", log + log[32:3000])
    with JournalReader.open(path) as reader:
        assert reader.look_at_end().torn_bytes == 2968
        lock = WriterLock.take(path)
        assert reader.look_at_end().torn_bytes == 0
        lock.release()
        assert reader.look_at_end().torn_bytes == 2968
