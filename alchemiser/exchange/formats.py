"""How the venue writes times and numbers: RFC 3339 in UTC with ``Z``, decimal numbers as strings."""

from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from functools import lru_cache
from typing import Final

from alchemiser.domain.money import number_string

PRICE_DECIMALS: Final = Decimal("0.000000001")


@lru_cache(maxsize=1024)
def time_text(at: datetime) -> str:
    """Return a time the way the venue does: nanosecond RFC 3339 with trailing zeros left out, always ``Z``."""
    text = at.astimezone(UTC).isoformat().removesuffix("+00:00")
    return (text.rstrip("0") if at.microsecond else text) + "Z"


def optional_time(at: datetime | None) -> str | None:
    """Return the text of a time that may be missing."""
    return None if at is None else time_text(at)


def optional_number(value: Decimal | None) -> str | None:
    """Return the number-string of a value that may be missing."""
    return None if value is None else number_string(value)


def average_text(value: Decimal) -> str:
    """Return the number-string of a quotient, rounded half-even to nine decimals."""
    return number_string(value.quantize(PRICE_DECIMALS, rounding=ROUND_HALF_EVEN))
