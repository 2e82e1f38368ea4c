"""The synthetic order book of one symbol: the national best bid and offer with its displayed size, the tape's last trade, and halts.

Quotes come in as floats by the thousand and are kept as they came; exact levels are made when an order first looks at one.
A level remembers how much of it our orders have taken; the next quote brings fresh levels.
"""

from collections.abc import Mapping
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal
from functools import lru_cache

import msgspec

from alchemiser.domain.market import Quote
from alchemiser.domain.money import ZERO, from_float, tick_of
from alchemiser.exchange.orders import Side

BASIS_POINT = Decimal("0.0001")


Band = tuple[Decimal, Decimal]
"""The limit-down and the limit-up price."""


def is_within(band: Band | None, price: Decimal) -> bool:
    """Whether limit-down and limit-up let anybody trade at a price."""
    return band is None or band[0] <= price <= band[1]


class Level(msgspec.Struct, gc=False):
    """One side of the NBBO: its price, the size displayed there, and what has been taken since the quote, beyond that size too."""

    price: Decimal
    size: Decimal
    taken: Decimal = ZERO

    @property
    def displayed_left(self) -> Decimal:
        """Shares still displayed at the price."""
        return max(self.size - self.taken, ZERO)

    def step(self, impact_bps: Decimal) -> Decimal:
        """Return by how much each further displayed size is worse: a share of the price, at least one tick."""
        tick = tick_of(self.price)
        return max((self.price * impact_bps * BASIS_POINT).quantize(tick, rounding=ROUND_HALF_EVEN), tick)

    def beyond(self, sign: int, impact_bps: Decimal) -> tuple[Decimal, Decimal]:
        """Return (price, room) of the next shares behind what was taken; ``sign`` is plus one for a buyer."""
        chunks = self.taken // self.size
        return self.price + sign * chunks * self.step(impact_bps), self.size - self.taken % self.size


class Book(msgspec.Struct):
    """What is known of the market in one symbol.

    ``close`` ended the latest session, ``previous_close`` the one before today. ``band`` is there while limit-up and limit-down apply,
    ``halted_until`` while a halt has an end that is known,
    ``price_decimals`` is how exactly floats are taken. ``worth`` is what :meth:`mark` says, once it was asked for: every valuation asks.
    ``is_closed`` says that nothing was heard since the session was closed: of most symbols nothing is from one close to the next.
    """

    symbol: str
    quote: Quote | None = None
    bid: Level | None = None
    ask: Level | None = None
    last_price: float | None = None
    last_at: datetime | None = None
    close: Decimal | None = None
    previous_close: Decimal | None = None
    is_halted: bool = False
    halted_until: datetime | None = None
    band: Band | None = None
    price_decimals: int = 4
    worth: Decimal | None = None
    is_closed: bool = False

    def take_quote(self, quote: Quote) -> None:
        """Replace the NBBO; sizes are fresh."""
        self.quote = quote
        self.bid = self.ask = self.worth = None
        self.is_closed = False

    def take_trade(self, price: float, at: datetime | None) -> None:
        """Remember the last trade of the tape; one without a time is older than all that is known."""
        self.last_price, self.last_at, self.worth = price, at, None
        self.is_closed = False

    def close_session(self) -> None:
        """Remember the price of the close; without any price the one before stands."""
        mark = self.mark() if self.worth is None else self.worth
        self.close = self.close if mark is None else mark
        self.is_closed = True

    def begin_day(self) -> None:
        """Make the close that of the day before."""
        if self.close is not None:
            self.previous_close = self.close
        self.band = None

    def rescale(self, ratio: Decimal) -> None:
        """Restate what is known after a split of one share into ``ratio``; quotes of the old shares are worth nothing."""
        self.quote = self.bid = self.ask = self.band = self.worth = None
        self.is_closed = False
        factor = float(ratio)
        self.last_price = None if self.last_price is None else round(self.last_price / factor, 4)
        self.close, self.previous_close = (
            None if price is None else from_float(round(float(price) / factor, 4), decimals=4)
            for price in (self.close, self.previous_close)
        )

    def go_on_from(self, former: "Book") -> None:
        """Take over the prices of the symbol whose shares are of this one from now on, unless something was traded under this one."""
        if self.last_price is None:
            self.last_price, self.close, self.previous_close = former.last_price, former.close, former.previous_close
            self.worth, self.is_closed = None, False

    def far(self, side: Side) -> Level | None:
        """Return what an order of that side trades with, ``None`` when there is no price or no size."""
        level, quote = self.ask if side == "buy" else self.bid, self.quote
        if level is not None or quote is None:
            return level
        if side == "buy":
            level = self.ask = self._level(quote.ask, quote.ask_size)
        else:
            level = self.bid = self._level(quote.bid, quote.bid_size)
        return level

    def near(self, side: Side) -> Level | None:
        """Return what an order of that side would rest on."""
        return self.far("sell" if side == "buy" else "buy")

    @property
    def last(self) -> Decimal | None:
        """The last trade of the tape, exactly."""
        return None if self.last_price is None else from_float(self.last_price, decimals=self.price_decimals)

    def mid(self) -> Decimal | None:
        """Return the middle of the NBBO, ``None`` without both sides."""
        bid, ask = self.far("sell"), self.far("buy")
        return None if bid is None or ask is None else (bid.price + ask.price) / 2

    def mark(self) -> Decimal | None:
        """Return the price that positions are valued at: the last trade, else the middle of the NBBO."""
        if self.worth is None:
            self.worth = self.mid() if self.last_price is None else self.last
        return self.worth

    def _level(self, price: float, size: float) -> Level | None:
        return Level(from_float(price, self.price_decimals), _shares(size)) if price > 0.0 and size > 0.0 else None


class Books(dict[str, Book]):
    """The books of all symbols; that of one whose market was never heard of is empty, and made when it is asked for."""

    def __init__(self, books: Mapping[str, Book], *, price_decimals: int) -> None:
        super().__init__(books)
        self._price_decimals = price_decimals

    def __missing__(self, symbol: str) -> Book:
        book = self[symbol] = Book(symbol=symbol, price_decimals=self._price_decimals)
        return book


@lru_cache(maxsize=1_024)
def _shares(size: float) -> Decimal:
    """Return a displayed size exactly; the same round lots are displayed again and again."""
    return from_float(size)
