"""The trading state: active, paused or halted, as the journal last left it. An inline component."""

from datetime import datetime

import msgspec

from alchemiser.bus.envelope import Envelope
from alchemiser.domain.events import TradingStateChanged
from alchemiser.domain.memory import Remembering

STATES = ("active", "paused", "halted")


class TradingMemory(msgspec.Struct, kw_only=True):
    """The trading state, who left it so, why and when."""

    state: str
    by: str
    reason: str
    since: datetime | None


class TradingState(Remembering):
    """What the operator or a guard last decided. A halt survives a restart until a person resumes trading."""

    memory_type = TradingMemory
    listens_to = (TradingStateChanged,)

    def __init__(self) -> None:
        self.state = "active"
        self.by = "start"
        self.reason = ""
        self.since: datetime | None = None

    def __call__(self, envelope: Envelope) -> None:
        """Apply one event."""
        match envelope.event:
            case TradingStateChanged(state=state, by=by, reason=reason, at=at):
                self.state, self.by, self.reason, self.since = state, by, reason, at
            case _:
                pass
