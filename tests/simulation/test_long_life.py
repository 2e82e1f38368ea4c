"""A state directory over the months: old events leave the journal, it is put away and taken out again, and the state stays what it was."""

import gzip
import io
import json
import shutil
import sqlite3
import tarfile
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from alchemiser.cli.app import run
from alchemiser.domain.errors import DataError, SafetyRefused, VerificationFailed
from alchemiser.domain.events import ResultReported
from alchemiser.journal import compaction
from alchemiser.journal.archive import archive_of
from alchemiser.journal.compaction import compact
from alchemiser.journal.lock import WriterLock
from alchemiser.journal.reader import JournalReader
from alchemiser.service import recovery
from alchemiser.service.backup import MANIFEST, SETTINGS, back_up, check_backup, restore
from alchemiser.service.clock import VirtualClock
from alchemiser.service.offline import JOURNAL_FILE, view_from_journal
from alchemiser.service.settings_load import load_settings
from alchemiser.service.verification import JournalVerification, verify_journal
from tests.simulation.days import journal_of, simulate
from tests.simulation.test_days import of_type

pytestmark = pytest.mark.slow

NOW = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)
SECRET = "a-planted-secret-key"


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state directory in which three days were traded."""
    state = tmp_path_factory.mktemp("lived") / "state"
    assert simulate(state, days=3) == 0
    return state


@pytest.fixture
def state(lived: Path, tmp_path: Path) -> Path:
    """A copy of it for one test."""
    return Path(shutil.copytree(lived, tmp_path / "state"))


def verified(state: Path) -> JournalVerification:
    """Return what a check of everything finds."""
    with JournalReader.open(state / JOURNAL_FILE) as reader:
        return verify_journal(reader)


def rows_in(path: Path) -> int:
    """Return how many events a file holds itself."""
    with sqlite3.connect(path) as connection:
        return int(connection.execute("SELECT count(*) FROM events").fetchone()[0])


def continued(state: Path) -> None:
    """Trade the day after the three, and check that all is well."""
    before = len(of_type(journal_of(state), ResultReported))
    assert simulate(state, start=date(2025, 1, 7)) == 0
    assert len(of_type(journal_of(state), ResultReported)) == before + 1
    found = verified(state)
    assert found.is_intact, found.first_problem


# --- compaction ---


def test_a_compaction_changes_neither_the_events_nor_the_state(state: Path) -> None:
    """All events but the last few are in the archive; read together they are what they were, and a replay of them gives the same state."""
    events, before = journal_of(state), verified(state)

    done = compact(state / JOURNAL_FILE, before=None, gives_back=True)

    assert before.is_intact
    assert done.moved > len(events) * 0.9
    assert rows_in(state / JOURNAL_FILE) == len(events) - done.moved
    assert rows_in(archive_of(state / JOURNAL_FILE)) == done.moved
    assert journal_of(state) == events
    after = verified(state)
    assert after.is_intact, after.first_problem
    assert (after.state_hash, after.chain) == (before.state_hash, before.chain)
    assert all(check.problem is None and check.note is None for check in after.snapshots)
    assert compact(state / JOURNAL_FILE, before=None).moved == 0
    continued(state)


def test_only_what_is_old_enough_is_moved(state: Path) -> None:
    """Events from after the given moment stay in the journal."""
    moment = datetime(2025, 1, 3, 12, 0, tzinfo=UTC)
    old = [envelope for envelope in journal_of(state) if envelope.event.at < moment]

    done = compact(state / JOURNAL_FILE, before=moment)

    assert 0 < len(old) == done.moved
    assert done.until == old[-1].sequence
    assert verified(state).is_intact


class Cut(BaseException):
    """The process ended here."""


class CutConnection(sqlite3.Connection):
    """A connection that dies at the n-th end of a transaction, before it or just after it."""

    left = 0
    is_after = False

    def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
        """Count the commits of all connections, and die at the one that was chosen."""
        if sql in ("COMMIT", "VACUUM"):
            CutConnection.left -= 1
            if CutConnection.left == 0:
                if CutConnection.is_after:
                    super().execute(sql, *parameters)
                raise Cut
        return super().execute(sql, *parameters)


@pytest.fixture
def cut_at(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int, bool], None]]:
    """Let the compaction's connections die at a chosen end of a transaction; batches are small, so that there are many."""
    real = sqlite3.connect
    monkeypatch.setattr(compaction, "BATCH", 60)
    monkeypatch.setattr(f"{compaction.__name__}.sqlite3.connect", lambda *args, **options: real(*args, factory=CutConnection, **options))

    def choose(number: int, is_after: bool) -> None:
        CutConnection.left, CutConnection.is_after = number, is_after

    yield choose
    CutConnection.left = 0


