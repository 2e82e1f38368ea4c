"""From a fill leaving the exchange to the next dependent order arriving there: the whole daemon against three other clients.

- Ours: the daemon with its journal on disk. Twenty-five sells rest; the fill of one brings the cash for one buy. Before the buy leaves, its
  intent is durable: its id, its symbol, its side and the most that it may be of were written ahead, while it waited for the cash. The
  fill, its booking and the order as it is are flushed while it travels.
- alpaca-py: its ``TradingStream`` with a ``TradingClient.submit_order`` in the handler, as its documentation shows it. Nothing is kept.
- The floor: websockets and aiohttp with no logic at all: for each frame that comes a request that was prepared before is sent.
- Polling: the order is asked for every two seconds, and when it is filled the buy is sent.

Each client is a process of its own with an account of its own at the same venue, over real sockets. Samples take turns, one of each
client after the other, so that a neighbour's load meets all of them; both times of a sample are taken by the venue, on one clock.
First the answers are checked: the order that arrives is the one that was due, and ours is in the journal, committed, when it arrives.

``python benchmarks/fill_to_order.py`` prints a table and exits with 1 when a target is missed.
"""

import asyncio
import multiprocessing
import statistics
import sys
import tempfile
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path
from random import Random
from typing import Any

import aiohttp
import uvloop
from desk import Script, trade
from measure import environment, flush_milliseconds
from venue import Address, OpenOrder, Venue
from websockets.asyncio.client import connect

from alchemiser.domain.events import OrderIntended, OrderPrepared
from alchemiser.domain.orders import Side
from alchemiser.journal.reader import JournalReader
from alchemiser.service.offline import JOURNAL_FILE

AT_LEAST_TIMES_POLLING = 500.0
AT_LEAST_TIMES_ALPACA_PY = 1.5
AT_MOST_TIMES_FLOOR = 2.0

ROUNDS = 12
SAMPLES_PER_ROUND = 25
POLLED_SAMPLES = 20
POLL_SECONDS = 2.0
PAUSE_SECONDS = (0.004, 0.012)
"""Between two samples, drawn anew each time: whoever was at work is idle again."""
PATIENCE_SECONDS = 10.0

FIRST = tuple(f"A{number:02}" for number in range(SAMPLES_PER_ROUND))
SECOND = tuple(f"B{number:02}" for number in range(SAMPLES_PER_ROUND))
BID, ASK = 100.0, 100.02
SHARES, LESS_SHARES = Decimal(10), Decimal("0.01")
"""Each buy is of a little less than each sell was, so that the cash of one sell at the bid pays for one buy at the ask."""

BODY = {"symbol": "B00", "qty": "9.9", "side": "buy", "type": "limit", "time_in_force": "day", "limit_price": "100.02"}


def script() -> Script:
    """Return the plans: buy the first symbols, then sell them one by one for the second, and back again."""
    plans: list[tuple[Decimal, tuple[tuple[str, Side, Decimal], ...]]] = []
    plans.append((Decimal(100_000), tuple((symbol, Side.BUY, SHARES) for symbol in FIRST)))
    held, wanted, shares = FIRST, SECOND, SHARES
    for _ in range(ROUNDS + 1):
        sells = tuple((symbol, Side.SELL, shares) for symbol in held)
        shares -= LESS_SHARES
        buys = tuple((symbol, Side.BUY, shares) for symbol in wanted)
        plans.append((Decimal(0), sells + buys))
        held, wanted = wanted, held
    return Script(FIRST + SECOND, tuple(plans))


def floor(address: Address) -> None:
    """Send a prepared order for each frame; the body of a process."""

    async def main() -> None:
        async with aiohttp.ClientSession() as session, connect(f"{address.stream}/stream", compression=None) as stream:
            await stream.send('{"action": "auth", "key": "key", "secret": "secret"}')
            await stream.recv()
            await stream.send('{"action": "listen", "data": {"streams": ["trade_updates"]}}')
            await stream.recv()
            while True:
                await stream.recv()
                async with session.post(f"{address.rest}/v2/orders", json=BODY) as response:
                    await response.read()

    uvloop.run(main())


