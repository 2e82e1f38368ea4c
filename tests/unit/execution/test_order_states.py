"""The order states: what is new in a report is announced once, in order, and a replay announces nothing twice."""

from datetime import UTC, datetime
from decimal import Decimal

import msgspec

from alchemiser.bus.envelope import Envelope
from alchemiser.domain.account import BrokerActivity
from alchemiser.domain.events import (
    CancelRequested,
    Event,
    ExecutionReported,
    OrderClosed,
    OrderFilled,
    OrderIntended,
    OrderNotFound,
    OrderOutcomeUnknown,
    OrderRejected,
    OrderWithheld,
    SessionOpened,
    StreamConnected,
)
from alchemiser.domain.market import Session
from alchemiser.domain.orders import ExecutionReport, NewOrder, OrderState, OrderType, Side, TimeInForce
from alchemiser.execution.missed_fills import missed_fills
from alchemiser.execution.order_states import OrderStates

AT = datetime(2025, 3, 3, 20, 50, tzinfo=UTC)
KEY = "e-20250303.1-SPY-1"


class Tape:
    """Feeds events as the bus does, what is posted included."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.states = OrderStates(self.feed)

    def feed(self, event: Event, correlation: str | None = None) -> None:
        """Publish an event."""
        self.events.append(event)
        self.states(Envelope(len(self.events), event, 0.0))

    def intend(self, key: str = KEY, at: datetime = AT) -> None:
        """Intend an order of ten shares."""
        order = NewOrder(
            client_order_id=key,
            symbol="SPY",
            side=Side.BUY,
            quantity=Decimal(10),
            order_type=OrderType.LIMIT,
            time_in_force=TimeInForce.DAY,
            limit_price=Decimal(500),
        )
        self.feed(OrderIntended(at=at, rebalance_id="20250303.1", intent_id="SPY", attempt=1, order=order))

    def report(self, event: str, status: str, cumulative: str = "0", last: str | None = None, execution: str | None = None) -> None:
        """Report something about the order."""
        self.feed(ExecutionReported(at=AT, report=report(event, status, cumulative, last, execution)))

    def announced(self) -> list[str]:
        """Return what the component published itself, in words."""
        words = []
        for event in self.events:
            if isinstance(event, OrderFilled):
                words.append(f"filled {event.fill.quantity}")
            elif isinstance(event, OrderClosed):
                words.append(f"closed {event.state}")
        return words


def report(
    event: str, status: str, cumulative: str = "0", last: str | None = None, execution: str | None = None, key: str = KEY
) -> ExecutionReport:
    """Return a report."""
    return ExecutionReport(
        event=event,
        status=status,
        client_order_id=key,
        venue_order_id=f"venue {key}",
        symbol="SPY",
        side=Side.BUY,
        quantity=Decimal(10),
        cumulative_quantity=Decimal(cumulative),
        average_price=None,
        at=AT,
        execution_id=execution,
        last_quantity=None if last is None else Decimal(last),
        last_price=None if last is None else Decimal("499.5"),
    )


def test_fills_and_the_end_are_announced_once_and_in_order() -> None:
    """Duplicates, the answer of the submit that comes late, and repeated ends announce nothing."""
    tape = Tape()
    tape.intend()
    tape.report("new", "new")
    tape.report("partial_fill", "partially_filled", "4", "4", "e1")
    tape.report("partial_fill", "partially_filled", "4", "4", "e1")
    tape.report("fill", "filled", "10", "6", "e2")
    tape.report("query", "pending_new")
    tape.report("fill", "filled", "10", "6", "e2")

    assert ["filled 4", "filled 6", "closed filled"] == tape.announced()
    assert tape.states.open_orders() == ()
    assert tape.states.last_fill_at == AT


def test_the_end_waits_for_the_executions_that_the_venue_counts() -> None:
    """An order that a query calls filled is closed only when its executions are known: the ledger must not miss them."""
    tape = Tape()
    tape.intend()
    tape.report("query", "filled", "10")
    assert tape.announced() == []
    assert [KEY] == [order.client_order_id for order in tape.states.incomplete()]

    tape.report("fill", "filled", "10", "10", "e1")
    assert ["filled 10", "closed filled"] == tape.announced()


def test_a_report_is_found_by_the_venues_id_too() -> None:
    """A report under another client id, as of a replacement, is matched by the venue's id."""
    tape = Tape()
    tape.intend()
    tape.report("new", "new")
    other = report("fill", "filled", "10", "10", "e1", key="other")
    tape.feed(ExecutionReported(at=AT, report=report("new", "new", key="foreign")))
    assert tape.states.foreign_reports == 1

    tape.feed(
        ExecutionReported(
            at=AT, report=ExecutionReport(**{f: getattr(other, f) for f in other.__struct_fields__} | {"venue_order_id": f"venue {KEY}"})
        )
    )
    assert ["filled 10", "closed filled"] == tape.announced()


