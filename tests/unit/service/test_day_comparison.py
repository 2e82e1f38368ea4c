"""The comparison of a session as it is asked for: once, with what can be had, and never in anybody's way."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from alchemiser.bus.envelope import Envelope
from alchemiser.domain.errors import DataError, VenueUnavailable
from alchemiser.domain.events import DayCompared, Event, LedgerCompared
from alchemiser.domain.market import Bar, MarketSnapshot
from alchemiser.market.history import DailyHistory
from alchemiser.service.clock import VirtualClock
from alchemiser.service.day_comparison import PATIENCE_SECONDS, ComparisonParts, DayComparison
from alchemiser.strategies.aside import Done
from tests.solipsism import virtual
from tests.unit.backtest.lived_days import FIRST, history_before
from tests.unit.backtest.test_live_day import CLOSES, first_day

D = Decimal


class Asked:
    """A venue that answers with the bars of two days, after some refusals, and a market with the bars before them."""

    def __init__(self, refusals: int = 0, *, is_later: bool = False, has_history: bool = True) -> None:
        self.refusals = refusals
        self.asked: list[list[str]] = []
        self._has_history = has_history
        self._days = (FIRST, FIRST + timedelta(days=1)) if is_later else (FIRST - timedelta(days=3), FIRST)

    async def snapshots(self, symbols: Sequence[str]) -> dict[str, MarketSnapshot]:
        """Return the snapshots, once there are no refusals left."""
        self.asked.append(list(symbols))
        if self.refusals:
            self.refusals -= 1
            raise VenueUnavailable("503")
        return {symbol: self._snapshot(symbol) for symbol in symbols}

    async def history_of(self, session: date) -> DailyHistory:
        """Return the bars before a session."""
        if not self._has_history:
            raise DataError("AAA: the close nan is not a positive number")
        return history_before(session)

    def _snapshot(self, symbol: str) -> MarketSnapshot:
        previous, today = (
            Bar(
                symbol=symbol,
                start=datetime(day.year, day.month, day.day, 5, tzinfo=UTC),
                open=1.0,
                high=1.0,
                low=1.0,
                close=float(CLOSES[symbol]) if day == FIRST else 1.0,
                volume=1.0,
            )
            for day in self._days
        )
        return MarketSnapshot(symbol=symbol, quote=None, last_price=None, last_at=None, today=today, previous=previous)


def scene(asked: Asked, play: Callable[[DayComparison, list[Event]], Awaitable[None]], *, limit: str = "50") -> list[DayCompared]:
    """Compare the first day as ``play`` wants it, and return what was published."""
    days = first_day()
    published: list[Event] = []

    async def main() -> None:
        clock = VirtualClock(days.at)

        async def publish(event: Event, *, correlation: str | None = None) -> None:
            published.append(event)
            days.feed(event)

        async def at_once(function: Callable[[], Done]) -> Done:
            return function()

        comparison = DayComparison(
            ComparisonParts(
                record=days.record,
                venue=asked,  # type: ignore[arg-type] # the one question that is asked
                market=asked,  # type: ignore[arg-type] # and the other
                clock=clock,
                publish=publish,
                strategies=lambda: days.strategies,
                run_aside=at_once,
                limit_bps=D(limit),
            )
        )
        await comparison.handle(EVENING)
        assert published == [], "no session has ended yet"
        days.close()
        await play(comparison, published)

    virtual(main)
    return [event for event in published if isinstance(event, DayCompared)]


EVENING = Envelope(1, LedgerCompared(at=datetime(2025, 3, 3, 21, tzinfo=UTC), session=FIRST, differences=()), 0.0)


async def twice(comparison: DayComparison, published: list[Event]) -> None:
    """Hear of the end of the session twice."""
    await comparison.handle(EVENING)
    await comparison.handle(EVENING)
    await comparison.settled()


def differences(day: DayCompared) -> Mapping[str, Decimal | str | None]:
    """Return the difference in basis points of each strategy, or the reason for none."""
    return {one.strategy: one.compared.difference_bps if one.compared else one.reason for one in day.strategies}


def test_a_session_is_compared_once_in_one_request() -> None:
    """``one`` paid a cent a share over the mid, ten basis points of its capital: less than fifty, which is no alarm."""
    asked = Asked()
    (day,) = scene(asked, twice)

    assert asked.asked == [["AAA", "BBB"]]
    assert (day.session, day.rebalance_id, day.limit_bps) == (FIRST, "20250303.1", D(50))
    assert differences(day) == {"one": D(-10), "two": D(0)}
    assert day.closes == {"AAA": D("10.10"), "BBB": D("20.40")}
    assert day.beyond == ()


def test_the_alarm_is_raised_beyond_the_limit_and_not_at_it() -> None:
    """Ten basis points are beyond 9.9999 and not beyond 10."""
    assert scene(Asked(), twice, limit="10")[0].beyond == ()
    assert scene(Asked(), twice, limit="9.9999")[0].beyond == ("one",)


def test_the_closes_are_found_a_day_later_too() -> None:
    """After a restart on the next day the session is the one before."""
    assert differences(scene(Asked(is_later=True), twice)[0]) == {"one": D(-10), "two": D(0)}


def test_a_venue_that_answers_late_is_asked_again_and_one_that_does_not_makes_a_reason() -> None:
    """Three times in ten seconds; then the session is told without numbers, once and for all."""
    assert differences(scene(Asked(2), twice)[0]) == {"one": D(-10), "two": D(0)}
    asked = Asked(3)
    (day,) = scene(asked, twice)
    assert len(asked.asked) == 3
    assert differences(day) == {
        name: f"the close of {symbol} on 2025-03-03 is not known" for name, symbol in (("one", "AAA"), ("two", "BBB"))
    }


def test_bars_that_cannot_be_used_are_named() -> None:
    """The error says which and why."""
    (day,) = scene(Asked(has_history=False), twice)
    assert set(differences(day).values()) == {"the bars of its decision are not to be had: AAA: the close nan is not a positive number"}


def test_the_end_of_a_run_waits_for_the_comparison_and_not_for_ever() -> None:
    """A handler that never comes to it holds the end up for a minute of the loop."""

    async def nobody_compares(comparison: DayComparison, published: list[Event]) -> None:
        await comparison.settled()
        assert published == []

    assert scene(Asked(), nobody_compares) == []
    assert PATIENCE_SECONDS == 60.0
