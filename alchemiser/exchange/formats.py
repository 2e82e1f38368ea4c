"""How the venue writes times and numbers: RFC 3339 in UTC with ``Z``, decimal numbers as strings.

A ``member`` is the JSON of a value, ``null`` for one that is missing. What is written again and again is remembered: the times of one
moment, the same few prices and quantities, and nothing at all; equal numbers read alike.
"""

from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from functools import lru_cache
from typing import Final

import msgspec

from alchemiser.domain.money import number_string

PRICE_DECIMALS: Final = Decimal("0.000000001")


def time_text(at: datetime) -> str:
    """Return a time the way the venue does: nanosecond RFC 3339 with trailing zeros left out, always ``Z``."""
    if at.tzinfo is not UTC:
        at = at.astimezone(UTC)
    second = _second_text(at.year, at.month, at.day, at.hour, at.minute, at.second)
    return f"{second}.{at.microsecond:06}".rstrip("0") + "Z" if at.microsecond else f"{second}Z"


@lru_cache(maxsize=16)
def _second_text(year: int, month: int, day: int, hour: int, minute: int, second: int) -> str:
    """Return a time without its fraction, which thousands of orders and events of a busy second share."""
    return f"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}"


def average_text(value: Decimal) -> str:
    """Return the number-string of a quotient, rounded half-even to nine decimals."""
    return number_string(value.quantize(PRICE_DECIMALS, rounding=ROUND_HALF_EVEN))


@lru_cache(maxsize=1_024)
def time_member(at: datetime | None) -> str:
    """Return a time as a member."""
    return "null" if at is None else f'"{time_text(at)}"'


@lru_cache(maxsize=4_096)
def number_member(value: Decimal | None) -> str:
    """Return a number as a member."""
    return "null" if value is None else f'"{number_string(value)}"'


@lru_cache(maxsize=256)
def average_member(value: Decimal | None) -> str:
    """Return a quotient as a member."""
    return "null" if value is None else f'"{average_text(value)}"'


def id_member(value: str | None) -> str:
    """Return an id of the venue's own as a member: nothing in it has to be escaped."""
    return "null" if value is None else f'"{value}"'


def text_member(text: str) -> str:
    """Return a text that others wrote as a member."""
    return msgspec.json.encode(text).decode()
