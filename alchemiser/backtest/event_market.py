"""The market of an event-driven run from daily bars: at each moment one price per symbol, and what strategies may see of the panel.

The price of a moment is the open or the close of a session; a symbol without one is at its last close, as in the vector engine. Around it
stands a quote whose halves of the spread are the costs of trading. A decision sees the panel up to its own session and not a bar further.
"""

import math
from collections.abc import Container, Iterable, Sequence
from datetime import date, datetime

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from alchemiser.backtest.fillable import Fillable
from alchemiser.backtest.result import DayRange, Opens
from alchemiser.domain.errors import InvariantBroken
from alchemiser.domain.market import Bar, Quote, Session
from alchemiser.domain.rebalancing import Header
from alchemiser.exchange.path import DayPath
from alchemiser.market.arrays import Floats
from alchemiser.market.indicators import Measure
from alchemiser.strategies.base import Decider, LoadedStrategy
from alchemiser.strategies.outcome import NotComputable, Proposal
from alchemiser.strategies.panel import PRICE, Panel, PricePanel

DISPLAYED_SHARES = 1e12
"""What is displayed on both sides: more than anybody trades, for the size of an order is no part of a fill at one price."""


LOWEST_PRICE, USUAL_PRICE, HIGHEST_PRICE = 1.0, 100.0, 1_000.0
"""Dollars. What costs less than the lowest or more than the highest is traded in units that cost about as much as usual."""


