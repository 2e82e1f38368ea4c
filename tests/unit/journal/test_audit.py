"""The audit of a journal: each rule is broken once on purpose, and named with the event that breaks it."""

from collections.abc import Callable
from datetime import date
from decimal import Decimal

import msgspec
import pytest

from alchemiser.domain.events import (
    Event,
    FillBooked,
    FillBroken,
    OrderClosed,
    OrderFilled,
    OrderIntended,
    ResultReported,
    StreamLost,
)
from alchemiser.domain.intents import Crossing
from alchemiser.domain.orders import Side
from alchemiser.journal.audit import Audit
from tests.unit.journal.scenes import ORDER, START, a_day, booked, envelopes_of, fill, intended, order, planned

replace = msgspec.structs.replace


def audited(events: list[Event]) -> list[str]:
    """Return what the audit finds."""
    audit = Audit()
    for envelope in envelopes_of(events):
        audit(envelope)
    return audit.problems


def sold(execution_id: str, quantity: str, price: str, realised: str) -> list[Event]:
    """Return a sale of another order, filled and booked to one strategy."""
    request = order("abc123-20250304.1-TECL-1", quantity, Side.SELL)
    one = replace(fill(execution_id, quantity).fill, client_order_id=request.client_order_id, side=Side.SELL, price=Decimal(price))
    booking = booked(execution_id, one=quantity)
    entry = replace(
        booking.entries[0],
        quantity=-Decimal(quantity),
        price=Decimal(price),
        cash=Decimal(quantity) * Decimal(price),
        realised=Decimal(realised),
    )
    return [
        OrderIntended(at=START, rebalance_id="20250304.1", intent_id="TECL", attempt=1, order=request),
        OrderFilled(at=START, fill=one),
        replace(booking, entries=(entry,)),
    ]


def result(**realised: str) -> ResultReported:
    """Return the result of a session."""
    said = {name: Decimal(amount) for name, amount in realised.items()}
    return ResultReported(at=START, session=date(2025, 3, 4), equity=Decimal(0), cash=Decimal(0), realised=said, unrealised={})


def changed(number: int, change: Callable[[Event], Event]) -> list[Event]:
    """Return the day with one of its events changed; they are counted from 1."""
    events = a_day()
    events[number - 1] = change(events[number - 1])
    return events


def with_fill(event: Event, **changes: object) -> Event:
    """Return a fill with other values."""
    assert isinstance(event, OrderFilled)
    return replace(event, fill=replace(event.fill, **changes))


def with_entry(event: Event, **changes: object) -> Event:
    """Return a booking whose first entry has other values."""
    assert isinstance(event, FillBooked)
    return replace(event, entries=(replace(event.entries[0], **changes), *event.entries[1:]))


def test_a_day_and_every_prefix_of_it_keep_the_rules() -> None:
    """A journal may end anywhere."""
    events = [*a_day(), *sold("s1", "5", "72", "10"), result(one="10"), StreamLost(at=START, stream="orders", reason="x")]
    for length in range(len(events) + 1):
        assert audited(events[:length]) == []


