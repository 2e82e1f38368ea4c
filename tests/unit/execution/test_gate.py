"""The submit gate: every reason to send nothing closes it, and only the end of that reason takes it away."""

from datetime import datetime, timedelta

import pytest

from alchemiser.bus.envelope import Envelope
from alchemiser.domain.events import (
    DaemonStopping,
    Event,
    GapClosed,
    GapOpened,
    Reconciled,
    ReconciliationFailed,
    ReconciliationStarted,
    RecoveryCompleted,
    SessionClosed,
    SessionOpened,
    SettingsReloaded,
    StreamConnected,
    StreamLost,
    TimerElapsed,
    TradingStateChanged,
)
from alchemiser.domain.orders import Side
from alchemiser.execution.gate import SubmitGate
from tests.unit.execution.desk import SESSION, START, plan_of
from tests.unit.execution.pacing_desk import intent

CONNECTED = StreamConnected(at=START, stream="orders")
OPENED = SessionOpened(at=START, session=SESSION)
RECOVERED = RecoveryCompleted(at=START, events_replayed=0, fills_recovered=0, open_orders=0)


def new_gate(now: datetime = START) -> SubmitGate:
    """Return the gate of a process that has heard nothing yet; its session's cut-off is a minute before the close."""
    return SubmitGate(now=lambda: now, cut_off=lambda session: session.closes_at - timedelta(minutes=1))


def gate_after(*events: Event) -> SubmitGate:
    """Return a gate that has heard these events."""
    gate = new_gate()
    for number, event in enumerate(events, start=1):
        gate(Envelope(number, event, 0.0))
    return gate


def trading(state: str) -> TradingStateChanged:
    """Return a change of the trading state."""
    return TradingStateChanged(at=START, state=state, by="operator", reason="drill")


def test_it_is_closed_until_connected_recovered_and_in_session() -> None:
    """Each of the three alone, or two of them, is not enough."""
    events = (CONNECTED, OPENED, RECOVERED)
    for left_out in range(3):
        heard = [event for number, event in enumerate(events) if number != left_out]
        assert not gate_after(*heard).is_open
        assert len(gate_after(*heard).reasons) == 1

    assert set(new_gate().reasons) == {"recovery", "orders", "session"}
    assert gate_after(*events).is_open
    assert gate_after(*events).reasons == {}


