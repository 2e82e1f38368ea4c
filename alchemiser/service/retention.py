"""What becomes of old events: after each session they are moved out of the journal, as the settings say.

A component with a mailbox: nothing waits for it. A compaction that fails is told and tried again after the next session; trading goes on,
for no event is lost by it.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

import structlog

from alchemiser.bus.envelope import Envelope
from alchemiser.domain.errors import DataError, VerificationFailed
from alchemiser.domain.events import ResultReported
from alchemiser.service.deferred import load

_log = structlog.get_logger(__name__)


class Retention:
    """Moves what is older than ``retention_days`` into the archive, and deletes there what is older than ``archive_days``; 0 for never."""

    listens_to: Final = (ResultReported,)

    def __init__(
        self, journal: Path, *, retention_days: int, archive_days: int, run_aside: Callable[[Callable[[], Any]], Awaitable[Any]]
    ) -> None:
        self._journal = journal
        self.retention_days = retention_days
        self.archive_days = archive_days
        self._run_aside = run_aside

    async def handle(self, envelope: Envelope) -> None:
        """Compact the journal, beside the loop, if old events are to be moved at all."""
        if not self.retention_days:
            return
        now = envelope.event.at
        compact = load("alchemiser.journal.compaction:compact")
        work = partial(
            compact, self._journal, before=_days_before(now, self.retention_days), drop_before=_days_before(now, self.archive_days)
        )
        try:
            done = await self._run_aside(work)
        except (DataError, VerificationFailed) as error:
            _log.error("journal_not_compacted", reason=str(error), action="trading goes on; it is tried again after the next session")
            return
        if done.moved or done.dropped:
            _log.info("journal_compacted", moved=done.moved, until=done.until, deleted=done.dropped)


def _days_before(now: datetime, days: int) -> datetime | None:
    return now - timedelta(days=days) if days else None
