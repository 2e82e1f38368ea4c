"""The daemon in numbers, for Prometheus.

Counters follow the events on the bus; gauges are read at the moment of a scrape. Every label has a bound: what lies beyond it is counted
under ``other``, so that nothing the outside world sends can grow the number of series.
"""

import itertools
from collections import Counter as Tally
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import msgspec
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.metrics import Counter, Histogram, disable_created_metrics
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector, CollectorRegistry

from alchemiser import __version__
from alchemiser.bus.envelope import Envelope
from alchemiser.bus.reports import HandlerStatistics
from alchemiser.domain.events import (
    Event,
    FillBroken,
    FrameUnreadable,
    GapOpened,
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
    StrategyFailed,
    StreamLost,
)
from alchemiser.domain.orders import Side
from alchemiser.service.health import HealthReport

OTHER: Final = "other"
LABEL_VALUES_AT_MOST: Final = 64

disable_created_metrics()  # type: ignore[no-untyped-call]  # One more series for every counter, which nobody asks for.

_COMMIT_BUCKETS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
_REQUEST_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
_TURN_BUCKETS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0)


class Gauges(msgspec.Struct, frozen=True, kw_only=True):
    """What is read at a scrape. Money in dollars; ages in seconds, absent while a stream has brought nothing yet."""

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
    events_published: int = 0
    last_decision_at: datetime | None = None


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
    """The registry of one daemon. ``observe`` is an inline subscriber of every event that is not market data."""

    def __init__(self, gauges: Callable[[], Gauges] | None = None) -> None:
        """``gauges`` is called at each scrape and must return at once; it may be given later with :meth:`read_from`."""
        self.registry = CollectorRegistry(auto_describe=False)
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
        self._gaps = self._counter("stream_gaps", "Known holes in a stream.", "stream")
        self._differences = self._counter("differences", "Differences between our state and the venue's, by code.", "code")
        self._not_reconciled = self._counter("reconciliation_failures", "Comparisons that the venue did not allow.", "code")
        self._unreadable = self._counter("frames_unreadable", "Frames that could not be read.", "stream")
        self._requests = self._counter("rest_requests", "Requests to the venue by status class.", "method", "status")
        self._request_seconds = self._histogram("rest_request_seconds", "Time until the venue answered.", _REQUEST_BUCKETS)
        self._commit_seconds = self._histogram("journal_commit_seconds", "Time of one durable commit.", _COMMIT_BUCKETS)
        self._committed = self._counter("journal_events_committed", "Events made durable.")
        self._turn_seconds = self._histogram("bus_turn_seconds", "Round trip of a message through every handler.", _TURN_BUCKETS)
        self._loop_lag = self._histogram("loop_lag_seconds", "How late the event loop called a timer.", _TURN_BUCKETS)
        for side in Side:
            for counter in (self._orders, self._fills, self._filled_dollars):
                counter.labels(str(side))  # A series that begins at zero shows its first increase as a rate.
        for result in ("completed", "parked"):
            self._rebalances.labels(result)
        self._bounds: dict[str, _Bounded] = {}
        self._counts: dict[type[Event], Callable[[Any], None]] = {
            OrderIntended: lambda event: self._orders.labels(str(event.order.side)).inc(),
            OrderClosed: lambda event: self._closed.labels(self._bound("state", event.state)).inc(),
            OrderFilled: self._count_fill,
            FillBroken: lambda event: self._broken.labels(self._bound("reason", event.reason)).inc(),
            OrderRejected: lambda event: self._rejects.labels(self._bound("code", str(event.code))).inc(),
            OrderOutcomeUnknown: lambda event: self._unknown.inc(),
            RebalancePlanned: self._count_denials,
            RebalanceCompleted: lambda event: self._rebalances.labels("completed").inc(),
            RebalanceParked: lambda event: self._rebalances.labels("parked").inc(),
            StrategyFailed: lambda event: self._strategy_failures.labels(self._bound("strategy", event.strategy)).inc(),
            HandlerFailed: lambda event: self._handler_failures.labels(self._bound("handler", event.handler)).inc(),
            StreamLost: lambda event: self._stream_losses.labels(self._bound("stream", event.stream)).inc(),
            GapOpened: lambda event: self._gaps.labels(self._bound("stream", event.stream)).inc(),
            Reconciled: self._count_differences,
            ReconciliationFailed: lambda event: self._not_reconciled.labels(self._bound("code", event.code)).inc(),
            FrameUnreadable: lambda event: self._unreadable.labels(self._bound("stream", event.stream)).inc(),
        }
        if gauges is not None:
            self.read_from(gauges)
        ProcessCollector(registry=self.registry)

    def read_from(self, gauges: Callable[[], Gauges]) -> None:
        """Read these gauges at each scrape from now on."""
        self.registry.register(_Reading(gauges))

    @property
    def event_types(self) -> tuple[type[Event], ...]:
        """The events that ``observe`` counts."""
        return tuple(self._counts)

    def observe(self, envelope: Envelope) -> None:
        """Count an event."""
        count = self._counts.get(type(envelope.event))
        if count is not None:
            count(envelope.event)

    def on_request(self, method: str, status: int | None, seconds: float) -> None:
        """Count a request to the venue; ``status`` is ``None`` when no answer came."""
        word = "none" if status is None else f"{status // 100}xx" if status not in (401, 403, 422, 429) else str(status)
        self._requests.labels(self._bound("method", method), self._bound("status", word)).inc()
        self._request_seconds.observe(seconds)

    def on_commit(self, events: int, seconds: float) -> None:
        """Count a durable commit of so many events."""
        self._committed.inc(events)
        self._commit_seconds.observe(seconds)

    def on_turn(self, seconds: float) -> None:
        """Count a round trip of the bus."""
        self._turn_seconds.observe(seconds)

    def on_loop_lag(self, seconds: float) -> None:
        """Count how late the loop was."""
        self._loop_lag.observe(seconds)

    def exposition(self) -> tuple[bytes, str]:
        """Return the text that a scrape gets, and its content type."""
        return generate_latest(self.registry), CONTENT_TYPE_PLAIN_0_0_4

    def _count_fill(self, event: OrderFilled) -> None:
        side = str(event.fill.side)
        self._fills.labels(side).inc()
        self._filled_dollars.labels(side).inc(float(event.fill.quantity * event.fill.price))

    def _count_denials(self, event: RebalancePlanned) -> None:
        for code, count in Tally(denial.code for denial in event.denials).items():
            self._denials.labels(self._bound("denial", code)).inc(count)

    def _count_differences(self, event: Reconciled) -> None:
        for code, count in Tally(difference.code.value for difference in event.differences).items():
            self._differences.labels(self._bound("difference", code)).inc(count)

    def _bound(self, label: str, value: str) -> str:
        return self._bounds.setdefault(label, _Bounded())(value)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"alchemiser_{name}", text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(f"alchemiser_{name}", text, buckets=buckets, registry=self.registry)