@pytest.mark.parametrize("is_after", [False, True], ids=["before", "after"])
def test_a_compaction_may_end_at_any_commit(state: Path, tmp_path: Path, cut_at: Callable[[int, bool], None], is_after: bool) -> None:
    """Wherever the process dies, readers see the same events and the same state, and the next compaction finishes the work."""
    events, before = journal_of(state), verified(state)
    number = 0
    while True:
        number += 1
        copy = Path(shutil.copytree(state, tmp_path / f"cut-{number}"))
        cut_at(number, is_after)
        try:
            compact(copy / JOURNAL_FILE, before=None, gives_back=True)
        except Cut:
            pass
        else:
            break
        assert journal_of(copy) == events, number
        cut_at(0, False)
        compact(copy / JOURNAL_FILE, before=None)
        after = verified(copy)
        assert after.is_intact, (number, after.first_problem)
        assert (after.state_hash, after.chain) == (before.state_hash, before.chain), number
        shutil.rmtree(copy)
    assert number > 6


def test_an_open_reader_sees_what_is_moved_under_it(state: Path) -> None:
    """A reader that was open before there was an archive, as the daemon's own, misses nothing."""
    events = journal_of(state)
    with JournalReader.open(state / JOURNAL_FILE) as reader:
        pages = reader.read()
        first = next(pages)
        compact(state / JOURNAL_FILE, before=None)
        assert [first, *pages] == events
        assert list(reader.read()) == events
        assert reader.tail(len(events)) == events
        assert reader.last_sequence == events[-1].sequence


def test_a_changed_event_is_not_moved(state: Path) -> None:
    """A compaction never makes a damaged journal look whole."""
    with sqlite3.connect(state / JOURNAL_FILE) as connection:
        connection.execute("UPDATE events SET time = time + 1 WHERE sequence = (SELECT sequence FROM events LIMIT 1 OFFSET 20)")
    connection.close()

    with pytest.raises(VerificationFailed, match="is changed"):
        compact(state / JOURNAL_FILE, before=None)

    assert not verified(state).is_intact
    assert rows_in(state / JOURNAL_FILE) > 20


def test_an_archive_of_another_journal_is_refused(state: Path, tmp_path: Path) -> None:
    """Two histories are never mixed, neither by a compaction nor by a reader."""
    other = tmp_path / "other"
    simulate(other, seed=8)
    compact(other / JOURNAL_FILE, before=None)
    shutil.copy(archive_of(other / JOURNAL_FILE), archive_of(state / JOURNAL_FILE))

    assert verified(state).is_intact
    with pytest.raises(DataError, match="another journal"):
        compact(state / JOURNAL_FILE, before=None)


