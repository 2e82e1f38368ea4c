"""The campaign with real processes: an exchange, a bad network before it, and daemons that are killed with -9 at random moments.

    python -m tests.simulation.processes --seed 1 --restarts 50

Nothing is virtual here: the journal is flushed to the disk, sockets are the system's, and a kill is a kill. Market time runs faster than
the machine's, and is set to shortly before each decision, because the hours before hold nothing to be tested. What is left at the end, the
journal and the exchange's own record, is judged by the referee of the simulation, but for the rules that need exact clocks.
"""

import argparse
import asyncio
import json
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import aiohttp

from alchemiser.domain.market import Session
from alchemiser.market.calendar import TradingCalendar
from alchemiser.service.offline import JOURNAL_FILE
from tests.simulation.checker import RULES
from tests.simulation.proxy import Proxy, proxy_of
from tests.simulation.record import Life, Record, read_journal
from tests.simulation.witness import audit_of

FIRST_SESSION = date(2025, 1, 2)
SPEED = 6.0
"""Market seconds per second while daemons live and die: a rebalance of a minute lasts ten seconds."""

BEFORE_DECISION = timedelta(seconds=8)
LIFE_SECONDS = (0.0, 2.5)
"""How long a daemon lives at least and at most once its door is open."""

BEGINNING_SECONDS = (0.2, 1.5)
"""How long one lives that is killed while it begins, as one in five is."""

DOOR_WITHIN_SECONDS = 12.0

LIVES_OF_A_SESSION = 13
SETTLED_WITHIN_SECONDS = 60.0
DOOR = "http.json"
ROOT = Path(__file__).parents[2]

INEXACT = {
    "_nothing_is_sent_while_the_gate_is_closed",
    "_every_rebalance_ends_in_time",
    "_an_ended_rebalance_has_no_live_order",
    "_each_session_is_decided",
    "_every_daemon_ends_in_order",
}
"""Rules about moments: two processes agree on the time to a second only, and nobody writes down when a daemon was there."""

Json = dict[str, Any]


@dataclass
class Report:
    """What came of a campaign."""

    seed: int
    restarts: int = 0
    kills: int = 0
    stops: int = 0
    unstarted: int = 0
    seconds: float = 0.0
    orders: int = 0
    executions: int = 0
    sessions: int = 0
    ended_as: Counter[int] = field(default_factory=Counter)
    struck: Counter[str] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)


class World:
    """An exchange in a process of its own, seen without the proxy."""

    def __init__(self, address: Json, http: aiohttp.ClientSession) -> None:
        self.address = address
        self._http = http

    async def ask(self, path: str, **query: Any) -> Any:
        """Return the answer of the exchange itself."""
        async with self._http.get(f"{self.address['rest']}{path}", params=query, raise_for_status=True) as answer:
            return await answer.json()

    async def set_clock(self, **change: Any) -> None:
        """Set the market's time or its speed."""
        async with self._http.post(f"{self.address['rest']}/_exchange/clock", json=change, raise_for_status=True):
            pass

    async def activities(self) -> list[Json]:
        """Return all executions."""
        found: list[Json] = []
        while True:
            query: Json = {"direction": "asc", "page_size": 100, **({"page_token": found[-1]["id"]} if found else {})}
            page = await self.ask("/v2/account/activities/FILL", **query)
            found += page
            if len(page) < 100:
                return found


@asynccontextmanager
async def _exchange(directory: Path, seed: int, days: int) -> AsyncIterator[World]:
    words = ("exchange", "--day", FIRST_SESSION.isoformat(), "--days", str(days), "--port", "0", "--seed", str(seed), "--speed", str(SPEED))
    more = ("--set", "order_connections=20", "--set", "market_connections=20", "--set", "by_the_second=true")
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "alchemiser",
        *words,
        *more,
        cwd=ROOT,
        env=_environment(),
        stdout=asyncio.subprocess.PIPE,
        stderr=_log(directory, "exchange"),
    )
    try:
        assert process.stdout is not None
        address = json.loads(await process.stdout.readline())
        headers = {"APCA-API-KEY-ID": address["key_id"], "APCA-API-SECRET-KEY": address["secret_key"]}
        async with aiohttp.ClientSession(headers=headers) as http:
            yield World(address, http)
    finally:
        process.kill()
        await process.wait()


