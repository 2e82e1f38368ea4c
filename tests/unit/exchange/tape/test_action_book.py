"""What issuers have made known: the tape is read for whoever asks, a little at a time, and never for an announcement."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from alchemiser.exchange.corporate_actions import ActionBook
from alchemiser.exchange.generator import SyntheticMarket
from alchemiser.exchange.tape import MarketTape
from alchemiser.exchange.turns import at_once
from alchemiser.market.calendar import TradingCalendar

CALENDAR = TradingCalendar.new_york()
SYMBOLS = ("SPY", "TLT", "GLD")
NOW = datetime(2025, 3, 3, 15, tzinfo=UTC)
ROW = {"id": "by-hand", "symbol": "SPY", "new_rate": 2, "old_rate": 1, "ex_date": "2025-03-10"}


@pytest.fixture(scope="module")
def tape() -> MarketTape:
    """Return a market with dividends."""
    market = SyntheticMarket(CALENDAR, 7, symbols=SYMBOLS, last_day=date(2025, 3, 14), dividends=True)
    return MarketTape(market, CALENDAR, SYMBOLS, 7)


def ids(book: ActionBook, now: datetime) -> list[Any]:
    """Return the ids of what is known."""
    return [news.row["id"] for news in at_once(book.news(now))]


def test_an_announcement_does_not_read_the_tape(tape: MarketTape, monkeypatch: pytest.MonkeyPatch) -> None:
    """Announcing by hand costs the same whatever the market holds; the first who asks gets both, in order of time."""
    book = ActionBook(tape)
    with monkeypatch.context() as patch:
        patch.delattr(MarketTape, "daily_bars")
        book.add({"forward_splits": [ROW]}, NOW)

    known = at_once(book.news(NOW))

    assert known[-1].row["id"] == "by-hand"
    assert len({news.row["symbol"] for news in known}) == len(SYMBOLS)
    assert [news.at for news in known] == sorted(news.at for news in known)


def test_others_have_their_turn_while_the_tape_is_read(tape: MarketTape) -> None:
    """A year of a symbol is read in more than one go, and no go is about two symbols."""
    turns = sum(1 for _ in ActionBook(tape).news(NOW))

    assert turns > len(SYMBOLS)


def test_who_asks_at_the_same_time_gets_the_same_once(tape: MarketTape) -> None:
    """Two readers that take turns, and an announcement between them: nothing comes twice, and the places stay."""
    book = ActionBook(tape)
    first, second = book.news(NOW), book.news(NOW)
    next(first)
    next(second)
    book.add({"forward_splits": [ROW]}, NOW)
    found = [news.row["id"] for news in at_once(first)]

    assert [news.row["id"] for news in at_once(second)] == found
    assert len(set(found)) == len(found)
    book.add({"forward_splits": [{**ROW, "id": "later"}]}, NOW + timedelta(days=9))
    assert ids(book, NOW + timedelta(days=11))[: len(found)] == found
    assert "later" in ids(book, NOW + timedelta(days=11))
