"""The journaled state: a replay of any prefix is the state that the daemon passed through, and what a cut left out is settled."""

from collections import Counter
from typing import Any

import msgspec
import pytest

from alchemiser.bus.envelope import Envelope
from alchemiser.domain.events import Event, FillBooked, OrderClosed, OrderFilled, TradingStateChanged
from alchemiser.service.state import JournaledState
from tests.unit.service.trading_day import DAY, DECIDED_AT, DECISION, KEY, MORNING, ORDER_ID, WHOLE_DAY, Life


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

    def post(event: Event) -> None:
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
