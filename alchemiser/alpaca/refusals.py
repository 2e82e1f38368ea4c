"""What an answer that is not a success proves, as an error of the tree. Pure.

Only a readable refusal is a refusal. An answer by something in front of the venue (an HTML page, an empty body, a 5xx) proves nothing
about the request: a question may be asked again, but a request with an effect has an unknown outcome until it is looked up.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from alchemiser.domain.errors import (
    CredentialsRefused,
    NotFoundAtVenue,
    OrderRejected,
    OutcomeUnknown,
    RateLimited,
    VenueError,
    VenueUnavailable,
)

_UNPROVEN: Final = frozenset({408, 425})
_EXCERPT_CHARACTERS: Final = 200


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked: in words for the message, and whether it has an effect at the venue."""

    what: str
    has_effect: bool


def refusal(subject: Subject, status: int, body: bytes, *, retry_after_seconds: float = 1.0, request_id: str | None = None) -> VenueError:
    """Return the error that an answer other than a success stands for."""
    trace = f", request {request_id}" if request_id else ""
    if status == 429:
        return RateLimited(
            f"{subject.what}: the request quota is used up; nothing was done, asking again in {retry_after_seconds:.0f} s{trace}",
            retry_after_seconds=retry_after_seconds,
        )
    members = _members(body)
    text = _text(members)
    if status == 401:
        return CredentialsRefused(
            f"{subject.what}: the venue refused the credentials ({text}){trace}; check the key id and secret of this account"
        )
    if status == 403 and _blames_credentials(members, body):
        return CredentialsRefused(
            f"{subject.what}: the venue refused the credentials ({text}){trace}; check the key id and secret of this account"
        )
    if members is None or status < 400 or status >= 500 or status in _UNPROVEN:
        return unproven(subject, f"HTTP {status} {_excerpt(body)}{trace}")
    code = _code(members)
    told = f"{subject.what}: {text} (HTTP {status}{f', code {code}' if code else ''}{trace})"
    if status == 404:
        return NotFoundAtVenue(told)
    return OrderRejected(told, code=code, status=status) if subject.has_effect else VenueError(told)


def unproven(subject: Subject, reason: str) -> VenueError:
    """Return the error for a request that was sent and got no readable answer."""
    if subject.has_effect:
        return OutcomeUnknown(f"{subject.what}: no readable answer ({reason}); it is not repeated, its outcome must be looked up")
    return VenueUnavailable(f"{subject.what}: no readable answer ({reason})")


def _members(body: bytes) -> Mapping[str, Any] | None:
    try:
        decoded = msgspec.json.decode(body)
    except msgspec.DecodeError:
        return None
    return decoded if isinstance(decoded, dict) else None


def _blames_credentials(members: Mapping[str, Any] | None, body: bytes) -> bool:
    """A 403 without a code means the key; but not the data plan's refusal, and not a page by something in front of the venue."""
    if members is None:
        return not body.strip()
    return not _code(members) and "subscription" not in str(members.get("message", ""))


def _code(members: Mapping[str, Any]) -> int:
    code = members.get("code")
    return code if isinstance(code, int) else 0


def _text(members: Mapping[str, Any] | None) -> str:
    """The venue's words, with whatever numbers it added to explain itself."""
    if members is None:
        return "no reason given"
    extras = " ".join(f"{name}={value}" for name, value in sorted(members.items()) if name not in ("code", "message"))
    message = str(members.get("message", "no reason given"))
    return f"{message} [{extras}]" if extras else message


def _excerpt(body: bytes) -> str:
    text = " ".join(body[: 2 * _EXCERPT_CHARACTERS].decode("utf-8", "replace").split())
    return repr(text[:_EXCERPT_CHARACTERS]) if text else "with an empty body"