def test_the_ends_that_are_not_reports() -> None:
    """A proven refusal, an unknown id and an order that never left end an order; an unknown outcome does not."""
    for event, state in (
        (OrderRejected(at=AT, client_order_id=KEY, code=40310000, message="insufficient buying power"), OrderState.REJECTED),
        (OrderNotFound(at=AT, client_order_id=KEY), OrderState.NEVER_SENT),
        (OrderWithheld(at=AT, client_order_id=KEY, reason="gate"), OrderState.NEVER_SENT),
        (OrderOutcomeUnknown(at=AT, client_order_id=KEY, reason="timeout"), OrderState.UNKNOWN),
        (CancelRequested(at=AT, client_order_id=KEY, reason="rung"), OrderState.CANCELLING),
        (StreamConnected(at=AT, stream="orders"), OrderState.INTENDED),
    ):
        tape = Tape()
        tape.intend()
        tape.feed(event)
        order = tape.states.get(KEY)

        assert order is not None
        assert order.state is state
        assert order.is_terminal == bool(tape.announced())


def test_an_order_that_was_withheld_may_go_again_and_end_again() -> None:
    """The same id, sent again after it provably did not arrive, has a second end that is announced."""
    tape = Tape()
    tape.intend()
    tape.feed(OrderWithheld(at=AT, client_order_id=KEY, reason="no connection"))
    tape.intend()
    tape.report("fill", "filled", "10", "10", "e1")

    assert ["closed never_sent", "filled 10", "closed filled"] == tape.announced()


def test_events_about_unknown_orders_are_harmless() -> None:
    """An id that was never intended changes nothing."""
    tape = Tape()
    tape.feed(OrderNotFound(at=AT, client_order_id="nobody"))
    tape.feed(CancelRequested(at=AT, client_order_id="nobody", reason="?"))

    assert list(tape.states) == []
    assert tape.states.by_venue_id("nothing") is None
    assert tape.states.last_fill_at is None


def test_every_cut_of_the_journal_is_completed_by_settling() -> None:
    """Wherever the journal ends, replaying and settling announces exactly what was still missing."""
    tape = Tape()
    tape.intend()
    tape.report("partial_fill", "partially_filled", "4", "4", "e1")
    tape.report("fill", "filled", "10", "6", "e2")
    for length in range(len(tape.events) + 1):
        cut = Tape()
        for number, event in enumerate(tape.events[:length], start=1):
            cut.states.replay(Envelope(number, event, 0.0))
        assert cut.events == [], "a replay publishes nothing"
        cut.states.settle()
        before = [event for event in tape.events[:length] if isinstance(event, OrderFilled | OrderClosed)]
        reports = [event for event in tape.events[:length] if isinstance(event, ExecutionReported)]
        both = before + cut.events
        assert len([event for event in both if isinstance(event, OrderFilled)]) == len(reports)
        assert len([event for event in both if isinstance(event, OrderClosed)]) == (len(reports) == 2)
        assert cut.states.settle() == 0


def activity(venue_order_id: str, execution: str, quantity: str, cumulative: str) -> BrokerActivity:
    """Return a fill as the broker's activities tell it."""
    return BrokerActivity(
        activity_id=f"20250303::{execution}",
        execution_id=execution,
        venue_order_id=venue_order_id,
        symbol="SPY",
        side="buy",
        quantity=Decimal(quantity),
        price=Decimal(500),
        cumulative_quantity=Decimal(cumulative),
        at=AT,
    )