def alpaca_py(address: Address) -> None:
    """Submit in the handler of the stream; the body of a process."""
    from alpaca.trading.client import TradingClient  # noqa: PLC0415 - the peer is an extra
    from alpaca.trading.enums import OrderSide, TimeInForce, TradeEvent  # noqa: PLC0415
    from alpaca.trading.requests import LimitOrderRequest  # noqa: PLC0415
    from alpaca.trading.stream import TradingStream  # noqa: PLC0415

    client = TradingClient("key", "secret", url_override=address.rest)
    stream = TradingStream("key", "secret", url_override=f"{address.stream}/stream")

    async def on_update(update: Any) -> None:
        if update.event == TradeEvent.FILL and update.order.side == OrderSide.SELL:
            wanted = LimitOrderRequest(symbol="B00", qty=9.9, side=OrderSide.BUY, time_in_force=TimeInForce.DAY, limit_price=100.02)
            client.submit_order(wanted)

    stream.subscribe_trade_updates(on_update)
    stream.run()


def polling(address: Address) -> None:
    """Ask every two seconds whether the latest order is filled; the body of a process."""

    async def main() -> None:
        number = 0
        async with aiohttp.ClientSession() as session, connect(f"{address.stream}/stream", compression=None) as stream:
            # It listens, because the venue asks its clients to; what it hears it does not use.
            await stream.send('{"action": "auth", "key": "key", "secret": "secret"}')
            await stream.send('{"action": "listen", "data": {"streams": ["trade_updates"]}}')
            while True:
                async with session.get(f"{address.rest}/v2/orders/resting-{number}") as response:
                    order = await response.json()
                if order.get("status") == "filled":
                    async with session.post(f"{address.rest}/v2/orders", json=BODY) as response:
                        await response.read()
                    number += 2  # The order just sent has the number between.
                await asyncio.sleep(POLL_SECONDS)

    uvloop.run(main())


@dataclass
class Client:
    """One client's account, and the samples taken at it."""

    name: str
    body: Callable[..., None]
    arguments: tuple[Any, ...] = ()
    rests_itself: bool = False
    venue: Venue = field(default_factory=Venue)
    resting: list[OpenOrder] = field(default_factory=list)
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    arrived: asyncio.Future[OpenOrder] | None = None
    milliseconds: list[float] = field(default_factory=list)

    async def start(self, stack: AsyncExitStack, context: Any) -> None:
        """Open the venue, start the process, and wait until it listens."""
        self.venue.on_order = self._take
        address = await self.venue.open(stack)
        process = context.Process(target=self.body, args=(address, *self.arguments), daemon=True)
        process.start()
        stack.callback(process.kill)
        await self.venue.listening.wait()
        if self.rests_itself:
            await self.venue.subscribed.wait()
            for symbol in FIRST + SECOND:
                self.venue.quote(symbol, BID, ASK)

    async def sample(self) -> tuple[float, OpenOrder, OpenOrder]:
        """Fill a resting sell; return the seconds until the next order arrived, the sell and that order."""
        if self.rests_itself:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await self.ready.wait()
            sell = self.resting.pop(0)
            if not self.resting:
                self.ready.clear()
        else:
            sell = self.venue.rest("sell", "A00", "100.00", "10")
        self.arrived = asyncio.get_running_loop().create_future()
        left = self.venue.fill(sell)
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                order = await self.arrived
        except TimeoutError:
            sys.exit(f"{self.name}: the fill of {sell.body} brought no order within {PATIENCE_SECONDS:g} s")
        self.arrived = None
        if self.rests_itself:
            asyncio.get_running_loop().call_later(0.002, self.venue.fill, order)
        return order.arrived - left, sell, order

    def _take(self, order: OpenOrder) -> None:
        if order.body["side"] == "sell":
            self.resting.append(order)
            if len(self.resting) == SAMPLES_PER_ROUND:
                self.ready.set()
        elif self.arrived is None:
            # Nobody waits for it: it belongs to the purchases before the first round.
            asyncio.get_running_loop().call_later(0.002, self.venue.fill, order)
        elif not self.arrived.done():
            self.arrived.set_result(order)


async def check(clients: list[Client], journal: Path) -> None:
    """Stop unless every client answers a fill with the order that is due, and ours was durable before it arrived."""
    for client in clients:
        for number in range(SAMPLES_PER_ROUND if client.rests_itself else 3):
            _, sell, order = await client.sample()
            expected = ("buy", "B00", "9.9", "100.02")
            if client.rests_itself:
                expected = ("buy", f"B{number:02}", "9.99", "100.02")
            found = tuple(order.body[name] for name in ("side", "symbol", "qty", "limit_price"))
            if found != expected:
                sys.exit(f"{client.name}: the fill of {sell.body} brought {found}, expected {expected}")
            if client.rests_itself and not _is_written_down(order, journal):
                sys.exit(f"{client.name}: order {order.body['client_order_id']} arrived before its intent was durable")
            await asyncio.sleep(0.01)


