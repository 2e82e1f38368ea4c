"""The circumstances of a plan: what the daemon, or a backtest, knows at that moment, put together for the pre-trade checks."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Protocol

from alchemiser.domain.account import Account, Asset, BrokerPosition
from alchemiser.domain.errors import OrderDenied
from alchemiser.domain.intents import Intent
from alchemiser.domain.market import Session
from alchemiser.domain.money import ZERO, from_float
from alchemiser.domain.orders import Order, Side
from alchemiser.domain.reconciliation import Parking
from alchemiser.market.calendar import TradingCalendar
from alchemiser.market.quotes import QuoteBook
from alchemiser.risk.checks import Circumstances, RiskLimits, check_intent, checks_by
from alchemiser.risk.state import TradingState

Check = Callable[[Intent, Decimal], OrderDenied | None]
"""A pre-trade check: an intent and the equity in dollars; the denial, or ``None`` when it may be sent."""


class Orders(Protocol):
    """What is asked of the orders that were sent."""

    def open_orders(self) -> tuple[Order, ...]:
        """Return the orders that have not ended."""

    def count_of_session(self, session: date) -> int:
        """Return how many orders were intended in a session."""

    def __iter__(self) -> Iterator[Order]:
        """Iterate over the orders of the last sessions, oldest first."""


class Parked(Protocol):
    """What is asked of the parked symbols."""

    @property
    def by_symbol(self) -> Mapping[str, Parking]:
        """Why each of them is parked."""


class PreTrade:
    """Makes the check of a plan.

    ``cut_off`` tells the last moment for orders of a session, ``mids`` the mid of a usable quote, ``allocations`` each strategy's share.
    """

    def __init__(
        self,
        *,
        orders: Orders,
        parked: Parked,
        trading: TradingState,
        quotes: QuoteBook,
        calendar: TradingCalendar,
        cut_off: Callable[[Session], datetime],
        limits: RiskLimits,
        mids: Callable[[str, datetime], float | None],
        allocations: Mapping[str, Decimal],
    ) -> None:
        self._orders = orders
        self._parked = parked
        self._trading = trading
        self._quotes = quotes
        self._calendar = calendar
        self._cut_off = cut_off
        self._mids = mids
        self.check_by(limits, allocations)

    def check_by(self, limits: RiskLimits, allocations: Mapping[str, Decimal]) -> None:
        """Check the next plan by these limits and shares."""
        self._limits, self._allocations = limits, allocations
        self._checks = checks_by(limits)

    def check(
        self,
        now: datetime,
        books: Mapping[str, Mapping[str, Decimal]],
        account: Account,
        positions: Sequence[BrokerPosition],
        assets: Mapping[str, Asset],
        fresh: frozenset[str],
    ) -> Check:
        """Return the check of intents of this moment.

        ``books`` are the shares of each strategy, ``fresh`` the symbols that were priced for this decision.
        """
        session, limits, orders = self._calendar.session_at(now), self._limits, self._orders
        open_sides: dict[str, frozenset[Side]] = {}
        for order in orders.open_orders():
            wanted = order.request
            open_sides[wanted.symbol] = open_sides.get(wanted.symbol, frozenset()) | {wanted.side}
        # Without the limits that ask for them nobody looks at mids, at what was traded, or at how often.
        mids = {} if limits.price_collar_bps is None else self._mids_of(assets, now)
        traded, sent = ZERO, 0
        if session is not None and limits.maximum_daily_notional is not None:
            traded = self._traded_since(session.opens_at)
        if session is not None and limits.maximum_orders_per_day is not None:
            sent = orders.count_of_session(session.date)
        free: dict[str, Decimal] = {}
        power = account.buying_power
        for position in positions:
            free[position.symbol] = available = position.available_quantity
            if available > ZERO and position.current_price is not None:  # It could be sold first, at the broker's own price.
                power += available * position.current_price
        parked = self._parked.by_symbol
        circumstances = Circumstances(  # A call with more than fifteen names is a slow one.
            now,
            _held(books),
            free,
            assets,
            fresh,
            mids,
            halted=self._quotes.halted,
            parked={symbol: parking.reason for symbol, parking in parked.items()} if parked else {},
            open_sides=open_sides,
            account_blocks=account.blocks,
            buying_power=power,
            traded_today=traded,
            orders_today=sent,
            shares=self._allocations,
            books=books,
            is_in_session=session is not None,
            closes_at=self._cut_off(session) if session else None,
            trading=self._trading.scopes,
        )
        checks = self._checks[circumstances.is_calm]
        return lambda intent, equity: check_intent(intent, equity, circumstances, limits, checks)

    def _mids_of(self, symbols: Iterable[str], now: datetime) -> dict[str, Decimal]:
        return {symbol: from_float(mid) for symbol in symbols if (mid := self._mids(symbol, now)) is not None}

    def _traded_since(self, opened_at: datetime) -> Decimal:
        return sum([order.filled_value for order in self._orders if order.intended_at >= opened_at], ZERO)


def _held(books: Mapping[str, Mapping[str, Decimal]]) -> Mapping[str, Decimal]:
    """Return the shares of every symbol over all strategies."""
    if len(books) == 1:
        return next(iter(books.values()))
    held: dict[str, Decimal] = {}
    for book in books.values():
        for symbol, quantity in book.items():
            held[symbol] = held.get(symbol, ZERO) + quantity
    return held
