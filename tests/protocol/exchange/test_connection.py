"""A connection bounds what waits for its client, and ends in time whatever the client does."""

import asyncio

import aiohttp
import pytest
from aiohttp import WSMsgType, web

from alchemiser.exchange.connection import GONE_AFTER_SECONDS, PING_AFTER_SECONDS, Connection, Frame
from tests.solipsism import LoopConnector, listen, virtual

BIG = Frame(b"x" * 100_000, is_text=False)


class Host:
    """A server whose one handler is a connection."""

    def __init__(self, *, queue_frames: int, answers_pings: bool = True) -> None:
        self.queue_frames = queue_frames
        self.answers_pings = answers_pings
        self.heard: list[Frame] = []
        self.opened: asyncio.Future[Connection] = asyncio.get_running_loop().create_future()
        self.ended = asyncio.Event()
        self._socket = listen()

    async def __aenter__(self) -> "Host":
        app = web.Application()
        app.router.add_get("/", self._handle)
        self._runner = web.AppRunner(app, handle_signals=False)
        await self._runner.setup()
        await web.SockSite(self._runner, self._socket).start()
        self._http = aiohttp.ClientSession(connector=LoopConnector())
        host, port = self._socket.getsockname()[:2]
        self.client = await self._http.ws_connect(f"http://{host}:{port}/", autoping=self.answers_pings)
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.client.close()
        await self._http.close()
        await self._runner.cleanup()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        connection = Connection(request, queue_frames=self.queue_frames, overflow=Frame(b"too slow", is_text=True))
        await connection.serve(self.heard.append, opened=lambda: self.opened.set_result(connection), ended=self.ended.set)
        return connection.socket


def test_frames_keep_their_opcode() -> None:
    """Text stays text and binary stays binary, in both directions."""

    async def scene() -> None:
        async with Host(queue_frames=10) as host:
            connection = await host.opened
            connection.send(Frame(b"a", is_text=True))
            connection.send(Frame(b"b", is_text=False))
            messages = [await host.client.receive() for _ in range(2)]
            await host.client.send_str("c")
            await host.client.send_bytes(b"d")
            await host.client.close()
            await host.ended.wait()

            assert [(message.type, message.data) for message in messages] == [(WSMsgType.TEXT, "a"), (WSMsgType.BINARY, b"b")]
            assert host.heard == [Frame(b"c", is_text=True), Frame(b"d", is_text=False)]

    virtual(scene)


def test_a_full_queue_ends_the_connection_and_says_so() -> None:
    """What waits is dropped as a whole, the last frame says why, and nothing more is taken."""

    async def scene() -> None:
        async with Host(queue_frames=3) as host:
            connection = await host.opened
            for _ in range(5):
                connection.send(BIG)
            connection.close(code=1000)
            first, second = await host.client.receive(), await host.client.receive()

            assert (first.data, second.type, second.data) == ("too slow", WSMsgType.CLOSE, 1008)

    virtual(scene)


def test_a_client_that_takes_nothing_is_cut() -> None:
    """A close that the client never lets through ends in a cut connection after a bounded time."""

    async def scene() -> None:
        loop = asyncio.get_running_loop()
        async with Host(queue_frames=200) as host:
            connection = await host.opened
            for _ in range(150):
                connection.send(BIG)
            begun = loop.time()
            connection.close()
            await host.ended.wait()

            assert 0 < loop.time() - begun <= 10

    virtual(scene)


def test_a_cut_connection_sends_nothing_more() -> None:
    """A connection that was cut ends on both sides at once, without a close frame."""

    async def scene() -> None:
        async with Host(queue_frames=10) as host:
            connection = await host.opened
            connection.send(BIG)
            connection.abort()
            connection.send(BIG)
            connection.close()
            message = await host.client.receive()
            await host.ended.wait()

            assert message.type in (WSMsgType.CLOSED, WSMsgType.ERROR)

    virtual(scene)


def test_a_client_that_does_not_answer_is_gone() -> None:
    """A silent client is asked after a minute whether it lives; one that stays silent is cut, as the service frees its place."""

    async def scene() -> None:
        loop = asyncio.get_running_loop()
        async with Host(queue_frames=10, answers_pings=False) as host:
            connection = await host.opened
            begun = loop.time()
            message = await host.client.receive()
            assert message.type is WSMsgType.PING
            assert loop.time() - begun == pytest.approx(PING_AFTER_SECONDS, abs=1)
            await host.ended.wait()
            assert (await host.client.receive()).type in (WSMsgType.CLOSED, WSMsgType.ERROR)

            assert loop.time() - begun == pytest.approx(GONE_AFTER_SECONDS, abs=1)
            assert not connection.ended_cleanly

    virtual(scene)


def test_a_silent_client_that_answers_stays() -> None:
    """Who answers pings may be silent for ever."""

    async def scene() -> None:
        loop = asyncio.get_running_loop()
        async with Host(queue_frames=10) as host:
            connection = await host.opened
            begun = loop.time()
            loop.call_later(3_600, connection.send, Frame(b"still here", is_text=True))

            assert (await host.client.receive()).data == "still here"
            assert loop.time() - begun >= 3_600
            await host.client.close()
            await host.ended.wait()

    virtual(scene)
