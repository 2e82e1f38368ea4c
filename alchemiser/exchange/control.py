"""Control of the exchange under ``/_exchange/``: for tests, drills and demos; not part of Alpaca's protocol, and without credentials.

``GET /_exchange/clock``      ``{"now", "is_open", "session", "speed", "leaps", "can_adjust"}``
``POST /_exchange/clock``     ``{"advance_seconds": N}``, ``{"to": TIMESTAMP}`` or ``{"speed": X}`` (a number, or ``"leap"``);
                              409 when the clock cannot
``POST /_exchange/quote``     ``{"symbol", "bid", "bid_size", "ask", "ask_size"}``: the symbol keeps that quote, whatever its path
                              would do, until the session closes
``DELETE /_exchange/quote``   give ``?symbol=X``, or every symbol, back to its path
``POST /_exchange/trade``     ``{"symbol", "price", "size"}``: print a trade
``POST /_exchange/correction``  ``{"symbol", "price"}`` and perhaps ``"size"``: the last trade was another one; its bar is updated
``POST /_exchange/cancel-trade``  ``{"symbol"}`` and perhaps ``"action"`` (``C`` or ``E``): the last trade never was
``POST /_exchange/bust``      ``{"execution_id"}`` or ``{"symbol"}``, whose last one is meant: break an execution of the account
``POST /_exchange/correct``   the same with ``"price"``, ``"qty"`` or both: the execution was another one
``POST /_exchange/halt``      ``{"symbol", "halted": true}``: halt or resume trading of a symbol, with its status message
``POST /_exchange/bands``     ``{"symbol", "down", "up"}``: the limit band until the market moves it; without prices it is lifted
``POST /_exchange/borrow``    ``{"symbol", "easy": false}``: make a symbol hard, or easy, to borrow
``POST /_exchange/asset``     ``{"symbol"}`` and any of ``"status"``, ``"tradable"``, ``"shortable"``, ``"easy_to_borrow"``,
                              ``"fractionable"``, ``"attributes"``: what may be done with a symbol from now on
``GET /_exchange/margin``     ``{"call", "frozen_until"}``: the margin call that is open, and until when the account is frozen
``POST /_exchange/account``   ``{"blocked", "trading_blocked", "transfers_blocked"}``: block the account as the broker would
``POST /_exchange/corporate-actions``  groups of rows as ``GET /v1/corporate-actions`` answers them: each takes effect on its ex-date
``GET /_exchange/faults``     what is still waiting to strike
``POST /_exchange/faults``    one fault or a list; the menu is in :mod:`alchemiser.exchange.faults`
``DELETE /_exchange/faults``  forget them all
``GET /_exchange/log``        every request and frame seen, in order, secrets masked; ``?after=N`` leaves out the first N
"""

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Final, Literal, TypeVar

import msgspec
from aiohttp import web

from alchemiser.domain.errors import DataError
from alchemiser.domain.market import Quote
from alchemiser.domain.runtime import Clock
from alchemiser.exchange.assets import AssetChange, asset_json
from alchemiser.exchange.calls import Route
from alchemiser.exchange.engine import Exchange
from alchemiser.exchange.errors import ApiError, bad_request, not_found
from alchemiser.exchange.fault_menu import MOST_SECONDS, check_symbols, parse_faults
from alchemiser.exchange.faults import FaultBook
from alchemiser.exchange.feed import MarketFeed
from alchemiser.exchange.formats import time_text
from alchemiser.exchange.handler import AdjustableClock, Driver
from alchemiser.exchange.http_forms import answer, moment, read_json, whole_number
from alchemiser.exchange.issuer_actions import actions_of
from alchemiser.exchange.orders import order_json
from alchemiser.exchange.path import TapePrint
from alchemiser.exchange.traffic import TrafficLog
from alchemiser.market.calendar import TradingCalendar

LEAP_SPEED: Final = 20.0
"""Market seconds per second while a leaping clock is held."""

_LEAST_SPEED: Final = 0.001
_MOST_SPEED: Final = 1_000_000
_LARGEST_NUMBER: Final = 1_000_000_000
Positive = Annotated[float, msgspec.Meta(gt=0, le=1_000_000)]
_Price = Annotated[float, msgspec.Meta(ge=0, le=1_000_000)]
_Size = Annotated[float, msgspec.Meta(ge=0, le=1_000_000_000)]


class SetQuote(msgspec.Struct, forbid_unknown_fields=True):
    """A quote that a symbol is to have; a price of zero is a side without anybody."""

    symbol: str
    bid: _Price
    bid_size: _Size
    ask: _Price
    ask_size: _Size


