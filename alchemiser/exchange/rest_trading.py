"""The trading REST API: orders, positions, account, assets, clock and calendar (sections 3 and 8 of the protocol reference).

Thin: a handler reads the request, asks the core through the driver, and writes the answer. What may be done is decided in the core.
"""

from datetime import date, datetime, timedelta
from functools import lru_cache
from itertools import zip_longest
from typing import Any, Final, Literal

from aiohttp import web

from alchemiser.domain.market import Session
from alchemiser.exchange.assets import asset_json
from alchemiser.exchange.calls import AnsweringRoute, Call, Reply, Route, reply
from alchemiser.exchange.engine import Exchange
from alchemiser.exchange.errors import ApiError, bad_request
from alchemiser.exchange.fields import read_choice, read_flag
from alchemiser.exchange.handler import Driver
from alchemiser.exchange.http_forms import answer, choice, day, json_of, words
from alchemiser.exchange.orders import VenueOrder, order_text
from alchemiser.exchange.plain_orders import read_order
from alchemiser.exchange.portfolio_history import parse_history_filter
from alchemiser.exchange.requests import parse_activity_filter, parse_close, parse_order_filter, parse_replace
from alchemiser.exchange.turns import in_turns
from alchemiser.market.calendar import NEW_YORK, TradingCalendar

_ONE_DAY: Final = timedelta(days=1)


