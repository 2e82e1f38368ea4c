"""The routing table: which subscriptions an event of a type reaches, worked out when subscribing, not when publishing."""

from collections.abc import Callable, Iterable, Mapping
from itertools import count
from operator import attrgetter, itemgetter
from typing import Any, NamedTuple, Protocol

from alchemiser.bus.delivery import Delivery, KeyOf, OnFailure
from alchemiser.bus.envelope import Envelope
from alchemiser.bus.mailbox import Mailbox
from alchemiser.bus.reports import HandlerStatistics
from alchemiser.bus.supervision import Supervisor
from alchemiser.bus.tap import Tap
from alchemiser.domain.events import Event, ExecutionReported, OrderFilled
from alchemiser.domain.ids import rebalance_of

Deliver = Callable[[Envelope], None]

Wish = Callable[[Any], bool]
"""Takes in what an event says, at once, and says whether it is to be delivered."""

CorrelationOf = Callable[[Any], str | None]
"""Returns the rebalance that an event names, if it does."""


class Act(NamedTuple):
    """What is called for an event: with the event alone, or where that ``takes_envelope`` with it in its envelope."""

    call: Callable[[Any], object]
    takes_envelope: bool


class Sink(Protocol):
    """One end of a route; it takes the blame when its call raises."""

    @property
    def name(self) -> str:
        """The name of the subscription."""

    def failed(self, supervisor: Supervisor, envelope: Envelope, error: Exception) -> None:
        """Report that the call raised at this envelope."""


class Route:
    """What becomes of one event type. Inline and prompt handlers come first, then mailboxes, each in the order of subscription."""

    __slots__ = ("correlation_of", "dispatched", "holding", "sinks", "tap")

    def __init__(self, tap: Tap | None, correlation_of: CorrelationOf | None) -> None:
        self.tap = tap
        self.correlation_of = correlation_of
        self.dispatched = 0
        self.sinks: tuple[tuple[Callable[[Any], object], bool, Sink], ...] = ()
        self.holding: tuple[Mailbox, ...] = ()


class Inline:
    """A subscription that is called directly. What it handled follows from the counts of its routes, so that counting costs nothing."""

    def __init__(self, name: str, on_failure: OnFailure) -> None:
        self.name = name
        self._on_failure = on_failure
        self._failed = 0
        self._since: list[tuple[Route, int]] = []

    def joined(self, route: Route) -> None:
        """Count the events of this route from here on."""
        self._since.append((route, route.dispatched))

    def failed(self, supervisor: Supervisor, envelope: Envelope, error: Exception) -> None:
        """Count the failure and hand it to the supervisor."""
        self._failed += 1
        supervisor.failed(self.name, self._on_failure, envelope, error)

    def statistics(self) -> HandlerStatistics:
        """Return the subscription in numbers."""
        seen = sum(route.dispatched - before for route, before in self._since)
        return HandlerStatistics(name=self.name, kind="inline", handled=seen - self._failed, failed=self._failed)


def _by_key(mailbox: Mailbox, event_type: type[Event], key_of: KeyOf) -> Deliver:
    """Return the end of a route in a mailbox that conflates events of its type; the key function is the subscriber's and may raise."""
    return lambda envelope: mailbox.put_latest((event_type, key_of(envelope.event)), envelope)


def _promptly(mailbox: Mailbox, queue: Deliver) -> Deliver:
    """Return the end of a route in a mailbox whose handler begins at once when it is idle; else the event is queued as it would be."""

    def deal_or_queue(envelope: Envelope) -> None:
        if not mailbox.begin(envelope):
            queue(envelope)

    return deal_or_queue


def _if_wanted(wish: Wish, deliver: Deliver) -> Deliver:
    """Return the end of a route in a mailbox whose subscriber looks at each event first."""

    def look_and_deliver(envelope: Envelope) -> None:
        if wish(envelope.event):
            deliver(envelope)

    return look_and_deliver


class _Inlined(NamedTuple):
    """An inline subscription, the ``place``-th of all subscriptions."""

    place: int
    inline: Inline
    acts: Mapping[type[Event], Act]

    def act_for(self, event_type: type[Event]) -> Act | None:
        """Return what is called for events of a type, those of its nearest ancestor where it has nothing of its own."""
        return next((self.acts[kind] for kind in event_type.__mro__ if kind in self.acts), None)


class _Mailed(NamedTuple):
    """A subscription with a mailbox, the ``place``-th of all subscriptions."""

    place: int
    mailbox: Mailbox
    delivery: Delivery
    types: tuple[type[Event], ...]
    promptly: frozenset[type[Event]]
    wants: Mapping[type[Event], Wish]


