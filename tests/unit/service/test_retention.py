"""What becomes of old events after a session, by itself."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from alchemiser.bus.envelope import Envelope
from alchemiser.domain.events import TimerElapsed
from alchemiser.service.retention import Retention

NOW = datetime(2025, 1, 2, 21, 0, tzinfo=UTC)


async def at_once(work: Callable[[], Any]) -> Any:
    """Do the work here."""
    return work()


async def never(work: Callable[[], Any]) -> Any:
    """Fail: nothing is to be done."""
    raise AssertionError(work)


async def test_a_compaction_that_fails_is_told_and_stops_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The handler returns, so the bus does not count a failure, and the log says what is done now."""
    retention = Retention(tmp_path / "none.sqlite", retention_days=1, archive_days=0, run_aside=at_once)

    await retention.handle(Envelope(1, TimerElapsed(at=NOW, kind="any", key="any"), 0.0))

    assert "journal_not_compacted" in capsys.readouterr().out


async def test_without_a_limit_nothing_is_moved(tmp_path: Path) -> None:
    """The journal is not even looked for."""
    retention = Retention(tmp_path / "none.sqlite", retention_days=0, archive_days=0, run_aside=never)

    await retention.handle(Envelope(1, TimerElapsed(at=NOW, kind="any", key="any"), 0.0))
