"""What is journaled, as it happens, for whoever listens over HTTP: server-sent events with the sequence numbers of the journal as ids.

A listener that falls behind is told so and asks anew for what it shows; it never holds anybody back and never grows without bound.
"""

import asyncio
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final, get_args

from alchemiser.bus.envelope import Envelope
from alchemiser.domain.errors import NotReady
from alchemiser.domain.events import AnyEvent, Event
from alchemiser.service.state_view import event_row
from alchemiser.service.view import to_json

LISTENERS_AT_MOST: Final = 32
WAITING_AT_MOST: Final = 1_000
"""Events that wait for one listener; with one more it has fallen behind."""

LAGGED: Final = b"event: lagged\ndata: {}\n\n"
CLOSED: Final = b"event: closed\ndata: {}\n\n"


class Listener:
    """One open connection: what waits for it."""

    def __init__(self, missed: Iterable[Envelope] = ()) -> None:
        """``missed`` are recent events that it has not seen; they come first."""
        self._waiting = deque(message_of(envelope) for envelope in missed)
        self._woken = asyncio.Event()
        self._has_ended = False

    async def next(self) -> bytes:
        """Return what waits, as one piece of a stream; wait for it when there is nothing. Empty when the feed has ended."""
        while not self._waiting:
            if self._has_ended:
                return b""
            self._woken.clear()
            await self._woken.wait()
        found = b"".join(self._waiting)
        self._waiting.clear()
        return found

    def offer(self, message: bytes) -> None:
        """Have a message wait; when too many do, say so instead and end."""
        if len(self._waiting) >= WAITING_AT_MOST:
            self._waiting.clear()
            self.end(LAGGED)
        elif not self._has_ended:
            self._waiting.append(message)
            self._woken.set()

    def has_missed_more(self) -> None:
        """Say first that more was missed than follows."""
        self._waiting.appendleft(LAGGED)

    def end(self, message: bytes) -> None:
        """Send this last message and nothing after it."""
        if not self._has_ended:
            self._waiting.append(message)
            self._has_ended = True
            self._woken.set()


class LiveFeed:
    """Hands every journaled event to the listeners of the moment, and remembers the newest for those who were away for a moment.

    An event is only written down when somebody listens.
    """

    listens_to: tuple[type[Event], ...] = tuple(kind for kind in get_args(AnyEvent) if kind.journaled)

    def __init__(self) -> None:
        self._listeners: dict[Listener, None] = {}
        self._recent: deque[Envelope] = deque(maxlen=WAITING_AT_MOST // 2)

    def __call__(self, envelope: Envelope) -> None:
        """Hand on one event."""
        self._recent.append(envelope)
        if self._listeners:
            message = message_of(envelope)
            for listener in self._listeners:
                listener.offer(message)

    @contextmanager
    def listen(self, after: int | None = None) -> Iterator[Listener]:
        """Listen until the block ends, beginning with what came after that sequence number, or with the next event.

        Where more was missed than is remembered the first message is ``lagged``: what is shown should be asked for anew.
        Raises ``NotReady`` when so many listen already that one more is refused.
        """
        if len(self._listeners) >= LISTENERS_AT_MOST:
            raise NotReady(f"{LISTENERS_AT_MOST} clients listen to the stream already; close one of them")
        missed = [] if after is None else [envelope for envelope in self._recent if envelope.sequence > after]
        listener = Listener(missed)
        if after is not None and len(missed) == len(self._recent) and not (missed and missed[0].sequence == after + 1):
            listener.has_missed_more()
        self._listeners[listener] = None
        try:
            yield listener
        finally:
            del self._listeners[listener]

    def close(self) -> None:
        """End every listener: the door is being closed, or the token that let them in is no longer good."""
        for listener in self._listeners:
            listener.end(CLOSED)


def message_of(envelope: Envelope) -> bytes:
    """Return an event as a server-sent message: its sequence number is the id, its type the name."""
    row = event_row(envelope)
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (envelope.sequence, str(row["type"]).encode(), to_json(row))
