"""The replayable event source (server-sent events): what its lines say. Bytes in, values out; no socket.

``GET /v2/events/trades`` tells again what the WebSocket told, from any time on. The official Go client resumes it a nanosecond after
the last time, which loses one of two events of one instant, and skips the comments, one of which says how many messages were dropped.
Here it is asked from the instant of the last known event on, what is known already is left out by its id, and such a comment means that
the answer is not whole.
"""

from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from alchemiser.alpaca.wire import WireUpdate, update_report
from alchemiser.domain.orders import ExecutionReport

_CROCKFORD: Final = {character: number for number, character in enumerate("0123456789ABCDEFGHJKMNPQRSTVWXYZ")}
_ID_CHARACTERS: Final = 26
_TIME_CHARACTERS: Final = 10
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_UPDATE: Final = msgspec.json.Decoder(WireUpdate)


class Unreplayable(Exception):
    """The answer cannot be relied upon: messages were dropped, or one cannot be read."""


def time_of(event_id: str) -> datetime | None:
    """Return the instant, in whole milliseconds, of an event id that sorts by time (a ULID); ``None`` for any other id."""
    text = event_id.upper()
    if len(text) != _ID_CHARACTERS or any(character not in _CROCKFORD for character in text) or text[0] > "7":
        return None
    milliseconds = 0
    for character in text[:_TIME_CHARACTERS]:
        milliseconds = milliseconds * 32 + _CROCKFORD[character]
    return _EPOCH + timedelta(milliseconds=milliseconds)


def read_replay(body: bytes, *, after_id: str, fallback_at: datetime) -> tuple[ExecutionReport, ...]:
    """Return the events after that one, oldest first and each once. Raises ``Unreplayable`` where something is missing or unreadable."""
    found: dict[str, ExecutionReport] = {}
    for line in body.decode("utf-8", "replace").splitlines():
        name, _, value = line.partition(":")
        if not name and "dropped" in value:
            raise Unreplayable(value.strip())
        if name != "data":
            continue  # A comment, a heartbeat, a name of the event, or the end of one.
        try:
            report = update_report(_UPDATE.decode(value.strip()), fallback_at=fallback_at)
        except (msgspec.DecodeError, ValueError) as error:
            raise Unreplayable(f"a message cannot be read: {error}") from error
        if report.event_id is None:
            raise Unreplayable("a message has no id")
        if report.event_id > after_id:
            found.setdefault(report.event_id, msgspec.structs.replace(report, source="replay"))
    return tuple(report for _, report in sorted(found.items()))
