"""Control of the exchange under ``/_exchange/``: for tests, drills and demos; not part of Alpaca's protocol, and without credentials.

``GET /_exchange/clock``      ``{"now", "is_open", "session", "speed", "leaps", "can_adjust"}``
``POST /_exchange/clock``     ``{"advance_seconds": N}``, ``{"to": TIMESTAMP}`` or ``{"speed": X}`` (a number, or ``"leap"``);
                              409 when the clock cannot
``POST /_exchange/quote``     ``{"symbol", "bid", "bid_size", "ask", "ask_size"}``: the symbol keeps that quote, whatever its path
                              would do, until the session closes
``DELETE /_exchange/quote``   give ``?symbol=X``, or every symbol, back to its path
``POST /_exchange/halt``      ``{"symbol", "halted": true}``: halt or resume trading of a symbol, with its status message
``GET /_exchange/faults``     what is still waiting to strike
``POST /_exchange/faults``    one fault or a list; the menu is in :mod:`alchemiser.exchange.faults`
``DELETE /_exchange/faults``  forget them all
``GET /_exchange/log``        every request and frame seen, in order, secrets masked; ``?after=N`` leaves out the first N
"""

from datetime import datetime
from typing import Any, Final, Protocol, runtime_checkable

import msgspec
from aiohttp import web

from alchemiser.domain.market import Quote
from alchemiser.domain.runtime import Clock
from alchemiser.exchange.errors import ApiError, bad_request, not_found
from alchemiser.exchange.faults import FaultBook, parse_faults
from alchemiser.exchange.feed import MarketFeed
from alchemiser.exchange.formats import time_text
from alchemiser.exchange.handler import Driver
from alchemiser.exchange.http_forms import answer, moment, read_json, whole_number
from alchemiser.exchange.rest_trading import Route
from alchemiser.exchange.traffic import TrafficLog
from alchemiser.market.calendar import TradingCalendar

LEAP_SPEED: Final = 20.0
"""Market seconds per second while a leaping clock is held."""


@runtime_checkable
class AdjustableClock(Protocol):
    """A clock that can be set forward and run at another speed."""

    @property
    def speed(self) -> float:
        """Market seconds per wall second, leaps aside."""

    @property
    def leaps(self) -> bool:
        """Whether it jumps over quiet stretches."""

    def advance(self, seconds: float) -> None:
        """Jump forward by that many market seconds now."""

    def set_speed(self, speed: float, *, leaps: bool) -> None:
        """Run at another speed from now on; with ``leaps``, jump over quiet stretches."""


