"""Nothing that a client sends brings the exchange down: random requests, bodies and frames get its errors, and the account stays exact.

Everything random is Hypothesis's, so that a failure shrinks and is repeated.
"""

import asyncio
import io
from contextlib import suppress
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from aiohttp import ClientError, ClientWebSocketResponse, WSMsgType
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.protocol.exchange.harness import HEADERS, Running, running, virtual_exchange
from tests.solipsism import virtual

FEW = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
KNOWN = "SPY TECL BIL".split()  # noqa: SIM905 - as a client would type them

symbols = st.sampled_from([*KNOWN, "NOPE", "", "spy", "A" * 300, "\x00", "SPY,TECL"])
numbers: st.SearchStrategy[Any] = st.one_of(
    st.integers(-5, 500),
    st.sampled_from(
        ["1", "0.5", "-1", "NaN", "Infinity", "1e400", "0x10", "", " 1", "9" * 400, 10**400, 1e308, 5e-324, True, None, [], {}]
    ),
    st.decimals(0, 1000, places=2).map(str),
    st.floats(allow_nan=False, allow_infinity=False),
)
json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=20)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)),
    max_leaves=6,
)
bodies = st.fixed_dictionaries(
    {
        "symbol": symbols,
        "side": st.sampled_from(["buy", "sell", "hold", None]),
        "type": st.sampled_from(["market", "limit", "stop", "stop_limit", "trailing_stop", "odd"]),
        "time_in_force": st.sampled_from(["day", "gtc", "ioc", "fok", "opg", "cls", "odd"]),
    },
    optional={
        "qty": numbers,
        "notional": numbers,
        "limit_price": numbers,
        "stop_price": numbers,
        "trail_price": numbers,
        "trail_percent": numbers,
        "extended_hours": st.one_of(st.booleans(), json_values),
        "client_order_id": st.one_of(st.text(max_size=140), json_values),
        "order_class": st.sampled_from(["", "simple", "bracket", "oco", "oto", "mleg", "odd"]),
        "take_profit": st.one_of(st.fixed_dictionaries({"limit_price": numbers}), json_values),
        "stop_loss": st.one_of(st.fixed_dictionaries({"stop_price": numbers}, optional={"limit_price": numbers}), json_values),
        "position_intent": st.sampled_from(["buy_to_open", "sell_to_close", "odd"]),
    },
)
good_bodies = st.fixed_dictionaries(
    {
        "symbol": st.sampled_from(KNOWN),
        "qty": st.sampled_from(["1", "3", "0.5", "40"]),
        "side": st.sampled_from(["buy", "sell"]),
        "type": st.sampled_from(["market", "limit"]),
        "time_in_force": st.sampled_from(["day", "ioc"]),
    },
    optional={"limit_price": st.sampled_from(["1.00", "90.00", "2000.00"])},
)
PATHS = [
    ("GET", "/v2/orders?status={text}&limit={text}&after={text}"),
    ("GET", "/v2/orders/{text}"),
    ("DELETE", "/v2/orders/{text}"),
    ("GET", "/v2/orders:by_client_order_id?client_order_id={text}"),
    ("GET", "/v2/positions/{text}"),
    ("DELETE", "/v2/positions/{text}?qty={text}&percentage={text}"),
    ("GET", "/v2/account/activities?date={text}&page_size={text}&page_token={text}&direction={text}"),
    ("GET", "/v2/account/portfolio/history?period={text}&timeframe={text}&start={text}&end={text}"),
    ("GET", "/v2/calendar?start={text}&end={text}"),
    ("GET", "/v2/assets/{text}"),
    ("GET", "/v2/watchlists/{text}"),
    ("GET", "/v2/watchlists:by_name?name={text}"),
    ("GET", "/v2/corporate_actions/announcements?ca_types={text}&since={text}&until={text}"),
    ("GET", "/v2/corporate_actions/announcements/{text}"),
    ("GET", "/v2/stocks/bars?symbols={text}&timeframe={text}&start={text}&end={text}&limit={text}&page_token={text}"),
    ("GET", "/v2/stocks/bars?symbols=SPY&timeframe=1Day&start={text}&end={text}&page_token={text}"),
    ("GET", "/v2/stocks/trades?symbols=SPY&start={text}&end={text}&limit=5"),
    ("GET", "/v2/stocks/{text}/snapshot"),
    ("GET", "/v1/corporate-actions?start={text}&end={text}&types={text}&page_token={text}"),
    ("GET", "/v2/events/trades?since_id=x{text}&until_id={text}"),
]
texts = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        [
            "0001-01-01",
            "9999-12-31",
            "9999-12-31T23:59:59Z",
            "0001-01-01T00:00:00+14:00",
            "2025-03-03",
            "99999999999",
            "-1",
            "1D",
            "999999A",
        ]
    ),
)


