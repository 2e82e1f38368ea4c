"""A mailbox: one handler with its own task and bounded queue, for whatever may take time.

Promises: the handler sees one event at a time, in bus order; an event of a delivered-every type is never dropped; of a conflated type
the newest per key waits, in the place in line of the one it overwrote. A failure is reported and the handler goes on with the next event.
It does not wait for room itself: the bus asks :meth:`Mailbox.is_full` and waits in :meth:`Mailbox.room`.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Coroutine, Hashable
from contextvars import Context, ContextVar, copy_context
from typing import Any, Final

import msgspec

from alchemiser.bus.begun import begin, breathe
from alchemiser.bus.delivery import OnFailure
from alchemiser.bus.envelope import NOBODY, Envelope, Nobody
from alchemiser.bus.reports import HandlerStatistics, Unfinished
from alchemiser.bus.supervision import Supervisor, is_fatal
from alchemiser.domain.errors import BusClosed, InvariantBroken
from alchemiser.domain.runtime import Clock

Handle = Callable[[Envelope], Awaitable[None]]

HARD_FACTOR: Final = 64
"""A mailbox that holds so many times its bound is not slow but stuck, and the process stops; the journal has what it held."""

_FIRST_PAUSE_SECONDS = 0.125
_LONGEST_PAUSE_SECONDS = 4.0

cause: ContextVar[Envelope | Nobody] = ContextVar("cause", default=NOBODY)
"""The envelope that the running handler deals with; tasks that it starts inherit it."""

publisher: ContextVar["Mailbox | None"] = ContextVar("publisher", default=None)
"""The mailbox in whose handler the running code is."""


class Probe(msgspec.Struct, gc=False):
    """A marker on its way through a mailbox, and when it was sent and answered, in seconds of the loop."""

    sent: float
    behind: int
    answered: float | None = None


class Mailbox:
    """The queue of one handler and the task that empties it."""

    def __init__(
        self,
        name: str,
        handle: Handle,
        *,
        capacity: int,
        on_failure: OnFailure,
        limit_seconds: float,
        burst: int,
        clock: Clock,
        supervisor: Supervisor,
        on_filled: Callable[[str, int], None],
        crowded: set["Mailbox"],
    ) -> None:
        """``crowded`` are the mailboxes whose bound has been reached, and where what waits was not down to half of it since.

        All others have room for every publisher.
        """
        self.name = name
        self.on_failure = on_failure
        self.capacity = capacity
        self.limit_seconds = limit_seconds
        self.waits_for: list[Mailbox] = []
        self._burst = burst
        self._handle = handle
        self._clock = clock
        self._supervisor = supervisor
        self._on_filled = on_filled
        self._events: deque[Envelope] = deque()
        self._latest: OrderedDict[Hashable, Envelope] = OrderedDict()
        self._idle: asyncio.Future[None] | None = None
        self.context: Context = copy_context()
        """The context of the task: what is begun outside of it sees what it sees."""
        self._begun: Coroutine[Any, Any, None] | None = None
        self._rooms: deque[asyncio.Future[None]] = deque()
        self._admitted = 0  # let in and not yet back on their feet
        self._probe: tuple[Probe, asyncio.Future[None]] | None = None
        self._pause: asyncio.Timeout | None = None
        self._busy_with: Envelope | None = None
        self._busy_since = 0.0
        self._loop: asyncio.AbstractEventLoop  # of the task, from when it runs
        self._all_crowded = crowded
        self._is_leaving = False
        self._is_hasty = False
        self._failures_in_a_row = 0
        self._handled = self._failed = self._conflated = self._overflowed = self._high_water = 0

    # --- what the bus puts in ---

    @property
    def depth(self) -> int:
        """How many events wait."""
        return len(self._events) + len(self._latest)

    @property
    def is_quiet(self) -> bool:
        """Whether nothing waits and the handler is at nothing."""
        return self._busy_with is None and not self._events and not self._latest

    def put(self, envelope: Envelope) -> None:
        """Queue an event that must be delivered, beyond the bound if need be."""
        events = self._events
        events.append(envelope)
        depth = len(events)
        if depth > self._high_water:
            self._high_water = depth
        if depth >= self.capacity:
            self._crowded(depth)
        if self._idle is not None:
            self._wake()

    def begin(self, envelope: Envelope) -> bool:
        """Deal with an event at once, without the task being woken for it; the task sees through what has to wait.

        Only where nothing waits and the handler is at nothing: returns whether it was so.
        """
        if self._idle is None:  # Whatever it has to deal with has woken it.
            return False
        left = begin(self._deliver(envelope), self.context)
        if left is not None:
            self._begun = left
            self._wake()
        return True

    def put_latest(self, key: Hashable, envelope: Envelope) -> None:
        """Queue an event in the place of an older one with the same key; when too many keys wait, the one longest in line goes."""
        latest = self._latest
        if key in latest:
            self._conflated += 1
        elif len(latest) >= self.capacity:
            self._conflated += 1
            latest.popitem(last=False)
        latest[key] = envelope
        if self.depth > self._high_water:
            self._high_water = self.depth
        if self._idle is not None:
            self._wake()

    def failed(self, supervisor: Supervisor, envelope: Envelope, error: Exception) -> None:
        """Record that an event could not even be queued, because the subscriber's key function raised."""
        self._failed += 1
        supervisor.failed(self.name, self.on_failure, envelope, error)

    def _crowded(self, depth: int) -> None:
        self._overflowed += depth > self.capacity
        if depth > self.capacity * HARD_FACTOR:
            raise InvariantBroken(
                f"mailbox {self.name} holds {depth} events, {HARD_FACTOR} times its bound: its handler is stuck; the process stops"
            )
        if self not in self._all_crowded:
            self._all_crowded.add(self)
            self._on_filled(self.name, depth)

    def _wake(self) -> None:
        idle, self._idle = self._idle, None
        if idle is not None and not idle.done():
            idle.set_result(None)

    # --- holding publishers back ---

    def is_full(self, *, queued: bool) -> bool:
        """Return whether a publisher must wait; one that was ``queued`` already does not line up behind the others again."""
        if queued:
            return len(self._events) >= self.capacity
        return len(self._events) + self._admitted >= self.capacity or bool(self._rooms)

    async def room(self, by: "Mailbox | None", *, queued: bool) -> None:
        """Return when there may be room. Raises ``BusClosed`` when the mailbox ended first."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if queued:
            self._rooms.appendleft(waiter)
        else:
            self._rooms.append(waiter)
        if by is not None:
            by.waits_for.append(self)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                self.admit()  # the room that was given to the cancelled publisher goes to the next
            raise
        finally:
            if waiter in self._rooms:
                self._rooms.remove(waiter)
            else:
                self._admitted -= 1
                if not self._admitted and not self._rooms and len(self._events) <= self.capacity // 2:
                    self._all_crowded.discard(self)  # Else one that gave up would leave a mailbox crowded that nothing comes to.
            if by is not None:
                by.waits_for.remove(self)

    def would_deadlock(self, by: "Mailbox | None") -> bool:
        """Return whether ``by``, waiting for this mailbox, would close a circle of handlers that wait for each other."""
        if by is None:
            return False
        seen: list[Mailbox] = []
        ahead = [self]
        while ahead:
            mailbox = ahead.pop()
            if mailbox is by:
                return True
            if mailbox not in seen:
                seen.append(mailbox)
                ahead.extend(mailbox.waits_for)
        return False

    def admit(self) -> None:
        """Let the next publisher in."""
        while self._rooms:
            waiter = self._rooms.popleft()
            self._admitted += 1
            if not waiter.done():
                waiter.set_result(None)
                return

    # --- the task ---

    async def run(self, on_quiet: Callable[[], None], on_broken: Callable[[BaseException], None]) -> None:
        """Deal with events until told to leave; ``on_broken`` is called with an error that must end the bus."""
        publisher.set(self)
        self._loop = asyncio.get_running_loop()
        in_a_row = 0
        try:
            while True:
                if self._probe is not None:
                    self._answer_probe()
                if self._begun is not None:
                    begun, self._begun = self._begun, None
                    await begun
                    await breathe()
                    continue
                envelope = self._take()
                if envelope is not None:
                    await self._deliver(envelope)
                    in_a_row += 1
                    if in_a_row >= self._burst and (self._events or self._latest or self._rooms):
                        await breathe()  # With nothing left it waits anyway.
                        in_a_row = 0
                    continue
                while self._rooms:
                    self.admit()
                if self._is_leaving:
                    return
                on_quiet()
                in_a_row = 0
                self._idle = self._loop.create_future()
                await self._idle
        except BaseException as error:  # the bus decides; a real cancellation goes on its way
            if isinstance(error, asyncio.CancelledError):
                raise
            on_broken(error)
            if not isinstance(error, Exception):
                raise

    def _take(self) -> Envelope | None:
        events, latest = self._events, self._latest
        if events and (not latest or events[0].sequence < next(iter(latest.values())).sequence):
            envelope = events.popleft()
            # At half the bound, not at each place: a publisher that is let in can publish many, which is most of the cost of waiting.
            if self._all_crowded and len(events) <= self.capacity // 2:
                while self._rooms and len(events) + self._admitted < self.capacity:
                    self.admit()
                if not self._rooms and not self._admitted:
                    self._all_crowded.discard(self)
            return envelope
        if latest:
            return latest.popitem(last=False)[1]
        return None

    async def _deliver(self, envelope: Envelope) -> None:
        cause.set(envelope)
        self._busy_with = envelope
        self._busy_since = self._loop.time()
        try:
            await self._handle(envelope)
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            # The handler awaited something that others cancelled: that is its failure, not our end.
            await self._recover(envelope, error)
        except Exception as error:
            if is_fatal(error):
                raise
            await self._recover(envelope, error)
        else:
            self._busy_with = None
            self._handled += 1
            self._failures_in_a_row = 0

    async def _recover(self, envelope: Envelope, failure: BaseException) -> None:
        self._failed += 1
        pause = min(_FIRST_PAUSE_SECONDS * 2**self._failures_in_a_row, _LONGEST_PAUSE_SECONDS)
        self._failures_in_a_row = min(self._failures_in_a_row + 1, 16)
        self._supervisor.failed(self.name, self.on_failure, envelope, failure, pause)
        self._busy_with = None
        await breathe()  # It may have been begun outside of the task, which is to wait now.
        try:
            async with asyncio.timeout(0 if self._is_hasty else None) as self._pause:
                await self._clock.sleep(pause)
        except TimeoutError:
            pass  # the bus is ending: what still waits is dealt with at once
        finally:
            self._pause = None

    # --- ending and looking in ---

    def hasten(self) -> None:
        """Pause no more after failures: the bus is ending."""
        self._is_hasty = True
        if self._pause is not None:
            self._pause.reschedule(0)

    def leave(self) -> None:
        """End the task once what waits has been dealt with."""
        self._is_leaving = True
        self._wake()

    def end(self) -> None:
        """Refuse the publishers that still wait, and have no more wait for room: the task is over."""
        self._all_crowded.discard(self)
        while self._rooms:
            waiter = self._rooms.popleft()
            self._admitted += 1
            if not waiter.done():
                waiter.set_exception(
                    BusClosed(f"the bus ended while an event waited for room in mailbox {self.name}; it was not published")
                )
        if self._probe is not None:
            self._probe[1].cancel()
            self._probe = None

    def probe(self) -> tuple[Probe, asyncio.Future[None]]:
        """Send a marker behind the events that wait, or join the one that is still on its way.

        Conflated events are not a line that anything waits in, so the marker does not stand behind them.
        """
        if self._probe is None:
            loop = asyncio.get_running_loop()
            behind = self._events[-1].sequence if self._events else 0
            self._probe = Probe(loop.time(), behind), loop.create_future()
            self._wake()
        return self._probe

    def _answer_probe(self) -> None:
        assert self._probe is not None
        probe, future = self._probe
        if not self._events or self._events[0].sequence > probe.behind:
            probe.answered = asyncio.get_running_loop().time()
            self._probe = None
            if not future.done():
                future.set_result(None)

    def stuck_seconds(self, now: float) -> float:
        """Return how long the handler has been at its present event, zero when it is at none."""
        return 0.0 if self._busy_with is None else now - self._busy_since

    def unfinished(self) -> Unfinished | None:
        """Return what is not done yet, ``None`` when all is."""
        if self.is_quiet:
            return None
        busy = self._busy_with
        return Unfinished(
            handler=self.name,
            waiting=self.depth,
            busy_with=None if busy is None else busy.sequence,
            event_type=None if busy is None else type(busy.event).__name__,
        )

    def statistics(self, now: float) -> HandlerStatistics:
        """Return the mailbox in numbers."""
        return HandlerStatistics(
            name=self.name,
            kind="mailbox",
            handled=self._handled,
            failed=self._failed,
            depth=self.depth,
            high_water=self._high_water,
            capacity=self.capacity,
            conflated=self._conflated,
            overflowed=self._overflowed,
            publishers_waiting=len(self._rooms),
            busy_seconds=None if self._busy_with is None else now - self._busy_since,
            busy_with=None if self._busy_with is None else self._busy_with.sequence,
        )
