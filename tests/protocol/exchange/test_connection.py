"""A connection bounds what waits for its client, and ends in time whatever the client does."""

import asyncio

import aiohttp
from aiohttp import WSMsgType, web

from alchemiser.exchange.connection import Connection, Frame
from tests.solipsism import LoopConnector, listen, virtual

BIG = Frame(b"x" * 100_000, is_text=False)


class Host:
    """A server whose one handler is a connection."""

    def __init__(self, *, queue_frames: int) -> None:
        self.queue_frames = queue_frames
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
        self.client = await self._http.ws_connect(f"http://{host}:{port}/")
        return self

    async def __aexit__(self, *error: object) -> None:
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
