"""Halts of trading that a market invents: which symbol stands still, when, for how long and why (section 6.4).

A halt is a pure function of seed, symbol and session: news stops a symbol for ten minutes to an hour, volatility for the five minutes of a
limit-up-limit-down pause. Halts begin and end at whole minutes, never in the first five and the last thirty of a session, so that whoever
looks once a minute sees the same ones, and every one has ended before the closing auction.

They do not follow from the prices; a symbol that touches its bands is not paused.
"""

from datetime import datetime, timedelta
from typing import Final, Protocol

import msgspec

from alchemiser.domain.market import Session
from alchemiser.exchange.noise import noise_key, uniforms

PAUSE: Final = timedelta(minutes=5)
"""How long a limit-up-limit-down pause takes."""

_PROBABILITY: Final = 0.04
"""Of a halt in one session of one symbol."""

_PAUSES: Final = 0.6
"""The share of halts that are volatility pauses."""

_NEWS_MINUTES: Final = range(10, 61)
_AFTER_OPEN: Final = timedelta(minutes=5)
_BEFORE_CLOSE: Final = timedelta(minutes=30)
_MINUTE: Final = timedelta(minutes=1)


class Halt(msgspec.Struct, frozen=True):
    """A stretch of a session, its end excluded, in which a symbol does not trade; ``reason`` is the code of the consolidated tape."""

    begins_at: datetime
    ends_at: datetime
    reason: str
    reason_message: str

    def holds(self, at: datetime) -> bool:
        """Whether the symbol stands still at that moment."""
        return self.begins_at <= at < self.ends_at


def halt_of(symbol: str, session: Session, seed: int) -> Halt | None:
    """Return the halt of a symbol in a session, ``None`` when it trades all day."""
    strikes, kind, length, place = uniforms(noise_key(seed, "halt", symbol, session.date.isoformat()), 4).tolist()
    if strikes >= _PROBABILITY:
        return None
    is_pause = kind < _PAUSES
    lasts = PAUSE if is_pause else _NEWS_MINUTES[int(length * len(_NEWS_MINUTES))] * _MINUTE
    first = session.opens_at + _AFTER_OPEN
    room = (session.closes_at - _BEFORE_CLOSE - lasts - first) // _MINUTE
    begins_at = first + int(place * (room + 1)) * _MINUTE
    reason = ("M", "Volatility Trading Pause") if is_pause else ("P", "News Pending")
    return Halt(begins_at, begins_at + lasts, *reason)


class HaltSource(Protocol):
    """What is asked of a tape."""

    def halt_at(self, symbol: str, at: datetime) -> Halt | None:
        """Return the halt that holds at a moment."""


class HaltKeeper:
    """Who stands still now. A halt that was overruled by hand is as if it had never been."""

    def __init__(self, tape: HaltSource) -> None:
        self._tape = tape
        self._holding: dict[str, Halt] = {}
        self._overruled: dict[str, Halt] = {}

    def turn(self, symbol: str, at: datetime) -> tuple[Halt | None, Halt | None]:
        """Return the halt that held when the symbol was last looked at, and the one that holds now."""
        now = self._tape.halt_at(symbol, at)
        if now is not None and now == self._overruled.get(symbol):
            now = None
        before = self._holding.pop(symbol, None)
        if now is not None:
            self._holding[symbol] = now
        return before, now

    def overrule(self, symbol: str) -> None:
        """Let a halt by hand, or its end, have the last word over the one that holds."""
        halt = self._holding.pop(symbol, None)
        if halt is not None:
            self._overruled[symbol] = halt
