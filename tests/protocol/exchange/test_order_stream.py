"""The order stream by the numbers of section 5 of the protocol reference, spoken to with a bare WebSocket client."""

from typing import Any

import msgspec
import pytest
from aiohttp import ClientWebSocketResponse, WSMsgType, WSServerHandshakeError

from alchemiser.exchange.server import ServerSettings
from tests.protocol.exchange.harness import CREDENTIALS, Running, running

AUTH = {"action": "auth", "key": CREDENTIALS.key_id, "secret": CREDENTIALS.secret_key}
LEGACY = {"action": "authenticate", "data": {"key_id": CREDENTIALS.key_id, "secret_key": CREDENTIALS.secret_key}}
LISTEN = {"action": "listen", "data": {"streams": ["trade_updates"]}}
AUTHORIZED: dict[str, Any] = {"stream": "authorization", "data": {"action": "authenticate", "status": "authorized"}}
UNAUTHORIZED: dict[str, Any] = {"stream": "authorization", "data": {"action": "authenticate", "status": "unauthorized"}}

CASES = [
    ("5.1 auth, current form", [AUTH], [AUTHORIZED]),
    (
        "5.1 auth, legacy form, with a note",
        [LEGACY],
        [{"stream": "authorization", "data": {**AUTHORIZED["data"], "message": "the authenticate action is deprecated, use auth"}}],
    ),
    ("5.1 bad keys", [{**AUTH, "secret": "wrong"}], [UNAUTHORIZED]),
    ("5.1 keys missing", [{"action": "auth"}], [UNAUTHORIZED]),
    ("5.1 bad keys, then good ones", [{**AUTH, "key": "x"}, AUTH], [UNAUTHORIZED, AUTHORIZED]),
    ("5.1 listen before auth", [LISTEN], [{"stream": "authorization", "data": {"status": "unauthorized", "action": "listen"}}]),
    ("5.1 listen", [AUTH, LISTEN], [AUTHORIZED, {"stream": "listening", "data": {"streams": ["trade_updates"]}}]),
    (
        "5.1 unknown streams are omitted",
        [AUTH, {"action": "listen", "data": {"streams": ["account_updates", "trade_updates"]}}],
        [AUTHORIZED, {"stream": "listening", "data": {"streams": ["trade_updates"]}}],
    ),
    (
        "5.1 each listen replaces the set, an empty one stops",
        [AUTH, LISTEN, {"action": "listen", "data": {"streams": []}}],
        [AUTHORIZED, {"stream": "listening", "data": {"streams": ["trade_updates"]}}, {"stream": "listening", "data": {"streams": []}}],
    ),
    (
        "5.1 unknown action",
        [AUTH, {"action": "dance"}],
        [AUTHORIZED, {"action": "error", "data": {"error_message": "invalid action or data: dance"}}],
    ),
    ("5.1 no JSON", ["{"], [{"action": "error", "data": {"error_message": "invalid message: expected an object with an action"}}]),
]


async def said(socket: ClientWebSocketResponse) -> Any:
    """Return what the next frame says, of either opcode."""
    message = await socket.receive()
    assert message.type in (WSMsgType.TEXT, WSMsgType.BINARY), message
    return msgspec.json.decode(message.data)


async def listen(socket: ClientWebSocketResponse) -> None:
    """Authenticate and listen."""
    for message in (AUTH, LISTEN):
        await socket.send_json(message)
        await said(socket)


@pytest.mark.parametrize(("sent", "answers"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
async def test_handshake(sent: list[Any], answers: list[Any]) -> None:
    """Every message of a handshake has exactly the answer of the table; the server says nothing before it is spoken to."""
    async with running() as exchange, exchange.stream("/stream") as socket:
        for message in sent:
            await socket.send_str(message if isinstance(message, str) else msgspec.json.encode(message).decode())

        assert [await said(socket) for _ in answers] == answers


@pytest.mark.parametrize(
    ("settings", "headers", "opcode", "decode"),
    [
        (ServerSettings(), {}, WSMsgType.BINARY, msgspec.json.decode),
        (ServerSettings(text_frames=True), {}, WSMsgType.TEXT, msgspec.json.decode),
        (ServerSettings(), {"Content-Type": "application/msgpack"}, WSMsgType.BINARY, msgspec.msgpack.decode),
    ],
    ids=["5.1 paper: binary JSON", "5.1 live: text", "5.1 msgpack on request"],
)
async def test_frame_types(settings: ServerSettings, headers: dict[str, str], opcode: WSMsgType, decode: Any) -> None:
    """Frames are binary JSON by default, text by a switch, msgpack when the client asks."""
    async with running(settings=settings) as exchange, exchange.stream("/stream", headers) as socket:
        await socket.send_json(AUTH)
        message = await socket.receive()

        assert message.type is opcode
        assert decode(message.data) == AUTHORIZED


async def test_a_fill_tells_the_whole_order() -> None:
    """5.2: a fill carries event id, execution id, this execution's numbers as number-strings, and the order in the state after it."""
    async with running() as exchange, exchange.stream("/stream") as socket:
        await listen(socket)
        await exchange.quote("SPY", 499.99, 500.00)
        order = await exchange.buy("SPY", "3")
        await exchange.forward(1)
        updates = [(await said(socket))["data"] for _ in range(3)]

        assert [update["event"] for update in updates] == ["pending_new", "new", "fill"]
        fill = updates[2]
        assert (fill["price"], fill["qty"], fill["position_qty"]) == ("500", "3", "3")
        assert (fill["order"]["id"], fill["order"]["status"], fill["order"]["filled_avg_price"]) == (order["id"], "filled", "500")
        assert fill["execution_id"]
        assert fill["timestamp"].endswith("Z")
        assert len({update["event_id"] for update in updates}) == 3


async def test_nothing_is_replayed() -> None:
    """5.3: what happened while nobody listened is not sent when somebody does."""
    async with running() as exchange:
        await exchange.buy("SPY")
        await exchange.forward(1)
        async with exchange.stream("/stream") as socket:
            await listen(socket)
            await exchange.buy("TECL")

            assert (await said(socket))["data"]["order"]["symbol"] == "TECL"


async def refused(exchange: Running) -> int:
    """Return the status of a handshake that is refused."""
    with pytest.raises(WSServerHandshakeError) as refusal:
        async with exchange.stream("/stream"):
            pass
    return refusal.value.status


async def test_one_connection_per_account() -> None:
    """5.3: a second connection gets 429 at its handshake; two that came at once, an error after the second one's authentication."""
    async with running() as exchange:
        async with exchange.stream("/stream") as first, exchange.stream("/stream") as second:
            await listen(first)
            assert await refused(exchange) == 429
            await second.send_json(AUTH)
            assert (await said(second))["data"]["error_message"].startswith("connection limit exceeded")
            assert (await second.receive()).type is WSMsgType.CLOSE
        async with exchange.stream("/stream") as third:
            await listen(third)


async def test_stopping_closes_the_stream_in_order() -> None:
    """A stopping exchange says goodbye with 1001, as a server that goes away does."""
    async with running() as exchange, exchange.stream("/stream") as socket:
        await listen(socket)
        await exchange.server.stop()
        message = await socket.receive()

        assert (message.type, message.data) == (WSMsgType.CLOSE, 1001)
