"""One web socket: how it opens, how it ends, and that it says nothing about the key."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.server import ServerConnection
from websockets.frames import Frame, Opcode
from websockets.utils import accept_key

from alchemiser.alpaca.feed import FeedLimits, FeedLost, open_feed
from alchemiser.domain.errors import ConfigError, CredentialsRefused
from tests.solipsism import virtual
from tests.unit.alpaca.fakes import SECRET, stream_venue

LIMITS = FeedLimits()


async def idle(connection: ServerConnection) -> None:
    await connection.wait_closed()


class Sink:
    """Takes what is pushed."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.messages: list[tuple[bytes, bool]] = []
        self.error = error
        self.end = asyncio.Event()

    def receive(self, message: bytes, is_text: bool) -> None:
        if self.error is not None:
            raise self.error
        self.messages.append((message, is_text))

    def feed(self, url: str, headers: Mapping[str, str] | None = None) -> AbstractAsyncContextManager[ClientConnection]:
        return open_feed(url, limits=LIMITS, receive=self.receive, ended=self.end.set, headers=headers)


@pytest.mark.parametrize("status", [401, 403])
async def test_a_handshake_refused_for_the_key(status: int) -> None:
    """Trying again cannot help."""
    async with stream_venue(idle, refusals=(status,)) as url:
        with pytest.raises(CredentialsRefused, match=str(status)):
            async with Sink().feed(url):
                pass


@pytest.mark.parametrize(("status", "is_crowded"), [(429, True), (500, False), (502, False), (404, False)])
async def test_a_handshake_refused_for_now(status: int, is_crowded: bool) -> None:
    """It may be better next time; 429 means another connection still holds the place."""
    async with stream_venue(idle, refusals=(status,)) as url:
        with pytest.raises(FeedLost, match=str(status)) as caught:
            async with Sink().feed(url):
                pass
    assert caught.value.is_crowded is is_crowded


async def test_nobody_listens() -> None:
    """A refused connection is a lost one."""
    async with stream_venue(idle) as url:
        pass
    with pytest.raises(FeedLost, match="cannot connect"):
        async with Sink().feed(url):
            pass


