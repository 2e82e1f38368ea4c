"""The control endpoints and every fault of the menu."""

import asyncio
from typing import Any

import msgspec
import pytest
from aiohttp import ClientError, ServerDisconnectedError, WSMsgType, WSServerHandshakeError

from alchemiser.exchange.fault_menu import parse_faults
from alchemiser.exchange.faults import FaultBook
from tests.protocol.exchange.harness import CREDENTIALS, HEADERS, Running, at, running, session, virtual_exchange
from tests.protocol.exchange.test_order_stream import listen, said
from tests.solipsism import virtual


async def fault(exchange: Running, **members: Any) -> None:
    """Plan a fault."""
    status, answer = await exchange.call("POST", "/_exchange/faults", [members])
    assert status == 200, answer


# --- the clock ---


async def test_the_clock_is_set_forward_and_sped_up() -> None:
    """The clock goes forward by seconds or to a time, and what was due meanwhile has happened when the answer comes."""
    async with running() as exchange:
        order = await exchange.buy("SPY")
        _, answer = await exchange.call("POST", "/_exchange/clock", {"advance_seconds": 90.5})
        assert answer["now"] > "2025-03-03T14:31:30"
        assert (await exchange.call("GET", f"/v2/orders/{order['id']}"))[1]["status"] == "filled"
        _, answer = await exchange.call("POST", "/_exchange/clock", {"to": "2025-03-03T22:00:00Z"})
        assert (answer["is_open"], answer["session"], answer["can_adjust"]) == (False, None, True)
        assert (answer["speed"], answer["leaps"]) == (1.0, False)
        for speed in (20, "leap"):
            assert (await exchange.call("POST", "/_exchange/clock", {"speed": speed}))[0] == 200
        assert (await exchange.call("GET", "/_exchange/clock"))[0] == 200


@pytest.mark.parametrize(
    "body", [{}, {"speed": 0}, {"speed": "fast"}, {"to": "noon"}, {"advance_seconds": -1}, {"to": "2025-03-03T14:00:00Z"}, []]
)
async def test_a_clock_that_cannot_be_set_so_says_so(body: Any) -> None:
    """What cannot be read, and time that would go back, is a 400."""
    async with running() as exchange:
        assert (await exchange.call("POST", "/_exchange/clock", body))[0] == 400


def test_a_clock_without_a_handle_says_so() -> None:
    """A virtual clock cannot be adjusted: 409, and the message says which clock it is."""

    async def scene() -> None:
        async with virtual_exchange() as exchange:
            status, answer = await exchange.call("POST", "/_exchange/clock", {"advance_seconds": 1})
            assert status == 409
            assert "VirtualClock" in answer["message"]

    virtual(scene)


# --- quotes and halts ---


async def test_a_pinned_quote_stays_until_it_is_taken_away_or_the_session_closes() -> None:
    """A limit order rests while the pinned quote stands, and fills when another one reaches it; the path has no say meanwhile."""
    async with running(days=2) as exchange:
        await exchange.quote("SPY", 10.00, 10.02)
        order = await exchange.buy("SPY", "1", type="limit", limit_price="10.01")
        await exchange.forward(600)
        assert (await exchange.call("GET", f"/v2/orders/{order['id']}"))[1]["status"] == "new"
        await exchange.quote("SPY", 9.99, 10.01)
        await exchange.forward(1)
        assert (await exchange.call("GET", f"/v2/orders/{order['id']}"))[1]["filled_avg_price"] == "10.01"

        assert (await exchange.call("DELETE", "/_exchange/quote?symbol=SPY"))[0] == 204
        _, latest = await exchange.call("GET", "/v2/stocks/SPY/quotes/latest")
        assert latest["quote"]["bp"] > 100
        await exchange.quote("SPY", 9.99, 10.01)
        await exchange.quote("TECL", 9.99, 10.01)
        await exchange.call("POST", "/_exchange/clock", {"to": "2025-03-03T21:00:00Z"})
        _, latest = await exchange.call("GET", "/v2/stocks/quotes/latest?symbols=SPY,TECL")
        assert min(quote["bp"] for quote in latest["quotes"].values()) > 15


