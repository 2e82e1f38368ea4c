"""The bars of a store as the exchange, the backtest and the signals want them: prices in one unit, with splits and total return.

Split-adjusted bars carry the prices, fully adjusted closes the total return. Where only the raw bars are there, the stored splits adjust
them; where only the fully adjusted ones are, they are taken for the prices.
"""

from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np

from alchemiser.domain.errors import DataError
from alchemiser.domain.market import GREATEST_PRICE, LEAST_PRICE, PRICE_WORDS
from alchemiser.exchange.series import DailySeries, Days, Floats
from alchemiser.market.store.actions import Actions
from alchemiser.market.store.series import ADJUSTMENTS, Adjusting, BarColumns, SeriesKey
from alchemiser.market.store.store import BarStore, store_at


class StoredBars:
    """One feed of a store. Raises ``DataError`` when it has no series of that feed, or several feeds and none was named."""

    def __init__(self, store: BarStore, feed: str | None) -> None:
        feeds = store.feeds
        if feed is None and len(feeds) > 1:
            raise DataError(f"{store.path}: it has bars of the feeds {', '.join(feeds)}; name one, as in {store.path / feeds[0]}")
        self._store = store
        self.feed = feed or (feeds[0] if feeds else "")
        self._keys = {(key.symbol, key.adjustment) for key in store.series_keys(self.feed)} if self.feed else set()
        if not self._keys:
            raise DataError(f"{store.path}: there are no bars{f' of the feed {self.feed}' if self.feed else ''} in the store")

    @property
    def files(self) -> dict[str, Path]:
        """The symbols, in alphabetical order, each with the place that a message about it names."""
        symbols = sorted({symbol for symbol, _ in self._keys})
        return {symbol: self._store.path / self.feed / f"{symbol} (bar store)" for symbol in symbols}

    def load(self, symbol: str) -> tuple[DailySeries | None, Days, Floats]:
        """Return the tradable bars of a symbol, and the days and closes for signals. Raises ``DataError`` for bars that cannot be used."""
        read: dict[Adjusting, BarColumns] = {
            adjustment: self._store.read(SeriesKey(symbol, self.feed, adjustment)).bars
            for adjustment in ADJUSTMENTS
            if (symbol, adjustment) in self._keys
        }
        for adjustment, bars in read.items():
            _check(f"{self._store.path}: {SeriesKey(symbol, self.feed, adjustment)}", bars)
        actions = self._store.actions(symbol)
        prices = read.get("split") or _split_adjusted(read.get("raw"), actions) or read.get("all")
        if not prices:
            raise DataError(f"{self._store.path}: the series of {symbol} {self.feed} have no bars: the source had none")
        signals = read.get("all") or prices
        shared, _, theirs = np.intersect1d(prices.days, signals.days, assume_unique=True, return_indices=True)
        if not len(shared):
            return None, signals.days, signals.close
        kept = prices.taken(np.isin(prices.days, shared))
        return _series(symbol, kept, signals.close[theirs], actions), signals.days, signals.close


def stored_bars(path: Path) -> StoredBars | None:
    """Return the bars of a store that a path names, ``None`` for a path that names none."""
    found = store_at(path)
    return None if found is None else StoredBars(*found)


def _series(symbol: str, bars: BarColumns, total_return: Floats, actions: Actions | None) -> DailySeries:
    lacks = np.isnan(bars.open) | np.isnan(bars.high) | np.isnan(bars.low)
    opens, high, low = (np.where(lacks, bars.close, values) for values in (bars.open, bars.high, bars.low))
    return DailySeries(
        symbol=symbol,
        days=bars.days,
        open=opens,
        high=np.fmax(high, np.fmax(opens, bars.close)),  # a vendor rounds each of the four by itself
        low=np.fmin(low, np.fmin(opens, bars.close)),
        close=bars.close,
        volume=np.floor(np.nan_to_num(bars.volume)),
        total_return=total_return,
        split=actions.splits_on(bars.days) if actions is not None else np.ones(len(bars)),
        is_close_only=lacks,
    )


def _split_adjusted(raw: BarColumns | None, actions: Actions | None) -> BarColumns | None:
    if raw is None or not len(raw):
        return None
    shares = np.cumprod(actions.splits_on(raw.days) if actions is not None else np.ones(len(raw)))
    factor = shares / shares[-1]
    prices = {name: getattr(raw, name) * factor for name in ("open", "high", "low", "close")}
    return replace(raw, **prices, volume=raw.volume / factor)


def _check(place: str, bars: BarColumns) -> None:
    wrong = np.flatnonzero(np.diff(bars.days) <= 0)
    if wrong.size:
        day = date.fromordinal(int(bars.days[wrong[0] + 1]))
        raise DataError(f"{place}: {day} does not come after the day before it; alchemiser data check says more")
    wrong = np.flatnonzero(~((bars.close >= LEAST_PRICE) & (bars.close <= GREATEST_PRICE)))
    if wrong.size:
        day = date.fromordinal(int(bars.days[wrong[0]]))
        raise DataError(f"{place}: the close of {day} is {bars.close[wrong[0]]}, not a {PRICE_WORDS}; pull the series again")
