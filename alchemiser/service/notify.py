"""Telling systemd how the process is: ready, stopping, alive, in words. Without systemd every call does nothing.

The protocol is that of sd_notify(3): one datagram per message to the socket named by ``NOTIFY_SOCKET``.
"""

import os
import socket
from collections.abc import Mapping
from typing import Final

from alchemiser.bus.envelope import Envelope
from alchemiser.domain.events import Event, GuardTripped, RecoveryCompleted

_STATUS_CHARACTERS: Final = 200


class SystemdNotifier:
    """Sends notifications to the service manager that started this process, if there is one.

    A message that cannot be delivered is dropped: the manager notices silence by itself, which is what the watchdog is for.
    ``undelivered`` counts them.
    """

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        environ = os.environ if environ is None else environ
        self._address = _address_of(environ.get("NOTIFY_SOCKET", ""))
        self.watchdog_seconds: Final = _watchdog_seconds(environ)
        self.undelivered = 0

    @property
    def feed_seconds(self) -> float | None:
        """How often the watchdog should be fed: twice in its time; ``None`` when there is none for this process."""
        return None if self.watchdog_seconds is None else self.watchdog_seconds / 2

    def ready(self, status: str = "") -> None:
        """Say that the start is complete."""
        self._send("READY=1", *_status(status))

    def stopping(self, status: str = "") -> None:
        """Say that the process is on its way out."""
        self._send("STOPPING=1", *_status(status))

    def status(self, status: str) -> None:
        """Set the line that ``systemctl status`` shows."""
        self._send(*_status(status))

    def feed_watchdog(self) -> None:
        """Say that the process is alive. Call it for a proven turn of the bus, never from a timer alone."""
        self._send("WATCHDOG=1")

    def _send(self, *lines: str) -> None:
        if self._address is None or not lines:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK) as sender:
                sender.connect(self._address)
                sender.sendall("\n".join(lines).encode())
        except OSError:
            self.undelivered += 1


class ManagerNews:
    """An inline listener that tells the service manager when the start is complete and what a guard found."""

    listens_to: tuple[type[Event], ...] = (RecoveryCompleted, GuardTripped)

    def __init__(self, notifier: SystemdNotifier, epoch: str) -> None:
        self._notifier = notifier
        self._epoch = epoch

    def __call__(self, envelope: Envelope) -> None:
        """Tell one event."""
        event = envelope.event
        if isinstance(event, GuardTripped):
            self._notifier.status(f"guard {event.guard}: {event.text}")
        else:
            self._notifier.ready(f"recovered, epoch {self._epoch}")


def _address_of(text: str) -> str | None:
    if text.startswith("@"):
        return "\0" + text[1:]  # The abstract namespace, which has no file.
    return text if text.startswith("/") else None


def _watchdog_seconds(environ: Mapping[str, str]) -> float | None:
    microseconds = environ.get("WATCHDOG_USEC", "")
    meant_for = environ.get("WATCHDOG_PID", "")
    if not microseconds.isdecimal() or int(microseconds) == 0:
        return None
    if meant_for and meant_for != str(os.getpid()):
        return None
    return int(microseconds) / 1_000_000


def _status(text: str) -> tuple[str, ...]:
    line = " ".join(text.split())[:_STATUS_CHARACTERS]
    return (f"STATUS={line}",) if line else ()
