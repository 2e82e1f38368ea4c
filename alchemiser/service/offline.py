"""The state of a daemon that is not running, read from its journal."""

from datetime import UTC, datetime
from pathlib import Path

from alchemiser.bus.envelope import Envelope
from alchemiser.domain.errors import NoDaemon
from alchemiser.domain.events import Event
from alchemiser.journal.reader import JournalReader
from alchemiser.service.recovery import recover
from alchemiser.service.state import JournaledState
from alchemiser.service.state_view import JournaledView, latest_events

JOURNAL_FILE = "journal.sqlite"


def _publishes_nothing(event: Event) -> None:
    raise AssertionError(f"a replay published {type(event).__name__}")


def view_from_journal(state: Path) -> JournaledView:
    """Return the view of the journal in a state directory, true as of its last event. Raises ``NoDaemon`` when there is no journal."""
    path = state / JOURNAL_FILE
    if not path.exists():
        raise NoDaemon(f"no daemon is running with the state directory {state}, and there is no journal in it")
    with JournalReader.open(path) as reader:
        journaled = JournaledState(_publishes_nothing)
        recover(journaled, reader)
        epoch, last = reader.epoch, reader.last_sequence
    last_at = journaled.overview.last_at or datetime.fromtimestamp(path.stat().st_mtime, UTC)

    def read(after: int, *, limit: int | None = None) -> list[Envelope]:
        with JournalReader.open(path) as reader:
            return list(reader.read(after, limit=limit))

    return JournaledView(journaled, epoch=epoch, read_events=latest_events(read, lambda: last), now=lambda: last_at)
