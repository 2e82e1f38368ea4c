"""The bus: one publisher's event to many handlers, in publish order, each handler on its own feet.

Promises:

- Events get sequence numbers without holes and reach every handler in that order. What a handler posts while an event is being dispatched
  is dispatched after it. Journaled events are with the tap before any handler sees them.
- What a handler publishes inherits causation and correlation from the event it deals with.
- One handler's exception, slowness or full mailbox never reaches another handler (see ``supervision``, ``mailbox``).
- Every queue has a bound. ``publish`` waits for room; ``post`` never waits and is for inline handlers and for droppable market data.
  Where waiting would be a deadlock of handlers that publish to each other, the event passes beyond the bound and is counted.

It does not retry, does not route by content, and does not cross processes.
"""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from alchemiser.bus.afterwards import Afterwards
from alchemiser.bus.delivery import EVERY, RESTART, Delivery, OnFailure
from alchemiser.bus.envelope import NOBODY, Envelope, Nobody
from alchemiser.bus.mailbox import Mailbox, cause, publisher
from alchemiser.bus.reports import DrainReport, HandlerStatistics, TurnReport
from alchemiser.bus.routes import Act, Inline, Route, Routes, Sink
from alchemiser.bus.supervision import Supervisor, is_fatal
from alchemiser.bus.tap import Tap
from alchemiser.domain.errors import BusClosed, InvariantBroken, JournalFailed
from alchemiser.domain.events import Event, MailboxFilled
from alchemiser.domain.runtime import Clock

Unsubscribe = Callable[[], None]
"""Ends a subscription; calling it twice is harmless. A mailbox still deals with what waits in it."""

MAX_CASCADE = 10_000
"""With so many events that the inline handlers have posted from one event it is taken for a loop that never ends."""

_OPEN, _DRAINING, _ENDED = range(3)
_cause = cause.get  # bound once: it is asked for every event


