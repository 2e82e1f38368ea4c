"""A small trading day as events: what came from outside, and what the journaled state made of it."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from alchemiser.bus.envelope import Envelope
from alchemiser.domain.account import Account, BrokerPosition
from alchemiser.domain.events import (
    AccountObserved,
    DaemonStarted,
    DaemonStopped,
    DecisionDue,
    Event,
    ExecutionReported,
    HandlerFailed,
    LedgerCompared,
    OrderIntended,
    RebalanceCompleted,
    RebalancePlanned,
    ResultReported,
    SessionClosed,
    SessionOpened,
    StrategyFailed,
    StreamConnected,
    StreamLost,
    TargetProposed,
)
from alchemiser.domain.intents import Intent, Wish
from alchemiser.domain.market import Session
from alchemiser.domain.orders import ExecutionReport, NewOrder, OrderType, Side, TimeInForce
from alchemiser.service.state import JournaledState

OPENS_AT = datetime(2025, 3, 3, 14, 30, tzinfo=UTC)
DECIDED_AT = datetime(2025, 3, 3, 20, 50, tzinfo=UTC)
DAY = date(2025, 3, 3)
SESSION = Session(date=DAY, opens_at=OPENS_AT, closes_at=datetime(2025, 3, 3, 21, 0, tzinfo=UTC))
KEY = "20250303.1"
ORDER_ID = f"abc123-{KEY}-SPY-1"

STARTED = DaemonStarted(
    at=OPENS_AT - timedelta(minutes=5), mode="paper", version="1", epoch="abc123", account_number="A1", strategies={"one": 0.5, "two": 0.5}
)
INTENT = Intent(
    intent_id="SPY",
    symbol="SPY",
    side=Side.BUY,
    quantity=Decimal(10),
    reference_price=Decimal(100),
    drift=0.5,
    wishes=(Wish(strategy="one", quantity=Decimal(10)),),
)
ORDER = NewOrder(
    client_order_id=ORDER_ID,
    symbol="SPY",
    side=Side.BUY,
    quantity=Decimal(10),
    order_type=OrderType.LIMIT,
    time_in_force=TimeInForce.DAY,
    limit_price=Decimal("100.05"),
)
PLAN = RebalancePlanned(
    at=DECIDED_AT,
    rebalance_id=KEY,
    session=DAY,
    equity=Decimal(2000),
    cash=Decimal(2000),
    target={"SPY": 0.5},
    prices={"SPY": Decimal(100)},
    capital={"one": Decimal(1000), "two": Decimal(1000)},
    intents=(INTENT,),
    denials=(),
    crossings=(),
)


def observed(cash: str, equity: str, positions: dict[str, tuple[str, str | None]], *, blocks: tuple[str, ...] = ()) -> AccountObserved:
    """Return a look at the broker; positions are quantity and price by symbol."""
    return AccountObserved(
        at=DECIDED_AT,
        account=Account(
            account_number="A1", cash=Decimal(cash), equity=Decimal(equity), buying_power=Decimal(cash), multiplier=1, blocks=blocks
        ),
        positions=tuple(
            BrokerPosition(
                symbol=symbol,
                quantity=Decimal(quantity),
                available_quantity=Decimal(quantity),
                average_entry_price=Decimal(100),
                current_price=None if price is None else Decimal(price),
            )
            for symbol, (quantity, price) in positions.items()
        ),
        reason="test",
    )


def report(event: str, status: str, *, last: str | None = None, total: str = "0", execution: str | None = None) -> ExecutionReported:
    """Return what the venue says of the order of the day."""
    return ExecutionReported(
        at=DECIDED_AT + timedelta(seconds=2),
        report=ExecutionReport(
            event=event,
            status=status,
            client_order_id=ORDER_ID,
            venue_order_id="venue-1",
            symbol="SPY",
            side=Side.BUY,
            quantity=Decimal(10),
            cumulative_quantity=Decimal(total),
            average_price=None,
            at=DECIDED_AT + timedelta(seconds=2),
            execution_id=execution,
            last_quantity=None if last is None else Decimal(last),
            last_price=None if last is None else Decimal(100),
        ),
    )


INTENDED = OrderIntended(at=DECIDED_AT, rebalance_id=KEY, intent_id="SPY", attempt=1, order=ORDER)
TARGET = TargetProposed(
    at=DECIDED_AT, rebalance_id=KEY, strategy="one", weights={"SPY": 1.0}, prices={"SPY": 100.0}, explanation=("always SPY",)
)
FAILED = StrategyFailed(at=DECIDED_AT, rebalance_id=KEY, strategy="two", reason="QQQ: no bars")
COMPLETED = RebalanceCompleted(at=DECIDED_AT + timedelta(seconds=3), rebalance_id=KEY, outcomes=())
RESULT = ResultReported(
    at=SESSION.closes_at,
    session=DAY,
    equity=Decimal(2010),
    cash=Decimal(1000),
    realised={"one": Decimal(0), "two": Decimal(0)},
    unrealised={"one": Decimal(10), "two": Decimal(0)},
)

MORNING: tuple[Event, ...] = (
    STARTED,
    StreamConnected(at=OPENS_AT, stream="orders"),
    StreamConnected(at=OPENS_AT, stream="market"),
    observed("2000", "2000", {}),
    SessionOpened(at=OPENS_AT, session=SESSION),
)
DECISION: tuple[Event, ...] = (
    DecisionDue(at=DECIDED_AT, rebalance_id=KEY, session=DAY, reason="schedule"),
    TARGET,
    FAILED,
    PLAN,
    INTENDED,
)
FILLS: tuple[Event, ...] = (
    report("new", "new"),
    report("partial_fill", "partially_filled", last="4", total="4", execution="e1"),
    report("fill", "filled", last="6", total="10", execution="e2"),
    COMPLETED,
)
EVENING: tuple[Event, ...] = (
    HandlerFailed(at=DECIDED_AT, handler="history", event_type="SessionOpened", sequence=5, error="x", action="continues"),
    SessionClosed(at=SESSION.closes_at, session=SESSION),
    observed("1000", "2010", {"SPY": ("10", "101"), "MINE": ("3", None)}),
    LedgerCompared(at=SESSION.closes_at, session=DAY, differences=()),
    RESULT,
    StreamLost(at=SESSION.closes_at, stream="market", reason="reset"),
    DaemonStopped(at=SESSION.closes_at + timedelta(minutes=1), open_orders=()),
)
WHOLE_DAY = (*MORNING, *DECISION, *FILLS, *EVENING)


class Life:
    """A journaled state that is fed as the bus feeds it, what it posts included.

    ``envelopes`` is what the journal would hold, ``hashes`` the hash of the state after each of them.
    """

    def __init__(self, events: Iterable[Event] = ()) -> None:
        self.envelopes: list[Envelope] = []
        self.hashes: list[str] = []
        self.state = JournaledState(self.feed)
        self._waiting: list[Envelope] = []
        self._is_busy = False
        for event in events:
            self.feed(event)

    def feed(self, event: Event, correlation: str | None = None) -> None:
        """Publish an event; one that is published while another is dispatched comes after it, as on the bus."""
        envelope = Envelope(len(self.envelopes) + 1, event, 0.0)
        self.envelopes.append(envelope)
        self._waiting.append(envelope)
        if self._is_busy:
            return
        self._is_busy = True
        while self._waiting:
            self._dispatch(self._waiting.pop(0))
        self._is_busy = False

    def _dispatch(self, envelope: Envelope) -> None:
        state = self.state
        for part in state.parts:
            if isinstance(envelope.event, part.listens_to):
                part(envelope)
        self.hashes.append(state.hash())
