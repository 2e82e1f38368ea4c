"""The trading state of the account and of each strategy, as the journal last left it. An inline component."""

from datetime import datetime

import msgspec

from alchemiser.bus.envelope import Envelope
from alchemiser.domain.events import KillSwitchPulled, KillSwitchReported, TradingStateChanged
from alchemiser.domain.memory import Remembering
from alchemiser.domain.trading import ACTIVE, TradingScopes


class TradingMemory(msgspec.Struct, kw_only=True):
    """The restrictions in force, and the last change of the account's state."""

    scopes: TradingScopes
    changed: TradingStateChanged | None
    killed: KillSwitchPulled | None
    kill: KillSwitchReported | None


class TradingState(Remembering):
    """What the operator, the daemon and its guards last decided. A restriction survives a restart until somebody lifts it."""

    memory_type = TradingMemory
    listens_to = (TradingStateChanged, KillSwitchPulled, KillSwitchReported)

    def __init__(self) -> None:
        self.scopes = TradingScopes()
        self._changed: TradingStateChanged | None = None
        self.killed: KillSwitchPulled | None = None
        self.kill: KillSwitchReported | None = None

    def __call__(self, envelope: Envelope) -> None:
        """Apply one event."""
        match envelope.event:
            case TradingStateChanged() as event:
                self.scopes.apply(event)
                if event.strategy is None:
                    self._changed = event
            case KillSwitchPulled() as event:
                self.killed, self.kill = event, None
            case KillSwitchReported() as event:
                self.kill = event
            case _:
                pass

    def remember(self, memory: TradingMemory) -> None:
        """Take up what another component of this kind remembered; whoever has the scopes of this one sees them change."""
        self.scopes.by_scope, self._changed = memory.scopes.by_scope, memory.changed
        self.killed, self.kill = memory.killed, memory.kill

    @property
    def state(self) -> str:
        """The state of the account."""
        restriction = self.scopes.account
        return ACTIVE if restriction is None else restriction.state

    @property
    def by(self) -> str:
        """Who left the account in it."""
        restriction = self.scopes.account
        if restriction is not None:
            return restriction.by
        return "start" if self._changed is None else self._changed.by

    @property
    def reason(self) -> str:
        """Why it is in it."""
        restriction = self.scopes.account
        if restriction is not None:
            return restriction.reason
        return "" if self._changed is None else self._changed.reason

    @property
    def since(self) -> datetime | None:
        """Since when it is in it, ``None`` when it never was in another."""
        restriction = self.scopes.account
        if restriction is not None:
            return restriction.since
        return None if self._changed is None else self._changed.at

    def restated(self, at: datetime) -> tuple[TradingStateChanged, ...]:
        """Return every restriction in force as an event of now, for whoever has not heard of it in this process."""
        return tuple(
            TradingStateChanged(at=at, state=one.state, by=one.by, reason=one.reason, strategy=scope or None)
            for scope, places in sorted(self.scopes.by_scope.items())
            for _, one in sorted(places.items())
        )
