"""The sessions of the New York Stock Exchange: when it opens and closes, half days and daylight saving included.

The sessions come from a small table (:mod:`alchemiser.market.calendar_table`) or from what the broker says
(:meth:`TradingCalendar.from_sessions`), and the two can be compared. Outside its range the calendar refuses to answer rather than
guess. All moments are UTC with a zone; a moment without a zone is a mistake of the caller and is refused.

When to decide in a session is the subject of :mod:`alchemiser.market.schedule`.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from types import MappingProxyType
from typing import Final, Self
from zoneinfo import ZoneInfo

import msgspec

from alchemiser.domain.errors import DataError
from alchemiser.domain.market import Session
from alchemiser.market.calendar_table import CLOSED_DAYS, EARLY_CLOSES, FIRST_YEAR, LAST_YEAR

NEW_YORK: Final = ZoneInfo("America/New_York")
REGULAR_OPEN: Final = time(9, 30)
REGULAR_CLOSE: Final = time(16)
HALF_DAY_CLOSE: Final = time(13)

_ONE_DAY: Final = timedelta(days=1)
_FARTHEST_BEHIND: Final = 5
"""How many hours New York is behind UTC at most: in winter."""


def new_york_date(at: datetime) -> date:
    """Return the date in New York at that moment."""
    if at.tzinfo is None:
        raise ValueError(f"{at.isoformat()} has no time zone")
    if at.tzinfo is UTC and at.hour >= _FARTHEST_BEHIND:
        return at.date()  # The hours in which somebody trades: it is the same day, and no time zone has to be looked at.
    return at.astimezone(NEW_YORK).date()


def midnight(day: date) -> datetime:
    """Return the moment that day begins in New York, in UTC: the start of a daily bar."""
    return datetime.combine(day, time(), NEW_YORK).astimezone(UTC)


class SessionDifference(msgspec.Struct, frozen=True):
    """A day on which two calendars do not agree; ``None`` is "no session"."""

    day: date
    ours: Session | None
    theirs: Session | None

    def __str__(self) -> str:
        """Return the difference in words, times in New York."""
        return f"{self.day}: {_hours(self.ours)} here, {_hours(self.theirs)} there"


class TradingCalendar:
    """Sessions by date and by moment, between ``first_day`` and ``last_day``. Asking outside them raises ``DataError``."""

    def __init__(self, first_day: date, last_day: date, known: Mapping[int, tuple[Session, ...]] | None = None) -> None:
        """Take the range, and the sessions by year or ``None`` for those of the table, which are made when first needed."""
        if known is None and not FIRST_YEAR <= first_day.year <= last_day.year <= LAST_YEAR:
            raise DataError(f"the table of sessions covers {FIRST_YEAR} to {LAST_YEAR}, not {first_day} to {last_day}")
        self.first_day = first_day
        self.last_day = last_day
        self._known = known
        self._years: dict[int, tuple[tuple[Session, ...], Mapping[date, Session]]] = {}

    @classmethod
    def new_york(cls) -> Self:
        """Return the calendar of the table: every session from 1990 to 2027."""
        return cls(date(FIRST_YEAR, 1, 1), date(LAST_YEAR, 12, 31))

    @classmethod
    def from_sessions(cls, sessions: Iterable[Session], *, start: date | None = None, end: date | None = None) -> Self:
        """Return the calendar of the broker's answer for ``start`` to ``end``; without them, from its first to its last session.

        Raises ``DataError`` when there is no session, two on one day, or one outside the range.
        """
        ordered = sorted(sessions, key=lambda session: session.date)
        if not ordered:
            raise DataError("a calendar without a single session was given")
        first, last = start or ordered[0].date, end or ordered[-1].date
        years: dict[int, list[Session]] = {}
        before: Session | None = None
        for session in ordered:
            if not first <= session.date <= last:
                raise DataError(f"the session of {session.date} lies outside the calendar from {first} to {last}")
            if before is not None and session.date == before.date:
                raise DataError(f"the calendar names {session.date} twice")
            if session.closes_at <= session.opens_at:
                raise DataError(f"the session of {session.date} closes at {session.closes_at} before it opens at {session.opens_at}")
            years.setdefault(session.date.year, []).append(session)
            before = session
        return cls(first, last, {year: tuple(members) for year, members in years.items()})

    def session(self, day: date) -> Session | None:
        """Return the session of that day, ``None`` when the exchange is closed all day."""
        if not self.first_day <= day <= self.last_day:
            raise self._out_of_range(day)
        return (self._years.get(day.year) or self._year(day.year))[1].get(day)

    def session_at(self, at: datetime) -> Session | None:
        """Return the session whose regular hours hold that moment; its open belongs to it, its close does not."""
        session = self.session(new_york_date(at))
        return session if session is not None and session.opens_at <= at < session.closes_at else None

    def next_session(self, after: date | datetime) -> Session:
        """Return the first session after that day, or the first that opens after that moment."""
        if isinstance(after, datetime):
            today = self.session(new_york_date(after))
            if today is not None and today.opens_at > after:
                return today
            after = new_york_date(after)
        day = after + _ONE_DAY
        while (found := self.session(day)) is None:
            day += _ONE_DAY
        return found

    def previous_session(self, before: date | datetime) -> Session:
        """Return the last session before that day, or the last that had closed by that moment."""
        if isinstance(before, datetime):
            today = self.session(new_york_date(before))
            if today is not None and today.closes_at <= before:
                return today
            before = new_york_date(before)
        day = before - _ONE_DAY
        while (found := self.session(day)) is None:
            day -= _ONE_DAY
        return found

    def sessions(self, start: date, end: date) -> tuple[Session, ...]:
        """Return the sessions from ``start`` to ``end``, both included, in order."""
        if start > end:
            return ()
        for day in (start, end):
            if not self.first_day <= day <= self.last_day:
                raise self._out_of_range(day)
        found: list[Session] = []
        for year in range(start.year, end.year + 1):
            members = self._year(year)[0]
            low = bisect_left(members, start, key=_day_of) if year == start.year else 0
            high = bisect_right(members, end, key=_day_of) if year == end.year else len(members)
            found.extend(members[low:high])
        return tuple(found)

    def differences(self, other: "TradingCalendar") -> tuple[SessionDifference, ...]:
        """Return every day, of those both calendars cover, on which they disagree: a session or its hours."""
        start, end = max(self.first_day, other.first_day), min(self.last_day, other.last_day)
        ours = {session.date: session for session in self.sessions(start, end)}
        theirs = {session.date: session for session in other.sessions(start, end)}
        return tuple(
            SessionDifference(day, ours.get(day), theirs.get(day))
            for day in sorted(ours.keys() | theirs.keys())
            if ours.get(day) != theirs.get(day)
        )

    def _out_of_range(self, day: date) -> DataError:
        return DataError(f"the calendar knows the sessions from {self.first_day} to {self.last_day}; it cannot say anything of {day}")

    def _year(self, year: int) -> tuple[tuple[Session, ...], Mapping[date, Session]]:
        found = self._years.get(year)
        if found is None:
            members = _table_year(year) if self._known is None else self._known.get(year, ())
            found = self._years[year] = members, MappingProxyType({session.date: session for session in members})
        return found


def _day_of(session: Session) -> date:
    return session.date


def _hours(session: Session | None) -> str:
    if session is None:
        return "no session"
    opens, closes = session.opens_at.astimezone(NEW_YORK), session.closes_at.astimezone(NEW_YORK)
    return f"{opens:%H:%M} to {closes:%H:%M}"


def _table_year(year: int) -> tuple[Session, ...]:
    closed = frozenset(CLOSED_DAYS[year].split())
    early: dict[str, time] = {}
    for word in EARLY_CLOSES[year].split():
        day, _, hour = word.partition("@")
        early[day] = time(int(hour[:2]), int(hour[2:])) if hour else HALF_DAY_CLOSE
    sessions: list[Session] = []
    for ordinal in range(date(year, 1, 1).toordinal(), date(year, 12, 31).toordinal() + 1):
        current = date.fromordinal(ordinal)
        word = f"{current.month:02}{current.day:02}"
        if current.weekday() < 5 and word not in closed:
            sessions.append(regular_session(current, early.get(word, REGULAR_CLOSE)))
    return tuple(sessions)


def regular_session(day: date, closes: time = REGULAR_CLOSE) -> Session:
    """Return the session of a day, from the regular open to the regular close or another one."""
    # The clocks change on Sundays at two in the morning, so the whole of a session has one offset.
    opens_at = datetime.combine(day, REGULAR_OPEN, NEW_YORK).astimezone(UTC)
    length = datetime.combine(day, closes) - datetime.combine(day, REGULAR_OPEN)
    return Session(date=day, opens_at=opens_at, closes_at=opens_at + length)
