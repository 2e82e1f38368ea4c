"""Adjusted closes of many symbols on a common list of sessions, and the indicators computed from them, each once.

A panel holds a whole history. Every (symbol, measure) is computed over all of it in one pass when first asked for, and kept: strategies
that share a panel share the work. What strategies themselves compute over all sessions is kept here too, see :meth:`PricePanel.kept`.
A decision on live prices adds one bar to it: :mod:`alchemiser.strategies.live_panel`.

Indicators run over a symbol's own bars. On a session without a bar of that symbol nothing is computable for it: yesterday's price is not
quietly taken for today's. Closes that are not positive finite numbers are refused when the panel is built.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Hashable, Iterable, Mapping
from datetime import date
from functools import cache, cached_property
from typing import Protocol, TypeVar, cast

import numpy as np
from msgspec import Struct

from alchemiser.domain.errors import DataError
from alchemiser.domain.market import GREATEST_PRICE, LEAST_PRICE, PRICE_WORDS
from alchemiser.market.arrays import Days, Flags, Floats, Places
from alchemiser.market.history import DailyHistory
from alchemiser.market.indicators import Measure, tail
from alchemiser.market.last_bar import LastBar
from alchemiser.strategies.outcome import NotComputable

Kept = TypeVar("Kept")

PRICE = Measure("current-price")
EPOCH = date(1970, 1, 1).toordinal()


class Column(Struct, frozen=True):
    """One number per session of a panel. Where ``known`` is false it could not be computed and ``values`` means nothing."""

    values: Floats
    known: Flags

    def at(self, place: int) -> float | None:
        """Return the number of a session, ``None`` where there is none."""
        return float(self.values[place]) if self.known[place] else None


class Series(Struct, frozen=True):
    """The closes of one symbol, oldest first, and the places of their sessions in the panel."""

    places: Places

    def count_through(self, place: int) -> int:
        """Return the number of closes up to and including a session."""
        return int(np.searchsorted(self.places, place, side="right"))

    closes: Floats


class Panel(Protocol):
    """Prices on sessions: of history alone, or with the live bar of a decision behind it."""

    def __len__(self) -> int: ...

    @property
    def last(self) -> int:
        """The place of the last session. Raises ``DataError`` for a panel without any."""

    def session(self, place: int) -> date:
        """Return the date of the session at a place."""

    def value(self, symbol: str, measure: Measure, place: int) -> float | NotComputable:
        """Return a measure of a symbol at a session, from its closes up to and including that session."""

    def closes(self, symbol: str, place: int) -> Floats:
        """Return the closes of a symbol up to and including a session, read-only; empty when it has none."""

    def prices(self, symbols: Iterable[str], place: int) -> dict[str, float]:
        """Return the close of each symbol that has one at that session."""

    def version_of(self, symbols: Iterable[str]) -> str:
        """Return the version of the bars of these symbols that a live decision saw, empty where nobody asks for it."""


class PricePanel:
    """Closes by symbol on common sessions. ``absent`` says of a symbol without closes why it has none."""

    def __init__(
        self, history: Mapping[str, tuple[Days, Floats]], *, absent: Mapping[str, str] | None = None, until: date | None = None
    ) -> None:
        """Take days (as ordinals) and closes per symbol; the sessions are all the days any symbol has, up to ``until``.

        Raises ``DataError`` when days do not ascend or a close is not a number that a price can be.
        """
        checked: Days | None = None
        for symbol, (days, closes) in history.items():
            _check_series(symbol, days, closes, ascends=days is checked)
            checked = days
        if until is not None:
            history = {symbol: _through(days, closes, until) for symbol, (days, closes) in history.items()}
        every_day = [days for days, _ in history.values()]
        if every_day and all(days is every_day[0] or np.array_equal(days, every_day[0]) for days in every_day):
            # Mostly all symbols have all days: nothing has to be sorted and looked up then.
            sessions, places = every_day[0], np.arange(len(every_day[0]))
            self._series = {symbol: Series(places, closes) for symbol, (_, closes) in history.items()}
        else:
            sessions = np.unique(np.concatenate(every_day)) if every_day else np.empty(0, np.int64)
            self._series = {symbol: Series(np.searchsorted(sessions, days), closes) for symbol, (days, closes) in history.items()}
        self._days = sessions
        self._absent = absent or {}
        self._columns: dict[tuple[str, Measure], Column] = {}
        self._last_bars: dict[tuple[str, Measure], LastBar] = {}
        self._kept: dict[Hashable, object] = {}

    @classmethod
    def before(cls, history: DailyHistory, session: date) -> "PricePanel":
        """Return the panel of all symbols of a history, of the sessions before one."""
        through = date.fromordinal(session.toordinal() - 1)
        return cls({symbol: (history.days(symbol, through=through), history.closes(symbol, through=through)) for symbol in history.symbols})

    @cached_property
    def _sessions(self) -> list[int]:
        found: list[int] = self._days.tolist()
        return found

    def __len__(self) -> int:
        return len(self._days)

    @property
    def last(self) -> int:
        """The place of the last session. Raises ``DataError`` for a panel without any."""
        if not len(self):
            raise DataError("there is not a single bar; nothing can be decided")
        return len(self) - 1

    @property
    def symbols(self) -> tuple[str, ...]:
        """The symbols that have closes, or might have had some."""
        return tuple(self._series)

    @property
    def reasons_absent(self) -> dict[str, str]:
        """Why symbols without closes have none."""
        return dict(self._absent)

    def session(self, place: int) -> date:
        """Return the date of the session at a place."""
        return date.fromordinal(self._sessions[place])

    def sessions(self, first: int, last: int) -> list[date]:
        """Return the dates of the sessions from one place to another."""
        found: list[date] = (self._days[first : last + 1] - EPOCH).astype("datetime64[D]").tolist()
        return found

    def place_from(self, day: date) -> int:
        """Return the place of the first session from ``day`` on, their number when there is none."""
        return bisect_left(self._sessions, day.toordinal())

    def place_through(self, day: date) -> int:
        """Return the place of the last session up to and including ``day``, -1 when there is none."""
        return bisect_right(self._sessions, day.toordinal()) - 1

    def value(self, symbol: str, measure: Measure, place: int) -> float | NotComputable:
        """Return a measure of a symbol at a session, from its closes up to and including that session."""
        value = self.column(symbol, measure).at(place)
        return self._why_not(symbol, measure, place) if value is None else value

    def column(self, symbol: str, measure: Measure) -> Column:
        """Return a measure of a symbol at every session."""
        column = self._columns.get((symbol, measure))
        if column is None:
            series = self._series.get(symbol, _no_series())
            column = self._columns[symbol, measure] = self._placed(series.places, tail(measure, series.closes))
        return column

    def _placed(self, places: Places, values: Floats) -> Column:
        """Return values as a column: they are those of the last of these places."""
        before = len(self) - len(values)
        if len(places) == len(self):
            known = self.kept(("known", before), lambda: np.arange(len(self)) >= before)
            return Column(np.concatenate((np.zeros(before), values)) if before else values, known)
        column = Column(np.zeros(len(self)), np.zeros(len(self), dtype=np.bool_))
        places = places[len(places) - len(values) :]
        column.values[places] = values
        column.known[places] = True
        return column

    def last_bar(self, symbol: str, measure: Measure) -> LastBar:
        """Return a measure of a symbol as a function of the price of a bar behind all of its closes."""
        found = self._last_bars.get((symbol, measure))
        if found is None:
            found = self._last_bars[symbol, measure] = LastBar(measure, self._series.get(symbol, _no_series()).closes)
        return found

    def closes(self, symbol: str, place: int) -> Floats:
        """Return a read-only view of the closes of a symbol up to and including a session; empty when it has none."""
        series = self._series.get(symbol, _no_series())
        closes = series.closes[: series.count_through(place)]
        closes.flags.writeable = False
        return closes

    def prices(self, symbols: Iterable[str], place: int) -> dict[str, float]:
        """Return the close of each symbol that has one at that session."""
        found = {symbol: self.column(symbol, PRICE).at(place) for symbol in symbols}
        return {symbol: price for symbol, price in found.items() if price is not None}

    def version_of(self, symbols: Iterable[str]) -> str:
        """Return nothing: which bars a backtest was made of is told with its result."""
        return ""

    def kept(self, key: Hashable, make: Callable[[], Kept]) -> Kept:
        """Return what was made under a key before, or make it now: what is computed over all sessions is computed once per panel."""
        if key not in self._kept:
            self._kept[key] = make()
        return cast(Kept, self._kept[key])

    def _why_not(self, symbol: str, measure: Measure, place: int) -> NotComputable:
        series = self._series.get(symbol, _no_series())
        if not len(series.places):
            return NotComputable((self._absent.get(symbol, f"there are no bars of {symbol}"),))
        known = series.count_through(place)
        session = self.session(place)
        if known == 0:
            return NotComputable((f"the bars of {symbol} begin only on {self.session(int(series.places[0]))}, after {session}",))
        if series.places[known - 1] != place:
            latest = self.session(int(series.places[known - 1]))
            return NotComputable((f"{symbol} has no bar on {session}, its latest is of {latest}",))
        return too_short(symbol, measure, known, session)


def too_short(symbol: str, measure: Measure, closes: int, session: date) -> NotComputable:
    """Return the reason that a symbol has fewer closes than a measure needs."""
    return NotComputable((f"{symbol} has {closes} closes up to {session}, {measure.of(symbol)} needs {measure.bars_needed}",))


@cache
def _no_series() -> Series:
    """Return the series of a symbol without bars."""
    return Series(np.empty(0, np.intp), np.empty(0))


def _through(days: Days, closes: Floats, until: date) -> tuple[Days, Floats]:
    count = int(np.searchsorted(days, until.toordinal(), side="right"))
    return days[:count], closes[:count]


def _check_series(symbol: str, days: Days, closes: Floats, *, ascends: bool) -> None:
    """Refuse a series with a reason; ``ascends`` says that its days were looked at before."""
    if len(days) != len(closes):
        raise DataError(f"{symbol}: {len(days)} days and {len(closes)} closes; its bars are not used")
    # Written so that what is not a number fails both.
    if len(closes) and not (closes.min() >= LEAST_PRICE and closes.max() <= GREATEST_PRICE):
        wrong = int(np.flatnonzero(~((closes >= LEAST_PRICE) & (closes <= GREATEST_PRICE)))[0])
        day = date.fromordinal(int(days[wrong]))
        raise DataError(f"{symbol}: the close of {day} is {closes[wrong]}, not a {PRICE_WORDS}; its bars are not used")
    if ascends or (days[1:] > days[:-1]).all():
        return
    wrong = int(np.flatnonzero(days[1:] <= days[:-1])[0])
    earlier, later = (date.fromordinal(int(days[wrong + offset])) for offset in (0, 1))
    raise DataError(f"{symbol}: the bar of {later} follows that of {earlier}; its bars are not used")
