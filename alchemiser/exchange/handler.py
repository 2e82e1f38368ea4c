"""The driver: the one place that lets time pass in the exchange.

It sleeps on the injected clock until something is due (the market's next tick, a timer of the core, a planned fault), lets the core and
the market catch up in order of time, keeps the state, and only then tells the streams.

The faces call :meth:`Driver.read` and :meth:`Driver.act`, which first catch up with the clock. Nothing here awaits but
:meth:`Driver.run`, so a change, its record on disk and the news of it are one step that nothing can interrupt.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, Final, Protocol, TypeVar, runtime_checkable

from alchemiser.domain.errors import DataError
from alchemiser.domain.market import Session
from alchemiser.domain.runtime import Clock, Release
from alchemiser.exchange.assets import AssetChange
from alchemiser.exchange.corporate_actions import ActionBook
from alchemiser.exchange.engine import Exchange
from alchemiser.exchange.errors import ApiError
from alchemiser.exchange.event_stream import EventStream
from alchemiser.exchange.fault_menu import (
    Block,
    Borrow,
    CorporateActions,
    Correct,
    DropStream,
    DueFault,
    HalfOpen,
    Halt,
    SendFrame,
    StepClock,
    Storm,
    Stream,
)
from alchemiser.exchange.faults import FaultBook
from alchemiser.exchange.feed import MarketFeed
from alchemiser.exchange.issuer_actions import CorporateAction, actions_of
from alchemiser.exchange.market_stream import MarketStream
from alchemiser.exchange.order_stream import OrderStream
from alchemiser.exchange.persistence import StateFile
from alchemiser.exchange.ticks import MINUTE, TickGrid, floor_to
from alchemiser.exchange.traffic import TrafficLog
from alchemiser.market.calendar import TradingCalendar

ACTIVE: Final = timedelta(seconds=60)
"""How long, in market time, the market moves by the second after a client asked for something that trades or prices."""

_INSTANT: Final = timedelta(microseconds=1)

T = TypeVar("T")


@runtime_checkable
class AdjustableClock(Protocol):
    """A clock that can be set forward and run at another speed."""

    @property
    def speed(self) -> float:
        """Market seconds per wall second, leaps aside."""

    @property
    def leaps(self) -> bool:
        """Whether it jumps over quiet stretches."""

    def advance(self, seconds: float) -> None:
        """Jump forward by that many market seconds now."""

    def set_speed(self, speed: float, *, leaps: bool) -> None:
        """Run at another speed from now on; with ``leaps``, jump over quiet stretches."""


class Driver:
    """Core, market and streams of one exchange, moved forward together."""

    def __init__(
        self,
        *,
        core: Exchange,
        feed: MarketFeed,
        grid: TickGrid,
        calendar: TradingCalendar,
        clock: Clock,
        order_stream: OrderStream,
        market_stream: MarketStream,
        event_stream: EventStream,
        issuers: ActionBook,
        faults: FaultBook,
        state: StateFile,
        traffic: TrafficLog,
        by_the_second: bool = False,
        hold_for_clients: bool = False,
    ) -> None:
        self._core = core
        self._feed = feed
        self._grid = grid
        self._calendar = calendar
        self._clock = clock
        self._order_stream = order_stream
        self._market_stream = market_stream
        self._event_stream = event_stream
        self._streams: dict[Stream, OrderStream | MarketStream | EventStream] = {
            "orders": order_stream,
            "market": market_stream,
            "events": event_stream,
        }
        self._issuers = issuers
        self._faults = faults
        self._state = state
        self._traffic = traffic
        self._by_the_second = by_the_second
        self._hold_for_clients = hold_for_clients
        self._now = clock.now()
        self._ticked_at = floor_to(self._now, timedelta(seconds=1))
        self._active_until = self._now
        self._was_stirred = False
        self._failure: DataError | None = None
        self._release: Release | None = None
        self._session: Session | None = None
        self._sleep: asyncio.Timeout | None = None
        self._sleeps_until = self._now
        self._sleeps_busy = False
        self._open_market()

    async def run(self, *, linger: bool = False) -> None:
        """Let time pass until the last session of the market is over; with ``linger``, until cancelled.

        Raises ``DataError`` when the state can no longer be kept.
        """
        try:
            while True:
                if self._failure is not None:
                    raise self._failure
                now = self.read()
                if self._next_tick(now) is None and not linger:
                    return
                self._sleeps_until, self._sleeps_busy = self._next_moment(now), self._is_busy
                # A time-out without a time, which wake() lets expire; the scopes of anyio would load their back end at the first request.
                with suppress(TimeoutError):
                    async with asyncio.timeout(None) as self._sleep:
                        await self._clock.sleep_until(self._sleeps_until)
                self._sleep = None
        finally:
            self._sleep = None
            self._let_go()

    def read(self) -> datetime:
        """Catch up with the clock and return the market time; answers to questions are made right after."""
        now = self._catch_up()
        self._hold()
        return now

    def _catch_up(self) -> datetime:
        now, has_changed = self._pass_time()
        self._commit(changed=has_changed)
        self._feed.pulse(now)
        if not self._faults.is_over:
            self._strike_due(now)
        return now

    def _pass_time(self) -> tuple[datetime, bool]:
        """Let core and market catch up with the clock; return the time, and whether something is still to be kept and told."""
        now = self._clock.now()
        if now < self._now:
            now = self._now
        while (tick := self._next_tick(now)) is not None and tick <= now:
            self._tick(tick)
        due = self._core.next_due()
        if now > self._now:
            self._core.advance(now)
            self._now = now
        self._feed.begin_units(now)
        return now, due is not None and due <= now

    def act(self, change: Callable[[datetime], T]) -> T:
        """Make a change to the core, keep it and publish what follows from it, then return its result."""
        if self._faults.is_over:
            # What time has brought is kept and told together with the change.
            now, has_changed = self._pass_time()
        else:
            now, has_changed = self._catch_up(), False
        is_done = False
        try:
            result = change(now)
            is_done = True
        finally:
            # A refusal changes nothing by itself.
            self._commit(changed=is_done or has_changed)
            self._hold()
        self._feed.pulse(now)
        # What a change of the core brings nearer is something of the core, or a tick because an order works now.
        if self._sleep is not None:
            due = self._core.next_due()
            if (due is not None and due < self._sleeps_until) or (not self._sleeps_busy and self._is_busy):
                self._end_sleep()
        return result

    def announce(self, groups: Mapping[str, Sequence[Mapping[str, Any]]], actions: Sequence[CorporateAction]) -> None:
        """Let issuers announce actions, given as rows and as what they mean. Raises ``DataError`` for one that cannot be carried out."""
        self.act(lambda now: self._announce(groups, actions, now))

    def _announce(self, groups: Mapping[str, Sequence[Mapping[str, Any]]], actions: Sequence[CorporateAction], now: datetime) -> None:
        self._core.announce(actions, now)
        self._issuers.add(groups, now)

    def stir(self, now: datetime) -> None:
        """A client trades or asks for prices: for a while the market moves by the second."""
        was_active = self._active_until > self._ticked_at
        self._was_stirred = True
        self._active_until = max(now, self._now) + ACTIVE
        if not was_active:
            self.wake()

    def wake(self) -> None:
        """Make :meth:`run` look again at what is due, if anything is earlier than what it sleeps for."""
        if self._sleep is not None and (self._failure is not None or self._next_moment(self._now) < self._sleeps_until):
            self._end_sleep()

    def _end_sleep(self) -> None:
        if self._sleep is not None:
            self._sleep.reschedule(0.0)
            self._sleep = None

    def keep(self) -> None:
        """Write the state as it is, unless that has failed before."""
        if self._failure is None:
            self._state.save(max(self._clock.now(), self._now), self._core.changes)

    def _open_market(self) -> None:
        """Give the core the prices of this moment before anybody can ask for them."""
        self._core.advance(self._now)
        self._feed.tick(self._now, self._now)
        self._commit(changed=True)

    def _next_moment(self, now: datetime) -> datetime:
        """Return when something is due next; when nothing is, a day from now, which is as good as for ever."""
        first = self._next_tick(now)
        for at in (self._core.next_due(), self._faults.next_due(), self._feed.next_pulse(now)):
            if at is not None and (first is None or at < first):
                first = at
        return now + timedelta(days=1) if first is None else first

    def _next_tick(self, now: datetime) -> datetime | None:
        tick, turn = self._grid.next_tick(self._ticked_at, now, is_busy=self._is_busy), self._feed.next_turn(self._ticked_at)
        return tick if turn is None or tick is None else min(tick, turn)

    @property
    def _is_busy(self) -> bool:
        """Whether the market moves by the second: somebody wants it to, or an order works."""
        return self._active_until > self._ticked_at or self._by_the_second or self._core.has_working_orders

    def _tick(self, at: datetime) -> None:
        """Show the market of that moment to the core, then let it do what is due at it.

        At the open and at the close the quote comes an instant earlier than the phase changes: the opening auction and the orders that wait
        for the open meet the opening quote, the closing auction and day orders the closing one.
        """
        self._change_executions(at)
        self._ticked_at = at
        is_boundary = (self._calendar.session_at(at) is None) != (self._calendar.session_at(at - _INSTANT) is None)
        self._now = max(self._now, at - _INSTANT if is_boundary else at)
        due = self._core.next_due()
        self._feed.tick(at, self._now)
        self._now = max(self._now, at)
        self._core.advance(self._now)
        self._commit(changed=due is not None and due <= self._now, is_minute=floor_to(at, MINUTE) == at)

    def _commit(self, *, changed: bool, is_minute: bool = False) -> None:
        """Keep what changed, then tell the order stream; at minute marks keep at least the time."""
        updates = self._core.drain()
        if not (updates or changed or is_minute):
            return  # Most looks at the clock find nothing new.
        try:
            if changed or updates:
                self._state.keep_events(updates)
                self._state.save(self._now, self._core.changes)
            elif is_minute:
                self._state.save(self._now, None)
        except DataError as error:
            # Whoever asked gets no proper answer, and the exchange ends: from here on it could not keep a promise.
            self._failure = error
            self.wake()
            raise
        self._order_stream.publish(updates)
        self._event_stream.publish(updates)
        if self._faults.is_empty:
            return
        for update in updates:
            if update.qty is not None and update.previous_execution_id is None:
                self._faults.note_execution(update.state.symbol, update.execution_id or "", update.at)

    def _change_executions(self, now: datetime) -> None:
        """Break and correct the executions whose fault is due; one that can no longer be changed stays, and the log says so."""
        for at, execution_id, fault in self._faults.late_changes(now):
            self._now = max(self._now, at)
            try:
                if isinstance(fault, Correct):
                    self._core.correct(execution_id, self._now, by=fault.by)
                else:
                    self._core.bust(execution_id, self._now)
            except ApiError as refusal:
                self._traffic.event(self._now, "orders", f"execution not changed: {refusal.message}")
                continue
            self._commit(changed=True)

    def _strike_due(self, now: datetime) -> None:
        for fault in self._faults.due(now):
            self._strike(fault, now)
        self._change_executions(now)

    def _strike(self, fault: DueFault, now: datetime) -> None:
        match fault:
            case DropStream() | SendFrame() | HalfOpen():
                self._strike_stream(fault)
            case Storm():
                self._feed.storm(fault.symbol, fault.messages, now)
            case Halt():
                self._feed.halt(fault.symbol, fault.halted, now)
            case Borrow():
                self._core.on_asset(fault.symbol, AssetChange(easy_to_borrow=fault.easy), now)
            case Block():
                self._core.block(account=fault.account, trading=fault.trading, transfers=fault.transfers)
            case CorporateActions():
                try:
                    self._announce(fault.actions, actions_of(fault.actions), now)
                except DataError as refusal:
                    self._traffic.event(now, "orders", f"corporate actions not announced: {refusal}")
            case StepClock() if isinstance(self._clock, AdjustableClock):
                self._clock.advance(fault.seconds)
        self._commit(changed=isinstance(fault, Halt | Borrow | Block | CorporateActions))

    def _strike_stream(self, fault: DropStream | SendFrame | HalfOpen) -> None:
        stream = self._streams[fault.stream]
        match fault:
            case DropStream():
                stream.drop(fault.code)
            case SendFrame():
                stream.send_raw(fault.text)
            case HalfOpen():
                stream.freeze()

    def _hold(self) -> None:
        """Keep an accelerated clock from leaping while an order works in a session, because deadlines are seconds."""
        is_wanted = self._core.has_working_orders or (self._hold_for_clients and self._has_clients())
        if is_wanted and self._is_in_session():
            if self._release is None:
                self._release = self._clock.hold("exchange: orders or clients")
        else:
            self._let_go()

    def _is_in_session(self) -> bool:
        known = self._session
        if known is None or not known.opens_at <= self._now < known.closes_at:
            known = self._session = self._calendar.session_at(self._now)
        return known is not None

    def _has_clients(self) -> bool:
        """Return whether a client with a clock of its own is there, or none has come yet."""
        is_connected = self._order_stream.is_connected or self._market_stream.is_connected or self._event_stream.is_connected
        return is_connected or not self._was_stirred or self._active_until > self._now

    def _let_go(self) -> None:
        if self._release is not None:
            self._release()
            self._release = None
