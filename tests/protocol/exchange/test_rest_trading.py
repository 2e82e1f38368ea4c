"""The trading REST API by the numbers of sections 1 to 3 and 8 of the protocol reference."""

import base64
from typing import Any

import msgspec
import pytest

from alchemiser.exchange.server import ServerSettings
from tests.protocol.exchange.harness import CREDENTIALS, HEADERS, Running, running

BASIC = base64.b64encode(f"{CREDENTIALS.key_id}:{CREDENTIALS.secret_key}".encode()).decode()
UNKNOWN = "00000000-0000-4000-8000-000000000000"

MARKET = {"side": "buy", "type": "market", "time_in_force": "day"}

REFUSALS: list[tuple[str, str, str, Any, int, int | None]] = [
    ("2.1 limit order without a price", "POST", "/v2/orders", {**MARKET, "symbol": "SPY", "qty": 1, "type": "limit"}, 422, 40010001),
    ("2.1 neither qty nor notional", "POST", "/v2/orders", {**MARKET, "symbol": "SPY"}, 422, 40010001),
    ("2.2 buying power", "POST", "/v2/orders", {**MARKET, "symbol": "SPY", "qty": 9e6}, 403, 40310000),
    ("2.3 unknown asset", "POST", "/v2/orders", {**MARKET, "symbol": "NOPE", "qty": 1}, 422, 42210000),
    ("2.1 unknown order", "GET", f"/v2/orders/{UNKNOWN}", None, 404, 40410000),
    ("2.1 order id is none", "GET", "/v2/orders/abc", None, 422, 40010001),
    ("2.1 unknown client order id", "GET", "/v2/orders:by_client_order_id?client_order_id=x", None, 404, 40410000),
    ("2.1 cancel unknown", "DELETE", f"/v2/orders/{UNKNOWN}", None, 404, 40410000),
    ("2.1 replace unknown", "PATCH", f"/v2/orders/{UNKNOWN}", {"qty": "2"}, 404, 40410000),
    ("2.1 no position", "GET", "/v2/positions/SPY", None, 404, 40410000),
    ("8.4 unknown asset", "GET", "/v2/assets/NOPE", None, 404, 40410000),
    ("8.2 bad configuration", "PATCH", "/v2/account/configurations", {"trade_confirm_email": "some"}, 400, None),
    ("8.2 no object", "PATCH", "/v2/account/configurations", [1], 400, None),
    ("8.5 bad date", "GET", "/v2/calendar?start=2025-13-01", None, 400, None),
    ("8.5 end before start", "GET", "/v2/calendar?start=2025-03-02&end=2025-03-01", None, 422, 40010001),
    ("8.5 bad date type", "GET", "/v2/calendar?date_type=MOON", None, 400, None),
    ("8.3 bad boolean", "DELETE", "/v2/positions?cancel_orders=maybe", None, 422, 40010001),
    ("no such endpoint", "GET", "/v2/nonsense", None, 404, 40410000),
    ("no such method", "PUT", "/v2/orders", None, 405, None),
]


@pytest.mark.parametrize(("method", "path", "body", "status", "code"), [case[1:] for case in REFUSALS], ids=[case[0] for case in REFUSALS])
async def test_refusals(method: str, path: str, body: Any, status: int, code: int | None) -> None:
    """A refusal has the status and the code of the table, a message, and is JSON."""
    async with running() as exchange:
        answered, answer = await exchange.call(method, path, body)

        assert (answered, answer.get("code")) == (status, code)
        assert answer["message"]


@pytest.mark.parametrize(
    ("headers", "status", "message"),
    [
        ({}, 403, "forbidden."),
        ({"Authorization": "Bearer x"}, 401, "unauthorized."),
        ({"Authorization": "Basic !"}, 403, "forbidden."),
        ({**HEADERS, "APCA-API-SECRET-KEY": "x"}, 401, "unauthorized."),
        ({"Authorization": f"Basic {BASIC}"}, 200, None),
        (HEADERS, 200, None),
    ],
    ids=["none", "oauth", "unreadable basic", "wrong secret", "basic", "key pair"],
)
async def test_credentials(headers: dict[str, str], status: int, message: str | None) -> None:
    """1.2: key pair, basic authentication and token open the door; what is missing is 403, what is wrong 401."""
    async with running() as exchange, exchange.http.get(exchange.address.rest + "/v2/account", headers=headers) as response:
        assert (response.status, (await response.json()).get("message")) == (status, message)


async def test_malformed_json() -> None:
    """2.1: a body that is no JSON is a 400 without a code."""
    async with running() as exchange:
        url = exchange.address.rest + "/v2/orders"
        async with exchange.http.post(url, data=b'{"symbol":', headers=HEADERS) as response:
            answer = await response.json()

            assert response.status == 400
            assert "code" not in answer


