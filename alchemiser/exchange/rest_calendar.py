"""Clock and calendar of version 3, by market and with the phases of the day (section 8.5 of the protocol reference).

The two markets of US equities are known; both keep the hours of section 9.1. Where the overnight phase is not played the market is closed
then. The shapes are those that public clients of these endpoints decode.
"""

from datetime import date, datetime, timedelta
from typing import Any, Final

from aiohttp import web

from alchemiser.exchange.calls import Route
from alchemiser.exchange.errors import bad_request, not_found
from alchemiser.exchange.handler import Driver
from alchemiser.exchange.http_forms import answer, day, moment, words
from alchemiser.exchange.timeline import Phase, Timeline, TradingDay
from alchemiser.market.calendar import NEW_YORK, TradingCalendar, new_york_date

_ONE_DAY: Final = timedelta(days=1)
_WEEK: Final = timedelta(days=7)
_MARKETS: Final = {
    "NYSE": {"mic": "XNYS", "bic": None, "acronym": "NYSE", "name": "New York Stock Exchange", "timezone": "America/New_York"},
    "NASDAQ": {"mic": "XNAS", "bic": None, "acronym": "NASDAQ", "name": "Nasdaq Stock Market", "timezone": "America/New_York"},
}
_PHASES: Final = {
    Phase.PRE_MARKET: "pre",
    Phase.REGULAR: "core",
    Phase.AFTER_HOURS: "post",
    Phase.CLOSED: "closed",
    Phase.OVERNIGHT: "overnight",
}


class CalendarApi:
    """The handlers of ``/v3/clock`` and ``/v3/calendar``."""

    def __init__(self, *, driver: Driver, calendar: TradingCalendar, overnight: bool) -> None:
        self._driver = driver
        self._calendar = calendar
        self._timeline = Timeline(
            lambda on: calendar.session(on) if calendar.first_day <= on <= calendar.last_day else None, overnight=overnight
        )

    def routes(self) -> list[Route]:
        """Return method, path and handler of every endpoint."""
        return [("GET", "/v3/clock", self.clock), ("GET", "/v3/calendar/{market}", self.calendar)]

    async def clock(self, request: web.Request) -> web.Response:
        """``GET /v3/clock``: which phase each market is in now, or at ``time``, and until when."""
        now = self._driver.read()
        at = moment(request.query, "time") or now
        names = [name.upper() for name in words(request.query, "markets")] or list(_MARKETS)
        if not set(names) <= set(_MARKETS):
            raise bad_request(f"invalid markets: expected some of {', '.join(_MARKETS)}")
        if not self._calendar.first_day <= new_york_date(at) <= self._calendar.last_day - _WEEK:
            raise bad_request(f"time is outside of the calendar, which goes from {self._calendar.first_day} to {self._calendar.last_day}")
        return answer({"clocks": [{"market": _MARKETS[name], **self._clock(at)} for name in dict.fromkeys(names)]})

    async def calendar(self, request: web.Request) -> web.Response:
        """``GET /v3/calendar/{market}``: its trading days, both bounds included; a week from today unless told otherwise."""
        market = _MARKETS.get(request.match_info["market"].upper())
        if market is None:
            raise not_found(f"market not found: {request.match_info['market'][:40]}")
        today = new_york_date(self._driver.read())
        start = day(request.query, "start") or today
        end = day(request.query, "end") or min(start, self._calendar.last_day - _WEEK) + _WEEK
        if start > end:
            raise bad_request("end must not be before start")
        rows = [row for row in self._rows(max(start, self._calendar.first_day), end) if row["date"] <= end.isoformat()]
        return answer({"market": market, "calendar": rows})

    def _rows(self, start: date, end: date) -> list[dict[str, Any]]:
        """Return the days from ``start`` to a little behind ``end``: a session settles on the next one, never more than a week later."""
        last = min(end, self._calendar.last_day - _WEEK) + _WEEK
        if start > last:
            return []
        sessions = self._calendar.sessions(start, last)
        days = [found for session in sessions if (found := self._timeline.trading_day(session.date)) is not None]
        return [_row(each, then) for each, then in zip(days, [*(found.on for found in days[1:]), None], strict=True)]

    def _clock(self, at: datetime) -> dict[str, Any]:
        today, upcoming = self._timeline.trading_day(new_york_date(at)), self._calendar.next_session(at)
        current = self._calendar.session_at(at)
        ahead = self._timeline.day_ending_after(at)
        phase = Phase.CLOSED if ahead is None else ahead.phase(at)
        return {
            "timestamp": _local(at),
            "is_market_day": today is not None,
            "next_market_open": _local(upcoming.opens_at),
            "next_market_close": _local(upcoming.closes_at if current is None else current.closes_at),
            "phase": _PHASES[phase],
            "phase_until": None if ahead is None else _local(_end_of(phase, ahead)),
        }


def _end_of(phase: Phase, day: TradingDay) -> datetime:
    ends = {Phase.PRE_MARKET: day.opens_at, Phase.REGULAR: day.closes_at, Phase.AFTER_HOURS: day.after_hours_close_at}
    if phase is Phase.CLOSED and day.overnight_opens_at is not None:
        return day.overnight_opens_at
    return ends.get(phase, day.pre_market_opens_at)


def _row(day: TradingDay, settles_on: date | None) -> dict[str, Any]:
    return {
        "date": day.on.isoformat(),
        "pre_start": _local(day.pre_market_opens_at),
        "pre_end": _local(day.opens_at),
        "core_start": _local(day.opens_at),
        "core_end": _local(day.closes_at),
        "post_start": _local(day.closes_at),
        "post_end": _local(day.after_hours_close_at),
        "settlement_date": (day.on + _ONE_DAY if settles_on is None else settles_on).isoformat(),
    }


def _local(at: datetime) -> str:
    return at.astimezone(NEW_YORK).isoformat()