async def _daemon(directory: Path, world: World, proxy: Proxy, seed: int, number: int) -> asyncio.subprocess.Process:
    """Start a daemon whose venue is behind the proxy."""
    port = f"127.0.0.1:{proxy.port}"
    variables = {
        "APCA_API_KEY_ID": world.address["key_id"],
        "APCA_API_SECRET_KEY": world.address["secret_key"],
        "ALCHEMISER_ALPACA__TRADING_URL": f"http://{port}",
        "ALCHEMISER_ALPACA__DATA_URL": f"http://{port}",
        "ALCHEMISER_ALPACA__TRADING_STREAM_URL": f"ws://{port}/stream",
        "ALCHEMISER_ALPACA__DATA_STREAM_URL": f"ws://{port}/v2/sip",
        "ALCHEMISER_MARKET__HISTORY_SESSIONS": "20",
        "ALCHEMISER_SERVICE__HTTP": "127.0.0.1:0",
        "ALCHEMISER_SERVICE__STOP_SECONDS": "6",
        "PYTHONHASHSEED": str(seed * 1000 + number),
    }
    words = ("run", "--paper", "--strategy", "tests.simulation.traders:ShippedRotation", "--state", str(directory / "state"))
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "alchemiser",
        *words,
        cwd=ROOT,
        env=_environment(variables),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=_log(directory, f"daemon-{number}"),
    )


def _environment(changes: Json | None = None) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ALCHEMISER_", "APCA_"))}
    return {**kept, "PYTHONPATH": str(ROOT), **(changes or {})}


