"""Moments of a trading day as settings write them: ``close - 10m``, ``open + 30m``, ``close``.

A moment is relative to a session, so half days need no rule of their own.
"""

import re
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

import msgspec

from alchemiser.domain.market import Session

_PATTERN: Final = re.compile(r"(?P<anchor>open|close)(?:\s*(?P<sign>[+-])\s*(?P<amount>\d+(?:\.\d+)?)\s*(?P<unit>[smh]))?")
_UNIT_SECONDS: Final = {"s": 1.0, "m": 60.0, "h": 3600.0}


class Anchor(StrEnum):
    """The two moments of a session that others are relative to."""

    OPEN = "open"
    CLOSE = "close"


class SessionMoment(msgspec.Struct, frozen=True):
    """A moment of any session: so many seconds after (negative: before) its open or its close."""

    anchor: Anchor
    offset_seconds: float = 0.0

    @classmethod
    def parse(cls, text: str) -> "SessionMoment":
        """Read ``open``, ``close``, or one of them with ``+`` or ``-`` and a number of ``s``, ``m`` or ``h``.

        Raises ``ValueError`` for anything else, and for a moment that lies outside every session.
        """
        match = _PATTERN.fullmatch(text.strip())
        if match is None:
            raise ValueError(f"expected a moment like 'close - 10m' or 'open + 30m', found {text!r}")
        amount = float(match["amount"] or 0) * _UNIT_SECONDS[match["unit"] or "s"]
        moment = cls(Anchor(match["anchor"]), -amount if match["sign"] == "-" else amount)
        if (moment.anchor is Anchor.OPEN) == (moment.offset_seconds < 0) and moment.offset_seconds:
            raise ValueError(f"{text!r} lies outside the session")
        return moment

    def of(self, session: Session) -> datetime:
        """Return the moment of that session, never outside it: a half day may be shorter than the offset."""
        anchor = session.opens_at if self.anchor is Anchor.OPEN else session.closes_at
        return min(max(anchor + timedelta(seconds=self.offset_seconds), session.opens_at), session.closes_at)

    def __str__(self) -> str:
        if not self.offset_seconds:
            return str(self.anchor)
        seconds = abs(self.offset_seconds)
        unit, size = next((unit, size) for unit, size in (("h", 3600.0), ("m", 60.0), ("s", 1.0)) if unit == "s" or seconds % size == 0)
        return f"{self.anchor} {'-' if self.offset_seconds < 0 else '+'} {seconds / size:g}{unit}"
