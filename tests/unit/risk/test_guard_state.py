"""What the guards remember: peaks, closes, refusals and trips follow from the journal alone."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

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
    TimerElapsed,
)
from alchemiser.domain.market import Session
from alchemiser.domain.orders import ExecutionReport, Fill, Side
from alchemiser.domain.trading import ACCOUNT
from alchemiser.risk.guard_state import GuardState

AT = datetime(2025, 3, 3, 15, 0, tzinfo=UTC)
DAY = date(2025, 3, 3)


def after(*events: Event) -> GuardState:
    """Return what is remembered after these events."""
    state = GuardState()
    for number, event in enumerate(events, start=1):
        state(Envelope(number, event, 0.0))
    return state


def closed(profit: int, day: date = DAY) -> ResultReported:
    """Return the result of a session in which strategy a has this profit, half of it realised."""
    half = Decimal(profit) / 2
    return ResultReported(at=AT, session=day, equity=Decimal(0), cash=Decimal(0), realised={"a": half}, unrealised={"a": half})


def opened(day: date) -> SessionOpened:
    """Return the opening of a session."""
    return SessionOpened(at=AT, session=Session(date=day, opens_at=AT, closes_at=AT + timedelta(hours=6)))


def rejected(reason: str | None = "no") -> OrderClosed:
    """Return the end of an order that the venue refused."""
    return OrderClosed(
        at=AT, client_order_id="x", symbol="SPY", state="rejected", cumulative_quantity=Decimal(0), average_price=None, reason=reason
    )


def report(status: str) -> ExecutionReported:
    """Return what the venue says of an order."""
    said = ExecutionReport(
        event=status,
        status=status,
        client_order_id="x",
        venue_order_id="v",
        symbol="SPY",
        side=Side.BUY,
        quantity=Decimal(1),
        cumulative_quantity=Decimal(0),
        average_price=None,
        at=AT,
    )
    return ExecutionReported(at=AT, report=said)


FILLED = OrderFilled(
    at=AT,
    fill=Fill(
        execution_id="e",
        client_order_id="x",
        venue_order_id="v",
        symbol="SPY",
        side=Side.BUY,
        quantity=Decimal(1),
        price=Decimal(1),
        at=AT,
    ),
)


def tripped(guard: str = "drawdown", strategy: str | None = None) -> GuardTripped:
    """Return a guard that trips."""
    return GuardTripped(
        at=AT, guard=guard, strategy=strategy, action="halt", value=Decimal(1), limit=Decimal(1), cleared=Decimal(0), text="down"
    )


def armed(guard: str, strategy: str | None = None, *, is_reset: bool = False, profit: int | None = None) -> GuardRearmed:
    """Return a guard that is armed again."""
    dollars = None if profit is None else Decimal(profit)
    return GuardRearmed(at=AT, guard=guard, strategy=strategy, by="operator", reason="seen", is_reset=is_reset, profit=dollars)


def test_capital_is_that_of_the_last_plan() -> None:
    """The account's is what all of them may use."""
    plan = RebalancePlanned(
        at=AT,
        rebalance_id="20250303.1",
        session=DAY,
        equity=Decimal(1_000),
        cash=Decimal(0),
        target={},
        prices={},
        capital={"a": Decimal(995)},
        intents=(),
        denials=(),
        crossings=(),
    )
    assert {ACCOUNT: Decimal(1_000), "a": Decimal(995)} == after(plan).capital


def test_todays_loss_is_measured_from_the_last_close_before_today() -> None:
    """Also after today's own close, and also when the session is opened again by a restart."""
    tomorrow = DAY + timedelta(days=1)

    assert Decimal(0) == after(opened(DAY)).before("a")
    assert Decimal(0) == after(opened(DAY), closed(40)).before("a")
    assert Decimal(40) == after(opened(DAY), closed(40), opened(tomorrow)).before("a")
    both = after(opened(DAY), closed(40), opened(tomorrow), closed(10, tomorrow), opened(tomorrow))
    assert (Decimal(40), Decimal(40)) == (both.before("a"), both.before(ACCOUNT))
    assert Decimal(10) == after(closed(10)).before("a")  # Before any session of this journal was opened.
    assert Decimal(0) == both.before("unheard of")


def test_peaks_only_rise() -> None:
    """By a result or by what the guards saw in between; from nothing at first."""
    assert Decimal(40) == after(closed(40), closed(-10, DAY + timedelta(days=1))).peaks["a"]
    assert Decimal(70) == after(closed(40), ProfitPeaked(at=AT, profits={"a": Decimal(70)})).peaks["a"]
    assert Decimal(0) == after(closed(-40)).peaks[ACCOUNT]


def test_refusals_are_counted_until_the_venue_takes_an_order() -> None:
    """An order that is pending a cancel proves nothing."""
    assert (2, "no") == ((state := after(rejected(), rejected())).rejects, state.last_reject)
    assert "" == after(rejected(None)).last_reject
    assert 0 == after(rejected(), report("new")).rejects
    assert 0 == after(rejected(), FILLED).rejects
    assert 1 == after(rejected(), report("pending_cancel"), TimerElapsed(at=AT, kind="", key="")).rejects


def test_a_trip_is_kept_until_it_is_armed_again() -> None:
    """Clear it is a note on it; of what has not tripped there is none."""
    cleared = GuardCleared(at=AT + timedelta(hours=1), guard="drawdown", strategy="a", value=Decimal(0), text="up")
    state = after(tripped(strategy="a"), tripped("rejects"), cleared)

    assert {"drawdown:a", "rejects"} == set(state.trips)
    assert AT + timedelta(hours=1) == state.trips["drawdown:a"].cleared_at
    assert state.trips["rejects"].cleared_at is None
    assert {} == after(cleared).trips
    assert {"rejects"} == set(after(tripped(strategy="a"), tripped("rejects"), armed("drawdown", "a")).trips)


def test_a_reset_measures_anew() -> None:
    """Each guard what it measures; without a reset nothing is forgotten."""
    assert Decimal(5) == after(closed(40), armed("drawdown", is_reset=True, profit=5)).peaks[ACCOUNT]
    assert Decimal(5) == after(closed(40), armed("strategy_drawdown", "a", is_reset=True, profit=5)).peaks["a"]
    assert Decimal(40) == after(closed(40), armed("strategy_drawdown", "a", profit=5)).peaks["a"]
    day = after(opened(DAY), armed("strategy_daily_loss", "a", is_reset=True, profit=-9))
    assert Decimal(-9) == day.before("a")
    day(Envelope(9, opened(DAY + timedelta(days=1)), 0.0))
    assert Decimal(0) == day.before("a")  # Tomorrow is another day.
    assert 0 == after(rejected(), armed("rejects", is_reset=True)).rejects
    assert 1 == after(rejected(), armed("slippage", is_reset=True)).rejects
