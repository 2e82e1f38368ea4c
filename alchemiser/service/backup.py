"""A state directory in one file, and back: ``alchemiser backup`` and ``alchemiser restore``.

A backup is a compressed tar file. First comes ``manifest.json``: version, epoch, newest event, hash of the state, and size and digest of
each file after it. The journal is copied with SQLite's own backup, so that a daemon may be writing it meanwhile; the files beside it, the
embedded exchange's for example, are copied after it, so that the venue is never behind the journal. Locks and the door's address belong to
a process and stay behind, and so do secrets: ``settings.json`` has them masked.

A backup counts when it has been read again: every digest, and the state that its journal gives. The same is checked before a restore puts
anything into place, and a restore appears as a whole or not at all.
"""

import io
import os
import shutil
import sqlite3
import tarfile
import tempfile
from contextlib import closing
from datetime import datetime
from hashlib import blake2b
from pathlib import Path
from typing import Final

import msgspec

from alchemiser.domain.errors import AlchemiserError, DataError, SafetyRefused, VerificationFailed
from alchemiser.domain.events import Event
from alchemiser.journal.archive import archive_of
from alchemiser.journal.lock import WriterLock
from alchemiser.journal.reader import JournalReader
from alchemiser.service.offline import JOURNAL_FILE
from alchemiser.service.recovery import SNAPSHOT_VERSION, recover
from alchemiser.service.settings_load import LoadedSettings, describe
from alchemiser.service.state import JournaledState
from alchemiser.service.state_file import FILE_NAME as ADDRESS_FILE

FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
SETTINGS: Final = "settings.json"
STATE_PREFIX: Final = "state/"

_SETTINGS_ASIDE: Final = f".{SETTINGS}"
"""The name of the settings among the unpacked files of a state directory, which may hold a file of their name."""

_PIECE: Final = 1 << 20


