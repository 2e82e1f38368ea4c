"""The two answers of a strategy: a target, or the reason why there is none today."""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

WEIGHTS_TOLERANCE = 1e-9
"""How far the weights of a strategy may be from 1 in sum."""


class NotComputable(Struct, frozen=True):
    """A number or a target that cannot be had, and why: the chain of reasons from what was wanted to what is missing.

    It is a value and not an exception, because it is an ordinary answer: the strategy keeps what it holds.
    """

    reasons: tuple[str, ...]

    def because(self, wanted: str) -> "NotComputable":
        """Return the same with what was wanted put in front."""
        return NotComputable((wanted, *self.reasons))

    def __str__(self) -> str:
        return ": ".join(self.reasons)


UNEXPLAINED = NotComputable(("it cannot be computed",))
"""The answer where only whether there is a target was asked; asked to explain, a strategy says why."""


class Proposal(Struct, frozen=True):
    """Target weights of one strategy: sorted by symbol, none negative, adding up to 1; and the path to them in words.

    ``tree`` is that path with its numbers, as JSON can say it; a strategy written in Python has none. ``is_fragile`` says that a small
    move of a price would have changed the decision.
    """

    weights: Mapping[str, float]
    explanation: tuple[str, ...] = ()
    tree: Mapping[str, Any] | None = None
    is_fragile: bool = False
