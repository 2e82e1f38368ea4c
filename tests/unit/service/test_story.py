"""The story: one line per event that an operator reads about, at the level it deserves, with the numbers in it."""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, get_args

import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict

from alchemiser.bus.envelope import Envelope
from alchemiser.domain.activities import AccountActivity, ActivityEntry, Treatment
from alchemiser.domain.events import (
    ActivityBooked,
    AnyEvent,
    DaemonStarted,
    DecisionMissed,
    Event,
    GapOpened,
    LedgerCompared,
    MailboxFilled,
    OrderClosed,
    OrderFilled,
    OrderIntended,
    OrderWithheld,
    QuoteUpdated,
    RebalanceCompleted,
    RebalanceParked,
    RebalancePlanned,
    ResultReported,
    SessionOpened,
    StrategyFailed,
    StreamLost,
    TargetProposed,
    TradingStateChanged,
)
from alchemiser.domain.intents import Denial, Intent, IntentOutcome, Wish
from alchemiser.domain.market import Session
from alchemiser.domain.orders import Fill, NewOrder, OrderType, Side, TimeInForce
from alchemiser.service.story import Storyteller

AT = datetime(2025, 3, 3, 20, 50, tzinfo=UTC)
DAY = date(2025, 3, 3)
KEY = "20250303.1"


@pytest.fixture
def lines() -> Iterator[list[EventDict]]:
    """Collect the lines that are written."""
    with capture_logs() as captured:
        yield captured


def told(event: Event, correlation: str | None = None) -> None:
    """Tell one event."""
    Storyteller()(Envelope(41, event, 0.0, correlation))


def order(limit: str | None) -> NewOrder:
    """Return an order."""
    return NewOrder(
        client_order_id="e-20250303.1-SPY-1",
        symbol="SPY",
        side=Side.BUY,
        quantity=Decimal("1.500000000"),
        order_type=OrderType.MARKET if limit is None else OrderType.LIMIT,
        time_in_force=TimeInForce.DAY,
        limit_price=None if limit is None else Decimal(limit),
    )


def outcome(slippage: float | None) -> IntentOutcome:
    """Return the outcome of an intent."""
    return IntentOutcome(
        intent_id="SPY",
        symbol="SPY",
        side=Side.BUY,
        quantity=Decimal(1),
        filled_quantity=Decimal(1),
        average_price=Decimal(100),
        slippage_bps=slippage,
        state="filled",
    )


INTENT = Intent(
    intent_id="SPY",
    symbol="SPY",
    side=Side.BUY,
    quantity=Decimal("2.50"),
    reference_price=Decimal(100),
    drift=0.1,
    wishes=(Wish(strategy="s", quantity=Decimal("2.5")),),
)
PLAN = RebalancePlanned(
    at=AT,
    rebalance_id=KEY,
    session=DAY,
    equity=Decimal("1000.123"),
    cash=Decimal(1000),
    target={},
    prices={},
    capital={},
    intents=(INTENT,),
    denials=(Denial(symbol="QQQ", side=Side.BUY, quantity=Decimal(1), code="no_price", message="no_price: QQQ"),),
    crossings=(),
)
RESULT = ResultReported(
    at=AT,
    session=DAY,
    equity=Decimal("1010.005"),
    cash=Decimal(10),
    realised={"a": Decimal("1.5"), "b": Decimal(-2)},
    unrealised={"a": Decimal("0.25")},
)
FILL = Fill(
    execution_id="x",
    client_order_id="e-20250303.1-SPY-1",
    venue_order_id="v",
    symbol="SPY",
    side=Side.BUY,
    quantity=Decimal("1.50"),
    price=Decimal("100.10"),
    at=AT,
)

DIVIDEND = ActivityBooked(
    at=AT,
    activity=AccountActivity(activity_id="x", kind="DIV", on=DAY, at=AT, amount=Decimal("4.40"), symbol="SPY"),
    treatment=Treatment.DIVIDEND,
    entries=(ActivityEntry(strategy="a", symbol="SPY", cash=Decimal("4.40")),),
)


