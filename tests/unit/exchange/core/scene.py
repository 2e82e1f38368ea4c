"""A small stage for the exchange: fixed sessions in January 2025, quotes and orders in one line each, time in milliseconds."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

from alchemiser.domain.market import Quote, Session
from alchemiser.exchange.assets import AssetRecord, listed
from alchemiser.exchange.engine import Exchange
from alchemiser.exchange.errors import ApiError
from alchemiser.exchange.orders import OrderUpdate, VenueOrder
from alchemiser.exchange.parts import joined
from alchemiser.exchange.requests import parse_order, parse_replace
from alchemiser.exchange.settings import ExchangeSettings

MONDAY = date(2025, 1, 6)
HALF_DAY = date(2025, 1, 8)
HOLIDAY = date(2025, 1, 9)

ASSETS = {
    asset.symbol: asset
    for asset in (
        listed("BIL"),
        listed("TECL"),
        listed("WHOLE", fractionable=False, marginable=False, shortable=False, attributes=()),
        listed("HARD", easy_to_borrow=False),
        listed("GONE", status="inactive"),
        listed("SHUT", tradable=False),
    )
}


def session_of(on: date) -> Session | None:
    """Weekdays from half past nine to four in New York's winter; one half day, one holiday; the calendar ends in June."""
    if on.weekday() > 4 or on == HOLIDAY or on >= date(2025, 6, 1):
        return None
    close = 18 if on == HALF_DAY else 21
    return Session(date=on, opens_at=utc(14, 30, on=on), closes_at=utc(close, on=on))


def utc(hour: int, minute: int = 0, second: int = 0, *, on: date = MONDAY) -> datetime:
    """A time of the test's Monday, or of another day."""
    return datetime(on.year, on.month, on.day, hour, minute, second, tzinfo=UTC)


class Scene:
    """An exchange and the time it is at.

    What is kept of it, change by change, is compared with the whole after every step; not where ``is_checked`` is off, for tests that
    count calls or whose amounts no state file takes.
    """

    is_checked = True

    def __init__(self, at: datetime | None = None, *, seed: int = 1, assets: dict[str, AssetRecord] | None = None, **settings: Any) -> None:
        self.now = at or utc(15)
        self.settings = ExchangeSettings(**settings)
        self.assets = assets or ASSETS
        self.exchange = Exchange(
            settings=self.settings, assets=self.assets, sessions=session_of, random=Random(seed), opened_at=self.now - timedelta(seconds=1)
        )
        self._kept: dict[str, bytes] = {}
        self._kept_of: Exchange | None = None

    def check_kept(self) -> None:
        """Assert that the parts that were said to have changed make the complete state."""
        if not self.is_checked:
            return
        if self._kept_of is not self.exchange:
            self._kept, self._kept_of = {}, self.exchange
        changes = self.exchange.changes()
        for name in changes.gone:
            self._kept.pop(name, None)
        self._kept.update(changes.parts)
        assert joined(self._kept) == self.exchange.snapshot()

    def quote(
        self, symbol: str = "TECL", bid: float = 99.98, ask: float = 100.02, size: float = 500, ask_size: float | None = None
    ) -> None:
        """Show a quote now."""
        quote = Quote(symbol=symbol, bid=bid, ask=ask, bid_size=float(size), ask_size=float(ask_size or size), at=self.now)
        self.exchange.on_quotes((quote,), self.now)
        self.check_kept()

    def trade(self, price: float, size: float = 100, symbol: str = "TECL") -> None:
        """Print a trade now."""
        self.exchange.on_trade(symbol, price, size, self.now)
        self.check_kept()

    def submit(self, **fields: Any) -> VenueOrder:
        """Send an order: a market day order to buy ten TECL unless told otherwise."""
        usual = {"symbol": "TECL", "side": "buy", "type": "market", "time_in_force": "day"}
        if "notional" not in fields:
            usual["qty"] = "10"
        if "limit_price" in fields:
            usual["type"] = "limit"
        return self.exchange.submit(parse_order({**usual, **fields}), self.now)

    def refused(self, **fields: Any) -> dict[str, Any]:
        """Send an order that must be refused; return status and body."""
        return refusal(lambda: self.submit(**fields))

    def replace(self, order: VenueOrder, **fields: Any) -> VenueOrder:
        """Replace an order."""
        return self.exchange.replace(order.id, parse_replace(fields), self.now)

    def wait(self, milliseconds: int = 0, **longer: float) -> None:
        """Let time pass."""
        self.go(self.now + timedelta(milliseconds=milliseconds, **longer))

    def go(self, at: datetime) -> None:
        """Go to a time."""
        self.check_kept()
        self.now = at
        self.exchange.advance(at)
        self.check_kept()

    def settle(self) -> None:
        """Let every latency pass."""
        self.wait(100)

    def buy(self, quantity: str = "10", symbol: str = "TECL") -> VenueOrder:
        """Own shares, bought at the quote; forget the events of it."""
        order = self.submit(symbol=symbol, qty=quantity)
        self.settle()
        assert order.status == "filled"
        self.exchange.drain()
        return order

    def events(self) -> list[str]:
        """The names of the events since the last look."""
        return [update.event for update in self.exchange.drain()]

    def updates(self) -> list[OrderUpdate]:
        """The events since the last look."""
        return self.exchange.drain()

    @property
    def cash(self) -> Decimal:
        """The account's cash."""
        return Decimal(self.exchange.account_json()["cash"])

    def holding(self, symbol: str = "TECL") -> Decimal:
        """The signed shares held."""
        rows = {row["symbol"]: row["qty"] for row in self.exchange.positions_json()}
        return Decimal(rows.get(symbol, "0"))

    def buying_power(self) -> Decimal:
        """The free buying power."""
        return Decimal(self.exchange.account_json()["buying_power"])


def refusal(call: Any) -> dict[str, Any]:
    """Call what must be refused; return the answer's status and body in one."""
    try:
        call()
    except ApiError as error:
        return {"status": error.status, **error.body()}
    raise AssertionError("nothing was refused")
