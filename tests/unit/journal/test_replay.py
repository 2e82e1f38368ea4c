"""The audit: what the events alone add up to."""

from decimal import Decimal

from alchemiser.domain.activities import AccountActivity, ActivityEntry, Treatment
from alchemiser.domain.events import (
    ActivityBooked,
    CancelRequested,
    Event,
    ExecutionReported,
    FillBroken,
    OrderClosed,
    OrderNotFound,
    OrderOutcomeUnknown,
    OrderRejected,
    OrderWithheld,
    Reconciled,
    StreamConnected,
    TradingStateChanged,
)
from alchemiser.domain.intents import Crossing
from alchemiser.journal.replay import Replayed, replay
from tests.unit.journal.scenes import ORDER, START, a_day, booked, envelopes_of, fill, intended, order, planned, report


def replayed(*events: Event) -> Replayed:
    """Return what these events add up to."""
    return replay(envelopes_of(events))


def test_a_day_adds_up() -> None:
    """Orders from reports, positions and cash from fills, the strategies' parts from bookings."""
    state = replayed(*a_day())

    assert () == state.problems
    assert {ORDER: "filled"} == state.orders
    assert () == state.open_orders
    assert {"TECL": Decimal(10)} == state.positions
    assert {"one": {"TECL": Decimal(9)}, "two": {"TECL": Decimal(1)}} == state.strategy_positions
    assert Decimal(-700) == state.cash
    assert 10 == state.last_sequence
    assert 3 == state.events["ExecutionReported"]


def test_the_hash_is_of_the_state_and_nothing_else() -> None:
    """The same events give the same hash; one event less gives another, and a prefix is a state the daemon passed."""
    whole = replayed(*a_day())

    assert whole.state_hash == replayed(*a_day()).state_hash
    assert whole.state_hash != replayed(*a_day()[:-1]).state_hash
    assert {ORDER: "working"} == replayed(*a_day()[:4]).orders


def test_what_is_applied_twice_is_named() -> None:
    """A fill, and an order under a used id."""
    state = replayed(*a_day(), intended(order()), fill("e2", "6"))

    assert (
        f"event 11: order {ORDER} is intended again though it is filled",
        "event 12: execution e2 is applied a second time",
    ) == state.problems
    assert {"TECL": Decimal(10)} == state.positions


def test_what_does_not_add_up_is_named() -> None:
    """A booking of another size, of no fill, a fill without booking, an end with another total."""
    closed = OrderClosed(
        at=START, client_order_id=ORDER, symbol="TECL", state="canceled", cumulative_quantity=Decimal(5), average_price=None, reason=None
    )
    state = replayed(intended(order()), fill("e0", "1"), fill("e1", "4"), booked("e1", one="3"), booked("e9", one="2"), closed)

    assert (
        "event 4: 3 shares booked for execution e1 of 4",
        f"event 6: order {ORDER} closed with 5 shares filled, its execution reports add up to 0",
        f"fill e0 of order {ORDER} was passed over in booking",
        "execution e9 is booked, but its fill is not in the journal",
        "TECL: booked fills add up to 4 shares, the strategies hold 5",
    ) == state.problems


def test_an_end_between_a_fill_and_its_booking_is_no_damage() -> None:
    """A prefix of a journal is a state that the daemon really passed; the next start would book the fill."""
    state = replayed(*a_day()[:8])

    assert () == state.problems
    assert ("e2",) == state.unbooked


def test_orders_end_by_what_the_venue_proved() -> None:
    """Refused, unknown there, held back here; a withheld order may go again under its id."""
    rejected = OrderRejected(at=START, client_order_id=ORDER, code=1, message="no")
    unknown = OrderOutcomeUnknown(at=START, client_order_id=ORDER, reason="timeout")
    missing = OrderNotFound(at=START, client_order_id=ORDER)
    withheld = OrderWithheld(at=START, client_order_id=ORDER, reason="gate")
    cancelling = CancelRequested(at=START, client_order_id=ORDER, reason="late")

    assert {ORDER: "rejected"} == replayed(intended(order()), rejected, cancelling).orders
    assert {ORDER: "unknown"} == replayed(intended(order()), unknown).orders
    assert {ORDER: "never_sent"} == replayed(intended(order()), unknown, missing).orders
    assert {ORDER: "cancelling"} == replayed(intended(order()), report("new", "0"), cancelling).orders
    again = replayed(intended(order()), withheld, intended(order()))
    assert ({ORDER: "intended"}, (), (ORDER,)) == (again.orders, again.problems, again.open_orders)
    assert {} == replayed(rejected, report("new", "0")).orders


