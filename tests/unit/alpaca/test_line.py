"""A line sends what a session would, in the same breath as the leave to do so, and reads the answer as aiohttp does."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from yarl import URL

from alchemiser.alpaca.line import KEPT_AT_MOST, Line
from alchemiser.bus.begun import breathe

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
        self.lines: list[Line] = []

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
        try:
            yield one, session
        finally:
            for line in one.lines:
                line.close()


async def at_once() -> None:
    """Give leave."""


def line_to(one: Door, session: aiohttp.ClientSession) -> Line:
    """Return the line to a door."""
    one.lines.append(Line(session, "POST", one.url, headers=CONTENT, ssl=True))
    return one.lines[-1]


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
    """An order does not wait for a handshake that another request has made already, and the next one not for another's turn."""
    async with door(OK, OK, OK) as (one, session):
        line = line_to(one, session)
        async with session.post(one.url, data=BODY) as response:
            await response.read()
        await line.send(BODY, at_once)
        await line.send(BODY, at_once)
    assert one.connections == 1


class Watched:
    """A transport that keeps what is written to it."""

    def __init__(self, line: Line) -> None:
        protocol: Any = line._kept[-1][0].protocol
        self.written: list[bytes] = []
        self._transport, protocol.transport = protocol.transport, self

    def write(self, data: bytes) -> None:
        """Write."""
        self.written.append(data)
        self._transport.write(data)

    def __getattr__(self, name: str) -> object:
        return getattr(self._transport, name)


async def test_the_bytes_leave_in_the_turn_in_which_leave_is_given() -> None:
    """What waits for the next turn of the loop finds them written."""
    seen: list[int] = []
    async with door(OK, OK) as (one, session):
        line = line_to(one, session)
        await line.send(BODY, at_once)
        watched = Watched(line)

        async def give_leave() -> None:
            assert watched.written == []
            asyncio.get_running_loop().call_soon(lambda: seen.append(len(watched.written)))

        await line.send(BODY, give_leave)
    assert seen == [1]
    assert watched.written[0].endswith(BODY)


# --- over the connection at hand ---


async def test_what_is_sent_now_is_written_before_the_call_returns() -> None:
    """With nobody waiting for anything; and the answer comes as to any other request."""
    async with door(OK, OK) as (one, session):
        line = line_to(one, session)
        assert not line.is_at_hand
        await line.send(BODY, at_once)
        watched = Watched(line)
        at_hand = [line.is_at_hand]
        flight = line.send_now(BODY)
        assert watched.written[0].endswith(BODY)
        at_hand.append(line.is_at_hand)
        answer = await flight.answer()
        assert (answer.status, answer.body) == (200, b"{}")
        assert [*at_hand, line.is_at_hand] == [True, False, True], "a second request would wait for the answer to the first"
    assert one.connections == 1


async def test_a_connection_that_has_been_idle_is_not_at_hand() -> None:
    """The other side may be about to end it, and then nobody could say what became of the order."""
    async with door(OK, OK) as (one, session):
        line = Line(session, "POST", one.url, headers=CONTENT, ssl=True, idle_seconds=-1.0)
        await line.send(BODY, at_once)
        assert not line.is_at_hand
        await line.send(BODY, at_once)
        line.close()
    assert one.connections == 2


async def test_a_connection_that_the_other_side_has_ended_is_not_at_hand() -> None:
    """It is noticed when the end arrives, not when an order is written to it."""
    async with door(OK) as (one, session):
        line = line_to(one, session)
        await line.send(BODY, at_once)
        while line.is_at_hand:  # The door ends the connection after its last answer.
            await breathe()
        one.answers.append(OK)
        assert (await line.send(BODY, at_once)).status == 200
    assert one.connections == 2


async def test_a_connection_that_breaks_as_it_is_written_to_is_lost() -> None:
    """An error, and the next request has a connection of its own."""
    async with door(OK, OK) as (one, session):
        line = line_to(one, session)
        await line.send(BODY, at_once)
        assert line.is_at_hand
        Watched(line)._transport.abort()
        with pytest.raises(aiohttp.ClientConnectionResetError):
            line.send_now(BODY)
        assert (await line.send(BODY, at_once)).status == 200
    assert one.connections == 2


async def test_an_order_does_not_wait_for_the_answers_to_those_before() -> None:
    """As many connections are at hand as were needed at a time, and a request that is being answered takes none from the next."""
    async with door(*[OK] * 5) as (one, session):
        line = line_to(one, session)
        await asyncio.gather(line.send(BODY, at_once), line.send(BODY, at_once))
        flights = [line.send_now(BODY), line.send_now(BODY)]
        assert not line.is_at_hand
        assert [200, 200] == [(await flight.answer()).status for flight in flights]
        await line.send_now(BODY).answer()
    assert one.connections == 2


async def test_no_more_connections_are_kept_than_that_many() -> None:
    """What a burst has opened beyond them goes back to the session."""
    async with door(*[OK] * (KEPT_AT_MOST * 3)) as (one, session):
        line = line_to(one, session)
        await asyncio.gather(*(line.send(BODY, at_once) for _ in range(KEPT_AT_MOST + 2)))
        for _ in range(KEPT_AT_MOST):
            with line.send_now(BODY):
                pass
        assert not line.is_at_hand
        async with session.post(one.url, data=BODY) as response:
            assert response.status == 200
    assert one.connections == KEPT_AT_MOST + 2


async def test_connections_of_a_burst_are_given_up_when_it_is_long_over() -> None:
    """The one that goes on being used keeps nobody from noticing that the others have been idle."""
    async with door(*[OK] * 4) as (one, session):
        line = line_to(one, session)
        await asyncio.gather(line.send(BODY, at_once), line.send(BODY, at_once))
        (idle, since), newest = line._kept
        line._kept[0] = idle, since - 60.0
        await line.send_now(BODY).answer()
        assert [newest[0]] == [connection for connection, _ in line._kept]
        assert idle.closed


async def test_an_answer_that_nobody_reads_closes_the_connection() -> None:
    """Else it would be taken for the answer to the next request."""
    async with door(OK, OK, OK) as (one, session):
        line = line_to(one, session)
        await line.send(BODY, at_once)
        with line.send_now(BODY):
            pass
        assert not line.is_at_hand
        assert (await line.send(BODY, at_once)).status == 200
    assert one.connections == 2


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
