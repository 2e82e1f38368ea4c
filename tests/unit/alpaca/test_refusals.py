"""Every row of the protocol reference's error table, and what it proves."""

from typing import Any

import msgspec
import pytest

from alchemiser.alpaca.refusals import Subject, refusal, unproven
from alchemiser.domain.errors import (
    CredentialsRefused,
    NotFoundAtVenue,
    OrderRejected,
    OutcomeUnknown,
    RateLimited,
    VenueError,
    VenueUnavailable,
)

READ = Subject(what="account", has_effect=False)
ORDER = Subject(what="submit of order e1-20250303.1-s1-1", has_effect=True)
HTML = b"<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"


def body(code: int | None, message: str, **extras: Any) -> bytes:
    members: dict[str, Any] = {"message": message, **extras}
    return msgspec.json.encode(members if code is None else {"code": code, **members})


TABLE = [
    # status, body, error of a read, error of a request with an effect
    (400, body(None, "request body format is invalid"), VenueError, OrderRejected),
    (401, body(40110000, "access key verification failed : access key not found"), CredentialsRefused, CredentialsRefused),
    (401, body(None, "unauthorized."), CredentialsRefused, CredentialsRefused),
    (401, b"", CredentialsRefused, CredentialsRefused),
    (403, body(40310000, "insufficient buying power", buying_power="176531.28"), VenueError, OrderRejected),
    (403, body(40310100, "trade denied due to pattern day trading protection"), VenueError, OrderRejected),
    (403, body(None, "forbidden."), CredentialsRefused, CredentialsRefused),
    (403, b"", CredentialsRefused, CredentialsRefused),
    (403, HTML, VenueUnavailable, OutcomeUnknown),
    (403, body(None, "subscription does not permit querying recent SIP data"), VenueError, OrderRejected),
    (404, body(40410000, "order not found"), NotFoundAtVenue, NotFoundAtVenue),
    (404, HTML, VenueUnavailable, OutcomeUnknown),
    (404, b"", VenueUnavailable, OutcomeUnknown),
    (408, body(None, "request timeout"), VenueUnavailable, OutcomeUnknown),
    (422, body(40010001, "qty must be > 0"), VenueError, OrderRejected),
    (422, body(42210000, 'order is already in "filled" state'), VenueError, OrderRejected),
    (422, b"[]", VenueUnavailable, OutcomeUnknown),
    (429, body(42910000, "rate limit exceeded"), RateLimited, RateLimited),
    (429, b"too many requests.", RateLimited, RateLimited),
    (500, body(50010000, "internal server error"), VenueUnavailable, OutcomeUnknown),
    (502, HTML, VenueUnavailable, OutcomeUnknown),
    (503, b"", VenueUnavailable, OutcomeUnknown),
    (504, HTML, VenueUnavailable, OutcomeUnknown),
    (301, b"", VenueUnavailable, OutcomeUnknown),
]


@pytest.mark.parametrize(("status", "raw", "read_error", "order_error"), TABLE)
def test_error_table(status: int, raw: bytes, read_error: type[VenueError], order_error: type[VenueError]) -> None:
    """Only a readable refusal is a refusal; anything else leaves an effect unknown and a question open."""
    assert type(refusal(READ, status, raw)) is read_error
    assert type(refusal(ORDER, status, raw)) is order_error


def test_a_rejection_keeps_what_the_venue_said() -> None:
    """Code, status, text, the numbers beside it, the request id and the order it concerns are all there."""
    raw = body(40310000, "insufficient qty available for order", available="4", related_orders=["a"])
    error = refusal(ORDER, 403, raw, request_id="abc123")
    assert isinstance(error, OrderRejected)
    assert (error.code, error.status) == (40310000, 403)
    for part in ("e1-20250303.1-s1-1", "insufficient qty available", "available=4", "abc123"):
        assert part in str(error)


def test_a_rate_limit_says_when_to_come_back() -> None:
    """The wait is part of the error."""
    error = refusal(READ, 429, b"", retry_after_seconds=12.5)
    assert isinstance(error, RateLimited)
    assert error.retry_after_seconds == 12.5


def test_a_code_that_is_no_number_is_no_code() -> None:
    """A member of the wrong kind does not raise."""
    error = refusal(ORDER, 422, b'{"code": "x"}')
    assert isinstance(error, OrderRejected)
    assert error.code == 0


def test_long_pages_are_cut() -> None:
    """An error does not carry a whole page."""
    assert len(str(refusal(READ, 502, b"<p>" * 10_000))) < 400


def test_silence_after_sending() -> None:
    """A question may be asked again; an effect may not."""
    assert type(unproven(READ, "silence")) is VenueUnavailable
    assert type(unproven(ORDER, "silence")) is OutcomeUnknown
