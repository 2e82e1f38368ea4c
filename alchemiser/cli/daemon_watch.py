"""What the running daemon says, and again whenever it says that something happened: for commands that stay and watch.

The daemon's stream of events only wakes: what is shown is always asked for anew, so it is never put together from pieces. Where the
daemon cannot be reached, or does not answer in time, that is said with the time of its last answer, and it is looked for until it is back.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, Final

import aiohttp
import msgspec

from alchemiser.cli.daemon_client import DEADLINE_SECONDS, announced, headers_for
from alchemiser.domain.errors import NoDaemon
from alchemiser.domain.runtime import Clock
from alchemiser.service.settings import Settings

RETRY_SECONDS: Final = 0.5
"""How often a daemon that is away is looked for."""

SETTLE_SECONDS: Final = 0.25
"""How long the events of a burst are gathered before it is looked again."""

LOST: Final = (NoDaemon, aiohttp.ClientError, TimeoutError, OSError, ValueError)


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """What was seen: the documents by their path, or why there are none and since when.

    ``documents`` is empty when the daemon was not reached, so that nothing old can be taken for new.
    """

    documents: Mapping[str, Any] = {}
    problem: str | None = None
    since: datetime | None = None

    @property
    def is_live(self) -> bool:
        """Whether the daemon answered just now."""
        return self.problem is None


Show = Callable[[Look], bool]
"""Shows one look and returns whether that was enough."""


async def watch(settings: Settings, clock: Clock, paths: Sequence[str], show: Show, *, quiet_seconds: float) -> None:
    """Show what the daemon answers on ``paths`` until ``show`` has enough.

    It is asked again after each event, and after ``quiet_seconds`` without one: not everything that changes is an event.
    """
    last_answer_at = clock.now()
    limits = aiohttp.ClientTimeout(total=DEADLINE_SECONDS)

    def note(look: Look) -> bool:
        nonlocal last_answer_at
        last_answer_at = clock.now()
        return show(look)

    while True:
        try:
            address = announced(settings)
            async with aiohttp.ClientSession(address.url, headers=headers_for(settings, address), timeout=limits) as session:
                if await _follow(session, clock, paths, note, quiet_seconds):
                    return
        except LOST as error:
            if show(Look(problem=str(error) or type(error).__name__, since=last_answer_at)):
                return
        await clock.sleep(RETRY_SECONDS)


async def _follow(session: aiohttp.ClientSession, clock: Clock, paths: Sequence[str], show: Show, quiet_seconds: float) -> bool:
    forever = aiohttp.ClientTimeout(total=None, sock_connect=DEADLINE_SECONDS)
    async with session.get("/api/v1/stream", timeout=forever) as stream:
        _refuse(stream.status, "/api/v1/stream")
        while True:
            if show(Look(documents={path: await _ask(session, path) for path in paths})):
                return True
            await clock.sleep(min(SETTLE_SECONDS, quiet_seconds))
            with suppress(TimeoutError):
                async with asyncio.timeout(quiet_seconds):
                    if not await stream.content.readany():
                        raise NoDaemon("the daemon has closed its door")


async def _ask(session: aiohttp.ClientSession, path: str) -> Any:
    async with session.get(path) as answer:
        if path != "/healthz":  # It answers 503 with the reasons.
            _refuse(answer.status, path)
        return await answer.json()


def _refuse(status: int, path: str) -> None:
    if status != 200:
        raise NoDaemon(f"{path} was answered with HTTP {status}")
