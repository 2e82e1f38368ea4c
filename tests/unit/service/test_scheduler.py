"""The scheduler: sessions open and close, each has one decision, also after a restart, and none of them holds up the next."""

import asyncio
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import msgspec
import pytest

from alchemiser.bus.bus import Bus
from alchemiser.bus.envelope import Envelope
from alchemiser.domain.events import (
    DecisionDue,
    DecisionMissed,
    Event,
    FlattenOrdered,
    RebalanceCompleted,
    RebalanceParked,
    RecoveryCompleted,
    ResultReported,
    SessionClosed,
    SessionOpened,
    TimerElapsed,
)
from alchemiser.domain.runtime import Release
from alchemiser.execution.rebalances import Rebalances
from alchemiser.market.calendar import TradingCalendar
from alchemiser.market.schedule import parse_schedule
from alchemiser.service.clock import VirtualClock
from alchemiser.service.scheduler import RESULT_SECONDS, ClockHold, Scheduler, Timetable
from tests.solipsism import virtual
from tests.unit.execution.desk import plan_of

MONDAY, TUESDAY = date(2025, 3, 3), date(2025, 3, 4)
BEFORE_OPEN = datetime(2025, 3, 3, 14, 0, tzinfo=UTC)
CALENDAR = TradingCalendar.new_york()


class HeldClock(VirtualClock):
    """A virtual clock that counts its holds as an accelerated one does."""

    def __init__(self, start: datetime) -> None:
        super().__init__(start)
        self.holds: list[str] = []

    def hold(self, reason: str) -> Release:
        """Keep the reason until it is released."""
        self.holds.append(reason)

        def release() -> None:
            if reason in self.holds:
                self.holds.remove(reason)

        return release


class Day:
    """The bus with the scheduler and the memory of rebalances; every decision ends at once, every session has its result at once."""

    def __init__(
        self,
        begins_at: datetime,
        *,
        calendar: TradingCalendar = CALENDAR,
        decision: str = "close - 10m",
        last: date | None = None,
        reported: date | None = None,
        before: tuple[Event, ...] = (),
    ) -> None:
        self.clock = HeldClock(begins_at)
        self.bus = Bus(clock=self.clock)
        self.events: list[Event] = []
        self.rebalances = Rebalances()
        for event in before:
            self.rebalances(Envelope(1, event, 0.0))
        self.scheduler = Scheduler(
            timetable=Timetable(
                calendar=calendar,
                decide=parse_schedule(decision).at,
                cut_off=parse_schedule("close - 1m").at,
                last=last,
            ),
            clock=self.clock,
            publish=self.bus.publish,
            rebalances=self.rebalances,
            reported=reported,
        )
        self.is_reporting = True
        self.bus.subscribe_inline("rebalances", Rebalances.listens_to, self.rebalances)
        self.bus.subscribe_inline("schedule", Scheduler.listens_to, self.scheduler)
        self.bus.subscribe_inline("memory", (Event,), self._answer)

    def _answer(self, envelope: Envelope) -> None:
        event = envelope.event
        self.events.append(event)
        if isinstance(event, DecisionDue):
            self.bus.post(RebalanceParked(at=event.at, rebalance_id=event.rebalance_id, reason="test", outcomes=()))
        elif isinstance(event, SessionClosed) and self.is_reporting:
            self.bus.post(result(event.session.date, event.at))

    def recover(self) -> None:
        """Let recovery be done."""
        self.bus.post(RecoveryCompleted(at=self.clock.now(), events_replayed=0, fills_recovered=0, open_orders=0))

    def story(self) -> list[str]:
        """Return what the scheduler published, with the time."""
        mine = (SessionOpened, SessionClosed, DecisionDue, DecisionMissed)
        return [f"{type(event).__name__} {event.at:%d %H:%M}" for event in self.events if isinstance(event, mine)]


def due(key: str) -> DecisionDue:
    """Return a decision."""
    return DecisionDue(at=BEFORE_OPEN, rebalance_id=key, session=MONDAY, reason="schedule")


def flatten(key: str) -> FlattenOrdered:
    """Return an order to sell everything."""
    return FlattenOrdered(at=BEFORE_OPEN, rebalance_id=key, session=MONDAY, by="operator")


def result(day: date, at: datetime) -> ResultReported:
    """Return the result of a session."""
    return ResultReported(at=at, session=day, equity=Decimal(1), cash=Decimal(1), realised={}, unrealised={})