async def test_a_connection_that_is_cut_before_the_handshake(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network may let somebody connect and cut him off before he has said a word; that is a lost connection too."""
    made = ClientConnection.connection_made

    def cut(connection: ClientConnection, transport: Any) -> None:
        made(connection, transport)
        transport.abort()

    async with stream_venue(idle) as url:
        monkeypatch.setattr(ClientConnection, "connection_made", cut)
        with pytest.raises(FeedLost, match="cannot connect"):
            async with Sink().feed(url):
                pass


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/stream", "nonsense", "ws://"])
async def test_an_address_that_is_none(url: str) -> None:
    """A wrong setting is told as one."""
    with pytest.raises(ConfigError, match="web socket"):
        async with Sink().feed(url):
            pass


async def test_a_server_that_does_not_speak_the_protocol() -> None:
    """Bytes that are no handshake are a lost connection."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"SSH-2.0-OpenSSH_9.6\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server:
        with pytest.raises(FeedLost):
            async with Sink().feed(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"):
                pass


def test_a_handshake_that_is_never_answered() -> None:
    """Opening has a deadline."""

    async def main() -> float:
        loop, gone = asyncio.get_running_loop(), asyncio.Event()

        async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()
            writer.close()
            gone.set()

        server = await asyncio.start_server(say_nothing, "127.0.0.1", 8000)
        began = loop.time()
        with pytest.raises(FeedLost, match="timed out"):
            async with Sink().feed("ws://127.0.0.1:8000"):
                pass
        took = loop.time() - began
        await gone.wait()
        server.close()
        return took

    assert round(virtual(main)) == 10


async def test_pushed_messages_come_in_order_whole_and_with_their_kind() -> None:
    """Text, binary, fragments with a ping between them, and what was sent right behind the handshake."""

    async def speak(connection: ServerConnection) -> None:
        await connection.send("hello")
        await connection.send(b"\x01\x02")
        await connection.send([b"a", b"b", b"c"])
        await connection.send(["d", "", "e"])
        await connection.send(b"")
        await connection.close()

    sink = Sink()
    async with stream_venue(speak) as url, sink.feed(url):
        await sink.end.wait()
    assert sink.messages == [(b"hello", True), (b"\x01\x02", False), (b"abc", False), (b"de", True), (b"", False)]


async def test_control_frames_between_fragments_do_not_disturb() -> None:
    """A ping may come in the middle of a message, and is answered."""
    ponged = asyncio.Event()

    async def speak(connection: ServerConnection) -> None:
        connection.protocol.send_binary(b"first ", fin=False)
        pong = await connection.ping()
        await pong
        ponged.set()
        connection.protocol.send_continuation(b"second", fin=True)
        connection.transport.write(b"".join(connection.protocol.data_to_send()))
        await connection.close()

    sink = Sink()
    async with stream_venue(speak) as url, sink.feed(url):
        await sink.end.wait()
    assert ponged.is_set()
    assert sink.messages == [(b"first second", False)]


async def _raw(url_talk: Callable[[asyncio.StreamWriter, str], None], sink: Sink) -> None:
    """Serve one connection whose bytes are written by hand; the key is what the handshake's answer must hold."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = (await reader.readuntil(b"\r\n\r\n")).decode()
        key = next(line.split(": ")[1] for line in request.split("\r\n") if line.lower().startswith("sec-websocket-key"))
        url_talk(writer, accept_key(key))
        await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
        await reader.read()
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server, sink.feed(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/stream"):
        await sink.end.wait()


HEAD = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {}\r\n\r\n"


async def test_the_first_messages_may_come_with_the_handshake() -> None:
    """One piece of bytes that holds the handshake's answer, a message and half of the next loses neither."""

    def write(writer: asyncio.StreamWriter, accept: str) -> None:
        writer.write(HEAD.format(accept).encode() + Frame(Opcode.TEXT, b"one").serialize(mask=False) + b"\x82\x03tw")
        writer.write(b"o" + Frame(Opcode.BINARY, b"").serialize(mask=False))

    sink = Sink()
    await _raw(write, sink)
    assert sink.messages == [(b"one", True), (b"two", False), (b"", False)]


@pytest.mark.parametrize("answer", ["HTTP/1.1 503 No\r\nContent-Length: 4\r\n\r\nlate", "HTTP/1.1 101", "x" * 100_000, ""])
async def test_handshakes_that_fail(answer: str) -> None:
    """A refusal with a reason, an answer that is cut off, and one that never ends are all losses."""
    with pytest.raises(FeedLost):
        await _raw(lambda writer, accept: writer.write(answer.encode()), Sink())


async def test_a_frame_that_is_too_long_ends_the_connection() -> None:
    """The library refuses it by its length, before it has come."""
    sink = Sink()

    async def boast(connection: ServerConnection) -> None:
        connection.transport.write(b"\x82\x7f" + (2**40).to_bytes(8, "big"))
        await connection.wait_closed()
        assert connection.close_code == 1009

    async with stream_venue(boast) as url, sink.feed(url):
        await sink.end.wait()
    assert sink.messages == []


async def test_what_the_receiver_raises_comes_out(caplog: pytest.LogCaptureFixture) -> None:
    """A mistake in taking a message ends the connection and is not swallowed; later messages are not taken."""

    async def speak(connection: ServerConnection) -> None:
        await connection.send(b"one")
        await connection.send(b"two")
        await connection.wait_closed()

    sink = Sink(LookupError("planted"))
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
    async with stream_venue(speak) as url:
        with pytest.raises(LookupError, match="planted"):
            async with sink.feed(url):
                await sink.end.wait()
    assert sink.messages == []


async def test_a_send_on_an_ended_feed_is_a_loss() -> None:
    """Sending finds out that the connection is gone; its close code is part of the reason."""

    async def leave(connection: ServerConnection) -> None:
        await connection.close(1001, "going away")

    sink = Sink()
    async with stream_venue(leave) as url:
        with pytest.raises(FeedLost, match="1001"):
            await _send_late(sink, url)


async def _send_late(sink: Sink, url: str) -> None:
    async with sink.feed(url) as socket:
        await sink.end.wait()
        await socket.send(b"anybody?")


async def test_the_key_is_never_logged(caplog: pytest.LogCaptureFixture) -> None:
    """At debug level the library writes out every frame; it never gets there."""
    caplog.set_level(logging.DEBUG)

    async def listen(connection: ServerConnection) -> None:
        await connection.recv()
        await connection.send("thanks")

    # The scripted server is the same library and would log what it receives.
    logging.getLogger("websockets.server").setLevel(logging.INFO)
    sink = Sink()
    async with stream_venue(listen) as url, sink.feed(url, headers={"X-Key": SECRET}) as socket:
        await socket.send(SECRET)
        await sink.end.wait()
    assert sink.messages == [(b"thanks", True)]
    assert SECRET not in caplog.text
