"""The prices of a decision: one request for all symbols, history once per session, and never a price that is too old."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from alchemiser.bus.envelope import Envelope
from alchemiser.domain.errors import VenueUnavailable
from alchemiser.domain.events import DecisionApproached, Event, QuoteUpdated, SessionClosed, TradingStatusChanged
from alchemiser.domain.market import Bar, MarketSnapshot, Quote, Session
from alchemiser.domain.venue import Venue
from alchemiser.market.calendar import midnight
from alchemiser.market.indicators import Measure
from alchemiser.market.quotes import QuoteBook
from alchemiser.service.clock import VirtualClock
from alchemiser.service.decision_market import DecisionMarket
from alchemiser.strategies.outcome import NotComputable
from tests.solipsism import virtual

NOW = datetime(2025, 3, 4, 20, 50, tzinfo=UTC)
TODAY = date(2025, 3, 4)
SESSION = Session(date=TODAY, opens_at=datetime(2025, 3, 4, 14, 30, tzinfo=UTC), closes_at=datetime(2025, 3, 4, 21, 0, tzinfo=UTC))
DAYS = (date(2025, 2, 27), date(2025, 2, 28), date(2025, 3, 3))
MAX_AGE = 30.0


def quote(symbol: str, bid: float = 99.0, ask: float = 101.0, age: float = 1.0) -> Quote:
    """Return a quote of that age."""
    return Quote(symbol=symbol, bid=bid, bid_size=100, ask=ask, ask_size=100, at=NOW - timedelta(seconds=age))


def snapshot(symbol: str, live: Quote | None, trade: tuple[float, float] | None = None) -> MarketSnapshot:
    """Return a snapshot; the trade is its price and age."""
    return MarketSnapshot(
        symbol=symbol,
        quote=live,
        last_price=None if trade is None else trade[0],
        last_at=None if trade is None else NOW - timedelta(seconds=trade[1]),
        today=None,
        previous=None,
    )


def bar(symbol: str, day: date, close: float) -> Bar:
    """Return a daily bar."""
    return Bar(symbol=symbol, start=midnight(day), open=close, high=close, low=close, close=close, volume=1.0)


class DataVenue:
    """The part of a venue that is asked for market data, counting the questions."""

    def __init__(self, *snapshots: MarketSnapshot, without_history: tuple[str, ...] = ()) -> None:
        self.rows = {row.symbol: row for row in snapshots}
        self.without_history = without_history
        self.snapshot_requests: list[tuple[str, ...]] = []
        self.history_requests: list[tuple[tuple[str, ...], date, date]] = []
        self.failures: list[VenueUnavailable] = []

    async def snapshots(self, symbols: Sequence[str]) -> dict[str, MarketSnapshot]:
        """Return what is known of these symbols."""
        self.snapshot_requests.append(tuple(symbols))
        return {symbol: self.rows[symbol] for symbol in symbols if symbol in self.rows}

    async def daily_bars(self, symbols: Sequence[str], *, start: date, end: date) -> dict[str, tuple[Bar, ...]]:
        """Return three bars per symbol, 100, 101, 102."""
        if self.failures:
            raise self.failures.pop()
        self.history_requests.append((tuple(symbols), start, end))
        known = [symbol for symbol in symbols if symbol not in self.without_history]
        return {symbol: tuple(bar(symbol, day, 100.0 + number) for number, day in enumerate(DAYS)) for symbol in known}


class Market:
    """A decision market with its quote book."""

    def __init__(self, venue: DataVenue, symbols: Sequence[str] = ("SPY", "QQQ"), sessions_needed: int = 252) -> None:
        self.book = QuoteBook()
        self.clock = VirtualClock(NOW)
        self.market = DecisionMarket(
            venue=_venue(venue),
            quotes=self.book,
            clock=self.clock,
            post=self.feed,
            symbols=symbols,
            sessions_needed=sessions_needed,
            max_age_seconds=MAX_AGE,
        )

    def feed(self, event: Event) -> None:
        """Publish an event."""
        self.book(Envelope(1, event, 0.0))


def _venue(venue: DataVenue) -> Venue:
    return venue  # type: ignore[return-value] # nothing else is asked


def prepared(venue: DataVenue, symbols: Sequence[str] = ("SPY", "QQQ"), *before: Event) -> Any:
    """Return the panel of a decision."""

    async def main() -> Any:
        market = Market(venue, symbols)
        for event in before:
            market.feed(event)
        return await market.market.prepare(symbols, "20250304.1")

    return virtual(main)


def why(panel: Any, symbol: str) -> str:
    """Return why a symbol has no price now."""
    value = panel.value(symbol, Measure("current-price"), panel.last)
    assert isinstance(value, NotComputable)
    return str(value)


def test_one_request_brings_the_prices_of_all_symbols() -> None:
    """However many strategies and symbols there are."""
    symbols = tuple(f"S{number:02d}" for number in range(40))
    venue = DataVenue(*(snapshot(symbol, quote(symbol)) for symbol in symbols))
    panel = prepared(venue, symbols)

    assert [symbols] == venue.snapshot_requests
    assert len(venue.history_requests) == 1
    assert dict.fromkeys(symbols, 100.0) == panel.prices(symbols, panel.last)


def test_the_live_price_is_the_bar_of_today() -> None:
    """History ends yesterday; today is the mid of the quote."""
    panel = prepared(DataVenue(snapshot("SPY", quote("SPY", 103.0, 105.0))), ("SPY",))

    assert (3, TODAY) == (panel.last, panel.session(panel.last))
    assert {"SPY": 104.0} == panel.prices(("SPY",), panel.last)
    assert {"SPY": 102.0} == panel.prices(("SPY",), panel.last - 1)


def test_the_history_is_fetched_once_per_session() -> None:
    """When it opens; the decisions of the day use it, and the next session fetches its own."""
    venue = DataVenue(snapshot("SPY", quote("SPY")), snapshot("QQQ", quote("QQQ")))

    async def main() -> None:
        market = Market(venue)
        await market.market.handle(Envelope(1, DecisionApproached(at=SESSION.opens_at, session=SESSION.date), 0.0))
        await market.market.handle(Envelope(2, SessionClosed(at=SESSION.closes_at, session=SESSION), 0.0))
        await market.market.prepare(("SPY",), "20250304.1")
        await market.market.prepare(("SPY", "QQQ"), "20250304.2")
        assert len(venue.history_requests) == 1
        await market.clock.sleep(24 * 3600)
        await market.market.prepare(("SPY",), "20250305.1")

    virtual(main)
    (symbols, start, end), (_, _, next_end) = venue.history_requests
    assert symbols == ("SPY", "QQQ")
    assert (end, next_end) == (date(2025, 3, 3), date(2025, 3, 4))
    assert timedelta(days=365) < end - start < timedelta(days=400)


def test_a_history_that_could_not_be_fetched_ahead_is_fetched_at_the_decision() -> None:
    """A hiccup some minutes before costs nothing: it is no failure of a handler, and the decision asks again."""
    venue = DataVenue(snapshot("SPY", quote("SPY")))
    venue.failures = [VenueUnavailable("503")]

    async def main() -> Any:
        market = Market(venue)
        await market.market.handle(Envelope(1, DecisionApproached(at=SESSION.opens_at, session=SESSION.date), 0.0))
        return await market.market.prepare(("SPY",), "20250304.1")

    assert {"SPY": 100.0} == virtual(main).prices(("SPY",), 3)
    assert len(venue.history_requests) == 1


@pytest.mark.parametrize(
    ("live", "trade", "expected"),
    [
        (quote("SPY"), None, 100.0),
        (quote("SPY", age=MAX_AGE), (90.0, 0.0), 100.0),
        (quote("SPY", age=31), (90.0, 5.0), 90.0),
        (quote("SPY", bid=0.0), (90.0, 5.0), 90.0),
        (quote("SPY", bid=101.0), (90.0, 5.0), 90.0),
        (quote("SPY", bid=102.0), (90.0, MAX_AGE), 90.0),
        (None, (90.0, 5.0), 90.0),
        (quote("SPY", age=31), (90.0, 31.0), "its quote is stale and its last trade 31 s old"),
        (quote("SPY", age=31), None, "its quote is stale and no trade is known"),
        (quote("SPY", bid=0.0, ask=0.0), None, "its quote is zero and no trade is known"),
        (None, None, "its quote is absent and no trade is known"),
        (None, (90.0, -31.0), "its quote is absent and its last trade 31 s ahead of our clock"),
    ],
)
def test_a_price_is_the_mid_of_a_usable_quote_or_else_a_recent_trade(
    live: Quote | None, trade: tuple[float, float] | None, expected: float | str
) -> None:
    """And otherwise the symbol is absent, with both reasons."""
    panel = prepared(DataVenue(snapshot("SPY", live, trade), snapshot("QQQ", quote("QQQ"))))

    if isinstance(expected, float):
        assert expected == panel.prices(("SPY",), panel.last)["SPY"]
    else:
        assert expected in why(panel, "SPY")
        assert {"QQQ": 100.0} == panel.prices(("SPY", "QQQ"), panel.last)


def test_a_newer_quote_of_the_stream_counts() -> None:
    """The snapshot is a moment older than what was streamed meanwhile."""
    newer = QuoteUpdated(at=NOW, symbol="SPY", bid=109.0, bid_size=1, ask=111.0, ask_size=1)
    panel = prepared(DataVenue(snapshot("SPY", quote("SPY", age=5))), ("SPY",), newer)

    assert {"SPY": 110.0} == panel.prices(("SPY",), panel.last)


def test_a_halted_symbol_has_the_price_of_its_last_trade_while_that_is_recent() -> None:
    """Its quotes mean nothing."""
    halted = TradingStatusChanged(at=NOW, symbol="SPY", code="H", message="halted", is_halted=True)

    recent = prepared(DataVenue(snapshot("SPY", quote("SPY"), (95.0, 3.0))), ("SPY",), halted)
    assert {"SPY": 95.0} == recent.prices(("SPY",), recent.last)
    old = prepared(DataVenue(snapshot("SPY", quote("SPY"), (95.0, 300.0)), snapshot("QQQ", quote("QQQ"))), ("SPY", "QQQ"), halted)
    assert "its quote is halted and its last trade 300 s old" in why(old, "SPY")


def test_a_symbol_that_the_venue_does_not_know_is_absent() -> None:
    """Without a snapshot, or without history; the others are decided all the same."""
    venue = DataVenue(snapshot("QQQ", quote("QQQ")), snapshot("NEW", quote("NEW")), without_history=("NEW",))
    panel = prepared(venue, ("SPY", "QQQ", "NEW"))

    assert "the venue has no price of it" in why(panel, "SPY")
    assert "the venue has no daily bars of it" in why(panel, "NEW")
    assert {"QQQ": 100.0} == panel.prices(("QQQ",), panel.last)


def test_the_quotes_of_a_decision_reach_everybody() -> None:
    """The plan and the first orders are priced from what the decision saw, also where the stream was silent."""
    venue = DataVenue(snapshot("SPY", quote("SPY", 99.0, 101.0)))

    async def main() -> Quote | None:
        market = Market(venue)
        await market.market.prepare(("SPY",), "20250304.1")
        return market.book.quote("SPY")

    assert quote("SPY", 99.0, 101.0) == virtual(main)
