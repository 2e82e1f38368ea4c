"""The daily bars of one symbol as columns, and what adjusting them for splits and dividends means.

Sources give split-adjusted prices, all days in the units of one day; the exchange trades each day in its own units, which
:meth:`DailySeries.as_traded` brings back: what was worth 100 dollars before a split of one share into two is worth 50 after it.

Every adjustment is relative to a day, ``as_of``: the factor of the last bar on or before it is 1, so its prices are those that are traded
then, and nothing that happens later, no dividend and no split, shows in the answer.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from alchemiser.domain.errors import DataError
from alchemiser.domain.market import Bar
from alchemiser.exchange.noise import noise_key, uniforms_at
from alchemiser.market.calendar import new_york_date

Floats = NDArray[np.float64]
Days = NDArray[np.int64]
"""Days as proleptic ordinals, ``date.toordinal``."""

INVENTED_RANGE: Final = 0.006
INVENTED_SHARES: Final = 1_000_000.0

_RESTORED_PER_DOLLAR: Final = 1_000_000
_LEAST_PRICE: Final = 1 / _RESTORED_PER_DOLLAR


class Adjustment(StrEnum):
    """Which corporate actions the prices are freed of."""

    RAW = "raw"
    SPLIT = "split"
    DIVIDEND = "dividend"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class DailyBars:
    """Adjusted daily bars of one symbol, oldest first, as columns of equal length: prices in dollars, volume in shares."""

    symbol: str
    days: Days
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats

    def __len__(self) -> int:
        return len(self.days)


@dataclass(frozen=True, slots=True)
class DailySeries:
    """All that is known of one symbol's days, oldest first, as columns of equal length.

    Prices and volume are split-adjusted, all in the units of one day, or each in those of its own day where the series ``is_as_traded``.
    ``total_return`` is the dividend-adjusted close; only its ratio to ``close`` is used, and only relative to another day. ``split`` is new
    shares per old share, effective before that day's open, 1 for none. Where ``is_close_only`` the source gave no range: open, high and low
    are the close.
    """

    symbol: str
    days: Days
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    total_return: Floats
    split: Floats
    is_close_only: NDArray[np.bool_]
    is_as_traded: bool = False

    def __len__(self) -> int:
        return len(self.days)

    @property
    def first_day(self) -> date:
        """The day of the first bar."""
        return date.fromordinal(int(self.days[0]))

    @property
    def last_day(self) -> date:
        """The day of the last bar."""
        return date.fromordinal(int(self.days[-1]))

    def index_through(self, day: date) -> int:
        """Return the index of the last bar on or before that day, -1 when there is none."""
        return int(np.searchsorted(self.days, day.toordinal(), side="right")) - 1

    def index_of(self, day: date) -> int | None:
        """Return the index of the bar of that day, ``None`` when there is none."""
        index = self.index_through(day)
        return index if index >= 0 and self.days[index] == day.toordinal() else None

    def shares_between(self, first: date, last: date) -> float:
        """Return what one share of the day ``first`` has become by the day ``last``: the product of the splits after ``first``."""
        begin, end = self.index_through(first) + 1, self.index_through(last) + 1
        return float(np.prod(self.split[begin:end]))

    def between(self, start: date, end: date, adjustment: Adjustment, as_of: date, *, units_of: date | None = None) -> DailyBars:
        """Return the bars from ``start`` to ``end``, both included, adjusted as seen on ``as_of``; there are none after ``as_of``.

        Splits may be adjusted to the units of a later day, ``units_of``: of one whose session has not begun, but whose split has.
        """
        base = self.index_through(as_of)
        low = int(np.searchsorted(self.days, start.toordinal()))
        chosen = slice(low, max(low, min(self.index_through(end), base) + 1))
        price_factor: Floats | float = 1.0
        share_factor: Floats | float = 1.0
        if adjustment in (Adjustment.DIVIDEND, Adjustment.ALL):
            price_factor = (self.total_return[chosen] / self.close[chosen]) * (self.close[base] / self.total_return[base])
        wants_as_traded = adjustment in (Adjustment.RAW, Adjustment.DIVIDEND)
        if wants_as_traded != self.is_as_traded:
            shares = np.cumprod(self.split)
            in_units = shares[base if units_of is None else self.index_through(units_of)]
            share_factor = shares[chosen] / in_units if wants_as_traded else in_units / shares[chosen]
            price_factor = price_factor / share_factor
        return DailyBars(
            symbol=self.symbol,
            days=self.days[chosen],
            open=self.open[chosen] * price_factor,
            high=self.high[chosen] * price_factor,
            low=self.low[chosen] * price_factor,
            close=self.close[chosen] * price_factor,
            volume=self.volume[chosen] * share_factor,
        )

    def without_splits(self) -> "DailySeries":
        """Return the series as if its prices had always been those of the traded shares: all days in the units of one, raw prices too."""
        return replace(self, split=np.ones(len(self)))

    def as_traded(self) -> "DailySeries":
        """Return the series with each day in the units of its own: prices and share counts as they were on that day.

        Split-adjusted prices of a source are rounded, so what comes back is rounded to a millionth of a dollar.
        """
        if self.is_as_traded or (self.split == 1).all():
            return replace(self, is_as_traded=True)
        shares = np.cumprod(self.split)
        factor = shares[-1] / shares
        close = _restored(self.close, factor)
        return replace(
            self,
            open=_restored(self.open, factor),
            high=_restored(self.high, factor),
            low=_restored(self.low, factor),
            close=close,
            volume=np.where(factor == 1, self.volume, np.rint(self.volume / factor)),
            # The ratio to the close is what tells of dividends, so it has to survive the rounding.
            total_return=self.total_return / self.close * close,
            is_as_traded=True,
        )

    def with_days(self, bars: Sequence[Bar]) -> "DailySeries":
        """Return the series with other bars for some of its days, in the units of those days; dividends stay what they were.

        Raises ``DataError`` for a day that it has no bar of.
        """
        columns = {name: getattr(self, name).copy() for name in ("open", "high", "low", "close", "volume", "total_return")}
        for bar in bars:
            on = new_york_date(bar.start)
            place = self.index_of(on)
            if place is None:
                raise DataError(f"{self.symbol}: {on} was recorded, and the daily bars, {self.first_day} to {self.last_day}, lack that day")
            columns["total_return"][place] *= bar.close / columns["close"][place]
            for name in ("open", "high", "low", "close", "volume"):
                columns[name][place] = getattr(bar, name)
        return replace(self, **columns)

    def with_invented_ranges(self, seed: int) -> "DailySeries":
        """Return the series with a modest open, high, low and volume for the days of which only the close is known.

        The open lies near the close before, the range reaches a little beyond the body. A volume that the source gave is kept.
        """
        lacking = self.is_close_only
        if not lacking.any():
            return self
        key = noise_key(seed, "range", self.symbol)
        days = self.days.astype(np.uint64) * np.uint64(4)
        draws = [uniforms_at(key, days + np.uint64(part)) for part in range(4)]
        before = np.concatenate((self.close[:1], self.close[:-1]))
        ticks = np.where(self.close >= 1, 100.0, 10_000.0)
        opens = _rounded(before + (self.close - before) * (0.4 * draws[0]), ticks)
        top, bottom = np.maximum(opens, self.close), np.minimum(opens, self.close)
        high = np.maximum(_rounded(top * (1 + INVENTED_RANGE * draws[1]), ticks), top)
        low = np.minimum(_rounded(bottom * (1 - INVENTED_RANGE * draws[2]), ticks), bottom)
        shares = np.floor(INVENTED_SHARES * (0.5 + draws[3]))
        return replace(
            self,
            open=np.where(lacking, opens, self.open),
            high=np.where(lacking, high, self.high),
            low=np.where(lacking, low, self.low),
            volume=np.where(lacking & (self.volume == 0), shares, self.volume),
        )


def _rounded(prices: Floats, ticks_per_dollar: Floats) -> Floats:
    return np.rint(prices * ticks_per_dollar) / ticks_per_dollar


def _restored(prices: Floats, factor: Floats) -> Floats:
    """Return prices in other units; those whose units stay are left to the last bit."""
    return np.where(factor == 1, prices, np.maximum(np.rint(prices * factor * _RESTORED_PER_DOLLAR) / _RESTORED_PER_DOLLAR, _LEAST_PRICE))
