"""The door, over real sockets on loopback."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from pydantic import SecretStr

from alchemiser.bus.envelope import Envelope
from alchemiser.domain.errors import ConfigError, SafetyRefused
from alchemiser.domain.events import DaemonStopping
from alchemiser.service.door_limits import CONTROLS, WRONG_TOKENS
from alchemiser.service.health import HealthReport
from alchemiser.service.http import ACTIONS, open_door
from alchemiser.service.settings import Settings
from alchemiser.service.state_file import read_http_address
from alchemiser.service.view import RESOURCES
from tests.unit.service.conftest import NOT_READY, REFUSALS, FakeView

TOKEN = "a-token-for-tests"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


def settings(state: Path, *, http: str = "127.0.0.1:0", token: str | None = TOKEN) -> Settings:
    """Return settings for a door of a test."""
    return Settings.model_validate({"service": {"http": http, "state": state, "token": token}})


def door(view: FakeView, chosen: Settings, **more: Any) -> AbstractAsyncContextManager[Any]:
    """Open the door with metrics that are easy to recognise."""
    return open_door(view, chosen, metrics=lambda: (b"alchemiser_up 1\n", "text/plain; version=0.0.4; charset=utf-8"), **more)


@asynccontextmanager
async def client_of(view: FakeView, chosen: Settings) -> AsyncIterator[aiohttp.ClientSession]:
    """Open the door and a client for it."""
    async with door(view, chosen) as address, aiohttp.ClientSession(base_url=f"http://127.0.0.1:{address.port}") as client:
        yield client


@pytest.fixture
async def client(view: FakeView, tmp_path: Path) -> AsyncIterator[aiohttp.ClientSession]:
    """Return a client of an open door with a token."""
    async with client_of(view, settings(tmp_path)) as opened:
        yield opened


@pytest.mark.parametrize(
    ("report", "expected"),
    [
        (HealthReport(live=True, ready=True), {"/livez": 200, "/readyz": 200, "/healthz": 200}),
        (NOT_READY, {"/livez": 200, "/readyz": 503, "/healthz": 503}),
        (HealthReport(live=False, ready=False), {"/livez": 503, "/readyz": 503, "/healthz": 503}),
    ],
)
async def test_probes_answer_with_their_status(
    view: FakeView, client: aiohttp.ClientSession, report: HealthReport, expected: dict[str, int]
) -> None:
    """A supervisor reads only the status: live decides about a restart, ready about trading."""
    view.report = report

    for path, status in expected.items():
        async with client.get(path) as response:
            assert status == response.status
            assert response.headers["Cache-Control"] == "no-store"


async def test_readiness_lists_its_reasons(view: FakeView, client: aiohttp.ClientSession) -> None:
    """A person reads why, since when, and what to do."""
    view.report = NOT_READY

    async with client.get("/readyz") as response:
        body = await response.json()

    assert body["ready"] is False
    assert [("orders_stream", "wait & see")] == [(reason["code"], reason["remedy"]) for reason in body["reasons"]]


@pytest.mark.parametrize("resource", [*RESOURCES, "plan"])
async def test_questions_are_answered_without_a_token_on_loopback(client: aiohttp.ClientSession, resource: str) -> None:
    """Whoever is on this machine may look at everything."""
    async with client.get(f"/api/v1/{resource}") as response:
        assert response.status == 200
        assert (await response.json())["live"] is True


async def test_events_are_paged(client: aiohttp.ClientSession) -> None:
    """``after`` and ``limit`` select events."""
    async with client.get("/api/v1/events?after=5&limit=1") as response:
        assert [6] == [row["sequence"] for row in (await response.json())["events"]]


@pytest.mark.parametrize("query", ["after=x", "limit=-1", "limit=0", "limit=2000", "after=9999999999999999999999", "limit=٣"])
async def test_a_question_that_makes_no_sense_is_refused(client: aiohttp.ClientSession, query: str) -> None:
    """Wrong bounds are the caller's mistake."""
    async with client.get(f"/api/v1/events?{query}") as response:
        assert response.status == 400
        assert (await response.json())["error"]["code"] == "bad_request"


