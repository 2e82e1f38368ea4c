"""The prices of a live decision: the closes of the sessions before, and one live price per symbol as the bar of today.

Only that last bar is computed when a price changes: everything that depends on the closes alone lies in the panel of history and is
shared by all live panels on top of it.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import date

import numpy as np

from alchemiser.domain.errors import DataError
from alchemiser.market.arrays import Floats
from alchemiser.market.indicators import Measure
from alchemiser.strategies.outcome import NotComputable
from alchemiser.strategies.panel import PRICE, PricePanel, too_short


class LivePanel:
    """A panel of history with live prices behind its last session."""

    def __init__(
        self,
        history: PricePanel,
        today: date,
        live: Mapping[str, float],
        *,
        absent: Mapping[str, str] | None = None,
        version_of: Callable[[Iterable[str]], str] = lambda symbols: "",
    ) -> None:
        """Take the live price of each symbol that has one; ``absent`` says of others why they have none that may be used.

        ``version_of`` tells the version of the history of some symbols.

        Raises ``DataError`` when the history reaches today, or when a price is not a positive number.
        """
        if len(history) and history.session(history.last) >= today:
            raise DataError(f"the history reaches {history.session(history.last)}, and the live prices are of {today}")
        for symbol, price in live.items():
            if not 0 < price < np.inf:
                raise DataError(f"{symbol}: the live price {price} of {today} is not a positive number")
        self.history = history
        self._today = today
        self._live = live
        self._absent = absent or {}
        self._version_of = version_of
        self._values: dict[tuple[str, Measure], float | NotComputable] = {}

    def __len__(self) -> int:
        return len(self.history) + 1

    @property
    def last(self) -> int:
        """The place of today. Raises ``DataError`` when there is not a single live price."""
        if not self._live:
            raise DataError("there is not a single live price; nothing can be decided")
        return len(self.history)

    def session(self, place: int) -> date:
        """Return the date of the session at a place."""
        return self._today if place == len(self.history) else self.history.session(place)

    def value(self, symbol: str, measure: Measure, place: int) -> float | NotComputable:
        """Return a measure of a symbol at a session, from its closes up to and including that session."""
        if place < len(self.history):
            return self.history.value(symbol, measure, place)
        value = self._values.get((symbol, measure))
        if value is None:
            value = self._values[symbol, measure] = self._value(symbol, measure)
        return value

    def closes(self, symbol: str, place: int) -> Floats:
        """Return the closes of a symbol up to and including a session, read-only; the live price is the last one of today."""
        closes = self.history.closes(symbol, place)
        if place == len(self.history) and symbol in self._live:
            closes = np.append(closes, self._live[symbol])
            closes.flags.writeable = False
        return closes

    def prices(self, symbols: Iterable[str], place: int) -> dict[str, float]:
        """Return the price of each symbol that has one at that session."""
        if place < len(self.history):
            return self.history.prices(symbols, place)
        return {symbol: self._live[symbol] for symbol in symbols if symbol in self._live}

    def version_of(self, symbols: Iterable[str]) -> str:
        """Return the version of the bars before today of these symbols; the live prices are told by themselves."""
        return self._version_of(symbols)

    def _value(self, symbol: str, measure: Measure) -> float | NotComputable:
        price = self._live.get(symbol)
        if price is None:
            return NotComputable((self._absent.get(symbol, f"there is no live price of {symbol}"),))
        value = price if measure == PRICE else self.history.last_bar(symbol, measure).value(price)
        if value is None:
            known = len(self.history.closes(symbol, len(self.history))) + 1
            return too_short(symbol, measure, known, self._today)
        return value
