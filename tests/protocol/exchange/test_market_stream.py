"""The market-data stream by the numbers of section 6 of the protocol reference, spoken to with a bare WebSocket client."""

from typing import Any

import msgspec
import pytest
from aiohttp import ClientWebSocketResponse, WSMsgType

from alchemiser.exchange.market_stream import AUTH_SECONDS, MarketSession
from alchemiser.exchange.server import ServerSettings
from tests.protocol.exchange.harness import CREDENTIALS, HEADERS, running, session, virtual_exchange
from tests.solipsism import virtual

AUTH = {"action": "auth", "key": CREDENTIALS.key_id, "secret": CREDENTIALS.secret_key}
CONNECTED = [{"T": "success", "msg": "connected"}]
AUTHENTICATED = [{"T": "success", "msg": "authenticated"}]


def error(code: int, text: str) -> list[dict[str, Any]]:
    """Return an error frame."""
    return [{"T": "error", "code": code, "msg": text}]


def state(**channels: list[str]) -> list[dict[str, Any]]:
    """Return the acknowledgement of these subscriptions."""
    names = ("trades", "quotes", "bars", "updatedBars", "dailyBars", "statuses", "lulds")
    followers = {"corrections": channels.get("trades", []), "cancelErrors": channels.get("trades", [])}
    return [{"T": "subscription", **{name: channels.get(name, []) for name in names}, **followers}]


def subscribe(**channels: list[str]) -> dict[str, Any]:
    """Return a subscription."""
    return {"action": "subscribe", **channels}


CASES: list[tuple[str, str, ServerSettings, list[Any], list[Any], bool]] = [
    ("6.1 auth by message", "sip", ServerSettings(), [AUTH], [AUTHENTICATED], False),
    ("6.3 400 no JSON", "sip", ServerSettings(), ["{"], [error(400, "invalid syntax")], False),
    ("6.3 400 no action", "sip", ServerSettings(), [AUTH, {"quotes": ["SPY"]}], [AUTHENTICATED, error(400, "invalid syntax")], False),
    ("6.3 400 nothing asked", "sip", ServerSettings(), [AUTH, subscribe()], [AUTHENTICATED, error(400, "invalid syntax")], False),
    (
        "6.3 400 no list of symbols",
        "sip",
        ServerSettings(),
        [AUTH, {"action": "subscribe", "quotes": "SPY"}],
        [AUTHENTICATED, error(400, "invalid syntax")],
        False,
    ),
    ("6.3 401 before auth", "iex", ServerSettings(), [subscribe(quotes=["SPY"])], [error(401, "not authenticated")], False),
    ("6.3 402 bad keys, closes", "sip", ServerSettings(), [{**AUTH, "secret": "x"}], [error(402, "auth failed")], True),
    ("6.3 402 keys missing, closes", "sip", ServerSettings(), [{"action": "auth"}], [error(402, "auth failed")], True),
    ("6.3 403 twice", "sip", ServerSettings(), [AUTH, AUTH], [AUTHENTICATED, error(403, "already authenticated")], False),
    (
        "6.3 405 old subscription kept",
        "sip",
        ServerSettings(symbol_limit=2),
        [AUTH, subscribe(quotes=["A", "B"]), subscribe(trades=["C"]), subscribe(bars=["C"])],
        [AUTHENTICATED, state(quotes=["A", "B"]), error(405, "symbol limit exceeded"), state(quotes=["A", "B"], bars=["C"])],
        False,
    ),
    ("6.3 409 feed not in plan", "sip", ServerSettings(plan=("iex",)), [AUTH], [error(409, "insufficient subscription")], True),
    (
        "6.3 410 channel of no feed",
        "sip",
        ServerSettings(),
        [AUTH, subscribe(orderbooks=["SPY"])],
        [AUTHENTICATED, error(410, "invalid subscribe action for this feed")],
        False,
    ),
    (
        "6.1 additive, complete state, followers of trades",
        "sip",
        ServerSettings(),
        [AUTH, subscribe(trades=["SPY"]), subscribe(quotes=["*"], trades=["TECL"]), {"action": "unsubscribe", "trades": ["SPY", "XYZ"]}],
        [AUTHENTICATED, state(trades=["SPY"]), state(trades=["SPY", "TECL"], quotes=["*"]), state(trades=["TECL"], quotes=["*"])],
        False,
    ),
    (
        "6.5 the test feed names three channels",
        "test",
        ServerSettings(),
        [AUTH, subscribe(trades=["FAKEPACA"]), subscribe(statuses=["*"])],
        [
            AUTHENTICATED,
            [{"T": "subscription", "trades": ["FAKEPACA"], "quotes": [], "bars": []}],
            error(410, "invalid subscribe action for this feed"),
        ],
        False,
    ),
]


