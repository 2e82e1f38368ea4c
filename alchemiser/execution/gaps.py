"""The gap keeper: after a start and after every break of the order stream it asks the venue what was missed, before anything is sent.

The venue does not replay what happened while the stream was away. So the gap opens with the break and closes only when the open orders and
all executions since the last known one have been applied. A start is the first gap; there is no other start-up path.

It listens twice: :meth:`GapKeeper.note` inline, so that it knows what the stream had brought when it broke, and that it broke again
while the venue was being asked; :meth:`GapKeeper.handle` from a mailbox, because asking takes time.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

import structlog

from alchemiser.bus.envelope import Envelope
from alchemiser.domain.errors import NotFoundAtVenue, OutcomeUnknown, VenueUnavailable
from alchemiser.domain.events import (
    ExecutionReported,
    FrameUnreadable,
    GapClosed,
    GapOpened,
    RecoveryCompleted,
    StreamConnected,
    StreamLost,
)
from alchemiser.domain.runtime import Clock
from alchemiser.domain.venue import Venue
from alchemiser.execution.order_states import OrderStates
from alchemiser.execution.reconciliation import missed_fills, unaccounted

OVERLAP = timedelta(seconds=2)
"""How much further back than the last known execution the venue is asked: its clocks need not agree to the second."""

RETRY_SECONDS = (1.0, 2.0, 5.0, 10.0, 30.0)
"""Pauses between attempts to close a gap while the venue does not answer; the last repeats."""

_log = structlog.get_logger(__name__)


class GapKeeper:
    """Opens and closes the gaps of the order stream. Made after the journal, of ``replayed`` events, was replayed into ``orders``."""

    listens_to = (StreamConnected, StreamLost, FrameUnreadable)

    def __init__(
        self, *, venue: Venue, orders: OrderStates, clock: Clock, publish: Callable[..., Awaitable[object]], replayed: int
    ) -> None:
        self._venue = venue
        self._orders = orders
        self._clock = clock
        self._publish = publish
        self._replayed = replayed
        self._has_recovered = False
        self._open_since: datetime | None = None
        self._is_connected = False
        self._breaks = 0
        self._is_sound = False
        self._known_until = orders.last_fill_at

    def note(self, envelope: Envelope) -> None:
        """Take note at once of a break of the order stream and of what was known before it."""
        match envelope.event:
            case StreamConnected(stream="orders"):
                self._is_connected = True
            case StreamLost(stream="orders"):
                self._is_connected = False
                self._note_break()
            case FrameUnreadable(stream="orders"):
                self._note_break()
            case _:
                pass

    async def handle(self, envelope: Envelope) -> None:
        """Deal with the order stream being lost, connected again, or unreadable."""
        match envelope.event:
            case StreamLost(stream="orders", reason=reason, at=at):
                await self._open(at, reason)
            case FrameUnreadable(stream="orders", error=error, at=at):
                await self._open(at, f"a frame could not be read: {error}")
                await self._close()
            case StreamConnected(stream="orders"):
                await self._close()
            case _:
                pass

    def _note_break(self) -> None:
        self._breaks += 1
        if self._is_sound:
            # Later the stream may bring newer executions than the ones it hid.
            self._is_sound, self._known_until = False, self._orders.last_fill_at

    async def _open(self, since: datetime, reason: str) -> None:
        if self._open_since is None and self._has_recovered:
            self._open_since = since
            await self._publish(GapOpened(at=self._clock.now(), stream="orders", since=since, reason=reason))

    async def _close(self) -> None:
        if self._has_recovered and self._open_since is None:
            return
        recovered, attempt, breaks = None, 0, 0
        while recovered is None:
            breaks = self._breaks
            try:
                recovered = await self._recover()
            except (VenueUnavailable, OutcomeUnknown) as error:
                pause = RETRY_SECONDS[min(attempt, len(RETRY_SECONDS) - 1)]
                attempt += 1
                _log.warning("gap_stays_open", reason=str(error), retry_seconds=pause)
                await self._clock.sleep(pause)
        if breaks != self._breaks or not self._is_connected:
            return  # It broke again meanwhile. What that hid is asked for when its own event is dealt with.
        self._is_sound = True
        now = self._clock.now()
        if not self._has_recovered:
            self._has_recovered = True
            await self._publish(
                RecoveryCompleted(
                    at=now,
                    events_replayed=self._replayed,
                    fills_recovered=recovered,
                    open_orders=len(self._orders.open_orders()),
                )
            )
        if self._open_since is not None:
            since, self._open_since = self._open_since, None
            await self._publish(GapClosed(at=now, stream="orders", since=since, fills_recovered=recovered))

    async def _recover(self) -> int:
        """Apply what the venue knows and the order states do not; return the number of executions that were missed."""
        if not any(True for _ in self._orders):
            return 0  # Nothing was ever sent from this journal, so nothing of ours can have been missed.
        listed = await self._venue.open_orders()
        for report in listed:
            if self._orders.get(report.client_order_id) is not None:
                await self._publish(ExecutionReported(at=self._clock.now(), report=report))
        for order in unaccounted(listed, self._orders):
            try:
                report = await self._venue.order_by_client_id(order.client_order_id)
            except NotFoundAtVenue:
                continue  # Its submit may still be on the way; the execution handler looks it up until it is known.
            await self._publish(ExecutionReported(at=self._clock.now(), report=report))
        activities = await self._venue.fills_since(self._missing_from())
        missed = missed_fills(activities, self._orders)
        for report in missed:
            await self._publish(ExecutionReported(at=report.at, report=report))
        incomplete = [order.client_order_id for order in self._orders.incomplete()]
        if incomplete:
            # Its lists are only eventually consistent. Going on would take what was filled for what is still to be done.
            raise VenueUnavailable(f"the venue counts more filled of {', '.join(incomplete)} than its list of executions has")
        return len(missed)

    def _missing_from(self) -> datetime:
        """Return since when executions may be missing: the last one known before the break, or the first order that lacks some."""
        begin = self._known_until or next(iter(self._orders)).intended_at
        return min((begin, *(order.intended_at for order in self._orders.incomplete()))) - OVERLAP
