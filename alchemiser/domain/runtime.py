"""What every room may ask of the world: the time, and a wait. Random numbers are taken from a ``random.Random`` that is handed in.

Only types are here. The implementations are made in ``service`` (wall, accelerated) and in the tests (virtual), and are
handed to whoever needs them, which is what makes a run repeatable.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Protocol

Release = Callable[[], None]
"""Ends a hold on the clock; calling it twice is harmless."""


class Clock(Protocol):
    """Market time: all waiting and all time stamps of decisions and orders go through one of these.

    Deadlines of sockets are not market time; they are seconds of the event loop.
    """

    def now(self) -> datetime:
        """Return the market time, in UTC and with its zone."""

    def monotonic(self) -> float:
        """Return market seconds since an arbitrary start; it never goes back."""

    async def sleep(self, seconds: float) -> None:
        """Return after that many market seconds; at once when it is not positive."""

    async def sleep_until(self, when: datetime) -> None:
        """Return when the market time has reached ``when``."""

    def hold(self, reason: str) -> Release:
        """Say that a decision or an order is in progress.

        While any hold is out, an accelerated clock runs at its bounded speed instead of leaping. Other clocks ignore it.
        """
