"""The order stream against scripted venues: greeting, updates, bad frames, losses, storms."""

import asyncio
from collections.abc import Callable
from decimal import Decimal
from random import Random
from typing import Any

import msgspec
import pytest
from websockets.asyncio.server import ServerConnection, serve

from alchemiser.alpaca.order_frames import Other
from alchemiser.alpaca.order_stream import FRAMES_AT_MOST, Inbox, OrderStream
from alchemiser.domain.errors import ConfigError, CredentialsRefused
from alchemiser.domain.events import Event, ExecutionReported, FrameUnreadable, StreamConnected, StreamLost
from alchemiser.service.clock import VirtualClock
from tests.solipsism import listen, virtual
from tests.unit.alpaca.fakes import KEY_ID, SECRET, START, InstantClock, Listener, Talk, credentials, running, stream_venue, update_json

AUTHORIZED = {"stream": "authorization", "data": {"action": "authenticate", "status": "authorized"}}
UNAUTHORIZED = {"stream": "authorization", "data": {"action": "authenticate", "status": "unauthorized"}}
LISTENING = {"stream": "listening", "data": {"streams": ["trade_updates"]}}


def text(message: Any) -> str:
    return msgspec.json.encode(message).decode()


def binary(message: Any) -> bytes:
    return msgspec.json.encode(message)


async def greet(connection: ServerConnection) -> None:
    """Play the venue's part of the greeting, checking the client's."""
    assert msgspec.json.decode(await connection.recv()) == {"action": "auth", "key": KEY_ID, "secret": SECRET}
    await connection.send(binary(AUTHORIZED))
    assert msgspec.json.decode(await connection.recv()) == {"action": "listen", "data": {"streams": ["trade_updates"]}}
    await connection.send(binary(LISTENING))


def sending(*frames: str | bytes, leave: bool = False) -> Talk:
    """Greet, send these frames, and stay or leave."""

    async def talk(connection: ServerConnection) -> None:
        await greet(connection)
        for frame in frames:
            await connection.send(frame)
        if leave:
            await connection.close(1011, "bye")
        await connection.wait_closed()

    return talk


def stream_of(url: str, listener: Listener, clock: InstantClock) -> OrderStream:
    return OrderStream(url, credentials(), publish=listener.publish, clock=clock, random=Random(1))


async def test_greeting_then_connected(listener: Listener, clock: InstantClock) -> None:
    """It is connected once listening is confirmed, and not before."""
    async with stream_venue(sending()) as url:
        stream = stream_of(url, listener, clock)
        states = [stream.is_connected]
        async with running(stream):
            await listener.until(1, StreamConnected)
            states.append(stream.is_connected)
    assert states == [False, True]
    assert listener.events == [StreamConnected(at=START, stream="orders")]


@pytest.mark.parametrize("write", [text, binary])
async def test_updates_are_published_in_order(listener: Listener, clock: InstantClock, write: Callable[[Any], Any]) -> None:
    """Paper's binary and live's text frames are read alike; duplicates are passed on too, the order's state knows them."""
    partial = update_json(event="partial_fill", execution_id="e-1", qty="40")
    async with stream_venue(sending(write(partial), write(partial), write(update_json()))) as url, running(stream_of(url, listener, clock)):
        events = await listener.until(3, ExecutionReported)
    assert [event.report.execution_id for event in events] == ["e-1", "e-1", "98e9d0ca-abe1-4d6d-8b5c-493b1ef6a8af"]
    assert events[0].report.last_quantity == Decimal(40)


async def test_refused_credentials_end_the_stream(listener: Listener, clock: InstantClock) -> None:
    """The venue says unauthorized: the stream ends with the reason and does not come back."""

    async def refuse(connection: ServerConnection) -> None:
        await connection.recv()
        await connection.send(binary(UNAUTHORIZED))
        await connection.wait_closed()

    async with stream_venue(refuse) as url:
        with pytest.raises(CredentialsRefused, match="unauthorized") as caught:
            await stream_of(url, listener, clock).run()
    assert SECRET not in str(caught.value)
    assert (listener.events, clock.waits) == ([], [])


