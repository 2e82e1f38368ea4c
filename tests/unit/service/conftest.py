"""A daemon's view, as the door sees it."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from alchemiser.domain.errors import NotReady, SafetyRefused, UsageError
from alchemiser.service.health import HealthReport, Reason
from alchemiser.service.live_feed import LiveFeed
from alchemiser.service.preview import Preview


class FakeView:
    """A daemon that holds one position and remembers what it was asked to do."""

    def __init__(self) -> None:
        self.report = HealthReport(live=True, ready=True)
        self.asked: list[tuple[str, Mapping[str, Any]]] = []
        self.refusal: Exception | None = None
        self.killed: Mapping[str, Any] = {"is_over": True, "could_not": []}
        self.feed = LiveFeed()

    def as_of(self) -> datetime:
        """Return a fixed time."""
        return datetime(2025, 3, 3, 15, 0, tzinfo=UTC)

    def status(self) -> Mapping[str, Any]:
        """Return a short status with text that must be escaped on a page."""
        session = {"date": "2025-03-03", "is_open": True}
        rebalance = {"id": "R1", "state": "working"}
        return {
            "mode": "embedded",
            "account_number": "PA1",
            "trading": {"state": "active"},
            "strategies": ["<tecl>"],
            "session": session,
            "rebalance": rebalance,
        }

    def positions(self) -> Sequence[Mapping[str, Any]]:
        """Return one position."""
        held = Decimal("1.500")
        return [{"symbol": "TECL", "quantity": held, "price": None, "value": None, "broker_quantity": held, "strategies": {"tecl": held}}]

    def orders(self) -> Sequence[Mapping[str, Any]]:
        """Return no orders."""
        return ()

    def pnl(self) -> Mapping[str, Any]:
        """Return the money."""
        return {"equity": Decimal("100000.10"), "cash": Decimal(1), "strategies": {}}

    def events(self, after: int, limit: int) -> Sequence[Mapping[str, Any]]:
        """Return as many numbers as were asked for."""
        place = {"at": "2025-03-03T15:00:00+00:00", "type": "DaemonStopping", "correlation": None, "causation": None}
        return [{"sequence": number, **place} for number in range(max(after, 0) + 1, max(after, 0) + 1 + min(limit, 3))]

    def strategies(self) -> Sequence[Mapping[str, Any]]:
        """Return one strategy."""
        return [{"name": "tecl", "at": self.as_of()}]

    def history(self) -> Sequence[Mapping[str, Any]]:
        """Return one session."""
        return [{"session": "2025-03-03", "equity": Decimal(100), "drawdown": 0.0}]

    def health(self) -> HealthReport:
        """Return the report that the test set."""
        return self.report

    async def plan(self) -> Preview:
        """Return that there is no plan."""
        return Preview(as_of=self.as_of(), reason="nothing is wanted")

    async def control(self, action: str, arguments: Mapping[str, Any]) -> Mapping[str, Any]:
        """Remember the request, or refuse it as the test wants."""
        if self.refusal is not None:
            raise self.refusal
        self.asked.append((action, arguments))
        return {"state": "paused"} if action != "kill" else {"kill": self.killed}


NOT_READY = HealthReport(
    live=True,
    ready=False,
    reasons=(Reason(code="orders_stream", text="lost <since> 15:00", remedy="wait & see", since=datetime(2025, 3, 3, tzinfo=UTC)),),
)
REFUSALS = (SafetyRefused("not while halted"), NotReady("the stream is down"), UsageError("which symbol?"))


@pytest.fixture
def view() -> FakeView:
    """Return a daemon's view."""
    return FakeView()