async def test_what_is_not_there_is_not_found(client: aiohttp.ClientSession) -> None:
    """Unknown paths, resources and actions are 404, a wrong method 405, all as documents."""
    for method, path, status in (
        ("GET", "/nowhere", 404),
        ("GET", "/api/v1/secrets", 404),
        ("POST", "/api/v1/explode", 404),
        ("POST", "/livez", 405),
    ):
        async with client.request(method, path, headers=BEARER) as response:
            assert status == response.status, path
            assert "message" in (await response.json())["error"]


@pytest.mark.parametrize("action", [action for action in ACTIONS if action != "kill"])
async def test_control_with_the_token_reaches_the_daemon(view: FakeView, client: aiohttp.ClientSession, action: str) -> None:
    """The daemon gets the action with its arguments and answers what it did."""
    async with client.post(f"/api/v1/{action}", headers=BEARER, json={"reason": "drill"}) as response:
        assert response.status == 200
        assert {"action": action, "accepted": True, "state": "paused"} == await response.json()

    assert [(action, {"reason": "drill"})] == view.asked


@pytest.mark.parametrize(
    "headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {TOKEN}"}, {"Authorization": "Bearer é"}]
)
async def test_control_without_the_token_is_refused(view: FakeView, client: aiohttp.ClientSession, headers: dict[str, str]) -> None:
    """A missing or wrong token is 401, and nothing is done."""
    async with client.post("/api/v1/halt", headers=headers) as response:
        assert response.status == 401
        assert response.headers["WWW-Authenticate"].startswith("Bearer")

    assert view.asked == []


async def test_bytes_that_are_no_text_are_a_wrong_token(view: FakeView, client: aiohttp.ClientSession) -> None:
    """A token in Latin-1 is refused like any other wrong one: 401, not an error of the daemon."""
    url = client._base_url
    assert url is not None
    reader, writer = await asyncio.open_connection(url.host, url.port)
    writer.write(b"POST /api/v1/halt HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nAuthorization: Bearer \xfc\r\n\r\n")
    assert b" 401 " in await reader.readline()
    writer.close()
    await writer.wait_closed()

    assert view.asked == []


async def test_the_token_of_the_moment_counts(view: FakeView, tmp_path: Path) -> None:
    """It may be another one at the next request: then the old one is refused, and the new one let in."""
    tokens = [SecretStr(TOKEN)]
    async with (
        door(view, settings(tmp_path), token=lambda: tokens[-1]) as address,
        aiohttp.ClientSession(base_url=f"http://127.0.0.1:{address.port}") as client,
    ):

        async def asked(token: str) -> int:
            async with client.post("/api/v1/pause", headers={"Authorization": f"Bearer {token}"}) as response:
                return response.status

        before = [await asked(TOKEN), await asked("another-token")]
        tokens.append(SecretStr("another-token"))
        after = [await asked(TOKEN), await asked("another-token")]

    assert (before, after) == ([200, 401], [401, 200])


async def test_control_is_off_without_a_configured_token(view: FakeView, tmp_path: Path) -> None:
    """A daemon without a token explains why it takes no orders, whatever the request carries."""
    async with client_of(view, settings(tmp_path, token=None)) as client, client.post("/api/v1/halt", headers=BEARER) as response:
        assert response.status == 403
        assert "no service.token is set" in (await response.json())["error"]["message"]

    assert view.asked == []


@pytest.mark.parametrize("body", ["{", "[]", '"halt"'])
async def test_a_body_that_is_no_object_is_refused(view: FakeView, client: aiohttp.ClientSession, body: str) -> None:
    """Arguments are a JSON object or absent."""
    async with client.post("/api/v1/halt", headers=BEARER, data=body) as response:
        assert response.status == 400

    async with client.post("/api/v1/halt", headers=BEARER, data="x" * 70_000) as response:
        assert response.status == 413

    assert view.asked == []


