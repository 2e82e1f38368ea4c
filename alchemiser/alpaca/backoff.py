"""How long to wait before the next attempt. Pure: no clock, no randomness of its own.

Full jitter: a wait is drawn evenly from zero to a bound that doubles with each attempt, so that many daemons that lost the same
venue do not come back at the same moment.
"""

from random import Random
from typing import Final

import msgspec

_MOST_DOUBLINGS: Final = 32
"""More would overflow a float one day and are never needed: every cap is reached long before."""


class Backoff(msgspec.Struct, frozen=True, kw_only=True):
    """Waits that grow from ``base_seconds`` to ``cap_seconds``, but never below ``floor_seconds``."""

    base_seconds: float
    cap_seconds: float
    floor_seconds: float = 0.0

    def bound_seconds(self, attempt: int) -> float:
        """Return the longest wait before attempt ``attempt + 1``; attempts count from 1."""
        if attempt < 1:
            raise ValueError(f"attempts are counted from 1, not {attempt}")
        return min(self.cap_seconds, self.base_seconds * 2.0 ** min(attempt - 1, _MOST_DOUBLINGS))

    def delay_seconds(self, attempt: int, random: Random) -> float:
        """Return the wait before attempt ``attempt + 1``, drawn from ``random``."""
        return max(self.floor_seconds, random.uniform(0.0, self.bound_seconds(attempt)))


class ReconnectPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """When a stream is connected again.

    ``crowded`` is for a venue that says there are too many connections: it holds the place of a socket that died uncleanly for about
    90 seconds, and asking every moment only makes a storm of refusals. A connection that lived ``stable_seconds`` was a good
    one: the next loss begins to count from 1 again, while one that is accepted and dropped at once keeps counting up.
    """

    ordinary: Backoff = Backoff(base_seconds=0.5, cap_seconds=30.0, floor_seconds=0.05)
    crowded: Backoff = Backoff(base_seconds=10.0, cap_seconds=120.0, floor_seconds=5.0)
    stable_seconds: float = 30.0

    def failures_after(self, failures: int, lived_seconds: float) -> int:
        """Return the count of failures in a row after one more, given how long the last connection lived."""
        return 1 if lived_seconds >= self.stable_seconds else failures + 1

    def delay_seconds(self, failures: int, random: Random, *, is_crowded: bool) -> float:
        """Return the wait after that many failures in a row."""
        return (self.crowded if is_crowded else self.ordinary).delay_seconds(failures, random)
