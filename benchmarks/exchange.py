"""The embedded exchange under load, side by side in one run with an aiohttp server that answers a constant.

Each server is a process of its own; one bare client, the same for both, keeps a few connections busy, so that what differs is the server.

- Orders: limit orders sent over four kept-alive connections, accepted per second and the 99th percentile of an answer. The peer reads
  the body as JSON and answers a constant of the same size. Target: at least half of the peer's rate.
- The same with ten thousand orders open in the account, next to an exchange without any. Target: at least 0.8 of its rate.
- Quotes: how many quote messages a second reach one client, and twenty together, in JSON and in msgpack, from the moment they are asked
  for to the last one read. Target: 200,000 a second to one client.
- A day of sixty symbols without any client, as fast as it goes.

Answers are checked before anything is timed: orders are accepted with ids of their own, and every quote that was sent arrives.
``python benchmarks/exchange.py`` prints a table and exits with 1 when a target is missed; ``--quick`` takes a tenth of the load,
and the name of a part (``compare_orders``, ``compare_full_account``, ``compare_quotes``, ``play_day``) only that one.
"""

import asyncio
import multiprocessing
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import date
from itertools import count
from multiprocessing.connection import Connection
from typing import Any

import aiohttp
import msgspec
import uvloop
from aiohttp import web
from measure import environment, spread_of

from alchemiser.exchange.access import Credentials
from alchemiser.exchange.assembly import open_core
from alchemiser.exchange.generator import SyntheticMarket
from alchemiser.exchange.server import ExchangeServer, ServerSettings
from alchemiser.exchange.settings import ExchangeSettings
from alchemiser.exchange.tape import MarketTape
from alchemiser.market.calendar import TradingCalendar
from alchemiser.service.clock import LeapClock

QUICK = "--quick" in sys.argv
ONLY = [word for word in sys.argv[1:] if not word.startswith("-")]
ORDERS = 400 if QUICK else 2_000
QUOTES = 20_000 if QUICK else 200_000
OPEN_ORDERS = 1_000 if QUICK else 10_000
REPEATS = 3 if QUICK else 5
CONNECTIONS = 4
LEAST_SHARE_OF_PEER = 0.5
LEAST_SHARE_OF_EMPTY = 0.8
LEAST_QUOTES_A_SECOND = 200_000
DAY = date(2025, 3, 3)
CREDENTIALS = Credentials("PKBENCHMARK", "a-secret-of-the-benchmark")
SIXTY = tuple(f"S{number:02}" for number in range(60))
NUMBERS = count()


def exchange_of(symbols: tuple[str, ...], clock: LeapClock | None = None) -> ExchangeServer:
    """Return an exchange that plays one session of some symbols."""
    calendar = TradingCalendar.new_york()
    session = calendar.session(DAY)
    assert session is not None
    tape = MarketTape(SyntheticMarket(calendar, 7, symbols=symbols, last_day=DAY), calendar, symbols, 7)
    clock = clock or LeapClock(session.opens_at, speed=1.0, leaps=False)
    core = open_core(settings=ExchangeSettings(), tape=tape, seed=7, opened_at=session.opens_at)
    settings = ServerSettings(market_connections=20)
    return ExchangeServer(core=core, tape=tape, calendar=calendar, clock=clock, last_day=DAY, credentials=CREDENTIALS, settings=settings)


def serve_exchange(pipe: Connection) -> None:
    """Serve an exchange in this process until it is ended; its address goes through the pipe."""

    async def main() -> None:
        server = exchange_of(("SPY", "BIL"))
        pipe.send((await server.start()).rest)
        await server.run(linger=True)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())


def serve_constant(pipe: Connection) -> None:
    """Serve the peer: it reads the body of an order and answers a constant of an order's size."""
    order = msgspec.json.encode({"id": "x", "status": "pending_new", "padding": "p" * 950})

    async def answer(request: web.Request) -> web.Response:
        msgspec.json.decode(await request.read())
        return web.Response(body=order, content_type="application/json")

    async def main() -> None:
        app = web.Application()
        app.router.add_post("/v2/orders", answer)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        pipe.send(f"http://{host}:{port}")
        await asyncio.Event().wait()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())