@pytest.mark.parametrize(("refusal", "status"), list(zip(REFUSALS, (409, 409, 400), strict=True)))
async def test_a_refusal_of_the_daemon_is_passed_on(view: FakeView, client: aiohttp.ClientSession, refusal: Exception, status: int) -> None:
    """What the daemon will not do now is a conflict with its state, in its own words."""
    view.refusal = refusal

    async with client.post("/api/v1/rebalance", headers=BEARER) as response:
        assert status == response.status
        assert str(refusal) == (await response.json())["error"]["message"]


async def test_metrics_are_passed_through(client: aiohttp.ClientSession) -> None:
    """The exposition keeps the content type that scrapers look at."""
    async with client.get("/metrics") as response:
        assert await response.text() == "alchemiser_up 1\n"
        assert response.headers["Content-Type"].startswith("text/plain; version=0.0.4")


async def test_the_page_is_a_file_that_asks_for_everything(client: aiohttp.ClientSession) -> None:
    """The dashboard has no value of the account in it, and may load nothing from elsewhere and run nothing inline."""
    for path, content_type in (
        ("/", "text/html"),
        ("/assets/dashboard.js", "text/javascript"),
        ("/assets/charts.js", "text/javascript"),
        ("/assets/dashboard.css", "text/css"),
        ("/assets/icon.svg", "image/svg+xml"),
    ):
        async with client.get(path) as response:
            text = await response.text()
            assert response.status == 200
            assert content_type == response.content_type
            policy = response.headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
            assert "https://" not in text
            assert "innerHTML" not in text
    async with client.get("/assets/secrets.py") as response:
        assert response.status == 404


async def test_the_stream_sends_events_as_they_happen(view: FakeView, client: aiohttp.ClientSession) -> None:
    """A listener gets what it missed since the id that it names, then what happens, then the news that the door is closed."""
    at = view.as_of()
    view.feed(Envelope(4, DaemonStopping(at=at, reason="before"), 0.0))
    view.feed(Envelope(5, DaemonStopping(at=at, reason="missed"), 0.0))

    async with client.get("/api/v1/stream", headers={"Last-Event-ID": "4"}) as response:
        assert response.content_type == "text/event-stream"
        assert b": the events" in await response.content.readuntil(b"\n\n")
        assert b'id: 5\nevent: DaemonStopping\ndata: {"sequence":5,' in await response.content.readuntil(b"\n\n")
        view.feed(Envelope(6, DaemonStopping(at=at, reason="now"), 0.0))
        assert b"id: 6\n" in await response.content.readuntil(b"\n\n")
        view.feed.close()
        assert b"event: closed" in await response.content.readuntil(b"\n\n")
        assert await response.content.read() == b""