async def test_a_market_that_is_moved_by_hand_trades_where_it_is() -> None:
    """A quote away from the last trade prints one at its middle: stops and trailing stops follow, and so does the worth of a position.

    Nobody who waits gets that share, and a quote around the last trade prints nothing.
    """
    async with running() as exchange:

        async def sell(**fields: Any) -> str:
            status, order = await exchange.call("POST", "/v2/orders", {"symbol": "SPY", "qty": "1", "side": "sell", **fields})
            assert status == 200, order
            return str(order["id"])

        async def now(order: str) -> tuple[str, str | None]:
            found = (await exchange.call("GET", f"/v2/orders/{order}"))[1]
            return found["status"], found["hwm"]

        await exchange.quote("SPY", 99.98, 100.00)
        await exchange.buy("SPY", "4")
        await exchange.forward(1)
        assert (await exchange.call("GET", "/v2/positions/SPY"))[1]["current_price"] == "99.99"
        stop = await sell(type="stop", stop_price="97", time_in_force="day")
        trailing = await sell(type="trailing_stop", trail_price="2", time_in_force="day")
        waiting = await sell(type="limit", limit_price="101.00", time_in_force="day")
        await exchange.forward(1)

        await exchange.quote("SPY", 100.98, 101.01, size=1)
        await exchange.forward(1)
        assert [await now(order) for order in (stop, trailing, waiting)] == [("new", None), ("new", "100.995"), ("new", None)]
        await exchange.quote("SPY", 100.98, 101.02, size=1)
        assert (await exchange.call("GET", "/v2/stocks/SPY/trades/latest"))[1]["trade"]["p"] == 100.995

        await exchange.quote("SPY", 96.98, 97.00)
        await exchange.forward(1)
        assert [(await now(order))[0] for order in (stop, trailing, waiting)] == ["filled", "filled", "new"]


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/_exchange/quote", {"symbol": "SPY", "bid": 1}, 400),
        ("POST", "/_exchange/quote", {"symbol": "SPY", "bid": -1, "bid_size": 1, "ask": 1, "ask_size": 1}, 400),
        ("POST", "/_exchange/quote", {"symbol": "NOPE", "bid": 1, "bid_size": 1, "ask": 1, "ask_size": 1}, 404),
        ("POST", "/_exchange/quote", {"symbol": "SPY", "bid": True, "bid_size": 1, "ask": 1, "ask_size": 1}, 400),
        ("POST", "/_exchange/quote", {"symbol": "SPY", "bid": 1e300, "bid_size": 1, "ask": 1, "ask_size": 1}, 400),
        ("POST", "/_exchange/clock", {"to": "9999-12-31T23:59:59Z"}, 400),
        ("POST", "/_exchange/clock", {"advance_seconds": 1e18}, 400),
        ("POST", "/_exchange/clock", {"speed": 1e308}, 400),
        ("POST", "/_exchange/clock", {"speed": 1e-320}, 400),
        ("POST", "/_exchange/bands", {"symbol": "SPY", "down": 5, "up": 4}, 400),
        ("POST", "/_exchange/faults", [{"kind": "step_clock", "seconds": 1e300}], 400),
        ("POST", "/_exchange/faults", [{"kind": "bust", "seconds": 1e300}], 400),
        ("POST", "/_exchange/faults", [{"kind": "correct", "by": "NaN"}], 400),
        ("POST", "/_exchange/faults", [{"kind": "correct", "by": "1e400"}], 400),
        ("POST", "/_exchange/faults", [{"kind": "delay", "seconds": -5}], 400),
        ("DELETE", "/_exchange/quote?symbol=NOPE", None, 404),
        ("DELETE", "/_exchange/quote", None, 204),
        ("POST", "/_exchange/halt", {"symbol": "SPY"}, 400),
        ("POST", "/_exchange/halt", {"symbol": "NOPE", "halted": True}, 404),
        ("POST", "/_exchange/faults", [{"kind": "earthquake"}], 400),
        ("POST", "/_exchange/faults", [{"kind": "halt", "symbol": "NOPE"}], 400),
        ("POST", "/_exchange/faults", [{"kind": "park_order", "status": "asleep"}], 400),
        ("POST", "/_exchange/faults", [{"kind": "cut_short", "event": "fill"}], 400),
        ("POST", "/_exchange/faults", [{"kind": "corporate_actions", "actions": {"wonders": [{"id": "x"}]}}], 400),
        ("POST", "/_exchange/faults", [{"kind": "corporate_actions", "actions": {"cash_dividends": [{"id": "x"}]}}], 400),
        ("POST", "/_exchange/faults", [{"kind": "skew_clock", "seconds": "much"}], 400),
        ("POST", "/_exchange/faults", "NaN", 400),
        ("POST", "/_exchange/asset", {"symbol": "SPY", "status": "sleepy"}, 400),
        ("POST", "/_exchange/asset", {"symbol": "NOPE", "tradable": False}, 404),
        ("POST", "/_exchange/faults", [{"kind": "http", "status": 503, "pth": "/"}], 400),
        ("POST", "/_exchange/faults", [{"kind": "http", "status": 503, "times": 0}], 400),
        ("POST", "/_exchange/faults", [{"kind": "drop_stream", "stream": "orders", "at": "2025-03-03T15:00:00"}], 400),
        ("GET", "/_exchange/log?after=x", None, 400),
        ("GET", "/_exchange/nothing", None, 404),
    ],
)
async def test_what_control_refuses(method: str, path: str, body: Any, status: int) -> None:
    """Control says what it does not understand and changes nothing."""
    async with running() as exchange:
        assert (await exchange.call(method, path, body))[0] == status


