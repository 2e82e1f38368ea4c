"""The journaled state: a replay of any prefix is the state that the daemon passed through, and what a cut left out is settled."""

from collections import Counter
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from alchemiser.bus.envelope import Envelope
from alchemiser.domain.errors import DataError
from alchemiser.domain.events import (
    DecisionDue,
    Event,
    FillBooked,
    OrderClosed,
    OrderFilled,
    OrderIntended,
    OrderWithheld,
    Reconciled,
    SessionOpened,
    TradingStateChanged,
)
from alchemiser.domain.market import Session
from alchemiser.domain.reconciliation import Parking
from alchemiser.service.state import JournaledState
from tests.unit.service.trading_day import DAY, DECIDED_AT, DECISION, KEY, MORNING, ORDER, ORDER_ID, SESSION, WHOLE_DAY, Life, report

WIRING = {"_post", "_replaying", "_closing", "_to_book", "_booking", "_foreseen", "acts"}
"""Attributes of the components that are no state: who is told, what an event does, whether it is a replay, what is between two events."""


def nobody(event: Event) -> None:
    """Be told by a replay, which tells nothing."""
    raise AssertionError(f"a replay published {event}")


def picture(state: JournaledState) -> dict[str, Any]:
    """Return everything that can be seen of a state."""
    overview = state.overview
    return {
        "orders": [msgspec.to_builtins(order) for order in state.orders],
        "open": [order.client_order_id for order in state.orders.open_orders()],
        "holdings": state.ledger.holdings(),
        "books": {name: msgspec.to_builtins(book) for name, book in state.ledger.books.items()},
        "cash": state.ledger.cash,
        "number": state.rebalances.next_number(DAY),
        "settled": state.rebalances.is_settled(DAY),
        "unfinished": state.rebalances.unfinished_id(),
        "last": state.rebalances.last,
        "trading": (state.trading.state, state.trading.since),
        "overview": {name: getattr(overview, name) for name in vars(overview)},
    }


def replayed(envelopes: list[Envelope]) -> tuple[JournaledState, list[Event]]:
    """Replay a journal into a fresh state and settle it; return both."""
    posted: list[Event] = []

    def post(event: Event, correlation: str | None = None) -> None:
        posted.append(event)
        for part in (state.orders, state.ledger):
            if isinstance(event, part.listens_to):
                part(Envelope(1_000 + len(posted), event, 0.0))

    state = JournaledState(post)
    assert len(envelopes) == state.replay(envelopes)
    assert posted == []
    state.settle()
    return state, posted


def test_a_replay_gives_the_state_that_was_lived() -> None:
    """Nothing is published by it, and nothing is left to settle."""
    life = Life(WHOLE_DAY)
    state, settled = replayed(life.envelopes)

    assert picture(life.state) == picture(state)
    assert settled == []
    assert picture(state)["holdings"] == {"SPY": 10}


def test_what_a_component_is_told_of_while_it_lives_it_is_told_of_again() -> None:
    """Those that the bus calls by the type of an event hear of the same types in a replay, or the state would be another one."""
    state = JournaledState(lambda event: None)
    told = {type(part).__name__: (set(part.listens_to), set(part.acts)) for part in state.parts if hasattr(part, "acts")}
    assert {"OrderStates", "Ledger"} <= told.keys()
    assert all(again == lived for again, lived in told.values()), told


@pytest.mark.parametrize("length", range(len(WHOLE_DAY) + 1))
def test_every_prefix_of_a_day_replays_to_the_state_at_that_moment(length: int) -> None:
    """Wherever the process ended, the next one begins there."""
    life = Life(WHOLE_DAY[:length])

    assert picture(life.state) == picture(replayed(life.envelopes)[0])


