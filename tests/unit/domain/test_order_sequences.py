"""The order state machine, enumerated: every sequence of what a venue may say, in any order, twice, late or not at all.

Sequences that have led to the same order and have said the same things go on as one, so that all of them are walked: the number of
sequences is counted along and compared with the number there must be.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec
import pytest

from alchemiser.domain.orders import (
    CORRECTIONS,
    TERMINAL,
    ExecutionReport,
    NewOrder,
    Order,
    OrderState,
    OrderType,
    Side,
    TimeInForce,
    apply_report,
    broken_by,
)

AT = datetime(2025, 3, 3, 20, 50, tzinfo=UTC)
QUANTITY = Decimal(10)
INTENDED = Order(
    request=NewOrder(
        client_order_id="a-20250303.1-SPY-1",
        symbol="SPY",
        side=Side.BUY,
        quantity=QUANTITY,
        order_type=OrderType.LIMIT,
        time_in_force=TimeInForce.DAY,
        limit_price=Decimal(500),
    ),
    state=OrderState.INTENDED,
    intended_at=AT,
)


def report(
    event: str,
    status: str,
    filled: str = "0",
    *,
    execution: str | None = None,
    last: str | None = None,
    price: str = "499.5",
    previous: str | None = None,
    after: float = 0.0,
) -> ExecutionReport:
    """Return what the venue says of the order, so many seconds after the first time."""
    return ExecutionReport(
        event=event,
        status=status,
        client_order_id=INTENDED.client_order_id,
        venue_order_id="v1",
        symbol="SPY",
        side=Side.BUY,
        quantity=QUANTITY,
        cumulative_quantity=Decimal(filled),
        average_price=None,
        at=AT + timedelta(seconds=after),
        execution_id=execution,
        last_quantity=None if last is None else Decimal(last),
        last_price=None if last is None else Decimal(price),
        previous_execution_id=previous,
    )


FIRST = report("partial_fill", "partially_filled", "4", execution="e1", last="4", after=1)
SECOND = report("fill", "filled", "10", execution="e2", last="6", after=2)
BUST = report("trade_bust", "filled", "6", execution="b1", last="-4", previous="e1", after=3)
CORRECTION = report("trade_correct", "filled", "9", execution="e3", last="5", price="499", previous="e2", after=4)
CANCELLED = report("canceled", "canceled", "4", after=2)

# Section 4.2 of the protocol reference: every event, with the status that the order has after it.
EVENTS: dict[str, ExecutionReport] = {
    "accepted": report("accepted", "accepted"),
    "pending_new": report("pending_new", "pending_new"),
    "new": report("new", "new"),
    "partial_fill": FIRST,
    "fill": SECOND,
    "canceled": CANCELLED,
    "expired": report("expired", "expired", "4", after=2),
    "replaced": report("replaced", "replaced", "4", after=2),
    "rejected": report("rejected", "rejected"),
    "done_for_day": report("done_for_day", "done_for_day", "4", after=2),
    "stopped": report("stopped", "stopped"),
    "pending_cancel": report("pending_cancel", "pending_cancel", "4", after=1),
    "pending_replace": report("pending_replace", "pending_replace", "4", after=1),
    "calculated": report("calculated", "calculated", "4", after=2),
    "suspended": report("suspended", "suspended"),
    "held": report("held", "held"),
    "order_replace_rejected": report("order_replace_rejected", "new"),
    "order_cancel_rejected": report("order_cancel_rejected", "new"),
    "restated": report("restated", "new"),
    "trade_bust": BUST,
    "trade_correct": CORRECTION,
    "query, behind": report("query", "new"),
    "query, ahead": report("query", "filled", "10", after=2),
    "a word of tomorrow": report("frobnicated", "quantum_superposed"),
}

# Section 4.1: every status, and what it makes of an order that works.
STATUSES: dict[str, OrderState] = {
    "pending_new": OrderState.WORKING,
    "accepted": OrderState.WORKING,
    "new": OrderState.WORKING,
    "held": OrderState.WORKING,
    "partially_filled": OrderState.WORKING,
    "pending_cancel": OrderState.CANCELLING,
    "pending_replace": OrderState.WORKING,
    "accepted_for_bidding": OrderState.WORKING,
    "stopped": OrderState.WORKING,
    "suspended": OrderState.WORKING,
    "calculated": OrderState.WORKING,
    "done_for_day": OrderState.WORKING,
    "pending_review": OrderState.WORKING,
    "filled": OrderState.FILLED,
    "canceled": OrderState.CANCELLED,
    "expired": OrderState.EXPIRED,
    "rejected": OrderState.REJECTED,
    "replaced": OrderState.REPLACED,
}


def expected_filled(said: Iterable[ExecutionReport]) -> Decimal:
    """Return what is filled when these things have been said, in whatever order: worked out from the set alone."""
    said = tuple(said)
    gone = {one.previous_execution_id for one in said if one.event in CORRECTIONS}
    kinds = ("fill", "partial_fill", "trade_correct")
    counting = {one.execution_id: one.last_quantity for one in said if one.event in kinds and one.execution_id not in gone}
    return sum((quantity for quantity in counting.values() if quantity is not None), Decimal(0))


def check(before: Order, one: ExecutionReport) -> Order:
    """Apply a report and check all that must hold of every step; return the order after it."""
    broken = broken_by(before, one)
    after, fill = apply_report(before, one)

    assert after.cumulative_quantity + after.leaves_quantity == QUANTITY or after.is_terminal
    assert 0 <= after.cumulative_quantity <= QUANTITY
    assert after.leaves_quantity >= 0
    assert (after.leaves_quantity == 0) or not after.is_terminal
    gained, lost = (fill.quantity if fill else 0), (broken.quantity if broken else 0)
    assert after.cumulative_quantity == before.cumulative_quantity + gained - lost, "nothing is filled or taken back unannounced"
    assert gained >= 0
    assert lost == 0 or one.event in CORRECTIONS, "cumulative falls by a bust or a correction alone"
    ids = [execution.execution_id for execution in after.executions]
    assert len(set(ids)) == len(ids), "each execution counts once"
    assert len(set(after.execution_ids)) == len(after.execution_ids)
    assert after.filled_value == sum((execution.quantity * execution.price for execution in after.executions), Decimal(0))
    assert after.missing_quantity >= 0
    if before.is_terminal:
        assert after.is_terminal, "what has ended stays ended"
        became_filled = after.state is OrderState.FILLED and after.cumulative_quantity == QUANTITY
        assert after.state is before.state or became_filled, "the last state stays, unless the order turns out to be all filled"
    assert (after, None) == apply_report(after, one), "said twice it changes nothing"
    assert broken_by(after, one) is None
    return after


def essence(order: Order) -> Order:
    """Return the order without what has no influence on what comes: the venue's last word, and which execution was heard of first."""
    return msgspec.structs.replace(
        order,
        venue_status=None,
        execution_ids=tuple(sorted(order.execution_ids)),
        executions=tuple(sorted(order.executions, key=lambda one: one.execution_id)),
    )