async def test_tolerances() -> None:
    """1.3: a doubled slash, an id without dashes, booleans in Python's spelling and unknown parameters are all understood."""
    async with running() as exchange:
        order = await exchange.buy("SPY", "1", client_order_id="a b")
        for path in (
            "//v2/orders/" + order["id"],
            "/v2/orders/" + order["id"].replace("-", ""),
            "/v2/orders/" + order["id"] + "?nested=True&mood=good",
            "/v2/orders:by_client_order_id?client_order_id=a+b",
        ):
            status, found = await exchange.call("GET", path)
            assert (status, found["id"]) == (200, order["id"])


async def test_headers_of_every_answer() -> None:
    """2.4: every answer, a refusal too, has its own request id and says where the client stands with its quota."""
    async with running() as exchange:
        seen = set()
        for path in ("/v2/clock", "/v2/positions/SPY", "/v2/stocks/snapshots?symbols=SPY"):
            async with exchange.http.get(exchange.address.rest + path, headers=HEADERS) as response:
                seen.add(response.headers["X-Request-ID"])
                assert int(response.headers["X-RateLimit-Limit"]) > int(response.headers["X-RateLimit-Remaining"]) > 0
                assert response.headers["X-RateLimit-Reset"] == "1741012260"
                assert response.headers["Content-Type"] == "application/json; charset=UTF-8"
        assert len(seen) == 3


async def test_rate_limit() -> None:
    """2.4: exactly the quota of the market minute is answered, refusals count too; beyond it the answer is 429 until the next minute."""
    async with running(settings=ServerSettings(rate_limit=3, data_rate_limit=1)) as exchange:

        async def ask(path: str, headers: dict[str, str] = HEADERS) -> tuple[int, Any, str]:
            async with exchange.http.get(exchange.address.rest + path, headers=headers) as response:
                assert response.headers["X-RateLimit-Reset"] == "1741012260"
                return response.status, await response.json(), response.headers["X-RateLimit-Remaining"]

        assert (await ask("/v2/clock"))[::2] == (200, "2")
        assert (await ask("/v2/clock", {}))[::2] == (403, "2")
        assert (await ask("/v2/positions/SPY"))[::2] == (404, "1")
        assert (await ask("/v2/stocks/bars/latest?symbols=SPY"))[::2] == (200, "0")
        assert await ask("/v2/stocks/bars/latest?symbols=SPY") == (429, {"message": "too many requests."}, "0")
        assert (await ask("/v2/clock"))[::2] == (200, "0")
        for _ in range(2):
            assert await ask("/v2/clock") == (429, {"code": 42910000, "message": "rate limit exceeded"}, "0")
        await exchange.forward(60)

        assert (await exchange.call("GET", "/v2/clock"))[0] == 200


async def test_orders_are_listed_with_filters() -> None:
    """3.3: status, symbols, side, limit, direction and cursor narrow the list; the newest order comes first."""
    async with running() as exchange:
        ids = []
        for number, symbol in enumerate(("SPY", "TECL", "BIL")):
            order = await exchange.buy(symbol, "1", type="limit", limit_price="1.00", client_order_id=f"o{number}")
            ids.append(order["id"])
            await exchange.forward(1)

        async def listed(query: str) -> list[str]:
            status, orders = await exchange.call("GET", f"/v2/orders?{query}")
            assert status == 200, orders
            return [order["client_order_id"] for order in orders]

        assert await listed("") == ["o2", "o1", "o0"]
        assert await listed("direction=asc&limit=2") == ["o0", "o1"]
        assert await listed("symbols=SPY,BIL&side=buy") == ["o2", "o0"]
        assert await listed("status=closed") == []
        assert await listed(f"after_order_id={ids[0]}") == ["o2", "o1"]
        assert await exchange.call("DELETE", "/v2/orders") == (207, [{"id": order_id, "status": 200} for order_id in ids])
        await exchange.forward(1)
        assert await listed("") == []
        assert await listed("status=all&limit=1") == ["o2"]


async def test_cancelling_and_replacing() -> None:
    """3.7, 3.8: cancel is 204 and then 422 once the order has ended; replace answers with a new order that names the old one."""
    async with running() as exchange:
        order = await exchange.buy("SPY", "2", type="limit", limit_price="1.00")
        await exchange.forward(1)
        status, new = await exchange.call("PATCH", f"/v2/orders/{order['id']}", {"limit_price": "1.10"})
        assert (status, new["replaces"], new["limit_price"], new["qty"]) == (200, order["id"], "1.1", "2")
        await exchange.forward(1)
        assert await exchange.call("DELETE", f"/v2/orders/{new['id']}") == (204, None)
        await exchange.forward(1)
        status, answer = await exchange.call("DELETE", f"/v2/orders/{new['id']}")

        assert (status, answer["code"], answer["message"]) == (422, 42210000, 'order is already in "canceled" state')