class PrintTrade(msgspec.Struct, forbid_unknown_fields=True):
    """A trade that is printed."""

    symbol: str
    price: Positive
    size: Annotated[int, msgspec.Meta(ge=1, le=1_000_000_000)]


class CorrectTrade(msgspec.Struct, forbid_unknown_fields=True):
    """What the last trade really was."""

    symbol: str
    price: Positive
    size: Annotated[int, msgspec.Meta(ge=1, le=1_000_000_000)] | None = None


class CancelTrade(msgspec.Struct, forbid_unknown_fields=True):
    """A trade that never was: cancelled, or an error."""

    symbol: str
    action: Literal["C", "E"] = "C"


class BustExecution(msgspec.Struct, forbid_unknown_fields=True):
    """An execution that is broken; without its id the last one that stands, of the symbol or of any."""

    execution_id: str | None = None
    symbol: str | None = None


class CorrectExecution(BustExecution, forbid_unknown_fields=True):
    """What an execution really was."""

    price: Decimal | None = None
    qty: Decimal | None = None


class SetBands(msgspec.Struct, forbid_unknown_fields=True):
    """A limit band."""

    symbol: str
    down: Positive | None = None
    up: Positive | None = None


class SetBorrow(msgspec.Struct, forbid_unknown_fields=True):
    """Whether a symbol is easy to borrow."""

    symbol: str
    easy: bool = False


