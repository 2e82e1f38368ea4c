"""The watch over the streams: a connection that says nothing is made anew, one that has nothing to say is left alone."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any, cast

from alchemiser.bus.envelope import Envelope
from alchemiser.domain.events import CancelRequested, Event, SessionClosed, SessionOpened, StreamSilent
from alchemiser.domain.market import Session
from alchemiser.service.clock import VirtualClock
from alchemiser.service.stream_watch import StreamWatch
from tests.solipsism import virtual

START = datetime(2025, 3, 3, 15, 0, tzinfo=UTC)
SESSION = Session(date=date(2025, 3, 3), opens_at=START, closes_at=START + timedelta(hours=6))


class FakeStream:
    """Counts frames and restarts."""

    def __init__(self) -> None:
        self.is_connected = True
        self.frames = 0
        self.restarts: list[str] = []

    async def restart(self, reason: str) -> None:
        """Remember it."""
        self.restarts.append(reason)


class Watched:
    """A watch with two streams and what the order stream owes."""

    def __init__(self) -> None:
        self.orders, self.market = FakeStream(), FakeStream()
        self.owed: tuple[str, datetime] | None = None
        self.clock = VirtualClock(START)
        self.published: list[Event] = []
        self.watch = StreamWatch(
            orders=self.orders,
            market=self.market,
            owed=lambda: self.owed,
            clock=self.clock,
            publish=self.publish,
            order_seconds=15,
            market_seconds=90,
        )

    async def publish(self, event: Event) -> None:
        """Remember it."""
        self.published.append(event)

    def hear(self, event: Event) -> None:
        """Let the watch hear of an event."""
        self.watch(Envelope(1, event, 0.0))

    def expect(self, since: datetime) -> None:
        """Let the stream owe a word from now on."""
        self.owed = ("o-1", since)
        self.hear(CancelRequested(at=since, client_order_id="o-1", reason="drill"))


def watched(play: Callable[[Watched], Awaitable[None]]) -> Watched:
    """Play a scene while the watch runs."""

    async def main() -> Watched:
        one = Watched()
        task = asyncio.create_task(one.watch.run())
        await play(one)
        task.cancel()
        return one

    return virtual(main)


def test_an_order_that_is_not_spoken_of_makes_a_new_connection() -> None:
    """After the patience of the settings, once; the gap is told before the connection ends."""

    async def play(one: Watched) -> None:
        one.expect(START)
        await one.clock.sleep(14.9)
        assert one.orders.restarts == []
        await one.clock.sleep(60)

    one = watched(play)
    (silent,) = one.published
    assert isinstance(silent, StreamSilent)
    assert ("orders", START, "it has said nothing of order o-1 for 15 s") == (silent.stream, silent.since, silent.reason)
    assert [silent.reason] == one.orders.restarts


def test_an_order_that_is_spoken_of_in_time_is_none() -> None:
    """What is owed at the end of the patience counts, not what was owed at its beginning."""

    async def play(one: Watched) -> None:
        one.expect(START)
        await one.clock.sleep(10)
        one.owed = None
        await one.clock.sleep(60)
        one.expect(one.clock.now())
        await one.clock.sleep(14)
        one.owed = None
        await one.clock.sleep(60)

    assert watched(play).published == []


def test_a_market_that_is_silent_in_the_session_makes_a_new_connection() -> None:
    """A socket that answers pings proves nothing about the data."""

    async def play(one: Watched) -> None:
        one.hear(SessionOpened(at=START, session=SESSION))
        await one.clock.sleep(80)
        one.market.frames += 1
        await one.clock.sleep(95)
        assert one.market.restarts == []
        await one.clock.sleep(10)

    one = watched(play)
    assert ["nothing has come for 90 s while the session is open"] == one.market.restarts
    assert ["market"] == [event.stream for event in one.published if isinstance(event, StreamSilent)]


def test_a_host_that_slept_has_not_listened() -> None:
    """What came meanwhile is read first; a stream that is silent from then on is connected anew all the same."""

    async def play(one: Watched) -> None:
        one.hear(SessionOpened(at=START, session=SESSION))
        await one.clock.sleep(60)
        cast(Any, asyncio.get_running_loop())._selector.clock.advance(700)
        await asyncio.wait([asyncio.create_task(one.clock.sleep(1))])
        assert one.market.restarts == []
        await one.clock.sleep(95)

    assert ["nothing has come for 90 s while the session is open"] == watched(play).market.restarts


def test_a_closed_market_and_a_lost_connection_are_silent_by_right() -> None:
    """At night nothing has to come, and who is not connected is being connected anew already."""

    async def play(one: Watched) -> None:
        await one.clock.sleep(500)
        one.market.is_connected = False
        one.hear(SessionOpened(at=START, session=SESSION))
        await one.clock.sleep(500)
        one.market.is_connected = True
        one.hear(SessionClosed(at=START, session=SESSION))
        await one.clock.sleep(500)

    assert watched(play).market.restarts == []
