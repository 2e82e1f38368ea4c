"""The quote book: what it keeps, and when it lets a quote price an order."""

from datetime import UTC, datetime, timedelta

import pytest

from alchemiser.bus.envelope import Envelope
from alchemiser.domain.events import DaemonStopping, Event, QuoteUpdated, TradePrinted, TradingStatusChanged
from alchemiser.domain.market import Quote
from alchemiser.market.quotes import QuoteBook, QuoteRefusal

NOW = datetime(2025, 3, 31, 19, 50, tzinfo=UTC)


def book_of(*events: Event) -> QuoteBook:
    book = QuoteBook()
    for sequence, event in enumerate(events, start=1):
        book(Envelope(sequence=sequence, event=event, time=float(sequence)))
    return book


def quoted(bid: float, ask: float, *, seconds_ago: float = 0, symbol: str = "SPY") -> QuoteUpdated:
    return QuoteUpdated(at=NOW - timedelta(seconds=seconds_ago), symbol=symbol, bid=bid, bid_size=100, ask=ask, ask_size=200)


def traded(price: float, *, seconds_ago: float = 0) -> TradePrinted:
    return TradePrinted(at=NOW - timedelta(seconds=seconds_ago), symbol="SPY", price=price, size=10)


def status(*, is_halted: bool, seconds_ago: float = 0) -> TradingStatusChanged:
    return TradingStatusChanged(
        at=NOW - timedelta(seconds=seconds_ago), symbol="SPY", code="H" if is_halted else "T", message="", is_halted=is_halted
    )


def test_the_latest_quote_is_handed_out() -> None:
    """The book answers with the newest quote of each symbol, and with its age."""
    book = book_of(quoted(10, 11, seconds_ago=9), quoted(20, 21, symbol="BIL"), quoted(12, 13, seconds_ago=2))
    assert book.quote("SPY") == Quote(symbol="SPY", bid=12, bid_size=100, ask=13, ask_size=200, at=NOW - timedelta(seconds=2))
    assert book.age_seconds("SPY", NOW) == 2
    assert book.symbols == ("BIL", "SPY")


def test_nothing_is_known_before_the_first_event() -> None:
    """A symbol never heard of has no quote, no age, no trade and is not halted."""
    book = QuoteBook()
    assert book.quote("SPY") is None
    assert book.age_seconds("SPY", NOW) is None
    assert book.last_price("SPY") is None
    assert "SPY" not in book.halted
    assert book.usable("SPY", NOW, 5) is QuoteRefusal.ABSENT


def test_what_arrives_late_changes_nothing() -> None:
    """An older quote, trade or status never takes the place of a newer one."""
    book = book_of(
        quoted(12, 13, seconds_ago=1),
        quoted(10, 11, seconds_ago=5),
        traded(12.5, seconds_ago=1),
        traded(10.5, seconds_ago=5),
        status(is_halted=False, seconds_ago=1),
        status(is_halted=True, seconds_ago=5),
    )
    quote = book.quote("SPY")
    assert quote is not None
    assert quote.bid == 12
    assert book.last_price("SPY") == 12.5
    assert "SPY" not in book.halted


def test_a_quote_of_a_snapshot_counts_like_one_of_the_stream() -> None:
    """Quotes of a batched request fill the book, and give way to newer ones of the stream."""
    book = QuoteBook()
    snapshot = Quote(symbol="SPY", bid=1, bid_size=1, ask=2, ask_size=1, at=NOW - timedelta(seconds=3))
    book.observe(snapshot)
    assert book.usable("SPY", NOW, 5) is snapshot
    book.observe(quoted(3, 4, seconds_ago=1))
    book.observe(snapshot)
    quote = book.quote("SPY")
    assert quote is not None
    assert quote.bid == 3


@pytest.mark.parametrize(
    ("bid", "ask", "seconds_ago", "reason"),
    [
        (0, 0, 0, QuoteRefusal.ZERO),
        (0, 10, 0, QuoteRefusal.ONE_SIDED),
        (10, 0, 0, QuoteRefusal.ONE_SIDED),
        (10, 10, 0, QuoteRefusal.LOCKED),
        (10.01, 10, 0, QuoteRefusal.CROSSED),
        (10, 10.01, 5.001, QuoteRefusal.STALE),
        (10, 10.01, -5.001, QuoteRefusal.AHEAD),
    ],
)
def test_a_quote_that_may_not_price_an_order_is_refused(bid: float, ask: float, seconds_ago: float, reason: QuoteRefusal) -> None:
    """The reason is a name: zero, one-sided, locked, crossed, stale, or ahead of our clock."""
    assert book_of(quoted(bid, ask, seconds_ago=seconds_ago)).usable("SPY", NOW, 5) is reason


def test_a_quote_of_exactly_the_greatest_age_is_usable() -> None:
    """The limit itself is allowed, on both sides of the clock."""
    for seconds_ago in (5, -5):
        assert isinstance(book_of(quoted(10, 10.01, seconds_ago=seconds_ago)).usable("SPY", NOW, 5), Quote)


def test_a_halted_symbol_has_no_usable_quote_until_it_resumes() -> None:
    """A halt closes the book for the symbol, a resumption opens it."""
    book = book_of(quoted(10, 10.01), status(is_halted=True, seconds_ago=2))
    assert book.usable("SPY", NOW, 5) is QuoteRefusal.HALTED
    assert book.halted == {"SPY"}
    book(Envelope(sequence=9, event=status(is_halted=False), time=9.0))
    assert isinstance(book.usable("SPY", NOW, 5), Quote)
    assert not book.halted


def test_other_events_are_ignored() -> None:
    """Subscribing the book to everything does no harm."""
    assert book_of(DaemonStopping(at=NOW, reason="test")).symbols == ()
