"""The state of a daemon that is not running, read from its journal."""

from datetime import UTC, date, datetime
from pathlib import Path

from alchemiser.bus.envelope import Envelope
from alchemiser.domain.errors import NoDaemon
from alchemiser.domain.events import Event, OrderIntended, ResultReported, SessionOpened
from alchemiser.execution.order_states import OrderStates
from alchemiser.journal.reader import JournalReader
from alchemiser.service.recovery import recover
from alchemiser.service.state import JournaledState
from alchemiser.service.state_view import JournaledView, latest_events, order_row
from alchemiser.service.view import Plain

JOURNAL_FILE = "journal.sqlite"


def _publishes_nothing(event: Event) -> None:
    raise AssertionError(f"a replay published {type(event).__name__}")


def view_from_journal(state: Path) -> JournaledView:
    """Return the view of the journal in a state directory, true as of its last event. Raises ``NoDaemon`` when there is no journal."""
    path = state / JOURNAL_FILE
    if not path.exists():
        raise NoDaemon(f"there is no journal in {state}")
    with JournalReader.open(path) as reader:
        journaled = JournaledState(_publishes_nothing)
        recover(journaled, reader)
        epoch, last = reader.epoch, reader.last_sequence
    last_at = journaled.overview.last_at or datetime.fromtimestamp(path.stat().st_mtime, UTC)

    def read(after: int, *, limit: int | None = None) -> list[Envelope]:
        with JournalReader.open(path) as reader:
            return list(reader.read(after, limit=limit))

    def results(after: int) -> list[Envelope]:
        with JournalReader.open(path) as reader:
            return list(reader.read(after, (ResultReported,)))

    return JournaledView(journaled, epoch=epoch, read_events=latest_events(read, lambda: last), read_results=results, now=lambda: last_at)


def orders_of_session(state: Path, session: date) -> list[Plain]:
    """Return the orders of a session of any age as its journal tells of them, oldest first: memory keeps only the latest.

    Raises ``NoDaemon`` when there is no journal.
    """
    path = state / JOURNAL_FILE
    if not path.exists():
        raise NoDaemon(f"there is no journal in {state}")
    day = f"{session:%Y%m%d}."
    orders = OrderStates(_publishes_nothing)
    # Without the openings of sessions nothing is forgotten; what belongs to other sessions is not taken in to begin with.
    kinds = tuple(kind for kind in OrderStates.listens_to if kind is not SessionOpened)
    with JournalReader.open(path) as reader:
        for envelope in reader.read(types=kinds):
            event = envelope.event
            if not isinstance(event, OrderIntended) or event.rebalance_id.startswith(day):
                orders.replay(envelope)
    return [order_row(order) for order in orders]
