"""The scheduler: sessions open and close, and in each of them the moment to decide comes once.

It waits on the injected clock and publishes; what it does not do is decide. After a restart it carries on from what the journal says: a
session that has its decision gets no second one, a session whose end was reported is over, and a decision of which nothing came before the
process ended is made anew or, when its time has passed, parked with that reason.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from datetime import date, datetime, timedelta

import structlog
from msgspec import Struct

from alchemiser.bus.envelope import Envelope
from alchemiser.domain.errors import DataError
from alchemiser.domain.events import (
    DecisionApproached,
    DecisionDue,
    DecisionMissed,
    FlattenOrdered,
    RebalanceCompleted,
    RebalanceParked,
    RecoveryCompleted,
    ResultReported,
    SessionClosed,
    SessionOpened,
    SettingsReloaded,
)
from alchemiser.domain.ids import rebalance_id
from alchemiser.domain.market import Session
from alchemiser.domain.runtime import Clock, Release
from alchemiser.execution.rebalances import Rebalances
from alchemiser.market.calendar import TradingCalendar
from alchemiser.service.movable_wait import MovableWait

RESULT_SECONDS = 300.0
"""How long the result of a session is waited for before the schedule goes on, in market seconds."""

_log = structlog.get_logger(__name__)


PREPARATION = timedelta(minutes=5)
"""How long before a decision its history is fetched: time enough to ask again, and late enough to be of today."""


class Timetable(Struct, frozen=True):
    """When things are due. ``decide`` and ``cut_off`` give a moment of a session; after ``last`` there are no more sessions."""

    calendar: TradingCalendar
    decide: Callable[[Session], datetime]
    cut_off: Callable[[Session], datetime]
    last: date | None = None

    def sessions(self, now: datetime) -> Iterator[Session]:
        """Yield the sessions whose close has not come yet, in order, up to the last one wanted."""
        session = self.calendar.session_at(now) or self._next(now)
        while session is not None and (self.last is None or session.date <= self.last):
            yield session
            session = self._next(session.closes_at)

    def session_of(self, now: datetime) -> date | None:
        """Return the day of the session that is open now, if one is."""
        session = self.calendar.session_at(now)
        return None if session is None else session.date

    def _next(self, after: datetime) -> Session | None:
        try:
            return self.calendar.next_session(after)
        except DataError:
            return None  # The calendar ends here; whoever waits on it is told by the scheduler's end.


class Scheduler:
    """Drives the day. Subscribed inline it hears when recovery is done and when a session's result is in."""

    listens_to = (RecoveryCompleted, ResultReported, SettingsReloaded)

    def __init__(
        self,
        *,
        timetable: Timetable,
        clock: Clock,
        publish: Callable[..., Awaitable[object]],
        rebalances: Rebalances,
        reported: date | None,
    ) -> None:
        self._timetable = timetable
        self._clock = clock
        self._publish = publish
        self._rebalances = rebalances
        self._reported = reported
        self._left: DecisionDue | FlattenOrdered | None = None
        """What an earlier process was to decide, while that is still to be made anew."""
        self._recovered = asyncio.Event()
        self._news = asyncio.Event()
        self._decision = MovableWait(clock)

    def __call__(self, envelope: Envelope) -> None:
        """Take note of recovery, of results, and of a moment of decision that may be another one now."""
        match envelope.event:
            case RecoveryCompleted():
                self._recovered.set()
            case ResultReported(session=session):
                self._reported = session
                self._news.set()
            case SettingsReloaded():
                self._decision.moved()
            case _:
                pass

    async def run(self) -> None:
        """Go through the sessions; return when there are none left."""
        await self._recovered.wait()
        now = self._clock.now()
        self._left = self._rebalances.undecided
        if self._left is not None and self._left.session != self._timetable.session_of(now):
            await self._park_left("its session was over when the next one started")
        elif isinstance(self._left, FlattenOrdered):
            await self._park_left("whoever ordered it may order it again")
        for session in self._timetable.sessions(now):
            if self._reported is None or session.date > self._reported:
                await self._through(session)

    async def _through(self, session: Session) -> None:
        await self._clock.sleep_until(session.opens_at)
        await self._publish(SessionOpened(at=self._clock.now(), session=session))
        if not self._rebalances.is_settled(session.date):
            await self._decision.until(lambda: self._timetable.decide(session) - PREPARATION)
            await self._publish(DecisionApproached(at=self._clock.now(), session=session.date))
            await self._decision.until(lambda: self._timetable.decide(session))
            if not self._rebalances.is_settled(session.date):  # By an operator, meanwhile.
                await self._decide(session)
        await self._clock.sleep_until(session.closes_at)
        release = self._clock.hold(f"the result of {session.date}")
        try:
            await self._publish(SessionClosed(at=self._clock.now(), session=session))
            await self._park_left("its session closed")
            await self._result_of(session)
        finally:
            release()

    async def _result_of(self, session: Session) -> None:
        """Wait until the result of a session is in; a broker that could not be asked holds up neither the next session nor the end."""
        async with asyncio.TaskGroup() as group:
            patience = group.create_task(self._clock.sleep(RESULT_SECONDS), name="patience with a result")
            patience.add_done_callback(lambda _: self._news.set())
            while self._reported is None or self._reported < session.date:
                if patience.done():
                    _log.warning("session_without_result", session=session.date.isoformat(), waited_seconds=RESULT_SECONDS)
                    return
                self._news.clear()
                await self._news.wait()
            patience.cancel()

    async def _decide(self, session: Session) -> None:
        now, cut_off = self._clock.now(), self._timetable.cut_off(session)
        if now >= cut_off:
            reason = f"it was {now:%H:%M:%S} UTC, after the cut-off at {cut_off:%H:%M:%S}; the holdings stay as they are"
            await self._publish(DecisionMissed(at=now, session=session.date, reason=reason))
            await self._park_left(reason)
            return
        key = rebalance_id(session.date, self._rebalances.next_number(session.date))
        await self._publish(DecisionDue(at=now, rebalance_id=key, session=session.date, reason="schedule"), correlation=key)
        await self._park_left(f"{key} took its place")

    async def _park_left(self, reason: str) -> None:
        """State the end of a decision that an earlier process did not come to make: every decision ends."""
        left, self._left = self._left, None
        if left is not None:
            key, why = left.rebalance_id, f"the daemon ended before a plan was made; {reason}"
            await self._publish(RebalanceParked(at=self._clock.now(), rebalance_id=key, reason=why, outcomes=()), correlation=key)


class ClockHold:
    """Holds an accelerated clock from a decision to the end of its rebalance, and from the start until recovery is done. Inline."""

    listens_to = (DecisionDue, FlattenOrdered, RebalanceCompleted, RebalanceParked, RecoveryCompleted)

    def __init__(self, clock: Clock, unfinished: str | None) -> None:
        """``unfinished`` is the rebalance that an earlier process left and that is taken up again."""
        self._clock = clock
        self._releases: dict[str, Release] = {"start": clock.hold("the daemon is starting")}
        if unfinished is not None:
            self._releases[unfinished] = clock.hold(f"rebalance {unfinished}")

    def __call__(self, envelope: Envelope) -> None:
        """Apply one event."""
        match envelope.event:
            case DecisionDue(rebalance_id=key) | FlattenOrdered(rebalance_id=key):
                self._releases[key] = self._clock.hold(f"rebalance {key}")
            case RebalanceCompleted(rebalance_id=key) | RebalanceParked(rebalance_id=key):
                self._release(key)
            case RecoveryCompleted():
                self._release("start")
            case _:
                pass

    def _release(self, key: str) -> None:
        release = self._releases.pop(key, None)
        if release is not None:
            release()
