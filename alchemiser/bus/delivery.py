"""How a subscription wants its events, and what is done when its handler raises."""

from collections.abc import Callable, Hashable, Iterable
from enum import StrEnum
from typing import Any, Final

import msgspec

from alchemiser.domain.events import Event

KeyOf = Callable[[Any], Hashable]
"""Names what an event is the latest of, for example its symbol."""


class Delivery(msgspec.Struct, frozen=True):
    """A delivery policy: which types of a mailbox are conflated, and by which key. Made by ``EVERY`` and :func:`latest_per`."""

    key_of: KeyOf | None = None
    only: tuple[type[Event], ...] | None = None

    def key_for(self, event_type: type[Event]) -> KeyOf | None:
        """Return the key by which events of this type are conflated, or ``None`` when every one of them is delivered."""
        if self.key_of is None:
            return None
        conflated = not event_type.journaled if self.only is None else event_type in self.only
        return self.key_of if conflated else None


EVERY: Final = Delivery()
"""Every event is delivered; a full mailbox holds its publishers back."""


def latest_per(key_of: KeyOf, only: Iterable[type[Event]] | None = None) -> Delivery:
    """Return the policy that keeps only the newest waiting event per key, in the place in line of the one it overwrites.

    It concerns the types in ``only``, by default all types that are not journaled. Every other event of the mailbox is delivered:
    facts and decisions are never dropped. Raises ``ValueError`` when ``only`` names a journaled type.
    """
    types = None if only is None else tuple(only)
    facts = [event_type.__name__ for event_type in types or () if event_type.journaled]
    if facts:
        raise ValueError(f"{', '.join(facts)}: facts and decisions are journaled and cannot be conflated")
    return Delivery(key_of, types)


class OnFailure(StrEnum):
    """What the supervisor does after a handler raised. Either way the failure is an event, is logged and counted."""

    RESTART = "restart"  # a mailbox pauses, longer each time, then goes on with its next event
    HALT = "halt"  # the same, and trading is halted


RESTART: Final = OnFailure.RESTART
HALT: Final = OnFailure.HALT
