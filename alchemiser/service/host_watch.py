"""What is wrong with the machine under the daemon, as alarms of its health: a clock that is off, a disk that fills up.

The clock is judged by what the venue says of our own orders, and only where it proves something: an event of a time that has not come
yet here, or an order that was taken before it was intended here. So it costs no request, and what it cannot see the doctor measures.
"""

import shutil
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Final

from alchemiser.bus.envelope import Envelope
from alchemiser.domain.events import Event, ExecutionReported
from alchemiser.domain.orders import Order
from alchemiser.domain.runtime import Clock

OFFSET_SECONDS_AT_MOST: Final = 10.0
"""How far our clock and the venue's may seem apart. An exchange of our own that runs fast is followed once a second."""

FREE_BYTES_WANTED: Final = 500_000_000
"""With less room than this somebody should make some: when there is none the daemon ends."""

LOOK_SECONDS: Final = 10.0

_TAKEN: Final = frozenset({"new", "accepted", "pending_new"})


class HostWatch:
    """Listens to the reports of the venue, and looks at the disk of the state directory at most every ten seconds."""

    listens_to: tuple[type[Event], ...] = (ExecutionReported,)

    def __init__(self, *, order: Callable[[str], Order | None], clock: Clock, state: Path) -> None:
        """``order`` finds an order of ours by its client order id."""
        self._order = order
        self._clock = clock
        self._state = state
        self._offset_seconds = 0.0
        self._looked_at: float | None = None
        self._free_bytes = FREE_BYTES_WANTED
        self._problem: str | None = None

    def __call__(self, envelope: Envelope) -> None:
        """Compare the time of a report with ours."""
        event = envelope.event
        assert isinstance(event, ExecutionReported)
        report = event.report
        order = self._order(report.client_order_id)
        if report.source == "replay" or order is None:
            return
        behind = _seconds(report.at, self._clock.now())
        ahead = _seconds(order.intended_at, report.at) if report.event in _TAKEN else 0.0
        if behind > OFFSET_SECONDS_AT_MOST:
            self._offset_seconds = -behind
        elif ahead > OFFSET_SECONDS_AT_MOST:
            self._offset_seconds = ahead
        elif report.event in _TAKEN:
            self._offset_seconds = 0.0

    def alarms(self) -> dict[str, str]:
        """Return what is wrong, by subject; the first word is the code."""
        found = {}
        if self._offset_seconds:
            word = "ahead of" if self._offset_seconds > 0 else "behind"
            found["clock offset"] = f"this machine's clock is at least {abs(self._offset_seconds):.0f} s {word} the venue's"
        self._look()
        if self._problem:
            found["disk gone"] = f"{self._state} cannot be looked at: {self._problem}"
        elif self._free_bytes < FREE_BYTES_WANTED:
            found["disk room"] = f"{self._state}: {self._free_bytes / 1e6:.0f} MB are free"
        return found

    def _look(self) -> None:
        now = self._clock.monotonic()
        if self._looked_at is not None and now - self._looked_at < LOOK_SECONDS:
            return
        self._looked_at = now
        try:
            self._free_bytes, self._problem = shutil.disk_usage(self._state).free, None
        except OSError as error:
            self._problem = error.strerror or str(error)


def _seconds(later: datetime, earlier: datetime) -> float:
    return (later - earlier).total_seconds()
