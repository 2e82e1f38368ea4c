"""The recorded minutes of a run: what was known at the moment of a decision, and along which prices its orders are worked.

A decision sees the minutes that have ended when it is made, and not one further; the closes of the sessions before it are the daily ones.
Recorded prices are those of their day; what a symbol was split and paid since is applied to them, so that they fit the adjusted closes.

A session is lived along its minutes when everything that is asked for and has a bar on that day was traded in the half hour before the
decision. Any other session is lived as a daily bar: decided on and filled at its close, and counted as such.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import numpy as np

from alchemiser.backtest.provenance import IntradayReport
from alchemiser.domain.errors import DataError, UsageError
from alchemiser.domain.market import Session
from alchemiser.exchange.recorded_path import RecordedPath, recorded_bar
from alchemiser.exchange.recordings import Recordings
from alchemiser.market.calendar import TradingCalendar, regular_session
from alchemiser.market.history import DailyHistory
from alchemiser.market.schedule import Schedule

NEWEST_PRICE_AT_MOST = timedelta(minutes=30)
"""A price that is older when the decision is made is none of the moment."""

LAST_DECISION = timedelta(minutes=1)
"""So long before the close a decision is made at the latest."""

_LONGEST_BREAK_SESSIONS = 20
_INSTANT = timedelta(microseconds=1)
_SEED = 0
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

ScaleOf = Callable[[str, date], float]
"""Of a symbol and a day: what a price of that day is multiplied with to fit the adjusted closes."""


class Intraday:
    """Recordings, the daily closes of the same symbols, and the moment of a session at which is decided.

    Raises ``UsageError`` when that moment comes after the last minute of a session.
    """

    def __init__(
        self, recordings: Recordings, history: DailyHistory, symbols: Iterable[str], *, decision: Schedule, scale: ScaleOf
    ) -> None:
        regular = regular_session(date(2025, 3, 3))
        if decision.at(regular) > regular.closes_at - LAST_DECISION:
            raise UsageError(f'a decision at "{decision}" leaves no minute of the session to trade in')
        self.recordings = recordings
        self.history = history
        self._symbols = tuple(sorted(symbols))
        self._decision = decision
        self._scale = scale
        self._calendar = TradingCalendar.new_york()
        self._days = {symbol: frozenset(history.days(symbol).tolist()) for symbol in self._symbols if symbol in history.symbols}
        self._lacking: dict[date, tuple[str, ...]] = {}

    def session(self, day: date) -> Session:
        """Return the hours of a day, those of half days too; a day that the calendar does not know has the usual ones."""
        is_known = self._calendar.first_day <= day <= self._calendar.last_day
        return (self._calendar.session(day) if is_known else None) or regular_session(day)

    def decides_at(self, day: date) -> datetime:
        """Return the moment of the decision."""
        return self._decision.at(self.session(day))

    def days(self) -> list[date]:
        """Return the days that can be lived along their minutes, oldest first. Raises ``DataError`` when there is none."""
        recorded = sorted({day for symbol in self._symbols for day in self.recordings.days(symbol)})
        found = [day for day in recorded if not self.lacking(day)]
        if found:
            return found
        if not recorded:
            there = ", ".join(self.recordings.symbols) or "no symbols at all"
            raise DataError(f"there are no minute bars of {', '.join(self._symbols)}; recorded are {there}")
        day = recorded[-1]
        raise DataError(
            f"no day can be lived along its minutes: on {day}, for one, {', '.join(self.lacking(day))} had no trade in the "
            f"{NEWEST_PRICE_AT_MOST.seconds // 60} minutes before the decision at {self.decides_at(day):%H:%M} UTC"
        )

    def lacking(self, day: date) -> tuple[str, ...]:
        """Return the symbols that have a bar on a day and no recent trade at its decision, all where nothing is recorded."""
        found = self._lacking.get(day)
        if found is None:
            known = [symbol for symbol, days in self._days.items() if day.toordinal() in days]
            lacking = tuple(symbol for symbol in known if self.price(symbol, day) is None)
            found = self._lacking[day] = lacking if known else self._symbols
        return found

    def price(self, symbol: str, day: date) -> float | None:
        """Return the last price of the minutes that have ended at the decision, ``None`` when it is too old or not there at all."""
        recorded = self.recordings.day(symbol, day)
        if recorded is None or recorded.prints is None:
            return None
        session, at = self.session(day), self.decides_at(day)
        times = recorded.prints.times
        first, end = (int(np.searchsorted(times, _micros(moment), side="left")) for moment in (session.opens_at, at))
        if end <= first or times.item(end - 1) < _micros(at - NEWEST_PRICE_AT_MOST):
            return None
        return recorded.prints.prices.item(end - 1) * self._scale(symbol, day)

    def path(self, symbol: str, day: date) -> tuple[RecordedPath, float] | None:
        """Return the recorded course of a symbol through a session, and what its prices are multiplied with."""
        recorded, session = self.recordings.day(symbol, day), self.session(day)
        bar = None if recorded is None else recorded_bar(symbol, session, recorded)
        if recorded is None or bar is None:
            return None
        return RecordedPath(symbol, bar, session, recorded, _SEED), self._scale(symbol, day)

    def report(self, dates: Sequence[date]) -> IntradayReport:
        """Return how these sessions are lived."""
        daily = [day for day in dates if self.lacking(day)]
        return IntradayReport(decision=str(self._decision), sessions_of_minutes=len(dates) - len(daily), sessions_of_daily_bars=daily)


def refuse_long_breaks(symbol: str, days: Sequence[date], where: str) -> None:
    """Raise ``DataError`` when the days that were recorded of a symbol, the only ones known of it, lack too many sessions in a row."""
    calendar = TradingCalendar.new_york()
    for before, after in pairwise(days):
        lost = len(calendar.sessions(before, after)) - 2
        if lost > _LONGEST_BREAK_SESSIONS:
            raise DataError(
                f"{where}: {symbol} has no minute bars between {before} and {after}, {lost} sessions; at most "
                f"{_LONGEST_BREAK_SESSIONS} in a row are lived through. Put its daily bars beside them, or cut them to begin after that"
            )


def _micros(at: datetime) -> int:
    return (at - _EPOCH) // _INSTANT
