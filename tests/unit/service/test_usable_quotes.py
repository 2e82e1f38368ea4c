"""Quotes as decisions may use them: by the age that the settings allow now, or with the reason why not."""

from datetime import UTC, datetime, timedelta

from alchemiser.domain.market import Quote
from alchemiser.market.quotes import QuoteBook
from alchemiser.service.usable_quotes import UsableQuotes

NOW = datetime(2025, 3, 3, 15, 0, tzinfo=UTC)


def test_a_quote_is_used_while_it_is_young_enough() -> None:
    """Older than the settings allow it is told as stale, and there is neither a mid nor a spread."""
    book, ages = QuoteBook(), [5.0]
    quote = Quote(symbol="SPY", bid=99.0, bid_size=1, ask=101.0, ask_size=1, at=NOW)
    book.observe(quote)
    usable, later = UsableQuotes(book, lambda: ages[-1]), NOW + timedelta(seconds=10)

    assert (quote, 100.0, 0.01) == (usable.quote("SPY", NOW), usable.mid("SPY", NOW), usable.half_spread("SPY", NOW))
    assert ("stale", None, None) == (usable.quote("SPY", later), usable.mid("SPY", later), usable.half_spread("SPY", later))
    ages.append(30.0)
    assert usable.mid("SPY", later) == 100.0
    assert isinstance(usable.quote("TECL", NOW), str)
