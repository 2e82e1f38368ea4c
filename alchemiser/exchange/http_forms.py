"""How the REST faces read questions and write answers: JSON bodies, query parameters, times, pages.

Tolerant where the real service is (booleans in any case, dates or times, nanoseconds); what cannot be read is a 400 that names the
parameter.
"""

import base64
import binascii
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import msgspec
from aiohttp import web

from alchemiser.exchange.calls import reply, response_of
from alchemiser.exchange.errors import bad_request
from alchemiser.exchange.wire import UNREADABLE
from alchemiser.market.calendar import midnight

_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_TIME: Final = re.compile(r"(\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}:\d{2})(?:\.(\d{1,9}))?(Z|z|[+-]\d{2}:?\d{2})", re.ASCII)
_INSTANT: Final = timedelta(microseconds=1)
_ONE_DAY: Final = timedelta(days=1)
_FIRST_DAY: Final = date(1900, 1, 1)
_LAST_DAY: Final = date(2200, 1, 1)
"""Beyond these there is nothing to be asked for; within them dates can be reckoned with."""


def answer(value: Any, status: int = 200) -> web.Response:
    """Return a JSON answer."""
    return response_of(reply(value, status))


async def read_json(request: web.Request) -> Any:
    """Return the body of a request; an empty one is an empty object. Raises ``ApiError`` 400 for malformed JSON."""
    return json_of(await request.read())


def json_of(data: bytes) -> Any:
    """Return what a body says; an empty one is an empty object. Raises ``ApiError`` 400 for malformed JSON."""
    try:
        return msgspec.json.decode(data) if data.strip() else {}
    except UNREADABLE as error:
        raise bad_request(f"request body format is invalid: {error}") from error


def words(query: Mapping[str, str], name: str) -> tuple[str, ...]:
    """Return a comma-separated parameter, without repetitions."""
    return tuple(dict.fromkeys(word.strip() for word in query.get(name, "").split(",") if word.strip()))


def choice(query: Mapping[str, str], name: str, allowed: tuple[str, ...], default: str) -> str:
    """Return a parameter that must be one of ``allowed``."""
    text = query.get(name) or default
    if text not in allowed:
        raise bad_request(f"invalid {name}: {text!r} is none of {', '.join(allowed)}")
    return text


def whole_number(query: Mapping[str, str], name: str, *, low: int, high: int, default: int) -> int:
    """Return an integer parameter between two bounds, both included."""
    text = query.get(name)
    if text is None:
        return default
    if not re.fullmatch(r"-?\d{1,9}", text, re.ASCII) or not low <= int(text) <= high:
        raise bad_request(f"invalid {name}: {text!r} is not a whole number from {low} to {high}")
    return int(text)


def moment(query: Mapping[str, str], name: str, *, end_of_day: bool = False) -> datetime | None:
    """Return a time parameter in UTC.

    A date means its first moment in New York, or with ``end_of_day`` its last. Nanoseconds are cut to microseconds.
    """
    text = query.get(name)
    if not text:
        return None
    if _DATE.fullmatch(text):
        first = midnight(_date(name, text))
        return midnight(_date(name, text) + _ONE_DAY) - _INSTANT if end_of_day else first
    match = _TIME.fullmatch(text.replace(" ", "+") if "T" in text else text)
    if match is None:
        raise bad_request(f"invalid {name}: {text!r} is neither an RFC 3339 time nor a YYYY-MM-DD date")
    seconds, fraction, zone = match.groups()
    try:
        at = datetime.fromisoformat(f"{seconds}.{(fraction or '0')[:6]:0<6}{zone.upper()}".replace("Z", "+00:00")).astimezone(UTC)
        return min(max(at, midnight(_FIRST_DAY)), midnight(_LAST_DAY))
    except (ValueError, OverflowError) as error:
        raise bad_request(f"invalid {name}: {error}") from error


def day(query: Mapping[str, str], name: str) -> date | None:
    """Return a date parameter; of a time only its date counts."""
    text = query.get(name)
    return _date(name, text[:10]) if text else None


def page_token(symbol: str, at: datetime) -> str:
    """Return the opaque token of the page that begins after this row."""
    return base64.urlsafe_b64encode(f"{symbol}|{at.isoformat()}".encode()).decode()


def read_page_token(text: str | None) -> tuple[str, datetime] | None:
    """Return the row after which a page begins. Raises ``ApiError`` 400 for a token that is none of ours."""
    if not text:
        return None
    try:
        symbol, _, at = base64.urlsafe_b64decode(text).decode().partition("|")
        return symbol, datetime.fromisoformat(at)
    except (binascii.Error, UnicodeDecodeError, ValueError) as error:
        raise bad_request("invalid page_token") from error


def _date(name: str, text: str) -> date:
    try:
        return min(max(date.fromisoformat(text), _FIRST_DAY), _LAST_DAY)
    except ValueError as error:
        raise bad_request(f"invalid {name}: {text!r} is not a date") from error
