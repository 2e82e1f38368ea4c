"""A whole exchange for a test: three symbols, one session, a clock that is set forward by hand."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path
from typing import Any

import aiohttp

from alchemiser.domain.market import Session
from alchemiser.domain.runtime import Clock
from alchemiser.exchange.access import Credentials
from alchemiser.exchange.assembly import open_core
from alchemiser.exchange.engine import Exchange
from alchemiser.exchange.generator import SyntheticMarket
from alchemiser.exchange.persistence import StateFile
from alchemiser.exchange.server import ExchangeAddress, ExchangeServer, ServerSettings
from alchemiser.exchange.settings import ExchangeSettings
from alchemiser.exchange.tape import MarketTape
from alchemiser.market.calendar import TradingCalendar
from alchemiser.service.clock import LeapClock, VirtualClock
from tests.solipsism import LoopConnector, listen

SYMBOLS = ("BIL", "SPY", "TECL")
DAY = date(2025, 3, 3)
CREDENTIALS = Credentials("PKTEST", "a-secret-of-the-tests")
HEADERS = {"APCA-API-KEY-ID": CREDENTIALS.key_id, "APCA-API-SECRET-KEY": CREDENTIALS.secret_key}
CALENDAR = TradingCalendar.new_york()


@cache
def market() -> MarketTape:
    """Return the synthetic market of the tests; it keeps no state but a cache."""
    return MarketTape(SyntheticMarket(CALENDAR, 7, symbols=SYMBOLS, last_day=date(2025, 3, 14)), CALENDAR, SYMBOLS, 7)


def session(day: date = DAY) -> Session:
    """Return the session of a day that has one."""
    found = CALENDAR.session(day)
    assert found is not None
    return found


def at(clock: str, day: date = DAY) -> datetime:
    """Return a UTC time of a day, ``"15:30:00"`` for example."""
    return datetime.combine(day, datetime.strptime(clock, "%H:%M:%S").time(), UTC)  # noqa: DTZ007 - the zone is put on right here


@dataclass
class Running:
    """An exchange that serves."""

    server: ExchangeServer
    core: Exchange
    tape: MarketTape
    clock: Clock
    address: ExchangeAddress
    http: aiohttp.ClientSession

    async def call(self, method: str, path: str, body: Any = None, **options: Any) -> tuple[int, Any]:
        """Return the status and the JSON of a request with credentials."""
        async with self.http.request(method, self.address.rest + path, json=body, headers=HEADERS, **options) as response:
            return response.status, await response.json() if response.status != 204 else None

    async def forward(self, seconds: float) -> None:
        """Set the clock forward; all that is due meanwhile has happened on return."""
        status, answer = await self.call("POST", "/_exchange/clock", {"advance_seconds": seconds})
        assert status == 200, answer

    async def quote(self, symbol: str, bid: float, ask: float, size: float = 1_000) -> None:
        """Give a symbol a quote."""
        body = {"symbol": symbol, "bid": bid, "bid_size": size, "ask": ask, "ask_size": size}
        status, answer = await self.call("POST", "/_exchange/quote", body)
        assert status == 200, answer

    async def buy(self, symbol: str = "SPY", qty: str = "1", **fields: Any) -> dict[str, Any]:
        """Send a market order and return what was answered."""
        body = {"symbol": symbol, "qty": qty, "side": "buy", "type": "market", "time_in_force": "day", **fields}
        status, answer = await self.call("POST", "/v2/orders", body)
        assert status == 200, answer
        assert isinstance(answer, dict)
        return answer

    def stream(self, path: str, headers: Mapping[str, str] | None = None) -> Any:
        """Return a context that connects a WebSocket."""
        return self.http.ws_connect(self.address.rest + path, headers=headers)


@asynccontextmanager
async def running(
    *,
    clock: Clock | None = None,
    settings: ServerSettings | None = None,
    core_settings: ExchangeSettings | None = None,
    state: Path | None = None,
    days: int = 1,
    connector: aiohttp.BaseConnector | None = None,
    sock: Any = None,
    tape: MarketTape | None = None,
    driven: bool = True,
) -> AsyncIterator[Running]:
    """Serve an exchange whose market opens with it, until the block ends; unless ``driven`` its time does not pass by itself.

    A saved state is continued.
    """
    tape = tape or market()
    kept = StateFile(state)
    saved = kept.load()
    clock = clock or LeapClock(session().opens_at if saved is None else saved.at, speed=1.0, leaps=False)
    last_day = CALENDAR.sessions(DAY, date(2025, 3, 14))[days - 1].date
    core = open_core(settings=core_settings or ExchangeSettings(), tape=tape, seed=7, opened_at=clock.now(), saved=saved)
    server = ExchangeServer(
        core=core,
        tape=tape,
        calendar=CALENDAR,
        clock=clock,
        last_day=last_day,
        credentials=CREDENTIALS,
        settings=settings,
        state=kept,
    )
    address = await server.start(sock=sock)
    try:
        async with aiohttp.ClientSession(connector=connector) as http, asyncio.TaskGroup() as group:
            driving = group.create_task(server.run(linger=True), name="exchange driver") if driven else None
            try:
                yield Running(server, core, tape, clock, address, http)
            finally:
                if driving is not None:
                    driving.cancel()
    finally:
        await server.stop()


def virtual_exchange(begins_at: datetime | None = None, **options: Any) -> AbstractAsyncContextManager[Running]:
    """Serve an exchange on the virtual time and the in-memory sockets of the running loop."""
    clock = options.pop("clock", None) or VirtualClock(begins_at or session().opens_at)
    return running(clock=clock, sock=listen(), connector=LoopConnector(), **options)