def _is_written_down(order: OpenOrder, journal: Path) -> bool:
    """Whether what is committed tells of the order: as it was intended, or ahead, for no fewer shares of the same symbol and side."""
    body = order.body
    with JournalReader.open(journal) as reader:
        for item in reader.read(types=(OrderIntended, OrderPrepared)):
            event = item.event
            if isinstance(event, OrderIntended) and event.order.client_order_id == body["client_order_id"]:
                return True
            if isinstance(event, OrderPrepared) and event.client_order_id == body["client_order_id"]:
                return (event.symbol, event.side) == (body["symbol"], body["side"]) and event.quantity >= Decimal(body["qty"])
    return False


async def measure(clients: list[Client], polled: Client) -> None:
    """Take all samples, the clients in turn, then those of the client that polls."""
    random = Random(1)
    for _ in range(ROUNDS * SAMPLES_PER_ROUND):
        for client in clients:
            await asyncio.sleep(random.uniform(*PAUSE_SECONDS))
            seconds, _, _ = await client.sample()
            client.milliseconds.append(seconds * 1000)
    for _ in range(POLLED_SAMPLES):
        await asyncio.sleep(random.uniform(0, POLL_SECONDS))
        seconds, _, _ = await polled.sample()
        polled.milliseconds.append(seconds * 1000)


def ratios(ours: Client, other: Client) -> list[float]:
    """Return how many times as long as ours the other took, round by round."""
    rounds = range(0, len(ours.milliseconds), SAMPLES_PER_ROUND)
    part = [slice(start, start + SAMPLES_PER_ROUND) for start in rounds]
    return [statistics.median(other.milliseconds[each]) / statistics.median(ours.milliseconds[each]) for each in part]


def report(ours: Client, floor_client: Client, peer: Client, polled: Client) -> int:
    """Print the table; return 1 when a target is missed."""
    print("milliseconds from the fill leaving the venue to the next order arriving there")
    print(f"{'client':>24} {'samples':>8} {'median':>9} {'p90':>9} {'p99':>9}")
    for client in (floor_client, ours, peer, polled):
        found = sorted(client.milliseconds)
        p90, p99 = (found[min(int(len(found) * share), len(found) - 1)] for share in (0.9, 0.99))
        print(f"{client.name:>24} {len(found):>8} {statistics.median(found):9.3f} {p90:9.3f} {p99:9.3f}")
    to_floor = [1 / ratio for ratio in ratios(ours, floor_client)]
    to_peer = ratios(ours, peer)
    to_polling = statistics.median(polled.milliseconds) / statistics.median(ours.milliseconds)
    missed = 0
    for words, found, target, is_met in (
        ("times the floor, at most", to_floor, AT_MOST_TIMES_FLOOR, statistics.median(to_floor) <= AT_MOST_TIMES_FLOOR),
        ("times as fast as alpaca-py, at least", to_peer, AT_LEAST_TIMES_ALPACA_PY, statistics.median(to_peer) >= AT_LEAST_TIMES_ALPACA_PY),
        ("times as fast as polling, at least", [to_polling], AT_LEAST_TIMES_POLLING, to_polling >= AT_LEAST_TIMES_POLLING),
    ):
        missed |= not is_met
        spread = f" (rounds {min(found):.2f}-{max(found):.2f})" if len(found) > 1 else ""
        print(f"ours: {statistics.median(found):.2f} {words} {target:g}{spread}{'' if is_met else '  MISSED'}")
    return missed


async def compare() -> int:
    """Start the clients, check, measure, report."""
    context = multiprocessing.get_context("spawn")
    async with AsyncExitStack() as stack:
        state = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        ours = Client("the daemon", trade, (state, script()), rests_itself=True)
        bare, peer, polled = Client("no logic", floor), Client("alpaca-py", alpaca_py), Client("polling every 2 s", polling)
        for client in (ours, bare, peer, polled):
            await client.start(stack, context)
        await check([ours, bare, peer], state / JOURNAL_FILE)
        await measure([ours, bare, peer], polled)
        return report(ours, bare, peer, polled)


def main() -> int:
    """Compare, or say why not; return 1 when a target is missed."""
    if find_spec("alpaca") is None:
        print("skipped: alpaca-py is not installed; install the extra 'bench'")
        return 0
    print(environment("alpaca-py", "aiohttp", "websockets", "msgspec", "uvloop"))
    print(f"one fdatasync of this disk: {flush_milliseconds():.3f} ms; ours has an order's intent there before it leaves")
    return uvloop.run(compare())


if __name__ == "__main__":
    sys.exit(main())
