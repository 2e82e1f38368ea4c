"""The pages on the life of an order, of a rebalance, and on what follows a crash say what the daemon does: their tables are run here."""

import re
from collections import deque
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from alchemiser.bus.envelope import Envelope
from alchemiser.domain.errors import CredentialsRefused, OutcomeUnknown, VenueError, VenueUnavailable
from alchemiser.domain.errors import OrderRejected as RejectedByVenue
from alchemiser.domain.events import (
    CancelRequested,
    DaemonStopping,
    Event,
    ExecutionReported,
    GapClosed,
    GapOpened,
    OrderIntended,
    OrderNotFound,
    OrderOutcomeUnknown,
    OrderPrepared,
    OrderRejected,
    OrderUnprepared,
    OrderWithheld,
    Reconciled,
    ReconciliationFailed,
    ReconciliationStarted,
    RecoveryCompleted,
    SessionClosed,
    SessionOpened,
    StreamConnected,
    StreamLost,
    TradingStateChanged,
)
from alchemiser.domain.ids import split_client_order_id
from alchemiser.domain.money import number_string
from alchemiser.domain.orders import TERMINAL, ExecutionReport, NewOrder, OrderState
from alchemiser.domain.reconciliation import MEANINGS
from alchemiser.domain.venue import After
from alchemiser.execution.gate import SubmitGate
from alchemiser.execution.order_states import OrderStates
from alchemiser.service.stopping import SHARES
from tests.solipsism import virtual
from tests.unit.execution.desk import SESSION, START, Floor, ScriptedVenue, buy, order_of, plan_of, report_of

DOCS = Path(__file__).parents[2] / "docs"
ORDER = order_of(buy())
KEY = ORDER.client_order_id


def table(page: str, heading: str) -> list[tuple[str, ...]]:
    """Return the rows of the one table under a heading, without its head."""
    text = (DOCS / f"{page}.md").read_text()
    section = text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    rows = [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in section.splitlines() if line.startswith("|")]
    assert len(rows) > 2, f"there is no table under {heading!r}"
    return rows[2:]


def words(cell: str) -> list[str]:
    """Return what a cell has in code."""
    return re.findall(r"`([^`]+)`", cell)


# --- the life of an order ---


def told(name: str, status: str = "") -> Event:
    """Return what a row calls by an event's name, or a report of the venue by its event and status."""
    quantity, execution = {"fill": ("10", "all"), "partial_fill": ("4", "part")}.get(name, (None, None))
    if status or execution or name in ("new", "canceled"):
        status = status or {"fill": "filled", "partial_fill": "partially_filled"}.get(name, name)
        report = report_of(ORDER, name, status, last=quantity, cumulative=quantity or "0", execution=execution)
        return ExecutionReported(at=START, report=report)
    match name:
        case "OrderIntended":
            return OrderIntended(at=START, rebalance_id="20250303.1", intent_id="SPY", attempt=1, order=ORDER)
        case "OrderPrepared":
            request = ORDER
            return OrderPrepared(
                at=START,
                rebalance_id="20250303.1",
                intent_id="SPY",
                attempt=1,
                client_order_id=KEY,
                symbol=request.symbol,
                side=request.side,
                quantity=request.quantity,
            )
        case "OrderUnprepared":
            return OrderUnprepared(at=START, client_order_id=KEY, reason="the intent has ended")
        case "OrderOutcomeUnknown":
            return OrderOutcomeUnknown(at=START, client_order_id=KEY, reason="no answer")
        case "OrderRejected":
            return OrderRejected(at=START, client_order_id=KEY, code=40310000, message="no")
        case "OrderNotFound":
            return OrderNotFound(at=START, client_order_id=KEY)
        case "OrderWithheld":
            return OrderWithheld(at=START, client_order_id=KEY, reason="the gate is closed")
        case "CancelRequested":
            return CancelRequested(at=START, client_order_id=KEY, reason="somebody asked")
    raise AssertionError(f"{name} is not known to this test")


BEFORE = {
    "intended": (),
    "unknown": ("OrderOutcomeUnknown",),
    "working": ("new",),
    "cancelling": ("new", "CancelRequested"),
    "cancelled": ("new", "canceled"),
    "filled": ("new", "fill"),
    "never_sent": ("OrderWithheld",),
}
"""How an order comes to be in the state that a row begins with."""


def test_the_page_knows_every_state_of_an_order() -> None:
    """A state that is added is explained, and whether it ends the order is said rightly."""
    rows = table("life-of-an-order", "What an order can be")
    assert [str(state) for state in OrderState] == [words(row[0])[0] for row in rows]
    assert {str(state) for state in TERMINAL} == {words(row[0])[0] for row in rows if row[2] == "yes"}


