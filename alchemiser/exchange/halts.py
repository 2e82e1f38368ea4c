"""Halts of trading: which symbol stands still, when, for how long and why (section 6.4).

Those that a market invents follow from no price. Such a halt is a pure function of seed, symbol and session: news stops a symbol for ten
minutes to an hour, volatility for the five minutes of a limit-up-limit-down pause. They begin and end at whole minutes, never in the first
five and the last thirty of a session, so that whoever looks once a minute sees the same ones, and every one has ended before the closing
auction.

Those that limit-up and limit-down bring follow from the quotes: :class:`HaltKeeper` watches them.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final, NamedTuple, Protocol

import msgspec

from alchemiser.domain.market import Quote, Session
from alchemiser.exchange.noise import noise_key, uniforms

PAUSE: Final = timedelta(minutes=5)
"""How long a limit-up-limit-down pause takes."""

LIMIT_STATE: Final = timedelta(seconds=15)
"""How long a quote may stand at its limit before trading is paused."""

_LAST_MINUTES: Final = timedelta(minutes=10)
"""A pause that begins so near to the close is ended by the closing auction."""

_VOLATILITY: Final = ("M", "Volatility Trading Pause")
_NEWS: Final = ("P", "News Pending")

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
    return Halt(begins_at, begins_at + lasts, *(_VOLATILITY if is_pause else _NEWS))


class HaltSource(Protocol):
    """What is asked of a tape."""

    def halt_at(self, symbol: str, at: datetime) -> Halt | None:
        """Return the halt that holds at a moment."""


class _Band(NamedTuple):
    """Limit-down and limit-up, and the close of the session in which they hold."""

    down: float
    up: float
    until: datetime


class HaltKeeper:
    """Who stands still now: for a halt of the tape, or for a pause because its quote would not leave its limit.

    A symbol whose offer is not above limit-down, or whose bid not below limit-up, is in a limit state; one that lasts
    :data:`LIMIT_STATE` becomes a trading pause of :data:`PAUSE`. One that begins in the last ten minutes of the session lasts until its
    close. A halt or pause that was overruled by hand is as if it had never been.
    """

    def __init__(self, tape: HaltSource | None, pauses: Mapping[str, datetime] | None = None) -> None:
        """Without a ``tape`` nothing halts by itself; ``pauses`` are those, with their ends, that an exchange began with."""
        self._tape = tape
        self._holding: dict[str, Halt] = {}
        self._overruled: dict[str, Halt] = {}
        self._bands: dict[str, _Band] = {}
        self._limit_since: dict[str, datetime] = {}
        for symbol, until in (pauses or {}).items():
            self._holding[symbol] = _pause(until - PAUSE, until)

    def set_band(self, symbol: str, band: tuple[float, float] | None, until: datetime) -> None:
        """Watch a symbol for a limit state until the session closes; without a band it is not watched."""
        self._limit_since.pop(symbol, None)
        if band is None:
            self._bands.pop(symbol, None)
        else:
            self._bands[symbol] = _Band(*band, until)

    def turn(self, quote: Quote, at: datetime) -> tuple[Halt | None, Halt | None]:
        """Return the halt that held when the quote's symbol was last looked at, and the one that holds now."""
        symbol = quote.symbol
        before = self._holding.pop(symbol, None)
        now = None if self._tape is None else self._tape.halt_at(symbol, at)
        if now is None and before is not None and before.holds(at):
            now = before
        if now is None and before is None and symbol in self._bands:
            now = self._watch(quote, at)
        if now is not None and now == self._overruled.get(symbol):
            now = None
        if now is not None:
            self._holding[symbol] = now
        return before, now

    def is_halted(self, symbol: str) -> bool:
        """Whether a symbol stood still when it was last looked at."""
        return symbol in self._holding

    def watch(self, quote: Quote, at: datetime) -> None:
        """Take a quote between two ticks: its limit state counts from now."""
        if quote.symbol in self._bands and quote.symbol not in self._holding:
            self._watch(quote, at)

    def next_turn(self, after: datetime) -> datetime | None:
        """Return when a pause may begin or ends next, later than ``after``; ``None`` while nothing is near it."""
        if not self._limit_since and not self._holding:
            return None
        moments = [since + LIMIT_STATE for since in self._limit_since.values()]
        moments += [halt.ends_at for halt in self._holding.values()]
        return min((moment for moment in moments if moment > after), default=None)

    def overrule(self, symbol: str) -> None:
        """Let a halt by hand, or its end, have the last word over the one that holds."""
        self._limit_since.pop(symbol, None)
        halt = self._holding.pop(symbol, None)
        if halt is not None:
            self._overruled[symbol] = halt

    def _watch(self, quote: Quote, at: datetime) -> Halt | None:
        """Return the pause that begins now because the quote stands at its limit for too long, if any."""
        symbol, band = quote.symbol, self._bands[quote.symbol]
        is_limit = 0 < quote.ask <= band.down or quote.bid >= band.up
        if at >= band.until or not is_limit:
            self._limit_since.pop(symbol, None)
            return None
        since = self._limit_since.setdefault(symbol, at)
        if at - since < LIMIT_STATE:
            return None
        self.set_band(symbol, None, at)
        ends_at = at + PAUSE if at < band.until - _LAST_MINUTES else band.until
        return _pause(at, ends_at)


def _pause(begins_at: datetime, ends_at: datetime) -> Halt:
    return Halt(begins_at, ends_at, *_VOLATILITY)
