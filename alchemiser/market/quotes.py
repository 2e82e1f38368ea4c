"""The latest quote, the last trade and the trading status of every symbol: an inline component of the bus.

Promises: whatever arrives late never takes the place of what is newer; a quote is handed out for pricing only when it is fresh, two-sided
and its symbol is not halted, and otherwise the caller gets the reason. It holds one event per symbol and never computes on arrival.
"""

from datetime import datetime
from enum import StrEnum
from typing import Protocol

from alchemiser.domain.events import Event, QuoteUpdated, TradePrinted, TradingStatusChanged
from alchemiser.domain.market import Quote


class Carrier(Protocol):
    """What brings an event: the bus's envelope, of which only the event matters here."""

    @property
    def event(self) -> Event:
        """The event that happened."""


class QuoteRefusal(StrEnum):
    """Why the latest quote of a symbol may not price an order."""

    ABSENT = "absent"
    HALTED = "halted"
    STALE = "stale"
    AHEAD = "ahead"  # stamped later than our clock allows: one of the two clocks is wrong
    ZERO = "zero"
    ONE_SIDED = "one_sided"
    LOCKED = "locked"
    CROSSED = "crossed"


class QuoteBook:
    """The market as last heard. Subscribe it inline to quotes, trades and trading statuses."""

    def __init__(self) -> None:
        self._quotes: dict[str, QuoteUpdated | Quote] = {}
        self._trades: dict[str, TradePrinted] = {}
        self._statuses: dict[str, TradingStatusChanged] = {}
        self.halted: frozenset[str] = frozenset()
        """The symbols of which the last trading status said that they are halted."""

    def __call__(self, carrier: Carrier) -> None:
        """Take in an event; those that are no quote, trade or trading status are ignored."""
        event = carrier.event
        if type(event) is QuoteUpdated:
            self.observe(event)
        elif type(event) is TradePrinted:
            trade = self._trades.get(event.symbol)
            if trade is None or event.at >= trade.at:
                self._trades[event.symbol] = event
        elif type(event) is TradingStatusChanged:
            status = self._statuses.get(event.symbol)
            if status is None or event.at >= status.at:
                self._statuses[event.symbol] = event
                self.halted = self.halted | {event.symbol} if event.is_halted else self.halted - {event.symbol}

    def observe(self, quote: Quote | QuoteUpdated) -> None:
        """Take in a quote from anywhere, a batched request for instance; an older one than is known changes nothing."""
        known = self._quotes.get(quote.symbol)
        if known is None or quote.at >= known.at:
            self._quotes[quote.symbol] = quote

    def quote(self, symbol: str) -> Quote | None:
        """Return the latest quote whatever its age and shape, ``None`` before the first."""
        known = self._quotes.get(symbol)
        return known.quote() if isinstance(known, QuoteUpdated) else known

    def age_seconds(self, symbol: str, now: datetime) -> float | None:
        """Return how old the latest quote is, ``None`` before the first; negative when it is stamped later than ``now``."""
        known = self._quotes.get(symbol)
        return None if known is None else (now - known.at).total_seconds()

    def usable(self, symbol: str, now: datetime, max_age_seconds: float) -> Quote | QuoteRefusal:
        """Return the latest quote when an order may be priced from it, and otherwise the reason why not."""
        quote = self.quote(symbol)
        if quote is None:
            return QuoteRefusal.ABSENT
        if symbol in self.halted:
            return QuoteRefusal.HALTED
        age_seconds = (now - quote.at).total_seconds()
        if age_seconds > max_age_seconds:
            return QuoteRefusal.STALE
        if age_seconds < -max_age_seconds:
            return QuoteRefusal.AHEAD
        fault = quote.fault
        return quote if fault is None else QuoteRefusal(fault)

    def last_price(self, symbol: str) -> float | None:
        """Return the price of the last trade in dollars, ``None`` before the first."""
        trade = self._trades.get(symbol)
        return None if trade is None else trade.price

    @property
    def symbols(self) -> tuple[str, ...]:
        """The symbols with a quote, in alphabetical order."""
        return tuple(sorted(self._quotes))