@pytest.mark.parametrize("row", table("life-of-an-order", "What moves it"), ids=lambda row: " ".join(row))
def test_an_order_moves_as_the_page_says(row: tuple[str, ...]) -> None:
    """From that state, by that report or event, to that state."""
    before, hears, after = words(row[0])[0], words(row[1]), words(row[2])[0]
    orders = OrderStates(lambda event: None)
    for number, event in enumerate((told("OrderIntended"), *(told(name) for name in BEFORE[before]), told(*hears)), 1):
        if number == len(BEFORE[before]) + 2:
            known = orders.get(KEY)
            assert known is not None
            assert before == known.state
        orders.replay(Envelope(number, event, 0.0))
    order = orders.get(KEY)
    assert order is not None
    assert after == order.state
    assert ("10" if after == "filled" else "4" if hears[0] == "partial_fill" else "0") == str(order.cumulative_quantity)


ANSWERS: dict[str, VenueError | None] = {
    "the order": None,
    "OrderRejected": RejectedByVenue("insufficient buying power", code=40310000, status=403),
    "VenueUnavailable": VenueUnavailable("connection refused"),
    "OutcomeUnknown": OutcomeUnknown("no answer within 10 s"),
    "CredentialsRefused": CredentialsRefused("forbidden."),
}


def test_the_page_knows_every_outcome_of_a_request() -> None:
    """The four outcomes, and the key that is refused."""
    assert list(ANSWERS) == [(words(row[0]) or [row[0]])[0] for row in table("life-of-an-order", "What became of a request")]


@pytest.mark.parametrize("row", table("life-of-an-order", "What became of a request"), ids=lambda row: row[0])
def test_a_request_becomes_what_the_page_says(row: tuple[str, ...]) -> None:
    """That event comes of it, and so many requests are made in all; one that goes again keeps its id, unless it was refused."""
    error = ANSWERS[(words(row[0]) or [row[0]])[0]]
    venue = ScriptedVenue(submits=deque([] if error is None else [error]))
    accept = venue.submit

    async def main() -> Floor:
        floor = Floor(venue)

        async def submit(order: NewOrder, *, after: After | None = None) -> ExecutionReport:
            report = await accept(order, after=after)
            floor.fill(order)
            return report

        venue.submit = submit  # type: ignore[method-assign]
        await floor.work(buy())
        return floor

    floor = virtual(main)
    names = floor.names()
    assert words(row[1])[0] in names[names.index("OrderIntended") :]
    assert int(row[3]) == len(venue.sent)
    assert (1 if error is None or row[1] != "`OrderRejected`" else 2) == len({order.client_order_id for order in venue.sent})
    assert isinstance(error, CredentialsRefused) == ("TradingStateChanged" in names)


# --- the life of a rebalance ---

CLOSING: dict[str, Event] = {
    "StreamLost": StreamLost(at=START, stream="orders", reason="closed"),
    "GapOpened": GapOpened(at=START, stream="orders", since=START, reason="closed"),
    "ReconciliationStarted": ReconciliationStarted(at=START, reason="timer"),
    "ReconciliationFailed": ReconciliationFailed(at=START, reason="timer", code="venue_unavailable", error="down", retries=True),
    "TradingStateChanged": TradingStateChanged(at=START, state="paused", by="operator", reason="lunch"),
    "SessionClosed": SessionClosed(at=START, session=SESSION),
    "DaemonStopping": DaemonStopping(at=START, reason="SIGTERM"),
}
OPENING: dict[str, Event] = {
    "RecoveryCompleted": RecoveryCompleted(at=START, events_replayed=0, fills_recovered=0, open_orders=0),
    "StreamConnected": StreamConnected(at=START, stream="orders"),
    "GapClosed": GapClosed(at=START, stream="orders", since=START, fills_recovered=0),
    "Reconciled": Reconciled(at=START, reason="timer", attempts=1, reports=(), differences=(), parked={}),
    "TradingStateChanged": TradingStateChanged(at=START, state="active", by="operator", reason="back"),
    "SessionOpened": SessionOpened(at=START, session=SESSION),
    "SessionClosed": SessionClosed(at=START, session=SESSION),
}


@pytest.mark.parametrize("row", table("life-of-a-rebalance", "When nothing is sent"), ids=lambda row: row[0])
def test_the_gate_is_closed_and_opened_as_the_page_says(row: tuple[str, ...]) -> None:
    """That event gives the reason, that one takes it away, and with it the gate is closed."""
    cause, closes, opens = words(row[0])[0], words(row[1]), words(row[2])
    now = [START]
    gate = SubmitGate(now=lambda: now[0], cut_off=lambda session: START + timedelta(minutes=9))
    if closes:
        for event in (*OPENING.values(), OPENING["SessionOpened"]):
            gate(Envelope(1, event, 0.0))
        assert gate.is_open
        gate(Envelope(2, CLOSING[closes[0]], 0.0))
    elif row[1] == "the clock":
        gate(Envelope(1, OPENING["SessionOpened"], 0.0))
        now[0] = START + timedelta(minutes=9)
    assert cause in gate.reasons
    assert not gate.is_open
    assert gate.why_not("SPY") is not None
    for event in (OPENING[opens[0]],) if opens else OPENING.values():
        gate(Envelope(3, event, 0.0))
    assert (cause in gate.reasons) == (not opens)


