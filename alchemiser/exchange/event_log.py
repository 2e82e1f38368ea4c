"""What the replayable event streams remember (section 5.4): events under ids that sort by time, and what a client asked for of them.

Pure. The log is bounded: a client that comes back after more than :data:`KEPT_EVENTS` events gets the later ones only, as the real
service keeps no event for ever.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

import msgspec

from alchemiser.domain.errors import DataError
from alchemiser.exchange.errors import ApiError
from alchemiser.exchange.http_forms import moment
from alchemiser.exchange.ids import is_ulid, ulid, ulid_number, ulid_text
from alchemiser.exchange.orders import OrderUpdate

KEPT_EVENTS: Final = 10_000
_FORGET: Final = 2_000


class Event(NamedTuple):
    """One event: its id of 26 characters, when it happened, and its JSON."""

    id: str
    at: datetime
    payload: bytes


AnyEvent = Event | OrderUpdate
"""An event that is written, or one that is written when somebody asks."""


class EventRange(msgspec.Struct, frozen=True):
    """What a client asked for, both times included; ``since_id`` is the last event it has, ``until_id`` the last one it wants.

    Without a beginning there is no history; without an end it goes on for ever.
    """

    since: datetime | None = None
    until: datetime | None = None
    since_id: str | None = None
    until_id: str | None = None

    @property
    def is_replay(self) -> bool:
        """Whether history is asked for."""
        return self.since is not None or self.since_id is not None

    def is_past(self, event: AnyEvent) -> bool:
        """Return whether the event lies behind the end."""
        if self.until is not None:
            return event.at > self.until
        return self.until_id is not None and event.id > self.until_id

    def is_over(self, now: datetime, last_id: str) -> bool:
        """Return whether nothing more can come: the end is in the past."""
        if self.until is not None:
            return now > self.until
        return self.until_id is not None and last_id >= self.until_id


def parse_range(query: Mapping[str, str]) -> EventRange:
    """Read the query of an event stream. Raises the 400 of parameters that exclude or need each other, and of what cannot be read."""
    given = {name for name in ("since", "until", "since_id", "until_id") if query.get(name)}
    for one, other in (("since", "since_id"), ("until", "until_id")):
        if {one, other} <= given:
            raise _bad(f"{one} and {other} cannot be used together")
    for end, begin in (("until", "since"), ("until_id", "since_id")):
        if end in given and begin not in given:
            raise _bad(f"{begin} is required if {end} is specified")
    since, until = moment(query, "since"), moment(query, "until", end_of_day=True)
    if since is not None and until is not None and since > until:
        raise _bad("since must not be after until")
    return EventRange(since, until, _id(query, "since_id"), _id(query, "until_id"))


class _Head(msgspec.Struct):
    """What is needed of an event that is read again."""

    event_id: str
    at: datetime


class EventLog:
    """The events of one stream, oldest first; ids and times never fall."""

    def __init__(self, *, kept: int = KEPT_EVENTS, earlier: Callable[[], Sequence[bytes]] | None = None) -> None:
        """``earlier`` gives the JSON of the events of an earlier run; it is asked once, when somebody wants history."""
        self._kept = kept
        self._events: list[AnyEvent] = []
        self._earlier = earlier

    @property
    def last_id(self) -> str:
        """The id of the last event, an empty one when there is none."""
        return self._events[-1].id if self._events else ""

    def append(self, event: AnyEvent) -> None:
        """Remember an event."""
        assert event.id > self.last_id, f"the id {event.id} does not come after {self.last_id}"
        self.extend([event])

    def extend(self, events: Sequence[AnyEvent]) -> None:
        """Remember more events, oldest first, whose ids are known to rise."""
        self._events.extend(events)
        if len(self._events) >= self._kept + _FORGET:
            del self._events[: len(self._events) - self._kept]

    def select(self, wanted: EventRange) -> list[AnyEvent]:
        """Return what has happened so far of what a client asked for."""
        if not wanted.is_replay:
            return []
        if self._earlier is not None:
            self._read_earlier(self._earlier())
            self._earlier = None
        if wanted.since is not None:
            first = bisect_left(self._events, wanted.since, key=lambda event: event.at)
        else:
            assert wanted.since_id is not None
            first = bisect_right(self._events, wanted.since_id, key=lambda event: event.id)
        return [event for event in self._events[first:] if not wanted.is_past(event)]

    def _read_earlier(self, lines: Sequence[bytes]) -> None:
        """Put the events of an earlier run before those of this one; the file knows both."""
        first = self._events[0].id if self._events else None
        earlier = []
        for line in lines[-self._kept - _FORGET :]:
            try:
                head = msgspec.json.decode(line, type=_Head)
            except msgspec.DecodeError as error:
                raise DataError(f"the file of events holds a line that is none ({error}): {line[:80]!r}; move it away") from error
            if first is None or head.event_id < first:
                earlier.append(Event(head.event_id, head.at, line))
        self._events[:0] = earlier


def sortable_id(at: datetime, last: str, entropy: int) -> str:
    """Return an event id of 26 characters (a ULID): milliseconds, then 80 bits of ``entropy``, always above ``last``."""
    return ulid_text(ulid(at, ulid_number(last), entropy))


def _id(query: Mapping[str, str], name: str) -> str | None:
    text = query.get(name)
    if not text:
        return None
    text = text.upper()
    if not is_ulid(text):
        raise _bad(f"{name} is not a ULID: {text[:40]}")
    return text


def _bad(message: str) -> ApiError:
    return ApiError(400, 40010000, message)


def encoded(row: Mapping[str, Any]) -> bytes:
    """Return the JSON of an event."""
    return msgspec.json.encode(row)