BROKEN: dict[str, tuple[list[Event], str]] = {
    "an execution counts twice": ([*a_day(), fill("e1", "4")], "event 11: execution e1 counts a second time"),
    "an execution is booked twice": ([*a_day(), booked("e1", one="3", two="1")], "event 11: execution e1 is booked a second time"),
    "a booking without its fill": ([*a_day(), booked("e9", one="1")], "event 11: execution e9 is booked, but its fill is not"),
    "a fill that is passed over": (
        [event for number, event in enumerate(a_day(), 1) if number != 6],
        "event 8: execution e1 of order abc123-20250303.1-TECL-1 was passed over in booking",
    ),
    "a fill of nothing that was intended": ([fill("e1", "4")], "event 1: execution e1 is of order abc123-20250303.1-TECL-1, which was"),
    "another side": (
        changed(5, lambda event: with_fill(event, side=Side.SELL)),
        "event 5: execution e1 is a sell of TECL, its order",
    ),
    "another symbol": (changed(5, lambda event: with_fill(event, symbol="TQQQ")), "event 5: execution e1 is a buy of TQQQ"),
    "less filled than before": (changed(8, lambda event: with_fill(event, quantity=Decimal(-1))), "event 8: execution e2 is of -1 shares"),
    "more filled than ordered": (
        changed(8, lambda event: with_fill(event, quantity=Decimal(7))),
        "event 8: 11 shares of order abc123-20250303.1-TECL-1 are filled, 10 were ordered",
    ),
    "another body under the same id": (
        [*a_day(), intended(order(quantity="11"))],
        "event 11: order abc123-20250303.1-TECL-1 is intended a second time with another body",
    ),
    "two live orders of one intent": (
        [intended(order()), intended(order("abc123-20250303.1-TECL-2"))],
        "event 2: order abc123-20250303.1-TECL-2 is intended while order abc123-20250303.1-TECL-1 of the same intent is live",
    ),
    "an end of what never began": ([a_day()[-1]], f"event 1: order {ORDER} ends, and was never intended"),
    "a second end": ([*a_day(), a_day()[-1]], f"event 11: order {ORDER} ends a second time"),
    "an end that counts otherwise": (
        changed(10, lambda event: replace(event, cumulative_quantity=Decimal(9))),
        f"event 10: order {ORDER} ends with 9 shares filled, its executions are 10",
    ),
    "filled with too little": (
        [intended(order()), fill("e1", "4"), replace(a_day()[-1], cumulative_quantity=Decimal(4))],
        f"event 3: order {ORDER} ends as filled with 4 of 10",
    ),
    "shares that vanish in booking": (
        changed(6, lambda event: with_entry(event, quantity=Decimal(2), cash=Decimal(-210))),
        "event 6: 3 shares are booked for execution e1 of 4",
    ),
    "cash that vanishes in booking": (
        changed(6, lambda event: with_entry(event, cash=Decimal(-209))),
        "event 6: -279 dollars are booked for execution e1, which moved -280",
    ),
    "more sold than held": (
        [*a_day(), *sold("s1", "9.5", "72", "18")],
        "event 13: one sells 9.5 TECL and holds 9",
    ),
    "a profit that the lots do not make": ([*a_day(), *sold("s1", "5", "72", "11")], "event 13: one is said to have earned 11 with 5 TECL"),
    "a result that the sales do not make": (
        [*a_day(), *sold("s1", "5", "72", "10"), result(one="9", two="0")],
        "event 14: the result of one is 9, its sales make 10",
    ),
    "a crossing of what is not held": (
        [planned((Crossing(symbol="TECL", seller="one", buyer="two", quantity=Decimal(2), price=Decimal(70)),))],
        "event 1: one sells 2 TECL and holds 0",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_breaks_a_rule_is_named_with_its_event(name: str) -> None:
    """One fault, in words, at the place where it is; whoever reads it finds the event."""
    events, words = BROKEN[name]
    assert audited(events)[0].startswith(words)


def test_a_withheld_order_may_go_again_under_its_id_with_its_body() -> None:
    """It ended as never sent; what goes again is the same order, which may fill and end once more."""
    end = a_day()[-1]
    assert isinstance(end, OrderClosed)
    never = replace(end, state="never_sent", cumulative_quantity=Decimal(0))
    assert audited([intended(order()), never, *a_day()[1:]]) == []


def broken(execution_id: str, quantity: str) -> FillBroken:
    """Return that an execution was taken back."""
    return FillBroken(at=START, fill=fill(execution_id, quantity).fill, replaced_by=None, reason="trade_bust")


def test_an_execution_may_be_taken_back_once() -> None:
    """Then it does not count: the order may be filled anew, and what was sold of it is owed."""
    assert audited([*a_day(), broken("e2", "6"), fill("e3", "6"), booked("e3", one="6"), result(one="0")]) == []
    late = [*a_day(), *sold("s1", "5", "72", "10"), broken("e2", "6")]
    assert audited([*late, result(one="6")]) == []
    assert ["event 15: the result of one is 10, its sales make 6"] == audited([*late, result(one="10")])
    assert ["event 12: execution e2 is taken back, and did not count"] == audited([*a_day(), broken("e2", "6"), broken("e2", "6")])
    assert ["event 1: execution e2 is taken back, and did not count"] == audited([broken("e2", "6")])


def test_an_execution_may_be_taken_back_before_its_booking() -> None:
    """A comparison tells of both in one breath: the booking is on its way then and books nothing, or is never made."""
    events = a_day()
    (number,) = [place for place, event in enumerate(events) if isinstance(event, FillBooked) and event.execution_id == "e2"]
    booking = events[number]
    head = [event for place, event in enumerate(events) if place != number and not isinstance(event, OrderClosed)]
    again = [fill("e3", "6"), booked("e3", one="6")]

    assert audited([*head, broken("e2", "6"), booking, *again, result(one="0")]) == []
    assert audited([*head, broken("e2", "6"), *again, result(one="0")]) == []
    assert f"execution e2 of order {ORDER} was passed over in booking" in audited([*head, *again])[-1]


def test_a_crossing_moves_lots_between_books() -> None:
    """The seller has earned what its lots say, the buyer holds at the price of the crossing."""
    crossing = Crossing(symbol="TECL", seller="one", buyer="two", quantity=Decimal(4), price=Decimal(75))
    events = [*a_day(), planned((crossing,)), result(one="20", two="0"), *sold("s1", "5", "72", "10")]
    assert audited(events) == []
