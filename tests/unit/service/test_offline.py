"""The state of a stopped daemon: its journal answers the same questions, true as of its last event."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from alchemiser.domain.errors import NoDaemon
from alchemiser.domain.events import Event
from alchemiser.journal.journal import Journal
from alchemiser.service.offline import JOURNAL_FILE, orders_of_session, view_from_journal
from alchemiser.service.view import RESOURCES, document, to_json
from tests.unit.service.test_state import later, later_order
from tests.unit.service.trading_day import DAY, ORDER_ID, WHOLE_DAY, Life


def written(state: Path, *events: Event) -> Life:
    """Live a day and write its journal."""
    life = Life(events)
    with Journal.open(state / JOURNAL_FILE, new_epoch=lambda: "abc123", threaded=False) as journal:
        for envelope in life.envelopes:
            journal.append(envelope)
    return life


def test_the_journal_answers_as_the_daemon_would_have(tmp_path: Path) -> None:
    """Orders, books, profit and the last session, as of the last event."""
    life = written(tmp_path, *WHOLE_DAY)
    view = view_from_journal(tmp_path)

    assert life.envelopes[-1].event.at == view.as_of()
    assert ("abc123", "paper") == (view.status()["epoch"], view.status()["mode"])
    assert life.state.ledger.cash == view.pnl()["ledger_cash"]
    assert {"SPY": Decimal(10), "MINE": Decimal(0)} == {row["symbol"]: row["quantity"] for row in view.positions()}
    assert view.pnl()["last_session"]["session"] == DAY
    assert ["filled"] == [row["state"] for row in view.orders()]


def test_events_are_read_from_a_place_on_or_from_the_end(tmp_path: Path) -> None:
    """The same two ways in which a running daemon is asked."""
    life = written(tmp_path, *WHOLE_DAY)
    view = view_from_journal(tmp_path)
    last = life.envelopes[-1].sequence

    assert [1, 2] == [row["sequence"] for row in view.events(0, 2)]
    assert [last - 1, last] == [row["sequence"] for row in view.events(-1, 2)]


def test_an_empty_journal_is_true_as_of_when_it_was_made(tmp_path: Path) -> None:
    """The daemon was stopped before its first event: every question has an answer."""
    before = datetime.now(UTC).replace(microsecond=0)
    written(tmp_path)
    view = view_from_journal(tmp_path)

    assert (view.as_of() - before).total_seconds() < 60
    assert view.events(-1, 10) == []
    for resource in RESOURCES:
        assert to_json(document(view, resource, live=False))


def test_without_a_journal_there_is_no_daemon(tmp_path: Path) -> None:
    """The error names the directory, which may be the wrong one."""
    with pytest.raises(NoDaemon, match=str(tmp_path)):
        view_from_journal(tmp_path)


def test_orders_that_have_left_memory_are_still_in_the_journal(tmp_path: Path) -> None:
    """A week later the state knows nothing of them; asked for their session the journal tells all, and nothing of another session."""
    life = written(tmp_path, *WHOLE_DAY, *(event for day in range(1, 6) for event in (later(day), later_order(day))))
    assert life.state.orders.get(ORDER_ID) is None

    (row,) = orders_of_session(tmp_path, DAY)
    assert (ORDER_ID, "filled", Decimal(10)) == (row["client_order_id"], row["state"], row["cumulative_quantity"])
    assert [later_order(3).order.client_order_id] == [
        row["client_order_id"] for row in orders_of_session(tmp_path, DAY + timedelta(days=3))
    ]
    assert [] == orders_of_session(tmp_path, DAY - timedelta(days=1))
    with pytest.raises(NoDaemon):
        orders_of_session(tmp_path / "nowhere", DAY)
