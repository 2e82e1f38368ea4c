"""Situations for tests of tactics: a session, an intent, a quote, and what is live."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from alchemiser.domain.intents import Intent, Wish
from alchemiser.domain.market import Quote, Session
from alchemiser.domain.orders import NewOrder, OrderType, Side, TimeInForce
from alchemiser.execution.decisions import Situation, Standing

OPENS_AT = datetime(2025, 3, 3, 14, 30, tzinfo=UTC)
CLOSES_AT = OPENS_AT + timedelta(hours=6, minutes=30)
SESSION = Session(date=date(2025, 3, 3), opens_at=OPENS_AT, closes_at=CLOSES_AT)
HALF_DAY = Session(
    date=date(2025, 7, 3), opens_at=datetime(2025, 7, 3, 13, 30, tzinfo=UTC), closes_at=datetime(2025, 7, 3, 17, 0, tzinfo=UTC)
)
NOON = OPENS_AT + timedelta(hours=3)


def quote(bid: float = 99.99, ask: float = 100.01, size: float = 100) -> Quote:
    """Return a quote of SPY."""
    return Quote(symbol="SPY", bid=bid, bid_size=size, ask=ask, ask_size=size, at=NOON)


def wanted(side: Side = Side.BUY, quantity: str = "10", *, price: str = "100", is_fractionable: bool = True) -> Intent:
    """Return an intent in SPY."""
    return Intent(
        intent_id="SPY",
        symbol="SPY",
        side=side,
        quantity=Decimal(quantity),
        reference_price=Decimal(price),
        drift=0.1,
        wishes=(Wish(strategy="s", quantity=Decimal(quantity)),),
        is_fractionable=is_fractionable,
    )


def standing(
    limit: object,
    *,
    rung: int = 0,
    since: datetime = NOON,
    rung_since: datetime | None = None,
    quantity: str = "10",
    time_in_force: TimeInForce = TimeInForce.DAY,
) -> Standing:
    """Return a live order to buy at a limit."""
    order = NewOrder(
        client_order_id="e-20250303.1-SPY-1",
        symbol="SPY",
        side=Side.BUY,
        quantity=Decimal(quantity),
        order_type=OrderType.LIMIT if limit is not None else OrderType.MARKET,
        time_in_force=time_in_force,
        limit_price=None if limit is None else Decimal(str(limit)),
    )
    return Standing(order, since, rung, rung_since or since)


def situation(
    *,
    side: Side = Side.BUY,
    quantity: str = "10",
    filled: str = "0",
    is_fractionable: bool = True,
    rung: int = 0,
    quote: Quote | str | None = None,
    now: datetime = NOON,
    begun: datetime = NOON,
    deadline: datetime | None = None,
    session: Session = SESSION,
    live: Standing | None = None,
) -> Situation:
    """Return the situation of an intent; the deadline is three minutes after the plan, the cut-off a minute before the close."""
    intent = wanted(side, quantity, is_fractionable=is_fractionable)
    return Situation(
        intent=intent,
        leaves=intent.quantity - Decimal(filled),
        filled=Decimal(filled),
        rung=rung,
        quote=quote if quote is not None else Quote(symbol="SPY", bid=99.99, bid_size=100, ask=100.01, ask_size=100, at=now),
        now=now,
        begun=begun,
        deadline=deadline or begun + timedelta(minutes=3),
        cut_off=session.closes_at - timedelta(minutes=1),
        session=session,
        live=live,
    )
