"""The runtime of one run: its clock, its randomness and its ids."""

import secrets
from random import Random

from alchemiser.domain.runtime import Clock

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base 32


class SeededRuntime:
    """A runtime whose random numbers and ids follow from ``seed``; without one the seed comes from the operating system."""

    def __init__(self, clock: Clock, seed: int | None = None) -> None:
        self._clock = clock
        seed = secrets.randbits(64) if seed is None else seed
        self._random = Random(seed)  # noqa: S311 - jitter and ids, not secrets
        # A stream of its own, so that ids do not depend on how much jitter was drawn.
        self._ids = Random(seed ^ 0x5DEECE66D)  # noqa: S311

    @property
    def clock(self) -> Clock:
        """The clock of this run."""
        return self._clock

    @property
    def random(self) -> Random:
        """The seeded source of jitter."""
        return self._random

    def new_id(self) -> str:
        """Return ten characters of market milliseconds and sixteen random ones: an id that sorts by time."""
        value = (int(self._clock.now().timestamp() * 1000) << 80) | self._ids.getrandbits(80)
        return "".join(_ALPHABET[(value >> shift) & 31] for shift in range(125, -1, -5))
