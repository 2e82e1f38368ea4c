"""The quote book as decisions and orders may use it: young enough by the settings that hold at that moment, or the reason why not."""

from collections.abc import Callable
from datetime import datetime

from alchemiser.domain.market import Quote
from alchemiser.market.quotes import QuoteBook


class UsableQuotes:
    """Answers by symbol. ``max_age_seconds`` is how old a quote may be, in market seconds."""

    def __init__(self, quotes: QuoteBook, max_age_seconds: Callable[[], float]) -> None:
        self._quotes = quotes
        self._max_age_seconds = max_age_seconds

    def quote(self, symbol: str, now: datetime) -> Quote | str:
        """Return the quote, or why there is none to be used."""
        usable = self._quotes.usable(symbol, now, self._max_age_seconds())
        return usable if isinstance(usable, Quote) else usable.value

    def mid(self, symbol: str, now: datetime) -> float | None:
        """Return the middle of bid and ask in dollars, ``None`` without a usable quote."""
        quote = self.quote(symbol, now)
        return quote.mid if isinstance(quote, Quote) else None

    def half_spread(self, symbol: str, now: datetime) -> float | None:
        """Return half the spread as a share of the mid, ``None`` without a usable quote."""
        quote = self.quote(symbol, now)
        return quote.half_spread if isinstance(quote, Quote) else None
