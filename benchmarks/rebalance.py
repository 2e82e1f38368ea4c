"""A rebalance of fifty symbols, from the decision to the last fill, against the least that any client of the same exchange needs.

Both sides trade the same fifty symbols on the embedded exchange over real sockets, in real time once the clock has leapt to the decision.
The floor is a bare client: one snapshot request, fifty limit orders at the ask with as many requests under way as the daemon allows
itself, fills awaited on the stream; no decision, no checks, no journal, no ledger. The daemon does all of its work, durable intents
included.
The answers are checked first: fifty symbols bought by each, and the daemon's books equal to the exchange's.

Run it with ``python benchmarks/rebalance.py``.
"""

import asyncio
import sys
import tempfile
import time
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import aiohttp
import msgspec
import structlog
import uvloop
from measure import environment, spread_of

from alchemiser.domain.events import DecisionDue, LedgerCompared, OrderFilled, RebalanceCompleted
from alchemiser.execution.requests import SENDERS
from alchemiser.journal.reader import JournalReader
from alchemiser.service.clock import LeapClock
from alchemiser.service.embedded import BEFORE_OPEN, daily_source, embedded_market
from alchemiser.service.offline import JOURNAL_FILE
from alchemiser.service.settings import RunOptions, Settings
from alchemiser.service.settings_load import load_settings
from alchemiser.service.start import run_daemon
from alchemiser.service.surroundings import Surroundings

SYMBOLS = tuple(f"B{first}{second}" for first in "ABCDE" for second in "ABCDEFGHIJ")
REPEATS = 5
AT_MOST = 3.0
"""The daemon may take this many times as long as the bare client."""


def real_time(start: datetime) -> LeapClock:
    """Return a clock that leaps while nothing happens and otherwise runs at the speed of the wall's."""
    return LeapClock(start, speed=1.0)


def settings_for(state: Path) -> Settings:
    """Return settings that trade all symbols equally, at once and at the ask, five minutes after the open."""
    symphony = state / "fifty.clj"
    assets = " ".join(f'(asset "{symbol}" "{symbol}")' for symbol in SYMBOLS)
    symphony.write_text(f'(defsymphony "fifty" {{:asset-class "EQUITIES" :rebalance-frequency :daily}} (weight-equal [{assets}]))')
    overrides = {
        "service.state": state,
        "service.http": "127.0.0.1:0",
        "strategies": {"fifty": {"source": str(symphony)}},
        "schedule.decision": "open + 5m",
        "execution.ladder": [Decimal(1)],
        "market.history_sessions": 5,
        "portfolio.cash_reserve": Decimal("0.02"),
        "embedded.cash": Decimal(20_000),
    }
    return load_settings(overrides=overrides, environ={}, directory=state, secrets=()).settings


async def daemon_seconds() -> float:
    """Run the daemon until its rebalance has ended and return the wall seconds from the decision to the last fill."""
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder)
        settings = settings_for(state)
        task = asyncio.create_task(run_daemon(settings, RunOptions(days=1), Surroundings(make_clock=real_time, takes_signals=False)))
        ended = None
        while ended is None:
            await asyncio.sleep(0.2)
            if task.done():
                task.result()
                raise SystemExit("the daemon ended before its rebalance")
            ended = _ended(state)
        task.cancel()
        await asyncio.wait([task])
        return ended


def _ended(state: Path) -> float | None:
    """Return the seconds once the rebalance is complete in the journal, after checking what it did."""
    if not (state / JOURNAL_FILE).exists():
        return None
    with JournalReader.open(state / JOURNAL_FILE) as reader:
        journal = list(reader.read())
    times = {type(envelope.event): envelope.time for envelope in journal}
    if RebalanceCompleted not in times:
        return None
    filled = {envelope.event.fill.symbol for envelope in journal if isinstance(envelope.event, OrderFilled)}
    differences = [envelope.event.differences for envelope in journal if isinstance(envelope.event, LedgerCompared)]
    assert filled == set(SYMBOLS), f"{len(filled)} of {len(SYMBOLS)} symbols were bought"
    assert not any(differences), differences
    return times[OrderFilled] - times[DecisionDue]


