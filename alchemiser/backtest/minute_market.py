"""The market of an event-driven run along recorded minutes.

At the decision a symbol is at the last price of the minutes that have ended; where orders are worked, quotes follow the recorded course
from there on, with the spread of a fund of that turnover where none was recorded. At the end of a session it is at its daily close.
"""

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from datetime import date, datetime

from msgspec.structs import replace

from alchemiser.backtest.event_market import EventMarket
from alchemiser.backtest.intraday import NEWEST_PRICE_AT_MOST, Intraday
from alchemiser.backtest.result import Opens
from alchemiser.domain.market import Quote
from alchemiser.exchange.recorded_path import RecordedPath
from alchemiser.strategies.live_panel import LivePanel
from alchemiser.strategies.outcome import NotComputable
from alchemiser.strategies.panel import PRICE, PricePanel

_TOO_OLD = f"it was not traded in the {NEWEST_PRICE_AT_MOST.seconds // 60} minutes before the decision"


class MinuteMarket(EventMarket):
    """The prices of a run along minutes. What other runs know as the open of a session is the moment of the decision."""

    def __init__(self, panel: PricePanel, intraday: Intraday, *, half_spread: float, held: Container[str], in_whole: bool = False) -> None:
        super().__init__(panel, Opens({}), half_spread=half_spread, held=held, in_whole=in_whole)
        self._intraday = intraday
        self._courses: dict[tuple[str, date], tuple[RecordedPath, float] | None] = {}

    async def prepare(self, symbols: Sequence[str], rebalance_id: str) -> LivePanel:
        """Return the closes before the session of the decision, with the price at the decision of each symbol as the bar of the day."""
        return panel_at_decision(self._intraday, self.panel, self.place, unit=self.unit)

    def _price(self, symbol: str) -> float | None:
        day, marks = self.panel.session(self._session), self.marks[symbol]
        if not self._is_open or self._intraday.lacking(day):
            return marks[self._session]
        price = self._intraday.price(symbol, day)
        if price is None and self._session:
            price = marks[self._session - 1]
        return price

    def _moving(self, symbol: str, now: datetime) -> Quote | str:
        standing = self._quote(symbol)
        if isinstance(standing, str):
            return standing
        course = self._course(symbol)
        if course is None:
            return replace(standing, at=now)
        path, scale = course
        seen, scale = path.quote(now), scale * self.unit(symbol)
        if seen.bid <= 0 or seen.ask <= 0:
            return "one side of the market is empty"
        bid, ask = seen.bid * scale * (1.0 - self._half_spread), seen.ask * scale * (1.0 + self._half_spread)
        return replace(seen, at=now, bid=round(bid, 4), ask=round(ask, 4))

    def _course(self, symbol: str) -> tuple[RecordedPath, float] | None:
        day = self.panel.session(self._session)
        if (symbol, day) not in self._courses:
            self._courses = {key: kept for key, kept in self._courses.items() if key[1] == day}
            self._courses[symbol, day] = None if self._intraday.lacking(day) else self._intraday.path(symbol, day)
        return self._courses[symbol, day]


def panel_at_decision(intraday: Intraday, panel: PricePanel, place: int, *, unit: Callable[[str], float] = lambda symbol: 1.0) -> LivePanel:
    """Return what a decision of a session may see: the closes before it, and prices of its moment; it tells them in units of a market."""
    day = panel.session(place)
    if intraday.lacking(day):
        prices: Mapping[str, float] = panel.prices(panel.symbols, place)
    else:
        found = {symbol: intraday.price(symbol, day) for symbol in panel.symbols}
        prices = {symbol: price for symbol, price in found.items() if price is not None}
    absent = {symbol: _why_absent(panel, symbol, place) for symbol in panel.symbols if symbol not in prices} | panel.reasons_absent
    return _Priced(PricePanel.before(intraday.history, day), day, prices, absent=absent, unit=unit)


def _why_absent(panel: PricePanel, symbol: str, place: int) -> str:
    known = panel.value(symbol, PRICE, place)
    return str(known) if isinstance(known, NotComputable) else _TOO_OLD


class _Priced(LivePanel):
    """A live panel that tells its prices in the units of the market in which they are traded."""

    def __init__(
        self, history: PricePanel, today: date, live: Mapping[str, float], *, absent: Mapping[str, str], unit: Callable[[str], float]
    ) -> None:
        super().__init__(history, today, live, absent=absent)
        self._unit = unit

    def prices(self, symbols: Iterable[str], place: int) -> dict[str, float]:
        """Return the price in the market of each symbol that has one at that session."""
        return {symbol: price * self._unit(symbol) for symbol, price in super().prices(symbols, place).items()}
