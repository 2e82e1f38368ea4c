"""How many requests a client may still send: a quota per market minute, and the headers that tell of it (section 2.3)."""

from datetime import UTC, datetime
from typing import Final

from alchemiser.exchange.ticks import MINUTE, floor_to

_LONG_AGO: Final = datetime(1970, 1, 1, tzinfo=UTC)

_UNLIMITED: Final = 10_000
"""The limit that the headers name when there is none."""


class RateLimit:
    """Requests per market minute; without a limit nothing is refused, but the headers are there."""

    def __init__(self, per_minute: int | None) -> None:
        self._per_minute = per_minute
        self._used = 0
        self._begin(_LONG_AGO)

    def take(self, now: datetime) -> bool:
        """Count a request; return whether it is within the quota."""
        if not self._minute <= now < self._next_minute:
            self._begin(now)
        self._used += 1
        return self._per_minute is None or self._used <= self._per_minute

    def headers(self, now: datetime) -> dict[str, str]:
        """Return the headers that tell a client where it stands; the reset is in seconds of the epoch, market time."""
        limit, remaining, reset = self._standing(now)
        return {"X-RateLimit-Limit": str(limit), "X-RateLimit-Remaining": str(remaining), "X-RateLimit-Reset": reset}

    def lines(self, now: datetime) -> str:
        """Return the headers as they are written."""
        limit, remaining, reset = self._standing(now)
        return f"X-RateLimit-Limit: {limit}\r\nX-RateLimit-Remaining: {remaining}\r\nX-RateLimit-Reset: {reset}\r\n"

    def _standing(self, now: datetime) -> tuple[int, int, str]:
        limit = self._per_minute or _UNLIMITED
        # Without a limit the remaining quota never reads zero: a careful client would wait for nothing.
        remaining = max(limit - self._used, 1 if self._per_minute is None else 0)
        reset = self._reset if self._minute <= now < self._next_minute else _reset_after(now)
        return limit, remaining, reset

    def _begin(self, now: datetime) -> None:
        """Begin the minute of a request."""
        self._minute = floor_to(now, MINUTE)
        self._next_minute = self._minute + MINUTE
        self._reset = _reset_after(now)
        self._used = 0


def _reset_after(now: datetime) -> str:
    return str(int((floor_to(now, MINUTE) + MINUTE).timestamp()))
