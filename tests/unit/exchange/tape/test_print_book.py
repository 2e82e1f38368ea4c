"""Prints beside the tape: in order of time, each with its mark, in both directions."""

from datetime import UTC, datetime, timedelta

import pytest

from alchemiser.exchange import print_book
from alchemiser.exchange.path import TapePrint
from alchemiser.exchange.print_book import MarkedPrint, PrintBook

OPEN = datetime(2025, 3, 3, 14, 30, tzinfo=UTC)


def made(second: int, number: int, price: float = 10.0, symbol: str = "SPY") -> TapePrint:
    """Return a print some seconds after the open."""
    return TapePrint(symbol, price, 100, OPEN + timedelta(seconds=second), number)


TAPE = (made(0, 1), made(10, 2), made(20, 3))


def listed(book: PrintBook, *, descending: bool = False, symbol: str = "SPY") -> list[TapePrint | MarkedPrint]:
    """Return what the book makes of the tape."""
    tape = iter(TAPE[::-1] if descending else TAPE)
    return list(book.among(tape, symbol, OPEN, OPEN + timedelta(seconds=30), descending=descending))


def test_an_empty_book_changes_nothing() -> None:
    """The tape passes through as it is."""
    assert list(TAPE) == listed(PrintBook())


@pytest.mark.parametrize("descending", [False, True])
def test_prints_stand_in_order_of_time(*, descending: bool) -> None:
    """Those made by hand stand among those of the tape; what is outside of the bounds or of another symbol does not."""
    book = PrintBook()
    for trade in (made(15, 9), made(31, 10), made(-1, 11), made(5, 12, symbol="TECL")):
        book.add(trade)
    times = [each.trade.at for each in listed(book, descending=descending) if isinstance(each, MarkedPrint)]
    assert [OPEN + timedelta(seconds=second) for second in (0, 10, 15, 20)][:: -1 if descending else 1] == times


def test_a_trade_may_be_corrected_again_and_cancelled_in_the_end() -> None:
    """Each version stays, marked with what became of it."""
    book = PrintBook()
    first, second, third = TAPE[1], made(10, 2, 11.0), made(10, 2, 12.0)
    book.correct(first, second, OPEN + timedelta(seconds=12))
    assert (True, False) == (book.is_amended(first), book.is_amended(second))
    book.correct(second, third, OPEN + timedelta(seconds=14))
    book.cancel(third)
    marked = [(each.trade.price, each.mark) for each in listed(book) if isinstance(each, MarkedPrint)]
    assert [(10.0, None), (10.0, "incorrect"), (11.0, "incorrect"), (12.0, "canceled"), (10.0, None)] == marked


def test_the_book_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest prints go first."""
    monkeypatch.setattr(print_book, "MOST_PRINTS", 10)
    book = PrintBook()
    for number in range(25):
        book.add(made(1, number))
    kept = [each.trade.number for each in listed(book) if isinstance(each, MarkedPrint)]
    assert 24 in kept
    assert len(kept) <= 10 + len(TAPE)
