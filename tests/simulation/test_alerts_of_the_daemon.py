"""The alerts about the daemon itself as drills: its handlers, its loop, its journal, its messages, its decisions.

Four daemons after one another on one state directory, on virtual time: what the runbook mends by a restart is really restarted, and the
figures are the daemon's own. What stands for what: a venue that does not answer is what a handler waits for; virtual time that
passes while nobody else may run is what computes on the loop; another connection that keeps the journal locked is a slow disk; a closed
port is a mail server that is away.
"""

import asyncio
import sqlite3
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, cast

import aiohttp
import pytest

from alchemiser.bus.bus import Bus
from alchemiser.bus.envelope import Envelope
from alchemiser.exchange.access import Credentials
from alchemiser.exchange.server import ServerSettings
from alchemiser.execution.gaps import GapKeeper
from alchemiser.journal.store import Store
from alchemiser.service import embedded
from alchemiser.service.impatient import Impatient
from alchemiser.service.offline import JOURNAL_FILE
from alchemiser.strategies.python import MarketView, Strategy
from tests.simulation.days import FIRST_DAY, simulate
from tests.simulation.drills import KEYS, PROMTOOL, TOKEN, Drill, told_by_prometheus
from tests.simulation.safe_actions import actions_of, alerts_of


class Still(Strategy):
    """Everything in one symbol."""

    symbols: tuple[str, ...] = ("SPY",)
    bars_needed = 2

    def decide(self, market: MarketView) -> Mapping[str, float]:
        """Return all of it."""
        return dict.fromkeys(self.symbols, 1.0)


class Small(Still):
    """The same in another."""

    symbols = ("TQQQ",)


LOCKED_SECONDS = 0.6
"""How long the disk keeps a commit waiting, of real time: the journal measures itself by the machine's own clock."""

PER_MINUTE = 60
"""The requests that the venue allows."""


