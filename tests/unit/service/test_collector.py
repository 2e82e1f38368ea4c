"""What was alive at the start costs no order a moment later on; what becomes garbage afterwards is found all the same."""

import gc
import weakref
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from alchemiser.bus.envelope import Envelope
from alchemiser.domain.events import Event, OrderClosed, RebalanceCompleted
from alchemiser.service.collector import (
    ALL_ROUNDS,
    OLDER_ROUNDS,
    PUT_OFF_AT_MOST,
    ROUND_OBJECTS,
    THRESHOLDS,
    Collector,
    spare_the_living,
)

AT = datetime(2025, 3, 3, 16, tzinfo=UTC)


class Node:
    """Something that may be part of a cycle."""

    def __init__(self) -> None:
        self.other: Node | None = None


@pytest.fixture(autouse=True)
def collector() -> Iterator[None]:
    """Leave the collector as it was."""
    before = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*before)


def test_what_is_alive_is_not_looked_at_again() -> None:
    """Full rounds begin from nothing."""
    kept = Node()
    spare_the_living()
    assert gc.get_freeze_count() > 1_000
    assert all(one is not kept for one in gc.get_objects(generation=2))
    assert gc.get_threshold() == THRESHOLDS


def test_garbage_of_later_is_collected() -> None:
    """A day is long, and nothing may grow."""
    spare_the_living()
    one, other = Node(), Node()
    one.other, other.other = other, one
    seen = weakref.ref(one)
    del one, other
    gc.collect()
    assert seen() is None


def envelope(event: Event) -> Envelope:
    """Return an event as the collector hears of it."""
    return Envelope(1, event, 0.0)


CLOSED = OrderClosed(
    at=AT,
    client_order_id="epoch-20250303.1-TECL-1",
    symbol="TECL",
    state="filled",
    cumulative_quantity=Decimal(1),
    average_price=Decimal(100),
    reason=None,
)
ENDED = RebalanceCompleted(at=AT, rebalance_id="20250303.1", outcomes=())


def garbage() -> weakref.ref[Node]:
    """Make a cycle that nobody holds, and return what tells whether it is still there."""
    one, other = Node(), Node()
    one.other, other.other = other, one
    return weakref.ref(one)


def garbage_that_lived(through: int, *, generation: int) -> weakref.ref[Node]:
    """Make a cycle, let go of it after so many rounds through that generation, and return what tells whether it is still there."""
    node = Node()
    node.other = node
    for _ in range(through):
        gc.collect(generation)
    return weakref.ref(node)


@pytest.fixture
def by_hand() -> Iterator[Collector]:
    """The collector behind orders, with Python's own rounds switched off and nothing young about."""
    gc.collect()
    gc.disable()
    yield Collector(lambda: False)
    gc.enable()


def test_garbage_of_an_order_is_found_behind_orders(by_hand: Collector) -> None:
    """Not for each of them: a round has to be worth its while."""
    gc.collect()
    seen = garbage()
    by_hand(envelope(CLOSED))
    assert seen() is not None
    kept = [[number] for number in range(ROUND_OBJECTS)]
    by_hand(envelope(CLOSED))
    assert seen() is None
    assert len(kept) == ROUND_OBJECTS


@pytest.mark.parametrize(
    ("rounds", "event", "is_found"),
    [
        (OLDER_ROUNDS, ENDED, True),
        (OLDER_ROUNDS, CLOSED, False),
        (OLDER_ROUNDS * PUT_OFF_AT_MOST, CLOSED, True),
    ],
    ids=["when a rebalance has ended", "while it trades", "while it trades for long"],
)
def test_what_survived_a_round_is_looked_at_again(by_hand: Collector, rounds: int, event: Event, *, is_found: bool) -> None:
    """Garbage that was alive in the first round is found by one through the survivors; an order does not wait for that."""
    seen = garbage_that_lived(rounds, generation=0)
    by_hand(envelope(event))
    assert (seen() is None) == is_found


def test_without_orders_it_is_tidied_all_the_same(by_hand: Collector) -> None:
    """An order that comes after a long time does not find the garbage of all that time."""
    seen = garbage()
    kept = [[number] for number in range(ROUND_OBJECTS)]
    by_hand.tidy()
    assert seen() is None
    assert len(kept) == ROUND_OBJECTS


@pytest.mark.parametrize("is_quiet", [False, True], ids=["while it trades", "while it waits"])
def test_between_rebalances_everything_may_be_looked_through(by_hand: Collector, *, is_quiet: bool) -> None:
    """Whoever asks: no order waits for it."""
    seen = garbage_that_lived(ALL_ROUNDS, generation=1)
    Collector(lambda: is_quiet).tidy()
    assert (seen() is None) == is_quiet


@pytest.mark.parametrize(("event", "is_found"), [(CLOSED, False), (ENDED, True)], ids=["while it trades", "when a rebalance has ended"])
def test_everything_is_looked_through_only_where_no_order_waits(by_hand: Collector, event: Event, *, is_found: bool) -> None:
    """It takes milliseconds."""
    seen = garbage_that_lived(ALL_ROUNDS, generation=1)
    by_hand(envelope(event))
    assert (seen() is None) == is_found
