"""From a quote leaving the exchange to the order that it prices arriving there, at 200 and at 2,000 quotes a second.

Ten orders rest and forty wait for a usable quote; quotes of all fifty symbols stream in, one in a frame, evenly spaced. Every tenth is
the first usable one of a symbol that waits: it is to bring one order, at its ask. All others are looked at and change nothing.

- Ours: the whole daemon with its journal on disk: stream, bus, quote book, tactic, gate and limits, intent durable, request.
- alpaca-py: its ``StockDataStream`` with models, whose handler looks whether the symbol waits, checks the price against the same collar,
  and calls ``TradingClient.submit_order``. Nothing is kept.

Each client is a process of its own with an account of its own at the same venue, over real sockets; the two take turns, one rebalance
of forty orders each, and both times of a sample are taken by the venue, on one clock. The first rebalance at a rate warms either client up
and does not count, so that neither is charged for its first connection and its cold code; of the others every order does. The venue, which
is part of every time, looks for its own garbage between the rebalances only, and does not sleep between two quotes: the venue of real
orders is another machine, while one that is asleep beside its client may be woken on the client's processor, where it waits until the
client rests. That was in the slowest orders. After every rebalance the orders are compared with the quotes: each due order arrived once, at
the right price, and none besides; one that is missing or late ends the run as lost. The quotes come in the order of the plan, which is that
in which the daemon writes orders ahead: one that comes out of turn waits for the disk.

At 2,000 a second ours must lose nothing and keep the rate: the last order of a round arrives no later than the slowest of its first half
or ``LATE_SECONDS`` after its quote. The peer runs there too, for comparison.

``python benchmarks/quote_to_order.py`` prints a table and exits with 1 when a target is missed.
"""

import asyncio
import gc
import multiprocessing
import statistics
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import uvloop
from desk import Script, trade
from measure import environment, flush_milliseconds, wake_milliseconds
from venue import Address, OpenOrder, Venue

from alchemiser.domain.orders import Side

AT_LEAST = 2.0
"""At 200 quotes a second, how many times as fast as the peer the median and the 99th percentile must be."""

RATES = {200: (10, 3), 2_000: (12, 3)}
"""Quotes a second: rounds, and rebalances (of forty orders each) in a round. A 99th percentile needs many orders to be a steady figure."""

LATE_SECONDS = 0.25
PATIENCE_SECONDS = 15.0
START_SECONDS = 30.0
EVERY = 10
RESTING = tuple(f"R{number}" for number in range(10))
WAITING = tuple(f"W{number:02}" for number in range(40))
SHARES = Decimal(1)
BID, ASK = 100.0, 100.02
PLANS = 1 + sum(1 + rounds * rebalances for rounds, rebalances in RATES.values())
COLLAR = 0.05


def script() -> Script:
    """Return the same rebalance, over and over: ten orders that rest until the end, and forty that wait for a quote."""
    wanted = tuple((symbol, Side.BUY, SHARES) for symbol in RESTING + WAITING)
    return Script(RESTING + WAITING, tuple((Decimal(1_000_000), wanted) for _ in range(PLANS)))


def alpaca_py(address: Address) -> None:
    """Submit in the handler of the data stream; the body of a process."""
    from alpaca.data.live import StockDataStream  # noqa: PLC0415 - the peer is an extra
    from alpaca.trading.client import TradingClient  # noqa: PLC0415
    from alpaca.trading.enums import OrderSide, TimeInForce  # noqa: PLC0415
    from alpaca.trading.requests import LimitOrderRequest  # noqa: PLC0415

    client = TradingClient("key", "secret", url_override=address.rest)
    stream = StockDataStream("key", "secret", url_override=f"{address.stream}/v2/sip")
    waiting: dict[str, bool] = {}

    async def on_quote(quote: Any) -> None:
        # An unusable quote stands before each usable one, as it does for the daemon; there it is what the intent waits behind.
        if not 0 < quote.bid_price < quote.ask_price:
            waiting[quote.symbol] = True
            return
        mid = (quote.bid_price + quote.ask_price) / 2
        if waiting.get(quote.symbol) and quote.ask_price <= mid * (1 + COLLAR):
            waiting[quote.symbol] = False
            client.submit_order(
                LimitOrderRequest(
                    symbol=quote.symbol, qty=1, side=OrderSide.BUY, time_in_force=TimeInForce.DAY, limit_price=quote.ask_price
                )
            )

    stream.subscribe_quotes(on_quote, *RESTING, *WAITING)
    stream.run()