class BadParts(Drill):
    """What goes wrong within a daemon."""

    def __init__(self, state: Path) -> None:
        super().__init__()
        self.state = state
        self.breaks = False
        self.received: list[str] = []
        self.commits = threading.Event()

    # --- the first daemon ---

    async def handler(self) -> None:
        """A handler raises what nobody expects; trading is halted, and resumed once it is understood."""
        await self.until("14:31")
        self.breaks = True
        await self.tell("reconcile", accepts=(200, 409))
        self.breaks = False
        await self.until("14:34")
        self.stands("AlchemiserHandlerFailed")
        await self.tell("halt")
        assert (await self.ask("status"))["trading"]["state"] == "halted"
        self.does("AlchemiserHandlerFailed", "`alchemiser halt` if orders are concerned.")
        await self.until("14:50")
        await self.tell("resume")
        self.is_gone("AlchemiserHandlerFailed")

    async def loop(self) -> None:
        """For a while something computes on the loop: three seconds of every eight nobody else may run."""
        clock = cast(Any, asyncio.get_running_loop())._selector.clock
        while self.minute < 15 * 60 + 3:
            for _ in range(7):
                await self.clock.sleep(5.0)
                clock.advance(3.0)
            await self.scrape()
        self.stands("AlchemiserLoopLag")
        await self.until("15:10")
        self.is_gone("AlchemiserLoopLag")
        self.does("AlchemiserLoopLag", "Give the daemon a core of its own.")

    async def quota(self) -> None:
        """Another program with the same key takes nearly all of the requests of every minute, until it has a key of its own."""
        for minute in range(11, 16):
            await self.until(f"15:{minute}", scrapes=False)
            await self.clock.sleep(1.0)
            for _ in range(PER_MINUTE - 5):
                await self.at_the_broker("GET", "/v2/clock")
            asked = asyncio.ensure_future(self.tell("reconcile", accepts=(200, 409)))
            await self.clock.sleep(20.0)
            await self.scrape()
            await asked
        self.stands("AlchemiserQuotaLow")
        await self.until("15:20")
        self.is_gone("AlchemiserQuotaLow")
        assert (await self.tell("reconcile"))["reconciliation"]["failed"] is None
        self.does("AlchemiserQuotaLow", "A key of its own for every program.")

    async def journal(self) -> None:
        """Every few minutes the disk makes an operator's request wait."""
        for minute in (21, 24, 27):
            with self.slow_disk():
                await self.tell("pause")
            await self.tell("resume")
            await self.until(f"15:{minute + 3}")
        self.stands("AlchemiserJournalSlow")

    async def venue(self) -> None:
        """Requests of operators pile up before a handler that waits for the venue; nobody but a restart ends that soon."""
        await self.until("15:40")
        self.is_gone("AlchemiserJournalSlow", "AlchemiserNotLive", "AlchemiserMailboxFull")
        for path, seconds in (("/v2/account/activities", 0.0), ("/v2/account", 119.0), ("/v2/positions", 119.0)):
            await self.fault(kind="delay", method="GET", path=path, seconds=seconds, times=1000)
        asked = []
        for minute in range(41, 49):
            await self.clock.sleep(30.0)
            asked += [asyncio.ensure_future(self.given_up("reconcile")) for _ in range(3)]
            await self.until(f"15:{minute}")
        assert await self.reasons() >= {"handler_stuck"}
        self.stands("AlchemiserNotLive", "AlchemiserMailboxFull", "AlchemiserMessagesFailed")
        await self.tell("stop")
        await asyncio.gather(*asked)

    async def given_up(self, action: str) -> None:
        """Ask for what the daemon may not live to answer."""
        with suppress(aiohttp.ClientError, TimeoutError):
            await self.tell(action, accepts=(200, 409, 500))

    # --- the second ---

    async def again(self) -> None:
        """It has been restarted, with an address that works."""
        await self.until("15:55")
        assert await self.reasons() == set()
        self.is_gone("AlchemiserNotLive", "AlchemiserMailboxFull")
        self.does("AlchemiserNotLive", "Restart it. The journal carries on, no order is lost or doubled.")
        self.does("AlchemiserMailboxFull", "Restart if it does not clear; look at the disk and at the broker's answers.")
        self.does("AlchemiserDown", "Start it: every start is a recovery.")
        await self.tell("pause", reason="a message for everybody")
        await self.tell("resume")
        await self.until("17:00")
        self.is_gone("AlchemiserMessagesFailed")
        assert "a message for everybody" in "".join(self.received)
        self.does("AlchemiserMessagesFailed", "Mend the address.")

    async def unfilled(self) -> None:
        """The broker takes no order of the only rebalance of the day."""
        self.is_gone("AlchemiserOffBacktest")
        await self.fault(kind="refuse_order", reason="blocked", times=1000)
        await self.tell("rebalance")
        await self.clock.sleep(60.0)
        await self.mend()

    # --- the third, the next day ---

    async def off_backtest(self) -> None:
        """One strategy is paused, and the other trades; the session is compared, and is near its backtest."""
        await self.until("14:25", day=3)
        self.stands("AlchemiserOffBacktest")
        await self.tell("pause", strategy="small")
        await self.until("20:45", day=3, scrapes=False)
        await self.until("20:58", day=3)
        assert {order["symbol"] for order in (await self.ask("orders"))["orders"]} == {"SPY"}
        self.does("AlchemiserOffBacktest", "`alchemiser pause --strategy NAME` when it decides otherwise and nobody knows why.")

    # --- the fourth, days later ---

    async def overdue(self) -> None:
        """All that time no moment to decide came that was not missed; a decision is asked for."""
        await self.until("14:32", day=8)
        self.is_gone("AlchemiserOffBacktest")
        self.stands("AlchemiserDecisionOverdue")
        await self.tell("rebalance")
        await self.until("14:35", day=8)
        self.is_gone("AlchemiserDecisionOverdue")
        self.does("AlchemiserDecisionOverdue", "`alchemiser rebalance` in an open session.")
        await self.tell("stop")

    # --- what it takes ---

    @contextmanager
    def slow_disk(self) -> Iterator[None]:
        """Keep the journal's file locked while the next commit waits for it, as another process can."""
        is_locked = threading.Event()
        self.commits.clear()

        def lock() -> None:
            with closing(sqlite3.connect(self.state / JOURNAL_FILE)) as connection:
                connection.execute("BEGIN IMMEDIATE")
                is_locked.set()
                assert self.commits.wait(60.0)
                threading.Event().wait(LOCKED_SECONDS)
                connection.rollback()

        thread = threading.Thread(target=lock)
        thread.start()
        assert is_locked.wait(60.0)
        yield
        thread.join()

    @contextmanager
    def receiver(self) -> Iterator[str]:
        """Take messages by a webhook, and yield its address."""
        received = self.received

        class Hook(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                received.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
                self.send_response(200)
                self.end_headers()

            def log_message(self, *arguments: Any) -> None:
                """Say nothing."""

        with HTTPServer(("127.0.0.1", 0), Hook) as server:
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            try:
                yield f"json://127.0.0.1:{server.server_port}/hook"
            finally:
                server.shutdown()
                thread.join()


async def at_once(impatient: Impatient[Any], function: Callable[[], Any]) -> Any:
    """Stand in for a thread: virtual time waits for none."""
    return function()


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.skipif(PROMTOOL is None, reason="needs promtool, of Debian's package prometheus")
def test_what_goes_wrong_within_raises_its_alert_and_the_safe_action_clears_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the daemon's own figures and Prometheus's own reading of the rules, over four daemons of one journal."""
    drill = BadParts(tmp_path / "state")
    handle, subscribe, commit = GapKeeper.handle, Bus.subscribe, Store.commit

    async def mistaken(keeper: GapKeeper, envelope: Envelope) -> None:
        if drill.breaks:
            raise KeyError("a mistake of ours")
        await handle(keeper, envelope)

    def narrow(bus: Bus, name: str, types: Any, handle: Any, **options: Any) -> None:
        subscribe(bus, name, types, handle, **(options | ({"capacity": 1} if name == "gap keeper" else {})))

    def noticed(store: Store, *arguments: Any) -> None:
        drill.commits.set()
        commit(store, *arguments)

    monkeypatch.setattr(Store, "commit", noticed)
    monkeypatch.setattr(GapKeeper, "handle", mistaken)
    monkeypatch.setattr(Bus, "subscribe", narrow)
    monkeypatch.setattr(Credentials, "generate", classmethod(lambda kind: KEYS))
    monkeypatch.setattr(embedded, "ServerSettings", partial(ServerSettings, rate_limit=PER_MINUTE))
    monkeypatch.setattr(Impatient, "run", at_once)

    def lives(*steps: Callable[[], Awaitable[None]], start: int, **changes: Any) -> int:
        overrides = {
            "service.token": TOKEN,
            "service.turn_limit_seconds": 10.0,
            "alpaca.request_deadline_seconds": 120.0,
            "market.history_sessions": 30,
            "risk.live_backtest_limit_bps": 5,
            "strategies": {name: {"source": f"{__name__}:{kind.__name__}"} for name, kind in (("still", Still), ("small", Small))},
            **{key.replace("__", "."): value for key, value in changes.items()},
        }
        day = FIRST_DAY.replace(day=start)
        return simulate(drill.state, start=day, overrides=overrides, beside=drill.life(*steps), turn_seconds=15.0)

    away = ["json://127.0.0.1:9/hook"]
    assert lives(drill.handler, drill.loop, drill.quota, drill.journal, drill.venue, start=2, notifications__urls=away) == 0
    with drill.receiver() as address:
        assert lives(drill.again, drill.unfilled, start=2, notifications__urls=[address]) == 0
    drill.state = drill.state.rename(tmp_path / "quick")
    drill.does("AlchemiserJournalSlow", "Move the state directory to a quick disk; `alchemiser doctor` measures it.")
    assert lives(drill.off_backtest, start=3) == 0
    late = {"schedule__decision": "close - 1m", "execution__cutoff": "close - 5m"}
    assert lives(drill.overdue, start=8, **late) == 0

    assert told_by_prometheus(drill, tmp_path) == ""
    test = test_what_goes_wrong_within_raises_its_alert_and_the_safe_action_clears_it
    assert drill.provoked() == alerts_of(test)
    assert drill.carried_out == actions_of(test)
