"""The ids that the venue makes: random UUIDs of orders and executions, and sortable ids (ULIDs) of events.

Pure functions of the bits they are given, so that a seed gives the same ids. They are made several times for every order, which is why
they are put together from tables instead of by ``uuid`` and character by character.
"""

from binascii import hexlify
from datetime import datetime
from functools import lru_cache
from struct import Struct
from typing import Final

ULID_CHARACTERS: Final = 26
RANDOM_BITS: Final = 80
"""How many low bits of a ULID are random; the milliseconds of its time are above them."""

_CROCKFORD: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS: Final = tuple(high + low for high in _CROCKFORD for low in _CROCKFORD)
_RANDOM_SHIFTS: Final = range(RANDOM_BITS - 10, -1, -10)
_TIME_SHIFTS: Final = range(40, -1, -10)
_MASK: Final = (1 << RANDOM_BITS) - 1
_UUID_KEPT: Final = (1 << 128) - 1 & ~(0xF000 << 64 | 0xC000 << 48)
_UUID_VERSION_4: Final = 4 << 76 | 0x8000 << 48
_UUID_PARTS: Final = Struct("8s4s4s4s12s").unpack


def uuid_text(bits: int) -> str:
    """Return 128 random bits as a UUID of version 4."""
    return b"-".join(_UUID_PARTS(hexlify((bits & _UUID_KEPT | _UUID_VERSION_4).to_bytes(16)))).decode()


def ulid(at: datetime, last: int, entropy: int) -> int:
    """Return the number of an event id: milliseconds, then 80 bits of ``entropy``, always above ``last``."""
    made = _time_bits(at) | entropy & _MASK
    return made if made > last else last + 1


def ulid_text(number: int) -> str:
    """Return an event id as its 26 characters of Crockford's base 32, which sort as the numbers do."""
    return _time_text(number >> RANDOM_BITS) + "".join([_PAIRS[number >> shift & 1023] for shift in _RANDOM_SHIFTS])


def ulid_number(text: str) -> int:
    """Return the number of an event id that :func:`is_ulid` accepts."""
    number = 0
    for character in text:
        number = number << 5 | _CROCKFORD.index(character)
    return number


def is_ulid(text: str) -> bool:
    """Whether a text in capitals is an event id."""
    return len(text) == ULID_CHARACTERS and text[0] <= "7" and all(character in _CROCKFORD for character in text)


@lru_cache(maxsize=16)
def _time_bits(at: datetime) -> int:
    """Return the milliseconds of a time where a ULID has them; what happens to an order at one moment makes several."""
    return int(at.timestamp() * 1000) << RANDOM_BITS


@lru_cache(maxsize=256)
def _time_text(milliseconds: int) -> str:
    """Return the first ten characters, which many events of a busy moment share."""
    return "".join([_PAIRS[milliseconds >> shift & 1023] for shift in _TIME_SHIFTS])
