"""Adjusted closes of many symbols on a common list of sessions, and the indicators computed from them, each once.

A panel is built for one decision (its last session carries the live prices) or for a whole history. Every (symbol, measure) is computed
over all of it in one pass when first asked for, and kept: strategies that share a panel share the work.

Indicators run over a symbol's own bars. On a session without a bar of that symbol nothing is computable for it: yesterday's price is not
quietly taken for today's. Closes that are not positive finite numbers are refused when the panel is built.
"""

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np

from alchemiser.domain.errors import DataError
from alchemiser.market.history import DailyHistory, Days
from alchemiser.market.indicators import Measure, tail
from alchemiser.market.kernels import Floats
from alchemiser.strategies.outcome import NotComputable

Column = list[float | None]
"""One number per session of a panel, ``None`` where it cannot be computed. A list, because single numbers are read from it most."""


@dataclass(frozen=True, slots=True)
class Series:
    """The closes of one symbol, oldest first, and the places of their sessions in the panel."""

    places: list[int]
    closes: Floats


class PricePanel:
    """Closes by symbol on common sessions. ``absent`` says of a symbol without closes why it has none."""

    def __init__(
        self, history: Mapping[str, tuple[Days, Floats]], *, absent: Mapping[str, str] | None = None, until: date | None = None
    ) -> None:
        """Take days (as ordinals) and closes per symbol; the sessions are all the days any symbol has, up to ``until``.

        Raises ``DataError`` when days do not ascend or a close is not a positive number.
        """
        for symbol, (days, closes) in history.items():
            _check_series(symbol, days, closes)
        if until is not None:
            history = {symbol: _through(days, closes, until) for symbol, (days, closes) in history.items()}
        every_day = [days for days, _ in history.values()]
        sessions = np.unique(np.concatenate(every_day)) if every_day else np.empty(0, np.int64)
        self._sessions: list[int] = sessions.tolist()
        self._series = {symbol: Series(np.searchsorted(sessions, days).tolist(), closes) for symbol, (days, closes) in history.items()}
        self._absent = absent or {}
        self._columns: dict[tuple[str, Measure], Column] = {}

    @classmethod
    def live(
        cls, history: DailyHistory, session: date, prices: Mapping[str, float], *, absent: Mapping[str, str] | None = None
    ) -> "PricePanel":
        """Build the panel of a decision: the closes before ``session`` with the live price as its bar, for every symbol that has one.

        ``absent`` says why a symbol has no live price, or none that may be used. Raises ``DataError`` for a symbol without history.
        """
        before = date.fromordinal(session.toordinal() - 1)
        joined = {
            symbol: (np.append(history.days(symbol, through=before), session.toordinal()), history.closes_with_live(symbol, session, price))
            for symbol, price in prices.items()
        }
        return cls(joined, absent=absent)

    def __len__(self) -> int:
        return len(self._sessions)

    @property
    def last(self) -> int:
        """The place of the last session. Raises ``DataError`` for a panel without any."""
        if not self._sessions:
            raise DataError("there is not a single bar; nothing can be decided")
        return len(self._sessions) - 1

    def session(self, place: int) -> date:
        """Return the date of the session at a place."""
        return date.fromordinal(self._sessions[place])

    def place_through(self, day: date) -> int:
        """Return the place of the last session up to and including ``day``, -1 when there is none."""
        return bisect_right(self._sessions, day.toordinal()) - 1

    def value(self, symbol: str, measure: Measure, place: int) -> float | NotComputable:
        """Return a measure of a symbol at a session, from its closes up to and including that session."""
        value = self.column(symbol, measure)[place]
        return self._why_not(symbol, measure, place) if value is None else value

    def column(self, symbol: str, measure: Measure) -> Column:
        """Return a measure of a symbol at every session."""
        key = (symbol, measure)
        column = self._columns.get(key)
        if column is None:
            column = self._columns[key] = self._computed(symbol, measure)
        return column

    def closes(self, symbol: str, place: int) -> Floats:
        """Return a read-only view of the closes of a symbol up to and including a session; empty when it has none."""
        series = self._series.get(symbol)
        if series is None:
            return np.empty(0)
        closes = series.closes[: bisect_right(series.places, place)]
        closes.flags.writeable = False
        return closes

    def prices(self, symbols: Iterable[str], place: int) -> dict[str, float]:
        """Return the close of each symbol that has one at that session."""
        found = {}
        for symbol in symbols:
            price = self.column(symbol, _PRICE)[place]
            if price is not None:
                found[symbol] = price
        return found

    def _computed(self, symbol: str, measure: Measure) -> Column:
        column: Column = [None] * len(self._sessions)
        series = self._series.get(symbol)
        if series is not None:
            values = tail(measure, series.closes)
            scatter(column, series.places[len(series.places) - len(values) :], values)
        return column

    def _why_not(self, symbol: str, measure: Measure, place: int) -> NotComputable:
        series = self._series.get(symbol)
        if series is None or not series.places:
            return NotComputable((self._absent.get(symbol, f"there are no bars of {symbol}"),))
        known = bisect_right(series.places, place)
        session = self.session(place)
        if known == 0:
            return NotComputable((f"the bars of {symbol} begin only on {self.session(series.places[0])}, after {session}",))
        if series.places[known - 1] != place:
            latest = self.session(series.places[known - 1])
            return NotComputable((f"{symbol} has no bar on {session}, its latest is of {latest}",))
        return NotComputable((f"{symbol} has {known} closes up to {session}, {measure.of(symbol)} needs {measure.bars_needed}",))


_PRICE = Measure("current-price")


def scatter(column: Column, places: Sequence[int], values: Floats) -> None:
    """Write values into a column at the places given."""
    for place, value in zip(places, values.tolist(), strict=True):
        column[place] = value


def _through(days: Days, closes: Floats, until: date) -> tuple[Days, Floats]:
    count = int(np.searchsorted(days, until.toordinal(), side="right"))
    return days[:count], closes[:count]


def _check_series(symbol: str, days: Days, closes: Floats) -> None:
    if len(days) != len(closes):
        raise DataError(f"{symbol}: {len(days)} days and {len(closes)} closes; its bars are not used")
    wrong = np.flatnonzero(~(np.isfinite(closes) & (closes > 0)))
    if len(wrong):
        day = date.fromordinal(int(days[wrong[0]]))
        raise DataError(f"{symbol}: the close of {day} is {closes[wrong[0]]}, not a positive number; its bars are not used")
    wrong = np.flatnonzero(np.diff(days) <= 0)
    if len(wrong):
        earlier, later = (date.fromordinal(int(days[wrong[0] + offset])) for offset in (0, 1))
        raise DataError(f"{symbol}: the bar of {later} follows that of {earlier}; its bars are not used")
