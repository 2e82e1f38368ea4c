"""When in a session something is due: ``close - 10m``, ``open + 5m``, ``15:50``.

A schedule is read once from the settings and then asked for each session. It always names a moment of the regular session, short ones
included: the rule for those is in :meth:`Schedule.at`.
"""

import re
from datetime import UTC, datetime, time, timedelta
from enum import StrEnum
from typing import Final

import msgspec

from alchemiser.domain.market import Session
from alchemiser.market.calendar import NEW_YORK, REGULAR_CLOSE, REGULAR_OPEN

_FULL_SESSION: Final = timedelta(hours=6, minutes=30)
_UNITS: Final = {"h": 3600, "m": 60, "s": 1}
_RELATIVE: Final = re.compile(r"(open|close)(?:\s*([+-])\s*(\d+)\s*([hms]))?")
_WALL: Final = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2}))?")
_EXPECTED: Final = 'expected "close - 10m", "open + 5m" (units h, m, s) or a New York time such as "15:50"'


class Anchor(StrEnum):
    """What the offset of a schedule counts from."""

    OPEN = "open"
    CLOSE = "close"
    WALL = "wall"


class Schedule(msgspec.Struct, frozen=True):
    """A moment of any session: ``offset`` after its open, before its close, or from midnight on the wall in New York."""

    text: str
    anchor: Anchor
    offset: timedelta

    def at(self, session: Session) -> datetime:
        """Return the moment in that session, in UTC.

        On a short session a moment that would come at or after the close keeps the distance from the close that it has on a full day
        (``15:50`` becomes 12:50 when the close is at 13:00); one that would come before the open is the open.
        """
        if self.anchor is Anchor.CLOSE:
            return max(session.closes_at - self.offset, session.opens_at)
        if self.anchor is Anchor.OPEN:
            moment = session.opens_at + self.offset
        else:
            moment = (datetime.combine(session.date, time(), NEW_YORK) + self.offset).astimezone(UTC)
        if moment >= session.closes_at:
            distance = session.opens_at + _FULL_SESSION - moment
            moment = session.closes_at - distance
        return max(moment, session.opens_at)

    def __str__(self) -> str:
        return self.text


def parse_schedule(text: str) -> Schedule:
    """Read a schedule. Raises ``ValueError``, saying what was expected, for anything that is never inside a full session."""
    cleaned = text.strip().lower()
    if (match := _RELATIVE.fullmatch(cleaned)) is not None:
        anchor = Anchor(match[1])
        offset = timedelta(seconds=int(match[3]) * _UNITS[match[4]]) if match[2] else timedelta()
        if offset and match[2] != ("+" if anchor is Anchor.OPEN else "-"):
            raise ValueError(f'"{text}" lies outside the regular session; {_EXPECTED}')
        if offset >= _FULL_SESSION:
            raise ValueError(f'"{text}" is longer than a session of six and a half hours; {_EXPECTED}')
        return Schedule(cleaned, anchor, offset)
    if (match := _WALL.fullmatch(cleaned)) is not None:
        hour, minute, second = int(match[1]), int(match[2]), int(match[3] or 0)
        if hour > 23 or minute > 59 or second > 59:
            raise ValueError(f'"{text}" is not a time of day; {_EXPECTED}')
        if not REGULAR_OPEN <= time(hour, minute, second) < REGULAR_CLOSE:
            raise ValueError(f'"{text}" lies outside the regular session, 09:30 to 16:00 in New York; {_EXPECTED}')
        return Schedule(cleaned, Anchor.WALL, timedelta(hours=hour, minutes=minute, seconds=second))
    raise ValueError(f'"{text}" is not a time of a session; {_EXPECTED}')
