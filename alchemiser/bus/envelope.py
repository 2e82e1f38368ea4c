"""The envelope around an event: its place in the order of things and what led to it."""

from typing import Final

import msgspec

from alchemiser.domain.events import Event


# Neither an envelope nor an event can be part of a reference cycle, so the collector need not look at them.
class Envelope(msgspec.Struct, frozen=True, gc=False):
    """An event as it travels: sequence number from 1 without holes, cause and correlation.

    ``time`` is the clock's monotonic seconds at publication, for latencies; when the event happened is in the event itself.
    ``causation`` is the sequence number of the event whose handling published this one; ``correlation`` names the rebalance it belongs to.
    """

    sequence: int
    event: Event
    time: float
    correlation: str | None = None
    causation: int | None = None


class Nobody(msgspec.Struct, frozen=True):
    """What led to an event that is published from outside of every handler: it has no number and belongs to no rebalance."""

    sequence: None = None
    correlation: None = None


NOBODY: Final = Nobody()