async def test_a_bad_address_ends_the_stream(listener: Listener, clock: InstantClock) -> None:
    """A wrong setting is not tried again."""
    with pytest.raises(ConfigError):
        await stream_of("https://example.invalid", listener, clock).run()


async def test_bad_frames_are_kept_and_survived(listener: Listener, clock: InstantClock) -> None:
    """Null data, half a frame, bytes that are no text: each is told raw, and the next update still comes."""
    bad: list[str | bytes] = [text({"stream": "trade_updates", "data": None}), '{"stream":"trade_up', b"\xff\xfe", "x" * 9_000]
    async with stream_venue(sending(*bad, text(update_json()))) as url:
        stream = stream_of(url, listener, clock)
        async with running(stream):
            await listener.until(1, ExecutionReported)
        unreadable = listener.of(FrameUnreadable)
        assert (len(unreadable), stream.unreadable, stream.frames) == (4, 4, 7)
    assert unreadable[0].raw == bad[0]
    assert unreadable[2].raw == "\\xff\\xfe"
    assert len(unreadable[3].raw) == 2_000
    assert all(event.error and event.stream == "orders" for event in unreadable)


async def test_unknown_frames_events_and_members_are_survived(listener: Listener, clock: InstantClock) -> None:
    """What the venue adds one day is passed over or passed on, never an error."""
    frames = [text({"stream": "weather", "data": {}}), text({"hello": 1}), text(update_json(event="teleported", novelty=[1, 2]))]
    async with stream_venue(sending(*frames)) as url, running(stream_of(url, listener, clock)):
        (event,) = await listener.until(1, ExecutionReported)
    assert event.report.event == "teleported"
    assert listener.of(FrameUnreadable) == []


async def test_a_lost_connection_is_told_and_made_again(listener: Listener, clock: InstantClock) -> None:
    """Each connection greets anew; what comes on the second one is published."""
    async with (
        stream_venue(sending(leave=True), sending(text(update_json()))) as url,
        running(stream_of(url, listener, clock)),
    ):
        await listener.until(1, ExecutionReported)
    assert [type(event) for event in listener.events] == [StreamConnected, StreamLost, StreamConnected, ExecutionReported]
    assert "1011" in listener.of(StreamLost)[0].reason
    assert len(clock.waits) == 1


async def test_an_update_before_the_confirmation_is_not_lost(listener: Listener, clock: InstantClock) -> None:
    """Between the wish to listen and its confirmation an update may already come."""

    async def hasty(connection: ServerConnection) -> None:
        await connection.recv()
        await connection.send(binary(AUTHORIZED))
        await connection.recv()
        await connection.send(text(update_json()))
        await connection.send(binary(LISTENING))
        await connection.wait_closed()

    async with stream_venue(hasty) as url, running(stream_of(url, listener, clock)):
        await listener.until(1, StreamConnected)
    assert [type(event) for event in listener.events] == [ExecutionReported, StreamConnected]


async def test_a_confirmation_without_updates_is_no_connection(listener: Listener, clock: InstantClock) -> None:
    """Authorised but not listening would be a mute stream: it is made again."""

    async def deaf(connection: ServerConnection) -> None:
        await connection.recv()
        await connection.send(binary(AUTHORIZED))
        await connection.recv()
        await connection.send(binary({"stream": "listening", "data": {"streams": []}}))
        await connection.wait_closed()

    async with stream_venue(deaf, sending()) as url:
        stream = stream_of(url, listener, clock)
        async with running(stream):
            await listener.until(1, StreamConnected)
    assert stream.connecting.connections == 1
    assert len(clock.waits) == 1


async def test_a_second_connection_of_the_account_backs_off_for_long(listener: Listener, clock: InstantClock) -> None:
    """The place of a dead socket is held for a while: after 429 or the venue's complaint the waits are long."""

    async def complain(connection: ServerConnection) -> None:
        await connection.recv()
        await connection.send(text({"action": "error", "data": {"error_message": "connection limit exceeded"}}))
        await connection.wait_closed()

    async with stream_venue(complain, sending(), refusals=(429,)) as url, running(stream_of(url, listener, clock)):
        await listener.until(1, StreamConnected)
    assert len(clock.waits) == 2
    assert min(clock.waits) >= 5


