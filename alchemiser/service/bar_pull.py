"""Bringing a bar store up to date with a venue: what is missing is asked for, compared, joined and written, symbol by symbol.

Promises: a pull that was killed goes on where it was, because every series is written as soon as it is whole, and a first one also after
each page; bars of two adjustments are never joined: where the days that both have do not agree, the whole series is asked for again, and
said so; a file that cannot be read is replaced by a fresh answer, and said so, where the wish mends; only sessions that have ended are
asked for. What is asked for and how the answers are joined is decided by functions that wait for
nothing; one source and one store are used at a time.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import date, timedelta
from functools import partial
from typing import Final, Protocol, TypeVar

import msgspec

from alchemiser.domain.errors import DataError
from alchemiser.domain.market import Bar
from alchemiser.domain.runtime import Clock
from alchemiser.market.calendar import new_york_date
from alchemiser.market.store.actions import Action, Actions, ActionsInfo, in_order
from alchemiser.market.store.series import ADJUSTMENTS, Adjusting, BarColumns, Comparison, Series, SeriesInfo, SeriesKey, compare
from alchemiser.market.store.store import BarStore
from alchemiser.strategies.aside import RunAside, at_once

OVERLAP_SESSIONS: Final = 10
"""So many stored bars are asked for again, to see whether they are still what they were."""
SYMBOLS_PER_REQUEST: Final = 100
ACTIONS_AGAIN_DAYS: Final = 60
"""Corporate actions are announced and amended around their date: so far back they are asked for again."""


Done = TypeVar("Done")


class Pages(Protocol):
    """A part of an answer, and which symbols are complete with it."""

    @property
    def bars(self) -> Mapping[str, Sequence[Bar]]:
        """The bars of this part by symbol, oldest first."""

    @property
    def complete(self) -> frozenset[str]:
        """The symbols of which nothing more comes."""


class Source(Protocol):
    """Where history comes from."""

    def bars(self, symbols: Sequence[str], *, start: date, end: date, adjustment: str, feed: str) -> AsyncIterator[Pages]:
        """Yield the daily bars from ``start`` to ``end``, both included, in order of symbol and time."""

    async def actions(self, symbols: Sequence[str], *, start: date, end: date) -> dict[str, list[Action]]:
        """Return the corporate actions in that range by symbol."""


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What a store shall have: these series, from ``start`` to ``end``, both included.

    ``anew`` asks for all of it again. Unless the wish ``reaches_back``, ``start`` is for what is not stored yet, and the rest is extended.
    A wish that ``mends`` takes what is stored and cannot be read as if it was not there.
    """

    symbols: tuple[str, ...]
    feed: str
    adjustments: tuple[Adjusting, ...]
    start: date
    end: date
    anew: bool = False
    reaches_back: bool = True
    mends: bool = False


