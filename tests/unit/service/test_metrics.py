"""The numbers that a scrape gets."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from alchemiser.bus.envelope import Envelope
from alchemiser.bus.reports import HandlerStatistics
from alchemiser.domain import events
from alchemiser.domain.intents import Denial
from alchemiser.domain.orders import Fill, NewOrder, OrderType, Side, TimeInForce
from alchemiser.service.health import HealthReport, Reason
from alchemiser.service.metrics import LABEL_VALUES_AT_MOST, DaemonMetrics, Gauges

AT = datetime(2025, 3, 3, 20, 50, tzinfo=UTC)
ORDER = NewOrder(
    client_order_id="a-20250303.1-b-1",
    symbol="TECL",
    side=Side.BUY,
    quantity=Decimal(2),
    order_type=OrderType.MARKET,
    time_in_force=TimeInForce.DAY,
)
FILL = Fill(
    execution_id="e",
    client_order_id="c",
    venue_order_id="v",
    symbol="TECL",
    side=Side.SELL,
    quantity=Decimal("1.5"),
    price=Decimal(100),
    at=AT,
)
DENIAL = Denial(symbol="TECL", side=Side.BUY, quantity=Decimal(1), code="halted", message="halted")
PLAN = events.RebalancePlanned(
    at=AT,
    rebalance_id="20250303.1",
    session=AT.date(),
    equity=Decimal(1),
    cash=Decimal(1),
    target={},
    prices={},
    capital={},
    intents=(),
    denials=(DENIAL, DENIAL),
    crossings=(),
)
GAUGES = Gauges(
    health=HealthReport(live=True, ready=False, reasons=(Reason(code="gap", text="x"),)),
    handlers=(
        HandlerStatistics(name="ledger", kind="inline", handled=7, failed=1),
        HandlerStatistics(name="execution", kind="mailbox", handled=5, failed=0, depth=2, high_water=3, capacity=100),
    ),
    streams_connected={"orders": True, "market": False},
    stream_ages_seconds={"orders": 1.5},
    orders_by_state={"filled": 3},
    equity=Decimal("100000.10"),
    cash=Decimal("5.5"),
    realised={"tecl": Decimal("1.25")},
    unrealised={"tecl": Decimal("-2")},
    trading_state="active",
    events_published=12,
    now=AT,
    started_at=AT,
    last_decision_at=AT,
)


def samples(metrics: DaemonMetrics) -> dict[str, float]:
    """Return every sample of a scrape, by name and labels as they are written."""
    lines = metrics.exposition()[0].decode().splitlines()
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if not line.startswith("#")}


def count(metrics: DaemonMetrics, *happened: events.Event) -> None:
    """Have the metrics observe these events."""
    for number, event in enumerate(happened, start=1):
        metrics.observe(Envelope(number, event, 0.0))


@pytest.fixture
def metrics() -> DaemonMetrics:
    """Return the metrics of one daemon."""
    return DaemonMetrics(lambda: GAUGES)


@pytest.mark.parametrize(
    ("event", "series", "value"),
    [
        (events.OrderIntended(at=AT, rebalance_id="r", intent_id="i", attempt=1, order=ORDER), 'orders_sent_total{side="buy"}', 1.0),
        (events.OrderFilled(at=AT, fill=FILL), 'fills_total{side="sell"}', 1.0),
        (events.OrderFilled(at=AT, fill=FILL), 'filled_dollars_total{side="sell"}', 150.0),
        (
            events.OrderClosed(
                at=AT, client_order_id="c", symbol="T", state="expired", cumulative_quantity=Decimal(0), average_price=None, reason=None
            ),
            'orders_closed_total{state="expired"}',
            1.0,
        ),
        (events.OrderRejected(at=AT, client_order_id="c", code=40310000, message="x"), 'orders_rejected_total{code="40310000"}', 1.0),
        (events.OrderOutcomeUnknown(at=AT, client_order_id="c", reason="x"), "orders_outcome_unknown_total", 1.0),
        (PLAN, 'intents_denied_total{code="halted"}', 2.0),
        (events.RebalanceCompleted(at=AT, rebalance_id="r", outcomes=()), 'rebalances_total{result="completed"}', 1.0),
        (events.RebalanceParked(at=AT, rebalance_id="r", reason="x", outcomes=()), 'rebalances_total{result="parked"}', 1.0),
        (events.StrategyFailed(at=AT, rebalance_id="r", strategy="tecl", reason="x"), 'strategy_failures_total{strategy="tecl"}', 1.0),
        (
            events.HandlerFailed(at=AT, handler="ledger", event_type="x", sequence=1, error="x", action="x"),
            'handler_failures_total{handler="ledger"}',
            1.0,
        ),
        (events.StreamLost(at=AT, stream="orders", reason="x"), 'stream_losses_total{stream="orders"}', 1.0),
        (events.GapOpened(at=AT, stream="orders", since=AT, reason="x"), 'stream_gaps_total{stream="orders"}', 1.0),
        (events.FrameUnreadable(at=AT, stream="orders", raw="x", error="x"), 'frames_unreadable_total{stream="orders"}', 1.0),
    ],
)
def test_events_are_counted(metrics: DaemonMetrics, event: events.Event, series: str, value: float) -> None:
    """Each event that an operator watches moves its own series."""
    assert type(event) in metrics.event_types

    count(metrics, event)

    assert value == samples(metrics)[f"alchemiser_{series}"]


def test_other_events_move_nothing(metrics: DaemonMetrics) -> None:
    """What is not counted costs one look-up."""
    before = samples(metrics)

    count(metrics, events.DaemonStopping(at=AT, reason="x"))

    ours = {name: value for name, value in samples(metrics).items() if name.startswith("alchemiser")}
    assert {name: value for name, value in before.items() if name.startswith("alchemiser")} == ours


def test_gauges_are_read_at_the_scrape(metrics: DaemonMetrics) -> None:
    """Health, streams, orders, money and the bus are those of the moment."""
    expected: dict[str, Any] = {
        "live": 1.0,
        "ready": 0.0,
        'not_ready_reasons{code="gap"}': 1.0,
        'trading_state{state="active"}': 1.0,
        'stream_connected{stream="market"}': 0.0,
        'stream_age_seconds{stream="orders"}': 1.5,
        'orders{state="filled"}': 3.0,
        "equity_dollars": 100000.10,
        "cash_dollars": 5.5,
        'realised_dollars{strategy="tecl"}': 1.25,
        'unrealised_dollars{strategy="tecl"}': -2.0,
        "clock_timestamp_seconds": AT.timestamp(),
        "started_timestamp_seconds": AT.timestamp(),
        "last_decision_timestamp_seconds": AT.timestamp(),
        "bus_events_total": 12.0,
        'bus_handled_total{handler="ledger"}': 7.0,
        'bus_failed_total{handler="ledger"}': 1.0,
        'bus_depth{handler="execution"}': 2.0,
        'bus_capacity{handler="execution"}': 100.0,
    }

    found = samples(metrics)

    assert expected == {name: found[f"alchemiser_{name}"] for name in expected}
    assert 'alchemiser_bus_depth{handler="ledger"}' not in found


def test_what_is_not_known_yet_is_absent() -> None:
    """Before the broker was asked there is no equity, rather than an equity of zero."""
    found = samples(DaemonMetrics(lambda: Gauges(health=HealthReport(live=True, ready=False))))

    assert "alchemiser_equity_dollars" not in found
    assert "alchemiser_cash_dollars" not in found
    assert "alchemiser_last_decision_timestamp_seconds" not in found


def test_counters_begin_at_zero(metrics: DaemonMetrics) -> None:
    """A series that exists from the start shows its first increase as a rate."""
    found = samples(metrics)

    assert found['alchemiser_fills_total{side="buy"}'] == 0.0
    assert found['alchemiser_rebalances_total{result="parked"}'] == 0.0


@pytest.mark.parametrize(
    ("status", "word"), [(200, "2xx"), (204, "2xx"), (429, "429"), (401, "401"), (422, "422"), (404, "4xx"), (503, "5xx"), (None, "none")]
)
def test_requests_are_counted_by_class(metrics: DaemonMetrics, status: int | None, word: str) -> None:
    """Status classes, and by themselves those that an operator acts upon."""
    metrics.on_request("GET", status, 0.02)

    found = samples(metrics)
    assert found[f'alchemiser_rest_requests_total{{method="GET",status="{word}"}}'] == 1.0
    assert found["alchemiser_rest_request_seconds_count"] == 1.0


def test_times_are_measured(metrics: DaemonMetrics) -> None:
    """Commits, turns of the bus and the lag of the loop are histograms."""
    metrics.on_commit(3, 0.004)
    metrics.on_turn(0.001)
    metrics.on_loop_lag(0.2)

    found = samples(metrics)
    assert found["alchemiser_journal_events_committed_total"] == 3.0
    assert found['alchemiser_journal_commit_seconds_bucket{le="0.005"}'] == 1.0
    assert found["alchemiser_bus_turn_seconds_count"] == 1.0
    assert found["alchemiser_loop_lag_seconds_sum"] == 0.2


def test_labels_are_bounded(metrics: DaemonMetrics) -> None:
    """Nothing that the venue sends can grow the number of series without end."""
    count(metrics, *(events.OrderRejected(at=AT, client_order_id="c", code=n, message="x") for n in range(LABEL_VALUES_AT_MOST + 9)))

    found = {name: value for name, value in samples(metrics).items() if name.startswith("alchemiser_orders_rejected_total{")}
    assert len(found) == LABEL_VALUES_AT_MOST + 1
    assert found['alchemiser_orders_rejected_total{code="other"}'] == 9.0


def test_the_way_from_a_decision_to_its_last_fill_is_measured(metrics: DaemonMetrics) -> None:
    """In market time, once per rebalance, and not for one that traded nothing."""
    due = events.DecisionDue(at=AT, rebalance_id="20250303.1", session=AT.date(), reason="schedule")
    fill = events.OrderFilled(at=AT + timedelta(seconds=7), fill=FILL)
    done = events.RebalanceCompleted(at=AT + timedelta(seconds=9), rebalance_id="20250303.1", outcomes=())

    metrics.observe(Envelope(1, due, 0.0, correlation="20250303.1"))
    metrics.observe(Envelope(2, fill, 0.0, correlation="20250303.1"))
    metrics.observe(Envelope(3, done, 0.0, correlation="20250303.1"))
    metrics.observe(Envelope(4, due, 0.0, correlation="20250303.1"))
    metrics.observe(Envelope(5, done, 0.0, correlation="20250303.1"))

    found = samples(metrics)
    assert found["alchemiser_decision_to_last_fill_seconds_count"] == 1.0
    assert found["alchemiser_decision_to_last_fill_seconds_sum"] == 7.0


def test_what_the_venue_still_allows_is_told_once_it_is_known(metrics: DaemonMetrics) -> None:
    """Absent before the first answer."""
    assert "alchemiser_rest_requests_left" not in samples(metrics)
    metrics.requests_left = lambda: 42
    assert samples(metrics)["alchemiser_rest_requests_left"] == 42.0
