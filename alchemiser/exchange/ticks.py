"""When the market of the exchange moves: the grid of ticks, pure.

Quiet: a tick at every minute mark of a session. Busy: at every second. A session's open and its close are always ticks; outside
sessions there are none. Whoever is late (a host that was busy, a clock that was set forward) gets every minute mark in between, so that
bars and fills along the path are not lost, and of the seconds only the last.
"""

from datetime import UTC, date, datetime, timedelta
from typing import Final

from alchemiser.domain.market import Session
from alchemiser.market.calendar import TradingCalendar, new_york_date

SECOND: Final = timedelta(seconds=1)
MINUTE: Final = timedelta(minutes=1)
_LATE: Final = timedelta(seconds=5)


def floor_to(at: datetime, step: timedelta) -> datetime:
    """Return the last mark of the grid that is not after ``at``, a time in UTC."""
    if step == SECOND:
        return at.replace(microsecond=0)
    if step == MINUTE:
        return at.replace(second=0, microsecond=0)
    midnight = datetime(at.year, at.month, at.day, tzinfo=UTC)
    return midnight + (at - midnight) // step * step


class TickGrid:
    """The ticks of the sessions of a calendar up to, and with, ``last_day``."""

    def __init__(self, calendar: TradingCalendar, last_day: date) -> None:
        self._calendar = calendar
        self._last_day = last_day
        self._session: Session | None = None
        self._known: tuple[datetime, bool, datetime] | None = None

    def next_tick(self, after: datetime, now: datetime, *, is_busy: bool) -> datetime | None:
        """Return the first tick after ``after``, seen from ``now``; ``None`` when the last session is over."""
        is_late = is_busy and now - after > _LATE
        # Every request asks, and until the next tick the answer is the same for all that are not late.
        if not is_late and self._known is not None and self._known[0] == after and self._known[1] == is_busy:
            return self._known[2]
        session = self._session_ending_after(after)
        if session is None:
            return None
        if after < session.opens_at:
            return session.opens_at
        mark = floor_to(after, MINUTE) + MINUTE
        if is_busy:
            mark = min(mark, max(floor_to(now, SECOND), after + SECOND) if is_late else floor_to(after, SECOND) + SECOND)
        mark = min(mark, session.closes_at)
        if not is_late:
            self._known = after, is_busy, mark
        return mark

    def _session_ending_after(self, at: datetime) -> Session | None:
        known = self._session
        if known is None or not at < known.closes_at or at < known.opens_at:
            day = new_york_date(at)
            known = self._calendar.session(day)
            if known is None or known.closes_at <= at:
                if day >= self._last_day:
                    return None
                known = self._calendar.next_session(day)
            self._session = known
        return known if known.date <= self._last_day else None