class Piece(msgspec.Struct, frozen=True):
    """One file of a backup: its bytes and their digest."""

    bytes: int
    digest: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a backup holds.

    ``version`` is that of the program and of its folding, ``last_event`` the newest event, ``state_hash`` the hash of the state that the
    journal gives.
    """

    format: int
    version: str
    created: datetime
    epoch: str
    last_event: int
    state_hash: str
    files: dict[str, Piece]


def back_up(loaded: LoadedSettings, target: Path, *, now: datetime) -> Manifest:
    """Write the state directory of the settings into one file, also while a daemon works in it, and return what is in it.

    Raises ``DataError`` when there is no journal, the target is there already, or something cannot be read or written, and
    ``VerificationFailed`` when what was written does not verify; then there is no target.
    """
    state = loaded.settings.service.state
    if target.exists():
        raise DataError(f"{target} is there already; nothing was written")
    unfinished = target.with_name(f".{target.name}.part")
    try:
        with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as folder:
            room = Path(folder)
            names = _copy_state(state, room)
            last_event, epoch, state_hash = _state_of(room / JOURNAL_FILE)
            settings = {key: {"value": value, "from": place} for key, value, place in describe(loaded)}
            (room / _SETTINGS_ASIDE).write_bytes(msgspec.json.format(msgspec.json.encode(settings)))
            files = {SETTINGS: room / _SETTINGS_ASIDE, **{f"{STATE_PREFIX}{name}": room / name for name in names}}
            manifest = Manifest(
                format=FORMAT,
                version=SNAPSHOT_VERSION,
                created=now,
                epoch=epoch,
                last_event=last_event,
                state_hash=state_hash,
                files={name: _piece_of(path) for name, path in files.items()},
            )
            _write(unfinished, manifest, files, now)
            check_backup(unfinished)
            unfinished.rename(target)
            _sync(target.parent)
    except (OSError, sqlite3.Error) as error:
        raise DataError(f"the backup {target} cannot be written: {error}; there is none") from error
    finally:
        unfinished.unlink(missing_ok=True)
    return manifest


def check_backup(source: Path) -> Manifest:
    """Read a backup to its end and return what it holds.

    Raises ``DataError`` for a file that is no backup or is of a newer version, and ``VerificationFailed`` for one that is damaged.
    """
    with tempfile.TemporaryDirectory(prefix="alchemiser-backup-") as folder:
        return _unpack(source, Path(folder))


def restore(source: Path, state: Path) -> Manifest:
    """Put a backup into a state directory that is empty or not there, and return what it held.

    Raises ``SafetyRefused`` for a directory that holds anything, ``DataError`` for a file that is no backup, and ``VerificationFailed``
    for one that is damaged; then nothing has changed.
    """
    _refuse_what_is_there(state)
    parent = state.absolute().parent
    try:
        parent.mkdir(parents=True, exist_ok=True)
        room = Path(tempfile.mkdtemp(prefix=f".{state.name}.restore-", dir=parent))
    except OSError as error:
        raise DataError(f"{parent} cannot be written: {error.strerror}; nothing was restored") from error
    try:
        manifest = _unpack(source, room)
        (room / _SETTINGS_ASIDE).unlink(missing_ok=True)
        for path in sorted(room.iterdir()):
            _sync(path)
        _sync(room)
        _take_place(room, state)
    except OSError as error:
        raise DataError(f"{state} cannot be written: {error}; nothing was restored") from error
    finally:
        shutil.rmtree(room, ignore_errors=True)
    return manifest


def _refuse_what_is_there(state: Path) -> None:
    if not state.exists():
        return
    if WriterLock.is_held(state / JOURNAL_FILE):
        raise SafetyRefused(
            f"a daemon is running with the state directory {state}; nothing was restored (stop it, or name another directory)"
        )
    if not state.is_dir() or any(state.iterdir()):
        raise SafetyRefused(f"{state} is not empty; nothing was restored (move it away, or name another directory)")


def _take_place(room: Path, state: Path) -> None:
    if state.exists():
        try:
            state.rmdir()  # It was empty; one that has filled since stays as it is.
        except OSError as error:
            raise SafetyRefused(f"{state} is in use ({error.strerror}); nothing was restored") from error
    room.rename(state)
    _sync(state.parent)


def _copy_state(state: Path, room: Path) -> list[str]:
    """Copy what belongs to a state directory, the journal first, and return the names."""
    journal = state / JOURNAL_FILE
    if not journal.is_file():
        raise DataError(f"there is no journal in {state}; nothing was backed up")
    databases = [path for path in (journal, archive_of(journal)) if path.is_file()]
    for path in databases:
        _copy_database(path, room / path.name)
    beside = sorted(path for path in state.iterdir() if path.is_file() and not path.is_symlink() and _is_state(path.name))
    for path in beside:
        try:
            shutil.copyfile(path, room / path.name)
        except FileNotFoundError:
            continue  # It was about to go: a draft, or the switch of a kill that has ended.
    return [name for path in (*databases, *beside) if (room / (name := path.name)).exists()]


def _is_state(name: str) -> bool:
    """Return whether a file beside the journal is worth keeping: not the journal's own ones, nor what belongs to a process."""
    return not (name.startswith((".", "journal.")) or name.endswith((".lock", ".new")) or name == ADDRESS_FILE)