async def test_a_key_that_is_revoked_ends_the_stream(listener: Listener, clock: InstantClock) -> None:
    """Being told unauthorized later is no better than at first."""
    async with stream_venue(sending(text(UNAUTHORIZED))) as url:
        with pytest.raises(CredentialsRefused):
            await stream_of(url, listener, clock).run()


async def test_a_restart_makes_a_new_connection(listener: Listener, clock: InstantClock) -> None:
    """Whoever finds the stream mute has it connected again, with the reason told."""
    async with stream_venue(sending()) as url:
        stream = stream_of(url, listener, clock)
        async with running(stream):
            await listener.until(1, StreamConnected)
            await stream.restart("mute")
            await listener.until(2, StreamConnected)
    assert [event.reason for event in listener.of(StreamLost)] == ["mute"]


async def test_a_storm_of_updates_arrives_whole_and_in_order(listener: Listener, clock: InstantClock) -> None:
    """Ten thousand updates, none lost, none out of turn."""
    count = 10_000

    async def storm(connection: ServerConnection) -> None:
        await greet(connection)
        for number in range(count):
            await connection.send(
                f'{{"stream":"trade_updates","data":{{"event":"new","event_id":{number},"order":'
                '{"id":"a","status":"new","symbol":"SPY","side":"buy"}}}'
            )
        await connection.wait_closed()

    async with stream_venue(storm) as url, running(stream_of(url, listener, clock)):
        events = await listener.until(count, ExecutionReported)
    assert [event.report.event_id for event in events] == [str(number) for number in range(count)]


async def test_a_slow_publisher_holds_the_reader_back(clock: InstantClock) -> None:
    """Updates wait in the socket, not in memory, while nobody can take them; then all of them come."""
    gate, listener = asyncio.Event(), Listener()

    async def publish(event: Any) -> None:
        if isinstance(event, ExecutionReported):
            await gate.wait()
        listener.post(event)

    async with stream_venue(sending(*[text(update_json())] * 500)) as url:
        stream = OrderStream(url, credentials(), publish=publish, clock=clock, random=Random(1))
        async with running(stream):
            await listener.until(1, StreamConnected)
            assert listener.of(ExecutionReported) == []
            gate.set()
            await listener.until(500, ExecutionReported)


async def test_cancelling_closes_the_socket(listener: Listener, clock: InstantClock) -> None:
    """Cancellation is a normal path: the venue sees a close, and no loss is told."""
    closed: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()

    async def watch(connection: ServerConnection) -> None:
        await greet(connection)
        await connection.wait_closed()
        closed.set_result(connection.close_code)

    async with stream_venue(watch) as url:
        async with running(stream_of(url, listener, clock)):
            await listener.until(1, StreamConnected)
        assert await closed == 1000
    assert listener.of(StreamLost) == []


# --- virtual time ---


def in_virtual_time(talk: Talk, seconds: float) -> tuple[Listener, OrderStream]:
    """Run the stream against a scripted venue for so many seconds of virtual time, sockets in memory."""

    async def main() -> tuple[Listener, OrderStream]:
        clock, listener = VirtualClock(START), Listener()
        async with serve(talk, sock=listen(7000), ping_interval=None, compression=None):
            stream = OrderStream("ws://127.0.0.1:7000/stream", credentials(), publish=listener.publish, clock=clock, random=Random(1))
            async with running(stream):
                await clock.sleep(seconds)
        return listener, stream

    return virtual(main)


def test_a_venue_that_never_answers_the_greeting() -> None:
    """Each attempt has a deadline, and attempts go on."""

    async def silent(connection: ServerConnection) -> None:
        await connection.wait_closed()

    listener, stream = in_virtual_time(silent, 60)
    assert listener.events == []
    assert stream.connecting.failures >= 4
    assert stream.connecting.last_reason == "no answer to the greeting within 10 s"


