"""The answers of a journaled state: documents with everything in them, before the first event as after a whole day."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal

import msgspec
import orjson
import pytest

from alchemiser import __version__
from alchemiser.bus.envelope import Envelope
from alchemiser.domain.events import (
    DaemonStopped,
    Event,
    FillBroken,
    OrderFilled,
    OrderIntended,
    RebalanceParked,
    RebalancePlanned,
    StopStage,
    StreamLost,
    TradingStateChanged,
)
from alchemiser.domain.orders import Fill, NewOrder, OrderType, Side, TimeInForce
from alchemiser.service.state_view import JournaledView, event_row, latest_events
from alchemiser.service.view import RESOURCES, Resource, document, to_json
from tests.unit.service.trading_day import (
    COMPLETED,
    DAY,
    DECIDED_AT,
    DECISION,
    FAILED,
    FILLS,
    KEY,
    MORNING,
    ORDER_ID,
    RESULT,
    SESSION,
    STARTED,
    WHOLE_DAY,
    Life,
    observed,
)


def view_of(*events: Event) -> JournaledView:
    """Return the view of a state after these events."""
    life = Life(events)
    journal = life.envelopes

    def read(after: int, *, limit: int | None = None) -> list[Envelope]:
        return [envelope for envelope in journal if envelope.sequence > after][:limit]

    return JournaledView(
        life.state, epoch="abc123", read_events=latest_events(read, lambda: len(journal)), read_results=read, now=lambda: DECIDED_AT
    )


def order(client_order_id: str) -> OrderIntended:
    """Return the intention of an order of another rebalance."""
    request = NewOrder(
        client_order_id=client_order_id,
        symbol="QQQ",
        side=Side.SELL,
        quantity=Decimal(1),
        order_type=OrderType.MARKET,
        time_in_force=TimeInForce.DAY,
    )
    return OrderIntended(at=DECIDED_AT, rebalance_id="x", intent_id="QQQ", attempt=1, order=request)


@pytest.mark.parametrize("resource", RESOURCES)
@pytest.mark.parametrize("events", [(), MORNING, (*MORNING, *DECISION), WHOLE_DAY], ids=["nothing", "morning", "decision", "day"])
def test_every_answer_is_a_document_at_every_time_of_the_day(resource: Resource, events: tuple[Event, ...]) -> None:
    """It can be written as JSON, says whether it is live and as of when it is true."""
    answer = orjson.loads(to_json(document(view_of(*events), resource, live=False)))

    assert answer["live"] is False
    assert DECIDED_AT == datetime.fromisoformat(answer["as_of"])


def test_status_before_the_first_event() -> None:
    """Nothing is known, and nothing is made up."""
    status = view_of().status()

    assert (__version__, "abc123", None, None) == (status["version"], status["epoch"], status["mode"], status["equity"])
    assert {"state": "active", "by": "start", "reason": "", "since": None, "strategies": {}} == status["trading"]
    assert {"date": None, "is_open": False, "opens_at": None, "closes_at": None} == status["session"]
    assert (None, {}, {}) == (status["rebalance"], status["streams"], status["strategies"])


def test_status_while_orders_are_working() -> None:
    """The session is open, the streams are connected, the rebalance is in progress."""
    status = view_of(*MORNING, *DECISION).status()

    assert ("paper", "A1", STARTED.at, None) == (status["mode"], status["account_number"], status["started_at"], status["stopped_at"])
    assert {"date": DAY, "is_open": True, "opens_at": SESSION.opens_at, "closes_at": SESSION.closes_at} == status["session"]
    assert {"market": True, "orders": True} == status["streams"]
    assert {"id": KEY, "state": "working", "intents": 1} == status["rebalance"]
    assert (1, 0, {"one": 0.5, "two": 0.5}) == (status["open_orders"], status["handler_failures"], status["strategies"])


def test_status_after_the_day() -> None:
    """What ended is said to have ended, and failures of handlers are counted."""
    status = view_of(*WHOLE_DAY).status()

    assert WHOLE_DAY[-1].at == status["stopped_at"]
    assert status["session"]["is_open"] is False
    assert status["streams"] == {}
    assert {"id": KEY, "state": "completed", "intents": 0, "at": COMPLETED.at} == status["rebalance"]
    assert (Decimal(2010), Decimal(1000), 0, 1) == (
        status["equity"],
        status["cash"],
        status["open_orders"],
        status["handler_failures"],
    )
    assert {"compared_at": SESSION.closes_at, "differences": []} == status["ledger"]


def test_status_after_a_stop_in_a_hurry() -> None:
    """What became of each stage, in milliseconds at most: a clock of the loop has more digits than anybody reads. What is left is named."""
    stages = (
        StopStage(name="drain", outcome="done", seconds=0.30000000000000004, limit_seconds=1.0499999999999998),
        StopStage(name="cancel", outcome="skipped", seconds=0.0, limit_seconds=0.7000000000000001, left=f"{ORDER_ID} is working"),
    )
    stopped = DaemonStopped(at=DECIDED_AT, open_orders=(ORDER_ID,), unconfirmed=(ORDER_ID,), stages=stages)

    assert view_of(*MORNING, *DECISION, stopped).status()["stop"] == {
        "stages": [
            {"name": "drain", "outcome": "done", "seconds": 0.3, "limit_seconds": 1.05, "left": ""},
            {"name": "cancel", "outcome": "skipped", "seconds": 0.0, "limit_seconds": 0.7, "left": f"{ORDER_ID} is working"},
        ],
        "open_orders": [ORDER_ID],
        "unconfirmed": [ORDER_ID],
    }


def test_status_of_what_did_not_go_well() -> None:
    """A lost stream, a halt and a parked rebalance are there with their reasons."""
    status = view_of(
        *MORNING,
        *DECISION,
        StreamLost(at=DECIDED_AT, stream="orders", reason="reset"),
        TradingStateChanged(at=DECIDED_AT, state="halted", by="operator", reason="drill"),
        RebalanceParked(at=DECIDED_AT, rebalance_id=KEY, reason="trading was halted", outcomes=()),
    ).status()

    assert status["streams"]["orders"] is False
    assert {"state": "halted", "by": "operator", "reason": "drill", "since": DECIDED_AT, "strategies": {}} == status["trading"]
    assert ("parked", "trading was halted") == (status["rebalance"]["state"], status["rebalance"]["reason"])


def test_positions_tell_ours_from_the_brokers() -> None:
    """Per symbol what the books hold, what the broker has, and which strategy owns how much."""
    ours, foreign = sorted(view_of(*WHOLE_DAY).positions(), key=lambda row: row["symbol"], reverse=True)

    assert ("SPY", 10, Decimal(101), 1010, 10) == (
        ours["symbol"],
        ours["quantity"],
        ours["price"],
        ours["value"],
        ours["broker_quantity"],
    )
    assert {"one": Decimal(10)} == ours["strategies"]
    assert ("MINE", 0, None, None, 3, {}) == tuple(
        foreign[name] for name in ("symbol", "quantity", "price", "value", "broker_quantity", "strategies")
    )


def early(fill: Fill) -> Fill:
    """Return the fill as one from before the broker was asked."""
    return msgspec.structs.replace(fill, at=DECIDED_AT)


def test_executions_are_the_brokers_word_too() -> None:
    """Between two looks at the account, what the broker has executed counts as told by it; a broken execution no longer does."""
    asked = observed("2000", "2000", {})
    (row,) = view_of(*MORNING, asked, *DECISION, *FILLS).positions()
    assert ("SPY", 10, None, None, 10) == tuple(row[name] for name in ("symbol", "quantity", "price", "value", "broker_quantity"))

    at = DECIDED_AT + timedelta(seconds=4)
    fill = Fill(
        execution_id="x", client_order_id="y", venue_order_id="v", symbol="SPY", side=Side.BUY, quantity=Decimal(4), price=Decimal(1), at=at
    )
    bought = OrderFilled(at=fill.at, fill=fill)
    broken = FillBroken(at=fill.at + timedelta(minutes=5), fill=fill, replaced_by=None, reason="bust")
    for events, quantity in (((bought,), 14), ((bought, broken), 10), ((msgspec.structs.replace(bought, fill=early(fill)),), 10)):
        view = view_of(*MORNING, asked, *DECISION, *FILLS, *events)
        (row,) = view.positions()
        assert row["broker_quantity"] == quantity
        assert view.status()["cash"] == view.pnl()["cash"] == 2000 - 10 * 100 - (quantity - 10)


def test_a_position_that_the_broker_does_not_have_is_shown() -> None:
    """It is a difference, and the operator looks here first; executions from before the broker was asked count no more."""
    (row,) = view_of(*MORNING, *DECISION, *FILLS, observed("0", "0", {})).positions()

    assert ("SPY", 10, None, None, 0) == tuple(row[name] for name in ("symbol", "quantity", "price", "value", "broker_quantity"))


def test_orders_are_those_of_the_last_session_and_whatever_is_open() -> None:
    """Old orders that have ended are history; one that is still open is shown however old it is."""
    old_and_open = order("abc123-20250228.1-QQQ-1")
    rows = view_of(old_and_open, *MORNING, *DECISION, *FILLS).orders()
    assert ["abc123-20250228.1-QQQ-1", ORDER_ID] == [row["client_order_id"] for row in rows]

    filled = rows[1]
    assert ("filled", Decimal(10), Decimal(0), Decimal(100), "venue-1") == tuple(
        filled[name] for name in ("state", "cumulative_quantity", "leaves_quantity", "average_price", "venue_order_id")
    )
    assert ("buy", "limit", Decimal("100.05")) == tuple(filled[name] for name in ("side", "type", "limit_price"))

    later = view_of(*WHOLE_DAY, order("abc123-20250304.1-QQQ-1")).orders()
    assert ["abc123-20250304.1-QQQ-1"] == [row["client_order_id"] for row in later]
    assert view_of().orders() == []


def test_profit_is_told_per_strategy_and_in_sum() -> None:
    """At the broker's prices; without a price a position counts at cost."""
    pnl = view_of(*WHOLE_DAY).pnl()
    assert (Decimal(2010), Decimal(1000), Decimal(1000)) == (pnl["equity"], pnl["cash"], pnl["ledger_cash"])
    assert (Decimal(0), Decimal(10)) == (pnl["realised"], pnl["unrealised"])
    one = pnl["strategies"]["one"]
    assert (Decimal(0), Decimal(10), Decimal(0), Decimal(10)) == (one["realised"], one["unrealised"], one["income"], one["total"])
    assert {"SPY": Decimal(10)} == one["holdings"]
    assert (DAY, RESULT.unrealised) == (pnl["last_session"]["session"], pnl["last_session"]["unrealised"])

    without_price = view_of(*MORNING, *DECISION, *FILLS, observed("1000", "2000", {"SPY": ("10", None)})).pnl()
    assert without_price["unrealised"] == 0
    assert without_price["last_session"] is None


