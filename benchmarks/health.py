"""How soon health answers while ten thousand quotes a second pass through the daemon.

``alchemiser run --paper`` trades with an ``alchemiser exchange`` in another process; its quotes come from a server in a third process,
which speaks Alpaca's data protocol and sends a hundred frames of a hundred quotes each second, of the symbols that the daemon asked for.
A client in this process asks ``/livez`` and ``/readyz`` in turns over one connection, every ten milliseconds, first without the quotes,
then with them. That the quotes really passed is read from ``/metrics``; without 95 % of them the run does not count.

``python benchmarks/health.py`` prints a table and exits with 1 when a target is missed.
"""

import asyncio
import http.client
import json
import multiprocessing
import re
import sys
import tempfile
import time
from contextlib import suppress
from datetime import UTC, datetime
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import msgspec
from cold_start import Running, clean_environ, daemon, exchange
from measure import environment
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

TARGET_MILLISECONDS = 5.0
QUOTES_PER_SECOND = 10_000
FRAMES_PER_SECOND = 100
PASSED_SHARE = 0.95
SECONDS = 20.0
PAUSE_SECONDS = 0.01
PATHS = ("/livez", "/readyz")


def serve_quotes(port: Any, flowing: Event) -> None:
    """Run the server of quotes; the body of its process. They flow while ``flowing`` is set."""

    async def converse(connection: ServerConnection) -> None:
        await connection.send(msgspec.msgpack.encode([{"T": "success", "msg": "connected"}]))
        await connection.recv()
        await connection.send(msgspec.msgpack.encode([{"T": "success", "msg": "authenticated"}]))
        asked = msgspec.msgpack.decode(await connection.recv(decode=False))
        channels = {name: symbols for name, symbols in asked.items() if name != "action"}
        await connection.send(msgspec.msgpack.encode([{"T": "subscription", **channels}]))
        with suppress(ConnectionClosed):
            await send_quotes(connection, asked["quotes"], flowing)

    async def main() -> None:
        async with serve(converse, "127.0.0.1", 0, compression=None, ping_interval=None) as server:
            port.send(next(iter(server.sockets)).getsockname()[1])
            await asyncio.Future()

    asyncio.run(main())


async def send_quotes(connection: ServerConnection, symbols: list[str], flowing: Event) -> None:
    """Send frames at their pace while they flow; what is late is made up for, up to half a second of it."""
    number, due = 0, time.perf_counter()
    while True:
        due = max(due + 1 / FRAMES_PER_SECOND, time.perf_counter() - 0.5)
        await asyncio.sleep(due - time.perf_counter())
        if flowing.is_set():
            await connection.send(frame(symbols, number))
            number += 1


def frame(symbols: list[str], number: int) -> bytes:
    """Return one frame of quotes of this moment, as the venue writes them."""
    at, bid = datetime.now(UTC), 50 + number % 997 / 100
    sides = {"bx": "U", "bp": bid, "bs": 100, "ax": "Q", "ap": bid + 0.02, "as": 200, "c": ["R"], "t": at, "z": "C"}
    each = QUOTES_PER_SECOND // FRAMES_PER_SECOND
    return msgspec.msgpack.encode([{"T": "q", "S": symbols[place % len(symbols)], **sides} for place in range(each)])


def quotes_seen(connection: http.client.HTTPConnection) -> float:
    """Return how many quotes the daemon has taken in, handed on or replaced by newer ones, by its own metrics."""
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    found = re.search(r"^alchemiser_bus_events_total (\S+)$", text, flags=re.MULTILINE)
    assert found is not None
    return float(found[1])


def asked(running: Running, seconds: float) -> tuple[list[float], float]:
    """Ask for so long, and return the milliseconds of each answer and how many events passed the bus in a second meanwhile."""
    connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=5.0)
    before, began = quotes_seen(connection), time.perf_counter()
    found: list[float] = []
    while (now := time.perf_counter()) - began < seconds:
        connection.request("GET", PATHS[len(found) % 2])
        answer = connection.getresponse()
        body = json.loads(answer.read())
        found.append((time.perf_counter() - now) * 1000)
        assert answer.status == 200, body
        running.leave_alone(PAUSE_SECONDS)
    rate = (quotes_seen(connection) - before) / (time.perf_counter() - began)
    connection.close()
    return found, rate


def percentile(found: list[float], share: float) -> float:
    """Return the value below which that share of the values lies."""
    return sorted(found)[min(int(len(found) * share), len(found) - 1)]


def main() -> int:
    """Measure, print and judge."""
    print(environment("aiohttp", "uvloop"))
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    flowing = context.Event()
    server = context.Process(target=serve_quotes, args=(there, flowing), daemon=True)
    server.start()
    try:
        environ, quotes = clean_environ(), f"ws://127.0.0.1:{here.recv()}"
        with (
            tempfile.TemporaryDirectory() as directory,
            exchange(environ) as venue,
            daemon(Path(directory), environ, venue | {"data_stream": quotes}) as running,
        ):
            asked(running, 2.0)
            quiet, _ = asked(running, SECONDS / 2)
            flowing.set()
            asked(running, 2.0)
            busy, rate = asked(running, SECONDS)
    finally:
        server.terminate()
        server.join()
    print(f"{'ms until the answer':>24} {'median':>8} {'99 %':>8} {'most':>8} {'answers':>8}")
    for name, found in (("without quotes", quiet), (f"{rate:,.0f} events a second", busy)):
        print(f"{name:>24} {percentile(found, 0.5):8.2f} {percentile(found, 0.99):8.2f} {max(found):8.2f} {len(found):8}")
    assert rate >= PASSED_SHARE * QUOTES_PER_SECOND, f"only {rate:,.0f} events a second passed"
    is_met = percentile(busy, 0.99) < TARGET_MILLISECONDS
    print(f"under {TARGET_MILLISECONDS:g} ms at the 99th percentile: {'met' if is_met else 'MISSED'}")
    return 0 if is_met else 1


if __name__ == "__main__":
    sys.exit(main())
