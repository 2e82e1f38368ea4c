"""Real processes, real sockets, a real disk: daemons killed with -9 behind a bad network lose nothing and double nothing."""

import asyncio
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest

from tests.simulation.processes import Report, campaign
from tests.simulation.proxy import WEIGHTS, Proxy, proxy_of

RESTARTS = 50


@pytest.mark.slow
@pytest.mark.timeout(480)
def test_fifty_restarts_behind_a_bad_network_lose_nothing(tmp_path: Path) -> None:
    """After fifty daemons were ended at random moments the books are the exchange's, to the cent and to the share fraction."""
    report = asyncio.run(campaign(1, RESTARTS, tmp_path))

    assert report.broken == [], report
    assert report.restarts == RESTARTS
    assert report.kills > RESTARTS / 2
    assert report.executions > 10
    assert set(report.struck) == set(WEIGHTS), "the network was not bad in every way"
    assert set(report.ended_as) <= {0, 5, -9, -15}, report.ended_as


def test_a_report_says_what_was_broken() -> None:
    """Its text is what a person reads after a failure."""
    assert "chain: torn" in str(Report(seed=1, broken=["chain: torn"]))


# --- the proxy does what it says ---


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(100):
            writer.write(data)
            await writer.drain()
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()


class _Always(Random):
    """Chooses one kind, and the first of whatever else there is to choose."""

    def __init__(self, kind: str) -> None:
        super().__init__(0)
        self._kind = kind

    def choices(self, *arguments: object, **named: object) -> list[str]:  # type: ignore[override]
        return [self._kind]

    def choice(self, options: tuple[float, ...]) -> float:  # type: ignore[override]
        return options[0]


async def _said(kind: str, *, is_healed: bool = False) -> tuple[bytes, Proxy]:
    """Return what comes back of three letters through a proxy that always does one thing."""
    server = await asyncio.start_server(_echo, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    async with server, proxy_of(f"http://{host}:{port}", _Always(kind)) as proxy:
        if is_healed:
            proxy.heal()
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
            writer.write(b"abc")
            async with asyncio.timeout(0.4):
                said = await reader.read(1000)
        except ConnectionError:
            said = b"reset"
        except TimeoutError:
            said = b"silence"
        writer.transport.abort()
        with suppress(OSError):
            await writer.wait_closed()
        return said, proxy


@pytest.mark.parametrize(
    ("kind", "expected"), [("pass", b"abc"), ("delay", b"abc"), ("cut", b""), ("half-open", b"silence"), ("refuse", b"")]
)
async def test_each_fault_of_the_proxy(kind: str, expected: bytes) -> None:
    """What comes back is what the fault lets through; a cut may be seen as an end or as a reset."""
    said, proxy = await _said(kind)

    assert said in ((expected, b"reset") if expected == b"" else (expected,))
    assert proxy.struck == {kind: 1}


async def test_garbage_is_not_what_was_said() -> None:
    """The bytes are nobody's protocol, and the connection ends after them."""
    said, _ = await _said("garbage")
    assert b"abc" not in said
    assert said == b"reset" or len(said) == 200


async def test_a_healed_proxy_passes_everything() -> None:
    """The last daemon meets a good network."""
    said, proxy = await _said("cut", is_healed=True)
    assert said == b"abc"
    assert proxy.struck == {"pass": 1}
