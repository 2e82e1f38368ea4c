"""The daily history of a decision from the bar store: the venue is asked for what is missing only, and that is stored.

A store that cannot be read or written does not cost a decision: then the venue is asked for everything, as without a store, and the log
says why. Files are read and written in a thread.
"""

from collections.abc import AsyncIterator, Sequence
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from typing import Final

import msgspec
import structlog

from alchemiser.domain.errors import DataError
from alchemiser.domain.market import Bar
from alchemiser.domain.runtime import Clock
from alchemiser.market.calendar import midnight
from alchemiser.market.store.actions import Action
from alchemiser.market.store.series import COLUMNS, SeriesKey
from alchemiser.market.store.store import BarStore
from alchemiser.service.bar_pull import BarPull, Pulled, Wish
from alchemiser.service.decision_market import DailyBars
from alchemiser.strategies.aside import RunAside

_log = structlog.get_logger(__name__)

ADJUSTMENT: Final = "all"


class StoredHistory:
    """Answers with daily bars as a venue does."""

    def __init__(self, path: Path, feed: str, daily_bars: DailyBars, clock: Clock, *, named: str, run_aside: RunAside) -> None:
        """``daily_bars`` asks the venue, which the store will call ``named``."""
        self._path = path
        self._feed = feed
        self._ask = daily_bars
        self._clock = clock
        self._named = named
        self._aside = run_aside

    async def __call__(self, symbols: Sequence[str], *, start: date, end: date) -> dict[str, tuple[Bar, ...]]:
        """Return the bars from ``start`` to ``end``, both included, adjusted for splits and dividends; symbols without any are absent.

        Raises ``VenueError`` when something is missing and the venue cannot be asked for it.
        """
        wish = Wish(symbols=tuple(symbols), feed=self._feed, adjustments=(ADJUSTMENT,), start=start, end=end)
        try:
            store = await self._aside(partial(BarStore.made, self._path))
            pull = BarPull(store, _Venue(self._ask), self._clock, named=self._named, told=_tell, run_aside=self._aside)
            await pull.bars(wish)
            return await self._aside(partial(_bars, store, wish))
        except DataError as error:
            _log.warning("bar_store_not_used", reason=str(error), next="the venue is asked for the whole history")
            return await self._ask(symbols, start=start, end=end)


class _Answer(msgspec.Struct, frozen=True):
    bars: dict[str, tuple[Bar, ...]]
    complete: frozenset[str]


class _Venue:
    """The venue as a source: one answer, whatever is asked. It never sees another adjustment than the one of decisions."""

    def __init__(self, daily_bars: DailyBars) -> None:
        self._ask = daily_bars

    async def bars(self, symbols: Sequence[str], *, start: date, end: date, adjustment: str, feed: str) -> AsyncIterator[_Answer]:
        assert adjustment == ADJUSTMENT, feed
        yield _Answer(await self._ask(symbols, start=start, end=end), frozenset(symbols))

    async def actions(self, symbols: Sequence[str], *, start: date, end: date) -> dict[str, list[Action]]:
        raise AssertionError("decisions need no corporate actions")


def _bars(store: BarStore, wish: Wish) -> dict[str, tuple[Bar, ...]]:
    found: dict[str, tuple[Bar, ...]] = {}
    low, high = wish.start.toordinal(), (wish.end + timedelta(days=1)).toordinal()
    for symbol in wish.symbols:
        key = SeriesKey(symbol, wish.feed, ADJUSTMENT)
        columns = store.read(key).bars
        chosen = columns.taken((columns.days >= low) & (columns.days < high))
        rows = zip(chosen.days.tolist(), *(getattr(chosen, name).tolist() for name in COLUMNS), strict=True)
        if bars := tuple(
            Bar(symbol=symbol, start=midnight(date.fromordinal(day)), open=o, high=h, low=low_, close=c, volume=v)
            for day, o, h, low_, c, v in rows
        ):
            found[symbol] = bars
    return found


def _tell(pulled: Pulled) -> None:
    if pulled.remark:
        _log.warning("bar_series_" + pulled.outcome.replace(" ", "_"), symbol=pulled.symbol, feed=pulled.feed, reason=pulled.remark)
