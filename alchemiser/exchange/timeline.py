"""Which part of which trading day it is: the phases of section 9.1 and the sessions that orders live in.

The exchange's calendar comes in as a function from a date to its session; nothing here knows holidays. The overnight session, where it is
played, begins on the evening before a trading day and belongs to that day.
"""

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from alchemiser.domain.market import Session

NEW_YORK: Final = ZoneInfo("America/New_York")

_PRE_MARKET_OPENS: Final = time(4)
_OVERNIGHT_OPENS: Final = time(20)
_GTC_LIFE: Final = timedelta(days=90)
_GTC_SWEEP: Final = time(16, 15)
_LONGEST_BREAK: Final = timedelta(days=30)
_ONE_DAY: Final = timedelta(days=1)
_DAYS_REMEMBERED: Final = 64
_EXTENDED_DAY: Final = timedelta(hours=16)
_EXTENDED_HALF_DAY: Final = timedelta(hours=13)
"""From the beginning of the pre-market to the end of the evening: clocks are changed in the night, never in between."""


class Phase(StrEnum):
    """The part of the day the market is in."""

    CLOSED = "closed"
    PRE_MARKET = "pre_market"
    REGULAR = "regular"
    AFTER_HOURS = "after_hours"
    OVERNIGHT = "overnight"


PRE_MARKET: Final = Phase.PRE_MARKET
REGULAR: Final = Phase.REGULAR
AFTER_HOURS: Final = Phase.AFTER_HOURS
CLOSED: Final = Phase.CLOSED
OVERNIGHT: Final = Phase.OVERNIGHT
"""The same by names of their own: looking a member of an enumeration up takes its time, and every order and quote asks."""


class TradingDay(msgspec.Struct, frozen=True):
    """One session with the extended hours around it; all times UTC. Without ``overnight_opens_at`` the night before is no session."""

    on: date
    pre_market_opens_at: datetime
    opens_at: datetime
    closes_at: datetime
    after_hours_close_at: datetime
    overnight_opens_at: datetime | None = None

    def phase(self, at: datetime) -> Phase:
        """Return the phase at a time; each phase includes its beginning and not its end."""
        if not self.pre_market_opens_at <= at < self.after_hours_close_at:
            is_night = self.overnight_opens_at is not None and self.overnight_opens_at <= at < self.pre_market_opens_at
            return OVERNIGHT if is_night else CLOSED
        if at < self.opens_at:
            return PRE_MARKET
        return REGULAR if at < self.closes_at else AFTER_HOURS

    def end_of(self, is_for_open: bool, extended_hours: bool) -> datetime:
        """Return when an order of the day ends: one for the opening auction when it is over, others with their session."""
        if extended_hours:
            return self.after_hours_close_at
        return self.opens_at if is_for_open else self.closes_at

    def phase_began(self, at: datetime) -> datetime:
        """Return when the phase of that time began; for a closed market the time itself."""
        begins = {PRE_MARKET: self.pre_market_opens_at, REGULAR: self.opens_at, AFTER_HOURS: self.closes_at}
        if self.overnight_opens_at is not None:
            begins[OVERNIGHT] = self.overnight_opens_at
        return begins.get(self.phase(at), at)


def local_time(on: date, at: time) -> datetime:
    """Return a wall time of New York as UTC."""
    return datetime.combine(on, at, NEW_YORK).astimezone(UTC)


class Timeline:
    """The trading days of one calendar. What was found last is remembered: orders come by the thousand on one day."""

    def __init__(self, sessions: Callable[[date], Session | None], *, overnight: bool = False) -> None:
        """With ``overnight`` the night before each trading day is a session of its own."""
        self._sessions = sessions
        self._overnight = overnight
        self.trading_day: Callable[[date], TradingDay | None] = lru_cache(maxsize=_DAYS_REMEMBERED)(self._trading_day)
        """The trading day of a date, ``None`` when the exchange is closed that day."""
        self._days_after = lru_cache(maxsize=_DAYS_REMEMBERED)(self._day_after)
        self._running: TradingDay | None = None
        self._settles: tuple[datetime, datetime, date | None] | None = None
        self._for_orders: dict[tuple[bool, bool], tuple[datetime, datetime, date] | None] = {}

    def _trading_day(self, on: date) -> TradingDay | None:
        session = self._sessions(on)
        if session is None:
            return None
        begins = local_time(on, _PRE_MARKET_OPENS)
        return TradingDay(
            on=session.date,
            pre_market_opens_at=begins,
            opens_at=session.opens_at.astimezone(UTC),
            closes_at=session.closes_at.astimezone(UTC),
            after_hours_close_at=begins + (_EXTENDED_HALF_DAY if session.is_half_day else _EXTENDED_DAY),
            overnight_opens_at=local_time(on - timedelta(days=1), _OVERNIGHT_OPENS) if self._overnight else None,
        )

    def day_ending_after(self, at: datetime) -> TradingDay | None:
        """Return the trading day whose after-hours session is not over, or ``None`` when the calendar ends."""
        today = self.date_of(at)
        day = self.trading_day(today)
        self._running = found = day if day is not None and day.after_hours_close_at > at else self._days_after(today)
        return found

    def date_of(self, at: datetime) -> date:
        """Return the date in New York; while a trading day runs it is known without asking the time zone."""
        day = self._running
        if day is not None and day.pre_market_opens_at <= at <= day.after_hours_close_at:
            return day.on
        return at.astimezone(NEW_YORK).date()

    def phase(self, at: datetime) -> Phase:
        """Return the phase of the market at a time."""
        day = self.day_ending_after(at)
        return CLOSED if day is None else day.phase(at)

    def life_of_order(self, time_in_force: str, extended_hours: bool, at: datetime) -> tuple[date | None, datetime | None]:
        """Return the first trading day in which an order of that kind, received at ``at``, can still live, and when it ends by itself.

        Beyond the end of the calendar there is neither; what is good till cancelled ends after ninety days anyway.
        """
        kind = (time_in_force == "opg", extended_hours)
        known = self._for_orders.get(kind)
        if known is None or not known[0] <= at < known[1]:
            today = self.date_of(at)
            found = self.trading_day(today)
            if found is None or found.end_of(*kind) <= at:
                found = self._days_after(today)
            known = None if found is None else (at, found.end_of(*kind), found.on)
            self._for_orders[kind] = known
        if time_in_force != "gtc":
            return (None, None) if known is None else (known[2], known[1])
        return None if known is None else known[2], local_time((at + _GTC_LIFE).astimezone(NEW_YORK).date(), _GTC_SWEEP)

    def settlement_date(self, at: datetime) -> date | None:
        """Return when a trade of that moment settles: on the next trading day (T+1); a trade of the night is of the day it precedes."""
        known = self._settles
        if known is None or not known[0] <= at < known[1]:
            day = self.day_ending_after(at)
            on, until = (self.date_of(at), at) if day is None else (day.on, day.after_hours_close_at)
            settles = self._days_after(on)
            known = self._settles = at, until, None if settles is None else settles.on
        return known[2]

    def _day_after(self, today: date) -> TradingDay | None:
        """Return the first trading day after a date, ``None`` where the calendar has a hole longer than any break."""
        for _ in range(1, _LONGEST_BREAK.days):
            today += _ONE_DAY
            day = self.trading_day(today)
            if day is not None:
                return day
        return None