@contextmanager
def process(target: Callable[[Connection], None]) -> Iterator[str]:
    """Run a server in a process of its own while the block runs; yield its address."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    server = context.Process(target=target, args=(theirs,), daemon=True)
    server.start()
    try:
        if not ours.poll(30):
            raise SystemExit(f"{target.__name__} did not start within 30 seconds")
        yield ours.recv()
    finally:
        server.terminate()
        server.join()


# --- orders ---


def order_request(time_in_force: str = "ioc") -> bytes:
    """Return the bytes of a request that submits an order with an id of its own."""
    number = next(NUMBERS)
    body = msgspec.json.encode(
        {
            "symbol": "SPY",
            "qty": "1",
            "side": "buy",
            "type": "limit",
            "limit_price": "1.00",
            "time_in_force": time_in_force,
            "client_order_id": f"bench-{number}",
        }
    )
    head = (
        f"POST /v2/orders HTTP/1.1\r\nHost: 127.0.0.1\r\nAPCA-API-KEY-ID: {CREDENTIALS.key_id}\r\n"
        f"APCA-API-SECRET-KEY: {CREDENTIALS.secret_key}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, time_in_force: str = "ioc") -> bytes:
    """Send one order and return the body of its answer."""
    writer.write(order_request(time_in_force))
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200"), head
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    return await reader.readexactly(length)


async def send_orders(rest: str, orders: int, time_in_force: str = "ioc") -> tuple[float, float]:
    """Return orders per second and the 99th percentile of an answer in milliseconds."""
    host, port = rest.removeprefix("http://").split(":")
    seconds: list[float] = []

    async def connection() -> None:
        reader, writer = await asyncio.open_connection(host, int(port))
        for _ in range(orders // CONNECTIONS):
            began = time.perf_counter()
            await ask(reader, writer, time_in_force)
            seconds.append(time.perf_counter() - began)
        writer.close()

    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(CONNECTIONS):
            group.create_task(connection())
    rate = len(seconds) / (time.perf_counter() - began)
    return rate, statistics.quantiles(seconds, n=100)[-1] * 1_000


async def check_orders(rest: str) -> None:
    """Raise ``AssertionError`` unless orders are accepted, each under an id of its own."""
    host, port = rest.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    answers = [msgspec.json.decode(await ask(reader, writer)) for _ in range(10)]
    assert len({answer["id"] for answer in answers}) == 10
    assert {answer["status"] for answer in answers} == {"pending_new"}
    writer.close()


async def compare_orders() -> bool:
    """Measure both sides in turn, print them, and return whether the target is met."""
    ours: list[tuple[float, float]] = []
    peer: list[tuple[float, float]] = []
    with process(serve_constant) as constant:
        for turn in range(REPEATS + 1):
            with process(serve_exchange) as exchange:  # Fresh each time, so that orders of one turn do not burden the next.
                if turn == 0:
                    await check_orders(exchange)
                for side in (exchange, constant):
                    await send_orders(side, ORDERS // 10)  # A process that has just begun pays for first times.
                found = await send_orders(exchange, ORDERS), await send_orders(constant, ORDERS)
                if turn > 0:
                    ours.append(found[0])
                    peer.append(found[1])
    for name, values in (("exchange", ours), ("constant", peer)):
        print(f"{name:28} {spread_of([rate for rate, _ in values])}   p99 {spread_of([late for _, late in values])} ms")
    share = spread_of([rate for rate, _ in ours]).median / spread_of([rate for rate, _ in peer]).median
    print(f"{'share of the constant server':28} {share:9.2f}   target {LEAST_SHARE_OF_PEER}")
    return share >= LEAST_SHARE_OF_PEER


async def compare_full_account() -> bool:
    """Fill an account with open orders, measure it and an empty one in turn, and return whether the target is met."""
    full: list[tuple[float, float]] = []
    empty: list[tuple[float, float]] = []
    with process(serve_exchange) as crowded:
        await send_orders(crowded, OPEN_ORDERS, "gtc")
        for turn in range(REPEATS + 1):
            with process(serve_exchange) as fresh:
                found = await send_orders(crowded, ORDERS), await send_orders(fresh, ORDERS)
                if turn > 0:
                    full.append(found[0])
                    empty.append(found[1])
        assert await open_orders(crowded) == 500, "the account is not full"
    for name, values in ((f"with {OPEN_ORDERS:,} open orders", full), ("with none", empty)):
        print(f"{name:28} {spread_of([rate for rate, _ in values])}   p99 {spread_of([late for _, late in values])} ms")
    share = spread_of([rate for rate, _ in full]).median / spread_of([rate for rate, _ in empty]).median
    print(f"{'share of an empty account':28} {share:9.2f}   target {LEAST_SHARE_OF_EMPTY}")
    return share >= LEAST_SHARE_OF_EMPTY


async def open_orders(rest: str) -> int:
    """Return how many open orders the longest page holds that may be asked for, which is 500."""
    headers = {"APCA-API-KEY-ID": CREDENTIALS.key_id, "APCA-API-SECRET-KEY": CREDENTIALS.secret_key}
    async with aiohttp.ClientSession(headers=headers) as http, http.get(f"{rest}/v2/orders?status=open&limit=500") as response:
        return len(await response.json())


# --- quotes ---


async def receive_quotes(rest: str, clients: int, encoding: str, messages: int) -> float:
    """Return how many quote messages a second reach all clients together."""
    headers = {
        "APCA-API-KEY-ID": CREDENTIALS.key_id,
        "APCA-API-SECRET-KEY": CREDENTIALS.secret_key,
        "Content-Type": f"application/{encoding}",
    }
    mark = b'"T":"q"' if encoding == "json" else b"\xa1T\xa1q"
    encode = msgspec.json.encode if encoding == "json" else msgspec.msgpack.encode

    async with aiohttp.ClientSession() as http:

        async def client(ready: asyncio.Event) -> None:
            async with http.ws_connect(f"{rest}/v2/sip", headers=headers, max_msg_size=0) as socket:
                await socket.receive()
                await socket.receive()
                await socket.send_bytes(encode({"action": "subscribe", "quotes": ["BIL"]}))
                await socket.receive()
                ready.set()
                seen = 0
                while seen < messages:
                    data: Any = (await socket.receive()).data
                    assert isinstance(data, str | bytes), f"the stream ended after {seen} of {messages} quotes: {data}"
                    seen += (data.encode() if isinstance(data, str) else data).count(mark)

        events = [asyncio.Event() for _ in range(clients)]
        async with asyncio.TaskGroup() as group:
            for event in events:
                group.create_task(client(event))
            for event in events:
                await event.wait()
            began = time.perf_counter()
            storm = {"kind": "storm", "symbol": "BIL", "messages": messages}
            group.create_task(_post(http, f"{rest}/_exchange/faults", storm))
        return clients * messages / (time.perf_counter() - began)


async def _post(http: aiohttp.ClientSession, url: str, body: object) -> None:
    async with http.post(url, json=body) as response:
        assert response.status == 200, await response.text()


async def compare_quotes() -> bool:
    """Measure one client and twenty in both encodings, print them, and return whether the target is met."""
    is_met = True
    with process(serve_exchange) as exchange:
        for clients in (1, 20):
            for encoding in ("json", "msgpack"):
                messages = QUOTES if clients == 1 else QUOTES // 5
                rates = [await receive_quotes(exchange, clients, encoding, messages) for _ in range(REPEATS + 1)][1:]
                found = spread_of(rates)
                print(f"{f'quotes/s, {clients} x {encoding}':28} {found}")
                is_met = is_met and (clients > 1 or found.median >= LEAST_QUOTES_A_SECOND)
    print(f"{'to one client':28} target {LEAST_QUOTES_A_SECOND}")
    return is_met


# --- a day ---


async def play_day() -> bool:
    """Play a session of sixty symbols as fast as it goes."""
    calendar = TradingCalendar.new_york()
    session = calendar.session(DAY)
    assert session is not None
    clock = LeapClock(session.opens_at, leaps=True, settle_seconds=0.0)
    server = exchange_of(SIXTY, clock)
    began = time.perf_counter()
    await server.run()
    seconds = time.perf_counter() - began
    assert clock.now() >= session.closes_at
    print(f"{'a day of 60 symbols':28} {seconds:9.2f} s, {391 * len(SIXTY) / seconds:,.0f} quotes/s by the minute")
    return True


async def main() -> int:
    """Print every table; return the exit code."""
    print(environment("aiohttp", "msgspec", "uvloop"))
    parts: tuple[Callable[[], Awaitable[bool]], ...] = (compare_orders, compare_full_account, compare_quotes, play_day)
    chosen = [part for part in parts if not ONLY or part.__name__ in ONLY]
    results = [await part() for part in chosen]
    return 0 if all(results) else 1


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as bench:
        sys.exit(bench.run(main()))
