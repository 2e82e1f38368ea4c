"""What our journal holds in a case: the events that a daemon would have written, from the reports that it heard."""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from alchemiser.domain.account import Account
from alchemiser.domain.events import (
    AccountObserved,
    CancelRequested,
    DaemonStarted,
    Event,
    ExecutionReported,
    OrderIntended,
    OrderNotFound,
    OrderOutcomeUnknown,
    OrderRejected,
    RebalanceCompleted,
    RebalancePlanned,
    SymbolParked,
)
from alchemiser.domain.intents import Intent, Wish
from alchemiser.domain.orders import ExecutionReport, NewOrder, OrderType, Side, TimeInForce
from alchemiser.domain.reconciliation import Parking
from tests.reconciliation.language import NOW, PAST, SYMBOL, Case, Own, There

BEGAN = datetime(2025, 3, 3, 14, 30, 1, tzinfo=UTC)
"""When our orders were intended; the venue's executions are later."""

Heard = Callable[[Own, str], ExecutionReport]
"""Returns what the stream said of an order: ``new``, the number of a piece, or the word for its end."""

OPENING = "z"
"""The name of the order by which the books came to what they hold."""


def orders_of(case: Case) -> tuple[Own, ...]:
    """Return all orders of our journal, with the one that the books come from."""
    if not case.books:
        return case.ours
    opening = Own("filled", heard=(0,), name=OPENING, quantity=case.books, rebalance=PAST)
    return (opening, *case.ours)


def events_of(case: Case, heard: Heard, *, cash: Decimal) -> Iterator[Event]:
    """Yield the journal of a case; ``cash`` is what the broker showed when the daemon looked first."""
    yield DaemonStarted(at=BEGAN, mode="embedded", version="1", epoch="abc123", account_number="A", strategies={"hold": 1.0})
    account = Account(account_number="A", cash=cash + case.cash, equity=cash, buying_power=cash, multiplier=1)
    yield AccountObserved(at=BEGAN, account=account, positions=(), reason="start")
    orders = orders_of(case)
    for rebalance in (PAST, NOW):
        mine = tuple(own for own in orders if own.rebalance == rebalance)
        if not mine:
            continue
        yield _plan(rebalance, mine)
        for own in mine:
            yield from _life_of(own, heard)
        if rebalance == PAST:
            yield RebalanceCompleted(at=BEGAN, rebalance_id=PAST, outcomes=())
    if case.was_parked is not None:
        parking = Parking(code=case.was_parked, reason="since yesterday", since=BEGAN - timedelta(days=1))
        yield SymbolParked(at=BEGAN, symbol=SYMBOL, parking=parking)


def pieces_of(own: Own, there: There | None) -> tuple[int, ...]:
    """Return the executions of an order as we may have heard of them: the venue's, and what it has forgotten of them."""
    if there is None:
        return (own.quantity,) if own.state == "filled" else (4, own.quantity - 4)
    return (*there.pieces, own.quantity - sum(there.pieces))


def request_of(own: Own) -> NewOrder:
    """Return the order as it was sent."""
    return NewOrder(
        client_order_id=own.client_order_id,
        symbol=own.symbol,
        side=own.side,
        quantity=Decimal(own.quantity),
        order_type=OrderType.LIMIT,
        time_in_force=TimeInForce.DAY,
        limit_price=Decimal(own.limit),
    )


def _life_of(own: Own, heard: Heard) -> Iterator[Event]:
    key = own.client_order_id
    yield OrderIntended(at=BEGAN, rebalance_id=own.rebalance, intent_id=_intent_id(own), attempt=own.attempt, order=request_of(own))
    match own.state:
        case "intended":
            return
        case "asked to cancel unheard":
            yield CancelRequested(at=BEGAN, client_order_id=key, reason="drill")
            return
        case "unknown":
            yield OrderOutcomeUnknown(at=BEGAN, client_order_id=key, reason="no answer")
            return
        case "never_sent":
            yield OrderNotFound(at=BEGAN, client_order_id=key)
            return
        case "rejected":
            yield OrderRejected(at=BEGAN, client_order_id=key, code=40310000, message="insufficient buying power")
            return
    for step in ("new", *map(str, own.heard)):
        yield ExecutionReported(at=BEGAN, report=heard(own, step))
    if own.state == "cancelling":
        yield CancelRequested(at=BEGAN, client_order_id=key, reason="drill")
    if own.state in ("cancelled", "expired"):
        yield ExecutionReported(at=BEGAN, report=heard(own, "canceled" if own.state == "cancelled" else "expired"))


def _intent_id(own: Own) -> str:
    return f"{own.symbol}.{own.name}"


def _plan(rebalance: str, orders: tuple[Own, ...]) -> RebalancePlanned:
    by_intent = {_intent_id(own): own for own in orders}
    intents = tuple(
        Intent(
            intent_id=name,
            symbol=own.symbol,
            side=Side(own.side),
            quantity=Decimal(own.quantity),
            reference_price=Decimal(100),
            drift=0.1,
            wishes=(Wish(strategy="hold", quantity=Decimal(own.quantity)),),
        )
        for name, own in by_intent.items()
    )
    return RebalancePlanned(
        at=BEGAN,
        rebalance_id=rebalance,
        session=date.fromisoformat(f"{rebalance[:4]}-{rebalance[4:6]}-{rebalance[6:8]}"),
        equity=Decimal(100_000),
        cash=Decimal(100_000),
        target={},
        prices={},
        capital={},
        intents=intents,
        denials=(),
        crossings=(),
    )
