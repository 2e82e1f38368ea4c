"""What takes new settings and is no part of the daemon: the broker's key, the patience with streams, the listeners at the door, the log."""

from collections.abc import Callable
from typing import Protocol

from alchemiser.alpaca.credentials import AnyCredentials, Credentials, RenewableCredentials
from alchemiser.service.http_address import split_address
from alchemiser.service.live_feed import LiveFeed
from alchemiser.service.safety import is_loopback
from alchemiser.service.settings import Settings


class PatientWatch(Protocol):
    """Whoever watches the streams."""

    def be_patient(self, *, order_seconds: float, market_seconds: float) -> None:
        """Wait so long from the next look on."""


class Beside:
    """Called with the settings that were taken, in the same step in which the daemon takes them."""

    def __init__(
        self,
        started: Settings,
        *,
        credentials: AnyCredentials,
        watch: PatientWatch,
        feed: LiveFeed,
        log_by: Callable[[Settings], None],
    ) -> None:
        self._token = started.service.token
        self._is_private = is_loopback(split_address(started.service.http)[0])
        self._credentials = credentials
        self._watch = watch
        self._feed = feed
        self._log_by = log_by

    def __call__(self, settings: Settings) -> None:
        """Take them."""
        alpaca = settings.alpaca
        if isinstance(self._credentials, RenewableCredentials) and alpaca.key_id is not None and alpaca.secret_key is not None:
            self._credentials.take(Credentials(key_id=alpaca.key_id, secret_key=alpaca.secret_key))
        self._watch.be_patient(order_seconds=settings.execution.order_silence_seconds, market_seconds=settings.market.silence_seconds)
        if settings.service.token != self._token:
            self._token = settings.service.token
            if not self._is_private:
                self._feed.close()  # Whoever listens has shown the old one; he may come again with the new one.
        self._log_by(settings)