@dataclass
class Client:
    """One client's account, and what came of the quotes it was sent."""

    name: str
    body: Callable[..., None]
    arguments: tuple[Any, ...] = ()
    is_daemon: bool = False
    venue: Venue = field(default_factory=Venue)
    resting: list[OpenOrder] = field(default_factory=list)
    all_rest: asyncio.Event = field(default_factory=asyncio.Event)
    arrived: dict[str, list[OpenOrder]] = field(default_factory=dict)
    expected: int = 0
    complete: asyncio.Event = field(default_factory=asyncio.Event)
    milliseconds: dict[int, list[float]] = field(default_factory=lambda: {rate: [] for rate in RATES})
    lost: dict[int, int] = field(default_factory=lambda: dict.fromkeys(RATES, 0))
    late: dict[int, float] = field(default_factory=lambda: dict.fromkeys(RATES, 0.0))
    seconds: dict[int, list[float]] = field(default_factory=lambda: {rate: [] for rate in RATES})

    async def start(self, stack: AsyncExitStack, context: Any) -> None:
        """Open the venue, start the process, wait until it listens, and give the resting orders their quotes."""
        self.venue.on_order = self._take
        address = await self.venue.open(stack)
        process = context.Process(target=self.body, args=(address, *self.arguments), daemon=True)
        process.start()
        stack.callback(process.kill)
        async with asyncio.timeout(START_SECONDS):
            await self.venue.subscribed.wait()
            if self.is_daemon:
                await self.venue.listening.wait()
        await self._prepare()
        for symbol in RESTING:
            self.venue.quote(symbol, BID, ASK)

    async def rebalance(self, rate: int, *, counts: bool = True) -> None:
        """Stream quotes at the rate until each waiting symbol had its first; compare the orders and, where it counts, keep the times."""
        if self.is_daemon:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await self.all_rest.wait()
            self.all_rest.clear()
        await asyncio.sleep(0.05)  # Who has just begun a rebalance is idle again.
        self.arrived.clear()
        self.complete.clear()
        self.expected = len(WAITING)
        gc.collect()
        gc.disable()
        left = await self._stream(rate)
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await self.complete.wait()
        except TimeoutError:
            self.lost[rate] += len(WAITING) - len(self.arrived)
            sys.exit(f"{self.name} at {rate} quotes a second: {len(WAITING) - len(self.arrived)} orders never came")
        await asyncio.sleep(0.02)  # A second order for the same quote would come now.
        gc.enable()
        self._judge(rate, left, counts=counts)
        await self._prepare()
        for order in self.resting:
            self.venue.fill(order)
        self.resting.clear()

    async def _prepare(self) -> None:
        """Take the usable quotes of the waiting symbols away, before the next rebalance can begin."""
        for symbol in WAITING:
            self.venue.quote(symbol, 0.0, ASK)
        await asyncio.sleep(0.05)

    async def _stream(self, rate: int) -> dict[str, float]:
        """Send the quotes evenly and return when the first usable one of each waiting symbol left."""
        left: dict[str, float] = {}
        due = deque(WAITING)
        began = time.perf_counter()
        total = EVERY * len(WAITING)
        for number in range(total):
            while time.perf_counter() < began + number / rate:  # noqa: ASYNC110 - it is to stay awake, see above
                await asyncio.sleep(0)
            if number % EVERY == EVERY - 1:
                symbol = due.popleft()
                left[symbol] = self.venue.quote(symbol, BID, ASK)
            else:
                self.venue.quote(RESTING[number % len(RESTING)], BID, ASK)
        self.seconds[rate].append(time.perf_counter() - began)
        return left

    def _judge(self, rate: int, left: dict[str, float], *, counts: bool) -> None:
        for symbol, orders in self.arrived.items():
            bodies = [(order.body["side"], float(order.body["qty"]), float(order.body["limit_price"])) for order in orders]
            if bodies != [("buy", 1.0, ASK)] or symbol not in left:
                sys.exit(f"{self.name}: the quote of {symbol} brought {bodies}, expected one order at {ASK}")
        delays = [self.arrived[symbol][0].arrived - at for symbol, at in left.items()]
        if min(delays) < 0:
            sys.exit(f"{self.name}: an order arrived before the quote that prices it")
        if not counts:
            return
        self.late[rate] = max(self.late[rate], delays[-1])
        self.milliseconds[rate].extend(delay * 1000 for delay in delays)

    def kept(self, rate: int) -> float:
        """Return how many quotes a second really were sent where so many were to be."""
        return EVERY * len(WAITING) * len(self.seconds[rate]) / sum(self.seconds[rate])

    def _take(self, order: OpenOrder) -> None:
        symbol = order.body["symbol"]
        if symbol in RESTING:
            self.resting.append(order)
            if len(self.resting) == len(RESTING):
                self.all_rest.set()
            return
        self.arrived.setdefault(symbol, []).append(order)
        if self.is_daemon:
            self.resting.append(order)  # It is filled with the others, when the round is over.
        if len(self.arrived) == self.expected:
            self.complete.set()


