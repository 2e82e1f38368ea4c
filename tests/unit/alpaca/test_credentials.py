"""A key that is changed while it is in use: read again when it is refused, and kept when its source is gone."""

import pytest
from pydantic import SecretStr

from alchemiser.alpaca.credentials import LOOK_AGAIN_SECONDS, Credentials, RenewableCredentials
from alchemiser.domain.errors import ConfigError
from tests.solipsism import virtual


def pair(name: str) -> Credentials:
    """Return a key pair."""
    return Credentials(key_id=SecretStr(f"id of {name}"), secret_key=SecretStr(f"secret of {name}"))


class Wall:
    """A clock that is set by hand."""

    seconds = 0.0

    def monotonic(self) -> float:
        """Return the seconds."""
        return self.seconds


class Source:
    """Where the key stands: another one later, or none."""

    def __init__(self) -> None:
        self.now: Credentials | None = pair("old")
        self.reads = 0

    def __call__(self) -> Credentials:
        """Return the key as it stands now."""
        self.reads += 1
        if self.now is None:
            raise ConfigError("the key is not there any more")
        return self.now


def test_a_key_that_never_changes_is_not_renewed() -> None:
    """The plain pair says so, and refusals stay what they are."""
    assert pair("old").renew() is False
    assert pair("old").generation == 0


def test_a_new_key_is_taken_once() -> None:
    """The second refusal of many finds the generation changed instead of reading again."""

    async def main() -> None:
        source, clock = Source(), Wall()
        keys = RenewableCredentials(pair("old"), source, clock=clock)  # type: ignore[arg-type]
        assert keys.renew() is False
        assert keys.renew() is False
        assert source.reads == 1
        source.now = pair("new")
        clock.seconds += LOOK_AGAIN_SECONDS
        assert keys.renew() is True
        assert keys.generation == 1
        assert keys.changed.is_set()
        assert keys.headers() == pair("new").headers()
        assert keys.auth_message() == pair("new").auth_message()

    virtual(main)


def test_a_source_that_is_gone_changes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """The present key is kept, and the log says why."""

    async def main() -> None:
        source = Source()
        keys = RenewableCredentials(pair("old"), source, clock=Wall())  # type: ignore[arg-type]
        source.now = None
        assert keys.renew() is False
        assert keys.headers() == pair("old").headers()

    virtual(main)
    assert "not there any more" in capsys.readouterr().out
