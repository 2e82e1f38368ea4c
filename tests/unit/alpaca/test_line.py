"""A line sends what a session would, in the same breath as the leave to do so, and reads the answer as aiohttp does."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from yarl import URL

from alchemiser.alpaca.line import Line

BODY = b'{"symbol": "TECL"}'
HEADERS = {"APCA-API-KEY-ID": "key", "Accept": "application/json"}
CONTENT = {"Content-Type": "application/json"}
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Request-ID: one\r\n\r\n{}"


class Door:
    """A server that keeps what it is sent and answers each request with the next of its answers."""

    def __init__(self, *answers: bytes) -> None:
        self.answers = list(answers)
        self.requests: list[bytes] = []
        self.connections = 0
        self.url = URL()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer on one connection until there is no answer left, then end it."""
        self.connections += 1
        try:
            while self.answers:
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(line for line in head.decode().lower().split("\r\n") if line.startswith("content-length"))
                self.requests.append(head + await reader.readexactly(int(length.partition(":")[2])))
                writer.write(self.answers.pop(0))
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()


@asynccontextmanager
async def door(*answers: bytes) -> AsyncIterator[tuple[Door, aiohttp.ClientSession]]:
    """A door on loopback and a session."""
    one = Door(*answers)
    server = await asyncio.start_server(one.serve, "127.0.0.1", 0)
    one.url = URL(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v2/orders")
    async with server, aiohttp.ClientSession(headers=HEADERS) as session:
        yield one, session


async def at_once() -> None:
    """Give leave."""


def line_to(one: Door, session: aiohttp.ClientSession) -> Line:
    """Return the line to a door."""
    return Line(session, "POST", one.url, headers=CONTENT, ssl=True)


async def test_it_says_what_a_session_would() -> None:
    """The same first line, the same headers whatever their order, the same body; and the answer is the same."""
    async with door(OK, OK) as (one, session):
        answer = await line_to(one, session).send(BODY, at_once)
        async with session.post(one.url, data=BODY, headers=CONTENT) as response:
            assert (response.status, response.headers["X-Request-ID"]) == (answer.status, answer.headers["X-Request-ID"])
            assert await response.read() == answer.body
    short, usual = (request.split(b"\r\n") for request in one.requests)
    assert usual[0] == short[0]
    assert sorted(usual[1:]) == sorted(short[1:])


async def test_connections_are_kept_and_shared_with_the_session() -> None:
    """An order does not wait for a handshake that another request has made already."""
    async with door(OK, OK, OK) as (one, session):
        line = line_to(one, session)
        await line.send(BODY, at_once)
        async with session.post(one.url, data=BODY) as response:
            await response.read()
        await line.send(BODY, at_once)
    assert one.connections == 1


async def test_the_bytes_leave_in_the_turn_in_which_leave_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits for the next turn of the loop finds them written."""
    seen: list[int] = []
    async with door(OK, OK) as (one, session):
        line = line_to(one, session)
        await line.send(BODY, at_once)
        written: list[bytes] = []
        (protocol, _) = next(iter(session.connector._conns.values()))[0]  # type: ignore[union-attr]
        transport: Any = protocol.transport

        class Watched:
            def write(self, data: bytes) -> None:
                written.append(data)
                transport.write(data)

            def __getattr__(self, name: str) -> object:
                return getattr(transport, name)

        monkeypatch.setattr(protocol, "transport", Watched())

        async def give_leave() -> None:
            assert written == []
            asyncio.get_running_loop().call_soon(lambda: seen.append(len(written)))

        await line.send(BODY, give_leave)
    assert seen == [1]
    assert written[0].endswith(BODY)


async def test_without_leave_nothing_is_sent() -> None:
    """What it raises comes out, the venue has heard nothing, and the next request is as good as any."""
    async with door(OK) as (one, session):
        line = line_to(one, session)

        async def refuse() -> None:
            raise LookupError("the gate is closed")

        with pytest.raises(LookupError):
            await line.send(BODY, refuse)
        assert one.requests == []
        assert (await line.send(BODY, at_once)).status == 200
    assert len(one.requests) == 1


async def test_what_comes_before_the_answer_is_passed_over() -> None:
    """An informational answer is not the answer."""
    async with door(b"HTTP/1.1 102 Processing\r\n\r\n" + OK) as (one, session):
        assert (200, b"{}") == ((answer := await line_to(one, session).send(BODY, at_once)).status, answer.body)


@pytest.mark.parametrize(
    "answer",
    [b"", b"HTTP/1.1 200 OK\r\nContent-Le", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}", b"\x00\x01 hello"],
    ids=["none", "half a head", "half a body", "not HTTP"],
)
async def test_an_answer_that_is_none_is_an_error_and_the_connection_is_not_used_again(answer: bytes) -> None:
    """The next request has a connection of its own."""
    async with door(answer) as (one, session):
        line = line_to(one, session)
        with pytest.raises((aiohttp.ClientError, OSError)):
            await line.send(BODY, at_once)
        one.answers.append(OK)
        assert (await line.send(BODY, at_once)).status == 200
    assert one.connections == 2


async def test_a_header_that_breaks_out_of_its_line_is_refused() -> None:
    """Nothing is sent that says more than was meant."""
    async with door(OK) as (one, session):
        with pytest.raises(ValueError, match="line break"):
            Line(session, "POST", one.url, headers={"X-Note": "one\r\nX-Other: two"}, ssl=True)


async def test_a_closed_session_sends_nothing() -> None:
    """As a session that is closed says itself."""
    async with door(OK) as (one, session):
        line = line_to(one, session)
        await session.close()
        with pytest.raises(aiohttp.ClientConnectionError):
            await line.send(BODY, at_once)
    assert one.requests == []
