"""The front door: what is answered at once is what aiohttp answers, in the order of the requests, however the bytes come in."""

import asyncio
import re
from typing import Any

import msgspec
import pytest

from tests.protocol.exchange.harness import CREDENTIALS, Running, running

ORDER = {"symbol": "SPY", "qty": "1", "side": "buy", "type": "limit", "limit_price": "1.00", "time_in_force": "gtc"}
KEYS = f"APCA-API-KEY-ID: {CREDENTIALS.key_id}\r\nAPCA-API-SECRET-KEY: {CREDENTIALS.secret_key}\r\n"


def asked(method: str, path: str, body: Any = None, *, fields: str = KEYS) -> bytes:
    """Return the bytes of a request."""
    data = b"" if body is None else body if isinstance(body, bytes) else msgspec.json.encode(body)
    return f"{method} {path} HTTP/1.1\r\nHost: exchange\r\n{fields}Content-Length: {len(data)}\r\n\r\n".encode() + data


class Line:
    """A bare connection to the exchange."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        """Return status, fields and body of the next answer."""
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
        status, *lines = head.removesuffix("\r\n\r\n").split("\r\n")
        fields = dict(line.split(": ", 1) for line in lines)
        return int(status.split(" ")[1]), fields, await self.reader.readexactly(int(fields.get("Content-Length", "0")))

    async def ask(self, request: bytes) -> tuple[int, dict[str, str], bytes]:
        """Send a request and return what is answered."""
        self.writer.write(request)
        async with asyncio.timeout(10):
            return await self.answer()


async def line_to(exchange: Running) -> Line:
    """Return a fresh connection."""
    host, port = exchange.address.rest.removeprefix("http://").split(":")
    return Line(*await asyncio.open_connection(host, int(port)))


ENDPOINTS = (
    ("POST", "/v2/orders", ORDER),
    ("POST", "/v2/orders", {**ORDER, "qty": "0"}),
    ("POST", "/v2/orders", b"{bad"),
    ("POST", "/v2/orders", {**ORDER, "symbol": "NOPE"}),
    ("GET", "/v2/orders?status=all&limit=2", None),
    ("GET", "/v2/orders?status=none", None),
    ("GET", "/v2/orders/zz", None),
    ("GET", "/v2/orders:by_client_order_id?client_order_id=none", None),
    ("PATCH", "/v2/orders/00000000-0000-4000-8000-000000000000", {"qty": "2"}),
    ("DELETE", "/v2/orders/00000000-0000-4000-8000-000000000000", None),
    ("GET", "/v2/positions", None),
    ("GET", "/v2/positions/SPY", None),
    ("DELETE", "/v2/positions/SPY?qty=1", None),
    ("DELETE", "/v2/positions", None),
    ("GET", "/v2/account", None),
    ("GET", "/v2/account/configurations", None),
    ("PATCH", "/v2/account/configurations", {"no_shorting": True}),
    ("GET", "/v2/account/activities?page_size=101", None),
    ("GET", "/v2/account/activities/FILL", None),
    ("GET", "/v2/assets?attributes=none", None),
    ("GET", "/v2/assets/SPY", None),
    ("GET", "/v2/clock", None),
    ("GET", "/v2/calendar?start=2025-03-03&end=2025-03-04", None),
    ("DELETE", "/v2/orders", None),
    ("GET", "/v2/nothing", None),
    ("PUT", "/v2/clock", None),
)


def same(body: bytes) -> bytes:
    """Return a body without what differs from one moment, or one order, to the next."""
    body = re.sub(rb"[0-9a-f]{8}-[0-9a-f-]{27}", b"ID", body)
    return re.sub(rb"\d{4}-\d\d-\d\dT[0-9:.]+(Z|[+-]\d\d:\d\d)", b"TIME", body)


@pytest.mark.parametrize(("method", "path", "body"), ENDPOINTS)
async def test_an_answer_at_once_is_the_one_that_aiohttp_gives(method: str, path: str, body: Any) -> None:
    """Status, body and fields are the same for a plain request and for one that must go to aiohttp, with keys, wrong ones and none."""
    wrong = KEYS.replace(CREDENTIALS.secret_key, "wrong")
    for fields in (KEYS, wrong, ""):
        found = []
        for further in ("", "TE: trailers\r\n"):  # aiohttp's parser takes no notice of the second, the door does.
            async with running() as exchange:
                line = await line_to(exchange)
                status, answered, data = await line.ask(asked(method, path, body, fields=fields + further))
                for name in ("X-Request-ID", "Date", "Content-Length"):  # times in the body are longer or shorter
                    answered[name] = str(name in answered)
                log = [entry for entry in exchange.server.traffic.entries if entry["kind"] == "request"]
                found.append((status, answered, same(data), [{**entry, "at": None} for entry in log]))
                line.writer.close()
        assert found[0] == found[1]


@pytest.mark.parametrize("piece", [1, 7, 100, 10_000])
async def test_answers_come_in_order_however_the_bytes_are_cut(piece: int) -> None:
    """Requests that are sent ahead are each answered once and in order, plain or not, answered at once or not, in pieces of any size."""
    requests = [
        (asked("POST", "/v2/orders", {**ORDER, "client_order_id": "first"}), 200, b'"client_order_id":"first"'),
        (asked("GET", "/v2/orders:by_client_order_id?client_order_id=first"), 200, b'"client_order_id":"first"'),
        (asked("GET", "/v2/stocks/SPY/quotes/latest"), 200, b'"symbol":"SPY"'),
        (asked("GET", "/v2/clock"), 200, b'"is_open":true'),
        (asked("GET", "/v2/nothing"), 404, b"endpoint not found"),
        (asked("GET", "/v2/account", fields=KEYS + "TE: trailers\r\n"), 200, b'"account_number"'),
        (asked("POST", "/v2/orders", {**ORDER, "client_order_id": "second"}), 200, b'"client_order_id":"second"'),
    ]
    async with running() as exchange:
        line = await line_to(exchange)
        data = b"".join(request for request, _, _ in requests)
        for begin in range(0, len(data), piece):
            line.writer.write(data[begin : begin + piece])
            await line.writer.drain()
        async with asyncio.timeout(10):
            for _, status, part in requests:
                found = await line.answer()
                assert found[0] == status
                assert part in found[2]
        line.writer.close()
        assert [entry["status"] for entry in exchange.server.traffic.entries if entry["kind"] == "request"] == [
            200,
            200,
            200,
            200,
            200,
            200,
        ]


async def test_a_connection_goes_back_to_the_door_after_a_loan() -> None:
    """What awaits is lent to aiohttp; the next plain request of the connection is answered at once again."""
    async with running() as exchange:
        line = await line_to(exchange)
        for _ in range(3):
            assert (await line.ask(asked("GET", "/v2/stocks/SPY/snapshot")))[0] == 200
            assert (await line.ask(asked("GET", "/v2/nothing")))[0] == 404
            status, fields, _ = await line.ask(asked("POST", "/v2/orders", ORDER))
            # The order of the fields tells who wrote them: aiohttp puts the length after the fields of the handler.
            assert (status, list(fields)[1]) == (200, "Content-Length")
        line.writer.close()


async def test_a_request_whose_rest_never_comes_is_not_carried_out() -> None:
    """A client that hangs up in the middle of an order has sent no order, and the exchange goes on."""
    async with running() as exchange:
        for end in (40, -1):
            line = await line_to(exchange)
            line.writer.write(asked("POST", "/v2/orders", ORDER)[:end])
            await line.writer.drain()
            line.writer.write_eof()
            line.writer.close()
            await line.writer.wait_closed()
        assert await exchange.call("GET", "/v2/orders") == (200, [])


async def test_who_does_not_read_is_not_answered_for_ever() -> None:
    """A client that sends without reading meets a full pipe instead of filling the memory, and gets all of its answers when it reads."""
    async with running() as exchange:
        line = await line_to(exchange)
        request, asked_for = asked("GET", "/v2/calendar?start=2021-01-01"), 40
        line.writer.write(request * asked_for)
        async with asyncio.timeout(20):
            bodies = {(await line.answer())[2] for _ in range(asked_for)}
        assert len(bodies) == 1
        line.writer.close()


async def test_faults_strike_what_would_be_answered_at_once() -> None:
    """While faults are planned every request passes where they strike; afterwards the door answers again."""
    async with running() as exchange:
        line = await line_to(exchange)
        fault = {"kind": "http", "path": "/v2/orders", "method": "POST", "status": 504}
        assert (await line.ask(asked("POST", "/_exchange/faults", fault)))[0] == 200
        assert (await line.ask(asked("POST", "/v2/orders", ORDER)))[0] == 504
        status, fields, _ = await line.ask(asked("POST", "/v2/orders", ORDER))
        assert (status, list(fields)[1]) == (200, "Content-Length")
        line.writer.close()


@pytest.mark.parametrize("further", ["", "TE: trailers\r\n"], ids=["at once", "by aiohttp"])
async def test_an_error_of_the_exchange_is_a_500(further: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """What breaks inside is Alpaca's 500 for the client, whose connection goes on, and a line with its traceback for the owner."""

    def broken(*_: object) -> None:
        raise KeyError("something that is not there")

    async with running() as exchange:
        line = await line_to(exchange)
        request = asked("GET", "/v2/positions", fields=KEYS + further)
        with monkeypatch.context() as patch:
            patch.setattr(exchange.core, "positions_json", broken)
            status, fields, body = await line.ask(request)
        assert (status, msgspec.json.decode(body)) == (500, {"code": 50010000, "message": "internal server error"})
        assert {"X-Request-ID", "X-RateLimit-Remaining"} <= set(fields)
        assert (await line.ask(request))[::2] == (200, b"[]")
        line.writer.close()
        assert [entry["status"] for entry in exchange.server.traffic.entries if entry["kind"] == "request"] == [500, 200]
    (record,) = caplog.records
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], KeyError)


@pytest.mark.parametrize("path", ["/stream", "/v2/sip", "/v2/events/trades"])
async def test_who_leaves_during_the_handshake_leaves_one_quiet_line(path: str, caplog: pytest.LogCaptureFixture) -> None:
    """A client that is gone before its stream has begun is a line of the exchange's log, no traceback; the next one is served."""
    upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    async with running() as exchange:
        line = await line_to(exchange)
        line.writer.write(asked("GET", path, fields=KEYS if "events" in path else upgrade))
        line.writer.close()
        await line.writer.wait_closed()
        for _ in range(3):
            assert (await exchange.call("GET", "/v2/clock"))[0] == 200
        left = [entry for entry in exchange.server.traffic.entries if entry["kind"] == "connection"]
        assert [entry["stream"] for entry in left] == [path]
        assert not caplog.records
        if "events" not in path:
            async with exchange.stream(path) as socket:
                assert not socket.closed
