"""The daily bars of one symbol as columns, and what adjusting them for splits and dividends means.

The *trade basis*: the exchange trades at the split-adjusted prices of its source, all days in the units of one day, so a position is
never split in the middle of a run. As-traded prices of the past can still be asked for with the adjustment ``raw``.

Every adjustment is relative to a day, ``as_of``: the factor of the last bar on or before it is 1, so its prices are those that are traded
then, and nothing that happens later, no dividend and no split, shows in the answer.
"""

from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from alchemiser.exchange.noise import noise_key, uniforms_at

Floats = NDArray[np.float64]
Days = NDArray[np.int64]
"""Days as proleptic ordinals, ``date.toordinal``."""

INVENTED_RANGE: Final = 0.006
INVENTED_SHARES: Final = 1_000_000.0


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

    Prices and volume are in the trade basis. ``total_return`` is the dividend-adjusted close; only its ratio to ``close`` is used, and only
    relative to another day. ``split`` is new shares per old share, effective before that day's open, 1 for none.
    Where ``is_close_only`` the source gave no range: open, high and low are the close.
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

    def between(self, start: date, end: date, adjustment: Adjustment, as_of: date) -> DailyBars:
        """Return the bars from ``start`` to ``end``, both included, adjusted as seen on ``as_of``; there are none after ``as_of``."""
        base = self.index_through(as_of)
        low = int(np.searchsorted(self.days, start.toordinal()))
        chosen = slice(low, max(low, min(self.index_through(end), base) + 1))
        price_factor: Floats | float = 1.0
        share_factor: Floats | float = 1.0
        if adjustment in (Adjustment.DIVIDEND, Adjustment.ALL):
            price_factor = (self.total_return[chosen] / self.close[chosen]) * (self.close[base] / self.total_return[base])
        if adjustment in (Adjustment.RAW, Adjustment.DIVIDEND):
            shares = np.cumprod(self.split)
            undone = shares[base] / shares[chosen]
            price_factor, share_factor = price_factor * undone, 1 / undone
        return DailyBars(
            symbol=self.symbol,
            days=self.days[chosen],
            open=self.open[chosen] * price_factor,
            high=self.high[chosen] * price_factor,
            low=self.low[chosen] * price_factor,
            close=self.close[chosen] * price_factor,
            volume=self.volume[chosen] * share_factor,
        )

    def with_units_of(self, day: date) -> "DailySeries":
        """Return the series with the splits after that day undone: its trade basis is then the prices as they were traded on that day.

        Splits up to that day stay history, those after it never happen.
        """
        after = self.days > day.toordinal()
        factor = float(np.prod(self.split[after]))
        return replace(
            self,
            open=self.open * factor,
            high=self.high * factor,
            low=self.low * factor,
            close=self.close * factor,
            volume=self.volume / factor,
            total_return=self.total_return * factor,
            split=np.where(after, 1.0, self.split),
        )

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
