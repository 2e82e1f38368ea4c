"""Alarms of the machine: a clock that is proved to be off, and a disk that fills up."""

import shutil
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from alchemiser.bus.envelope import Envelope
from alchemiser.domain.events import ExecutionReported
from alchemiser.domain.orders import ExecutionReport, Order, OrderState, Side
from alchemiser.service.clock import VirtualClock
from alchemiser.service.host_watch import FREE_BYTES_WANTED, LOOK_SECONDS, HostWatch
from tests.unit.execution.desk import buy, order_of

NOW = datetime(2025, 3, 3, 15, 0, tzinfo=UTC)


class HandClock(VirtualClock):
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> datetime:
        """Return what the test set."""
        return NOW + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        """Return what the test set."""
        return self.seconds


class Host:
    """A watch with one order, intended at three o'clock by our clock."""

    def __init__(self, state: Path) -> None:
        self.clock = HandClock()
        self.request = order_of(buy())
        known = {self.request.client_order_id: Order(request=self.request, state=OrderState.INTENDED, intended_at=NOW)}
        self.watch = HostWatch(order=known.get, clock=self.clock, state=state)

    def report(self, seconds: float, **changes: Any) -> dict[str, str]:
        """Take a report of so many seconds after three o'clock by the venue's clock, and return the alarms."""
        values: dict[str, Any] = {
            "event": "new",
            "status": "new",
            "client_order_id": self.request.client_order_id,
            "venue_order_id": "v",
            "symbol": "SPY",
            "side": Side.BUY,
            "quantity": Decimal(1),
            "cumulative_quantity": Decimal(0),
            "average_price": None,
            "at": NOW + timedelta(seconds=seconds),
        }
        report = ExecutionReport(**values | changes)
        self.watch(Envelope(1, ExecutionReported(at=NOW, report=report), 0.0))
        return self.watch.alarms()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (40.0, "this machine's clock is at least 40 s behind the venue's"),
        (-40.0, "this machine's clock is at least 40 s ahead of the venue's"),
        (9.0, None),
        (-9.0, None),
    ],
)
def test_a_clock_that_is_off_is_proved_by_an_order(tmp_path: Path, seconds: float, text: str | None) -> None:
    """Taken before it was intended, or of a time that has not come yet; what a slow network explains proves nothing."""
    assert Host(tmp_path).report(seconds).get("clock offset") == text


def test_the_alarm_ends_with_an_order_that_agrees(tmp_path: Path) -> None:
    """Somebody has set the clock."""
    host = Host(tmp_path)
    assert "clock offset" in host.report(40.0)
    assert "clock offset" not in host.report(0.1)


@pytest.mark.parametrize("changes", [{"source": "replay"}, {"client_order_id": "somebody else's"}, {"event": "fill"}])
def test_what_proves_nothing_is_no_alarm(tmp_path: Path, changes: dict[str, str]) -> None:
    """A late fill, an old event, an order of somebody else."""
    assert Host(tmp_path).report(-300.0, **changes) == {}


def test_a_disk_that_fills_up_is_an_alarm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before it is full; it is looked at now and then, not at each question."""
    host = Host(tmp_path)
    usage = shutil.disk_usage(tmp_path)
    looks = []

    def disk_usage(path: Path) -> Any:
        looks.append(path)
        return usage._replace(free=FREE_BYTES_WANTED - 1 if host.clock.seconds else FREE_BYTES_WANTED)

    monkeypatch.setattr(shutil, "disk_usage", disk_usage)
    assert (host.watch.alarms(), host.watch.alarms(), len(looks)) == ({}, {}, 1)
    host.clock.seconds = LOOK_SECONDS
    assert host.watch.alarms() == {"disk room": f"{tmp_path}: 500 MB are free"}


def test_a_state_directory_that_is_gone_is_an_alarm(tmp_path: Path) -> None:
    """Health says so instead of failing, and takes it back when the directory is there again."""
    state = tmp_path / "state"
    host = Host(state)
    (told,) = host.watch.alarms().values()
    assert told == f"{state} cannot be looked at: No such file or directory"

    state.mkdir()
    host.clock.seconds = LOOK_SECONDS
    assert "disk gone" not in host.watch.alarms()