class Pulled(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one series: ``added`` bars are new in the store; ``remark`` says what was found, if anything."""

    symbol: str
    feed: str
    adjustment: Adjusting
    rows: int
    added: int
    outcome: str
    remark: str = ""


class Need(msgspec.Struct, frozen=True):
    """What to ask for of one symbol: from ``start``; ``is_whole`` when the answer takes the place of the ``known`` bars that are stored."""

    symbol: str
    start: date
    is_whole: bool
    known: int = 0


def need_of(key: SeriesKey, stored: Series | None, wish: Wish) -> Need | None:
    """Return what is missing of a series, ``None`` when nothing is.

    What reaches back less far than wished is asked for as a whole: an answer from another day has other adjustments.
    """
    known = 0 if stored is None else len(stored.bars)
    if stored is None or wish.anew or (wish.reaches_back and stored.info.asked_from > wish.start):
        return Need(key.symbol, wish.start, True, known)
    if stored.info.asked_through >= wish.end:
        return None
    days = stored.bars.days
    if not len(days):
        return Need(key.symbol, stored.info.asked_from, True)
    return Need(key.symbol, date.fromordinal(int(days[max(0, len(days) - OVERLAP_SESSIONS)])), False, known)


def joined(stored: Series, fresh: BarColumns, info: SeriesInfo) -> tuple[Series | None, Comparison]:
    """Return the stored bars and the fresh ones behind them; ``None`` for a series where they do not agree about the shared days.

    Raw bars that were corrected are simply replaced: nothing is relative in them.
    """
    comparison = compare(stored.bars, fresh)
    if not comparison.is_same and info.adjustment != "raw":
        return None, comparison
    if not len(fresh):
        return Series(info, stored.bars), comparison
    return Series(info, stored.bars.then(fresh)), comparison


def columns_of(bars: Sequence[Bar]) -> BarColumns:
    """Return bars as columns, by the day in New York on which each starts; the last of several on one day counts."""
    rows = {
        day: (day, bar.open, bar.high, bar.low, bar.close, bar.volume) for bar in bars for day in (new_york_date(bar.start).toordinal(),)
    }
    return BarColumns.of([rows[day] for day in sorted(rows)])


Remarks = dict[str, tuple[date, int, str]]
"""Of series that are asked for as a whole, for they were adjusted anew or cannot be read: since when, how many bars, and what was found."""

OnSeries = Callable[[Pulled], object]


class BarPull:
    """Fetches what a wish lacks. ``told`` hears of every series when it is done, ``pages`` counts the answers."""

    def __init__(self, store: BarStore, source: Source, clock: Clock, *, named: str, told: OnSeries, run_aside: RunAside = at_once) -> None:
        """``named`` is what the series will say that they came from; files are read and written through ``run_aside``."""
        self._aside = run_aside
        self._store = store
        self._source = source
        self._clock = clock
        self._named = named
        self._told = told
        self.pages = 0

    async def run(self, wish: Wish) -> list[Pulled]:
        """Bring the store to what is wished; return what became of each series. Raises errors under ``VenueError`` and ``DataError``."""
        done = await self.bars(wish)
        await self._actions(wish)
        return done

    async def bars(self, wish: Wish) -> list[Pulled]:
        """Do the same without the corporate actions."""
        done: list[Pulled] = []
        for adjustment in wish.adjustments:
            done += await self._adjustment(wish, adjustment)
        return done

    async def _adjustment(self, wish: Wish, adjustment: Adjusting) -> list[Pulled]:
        remarks: Remarks = {}
        needs, done = await self._aside(partial(self._needs, wish, adjustment, remarks))
        while needs:
            for group in groups_of(needs):
                done += await self._fetch(wish, adjustment, group, remarks)
            # What turned out to have been adjusted anew is asked for as a whole; that answer is compared with nothing.
            needs = [Need(symbol, start, True, known) for symbol, (start, known, _) in remarks.items()]
        return done

    def _needs(self, wish: Wish, adjustment: Adjusting, remarks: Remarks) -> tuple[list[Need], list[Pulled]]:
        """Return what is to be asked for, and what is up to date; remark what cannot be read."""
        needs: list[Need] = []
        done: list[Pulled] = []
        for symbol in wish.symbols:
            key = SeriesKey(symbol, wish.feed, adjustment)
            try:
                stored = self._stored(key)
            except DataError as error:
                if not wish.mends:
                    raise
                remarks[symbol] = self._known_from(key, wish), 0, f"{error}; its whole history was asked for again"
                needs.append(Need(symbol, remarks[symbol][0], True))
                continue
            need = need_of(key, stored, wish)
            if need is not None:
                needs.append(need)
            elif stored is not None:
                done.append(self._tell(stored, 0, "up to date"))
        return needs, done

    async def _fetch(self, wish: Wish, adjustment: Adjusting, group: Sequence[Need], remarks: Remarks) -> list[Pulled]:
        by_symbol = {need.symbol: need for need in group}
        received: dict[str, list[Bar]] = {need.symbol: [] for need in group}
        done: list[Pulled] = []
        pages = self._source.bars(tuple(by_symbol), start=group[0].start, end=wish.end, adjustment=adjustment, feed=wish.feed)
        async for page in pages:
            self.pages += 1
            for symbol, bars in page.bars.items():
                received[symbol].extend(bars)
            complete = [(by_symbol[symbol], received.pop(symbol)) for symbol in sorted(page.complete)]
            begun = [(by_symbol[symbol], bars) for symbol, bars in received.items() if bars]
            done += await self._aside(partial(self._keep, wish, adjustment, complete, begun, remarks))
        return done

    def _keep(
        self,
        wish: Wish,
        adjustment: Adjusting,
        complete: Sequence[tuple[Need, Sequence[Bar]]],
        begun: Sequence[tuple[Need, Sequence[Bar]]],
        remarks: Remarks,
    ) -> list[Pulled]:
        for need, bars in begun:
            self._keep_begun(wish, adjustment, need, bars)
        finished = [self._finish(wish, adjustment, need, columns_of(bars), remarks) for need, bars in complete]
        return [pulled for pulled in finished if pulled is not None]

    def _finish(self, wish: Wish, adjustment: Adjusting, need: Need, fresh: BarColumns, remarks: Remarks) -> Pulled | None:
        """Write a series whose answer is complete; ``None`` when it has to be asked for as a whole."""
        key = SeriesKey(need.symbol, wish.feed, adjustment)
        with self._store.changing():
            stored = None if need.is_whole else self._stored(key)
            if stored is None:
                *_, remark = remarks.pop(need.symbol, (need.start, need.known, ""))
                series = Series(self._info(key, need.start, wish.end), fresh)
                outcome = "pulled again" if need.known or remark else "pulled"
            else:
                info = self._info(key, stored.info.asked_from, max(wish.end, stored.info.asked_through))
                together, comparison = joined(stored, fresh, info)
                if together is None:
                    remarks[need.symbol] = stored.info.asked_from, need.known, f"{comparison}; its whole history was asked for again"
                    return None
                series, outcome = together, "extended"
                remark = "" if comparison.is_same else f"{comparison}; the new ones are kept"
            self._store.write(series)
        return self._tell(series, max(0, len(series.bars) - need.known), outcome if len(series.bars) else "no bars", remark)

    def _keep_begun(self, wish: Wish, adjustment: Adjusting, need: Need, bars: Sequence[Bar]) -> None:
        """Write what has come of a series so far, unless a whole one is there already: a pull that is killed goes on behind it."""
        key = SeriesKey(need.symbol, wish.feed, adjustment)
        fresh = columns_of(bars)
        with self._store.changing():
            info = _readable(partial(self._store.info, key), wish)
            is_ours = info is None or (info.asked_from == need.start and info.asked_through <= new_york_date(bars[-1].start))
            if need.is_whole and is_ours and not wish.anew and len(fresh):
                self._store.write(Series(self._info(key, need.start, date.fromordinal(int(fresh.days[-1]))), fresh))

    async def _actions(self, wish: Wish) -> None:
        starts: dict[date, list[str]] = {}
        for symbol in wish.symbols:
            known = None if wish.anew else _readable(partial(self._store.actions, symbol), wish)
            if known is None or (wish.reaches_back and known.info.asked_from > wish.start):
                starts.setdefault(wish.start, []).append(symbol)
            elif known.info.asked_through < wish.end:
                again = known.info.asked_through - timedelta(days=ACTIONS_AGAIN_DAYS)
                starts.setdefault(max(again, known.info.asked_from), []).append(symbol)
        for start, symbols in sorted(starts.items()):
            for low in range(0, len(symbols), SYMBOLS_PER_REQUEST):
                found = await self._source.actions(symbols[low : low + SYMBOLS_PER_REQUEST], start=start, end=wish.end)
                self.pages += 1
                for symbol, rows in found.items():
                    self._keep_actions(wish, symbol, start, rows)

    def _keep_actions(self, wish: Wish, symbol: str, start: date, rows: Sequence[Action]) -> None:
        info = ActionsInfo(symbol=symbol, asked_from=start, asked_through=wish.end, source=self._named, written_at=self._clock.now())
        fresh = Actions(info, in_order(tuple(rows)))
        with self._store.changing():
            known = _readable(partial(self._store.actions, symbol), wish)
            self._store.write_actions(fresh if known is None else known.joined(fresh))

    def _known_from(self, key: SeriesKey, wish: Wish) -> date:
        """Return since when the same bars with another adjustment are stored, so that what is mended reaches back as far."""
        others = (msgspec.structs.replace(key, adjustment=adjustment) for adjustment in ADJUSTMENTS if adjustment != key.adjustment)
        found = [_readable(partial(self._store.info, other), wish) for other in others]
        return min([wish.start, *(info.asked_from for info in found if info is not None)])

    def _stored(self, key: SeriesKey) -> Series | None:
        return self._store.read(key) if self._store.has(key) else None

    def _info(self, key: SeriesKey, start: date, end: date) -> SeriesInfo:
        return SeriesInfo(
            symbol=key.symbol,
            feed=key.feed,
            adjustment=key.adjustment,
            asked_from=start,
            asked_through=end,
            source=self._named,
            written_at=self._clock.now(),
        )

    def _tell(self, series: Series, added: int, outcome: str, remark: str = "") -> Pulled:
        key = series.info.key
        pulled = Pulled(
            symbol=key.symbol,
            feed=key.feed,
            adjustment=key.adjustment,
            rows=len(series.bars),
            added=added,
            outcome=outcome,
            remark=remark,
        )
        self._told(pulled)
        return pulled


def _readable(read: Callable[[], Done | None], wish: Wish) -> Done | None:
    """Return what is stored, ``None`` also for what cannot be read where the wish mends it."""
    try:
        return read()
    except DataError:
        if not wish.mends:
            raise
        return None


def groups_of(needs: Sequence[Need]) -> list[list[Need]]:
    """Return the needs in groups that one request can ask for: the same start, and not too many symbols."""
    by_start: dict[date, list[Need]] = {}
    for need in needs:
        by_start.setdefault(need.start, []).append(need)
    return [
        members[low : low + SYMBOLS_PER_REQUEST]
        for _, members in sorted(by_start.items())
        for low in range(0, len(members), SYMBOLS_PER_REQUEST)
    ]