def test_what_a_cut_journal_does_not_hold_is_settled() -> None:
    """The report of a fill was written and the process ended: its fill, its booking and the end of its order follow now, once."""
    life = Life(WHOLE_DAY)
    follows = (OrderFilled, FillBooked, OrderClosed)
    journal = [envelope for envelope in life.envelopes if not isinstance(envelope.event, follows)]
    state, settled = replayed(journal)

    assert {OrderFilled: 2, FillBooked: 2, OrderClosed: 1} == Counter(type(event) for event in settled)
    assert picture(life.state)["books"] == picture(state)["books"]
    assert state.settle() == 0


def test_fills_without_their_booking_are_booked() -> None:
    """The journal holds the fill and not the booking that follows from it."""
    life = Life(WHOLE_DAY)
    journal = [envelope for envelope in life.envelopes if not isinstance(envelope.event, FillBooked)]
    state, settled = replayed(journal)

    assert [FillBooked, FillBooked] == [type(event) for event in settled]
    assert life.state.ledger.holdings() == state.ledger.holdings()


def test_a_halt_survives_a_restart() -> None:
    """Only a person resumes trading."""
    halted = TradingStateChanged(at=DECIDED_AT, state="halted", by="operator", reason="drill")
    state, _ = replayed(Life((*MORNING, halted)).envelopes)

    assert ("halted", "operator", "drill", DECIDED_AT) == (
        state.trading.state,
        state.trading.by,
        state.trading.reason,
        state.trading.since,
    )


def test_an_order_in_flight_is_known_after_a_restart() -> None:
    """It was intended and nothing was heard: it is open, and its rebalance is unfinished."""
    state, settled = replayed(Life((*MORNING, *DECISION)).envelopes)

    assert [ORDER_ID] == [order.client_order_id for order in state.orders.open_orders()]
    assert state.rebalances.unfinished_id() == KEY
    assert settled == []


def test_every_prefix_of_a_journal_replays_to_a_state_that_was_lived() -> None:
    """Also between a report and the fill that follows from it, and between a fill and its booking: event by event, hash by hash."""
    life = Life(WHOLE_DAY)
    again = JournaledState(nobody)
    for envelope, lived in zip(life.envelopes, life.hashes, strict=True):
        again.replay([envelope])
        assert lived == again.hash(), envelope
    assert len(set(life.hashes)) > len(WHOLE_DAY) / 2, "the hash tells states apart"


@pytest.mark.parametrize("at", range(len(Life(WHOLE_DAY).envelopes) + 1))
def test_a_state_taken_up_anywhere_goes_on_as_if_it_had_lived(at: int) -> None:
    """What is dumped after any event, restored in another process and fed the rest of the journal, is the state at the end."""
    life = Life(WHOLE_DAY)
    before, after = JournaledState(nobody), JournaledState(nobody)
    before.replay(life.envelopes[:at])
    after.restore(before.dump(), before.hash())
    assert before.hash() == after.hash()
    after.replay(life.envelopes[at:])

    assert life.hashes[-1] == after.hash()
    assert picture(life.state) == picture(after)


def test_nothing_that_a_component_knows_is_left_out_of_its_memory() -> None:
    """An attribute that somebody adds to a component is part of its memory, or named here as wiring."""
    state = JournaledState(nobody)
    journaled = (state.orders, state.parked, state.ledger, state.standing, state.rebalances, state.trading, state.guards)
    for part in (*journaled, state.overview):
        known = {name.lstrip("_") for name in vars(part) if name not in WIRING}
        assert known == set(part.memory_type.__struct_fields__), type(part).__name__


def test_what_cannot_be_read_is_refused_and_changes_nothing() -> None:
    """A dump of another version, or no dump at all."""
    life = Life(WHOLE_DAY)
    before = life.state.hash()
    for dumped in (b"", b"{}", life.state.dump()[:-9]):
        with pytest.raises(DataError, match="cannot be read by this version"):
            life.state.restore(dumped, before)
    with pytest.raises(DataError, match="has the hash"):
        life.state.restore(JournaledState(nobody).dump(), before)
    assert before == life.state.hash()