@pytest.mark.parametrize(
    ("event", "level", "name", "words"),
    [
        (
            SessionOpened(at=AT, session=Session(date=DAY, opens_at=AT, closes_at=AT)),
            "info",
            "session_opened",
            {"session": "2025-03-03"},
        ),
        (
            TargetProposed(at=AT, rebalance_id=KEY, strategy="s", weights={"SPY": 1.0}, prices={}, explanation=()),
            "info",
            "target_proposed",
            {"strategy": "s", "weights": {"SPY": 1.0}},
        ),
        (
            DIVIDEND,
            "info",
            "activity_booked",
            {"kind": "DIV", "treatment": "dividend", "amount": "4.4", "symbol": "SPY", "strategies": ["a"]},
        ),
        (
            ActivityBooked(
                at=AT,
                activity=AccountActivity(activity_id="d", kind="CSD", on=DAY, at=AT, amount=Decimal(5)),
                treatment=Treatment.TRANSFER,
                entries=(),
                transferred=Decimal(5),
            ),
            "info",
            "activity_booked",
            {"kind": "CSD", "treatment": "transfer", "amount": "5"},
        ),
        (
            StrategyFailed(at=AT, rebalance_id=KEY, strategy="s", reason="no bars"),
            "error",
            "strategy_failed",
            {"strategy": "s", "reason": "no bars"},
        ),
        (
            PLAN,
            "info",
            "rebalance_planned",
            {"equity": "1000.12", "intents": ["buy 2.5 SPY"], "denials": ["no_price QQQ"]},
        ),
        (
            RebalanceCompleted(at=AT, rebalance_id=KEY, outcomes=(outcome(1.25), outcome(None))),
            "info",
            "rebalance_completed",
            {"outcomes": ["SPY filled +1.2 bps", "SPY filled"]},
        ),
        (
            RebalanceParked(at=AT, rebalance_id=KEY, reason="halted", outcomes=()),
            "warning",
            "rebalance_parked",
            {"outcomes": [], "reason": "halted"},
        ),
        (
            OrderIntended(at=AT, rebalance_id=KEY, intent_id="SPY", attempt=1, order=order("100.10")),
            "info",
            "order_intended",
            {"order": "e-20250303.1-SPY-1", "side": "buy", "quantity": "1.5", "limit": "100.1"},
        ),
        (
            OrderIntended(at=AT, rebalance_id=KEY, intent_id="SPY", attempt=1, order=order(None)),
            "info",
            "order_intended",
            {"limit": "market"},
        ),
        (OrderFilled(at=AT, fill=FILL), "info", "order_filled", {"quantity": "1.5", "price": "100.1"}),
        (
            OrderClosed(
                at=AT,
                client_order_id="o",
                symbol="SPY",
                state="cancelled",
                cumulative_quantity=Decimal(0),
                average_price=None,
                reason="halted",
            ),
            "info",
            "order_closed",
            {"order": "o", "state": "cancelled", "reason": "halted"},
        ),
        (OrderWithheld(at=AT, client_order_id="o", reason="gap"), "warning", "order_withheld", {"order": "o", "reason": "gap"}),
        (RESULT, "info", "result_reported", {"equity": "1010.00", "cash": "10.00", "profit": "-0.25", "session": "2025-03-03"}),
        (LedgerCompared(at=AT, session=DAY, differences=()), "info", "ledger_compared", {"differences": ()}),
        (LedgerCompared(at=AT, session=DAY, differences=("cash",)), "error", "ledger_compared", {"differences": ("cash",)}),
        (StreamLost(at=AT, stream="orders", reason="reset"), "warning", "stream_lost", {"stream": "orders", "reason": "reset"}),
        (GapOpened(at=AT, stream="orders", since=AT, reason="reset"), "warning", "gap_opened", {"reason": "reset"}),
        (DecisionMissed(at=AT, session=DAY, reason="late"), "warning", "decision_missed", {"reason": "late"}),
        (MailboxFilled(at=AT, handler="execution", depth=9), "warning", "mailbox_filled", {"handler": "execution", "depth": 9}),
        (
            TradingStateChanged(at=AT, state="halted", by="operator", reason="drill"),
            "info",
            "trading_state_changed",
            {"state": "halted", "by": "operator", "reason": "drill"},
        ),
        (
            DaemonStarted(at=AT, mode="paper", version="1", epoch="e", account_number="A", strategies={"s": 1.0}),
            "info",
            "daemon_started",
            {"mode": "paper", "strategies": {"s": 1.0}},
        ),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Event) else "",
)
def test_a_line_says_what_happened(lines: list[EventDict], event: Event, level: str, name: str, words: dict[str, Any]) -> None:
    """Its level is what an operator is woken for; amounts are dollars and cents, quantities without trailing zeros."""
    told(event)

    (line,) = lines
    assert (level, name) == (line["log_level"], line["event"])
    assert words.items() <= line.items()
    assert (AT.isoformat(), 41) == (line["market_time"], line["sequence"])


def test_a_line_names_its_rebalance(lines: list[EventDict]) -> None:
    """So that everything of one rebalance is found together."""
    told(PLAN, KEY)
    told(PLAN)

    assert KEY == lines[0]["rebalance"]
    assert "rebalance" not in lines[1]


def test_an_order_that_ended_without_a_reason_has_none(lines: list[EventDict]) -> None:
    """A filled order needs no explanation."""
    told(
        OrderClosed(
            at=AT, client_order_id="o", symbol="SPY", state="filled", cumulative_quantity=Decimal(1), average_price=Decimal(1), reason=None
        )
    )

    assert "reason" not in lines[0]


def test_market_data_is_no_story() -> None:
    """Ten thousand lines a second would hide the one that matters; every other event type is known."""
    kinds = get_args(AnyEvent)

    assert set(Storyteller.listens_to) <= set(kinds)
    assert QuoteUpdated not in Storyteller.listens_to
    assert len(set(Storyteller.listens_to)) == len(Storyteller.listens_to)