def test_a_half_open_connection_is_found_by_pings() -> None:
    """A peer that no longer answers pings is lost within ping interval and timeout, and connected again."""

    async def freeze(connection: ServerConnection) -> None:
        await greet(connection)
        connection.transport.pause_reading()
        await VirtualClock(START).sleep(60)
        connection.transport.resume_reading()

    listener, _ = in_virtual_time(freeze, 45)
    lost = listener.of(StreamLost)
    assert "keepalive" in lost[0].reason
    assert 25 <= (lost[0].at - START).total_seconds() <= 35


def test_a_healthy_silent_connection_stays() -> None:
    """An hour without an order is no loss."""

    async def quiet(connection: ServerConnection) -> None:
        await greet(connection)
        await connection.wait_closed()

    listener, _ = in_virtual_time(quiet, 3600)
    assert [type(event) for event in listener.events] == [StreamConnected]


class Publisher:
    """Keeps of each update its id and the task that published it; publishing the first one waits for ``may_go_on``."""

    def __init__(self, expected: int) -> None:
        self.seen: list[tuple[str, str]] = []
        self.connected, self.may_go_on, self.is_begun, self.all_there = (asyncio.Event() for _ in range(4))
        self._expected = expected

    async def __call__(self, event: Event) -> None:
        """Publish an event."""
        if isinstance(event, StreamConnected):
            self.connected.set()
        if isinstance(event, ExecutionReported):
            task = asyncio.current_task()
            if not self.is_begun.is_set():
                self.is_begun.set()
                await self.may_go_on.wait()
            self.seen.append((event.report.event_id or "", "nobody" if task is None else task.get_name()))
            if len(self.seen) == self._expected:
                self.all_there.set()

    def sending(self, *parts: tuple[str, ...]) -> Talk:
        """Greet, send the first part when the stream is connected, and the second when the first was published."""

        async def talk(connection: ServerConnection) -> None:
            await greet(connection)
            await self.connected.wait()
            for part in parts:
                for event_id in part:
                    await connection.send(text(update_json(event_id=event_id)))
                await self.all_there.wait()
                self.all_there.clear()
            await connection.wait_closed()

        return talk


async def test_an_update_is_published_straight_from_the_socket(clock: InstantClock) -> None:
    """No task is woken for it, and its order is that of the bytes."""
    publisher = Publisher(expected=3)
    publisher.may_go_on.set()
    async with stream_venue(publisher.sending(("1", "2", "3"))) as url:
        task = asyncio.create_task(OrderStream(url, credentials(), publish=publisher, clock=clock, random=Random(1)).run(), name="orders")
        while len(publisher.seen) < 3:
            await asyncio.to_thread(int)
        task.cancel()
    assert publisher.seen == [("1", "nobody"), ("2", "nobody"), ("3", "nobody")]


async def test_updates_wait_behind_one_whose_publishing_waits(clock: InstantClock) -> None:
    """Where somebody is full the order of the updates stays; the stream's task sees them through."""
    publisher = Publisher(expected=3)
    async with stream_venue(publisher.sending(("1", "2", "3"))) as url:
        stream = OrderStream(url, credentials(), publish=publisher, clock=clock, random=Random(1))
        task = asyncio.create_task(stream.run(), name="orders")
        await publisher.is_begun.wait()
        while stream.frames < 5:
            await asyncio.to_thread(int)
        assert publisher.seen == []
        publisher.may_go_on.set()
        while len(publisher.seen) < 3:
            await asyncio.to_thread(int)
        task.cancel()
    assert publisher.seen == [("1", "nobody"), ("2", "orders"), ("3", "orders")]


async def test_a_connection_is_not_read_while_too_many_frames_wait() -> None:
    """The bound of what waits is kept by the peer, which is held back as it always was."""
    said: list[str] = []

    class Transport(asyncio.ReadTransport):
        def pause_reading(self) -> None:
            said.append("pause")

        def resume_reading(self) -> None:
            said.append("resume")

    inbox = Inbox()
    inbox.transport = Transport()
    for _ in range(FRAMES_AT_MOST + 5):
        inbox.put(Other("anything"))
    assert said == ["pause"]
    for _ in range(FRAMES_AT_MOST // 2 + 5):
        await inbox.next()
    assert said == ["pause", "resume"]
