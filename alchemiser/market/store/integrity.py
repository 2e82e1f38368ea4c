"""What is wrong with stored bars: compared with the calendar, with themselves, and between adjustments. Pure; nothing is changed here.

A finding is a fact with its days, not a verdict: a thin fund has days without a trade, and a feed of one exchange has more of them.
"""

from collections.abc import Mapping
from datetime import date
from typing import Final, Literal

import msgspec
import numpy as np

from alchemiser.domain.market import GREATEST_PRICE, LEAST_PRICE, PRICE_WORDS
from alchemiser.market.arrays import Flags
from alchemiser.market.calendar import TradingCalendar
from alchemiser.market.store.actions import Actions
from alchemiser.market.store.series import Adjusting, Series

Kind = Literal["missing sessions", "no session", "duplicate days", "unsorted days", "impossible bar", "wrong adjustment", "behind"]

DAYS_LISTED: Final = 10

_ROUNDING_SHARE: Final = 1e-4
_ROUNDING_DOLLARS: Final = 0.0101
_SPLIT_TOLERANCE: Final = 2e-3
_VENDOR_DOLLARS: Final = 0.02


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is wrong with a series: what, on how many days, and the first of them."""

    symbol: str
    feed: str
    adjustment: Adjusting
    kind: Kind
    count: int
    days: tuple[date, ...]
    text: str


def gaps_of(series: Series, calendar: TradingCalendar) -> list[date]:
    """Return the sessions between the first and the last bar that have none."""
    if series.first_day is None or series.last_day is None:
        return []
    known = set(series.bars.days.tolist())
    return [session.date for session in calendar.sessions(series.first_day, series.last_day) if session.date.toordinal() not in known]


def findings_of(series: Series, calendar: TradingCalendar, *, through: date | None = None) -> list[Finding]:
    """Return what is wrong with a series by itself; with ``through``, also that its source was not asked up to that session."""
    found: list[Finding] = []
    bars = series.bars

    def add(kind: Kind, days: list[date], text: str) -> None:
        if days:
            key = series.info.key
            listed = tuple(days[:DAYS_LISTED])
            found.append(
                Finding(symbol=key.symbol, feed=key.feed, adjustment=key.adjustment, kind=kind, count=len(days), days=listed, text=text)
            )

    steps = np.diff(bars.days)
    add("duplicate days", _days(bars.days[1:][steps == 0]), "a day is there twice")
    add("unsorted days", _days(bars.days[1:][steps < 0]), "a day comes after a later one")
    for text, is_wrong in _impossible(series).items():
        add("impossible bar", _days(bars.days[is_wrong]), text)
    if any(entry.kind == "unsorted days" for entry in found):
        return found
    strange = [day for day in _days(bars.days) if calendar.session(day) is None]
    add("no session", strange, "there is a bar of a day on which the exchange was closed")
    add("missing sessions", gaps_of(series, calendar), "sessions without a bar")
    if through is not None and series.info.asked_through < through:
        behind = [session.date for session in calendar.sessions(series.info.asked_through, through)][1:]
        add("behind", behind, f"the source was asked up to {series.info.asked_through} only")
    return found


def adjustment_findings(raw: Series, split: Series, actions: Actions | None) -> list[Finding]:
    """Return the days on which the split-adjusted close is not the raw one over the splits since.

    That is what a series looks like that was put together from before and after a split. A dividend leaves no such trace between these two.
    """
    days, ours, theirs = np.intersect1d(raw.bars.days, split.bars.days, assume_unique=False, return_indices=True)
    if not len(days):
        return []
    ratios = actions.splits_on(days) if actions is not None else np.ones(len(days))
    shares = np.cumprod(ratios)
    expected = raw.bars.close[ours] * shares / shares[-1]
    actual = split.bars.close[theirs]
    wrong = np.abs(actual - expected) > np.maximum(_SPLIT_TOLERANCE * expected, _VENDOR_DOLLARS)
    if not wrong.any():
        return []
    named = _days(days[wrong])
    key = split.info.key
    return [
        Finding(
            symbol=key.symbol,
            feed=key.feed,
            adjustment=key.adjustment,
            kind="wrong adjustment",
            count=len(named),
            days=tuple(named[:DAYS_LISTED]),
            text=f"closes are not the raw ones over the known splits: {actual[wrong][0]:.6g} instead of {expected[wrong][0]:.6g}",
        )
    ]


def _impossible(series: Series) -> Mapping[str, Flags]:
    bars = series.bars
    with np.errstate(invalid="ignore"):
        tolerance = np.fmax(_ROUNDING_SHARE * bars.close, _ROUNDING_DOLLARS)
        return {
            f"the close is not a {PRICE_WORDS}": ~((bars.close >= LEAST_PRICE) & (bars.close <= GREATEST_PRICE)),
            "a price is not positive": (bars.open <= 0) | (bars.high <= 0) | (bars.low <= 0),
            "the high is below open, close or low": np.fmax(np.fmax(bars.open, bars.close), bars.low) - bars.high > tolerance,
            "the low is above open or close": bars.low - np.fmin(bars.open, bars.close) > tolerance,
            "the volume is negative": bars.volume < 0,
        }


def _days(ordinals: "np.ndarray[tuple[int], np.dtype[np.int64]]") -> list[date]:
    return [date.fromordinal(day) for day in ordinals.tolist()]
