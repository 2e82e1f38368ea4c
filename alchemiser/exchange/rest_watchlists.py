"""The watchlists of the account over REST (section 8.8): by id, and by name under ``/v2/watchlists:by_name?name=``."""

from typing import Any

from aiohttp import web

from alchemiser.exchange.calls import Route
from alchemiser.exchange.engine import Exchange
from alchemiser.exchange.errors import invalid
from alchemiser.exchange.fields import parse_order_id
from alchemiser.exchange.handler import Driver
from alchemiser.exchange.http_forms import answer, read_json

_BY_NAME = "/v2/watchlists:by_name"


class WatchlistApi:
    """The handlers of the watchlists."""

    def __init__(self, *, core: Exchange, driver: Driver) -> None:
        self._core = core
        self._driver = driver

    def routes(self) -> list[Route]:
        """Return method, path and handler of every endpoint."""
        routes: list[Route] = [("GET", "/v2/watchlists", self.all), ("POST", "/v2/watchlists", self.create)]
        for path in (_BY_NAME, "/v2/watchlists/{list_id}"):
            routes += [
                ("GET", path, self.get),
                ("PUT", path, self.update),
                ("POST", path, self.append),
                ("DELETE", path, self.delete),
                ("DELETE", path + "/{symbol}", self.remove),
            ]
        return routes

    async def all(self, request: web.Request) -> web.Response:
        """``GET /v2/watchlists``: without their assets."""
        return answer(self._core.watchlists.all_json())

    async def create(self, request: web.Request) -> web.Response:
        """``POST /v2/watchlists``."""
        body = await read_json(request)
        return answer(self._driver.act(lambda now: self._core.watchlists.create(body, now)))

    async def get(self, request: web.Request) -> web.Response:
        """``GET`` one list, with its assets."""
        return answer(self._core.watchlists.get(**_which(request)))

    async def update(self, request: web.Request) -> web.Response:
        """``PUT``: another name, other symbols."""
        which, body = _which(request), await read_json(request)
        return answer(self._driver.act(lambda now: self._core.watchlists.update(body, now, **which)))

    async def append(self, request: web.Request) -> web.Response:
        """``POST``: one more symbol."""
        which, body = _which(request), await read_json(request)
        return answer(self._driver.act(lambda now: self._core.watchlists.append(body, now, **which)))

    async def remove(self, request: web.Request) -> web.Response:
        """``DELETE`` one symbol of a list."""
        which, symbol = _which(request), request.match_info["symbol"]
        return answer(self._driver.act(lambda now: self._core.watchlists.remove(symbol, now, **which)))

    async def delete(self, request: web.Request) -> web.Response:
        """``DELETE`` a list: 204."""
        which = _which(request)
        self._driver.act(lambda _: self._core.watchlists.delete(**which))
        return web.Response(status=204)


def _which(request: web.Request) -> dict[str, Any]:
    """Return how the request names its list. Raises the 422 of an id that is none, or of a name that is missing."""
    if "list_id" in request.match_info:
        return {"list_id": parse_order_id(request.match_info["list_id"], "watchlist_id")}
    name = request.query.get("name")
    if not name:
        raise invalid("watchlist name is required")
    return {"name": name}