async def test_a_halted_symbol_does_not_trade() -> None:
    """9.4: orders of a halted symbol are accepted and filled when trading resumes."""
    async with running() as exchange:
        await exchange.call("POST", "/_exchange/halt", {"symbol": "SPY", "halted": True})
        order = await exchange.buy("SPY")
        await exchange.forward(60)
        assert (await exchange.call("GET", f"/v2/orders/{order['id']}"))[1]["filled_qty"] == "0"
        await exchange.call("POST", "/_exchange/halt", {"symbol": "SPY", "halted": False})
        await exchange.forward(60)
        assert (await exchange.call("GET", f"/v2/orders/{order['id']}"))[1]["filled_qty"] == "1"


# --- REST faults ---


async def test_http_faults_answer_without_or_after_the_effect() -> None:
    """``http`` answers what it is told, as often as it is told, after letting ``skip`` requests pass; the effect happens only if asked."""
    async with running() as exchange:
        await fault(exchange, kind="http", path="/v2/orders", method="post", status=503, times=2, skip=1)
        await fault(exchange, kind="http", path="/v2/account", status=502, body="<html>bad gateway</html>", headers={"X-Edge": "1"})
        assert len((await exchange.call("GET", "/_exchange/faults"))[1]) == 2
        await exchange.buy("SPY")
        body = {"symbol": "SPY", "qty": 1, "side": "buy", "type": "market", "time_in_force": "day"}
        for _ in range(2):
            assert await exchange.call("POST", "/v2/orders", body) == (503, {"message": "fault 503"})
        async with exchange.http.get(exchange.address.rest + "//v2/account", headers=HEADERS) as response:
            assert (response.status, response.content_type, response.headers["X-Edge"]) == (502, "text/html", "1")
        await fault(exchange, kind="http", path="/v2/orders", status=422, after_effect=True)
        assert (await exchange.call("POST", "/v2/orders", {**body, "client_order_id": "after"}))[0] == 422

        assert (await exchange.call("GET", "/v2/orders:by_client_order_id?client_order_id=after"))[0] == 200
        assert len((await exchange.call("GET", "/v2/orders?status=all"))[1]) == 2
        assert (await exchange.call("GET", "/_exchange/faults"))[1] == []


def test_slow_and_missing_answers() -> None:
    """``delay`` answers late; ``timeout`` never answers and does nothing; ``timeout_after_effect`` never answers although it did it."""

    async def scene() -> None:
        async with virtual_exchange() as exchange:
            begun = exchange.clock.monotonic()
            await fault(exchange, kind="delay", path="/v2/clock", seconds=7)
            assert (await exchange.call("GET", "/v2/clock"))[0] == 200
            assert exchange.clock.monotonic() - begun >= 7

            await fault(exchange, kind="timeout", path="/v2/orders", seconds=20)
            await fault(exchange, kind="timeout_after_effect", path="/v2/orders", seconds=20)
            for number in (1, 2):
                with pytest.raises((ServerDisconnectedError, ClientError)):
                    await exchange.buy("SPY", "1", client_order_id=f"lost{number}")
            assert exchange.clock.monotonic() - begun >= 47
            found = [await exchange.call("GET", f"/v2/orders:by_client_order_id?client_order_id=lost{number}") for number in (1, 2)]
            assert [status for status, _ in found] == [404, 200]

    virtual(scene)