def test_missed_fills_are_those_that_no_road_brought() -> None:
    """Known executions, executions below what was reached, and foreign orders are not missed; the rest is, in order."""
    tape = Tape()
    tape.intend()
    tape.report("partial_fill", "partially_filled", "4", "4", "e1")
    activities = [
        activity(f"venue {KEY}", "e1", "4", "4"),
        activity(f"venue {KEY}", "same fill under another id", "4", "4"),
        activity("foreign", "f1", "1", "1"),
        activity(f"venue {KEY}", "e2", "1", "5"),
        activity(f"venue {KEY}", "e3", "5", "10"),
    ]

    missed = missed_fills(activities, tape.states)
    for one in missed:
        tape.feed(ExecutionReported(at=AT, report=one))

    assert ["e2", "e3"] == [one.execution_id for one in missed]
    assert ["filled 4", "filled 1", "filled 5", "closed filled"] == tape.announced()


def session_on(day: int) -> SessionOpened:
    """Return the opening of a session."""
    opens = AT.replace(day=day, hour=14)
    return SessionOpened(at=opens, session=Session(date=opens.date(), opens_at=opens, closes_at=opens.replace(hour=21)))


def test_orders_of_the_session_before_last_are_forgotten() -> None:
    """Those that have ended; what is still open, or lacks executions that the venue counts, is kept for as long as it takes."""
    tape = Tape()
    tape.feed(session_on(3))
    keys = [f"e-20250303.1-{name}-1" for name in ("ENDED", "OPEN", "LACKS")]
    for key in keys:
        tape.intend(key)
        tape.feed(ExecutionReported(at=AT, report=report("new", "new", key=key)))
    for key, counted, seen in ((keys[0], "10", "10"), (keys[2], "10", "4")):
        tape.feed(ExecutionReported(at=AT, report=report("fill", "filled", counted, seen, f"x-{key}", key=key)))
    for day in (4, 4, 5):
        assert {order.client_order_id for order in tape.states} == set(keys)
        tape.feed(session_on(day))
    assert {order.client_order_id for order in tape.states} == set(keys[1:])
    assert tape.states.by_venue_id(f"venue {keys[0]}") is None
    assert f"x-{keys[0]}" not in tape.states.fills


def test_a_closed_order_of_which_more_is_counted_since_stays_and_one_that_never_arrived_goes() -> None:
    """After its end too an execution may be missing; an order that the venue never had has no id of the venue's to be forgotten."""
    tape = Tape()
    tape.feed(session_on(3))
    counted, lost = "e-20250303.1-COUNTED-1", "e-20250303.1-LOST-1"
    for key in (counted, lost):
        tape.intend(key)
    tape.feed(ExecutionReported(at=AT, report=report("canceled", "canceled", key=counted)))
    tape.feed(OrderNotFound(at=AT, client_order_id=lost))
    assert ["closed cancelled", "closed never_sent"] == tape.announced()
    tape.feed(ExecutionReported(at=AT, report=report("query", "canceled", "4", key=counted)))

    for day in (4, 5):
        tape.feed(session_on(day))
    assert [order.client_order_id for order in tape.states] == [counted]
    assert [order.client_order_id for order in tape.states.incomplete()] == [counted]


def test_an_order_that_ends_in_a_later_session_leaves_with_those_of_it() -> None:
    """They leave as they have ended, oldest end first: nothing is looked through for what is older."""
    tape = Tape()
    old, new = "e-20250303.1-OLD-1", "e-20250304.1-NEW-1"
    tape.feed(session_on(3))
    tape.intend(old)
    tape.feed(session_on(4))
    tape.intend(new, AT.replace(day=4))
    for key in (new, old):
        tape.feed(ExecutionReported(at=AT, report=report("fill", "filled", "10", "10", f"x-{key}", key=key)))
    tape.feed(session_on(5))
    assert {order.client_order_id for order in tape.states} == {old, new}
    tape.feed(session_on(6))
    assert not list(tape.states)
    assert not tape.states.fills


def test_the_newest_event_of_the_stream_is_known() -> None:
    """Ids of events sort by time; from the newest on a replay is asked for, whatever order they came in."""
    tape = Tape()
    tape.intend()
    for event_id in ("01B", "01C", "01A"):
        tape.feed(ExecutionReported(at=AT, report=msgspec.structs.replace(report("new", "new"), event_id=event_id)))
    assert tape.states.last_event_id == "01C"
