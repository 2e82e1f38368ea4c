"""The replayable event source: what its lines say, and when they cannot be relied upon."""

from datetime import UTC, datetime

import msgspec
import pytest

from alchemiser.alpaca.event_replay import Unreplayable, read_replay, time_of
from alchemiser.alpaca.venue import AlpacaVenue
from tests.unit.alpaca.fakes import START, Answer, ScriptedVenue, order_json

FIRST, SECOND, THIRD = "01J8ZC9W3S0000000000000001", "01J8ZC9W3S0000000000000002", "01J8ZC9W3S0000000000000003"


def line(event_id: str | None, event: str = "new") -> bytes:
    """Return the line of one event."""
    return b"data: " + msgspec.json.encode({"event": event, "event_id": event_id, "order": order_json(), "timestamp": START}) + b"\n\n"


def replayed(body: bytes) -> list[str | None]:
    """Return the ids of what a body says after the first event."""
    return [report.event_id for report in read_replay(body, after_id=FIRST, fallback_at=START)]


def test_an_event_id_says_when_it_was() -> None:
    """Its first ten characters are milliseconds; an id of another kind says nothing."""
    assert time_of("01ARZ3NDEKTSV4RRFFQ69G5FAV") == datetime(2016, 7, 30, 23, 54, 10, 259_000, tzinfo=UTC)
    assert time_of("01arz3ndektsv4rrffq69g5fav") == time_of("01ARZ3NDEKTSV4RRFFQ69G5FAV")
    assert [time_of(text) for text in ("", "12345", "8" * 26, "I" * 26, "0" * 25)] == [None] * 5


def test_what_is_known_and_what_comes_twice_is_left_out() -> None:
    """The source is asked from an instant on: of two events of that instant only the later one is new."""
    reports = read_replay(line(FIRST) + line(THIRD) + line(SECOND) + line(THIRD), after_id=FIRST, fallback_at=START)

    assert [SECOND, THIRD] == [report.event_id for report in reports]
    assert {"replay"} == {report.source for report in reports}


def test_heartbeats_and_other_lines_say_nothing() -> None:
    """Comments, names of events and empty lines."""
    assert replayed(b":heartbeat\n\nevent: trade\nretry: 10\n\n" + line(SECOND)) == [SECOND]
    assert replayed(b"") == []


@pytest.mark.parametrize(
    "body",
    [
        line(SECOND) + b": you are reading too slowly, dropped 3 messages\n\n" + line(THIRD),
        line(SECOND) + b"data: {\n\n",
        b"data: null\n\n",
        line(None),
    ],
    ids=["dropped", "torn", "null", "no id"],
)
def test_an_answer_that_is_not_whole_is_not_used(body: bytes) -> None:
    """A comment that says that messages were dropped is a hole, and so is what cannot be read."""
    with pytest.raises(Unreplayable):
        replayed(body)


async def test_the_venue_is_asked_from_the_instant_of_the_last_event_on(venue: AlpacaVenue, server: ScriptedVenue) -> None:
    """With an end, so that the answer is finite."""
    server.answer(Answer(200, line(SECOND)))
    reports = await venue.replay_since(FIRST)

    assert reports is not None
    assert [SECOND] == [report.event_id for report in reports]
    (asked,) = server.asked
    assert ("/v2/events/trades", "text/event-stream") == (asked.path, asked.headers["Accept"])
    assert {"since", "until"} == set(asked.query)
    assert asked.query["since"] < asked.query["until"]


@pytest.mark.parametrize(("status", "asks_again"), [(404, False), (400, False), (503, True), (401, True)])
async def test_a_venue_that_does_not_replay_is_asked_once(venue: AlpacaVenue, server: ScriptedVenue, status: int, asks_again: bool) -> None:
    """One that cannot just now is asked again the next time; the lists have to do either way."""
    server.answer(*[Answer(status, {"message": "no"})] * 8)
    assert await venue.replay_since(FIRST) is None
    before = len(server.asked)
    assert await venue.replay_since(FIRST) is None
    assert (len(server.asked) > before) == asks_again


async def test_what_is_not_whole_or_has_no_time_is_left_to_the_lists(venue: AlpacaVenue, server: ScriptedVenue) -> None:
    """Nothing is guessed, and nothing raises: the lists are the authority."""
    server.answer(Answer(200, b": dropped 7 messages\n\n"))
    assert await venue.replay_since(FIRST) is None
    assert await venue.replay_since("an id of another kind") is None
    assert len(server.asked) == 1
