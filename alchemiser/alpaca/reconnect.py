"""Keeps a stream connected for as long as the process runs, and says so whenever that changes.

The events are the stream's truth for everybody else: ``StreamConnected`` once it is authorised and subscribed, ``StreamLost`` when that
has ended. Attempts that fail in between are logged and counted, not published: nothing changed.
"""

from collections.abc import Awaitable, Callable
from random import Random
from typing import NoReturn

import structlog
from websockets.asyncio.client import ClientConnection

from alchemiser.alpaca.backoff import ReconnectPolicy
from alchemiser.alpaca.credentials import AnyCredentials
from alchemiser.alpaca.feed import FeedLost
from alchemiser.domain.errors import CredentialsRefused
from alchemiser.domain.events import Event, StreamConnected, StreamLost
from alchemiser.domain.runtime import Clock

_log = structlog.get_logger(__name__)

Publish = Callable[[Event], Awaitable[object]]
"""Publishes an event, waiting where somebody who must get it is full."""


class Connecting:
    """The state of one stream's connection, and the loop that renews it."""

    def __init__(self, stream: str, *, publish: Publish, clock: Clock, random: Random, policy: ReconnectPolicy | None = None) -> None:
        self.stream = stream
        self._publish = publish
        self._clock = clock
        self._random = random
        self._policy = policy or ReconnectPolicy()
        self._connected_at: float | None = None
        self._socket: ClientConnection | None = None
        self._restart_reason: str | None = None
        self.connections = 0
        """How often the stream was connected since the start."""
        self.failures = 0
        """Attempts in a row that failed or did not last."""
        self.last_reason: str | None = None
        """Why the last connection or attempt ended."""

    @property
    def is_connected(self) -> bool:
        """Whether the stream is authorised and subscribed now."""
        return self._connected_at is not None

    async def connected(self, socket: ClientConnection) -> None:
        """Say that the stream is authorised and subscribed on this socket."""
        self._connected_at = self._clock.monotonic()
        self._socket = socket
        self.connections += 1
        await self._publish(StreamConnected(at=self._clock.now(), stream=self.stream))

    async def forever(self, converse: Callable[[], Awaitable[None]]) -> NoReturn:
        """Call ``converse``, which makes one connection and serves it to its end, again and again.

        It ends by ``FeedLost``; any other error passes through and ends the stream.
        """
        while True:
            try:
                await converse()
                lost = FeedLost("the venue closed the connection")
            except FeedLost as error:
                lost = error
            await self._ended(lost)
            wait = self._policy.delay_seconds(self.failures, self._random, is_crowded=lost.is_crowded)
            _log.warning(
                "stream lost", stream=self.stream, reason=self.last_reason, failures=self.failures, next_attempt_seconds=round(wait, 2)
            )
            await self._clock.sleep(wait)

    async def restart(self, reason: str) -> None:
        """End the present connection, if there is one, so that a new one is made: for a stream that is connected and mute."""
        if self._socket is not None:
            self._restart_reason = reason
            await self._socket.close()

    async def _ended(self, lost: FeedLost) -> None:
        since, self._connected_at, self._socket = self._connected_at, None, None
        reason, self._restart_reason = self._restart_reason or lost.reason, None
        self.last_reason = reason
        lived_seconds = 0.0 if since is None else self._clock.monotonic() - since
        self.failures = self._policy.failures_after(self.failures, lived_seconds)
        if since is not None:
            await self._publish(StreamLost(at=self._clock.now(), stream=self.stream, reason=reason))


async def with_present_key(credentials: AnyCredentials, converse: Callable[[], Awaitable[None]]) -> None:
    """Call ``converse``. A refused key ends it by ``FeedLost`` when there is another one by now, which the next connection has."""
    generation = credentials.generation
    try:
        await converse()
    except CredentialsRefused as error:
        if credentials.generation == generation and not credentials.renew():
            raise
        raise FeedLost("the key was refused, and there is another one now") from error