def walk(events: dict[str, ExecutionReport], length: int) -> int:
    """Walk all sequences of that length; return the number of different ends."""
    alphabet = list(events.values())
    layer: dict[tuple[Order, frozenset[int]], int] = {(INTENDED, frozenset()): 1}
    for step in range(1, length + 1):
        following: dict[tuple[Order, frozenset[int]], int] = {}
        for (order, said), count in layer.items():
            for number, one in enumerate(alphabet):
                after = essence(check(order, one))
                # Of what was said, only executions say what is filled.
                key = (after, said | {number} if one.execution_id else said)
                if key not in following:
                    told = [alphabet[index] for index in key[1]]
                    assert expected_filled(told) == after.cumulative_quantity, "what is filled follows from what was said alone"
                following[key] = following.get(key, 0) + count
        layer = following
        assert len(alphabet) ** step == sum(layer.values()), "every sequence has been walked"
    return len(layer)


@pytest.mark.parametrize("length", range(1, 7))
def test_every_sequence_of_events_keeps_the_quantities_right(length: int) -> None:
    """All events there are, up to six of them: a hundred and ninety million sequences."""
    assert walk(EVENTS, length) >= length * 10


def test_the_events_are_those_of_the_protocol() -> None:
    """Each event of the reference is walked; its name is the venue's word."""
    words = {one.event for one in EVENTS.values()}
    assert {name for name in EVENTS if "," not in name and "word" not in name} == words - {"query", "frobnicated"}
    assert 21 == len(words - {"query", "frobnicated"})


