"""The prices of a decision: daily closes from the venue's history, and live prices from one batched request.

The history is fetched a few minutes before a decision and kept for the day; at the decision one request brings the latest quotes and trades
of all symbols, whatever their number. A live price is the mid of a usable quote, else a recent last trade; its age is checked either way.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Protocol

import structlog
from msgspec import Struct

from alchemiser.bus.envelope import Envelope
from alchemiser.domain.errors import DataError, VenueError
from alchemiser.domain.events import DecisionApproached, Event, QuoteUpdated
from alchemiser.domain.market import Bar, MarketSnapshot, Quote
from alchemiser.domain.runtime import Clock
from alchemiser.domain.venue import Venue
from alchemiser.market.calendar import new_york_date
from alchemiser.market.history import DailyHistory
from alchemiser.market.quotes import QuoteBook
from alchemiser.market.volatility import yearly_volatility
from alchemiser.strategies.live_panel import LivePanel
from alchemiser.strategies.panel import PricePanel

_log = structlog.get_logger(__name__)

CALENDAR_DAYS_PER_SESSION = 365.25 / 252
MARGIN_DAYS = 10
"""A little more history is asked for than is needed, because a year of sessions is not always as long as another."""


class DailyBars(Protocol):
    """Answers with daily bars."""

    async def __call__(self, symbols: Sequence[str], *, start: date, end: date) -> dict[str, tuple[Bar, ...]]:
        """Return the bars from ``start`` to ``end``, both included, adjusted for splits and dividends; symbols without any are absent."""


class MoreHistory(Struct, frozen=True):
    """Daily bars that were missing, as of a day; with so many ``sessions_needed`` no strategy lacks any."""

    today: date
    symbols: tuple[str, ...]
    sessions_needed: int
    bars: Mapping[str, Sequence[Bar]]


class DecisionMarket:
    """Implements the strategies' market. ``symbols`` and ``sessions_needed`` come from the strategies, and grow with them."""

    listens_to = (DecisionApproached,)

    def __init__(
        self,
        *,
        venue: Venue,
        quotes: QuoteBook,
        clock: Clock,
        post: Callable[[Event], object],
        symbols: Sequence[str],
        sessions_needed: int,
        max_age_seconds: float,
        daily_bars: DailyBars | None = None,
    ) -> None:
        """``daily_bars`` is where the history comes from, in place of the venue."""
        self._venue = venue
        self._daily_bars = daily_bars or venue.daily_bars
        self._quotes = quotes
        self._clock = clock
        self._post = post
        self._symbols = tuple(symbols)
        self._sessions_needed = sessions_needed
        self.max_age_seconds = max_age_seconds
        self._history = DailyHistory()
        self._panel: PricePanel | None = None
        self._fetched_for: date | None = None

    async def handle(self, envelope: Envelope) -> None:
        """Fetch the history of a session shortly before its decision."""
        event = envelope.event
        if isinstance(event, DecisionApproached) and self._fetched_for != event.session:
            try:
                await self._fetch(event.session)
            except VenueError as error:
                _log.warning("history_not_fetched", reason=str(error), next="asked for again at the decision")

    async def prepare(self, symbols: Sequence[str], rebalance_id: str) -> LivePanel:
        """Return the closes before today with the live price of each symbol as the bar of today."""
        today = new_york_date(self._clock.now())
        panel = self._panel
        if panel is None or self._fetched_for != today:
            panel = await self._fetch(today)
        snapshots = await self._venue.snapshots(symbols)
        now = self._clock.now()
        prices: dict[str, float] = {}
        absent: dict[str, str] = {}
        for symbol in symbols:
            snapshot = snapshots.get(symbol)
            price = "the venue has no price of it" if snapshot is None else self._price(snapshot, now)
            if symbol not in self._history.symbols:
                absent[symbol] = "the venue has no daily bars of it"
            elif isinstance(price, float):
                prices[symbol] = price
            else:
                absent[symbol] = price
        return LivePanel(panel, today, prices, absent=absent, version_of=self._history.version_of)

    async def history_of(self, session: date) -> DailyHistory:
        """Return the daily bars before a session: those of its decision, or asked for again when they are no longer at hand.

        Raises ``VenueError`` when they cannot be had and ``DataError`` when they cannot be used. The same bars have the same version.
        """
        if self._fetched_for == session:
            return self._history
        return DailyHistory.from_bars(await self._bars(self._symbols, self._sessions_needed, session))

    def volatility(self, weights: Mapping[str, float], *, sessions: int) -> float | None:
        """Return the yearly volatility of holding these weights, from the history of the last decision; ``None`` when it is too short."""
        return yearly_volatility(self._history, weights, sessions=sessions)

    async def fetch_more(self, symbols: Sequence[str], sessions_needed: int) -> "MoreHistory":
        """Fetch what is missing for these symbols and that many sessions, in one batched request; nothing is taken yet.

        Raises ``VenueError`` when it cannot be had, and ``DataError`` when the venue has not a single daily bar of one of the symbols.
        """
        today = new_york_date(self._clock.now())
        deeper = sessions_needed > self._sessions_needed
        wanted = sorted({*self._symbols, *symbols}) if deeper else [symbol for symbol in symbols if symbol not in self._symbols]
        bars = await self._bars(wanted, max(sessions_needed, self._sessions_needed), today) if wanted else {}
        if lacking := [symbol for symbol in symbols if symbol in wanted and symbol not in bars]:
            raise DataError(f"the venue has no daily bars of {', '.join(lacking)}")
        return MoreHistory(today, tuple(wanted), max(sessions_needed, self._sessions_needed), bars)

    def take(self, more: "MoreHistory") -> None:
        """Know these symbols and keep that much history from now on."""
        self._symbols = tuple(sorted({*self._symbols, *more.symbols}))
        self._sessions_needed = max(self._sessions_needed, more.sessions_needed)
        if self._fetched_for == more.today:  # Otherwise all of it is fetched before the decision, with the adjustments of that day.
            for symbol, members in more.bars.items():
                self._history.add(symbol, [new_york_date(bar.start) for bar in members], [bar.close for bar in members])
            self._panel = PricePanel.before(self._history, more.today)

    def forget(self, symbols: Collection[str]) -> None:
        """Fetch no more history of these symbols."""
        self._symbols = tuple(symbol for symbol in self._symbols if symbol not in symbols)

    async def _fetch(self, today: date) -> PricePanel:
        while True:
            symbols, sessions_needed = self._symbols, self._sessions_needed
            bars = await self._bars(symbols, sessions_needed, today)
            if set(self._symbols) <= set(symbols) and self._sessions_needed <= sessions_needed:
                break  # Else more was wanted meanwhile.
        self._history = DailyHistory.from_bars(bars)
        self._history.version_of(self._history.symbols)  # Hashed now, with minutes to spare, and not between a decision and its orders.
        self._panel = PricePanel.before(self._history, today)
        self._fetched_for = today
        return self._panel

    async def _bars(self, symbols: Sequence[str], sessions: int, today: date) -> dict[str, tuple[Bar, ...]]:
        days = int(sessions * CALENDAR_DAYS_PER_SESSION) + MARGIN_DAYS
        return await self._daily_bars(symbols, start=today - timedelta(days=days), end=today - timedelta(days=1))

    def _price(self, snapshot: MarketSnapshot, now: datetime) -> float | str:
        """Return the live price in dollars, or the reason why there is none."""
        if snapshot.quote is not None:
            self._remember(snapshot.quote)
        usable = self._quotes.usable(snapshot.symbol, now, self.max_age_seconds)
        if isinstance(usable, Quote):
            return usable.mid
        if snapshot.last_price is not None and snapshot.last_at is not None:
            age_seconds = (now - snapshot.last_at).total_seconds()
            if abs(age_seconds) <= self.max_age_seconds:
                return snapshot.last_price
            age = f"{age_seconds:.0f} s old" if age_seconds > 0 else f"{-age_seconds:.0f} s ahead of our clock"
            return f"its quote is {usable.value} and its last trade {age}"
        return f"its quote is {usable.value} and no trade is known"

    def _remember(self, quote: Quote) -> None:
        self._post(
            QuoteUpdated(at=quote.at, symbol=quote.symbol, bid=quote.bid, bid_size=quote.bid_size, ask=quote.ask, ask_size=quote.ask_size)
        )
