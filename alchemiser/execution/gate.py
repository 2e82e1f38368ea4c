"""The submit gate: the reasons why nothing may be sent just now. Risk-reducing cancels pass it always.

While trading is reducing it is open to sales only.
An inline component. It is closed until recovery has finished, while a stream is not listened to or has a gap, while the venue is being
reconciled with, while trading is paused or halted, outside the session and from its cut-off on, and when the daemon stops. Whoever
sends asks :meth:`SubmitGate.why_not` when the bytes are about to leave, and before that where a request has to wait for anything.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, Final

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
        self._acts: Final[Mapping[type[Event], Callable[[Any], object]]] = {
            StreamConnected: self._connect,
            StreamLost: self._lose,
            GapOpened: self._open_gap,
            GapClosed: lambda gap: self._reasons.pop(f"gap {gap.stream}", None),
            TradingStateChanged: self._change,
            SessionOpened: self._open,
            SessionClosed: self._close,
            SettingsReloaded: self._reload,
            RecoveryCompleted: lambda _: self._reasons.pop("recovery", None),
            ReconciliationStarted: self._begin_comparison,
            Reconciled: self._agree,
            ReconciliationFailed: self._fail,
            DaemonStopping: self._stop,
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
        if self._reasons or (self._cut_off_at is not None and self._now() >= self._cut_off_at):
            return "; ".join(self.reasons.values())
        return self.why_parked(symbol) or (self.reduces if side is BUY else None)

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
        act = self._acts.get(type(envelope.event))
        if act is not None:
            act(envelope.event)
        if was_closed and not self._reasons:
            self.opened_by = envelope.sequence

    def _connect(self, connected: StreamConnected) -> None:
        if connected.stream == "orders":
            self._reasons.pop("orders", None)

    def _lose(self, lost: StreamLost) -> None:
        if lost.stream == "orders":
            self._reasons["orders"] = f"the order stream is not connected: {lost.reason}"

    def _open_gap(self, gap: GapOpened) -> None:
        self._reasons[f"gap {gap.stream}"] = f"messages of the {gap.stream} stream may be missing: {gap.reason}"

    def _change(self, change: TradingStateChanged) -> None:
        self._trading.apply(change)
        self._reasons.pop("trading", None)
        if change.state == ACTIVE and change.strategy is None and not change.by.startswith(GUARD):
            self._reasons.pop("killed", None)
        restriction = self._trading.account
        self.is_halted = restriction is not None and restriction.state == HALTED
        self.reduces = restriction.words() if restriction is not None and restriction.state == REDUCING else None
        if restriction is not None and restriction.state != REDUCING:
            self._reasons["trading"] = restriction.words()

    def _open(self, opened: SessionOpened) -> None:
        self._reasons.pop("session", None)
        self._session, self._cut_off_at = opened.session, self._cut_off(opened.session)

    def _close(self, _: SessionClosed) -> None:
        self._reasons["session"] = "the exchange is closed"
        self._session, self._cut_off_at = None, None

    def _reload(self, _: SettingsReloaded) -> None:
        if self._session is not None:
            self._cut_off_at = self._cut_off(self._session)

    def _begin_comparison(self, started: ReconciliationStarted) -> None:
        self._reasons["reconciling"] = f"our state is being compared with the venue's ({started.reason})"

    def _agree(self, _: Reconciled) -> None:
        self._reasons.pop("reconciling", None)
        self._reasons.pop("venue", None)

    def _fail(self, failed: ReconciliationFailed) -> None:
        self._reasons.pop("reconciling", None)
        if failed.retries:
            self._reasons["venue"] = f"{failed.code}: {failed.error}; the daemon keeps asking"

    def _stop(self, stopping: DaemonStopping) -> None:
        self._reasons["stopping"] = f"the daemon is stopping: {stopping.reason}"
