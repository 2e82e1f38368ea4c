"""Notices to systemd, over a real datagram socket."""

import os
import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from alchemiser.bus.envelope import Envelope
from alchemiser.domain.events import GuardTripped, RecoveryCompleted
from alchemiser.service.notify import ManagerNews, SystemdNotifier

AT = datetime(2025, 3, 3, 15, 0, tzinfo=UTC)


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    """Return a socket that listens as systemd does."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(2)
        yield listener


def notifier(manager: socket.socket, **environ: str) -> SystemdNotifier:
    """Return a notifier that was started by this manager."""
    return SystemdNotifier({"NOTIFY_SOCKET": manager.getsockname(), **environ})


def test_every_notice_is_one_datagram(manager: socket.socket) -> None:
    """Ready, stopping, status and watchdog are said in systemd's words."""
    notify = notifier(manager)

    notify.ready("trading  2 strategies\n")
    notify.status("waiting")
    notify.feed_watchdog()
    notify.stopping()

    assert [b"READY=1\nSTATUS=trading 2 strategies", b"STATUS=waiting", b"WATCHDOG=1", b"STOPPING=1"] == [
        manager.recv(1000) for _ in range(4)
    ]
    assert notify.undelivered == 0


def test_the_manager_is_told_of_the_end_of_the_start_and_of_guards(manager: socket.socket) -> None:
    """Ready is said when recovery is complete and not before; what a guard found is the line that systemctl shows."""
    tell = ManagerNews(notifier(manager), "abc123")
    tell(Envelope(1, RecoveryCompleted(at=AT, events_replayed=0, fills_recovered=0, open_orders=0), 0.0))
    loss = Decimal("0.06")
    trip = GuardTripped(at=AT, guard="daily_loss", strategy=None, action="halt", value=loss, limit=loss, cleared=loss, text="lost 6 %")
    tell(Envelope(2, trip, 0.0))

    assert [b"READY=1\nSTATUS=recovered, epoch abc123", b"STATUS=guard daily_loss: lost 6 %"] == [manager.recv(1000) for _ in range(2)]


def test_speaks_to_an_abstract_socket() -> None:
    """A name that begins with ``@`` is in the abstract namespace."""
    name = f"alchemiser-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(f"\0{name}")
        listener.settimeout(2)

        SystemdNotifier({"NOTIFY_SOCKET": f"@{name}"}).feed_watchdog()

        assert listener.recv(100) == b"WATCHDOG=1"


@pytest.mark.parametrize("environ", [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "vsock:2:1"}])
def test_without_a_manager_nothing_happens(environ: dict[str, str]) -> None:
    """Outside systemd every call is a no-op."""
    notify = SystemdNotifier(environ)

    notify.ready()
    notify.status("")

    assert notify.undelivered == 0
    assert notify.feed_seconds is None


def test_a_lost_notice_is_counted_and_nothing_more(tmp_path: Path) -> None:
    """A manager that went away does not take the daemon with it."""
    notify = SystemdNotifier({"NOTIFY_SOCKET": str(tmp_path / "nobody")})

    notify.feed_watchdog()

    assert notify.undelivered == 1


@pytest.mark.parametrize(
    ("environ", "feed_seconds"),
    [
        ({"WATCHDOG_USEC": "60000000"}, 30.0),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": str(os.getpid())}, 30.0),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({}, None),
    ],
)
def test_the_watchdog_is_fed_twice_in_its_time(environ: dict[str, str], feed_seconds: float | None) -> None:
    """The interval comes from systemd and counts only for the process it was meant for."""
    assert feed_seconds == SystemdNotifier(environ).feed_seconds
