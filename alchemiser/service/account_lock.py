"""One daemon per account on a machine, also when their state directories are different.

A second journal knows nothing of the orders of the first: two daemons on one account would fight for its cash and shares. The lock is a
file in a directory of this user; processes that cannot see it (another machine, another user, a container) are not kept out by it.
"""

import os
import stat
from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path

import structlog

from alchemiser.journal.lock import WriterLock

_log = structlog.get_logger(__name__)


def lock_directory(environ: Mapping[str, str]) -> Path:
    """Return where the locks of this user are: in ``XDG_RUNTIME_DIR``, or else in ``TMPDIR`` under the user's number."""
    runtime = environ.get("XDG_RUNTIME_DIR")
    if runtime and Path(runtime).is_dir():
        return Path(runtime) / "alchemiser"
    return Path(environ.get("TMPDIR") or "/tmp") / f"alchemiser-{os.getuid()}"  # noqa: S108 - checked below


def take_account_lock(directory: Path, trading_url: str, account_number: str) -> WriterLock | None:
    """Take the lock of an account at a venue; ``None``, with a line in the log, when there is no place for one.

    Raises ``SafetyRefused``, naming its holder, when another daemon trades the account.
    """
    name = f"{account_number}-{blake2b(trading_url.encode(), digest_size=4).hexdigest()}.lock"
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = directory.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
            raise PermissionError(f"{directory} is not a directory of this user")
        return WriterLock.of(
            directory / name,
            f"account {account_number} at {trading_url} is being traded",
            "two daemons on one account would fight for its cash and shares, so this one stops",
        )
    except OSError as error:
        _log.warning(
            "account_not_locked", account=account_number, reason=str(error), action="goes on: a second daemon would not be noticed"
        )
        return None
