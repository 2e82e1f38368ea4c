"""The feed of events: everything journaled, in order, to everyone who listens, and nobody is ever held back."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from alchemiser.bus.envelope import Envelope
from alchemiser.domain.errors import NotReady
from alchemiser.domain.events import DaemonStopping, QuoteUpdated
from alchemiser.service.live_feed import LISTENERS_AT_MOST, WAITING_AT_MOST, LiveFeed

AT = datetime(2025, 3, 3, 15, 0, tzinfo=UTC)


def envelope(number: int) -> Envelope:
    """Return an event with that sequence number."""
    return Envelope(number, DaemonStopping(at=AT, reason=f"line {number}\nand more"), 0.0)


def read(data: bytes) -> list[tuple[str, str, Any]]:
    """Return the messages of a stream: id, name, data."""
    found = []
    for block in data.decode().split("\n\n")[:-1]:
        fields = dict(line.split(": ", 1) for line in block.split("\n"))
        found.append((fields.get("id", ""), fields["event"], json.loads(fields["data"])))
    return found


async def test_events_arrive_in_order_with_their_numbers() -> None:
    """The id is the place in the journal, the name is the type, and no text can break the frame."""
    feed = LiveFeed()

    with feed.listen() as listener:
        feed(envelope(7))
        feed(envelope(9))
        messages = read(await listener.next())

    assert [("7", "DaemonStopping"), ("9", "DaemonStopping")] == [(number, name) for number, name, _ in messages]
    assert messages[0][2]["reason"] == "line 7\nand more"


def test_market_data_is_not_in_the_feed() -> None:
    """Ten thousand quotes a second are nobody's news."""
    assert QuoteUpdated not in LiveFeed.listens_to
    assert DaemonStopping in LiveFeed.listens_to


async def test_who_was_away_for_a_moment_gets_what_he_missed() -> None:
    """What came after the number he has seen comes first."""
    feed = LiveFeed()
    for number in range(1, 6):
        feed(envelope(number))

    with feed.listen(after=3) as listener:
        feed(envelope(6))
        assert ["4", "5", "6"] == [number for number, _, _ in read(await listener.next())]


async def test_who_missed_more_than_is_remembered_is_told() -> None:
    """The first message says that what is shown must be asked for anew."""
    feed = LiveFeed()
    for number in range(10, WAITING_AT_MOST + 10):
        feed(envelope(number))

    with feed.listen(after=3) as listener:
        assert read(await listener.next())[0][1] == "lagged"


async def test_who_asks_from_the_present_has_missed_nothing() -> None:
    """An id that is the newest is not an old one, though nothing follows it yet."""
    feed = LiveFeed()
    for number in range(1, 4):
        feed(envelope(number))

    with feed.listen(after=3) as listener:
        feed(envelope(4))
        assert ["4"] == [number for number, _, _ in read(await listener.next())]


async def test_a_slow_listener_is_told_and_left_behind() -> None:
    """It gets one last message; the others and the memory are not burdened."""
    feed = LiveFeed()

    with feed.listen() as slow, feed.listen() as quick:
        for number in range(1, WAITING_AT_MOST + 2):
            feed(envelope(number))
            await quick.next()
        messages = read(await slow.next())
        assert ["lagged"] == [name for _, name, _ in messages]
        feed(envelope(WAITING_AT_MOST + 2))
        assert await slow.next() == b""


async def test_closing_the_door_ends_every_listener() -> None:
    """A stop does not wait for somebody's browser."""
    feed = LiveFeed()

    with feed.listen() as listener:
        feed.close()
        assert ["closed"] == [name for _, name, _ in read(await listener.next())]
        assert await listener.next() == b""


def test_listeners_are_bounded() -> None:
    """One more than the bound is refused, and a place that is left is free again."""
    feed = LiveFeed()
    contexts = [feed.listen() for _ in range(LISTENERS_AT_MOST)]
    for context in contexts:
        context.__enter__()

    with pytest.raises(NotReady, match="listen"), feed.listen():
        pass
    contexts[0].__exit__(None, None, None)
    with feed.listen():
        pass
