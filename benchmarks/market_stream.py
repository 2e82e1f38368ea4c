"""From market-data frame to typed event at a handler: CPU per quote, ours against alpaca-py's stream with models.

Both sides are whole clients on a real loopback socket. One server in a process of its own speaks Alpaca's data protocol in msgpack, without
compression, and sends the same frames to either as fast as it takes them; a side's cost is the CPU time of the client's process
from the first quote to the last, divided by the quotes.

- Ours: ``MarketStream``, whose ``post`` is the handler: it gets a ``QuoteUpdated`` (symbol, bid, ask, sizes, time).
- Peer: alpaca-py's ``StockDataStream`` with parsed models, as it comes: its ``_run_forever`` awaits the handler with a ``Quote`` model.

Both run on uvloop, which the daemon uses and which flatters the peer, whose own ``run`` takes the slower stock loop. Answers are
compared quote by quote before anything is timed. Sides alternate within one run; the ratio is that of the medians.

``python benchmarks/market_stream.py`` prints a table and exits with 1 when a target is missed.
"""

import asyncio
import gc
import multiprocessing
import platform
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from importlib.util import find_spec
from random import Random
from typing import Any

import msgspec
import uvloop
from pydantic import SecretStr
from websockets.asyncio.server import ServerConnection, serve
from websockets.frames import Frame, Opcode

from alchemiser.alpaca.credentials import Credentials
from alchemiser.alpaca.market_stream import MarketStream
from alchemiser.domain.events import Event, QuoteUpdated
from alchemiser.service.clock import WallClock

TARGETS = {1: 3.0, 10: 8.0, 100: 10.0}
"""Quotes per frame, and how many times cheaper than the peer we must be."""

QUOTES = {1: 20_000, 10: 60_000, 100: 100_000}
REPEATS = 7
CHECKED_QUOTES = 1_000
SYMBOLS = tuple(f"SYM{number:02}" for number in range(50))
START = datetime(2025, 3, 3, 14, 30, tzinfo=UTC)
CHUNK_BYTES = 1 << 18

Seen = tuple[str, float, float, float, float, datetime]
Take = Callable[[Any], None]


def sent(number: int) -> Seen:
    """Return quote ``number``: symbol, bid, bid size, ask, ask size, time."""
    bid = 50 + number % 997 / 100
    return SYMBOLS[number % 50], bid, float(100 + number % 7), bid + 0.02, float(200 + number % 11), START + timedelta(microseconds=number)


def frame(first: int, quotes: int) -> bytes:
    """Return one web-socket frame of that many quotes, as the venue writes them."""
    messages = []
    for symbol, bid, bid_size, ask, ask_size, at in map(sent, range(first, first + quotes)):
        sides = {"bx": "U", "bp": bid, "bs": int(bid_size), "ax": "Q", "ap": ask, "as": int(ask_size)}
        messages.append({"T": "q", "S": symbol, **sides, "c": ["R"], "t": at, "z": "C"})
    return Frame(Opcode.BINARY, msgspec.msgpack.encode(messages)).serialize(mask=False)


async def converse(connection: ServerConnection) -> None:
    """Greet one client, then send it ``/quotes per frame/quotes`` as fast as it takes them."""
    assert connection.request is not None
    per_frame, total = map(int, connection.request.path.strip("/").split("/"))
    data = b"".join(frame(first, per_frame) for first in range(0, total, per_frame))
    await connection.send(msgspec.msgpack.encode([{"T": "success", "msg": "connected"}]))
    await connection.recv()
    await connection.send(msgspec.msgpack.encode([{"T": "success", "msg": "authenticated"}]))
    await connection.recv()
    await connection.send(msgspec.msgpack.encode([{"T": "subscription", "quotes": list(SYMBOLS)}]))
    for start in range(0, len(data), CHUNK_BYTES):
        connection.transport.write(data[start : start + CHUNK_BYTES])
        await connection.drain()
    await connection.wait_closed()


def serve_quotes(port: Any) -> None:
    """Run the server; the body of its process."""

    async def main() -> None:
        async with serve(converse, "127.0.0.1", 0, compression=None, ping_interval=None) as server:
            port.send(next(iter(server.sockets)).getsockname()[1])
            await asyncio.Future()

    asyncio.run(main())


async def run_ours(url: str, take: Take, done: asyncio.Event) -> None:
    def post(event: Event) -> None:
        if type(event) is QuoteUpdated:
            take(event)

    async def publish(event: Event) -> None:
        pass

    credentials = Credentials(SecretStr("key"), SecretStr("secret"))
    stream = MarketStream(url, credentials, post=post, publish=publish, clock=WallClock(), random=Random(1), symbols=SYMBOLS)
    await until(done, stream.run())