async def test_positions_are_closed() -> None:
    """8.3: closing answers with the market order that does it; closing all is a 207 of rows."""
    async with running() as exchange:
        for symbol in ("SPY", "TECL"):
            await exchange.quote(symbol, 99.99, 100)
            await exchange.buy(symbol, "8")
        await exchange.forward(1)
        status, order = await exchange.call("DELETE", "/v2/positions/SPY?percentage=25")
        assert (status, order["side"], order["qty"]) == (200, "sell", "2")
        await exchange.forward(1)
        status, rows = await exchange.call("DELETE", "/v2/positions?cancel_orders=True")
        assert (status, [(row["symbol"], row["status"], row["body"]["qty"]) for row in rows]) == (
            207,
            [("SPY", 200, "6"), ("TECL", 200, "8")],
        )
        await exchange.forward(1)

        assert await exchange.call("GET", "/v2/positions") == (200, [])


async def test_activities_are_paged() -> None:
    """8.6: fills are activities, newest first, a page at a time; the one-type form and the list form agree."""
    async with running() as exchange:
        for symbol in ("SPY", "TECL", "BIL"):
            await exchange.quote(symbol, 99.99, 100)
            await exchange.buy(symbol, "1")
            await exchange.forward(1)
        _, everything = await exchange.call("GET", "/v2/account/activities?activity_types=FILL")
        _, first = await exchange.call("GET", "/v2/account/activities/FILL?page_size=2")
        _, rest = await exchange.call("GET", f"/v2/account/activities/FILL?page_size=2&page_token={first[-1]['id']}")

        assert [row["symbol"] for row in everything] == ["BIL", "TECL", "SPY"]
        assert first + rest == everything


async def ask(exchange: Running, path: str) -> Any:
    """Return the answer to a question that is answered."""
    status, answer = await exchange.call("GET", path)
    assert status == 200, answer
    return answer


async def test_clock_and_calendar() -> None:
    """8.5: the clock is in New York's time and knows the core session only; the calendar knows half days and settlement."""
    async with running() as exchange:
        clock = await ask(exchange, "/v2/clock")
        assert (clock["is_open"], clock["next_open"], clock["next_close"]) == (
            True,
            "2025-03-04T09:30:00-05:00",
            "2025-03-03T16:00:00-05:00",
        )
        await exchange.call("POST", "/_exchange/clock", {"to": "2025-03-03T21:00:00Z"})
        clock = await ask(exchange, "/v2/clock")
        assert (clock["is_open"], clock["next_close"]) == (False, "2025-03-04T16:00:00-05:00")

        rows = await ask(exchange, "/v2/calendar?start=2024-07-03&end=2024-07-05T00:00:00Z")
        hours = {"open": "09:30", "session_open": "0400", "session_close": "2000"}
        assert rows == [
            {"date": "2024-07-03", "close": "13:00", "settlement_date": "2024-07-05", **hours},
            {"date": "2024-07-05", "close": "16:00", "settlement_date": "2024-07-08", **hours},
        ]
        settling = await ask(exchange, "/v2/calendar?start=2024-07-08&end=2024-07-08&date_type=SETTLEMENT")
        assert [row["date"] for row in settling] == ["2024-07-05"]


async def test_assets_are_filtered() -> None:
    """8.4: the list's filters apply; one asset is found by symbol or by id."""
    async with running() as exchange:
        everything = await ask(exchange, "/v2/assets?status=active&asset_class=us_equity")
        assert [asset["symbol"] for asset in everything] == ["BIL", "SPY", "TECL"]
        assert await ask(exchange, "/v2/assets?status=inactive") == []
        assert await ask(exchange, "/v2/assets?asset_class=crypto") == []
        assert await ask(exchange, "/v2/assets?exchange=NASDAQ") == []
        assert await ask(exchange, "/v2/assets?attributes=ipo") == []
        assert await ask(exchange, f"/v2/assets/{everything[1]['id']}") == everything[1]


async def test_no_answer_holds_the_secret() -> None:
    """The secret is nowhere in the log, the address' text form, or an answer."""
    async with running() as exchange, exchange.stream("/stream") as socket:
        await socket.send_json({"action": "auth", "key": CREDENTIALS.key_id, "secret": CREDENTIALS.secret_key})
        await socket.receive()
        await exchange.call("POST", "/v2/orders", {"symbol": CREDENTIALS.secret_key})
        await exchange.http.get(f"{exchange.address.rest}/v2/clock?x={CREDENTIALS.secret_key}", headers=HEADERS)
        _, log = await exchange.call("GET", "/_exchange/log")

        assert CREDENTIALS.secret_key not in msgspec.json.encode(log).decode()
        assert CREDENTIALS.secret_key not in repr(exchange.address) + repr(CREDENTIALS)
        assert [entry["seq"] for entry in log] == list(range(1, len(log) + 1))
