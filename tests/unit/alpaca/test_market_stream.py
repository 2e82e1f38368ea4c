"""The market-data stream against scripted venues: greeting, subscriptions that change, refusals, losses."""

import asyncio
from collections import deque
from random import Random
from typing import Any

import msgspec
import pytest
from websockets.asyncio.server import ServerConnection

from alchemiser.alpaca.feed import FeedLimits, FeedLost
from alchemiser.alpaca.market_stream import MarketStream, meaning_of
from alchemiser.alpaca.market_wire import Refusal
from alchemiser.domain.errors import ConfigError, CredentialsRefused, InvariantBroken, VenueUnavailable
from alchemiser.domain.events import Event, FrameUnreadable, QuoteUpdated, StreamConnected, StreamLost
from tests.unit.alpaca.fakes import KEY_ID, SECRET, START, InstantClock, Listener, credentials, running, stream_venue

QUOTE = {"T": "q", "S": "AMD", "bp": 87.66, "bs": 100, "ap": 87.68, "as": 400, "t": START}
CHANNELS = ("quotes", "trades", "bars", "statuses")


def pack(*messages: Any) -> bytes:
    return msgspec.msgpack.encode(list(messages))


class MarketVenue:
    """A scripted data server: it keeps what each connection subscribed to, refuses what it is told to, and sends on request."""

    def __init__(self) -> None:
        self.requests: list[list[dict[str, Any]]] = []
        """Per connection, every message after the authentication."""
        self.refuse_auth: deque[dict[str, Any]] = deque()
        self.refuse_change: deque[dict[str, Any] | None] = deque()
        """Answers to the next changes of subscription; ``None`` stays silent."""
        self.connections: list[ServerConnection] = []
        self._heard = asyncio.Event()

    async def talk(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        assert connection.request.headers["Content-Type"] == "application/msgpack"
        await connection.send(pack({"T": "success", "msg": "connected"}))
        assert msgspec.msgpack.decode(await connection.recv(decode=False)) == {"action": "auth", "key": KEY_ID, "secret": SECRET}
        if self.refuse_auth:
            await connection.send(pack(self.refuse_auth.popleft()))
            return
        await connection.send(pack({"T": "success", "msg": "authenticated"}))
        requests: list[dict[str, Any]] = []
        self.requests.append(requests)
        self.connections.append(connection)
        state: dict[str, list[str]] = {channel: [] for channel in CHANNELS}
        async for raw in connection:
            assert isinstance(raw, bytes)
            request = msgspec.msgpack.decode(raw)
            requests.append(request)
            self._heard.set()
            if self.refuse_change and (answer := self.refuse_change.popleft()) != {}:
                if answer is not None:
                    await connection.send(pack(answer))
                continue
            for channel in CHANNELS:
                asked = request.get(channel, [])
                kept = [symbol for symbol in state[channel] if symbol not in asked]
                state[channel] = kept if request["action"] == "unsubscribe" else kept + asked
            await connection.send(pack({"T": "subscription", **state, "corrections": state["trades"], "cancelErrors": state["trades"]}))

    async def heard(self, count: int) -> None:
        """Return when the last connection has asked for that many changes."""
        async with asyncio.timeout(10):
            while not self.requests or len(self.requests[-1]) < count:
                self._heard.clear()
                await self._heard.wait()

    @property
    def changes(self) -> list[tuple[str, list[str]]]:
        """The changes of the last connection, by their quotes."""
        return [(request["action"], request["quotes"]) for request in self.requests[-1]]


@pytest.fixture
def market() -> MarketVenue:
    return MarketVenue()


def stream_of(url: str, listener: Listener, clock: InstantClock, symbols: tuple[str, ...] = ("SPY", "AMD"), **more: Any) -> MarketStream:
    return MarketStream(
        url, credentials(), post=listener.post, publish=listener.publish, clock=clock, random=Random(1), symbols=symbols, **more
    )


async def test_greeting_and_subscription(market: MarketVenue, listener: Listener, clock: InstantClock) -> None:
    """It is connected once the venue has confirmed the subscription of every channel and symbol."""
    async with stream_venue(market.talk) as url, running(stream_of(url, listener, clock)):
        await listener.until(1, StreamConnected)
    assert listener.events == [StreamConnected(at=START, stream="market")]
    assert market.requests == [[{"action": "subscribe", **{channel: ["AMD", "SPY"] for channel in CHANNELS}}]]


async def test_without_symbols_there_is_nothing_to_confirm(market: MarketVenue, listener: Listener, clock: InstantClock) -> None:
    """A stream of no symbols is connected when it is authenticated."""
    async with stream_venue(market.talk) as url, running(stream_of(url, listener, clock, ())):
        await listener.until(1, StreamConnected)
    assert market.requests == [[]]


async def test_data_is_posted(market: MarketVenue, listener: Listener, clock: InstantClock) -> None:
    """Batches and single messages arrive as events, in order; bad frames are told and survived."""
    async with stream_venue(market.talk) as url:
        stream = stream_of(url, listener, clock)
        async with running(stream):
            await listener.until(1, StreamConnected)
            for frame in (pack(QUOTE, {**QUOTE, "S": "SPY"}), b"\xc1", pack({**QUOTE, "S": "TLT"}), msgspec.json.encode([QUOTE]).decode()):
                await market.connections[0].send(frame)
            events = await listener.until(4, QuoteUpdated)
        assert [event.symbol for event in events] == ["AMD", "SPY", "TLT", "AMD"]
        assert len(listener.of(FrameUnreadable)) == 1
        assert (stream.unreadable, stream.last_frame_at) == (1, 0.0)
        assert stream.frames == 7


async def test_a_storm_arrives_whole_and_in_order(market: MarketVenue, listener: Listener, clock: InstantClock) -> None:
    """Ten thousand frames of quotes."""
    async with stream_venue(market.talk) as url, running(stream_of(url, listener, clock)):
        await listener.until(1, StreamConnected)
        for number in range(10_000):
            await market.connections[0].send(pack({**QUOTE, "bs": number}))
        events = await listener.until(10_000, QuoteUpdated)
    assert [event.bid_size for event in events] == list(range(10_000))


async def test_a_lost_connection_is_subscribed_anew(market: MarketVenue, listener: Listener, clock: InstantClock) -> None:
    """Everything that is wanted is asked for again, symbols that were added meanwhile too."""
    async with stream_venue(market.talk) as url:
        stream = stream_of(url, listener, clock)
        async with running(stream):
            await listener.until(1, StreamConnected)
            await stream.set_symbols(["TLT", "SPY"])
            await market.connections[0].close(1011, "bye")
            await listener.until(2, StreamConnected)
    assert [type(event) for event in listener.events] == [StreamConnected, StreamLost, StreamConnected]
    assert "1011 bye" in listener.of(StreamLost)[0].reason
    assert market.changes == [("subscribe", ["SPY", "TLT"])]


async def test_a_connection_that_breaks_is_a_loss(market: MarketVenue, listener: Listener, clock: InstantClock) -> None:
    """A reset without a closing frame is told at once, not at the next ping."""
    async with stream_venue(market.talk) as url, running(stream_of(url, listener, clock)):
        await listener.until(1, StreamConnected)
        transport: Any = market.connections[0].transport
        transport.abort()
        (lost,) = await listener.until(1, StreamLost)
        assert "1006" in lost.reason
        await listener.until(2, StreamConnected)


async def test_a_break_inside_the_greeting_is_tried_again(market: MarketVenue, listener: Listener, clock: InstantClock) -> None:
    """It does not wait for the deadline of the greeting."""

    async def leave(connection: ServerConnection) -> None:
        transport: Any = connection.transport
        transport.abort()

    async with stream_venue(leave, market.talk) as url, running(stream_of(url, listener, clock)):
        await listener.until(1, StreamConnected)
    assert len(clock.waits) == 1


# --- changing symbols ---


async def test_symbols_change_while_connected(market: MarketVenue, listener: Listener, clock: InstantClock) -> None:
    """Only the difference is asked for, leaving first; the call returns when the venue has confirmed."""
    async with stream_venue(market.talk) as url:
        stream = stream_of(url, listener, clock)
        async with running(stream):
            await listener.until(1, StreamConnected)
            await stream.set_symbols(["TLT", "SPY"])
            assert market.changes[1:] == [("unsubscribe", ["AMD"]), ("subscribe", ["TLT"])]
            await stream.set_symbols(["SPY", "TLT", "SPY"])
            assert len(market.changes) == 3
            assert stream.symbols == ("SPY", "TLT")


async def test_symbols_change_while_not_connected(market: MarketVenue, listener: Listener, clock: InstantClock) -> None:
    """They are taken note of, and asked for at the next connection."""
    async with stream_venue(market.talk) as url:
        stream = stream_of(url, listener, clock)
        await stream.set_symbols(["TLT"])
        async with running(stream):
            await listener.until(1, StreamConnected)
    assert market.changes == [("subscribe", ["TLT"])]


async def test_symbols_change_during_the_greeting(market: MarketVenue, listener: Listener, clock: InstantClock) -> None:
    """A change that comes between the subscription and its confirmation is not forgotten."""
    market.refuse_change.append(None)
    async with stream_venue(market.talk) as url:
        stream = stream_of(url, listener, clock)
        async with running(stream):
            await market.heard(1)
            await stream.set_symbols(["TLT"])
            await market.connections[0].send(pack({"T": "subscription", "quotes": ["AMD", "SPY"]}))
            await listener.until(1, StreamConnected)
    assert market.changes == [("subscribe", ["AMD", "SPY"]), ("unsubscribe", ["AMD", "SPY"]), ("subscribe", ["TLT"])]


async def test_changes_at_the_same_time_take_turns(market: MarketVenue, listener: Listener, clock: InstantClock) -> None:
    """Two callers do not mix up their confirmations; the last one's wish stands."""
    async with stream_venue(market.talk) as url:
        stream = stream_of(url, listener, clock)
        async with running(stream):
            await listener.until(1, StreamConnected)
            await asyncio.gather(stream.set_symbols(["A"]), stream.set_symbols(["B"]))
        assert stream.symbols == ("B",)
    assert market.changes[1:] == [("unsubscribe", ["AMD", "SPY"]), ("subscribe", ["A"]), ("unsubscribe", ["A"]), ("subscribe", ["B"])]


async def test_a_change_that_the_plan_does_not_allow(market: MarketVenue, listener: Listener, clock: InstantClock) -> None:
    """The caller is told, the stream lives on with the former symbols, all of them."""
    market.refuse_change.extend([{}, {}, {"T": "error", "code": 405, "msg": "symbol limit exceeded"}])
    async with stream_venue(market.talk) as url:
        stream = stream_of(url, listener, clock)
        async with running(stream):
            await listener.until(1, StreamConnected)
            with pytest.raises(ConfigError, match="symbol limit exceeded"):
                await stream.set_symbols(["SPY", "TLT"])
            assert stream.is_connected
            assert stream.symbols == ("AMD", "SPY")
    assert market.changes[1:] == [("unsubscribe", ["AMD"]), ("subscribe", ["TLT"]), ("subscribe", ["AMD"])]
    assert listener.of(StreamLost) == []


async def test_a_change_that_is_not_confirmed(market: MarketVenue, listener: Listener, clock: InstantClock) -> None:
    """After the deadline the caller is told, and the connection, whose state nobody knows, is made anew with the former symbols."""
    market.refuse_change.extend([{}, None])
    async with stream_venue(market.talk) as url:
        stream = stream_of(url, listener, clock, limits=FeedLimits(handshake_seconds=0.2))
        async with running(stream):
            await listener.until(1, StreamConnected)
            with pytest.raises(VenueUnavailable, match="the former stay"):
                await stream.set_symbols(["AMD", "SPY", "TLT"])
            await listener.until(2, StreamConnected)
    assert market.changes == [("subscribe", ["AMD", "SPY"])]
    assert "not confirmed" in listener.of(StreamLost)[0].reason


async def test_a_change_during_which_the_connection_ends(market: MarketVenue, listener: Listener, clock: InstantClock) -> None:
    """The caller is told, and the next connection asks for the former symbols: what was not confirmed may not be allowed."""
    market.refuse_change.extend([{}, None])
    async with stream_venue(market.talk) as url:
        stream = stream_of(url, listener, clock)
        async with running(stream):
            await listener.until(1, StreamConnected)
            changing = asyncio.create_task(stream.set_symbols(["TLT"]))
            await market.heard(2)
            await market.connections[0].close()
            with pytest.raises(VenueUnavailable, match="was lost"):
                await changing
            await listener.until(2, StreamConnected)
    assert market.changes == [("subscribe", ["AMD", "SPY"])]


# --- refusals ---


@pytest.mark.parametrize(
    ("code", "error", "is_crowded"),
    [
        (400, FeedLost, False),
        (401, FeedLost, False),
        (402, CredentialsRefused, None),
        (403, FeedLost, False),
        (404, FeedLost, False),
        (405, ConfigError, None),
        (406, FeedLost, True),
        (407, FeedLost, False),
        (408, ConfigError, None),
        (409, ConfigError, None),
        (410, ConfigError, None),
        (411, CredentialsRefused, None),
        (500, FeedLost, False),
        (999, FeedLost, False),
    ],
)
def test_table_of_error_frames(code: int, error: type[Exception], is_crowded: bool | None) -> None:
    """What cannot get better by waiting ends the stream; the rest is tried again, a crowded venue after longer."""
    meaning = meaning_of(Refusal(code, "because"), "ws://venue")
    assert type(meaning) is error
    assert "because" in str(meaning)
    assert str(code) in str(meaning)
    assert getattr(meaning, "is_crowded", None) is is_crowded


@pytest.mark.parametrize(("code", "error"), [(402, CredentialsRefused), (409, ConfigError)])
async def test_a_refusal_at_the_greeting_ends_the_stream(
    market: MarketVenue, listener: Listener, clock: InstantClock, code: int, error: type[Exception]
) -> None:
    """Wrong keys and a feed outside the plan are for a person to mend."""
    market.refuse_auth.append({"T": "error", "code": code, "msg": "no"})
    async with stream_venue(market.talk) as url:
        with pytest.raises(error) as caught:
            await stream_of(url, listener, clock).run()
    assert (listener.events, clock.waits) == ([], [])
    assert SECRET not in str(caught.value)


async def test_too_many_symbols_at_the_start_end_the_stream(market: MarketVenue, listener: Listener, clock: InstantClock) -> None:
    """A subscription that the plan does not allow is told as a setting to change."""
    market.refuse_change.append({"T": "error", "code": 405, "msg": "symbol limit exceeded"})
    async with stream_venue(market.talk) as url:
        with pytest.raises(ConfigError, match=r"alpaca\.feed"):
            await stream_of(url, listener, clock).run()


async def test_another_connection_of_the_account(market: MarketVenue, listener: Listener, clock: InstantClock) -> None:
    """406 is tried again after a longer wait, as is a handshake refused with 429."""
    market.refuse_auth.append({"T": "error", "code": 406, "msg": "connection limit exceeded"})
    async with stream_venue(market.talk, refusals=(429,)) as url, running(stream_of(url, listener, clock)):
        await listener.until(1, StreamConnected)
    assert len(clock.waits) == 2
    assert min(clock.waits) >= 5


async def test_errors_while_running(market: MarketVenue, listener: Listener, clock: InstantClock) -> None:
    """A slow client is warned and the stream goes on; 406 means that it is over."""
    async with stream_venue(market.talk) as url, running(stream_of(url, listener, clock)):
        await listener.until(1, StreamConnected)
        await market.connections[0].send(pack({"T": "error", "code": 407, "msg": "slow client"}))
        await market.connections[0].send(pack(QUOTE))
        await listener.until(1, QuoteUpdated)
        assert listener.of(StreamLost) == []
        await market.connections[0].send(pack({"T": "error", "code": 406, "msg": "connection limit exceeded"}))
        (lost,) = await listener.until(1, StreamLost)
    assert "406" in lost.reason


async def test_a_venue_that_does_not_greet(listener: Listener, clock: InstantClock, market: MarketVenue) -> None:
    """The greeting has a deadline."""

    async def silent(connection: ServerConnection) -> None:
        await connection.wait_closed()

    async with stream_venue(silent, market.talk) as url:
        stream = stream_of(url, listener, clock, limits=FeedLimits(handshake_seconds=0.1))
        async with running(stream):
            await listener.until(1, StreamConnected)
    assert len(clock.waits) == 1


async def test_a_bus_that_breaks_ends_the_stream(market: MarketVenue, listener: Listener, clock: InstantClock) -> None:
    """What ``post`` raises is not swallowed on the way through the socket's callback."""
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)

    def post(event: Event) -> None:
        raise InvariantBroken("planted")

    async with stream_venue(market.talk) as url:
        stream = MarketStream(
            url, credentials(), post=post, publish=listener.publish, clock=clock, random=Random(1), symbols=["AMD"], channels=["quotes"]
        )
        async with running(stream) as task:
            await listener.until(1, StreamConnected)
            await market.connections[0].send(pack(QUOTE))
            with pytest.raises(InvariantBroken, match="planted"):
                await task
    assert market.requests[0] == [{"action": "subscribe", "quotes": ["AMD"]}]
