"""The key pair that opens the exchange, and how requests present it (section 1.2 of the protocol reference).

Alpaca's own two headers, basic authentication, or the bearer token of an OAuth application, which at this exchange is the secret itself: it
has one account and no applications. The secret is compared in constant time and never part of a text form.
"""

import base64
import binascii
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

OAUTH: Final = "oauth"
"""What stands for the key id where a token opens the account."""


@dataclass(frozen=True)
class Credentials:
    """A key id and its secret."""

    key_id: str
    secret_key: str = field(repr=False)

    @classmethod
    def generate(cls) -> "Credentials":
        """Return a fresh pair that looks like one of a paper account."""
        return cls(key_id=f"PK{secrets.token_hex(9).upper()}", secret_key=secrets.token_urlsafe(30))

    def accept(self, key_id: str, secret_key: str) -> bool:
        """Return whether this is the pair, or ``OAUTH`` with the account's token."""
        key, secret = self._encoded
        same_key = hmac.compare_digest(key, key_id.encode()) or key_id == OAUTH
        same_secret = hmac.compare_digest(secret, secret_key.encode())
        return same_key and same_secret

    @cached_property
    def _encoded(self) -> tuple[bytes, bytes]:
        return self.key_id.encode(), self.secret_key.encode()

    def mask(self, text: str) -> str:
        """Return ``text`` without the secret, for logs."""
        return text.replace(self.secret_key, "***")


def presented_pair(headers: Mapping[str, str]) -> tuple[str, str] | None:
    """Return the key id and secret that the headers carry, or ``None`` when they carry none that can be read."""
    key_id, secret = headers.get("APCA-API-KEY-ID"), headers.get("APCA-API-SECRET-KEY")
    if key_id is not None and secret is not None:
        return key_id, secret
    scheme, _, token = headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return OAUTH, token.strip()
    if scheme.lower() != "basic":
        return None
    try:
        key_id, colon, secret = base64.b64decode(token, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return (key_id, secret) if colon else None
