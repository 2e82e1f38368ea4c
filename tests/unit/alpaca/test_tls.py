"""Encryption: whom the venue adapter trusts, on real encrypted sockets."""

import asyncio
import os
import shutil
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from decimal import Decimal
from pathlib import Path
from random import Random

import aiohttp
import pytest
import uvloop
from aiohttp import web

from alchemiser.alpaca import tls
from alchemiser.alpaca.feed import FeedLimits, FeedLost, open_feed
from alchemiser.alpaca.rest import RestLimits
from alchemiser.alpaca.venue import AlpacaVenue
from alchemiser.domain.errors import VenueUnavailable
from alchemiser.domain.orders import NewOrder, OrderType, Side, TimeInForce
from tests.unit.alpaca.fakes import InstantClock, credentials, order_json

ACCOUNT = {"account_number": "PA1", "status": "ACTIVE", "cash": "1000", "equity": "1000", "buying_power": "1000"}


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for localhost that nobody else has signed, and its key."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed, so no certificate can be made")
    folder = tmp_path_factory.mktemp("certificate")
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    subprocess.run(
        f"openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost "
        f"-keyout {key} -out {certificate}".split(),
        check=True,
        capture_output=True,
    )
    return certificate, key


@pytest.fixture(autouse=True)
def fresh_trust() -> Iterator[None]:
    tls.trust.cache_clear()
    yield
    tls.trust.cache_clear()


@pytest.fixture
async def port(certificate: tuple[Path, Path], unused_tcp_port: int) -> AsyncIterator[int]:
    """An encrypted venue that knows an account and greets on a web socket."""

    async def account(request: web.Request) -> web.Response:
        return web.json_response(ACCOUNT)

    async def stream(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_str("welcome")
        await socket.close()
        return socket

    application = web.Application()
    application.router.add_get("/v2/account", account)
    application.router.add_get("/stream", stream)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "localhost", unused_tcp_port, ssl_context=server_context(certificate)).start()
    yield unused_tcp_port
    await runner.cleanup()


def server_context(certificate: tuple[Path, Path]) -> ssl.SSLContext:
    """Return how the venue shows who it is."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    return context


def adapter(port: int) -> AlpacaVenue:
    url = f"https://localhost:{port}"
    return AlpacaVenue(
        credentials(), trading_url=url, data_url=url, clock=InstantClock(), random=Random(7), limits=RestLimits(deadline_seconds=2)
    )


def new_order(number: int) -> NewOrder:
    """Return the order of an attempt."""
    return NewOrder(
        client_order_id=f"e-20250303.1-AAPL-{number}",
        symbol="AAPL",
        side=Side.BUY,
        quantity=Decimal(2),
        order_type=OrderType.MARKET,
        time_in_force=TimeInForce.DAY,
    )


async def first_message(port: int) -> bytes:
    """Return the first message of the encrypted stream."""
    first: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def receive(message: bytes, is_text: bool) -> None:
        first.set_result(message)

    async with open_feed(f"wss://localhost:{port}/stream", limits=FeedLimits(), receive=receive, ended=lambda: None):
        return await first


async def test_a_signed_venue_is_trusted(port: int, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """REST and the streams speak to an encrypted venue whose certificate is in the system's list."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    async with adapter(port) as venue:
        assert (await venue.account()).account_number == "PA1"
    assert await first_message(port) == b"welcome"


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_orders_that_leave_at_once_arrive_once_each_over_an_encrypted_connection(
    loop: Callable[[], asyncio.AbstractEventLoop],
    certificate: tuple[Path, Path],
    unused_tcp_port: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What is written may be kept until the call has ended, and leaves as it is: whole, once, in order, over the connection at hand."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    arrived: list[tuple[str, object]] = []

    async def order(request: web.Request) -> web.Response:
        body = await request.json()
        arrived.append((body["client_order_id"], request.transport))
        return web.json_response(order_json(client_order_id=body["client_order_id"]))

    async def exchanged() -> list[str]:
        application = web.Application()
        application.router.add_post("/v2/orders", order)
        runner = web.AppRunner(application, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "localhost", unused_tcp_port, ssl_context=server_context(certificate)).start()
        try:
            async with adapter(unused_tcp_port) as venue:
                reports = [await venue.submit(new_order(1))]
                for number in (2, 3):
                    report = await venue.submit_now(new_order(number))
                    assert report is not None, "a connection was at hand"
                    reports.append(report)
            return [report.client_order_id for report in reports]
        finally:
            await runner.cleanup()

    with asyncio.Runner(loop_factory=loop) as runner:
        answered = runner.run(exchanged())
    assert answered == [key for key, _ in arrived] == [f"e-20250303.1-AAPL-{number}" for number in (1, 2, 3)]
    assert len({id(connection) for _, connection in arrived}) == 1


async def test_a_stranger_is_not_trusted(port: int) -> None:
    """A venue that nobody in the system's list has signed gets no request and no stream, by whatever name it goes."""
    async with adapter(port) as venue:
        with pytest.raises(VenueUnavailable):
            await venue.account()
    with pytest.raises(FeedLost, match="certificate"):
        await first_message(port)


async def test_other_sessions_of_the_process_trust_nobody_by_mistake(port: int) -> None:
    """The context that aiohttp makes for itself does not open a way around ours."""
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await session.get(f"https://localhost:{port}/v2/account")


@pytest.mark.parametrize("named", [None, "/etc/hostname"])
def test_the_surroundings_are_as_before(named: str | None) -> None:
    """Hiding the list of certificates from an import leaves no trace in the process's environment."""
    surroundings = {key: value for key, value in os.environ.items() if key != "SSL_CERT_FILE"} | ({"SSL_CERT_FILE": named} if named else {})
    program = "import os, alchemiser.alpaca.tls; print(os.environ.get('SSL_CERT_FILE'))"
    found = subprocess.run([sys.executable, "-c", program], env=surroundings, check=True, capture_output=True, text=True)
    assert found.stdout.strip() == str(named)


@pytest.mark.parametrize(
    ("url", "encrypted"),
    [("https://api.alpaca.markets", True), ("wss://x/y", True), ("http://127.0.0.1:1", False), ("ws://127.0.0.1", False)],
)
def test_what_needs_trust(url: str, encrypted: bool) -> None:
    """Only encrypted addresses make the process read certificates."""
    assert tls.needs_trust(url) is encrypted


async def test_certificates_are_read_only_when_needed() -> None:
    """A daemon on the loopback reads no certificates; one on the internet reads them once, before it connects."""
    await tls.prepare_trust(["http://127.0.0.1:1", "ws://127.0.0.1:1"])
    assert tls.trust.cache_info().misses == 0
    await tls.prepare_trust(["http://127.0.0.1:1", "wss://stream"])
    assert tls.trust() is tls.trust()
    assert tls.trust.cache_info().misses == 1