def played(make: Callable[[], Day], during: Callable[[Day], None] = lambda day: None) -> Day:
    """Run the schedule to its end and return what happened."""

    async def main() -> Day:
        day = make()
        async with asyncio.TaskGroup() as group:
            task = group.create_task(day.scheduler.run(), name="schedule")
            during(day)
            day.recover()
            await task
        return day

    return virtual(main)


def test_each_session_opens_decides_and_closes() -> None:
    """At the times of the calendar, once each, with an id of its own."""
    day = played(lambda: Day(BEFORE_OPEN, last=TUESDAY))

    assert [
        "SessionOpened 03 14:30",
        "DecisionDue 03 20:50",
        "SessionClosed 03 21:00",
        "SessionOpened 04 14:30",
        "DecisionDue 04 20:50",
        "SessionClosed 04 21:00",
    ] == day.story()
    decisions = [event for event in day.events if isinstance(event, DecisionDue)]
    assert ["20250303.1", "20250304.1"] == [event.rebalance_id for event in decisions]
    assert [MONDAY, TUESDAY] == [event.session for event in decisions]
    assert day.clock.holds == []


def test_weekends_and_holidays_are_left_out_and_half_days_are_short() -> None:
    """Thanksgiving is closed, and on the day after the decision comes before its early close."""
    day = played(lambda: Day(datetime(2025, 11, 26, 12, 0, tzinfo=UTC), last=date(2025, 12, 1)))

    assert ["26 20:50", "28 17:50", "01 20:50"] == [line.split(maxsplit=1)[1] for line in day.story() if line.startswith("DecisionDue")]
    assert "SessionClosed 28 18:00" in day.story()


def test_nothing_begins_before_recovery_is_done() -> None:
    """What was missed comes first, however late it makes the session."""

    async def main() -> Day:
        day = Day(BEFORE_OPEN, last=MONDAY)
        async with asyncio.TaskGroup() as group:
            task = group.create_task(day.scheduler.run(), name="schedule")
            await day.clock.sleep(3600)
            assert day.events == []
            day.recover()
            await task
        return day

    assert virtual(main).story()[0] == "SessionOpened 03 15:00"


def test_a_start_in_the_middle_of_a_session_takes_part_in_it() -> None:
    """The decision is still to come."""
    day = played(lambda: Day(datetime(2025, 3, 3, 18, 0, tzinfo=UTC), last=MONDAY))

    assert ["SessionOpened 03 18:00", "DecisionDue 03 20:50", "SessionClosed 03 21:00"] == day.story()


def test_a_start_between_decision_and_cut_off_decides_at_once() -> None:
    """Late is better than never, as long as orders can still be worked."""
    day = played(lambda: Day(datetime(2025, 3, 3, 20, 55, tzinfo=UTC), last=MONDAY))

    assert "DecisionDue 03 20:55" in day.story()


def test_a_start_after_the_cut_off_states_that_the_decision_was_missed() -> None:
    """Nothing is traded in the last minute; the session is settled by saying so."""
    day = played(lambda: Day(datetime(2025, 3, 3, 20, 59, 30, tzinfo=UTC), last=MONDAY))

    assert ["SessionOpened 03 20:59", "DecisionMissed 03 20:59", "SessionClosed 03 21:00"] == day.story()
    (missed,) = [event for event in day.events if isinstance(event, DecisionMissed)]
    assert missed.session == MONDAY
    assert "20:59:30" in missed.reason
    assert "20:59:00" in missed.reason
    assert day.rebalances.is_settled(MONDAY)


def test_a_session_that_was_decided_before_a_restart_is_not_decided_again() -> None:
    """Completed, parked or missed: the journal holds the session's decision."""
    parked = RebalanceParked(at=BEFORE_OPEN, rebalance_id="20250303.1", reason="test", outcomes=())
    missed = DecisionMissed(at=BEFORE_OPEN, session=MONDAY, reason="test")
    at = datetime(2025, 3, 3, 20, 52, tzinfo=UTC)

    for before in ((due("20250303.1"), parked), (missed,)):
        day = played(lambda before=before: Day(at, last=MONDAY, before=before))  # type: ignore[misc]
        assert ["SessionOpened 03 20:52", "SessionClosed 03 21:00"] == day.story()


def test_a_decision_that_a_crash_cut_short_is_made_again_under_a_new_number() -> None:
    """It was due and no plan followed: nothing was sent for it."""
    day = played(lambda: Day(datetime(2025, 3, 3, 20, 52, tzinfo=UTC), last=MONDAY, before=(due("20250303.1"),)))

    assert ["20250303.2"] == [event.rebalance_id for event in day.events if isinstance(event, DecisionDue)]


