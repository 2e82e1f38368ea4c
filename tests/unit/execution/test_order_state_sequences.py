"""The order states, enumerated: every sequence of what the daemon and the venue may say of one order, lived and replayed alike.

The four outcomes of a request are different things here: *rejected* and *not found* end the order, *unknown* does not, and what was never
sent may go again under its id. Whatever was decided, an execution that the venue tells of later still counts.
"""

from decimal import Decimal

import msgspec
import pytest

from alchemiser.bus.envelope import Envelope
from alchemiser.domain.events import (
    CancelRequested,
    Event,
    ExecutionReported,
    FillBroken,
    OrderClosed,
    OrderFilled,
    OrderIntended,
    OrderNotFound,
    OrderOutcomeUnknown,
    OrderRejected,
    OrderWithheld,
    Reconciled,
)
from alchemiser.domain.orders import OrderState
from alchemiser.execution.order_states import OrdersMemory, OrderStates
from tests.unit.execution.test_order_states import AT, KEY, Tape, report

replace = msgspec.structs.replace
BUST = replace(report("trade_bust", "partially_filled", "0", "-4", "b1"), previous_execution_id="e1")


def intended() -> OrderIntended:
    """Return the intention of the order."""
    tape = Tape()
    tape.intend()
    (event,) = tape.events
    assert isinstance(event, OrderIntended)
    return event


SAID: dict[str, Event] = {
    "intended again": intended(),
    "rejected": OrderRejected(at=AT, client_order_id=KEY, code=40310000, message="insufficient buying power"),
    "unknown": OrderOutcomeUnknown(at=AT, client_order_id=KEY, reason="timeout"),
    "not found": OrderNotFound(at=AT, client_order_id=KEY),
    "withheld": OrderWithheld(at=AT, client_order_id=KEY, reason="the gate is closed"),
    "cancel requested": CancelRequested(at=AT, client_order_id=KEY, reason="rung"),
    "new": ExecutionReported(at=AT, report=report("new", "new")),
    "partial fill": ExecutionReported(at=AT, report=report("partial_fill", "partially_filled", "4", "4", "e1")),
    "fill": ExecutionReported(at=AT, report=report("fill", "filled", "10", "6", "e2")),
    "cancelled": ExecutionReported(at=AT, report=report("canceled", "canceled", "4")),
    "bust": ExecutionReported(at=AT, report=BUST),
}

_decode = msgspec.json.Decoder(OrdersMemory).decode
_encode = msgspec.json.Encoder().encode


class Step:
    """The order states taken up from a memory, with what they announce fed back as the bus does."""

    def __init__(self, memory: bytes) -> None:
        self.states = OrderStates(self.feed)
        self.states.remember(_decode(memory))
        self.announced: list[Event] = []
        self.trail: list[tuple[Event, bytes]] = []
        self._waiting: list[Event] = []
        self._is_busy = False

    def feed(self, event: Event, correlation: str | None = None) -> None:
        """Publish an event; what follows from it comes after it."""
        self._waiting.append(event)
        if self._is_busy:
            self.announced.append(event)
            return
        self._is_busy = True
        while self._waiting:
            one = self._waiting.pop(0)
            self.states(Envelope(1, one, 0.0))
            self.trail.append((one, _encode(self.states.memory())))
        self._is_busy = False


Told = frozenset[str]


def check(memory: bytes, told: Told, event: Event) -> tuple[bytes, Told]:
    """Apply an event and check all that must hold of the step; return the memory after it and the executions told of."""
    step = Step(memory)
    before = step.states.get(KEY)
    step.feed(event)
    after = step.states.get(KEY)
    assert before is not None
    assert after is not None

    filled = [one.fill.execution_id for one in step.announced if isinstance(one, OrderFilled)]
    broken = [one.fill.execution_id for one in step.announced if isinstance(one, FillBroken)]
    closed = [one for one in step.announced if isinstance(one, OrderClosed)]
    assert not told & set(filled), "each execution is announced once"
    assert len(set(filled)) == len(filled)
    assert set(broken) <= told, "only what counted is taken back"
    assert len(closed) <= 1
    if closed:
        assert after.is_terminal
        assert not after.missing_quantity, "an end is announced when all that the venue counts is known"
        assert closed[0].cumulative_quantity == after.cumulative_quantity
    if before.is_terminal and not isinstance(event, OrderIntended):
        assert after.is_terminal, "what has ended stays ended until it is intended again"
    if isinstance(event, OrderOutcomeUnknown | CancelRequested):
        assert after.is_terminal == before.is_terminal, "an unknown outcome and the wish to cancel are no ends"
    assert (KEY in [order.client_order_id for order in step.states.open_orders()]) is not after.is_terminal

    again = OrderStates(_nobody)
    again.remember(_decode(memory))
    for one, lived in step.trail:
        again.replay(Envelope(1, one, 0.0))
        assert lived == _encode(again.memory()), "a replay passes through the states that were lived"
    return step.trail[-1][1], told | set(filled)


