"""A request whose bytes leave in the same breath as the leave to send it is given."""

import asyncio
import io
from collections.abc import AsyncIterator

import aiohttp
import pytest

from alchemiser.alpaca.prompt_request import PromptRequest, leave
from tests.unit.alpaca.fakes import ScriptedVenue


@pytest.fixture
async def venue() -> AsyncIterator[ScriptedVenue]:
    """A venue on loopback."""
    async with ScriptedVenue().running() as running:
        yield running


async def at_once() -> None:
    """Give leave."""


async def next_turn() -> None:
    """Let the loop run everybody else once."""
    turn = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(turn.set_result, None)
    await turn


def session() -> aiohttp.ClientSession:
    """Return a session that sends such requests."""
    return aiohttp.ClientSession(request_class=PromptRequest)


async def test_the_bytes_leave_before_anybody_else_has_a_turn(venue: ScriptedVenue, monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits for the next turn of the loop when leave is given finds head and body written."""
    written: list[bytes] = []
    seen: list[bytes] = []
    original = aiohttp.http_writer.StreamWriter._writelines

    def writelines(self: aiohttp.http_writer.StreamWriter, chunks: list[bytes]) -> None:
        written.extend(chunks)
        original(self, chunks)

    monkeypatch.setattr(aiohttp.http_writer.StreamWriter, "_writelines", writelines)

    async def give_leave() -> None:
        assert written == []
        asyncio.get_running_loop().call_soon(lambda: seen.append(b"".join(written)))

    venue.answer({})
    leave.set(give_leave)
    async with session() as client, client.post(f"{venue.url}/v2/orders", data=b'{"symbol": "TECL"}') as response:
        assert response.status == 200
    (left,) = seen
    assert left.startswith(b"POST /v2/orders HTTP/1.1")
    assert left.endswith(b'{"symbol": "TECL"}')
    assert [asked.body for asked in venue.asked] == [{"symbol": "TECL"}]


async def test_what_is_raised_instead_of_leave_ends_it_unsent(venue: ScriptedVenue) -> None:
    """Also on a connection that was used before, and the client goes on."""

    async def refuse() -> None:
        raise RuntimeError("not now")

    venue.answer({}, {})
    async with session() as client:
        for give in (at_once, refuse, at_once):
            leave.set(give)
            request = client.post(f"{venue.url}/v2/orders", data=b"{}")
            if give is refuse:
                with pytest.raises(RuntimeError, match="not now"):
                    await request
            else:
                async with request as response:
                    assert response.status == 200
    assert len(venue.asked) == 2


async def test_a_body_that_the_connection_does_not_take_at_once_arrives_whole(venue: ScriptedVenue) -> None:
    """What has to wait for a full connection is written by the task that aiohttp makes for it."""
    body = b'"' + b"x" * 20_000_000 + b'"'

    async def read(request: aiohttp.web.Request) -> aiohttp.web.Response:
        size = 0
        async for chunk in request.content.iter_any():
            size += len(chunk)
        return aiohttp.web.json_response({"size": size})

    app = aiohttp.web.Application(client_max_size=len(body))
    app.router.add_post("/", read)
    runner = aiohttp.web.AppRunner(app)
    await runner.setup()
    site = aiohttp.web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    leave.set(at_once)
    try:
        host, port = runner.addresses[0][:2]
        async with session() as client, client.post(f"http://{host}:{port}/", data=io.BytesIO(body)) as response:
            assert await response.json() == {"size": len(body)}
    finally:
        await runner.cleanup()


async def test_a_write_that_waits_is_gone_on_with_and_may_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it waits for is handed to the task, results and errors alike."""
    loop = asyncio.get_running_loop()
    first, second = loop.create_future(), loop.create_future()
    seen: list[object] = []

    async def write(self: object, *arguments: object) -> None:
        seen.append(await first)
        try:
            await second
        except OSError as error:
            seen.append(str(error))
            raise

    monkeypatch.setattr(aiohttp.ClientRequest, "write_bytes", write)
    rest = asyncio.create_task(PromptRequest.write_bytes(object.__new__(PromptRequest)), name="rest")
    await next_turn()
    first.set_result("one")
    second.set_exception(OSError("broken"))
    with pytest.raises(OSError, match="broken"):
        await rest
    assert seen == ["one", "broken"]