def _log(directory: Path, name: str) -> int:
    return os.open(directory / f"{name}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)


async def campaign(seed: int, restarts: int, directory: Path) -> Report:
    """Start and kill so many daemons, then let one settle everything, and judge what is left."""
    random, report, began = Random(seed), Report(seed), time.monotonic()
    days = -(-restarts // LIVES_OF_A_SESSION)
    sessions = TradingCalendar.new_york().sessions(FIRST_SESSION, FIRST_SESSION + timedelta(days=3 * days + 7))[: days + 1]
    async with _exchange(directory, seed, days + 1) as world, proxy_of(world.address["rest"], Random(seed)) as proxy:
        for session in sessions[:days]:
            await world.set_clock(to=_text(session.closes_at - timedelta(minutes=10) - BEFORE_DECISION))
            for _ in range(min(LIVES_OF_A_SESSION, restarts - report.restarts)):
                await _live_and_die(directory, world, proxy, random, report)
        proxy.heal()
        report.struck = proxy.struck
        report.sessions = days
        await _settle(directory, world, proxy, sessions[days - 1], report)
        record = await _record(seed, sessions[:days], world, directory)
    report.orders, report.executions = len(record.orders), len(record.activities)
    rules = [rule for rule in RULES if rule.__name__ not in INEXACT]
    report.broken = [f"{rule.__name__.lstrip('_')}: {found}" for rule in rules for found in rule(record)]
    report.broken += [f"audit: {problem}" for problem in record.audit.problems]
    if record.audit.verified is not None:
        report.broken.append(f"chain: {record.audit.verified}")
    report.seconds = time.monotonic() - began
    return report


async def _live_and_die(directory: Path, world: World, proxy: Proxy, random: Random, report: Report) -> None:
    """Let one daemon live for a while and end it: mostly with -9, sometimes with SIGTERM, once or twice."""
    (directory / "state" / DOOR).unlink(missing_ok=True)
    process = await _daemon(directory, world, proxy, report.seed, report.restarts)
    report.restarts += 1
    if random.random() < 0.2:
        is_gone = await _ends_within(process, random.uniform(*BEGINNING_SECONDS))
    else:
        is_gone = await _opens_its_door(process, directory) or await _ends_within(process, random.uniform(*LIFE_SECONDS))
    if is_gone:
        report.unstarted += 1  # It could not reach its venue, and said so.
        report.ended_as[process.returncode or 0] += 1
        return
    if random.random() < 0.75:
        process.kill()
        report.kills += 1
    else:
        process.send_signal(signal.SIGTERM)
        report.stops += 1
        if random.random() < 0.5 and not await _ends_within(process, random.uniform(0.0, 0.5)):
            process.send_signal(signal.SIGTERM)
        if not await _ends_within(process, 20.0):
            report.broken.append(f"daemon {report.restarts - 1} did not end within 20 s of SIGTERM")
            process.kill()
    await process.wait()
    report.ended_as[process.returncode or 0] += 1


async def _ends_within(process: asyncio.subprocess.Process, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await process.wait()
    except TimeoutError:
        return False
    return True


async def _opens_its_door(process: asyncio.subprocess.Process, directory: Path) -> bool:
    """Wait until the daemon can be asked, or for as long as that may take; return whether it has ended instead."""
    until = time.monotonic() + DOOR_WITHIN_SECONDS
    while time.monotonic() < until and not (directory / "state" / DOOR).exists():
        if await _ends_within(process, 0.05):
            return True
    return False


async def _settle(directory: Path, world: World, proxy: Proxy, session: Session, report: Report) -> None:
    """Let one more daemon find out what has happened, and end it in order once nothing is open and the session is over."""
    process = await _daemon(directory, world, proxy, report.seed, report.restarts)
    address = directory / "state" / DOOR
    deadline = time.monotonic() + SETTLED_WITHIN_SECONDS
    is_closed = False
    async with aiohttp.ClientSession() as http:
        while time.monotonic() < deadline and not await _ends_within(process, 0.5):
            try:
                url = json.loads(address.read_text())["url"]
                async with http.get(f"{url}/api/v1/status") as answer:
                    status = await answer.json()
                async with http.get(f"{url}/readyz") as answer:
                    is_ready = answer.status == 200
            except (OSError, ValueError, KeyError, aiohttp.ClientError):
                continue  # Its door is not open yet.
            open_orders = await world.ask("/v2/orders", status="open")
            if is_ready and not open_orders and not status["open_orders"]:
                if is_closed:
                    break
                is_closed = True
                await world.set_clock(to=_text(session.closes_at + timedelta(seconds=30)))
        else:
            report.broken.append(f"the last daemon had not settled within {SETTLED_WITHIN_SECONDS:.0f} s")
    if process.returncode is None:
        process.send_signal(signal.SIGTERM)
        if not await _ends_within(process, 20.0):
            process.kill()
    if await process.wait() != 0:
        report.broken.append(f"the last daemon ended with exit code {process.returncode}")


async def _record(seed: int, sessions: tuple[Session, ...], world: World, directory: Path) -> Record:
    journal = directory / "state" / JOURNAL_FILE
    orders: list[Json] = []
    while True:
        query: Json = {"status": "all", "limit": 500, "direction": "asc", **({"after": orders[-1]["submitted_at"]} if orders else {})}
        page = [one for one in await world.ask("/v2/orders", **query) if one["id"] not in {other["id"] for other in orders}]
        orders += page
        if not page:
            break
    now = datetime.fromisoformat((await world.ask("/_exchange/clock"))["now"])
    return Record(
        seed=seed,
        sessions=sessions,
        log=await world.ask("/_exchange/log"),
        account=await world.ask("/v2/account"),
        positions=await world.ask("/v2/positions"),
        orders=orders,
        activities=await world.activities(),
        journal=read_journal(journal),
        lives=(Life(began=sessions[0].opens_at, ended=now, was_killed=False, hung=False, started=True, error=None, is_last=True),),
        opening_cash="100000",
        samples=[],
        audit=audit_of(journal),
    )


def _text(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def main() -> int:
    """Run one campaign; return 1 when something was broken."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.processes", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--restarts", type=int, default=50, help="how many daemons are started and ended before the last one")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep journal and logs in this directory")
    chosen = parser.parse_args()
    with TemporaryDirectory() as temporary:
        directory = chosen.keep or Path(temporary)
        directory.mkdir(parents=True, exist_ok=True)
        report = asyncio.run(campaign(chosen.seed, chosen.restarts, directory))
    sys.stdout.write(f"{report}\n")
    return 1 if report.broken else 0


if __name__ == "__main__":
    sys.exit(main())
