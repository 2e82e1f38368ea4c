"""The submit gate: the reasons why nothing may be sent just now. Risk-reducing cancels pass it always.

An inline component. It is closed while the order stream is not listening, while a gap is open, while trading is paused or halted,
outside the session, and until recovery has finished.
"""

from alchemiser.bus.envelope import Envelope
from alchemiser.domain.events import (
    DaemonStopping,
    GapClosed,
    GapOpened,
    RecoveryCompleted,
    SessionClosed,
    SessionOpened,
    StreamConnected,
    StreamLost,
    TradingStateChanged,
)


class SubmitGate:
    """Knows why the gate is closed; open when there is no reason left."""

    listens_to = (
        StreamConnected,
        StreamLost,
        GapOpened,
        GapClosed,
        TradingStateChanged,
        SessionOpened,
        SessionClosed,
        RecoveryCompleted,
        DaemonStopping,
    )

    def __init__(self) -> None:
        self._reasons: dict[str, str] = {
            "recovery": "recovery has not finished",
            "orders": "the order stream is not connected",
            "session": "the exchange is closed",
        }

    @property
    def reasons(self) -> dict[str, str]:
        """Why the gate is closed, by cause; empty when it is open."""
        return dict(self._reasons)

    @property
    def is_open(self) -> bool:
        """Whether orders may be sent."""
        return not self._reasons

    def __call__(self, envelope: Envelope) -> None:
        """Apply one event."""
        match envelope.event:
            case StreamConnected(stream="orders"):
                self._reasons.pop("orders", None)
            case StreamLost(stream="orders", reason=reason):
                self._reasons["orders"] = f"the order stream is not connected: {reason}"
            case GapOpened(stream=stream, reason=reason):
                self._reasons[f"gap {stream}"] = f"messages of the {stream} stream may be missing: {reason}"
            case GapClosed(stream=stream):
                self._reasons.pop(f"gap {stream}", None)
            case TradingStateChanged(state=state, by=by, reason=reason):
                self._reasons.pop("trading", None)
                if state != "active":
                    self._reasons["trading"] = f"trading was {state} by {by}: {reason}"
            case SessionOpened():
                self._reasons.pop("session", None)
            case SessionClosed():
                self._reasons["session"] = "the exchange is closed"
            case RecoveryCompleted():
                self._reasons.pop("recovery", None)
            case DaemonStopping(reason=reason):
                self._reasons["stopping"] = f"the daemon is stopping: {reason}"
            case _:
                pass