def later(days: int) -> SessionOpened:
    """Return the opening of a session so many days after the day of the tests."""
    shift = timedelta(days=days)
    session = Session(date=DAY + shift, opens_at=SESSION.opens_at + shift, closes_at=SESSION.closes_at + shift)
    return SessionOpened(at=session.opens_at, session=session)


def test_ended_orders_leave_memory_when_the_session_after_theirs_is_over() -> None:
    """They are still there on the next day, for who asks and for what the venue is late to tell; then the journal alone has them."""
    life = Life((*WHOLE_DAY, later(1)))
    assert [ORDER_ID] == [order.client_order_id for order in life.state.orders]
    assert life.state.orders.count_of_session(DAY) == 1

    life.feed(later(1))
    assert [ORDER_ID] == [order.client_order_id for order in life.state.orders], "opened again by a restart, it is the same session"

    life.feed(later(2))
    memory = msgspec.to_builtins(life.state.orders.memory())
    assert list(life.state.orders) == []
    assert [{}, {}, {}, {}] == [memory[name] for name in ("by_venue_id", "closed", "unannounced", "of_session")]
    assert [ORDER_ID] == list(life.state.ledger.memory().orders), "the ledger forgets them as a week begins"

    life.feed(later(7 - DAY.weekday()))
    ledger = msgspec.to_builtins(life.state.ledger.memory())
    assert [{}, {}, {}, {}] == [ledger[name] for name in ("waiting", "orders", "booked", "unbooked")]
    assert {"SPY": 10} == life.state.ledger.holdings()
    assert life.state.orders.last_fill_at is not None


def test_an_order_that_has_not_ended_stays_however_long_it_takes() -> None:
    """Weeks later its fill is still known for what it is, and booked to who wanted it."""
    life = Life((*MORNING, *DECISION, *(later(day) for day in range(1, 9))))
    assert [ORDER_ID] == [order.client_order_id for order in life.state.orders.open_orders()]

    life.feed(report("fill", "filled", last="10", total="10", execution="e9"))
    assert {"SPY": 10} == life.state.ledger.holdings()


def test_a_year_of_days_is_remembered_in_the_space_of_two_weeks() -> None:
    """What is kept in memory does not grow with the number of weeks."""

    def size(days: int) -> int:
        life = Life(MORNING)
        for day in range(days):
            life.feed(later(day))
            life.feed(later_order(day))
            life.feed(OrderWithheld(at=DECIDED_AT, client_order_id=later_order(day).order.client_order_id, reason="drill"))
            life.feed(DecisionDue(at=DECIDED_AT, rebalance_id=KEY, session=DAY + timedelta(days=day), reason="schedule"))
        return len(life.state.dump())

    assert size(12 + 41 * 7) <= size(12) + 64
    assert size(12) < 2 * size(11)


def later_order(day: int) -> OrderIntended:
    """Return an order of that day."""
    session = DAY + timedelta(days=day)
    order = msgspec.structs.replace(ORDER, client_order_id=f"abc123-{session:%Y%m%d}.1-SPY-1")
    return OrderIntended(at=DECIDED_AT + timedelta(days=day), rebalance_id=f"{session:%Y%m%d}.1", intent_id="SPY", attempt=1, order=order)


def test_a_replay_finds_the_parked_symbols() -> None:
    """A symbol that a comparison parked is parked after the restart, for the same reason."""
    parking = Parking(code="position_more", reason="nobody knows these shares", since=DECIDED_AT)
    done = Reconciled(at=DECIDED_AT, reason="timer", attempts=3, reports=(), differences=(), parked={"SPY": parking})
    state = JournaledState(nobody)
    assert state.replay([Envelope(1, done, 0.0)]) == 1
    assert state.parked.why("SPY") is not None
    assert state.parked.why("QQQ") is None
