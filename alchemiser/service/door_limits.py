"""How often somebody may knock: a bucket of requests that fills again with time. Health and metrics are never refused."""

from typing import Final

import msgspec


class Rate(msgspec.Struct, frozen=True):
    """So many requests at once, and so many a second in the long run."""

    burst: float
    per_second: float


READS: Final = Rate(burst=300, per_second=100)
CONTROLS: Final = Rate(burst=30, per_second=2)
WRONG_TOKENS: Final = Rate(burst=10, per_second=0.2)
"""Whoever guesses tokens gets one try in five seconds; 32 random characters outlast that."""


class Bucket:
    """What is left of a rate. Times are seconds of a clock that never goes back."""

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self._left = rate.burst
        self._at: float | None = None

    def take(self, now: float) -> float:
        """Take one request and return 0, or the seconds after which there will be one again."""
        if self._at is not None:
            self._left = min(self._rate.burst, self._left + (now - self._at) * self._rate.per_second)
        self._at = now
        if self._left >= 1:
            self._left -= 1
            return 0.0
        return (1 - self._left) / self._rate.per_second
