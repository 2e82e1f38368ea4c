"""The daemon in numbers.

Counts follow the events on the bus; gauges are read at the moment of a scrape. Every label has a bound: what lies beyond it is counted
under ``other``, so that nothing the outside world sends can grow the number of series. Counting is plain arithmetic; how a scrape is
written for Prometheus is in ``service.exposition``, which the first scrape loads.
"""

from bisect import bisect_left
from collections import Counter as Tally
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any, Final

import msgspec

from alchemiser.bus.envelope import Envelope
from alchemiser.bus.reports import HandlerStatistics
from alchemiser.domain.events import (
    DaemonStarted,
    DecisionDue,
    Event,
    FillBroken,
    FrameUnreadable,
    GapOpened,
    GuardTripped,
    HandlerFailed,
    OrderClosed,
    OrderFilled,
    OrderIntended,
    OrderOutcomeUnknown,
    OrderRejected,
    RebalanceCompleted,
    RebalanceParked,
    RebalancePlanned,
    Reconciled,
    ReconciliationFailed,
    SettingsReloaded,
    StrategyFailed,
    StreamLost,
)
from alchemiser.domain.orders import TERMINAL, Side
from alchemiser.service.deferred import load
from alchemiser.service.health import HealthReport

OTHER: Final = "other"
LABEL_VALUES_AT_MOST: Final = 64

EXPOSITION: Final = "alchemiser.service.exposition:Exposition"

_COMMIT_BUCKETS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
_REQUEST_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
_DECISION_BUCKETS: Final = (1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 240.0, 480.0)
_SLIPPAGE_BUCKETS: Final = (-50.0, -20.0, -10.0, -5.0, 0.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0)
_TURN_BUCKETS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0)


class Gauges(msgspec.Struct, frozen=True, kw_only=True):
    """What is read at a scrape. Money in dollars; ages in seconds, absent while a stream has brought nothing yet.

    ``now`` is the time by the daemon's own clock, as are the other moments: on an embedded exchange it is not the wall's.
    ``drawdown`` is how far the equity is below its peak, as a share of it; ``below_peak`` how far a strategy's profit is below its own.
    ``off_backtest_bps`` is how far each strategy's last session was from its backtest, ``beyond_backtest`` how many were beyond the limit.
    """

    health: HealthReport
    handlers: Sequence[HandlerStatistics] = ()
    streams_connected: Mapping[str, bool] = {}
    stream_ages_seconds: Mapping[str, float] = {}
    orders_by_state: Mapping[str, int] = {}
    equity: Decimal | None = None
    cash: Decimal | None = None
    realised: Mapping[str, Decimal] = {}
    unrealised: Mapping[str, Decimal] = {}
    trading_state: str | None = None
    guards_tripped: Mapping[str, int] = {}
    events_published: int = 0
    drawdown: float | None = None
    below_peak: Mapping[str, Decimal] = {}
    ledger_differences: int = 0
    symbols_parked: int = 0
    tasks: int = 0
    now: datetime | None = None
    started_at: datetime | None = None
    last_decision_at: datetime | None = None
    off_backtest_bps: Mapping[str, Decimal] = {}
    beyond_backtest: int = 0


class Count(msgspec.Struct):
    """A number that only grows, one for each combination of its labels."""

    name: str
    text: str
    labels: tuple[str, ...] = ()
    values: dict[tuple[str, ...], float] = {}

    def __post_init__(self) -> None:
        if not self.labels:
            self.values[()] = 0.0

    def add(self, *labels: str, by: float = 1.0) -> None:
        """Count so many more; ``by=0`` begins the series, so that its first increase is seen as a rate."""
        self.values[labels] = self.values.get(labels, 0.0) + by


class Durations(msgspec.Struct):
    """How often something took up to so many seconds: ``counts`` has one entry for each bound and one beyond the last."""

    name: str
    text: str
    bounds: tuple[float, ...]
    counts: list[int] = []
    total: float = 0.0

    def __post_init__(self) -> None:
        self.counts = [0] * (len(self.bounds) + 1)

    def observe(self, seconds: float) -> None:
        """Count one; a bound belongs to the times below it."""
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.total += seconds


class _Bounded:
    """The values that one label may take: the first so many that come, then ``other``."""

    def __init__(self, at_most: int = LABEL_VALUES_AT_MOST) -> None:
        self._seen: set[str] = set()
        self._at_most = at_most

    def __call__(self, value: str) -> str:
        if value not in self._seen:
            if len(self._seen) >= self._at_most:
                return OTHER
            self._seen.add(value)
        return value