class EventMarket:
    """The prices of one run. ``half_spread`` is half the spread as a fraction of the price, ``held`` what there are shares of.

    Where shares are traded ``in_whole``, a unit is never a part of one.
    """

    def __init__(
        self, panel: PricePanel, opens: Opens, *, half_spread: float, held: Container[str], in_whole: bool = False, seed: int = 0
    ) -> None:
        self.panel = panel
        self.place = 0
        """The place of the session that the next decision is made on."""
        self.moves = False
        """Whether prices move along paths, which not every symbol has on every session."""
        self.marks = _Marks(panel)
        self._opens = opens
        self._half_spread = half_spread
        self._held = held
        self._in_whole = in_whole
        self._quotes: dict[str, Quote | str] = {}
        self._mids: dict[str, float] = {}
        self._unseen: dict[str, Quote] = {}
        self._seed = seed
        self._units: dict[str, float] = {}
        self._live: Session | None = None
        self._paths: dict[str, DayPath | None] = {}
        self._session = 0
        self._is_open = False
        self._at: datetime | None = None

    def turn_to(self, place: int, at: datetime, *, is_open: bool, live: Session | None = None) -> None:
        """Let the prices be those of the open or of the close of a session, or move along the paths of a ``live`` one."""
        self._session, self._is_open, self._at, self._live = place, is_open, at, live
        self.moves = live is not None
        self._paths = {}
        self._quotes = {}
        self._mids = {}
        self._unseen = {}

    def quote(self, symbol: str, now: datetime) -> Quote | str:
        """Return the quote of a symbol, or why there is none."""
        quote = self._quotes.get(symbol)
        if quote is None or (self.moves and isinstance(quote, Quote) and quote.at != now):
            return self._look(symbol, now)
        return quote

    def news(self, symbols: Iterable[str], now: datetime) -> list[Quote]:
        """Return the quotes of these symbols that the exchange has not seen."""
        quotes, unseen = self._quotes, self._unseen
        news: list[Quote] = []
        for symbol in symbols:
            if self.moves or symbol not in quotes:
                self.quote(symbol, now)
            if symbol in unseen:
                news.append(unseen.pop(symbol))
        return news

    def mid(self, symbol: str, now: datetime) -> float | None:
        """Return the price of a symbol in this market."""
        if not self.moves and (known := self._mids.get(symbol)) is not None:
            return known
        self.quote(symbol, now)
        return self._mids.get(symbol)

    def half_spread(self, symbol: str, now: datetime) -> float | None:
        """Return half the spread as a fraction of the price."""
        if not self.moves and symbol in self._mids:
            return self._half_spread
        return None if self.mid(symbol, now) is None else self._half_spread

    async def prepare(self, symbols: Sequence[str], rebalance_id: str) -> Panel:
        """Return the panel as it is seen on the session of the decision."""
        return Sight(self, self.place)

    def unit(self, symbol: str) -> float:
        """Return how many shares of the bars one share of this market stands for: a power of ten, the same for as long as it is held.

        Bars that were adjusted for many reverse splits begin at billions of dollars, of which the venue's finest fraction of a share is
        too much for an exact account. Prices between a dollar and a thousand are left as they are.
        """
        return self._units.get(symbol, 1.0)

    def _look(self, symbol: str, now: datetime) -> Quote | str:
        quote = self._quotes[symbol] = self._moving(symbol, now) if self.moves else self._quote(symbol)
        if isinstance(quote, Quote):
            self._mids[symbol] = quote.mid
            self._unseen[symbol] = quote
        else:
            self._mids.pop(symbol, None)
            self._unseen.pop(symbol, None)
        return quote

    def _quote(self, symbol: str) -> Quote | str:
        known = self._price(symbol)
        if known is None:
            return "no bar of it is known yet"
        if symbol not in self._held:
            self._units[symbol] = self._unit_of(known)
        price = known * self._units.get(symbol, 1.0)
        assert self._at is not None
        if self._half_spread:
            bid, ask = price * (1.0 - self._half_spread), price * (1.0 + self._half_spread)
        else:
            # The narrowest quote that is not locked: buyer and seller pay the same to the last place of a float.
            bid, ask = math.nextafter(price, 0.0), math.nextafter(price, math.inf)
        return Quote(symbol=symbol, bid=bid, bid_size=DISPLAYED_SHARES, ask=ask, ask_size=DISPLAYED_SHARES, at=self._at)

    def _moving(self, symbol: str, now: datetime) -> Quote | str:
        """Return the quote of a moment inside the bar: the spread of a fund of that turnover, and the halves of ours outside it."""
        path = self._path_of(symbol)
        if path is None:
            return "it has no bar with a range on this session"
        seen = path.quote(now)
        wider = {"bid": seen.bid * (1.0 - self._half_spread), "ask": seen.ask * (1.0 + self._half_spread)}
        return replace(seen, at=now, **{name: round(price, 4) for name, price in wider.items()})

    def _path_of(self, symbol: str) -> DayPath | None:
        if symbol not in self._paths:
            assert self._live is not None
            found = self._opens.ranges.get(symbol, {}).get(self._live.date.toordinal())
            if found is not None and symbol not in self._held:
                self._units[symbol] = self._unit_of(found.open)
            self._paths[symbol] = None if found is None else DayPath(symbol, self._bar(symbol, found), self._live, self._seed)
        return self._paths[symbol]

    def _bar(self, symbol: str, found: DayRange) -> Bar:
        assert self._live is not None
        unit = self.unit(symbol)
        opened, close = (round(price * unit, 4) for price in (found.open, found.close))
        return Bar(
            symbol=symbol,
            start=self._live.opens_at,
            open=opened,
            high=max(round(found.high * unit, 4), opened, close),
            low=min(round(found.low * unit, 4), opened, close),
            close=close,
            volume=max(round(found.volume / unit), 1),
        )

    def _price(self, symbol: str) -> float | None:
        if not self._is_open:
            return self.marks[symbol][self._session]
        opened = self._opens.by_symbol.get(symbol, {}).get(self.panel.session(self._session).toordinal())
        return self.marks[symbol][self._session - 1] if opened is None else opened

    def _unit_of(self, price: float) -> float:
        if LOWEST_PRICE <= price <= HIGHEST_PRICE or (self._in_whole and not self.moves):
            return 1.0
        unit = float(10.0 ** -round(math.log10(price / USUAL_PRICE)))
        return max(unit, 1.0) if self._in_whole else unit