def test_stopping_lets_go_of_held_requests() -> None:
    """A request that a fault holds does not keep the exchange from stopping."""

    async def scene() -> None:
        async with virtual_exchange() as exchange, asyncio.TaskGroup() as group:
            await fault(exchange, kind="timeout", path="/v2/clock", seconds=3600)

            async def call() -> None:
                with pytest.raises(ClientError):
                    await exchange.call("GET", "/v2/clock")

            held = group.create_task(call(), name="held request")
            await exchange.clock.sleep(1)
            await exchange.server.stop()
            await held
            assert exchange.clock.monotonic() < 60

    virtual(scene)


# --- stream faults ---


async def test_streams_are_dropped_cut_or_closed() -> None:
    """``drop_stream`` cuts a connection like a broken network, or closes it with a code."""
    async with running() as exchange:
        async with exchange.stream("/stream") as socket:
            await listen(socket)
            await fault(exchange, kind="drop_stream", stream="orders")
            assert (await socket.receive()).type in (WSMsgType.CLOSED, WSMsgType.ERROR)
        async with exchange.stream("/v2/sip", HEADERS) as socket:
            await fault(exchange, kind="drop_stream", stream="market", code=1011)
            while (message := await socket.receive()).type is WSMsgType.TEXT:
                pass
            assert message.data == 1011


async def test_handshakes_are_refused() -> None:
    """``refuse_stream`` answers a handshake with a status, as often as it is told."""
    async with running() as exchange:
        for stream, path in (("orders", "/stream"), ("market", "/v2/iex")):
            await fault(exchange, kind="refuse_stream", stream=stream, status=503)
            with pytest.raises(WSServerHandshakeError) as refusal:
                async with exchange.stream(path):
                    pass
            assert refusal.value.status == 503
            async with exchange.stream(path):
                pass


async def test_updates_are_lost_doubled_and_made_up() -> None:
    """``lose_updates`` and ``duplicate_updates`` do so with the next ones; ``send_frame`` sends anything on either stream."""
    async with running() as exchange, exchange.stream("/stream") as socket, exchange.stream("/v2/sip", HEADERS) as market:
        await listen(socket)
        await fault(exchange, kind="lose_updates")
        await fault(exchange, kind="duplicate_updates")
        await exchange.buy("SPY")
        await exchange.forward(1)
        updates = [(await said(socket))["data"] for _ in range(3)]
        assert [update["event"] for update in updates] == ["new", "new", "fill"]
        assert updates[0] == updates[1]

        await fault(exchange, kind="send_frame", stream="orders", text='{"stream":"trade_updates","data":null}', times=2)
        assert [await said(socket), await said(socket)] == [{"stream": "trade_updates", "data": None}] * 2
        await fault(exchange, kind="send_frame", stream="market", text='[{"T":"q"')
        while (message := await market.receive_str()) != '[{"T":"q"':
            assert message.startswith("[")


async def test_a_symbol_is_mute_and_a_stamp_comes_twice() -> None:
    """``mute_stream`` may be of one symbol on either stream; ``repeat_stamp`` gives an update the time of the one before."""
    async with running() as exchange, exchange.stream("/v2/sip", HEADERS) as market, exchange.stream("/stream") as orders:
        for _ in range(2):
            await market.receive()
        await market.send_json({"action": "subscribe", "trades": ["SPY", "BIL"]})
        await market.receive()
        await fault(exchange, kind="mute_stream", stream="market", symbol="SPY")
        for symbol in ("SPY", "BIL"):
            await exchange.call("POST", "/_exchange/trade", {"symbol": symbol, "price": 90, "size": 1})
        assert [each["S"] for each in await market.receive_json()] == ["BIL"]

        await orders.send_json({"action": "auth", "key": CREDENTIALS.key_id, "secret": CREDENTIALS.secret_key})
        await orders.receive()
        await orders.send_json({"action": "listen", "data": {"streams": ["trade_updates"]}})
        await orders.receive()
        await fault(exchange, kind="mute_stream", stream="orders", symbol="TECL")
        await fault(exchange, kind="repeat_stamp", event="new", symbol="SPY")
        await exchange.buy("TECL")
        await exchange.forward(1)  # Or an update of the one might come between two of the other.
        await exchange.buy("SPY")
        await exchange.forward(1)
        told = [msgspec.json.decode((await orders.receive()).data)["data"] for _ in range(2)]
        assert [(each["event"], each["order"]["symbol"]) for each in told] == [("pending_new", "SPY"), ("new", "SPY")]
        assert told[0]["timestamp"] == told[1]["timestamp"]