class DaemonMetrics:
    """What one daemon counts. ``observe`` is an inline subscriber of every event that is not market data."""

    def __init__(self, gauges: Callable[[], Gauges] | None = None) -> None:
        """``gauges`` is called at each scrape and must return at once; it may be given later with :meth:`read_from`."""
        self.counts: list[Count] = []
        self._bounds: dict[str, _Bounded] = {}
        self.durations: list[Durations] = []
        self.gauges = gauges
        self._write: Callable[[], tuple[bytes, str]] | None = None
        self._orders = self._counter("orders_sent", "Orders sent to the venue.", "side")
        self._closed = self._counter("orders_closed", "Orders by the state they ended in.", "state")
        self._fills = self._counter("fills", "Executions seen for the first time.", "side")
        self._filled_dollars = self._counter("filled_dollars", "Dollars traded.", "side")
        self._broken = self._counter("fills_broken", "Executions that the venue took back or corrected.", "reason")
        self._rejects = self._counter("orders_rejected", "Orders that the venue refused, by its code.", "code")
        self._unknown = self._counter("orders_outcome_unknown", "Requests to place an order that got no readable answer.")
        self._denials = self._counter("intents_denied", "Wanted changes that our own checks refused, by the check.", "code")
        self._rebalances = self._counter("rebalances", "Rebalances by how they ended.", "result")
        self._strategy_failures = self._counter("strategy_failures", "Decisions that a strategy could not make.", "strategy")
        self._handler_failures = self._counter("handler_failures", "Exceptions raised by handlers.", "handler")
        self._stream_losses = self._counter("stream_losses", "Times that a stream ended.", "stream")
        self._trips = self._counter("guard_trips", "Times that a guard tripped, by guard.", "guard")
        self._gaps = self._counter("stream_gaps", "Known holes in a stream.", "stream")
        self._differences = self._counter("differences", "Differences between our state and the venue's, by code.", "code")
        self._not_reconciled = self._counter("reconciliation_failures", "Comparisons that the venue did not allow.", "code")
        self.messages = self._counter("messages", "Messages to people, by what became of them.", "result")
        self._unreadable = self._counter("frames_unreadable", "Frames that could not be read.", "stream")
        self._requests = self._counter("rest_requests", "Requests to the venue by status class.", "method", "status")
        self._request_seconds = self._histogram("rest_request_seconds", "Time until the venue answered.", _REQUEST_BUCKETS)
        self._commit_seconds = self._histogram("journal_commit_seconds", "Time of one durable commit.", _COMMIT_BUCKETS)
        self._committed = self._counter("journal_events_committed", "Events made durable.")
        self._turn_seconds = self._histogram("bus_turn_seconds", "Round trip of a message through every handler.", _TURN_BUCKETS)
        self._decision_seconds = self._histogram(
            "decision_to_last_fill_seconds", "Market time from a decision to the last fill of its rebalance.", _DECISION_BUCKETS
        )
        self._slippage = self._histogram("slippage_bps", "Slippage of an order from its arrival price, in basis points.", _SLIPPAGE_BUCKETS)
        self._decided: dict[str, datetime] = {}
        self._last_fill: dict[str, datetime] = {}
        self.requests_left: Callable[[], int | None] = lambda: None
        self._loop_lag = self._histogram("loop_lag_seconds", "How late the event loop called a timer.", _TURN_BUCKETS)
        for side in Side:
            for counter in (self._orders, self._fills, self._filled_dollars):
                counter.add(str(side), by=0.0)
        # What an alert takes the increase of has to be there before it increases.
        for result in ("completed", "parked"):
            self._rebalances.add(result, by=0.0)
        for result in ("delivered", "failed"):
            self.messages.add(result, by=0.0)
        for state in sorted(TERMINAL):
            self._closed.add(self._bound("state", str(state)), by=0.0)
        self._counted: dict[type[Event], Callable[[Any], None]] = {
            DaemonStarted: self._begin_strategies,
            SettingsReloaded: self._begin_strategies,
            OrderIntended: lambda event: self._orders.add(str(event.order.side)),
            OrderClosed: lambda event: self._closed.add(self._bound("state", event.state)),
            OrderFilled: self._count_fill,
            FillBroken: lambda event: self._broken.add(self._bound("reason", event.reason)),
            OrderRejected: lambda event: self._rejects.add(self._bound("code", str(event.code))),
            OrderOutcomeUnknown: lambda event: self._unknown.add(),
            RebalancePlanned: self._count_denials,
            DecisionDue: self._note_decision,
            RebalanceCompleted: partial(self._count_rebalance, "completed"),
            RebalanceParked: partial(self._count_rebalance, "parked"),
            StrategyFailed: lambda event: self._strategy_failures.add(self._bound("strategy", event.strategy)),
            HandlerFailed: lambda event: self._handler_failures.add(self._bound("handler", event.handler)),
            StreamLost: lambda event: self._stream_losses.add(self._bound("stream", event.stream)),
            GuardTripped: lambda event: self._trips.add(self._bound("guard", event.guard)),
            GapOpened: lambda event: self._gaps.add(self._bound("stream", event.stream)),
            Reconciled: self._count_differences,
            ReconciliationFailed: lambda event: self._not_reconciled.add(self._bound("code", event.code)),
            FrameUnreadable: lambda event: self._unreadable.add(self._bound("stream", event.stream)),
        }

    def read_from(self, gauges: Callable[[], Gauges]) -> None:
        """Read these gauges at each scrape from now on."""
        self.gauges = gauges

    @property
    def event_types(self) -> tuple[type[Event], ...]:
        """The events that ``observe`` counts."""
        return tuple(self._counted)

    def observe(self, envelope: Envelope) -> None:
        """Count an event."""
        count = self._counted.get(type(envelope.event))
        if count is not None:
            count(envelope.event)
        if isinstance(envelope.event, OrderFilled) and envelope.correlation in self._decided:
            self._last_fill[envelope.correlation] = envelope.event.at

    def on_request(self, method: str, status: int | None, seconds: float) -> None:
        """Count a request to the venue; ``status`` is ``None`` when no answer came."""
        word = "none" if status is None else f"{status // 100}xx" if status not in (401, 403, 422, 429) else str(status)
        self._requests.add(self._bound("method", method), self._bound("status", word))
        self._request_seconds.observe(seconds)

    def on_commit(self, events: int, seconds: float) -> None:
        """Count a durable commit of so many events."""
        self._committed.add(by=events)
        self._commit_seconds.observe(seconds)

    def on_turn(self, seconds: float) -> None:
        """Count a round trip of the bus."""
        self._turn_seconds.observe(seconds)

    def on_loop_lag(self, seconds: float) -> None:
        """Count how late the loop was."""
        self._loop_lag.observe(seconds)

    def exposition(self) -> tuple[bytes, str]:
        """Return the text that a scrape gets, and its content type."""
        if self._write is None:
            self._write = load(EXPOSITION)(self).write
        return self._write()

    def _begin_strategies(self, event: DaemonStarted | SettingsReloaded) -> None:
        for name in event.strategies:
            self._strategy_failures.add(self._bound("strategy", name), by=0.0)

    def _count_fill(self, event: OrderFilled) -> None:
        side = str(event.fill.side)
        self._fills.add(side)
        self._filled_dollars.add(side, by=float(event.fill.quantity * event.fill.price))

    def _note_decision(self, event: DecisionDue) -> None:
        self._decided = {event.rebalance_id: event.at}
        self._last_fill = {}

    def _count_rebalance(self, result: str, event: RebalanceCompleted | RebalanceParked) -> None:
        self._rebalances.add(result)
        decided, filled = self._decided.get(event.rebalance_id), self._last_fill.get(event.rebalance_id)
        if decided is not None and filled is not None:
            self._decision_seconds.observe((filled - decided).total_seconds())
        for order in event.shortfall.orders if event.shortfall else ():
            if order.slippage is not None:
                self._slippage.observe(order.slippage.arrival_bps)

    def _count_denials(self, event: RebalancePlanned) -> None:
        for code, count in Tally(denial.code for denial in event.denials).items():
            self._denials.add(self._bound("denial", code), by=count)

    def _count_differences(self, event: Reconciled) -> None:
        for code, count in Tally(difference.code.value for difference in event.differences).items():
            self._differences.add(self._bound("difference", code), by=count)

    def _bound(self, label: str, value: str) -> str:
        return self._bounds.setdefault(label, _Bounded())(value)

    def _counter(self, name: str, text: str, *labels: str) -> Count:
        self.counts.append(Count(f"alchemiser_{name}", text, labels))
        return self.counts[-1]

    def _histogram(self, name: str, text: str, bounds: tuple[float, ...]) -> Durations:
        self.durations.append(Durations(f"alchemiser_{name}", text, bounds))
        return self.durations[-1]