@pytest.mark.parametrize("status", STATUSES)
def test_every_status_means_what_the_protocol_says(status: str) -> None:
    """From a working order, and again when it is said of one that was never heard of; the terminal ones end it for good."""
    working = apply_report(INTENDED, EVENTS["new"])[0]
    for order in (INTENDED, working):
        after = check(order, report("query", status))
        assert STATUSES[status] is after.state
        assert after.is_terminal == (status in {"filled", "canceled", "expired", "rejected", "replaced"})
        assert status == after.venue_status
        assert (QUANTITY if not after.is_terminal else 0) == after.leaves_quantity


def test_the_table_has_every_status_and_every_last_state() -> None:
    """Eighteen words of the venue; one more last state is our own: it never arrived."""
    assert len(STATUSES) == 18
    assert {*STATUSES.values()} & TERMINAL == TERMINAL - {OrderState.NEVER_SENT}


def run(*reports: ExecutionReport) -> Order:
    """Apply reports in order, checking each step."""
    order = INTENDED
    for one in reports:
        order = check(order, one)
    return order


def test_a_bust_takes_back_what_was_filled_and_an_ended_order_stays_ended() -> None:
    """The venue counts less now, and nothing is missing."""
    order = run(EVENTS["new"], FIRST, SECOND, BUST)
    assert (OrderState.FILLED, Decimal(6), Decimal(0)) == (order.state, order.cumulative_quantity, order.leaves_quantity)
    assert order.missing_quantity == 0
    assert order.filled_value == 6 * Decimal("499.5")


def test_a_bust_of_a_live_order_gives_it_its_shares_back() -> None:
    """It may trade them again."""
    alive = report("trade_bust", "new", "0", execution="b1", last="-4", previous="e1", after=3)
    order = run(EVENTS["new"], FIRST, alive)
    assert (OrderState.WORKING, QUANTITY) == (order.state, order.leaves_quantity)

    order = check(order, report("fill", "filled", "10", execution="e4", last="10", after=5))
    assert OrderState.FILLED is order.state


def test_a_correction_puts_another_execution_in_the_place_of_one() -> None:
    """Quantity and price are those of the new one; corrected again, or broken, the last word counts."""
    order = run(EVENTS["new"], FIRST, SECOND, CORRECTION)
    assert (Decimal(9), 4 * Decimal("499.5") + 5 * Decimal(499)) == (order.cumulative_quantity, order.filled_value)
    assert order.missing_quantity == 0

    last = report("trade_bust", "filled", "4", execution="b3", last="-5", previous="e3", after=6)
    assert Decimal(4) == check(order, last).cumulative_quantity
    assert run(EVENTS["new"], last, CORRECTION, SECOND, FIRST).cumulative_quantity == 4


def test_what_was_broken_before_it_was_heard_of_never_counts() -> None:
    """The stream may bring the bust first."""
    assert run(EVENTS["new"], BUST, FIRST).cumulative_quantity == 0


def test_totals_from_before_a_correction_do_not_make_shares_missing() -> None:
    """A late report of what was filled before the bust is old news; a newer total counts."""
    order = run(EVENTS["new"], FIRST, SECOND, BUST, EVENTS["query, ahead"])
    assert order.missing_quantity == 0
    assert check(order, report("query", "filled", "8", after=9)).missing_quantity == 2


def test_a_late_bust_is_not_outdone_by_an_older_one() -> None:
    """The newer count stands whichever comes last."""
    older = report("trade_bust", "filled", "9", execution="b9", last="-1", previous="e9", after=1)
    order = run(FIRST, SECOND, BUST)
    assert order.reported_quantity == check(order, older).reported_quantity


def test_a_correction_without_a_name_or_without_shares_changes_nothing() -> None:
    """Nothing is guessed."""
    order = run(EVENTS["new"], FIRST, SECOND)
    nameless = report("trade_bust", "filled", "10", execution="b1", last="-4", after=3)
    assert order.cumulative_quantity == check(order, nameless).cumulative_quantity
    assert order.cumulative_quantity == check(order, report("trade_correct", "filled", "10", after=3)).cumulative_quantity
    empty = report("fill", "filled", "10", execution="e7", last="-1", after=3)
    assert order.cumulative_quantity == check(order, empty).cumulative_quantity
