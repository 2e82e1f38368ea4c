"""What is left of a request quota, as the venue's headers tell it. Pure: the caller brings the time and does the waiting.

Alpaca counts requests per minute and says with every answer how many are left and when the quota changes (seconds of the epoch).
Until the first answer nothing is known and nothing is held back.
"""

from collections.abc import Mapping
from typing import Final

LONGEST_WAIT_SECONDS: Final = 60.0
"""A quota is renewed each minute: a reset farther away than that is a clock that disagrees with ours."""

_WAIT_AFTER_REFUSAL_SECONDS: Final = 1.0


class Quota:
    """The quota of one host. Orders may use all of it; reads leave a share for them."""

    def __init__(self, *, share_for_orders: float = 0.1) -> None:
        self._share_for_orders = share_for_orders
        self._limit = 0
        self._remaining: int | None = None
        self._reset = 0.0
        self._in_flight = 0

    def remaining(self, now: float) -> int | None:
        """Return the requests left in this minute by its last answer, less those on their way; ``None`` when nothing is known of it."""
        return None if self._remaining is None or now >= self._reset else self._remaining - self._in_flight

    def wait_seconds(self, now: float, *, is_order: bool) -> float:
        """Return how long to wait before a request may be sent: 0 when it may go at once. ``now`` is in seconds of the epoch."""
        if self._remaining is None:
            return 0.0
        if now >= self._reset:
            self._remaining = None  # a new minute: its first answer tells what there is
            return 0.0
        kept_back = 0 if is_order else int(self._limit * self._share_for_orders)
        if self._remaining - self._in_flight > kept_back:
            return 0.0
        return min(self._reset - now, LONGEST_WAIT_SECONDS)

    def sent(self) -> None:
        """Note that a request is on its way."""
        self._in_flight += 1

    def ended(self) -> None:
        """Note that a request was answered or given up."""
        self._in_flight -= 1

    def observe(self, headers: Mapping[str, str]) -> None:
        """Read the headers of an answer. Answers overtake one another: within one minute the least remaining counts."""
        limit, remaining, reset = (_number(headers, f"X-RateLimit-{name}") for name in ("Limit", "Remaining", "Reset"))
        if remaining is None or reset is None or reset < self._reset:
            return
        same_minute = reset == self._reset and self._remaining is not None
        self._remaining = min(remaining, self._remaining) if same_minute and self._remaining is not None else remaining
        self._reset = float(reset)
        self._limit = limit if limit is not None else self._limit

    def refused(self, now: float) -> float:
        """Note that the venue answered 429 at ``now``; return the seconds after which to ask again.

        Where requests are left all the same, there were only too many in one moment.
        """
        wait = self._reset - now
        if self._remaining or not 0 < wait <= LONGEST_WAIT_SECONDS:
            wait = _WAIT_AFTER_REFUSAL_SECONDS
        self._remaining, self._reset = 0, now + wait
        return wait


def _number(headers: Mapping[str, str], name: str) -> int | None:
    text = headers.get(name, "")
    return int(text) if text.isascii() and text.isdecimal() else None
