"""The submit gate: the reasons why nothing may be sent just now. Risk-reducing cancels pass it always.

While trading is reducing it is open to sales only.
An inline component. It is closed until recovery has finished, while a stream is not listened to or has a gap, while the venue is being
reconciled with, while trading is paused or halted, outside the session and from its cut-off on, and when the daemon stops. Whoever
sends asks :meth:`SubmitGate.why_not` when the bytes are about to leave, and before that where a request has to wait for anything.
"""

from collections.abc import Callable, Iterator
from datetime import datetime

from alchemiser.bus.envelope import Envelope
from alchemiser.domain.events import (
    DaemonStopping,
    Event,
    GapClosed,
    GapOpened,
    RebalancePlanned,
    Reconciled,
    ReconciliationFailed,
    ReconciliationStarted,
    RecoveryCompleted,
    SessionClosed,
    SessionOpened,
    SettingsReloaded,
    StreamConnected,
    StreamLost,
    TradingStateChanged,
)
from alchemiser.domain.market import Session
from alchemiser.domain.orders import BUY, SELL, Side
from alchemiser.domain.trading import ACTIVE, GUARD, HALTED, REDUCING, TradingScopes


class SubmitGate:
    """Knows why the gate is closed; open when there is no reason left.

    ``now`` is the market time, ``cut_off`` gives the last moment of a session at which anything may be sent, and ``parked`` says why
    nothing of one symbol may be sent.
    """

    listens_to = (
        StreamConnected,
        StreamLost,
        GapOpened,
        GapClosed,
        TradingStateChanged,
        SessionOpened,
        SessionClosed,
        SettingsReloaded,
        RecoveryCompleted,
        ReconciliationStarted,
        Reconciled,
        ReconciliationFailed,
        DaemonStopping,
    )

    def __init__(
        self,
        *,
        now: Callable[[], datetime],
        cut_off: Callable[[Session], datetime],
        parked: Callable[[str], str | None] = lambda symbol: None,
    ) -> None:
        self._now = now
        self._cut_off = cut_off
        self.why_parked = parked
        """Says why nothing of one symbol is sent even while the gate is open."""
        self._session: Session | None = None
        self._cut_off_at: datetime | None = None
        self._trading = TradingScopes()
        self.is_halted = False
        """Whether trading is halted, by whomever."""
        self.reduces: str | None = None
        """Why nothing may be bought while the gate is open to sales, ``None`` when it may."""
        self.opened_by = 0
        """The number of the event that opened the gate last: no order leaves before it is durable, whatever was written ahead."""
        self._reasons: dict[str, str] = {
            "recovery": "recovery has not finished",
            "orders": "the order stream is not connected",
            "session": "the exchange is closed",
        }

    @property
    def reasons(self) -> dict[str, str]:
        """Why the gate is closed, by cause; empty when it is open."""
        reasons = dict(self._reasons)
        if self._cut_off_at is not None and self._now() >= self._cut_off_at:
            reasons["cut_off"] = f"the cut-off of the session was at {self._cut_off_at:%H:%M:%S} UTC"
        return reasons

    @property
    def is_open(self) -> bool:
        """Whether orders may be sent."""
        return not self.reasons

    def why_not(self, symbol: str, side: Side = SELL) -> str | None:
        """Return in words why no order of that side for the symbol may leave now, ``None`` when it may."""
        reasons = self.reasons
        return ("; ".join(reasons.values()) if reasons else self.why_parked(symbol)) or (self.reduces if side is BUY else None)

    def barred(self, plan: RebalancePlanned) -> Iterator[tuple[str, str]]:
        """Yield the intents of a plan that may not be worked on any more, with what has been decided about their sides or strategies."""
        for intent in plan.intents if self._trading.by_scope else ():
            strategies = [wish.strategy for wish in intent.wishes]
            if (reason := self._trading.ends(intent.side, strategies, is_flatten=plan.is_flatten)) is not None:
                yield intent.intent_id, reason

    def kill(self, reason: str) -> None:
        """Close at once, without any event, until somebody resumes trading."""
        self._reasons["killed"] = reason

    def __call__(self, envelope: Envelope) -> None:
        """Apply one event."""
        was_closed = bool(self._reasons)
        self._apply(envelope.event)
        if was_closed and not self._reasons:
            self.opened_by = envelope.sequence

    def _apply(self, event: Event) -> None:
        match event:
            case StreamConnected(stream="orders"):
                self._reasons.pop("orders", None)
            case StreamLost(stream="orders", reason=reason):
                self._reasons["orders"] = f"the order stream is not connected: {reason}"
            case GapOpened(stream=stream, reason=reason):
                self._reasons[f"gap {stream}"] = f"messages of the {stream} stream may be missing: {reason}"
            case GapClosed(stream=stream):
                self._reasons.pop(f"gap {stream}", None)
            case TradingStateChanged() as change:
                self._trading.apply(change)
                self._reasons.pop("trading", None)
                if change.state == ACTIVE and change.strategy is None and not change.by.startswith(GUARD):
                    self._reasons.pop("killed", None)
                restriction = self._trading.account
                self.is_halted = restriction is not None and restriction.state == HALTED
                self.reduces = restriction.words() if restriction is not None and restriction.state == REDUCING else None
                if restriction is not None and restriction.state != REDUCING:
                    self._reasons["trading"] = restriction.words()
            case SessionOpened(session=session):
                self._reasons.pop("session", None)
                self._session, self._cut_off_at = session, self._cut_off(session)
            case SessionClosed():
                self._reasons["session"] = "the exchange is closed"
                self._session, self._cut_off_at = None, None
            case RecoveryCompleted():
                self._reasons.pop("recovery", None)
            case DaemonStopping(reason=reason):
                self._reasons["stopping"] = f"the daemon is stopping: {reason}"
            case _:
                self._compare(event)

    def _compare(self, event: Event) -> None:
        """Apply what happens to a comparison with the venue, and to the settings."""
        match event:
            case SettingsReloaded() if self._session is not None:
                self._cut_off_at = self._cut_off(self._session)
            case ReconciliationStarted(reason=reason):
                self._reasons["reconciling"] = f"our state is being compared with the venue's ({reason})"
            case Reconciled():
                self._reasons.pop("reconciling", None)
                self._reasons.pop("venue", None)
            case ReconciliationFailed(code=code, error=error, retries=retries):
                self._reasons.pop("reconciling", None)
                if retries:
                    self._reasons["venue"] = f"{code}: {error}; the daemon keeps asking"
            case _:
                pass