async def ask(exchange: Running, method: str, path: str, **options: Any) -> tuple[int, Any]:
    """Return status and JSON of an answer, which is JSON whatever was asked."""
    async with exchange.http.request(method, exchange.address.rest + path, headers=HEADERS, **options) as response:
        text = await response.read()
        return response.status, msgspec.json.decode(text) if text else None


async def check_account(exchange: Running) -> None:
    """Raise ``AssertionError`` unless the books agree: cash, positions, reservations, and the states of the orders."""
    _, account = await exchange.call("GET", "/v2/account")
    _, positions = await exchange.call("GET", "/v2/positions")
    _, fills = await exchange.call("GET", "/v2/account/activities/FILL?direction=asc")
    _, orders = await exchange.call("GET", "/v2/orders?status=all&limit=500")
    cash, shares = Decimal(100_000), dict.fromkeys(KNOWN, Decimal(0))
    for fill in fills:
        sign = 1 if fill["side"] == "buy" else -1
        cash -= sign * Decimal(fill["qty"]) * Decimal(fill["price"])
        shares[fill["symbol"]] += sign * Decimal(fill["qty"])
    if len(fills) < 100:
        assert Decimal(account["cash"]) == cash
        assert {row["symbol"]: Decimal(row["qty"]) for row in positions} == {symbol: qty for symbol, qty in shares.items() if qty}
    worth = Decimal(account["cash"]) + Decimal(account["long_market_value"]) + Decimal(account["short_market_value"])
    assert abs(Decimal(account["equity"]) - worth) <= Decimal("0.01")
    assert Decimal(account["buying_power"]) >= 0
    for order in orders:
        filled = Decimal(order["filled_qty"])
        assert order["qty"] is None or 0 <= filled <= Decimal(order["qty"])
        assert (order["status"] == "filled") == (
            order["filled_at"] is not None and order["canceled_at"] is None and order["expired_at"] is None
        )


@FEW
@given(wanted=st.lists(st.one_of(bodies, good_bodies, json_values), min_size=1, max_size=12))
def test_random_orders(wanted: list[Any]) -> None:
    """Whatever is sent for an order is answered with an order or with a documented refusal, and the books agree afterwards."""

    async def scene() -> None:
        async with virtual_exchange() as exchange:
            for body in wanted:
                data = msgspec.json.encode(body) if not _is_huge(body) else _encoded(body)
                status, answer = await ask(exchange, "POST", "/v2/orders", data=data)
                assert status in (200, 400, 403, 422), answer
                assert answer["id"] if status == 200 else answer["message"]
                if status == 200 and len(wanted) % 2:
                    assert (await ask(exchange, "PATCH", f"/v2/orders/{answer['id']}", json={"qty": 2}))[0] in (200, 403, 422)
                    assert (await ask(exchange, "DELETE", f"/v2/orders/{answer['id']}"))[0] in (204, 422)
                await exchange.clock.sleep(1)
            await check_account(exchange)

    virtual(scene)


def _is_huge(body: Any) -> bool:
    return isinstance(body, dict) and any(isinstance(value, int) and abs(value) >= 2**63 for value in body.values())


def _encoded(body: Any) -> bytes:
    parts = (f"{msgspec.json.encode(name).decode()}:{value if isinstance(value, int) else 1}" for name, value in body.items())
    return f"{{{','.join(parts)}}}".encode()


@FEW
@given(asked=st.lists(st.tuples(st.sampled_from(PATHS), texts, texts), min_size=1, max_size=12))
def test_random_questions(asked: list[tuple[tuple[str, str], str, str]]) -> None:
    """Whatever stands in a path or a query, the answer is JSON and none of them is a 500."""

    async def scene() -> None:
        async with virtual_exchange() as exchange:
            for (method, pattern), first, second in asked:
                path = pattern.replace("{text}", _quoted(first), 1).replace("{text}", _quoted(second))
                status, answer = await ask(exchange, method, path)
                assert status in (200, 204, 400, 403, 404, 405, 422), (path, answer)

    virtual(scene)


