"""What happens inside a day of which only open, high, low, close and volume are known.

A :class:`DayPath` makes a repeatable course for the middle of the market, and from it quotes, trades and minute bars. It is a pure
function of (seed, symbol, day, bar, session): asking in another order, or not at all, changes nothing.

Promises: the course is continuous and rough, begins at the open, ends at the close, reaches the high once and the low once (an open or
close that is the high or the low is that once) and never leaves them. Quotes stand on the tick, bid below ask, their middle within half a
tick of the course. Trades, minute bars and the running bar agree with one another and add up to the day's bar exactly.

It invents the moments and the order of events, never the prices a day reached. It does not react to orders.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import cached_property
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from alchemiser.domain.market import Bar, Quote, Session
from alchemiser.exchange.halts import Halt
from alchemiser.exchange.noise import noise_key, uniforms

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

STEP_SECONDS: Final = 5
"""The course is drawn in straight lines of this length."""

_STEPS_PER_MINUTE: Final = 60 // STEP_SECONDS
_STEP: Final = timedelta(seconds=STEP_SECONDS)
_MINUTE: Final = timedelta(minutes=1)
_MARGIN: Final = 1e-4  # share of the range that the course keeps from high and low, but for the one touch
_RANGE_OF_WALK: Final = 1.6  # expected range of a Brownian walk, in deviations of its end
_MIRRORED_SHARE: Final = 0.25  # days that rise and see their high first, or fall and see their low first
_SHORTEST_LEG: Final = 0.15  # as a share of the range, for the time a leg takes
_SHARES_PER_TRADE: Final = 150

# The spread in basis points below each daily turnover in dollars, as seen on exchange-traded funds; one tick at least.
_SPREADS_BPS: Final = ((1e6, 25.0), (1e7, 12.0), (1e8, 5.0), (1e9, 1.5), (1e10, 0.6), (float("inf"), 0.15))


class TapePrint(msgspec.Struct, frozen=True):
    """One trade of the market: price in dollars, size in shares. ``number`` counts the prints of the day from 1."""

    symbol: str
    price: float
    size: int
    at: datetime
    number: int


class TapeBar(msgspec.Struct, frozen=True):
    """A bar as the venue sends it: with the number of trades and their volume-weighted average price."""

    symbol: str
    start: datetime
    open: float
    high: float
    low: float
    close: float
    volume: int
    trade_count: int
    vwap: float


class DayPath:
    """One symbol's course through one session."""

    def __init__(self, symbol: str, bar: Bar, session: Session, seed: int, *, halt: Halt | None = None) -> None:
        """Take the day's bar. It must hold its own open and close, as :class:`alchemiser.exchange.bars.BarFolder` makes sure.

        While there is a ``halt`` nothing is printed; one that would hide the day's high or low does not happen.
        """
        assert 0 < bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high, f"{symbol} {session.date}: {bar}"
        self.symbol = symbol
        self.bar = bar
        self.session = session
        self._key = noise_key(seed, symbol, session.date.isoformat())
        self._steps = int((session.closes_at - session.opens_at) / _STEP)
        self._high_step, self._low_step = self._place_extremes()
        extremes = [session.opens_at + step * _STEP for step in (self._high_step, self._low_step)]
        self.halt = None if halt is None or any(halt.holds(at) for at in extremes) else halt
        self._course = self._draw_course()
        self._per_dollar = ticks_per_dollar(bar.low)
        self._spread_ticks = max(1, round(bar.close * spread_bps(bar.close * bar.volume) * 1e-4 * self._per_dollar))
        self._most_lots = most_lots(bar.volume)

    def mid(self, at: datetime) -> float:
        """Return the middle of the market; before the open that of the open, after the close that of the close."""
        position = (at - self.session.opens_at) / _STEP
        if position <= 0:
            return self.bar.open
        if position >= self._steps:
            return self.bar.close
        step = int(position)
        here, there = self._course.item(step), self._course.item(step + 1)
        # Clamped, because rounding may carry an interpolation one bit beyond its ends.
        return min(max(here + (there - here) * (position - step), min(here, there)), max(here, there))

    def quote(self, at: datetime) -> Quote:
        """Return the best bid and offer, stamped ``at``, or the close when that comes first."""
        middle = self.mid(at) * self._per_dollar
        bid_ticks = max(1, round(middle - self._spread_ticks / 2))
        step = min(max((at - self.session.opens_at) // _STEP, 0), self._steps)
        return Quote(
            symbol=self.symbol,
            bid=bid_ticks / self._per_dollar,
            bid_size=self._lots[0].item(step),
            ask=(bid_ticks + self._spread_ticks) / self._per_dollar,
            ask_size=self._lots[1].item(step),
            at=min(at, self.session.closes_at),
        )

    def trade(self, at: datetime) -> TapePrint | None:
        """Return the last print at or before that moment, ``None`` before the first."""
        step = self._last_print_step(at)
        return None if step < 0 else self._print_at(step)

    def trades(self, after: datetime, until: datetime) -> Iterator[TapePrint]:
        """Yield the prints after one moment up to and including another, in order."""
        # A moment before the open, the close of the day before for instance, has no step of its own.
        first, last = max(self._last_step(after) + 1, 0), self._last_step(until)
        for step in np.flatnonzero(self._sizes[first : last + 1]) + first:
            yield self._print_at(int(step))

    def volume(self, at: datetime) -> int:
        """Return the shares printed up to and including that moment."""
        step = self._last_step(at)
        return 0 if step < 0 else int(self._volumes[step])

    def running_bar(self, at: datetime) -> TapeBar | None:
        """Return the day's bar as it stands then, ``None`` before the open. Nothing later than ``at`` shows in it.

        A day without volume has no prints; its bar follows the middle of the market, as the bar files show such days.
        """
        last = self._last_step(at)
        if last < 0:
            return None
        return self._bar_of(self.bar.start, 0, last + 1, self._prices if self._sizes.any() else self._course)

    def minute_bars(self, until: datetime) -> tuple[TapeBar, ...]:
        """Return the bars of all minutes that have ended by then, oldest first; a minute without a print has none.

        The closing print belongs to the last minute of the session.
        """
        every = (self._minute_bar(minute) for minute in range(self._minutes_ended(until)))
        return tuple(bar for bar in every if bar is not None)

    def last_minute_bar(self, until: datetime) -> TapeBar | None:
        """Return the last of :meth:`minute_bars`, ``None`` when there is none."""
        ended = self._minutes_ended(until)
        step = self._latest_print.item(self._minute_end(ended - 1) - 1) if ended else -1
        return None if step < 0 else self._minute_bar(min(step // _STEPS_PER_MINUTE, ended - 1))

    def _minutes_ended(self, until: datetime) -> int:
        return min(max((until - self.session.opens_at) // _MINUTE, 0), self._steps // _STEPS_PER_MINUTE)

    def _minute_end(self, minute: int) -> int:
        """Return the step after the last one of that minute."""
        end = (minute + 1) * _STEPS_PER_MINUTE
        return end + 1 if end == self._steps else end

    def _minute_bar(self, minute: int) -> TapeBar | None:
        first, end = minute * _STEPS_PER_MINUTE, self._minute_end(minute)
        if not self._sizes[first:end].any():
            return None
        return self._bar_of(self.session.opens_at + minute * _MINUTE, first, end, self._prices)

    def _last_step(self, at: datetime) -> int:
        return min((at - self.session.opens_at) // _STEP, self._steps)

    def _last_print_step(self, at: datetime) -> int:
        step = self._last_step(at)
        return -1 if step < 0 else self._latest_print.item(step)

    def _print_at(self, step: int) -> TapePrint:
        return TapePrint(
            symbol=self.symbol,
            price=self._prices.item(step),
            size=self._sizes.item(step),
            at=self.session.opens_at + step * _STEP,
            number=self._numbers.item(step),
        )

    def _bar_of(self, start: datetime, first: int, end: int, prices: Floats) -> TapeBar:
        inside = prices[first:end]
        sizes = self._sizes[first:end]
        volume = int(sizes.sum())
        if volume:
            inside = inside[sizes > 0]
            vwap = float(inside @ sizes[sizes > 0]) / volume
        else:
            vwap = float(inside.mean())
        low, high = float(inside.min()), float(inside.max())
        return TapeBar(
            symbol=self.symbol,
            start=start,
            open=inside.item(0),
            high=high,
            low=low,
            close=inside.item(-1),
            volume=volume,
            trade_count=trade_count_of(volume),
            vwap=min(max(vwap, low), high),
        )

    def _place_extremes(self) -> tuple[int, int]:
        """Return the steps of the high and of the low. A leg takes time in proportion to its length, so that no leg is a jump."""
        bar, last = self.bar, self._steps
        draws = uniforms(self._key, 4)
        is_high_late = (bar.close >= bar.open) != (draws.item(3) < _MIRRORED_SHARE)
        first, second = (bar.low, bar.high) if is_high_late else (bar.high, bar.low)
        lengths = np.abs(np.diff([bar.open, first, second, bar.close])) + _SHORTEST_LEG * (bar.high - bar.low)
        times = np.cumsum(lengths * (0.5 + draws[:3]))
        early, late = (1 + int(share * (last - 3)) for share in (times[:2] / times[2]).tolist()) if times[2] else (1, 1)
        late = max(late, early + 1)
        high, low = (late, early) if is_high_late else (early, late)
        if bar.open == bar.high:
            high = 0
        elif bar.close == bar.high:
            high = last
        if bar.open == bar.low:
            low = 0
        elif bar.close == bar.low:
            low = last
        return high, low

    def _draw_course(self) -> Floats:
        """Return the middle of the market at every step: bridges between open, high, low and close, folded into the range."""
        bar, last = self.bar, self._steps
        corners = {0: bar.open, last: bar.close}
        if bar.high > bar.low:
            corners |= {self._high_step: bar.high, self._low_step: bar.low}
        # The open and the close have the last word where an extreme shares their step: they are equal there.
        steps = np.array(sorted(corners))
        prices = np.array([corners[step] for step in sorted(corners)])
        walk = np.concatenate((np.zeros(1), np.cumsum(uniforms(self._key, last, first=8) - 0.5)))
        here = np.arange(last + 1)
        bridge = walk - np.interp(here, steps, walk[steps])
        spread = bar.high - bar.low
        scale = spread / _RANGE_OF_WALK * (12.0 / last) ** 0.5
        course = _folded(np.interp(here, steps, prices) + bridge * scale, bar.low + spread * _MARGIN, bar.high - spread * _MARGIN)
        course[steps] = prices
        return course

    @cached_property
    def _lots(self) -> tuple[Counts, Counts]:
        """The displayed sizes at bid and ask in shares, per step: round lots."""
        count = self._steps + 1
        draws = uniforms(noise_key(self._key, "lots"), 2 * count)
        lots = 100 + 100 * (draws * draws * self._most_lots).astype(np.int64)
        return lots[:count], lots[count:]

    @cached_property
    def _sizes(self) -> Counts:
        """The shares printed at every step; they add up to the day's volume. Open, high, low and close are printed first of all."""
        volume = int(self.bar.volume)
        count = self._steps + 1
        sizes = np.zeros(count, np.int64)
        for step in dict.fromkeys((0, self._steps, self._high_step, self._low_step)):
            if volume:
                sizes[step] += 1
                volume -= 1
        # Trading is busy after the open and before the close, and uneven in between.
        hour = np.linspace(-1.0, 1.0, count)
        draws = uniforms(noise_key(self._key, "sizes"), count)
        weight = (0.4 + hour * hour * 1.6) * (0.05 + draws * draws * draws)
        if self.halt is not None:
            begin, end = ((at - self.session.opens_at) // _STEP for at in (self.halt.begins_at, self.halt.ends_at))
            weight[begin:end] = 0.0
        reached = np.rint(np.cumsum(weight) * (volume / weight.sum())).astype(np.int64)
        reached[-1] = volume
        shares: Counts = sizes + np.diff(reached, prepend=0)
        return shares

    @cached_property
    def _volumes(self) -> Counts:
        return np.cumsum(self._sizes)

    @cached_property
    def _numbers(self) -> Counts:
        return np.cumsum(self._sizes > 0)

    @cached_property
    def _latest_print(self) -> Counts:
        printed = np.where(self._sizes > 0, np.arange(self._steps + 1), -1)
        return np.maximum.accumulate(printed)

    @cached_property
    def _prices(self) -> Floats:
        """The price of a print at every step: at the bid or at the ask, on the tick, and never outside the day's range."""
        bar = self.bar
        sides = np.where(uniforms(noise_key(self._key, "sides"), self._steps + 1) < 0.5, -0.5, 0.5)
        bids = np.rint(self._course * self._per_dollar - self._spread_ticks / 2)
        prices = (bids + self._spread_ticks * (sides + 0.5)) / self._per_dollar
        prices = np.clip(prices, bar.low, bar.high)
        prices[[self._high_step, self._low_step]] = bar.high, bar.low
        prices[[0, self._steps]] = bar.open, bar.close
        return prices


def ticks_per_dollar(price: float) -> int:
    """Return how many price steps make a dollar at that price: a hundred from one dollar up, ten thousand below."""
    return 100 if price >= 1 else 10_000


def spread_bps(turnover: float) -> float:
    """Return the usual spread, in basis points, of a symbol with that turnover in dollars a day."""
    return next(bps for limit, bps in _SPREADS_BPS if turnover < limit)


def most_lots(volume: float) -> int:
    """Return how many hundreds of shares are displayed at most in a symbol with that volume a day."""
    return int(min(40.0, 1 + volume / 400_000))


def trade_count_of(volume: int) -> int:
    """Return a likely number of trades for a volume in shares: none for none, and at least one."""
    return -(-volume // _SHARES_PER_TRADE)


def _folded(values: Floats, low: float, high: float) -> Floats:
    """Mirror what lies outside the range back into it, as often as needed."""
    width = high - low
    if width <= 0:
        return np.full_like(values, low)
    phase = np.abs(((values - low) / width + 1) % 2 - 1)
    return low + phase * width
