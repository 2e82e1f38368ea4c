"""What should be known before a run is believed: where its bars come from, what they lack, and how long its strategies warmed up.

A session that only some symbols lack is a gap. A short one is told of and lived through as ``vector`` says; behind a long one every
indicator would be of other days than its name says, and the bars are refused.
"""

from collections.abc import Mapping, Sequence
from datetime import date

import msgspec
import numpy as np

from alchemiser.backtest.flows import DatedFlow
from alchemiser.backtest.result import DatedTarget, Failure
from alchemiser.domain.errors import DataError
from alchemiser.market.arrays import Days
from alchemiser.strategies.base import LoadedStrategy

LONGEST_GAP_SESSIONS = 20
"""More sessions in a row that a symbol lacks, and that others have, are refused."""

UNNAMED_FEED = "not named: the files do not say which feed their prices are of, and feeds differ by some basis points a day"
SURVIVORSHIP = (
    "the symbols are those that the strategies name today; funds that were closed since are in it only where their bars are, "
    "so the figures are too kind by what is missing"
)


class Gap(msgspec.Struct, frozen=True):
    """Sessions in a row that a symbol lacks between its first and its last bar."""

    symbol: str
    first: date
    last: date
    sessions: int


class WarmUp(msgspec.Struct, frozen=True):
    """How many closes a strategy needs, after how many nothing changes any more, and how many there were at its first target.

    ``first_target`` is the first of the run, ``closes`` are those of the symbol with the fewest that it held then.
    """

    strategy: str
    bars_needed: int
    bars_settled: int
    first_target: date | None
    closes: int


class IntradayReport(msgspec.Struct, frozen=True, kw_only=True):
    """How the sessions of a run were lived: along minutes, or as the daily bars of these days."""

    decision: str
    sessions_of_minutes: int
    sessions_of_daily_bars: list[date]


class Provenance(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All of it, for the report; ``intraday`` only of a run along minutes, ``flows_left_out`` are those with a date outside of the run."""

    feed: str
    survivorship: str
    warm_up: list[WarmUp]
    gaps: list[Gap]
    intraday: IntradayReport | None = None
    flows_left_out: tuple[DatedFlow, ...] = ()

    def remarks(self) -> list[str]:
        """Return in sentences without a full stop what is to be said of any run."""
        said = [f"feed: {self.feed}", f"survivorship: {self.survivorship}"]
        if self.intraday is not None:
            along, daily = self.intraday.sessions_of_minutes, len(self.intraday.sessions_of_daily_bars)
            said.append(f"decided at {self.intraday.decision}: {along} sessions along their minutes, {daily} as daily bars")
        outside = "a run books what comes after its first session, until its last"
        said += [f"left out: {flow.amount:+,.2f} on {flow.date}; {outside}" for flow in self.flows_left_out]
        return said


def gaps_of(days_of: Mapping[str, Days], places: Mapping[str, str]) -> list[Gap]:
    """Return the gaps of every symbol against the sessions that any of them has.

    Raises ``DataError`` for a long one; ``places`` says where the bars of a symbol are written.
    """
    sessions = np.unique(np.concatenate(list(days_of.values()))) if days_of else np.empty(0, np.int64)
    found = []
    for symbol in sorted(days_of):
        rows = np.searchsorted(sessions, days_of[symbol])
        for place in np.flatnonzero(np.diff(rows) > 1).tolist():
            first, last = (date.fromordinal(int(sessions[row])) for row in (rows[place] + 1, rows[place + 1] - 1))
            gap = Gap(symbol, first, last, int(rows[place + 1] - rows[place] - 1))
            if gap.sessions > LONGEST_GAP_SESSIONS:
                where = places.get(symbol, symbol)
                raise DataError(
                    f"{where}, line {place + 3}: {symbol} has no bars from {first} to {last}, {gap.sessions} sessions of others; at most "
                    f"{LONGEST_GAP_SESSIONS} in a row are lived through. Complete the file, or cut it to begin after them"
                )
            found.append(gap)
    return found


def provenance_of(
    strategies: Sequence[LoadedStrategy],
    targets: Sequence[DatedTarget],
    failures: Sequence[Failure],
    days_of: Mapping[str, Days],
    *,
    feed: str | None,
    gaps: list[Gap],
) -> Provenance:
    """Return what is known of a run's bars.

    A strategy's first target is the first of the run that holds any of its symbols, of a day on which it did not fail.
    """
    warm_up = []
    for strategy in strategies:
        own = set(strategy.symbols_held)
        failed = [each for each in failures if each.strategy == strategy.name]
        mine = (target for target in targets if own & target.weights.keys())
        first = next((target for target in mine if not any(each.first <= target.date <= each.last for each in failed)), None)
        held = sorted(own & first.weights.keys()) if first else ()
        warm_up.append(warm_up_of(strategy, first.date if first else None, held, days_of))
    return Provenance(feed=feed or UNNAMED_FEED, survivorship=SURVIVORSHIP, warm_up=warm_up, gaps=gaps)


def warm_up_of(strategy: LoadedStrategy, first_target: date | None, held: Sequence[str], days_of: Mapping[str, Days]) -> WarmUp:
    """Return how a strategy warmed up; ``held`` are the symbols of its first target."""
    counts = [0]
    if first_target is not None:
        counts = [int(np.searchsorted(days_of[symbol], first_target.toordinal(), side="right")) for symbol in held if symbol in days_of]
    return WarmUp(strategy.name, strategy.bars_needed, strategy.bars_settled, first_target, min(counts, default=0))