def test_the_page_knows_every_event_that_the_gate_listens_to() -> None:
    """A new reason to send nothing is in the table."""
    rows = table("life-of-a-rebalance", "When nothing is sent")
    assert {kind.__name__ for kind in SubmitGate.listens_to} == {word for row in rows for cell in row[1:] for word in words(cell)}


@pytest.mark.parametrize("row", table("life-of-a-rebalance", "How an intent ends"), ids=lambda row: row[0])
def test_an_intent_ends_as_the_page_says(row: tuple[str, ...]) -> None:
    """So much filled, then a halt unless it was all: that state, and that end of the rebalance."""
    state, end = words(row[0])[0], words(row[2])[0]
    filled = re.findall(r"filled: (\d+)", row[1])[0]
    venue = ScriptedVenue()

    async def main() -> Floor:
        floor = Floor(venue)
        venue.on_cancel = lambda key: floor.report(venue.sent[0], "canceled", "canceled", cumulative=filled)

        async def play() -> None:
            await floor.plan(buy())
            await floor.clock.sleep(0.1)
            if filled == "10":
                floor.fill(venue.sent[0])
            else:
                if filled != "0":
                    floor.report(venue.sent[0], "partial_fill", "partially_filled", last=filled, cumulative=filled, execution="part")
                floor.bus.post(TradingStateChanged(at=floor.clock.now(), state="halted", by="operator", reason="enough"))
            await floor.ended.wait()

        await floor.run(play)
        return floor

    floor = virtual(main)
    (ended,) = [event for event in floor.events if type(event).__name__ == end]
    assert [(state, Decimal(filled))] == [(outcome.state, outcome.filled_quantity) for outcome in ended.outcomes]  # type: ignore[attr-defined]


# --- after a crash ---


class AskedVenue(ScriptedVenue):
    """Also remembers what it was asked about."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    async def order_by_client_id(self, client_order_id: str) -> ExecutionReport:
        """Look the order up."""
        if client_order_id not in self.asked:
            self.asked.append(client_order_id)
        return await super().order_by_client_id(client_order_id)


@pytest.mark.parametrize("row", table("after-a-crash", "What is done about what was left"), ids=lambda row: row[0])
def test_a_start_takes_up_what_was_left_as_the_page_says(row: tuple[str, ...]) -> None:
    """The journal is replayed, recovery is completed, and this is done: no more and no less."""
    venue = AskedVenue()

    async def main() -> None:
        floor = Floor(venue)
        venue.on_cancel = lambda key: floor.report(ORDER, "canceled", "canceled", cumulative="4" if "`partial_fill`" in row[0] else "0")
        for number, name in enumerate(words(row[0]), 1):
            if name == "RebalancePlanned":
                floor.rebalances(Envelope(number, plan_of(buy()), 0.0))
            else:
                floor.orders.replay(Envelope(number, told(name), 0.0))

        floor.orders.settle()

        async def play() -> None:
            await floor.clock.sleep(4.5)

        await floor.run(play)

    virtual(main)
    done = []
    if venue.asked and not venue.cancelled:
        done.append("looked up")
    if venue.cancelled:
        done.append("cancelled")
    for order in venue.sent:
        parts = split_client_order_id(order.client_order_id)
        assert parts is not None
        done.append(f"attempt {parts[3]} of {number_string(order.quantity)} shares")
    assert row[1] == (", ".join(done) or "nothing")


def test_the_page_has_every_difference_with_its_remedy() -> None:
    """The table is that of the code, word for word."""
    rows = table("after-a-crash", "What a comparison can find")
    assert [(f"`{code}`", f"`{meaning.remedy}`", meaning.text) for code, meaning in MEANINGS.items()] == rows


def test_the_page_has_every_stage_of_a_stop() -> None:
    """With the share of the time that it may take; together they are all of it."""
    rows = table("after-a-crash", "An orderly stop")
    assert [(f"`{name}`", f"{share:.0%}") for name, share in SHARES.items()] == rows


@pytest.mark.parametrize("page", ["life-of-an-order", "life-of-a-rebalance", "after-a-crash"])
def test_the_pages_lead_somewhere(page: str) -> None:
    """Every link of a page is a file of the documentation, and the README's index of the documentation leads to the page."""
    links = re.findall(r"\]\(([\w./-]+\.md)", (DOCS / f"{page}.md").read_text())
    assert links or page == "after-a-crash"
    assert all((DOCS / link).exists() for link in links)
    assert "](docs/README.md)" in (DOCS.parent / "README.md").read_text()
    assert f"]({page}.md)" in (DOCS / "README.md").read_text()