MORNING_AFTER = datetime(2025, 3, 4, 12, 0, tzinfo=UTC)


def ends(day: Day) -> list[tuple[str, str]]:
    """Return which decisions were parked and why, but for those that the desk of the test ends."""
    parked = [event for event in day.events if isinstance(event, RebalanceParked)]
    return [(event.rebalance_id, event.reason) for event in parked if event.reason != "test"]


@pytest.mark.parametrize(
    ("left", "starts_at", "reason"),
    [
        (due, datetime(2025, 3, 3, 20, 52, tzinfo=UTC), "20250303.2 took its place"),
        (
            due,
            datetime(2025, 3, 3, 20, 59, 30, tzinfo=UTC),
            "it was 20:59:30 UTC, after the cut-off at 20:59:00; the holdings stay as they are",
        ),
        (due, datetime(2025, 3, 3, 21, 0, tzinfo=UTC), "its session was over when the next one started"),
        (due, MORNING_AFTER, "its session was over when the next one started"),
        (flatten, MORNING_AFTER, "its session was over when the next one started"),
        (flatten, datetime(2025, 3, 3, 17, 0, tzinfo=UTC), "whoever ordered it may order it again"),
    ],
)
def test_a_decision_that_a_crash_cut_short_has_a_stated_end(
    left: Callable[[str], DecisionDue | FlattenOrdered], starts_at: datetime, reason: str
) -> None:
    """Made anew, missed, or over: every decision ends, once, and whoever waits for its end hears why nothing came of it."""
    day = played(lambda: Day(starts_at, last=TUESDAY, before=(left("20250303.1"),)))

    assert [("20250303.1", f"the daemon ended before a plan was made; {reason}")] == ends(day)


def test_a_decision_that_was_cut_short_ends_with_its_session_when_nobody_makes_it_anew() -> None:
    """An operator flattened before the scheduled time: the session has its decision, and the earlier one its end."""

    async def main() -> Day:
        day = Day(datetime(2025, 3, 3, 15, 0, tzinfo=UTC), last=MONDAY, before=(due("20250303.1"),))
        async with asyncio.TaskGroup() as group:
            task = group.create_task(day.scheduler.run(), name="schedule")
            day.recover()
            await day.clock.sleep_until(datetime(2025, 3, 3, 17, 0, tzinfo=UTC))
            day.bus.post(flatten("20250303.2"))
            day.bus.post(RebalanceCompleted(at=day.clock.now(), rebalance_id="20250303.2", outcomes=()))
            await task
        return day

    assert [("20250303.1", "the daemon ended before a plan was made; its session closed")] == ends(virtual(main))


@pytest.mark.parametrize("starts_at", [datetime(2025, 3, 3, 20, 52, tzinfo=UTC), MORNING_AFTER])
def test_a_decision_with_a_plan_or_an_end_is_nobodys_to_park(starts_at: datetime) -> None:
    """The plan is taken up by the execution; what has ended has ended."""
    planned = msgspec.structs.replace(plan_of(), rebalance_id="20250303.1", session=MONDAY)
    missed = RebalanceParked(at=BEFORE_OPEN, rebalance_id="20250303.1", reason="test", outcomes=())
    for event in (planned, missed):
        assert ends(played(lambda event=event: Day(starts_at, last=TUESDAY, before=(due("20250303.1"), event)))) == []  # type: ignore[misc]


def test_a_session_that_somebody_else_decided_meanwhile_is_not_decided_again() -> None:
    """An operator flattened at noon: buying everything back at the scheduled time would undo it."""

    async def main() -> Day:
        day = Day(BEFORE_OPEN, last=MONDAY)
        async with asyncio.TaskGroup() as group:
            task = group.create_task(day.scheduler.run(), name="schedule")
            day.recover()
            await day.clock.sleep_until(datetime(2025, 3, 3, 17, 0, tzinfo=UTC))
            day.bus.post(FlattenOrdered(at=day.clock.now(), rebalance_id="20250303.1", session=MONDAY, by="operator"))
            day.bus.post(RebalanceCompleted(at=day.clock.now(), rebalance_id="20250303.1", outcomes=()))
            await task
        return day

    assert ["SessionOpened 03 14:30", "SessionClosed 03 21:00"] == virtual(main).story()