class ChangeAsset(AssetChange, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What may be done with a symbol; what is left out stays as it is."""

    symbol: str


class BlockAccount(msgspec.Struct, forbid_unknown_fields=True):
    """What the broker blocks; what is left out stays as it is."""

    blocked: bool | None = None
    trading_blocked: bool | None = None
    transfers_blocked: bool | None = None


R = TypeVar("R")
A = TypeVar("A", SetQuote, PrintTrade, CorrectTrade, CancelTrade, SetBands, SetBorrow, ChangeAsset)


class ControlApi:
    """The handlers under ``/_exchange/``."""

    def __init__(
        self,
        *,
        core: Exchange,
        driver: Driver,
        feed: MarketFeed,
        calendar: TradingCalendar,
        clock: Clock,
        faults: FaultBook,
        traffic: TrafficLog,
    ) -> None:
        self._core = core
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
            ("POST", "/_exchange/trade", self.print_trade),
            ("POST", "/_exchange/correction", self.correct_trade),
            ("POST", "/_exchange/cancel-trade", self.cancel_trade),
            ("POST", "/_exchange/bust", self.bust),
            ("POST", "/_exchange/correct", self.correct),
            ("POST", "/_exchange/halt", self.halt),
            ("POST", "/_exchange/bands", self.set_bands),
            ("POST", "/_exchange/borrow", self.borrow),
            ("POST", "/_exchange/asset", self.change_asset),
            ("GET", "/_exchange/margin", self.margin),
            ("POST", "/_exchange/account", self.block),
            ("POST", "/_exchange/corporate-actions", self.announce),
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
            case {"speed": int() | float() as speed} if _LEAST_SPEED <= speed <= _MOST_SPEED:
                self._adjustable().set_speed(float(speed), leaps=False)
            case _:
                raise bad_request('expected {"advance_seconds": N}, {"to": TIMESTAMP} or {"speed": X}')
        return self._time()

    async def set_quote(self, request: web.Request) -> web.Response:
        """Give a symbol a quote of its own."""
        asked = await self._asked(request, SetQuote)

        def change(now: datetime) -> Quote:
            quote = Quote(symbol=asked.symbol, bid=asked.bid, bid_size=asked.bid_size, ask=asked.ask, ask_size=asked.ask_size, at=now)
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

    async def print_trade(self, request: web.Request) -> web.Response:
        """Print a trade."""
        asked = await self._asked(request, PrintTrade)
        trade = self._driver.act(lambda now: self._feed.print_trade(asked.symbol, asked.price, asked.size, now))
        return answer(msgspec.to_builtins(trade))

    async def correct_trade(self, request: web.Request) -> web.Response:
        """Correct the last trade of a symbol."""
        asked = await self._asked(request, CorrectTrade)
        return self._trade(asked.symbol, lambda now: self._feed.correct_trade(asked.symbol, asked.price, asked.size, now))

    async def cancel_trade(self, request: web.Request) -> web.Response:
        """Cancel the last trade of a symbol."""
        asked = await self._asked(request, CancelTrade)
        return self._trade(asked.symbol, lambda now: self._feed.cancel_trade(asked.symbol, asked.action, now))

    async def bust(self, request: web.Request) -> web.Response:
        """Break an execution."""
        asked = await _read(request, BustExecution)
        execution_id = self._execution(asked)
        return answer(order_json(self._driver.act(lambda now: self._core.bust(execution_id, now))))

    async def correct(self, request: web.Request) -> web.Response:
        """Correct an execution."""
        asked = await _read(request, CorrectExecution)
        for number in (asked.price, asked.qty):
            if number is not None and not (number.is_finite() and 0 < number <= _LARGEST_NUMBER):
                raise bad_request("expected price and qty as positive numbers")
        execution_id = self._execution(asked)
        return answer(
            order_json(self._driver.act(lambda now: self._core.correct(execution_id, now, price=asked.price, quantity=asked.qty)))
        )

    async def set_bands(self, request: web.Request) -> web.Response:
        """Set or lift the limit band of a symbol."""
        asked = await self._asked(request, SetBands)
        band = None if asked.down is None or asked.up is None else (asked.down, asked.up)
        if band is not None and band[0] > band[1]:
            raise bad_request("expected down not above up")
        self._driver.act(lambda now: self._feed.set_bands(asked.symbol, band, now))
        return answer(msgspec.to_builtins(asked))

    async def borrow(self, request: web.Request) -> web.Response:
        """Make a symbol hard or easy to borrow."""
        asked = await self._asked(request, SetBorrow)
        self._driver.act(lambda now: self._core.on_asset(asked.symbol, AssetChange(easy_to_borrow=asked.easy), now))
        return answer(msgspec.to_builtins(asked))

    async def change_asset(self, request: web.Request) -> web.Response:
        """Change what may be done with a symbol."""
        asked = await self._asked(request, ChangeAsset)
        fields = msgspec.structs.asdict(asked)
        symbol = fields.pop("symbol")
        self._driver.act(lambda now: self._core.on_asset(symbol, AssetChange(**fields), now))
        return answer(asset_json(self._core.asset(symbol)))

    async def margin(self, request: web.Request) -> web.Response:
        """Tell what the broker calls for."""
        self._driver.read()
        return answer(msgspec.to_builtins(self._core.margin))

    async def block(self, request: web.Request) -> web.Response:
        """Block the account, or a part of what it may do."""
        asked = await _read(request, BlockAccount)
        self._driver.act(
            lambda _: self._core.block(account=asked.blocked, trading=asked.trading_blocked, transfers=asked.transfers_blocked)
        )
        return answer(self._core.account_json())

    async def announce(self, request: web.Request) -> web.Response:
        """Schedule corporate actions."""
        groups = await _read(request, dict[str, list[dict[str, Any]]])
        try:
            actions = actions_of(groups)
            self._driver.announce(groups, actions)
        except (DataError, ValueError, ArithmeticError) as error:
            raise bad_request(str(error)) from error
        return answer({"corporate_actions": groups})

    async def waiting_faults(self, request: web.Request) -> web.Response:
        """Return the faults that have not been used up."""
        return self._fault_list()

    async def add_faults(self, request: web.Request) -> web.Response:
        """Plan faults; those that strike by themselves and are due do so at once."""
        try:
            faults = parse_faults(await read_json(request))
            check_symbols(faults, self._feed.symbols)
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

    async def _asked(self, request: web.Request, kind: type[A]) -> A:
        asked = await _read(request, kind)
        self._require(asked.symbol)
        return asked

    def _execution(self, asked: BustExecution) -> str:
        self._driver.read()
        found = asked.execution_id or self._core.last_execution(asked.symbol)
        if found is None:
            raise not_found("no execution yet")
        return found

    def _trade(self, symbol: str, change: Callable[[datetime], TapePrint | None]) -> web.Response:
        trade = self._driver.act(change)
        if trade is None:
            raise not_found(f"no trade of {symbol} yet")
        return answer(msgspec.to_builtins(trade))

    def _advance(self, seconds: float) -> None:
        if not 0 <= seconds <= MOST_SECONDS:
            raise bad_request("market time never goes back, and not further ahead than a year at once")
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


async def _read(request: web.Request, kind: type[R]) -> R:
    """Return a body as what it is to be. Raises the 400 of one that is something else."""
    try:
        return msgspec.convert(await read_json(request), kind)
    except msgspec.ValidationError as error:
        raise bad_request(str(error)) from error
