"""The key pair of one account. Both halves hide themselves in every text form; only what goes on the wire sees them.

A key can be changed while the daemon runs: whoever sends asks for it each time, and a refusal makes it look at the source again.
"""

import asyncio
from collections.abc import Callable
from typing import Final

import structlog
from msgspec import Struct
from pydantic import SecretStr

from alchemiser.domain.errors import ConfigError
from alchemiser.domain.runtime import Clock

_log = structlog.get_logger(__name__)

LOOK_AGAIN_SECONDS: Final = 1.0
"""A source is not read more often than this because of refusals: many requests may be refused at once."""


class Credentials(Struct, frozen=True):
    """What proves to the venue who we are."""

    key_id: SecretStr
    secret_key: SecretStr

    def headers(self) -> dict[str, str]:
        """Return the two headers of a REST request."""
        return {"APCA-API-KEY-ID": self.key_id.get_secret_value(), "APCA-API-SECRET-KEY": self.secret_key.get_secret_value()}

    def auth_message(self) -> dict[str, str]:
        """Return the message that authenticates a stream, the same on both streams."""
        return {"action": "auth", "key": self.key_id.get_secret_value(), "secret": self.secret_key.get_secret_value()}

    @property
    def generation(self) -> int:
        """How often the key has changed: never."""
        return 0

    def renew(self) -> bool:
        """Return whether there is another key now: there is none."""
        return False


class RenewableCredentials:
    """A key pair whose source is read again when the venue refuses it, or when somebody asks for it.

    ``read`` returns the pair as its source has it now, and raises ``ConfigError`` when it cannot.
    """

    def __init__(self, first: Credentials, read: Callable[[], Credentials], *, clock: Clock) -> None:
        self._current = first
        self._read = read
        self._clock = clock
        self._looks_again_at: float | None = None
        self.generation = 0
        """How often the key has changed."""
        self.changed = asyncio.Event()
        """Set when the key has changed; whoever acts upon it clears it."""

    def headers(self) -> dict[str, str]:
        """Return the two headers of a REST request."""
        return self._current.headers()

    def auth_message(self) -> dict[str, str]:
        """Return the message that authenticates a stream, the same on both streams."""
        return self._current.auth_message()

    def renew(self) -> bool:
        """Read the source again, unless that was just done, and return whether it has another key than before."""
        now = self._clock.monotonic()
        if self._looks_again_at is not None and now < self._looks_again_at:
            return False
        self._looks_again_at = now + LOOK_AGAIN_SECONDS
        try:
            found = self._read()
        except ConfigError as error:
            _log.error("key_not_renewed", reason=str(error), action="the present one is kept")
            return False
        return self.take(found)

    def take(self, found: Credentials) -> bool:
        """Use this key pair from now on, and return whether it is another one than before."""
        if found.headers() == self._current.headers():
            return False
        self._current = found
        self.generation += 1
        self.changed.set()
        _log.warning("key_renewed", action="requests use it from now on, the streams are connected anew")
        return True


AnyCredentials = Credentials | RenewableCredentials
