"""The shortfall reporter: once per rebalance, when its session is over, with the closes of that session and of no other."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from alchemiser.bus.envelope import Envelope
from alchemiser.domain.errors import VenueUnavailable
from alchemiser.domain.events import Event, RebalanceCompleted, RecoveryCompleted, SessionClosed, ShortfallReported
from alchemiser.domain.market import Bar, MarketSnapshot
from alchemiser.domain.shortfall import Shortfall
from alchemiser.execution.costs import shortfall_of
from alchemiser.execution.shortfall import ShortfallReporter, closes_of, session_of
from alchemiser.service.clock import VirtualClock
from alchemiser.service.overview import KEPT_SHORTFALLS, Overview
from tests.solipsism import virtual
from tests.unit.execution.desk import SESSION, START, ScriptedVenue, plan_of
from tests.unit.execution.situations import wanted

MIDNIGHT = datetime(2025, 3, 3, 5, 0, tzinfo=UTC)
CLOSED = SessionClosed(at=START, session=SESSION)


def bar(close: float, start: datetime = MIDNIGHT) -> Bar:
    """Return a daily bar of SPY."""
    return Bar(symbol="SPY", start=start, open=1, high=1, low=1, close=close, volume=1)


def snapshot(today: Bar | None, previous: Bar | None = None) -> MarketSnapshot:
    """Return a snapshot of SPY."""
    return MarketSnapshot(symbol="SPY", quote=None, last_price=None, last_at=None, today=today, previous=previous)


@pytest.mark.parametrize(
    ("today", "previous", "expected"),
    [
        (bar(101.5), bar(99.0, MIDNIGHT - timedelta(days=3)), {"SPY": Decimal("101.5")}),
        (bar(105.0, MIDNIGHT + timedelta(days=1)), bar(101.5), {"SPY": Decimal("101.5")}),
        (bar(105.0, MIDNIGHT + timedelta(days=1)), None, {}),
        (None, None, {}),
    ],
)
def test_the_close_is_that_of_the_session(today: Bar | None, previous: Bar | None, expected: dict[str, Decimal]) -> None:
    """Asked on the evening or the day after: the bar of that day, or none."""
    assert expected == closes_of({"SPY": snapshot(today, previous)}, date(2025, 3, 3))


def test_a_rebalance_is_of_the_day_that_its_id_names() -> None:
    """The id begins with the session."""
    assert session_of("20250303.2") == date(2025, 3, 3)


class Desk:
    """A reporter with one rebalance that waits for its close."""

    def __init__(self, *, is_over: bool, silent: bool = False) -> None:
        self.owed: dict[str, Shortfall] = {"20250303.1": shortfall_of(plan_of(wanted()), [])}
        self.published: list[Event] = []
        venue = ScriptedVenue()

        async def snapshots(symbols: object) -> dict[str, MarketSnapshot]:
            if silent:
                raise VenueUnavailable("no answer")
            return {"SPY": snapshot(bar(102.0))}

        venue.snapshots = snapshots  # type: ignore[method-assign]

        async def publish(event: Event, *, correlation: str | None = None) -> None:
            self.published.append(event)

        self.reporter = ShortfallReporter(
            venue=venue, clock=VirtualClock(START), publish=publish, owed=lambda: self.owed, is_over=lambda day: is_over
        )

    async def hear(self, event: Event) -> None:
        """Let it hear of an event."""
        await self.reporter.handle(Envelope(1, event, 0.0))


@pytest.mark.parametrize("event", [CLOSED, RecoveryCompleted(at=START, events_replayed=0, fills_recovered=0, open_orders=0)])
def test_what_is_owed_is_reported_when_the_session_is_over(event: Event) -> None:
    """At the close, and at a start after it."""

    async def main() -> Desk:
        desk = Desk(is_over=True)
        await desk.hear(event)
        return desk

    (reported,) = virtual(main).published
    assert isinstance(reported, ShortfallReported)
    assert (date(2025, 3, 3), {"SPY": Decimal("102.0")}) == (reported.session, reported.closes)
    assert reported.shortfall.unfilled_cost == Decimal("20.00")


@pytest.mark.parametrize(("is_over", "silent"), [(False, False), (True, True)])
def test_nothing_is_reported_too_early_or_without_an_answer(is_over: bool, silent: bool) -> None:
    """It stays owed."""

    async def main() -> Desk:
        desk = Desk(is_over=is_over, silent=silent)
        await desk.hear(CLOSED)
        return desk

    assert virtual(main).published == []


def test_nothing_owed_asks_nobody() -> None:
    """A day without orders costs no request."""

    async def main() -> Desk:
        desk = Desk(is_over=True, silent=True)
        desk.owed = {}
        await desk.hear(CLOSED)
        return desk

    assert virtual(main).published == []


def test_the_overview_remembers_the_last_rebalances_and_what_is_owed() -> None:
    """From the events alone, so a restart knows it; bounded, because the journal has them all."""
    overview = Overview()
    cost = shortfall_of(plan_of(wanted()), [])
    for number in range(1, KEPT_SHORTFALLS + 3):
        key = f"20250303.{number}"
        overview(Envelope(number, RebalanceCompleted(at=START, rebalance_id=key, outcomes=(), shortfall=cost), 0.0))
    kept = [f"20250303.{number}" for number in range(3, KEPT_SHORTFALLS + 3)]
    assert kept == list(overview.shortfalls) == list(overview.owed_shortfalls())

    reported = ShortfallReported(at=START, rebalance_id="20250303.5", session=SESSION.date, closes={}, shortfall=cost)
    overview(Envelope(99, reported, 0.0))
    assert "20250303.5" not in overview.owed_shortfalls()
    assert "20250303.5" in overview.shortfalls