def test_crossings_move_shares_between_strategies() -> None:
    """Nothing was sent; the account holds what it held."""
    crossing = Crossing(symbol="TECL", seller="one", buyer="two", quantity=Decimal(2), price=Decimal(70))
    state = replayed(*a_day(), planned((crossing,)))

    assert {"one": {"TECL": Decimal(7)}, "two": {"TECL": Decimal(3)}} == state.strategy_positions
    assert () == state.problems


def test_the_trading_state_is_the_last_one() -> None:
    """As a restart would find it."""
    halted = TradingStateChanged(at=START, state="halted", by="operator", reason="drill")

    assert "halted" == replayed(halted).trading_state
    assert replayed().trading_state is None


def test_what_was_taken_back_does_not_add_up_any_more() -> None:
    """Shares, cash and the strategies' parts are those of the executions that still count."""
    state = replayed(*a_day(), FillBroken(at=START, fill=fill("e2", "6").fill, replaced_by=None, reason="trade_bust"))

    assert () == state.problems
    assert {"TECL": Decimal(4)} == state.positions
    assert {"one": {"TECL": Decimal(3)}, "two": {"TECL": Decimal(1)}} == state.strategy_positions
    assert Decimal(-280) == state.cash


def test_what_was_taken_back_before_its_booking_is_held_by_nobody() -> None:
    """A comparison tells of a fill and of its end in one breath: its booking is on its way then, or is never made."""
    taken = FillBroken(at=START, fill=fill("e2", "6").fill, replaced_by=None, reason="trade_bust")
    first, second = fill("e1", "4"), fill("e2", "6")
    one, two = booked("e1", one="3", two="1"), booked("e2", one="4", two="2")
    head = (intended(order()), first, second)

    for events in ((*head, taken, one, two), (*head, taken, one), (*head, one, taken, two), (*head, one, two, taken)):
        state = replayed(*events)
        assert ((), ()) == (state.problems, state.unbooked)
        assert {"TECL": Decimal(4)} == state.positions
        assert {"one": {"TECL": Decimal(3)}, "two": {"TECL": Decimal(1)}} == state.strategy_positions


def test_what_a_comparison_applied_counts_like_what_was_heard() -> None:
    """Its reports are in one event with it."""
    heard = report("canceled", "0")
    assert isinstance(heard, ExecutionReported)
    done = Reconciled(at=START, reason="start", attempts=1, reports=(heard.report,), differences=(), parked={})
    assert replayed(intended(order()), done).orders == {ORDER: "cancelled"}


def test_rows_of_the_account_move_shares_and_cash() -> None:
    """Each strategy's part, and what belongs to none; what has no shares moves none."""
    row = AccountActivity(activity_id="a1", kind="SPLIT", on=START.date(), at=START)
    parts = (
        ActivityEntry(strategy="one", symbol="TECL", quantity=Decimal(9), cash=Decimal(0)),
        ActivityEntry(strategy="one", symbol="TECL", quantity=Decimal(0), cash=Decimal(3)),
        ActivityEntry(strategy="two", symbol=None, cash=Decimal(2)),
    )
    booked_row = ActivityBooked(
        at=START, activity=row, treatment=Treatment.SPLIT, entries=parts, account_cash=Decimal("0.5"), transferred=Decimal(100)
    )
    before, after = replayed(*a_day()), replayed(*a_day(), booked_row)
    assert after.positions["TECL"] == before.positions["TECL"] + 9
    assert after.strategy_positions["one"]["TECL"] == before.strategy_positions["one"]["TECL"] + 9
    assert after.cash == before.cash + Decimal("105.5")


def test_what_moves_nothing_is_counted_only() -> None:
    """A replay knows that it was there."""
    before, after = replayed(*a_day()), replayed(*a_day(), StreamConnected(at=START, stream="orders"))
    assert after.events["StreamConnected"] == 1
    assert (after.orders, after.positions, after.cash) == (before.orders, before.positions, before.cash)