class TradingApi:
    """The handlers of the trading API."""

    def __init__(self, *, core: Exchange, driver: Driver, calendar: TradingCalendar) -> None:
        self._core = core
        self._driver = driver
        self._calendar = calendar

    def routes(self) -> list[AnsweringRoute]:
        """Return method, path and answer of every endpoint that answers without awaiting."""
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
            ("GET", "/v2/assets", self.assets),
            ("GET", "/v2/assets/{symbol}", self.asset),
            ("GET", "/v2/clock", self.clock),
            ("GET", "/v2/calendar", self.calendar),
        ]

    def awaiting_routes(self) -> list[Route]:
        """Return method, path and handler of the others."""
        return [("GET", "/v2/account/portfolio/history", self.portfolio_history)]

    # --- orders ---

    def submit(self, call: Call) -> Reply:
        """``POST /v2/orders``."""
        wanted = read_order(call.body)
        return _described(self._driver.act(lambda now: self._core.submit(wanted, now)))

    def replace(self, call: Call) -> Reply:
        """``PATCH /v2/orders/{id}``: answers with the new order."""
        wanted = parse_replace(json_of(call.body))
        order_id = call.parts["order_id"]
        return _described(self._driver.act(lambda now: self._core.replace(order_id, wanted, now)))

    def cancel(self, call: Call) -> Reply:
        """``DELETE /v2/orders/{id}``: 204, and the cancel itself follows on the order stream."""
        order_id = call.parts["order_id"]
        self._driver.act(lambda now: self._core.cancel(order_id, now))
        return Reply(None, 204)

    def cancel_all(self, call: Call) -> Reply:
        """``DELETE /v2/orders``: 207 with one row per order."""
        return reply(self._driver.act(self._core.cancel_all), 207)

    def order(self, call: Call) -> Reply:
        """``GET /v2/orders/{id}``."""
        self._driver.read()
        return _described(self._core.order(call.parts["order_id"]), read_flag(call.query, "nested"))

    def order_by_client_id(self, call: Call) -> Reply:
        """``GET /v2/orders:by_client_order_id``."""
        self._driver.read()
        return _described(self._core.order_by_client_id(call.query.get("client_order_id", "")), read_flag(call.query, "nested"))

    def list_orders(self, call: Call) -> Reply:
        """``GET /v2/orders``."""
        wanted = parse_order_filter(call.query)
        self._driver.read()
        texts = [order_text(order, wanted.nested) for order in self._core.orders(wanted)]
        return Reply(f"[{','.join(texts)}]".encode())

    # --- positions ---

    def positions(self, call: Call) -> Reply:
        """``GET /v2/positions``."""
        self._driver.read()
        return reply(self._core.positions_json())

    def position(self, call: Call) -> Reply:
        """``GET /v2/positions/{symbol_or_asset_id}``."""
        self._driver.read()
        return reply(self._core.position_json(call.parts["symbol"]))

    def close(self, call: Call) -> Reply:
        """``DELETE /v2/positions/{symbol_or_asset_id}``: answers with the market order that closes it."""
        qty, percentage = parse_close(call.query)
        symbol = call.parts["symbol"]
        return _described(self._driver.act(lambda now: self._core.close_position(symbol, now, qty, percentage)))

    def close_all(self, call: Call) -> Reply:
        """``DELETE /v2/positions``: 207 with one row per position."""
        cancel_orders = read_flag(call.query, "cancel_orders")
        return reply(self._driver.act(lambda now: self._core.close_all_positions(now, cancel_orders)), 207)

    # --- account ---

    def account(self, call: Call) -> Reply:
        """``GET /v2/account``."""
        self._driver.read()
        return reply(self._core.account_json())

    def configurations(self, call: Call) -> Reply:
        """``GET /v2/account/configurations``."""
        return reply(self._core.configurations())

    def configure(self, call: Call) -> Reply:
        """``PATCH /v2/account/configurations``: answers with all of them."""
        changes = json_of(call.body)
        if not isinstance(changes, dict):
            raise bad_request("request body format is invalid: expected an object")
        return reply(self._driver.act(lambda _: self._core.configure(changes)))

    def activities(self, call: Call) -> Reply:
        """``GET /v2/account/activities`` and its one-type form."""
        wanted = parse_activity_filter(call.query, call.parts.get("kind"))
        self._driver.read()
        return reply(self._core.activities(wanted))

    async def portfolio_history(self, request: web.Request) -> web.Response:
        """``GET /v2/account/portfolio/history``."""
        wanted = parse_history_filter(request.query)
        return answer(await in_turns(self._core.history_work(self._driver.read(), wanted)))

    # --- assets ---

    def assets(self, call: Call) -> Reply:
        """``GET /v2/assets``, with its filters."""
        query = call.query
        status = read_choice(query, "status", Literal["active", "inactive"]) if query.get("status") else None
        kind = query.get("asset_class") or "us_equity"
        attributes = words(query, "attributes")
        return reply(
            [
                asset_json(asset)
                for asset in self._core.assets.values()
                if kind == "us_equity"
                and (not status or asset.status == status)
                and (not query.get("exchange") or asset.exchange == query["exchange"])
                and all(attribute in asset.attributes for attribute in attributes)
            ]
        )

    def asset(self, call: Call) -> Reply:
        """``GET /v2/assets/{symbol_or_asset_id}``."""
        return reply(asset_json(self._core.asset(call.parts["symbol"])))

    # --- time ---

    def clock(self, call: Call) -> Reply:
        """``GET /v2/clock``: the regular session only, in New York's time."""
        now = self._driver.read()
        current = self._calendar.session_at(now)
        upcoming = self._calendar.next_session(now)
        closes_at = upcoming.closes_at if current is None else current.closes_at
        return reply(
            {
                "timestamp": _new_york(now),
                "is_open": current is not None,
                "next_open": _new_york(upcoming.opens_at),
                "next_close": _new_york(closes_at),
            }
        )

    def calendar(self, call: Call) -> Reply:
        """``GET /v2/calendar``: trading days only, both bounds included."""
        first, last = self._calendar.first_day, self._calendar.last_day
        start, end = day(call.query, "start") or first, day(call.query, "end") or last
        by_settlement = choice(call.query, "date_type", ("TRADING", "SETTLEMENT"), "TRADING") == "SETTLEMENT"
        if start > end:
            raise ApiError(422, 40010001, "end must not be before start")
        # A session settles on the next one; a week holds at least one session, so a week before the bounds is enough.
        sessions = self._calendar.sessions(max(start - 7 * _ONE_DAY, first), min(end + 7 * _ONE_DAY, last))
        rows = []
        for session, following in zip_longest(sessions, sessions[1:]):
            settles_on = session.date + _ONE_DAY if following is None else following.date
            if start <= (settles_on if by_settlement else session.date) <= end:
                rows.append(_calendar_row(session, settles_on))
        return reply(rows)


def _described(order: VenueOrder, nested: bool = True) -> Reply:
    return Reply(order_text(order, nested).encode())


@lru_cache(maxsize=4_096)
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
