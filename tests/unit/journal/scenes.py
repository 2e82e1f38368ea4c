"""What the journal tests share: envelopes, journals, and a fold of a small trading day."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from alchemiser.bus.envelope import Envelope
from alchemiser.domain.events import (
    BookEntry,
    Event,
    ExecutionReported,
    FillBooked,
    OrderClosed,
    OrderFilled,
    OrderIntended,
    RebalancePlanned,
    StreamLost,
)
from alchemiser.domain.intents import Crossing
from alchemiser.domain.orders import ExecutionReport, Fill, NewOrder, OrderType, Side, TimeInForce
from alchemiser.journal.committers import OnCommit
from alchemiser.journal.format import Snapshot
from alchemiser.journal.journal import Journal

START = datetime(2025, 3, 3, 20, 50, tzinfo=UTC)
ORDER = "abc123-20250303.1-TECL-1"


def open_journal(path: Path, *, threaded: bool = False, linger_seconds: float = 60.0, on_commit: OnCommit | None = None) -> Journal:
    """Open a journal; with a thread it commits only when asked, so that commits can be counted."""
    return Journal.open(path, new_epoch=lambda: "abc123", threaded=threaded, linger_seconds=linger_seconds, on_commit=on_commit)


def snapshot(name: str, sequence: int, payload: bytes = b"payload") -> Snapshot:
    """Return a snapshot that some version made."""
    return Snapshot(name, sequence, "1", f"hash of {payload!r}", payload)


def lost(sequence: int, reason: str = "x", correlation: str | None = None) -> Envelope:
    """Return a small envelope."""
    at = START + timedelta(seconds=sequence)
    return Envelope(sequence, StreamLost(at=at, stream="orders", reason=reason), sequence / 8, correlation, sequence - 1 or None)


def filled(journal: Journal, sequences: Iterable[int]) -> Journal:
    """Append small envelopes of these numbers."""
    for sequence in sequences:
        journal.append(lost(sequence))
    return journal


def journal_with(path: Path, *, events: int, snapshots: Iterable[int]) -> Path:
    """Write a journal of that many small events, one a second, with snapshots taken after these, and return where it is."""
    with filled(open_journal(path), range(1, events + 1)) as journal:
        for sequence in snapshots:
            journal.save_snapshot(snapshot("state", sequence))
    return path


def envelopes_of(events: Iterable[Event], first: int = 1) -> list[Envelope]:
    """Return the events with numbers around them."""
    return [Envelope(number, event, 0.0) for number, event in enumerate(events, first)]


def order(client_order_id: str = ORDER, quantity: str = "10", side: Side = Side.BUY) -> NewOrder:
    """Return a limit order."""
    return NewOrder(
        client_order_id=client_order_id,
        symbol="TECL",
        side=side,
        quantity=Decimal(quantity),
        order_type=OrderType.LIMIT,
        time_in_force=TimeInForce.DAY,
        limit_price=Decimal("70.05"),
    )


def intended(request: NewOrder) -> OrderIntended:
    """Return the intention of an order."""
    return OrderIntended(at=START, rebalance_id="20250303.1", intent_id="TECL", attempt=1, order=request)


def report(event: str, cumulative: str, *, execution_id: str | None = None, last: str | None = None, status: str | None = None) -> Event:
    """Return what the venue said about the order."""
    return ExecutionReported(
        at=START,
        report=ExecutionReport(
            event=event,
            status=status or event,
            client_order_id=ORDER,
            venue_order_id="venue-1",
            symbol="TECL",
            side=Side.BUY,
            quantity=Decimal(10),
            cumulative_quantity=Decimal(cumulative),
            average_price=Decimal(70),
            at=START,
            execution_id=execution_id,
            last_quantity=None if last is None else Decimal(last),
            last_price=None if last is None else Decimal(70),
        ),
    )


def fill(execution_id: str, quantity: str) -> OrderFilled:
    """Return a fill of the order."""
    return OrderFilled(
        at=START,
        fill=Fill(
            execution_id=execution_id,
            client_order_id=ORDER,
            venue_order_id="venue-1",
            symbol="TECL",
            side=Side.BUY,
            quantity=Decimal(quantity),
            price=Decimal(70),
            at=START,
        ),
    )


def booked(execution_id: str, **shares: str) -> FillBooked:
    """Return the booking of a fill to strategies."""
    entries = tuple(
        BookEntry(strategy=name, quantity=Decimal(part), price=Decimal(70), cash=-70 * Decimal(part), realised=Decimal(0))
        for name, part in shares.items()
    )
    return FillBooked(at=START, execution_id=execution_id, symbol="TECL", entries=entries)


def planned(crossings: tuple[Crossing, ...] = ()) -> RebalancePlanned:
    """Return a plan with nothing in it but crossings."""
    return RebalancePlanned(
        at=START,
        rebalance_id="20250303.1",
        session=date(2025, 3, 3),
        equity=Decimal(1000),
        cash=Decimal(1000),
        target={"TECL": 1.0},
        prices={"TECL": Decimal(70)},
        capital={"one": Decimal(1000)},
        intents=(),
        denials=(),
        crossings=crossings,
    )


def a_day() -> list[Event]:
    """Return the events of one order that was filled in two parts."""
    return [
        planned(),
        intended(order()),
        report("new", "0"),
        report("partial_fill", "4", execution_id="e1", last="4", status="partially_filled"),
        fill("e1", "4"),
        booked("e1", one="3", two="1"),
        report("fill", "10", execution_id="e2", last="6", status="filled"),
        fill("e2", "6"),
        booked("e2", one="6"),
        OrderClosed(
            at=START,
            client_order_id=ORDER,
            symbol="TECL",
            state="filled",
            cumulative_quantity=Decimal(10),
            average_price=Decimal(70),
            reason=None,
        ),
    ]
