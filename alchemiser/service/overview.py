"""What an operator asks about, kept up to date by events: an inline component that is replayed like the others."""

from datetime import datetime
from decimal import Decimal

import msgspec

from alchemiser.bus.envelope import Envelope
from alchemiser.domain.events import (
    AccountObserved,
    DaemonStarted,
    DaemonStopped,
    DayCompared,
    DecisionDue,
    Event,
    FillBroken,
    HandlerFailed,
    LedgerCompared,
    OrderFilled,
    RebalanceCompleted,
    RebalanceParked,
    Reconciled,
    ReconciliationFailed,
    ResultReported,
    SessionClosed,
    SessionOpened,
    SettingsReloaded,
    ShortfallReported,
    StrategyFailed,
    StreamConnected,
    StreamLost,
    TargetProposed,
)
from alchemiser.domain.market import Session
from alchemiser.domain.memory import Remembering
from alchemiser.domain.money import ZERO
from alchemiser.domain.orders import Side
from alchemiser.domain.shortfall import Shortfall

KEPT_SHORTFALLS = 10
"""The costs of so many rebalances are remembered; the journal has them all."""


class OverviewMemory(msgspec.Struct, kw_only=True):
    """The latest of each kind of news; ``traded`` and ``paid`` are what executions have changed since the broker was last asked."""

    started: DaemonStarted | None
    stopped: DaemonStopped | None
    session: Session | None
    session_is_open: bool
    streams: dict[str, StreamConnected | StreamLost]
    account: AccountObserved | None
    decision: DecisionDue | None
    answers: dict[str, TargetProposed | StrategyFailed]
    comparison: LedgerCompared | None
    result: ResultReported | None
    failures: int
    last_at: datetime | None
    reconciled: Reconciled | None = None
    reconciliation_failed: ReconciliationFailed | None = None
    shortfalls: dict[str, Shortfall] = {}
    unreported: dict[str, None] = {}
    day: DayCompared | None = None
    traded: dict[str, Decimal] = {}
    paid: Decimal = ZERO


class Overview(Remembering):
    """The latest of each kind of news."""

    memory_type = OverviewMemory
    listens_to = (
        DaemonStarted,
        DaemonStopped,
        SettingsReloaded,
        SessionOpened,
        SessionClosed,
        StreamConnected,
        StreamLost,
        AccountObserved,
        OrderFilled,
        FillBroken,
        DecisionDue,
        TargetProposed,
        StrategyFailed,
        LedgerCompared,
        Reconciled,
        ReconciliationFailed,
        ResultReported,
        DayCompared,
        HandlerFailed,
        RebalanceCompleted,
        RebalanceParked,
        ShortfallReported,
    )

    def __init__(self) -> None:
        self.started: DaemonStarted | None = None
        self.stopped: DaemonStopped | None = None
        self.session: Session | None = None
        self.session_is_open = False
        self.streams: dict[str, StreamConnected | StreamLost] = {}
        self.account: AccountObserved | None = None
        self.decision: DecisionDue | None = None
        self.answers: dict[str, TargetProposed | StrategyFailed] = {}
        self.comparison: LedgerCompared | None = None
        self.result: ResultReported | None = None
        self.reconciled: Reconciled | None = None
        self.reconciliation_failed: ReconciliationFailed | None = None
        self.failures = 0
        self.last_at: datetime | None = None
        self.shortfalls: dict[str, Shortfall] = {}
        self.unreported: dict[str, None] = {}
        self.day: DayCompared | None = None
        self.traded: dict[str, Decimal] = {}
        self.paid = ZERO

    def __call__(self, envelope: Envelope) -> None:
        """Apply one event."""
        event = envelope.event
        self.last_at = event.at
        match event:
            case DaemonStarted():
                self.started, self.stopped, self.streams = event, None, {}
            case DaemonStopped():
                self.stopped, self.session_is_open, self.streams = event, False, {}
            case SessionOpened(session=session):
                self.session, self.session_is_open = session, True
            case SessionClosed(session=session):
                self.session, self.session_is_open = session, False
            case StreamConnected(stream=stream) | StreamLost(stream=stream):
                self.streams[stream] = event
            case AccountObserved():
                self.account, self.traded, self.paid = event, {}, ZERO
            case DecisionDue():
                self.decision, self.answers = event, {}
            case TargetProposed(strategy=strategy) | StrategyFailed(strategy=strategy):
                self.answers[strategy] = event
            case ResultReported():
                self.result = event
            case HandlerFailed():
                self.failures += 1
            case RebalanceCompleted() | RebalanceParked() | ShortfallReported():
                self._note_costs(event)
            case _:
                self._compare_or_trade(event)

    def at_broker(self) -> dict[str, Decimal]:
        """Return the positions as the broker says: those of when it was asked last, and what its executions have changed since."""
        held = {position.symbol: position.quantity for position in self.account.positions} if self.account else {}
        for symbol, change in self.traded.items():
            held[symbol] = held.get(symbol, ZERO) + change
        return {symbol: quantity for symbol, quantity in held.items() if quantity}

    def cash(self) -> Decimal | None:
        """Return the cash as the broker says, in the same way; ``None`` before it was asked."""
        return None if self.account is None else self.account.account.cash - self.paid

    def _note_trade(self, event: OrderFilled | FillBroken) -> None:
        """Take an execution, or one taken back, as the broker's word, unless the broker was asked for its positions after it."""
        fill = event.fill
        happened = fill.at if isinstance(event, OrderFilled) else event.at
        if self.account is not None and happened > self.account.at:
            is_more = (fill.side is Side.BUY) == isinstance(event, OrderFilled)
            change = fill.quantity if is_more else -fill.quantity
            self.traded[fill.symbol] = self.traded.get(fill.symbol, ZERO) + change
            self.paid += change * fill.price

    def owed_shortfalls(self) -> dict[str, Shortfall]:
        """Return the costs of rebalances that have not been compared with the close yet, by rebalance."""
        return {key: self.shortfalls[key] for key in self.unreported}

    def _note_costs(self, event: RebalanceCompleted | RebalanceParked | ShortfallReported) -> None:
        if event.shortfall is None:
            return
        key = event.rebalance_id
        self.shortfalls[key] = event.shortfall
        self.unreported.pop(key, None)
        if not isinstance(event, ShortfallReported) and (event.shortfall.orders or event.shortfall.unfilled):
            self.unreported[key] = None
        for oldest in list(self.shortfalls)[:-KEPT_SHORTFALLS]:
            del self.shortfalls[oldest]
            self.unreported.pop(oldest, None)

    def _compare_or_trade(self, event: Event) -> None:
        """Apply what the broker has executed, what came of a comparison with it or with the backtest, and what a reload has changed."""
        match event:
            case SettingsReloaded(strategies=shares) if self.started is not None:
                self.started = msgspec.structs.replace(self.started, strategies=dict(shares))
            case OrderFilled() | FillBroken():
                self._note_trade(event)
            case LedgerCompared():
                self.comparison = event
            case DayCompared():
                self.day = event
            case Reconciled():
                # What it applied is in the order states; kept is what it found.
                self.reconciled, self.reconciliation_failed = msgspec.structs.replace(event, reports=()), None
            case ReconciliationFailed():
                self.reconciliation_failed = event
            case _:
                pass
