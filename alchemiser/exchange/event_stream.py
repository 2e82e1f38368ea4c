"""The replayable event streams over server-sent events.

``/v2/events/trades`` and ``/v2beta1/events/activities`` (section 5.4), ``/v1beta1/events/corporate-actions`` (section 7.1).
Lines are ``data: {...}``, comments ``:heartbeat`` and, to a client that reads too slowly, the number of messages it has lost. History is
sent first and is followed by what happens next, without a hole and without a repetition; an end that is reached ends the answer.
Trade events are remembered across restarts where the state is kept, otherwise from the start of this exchange; activities for as long as
the account has had them.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from aiohttp import web

from alchemiser.domain.runtime import Clock
from alchemiser.exchange.corporate_actions import ActionBook, ActionNews
from alchemiser.exchange.engine import Exchange
from alchemiser.exchange.event_log import AnyEvent, Event, EventLog, EventRange, encoded, parse_range, sortable_id
from alchemiser.exchange.faults import FaultBook
from alchemiser.exchange.http_forms import answer
from alchemiser.exchange.orders import OrderUpdate
from alchemiser.exchange.requests import ActivityFilter
from alchemiser.exchange.traffic import TrafficLog
from alchemiser.exchange.turns import at_once, in_turns
from alchemiser.market.calendar import NEW_YORK

HEARTBEAT_SECONDS: Final = 15.0
"""How often a silent stream says that it lives, in seconds of the loop."""

_QUEUE_EVENTS: Final = 10_000
_ID_TIME: Final = "%Y%m%d%H%M%S%f"

AnswerHeaders = Callable[[], dict[str, str]]


class Subscriber:
    """One client: a bounded queue of events, and how many it has lost by reading too slowly."""

    def __init__(self, wanted: EventRange, *, queue_events: int) -> None:
        self.wanted = wanted
        self.is_cut = False
        self._lines: deque[bytes] = deque()
        self._queue_events = queue_events
        self._dropped = 0
        self._is_over = False
        self._is_frozen = False
        self._news = asyncio.Event()

    def send(self, event: AnyEvent) -> None:
        """Queue an event; one that comes after the end that was asked for ends the stream instead."""
        if self.wanted.is_past(event):
            self.close()
        elif len(self._lines) >= self._queue_events:
            self._dropped += 1
        else:
            self._lines.append(b"data: " + event.payload + b"\n\n")
        self._news.set()

    def say(self, text: str) -> None:
        """Queue a line as it is."""
        self._lines.append(f"{text}\n\n".encode())
        self._news.set()

    def close(self, *, cut: bool = False) -> None:
        """End the stream after what is queued; with ``cut`` at once, as a broken network would."""
        self._is_over = True
        self.is_cut = self.is_cut or cut
        self._news.set()

    def freeze(self) -> None:
        """Say nothing any more, not even that the stream lives."""
        self._is_frozen = True

    async def take(self) -> bytes | None:
        """Return what is to be written next, a heartbeat when there is nothing for long, ``None`` at the end."""
        try:
            async with asyncio.timeout(HEARTBEAT_SECONDS):
                while not self._lines and not self._dropped and not self._is_over:
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            return b"" if self._is_frozen else b":heartbeat\n\n"
        if self.is_cut or not (self._lines or self._dropped):
            return None
        lines = b"" if self._is_frozen else b"".join(self._lines)
        self._lines.clear()
        if self._dropped and not self._is_frozen:
            lines += f": you are reading too slowly, dropped {self._dropped} messages\n\n".encode()
        self._dropped = 0
        return lines


class EventStream:
    """The event streams of an exchange and their clients."""

    def __init__(
        self,
        *,
        core: Exchange,
        clock: Clock,
        faults: FaultBook,
        traffic: TrafficLog,
        answer_headers: AnswerHeaders,
        issuers: ActionBook,
        earlier: Callable[[], Sequence[bytes]] | None = None,
        queue_events: int = _QUEUE_EVENTS,
    ) -> None:
        self._core = core
        self._issuers = issuers
        self._clock = clock
        self._faults = faults
        self._traffic = traffic
        self._answer_headers = answer_headers
        self._queue_events = queue_events
        self._trades = EventLog(earlier=earlier)
        self._activities = EventLog()
        self._actions = EventLog()
        self._actions_told = 0
        self._last_activity: str | None = None
        self._clients: dict[Subscriber, EventLog] = {}

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        return len(self._clients)

    @property
    def is_connected(self) -> bool:
        """Whether any client is connected."""
        return bool(self._clients)

    def publish(self, updates: Sequence[OrderUpdate]) -> None:
        """Remember order updates, and tell whoever listens to them or to the activities that came with them."""
        if not self._clients and self._faults.is_empty:
            self._trades.extend(updates)
            return
        for update in updates:
            self._tell(self._trades, update)
        if self._activities in self._clients.values():
            self._catch_up()
        if self._actions in self._clients.values():
            self._tell_news(at_once(self._issuers.news(self._clock.now())))

    async def trades(self, request: web.Request) -> web.StreamResponse:
        """``GET /v2/events/trades``."""
        return await self._serve(request, self._trades)

    async def activities(self, request: web.Request) -> web.StreamResponse:
        """``GET /v2beta1/events/activities``."""
        self._catch_up()
        return await self._serve(request, self._activities)

    async def corporate_actions(self, request: web.Request) -> web.StreamResponse:
        """``GET /v1beta1/events/corporate-actions``."""
        self._tell_news(await in_turns(self._issuers.news(self._clock.now())))
        return await self._serve(request, self._actions)

    def send_raw(self, text: str) -> None:
        """Send a line as it is to every client."""
        for subscriber in self._clients:
            subscriber.say(text)

    def freeze(self) -> None:
        """Make every connection half open: nothing is sent any more, and nobody is told."""
        for subscriber in self._clients:
            subscriber.freeze()

    def drop(self, code: int | None = None) -> None:
        """End every connection; without a code as a broken network would."""
        for subscriber in self._clients:
            subscriber.close(cut=code is None)

    async def _serve(self, request: web.Request, log: EventLog) -> web.StreamResponse:
        refusal = self._faults.refusal("events", self._clock.now())
        if refusal is not None:
            return answer({"message": "connection limit exceeded"}, refusal.status)
        wanted = parse_range(request.query)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache", **self._answer_headers()})
        await response.prepare(request)
        with self._subscribed(wanted, log) as subscriber:
            try:
                while (lines := await subscriber.take()) is not None:
                    await response.write(lines)
                if not subscriber.is_cut:
                    await response.write_eof()
                elif request.transport is not None:
                    request.transport.abort()
            except ConnectionResetError:
                pass  # The client is gone, which is how most event streams end.
        self._traffic.event(self._clock.now(), "events", "ended")
        return response

    @contextmanager
    def _subscribed(self, wanted: EventRange, log: EventLog) -> Iterator[Subscriber]:
        """Yield a client that has its history before it and hears what happens from this moment on."""
        history = log.select(wanted)
        subscriber = Subscriber(wanted, queue_events=max(self._queue_events, len(history)))
        for event in history:
            subscriber.send(event)
        if wanted.is_over(self._clock.now(), log.last_id):
            subscriber.close()
        self._clients[subscriber] = log
        try:
            yield subscriber
        finally:
            del self._clients[subscriber]

    def _tell(self, log: EventLog, event: AnyEvent) -> None:
        log.append(event)
        now = self._clock.now()
        if self._faults.is_mute("events", now):
            return
        copies = 2 if self._faults.overlaps_replay(now) else 1
        for subscriber, theirs in self._clients.items():
            if theirs is log:
                for _ in range(copies):
                    subscriber.send(event)

    def _catch_up(self) -> None:
        """Make events of the activities that have come since the last time; their ids follow from the rows, so that they stay the same."""
        wanted = ActivityFilter(direction="asc", page_size=1_000_000, page_token=self._last_activity)
        for row in self._core.activities(wanted):
            self._last_activity = row["id"]
            at, entropy = _origin(row)
            event_id = sortable_id(at, self._activities.last_id, entropy)
            self._tell(self._activities, Event(event_id, at, encoded({"event_id": event_id, "at": at, **row})))

    def _tell_news(self, known: Sequence[ActionNews]) -> None:
        """Make events of the corporate actions that have become known since the last time; they are numbered as they are ``known``."""
        for news in known[self._actions_told :]:
            self._actions_told += 1
            event_id = sortable_id(news.at, self._actions.last_id, self._actions_told)
            row = {"event_id": event_id, "at": news.at, "type": news.group.removesuffix("s"), **news.row}
            self._tell(self._actions, Event(event_id, news.at, encoded(row)))


def _origin(row: dict[str, Any]) -> tuple[datetime, int]:
    """Return when an activity was, and a number of its own; both are in its id, whose time is New York's."""
    time, _, unique = str(row["id"]).partition("::")
    return datetime.strptime(time + "000", _ID_TIME).replace(tzinfo=NEW_YORK), UUID(unique).int
