"""One request and everything that can become of it: deadlines, retries, quotas, broken connections, secrets."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import pytest
from aiohttp import web
from pydantic import SecretStr

from alchemiser.alpaca.credentials import Credentials, RenewableCredentials
from alchemiser.alpaca.line import KEPT_AT_MOST
from alchemiser.alpaca.rest import Host, OnRequest, Request, RestClient, RestLimits
from alchemiser.bus.begun import begin
from alchemiser.domain.errors import CredentialsRefused, OutcomeUnknown, RateLimited, VenueError, VenueUnavailable
from alchemiser.service.clock import VirtualClock
from tests.solipsism import LoopConnector, listen, virtual
from tests.unit.alpaca.fakes import KEY_ID, SECRET, START, Answer, InstantClock, ScriptedVenue, credentials

READ = Request(method="GET", path="/v2/account", what="account")
SUBMIT = Request(method="POST", path="/v2/orders", what="submit of order X-1", body=b"{}")
CANCEL = Request(method="DELETE", path="/v2/orders/7", template="/v2/orders/{id}", what="cancel of order 7")
HTML = b"<html><body>502 Bad Gateway</body></html>"

Converse = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def client(clock: InstantClock, *, limits: RestLimits | None = None, on_request: OnRequest | None = None) -> RestClient:
    return RestClient(credentials(), clock=clock, random=Random(3), limits=limits, on_request=on_request)


@asynccontextmanager
async def raw_server(converse: Converse) -> AsyncIterator[Host]:
    """Serve bytes that no HTTP server would send."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await converse(reader, writer)
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server:
        yield Host(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")


async def test_an_answer_is_its_body(server: ScriptedVenue, clock: InstantClock) -> None:
    """A request carries the key pair and the parameters, and returns the bytes."""
    server.answer({"cash": "1"})
    async with client(clock) as rest:
        body = await rest.call(Host(server.url + "/"), Request(method="GET", path="/v2/account", what="account", query={"a": "b:c,d"}))
    assert body == b'{"cash":"1"}'
    (asked,) = server.asked
    assert (asked.method, asked.path, asked.query) == ("GET", "/v2/account", {"a": "b:c,d"})
    assert (asked.headers["APCA-API-KEY-ID"], asked.headers["APCA-API-SECRET-KEY"]) == (KEY_ID, SECRET)


async def test_requests_are_counted_and_told(server: ScriptedVenue, clock: InstantClock) -> None:
    """The count is by method, path template and status; whoever asked is told of each, with its time."""
    told: list[tuple[str, int | None]] = []
    server.answer({}, Answer(204), Answer(404, {"message": "order not found"}))
    async with client(clock, on_request=lambda method, status, seconds: told.append((method, status))) as rest:
        host = Host(server.url)
        await rest.call(host, READ)
        assert await rest.call(host, CANCEL) == b""
        with pytest.raises(VenueError):
            await rest.call(host, CANCEL)
    assert rest.requests == {
        ("GET", "/v2/account", "200"): 1,
        ("DELETE", "/v2/orders/{id}", "204"): 1,
        ("DELETE", "/v2/orders/{id}", "404"): 1,
    }
    assert rest.requests_made == 3
    assert told == [("GET", 200), ("DELETE", 204), ("DELETE", 404)]


async def test_connections_are_kept(server: ScriptedVenue, clock: InstantClock) -> None:
    """A second request goes over the first one's connection."""
    peers: list[Any] = []

    async def answer(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        peers.append(request.transport.get_extra_info("peername"))
        return web.json_response({})

    server.answers.extend([answer, answer])
    async with client(clock) as rest:
        host = Host(server.url)
        await rest.call(host, READ)
        await rest.call(host, READ)
    assert peers[0] == peers[1]


# --- asking again ---


async def test_a_question_is_asked_again_with_jittered_waits(server: ScriptedVenue, clock: InstantClock) -> None:
    """A page by something in front of the venue does not end a read at once; waits are drawn and bounded."""
    server.answer(Answer(502, HTML), Answer(503), {"ok": True})
    async with client(clock) as rest:
        assert await rest.call(Host(server.url), READ) == b'{"ok":true}'
    assert len(server.asked) == 3
    assert len(clock.waits) == 2
    assert clock.waits[0] <= 0.25
    assert clock.waits[1] <= 0.5


async def test_a_question_is_not_asked_for_ever(server: ScriptedVenue, clock: InstantClock) -> None:
    """After the last attempt the error is that the venue is not available."""
    server.answer(*[Answer(504, HTML)] * 9)
    async with client(clock, limits=RestLimits(read_attempts=4)) as rest:
        with pytest.raises(VenueUnavailable, match="504"):
            await rest.call(Host(server.url), READ)
    assert len(server.asked) == 4


@pytest.mark.parametrize("request_", [SUBMIT, CANCEL])
@pytest.mark.parametrize("status", [500, 502, 503, 504, 408])
async def test_an_effect_is_never_repeated(server: ScriptedVenue, clock: InstantClock, request_: Request, status: int) -> None:
    """One request reaches the venue, whatever it answers, and the outcome is unknown."""
    server.answer(*[Answer(status, HTML)] * 3)
    async with client(clock) as rest:
        with pytest.raises(OutcomeUnknown, match=request_.what):
            await rest.call(Host(server.url), request_)
    assert len(server.asked) == 1
    assert clock.waits == []


async def test_refused_credentials_are_not_tried_again(server: ScriptedVenue, clock: InstantClock) -> None:
    """Trying again cannot help."""
    server.answer(Answer(401, {"message": "unauthorized."}))
    async with client(clock) as rest:
        with pytest.raises(CredentialsRefused):
            await rest.call(Host(server.url), READ)
    assert len(server.asked) == 1


async def test_redirects_are_not_followed(server: ScriptedVenue, clock: InstantClock) -> None:
    """The key pair goes to the host it was meant for and to no other."""
    server.answer(*[Answer(302, None, {"Location": "/elsewhere"})] * 3)
    async with client(clock) as rest:
        with pytest.raises(VenueUnavailable):
            await rest.call(Host(server.url), READ)
    assert {asked.path for asked in server.asked} == {"/v2/account"}


# --- quota ---


def quota(remaining: int, seconds: float) -> dict[str, str]:
    return {
        "X-RateLimit-Limit": "200",
        "X-RateLimit-Remaining": str(remaining),
        "X-RateLimit-Reset": str(int(START.timestamp() + seconds)),
    }


async def test_a_used_up_quota_is_waited_for(server: ScriptedVenue, clock: InstantClock) -> None:
    """When the headers say that nothing is left, the next request waits for the reset instead of being refused."""
    server.answer(Answer(200, {}, quota(0, 7)), {})
    async with client(clock) as rest:
        host = Host(server.url)
        await rest.call(host, READ)
        await rest.call(host, SUBMIT)
    assert clock.waits == [7.0]


async def test_a_reset_beyond_the_deadline_is_not_waited_for(server: ScriptedVenue, clock: InstantClock) -> None:
    """Nothing is sent, and the error says when to come back."""
    server.answer(Answer(200, {}, quota(0, 40)))
    async with client(clock) as rest:
        host = Host(server.url)
        await rest.call(host, READ)
        with pytest.raises(RateLimited) as caught:
            await rest.call(host, SUBMIT)
    assert caught.value.retry_after_seconds == 40
    assert len(server.asked) == 1


async def test_a_refused_question_waits_for_the_reset(server: ScriptedVenue, clock: InstantClock) -> None:
    """A 429 with a reset is asked again after it; without one, after a second."""
    server.answer(Answer(429, {"code": 42910000}, quota(0, 5)), Answer(429, b"too many requests."), {"ok": 1})
    async with client(clock) as rest:
        assert await rest.call(Host(server.url), READ) == b'{"ok":1}'
    assert clock.waits == [5.0, 1.0]


async def test_a_refused_order_was_not_done(server: ScriptedVenue, clock: InstantClock) -> None:
    """An order that met a full quota is not repeated here, but is known not to exist."""
    server.answer(Answer(429, {"code": 42910000, "message": "rate limit exceeded"}, quota(0, 5)))
    async with client(clock) as rest:
        with pytest.raises(RateLimited):
            await rest.call(Host(server.url), SUBMIT)
    assert len(server.asked) == 1


# --- connections that break ---


async def test_nobody_listens(clock: InstantClock) -> None:
    """A connection that never stood means that nothing was done, for an order too."""
    async with raw_server(lambda reader, writer: asyncio.sleep(0)) as host:
        pass
    async with client(clock) as rest:
        with pytest.raises(VenueUnavailable, match="nothing was sent"):
            await rest.call(host, SUBMIT)
        with pytest.raises(VenueUnavailable):
            await rest.call(host, READ)
    assert rest.requests[("POST", "/v2/orders", "none")] == 1
    assert rest.requests[("GET", "/v2/account", "none")] == 3


async def test_a_name_that_does_not_resolve(clock: InstantClock) -> None:
    """A name service that fails is not an answer about the order."""
    async with client(clock) as rest:
        with pytest.raises(VenueUnavailable, match="nothing was sent"):
            await rest.call(Host("http://venue.invalid"), SUBMIT)


BROKEN: dict[str, bytes] = {
    "closed without an answer": b"",
    "not HTTP": b"\x00\x01\x02 hello\r\n\r\n",
    "ends inside the headers": b"HTTP/1.1 200 OK\r\nContent-Le",
    "ends inside the body": b'HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{"id":',
    "ends inside a chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n40\r\n{",
    "not what its encoding says": b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello",
}


@pytest.mark.parametrize("answer", BROKEN.values(), ids=BROKEN.keys())
async def test_a_connection_that_breaks_after_sending(clock: InstantClock, answer: bytes) -> None:
    """The order may have arrived: its outcome is unknown. A question is asked again."""

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)

    async with raw_server(converse) as host, client(clock) as rest:
        with pytest.raises(OutcomeUnknown, match="submit of order X-1"):
            await rest.call(host, SUBMIT)
        assert rest.requests[("POST", "/v2/orders", "none")] == 1
        with pytest.raises(VenueUnavailable):
            await rest.call(host, READ)
        assert rest.requests[("GET", "/v2/account", "none")] == 3


async def test_a_connection_that_is_reset_inside_the_body(clock: InstantClock) -> None:
    """A reset is no better than an end."""

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{"id":')
        await writer.drain()
        transport: Any = writer.transport
        transport.abort()

    async with raw_server(converse) as host, client(clock) as rest:
        with pytest.raises(OutcomeUnknown):
            await rest.call(host, SUBMIT)


# --- deadlines, in virtual time ---


async def never(request: web.Request) -> web.StreamResponse:
    """Take the request and say nothing."""
    await asyncio.Event().wait()
    raise AssertionError


async def slowly(request: web.Request) -> web.StreamResponse:
    """Send one byte a second, for ever."""
    response = web.StreamResponse()
    await response.prepare(request)
    while True:
        await response.write(b" ")
        await VirtualClock(START).sleep(1)


def at_deadline(answer: Any, request: Request) -> tuple[VenueError, float, int]:
    """Return the error of a call whose answer never ends, when it came, and how many requests were sent; all in virtual time."""

    async def main() -> tuple[VenueError, float, int]:
        loop = asyncio.get_running_loop()
        venue = ScriptedVenue()
        venue.answers.extend([answer] * 3)
        rest = RestClient(credentials(), clock=VirtualClock(START), random=Random(1), make_connector=LoopConnector)
        async with venue.running(listen()), rest:
            began = loop.time()
            with pytest.raises(VenueError) as caught:
                await rest.call(Host(venue.url), request)
            return caught.value, loop.time() - began, rest.requests_made

    return virtual(main)


@pytest.mark.parametrize("answer", [never, slowly])
def test_a_silent_venue_is_given_up_at_the_deadline(answer: Any) -> None:
    """The deadline covers the whole call, a body that trickles in too: an order's outcome is unknown, a question found no venue."""
    error, seconds, sent = at_deadline(answer, SUBMIT)
    assert (type(error), round(seconds), sent) == (OutcomeUnknown, 10, 1)
    error, seconds, sent = at_deadline(answer, READ)
    assert (type(error), round(seconds), sent) == (VenueUnavailable, 10, 1)


def test_long_lists_have_a_longer_deadline() -> None:
    """A list of ten thousand assets may take its time."""
    error, seconds, _ = at_deadline(never, Request(method="GET", path="/v2/assets", what="assets", is_bulk=True))
    assert (type(error), round(seconds)) == (VenueUnavailable, 30)


def test_a_deadline_while_waiting_for_the_quota_means_not_sent() -> None:
    """Waiting for the quota is part of the deadline, and what was not sent was not done, an order neither."""

    async def main() -> None:
        host = Host("http://127.0.0.1:1")
        host.quota.observe(quota(0, 9))
        # Meanwhile the answer to somebody else's request tells of a later reset.
        asyncio.get_running_loop().call_later(5, host.quota.observe, quota(0, 18))
        rest = RestClient(credentials(), clock=VirtualClock(START), random=Random(1), make_connector=LoopConnector)
        async with rest:
            with pytest.raises(VenueUnavailable, match="not sent within 10 s"):
                await rest.call(host, SUBMIT)
            assert rest.requests_made == 0

    virtual(main)


# --- leave to send ---


def guarded(why_not: Callable[[], str | None]) -> Request:
    """Return a submit that asks for leave when its bytes are about to be written."""
    return Request(method="POST", path="/v2/orders", what="submit of order X-1", body=b"{}", may_leave=why_not)


@pytest.mark.parametrize("is_in_time", [True, False])
def test_nothing_leaves_before_what_it_follows_from_is_durable(is_in_time: bool) -> None:
    """The request is made ready meanwhile; its first byte leaves afterwards, and when that comes too late nothing was done."""

    async def main() -> None:
        venue = ScriptedVenue()
        venue.answer({})
        async with venue.running(sock=listen()):
            durable = asyncio.Event()
            asyncio.get_running_loop().call_later(4 if is_in_time else 11, durable.set)

            async def after() -> None:
                assert venue.asked == []
                await durable.wait()
                assert venue.asked == []

            request = Request(method="POST", path="/v2/orders", what="submit of order X-1", body=b"{}", after=after)
            rest = RestClient(credentials(), clock=VirtualClock(START), random=Random(1), make_connector=LoopConnector)
            async with rest:
                if is_in_time:
                    await rest.call(Host(venue.url), request)
                else:
                    with pytest.raises(VenueUnavailable, match="nothing was done"):
                        await rest.call(Host(venue.url), request)
            assert len(venue.asked) == is_in_time

    virtual(main)


def test_leave_is_asked_after_the_wait_for_the_quota() -> None:
    """What was allowed when the wait began may be forbidden when it ends: then nothing was sent, and nothing may be looked up."""

    async def main() -> None:
        gate: list[str] = []
        clock = VirtualClock(START)
        venue = ScriptedVenue()
        async with venue.running(sock=listen()):
            host = Host(venue.url)
            host.quota.observe(quota(0, 5))
            asyncio.get_running_loop().call_later(4, gate.append, "the exchange is closed")
            rest = RestClient(credentials(), clock=clock, random=Random(1), make_connector=LoopConnector)
            async with rest:
                with pytest.raises(VenueUnavailable, match=r"X-1.*withheld at the last moment: the exchange is closed; nothing was sent"):
                    await rest.call(host, guarded(lambda: gate[0] if gate else None))
                assert venue.asked == []
                gate.clear()
                venue.answer({})
                assert await rest.call(host, guarded(lambda: gate[0] if gate else None)) == b"{}"
        assert (clock.now() - START).total_seconds() >= 5

    virtual(main)


async def test_leave_is_asked_after_the_wait_for_a_connection(server: ScriptedVenue, clock: InstantClock) -> None:
    """A connection may take seconds to stand, and a kept one none: both are asked, and a refusal leaves the client usable."""
    asked: list[bool] = []

    def why_not() -> str | None:
        asked.append(True)
        return "halted" if len(asked) != 2 else None

    server.answer({}, {})
    async with client(clock) as rest:
        host = Host(server.url)
        for refused in (True, False, True):
            if refused:
                with pytest.raises(VenueUnavailable, match="halted"):
                    await rest.call(host, guarded(why_not))
            else:
                await rest.call(host, guarded(why_not))
        assert len(server.asked) == 1
        await rest.call(host, READ)
    assert len(asked) == 3


# --- secrets ---


@pytest.mark.parametrize("answer", [Answer(401, {"message": "unauthorized."}), Answer(403, {"message": "forbidden."}), Answer(500, HTML)])
async def test_no_error_and_no_log_line_holds_the_key(
    server: ScriptedVenue, clock: InstantClock, answer: Answer, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not even with every logger at debug level."""
    caplog.set_level(logging.DEBUG)
    server.answer(*[answer] * 3)
    async with client(clock) as rest:
        with pytest.raises(VenueError) as caught:
            await rest.call(Host(server.url), READ)
        texts = [str(caught.value), repr(caught.value), repr(vars(rest)), caplog.text, *capsys.readouterr()]
    assert not [text for text in texts if SECRET in text or KEY_ID in text]


# --- at once ---


async def test_an_order_leaves_at_once_over_the_connection_of_the_one_before(server: ScriptedVenue, clock: InstantClock) -> None:
    """Before that there is none, and nothing is sent; with it the request is begun by whoever has it, and its answer read by a task."""
    server.answer({}, {"id": "1"})
    async with client(clock) as rest:
        host = Host(server.url)
        assert await rest.call_now(host, SUBMIT) is None
        await rest.call(host, SUBMIT)
        answers: list[bytes | None] = []

        async def submit() -> None:
            answers.append(await rest.call_now(host, SUBMIT))

        left = begin(submit())
        assert left is not None
        assert rest.requests_made == 1
        await asyncio.create_task(left)
        assert answers == [b'{"id":"1"}']
        assert rest.requests == {("POST", "/v2/orders", "200"): 2}
    assert [asked.body for asked in server.asked] == [{}, {}]


async def test_what_would_have_to_wait_is_not_sent_at_once(server: ScriptedVenue, clock: InstantClock) -> None:
    """Nor is what may not leave; and in both cases the connection is there for the next one."""
    server.answer({}, {})
    async with client(clock) as rest:
        host = Host(server.url)
        await rest.call(host, SUBMIT)
        host.quota.observe(quota(0, 5))
        assert await rest.call_now(host, SUBMIT) is None
        host.quota.observe(quota(100, 6))
        with pytest.raises(VenueUnavailable, match="the exchange is closed; nothing was sent"):
            await rest.call_now(host, guarded(lambda: "the exchange is closed"))
        assert await rest.call_now(host, guarded(lambda: None)) == b"{}"
    assert len(server.asked) == 2


def test_no_more_orders_leave_at_once_than_connections_are_kept() -> None:
    """Nothing else bounds them: what comes on top of a burst that the venue does not answer waits for its turn among the other requests."""

    async def main() -> None:
        venue = ScriptedVenue()
        async with venue.running(sock=listen()):
            silent = asyncio.Event()

            async def late(request: web.Request) -> web.StreamResponse:
                await silent.wait()
                return web.json_response({})

            burst = KEPT_AT_MOST + 4
            venue.answers.extend([late] * 2 * burst)
            rest = RestClient(credentials(), clock=VirtualClock(START), random=Random(1), make_connector=LoopConnector)
            async with rest:
                host = Host(venue.url)
                warming = [asyncio.create_task(rest.call(host, SUBMIT)) for _ in range(burst)]
                await VirtualClock(START).sleep(1)
                silent.set()
                await asyncio.gather(*warming)
                silent.clear()
                asked = [asyncio.create_task(rest.call_now(host, SUBMIT)) for _ in range(burst)]
                await VirtualClock(START).sleep(1)
                assert [None] * (burst - KEPT_AT_MOST) == [task.result() for task in asked if task.done()]
                assert len(venue.asked) == burst + KEPT_AT_MOST
                silent.set()
                assert [b"{}"] * KEPT_AT_MOST == [body for body in await asyncio.gather(*asked) if body is not None]

    virtual(main)


def test_an_order_sent_at_once_has_its_deadline_too() -> None:
    """Silence says nothing about it, so it is looked up; and a second one meanwhile is not sent behind it."""

    async def main() -> None:
        venue = ScriptedVenue()
        async with venue.running(sock=listen()):

            async def never(request: web.Request) -> web.StreamResponse:
                await asyncio.Event().wait()
                raise AssertionError

            venue.answer({})
            venue.answers.append(never)
            rest = RestClient(credentials(), clock=VirtualClock(START), random=Random(1), make_connector=LoopConnector)
            async with rest:
                host = Host(venue.url)
                await rest.call(host, SUBMIT)
                began = asyncio.get_running_loop().time()
                pending = asyncio.create_task(rest.call_now(host, SUBMIT))
                await VirtualClock(START).sleep(1)
                assert await rest.call_now(host, SUBMIT) is None
                with pytest.raises(OutcomeUnknown, match="none within 10 s"):
                    await pending
                assert asyncio.get_running_loop().time() - began == pytest.approx(10, abs=0.1)
                assert rest.requests["POST", "/v2/orders", "none"] == 1

    virtual(main)


async def test_an_order_whose_answer_nobody_awaits_gives_its_connection_up(server: ScriptedVenue, clock: InstantClock) -> None:
    """The daemon stopped between the bytes and the task that was to read: the next order gets no stale answer."""
    server.answer({}, {"id": "1"})
    async with client(clock) as rest:
        host = Host(server.url)
        await rest.call(host, SUBMIT)

        async def submit() -> None:
            await rest.call_now(host, SUBMIT)

        left = begin(submit())
        assert left is not None
        task = asyncio.create_task(left)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        del left, task
        assert await rest.call_now(host, SUBMIT) is None
        assert rest.requests["POST", "/v2/orders", "none"] == 1


OTHER = Credentials(key_id=SecretStr("PKOTHER"), secret_key=SecretStr("the-other-secret"))


async def test_a_refused_key_is_read_again_and_the_request_sent_once_more(server: ScriptedVenue, clock: InstantClock) -> None:
    """A 401 proves that nothing was done, so an order goes out again too, on every way there is, with the new key from then on."""
    refused = Answer(401, {"message": "unauthorized."})
    server.answer({}, refused, {}, {})
    source = [credentials()]
    keys = RenewableCredentials(source[0], lambda: source[0], clock=clock)
    async with RestClient(keys, clock=clock, random=Random(3)) as rest:
        host = Host(server.url)
        await rest.call(host, SUBMIT)
        source[0] = OTHER
        assert await rest.call_now(host, SUBMIT) == b"{}"
        await rest.call(host, READ)
    assert [asked.headers["APCA-API-KEY-ID"] for asked in server.asked] == [KEY_ID, KEY_ID, "PKOTHER", "PKOTHER"]
    assert [asked.headers["APCA-API-SECRET-KEY"] for asked in server.asked][-1] == "the-other-secret"


@pytest.mark.parametrize("request_", [READ, SUBMIT, CANCEL], ids=lambda request: request.what)
async def test_a_key_that_stays_refused_is_told(server: ScriptedVenue, clock: InstantClock, request_: Request) -> None:
    """Without another key the first refusal counts; with one that is refused too, the second."""
    refused = Answer(401, {"message": "unauthorized."})
    server.answer(refused, refused, refused)
    source = [credentials()]
    async with RestClient(RenewableCredentials(source[0], lambda: source[0], clock=clock), clock=clock, random=Random(3)) as rest:
        with pytest.raises(CredentialsRefused):
            await rest.call(Host(server.url), request_)
        assert len(server.asked) == 1
        source[0] = OTHER
        await clock.sleep(5)
        with pytest.raises(CredentialsRefused):
            await rest.call(Host(server.url), request_)
        assert len(server.asked) == 3
