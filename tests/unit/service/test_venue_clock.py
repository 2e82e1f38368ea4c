"""The clock of a drill: it follows an exchange of ours, and is the wall clock beside any other venue."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import web

from alchemiser.service import venue_clock
from alchemiser.service.clock import LeapClock, WallClock
from alchemiser.service.venue_clock import following_clock

MARKET = datetime(2025, 3, 3, 15, 0, tzinfo=UTC)


@dataclass
class Exchange:
    """Answers ``/_exchange/clock`` as it is told to, on a real socket, and counts the questions."""

    answer: Callable[[], web.Response]
    asked: int = 0
    url: str = ""
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def handle(self, request: web.Request) -> web.Response:
        """Tell the time."""
        self.asked += 1
        async with self._changed:
            self._changed.notify_all()
        return self.answer()

    async def asked_again(self, times: int) -> None:
        """Return when it was asked so many times more."""
        goal = self.asked + times
        async with self._changed:
            await self._changed.wait_for(lambda: self.asked >= goal)


def telling(now: datetime, speed: float = 1.0) -> Callable[[], web.Response]:
    """Return an answer with that market time."""
    return lambda: web.json_response({"now": now.isoformat(), "speed": speed, "is_open": True})


@asynccontextmanager
async def serving(answer: Callable[[], web.Response]) -> AsyncIterator[Exchange]:
    """Serve an exchange's clock on loopback."""
    exchange = Exchange(answer)
    app = web.Application()
    app.router.add_get("/_exchange/clock", exchange.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    exchange.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield exchange
    finally:
        await runner.cleanup()


@pytest.fixture(autouse=True)
def _asks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask a hundred times a second: these are real sockets."""
    monkeypatch.setattr(venue_clock, "ASK_SECONDS", 0.01)


async def test_it_shows_the_time_of_the_exchange_and_runs_at_its_speed() -> None:
    """From the first moment on; it never leaps by itself."""
    async with serving(telling(MARKET, 60.0)) as exchange, following_clock(exchange.url) as clock:
        assert isinstance(clock, LeapClock)
        assert clock.speed == 60.0
        assert not clock.leaps
        assert MARKET <= clock.now() < MARKET + timedelta(minutes=5)


async def test_it_is_set_forward_when_the_exchange_is_ahead() -> None:
    """Somebody set the exchange's clock; whoever waits for a time that has come is woken."""
    async with serving(telling(MARKET)) as exchange, following_clock(exchange.url) as clock:
        later = MARKET + timedelta(hours=3)
        exchange.answer = telling(later, 5.0)
        async with asyncio.timeout(10):
            await clock.sleep_until(later)
        assert isinstance(clock, LeapClock)
        assert clock.speed == 5.0


async def test_it_never_goes_back() -> None:
    """An exchange whose answers are behind ours, by a slow network for instance, is not followed."""
    async with serving(telling(MARKET)) as exchange, following_clock(exchange.url) as clock:
        exchange.answer = telling(MARKET - timedelta(hours=1))
        await exchange.asked_again(3)
        assert clock.now() >= MARKET


@pytest.mark.parametrize(
    "answer",
    [
        lambda: web.Response(status=503),
        lambda: web.Response(text="<html>"),
        lambda: web.json_response({"time": "noon"}),
        lambda: web.json_response({"now": MARKET.isoformat(), "speed": 0}),
        lambda: web.json_response({"now": "2025-03-03T15:00:00"}),
    ],
    ids=["error", "not json", "another document", "no speed", "no zone"],
)
async def test_an_exchange_that_is_away_or_talks_nonsense_leaves_the_clock_alone(answer: Callable[[], web.Response]) -> None:
    """It goes on as it did, and follows again when it can."""
    async with serving(telling(MARKET)) as exchange, following_clock(exchange.url) as clock:
        exchange.answer = answer
        await exchange.asked_again(3)
        assert clock.now() < MARKET + timedelta(minutes=5)

        later = MARKET + timedelta(hours=1)
        exchange.answer = telling(later)
        async with asyncio.timeout(10):
            await clock.sleep_until(later)


@pytest.mark.parametrize(
    "answer",
    [
        lambda: web.Response(status=404),
        lambda: web.Response(text="hello"),
        lambda: web.json_response({"now": MARKET.isoformat(), "speed": 0}),
    ],
    ids=["unknown path", "another service", "no speed"],
)
async def test_a_venue_on_loopback_that_is_none_of_ours_has_wall_time(answer: Callable[[], web.Response]) -> None:
    """A proxy to the broker, for instance."""
    async with serving(answer) as exchange, following_clock(exchange.url) as clock:
        assert isinstance(clock, WallClock)


@pytest.mark.parametrize("url", ["https://paper-api.alpaca.markets", "http://127.0.0.1:1", "nonsense"])
async def test_any_other_venue_has_wall_time(url: str) -> None:
    """Nobody beyond loopback is asked, and one that does not answer is not waited for."""
    async with following_clock(url) as clock:
        assert isinstance(clock, WallClock)
