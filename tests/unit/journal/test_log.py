"""The room in the log: commits find it there, SQLite and a start see nothing of it, and a disk without room is none the worse for it."""

import os
import shutil
import sqlite3
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest

from alchemiser.journal.journal import Journal
from alchemiser.journal.log import LONG_BYTES, MAX_BYTES, ROOM_BYTES, Log
from alchemiser.journal.tail import torn_bytes
from tests.unit.journal.scenes import filled, open_journal
from tests.unit.journal.test_threaded import disk_of

FILES = ("", "-wal", "-head")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the journal of a test is."""
    return tmp_path / "journal.sqlite"


def log_bytes(path: Path) -> int:
    """Return how long the file of the log is."""
    return os.stat(f"{path}-wal").st_size


async def written(journal: Journal, sequence: int) -> int:
    """Commit one event and return how long the log is then."""
    filled(journal, [sequence])
    await journal.durable(sequence)
    return log_bytes(journal.path)


def log_of(path: Path) -> bytes:
    """Return what is in the log."""
    return path.with_name(f"{path.name}-wal").read_bytes()


def tear(path: Path, before: bytes) -> None:
    """Let the second half of what was written to the log since then be zeros, as it was before."""
    log = log_of(path)
    begin = next(place for place, (one, other) in enumerate(zip(before, log, strict=True)) if one != other)
    end = len(log.rstrip(b"\0"))
    middle = (begin + end) // 2
    path.with_name(f"{path.name}-wal").write_bytes(log[:middle] + bytes(len(log) - middle))


def killed(path: Path) -> Path:
    """Return a copy of what a process that is killed now would leave."""
    to = path.parent / "killed"
    to.mkdir()
    for suffix in FILES:
        shutil.copy(f"{path}{suffix}", to)
    return to / path.name


async def test_commits_find_room_instead_of_lengthening_the_file(path: Path) -> None:
    """It grows seldom and by much: whatever a commit writes besides is written once for many of them."""
    with open_journal(path, threaded=True) as journal:
        lengths = [await written(journal, sequence) for sequence in range(1, 201)]

    grown = [after - before for before, after in pairwise(lengths) if after != before]
    assert 1 <= len(grown) <= len(lengths) // 20
    assert min(grown) > ROOM_BYTES


async def test_room_is_nothing_that_a_start_sees(path: Path) -> None:
    """The zeros are behind the last commit: no event is missing, nothing is torn, and the numbering goes on."""
    with open_journal(path, threaded=True) as journal:
        for sequence in range(1, 6):
            await written(journal, sequence)
        left = killed(path)

    assert log_of(left).endswith(bytes(ROOM_BYTES // 2))
    assert torn_bytes(left) == 0
    with open_journal(left, threaded=True) as journal:
        assert journal.tail.is_whole
        assert journal.last_sequence == 5
        await written(journal, 6)
        assert journal.verify().is_intact


async def test_a_commit_that_was_torn_in_the_room_is_told(path: Path) -> None:
    """A page of the last commit that did not reach the disk is zeros again; SQLite drops that commit, and the start says so."""
    with open_journal(path, threaded=True) as journal:
        await written(journal, 1)
        await written(journal, 2)
        before = log_of(path)
        await written(journal, 3)
        left = killed(path)
    tear(left, before)

    with open_journal(left) as journal:
        assert journal.tail.last_event == 2
        assert journal.tail.promised_event == 3
        assert journal.tail.torn_bytes > 0
        assert journal.verify().is_intact


def test_room_for_a_log_that_has_not_begun_is_nothing_torn(path: Path) -> None:
    """Another process may have cut the log to nothing just before room was laid out."""
    with open_journal(path) as journal:
        filled(journal, [1, 2])
    Path(f"{path}-wal").write_bytes(bytes(ROOM_BYTES))
    assert torn_bytes(path) == 0
    with open_journal(path) as journal:
        assert journal.tail.is_whole
        assert journal.last_sequence == 2


async def test_a_journal_on_the_loop_lays_out_nothing(path: Path) -> None:
    """It does not flush either."""
    with open_journal(path) as journal:
        assert await written(journal, 1) < ROOM_BYTES


async def test_where_there_is_no_room_the_log_grows_as_it_would_have(path: Path) -> None:
    """Room that is not to be had is no failure, and is not asked for again; what the disk does take is durable."""
    with open_journal(path, threaded=True) as journal:
        with disk_of(log_bytes(path)):
            await written(journal, 1)
        for sequence in range(2, 6):
            assert await written(journal, sequence) < ROOM_BYTES
        assert journal.durable_sequence == 5
        assert journal.verify().is_intact


def test_a_log_that_is_gone_is_of_no_length(tmp_path: Path) -> None:
    """SQLite makes it anew when it needs it."""
    log = Log(tmp_path / "journal.sqlite", has_room=True)
    log.committed()
    assert not log.is_long
    assert not (tmp_path / "journal.sqlite-wal").exists()


@pytest.mark.parametrize(
    ("size", "is_long", "is_too_long"),
    [(LONG_BYTES, False, False), (LONG_BYTES + 1, True, False), (MAX_BYTES, True, False), (MAX_BYTES + 1, True, True)],
)
def test_how_long_a_log_is_is_known_after_each_commit(tmp_path: Path, size: int, *, is_long: bool, is_too_long: bool) -> None:
    """A long one is the thread's to commit to, as it may be due for a checkpoint; one that is too long is checkpointed."""
    path = tmp_path / "journal.sqlite"
    Path(f"{path}-wal").touch()
    os.truncate(f"{path}-wal", size)
    log = Log(path, has_room=False)
    log.committed()
    assert (log.is_long, log.is_too_long) == (is_long, is_too_long)


async def test_the_room_is_used_again_after_a_checkpoint(path: Path) -> None:
    """The log begins anew in the same file, which is not lengthened for it."""
    with open_journal(path, threaded=True) as journal:
        length = [await written(journal, sequence) for sequence in range(1, 41)][-1]
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("PRAGMA wal_checkpoint(PASSIVE)")
        assert {await written(journal, sequence) for sequence in range(41, 51)} == {length}
        assert torn_bytes(path) == 0