async def test_a_quiet_stream_says_that_it_is_open(client: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever listens can tell silence from a dead connection."""
    monkeypatch.setattr("alchemiser.service.http.STILL_HERE_SECONDS", 0.01)

    async with client.get("/api/v1/stream") as response:
        await response.content.readuntil(b"\n\n")
        assert await response.content.readuntil(b"\n\n") == b": still here\n\n"


async def test_on_a_wide_address_the_state_needs_the_token(view: FakeView, tmp_path: Path) -> None:
    """Others see health and metrics; what the account holds they see with the token only."""
    async with client_of(view, settings(tmp_path, http="0.0.0.0:0")) as client:
        for path in ("/livez", "/readyz", "/metrics"):
            async with client.get(path) as response:
                assert response.status == 200
        async with client.get("/api/v1/positions") as response:
            assert response.status == 401
        async with client.get("/api/v1/positions", headers=BEARER) as response:
            assert response.status == 200
        async with client.get("/") as response:
            assert "TECL" not in await response.text()


async def test_a_wide_address_without_a_token_is_refused(view: FakeView, tmp_path: Path) -> None:
    """Nothing listens when the door would be open to others."""
    with pytest.raises(SafetyRefused):
        async with door(view, settings(tmp_path, http="0.0.0.0:0", token=None)):
            pass

    assert read_http_address(tmp_path) is None


async def test_the_address_is_in_the_state_directory_while_the_door_is_open(view: FakeView, tmp_path: Path) -> None:
    """Port 0 picks a port; commands find it in the file, and the file goes when the door closes."""
    async with door(view, settings(tmp_path, http="localhost:0")) as address:
        assert address == read_http_address(tmp_path)
        assert address.port > 0
        assert address.url == f"http://localhost:{address.port}"

    assert read_http_address(tmp_path) is None


async def test_a_taken_port_is_explained(view: FakeView, tmp_path: Path) -> None:
    """The message names the port and what to do."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(ConfigError, match=f"127.0.0.1:{port} is taken by another process"):
            async with door(view, settings(tmp_path, http=f"127.0.0.1:{port}")):
                pass


async def test_an_address_of_another_machine_is_explained(view: FakeView, tmp_path: Path) -> None:
    """An address that is not ours cannot be opened."""
    with pytest.raises(ConfigError, match="cannot be opened"):
        async with door(view, settings(tmp_path, http="192.0.2.1:8080")):
            pass


async def test_serves_a_socket_that_listens_already(view: FakeView, tmp_path: Path) -> None:
    """A socket handed in is served as it is."""
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    async with door(view, settings(tmp_path), listener=listener) as address, aiohttp.ClientSession() as client:
        assert port == address.port
        async with client.get(f"{address.url}/livez") as response:
            assert response.status == 200


async def test_too_many_requests_are_refused_and_probes_never(client: aiohttp.ClientSession) -> None:
    """The refusal says when to come again; whoever watches the health is answered whatever else knocks."""
    statuses = []
    for _ in range(int(CONTROLS.burst) + 3):
        async with client.post("/api/v1/pause", headers=BEARER) as response:
            statuses.append(response.status)
            if response.status == 429:
                assert int(response.headers["Retry-After"]) >= 1
                assert (await response.json())["error"]["code"] == "too_many_requests"
    assert 429 in statuses
    assert statuses[0] == 200
    for _ in range(50):
        async with client.get("/livez") as response:
            assert response.status == 200
    async with client.post("/api/v1/kill", headers=BEARER) as response:
        assert response.status == 200


async def test_strangers_do_not_use_up_what_the_operator_may_ask(view: FakeView, client: aiohttp.ClientSession) -> None:
    """However often somebody knocks without the token, the next request with it is done."""
    for _ in range(int(CONTROLS.burst) + 3):
        async with client.post("/api/v1/halt") as response:
            assert response.status == 401
    async with client.post("/api/v1/halt", headers=BEARER) as response:
        assert response.status == 200
    assert len(view.asked) == 1


async def test_guessing_the_token_is_slow(view: FakeView, client: aiohttp.ClientSession) -> None:
    """After some wrong ones the next is not even looked at; the right one is still taken."""
    statuses = []
    for number in range(int(WRONG_TOKENS.burst) + 1):
        async with client.post("/api/v1/halt", headers={"Authorization": f"Bearer guess-{number}"}) as response:
            statuses.append(response.status)
    assert statuses == [401] * int(WRONG_TOKENS.burst) + [429]
    async with client.post("/api/v1/halt", headers=BEARER) as response:
        assert response.status == 200
    assert len(view.asked) == 1


@pytest.mark.parametrize(
    "body", ['{"reason": 1}', '{"reson": "x"}', "[]", '"x"', '{"clear": ["TECL", 1]}', '{"reset": "yes"}', "{", "\ud800"]
)
async def test_a_body_that_is_not_what_it_may_be_is_refused(view: FakeView, client: aiohttp.ClientSession, body: str) -> None:
    """A misspelled name would otherwise be an order that means something else."""
    async with client.post("/api/v1/reconcile", headers=BEARER, data=body.encode("utf-8", "surrogatepass")) as response:
        assert response.status == 400
        assert "control request" in (await response.json())["error"]["message"]
    assert view.asked == []
