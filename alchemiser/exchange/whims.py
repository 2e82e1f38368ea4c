"""What a venue may do to an order without being asked: refuse it late, refuse its cancel, end it half filled, park it (sections 3 and 4).

The core asks at each occasion; by default nothing of it happens. The faults of the menu answer otherwise.
"""

from datetime import datetime
from typing import Final, NamedTuple, Protocol

from alchemiser.exchange.orders import OrderStatus

PARKED: Final = (
    OrderStatus.ACCEPTED_FOR_BIDDING,
    OrderStatus.STOPPED,
    OrderStatus.SUSPENDED,
    OrderStatus.CALCULATED,
    OrderStatus.DONE_FOR_DAY,
)
"""The statuses in which an order lives and does not trade."""


class Parking(NamedTuple):
    """A status that an order is in for some market seconds before it works."""

    status: OrderStatus
    seconds: float


class Whims(Protocol):
    """Decides about one order of a symbol at a moment; each question is one occasion."""

    def rejects(self, symbol: str, at: datetime) -> bool:
        """Whether an order that was accepted is rejected when it reaches the market."""

    def parks(self, symbol: str, at: datetime) -> Parking | None:
        """Whether an order is parked when it reaches the market."""

    def cuts_short(self, symbol: str, at: datetime) -> bool:
        """Whether an execution is halved and the rest of its order cancelled."""

    def refuses_cancel(self, symbol: str, at: datetime) -> bool:
        """Whether the market refuses a cancel: the order lives on."""

    def stalls_cancel(self, symbol: str, at: datetime) -> float:
        """By how many market seconds a cancel is late."""

    def refuses_replace(self, symbol: str, at: datetime) -> bool:
        """Whether the market refuses a replacement: the old order lives on."""


class NoWhims:
    """A venue that does what it is asked to."""

    def rejects(self, symbol: str, at: datetime) -> bool:
        """Never."""
        return False

    def parks(self, symbol: str, at: datetime) -> Parking | None:
        """Never."""
        return None

    def cuts_short(self, symbol: str, at: datetime) -> bool:
        """Never."""
        return False

    def refuses_cancel(self, symbol: str, at: datetime) -> bool:
        """Never."""
        return False

    def stalls_cancel(self, symbol: str, at: datetime) -> float:
        """Never."""
        return 0.0

    def refuses_replace(self, symbol: str, at: datetime) -> bool:
        """Never."""
        return False
