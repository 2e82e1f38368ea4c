"""What becomes of old events after a session, and what SIGHUP does, by themselves."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from alchemiser.alpaca.credentials import Credentials, RenewableCredentials
from alchemiser.bus.envelope import Envelope
from alchemiser.domain.errors import ConfigError
from alchemiser.domain.events import TimerElapsed
from alchemiser.service.clock import VirtualClock
from alchemiser.service.reload import Reload
from alchemiser.service.retention import Retention
from alchemiser.service.settings import Settings
from alchemiser.service.settings_load import load_settings
from tests.solipsism import virtual

NOW = datetime(2025, 1, 2, 21, 0, tzinfo=UTC)


async def at_once(work: Callable[[], Any]) -> Any:
    """Do the work here."""
    return work()


async def test_a_compaction_that_fails_is_told_and_stops_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The handler returns, so the bus does not count a failure, and the log says what is done now."""
    retention = Retention(tmp_path / "none.sqlite", retention_days=1, archive_days=0, run_aside=at_once)

    await retention.handle(Envelope(1, TimerElapsed(at=NOW, kind="any", key="any"), 0.0))

    assert "journal_not_compacted" in capsys.readouterr().out


def settings(tmp_path: Path, key: str, **overrides: object) -> Settings:
    """Return settings with that key."""
    environ = {"APCA_API_KEY_ID": key, "APCA_API_SECRET_KEY": f"secret of {key}"} if key else {}
    dotted = {name.replace("__", "."): value for name, value in overrides.items()}
    return load_settings(overrides=dotted, environ=environ, directory=tmp_path, secrets=()).settings


def key_of(found: Settings) -> Credentials:
    """Return the key in settings."""
    return Credentials(key_id=found.alpaca.key_id or SecretStr(""), secret_key=found.alpaca.secret_key or SecretStr(""))


def test_a_hangup_takes_the_key_and_tells_the_rest(tmp_path: Path) -> None:
    """A new key once, every other difference each time; settings that are gone or wrong change nothing."""

    async def main() -> None:
        before = settings(tmp_path, "PKOLD")
        written = [settings(tmp_path, "PKNEW", service__stop_seconds=7.0)]
        keys = RenewableCredentials(key_of(before), lambda: key_of(written[0]), clock=VirtualClock(NOW))
        reload = Reload(before, lambda: written[0], keys)

        assert {one.key for one in reload()} == {"alpaca.key_id", "alpaca.secret_key", "service.stop_seconds"}
        assert keys.headers() == key_of(written[0]).headers()
        assert {one.key for one in reload()} == {"service.stop_seconds"}

        written[0] = settings(tmp_path, "PKNEW")
        assert reload() == []
        written[0] = settings(tmp_path, "", alpaca__mode="paper")
        assert "alpaca.key_id" in {one.key for one in reload()}
        assert keys.generation == 1

    virtual(main)


def test_settings_that_are_wrong_change_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The daemon goes on with those that it has."""

    def wrong() -> Settings:
        raise ConfigError("line 3 is wrong")

    assert Reload(Settings(), wrong, key_of(settings(tmp_path, "PKOLD")))() == []
    assert "line 3 is wrong" in capsys.readouterr().out
