"""The clock of a daemon whose venue is another ``alchemiser exchange``: it follows that exchange's market time.

A drill runs the daemon and the exchange as separate processes, and the exchange plays a day of the past, perhaps faster than real. Asked at
``/_exchange/clock``, which only our exchange answers, it tells its time and speed. With any other venue market time is wall time.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Annotated
from urllib.parse import urlsplit

import aiohttp
import msgspec

from alchemiser.domain.runtime import Clock
from alchemiser.service.clock import LeapClock, WallClock, wait_loop_seconds
from alchemiser.service.safety import is_loopback

ASK_SECONDS = 1.0
"""How often the exchange is asked for its time, in seconds of the loop."""

ANSWER_SECONDS = 2.0
TOLERANCE_SECONDS = 1.0
"""Market seconds by which the clocks may differ before ours is set forward."""


class _ExchangeTime(msgspec.Struct):
    now: Annotated[datetime, msgspec.Meta(tz=True)]
    speed: Annotated[float, msgspec.Meta(gt=0)] = 1.0


@asynccontextmanager
async def following_clock(trading_url: str) -> AsyncIterator[Clock]:
    """Yield a clock that follows the exchange at that address while the block runs; the wall clock when it is none of ours."""
    if not is_loopback(urlsplit(trading_url).hostname or ""):
        yield WallClock()
        return
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ANSWER_SECONDS), trust_env=False) as session:
        first = await _ask(session, trading_url)
        if first is None:
            yield WallClock()
            return
        clock = LeapClock(first.now, speed=first.speed, leaps=False)
        async with asyncio.TaskGroup() as group:
            task = group.create_task(_follow(session, trading_url, clock), name="venue clock")
            try:
                yield clock
            finally:
                task.cancel()


async def _follow(session: aiohttp.ClientSession, trading_url: str, clock: LeapClock) -> None:
    while True:
        await wait_loop_seconds(ASK_SECONDS)  # Market time is what is being asked for.
        answer = await _ask(session, trading_url)
        if answer is None:
            continue  # The exchange is away; the clock goes on as it did.
        clock.set_speed(answer.speed, leaps=False)
        behind = (answer.now - clock.now()).total_seconds()
        if behind > TOLERANCE_SECONDS:
            clock.advance(behind)


async def _ask(session: aiohttp.ClientSession, trading_url: str) -> _ExchangeTime | None:
    try:
        async with session.get(f"{trading_url}/_exchange/clock") as response:
            if response.status != 200:
                return None
            return msgspec.json.decode(await response.read(), type=_ExchangeTime)
    except (aiohttp.ClientError, TimeoutError, OSError, msgspec.DecodeError):
        return None