def _quoted(text: str) -> str:
    return "".join(f"%{byte:02X}" for byte in text.encode("utf-8", "surrogatepass"))


@FEW
@given(
    data=st.one_of(st.binary(max_size=200), st.sampled_from([b"[" * 100_000, b'{"a":' * 50_000, b"1e999999", b"NaN", b"\xef\xbb\xbf{}"]))
)
def test_random_bodies(data: bytes) -> None:
    """A body of any bytes is refused or read, at every endpoint that takes one."""

    async def scene() -> None:
        async with virtual_exchange() as exchange:
            order = await exchange.buy("SPY", type="limit", limit_price="1.00")
            for method, path in (
                ("POST", "/v2/orders"),
                ("PATCH", f"/v2/orders/{order['id']}"),
                ("PATCH", "/v2/account/configurations"),
                ("POST", "/v2/watchlists"),
                ("POST", "/_exchange/quote"),
                ("POST", "/_exchange/faults"),
                ("POST", "/_exchange/corporate-actions"),
            ):
                status, answer = await ask(exchange, method, path, data=data)
                assert status in (200, 400, 404, 422), (path, answer)

    virtual(scene)


@FEW
@given(frames=st.lists(st.one_of(st.binary(max_size=60), st.text(max_size=60), json_values), min_size=1, max_size=8))
def test_random_frames(frames: list[Any]) -> None:
    """Any frame gets an answer on any stream, in either encoding, and the server goes on."""

    async def scene() -> None:
        async with virtual_exchange() as exchange:
            for path, encoding in (("/stream", "json"), ("/stream", "msgpack"), ("/v2/sip", "json"), ("/v2/sip", "msgpack")):
                async with exchange.stream(path, {"Content-Type": f"application/{encoding}"}) as socket:
                    if path == "/v2/sip":
                        await socket.receive()
                    for frame in frames:
                        await _send(socket, frame)
                        assert (await socket.receive()).type in (WSMsgType.TEXT, WSMsgType.BINARY)
            assert (await exchange.call("GET", "/v2/clock"))[0] == 200

    virtual(scene)


async def _send(socket: ClientWebSocketResponse, frame: Any) -> None:
    match frame:
        case bytes():
            await socket.send_bytes(frame)
        case str():
            await socket.send_str(frame)
        case _:
            await socket.send_bytes(msgspec.json.encode(frame))


async def test_ten_megabytes() -> None:
    """A body of ten megabytes is refused with 413, a frame of ten megabytes is a syntax error, one of twenty ends its connection."""
    async with running() as exchange:
        big = b'{"symbol":"' + b"A" * 10_000_000 + b'"}'
        try:
            status, _ = await ask(exchange, "POST", "/v2/orders", data=io.BytesIO(big))
        except ClientError:
            status = 413  # The answer came while the body was still being sent, and the connection was closed.
        assert status == 413
        async with exchange.stream("/v2/sip") as socket:
            await socket.receive()
            await socket.send_bytes(big)
            assert (await socket.receive_json())[0]["code"] == 400
            with suppress(ConnectionError):  # The server may hang up while the frame is still being sent.
                await socket.send_bytes(big + big)
            assert (await socket.receive()).type in (WSMsgType.CLOSE, WSMsgType.CLOSED, WSMsgType.ERROR)
        assert (await exchange.call("GET", "/v2/clock"))[0] == 200


@pytest.mark.parametrize(
    "head", ["GARBAGE\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "POST /v2/orders HTTP/1.1\r\nContent-Length: -5\r\n\r\n", "\x00\xff" * 50]
)
async def test_what_is_no_http(head: str) -> None:
    """Bytes that are no HTTP request do not disturb anybody else."""
    async with running() as exchange:
        host, port = exchange.address.rest.removeprefix("http://").split(":")
        reader, writer = await _connected(host, int(port))
        writer.write(head.encode("latin-1"))
        await writer.drain()
        writer.write_eof()
        await reader.read()
        writer.close()
        await writer.wait_closed()
        assert (await exchange.call("GET", "/v2/clock"))[0] == 200


async def _connected(host: str, port: int) -> Any:
    return await asyncio.open_connection(host, port)