def test_a_session_whose_result_was_reported_is_over() -> None:
    """An accelerated market may be left at the very moment of the close."""
    day = played(lambda: Day(datetime(2025, 3, 3, 20, 59, 59, tzinfo=UTC), last=TUESDAY, reported=MONDAY))

    assert day.story()[0] == "SessionOpened 04 14:30"


def test_the_next_session_waits_for_the_result_of_the_last() -> None:
    """Whoever ends the run after the last session has its result in the journal."""

    async def main() -> None:
        day = Day(datetime(2025, 3, 3, 20, 0, tzinfo=UTC), last=MONDAY)
        day.is_reporting = False
        async with asyncio.TaskGroup() as group:
            task = group.create_task(day.scheduler.run(), name="schedule")
            day.recover()
            await day.clock.sleep_until(datetime(2025, 3, 3, 21, 1, tzinfo=UTC))
            assert not task.done()
            assert day.clock.holds == ["the result of 2025-03-03"]
            day.bus.post(result(date(2025, 2, 28), day.clock.now()))
            await day.clock.sleep(1)
            assert not task.done()
            day.bus.post(result(MONDAY, day.clock.now()))
            await task
        assert day.clock.holds == []
        assert day.clock.now() < datetime(2025, 3, 3, 21, 1, 2, tzinfo=UTC)

    virtual(main)


def test_a_result_that_never_comes_holds_nothing_up() -> None:
    """The broker could not be asked at the close: the next session is traded all the same."""

    def silent(day: Day) -> None:
        day.is_reporting = False

    day = played(lambda: Day(BEFORE_OPEN, last=TUESDAY), silent)
    assert "DecisionDue 04 20:50" in day.story()
    assert day.clock.now() >= datetime(2025, 3, 4, 21, 0, tzinfo=UTC) + timedelta(seconds=RESULT_SECONDS)
    assert day.clock.holds == []


def test_the_schedule_ends_where_the_calendar_ends() -> None:
    """A calendar that knows one week gives one week; the end is the end of the run, not an error."""
    short = TradingCalendar.from_sessions(CALENDAR.sessions(MONDAY, TUESDAY))
    day = played(lambda: Day(BEFORE_OPEN, calendar=short))

    assert ["03 20:50", "04 20:50"] == [line.split(maxsplit=1)[1] for line in day.story() if line.startswith("DecisionDue")]


def test_other_events_are_not_its_business() -> None:
    """It hears recovery and results only."""

    async def main() -> None:
        day = Day(BEFORE_OPEN)
        day.scheduler(Envelope(1, TimerElapsed(at=BEFORE_OPEN, kind="x", key=""), 0.0))

    virtual(main)


RECOVERED = RecoveryCompleted(at=BEFORE_OPEN, events_replayed=0, fills_recovered=0, open_orders=0)


@pytest.mark.parametrize(
    ("unfinished", "events", "held"),
    [
        (None, (), ["the daemon is starting"]),
        (None, (RECOVERED,), []),
        (None, (RECOVERED, due("1")), ["rebalance 1"]),
        (None, (RECOVERED, due("1"), RebalanceCompleted(at=BEFORE_OPEN, rebalance_id="1", outcomes=())), []),
        (None, (RECOVERED, due("1"), RebalanceParked(at=BEFORE_OPEN, rebalance_id="1", reason="", outcomes=())), []),
        (None, (RECOVERED, due("1"), RebalanceParked(at=BEFORE_OPEN, rebalance_id="2", reason="", outcomes=())), ["rebalance 1"]),
        (None, (RECOVERED, FlattenOrdered(at=BEFORE_OPEN, rebalance_id="1", session=MONDAY, by="operator")), ["rebalance 1"]),
        ("0", (RECOVERED,), ["rebalance 0"]),
        ("0", (RECOVERED, RebalanceParked(at=BEFORE_OPEN, rebalance_id="0", reason="", outcomes=())), []),
        (None, (RECOVERED, TimerElapsed(at=BEFORE_OPEN, kind="x", key="")), []),
    ],
)
def test_an_accelerated_clock_is_held_while_anything_is_in_progress(
    unfinished: str | None, events: tuple[Event, ...], held: list[str]
) -> None:
    """From the start to recovery, and from each decision to the end of its rebalance, also one of an earlier process."""

    async def main() -> list[str]:
        clock = HeldClock(BEFORE_OPEN)
        hold = ClockHold(clock, unfinished)
        for event in events:
            hold(Envelope(1, event, 0.0))
        return clock.holds

    assert held == virtual(main)
