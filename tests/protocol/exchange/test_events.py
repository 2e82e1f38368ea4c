"""The replayable event streams by section 5.4, limit bands, and the faults of the menu that streams and venue have in common."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import aiohttp
import msgspec
import pytest
from aiohttp import WSMsgType, WSServerHandshakeError

from alchemiser.exchange.assets import listing
from alchemiser.exchange.bands import BandKeeper
from alchemiser.exchange.connection import GONE_AFTER_SECONDS
from alchemiser.exchange.event_log import Event, EventLog, EventRange, sortable_id
from alchemiser.exchange.event_stream import HEARTBEAT_SECONDS, Subscriber
from alchemiser.exchange.server import ServerSettings
from alchemiser.exchange.tape import MarketTape
from tests.protocol.exchange.harness import HEADERS, Running, at, running, session, virtual_exchange
from tests.protocol.exchange.test_control import fault
from tests.protocol.exchange.test_order_stream import AUTH, listen, said
from tests.solipsism import virtual

TRADES = "/v2/events/trades"
ACTIVITIES = "/v2beta1/events/activities"
ACTIONS = "/v1beta1/events/corporate-actions"


@asynccontextmanager
async def events(exchange: Running, path: str) -> AsyncIterator[aiohttp.ClientResponse]:
    """Open an event stream."""
    async with exchange.http.get(exchange.address.rest + path, headers=HEADERS) as response:
        assert response.status == 200
        assert response.content_type == "text/event-stream"
        assert response.headers["X-Request-ID"]
        yield response


async def line(response: aiohttp.ClientResponse) -> str:
    """Return the next line that is not empty, an empty text at the end."""
    while True:
        text = (await response.content.readline()).decode()
        if text != "\n":
            return text.rstrip("\n")


async def to_the_end(response: aiohttp.ClientResponse) -> None:
    """Read whatever is still told; an order goes on meanwhile."""
    while await line(response):
        pass


async def event(response: aiohttp.ClientResponse) -> Any:
    """Return the next event."""
    text = await line(response)
    assert text.startswith("data: "), text
    return msgspec.json.decode(text.removeprefix("data: "))


async def test_what_happens_is_told_and_can_be_replayed() -> None:
    """5.4: without a beginning only what happens next comes; from a time or an id on history comes first, and ends where it is to end."""
    async with running() as exchange:
        first = await exchange.buy("SPY")
        await exchange.forward(1)
        async with events(exchange, TRADES) as live, events(exchange, f"{TRADES}?since=2025-03-03") as replay:
            past = [await event(replay) for _ in range(3)]
            second = await exchange.buy("TECL")
            assert (await event(live))["order"]["id"] == (await event(replay))["order"]["id"] == second["id"]
        assert [each["event"] for each in past] == ["pending_new", "new", "fill"]
        assert {each["order"]["id"] for each in past} == {first["id"]}
        assert [each["event_id"] for each in past] == sorted(each["event_id"] for each in past)

        bounds = f"since_id={past[0]['event_id']}&until_id={past[2]['event_id']}"
        async with events(exchange, f"{TRADES}?{bounds}") as part:
            assert [(await event(part))["event_id"] for _ in range(2)] == [each["event_id"] for each in past[1:]]
            assert await line(part) == ""
        async with events(exchange, f"{TRADES}?since=2025-03-03T14:29:00Z&until=2025-03-03T14:29:30Z") as empty:
            assert await line(empty) == ""


async def test_corporate_actions_are_told(dividend_tape: MarketTape) -> None:
    """7.1: those of the bars can be replayed from a time on, those that are announced are told at once."""
    split = {"id": "s", "symbol": "XYZ", "new_rate": 2, "old_rate": 1, "ex_date": "2025-03-04"}
    async with running(tape=dividend_tape) as exchange, events(exchange, f"{ACTIONS}?since=2025-02-26") as stream:
        past = [await event(stream) for _ in range(2)]
        status, _ = await exchange.call("POST", "/_exchange/corporate-actions", {"forward_splits": [split]})
        told = await event(stream)

        assert status == 200
        assert [(each["type"], each["ex_date"]) for each in past] == [("forward_split", "2025-02-26"), ("reverse_split", "2025-02-27")]
        assert {**split, "type": "forward_split", "process_date": "2025-03-04"}.items() <= told.items()
        assert told["event_id"] > past[-1]["event_id"] > past[0]["event_id"]
        async with events(exchange, f"{ACTIONS}?since_id={past[0]['event_id']}&until_id={told['event_id']}") as replay:
            assert [past[1]["event_id"], told["event_id"]] == [(await event(replay))["event_id"] for _ in range(2)]
            assert await line(replay) == ""


async def test_activities_are_told_too() -> None:
    """5.4: fills come as activities, with ids that are the same however often they are asked for."""
    async with running() as exchange:
        async with events(exchange, ACTIVITIES) as live:
            await exchange.buy("SPY", "2")
            await exchange.forward(1)
            fill = await event(live)
        async with events(exchange, f"{ACTIVITIES}?since=2025-03-03&until=2025-03-03T14:30:30Z") as replay:
            assert await event(replay) == fill
        assert (fill["activity_type"], fill["symbol"], fill["qty"], len(fill["event_id"])) == ("FILL", "SPY", "2", 26)


def test_a_silent_stream_says_that_it_lives() -> None:
    """5.4: a heartbeat comes when nothing else does."""

    async def scene() -> None:
        async with virtual_exchange() as exchange, events(exchange, TRADES) as live:
            assert await line(live) == ":heartbeat"
            assert exchange.clock.now() - session().opens_at >= timedelta(seconds=HEARTBEAT_SECONDS)

    virtual(scene)


async def test_a_slow_reader_is_told_what_it_lost() -> None:
    """5.4: beyond its queue a reader loses events, and is told how many."""
    subscriber = Subscriber(EventRange(), queue_events=2)
    for number in range(5):
        subscriber.send(Event(f"{number:026}", at("14:30:00"), b"{}"))
    assert await subscriber.take() == b"data: {}\n\n" * 2 + b": you are reading too slowly, dropped 3 messages\n\n"
    subscriber.close()
    assert await subscriber.take() is None


def test_old_events_are_forgotten_and_ids_always_rise() -> None:
    """The log is bounded, and two events of one moment have ids in their order."""
    log = EventLog(kept=10)
    for number in range(3_000):
        log.append(Event(sortable_id(at("14:30:00"), log.last_id, 2**80 - 1), at("14:30:00"), str(number).encode()))
    kept = log.select(EventRange(since=at("14:00:00")))
    assert [each.payload for each in kept][-1] == b"2999"
    assert 10 <= len(kept) < 2_100


async def test_faults_of_the_event_streams() -> None:
    """Replays that overlap, comments, refusals, cuts: each fault strikes the event streams as it does the others."""
    async with running() as exchange:
        await fault(exchange, kind="refuse_stream", stream="events", status=503)
        assert (await exchange.call("GET", TRADES))[0] == 503
        async with events(exchange, TRADES) as live:
            await fault(exchange, kind="overlap_replay")
            await exchange.buy("SPY")
            assert await event(live) == await event(live)
            await fault(exchange, kind="send_frame", stream="events", text=": you are reading too slowly, dropped 7 messages")
            while "dropped 7" not in (text := await line(live)):
                assert text.startswith("data: ")  # The order goes on meanwhile.
            await fault(exchange, kind="drop_stream", stream="events", code=1000)
            await to_the_end(live)
        async with events(exchange, TRADES) as live:
            await fault(exchange, kind="drop_stream", stream="events")
            with pytest.raises(aiohttp.ClientError):
                await to_the_end(live)


async def test_updates_come_in_the_wrong_order() -> None:
    """``reorder_updates`` of one symbol sends an update after the next one: a fill before its acknowledgement, for example."""
    async with running() as exchange, exchange.stream("/stream") as socket:
        await listen(socket)
        await fault(exchange, kind="reorder_updates", symbol="TECL", skip=1)
        await exchange.buy("SPY")
        await exchange.forward(1)
        assert [(await said(socket))["data"]["event"] for _ in range(3)] == ["pending_new", "new", "fill"]
        await exchange.buy("TECL")
        await exchange.forward(1)
        assert [(await said(socket))["data"]["event"] for _ in range(3)] == ["pending_new", "fill", "new"]


async def test_right_credentials_are_refused() -> None:
    """``refuse_auth`` refuses the next authentication of a stream, and the one after that is fine."""
    async with running() as exchange:
        await fault(exchange, kind="refuse_auth", stream="orders")
        async with exchange.stream("/stream") as socket:
            await socket.send_json(AUTH)
            assert (await said(socket))["data"]["status"] == "unauthorized"
            await socket.send_json(AUTH)
            assert (await said(socket))["data"]["status"] == "authorized"
        await fault(exchange, kind="refuse_auth", stream="market", code=406)
        async with exchange.stream("/v2/sip", HEADERS) as socket:
            assert [(await said(socket))[0].get("code") for _ in range(2)] == [None, 406]


async def test_opcodes_and_storms() -> None:
    """``flip_opcode`` sends text for binary; ``storm`` sends as many quotes at once as it is told."""
    async with running() as exchange, exchange.stream("/stream") as socket, exchange.stream("/v2/sip", HEADERS) as market:
        await listen(socket)
        await fault(exchange, kind="flip_opcode", stream="orders")
        await exchange.buy("SPY")
        assert (await socket.receive()).type is WSMsgType.TEXT
        await market.send_json({"action": "subscribe", "quotes": ["SPY"]})
        for _ in range(3):
            await market.receive()
        await fault(exchange, kind="storm", symbol="SPY", messages=1_200)
        assert sum([len(await said(market)) for _ in range(3)]) == 1_200


def test_a_half_open_connection_answers_nothing() -> None:
    """``half_open`` leaves a connection that is dead and does not say so: no frame, no pong."""

    async def scene() -> None:
        async with virtual_exchange() as exchange, exchange.stream("/stream") as socket:
            await listen(socket)
            await fault(exchange, kind="half_open", stream="orders")
            await exchange.buy("SPY")
            await socket.ping()
            with pytest.raises(asyncio.TimeoutError):
                await socket.receive(timeout=60)
            await fault(exchange, kind="drop_stream", stream="orders")

    virtual(scene)


def test_the_place_of_a_half_open_connection_is_freed() -> None:
    """5.3: a second connection is refused until the server has noticed that the first one is dead, about 90 seconds later."""

    async def scene() -> None:
        async with virtual_exchange() as exchange, exchange.stream("/stream") as dead:
            await listen(dead)
            await fault(exchange, kind="half_open", stream="orders")
            begun = asyncio.get_running_loop().time()
            with pytest.raises(WSServerHandshakeError) as refusal:
                await exchange.stream("/stream")
            assert refusal.value.status == 429
            assert (await dead.receive()).type in (WSMsgType.CLOSED, WSMsgType.ERROR)
            assert asyncio.get_running_loop().time() - begun == pytest.approx(GONE_AFTER_SECONDS, abs=1)
            async with exchange.stream("/stream") as again:
                await listen(again)
                await exchange.buy("SPY")
                assert (await said(again))["data"]["event"] == "pending_new"

    virtual(scene)


async def test_faults_for_a_symbol_by_chance_and_by_name() -> None:
    """A fault may be for one symbol, strike with a probability, or be a refusal of the venue by its name; headers can be taken away."""
    async with running() as exchange:
        body = {"symbol": "TECL", "qty": "1", "side": "buy", "type": "market", "time_in_force": "day"}
        await fault(exchange, kind="refuse_order", reason="wash_trade", symbol="TECL")
        await exchange.buy("SPY")
        status, answer = await exchange.call("POST", "/v2/orders", body)
        assert (status, answer["code"]) == (403, 40310000)
        await exchange.buy("TECL")

        await fault(exchange, kind="http", path="/v2/clock", status=500, probability=0.5, times=1_000)
        statuses = [(await exchange.call("GET", "/v2/clock"))[0] for _ in range(40)]
        assert 5 < statuses.count(500) < 35
        await exchange.call("DELETE", "/_exchange/faults")
        await fault(exchange, kind="http", path="/v2/clock", status=429, headers={"X-RateLimit-Reset": None})
        async with exchange.http.get(exchange.address.rest + "/v2/clock", headers=HEADERS) as response:
            assert "X-RateLimit-Reset" not in response.headers
            assert "X-RateLimit-Limit" in response.headers


def test_a_slow_body() -> None:
    """``slow_body`` sends the head and half of an answer, and the rest later."""

    async def scene() -> None:
        async with virtual_exchange() as exchange:
            await fault(exchange, kind="slow_body", path="/v2/account", seconds=9)
            begun = exchange.clock.monotonic()
            status, answer = await exchange.call("GET", "/v2/account")
            assert (status, answer["status"]) == (200, "ACTIVE")
            assert exchange.clock.monotonic() - begun >= 9

    virtual(scene)


async def test_faults_of_venue_and_time() -> None:
    """Halts, borrowing, blocks and steps of the clock can be planned like every other fault."""
    async with running() as exchange:
        await fault(exchange, kind="halt", symbol="SPY")
        await fault(exchange, kind="block", trading=True)
        assert (await exchange.call("GET", "/v2/account"))[1]["trading_blocked"]
        await fault(exchange, kind="block", trading=False)
        await fault(exchange, kind="borrow", symbol="BIL")
        sale = {"symbol": "BIL", "qty": "1", "side": "sell", "type": "market", "time_in_force": "day"}
        assert (await exchange.call("POST", "/v2/orders", sale))[0] == 422
        order = await exchange.buy("SPY")
        await fault(exchange, kind="step_clock", seconds=600)
        assert (await exchange.call("GET", "/_exchange/clock"))[1]["now"] > "2025-03-03T14:40"
        assert (await exchange.call("GET", f"/v2/orders/{order['id']}"))[1]["filled_qty"] == "0"


def test_the_slot_of_a_broken_connection_stays_taken() -> None:
    """5.3: after an unclean drop the place is held for a while, by switch; a connection that was closed in order gives it back."""

    async def refused(exchange: Running) -> bool:
        try:
            async with exchange.stream("/stream"):
                return False
        except WSServerHandshakeError as error:
            return error.status == 429

    async def scene() -> None:
        async with virtual_exchange(settings=ServerSettings(hold_slot_seconds=90)) as exchange:
            async with exchange.stream("/stream") as socket:
                await listen(socket)
            assert not await refused(exchange)
            async with exchange.stream("/stream") as socket:
                await listen(socket)
                await fault(exchange, kind="drop_stream", stream="orders")
                await socket.receive()
            await exchange.clock.sleep(80)
            assert await refused(exchange)
            await exchange.clock.sleep(20)
            assert not await refused(exchange)

    virtual(scene)


async def test_deflate_and_limits_at_the_handshake_by_switch() -> None:
    """6.2, 6.3: permessage-deflate is granted where it is switched on; one connection too many may be refused at the handshake already."""
    settings = ServerSettings(deflate=True, limit_at_handshake=True)
    async with (
        running(settings=settings) as exchange,
        exchange.http.ws_connect(exchange.address.rest + "/v2/sip", headers=HEADERS, compress=15) as socket,
    ):
        assert socket.compress
        assert (await said(socket))[0]["msg"] == "connected"
        with pytest.raises(WSServerHandshakeError, match="429"):
            await exchange.http.ws_connect(exchange.address.rest + "/v2/sip")


def test_bands_follow_the_market() -> None:
    """The band is five percent, doubled early and late, wider for leveraged funds and low prices, and moves by a percent or more."""
    keeper = BandKeeper(listing(["SPY", "TECL"]))
    noon = at("17:00:00")
    assert keeper.move("SPY", 100.0, at("14:31:00"), session()) == (90.0, 110.0)
    assert keeper.move("SPY", 100.0, noon, session()) == (95.0, 105.0)
    assert keeper.move("SPY", 100.5, noon, session()) is None
    assert keeper.move("SPY", 104.0, noon, session()) == (96.07, 106.18)
    assert keeper.move("TECL", 100.0, noon, session()) == (85.0, 115.0)
    keeper.forget("SPY")
    assert keeper.move("SPY", 2.0, noon, session()) == (1.6, 2.4)
