"""Fields of JSON bodies and query strings, read into values; the venue's words for what cannot be read (section 2.1).

Every reader raises ``ApiError`` for a value it cannot read. Numbers are taken as numbers or as strings; unknown members are ignored.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from alchemiser.domain.money import SHARE_QUANTUM, truncate_shares
from alchemiser.exchange.errors import bad_request, invalid

MAX_CLIENT_ORDER_ID_CHARACTERS: Final = 128
LARGEST_NUMBER: Final = Decimal(1_000_000_000)
"""No quantity, price or amount may be larger: products of any two stay exact in the decimal context."""
SMALLEST_NUMBER: Final = SHARE_QUANTUM

_READABLE: Final = (str, int, Decimal)
_NUMBER: Final = re.compile(r"[+-]?(\d{1,40}(\.\d{0,40})?|\.\d{1,40})([eE][+-]?\d{1,3})?", re.ASCII)


def read_object(body: object) -> Mapping[str, Any]:
    """Return a body as an object. Raises the 400 of one that is something else."""
    if not isinstance(body, dict):
        raise bad_request("request body format is invalid")
    return body


def read_number(fields: Mapping[str, Any], name: str) -> Decimal | None:
    """Read a number that may be absent: a JSON number or a string of digits; a float counts as the decimal number it prints as."""
    value = fields.get(name)
    if value is None or value == "":
        return None
    # A float means the number it prints as; what prints as nan or inf does not match.
    text = repr(value) if isinstance(value, float) else str(value)[:100] if type(value) in _READABLE else ""
    if not _NUMBER.fullmatch(text):
        raise invalid(f"{name.replace('_', ' ')} is not a number")
    return Decimal(text)


def read_positive(fields: Mapping[str, Any], name: str) -> Decimal | None:
    """Read a number that may be absent and must be positive and not absurdly large."""
    if fields.get(name) is None:
        return None  # Of the numbers that an order may have most have two.
    number = read_number(fields, name)
    if number is None or SMALLEST_NUMBER <= number <= LARGEST_NUMBER:
        return number
    words = name.replace("_", " ")
    raise invalid(f"{words} must be > 0" if number < SMALLEST_NUMBER else f"{words} must be <= {LARGEST_NUMBER}")


def read_shares(fields: Mapping[str, Any]) -> Decimal | None:
    """Read a quantity; the venue cuts what is finer than nine decimals without a word."""
    quantity = read_positive(fields, "qty")
    return None if quantity is None else truncate_shares(quantity)


def read_choice(fields: Mapping[str, Any], name: str, allowed: Any, default: str | None = None) -> Any:
    """Read one of the values of a literal type; absent and without a default it is required."""
    value = fields.get(name)
    if value is None or value == "":
        value = default
    if value is None:
        raise invalid(f"{name} is required")
    if value not in allowed.__args__:
        raise invalid(f"invalid {name}: {str(value)[:40]}")
    return value


def read_flag(fields: Mapping[str, Any], name: str) -> bool:
    """Read a boolean in any of the spellings that clients use; absent is false."""
    value = fields.get(name)
    if value is None or value == "":
        return False
    text = str(value).lower()
    if text not in ("true", "false", "1", "0"):
        raise invalid(f"invalid {name}: {text[:40]}")
    return text in ("true", "1")


def read_count(query: Mapping[str, str], name: str, *, default: int, most: int) -> int:
    """Read a whole number between one and ``most``."""
    text = query.get(name)
    if not text:
        return default
    if not text.isascii() or not text.isdigit() or len(text) > 9 or not 1 <= int(text) <= most:
        raise invalid(f"{name} must be between 1 and {most}")
    return int(text)


def read_names(query: Mapping[str, str], name: str) -> tuple[str, ...]:
    """Read a list whose parts are parted by commas."""
    return tuple(part.strip() for part in query.get(name, "").split(",") if part.strip())


def read_time(query: Mapping[str, str], name: str) -> datetime | None:
    """Read a date or a time that may be absent, as UTC."""
    text = query.get(name)
    if not text:
        return None
    try:
        # An unescaped plus sign of the offset arrives as a space.
        at = datetime.fromisoformat(text.replace(" ", "+") if "T" in text else text)
    except ValueError:
        raise invalid(f"invalid {name}: {text[:40]}") from None
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def read_id(query: Mapping[str, str], name: str) -> str | None:
    """Read an order id that may be absent."""
    text = query.get(name)
    return parse_order_id(text) if text else None


def read_client_order_id(fields: Mapping[str, Any]) -> str | None:
    """Read a client order id that may be absent."""
    value = fields.get("client_order_id")
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise invalid("client_order_id must be a string")
    if len(value) > MAX_CLIENT_ORDER_ID_CHARACTERS:
        raise invalid("client_order_id must be no more than 128 characters")
    return value


def parse_order_id(text: str, named: str = "order_id") -> str:
    """Return the id of an order, or of what is ``named``, in its dashed form. Raises the 422 that the venue gives for what is no UUID."""
    try:
        return str(UUID(text))
    except ValueError:
        raise invalid(f"{named} is missing") from None
