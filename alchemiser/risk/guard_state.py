"""What the guards remember: best profits, closes, capital, refusals in a row, and who has tripped. An inline component.

All of it follows from journaled events, so that a restart forgets no peak and arms no guard again.
"""

from datetime import date
from decimal import Decimal

import msgspec

from alchemiser.bus.envelope import Envelope
from alchemiser.domain.events import (
    Event,
    ExecutionReported,
    GuardCleared,
    GuardRearmed,
    GuardTripped,
    OrderClosed,
    OrderFilled,
    ProfitPeaked,
    RebalancePlanned,
    ResultReported,
    SessionOpened,
)
from alchemiser.domain.memory import Remembering
from alchemiser.domain.money import ZERO
from alchemiser.domain.orders import OrderState
from alchemiser.domain.trading import ACCOUNT
from alchemiser.risk.guards import GuardName, Trip, key_of
from alchemiser.risk.readings import profits

_ACCEPTED = frozenset({"new", "accepted", "pending_new", "partially_filled", "filled"})


class GuardMemory(msgspec.Struct, kw_only=True):
    """What is remembered. Dollars, by strategy; the account has the empty name.

    ``closes`` are the profits at the last closes by session, ``opens`` what a reset measures the day's loss from instead.
    """

    trips: dict[str, Trip]
    peaks: dict[str, Decimal]
    closes: dict[str, dict[str, Decimal]]
    opens: dict[str, Decimal]
    capital: dict[str, Decimal]
    rejects: int
    last_reject: str
    session: date | None


class GuardState(Remembering):
    """The journaled part of the guards."""

    memory_type = GuardMemory
    listens_to = (
        RebalancePlanned,
        ResultReported,
        SessionOpened,
        ProfitPeaked,
        OrderClosed,
        OrderFilled,
        ExecutionReported,
        GuardTripped,
        GuardCleared,
        GuardRearmed,
    )

    def __init__(self) -> None:
        self.trips: dict[str, Trip] = {}
        self.peaks: dict[str, Decimal] = {}
        self.capital: dict[str, Decimal] = {}
        self.rejects = 0
        self.last_reject = ""
        self._closes: dict[str, dict[str, Decimal]] = {}
        self._opens: dict[str, Decimal] = {}
        self._session: date | None = None

    def __call__(self, envelope: Envelope) -> None:
        """Apply one event."""
        match envelope.event:  # What there is most of comes first: a case is a comparison of types.
            case OrderFilled():
                self.rejects = 0
            case RebalancePlanned() as plan if plan.capital:  # A kill plans its sales without any.
                self.capital = {ACCOUNT: plan.equity, **plan.capital}
            case SessionOpened(session=session) if session.date != self._session:
                self._session, self._opens = session.date, {}
            case ResultReported(session=session):
                profit = profits(envelope.event.realised, envelope.event.unrealised, envelope.event.income)
                self._closes = dict([*self._closes.items(), (session.isoformat(), profit)][-2:])
                self._raise_peaks(profit)
            case ProfitPeaked(profits=profit):
                self._raise_peaks(profit)
            case event:
                self._turn(event)

    def before(self, scope: str) -> Decimal:
        """Return the profit from which today's loss is measured: that of the last close before this session, zero before the first."""
        if scope in self._opens:
            return self._opens[scope]
        today = self._session.isoformat() if self._session else ""
        earlier = [profit for session, profit in self._closes.items() if session < today or not today]
        return earlier[-1].get(scope, ZERO) if earlier else ZERO

    def _raise_peaks(self, profit: dict[str, Decimal]) -> None:
        for scope, value in profit.items():
            self.peaks[scope] = max(self.peaks.get(scope, ZERO), value)

    def _turn(self, event: Event) -> None:
        match event:
            case OrderClosed(state=OrderState.REJECTED, reason=reason):
                self.rejects += 1
                self.last_reject = reason or ""
            case ExecutionReported(report=report) if report.status in _ACCEPTED:
                self.rejects = 0
            case GuardTripped():
                fields = {name: getattr(event, name) for name in event.__struct_fields__}
                self.trips[key_of(event.guard, event.strategy)] = Trip(**fields)
            case GuardCleared(guard=guard, strategy=strategy, at=at):
                key = key_of(guard, strategy)
                if key in self.trips:
                    self.trips[key] = msgspec.structs.replace(self.trips[key], cleared_at=at)
            case GuardRearmed():
                self._rearm(event)
            case _:
                pass

    def _rearm(self, event: GuardRearmed) -> None:
        self.trips.pop(key_of(event.guard, event.strategy), None)
        scope = event.strategy or ACCOUNT
        if not event.is_reset:
            return
        if event.guard == GuardName.REJECTS:
            self.rejects = 0
        elif event.profit is not None and event.guard in (GuardName.DRAWDOWN, GuardName.STRATEGY_DRAWDOWN):
            self.peaks[scope] = event.profit
        elif event.profit is not None and event.guard in (GuardName.DAILY_LOSS, GuardName.STRATEGY_DAILY_LOSS):
            self._opens[scope] = event.profit
