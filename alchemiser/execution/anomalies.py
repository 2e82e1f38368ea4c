"""What cannot be when an order stream is complete: ids or times that go back, fills that do not add up, answers that do not come. Pure.

An anomaly proves nothing about what was missed, only that something may have been: it opens a gap. Messages that come twice are none; the
venue repeats itself around reconnects.
"""

from collections import OrderedDict
from datetime import datetime, timedelta
from typing import Final

from alchemiser.domain.money import number_string
from alchemiser.domain.orders import ExecutionReport, Order

BACKWARDS_TOLERANCE: Final = timedelta(seconds=2)
"""How far a message may be older than the newest before it: executions are dated where they happened."""

IDS_KEPT: Final = 4_096
"""How many ids of messages are remembered to know one that comes twice."""


class StreamAuditor:
    """Judges each message of the order stream by those before it; :meth:`begin` forgets them when the stream is connected anew."""

    def __init__(self) -> None:
        self._seen: OrderedDict[str, None] = OrderedDict()
        self._newest_id: str | None = None
        self._newest_at: datetime | None = None

    def begin(self) -> None:
        """Start over: what a new connection sends first may be older than what the last one sent."""
        self._newest_id = self._newest_at = None

    def judge(self, report: ExecutionReport, order: Order | None) -> str | None:
        """Return in words what is wrong with a message, ``None`` when nothing is. ``order`` is our order after it."""
        identity = report.event_id or report.execution_id
        if identity is not None and identity in self._seen:
            return None
        if identity is not None:
            self._seen[identity] = None
            if len(self._seen) > IDS_KEPT:
                self._seen.popitem(last=False)
        return self._backwards(report) or _not_adding_up(report, order)

    def _backwards(self, report: ExecutionReport) -> str | None:
        newest_id, newest_at = self._newest_id, self._newest_at
        if report.event_id is not None:
            self._newest_id = max(report.event_id, newest_id or "")
            if newest_id is not None and report.event_id < newest_id:
                return f"event {report.event_id} came after event {newest_id}"
        self._newest_at = max(report.at, newest_at or report.at)
        if newest_at is not None and report.at < newest_at - BACKWARDS_TOLERANCE:
            return f"a message of {report.at:%H:%M:%S.%f} came after one of {newest_at:%H:%M:%S.%f}"
        return None


def _not_adding_up(report: ExecutionReport, order: Order | None) -> str | None:
    if order is None or not order.missing_quantity:
        return None
    seen, counted = number_string(order.cumulative_quantity), number_string(order.reported_quantity)
    return f"the venue counts {counted} filled of order {order.client_order_id}, and its executions make {seen}"


class Awaited:
    """The orders of which the stream owes a word: accepted and never mentioned by it, or asked to be cancelled."""

    def __init__(self) -> None:
        self._since: dict[str, datetime] = {}
        self._mentioned: dict[str, None] = {}

    def accepted(self, client_order_id: str, at: datetime) -> None:
        """Take note that the venue has taken an order, by an answer that the stream may have overtaken."""
        if client_order_id not in self._mentioned:
            self._since.setdefault(client_order_id, at)

    def cancel_requested(self, client_order_id: str, at: datetime) -> None:
        """Take note that a cancel was asked for."""
        self._since.setdefault(client_order_id, at)

    def mentioned(self, client_order_id: str, *, has_ended: bool) -> None:
        """Take note that the stream said something about an order, perhaps that it has ended."""
        self._since.pop(client_order_id, None)
        if not has_ended:
            self._mentioned[client_order_id] = None

    def ended(self, client_order_id: str, *, was_there: bool) -> None:
        """Take note that an order has ended; if the venue had it, and told so by another road, the stream owes its word all the same."""
        self._mentioned.pop(client_order_id, None)
        if not was_there:
            self._since.pop(client_order_id, None)

    def begin(self, at: datetime) -> None:
        """Give a new connection its own time for what the last one owed."""
        self._since = dict.fromkeys(self._since, at)

    def settle(self) -> None:
        """Owe nothing: the venue has been asked about every order."""
        self._since.clear()

    @property
    def oldest(self) -> tuple[str, datetime] | None:
        """The order that has waited longest for a word, and since when."""
        return next(iter(self._since.items()), None)
