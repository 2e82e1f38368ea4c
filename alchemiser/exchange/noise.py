"""Repeatable noise: numbers that depend on a seed and a name only, never on what was drawn before.

The same key gives the same numbers on every machine and with every NumPy, in whatever order they are asked for, because they are a
counter put through an integer mixer (SplitMix64) and not the state of a generator.
"""

from hashlib import blake2b
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_STEP: Final = np.uint64(0x9E3779B97F4A7C15)
_MIX_1: Final = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2: Final = np.uint64(0x94D049BB133111EB)
_UNIT: Final = 2.0**-53


def noise_key(*parts: str | int) -> int:
    """Return the 64-bit key of a name, for example ``noise_key(seed, "SPY", day)``."""
    return int.from_bytes(blake2b("\x1f".join(map(str, parts)).encode(), digest_size=8).digest(), "big")


def uniforms(key: int, count: int, *, first: int = 0) -> Floats:
    """Return ``count`` numbers in [0, 1), those with the indexes from ``first`` on."""
    return uniforms_at(key, np.arange(first, first + count, dtype=np.uint64))


def uniforms_at(key: int, indexes: NDArray[np.uint64]) -> Floats:
    """Return the numbers in [0, 1) of those indexes."""
    mixed = (indexes + np.uint64(1)) * _STEP + np.uint64(key)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * _MIX_1
    mixed = (mixed ^ (mixed >> np.uint64(27))) * _MIX_2
    mixed ^= mixed >> np.uint64(31)
    return (mixed >> np.uint64(11)).astype(np.float64) * _UNIT


def bells_at(key: int, indexes: NDArray[np.uint64]) -> Floats:
    """Return numbers of mean 0 and deviation 1 for those indexes: sums of four uniforms, so that none is beyond 3.5.

    Only additions and one product are used: unlike logarithms, they are the same to the last bit everywhere.
    """
    base = indexes * np.uint64(4)
    total = uniforms_at(key, base)
    for part in (1, 2, 3):
        total = total + uniforms_at(key, base + np.uint64(part))
    return (total - 2.0) * _ROOT_3


_ROOT_3: Final = 3.0**0.5
