"""Notices streams that are connected and say nothing: a socket that answers pings proves nothing about what is sent on it.

The order stream is silent when it owes a word about an order (it was sent, or is to be cancelled) and does not give it. The market stream
is silent when nothing comes while the session is open. Either is connected anew; what the order stream may have hidden is a gap.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Protocol

from alchemiser.bus.envelope import Envelope
from alchemiser.domain.events import (
    CancelRequested,
    Event,
    ExecutionReported,
    SessionClosed,
    SessionOpened,
    StreamConnected,
    StreamLost,
    StreamSilent,
)
from alchemiser.domain.runtime import Clock
from alchemiser.service.clock import wait_loop_seconds

SLEPT_SECONDS = 5.0
"""Woken so much too late the host has slept, or the process was held up: it was not listening, which proves no silence."""


class Stream(Protocol):
    """A stream that can be watched."""

    @property
    def is_connected(self) -> bool:
        """Whether it is connected."""

    async def restart(self, reason: str) -> None:
        """End the present connection, so that a new one is made."""


class CountedStream(Stream, Protocol):
    """A stream that counts its frames."""

    @property
    def frames(self) -> int:
        """Frames received since the start."""


class StreamWatch:
    """Watches both streams. Inline for what happens; :meth:`run` does the waiting."""

    listens_to = (SessionOpened, SessionClosed, StreamConnected, StreamLost, ExecutionReported, CancelRequested)

    def __init__(
        self,
        *,
        orders: Stream,
        market: CountedStream,
        owed: Callable[[], tuple[str, datetime] | None],
        clock: Clock,
        publish: Callable[[Event], Awaitable[object]],
        order_seconds: float,
        market_seconds: float,
    ) -> None:
        """``owed`` is the order that the order stream owes a word about, and since when.

        ``order_seconds`` are market seconds; ``market_seconds`` are seconds of the loop, because market time may leap over a quiet
        stretch in which nothing is sent.
        """
        self._orders = orders
        self._market = market
        self._owed = owed
        self._clock = clock
        self._publish = publish
        self.be_patient(order_seconds=order_seconds, market_seconds=market_seconds)
        self._news = asyncio.Event()
        self._in_session = asyncio.Event()

    def be_patient(self, *, order_seconds: float, market_seconds: float) -> None:
        """Wait so long from the next look on."""
        self._order_patience = timedelta(seconds=order_seconds)
        self._market_seconds = market_seconds

    def __call__(self, envelope: Envelope) -> None:
        """Take note of what may change what is owed, and of the session."""
        match envelope.event:
            case SessionOpened():
                self._in_session.set()
            case SessionClosed():
                self._in_session.clear()
            case _:
                self._news.set()

    async def run(self) -> None:
        """Watch until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch_orders(), name="watch of the order stream")
            group.create_task(self._watch_market(), name="watch of the market stream")

    async def _watch_orders(self) -> None:
        while True:
            owed = self._owed()
            if owed is None:
                await self._something_new()
                continue
            order, since = owed
            left = (since + self._order_patience - self._clock.now()).total_seconds()
            if left > 0:
                await self._clock.sleep(left)
                continue
            reason = f"it has said nothing of order {order} for {self._order_patience.total_seconds():g} s"
            self._news.clear()
            await self._publish(StreamSilent(at=self._clock.now(), stream="orders", since=since, reason=reason))
            await self._orders.restart(reason)
            await self._something_new()

    async def _something_new(self) -> None:
        await self._news.wait()
        self._news.clear()

    async def _watch_market(self) -> None:
        while True:
            await self._in_session.wait()
            began, frames = self._clock.now(), self._market.frames
            due = asyncio.get_running_loop().time() + self._market_seconds
            await wait_loop_seconds(self._market_seconds)  # It is about a socket.
            if asyncio.get_running_loop().time() > due + SLEPT_SECONDS:
                continue  # What came meanwhile is still to be read; a stream that is silent from now on is told of next time.
            if self._market.frames == frames and self._market.is_connected and self._in_session.is_set():
                reason = f"nothing has come for {self._market_seconds:g} s while the session is open"
                await self._publish(StreamSilent(at=self._clock.now(), stream="market", since=began, reason=reason))
                await self._market.restart(reason)
