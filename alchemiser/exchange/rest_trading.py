"""The trading REST API: orders, positions, account, assets, clock and calendar (sections 3 and 8 of the protocol reference).

Thin: a handler reads the request, asks the core through the driver, and writes the answer. What may be done is decided in the core.
"""

from collections.abc import Awaitable, Callable
from datetime import date, datetime, timedelta
from itertools import zip_longest
from typing import Any, Final, Literal

from aiohttp import web

from alchemiser.domain.market import Session
from alchemiser.exchange.assets import asset_json
from alchemiser.exchange.engine import Exchange
from alchemiser.exchange.errors import ApiError, bad_request
from alchemiser.exchange.fields import read_choice
from alchemiser.exchange.handler import Driver
from alchemiser.exchange.http_forms import answer, choice, day, flag, read_json, words
from alchemiser.exchange.orders import order_json
from alchemiser.exchange.portfolio_history import parse_history_filter
from alchemiser.exchange.requests import parse_activity_filter, parse_close, parse_order, parse_order_filter, parse_replace
from alchemiser.market.calendar import NEW_YORK, TradingCalendar

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Route = tuple[str, str, Handler]

_ONE_DAY: Final = timedelta(days=1)


class TradingApi:
    """The handlers of the trading API."""

    def __init__(self, *, core: Exchange, driver: Driver, calendar: TradingCalendar) -> None:
        self._core = core
        self._driver = driver
        self._calendar = calendar

    def routes(self) -> list[Route]:
        """Return method, path and handler of every endpoint; paths in the syntax of aiohttp."""
        return [
            ("POST", "/v2/orders", self.submit),
            ("GET", "/v2/orders", self.list_orders),
            ("DELETE", "/v2/orders", self.cancel_all),
            ("GET", "/v2/orders:by_client_order_id", self.order_by_client_id),
            ("GET", "/v2/orders/{order_id}", self.order),
            ("PATCH", "/v2/orders/{order_id}", self.replace),
            ("DELETE", "/v2/orders/{order_id}", self.cancel),
            ("GET", "/v2/positions", self.positions),
            ("DELETE", "/v2/positions", self.close_all),
            ("GET", "/v2/positions/{symbol}", self.position),
            ("DELETE", "/v2/positions/{symbol}", self.close),
            ("GET", "/v2/account", self.account),
            ("GET", "/v2/account/configurations", self.configurations),
            ("PATCH", "/v2/account/configurations", self.configure),
            ("GET", "/v2/account/activities", self.activities),
            ("GET", "/v2/account/activities/{kind}", self.activities),
            ("GET", "/v2/account/portfolio/history", self.portfolio_history),
            ("GET", "/v2/assets", self.assets),
            ("GET", "/v2/assets/{symbol}", self.asset),
            ("GET", "/v2/clock", self.clock),
            ("GET", "/v2/calendar", self.calendar),
        ]

    # --- orders ---

    async def submit(self, request: web.Request) -> web.Response:
        """``POST /v2/orders``."""
        wanted = parse_order(await read_json(request))
        return answer(order_json(self._driver.act(lambda now: self._core.submit(wanted, now))))

    async def replace(self, request: web.Request) -> web.Response:
        """``PATCH /v2/orders/{id}``: answers with the new order."""
        wanted = parse_replace(await read_json(request))
        order_id = request.match_info["order_id"]
        return answer(order_json(self._driver.act(lambda now: self._core.replace(order_id, wanted, now))))

    async def cancel(self, request: web.Request) -> web.Response:
        """``DELETE /v2/orders/{id}``: 204, and the cancel itself follows on the order stream."""
        order_id = request.match_info["order_id"]
        self._driver.act(lambda now: self._core.cancel(order_id, now))
        return web.Response(status=204)

    async def cancel_all(self, request: web.Request) -> web.Response:
        """``DELETE /v2/orders``: 207 with one row per order."""
        return answer(self._driver.act(self._core.cancel_all), 207)

    async def order(self, request: web.Request) -> web.Response:
        """``GET /v2/orders/{id}``."""
        self._driver.read()
        return answer(order_json(self._core.order(request.match_info["order_id"]), flag(request.query, "nested")))

    async def order_by_client_id(self, request: web.Request) -> web.Response:
        """``GET /v2/orders:by_client_order_id``."""
        self._driver.read()
        return answer(order_json(self._core.order_by_client_id(request.query.get("client_order_id", "")), flag(request.query, "nested")))

    async def list_orders(self, request: web.Request) -> web.Response:
        """``GET /v2/orders``."""
        wanted = parse_order_filter(request.query)
        self._driver.read()
        return answer([order_json(order, wanted.nested) for order in self._core.orders(wanted)])

    # --- positions ---

    async def positions(self, request: web.Request) -> web.Response:
        """``GET /v2/positions``."""
        self._driver.read()
        return answer(self._core.positions_json())

    async def position(self, request: web.Request) -> web.Response:
        """``GET /v2/positions/{symbol_or_asset_id}``."""
        self._driver.read()
        return answer(self._core.position_json(request.match_info["symbol"]))

    async def close(self, request: web.Request) -> web.Response:
        """``DELETE /v2/positions/{symbol_or_asset_id}``: answers with the market order that closes it."""
        qty, percentage = parse_close(request.query)
        symbol = request.match_info["symbol"]
        return answer(order_json(self._driver.act(lambda now: self._core.close_position(symbol, now, qty, percentage))))

    async def close_all(self, request: web.Request) -> web.Response:
        """``DELETE /v2/positions``: 207 with one row per position."""
        cancel_orders = flag(request.query, "cancel_orders")
        return answer(self._driver.act(lambda now: self._core.close_all_positions(now, cancel_orders)), 207)

    # --- account ---

    async def account(self, request: web.Request) -> web.Response:
        """``GET /v2/account``."""
        self._driver.read()
        return answer(self._core.account_json())

    async def configurations(self, request: web.Request) -> web.Response:
        """``GET /v2/account/configurations``."""
        return answer(self._core.configurations())

    async def configure(self, request: web.Request) -> web.Response:
        """``PATCH /v2/account/configurations``: answers with all of them."""
        changes = await read_json(request)
        if not isinstance(changes, dict):
            raise bad_request("request body format is invalid: expected an object")
        return answer(self._driver.act(lambda _: self._core.configure(changes)))

    async def activities(self, request: web.Request) -> web.Response:
        """``GET /v2/account/activities`` and its one-type form."""
        wanted = parse_activity_filter(request.query, request.match_info.get("kind"))
        self._driver.read()
        return answer(self._core.activities(wanted))

    async def portfolio_history(self, request: web.Request) -> web.Response:
        """``GET /v2/account/portfolio/history``."""
        wanted = parse_history_filter(request.query)
        return answer(self._core.portfolio_history(self._driver.read(), wanted))

    # --- assets ---

    async def assets(self, request: web.Request) -> web.Response:
        """``GET /v2/assets``, with its filters."""
        query = request.query
        status = read_choice(query, "status", Literal["active", "inactive"]) if query.get("status") else None
        kind = query.get("asset_class") or "us_equity"
        attributes = words(query, "attributes")
        return answer(
            [
                asset_json(asset)
                for asset in self._core.assets.values()
                if kind == "us_equity"
                and (not status or asset.status == status)
                and (not query.get("exchange") or asset.exchange == query["exchange"])
                and all(attribute in asset.attributes for attribute in attributes)
            ]
        )

    async def asset(self, request: web.Request) -> web.Response:
        """``GET /v2/assets/{symbol_or_asset_id}``."""
        return answer(asset_json(self._core.asset(request.match_info["symbol"])))

    # --- time ---

    async def clock(self, request: web.Request) -> web.Response:
        """``GET /v2/clock``: the regular session only, in New York's time."""
        now = self._driver.read()
        current = self._calendar.session_at(now)
        upcoming = self._calendar.next_session(now)
        closes_at = upcoming.closes_at if current is None else current.closes_at
        return answer(
            {
                "timestamp": _new_york(now),
                "is_open": current is not None,
                "next_open": _new_york(upcoming.opens_at),
                "next_close": _new_york(closes_at),
            }
        )

    async def calendar(self, request: web.Request) -> web.Response:
        """``GET /v2/calendar``: trading days only, both bounds included."""
        first, last = self._calendar.first_day, self._calendar.last_day
        start, end = day(request.query, "start") or first, day(request.query, "end") or last
        by_settlement = choice(request.query, "date_type", ("TRADING", "SETTLEMENT"), "TRADING") == "SETTLEMENT"
        if start > end:
            raise ApiError(422, 40010001, "end must not be before start")
        # A session settles on the next one; a week holds at least one session, so a week before the bounds is enough.
        sessions = self._calendar.sessions(max(start - 7 * _ONE_DAY, first), min(end + 7 * _ONE_DAY, last))
        rows = []
        for session, following in zip_longest(sessions, sessions[1:]):
            settles_on = session.date + _ONE_DAY if following is None else following.date
            if start <= (settles_on if by_settlement else session.date) <= end:
                rows.append(_calendar_row(session, settles_on))
        return answer(rows)


def _calendar_row(session: Session, settles_on: date) -> dict[str, Any]:
    opens, closes = session.opens_at.astimezone(NEW_YORK), session.closes_at.astimezone(NEW_YORK)
    return {
        "date": session.date.isoformat(),
        "open": f"{opens:%H:%M}",
        "close": f"{closes:%H:%M}",
        "session_open": "0400",
        "session_close": "2000",
        "settlement_date": settles_on.isoformat(),
    }


def _new_york(at: datetime) -> str:
    return at.astimezone(NEW_YORK).isoformat()