def _copy_database(source: Path, target: Path) -> None:
    os.close(os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    uri = f"{source.absolute().as_uri()}?mode=ro"
    with closing(sqlite3.connect(uri, uri=True)) as connection, closing(sqlite3.connect(target)) as copy:
        connection.backup(copy)
        copy.execute("PRAGMA journal_mode = DELETE")  # One file, without a log beside it.


def _state_of(journal: Path) -> tuple[int, str, str]:
    """Return the newest event, the epoch and the hash of the state of a journal whose chain holds."""
    with JournalReader.open(journal) as reader:
        chain = reader.verify()
        if not chain.is_intact:
            raise VerificationFailed(f"journal {journal.name} is damaged at event {chain.first_bad}: {chain.problem}")
        state = JournaledState(_nobody)
        recover(state, reader)
        return chain.last_sequence or 0, reader.epoch, state.hash()


def _write(target: Path, manifest: Manifest, files: dict[str, Path], now: datetime) -> None:
    head = msgspec.json.format(msgspec.json.encode(manifest))
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as raw:
        with tarfile.open(fileobj=raw, mode="w:gz", compresslevel=6) as tar:
            tar.addfile(_entry(MANIFEST, len(head), now), io.BytesIO(head))
            for name, path in files.items():
                with path.open("rb") as file:
                    tar.addfile(_entry(name, manifest.files[name].bytes, now), file)
        raw.flush()
        os.fsync(raw.fileno())


def _entry(name: str, size: int, now: datetime) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode, entry.mtime = size, 0o600, int(now.timestamp())
    return entry


def _unpack(source: Path, room: Path) -> Manifest:
    """Put the files of a backup into an empty directory, each checked, and the journal by the state that it gives."""
    if not source.is_file():
        raise DataError(f"there is no backup at {source}")
    try:
        with tarfile.open(source, mode="r:gz") as tar:
            manifest = _manifest_of(source, tar)
            found = set[str]()
            while (entry := tar.next()) is not None:
                _extract(source, tar, entry, manifest, room)
                found.add(entry.name)
    except (tarfile.TarError, EOFError, OSError, ValueError) as error:
        raise VerificationFailed(f"backup {source} is damaged: {error}; nothing was restored") from error
    missing = sorted(manifest.files.keys() - found)
    if missing:
        raise VerificationFailed(f"backup {source} is damaged: {', '.join(missing)} is missing; nothing was restored")
    try:
        last_event, epoch, state_hash = _state_of(room / JOURNAL_FILE)
    except AlchemiserError as error:
        raise VerificationFailed(f"backup {source} cannot be used: {error}; nothing was restored") from error
    if (last_event, epoch) != (manifest.last_event, manifest.epoch):
        raise VerificationFailed(f"backup {source} is damaged: its journal is another one than it says; nothing was restored")
    # Another version folds the same events in its own way: the chain proves them, the hash is not comparable.
    if manifest.version == SNAPSHOT_VERSION and state_hash != manifest.state_hash:
        raise VerificationFailed(
            f"backup {source} is damaged: its journal gives the state {state_hash}, it was written as {manifest.state_hash}; "
            "nothing was restored"
        )
    return manifest


def _manifest_of(source: Path, tar: tarfile.TarFile) -> Manifest:
    entry = tar.next()
    raw = tar.extractfile(entry) if entry is not None and entry.name == MANIFEST else None
    if raw is None:
        raise DataError(f"{source} is not a backup of this program; nothing was restored")
    data = raw.read()
    try:
        number = msgspec.json.decode(data)["format"]
        if isinstance(number, int) and number > FORMAT:
            raise DataError(f"backup {source} has format {number}, which a newer version wrote; nothing was restored")
        return msgspec.json.decode(data, type=Manifest)
    except (msgspec.DecodeError, KeyError, TypeError) as error:
        raise VerificationFailed(f"backup {source} is damaged: its manifest cannot be read ({error}); nothing was restored") from error


def _extract(source: Path, tar: tarfile.TarFile, entry: tarfile.TarInfo, manifest: Manifest, room: Path) -> None:
    promised = manifest.files.get(entry.name)
    name = _SETTINGS_ASIDE if entry.name == SETTINGS else entry.name.removeprefix(STATE_PREFIX)
    raw = tar.extractfile(entry) if promised is not None and entry.isreg() and "/" not in name else None
    if raw is None or promised is None:
        raise VerificationFailed(f"backup {source} is damaged: {entry.name!r} does not belong in it; nothing was restored")
    descriptor = os.open(room / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    digest, size = blake2b(digest_size=16), 0
    with os.fdopen(descriptor, "wb") as file:
        while piece := raw.read(_PIECE):
            digest.update(piece)
            size += file.write(piece)
    if Piece(size, digest.hexdigest()) != promised:
        raise VerificationFailed(f"backup {source} is damaged: {entry.name} is not what was written; nothing was restored")


def _piece_of(path: Path) -> Piece:
    with path.open("rb") as file:
        digest, size = blake2b(digest_size=16), 0
        while piece := file.read(_PIECE):
            digest.update(piece)
            size += len(piece)
    return Piece(size, digest.hexdigest())


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _nobody(event: Event) -> None:
    raise AssertionError(f"a replay published {type(event).__name__}")