async def floor_seconds() -> float:
    """Buy the same symbols with a bare client and return the wall seconds from its first request to the last fill."""
    with tempfile.TemporaryDirectory() as folder:
        settings = settings_for(Path(folder))
        async with embedded_market(
            settings, RunOptions(days=1), daily_source(settings, SYMBOLS), SYMBOLS, Surroundings(make_clock=real_time)
        ) as market:
            assert market is not None
            ticking = asyncio.create_task(market.server.run())
            address = market.address
            headers = {"APCA-API-KEY-ID": address.key_id, "APCA-API-SECRET-KEY": address.secret_key}
            async with aiohttp.ClientSession(headers=headers) as client, client.ws_connect(address.trading_stream) as stream:
                await stream.send_json({"action": "auth", "key": address.key_id, "secret": address.secret_key})
                await stream.receive()
                await stream.send_json({"action": "listen", "data": {"streams": ["trade_updates"]}})
                await stream.receive()
                await market.clock.sleep(BEFORE_OPEN.total_seconds() + 300)
                market.clock.hold("the benchmark")
                began = time.perf_counter()
                await _buy_everything(client, stream, address.rest)
                seconds = time.perf_counter() - began
            ticking.cancel()
            await asyncio.wait([ticking])
            return seconds


async def _buy_everything(client: aiohttp.ClientSession, stream: aiohttp.ClientWebSocketResponse, rest: str) -> None:
    async with client.get(f"{rest}/v2/stocks/snapshots", params={"symbols": ",".join(SYMBOLS)}) as response:
        snapshots = await response.json()
    senders = asyncio.Semaphore(SENDERS)

    async def buy(symbol: str) -> None:
        ask = snapshots[symbol]["latestQuote"]["ap"]
        # A cent above the ask: like the daemon's re-pegging, it must not be left behind by a quote that moves.
        body = {"symbol": symbol, "qty": str(Decimal(380) / Decimal(str(ask)))[:8], "side": "buy", "type": "limit"}
        body |= {"time_in_force": "day", "limit_price": f"{ask * 1.005:.2f}"}
        async with senders, client.post(f"{rest}/v2/orders", json=body) as response:
            assert response.status == 200, await response.text()

    async with asyncio.TaskGroup() as group:
        for symbol in SYMBOLS:
            group.create_task(buy(symbol))
        filled: set[str] = set()
        while len(filled) < len(SYMBOLS):
            update = msgspec.json.decode((await stream.receive()).data)["data"]
            if update["event"] == "fill":
                filled.add(update["order"]["symbol"])


def main() -> int:
    """Measure both sides in turn, print the table, and return 1 when the daemon is further from the floor than it may be."""
    structlog.configure(processors=[lambda logger, method, event: (_ for _ in ()).throw(structlog.DropEvent)])
    print(environment("aiohttp", "msgspec", "uvloop", "websockets"))
    sides: dict[str, list[float]] = {"bare client": [], "daemon": []}
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        for turn in range(REPEATS + 1):
            for name, measure in (("bare client", floor_seconds), ("daemon", daemon_seconds)):
                seconds = runner.run(measure())
                if turn:
                    sides[name].append(seconds * 1000)
    floor, daemon = spread_of(sides["bare client"]), spread_of(sides["daemon"])
    ratio = daemon.median / floor.median
    print("wall milliseconds from the decision to the last of 50 fills, median and range")
    print(f"  bare client {floor}")
    print(f"  daemon      {daemon}   {ratio:.2f} times the bare client, at most {AT_MOST}")
    return 0 if ratio <= AT_MOST else 1


if __name__ == "__main__":
    sys.exit(main())
