"""What the market looks like at one moment: quotes, bars, sessions. Floats, because nothing here is booked."""

from datetime import date, datetime
from typing import Final

import msgspec

LEAST_PRICE: Final = 1e-9
"""Dollars a share."""

GREATEST_PRICE: Final = 1e15
"""Dollars a share. Histories that are adjusted for reverse splits begin at a hundred billions; what is far beyond is a broken file."""

PRICE_WORDS: Final = f"positive number between {LEAST_PRICE:g} and {GREATEST_PRICE:g}"
"""What is expected where something else stands."""


class Quote(msgspec.Struct, frozen=True, kw_only=True):
    """The national best bid and offer of one symbol: prices in dollars, sizes in shares; a price of 0 means no quote on that side."""

    symbol: str
    bid: float
    bid_size: float
    ask: float
    ask_size: float
    at: datetime

    @property
    def mid(self) -> float:
        """The middle of bid and ask, in dollars."""
        return (self.bid + self.ask) / 2

    @property
    def half_spread(self) -> float:
        """What it costs to trade at once: half the spread as a fraction of the mid."""
        return (self.ask - self.bid) / (self.ask + self.bid)

    @property
    def fault(self) -> str | None:
        """Why this quote may not price an order (``zero``, ``one_sided``, ``locked``, ``crossed``), or ``None`` when it may."""
        if self.bid <= 0 and self.ask <= 0:
            return "zero"
        if self.bid <= 0 or self.ask <= 0:
            return "one_sided"
        if self.bid == self.ask:
            return "locked"
        return "crossed" if self.bid > self.ask else None


class Bar(msgspec.Struct, frozen=True, kw_only=True):
    """One bar: prices in dollars, volume in shares. ``start`` is when the bar begins; for a daily bar midnight in New York."""

    symbol: str
    start: datetime
    open: float
    high: float
    low: float
    close: float
    volume: float


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """One trading day of the exchange: its date and its regular open and close in UTC."""

    date: date
    opens_at: datetime
    closes_at: datetime

    @property
    def is_half_day(self) -> bool:
        """Whether the session is shorter than the usual six and a half hours."""
        return (self.closes_at - self.opens_at).total_seconds() < 6.5 * 3600


class MarketSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """The latest quote, the last trade and the daily bars of today and of the session before, as one batched request returns them."""

    symbol: str
    quote: Quote | None
    last_price: float | None
    last_at: datetime | None
    today: Bar | None
    previous: Bar | None
