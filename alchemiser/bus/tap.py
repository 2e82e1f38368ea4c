"""What the bus asks of the journal. The bus knows nothing else of it."""

from typing import Protocol

from alchemiser.bus.envelope import Envelope


class Tap(Protocol):
    """Sees every journaled event in bus order, before any handler does.

    Raises ``JournalFailed`` from any of its methods once it cannot keep its promise; that ends the bus.
    """

    @property
    def has_room(self) -> bool:
        """Whether the backlog of events that are not durable yet is below its bound."""

    def append(self, envelope: Envelope) -> None:
        """Take the envelope; never waits."""

    def is_durable(self, sequence: int) -> bool:
        """Whether every event taken, up to that sequence number, would survive a crash."""

    async def room(self) -> None:
        """Return when the backlog is below its bound."""

    async def durable(self, sequence: int) -> None:
        """Return when every event taken so far, up to that sequence number, would survive a crash."""
