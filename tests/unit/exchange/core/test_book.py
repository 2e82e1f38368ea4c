"""The book of one symbol from close to close."""

from datetime import UTC, datetime
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st
from msgspec import msgpack
from msgspec.structs import replace

from alchemiser.domain.market import Quote
from alchemiser.exchange.book import Book

NOON = datetime(2025, 3, 3, 17, tzinfo=UTC)
PRICES = st.sampled_from([0.0, 9.99, 10.0, 250.5])
HAPPENINGS = st.one_of(
    st.tuples(st.just("quote"), PRICES, PRICES),
    st.tuples(st.just("trade"), PRICES.filter(bool)),
    st.tuples(st.just("split")),
    st.tuples(st.just("name"), PRICES.filter(bool)),
    st.tuples(st.just("close")),
    st.tuples(st.just("morning")),
)


@given(st.lists(HAPPENINGS, max_size=12))
def test_a_close_is_the_mark_of_its_moment(happenings: list[tuple[object, ...]]) -> None:
    """Whatever was heard or not heard since the close before: what a session closes at is the price at which positions stand.

    That price is always the one of the moment, however often it was asked for before.
    """
    book, previous = Book(symbol="TECL"), None
    for kind, *prices in happenings:
        match kind, prices:
            case "quote", [float(bid), float(ask)]:
                book.take_quote(Quote(symbol="TECL", bid=bid, bid_size=100.0, ask=ask, ask_size=100.0, at=NOON))
            case "trade", [float(price)]:
                book.take_trade(price, NOON)
            case "split", _:
                book.rescale(Decimal(2))
                previous = None if previous is None else Decimal(str(round(float(previous) / 2, 4)))
            case "name", [float(price)]:
                former = Decimal(str(price))
                if book.last_price is None:
                    previous = former
                book.go_on_from(Book(symbol="OLD", last_price=price, close=former, previous_close=former))
            case "close", _:
                if not book.is_closed:
                    book.close_session()
                assert book.close == (book.close if book.mark() is None else book.mark())
            case _:
                previous = book.close if book.close is not None else previous
                book.begin_day()
        assert book.previous_close == previous
        assert book.mark() == replace(book, worth=None).mark()
    assert book.is_closed <= (book.mark() is None or book.close == book.mark())


def test_a_book_that_was_saved_with_floats_is_read() -> None:
    """Closes are exact now; an exchange that was saved before goes on with the price that its floats print as."""
    saved = msgpack.encode({"symbol": "TECL", "close": 9.99, "previous_close": 100.0})
    book = msgpack.decode(saved, type=Book)
    assert (book.close, book.previous_close) == (Decimal("9.99"), Decimal(100))