class Bus:
    """Events in, events out. ``first_sequence`` continues the numbering of a journal; without a ``tap`` nothing is durable."""

    def __init__(self, *, clock: Clock, tap: Tap | None = None, first_sequence: int = 1) -> None:
        self._clock = clock
        self._tap = tap
        self._sequence = first_sequence - 1
        self._supervisor = Supervisor(clock, self.post)
        self._routes = Routes(tap)
        self._route_of = self._routes.by_type
        self._mailboxes: list[Mailbox] = []
        self._crowded: set[Mailbox] = set()
        self._afterwards: list[Afterwards] = []
        self._current: Envelope | None = None
        self._line: list[tuple[Route, Envelope]] = []  # what handlers posted since the present event was
        self._state = _OPEN
        self._group: asyncio.TaskGroup | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._finished = asyncio.Event()
        self._quiet = asyncio.Event()
        self._broken: BaseException | None = None

    # --- subscribing ---

    def subscribe_inline(
        self,
        name: str,
        types: Iterable[type[Event]],
        call: Callable[[Envelope], None],
        *,
        on_failure: OnFailure = RESTART,
    ) -> Unsubscribe:
        """Have ``call`` called directly for events of these types, in the order of subscription; it must return at once.

        Subclasses of the types are included: ``Event`` means all.
        Raises ``ValueError`` when the name is taken or ``call`` is a coroutine function.
        """
        if inspect.iscoroutinefunction(call):
            raise ValueError(f"{name} is a coroutine function and would never run inline; subscribe it as a mailbox")
        return self._routes.add_inline(Inline(name, on_failure), dict.fromkeys(types, Act(call, takes_envelope=True)))

    def subscribe_acts(
        self, name: str, acts: Mapping[type[Event], Callable[[Any], object]], *, on_failure: OnFailure = RESTART
    ) -> Unsubscribe:
        """Have for each of these types its own function called, with the event alone; in all else as :meth:`subscribe_inline` does it.

        For whoever would only look for that function: an order has five events, and each of them is heard of by several.
        """
        return self._routes.add_inline(Inline(name, on_failure), {kind: Act(act, takes_envelope=False) for kind, act in acts.items()})

    def subscribe_afterwards(self, name: str, types: Iterable[type[Event]], call: Callable[[Envelope], None]) -> Unsubscribe:
        """Have ``call`` called for events of these types as an inline handler is, but some milliseconds later.

        For whoever writes and counts, so that no order waits for it. All are told before the bus has ended.
        Raises ``ValueError`` as :meth:`subscribe_inline` does.
        """

        def guarded(envelope: Envelope) -> None:
            try:
                call(envelope)
            except Exception as error:  # noqa: BLE001 - this is the supervisor
                self._failed_afterwards(inline, envelope, error)

        later = Afterwards(guarded)
        inline = Inline(name, RESTART)
        self._afterwards.append(later)
        return self._routes.add_inline(inline, dict.fromkeys(types, Act(later.put, takes_envelope=True)))

    def subscribe(
        self,
        name: str,
        types: Iterable[type[Event]],
        handle: Callable[[Envelope], Awaitable[None]],
        *,
        capacity: int = 1024,
        policy: Delivery = EVERY,
        on_failure: OnFailure = RESTART,
        limit_seconds: float = 30.0,
        promptly: Iterable[type[Event]] = (),
        wants: Mapping[type[Event], Callable[[Any], bool]] | None = None,
        burst: int = 1,
    ) -> Unsubscribe:
        """Give ``handle`` a mailbox for events of these types: its own task, one event at a time, in order.

        ``capacity`` bounds what waits, ``limit_seconds`` is how long the handler may be at one event before it counts as stuck
        (nothing is interrupted; :meth:`turn` names it). With an event of a type in ``promptly`` an idle handler begins at once, in its
        place among the inline handlers. A function in ``wants`` is called with each event of its very type, at once as an inline handler
        is, and only those of which it says so are delivered: it may take in what they say, so that the handler is woken only for what
        follows. Of what waits the handler deals with ``burst`` events before everybody else has a turn: where something outside of the
        process may be waiting that is one.
        Raises ``ValueError`` when the name is taken or the capacity is not positive.
        """
        if capacity < 1:
            raise ValueError(f"mailbox {name} needs a capacity of at least 1, not {capacity}")
        mailbox = Mailbox(
            name,
            handle,
            capacity=capacity,
            on_failure=on_failure,
            limit_seconds=limit_seconds,
            burst=burst,
            clock=self._clock,
            supervisor=self._supervisor,
            on_filled=self._mailbox_filled,
            crowded=self._crowded,
        )
        remove = self._routes.add_mailbox(mailbox, policy, types, frozenset(promptly), wants or {})
        self._mailboxes.append(mailbox)
        if self._group is not None:
            self._start(self._group, mailbox)

        def unsubscribe() -> None:
            remove()
            mailbox.leave()
            if self._group is None and mailbox in self._mailboxes:
                self._mailboxes.remove(mailbox)

        return unsubscribe

    # --- publishing ---

    @property
    def last_sequence(self) -> int:
        """The sequence number of the newest event."""
        return self._sequence

    def post(self, event: Event, correlation: str | None = None) -> Envelope:
        """Publish without ever waiting: to inline handlers now, into mailboxes beyond their bound if they are full.

        From inside an inline handler the event is dispatched after the present one. Without ``correlation`` the rebalance that the event
        itself names counts (by its id, or inside a client order id), then that of the event that is being dealt with.

        Raises ``BusClosed`` from outside a handler once the bus is closing, and ``JournalFailed`` when the event could not be journaled;
        then nobody has seen it and the bus ends.
        """
        route = self._route_of[type(event)]
        current = self._current
        led_here = _cause() if current is None else current
        if self._state:
            self._refuse_late(event, led_here)
        if correlation is None:
            if (correlation_of := route.correlation_of) is not None:
                correlation = correlation_of(event)
            if correlation is None:
                correlation = led_here.correlation
        sequence = self._sequence + 1
        envelope = Envelope(sequence, event, self._clock.monotonic(), correlation, led_here.sequence)
        if route.tap is not None:
            self._journal(route.tap, envelope)
        self._sequence = sequence
        if current is not None:
            self._line.append((route, envelope))
            if len(self._line) >= MAX_CASCADE:
                self._refuse_circle(envelope)
            return envelope
        self._current = envelope
        route.dispatched += 1
        try:
            # The loop of _follow_up, once more: most events lead to none, and are spared a line.
            for call, takes_envelope, sink in route.sinks:
                try:
                    call(envelope if takes_envelope else event)
                except Exception as error:  # noqa: BLE001 - this is the supervisor
                    self._failed(sink, envelope, error)
            if self._line:
                self._follow_up()
            self._current = None
        except BaseException as error:
            self._break(error)
            raise
        return envelope

    async def publish(self, event: Event, correlation: str | None = None) -> Envelope:
        """Publish, after waiting while a mailbox that must get every event of this type, or the journal's backlog, is full.

        Raises what :meth:`post` raises.
        """
        if self._crowded:
            await self._room(self._route_of[type(event)])
        if self._tap is not None and event.journaled and not self._tap.has_room:
            await self._tap.room()
        return self.post(event, correlation)

    async def _room(self, route: Route) -> None:
        """Wait while a mailbox that must get every event of this route is full."""
        by = publisher.get()
        waited: Mailbox | None = None
        while (full := _first_full(route, by, waited)) is not None:
            if waited is not None and waited is not full:
                waited.admit()  # the room there goes to somebody who can use it now
            await full.room(by, queued=waited is full)
            waited = full

    async def durable(self, sequence: int | None = None) -> None:
        """Return when everything published so far, or up to that sequence number, would survive a crash.

        Raises ``JournalFailed`` when that can no longer be promised.
        """
        if self._tap is not None:
            await self._tap.durable(self._sequence if sequence is None else sequence)

    def is_durable(self, sequence: int) -> bool:
        """Whether everything published up to that sequence number would survive a crash."""
        return self._tap is None or self._tap.is_durable(sequence)

    def _journal(self, tap: Tap, envelope: Envelope) -> None:
        try:
            tap.append(envelope)
        except JournalFailed as error:
            self._break(error)
            raise

    def _follow_up(self) -> None:
        """Dispatch what handlers posted meanwhile, in the order they posted it, and what is posted during that: the line grows by it."""
        for route, envelope in self._line:
            self._current, event = envelope, envelope.event
            route.dispatched += 1
            for call, takes_envelope, sink in route.sinks:
                try:
                    call(envelope if takes_envelope else event)
                except Exception as error:  # noqa: BLE001 - this is the supervisor
                    self._failed(sink, envelope, error)
        self._line.clear()

    def _refuse_circle(self, last: Envelope) -> None:
        raise InvariantBroken(
            f"one event led to {MAX_CASCADE} others, the last a {type(last.event).__name__} "
            f"(sequence {last.sequence}): handlers answer each other for ever; the process stops"
        )

    def _failed(self, sink: Sink, envelope: Envelope, error: Exception) -> None:
        if is_fatal(error):
            raise error
        sink.failed(self._supervisor, envelope, error)

    def _failed_afterwards(self, sink: Sink, envelope: Envelope, error: Exception) -> None:
        if is_fatal(error):
            self._break(error)
            return
        token = cause.set(envelope)
        try:
            sink.failed(self._supervisor, envelope, error)
        except (BusClosed, JournalFailed):
            pass  # The bus is broken, which its run tells; the failure itself has been logged.
        finally:
            cause.reset(token)

    def _refuse_late(self, event: Event, led_here: Envelope | Nobody) -> None:
        if self._broken is not None:
            raise BusClosed(f"{type(event).__name__} was not published: the bus broke ({self._broken})") from self._broken
        if self._state == _ENDED or led_here is NOBODY:
            raise BusClosed(f"{type(event).__name__} was not published: the bus is closed")

    def _mailbox_filled(self, name: str, depth: int) -> None:
        self.post(MailboxFilled(at=self._clock.now(), handler=name, depth=depth))

    # --- running and ending ---

    async def run(self, started: Callable[[], None] | None = None) -> None:
        """Run the mailboxes until :meth:`close` is done; ``started`` is called once they are.

        Raises the error that broke the bus, if one did: a broken invariant or a journal that cannot be written.
        Mailboxes may be subscribed before and meanwhile; what is published before waits for them.
        """
        if self._broken is not None:
            raise self._broken
        if self._group is not None:
            raise InvariantBroken("a bus runs once: a second set of tasks would handle every event twice")
        if self._state == _ENDED:
            return  # closed before it began; the report of the close named what was waiting
        try:
            async with asyncio.TaskGroup() as group:
                self._group = group
                for mailbox in self._mailboxes:
                    self._start(group, mailbox)
                if started is not None:
                    started()
                await self._finished.wait()
                for task in self._tasks:
                    task.cancel("the bus has ended")
        finally:
            self._end()
        if self._broken is not None:
            raise self._broken

    async def close(self, *, drain_seconds: float) -> DrainReport:
        """Take nothing more from outside, let handlers finish what is in flight and what follows from it, then end :meth:`run`.

        After ``drain_seconds`` of the loop the handlers that are not done are cancelled and named in the report.
        Call it from outside the handlers: one that closes the bus would wait for itself.
        """
        loop = asyncio.get_running_loop()
        began = loop.time()
        if self._state == _OPEN:
            self._state = _DRAINING
            for mailbox in self._mailboxes:
                mailbox.hasten()
        self._notice_quiet()
        if self._group is not None and self._state == _DRAINING:
            try:
                async with asyncio.timeout(drain_seconds):
                    await self._quiet.wait()
            except TimeoutError:
                pass  # the report says who
        unfinished = tuple(left for mailbox in self._mailboxes if (left := mailbox.unfinished()) is not None)
        self._end()
        return DrainReport(seconds=loop.time() - began, unfinished=unfinished)

    def _start(self, group: asyncio.TaskGroup, mailbox: Mailbox) -> None:
        task = group.create_task(mailbox.run(self._notice_quiet, self._break), name=f"mailbox {mailbox.name}", context=mailbox.context)
        self._tasks.append(task)
        task.add_done_callback(lambda _: self._left(task, mailbox))

    def _left(self, task: asyncio.Task[None], mailbox: Mailbox) -> None:
        mailbox.end()
        self._tasks.remove(task)
        if self._state != _ENDED:  # afterwards its numbers are still of interest
            self._mailboxes.remove(mailbox)
            self._notice_quiet()

    def _notice_quiet(self) -> None:
        if self._state == _DRAINING and all(mailbox.is_quiet for mailbox in self._mailboxes):
            self._quiet.set()

    def _break(self, error: BaseException) -> None:
        """Remember the error that ends the bus; nothing is dispatched any more."""
        if self._broken is None and self._state != _ENDED:
            self._broken = error
        self._current = None
        self._line.clear()
        self._end()

    def _end(self) -> None:
        if self._state != _ENDED:
            self._state = _DRAINING
            for later in self._afterwards:
                later.flush()
        self._state = _ENDED
        self._finished.set()
        self._quiet.set()
        for mailbox in self._mailboxes:
            mailbox.end()

    # --- looking in ---

    async def turn(self, limit_seconds: float) -> TurnReport:
        """Send a marker through every mailbox, wait for the answers at most that many seconds of the loop, and say who answered.

        A handler that is at work and within its own limit is busy, not overdue: sending an order may take its ten seconds.
        """
        loop = asyncio.get_running_loop()
        began = loop.time()
        sent = [(mailbox, *mailbox.probe()) for mailbox in self._mailboxes]
        if sent:
            await asyncio.wait([future for _, _, future in sent], timeout=limit_seconds)
        now = loop.time()
        answered: dict[str, float] = {}
        busy: dict[str, float] = {}
        overdue: dict[str, float] = {}
        for mailbox, probe, _ in sent:
            if probe.answered is not None:
                answered[mailbox.name] = probe.answered - began
            else:
                silent = max(now - probe.sent, mailbox.stuck_seconds(now))
                (busy if silent < mailbox.limit_seconds else overdue)[mailbox.name] = silent
        return TurnReport(seconds=now - began, answered=answered, busy=busy, overdue=overdue)

    def statistics(self) -> tuple[HandlerStatistics, ...]:
        """Return every subscription in numbers: the inline ones, then the mailboxes, each in the order of subscription."""
        try:
            now = asyncio.get_running_loop().time()
        except RuntimeError:
            now = 0.0  # no loop: no handler can be busy
        return (*self._routes.inline_statistics(), *(mailbox.statistics(now) for mailbox in self._mailboxes))

    def dispatched(self) -> dict[str, int]:
        """Return how many events of each type have been dispatched, by the name of the type."""
        return {event_type.__name__: route.dispatched for event_type, route in self._route_of.items()}


def _first_full(route: Route, by: Mailbox | None, waited: Mailbox | None) -> Mailbox | None:
    """Return the first mailbox that holds back a publisher of this route; one whose waiting would be a deadlock does not."""
    for mailbox in route.holding:
        if mailbox.is_full(queued=mailbox is waited) and not mailbox.would_deadlock(by):
            return mailbox
    return None