class _ByType(dict[type[Event], Route]):
    """The routes that there are; ``opened`` makes the one of a type that has none."""

    def __init__(self, opened: Callable[[type[Event]], Route]) -> None:
        super().__init__()
        self._opened = opened

    def __missing__(self, event_type: type[Event]) -> Route:
        route = self[event_type] = self._opened(event_type)
        return route


class Routes:
    """The table, by event type. A type gets its route when it is first published."""

    def __init__(self, tap: Tap | None) -> None:
        self.by_type: dict[type[Event], Route] = _ByType(self._opened)
        self._tap = tap
        self._inline: list[_Inlined] = []
        self._mailboxes: list[_Mailed] = []
        self._places = count()

    def add_inline(self, inline: Inline, acts: Mapping[type[Event], Act]) -> Callable[[], None]:
        """Add a subscription and return what removes it. Raises ``ValueError`` when its name is taken."""
        self._checked(inline.name, acts)
        entry = _Inlined(next(self._places), inline, acts)
        self._inline.append(entry)
        for event_type, route in self.by_type.items():
            if entry.act_for(event_type) is not None:
                inline.joined(route)
        self._lay_all()

        def remove() -> None:
            if entry in self._inline:
                self._inline.remove(entry)
                self._lay_all()

        return remove

    def add_mailbox(
        self,
        mailbox: Mailbox,
        delivery: Delivery,
        types: Iterable[type[Event]],
        promptly: frozenset[type[Event]],
        wants: Mapping[type[Event], Wish],
    ) -> Callable[[], None]:
        """Add a subscription and return what removes it. Raises ``ValueError`` when its name is taken."""
        entry = _Mailed(next(self._places), mailbox, delivery, self._checked(mailbox.name, types), promptly, wants)
        self._mailboxes.append(entry)
        self._lay_all()

        def remove() -> None:
            if entry in self._mailboxes:
                self._mailboxes.remove(entry)
                self._lay_all()

        return remove

    def inline_statistics(self) -> tuple[HandlerStatistics, ...]:
        """Return every inline subscription in numbers."""
        return tuple(entry.inline.statistics() for entry in self._inline)

    def _checked(self, name: str, types: Iterable[type[Event]]) -> tuple[type[Event], ...]:
        taken = [entry.inline.name for entry in self._inline] + [entry.mailbox.name for entry in self._mailboxes]
        if name in taken:
            raise ValueError(f"the bus has a handler named {name} already")
        wanted = tuple(types)
        if not wanted:
            raise ValueError(f"handler {name} subscribes to no event type")
        return wanted

    def _opened(self, event_type: type[Event]) -> Route:
        route = Route(self._tap if event_type.journaled else None, _correlation_of(event_type))
        self._lay(event_type, route)
        for entry in self._inline:
            if entry.act_for(event_type) is not None:
                entry.inline.joined(route)
        return route

    def _lay_all(self) -> None:
        for event_type, route in self.by_type.items():
            self._lay(event_type, route)

    def _lay(self, event_type: type[Event], route: Route) -> None:
        at_once: list[tuple[int, Act, Sink]] = [
            (entry.place, act, entry.inline) for entry in self._inline if (act := entry.act_for(event_type)) is not None
        ]
        queued: list[tuple[Deliver, bool, Sink]] = []
        holding: list[Mailbox] = []
        for place, mailbox, delivery, types, promptly, wants in self._mailboxes:
            if not issubclass(event_type, types):
                continue
            key_of = delivery.key_for(event_type)
            deliver: Deliver = mailbox.put if key_of is None else _by_key(mailbox, event_type, key_of)
            if key_of is None:
                holding.append(mailbox)
            if event_type in promptly:
                deliver = _promptly(mailbox, deliver)
            if event_type in wants:
                deliver = _if_wanted(wants[event_type], deliver)
            if event_type in promptly:
                at_once.append((place, Act(deliver, takes_envelope=True), mailbox))
            else:
                queued.append((deliver, True, mailbox))
        at_once.sort(key=itemgetter(0))
        route.sinks = (*((*act, sink) for _, act, sink in at_once), *queued)
        route.holding = tuple(holding)


def _correlation_of(event_type: type[Event]) -> CorrelationOf | None:
    """Return how the rebalance is read from events of this type: from its id, or from the client order id, which has it inside."""
    if "rebalance_id" in event_type.__struct_fields__:
        return attrgetter("rebalance_id")
    if "client_order_id" in event_type.__struct_fields__:
        return lambda event: rebalance_of(event.client_order_id)
    if issubclass(event_type, ExecutionReported):
        return lambda event: rebalance_of(event.report.client_order_id)
    if issubclass(event_type, OrderFilled):
        return lambda event: rebalance_of(event.fill.client_order_id)
    return None