@pytest.mark.parametrize(
    ("closes", "opens", "cause"),
    [
        (StreamLost(at=START, stream="orders", reason="reset"), CONNECTED, "orders"),
        (
            GapOpened(at=START, stream="orders", since=START, reason="reset"),
            GapClosed(at=START, stream="orders", since=START, fills_recovered=0),
            "gap orders",
        ),
        (trading("paused"), trading("active"), "trading"),
        (trading("halted"), trading("active"), "trading"),
        (SessionClosed(at=START + timedelta(hours=1), session=SESSION), OPENED, "session"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_what_closes_it_and_what_opens_it_again(closes: Event, opens: Event, cause: str) -> None:
    """A reason has a name and words, and ends with its opposite."""
    ready = (CONNECTED, OPENED, RECOVERED)

    closed = gate_after(*ready, closes)
    assert [cause] == list(closed.reasons)
    assert closed.reasons[cause]
    assert gate_after(*ready, closes, opens).is_open


def test_one_reason_does_not_lift_another() -> None:
    """A connection that is back says nothing about what was missed meanwhile."""
    lost = StreamLost(at=START, stream="orders", reason="reset")
    gap = GapOpened(at=START, stream="orders", since=START, reason="reset")

    gate = gate_after(CONNECTED, OPENED, RECOVERED, lost, gap, CONNECTED)
    assert ["gap orders"] == list(gate.reasons)


def test_the_market_stream_does_not_close_it() -> None:
    """Without quotes nothing can be priced, which the ladder sees for itself; orders on their way are no matter of it."""
    lost = StreamLost(at=START, stream="market", reason="reset")

    assert gate_after(CONNECTED, OPENED, RECOVERED, lost).is_open
    assert "orders" in gate_after(OPENED, RECOVERED, StreamConnected(at=START, stream="market")).reasons


def test_a_stopping_daemon_never_opens_it_again() -> None:
    """Whatever else happens during the stop."""
    stopping = DaemonStopping(at=START, reason="SIGTERM")

    gate = gate_after(CONNECTED, OPENED, RECOVERED, stopping, trading("active"), CONNECTED, OPENED)
    assert {"stopping": "the daemon is stopping: SIGTERM"} == gate.reasons


def test_the_last_state_of_trading_counts() -> None:
    """Halted after paused is halted, and one resumption is enough."""
    ready = (CONNECTED, OPENED, RECOVERED)

    assert "halted" in gate_after(*ready, trading("paused"), trading("halted")).reasons["trading"]
    assert gate_after(*ready, trading("paused"), trading("halted"), trading("active")).is_open


def test_other_events_and_the_caller_change_nothing() -> None:
    """What is not its business is ignored, and the reasons handed out are a copy."""
    gate = gate_after(CONNECTED, OPENED, RECOVERED, TimerElapsed(at=START, kind="execution", key=""))
    gate.reasons["made up"] = "by a caller"

    assert gate.is_open


def test_it_closes_by_itself_at_the_cut_off() -> None:
    """No event says so: the time does. After the close the reason is that the exchange is closed."""
    cut_off = SESSION.closes_at - timedelta(minutes=1)
    for now, expected in ((cut_off - timedelta(microseconds=1), set()), (cut_off, {"cut_off"}), (SESSION.closes_at, {"cut_off"})):
        gate = new_gate(now)
        for number, event in enumerate((CONNECTED, OPENED, RECOVERED), start=1):
            gate(Envelope(number, event, 0.0))
        assert expected == set(gate.reasons)
        assert gate.is_open is (not expected)
    gate(Envelope(9, SessionClosed(at=SESSION.closes_at, session=SESSION), 0.0))

    assert ["session"] == list(gate.reasons)


def test_a_cut_off_that_was_moved_counts_at_once() -> None:
    """The settings were read again: what is due now is asked anew, and a closed exchange has no cut-off."""
    moment = [SESSION.closes_at]
    gate = SubmitGate(now=lambda: SESSION.opens_at, cut_off=lambda session: moment[0])
    taken = SettingsReloaded(at=START, by="SIGHUP", changes=(), strategies={})
    for number, event in enumerate((CONNECTED, taken, OPENED, RECOVERED), start=1):
        gate(Envelope(number, event, 0.0))
    assert gate.is_open

    moment[0] = SESSION.opens_at
    gate(Envelope(5, taken, 0.0))

    assert set(gate.reasons) == {"cut_off"}


def test_why_not_says_every_reason_in_words() -> None:
    """It is what an order that is withheld at the last moment is told."""
    assert gate_after(CONNECTED, OPENED, RECOVERED).why_not("SPY") is None
    assert gate_after(CONNECTED, RECOVERED, trading("halted")).why_not("SPY") == (
        "the exchange is closed; trading was halted by operator: drill"
    )


def test_while_reducing_it_is_open_to_sales_only() -> None:
    """What lowers risk passes; a buy is told why it does not."""
    gate = gate_after(CONNECTED, OPENED, RECOVERED, trading("reducing"))

    assert gate.is_open
    assert gate.why_not("SPY", Side.SELL) is None
    assert "trading was reduced by operator: drill" == gate.why_not("SPY", Side.BUY) == gate.reduces
    gate(Envelope(9, trading("active"), 0.0))
    assert gate.why_not("SPY", Side.BUY) is gate.reduces is None


READY = (CONNECTED, OPENED, RECOVERED)


@pytest.mark.parametrize(
    ("state", "is_open", "is_halted", "may_buy"),
    [("active", True, False, True), ("reducing", True, False, False), ("paused", False, False, False), ("halted", False, True, False)],
)
def test_each_trading_state_lets_through_what_it_says(state: str, *, is_open: bool, is_halted: bool, may_buy: bool) -> None:
    """Reducing sells and buys nothing; a halt is known as one; a plan made before is held to the same."""
    gate = gate_after(*READY, trading(state))
    assert (gate.is_open, gate.is_halted) == (is_open, is_halted)
    assert (gate.reduces is not None) is (state == "reducing")
    assert (gate.why_not("SPY", Side.BUY) is None) is may_buy
    assert (gate.why_not("SPY", Side.SELL) is None) is is_open
    # A pause or a halt ends no plan; what is decided about purchases does.
    barred = dict(gate.barred(plan_of(intent("SPY", Side.SELL, "1"), intent("QQQ", Side.BUY, "1"))))
    assert barred == ({"QQQ": gate.reduces} if state == "reducing" else {})


def test_a_parked_symbol_is_told_whatever_the_gate_says() -> None:
    """It is kept back by itself, and first of all reasons comes that of everything."""
    gate = SubmitGate(now=lambda: START, cut_off=lambda session: session.closes_at, parked={"SPY": "it differs"}.get)
    assert (gate.why_parked("SPY"), gate.why_parked("QQQ")) == ("it differs", None)
    assert "it differs" not in str(gate.why_not("SPY"))
    for number, event in enumerate(READY, start=1):
        gate(Envelope(number, event, 0.0))
    assert (gate.why_not("SPY"), gate.why_not("QQQ")) == ("it differs", None)


STARTED = ReconciliationStarted(at=START, reason="timer")
COMPARED = Reconciled(at=START, reason="timer", attempts=1, reports=(), differences=(), parked={})


def failed(*, retries: bool) -> ReconciliationFailed:
    """Return a comparison that found nobody."""
    return ReconciliationFailed(at=START, reason="timer", code="venue_unavailable", error="no answer", retries=retries)


@pytest.mark.parametrize(
    ("events", "causes"),
    [
        ((STARTED,), {"reconciling"}),
        ((STARTED, COMPARED), set()),
        ((STARTED, failed(retries=False)), set()),
        ((STARTED, failed(retries=True)), {"venue"}),
        ((STARTED, failed(retries=True), STARTED, COMPARED), set()),
        ((TimerElapsed(at=START, kind="execution", key=""),), set()),
    ],
    ids=str,
)
def test_a_comparison_closes_it_for_as_long_as_it_lasts(events: tuple[Event, ...], causes: set[str]) -> None:
    """Also afterwards, while the venue is asked again and again; one that is given up leaves nothing behind."""
    assert set(gate_after(*READY, *events).reasons) == causes


def test_the_kill_switch_closes_it_without_any_event() -> None:
    """Also when the bus is stuck; only a person who resumes trading opens it again."""
    gate = gate_after(*READY)
    gate.kill("something looks wrong")
    assert gate.reasons == {"killed": "something looks wrong"}
    for event in (CONNECTED, OPENED, RECOVERED):
        gate(Envelope(9, event, 0.0))
    assert not gate.is_open
    gate(Envelope(10, trading("active"), 0.0))
    assert gate.is_open


def test_it_knows_which_event_opened_it() -> None:
    """No order leaves before that event is durable: seed 193 lost the end of a gap in a crash, and an order had left on it."""
    gap = (
        GapOpened(at=START, stream="orders", since=START, reason="x"),
        GapClosed(at=START, stream="orders", since=START, fills_recovered=0),
    )

    assert gate_after(CONNECTED, OPENED).opened_by == 0
    assert gate_after(CONNECTED, OPENED, RECOVERED).opened_by == 3
    assert gate_after(CONNECTED, OPENED, RECOVERED, gap[0]).opened_by == 3
    assert gate_after(CONNECTED, OPENED, RECOVERED, *gap).opened_by == 5