def test_a_journal_without_its_archive_goes_on(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A start needs only the snapshots; a version that folds anew needs the archive and asks for it instead of guessing."""
    before = verified(state).state_hash
    compact(state / JOURNAL_FILE, before=None)
    archive = archive_of(state / JOURNAL_FILE)
    away = archive.rename(archive.with_suffix(".away"))

    found = verified(state)
    assert found.is_intact, found.first_problem
    assert found.begins_after > 0
    assert found.state_hash == before
    continued(state)

    monkeypatch.setattr(recovery, "SNAPSHOT_VERSION", "newer")
    with pytest.raises(VerificationFailed, match="put it back"):
        view_from_journal(state)
    away.rename(archive)
    view_from_journal(state)


def test_the_archive_lets_go_of_what_is_too_old(state: Path) -> None:
    """What was deleted for good is gone, what is left is checked from there on, and later events follow it into the archive."""
    before = verified(state).state_hash
    done = compact(state / JOURNAL_FILE, before=None, drop_before=datetime(2025, 1, 3, 12, 0, tzinfo=UTC))

    found = verified(state)
    assert 0 < done.dropped < done.moved
    assert found.is_intact, found.first_problem
    assert found.state_hash == before
    assert found.chain.events == rows_in(state / JOURNAL_FILE) + done.moved - done.dropped
    continued(state)
    assert compact(state / JOURNAL_FILE, before=None).moved > 0
    assert verified(state).is_intact


def test_the_daemon_compacts_after_each_session(lived: Path, tmp_path: Path) -> None:
    """Told to keep a day, it moves the older ones after the close, and writes the same journal as one that keeps all."""
    kept = tmp_path / "kept"
    assert simulate(kept, days=3, overrides={"journal.retention_days": 1}) == 0

    found = verified(kept)
    assert found.is_intact, found.first_problem
    first_day = [envelope for envelope in journal_of(kept) if envelope.event.at.date() == date(2025, 1, 2)]
    assert rows_in(archive_of(kept / JOURNAL_FILE)) > len(first_day) * 0.9
    assert journal_of(kept) == journal_of(lived)
    assert found.state_hash == verified(lived).state_hash


def test_days_of_the_archive_and_of_the_journal_go_together(tmp_path: Path) -> None:
    """An archive that would let go of what the journal still keeps is a mistake in the settings."""
    for settings in ({"journal.archive_days": 5}, {"journal.archive_days": 5, "journal.retention_days": 6}):
        with pytest.raises(Exception, match="archive_days"):
            load_settings(overrides=settings, environ={}, directory=tmp_path, secrets=())


def test_compact_by_hand(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command proves the state before and after, shrinks the file, and refuses while a daemon writes."""
    before = verified(state).state_hash
    size = (state / JOURNAL_FILE).stat().st_size

    assert run(["journal", "compact", "--state", str(state), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["state_hash"] == before
    assert told["moved"] > 0
    assert (state / JOURNAL_FILE).stat().st_size == told["bytes_after"] < size

    lock = WriterLock.take(state / JOURNAL_FILE)
    assert run(["journal", "compact", "--state", str(state)]) == 4
    lock.release()
    assert run(["journal", "compact", "--state", str(state), "--days", "3650"]) == 0
    assert "0 events moved" in capsys.readouterr().out
    assert run(["journal", "compact", "--state", str(state / "none")]) == 3


# --- backup ---


def backed_up(state: Path, target: Path) -> Path:
    """Write a backup of a state directory, with a secret among the settings."""
    loaded = load_settings(
        overrides={"service.state": state}, environ={"APCA_API_SECRET_KEY": SECRET, "APCA_API_KEY_ID": SECRET}, directory=state, secrets=()
    )
    back_up(loaded, target, now=NOW)
    return target


def test_a_restored_daemon_carries_on(state: Path, tmp_path: Path) -> None:
    """What comes back has the same state, files and modes, and trades the next day; half of it may be in the archive."""
    compact(state / JOURNAL_FILE, before=datetime(2025, 1, 3, 12, 0, tzinfo=UTC))
    (state / "KILL").write_text("a switch that was pulled")
    (state / SETTINGS).write_text("{}")  # A file of a person, with the name that the backup gives to its settings.
    before = verified(state)
    backup = backed_up(state, tmp_path / "backup.tgz")

    manifest = restore(backup, tmp_path / "new" / "state")

    assert manifest.state_hash == before.state_hash
    new = tmp_path / "new" / "state"
    assert verified(new).chain == before.chain
    assert (new / "KILL").read_text() == "a switch that was pulled"
    assert (new / SETTINGS).read_text() == "{}"
    assert all(path.stat().st_mode & 0o077 == 0 for path in [new, *new.iterdir()])
    assert backup.stat().st_mode & 0o077 == 0
    (new / "KILL").unlink()
    continued(new)


def test_a_backup_of_a_daemon_at_work(tmp_path: Path) -> None:
    """It can be taken in the middle of a session; what it holds verifies, is older than the end, and trades on from there."""
    state, backup = tmp_path / "state", tmp_path / "backup.tgz"

    async def operator(clock: VirtualClock) -> None:
        await clock.sleep((datetime(2025, 1, 2, 20, 50, 4, tzinfo=UTC) - clock.now()).total_seconds())
        assert WriterLock.is_held(state / JOURNAL_FILE)
        backed_up(state, backup)
        with pytest.raises(SafetyRefused, match="daemon is running"):
            restore(backup, state)

    assert simulate(state, beside=operator) == 0

    manifest = restore(backup, tmp_path / "restored")
    assert 0 < manifest.last_event < journal_of(state)[-1].sequence
    assert verified(tmp_path / "restored").is_intact
    assert simulate(tmp_path / "restored") == 0
    assert verified(tmp_path / "restored").is_intact


def test_no_secret_is_in_a_backup(state: Path, tmp_path: Path) -> None:
    """The settings are in it, their secrets masked."""
    with tarfile.open(backed_up(state, tmp_path / "backup.tgz")) as tar:
        contents = {entry.name: file.read() for entry in tar if (file := tar.extractfile(entry)) is not None}

    assert json.loads(contents[SETTINGS])["alpaca.secret_key"]["value"] == "**********"
    assert all(SECRET.encode() not in content for content in contents.values())


def rewritten(backup: Path, change: Callable[[str, bytes], bytes | None]) -> None:
    """Write a backup again with other contents; ``None`` leaves a file out."""
    with tarfile.open(backup) as tar:
        contents = [(entry.name, file.read()) for entry in tar if (file := tar.extractfile(entry)) is not None]
    with tarfile.open(backup, "w:gz") as tar:
        for name, content in contents:
            new = change(name, content)
            if new is not None:
                entry = tarfile.TarInfo(name)
                entry.size = len(new)
                tar.addfile(entry, io.BytesIO(new))


def with_another_hash(name: str, content: bytes) -> bytes:
    """Change the hash of the state in the manifest."""
    if name != MANIFEST:
        return content
    return json.dumps({**json.loads(content), "state_hash": "0" * 32}).encode()


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda name, content: content[:-1] + b"?" if name.endswith("exchange.state") else content, id="an edited file"),
        pytest.param(lambda name, content: None if name.endswith("exchange.state") else content, id="a missing file"),
        pytest.param(lambda name, content: b"{}" if name == MANIFEST else content, id="an empty manifest"),
        pytest.param(lambda name, content: content[:-2] if name == MANIFEST else content, id="a torn manifest"),
        pytest.param(with_another_hash, id="another state"),
    ],
)
def test_an_edited_backup_is_refused(state: Path, tmp_path: Path, change: Callable[[str, bytes], bytes | None]) -> None:
    """With exit code 6, and nothing is put into place."""
    backup = backed_up(state, tmp_path / "backup.tgz")
    rewritten(backup, change)

    assert run(["restore", str(backup), "--state", str(tmp_path / "new")]) == 6
    assert not (tmp_path / "new").exists()
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_files_with_paths_are_refused(state: Path, tmp_path: Path) -> None:
    """A file in a backup cannot leave the state directory."""
    backup = backed_up(state, tmp_path / "backup.tgz")

    def climb(name: str, content: bytes) -> bytes:
        return content.replace(b"state/exchange.state.events", b"../exchange.state.events") if name == MANIFEST else content

    rewritten(backup, climb)
    with pytest.raises(VerificationFailed, match="does not belong"):
        restore(backup, tmp_path / "new")


