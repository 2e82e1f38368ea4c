"""One daemon per account on a machine: also with two state directories, and never at the price of not starting."""

import os
from pathlib import Path

import pytest

from alchemiser.domain.errors import SafetyRefused
from alchemiser.service.account_lock import lock_directory, take_account_lock

URL = "https://paper-api.alpaca.markets"


def test_a_second_daemon_on_the_account_is_refused_and_the_first_is_named(tmp_path: Path) -> None:
    """Until the first has ended; other accounts, and the same number at another venue, are not concerned."""
    directory = tmp_path / "locks"
    first = take_account_lock(directory, URL, "PA1")
    assert first is not None
    with pytest.raises(SafetyRefused, match=f"account PA1 at {URL} is being traded by process {os.getpid()} on"):
        take_account_lock(directory, URL, "PA1")
    others = [take_account_lock(directory, URL, "PA2"), take_account_lock(directory, "http://127.0.0.1:1", "PA1")]
    first.release()
    for lock in (*others, take_account_lock(directory, URL, "PA1")):
        assert lock is not None
        lock.release()


def test_the_directory_is_the_users_own(tmp_path: Path) -> None:
    """Nobody else may put anything into it."""
    lock = take_account_lock(tmp_path / "locks", URL, "PA1")
    assert lock is not None
    lock.release()
    assert (tmp_path / "locks").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("what", ["a file", "a link"])
def test_without_a_place_for_the_lock_the_daemon_starts_all_the_same(tmp_path: Path, what: str) -> None:
    """The lock is a help; what is not a directory of this user is not used."""
    if what == "a file":
        (tmp_path / "locks").write_text("")
    else:
        (tmp_path / "locks").symlink_to(tmp_path)
    assert take_account_lock(tmp_path / "locks", URL, "PA1") is None
    assert not list(tmp_path.glob("PA1*"))


def test_where_the_locks_are(tmp_path: Path) -> None:
    """In the runtime directory of the user, or with the temporary files under the user's number."""
    assert tmp_path / "alchemiser" == lock_directory({"XDG_RUNTIME_DIR": str(tmp_path)})
    own = f"alchemiser-{os.getuid()}"
    assert tmp_path / own == lock_directory({"XDG_RUNTIME_DIR": str(tmp_path / "none"), "TMPDIR": str(tmp_path)})
    assert Path("/tmp") / own == lock_directory({})