def test_strategies_show_their_last_answer() -> None:
    """A target with its path, a failure with its reason, or nothing yet."""
    one, two = view_of(*MORNING, *DECISION).strategies()
    assert ("one", 0.5, "ok", {"SPY": 1.0}, ["always SPY"], None) == tuple(
        one[name] for name in ("name", "allocation", "status", "weights", "explanation", "reason")
    )
    assert ("failed", None, [], FAILED.reason, DECIDED_AT) == tuple(
        two[name] for name in ("status", "weights", "explanation", "reason", "decided_at")
    )

    assert {"none"} == {row["status"] for row in view_of(*MORNING).strategies()}
    assert view_of().strategies() == []


def test_events_come_from_a_place_on_or_from_the_end() -> None:
    """As many as asked for, oldest first."""
    view = view_of(*WHOLE_DAY)
    last = view.events(-1, 1_000)[-1]["sequence"]

    assert [1, 2, 3] == [row["sequence"] for row in view.events(0, 3)]
    assert [5, 6] == [row["sequence"] for row in view.events(4, 2)]
    assert [last - 1, last] == [row["sequence"] for row in view.events(-1, 2)]
    assert view.events(last, 10) == []
    assert view_of().events(-1, 10) == []


def test_the_last_events_are_found_across_holes() -> None:
    """Most sequence numbers belong to quotes, which are not journaled: the window is widened until it holds enough."""
    sparse = [Envelope(number, STARTED, 0.0) for number in (1, 500, 2_000, 9_990)]
    asked: list[int] = []

    def read(after: int, *, limit: int | None = None) -> Iterator[Envelope]:
        asked.append(after)
        return iter([envelope for envelope in sparse if envelope.sequence > after][:limit])

    reader = latest_events(read, lambda: 10_000)
    assert [2_000, 9_990] == [envelope.sequence for envelope in reader(-1, 2)]
    assert [1, 500, 2_000, 9_990] == [envelope.sequence for envelope in reader(-1, 100)]
    assert asked[0] == 10_000 - 8
    assert asked[-1] == 0


def test_an_event_is_a_row() -> None:
    """Its place and cause first, then its own fields; times and decimals stay what they are."""
    plan = next(event for event in DECISION if isinstance(event, RebalancePlanned))
    row = event_row(Envelope(7, plan, 0.0, KEY, 6))

    assert (7, "RebalancePlanned", KEY, 6, DECIDED_AT) == tuple(
        row[name] for name in ("sequence", "type", "correlation", "causation", "at")
    )
    assert row["equity"] == Decimal(2000)
    assert list(row)[:5] == ["sequence", "at", "type", "correlation", "causation"]


def test_a_field_of_an_event_does_not_take_the_place_of_its_number() -> None:
    """The failure of a handler names the event that it failed on; the row's own number is what pages are turned by."""
    rows = view_of(*WHOLE_DAY).events(0, 1_000)
    (failure,) = [row for row in rows if row["type"] == "HandlerFailed"]

    assert [row["sequence"] for row in rows] == sorted(row["sequence"] for row in rows)
    assert failure["event_sequence"] == 5
