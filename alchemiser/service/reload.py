"""SIGHUP: the settings are read again beside the running daemon, and what differs is told.

A new key pair is taken at once. Strategy files are watched anyway. Every other setting was checked together with all the rest when the
daemon started, and stays what it was until the next start; the log says which differ.
"""

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import structlog

from alchemiser.alpaca.credentials import AnyCredentials, Credentials
from alchemiser.domain.errors import ConfigError
from alchemiser.service.settings import Settings
from alchemiser.service.settings_load import Difference, differences

_log = structlog.get_logger(__name__)

TAKEN_AT_ONCE: Final = frozenset({"alpaca.key_id", "alpaca.secret_key"})


class Reload:
    """Compares the settings as they are written now with those that run."""

    def __init__(self, running: Settings, read: Callable[[], Settings], credentials: AnyCredentials) -> None:
        self._running = running
        self._read = read
        self._credentials = credentials

    def __call__(self) -> list[Difference]:
        """Read the settings again, take the key, tell and return what differs; settings that are wrong change nothing."""
        try:
            written = self._read()
        except ConfigError as error:
            _log.error("settings_not_read", reason=str(error), action="the daemon goes on with those that it has")
            return []
        found = [one for one in differences(self._running, written) if not (one.key in TAKEN_AT_ONCE and self._has_key_of(written))]
        for one in found:
            action = "taken now" if one.key in TAKEN_AT_ONCE else "takes effect at the next start"
            _log.warning("setting_differs", key=one.key, running=one.before, written=one.after, action=action)
        if not found:
            _log.info("settings_read_again", reason="they are what they were")
        if any(one.key in TAKEN_AT_ONCE for one in found):
            self._credentials.renew()
        return found

    def _has_key_of(self, written: Settings) -> bool:
        """Return whether the key that is written has been taken already, because the old one was refused."""
        alpaca = written.alpaca
        if alpaca.key_id is None or alpaca.secret_key is None:
            return False
        return Credentials(key_id=alpaca.key_id, secret_key=alpaca.secret_key).headers() == self._credentials.headers()


@contextmanager
def reloading_on_hangup(reload: Reload, *, enabled: bool) -> Iterator[None]:
    """Call it at each SIGHUP while the block runs."""
    if not enabled:
        yield
        return
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, reload)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGHUP)
