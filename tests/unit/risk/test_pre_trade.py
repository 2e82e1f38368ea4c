"""The circumstances of a plan are put together from what the daemon knows of its orders, its books and the account."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import msgspec
import pytest

from alchemiser.domain.account import Account, Asset, BrokerPosition
from alchemiser.domain.intents import Intent, Wish
from alchemiser.domain.market import Session
from alchemiser.domain.orders import NewOrder, Order, OrderState, OrderType, Side, TimeInForce
from alchemiser.domain.reconciliation import Parking
from alchemiser.market.calendar import TradingCalendar
from alchemiser.market.quotes import QuoteBook
from alchemiser.risk.checks import DenialCode, RiskLimits
from alchemiser.risk.pre_trade import PreTrade
from alchemiser.risk.state import TradingState

OPENS = datetime(2025, 3, 3, 14, 30, tzinfo=UTC)
NOON = OPENS + timedelta(hours=3)
SESSION = Session(date=OPENS.date(), opens_at=OPENS, closes_at=OPENS + timedelta(hours=6, minutes=30))
EQUITY = Decimal(10_000)
ACCOUNT = Account(account_number="A", cash=EQUITY, equity=EQUITY, buying_power=Decimal(500), multiplier=1)
POSITIONS = [
    BrokerPosition(
        symbol="SPY",
        quantity=Decimal(10),
        available_quantity=Decimal(9),
        average_entry_price=Decimal(90),
        current_price=Decimal(100),
    ),
    BrokerPosition(
        symbol="GLD",
        quantity=Decimal(-1),
        available_quantity=Decimal(-1),
        average_entry_price=Decimal(90),
        current_price=Decimal(100),
    ),
]


class Orders(msgspec.Struct):
    """The orders of a session."""

    all: list[Order]

    def open_orders(self) -> tuple[Order, ...]:
        """Return the orders that have not ended."""
        return tuple(order for order in self.all if order.state is OrderState.WORKING)

    def count_of_session(self, session: date) -> int:
        """Return how many orders were intended in a session."""
        return sum(order.intended_at.date() == session for order in self.all)

    def __iter__(self) -> Iterator[Order]:
        """Iterate over them, oldest first."""
        return iter(self.all)


class Parked(msgspec.Struct):
    """No symbol is parked."""

    by_symbol: dict[str, Parking] = {}


def order(symbol: str, side: Side, state: OrderState, at: datetime, value: int = 0) -> Order:
    """Return one order that traded so many dollars."""
    request = NewOrder(
        client_order_id=f"{symbol} {at}",
        symbol=symbol,
        side=side,
        quantity=Decimal(1),
        order_type=OrderType.LIMIT,
        time_in_force=TimeInForce.DAY,
        limit_price=Decimal(100),
    )
    return Order(request=request, state=state, intended_at=at, filled_value=Decimal(value))


YESTERDAY = order("SPY", Side.BUY, OrderState.FILLED, OPENS - timedelta(days=3), value=5_000)
THIS_MORNING = order("SPY", Side.BUY, OrderState.FILLED, OPENS + timedelta(hours=1), value=700)
STILL_OPEN = order("GLD", Side.SELL, OrderState.WORKING, OPENS + timedelta(hours=2))
ONE = {"a": {"SPY": Decimal(10)}}
TWO = {"a": {"SPY": Decimal(6)}, "b": {"SPY": Decimal(2), "GLD": Decimal(1)}}


@pytest.mark.parametrize(
    ("books", "limits", "wanted", "expected"),
    [
        (ONE, {}, (Side.SELL, "SPY", 9), None),
        (ONE, {}, (Side.SELL, "SPY", 10), DenialCode.HELD_FOR_ORDERS),
        (ONE, {}, (Side.SELL, "SPY", 11), DenialCode.EXCEEDS_HOLDINGS),
        (TWO, {}, (Side.SELL, "SPY", 8), None),
        (TWO, {}, (Side.SELL, "SPY", 9), DenialCode.EXCEEDS_HOLDINGS),
        (TWO, {}, (Side.BUY, "GLD", 1), DenialCode.WASH_TRADE),
        # What could be sold first counts: 500 dollars, and nine shares of SPY.
        ({}, {}, (Side.BUY, "SPY", 14), None),
        ({}, {}, (Side.BUY, "SPY", 15), DenialCode.BUYING_POWER),
        (TWO, {}, (Side.BUY, "SPY", 13), DenialCode.STRATEGY_ALLOWANCE),
        (ONE, {"maximum_daily_notional": Decimal(1_000)}, (Side.BUY, "SPY", 3), None),
        (ONE, {"maximum_daily_notional": Decimal(1_000)}, (Side.BUY, "SPY", 4), DenialCode.DAILY_NOTIONAL),
        (ONE, {"maximum_orders_per_day": 3}, (Side.BUY, "SPY", 1), None),
        (ONE, {"maximum_orders_per_day": 2}, (Side.BUY, "SPY", 1), DenialCode.ORDERS_PER_DAY),
        (ONE, {"price_collar_bps": Decimal(100)}, (Side.BUY, "SPY", 1), DenialCode.PRICE_COLLAR),
        (ONE, {"price_collar_bps": Decimal(500)}, (Side.BUY, "SPY", 1), None),
    ],
)
def test_a_plan_is_checked_against_orders_books_and_account(
    books: dict[str, dict[str, Decimal]], limits: dict[str, Decimal | int], wanted: tuple[Side, str, int], expected: DenialCode | None
) -> None:
    """What is held counts over all strategies, what was traded since the session opened, and only under a limit that is set."""
    side, symbol, shares = wanted
    checks = PreTrade(
        orders=Orders([YESTERDAY, THIS_MORNING, STILL_OPEN]),
        parked=Parked(),
        trading=TradingState(),
        quotes=QuoteBook(),
        calendar=TradingCalendar.from_sessions([SESSION]),
        cut_off=lambda session: session.closes_at,
        limits=msgspec.convert(limits, RiskLimits),
        mids=lambda symbol, now: 97.0,
        allocations={"a": Decimal("0.18")},
    )
    assets = {name: Asset(symbol=name, is_tradable=True, is_fractionable=True) for name in ("SPY", "GLD")}
    check = checks.check(NOON, books, ACCOUNT, POSITIONS, assets, frozenset({"SPY", "GLD"}))
    intent = Intent(
        intent_id=symbol,
        symbol=symbol,
        side=side,
        quantity=Decimal(shares),
        reference_price=Decimal(100),
        drift=0.1,
        wishes=(Wish(strategy="a", quantity=Decimal(shares)),),
    )

    found = check(intent, EQUITY)

    assert (None if found is None else found.code) == expected