class _Reading(Collector):
    """Reads the gauges at a scrape."""

    def __init__(self, read: Callable[[], Gauges]) -> None:
        self._read = read

    def collect(self) -> Iterable[Metric]:
        gauges = self._read()
        yield InfoMetricFamily("alchemiser", "This build.", value={"version": __version__})
        yield _value("live", "Whether a message went round the bus within the limit.", gauges.health.live)
        yield _value("ready", "Whether the daemon may trade.", gauges.health.ready)
        reasons = {reason.code: 1 for reason in gauges.health.reasons}
        yield _values("not_ready_reasons", "Why the daemon is not live or not ready.", "code", reasons)
        if gauges.trading_state is not None:
            yield _values("trading_state", "The trading state, 1 for the present one.", "state", {gauges.trading_state: 1})
        yield _values("stream_connected", "Whether a stream is authorised and subscribed.", "stream", gauges.streams_connected)
        yield _values("stream_age_seconds", "Time since a stream brought anything.", "stream", gauges.stream_ages_seconds)
        yield _values("orders", "Orders of this session by state.", "state", gauges.orders_by_state)
        yield from _money(gauges)
        yield from _bus(gauges)


def _value(name: str, text: str, value: float | Decimal) -> Metric:
    family = GaugeMetricFamily(f"alchemiser_{name}", text)
    family.add_metric((), float(value))
    return family


def _values(name: str, text: str, label: str, values: Mapping[str, Any]) -> Metric:
    family = GaugeMetricFamily(f"alchemiser_{name}", text, labels=(label,))
    for key, value in itertools.islice(values.items(), LABEL_VALUES_AT_MOST):
        family.add_metric((key,), float(value))
    return family


def _money(gauges: Gauges) -> Iterator[Metric]:
    if gauges.equity is not None:
        yield _value("equity_dollars", "Equity of the account.", gauges.equity)
    if gauges.cash is not None:
        yield _value("cash_dollars", "Cash of the account.", gauges.cash)
    yield _values("realised_dollars", "Profit realised by a strategy.", "strategy", gauges.realised)
    yield _values("unrealised_dollars", "Profit of what a strategy holds.", "strategy", gauges.unrealised)
    if gauges.last_decision_at is not None:
        yield _value("last_decision_timestamp_seconds", "When the last decision was due.", gauges.last_decision_at.timestamp())


def _bus(gauges: Gauges) -> Iterator[Metric]:
    published = CounterMetricFamily("alchemiser_bus_events", "Events published.")
    published.add_metric((), gauges.events_published)
    yield published
    for name, text in (
        ("handled", "Events that a handler has dealt with."),
        ("failed", "Events at which a handler raised."),
        ("conflated", "Events overwritten by a newer one of the same key."),
        ("overflowed", "Events taken beyond the bound of a mailbox."),
    ):
        counter = CounterMetricFamily(f"alchemiser_bus_{name}", text, labels=("handler",))
        for handler in gauges.handlers[:LABEL_VALUES_AT_MOST]:
            counter.add_metric((handler.name,), getattr(handler, name))
        yield counter
    mailboxes = [handler for handler in gauges.handlers if handler.kind == "mailbox"]
    for name, text in (
        ("depth", "Events waiting for a handler."),
        ("high_water", "The most that ever waited for a handler."),
        ("capacity", "The bound of a mailbox."),
        ("publishers_waiting", "Publishers that a full mailbox holds back."),
    ):
        yield _values(f"bus_{name}", text, "handler", {mailbox.name: getattr(mailbox, name) for mailbox in mailboxes})