def _nobody(event: Event) -> None:
    raise AssertionError(f"a replay published {type(event).__name__}")


def walk(length: int) -> tuple[int, set[OrderState]]:
    """Walk every sequence of that length; return how many there are and the states they end in.

    An order is intended again only after it was never sent: the handler's rule, without which an id would have two lives.
    """
    tape = Tape()
    tape.intend()
    layer = {(_encode(tape.states.memory()), frozenset[str]()): 1}
    ends: set[OrderState] = set()
    for _ in range(length):
        following: dict[tuple[bytes, Told], int] = {}
        for (memory, told), count in layer.items():
            order = _decode(memory).orders[KEY]
            for event in SAID.values():
                if isinstance(event, OrderIntended) and (order.state is not OrderState.NEVER_SENT or order.cumulative_quantity):
                    continue
                key = check(memory, told, event)
                following[key] = following.get(key, 0) + count
                ends.add(_decode(key[0]).orders[KEY].state)
        layer = following
    return sum(layer.values()), ends


@pytest.mark.parametrize("length", [1, 4, 6])
def test_every_sequence_keeps_what_was_announced_right(length: int) -> None:
    """Ten things at least may be said at any time; all that may be said of an order is walked."""
    count, ends = walk(length)
    assert count >= 10**length
    assert {OrderState.REJECTED, OrderState.UNKNOWN, OrderState.NEVER_SENT, OrderState.CANCELLING} <= ends
    assert {OrderState.WORKING, OrderState.CANCELLED, OrderState.FILLED} <= ends


@pytest.mark.parametrize("end", ["rejected", "not found", "withheld", "cancelled"])
def test_an_execution_counts_whatever_was_decided_before(end: str) -> None:
    """The venue answered no, or not at all, and executed all the same: shares that are there are told of."""
    tape = Tape()
    tape.intend()
    for name in (end, "partial fill", "fill"):
        tape.feed(SAID[name])
    assert ["filled 4", "filled 6"] == [words for words in tape.announced() if words.startswith("filled")]
    order = tape.states.get(KEY)
    assert order is not None
    assert order.state is OrderState.FILLED


def test_a_broken_execution_is_announced_once_and_settled_when_the_journal_was_cut() -> None:
    """The report was written and the process ended: that the execution is gone is announced by the next one."""
    tape = Tape()
    tape.intend()
    tape.feed(SAID["partial fill"])
    tape.feed(SAID["bust"])
    tape.feed(SAID["bust"])
    (broken,) = [event for event in tape.events if isinstance(event, FillBroken)]
    assert ("e1", None, "trade_bust") == (broken.fill.execution_id, broken.replaced_by, broken.reason)
    assert tape.states.fills == {}

    cut = Tape()
    for number, event in enumerate((event for event in tape.events if not isinstance(event, FillBroken)), 1):
        cut.states.replay(Envelope(number, event, 0.0))
    assert 1 == cut.states.settle()
    assert [broken] == cut.events
    assert 0 == cut.states.settle()


def test_a_correction_is_a_break_and_a_fill() -> None:
    """The one in the place of the other, in this order, each named."""
    tape = Tape()
    tape.intend()
    tape.feed(SAID["partial fill"])
    right = replace(report("trade_correct", "partially_filled", "5", "5", "e9"), previous_execution_id="e1")
    tape.feed(ExecutionReported(at=AT, report=right))
    broken, filled = tape.events[-2:]
    assert isinstance(broken, FillBroken)
    assert isinstance(filled, OrderFilled)
    assert ("e1", "e9") == (broken.fill.execution_id, broken.replaced_by)
    assert ("e9", Decimal(5)) == (filled.fill.execution_id, filled.fill.quantity)


def test_what_a_reconciliation_found_is_applied_report_by_report() -> None:
    """Several executions in one event of the journal: each is announced, in order, and then the end."""
    tape = Tape()
    tape.intend()
    reports = tuple(event.report for event in SAID.values() if isinstance(event, ExecutionReported) and event.report.execution_id)
    tape.feed(Reconciled(at=AT, reason="start", attempts=1, reports=reports[:2], differences=(), parked={}))
    assert ["filled 4", "filled 6", "closed filled"] == tape.announced()


def test_an_end_of_what_was_never_intended_is_harmless() -> None:
    """An older process may have closed an order that has left memory."""
    tape = Tape()
    tape.intend()
    closed = OrderClosed(
        at=AT, client_order_id="another", symbol="SPY", state="filled", cumulative_quantity=Decimal(1), average_price=None, reason=None
    )
    tape.feed(closed)
    assert [KEY] == [order.client_order_id for order in tape.states.open_orders()]