def percentile(found: list[float], share: float) -> float:
    """Return the value that so large a share is not above."""
    return sorted(found)[min(int(len(found) * share), len(found) - 1)]


def report(ours: Client, peer: Client) -> int:
    """Print the table; return 1 when a target is missed."""
    print("milliseconds from the quote leaving the venue to its order arriving there")
    print(
        f"{'quotes/s':>9} {'client':>11} {'orders':>7} {'lost':>5} {'median':>9} {'p90':>9} {'p99':>9} {'rate kept':>10} {'last order':>11}"
    )
    missed = 0
    for rate in RATES:
        for client in (ours, peer):
            found = client.milliseconds[rate]
            numbers = f"{statistics.median(found):9.3f} {percentile(found, 0.9):9.3f} {percentile(found, 0.99):9.3f}"
            print(
                f"{rate:>9,} {client.name:>11} {len(found):>7} {client.lost[rate]:>5} {numbers} {client.kept(rate):>9,.0f}/s "
                f"{client.late[rate] * 1000:>8.1f} ms"
            )
    slow = min(RATES)
    for words, of in (("median", statistics.median), ("99th percentile", lambda found: percentile(found, 0.99))):
        ratio = of(peer.milliseconds[slow]) / of(ours.milliseconds[slow])
        size = len(WAITING) * RATES[slow][1]
        rounds = [
            of(peer.milliseconds[slow][start : start + size]) / of(ours.milliseconds[slow][start : start + size])
            for start in range(0, len(ours.milliseconds[slow]), size)
        ]
        missed |= ratio < AT_LEAST
        note = "" if ratio >= AT_LEAST else "  MISSED"
        print(f"{words} at {slow}: {ratio:.2f} times as fast, at least {AT_LEAST:g} (rounds {min(rounds):.2f}-{max(rounds):.2f}){note}")
    fast = max(RATES)
    is_kept = not ours.lost[fast] and ours.late[fast] <= LATE_SECONDS and ours.kept(fast) >= fast * 0.95
    missed |= not is_kept
    print(f"ours at {fast:,}: {'the rate is kept and nothing is lost' if is_kept else 'the rate is not kept or something is lost  MISSED'}")
    return missed


async def compare() -> int:
    """Start the clients, let their rounds alternate, report."""
    context = multiprocessing.get_context("spawn")
    async with AsyncExitStack() as stack:
        state = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        ours = Client("the daemon", trade, (state, script()), is_daemon=True)
        peer = Client("alpaca-py", alpaca_py)
        for client in (ours, peer):
            await client.start(stack, context)
        for rate, (rounds, rebalances) in RATES.items():
            for number in range(1 + rounds * rebalances):
                for client in (ours, peer):
                    await client.rebalance(rate, counts=number > 0)
        return report(ours, peer)


def main() -> int:
    """Compare, or say why not; return 1 when a target is missed."""
    if find_spec("alpaca") is None:
        print("skipped: alpaca-py is not installed; install the extra 'bench'")
        return 0
    print(environment("alpaca-py", "aiohttp", "websockets", "msgspec", "uvloop"))
    print(f"one fdatasync of this disk: {flush_milliseconds():.3f} ms; ours has an order's intent there before it leaves")
    print(f"one in a hundred sleeps here ends {wake_milliseconds():.3f} ms late: a 99th percentile near to that is the machine's")
    return uvloop.run(compare())


if __name__ == "__main__":
    sys.exit(main())
