"""The loop that keeps a stream connected, and what it tells the others."""

from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

import pytest

from alchemiser.alpaca.backoff import Backoff, ReconnectPolicy
from alchemiser.alpaca.feed import FeedLost
from alchemiser.alpaca.reconnect import Connecting
from alchemiser.domain.errors import CredentialsRefused
from alchemiser.domain.events import StreamConnected, StreamLost
from tests.unit.alpaca.fakes import InstantClock, Listener

POLICY = ReconnectPolicy(
    ordinary=Backoff(base_seconds=1, cap_seconds=8), crowded=Backoff(base_seconds=100, cap_seconds=100, floor_seconds=50), stable_seconds=30
)


class Socket:
    """A connection that can only be closed."""

    closed = False

    async def close(self) -> None:
        self.closed = True


class Ended(Exception):
    """The script is over."""


async def play(*steps: Callable[[Connecting], Awaitable[None]]) -> tuple[Connecting, InstantClock, Listener]:
    """Run the loop through the steps."""
    clock, listener = InstantClock(), Listener()
    connecting = Connecting("orders", publish=listener.publish, clock=clock, random=Random(5), policy=POLICY)
    script = iter(steps)

    async def converse() -> None:
        step = next(script, None)
        if step is None:
            raise Ended
        await step(connecting)

    with pytest.raises(Ended):
        await connecting.forever(converse)
    return connecting, clock, listener


async def fail(connecting: Connecting) -> None:
    raise FeedLost("nobody listens")


async def crowd(connecting: Connecting) -> None:
    raise FeedLost("connection limit", is_crowded=True)


def live(seconds: float) -> Callable[[Connecting], Awaitable[None]]:
    async def step(connecting: Connecting) -> None:
        socket: Any = Socket()
        await connecting.connected(socket)
        assert connecting.is_connected
        clock: Any = connecting._clock
        clock.seconds += seconds
        raise FeedLost("closed 1006")

    return step


async def test_only_changes_are_told() -> None:
    """Failed attempts before the first connection and between two are not events."""
    connecting, _, listener = await play(fail, fail, live(60), fail, live(60))
    assert [type(event) for event in listener.events] == [StreamConnected, StreamLost, StreamConnected, StreamLost]
    assert {event.reason for event in listener.of(StreamLost)} == {"closed 1006"}
    assert (connecting.connections, connecting.is_connected, connecting.last_reason) == (2, False, "closed 1006")


async def test_waits_grow_until_a_connection_lasts() -> None:
    """Each failure doubles the bound; a connection that is dropped at once counts as one; one that lasted starts anew."""
    connecting, clock, _ = await play(fail, fail, live(0), live(0), live(60), fail)
    for wait, bound in zip(clock.waits, [1, 2, 4, 8, 1, 2], strict=True):
        assert 0 <= wait <= bound
    assert connecting.failures == 2


async def test_a_crowded_venue_is_left_alone() -> None:
    """The wait is of another order."""
    _, clock, _ = await play(crowd)
    assert 50 <= clock.waits[0] <= 100


async def test_a_conversation_that_simply_ends_is_a_loss() -> None:
    """The venue may close in good order; it is connected again all the same."""

    async def leave(connecting: Connecting) -> None:
        return

    connecting, clock, _ = await play(leave)
    assert connecting.last_reason == "the venue closed the connection"
    assert len(clock.waits) == 1


async def test_other_errors_end_the_stream() -> None:
    """Refused credentials are not tried again."""

    async def refuse() -> None:
        raise CredentialsRefused("no")

    clock, listener = InstantClock(), Listener()
    with pytest.raises(CredentialsRefused):
        await Connecting("orders", publish=listener.publish, clock=clock, random=Random(5)).forever(refuse)
    assert clock.waits == []


async def test_a_restart_closes_the_socket_and_says_why() -> None:
    """Whoever finds a stream mute ends its connection; the reason given is the one that is told."""

    async def mute(connecting: Connecting) -> None:
        socket: Any = Socket()
        await connecting.connected(socket)
        await connecting.restart("mute for 60 s")
        assert socket.closed
        raise FeedLost("closed 1000")

    connecting, _, listener = await play(mute, fail)
    assert [event.reason for event in listener.of(StreamLost)] == ["mute for 60 s"]
    assert connecting.last_reason == "nobody listens"
    await connecting.restart("nothing is connected")
