"""The daemon's numbers as Prometheus reads them.

Loaded by the first scrape: a daemon is ready before it knows this format. The library writes the text; what is in it comes from
``service.metrics``.
"""

import itertools
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, InfoMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector, CollectorRegistry
from prometheus_client.utils import floatToGoString

from alchemiser import __version__
from alchemiser.service.metrics import LABEL_VALUES_AT_MOST, Count, DaemonMetrics, Durations, Gauges


class Exposition(Collector):
    """Writes the numbers of one daemon, and those of its process, at each scrape."""

    def __init__(self, metrics: DaemonMetrics) -> None:
        self._metrics = metrics
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    def write(self) -> tuple[bytes, str]:
        """Return the text that a scrape gets, and its content type."""
        return generate_latest(self._registry), CONTENT_TYPE_PLAIN_0_0_4

    def collect(self) -> Iterable[Metric]:
        """Yield every family: what was counted, how long it took, and what is read at this moment."""
        for count in self._metrics.counts:
            yield _counter(count)
        for durations in self._metrics.durations:
            yield _histogram(durations)
        if self._metrics.gauges is not None:
            yield from _read(self._metrics.gauges())
        left = self._metrics.requests_left()
        if left is not None:
            yield _value("rest_requests_left", "Requests that the venue still allows in this minute.", left)


def _counter(count: Count) -> Metric:
    family = CounterMetricFamily(count.name, count.text, labels=count.labels)
    for labels, value in count.values.items():
        family.add_metric(labels, value)
    return family


def _histogram(durations: Durations) -> Metric:
    family = HistogramMetricFamily(durations.name, durations.text)
    bounds = [*map(floatToGoString, durations.bounds), "+Inf"]
    family.add_metric((), list(zip(bounds, itertools.accumulate(durations.counts), strict=True)), durations.total)
    return family


def _read(gauges: Gauges) -> Iterable[Metric]:
    yield InfoMetricFamily("alchemiser", "This build.", value={"version": __version__})
    yield _value("live", "Whether a message went round the bus within the limit.", gauges.health.live)
    yield _value("ready", "Whether the daemon may trade.", gauges.health.ready)
    reasons = {reason.code: 1 for reason in gauges.health.reasons}
    yield _values("not_ready_reasons", "Why the daemon is not live or not ready.", "code", reasons)
    if gauges.trading_state is not None:
        yield _values("trading_state", "The trading state, 1 for the present one.", "state", {gauges.trading_state: 1})
    yield _values("guards_tripped", "Tripped guards that wait to be armed again, by guard.", "guard", gauges.guards_tripped)
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
    if gauges.drawdown is not None:
        yield _value("drawdown_ratio", "How far the equity is below its peak, as a share of it.", gauges.drawdown)
    yield _values("profit_below_peak_dollars", "How far a strategy's profit is below its peak.", "strategy", gauges.below_peak)
    yield _value("tasks", "Tasks of the event loop.", gauges.tasks)
    yield _value("ledger_differences", "Differences between ledger and broker at the last comparison.", gauges.ledger_differences)
    yield _value("symbols_parked", "Symbols of which nothing is sent until somebody looks.", gauges.symbols_parked)
    yield _values("realised_dollars", "Profit realised by a strategy.", "strategy", gauges.realised)
    yield _values("unrealised_dollars", "Profit of what a strategy holds.", "strategy", gauges.unrealised)
    about = "How far the last session of a strategy was from its backtest, in basis points of its capital; below zero live was worse."
    yield _values("live_backtest_difference_bps", about, "strategy", gauges.off_backtest_bps)
    yield _value(
        "live_backtest_beyond", "Strategies whose last session was further from its backtest than the limit.", gauges.beyond_backtest
    )
    for name, moment, text in (
        ("clock", gauges.now, "The daemon's own clock: market time, which on an embedded exchange is not the wall's."),
        ("started", gauges.started_at, "When the daemon started, by its own clock."),
        ("last_decision", gauges.last_decision_at, "When the last decision was due, by the daemon's own clock."),
    ):
        if moment is not None:
            yield _value(f"{name}_timestamp_seconds", text, moment.timestamp())


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
    busy = {handler.name: handler.busy_seconds or 0.0 for handler in gauges.handlers if handler.kind == "mailbox"}
    yield _values("bus_busy_seconds", "How long a handler has been at its present event.", "handler", busy)
    mailboxes = [handler for handler in gauges.handlers if handler.kind == "mailbox"]
    for name, text in (
        ("depth", "Events waiting for a handler."),
        ("high_water", "The most that ever waited for a handler."),
        ("capacity", "The bound of a mailbox."),
        ("publishers_waiting", "Publishers that a full mailbox holds back."),
    ):
        yield _values(f"bus_{name}", text, "handler", {mailbox.name: getattr(mailbox, name) for mailbox in mailboxes})