async def run_peer(url: str, take: Take, done: asyncio.Event) -> None:
    from alpaca.data.live import StockDataStream  # noqa: PLC0415 - the peer is an extra

    async def handler(quote: Any) -> None:
        take(quote)

    stream = StockDataStream("key", "secret", url_override=url)
    stream.subscribe_quotes(handler, *SYMBOLS)
    try:
        await until(done, stream._run_forever())  # noqa: SLF001 - `run` would make a loop of its own
    finally:
        await stream.close()


async def until(done: asyncio.Event, running: Awaitable[None]) -> None:
    """Run something endless until ``done`` is set."""
    task = asyncio.ensure_future(running)
    await done.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


Side = Callable[[str, Take, asyncio.Event], Awaitable[None]]


def seen_by_ours(quote: QuoteUpdated) -> Seen:
    return quote.symbol, quote.bid, quote.bid_size, quote.ask, quote.ask_size, quote.at


def seen_by_peer(quote: Any) -> Seen:
    return quote.symbol, quote.bid_price, quote.bid_size, quote.ask_price, quote.ask_size, quote.timestamp


def check(side: Side, read: Callable[[Any], Seen], address: str, per_frame: int) -> None:
    """Compare every quote of a small run with what was sent."""
    got: list[Seen] = []

    async def main() -> None:
        done = asyncio.Event()

        def take(quote: Any) -> None:
            got.append(read(quote))
            if len(got) == CHECKED_QUOTES:
                done.set()

        await side(f"{address}/{per_frame}/{CHECKED_QUOTES}", take, done)

    uvloop.run(main())
    expected = [sent(number) for number in range(CHECKED_QUOTES)]
    if got != expected:
        wrong = next(number for number, (a, b) in enumerate(zip(got, expected, strict=True)) if a != b)
        sys.exit(f"{side.__name__}: quote {wrong} is {got[wrong]}, expected {expected[wrong]}")


def cost(side: Side, address: str, per_frame: int) -> float:
    """Return the CPU microseconds per quote of one run."""
    total = QUOTES[per_frame]
    count = 0
    began = ended = 0.0

    async def main() -> None:
        done = asyncio.Event()

        def take(quote: Any) -> None:
            nonlocal count, began, ended
            count += 1
            if count == 1:
                began = time.process_time()
            elif count == total:
                ended = time.process_time()
                done.set()

        await side(f"{address}/{per_frame}/{total}", take, done)

    gc.collect()
    uvloop.run(main())
    return (ended - began) / total * 1e6


def main() -> int:
    """Check, measure, print; return 1 when a target is missed."""
    if find_spec("alpaca") is None:
        print("skipped: alpaca-py is not installed; install the extra 'bench'")
        return 0
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    server = context.Process(target=serve_quotes, args=(theirs,), daemon=True)
    server.start()
    address = f"ws://127.0.0.1:{ours.recv()}"
    versions = ", ".join(f"{name} {version(name)}" for name in ("alpaca-py", "websockets", "msgspec", "uvloop"))
    print(f"{platform.machine()}, Python {platform.python_version()}, {versions}; {REPEATS} runs each, CPU microseconds per quote")
    print(f"{'quotes per frame':>16} {'ours':>8} {'spread':>13} {'alpaca-py':>10} {'spread':>13} {'ratio':>7} {'target':>7}")
    missed = False
    for per_frame, target in TARGETS.items():
        check(run_ours, seen_by_ours, address, per_frame)
        check(run_peer, seen_by_peer, address, per_frame)
        cost(run_ours, address, per_frame), cost(run_peer, address, per_frame)  # warm up
        costs = [(cost(run_ours, address, per_frame), cost(run_peer, address, per_frame)) for _ in range(REPEATS)]
        mine, peer = ([pair[index] for pair in costs] for index in (0, 1))
        ratio = statistics.median(peer) / statistics.median(mine)
        missed |= ratio < target
        print(
            f"{per_frame:>16} {statistics.median(mine):8.2f} {min(mine):6.2f}-{max(mine):<6.2f} {statistics.median(peer):10.2f} "
            f"{min(peer):6.2f}-{max(peer):<6.2f} {ratio:6.1f}x {target:6.1f}x{'' if ratio >= target else '  MISSED'}"
        )
    server.terminate()
    server.join()
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