async def said(socket: ClientWebSocketResponse) -> Any:
    """Return what the next frame says."""
    message = await socket.receive()
    assert message.type in (WSMsgType.TEXT, WSMsgType.BINARY), message
    return msgspec.json.decode(message.data) if message.type is WSMsgType.TEXT else msgspec.msgpack.decode(message.data)


async def opened(socket: ClientWebSocketResponse, **channels: list[str]) -> None:
    """Read the welcome of a connection authenticated by headers, and subscribe."""
    assert [await said(socket), await said(socket)] == [CONNECTED, AUTHENTICATED]
    if channels:
        await socket.send_json(subscribe(**channels))
        await said(socket)


@pytest.mark.parametrize(("feed", "settings", "sent", "answers", "closes"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
async def test_control_frames(feed: str, settings: ServerSettings, sent: list[Any], answers: list[Any], closes: bool) -> None:
    """Every message has exactly the answer of the table, after the welcome, and the connection stays or goes as section 6.3 says."""
    async with running(settings=settings) as exchange, exchange.stream(f"/v2/{feed}") as socket:
        assert await said(socket) == CONNECTED
        for message in sent:
            await socket.send_str(message if isinstance(message, str) else msgspec.json.encode(message).decode())

        assert [await said(socket) for _ in answers] == answers
        if closes:
            assert (await socket.receive()).type is WSMsgType.CLOSE
        else:
            await socket.send_str("{")
            assert await said(socket) == error(400, "invalid syntax")


async def test_headers_authenticate() -> None:
    """6.1: key headers of the handshake authenticate; wrong ones are refused at once."""
    async with running() as exchange:
        async with exchange.stream("/v2/sip", HEADERS) as socket:
            await opened(socket)
        async with exchange.stream("/v2/sip", {**HEADERS, "APCA-API-SECRET-KEY": "x"}) as socket:
            assert [await said(socket), await said(socket)] == [CONNECTED, error(402, "auth failed")]


async def test_one_connection_per_feed() -> None:
    """6.3: a second connection of a feed gets 406 and is closed; another feed is free."""
    async with running() as exchange, exchange.stream("/v2/sip", HEADERS) as first:
        await opened(first)
        async with exchange.stream("/v2/sip", HEADERS) as second:
            assert [await said(second), await said(second)] == [CONNECTED, error(406, "connection limit exceeded")]
            assert (await second.receive()).type is WSMsgType.CLOSE
        async with exchange.stream("/v2/iex", HEADERS) as other:
            await opened(other)


def test_authentication_has_ten_seconds() -> None:
    """6.3: a client that does not authenticate within ten seconds is told 404 and loses its connection."""

    async def scene() -> None:
        async with virtual_exchange() as exchange, exchange.stream("/v2/sip") as socket:
            assert await said(socket) == CONNECTED
            assert await said(socket) == error(404, "auth timeout")
            assert (await socket.receive()).type is WSMsgType.CLOSE
            assert exchange.clock.monotonic() == pytest.approx(AUTH_SECONDS, abs=0.1)

    virtual(scene)


@pytest.mark.parametrize("encoding", ["application/json", "application/msgpack"])
async def test_data_messages(encoding: str) -> None:
    """6.2, 6.4: in both encodings T comes first, sizes are integers, several messages share a frame, bars come after their minute."""
    async with running() as exchange, exchange.stream("/v2/sip", {**HEADERS, "Content-Type": encoding}) as socket:
        await opened(socket, quotes=["SPY", "TECL"], trades=["SPY"], bars=["*"], dailyBars=["SPY"])
        await exchange.forward(60)
        frame = await said(socket)
        by_type: dict[str, list[dict[str, Any]]] = {}
        for message in frame:
            assert next(iter(message)) == "T"
            by_type.setdefault(message["T"], []).append(message)

        assert {kind: len(messages) for kind, messages in by_type.items() if kind in "bd"} == {"b": 3, "d": 1}
        quote, bar = by_type["q"][0], by_type["b"][0]
        assert set(quote) == {"T", "S", "ax", "ap", "as", "bx", "bp", "bs", "c", "t", "z"}
        assert set(bar) == {"T", "S", "o", "h", "l", "c", "v", "n", "vw", "t"}
        assert {type(quote["as"]), type(bar["v"]), type(bar["n"])} == {int}
        expected = "2025-03-03T14:30:00Z" if encoding.endswith("json") else session().opens_at
        assert bar["t"] == expected


async def test_only_what_changed_and_was_asked_for() -> None:
    """A quote that did not change is not sent, nor one of a symbol that nobody subscribed to; a halt is a status."""
    async with running() as exchange, exchange.stream("/v2/sip", HEADERS) as socket:
        await opened(socket, quotes=["SPY"], statuses=["SPY"])
        for symbol in ("SPY", "TECL"):
            await exchange.quote(symbol, 10.0, 10.1)
        await exchange.forward(300)
        await exchange.call("POST", "/_exchange/halt", {"symbol": "SPY", "halted": True})
        await exchange.call("POST", "/_exchange/halt", {"symbol": "SPY", "halted": False})

        assert [(message["T"], message["S"]) for message in await said(socket)] == [("q", "SPY")]
        assert [(message["sc"], message["sm"]) for message in await said(socket)] == [("2", "Trading Halt")]
        assert [message["sc"] for message in await said(socket)] == ["3"]


async def test_the_delayed_feed_says_it_later() -> None:
    """6.5: the delayed feed sends what happened a quarter of an hour ago."""
    async with running() as exchange, exchange.stream("/v2/delayed_sip", HEADERS) as socket:
        await opened(socket, bars=["SPY"])
        await exchange.forward(16 * 60)

        (bar,) = await said(socket)
        assert bar["t"] == "2025-03-03T14:30:00Z"


async def test_the_test_feed_has_its_own_symbol() -> None:
    """6.5: the test feed shows FAKEPACA, and nothing of the market."""
    async with running() as exchange, exchange.stream("/v2/test", HEADERS) as socket:
        await opened(socket, trades=["*"], quotes=["*"])
        await exchange.forward(60)

        assert {message["S"] for message in await said(socket)} == {"FAKEPACA"}


def test_a_slow_client_is_told_and_dropped() -> None:
    """6.3: a client that does not read fills its bounded queue, is told 407 if it ever reads on, and loses its connection."""

    async def scene() -> None:
        async with virtual_exchange() as exchange, exchange.stream("/v2/sip", HEADERS) as socket:
            await opened(socket, quotes=["SPY"])
            for place in range(2_500):
                exchange.server.market_stream.send_raw(f"[{place}]")
            last: Any = None
            while (message := await socket.receive()).type is WSMsgType.TEXT:
                last = msgspec.json.decode(message.data)

            assert last == error(407, "slow client")
            assert message.type is WSMsgType.CLOSE

    virtual(scene)


def test_wildcards_and_symbols_coexist() -> None:
    """6.1: taking a symbol away does not cut a hole into the wildcard."""

    class Free:
        def is_free(self, feed: str) -> bool:
            return True

        def refusal(self) -> int | None:
            return None

    stream_session = MarketSession("sip", credentials=CREDENTIALS, slots=Free())
    stream_session.receive(AUTH)
    stream_session.receive(subscribe(quotes=["*", "SPY"]))
    stream_session.receive({"action": "unsubscribe", "quotes": ["SPY"]})

    assert stream_session.wants("quotes", "SPY")
    assert not stream_session.wants("trades", "SPY")
    assert not stream_session.wants("imbalances", "SPY")