async def test_announcing_what_is_not_listed_is_logged() -> None:
    """A fault from a file may name a symbol that this market has not: the log says so, and the exchange goes on."""
    row = {"id": "d", "symbol": "NOPE", "rate": 0.5, "ex_date": "2025-03-04"}
    async with running() as exchange:
        await fault(exchange, kind="corporate_actions", actions={"cash_dividends": [row]})
        assert "NOPE" in str((await exchange.call("GET", "/_exchange/log"))[1])
        assert (await exchange.call("GET", "/v2/clock"))[0] == 200


async def test_a_mute_stream_answers_pings_and_says_nothing_else() -> None:
    """``mute_stream`` keeps connections open and silent until it is deleted; what happened meanwhile is lost."""
    async with running() as exchange, exchange.stream("/stream") as socket, exchange.stream("/v2/sip", HEADERS) as market:
        await listen(socket)
        await market.send_json({"action": "subscribe", "quotes": ["SPY"]})
        for _ in range(3):
            await market.receive()
        for stream in ("orders", "market"):
            await fault(exchange, kind="mute_stream", stream=stream)
        await exchange.buy("SPY")
        await exchange.forward(60)
        await socket.ping()
        await exchange.call("DELETE", "/_exchange/faults")
        await exchange.buy("BIL")
        await exchange.quote("SPY", 1, 2)

        assert (await said(socket))["data"]["order"]["symbol"] == "BIL"
        assert (await market.receive_json())[0]["bp"] == 1


def test_faults_wait_for_their_time() -> None:
    """A fault with ``at`` sleeps until then, and strikes at that moment although nobody asks for anything."""

    async def scene() -> None:
        async with virtual_exchange() as exchange, exchange.stream("/stream") as socket:
            await fault(exchange, kind="drop_stream", stream="orders", code=1012, at="2025-03-03T14:30:42Z")
            await fault(exchange, kind="http", path="/", status=500, at="2025-03-03T15:00:00Z")
            assert (await exchange.call("GET", "/v2/clock"))[0] == 200
            assert (await socket.receive()).data == 1012
            assert exchange.clock.now().replace(microsecond=0) == at("14:30:42")
            await exchange.clock.sleep_until(at("15:00:00"))
            assert (await exchange.call("GET", "/v2/clock"))[0] == 500

    virtual(scene)


def test_a_fault_that_strikes_by_itself_without_a_time_is_due_at_once() -> None:
    """The driver asks when it has to wake for the next fault: never for those that wait for a request."""
    book = FaultBook()
    book.add(parse_faults([{"kind": "http", "status": 500}, {"kind": "mute_stream", "stream": "orders"}]))
    assert book.next_due() is None
    book.add(parse_faults({"kind": "drop_stream", "stream": "market"}))
    due = book.next_due()
    assert due is not None
    assert due < session().opens_at


async def test_the_log_holds_everything_in_order() -> None:
    """Requests with their status, frames in both directions and the ends of connections stand in the log, in order."""
    async with running() as exchange:
        async with exchange.stream("/stream") as socket:
            await listen(socket)
            await socket.send_bytes(b"\xff" + CREDENTIALS.secret_key.encode())
            await said(socket)
        await exchange.call("POST", "/v2/orders", {"symbol": "SPY"})
        _, log = await exchange.call("GET", "/_exchange/log")
        kinds = [entry["kind"] + ("" if entry["kind"] != "frame" else f" {entry['direction']}") for entry in log]

        assert kinds == ["frame in", "frame out", "frame in", "frame out", "frame in", "frame out", "connection", "request"]
        assert (log[-1]["method"], log[-1]["path"], log[-1]["status"], log[-1]["body"]) == ("POST", "/v2/orders", 422, {"symbol": "SPY"})
        _, tail = await exchange.call("GET", f"/_exchange/log?after={log[-2]['seq']}")
        assert tail == log[-1:]