@pytest.mark.parametrize("part", [0.0, 0.1, 0.5, 0.99])
def test_a_torn_backup_is_refused(state: Path, tmp_path: Path, part: float) -> None:
    """Wherever it was cut off."""
    backup = backed_up(state, tmp_path / "backup.tgz")
    backup.write_bytes(backup.read_bytes()[: int(backup.stat().st_size * part)])

    with pytest.raises((DataError, VerificationFailed)):
        check_backup(backup)
    assert run(["restore", str(backup), "--state", str(tmp_path / "new")]) in (3, 6)
    assert not (tmp_path / "new").exists()


def test_what_is_no_backup_is_refused(state: Path, tmp_path: Path) -> None:
    """Other files, files that are not there, and formats of the future, each with its words and exit code 3."""
    other = tmp_path / "other.tgz"
    with tarfile.open(other, "w:gz") as tar:
        tar.add(state / JOURNAL_FILE, arcname="journal")
    with pytest.raises(DataError, match="not a backup"):
        restore(other, tmp_path / "new")
    assert run(["restore", str(tmp_path / "none.tgz"), "--state", str(tmp_path / "new")]) == 3

    backup = backed_up(state, tmp_path / "backup.tgz")
    rewritten(backup, lambda name, content: content.replace(b'"format": 1', b'"format": 2') if name == MANIFEST else content)
    with pytest.raises(DataError, match="newer version"):
        restore(backup, tmp_path / "new")


def test_backup_and_restore_by_hand(state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The commands answer in words and in JSON, never write over anything, and say what stands in the way."""
    backup, new = tmp_path / "backup.tgz", tmp_path / "new"
    assert run(["backup", str(backup), "--state", str(state), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["state_hash"] == verified(state).state_hash
    assert run(["backup", str(backup), "--state", str(state)]) == 3
    with gzip.open(backup) as file:
        assert file.read(len(MANIFEST)).decode() == MANIFEST  # First, so that it can be shown without unpacking the rest.

    new.mkdir()
    assert run(["restore", str(backup), "--state", str(new)]) == 0
    assert told["state_hash"] in capsys.readouterr().out
    assert run(["restore", str(backup), "--state", str(new)]) == 4
    assert run(["restore", str(backup)]) == 2
    assert run(["backup", str(tmp_path / "none.tgz"), "--state", str(tmp_path / "empty")]) == 3
    assert not (tmp_path / "none.tgz").exists()


def test_a_damaged_journal_is_not_backed_up(state: Path, tmp_path: Path) -> None:
    """A backup that could not be used is none."""
    with sqlite3.connect(state / JOURNAL_FILE) as connection:
        connection.execute("UPDATE events SET time = time + 1 WHERE sequence = (SELECT sequence FROM events LIMIT 1 OFFSET 20)")
    connection.close()

    assert run(["backup", str(tmp_path / "backup.tgz"), "--state", str(state)]) == 6
    assert not (tmp_path / "backup.tgz").exists()