class _Marks(dict[str, list[float | None]]):
    """Of each symbol the close of every session: the last known one where there is none, ``None`` before the first."""

    def __init__(self, panel: PricePanel) -> None:
        super().__init__()
        self._panel = panel

    def __missing__(self, symbol: str) -> list[float | None]:
        column = self._panel.column(symbol, PRICE)
        latest = np.maximum.accumulate(np.where(column.known, np.arange(len(column.known)), -1))
        first = int(np.searchsorted(latest, 0))
        marks: list[float | None] = [None] * first
        marks += column.values[latest[first:]].tolist()
        self[symbol] = marks
        return marks


class Sight:
    """The panel of a market up to a session: whoever decides on it finds nothing behind."""

    def __init__(self, market: EventMarket, last: int) -> None:
        self._market = market
        self.panel = market.panel
        self.last = last
        """The place of the session of the decision."""

    def __len__(self) -> int:
        return self.last + 1

    def session(self, place: int) -> date:
        """Return the date of the session at a place."""
        return self.panel.session(self._seen(place))

    def value(self, symbol: str, measure: Measure, place: int) -> float | NotComputable:
        """Return a measure of a symbol at a session."""
        return self.panel.value(symbol, measure, self._seen(place))

    def closes(self, symbol: str, place: int) -> Floats:
        """Return the closes of a symbol up to and including a session."""
        return self.panel.closes(symbol, self._seen(place))

    def prices(self, symbols: Iterable[str], place: int) -> dict[str, float]:
        """Return the price in the market of each symbol that has a close at that session, where the market may lack it.

        At a price of the open or the close it never does: every symbol that has had a close has a quote, which a plan prefers.
        """
        if not self._market.moves:
            return {}
        found = self.panel.prices(symbols, self._seen(place))
        return {symbol: price * self._market.unit(symbol) for symbol, price in found.items()}

    def version_of(self, symbols: Iterable[str]) -> str:
        """Return nothing: which bars a run was made of is told with its result."""
        return ""

    def _seen(self, place: int) -> int:
        if place > self.last:
            raise InvariantBroken(
                f"a decision of {self.panel.session(self.last)} looked at {self.panel.session(place)}; the run is given up"
            )
        return place


class BoundStrategy(Struct, frozen=True):
    """What :class:`~alchemiser.strategies.base.LoadedStrategy` tells of a strategy that is bound to the whole panel once and for all.

    A decision of a session never depends on later ones, which the tests prove by cutting the panel. The words of the path are left out;
    why there is no target is told of the first session of a stretch. Of what it may need, ``symbols``, it names what it may hold: of those
    its answer tells the prices. A decision never belongs in a thread, for all of them were computed together.
    """

    name: str
    allocation: float
    symbols: tuple[str, ...]
    symbols_held: tuple[str, ...]
    bars_needed: int
    bars_settled: int
    header: Header
    decider: "BoundDecider"
    is_large: bool = False

    def on(self, panel: Panel) -> Decider:
        """Return the one decider."""
        return self.decider


def bound(strategy: LoadedStrategy, panel: PricePanel, *, opens: Opens | None = None) -> BoundStrategy:
    """Return a strategy that decides on that panel, whichever it is shown; with ``opens``, what can be filled at the next of them."""
    return BoundStrategy(
        name=strategy.name,
        allocation=strategy.allocation,
        symbols=strategy.symbols_held,
        symbols_held=strategy.symbols_held,
        bars_needed=strategy.bars_needed,
        bars_settled=strategy.bars_settled,
        header=strategy.header,
        decider=BoundDecider(strategy, panel, opens=opens),
    )


class BoundDecider:
    """Decides without the words of the path; with ``opens``, what can be filled at the next of them."""

    def __init__(self, strategy: LoadedStrategy, panel: PricePanel, *, opens: Opens | None = None) -> None:
        decider = strategy.on(panel)
        self._decider = decider if opens is None else Fillable(decider, panel, opens)
        self._failed_at = -2

    def decide(self, place: int, *, explain: bool = True) -> Proposal | NotComputable:
        """Return the target of a session."""
        outcome = self._decider.decide(place, explain=False)
        if isinstance(outcome, NotComputable):
            is_known, self._failed_at = self._failed_at == place - 1, place
            if explain and not is_known:
                return self._decider.decide(place)
        return outcome
