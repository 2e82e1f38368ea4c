"""What an operator asks about, kept up to date by events: an inline component that is replayed like the others."""

from datetime import datetime

import msgspec

from alchemiser.bus.envelope import Envelope
from alchemiser.domain.events import (
    AccountObserved,
    DaemonStarted,
    DaemonStopped,
    DayCompared,
    DecisionDue,
    Event,
    HandlerFailed,
    LedgerCompared,
    RebalanceCompleted,
    RebalanceParked,
    Reconciled,
    ReconciliationFailed,
    ResultReported,
    SessionClosed,
    SessionOpened,
    ShortfallReported,
    StrategyFailed,
    StreamConnected,
    StreamLost,
    TargetProposed,
)
from alchemiser.domain.market import Session
from alchemiser.domain.memory import Remembering
from alchemiser.domain.shortfall import Shortfall

KEPT_SHORTFALLS = 10
"""The costs of so many rebalances are remembered; the journal has them all."""


class OverviewMemory(msgspec.Struct, kw_only=True):
    """The latest of each kind of news."""

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


class Overview(Remembering):
    """The latest of each kind of news."""

    memory_type = OverviewMemory
    listens_to = (
        DaemonStarted,
        DaemonStopped,
        SessionOpened,
        SessionClosed,
        StreamConnected,
        StreamLost,
        AccountObserved,
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
                self.account = event
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
                self._compare(event)

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

    def _compare(self, event: Event) -> None:
        """Apply what came of a comparison with the broker, or with the backtest."""
        match event:
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