class ControlApi:
    """The handlers under ``/_exchange/``."""

    def __init__(
        self, *, driver: Driver, feed: MarketFeed, calendar: TradingCalendar, clock: Clock, faults: FaultBook, traffic: TrafficLog
    ) -> None:
        self._driver = driver
        self._feed = feed
        self._calendar = calendar
        self._clock = clock
        self._faults = faults
        self._traffic = traffic

    def routes(self) -> list[Route]:
        """Return method, path and handler of every endpoint."""
        return [
            ("GET", "/_exchange/clock", self.clock),
            ("POST", "/_exchange/clock", self.adjust_clock),
            ("POST", "/_exchange/quote", self.set_quote),
            ("DELETE", "/_exchange/quote", self.release_quote),
            ("POST", "/_exchange/halt", self.halt),
            ("GET", "/_exchange/faults", self.waiting_faults),
            ("POST", "/_exchange/faults", self.add_faults),
            ("DELETE", "/_exchange/faults", self.clear_faults),
            ("GET", "/_exchange/log", self.log),
        ]

    async def clock(self, request: web.Request) -> web.Response:
        """Tell the market time."""
        return self._time()

    async def adjust_clock(self, request: web.Request) -> web.Response:
        """Set the clock forward or change its speed; everything due in between has happened when the answer comes."""
        match await read_json(request):
            case {"advance_seconds": int() | float() as seconds}:
                self._advance(float(seconds))
            case {"to": str(text)}:
                to = moment({"to": text}, "to")
                assert to is not None
                self._advance((to - self._clock.now()).total_seconds())
            case {"speed": "leap"}:
                self._adjustable().set_speed(LEAP_SPEED, leaps=True)
            case {"speed": int() | float() as speed} if speed > 0:
                self._adjustable().set_speed(float(speed), leaps=False)
            case _:
                raise bad_request('expected {"advance_seconds": N}, {"to": TIMESTAMP} or {"speed": X}')
        return self._time()

    async def set_quote(self, request: web.Request) -> web.Response:
        """Give a symbol a quote of its own."""
        match await read_json(request):
            case {
                "symbol": str(symbol),
                "bid": int() | float() as bid,
                "bid_size": int() | float() as bid_size,
                "ask": int() | float() as ask,
                "ask_size": int() | float() as ask_size,
            } if min(bid, bid_size, ask, ask_size) >= 0:
                self._require(symbol)
            case _:
                raise bad_request("expected symbol, and bid, bid_size, ask, ask_size as numbers that are not negative")

        def change(now: datetime) -> Quote:
            quote = Quote(symbol=symbol, bid=bid, bid_size=bid_size, ask=ask, ask_size=ask_size, at=now)
            self._feed.pin(quote, now)
            return quote

        return answer(msgspec.to_builtins(self._driver.act(change)))

    async def release_quote(self, request: web.Request) -> web.Response:
        """Give one symbol, or all, back to the path of the market."""
        symbol = request.query.get("symbol")
        if symbol is not None:
            self._require(symbol)
        self._driver.act(lambda now: self._feed.unpin(symbol, now))
        return web.Response(status=204)

    async def halt(self, request: web.Request) -> web.Response:
        """Halt or resume trading of a symbol."""
        match await read_json(request):
            case {"symbol": str(symbol), "halted": bool(halted)}:
                self._require(symbol)
            case _:
                raise bad_request('expected {"symbol": TEXT, "halted": true or false}')
        self._driver.act(lambda now: self._feed.halt(symbol, halted, now))
        return answer({"symbol": symbol, "halted": halted})

    async def waiting_faults(self, request: web.Request) -> web.Response:
        """Return the faults that have not been used up."""
        return self._fault_list()

    async def add_faults(self, request: web.Request) -> web.Response:
        """Plan faults; those that strike by themselves and are due do so at once."""
        try:
            faults = parse_faults(await read_json(request))
        except ValueError as error:
            raise bad_request(str(error)) from error
        self._faults.add(faults)
        self._driver.read()
        self._driver.wake()
        return self._fault_list()

    async def clear_faults(self, request: web.Request) -> web.Response:
        """Forget all faults."""
        self._faults.clear()
        return web.Response(status=204)

    async def log(self, request: web.Request) -> web.Response:
        """Return what was seen, oldest first."""
        after = whole_number(request.query, "after", low=0, high=999_999_999, default=0)
        return answer([entry for entry in self._traffic.entries if entry["seq"] > after])

    def _advance(self, seconds: float) -> None:
        if seconds < 0:
            raise bad_request("market time never goes back")
        self._adjustable().advance(seconds)
        self._driver.read()
        self._driver.wake()

    def _adjustable(self) -> AdjustableClock:
        if not isinstance(self._clock, AdjustableClock):
            raise ApiError(409, None, f"the clock of this exchange ({type(self._clock).__name__}) cannot be adjusted")
        return self._clock

    def _time(self) -> web.Response:
        now = self._driver.read()
        session = self._calendar.session_at(now)
        adjustable = self._clock if isinstance(self._clock, AdjustableClock) else None
        return answer(
            {
                "now": time_text(now),
                "is_open": session is not None,
                "session": None if session is None else session.date.isoformat(),
                "speed": 1.0 if adjustable is None else adjustable.speed,
                "leaps": adjustable is not None and adjustable.leaps,
                "can_adjust": adjustable is not None,
            }
        )

    def _fault_list(self) -> web.Response:
        return answer([msgspec.to_builtins(fault) for fault in self._faults.waiting()])

    def _require(self, symbol: Any) -> None:
        if symbol not in self._feed.symbols:
            raise not_found(f"symbol not found: {symbol}")
