"""The day after Thanksgiving, chosen by its date: it closes at one, and everything that hangs on the close comes three hours earlier."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date
from typing import Any

import aiohttp
import pytest

from tests.protocol.exchange.test_command import Serving
from tests.protocol.exchange.test_market_stream import opened, said

HALF_DAY = date(2024, 11, 29)


class Venue:
    """The exchange that the command serves, two sessions from the half day on."""

    def __init__(self, line: dict[str, str], http: aiohttp.ClientSession) -> None:
        self.line = line
        self.http = http

    async def call(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Return status and JSON of a request."""
        async with self.http.request(method, self.line["rest"] + path, json=body) as response:
            return response.status, await response.json()

    async def at(self, clock: str) -> None:
        """Go to a time of the half day in UTC; New York is five hours behind."""
        status, answer = await self.call("POST", "/_exchange/clock", {"to": f"{HALF_DAY}T{clock}Z"})
        assert status == 200, answer

    async def order(self, **fields: Any) -> tuple[int, Any]:
        """Send an order for a share of SPY."""
        return await self.call("POST", "/v2/orders", {"symbol": "SPY", "qty": "1", "side": "buy", "type": "market", **fields})

    async def order_now(self, order: dict[str, Any]) -> dict[str, Any]:
        """Return what became of an order."""
        _, answer = await self.call("GET", f"/v2/orders/{order['id']}")
        assert isinstance(answer, dict)
        return answer


@asynccontextmanager
async def half_day(**options: Any) -> AsyncIterator[Venue]:
    # A hundredth of the usual speed: a busy machine does not carry the market past the second that a test has set.
    async with Serving(day=HALF_DAY, days=2, speed=0.01, **options) as serving:
        line = json.loads(serving.lines[0])
        headers = {"APCA-API-KEY-ID": line["key_id"], "APCA-API-SECRET-KEY": line["secret_key"]}
        async with aiohttp.ClientSession(headers=headers) as http:
            yield Venue(line, http)


async def test_clock_and_calendar_say_so() -> None:
    """8.5: the clock names the early close and then Monday's open; the calendar shows 13:00."""
    async with half_day() as venue:
        _, clock = await venue.call("GET", "/v2/clock")
        assert (clock["is_open"], clock["next_close"]) == (True, "2024-11-29T13:00:00-05:00")
        _, days = await venue.call("GET", "/v2/calendar?start=2024-11-29&end=2024-12-02")
        assert [(day["date"], day["close"]) for day in days] == [("2024-11-29", "13:00"), ("2024-12-02", "16:00")]
        await venue.at("18:00:00")
        _, clock = await venue.call("GET", "/v2/clock")
        assert (clock["is_open"], clock["next_open"]) == (False, "2024-12-02T09:30:00-05:00")


@pytest.mark.parametrize(("minutes", "last", "cut_off"), [("10", "17:49:59", "17:50:00"), ("5", "17:54:59", "17:55:00")])
async def test_the_cut_off_of_closing_orders_shifts(minutes: str, last: str, cut_off: str) -> None:
    """4.3: ten, or by the switch five, minutes before one o'clock; what came in time trades in the closing auction at one."""
    async with half_day(switches={"cls_cut_off_minutes": minutes}) as venue:
        await venue.at(last)
        status, order = await venue.order(time_in_force="cls")
        assert status == 200, order
        await venue.at(cut_off)
        status, refusal = await venue.order(time_in_force="cls")
        assert status in (403, 422)
        assert f"before 12:{60 - int(minutes)}pm" in refusal["message"]
        await venue.at("17:59:59")
        assert (await venue.order_now(order))["status"] in ("accepted", "new")
        await venue.at("18:00:00")
        filled = await venue.order_now(order)
        assert (filled["status"], filled["filled_at"][:19]) == ("filled", "2024-11-29T18:00:00")


async def test_orders_of_the_day_end_at_one() -> None:
    """4.1: a day order expires with the short session, one sent after it waits for Monday, and extended hours begin at once."""
    async with half_day() as venue:
        _, far = await venue.order(type="limit", limit_price="1", time_in_force="day")
        await venue.at("17:59:59")
        assert (await venue.order_now(far))["status"] == "new"
        await venue.at("18:00:00")
        ended = await venue.order_now(far)
        assert (ended["status"], ended["expired_at"][:19]) == ("expired", "2024-11-29T18:00:00")
        _, late = await venue.order(time_in_force="day")
        assert late["status"] == "accepted"
        _, evening = await venue.order(type="limit", limit_price="1", time_in_force="day", extended_hours=True)
        await venue.at("18:00:05")
        assert (await venue.order_now(evening))["status"] == "new"


async def test_the_market_stops_at_one() -> None:
    """6.4 and 7.2: imbalances from ten to one, the last minute bar at 12:59, the closing auction at one, and a whole day's bar of it."""
    async with half_day() as venue, venue.http.ws_connect(venue.line["data_stream"]) as socket:
        await opened(socket, imbalances=["SPY"])
        await venue.at("17:49:30")
        await venue.at("17:50:30")
        (imbalance,) = await said(socket)
        assert (imbalance["T"], imbalance["t"][:19]) == ("i", "2024-11-29T17:50:00")
        await venue.at("20:30:00")
        _, bars = await venue.call("GET", "/v2/stocks/SPY/bars?timeframe=1Min&start=2024-11-29&limit=10000")
        assert [bars["bars"][place]["t"] for place in (0, -1)] == ["2024-11-29T14:30:00Z", "2024-11-29T17:59:00Z"]
        _, auctions = await venue.call("GET", "/v2/stocks/SPY/auctions?start=2024-11-29")
        (closing,) = auctions["auctions"][0]["c"]
        assert closing["t"] == "2024-11-29T18:00:00Z"
        _, snapshot = await venue.call("GET", "/v2/stocks/SPY/snapshot")
        assert snapshot["dailyBar"]["c"] == closing["p"]
        assert snapshot["dailyBar"]["v"] == sum(bar["v"] for bar in bars["bars"])
