"""The gap keeper: after a start and after everything that may have hidden a message the venue is asked, before anything is sent.

A gap of the order stream opens when the connection is lost, when it is silent although it owes a word, when a frame cannot be read,
and when ids, times or quantities say that something is missing. The WebSocket does not replay what was missed. So the gap closes only
when open orders, executions, positions and cash have been compared with the venue's. A start is the first gap; there is no other
start-up path.

It listens twice: :meth:`GapKeeper.note` inline, so that the gate is closed in the same breath, and that it knows what the stream had
brought before the break; :meth:`GapKeeper.handle` from a mailbox, because asking takes time. Comparisons on the timer and on demand go
through the same mailbox: there is never more than one at a time.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime

import structlog

from alchemiser.bus.envelope import Envelope
from alchemiser.domain.errors import CredentialsRefused, OutcomeUnknown, VenueError, VenueUnavailable
from alchemiser.domain.events import (
    CancelRequested,
    Event,
    ExecutionReported,
    FrameUnreadable,
    GapClosed,
    GapOpened,
    OrderClosed,
    ReconciliationDue,
    ReconciliationFailed,
    RecoveryCompleted,
    StreamConnected,
    StreamLost,
    StreamSilent,
)
from alchemiser.domain.orders import OrderState
from alchemiser.domain.runtime import Clock
from alchemiser.execution.anomalies import Awaited, StreamAuditor
from alchemiser.execution.order_states import OrderStates
from alchemiser.execution.reconciler import Reconciler, fills_missed

STREAM = "orders"

RETRY_SECONDS = (1.0, 2.0, 5.0, 10.0, 30.0)
"""Pauses between attempts to close a gap while the venue does not answer; the last repeats."""

_NEVER_THERE = (OrderState.NEVER_SENT.value, OrderState.REJECTED.value)
"""The ends of orders about which the stream has nothing to say."""

_log = structlog.get_logger(__name__)


class GapKeeper:
    """Opens and closes the gaps of the order stream. Made after the journal, of ``replayed`` events, was replayed into ``orders``."""

    notes = (StreamConnected, StreamLost, StreamSilent, FrameUnreadable, ExecutionReported, CancelRequested, OrderClosed)
    listens_to = (StreamConnected, GapOpened, ReconciliationDue)

    def __init__(
        self,
        *,
        reconciler: Reconciler,
        orders: OrderStates,
        clock: Clock,
        publish: Callable[..., Awaitable[object]],
        post: Callable[[Event], object],
        replayed: int,
    ) -> None:
        self._reconciler = reconciler
        self._orders = orders
        self._clock = clock
        self._publish = publish
        self._post = post
        self._replayed = replayed
        self._auditor = StreamAuditor()
        self._awaited = Awaited()
        self._has_recovered = False
        self._open_since: datetime | None = None
        self._is_connected = False
        self._breaks = 0
        self._is_sound = False
        self._known_until = orders.last_fill_at
        self._known_event = orders.last_event_id

    @property
    def owed(self) -> tuple[str, datetime] | None:
        """The order that has waited longest for a word of the stream, and since when; ``None`` while the stream owes nothing."""
        return self._awaited.oldest if self._is_connected else None

    def note(self, envelope: Envelope) -> None:
        """Take note at once of a break of the order stream and of what was known before it."""
        match envelope.event:
            case StreamConnected(stream="orders", at=at):
                self._is_connected = True
                self._auditor.begin()
                self._awaited.begin(at)
            case StreamLost(stream="orders", reason=reason, at=at):
                self._is_connected = False
                self._break(at, reason)
            case StreamSilent(stream="orders", reason=reason, since=since):
                self._break(since, reason)
            case FrameUnreadable(stream="orders", error=error, at=at):
                self._break(at, f"a frame could not be read: {error}")
            case ExecutionReported() as heard:
                self._hear(heard)
            case CancelRequested(client_order_id=key, at=at):
                self._awaited.cancel_requested(key, at)
            case OrderClosed(client_order_id=key, state=state):
                self._awaited.ended(key, was_there=state not in _NEVER_THERE)
            case _:
                pass

    async def handle(self, envelope: Envelope) -> None:
        """Close what is open as soon as the stream is connected, and compare when it is due."""
        match envelope.event:
            case StreamConnected(stream="orders") | GapOpened(stream="orders"):
                await self._close()
            case ReconciliationDue(reason=reason):
                await self._compare(reason)
            case _:
                pass

    def _hear(self, heard: ExecutionReported) -> None:
        """Judge a message of the stream; take note of an order of which it has to say something."""
        report = heard.report
        order = self._orders.get(report.client_order_id) or self._orders.by_venue_id(report.venue_order_id)
        if report.source == "stream":
            if order is not None:
                self._awaited.mentioned(order.client_order_id, has_ended=order.is_terminal)
            wrong = self._auditor.judge(report, order)
            if wrong is not None:
                self._break(heard.at, wrong)
            elif self._is_sound:
                self._known_event = max(report.event_id or "", self._known_event or "") or None
        elif report.source == "submit" and order is not None and not order.is_terminal:
            self._awaited.accepted(order.client_order_id, heard.at)

    def _break(self, since: datetime, reason: str) -> None:
        self._breaks += 1
        if self._is_sound:
            # Later the stream may bring newer executions than the ones it hid.
            self._is_sound, self._known_until = False, self._orders.last_fill_at
        if self._open_since is None and self._has_recovered:
            self._open_since = since
            self._post(GapOpened(at=self._clock.now(), stream=STREAM, since=since, reason=reason))

    async def _close(self) -> None:
        """Ask the venue until it has answered and nothing broke meanwhile; give up only to a break that a new connection ends."""
        reason = "start" if not self._has_recovered else "gap"
        attempt, told = 0, ""
        while self._is_connected and not (self._has_recovered and self._open_since is None):
            breaks = self._breaks
            try:
                recovered = await self._recover(reason)
            except VenueError as error:
                pause = RETRY_SECONDS[min(attempt, len(RETRY_SECONDS) - 1)]
                attempt += 1
                if (code := code_of(error)) != told:
                    told = code
                    await self._publish(
                        ReconciliationFailed(at=self._clock.now(), reason=reason, code=code, error=str(error), retries=True)
                    )
                _log.warning("gap_stays_open", code=code, reason=str(error), retry_seconds=pause)
                await self._clock.sleep(pause)
                continue
            if breaks == self._breaks and self._is_connected:
                await self._closed(recovered)

    async def _closed(self, recovered: int) -> None:
        self._is_sound = True
        self._awaited.settle()
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
            await self._publish(GapClosed(at=now, stream=STREAM, since=since, fills_recovered=recovered))

    async def _compare(self, reason: str) -> None:
        """Compare on the timer or on demand: once, for there is no gap that has to be closed; with one open, that is what is done."""
        if not self._has_recovered or self._open_since is not None:
            await self._close()
            return
        try:
            await self._recover(reason)
        except VenueError as error:
            await self._publish(
                ReconciliationFailed(at=self._clock.now(), reason=reason, code=code_of(error), error=str(error), retries=False)
            )

    async def _recover(self, reason: str) -> int:
        """Apply what the venue knows and the order states do not; return the number of executions that were missed."""
        since = self._orders.last_fill_at if self._is_sound else self._known_until
        done = await self._reconciler.reconcile(reason, since=since, since_event=self._known_event)
        return fills_missed(done)


def code_of(error: VenueError) -> str:
    """Return the code of what kept the venue from answering."""
    if isinstance(error, CredentialsRefused):
        return "credentials_refused"
    return "venue_unavailable" if isinstance(error, VenueUnavailable | OutcomeUnknown) else "venue_refused"
