"""Orders written down before their time: the next few of a plan; what was written covers what is sent; a crash leaves a question."""

import asyncio
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alchemiser.bus.begun import breathe
from alchemiser.bus.envelope import Envelope
from alchemiser.domain.events import (
    DaemonStopped,
    Event,
    ExecutionReported,
    OrderClosed,
    OrderFilled,
    OrderIntended,
    OrderNotFound,
    OrderPrepared,
    OrderRejected,
    OrderUnprepared,
    RebalanceCompleted,
    RebalanceParked,
)
from alchemiser.domain.orders import NewOrder, OrderState, OrderType, Side, TimeInForce
from alchemiser.execution.ahead import WRITTEN_AHEAD_AT_MOST, is_covered
from alchemiser.execution.order_states import OrderStates
from alchemiser.execution.tactics import TacticRules
from alchemiser.execution.work import Prepare, Replace, Stage, Unprepare
from alchemiser.journal import promptness
from alchemiser.market.schedule import parse_schedule
from tests.component.test_lives import table
from tests.unit.execution.desk import START, Floor, ScriptedVenue, buy, plan_of, report_of
from tests.unit.execution.pacing_desk import Desk, intent
from tests.unit.execution.test_disk_trouble import Disk, a_while, disk, floor_on
from tests.unit.journal.scenes import open_journal

__all__ = ["disk"]  # a fixture

KEY = "e-20250303.1-SPY-1"
SELL = msgspec.structs.replace(buy("RICH", "99"), side=Side.SELL)
PREPARED = OrderPrepared(
    at=START,
    rebalance_id="20250303.1",
    intent_id="SPY",
    attempt=1,
    client_order_id=KEY,
    symbol="SPY",
    side=Side.BUY,
    quantity=Decimal(10),
    tactic="ladder",
    rung=1,
)
ORDER = NewOrder(
    client_order_id=KEY,
    symbol="SPY",
    side=Side.BUY,
    quantity=Decimal(7),
    order_type=OrderType.LIMIT,
    time_in_force=TimeInForce.DAY,
    limit_price=Decimal("99.5"),
)
WRITTEN = Prepare(KEY, "SPY", 1, "SPY", Side.BUY, Decimal(10), "ladder", 0)


# --- which, and when ---


def many_buys(number: int = 20) -> Desk:
    """Return a desk with one sell whose cash many buys wait for."""
    buys = [intent(f"B{place:02}", Side.BUY, "1") for place in range(number)]
    return Desk(intent("OLD", Side.SELL, "100"), *buys)


def test_the_next_few_of_the_plan_are_written_ahead() -> None:
    """The first buys of the plan under the ids that they will have, for all their shares, and no more than so many."""
    desk = many_buys()
    desk.step()
    said = desk.run.look_ahead()

    assert [f"e1-20250303.1-B{place:02}-1" for place in range(WRITTEN_AHEAD_AT_MOST)] == [one.client_order_id for one in said]
    assert {(Side.BUY, Decimal(1), 1)} == {(one.side, one.quantity, one.attempt) for one in said if isinstance(one, Prepare)}
    assert desk.run.look_ahead() == []


def test_they_are_topped_up_when_half_are_used() -> None:
    """Each order that was written ahead leaves as such; what is written is renewed in portions, in the order of the plan."""
    desk = many_buys()
    (sell,) = [one for one in desk.step() if isinstance(one, OrderIntended)]
    assert not sell.is_prepared
    desk.run.look_ahead()
    half = WRITTEN_AHEAD_AT_MOST // 2
    sent: list[OrderIntended] = []
    topped_up: list[list[str]] = []
    while len(sent) < WRITTEN_AHEAD_AT_MOST:
        desk.fill(sell.order.client_order_id, "1.0002")
        sent += [one for one in desk.step() if isinstance(one, OrderIntended)]
        topped_up.append([one.client_order_id for one in desk.run.look_ahead()])

    assert all(one.is_prepared for one in sent)
    assert topped_up[: half - 1] == [[]] * (half - 1)
    assert len(topped_up[half - 1]) == half
    assert f"e1-20250303.1-B{WRITTEN_AHEAD_AT_MOST:02}-1" == topped_up[half - 1][0]


def test_the_order_after_a_cancel_is_written_while_the_cancel_travels() -> None:
    """So the next step of a ladder does not wait for the disk; its id is that of the next attempt, its shares those that are left."""
    desk = Desk(intent("SPY", Side.BUY, "10"), cash="2000")
    desk.step()
    first = desk.only
    assert desk.run.look_ahead() == []  # While it works nobody knows whether there will be another.
    desk.fill(first, "4")
    desk.step(6)
    assert desk.run.stage_of("SPY") is Stage.CANCELLING
    (ahead,) = desk.run.look_ahead()
    assert isinstance(ahead, Prepare)
    assert (2, Decimal(6)) == (ahead.attempt, ahead.quantity)

    desk.end(first, OrderState.CANCELLED)
    (submit,) = desk.step()
    assert isinstance(submit, OrderIntended)
    assert submit.is_prepared
    assert ahead.client_order_id == submit.order.client_order_id


def test_what_will_not_be_sent_is_withdrawn() -> None:
    """A symbol that is parked ends its intent: its id is taken back, and the place goes to another."""
    desk = many_buys()
    desk.step()
    desk.run.look_ahead()
    desk.run.why_parked = lambda symbol: "parked" if symbol == "B03" else None
    desk.step(1)

    assert [Unprepare("e1-20250303.1-B03-1", "parked")] == desk.run.look_ahead()


def test_a_run_that_ends_writes_nothing_more() -> None:
    """After a stop nothing will be sent, so there is nothing to write ahead."""
    desk = many_buys()
    desk.step()
    desk.run.stop("halted")
    assert desk.run.look_ahead() == []


def test_orders_for_the_auction_and_those_that_go_again_wait_for_the_disk() -> None:
    """The first are in no hurry, of the second the record is there already."""
    auction = Desk(intent("SPY", Side.BUY, "10"), tactics=TacticRules(default="moc"))
    auction.step()
    assert auction.run.look_ahead() == []

    desk = Desk(intent("SPY", Side.BUY, "10"), cash="2000")
    desk.step()
    desk.end(desk.only, OrderState.NEVER_SENT)
    assert desk.run.look_ahead() == []
    (again,) = desk.step(2)
    assert isinstance(again, OrderIntended)
    assert not again.is_prepared


@pytest.mark.parametrize(
    ("changes", "covered"),
    [
        ({}, True),
        ({"quantity": Decimal(10)}, True),
        ({"limit_price": None, "order_type": OrderType.MARKET}, True),
        ({"quantity": Decimal("10.000000001")}, False),
        ({"symbol": "TLT"}, False),
        ({"side": Side.SELL}, False),
        ({"time_in_force": TimeInForce.CLS}, False),
        ({"client_order_id": "e-20250303.1-SPY-2"}, False),
    ],
    ids=str,
)
def test_what_was_written_covers_no_other_order(changes: dict[str, object], *, covered: bool) -> None:
    """The same id, symbol and side, a day order, and no more shares; any price."""
    assert covered is is_covered(msgspec.structs.replace(ORDER, **changes), WRITTEN)
    assert not is_covered(ORDER, None)


def second_of(desk: Desk) -> OrderIntended:
    """Return the order that follows the first one of the desk when that was cancelled."""
    desk.step()
    desk.step(6)
    desk.run.look_ahead()
    desk.end(desk.only, OrderState.CANCELLED)
    (submit,) = [one for one in desk.step() if isinstance(one, OrderIntended)]
    return submit


def a_covered_order() -> OrderIntended:
    """The second step of a ladder, when the first was cancelled."""
    return second_of(Desk(intent("SPY", Side.BUY, "10"), cash="2000"))


def an_order_of_more_shares() -> OrderIntended:
    """A fill is taken back after the rest was written ahead."""
    desk = Desk(intent("SPY", Side.BUY, "10"), cash="2000")
    desk.step()
    first = desk.only
    desk.fill(first, "4")
    desk.step(6)
    desk.run.look_ahead()
    desk.run.count(desk.run.works["SPY"], Decimal(-4), Decimal(-400))
    desk.end(first, OrderState.CANCELLED)
    (submit,) = [one for one in desk.step() if isinstance(one, OrderIntended)]
    return submit


def an_auction_order() -> OrderIntended:
    """Market on close."""
    desk = Desk(intent("SPY", Side.BUY, "10"), cash="2000", tactics=TacticRules(default="moc", auction_cutoff=parse_schedule("close")))
    desk.run.look_ahead()
    (submit,) = [one for one in desk.step() if isinstance(one, OrderIntended)]
    return submit


def a_replacement() -> OrderIntended:
    """The second step of a ladder of whole shares that the venue has taken up."""
    desk = Desk(intent("SPY", Side.BUY, "10"), cash="2000")
    desk.step()
    desk.acknowledge()
    (command,) = [one for one in desk.step(6) if isinstance(one, Replace)]
    return command.intended


def a_second_try() -> OrderIntended:
    """The venue does not know the first one."""
    desk = Desk(intent("SPY", Side.BUY, "10"), cash="2000")
    desk.step()
    desk.run.look_ahead()
    desk.end(desk.only, OrderState.NEVER_SENT)
    desk.run.look_ahead()
    (submit,) = [one for one in desk.step(2) if isinstance(one, OrderIntended)]
    return submit


@pytest.mark.parametrize(
    ("row", "of"),
    list(
        zip(
            table("life-of-an-order", "Written ahead"),
            (a_covered_order, an_order_of_more_shares, an_auction_order, a_replacement, a_second_try),
            strict=True,
        )
    ),
    ids=lambda value: value[0] if isinstance(value, tuple) else value.__name__,
)
def test_an_order_waits_for_what_the_page_says(row: tuple[str, ...], of: Callable[[], OrderIntended]) -> None:
    """Every row of the table, in its order."""
    assert (row[1] == "`OrderPrepared`") is of().is_prepared


# --- what may leave ---


@pytest.mark.parametrize("is_at_hand", [False, True], ids=["a connection to be made", "a connection at hand"])
async def test_an_order_written_ahead_leaves_while_the_disk_is_stuck(
    tmp_path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch, *, is_at_hand: bool
) -> None:
    """The cash lands, the order leaves at once on what is durable already, and the record of it becomes so when the disk moves again."""
    venue = ScriptedVenue(is_at_hand=is_at_hand)
    monkeypatch.setattr(promptness, "QUICK_SECONDS", -1.0)  # No commit on the loop: it would wait for the stuck disk.
    with open_journal(tmp_path / "journal.sqlite", threaded=True, linger_seconds=0.0) as journal:
        floor = floor_on(journal, venue, monkeypatch)

        async def play() -> None:
            await floor.bus.publish(plan_of(SELL, buy("LAST", "150")))
            while not floor.of(OrderPrepared) or not venue.sent:
                await asyncio.to_thread(int)
            await floor.bus.durable()
            disk.takes.clear()
            floor.fill(venue.sent[0])
            while len(venue.sent) < 2:
                await asyncio.to_thread(int)
            assert "LAST" == venue.sent[1].symbol
            intended = floor.of(OrderIntended)[1]
            assert isinstance(intended, OrderIntended)
            assert intended.is_prepared
            assert not intended.is_awaited
            assert not [row for row in journal.read(types=[OrderIntended]) if row.event == intended]
            disk.takes.set()
            await floor.bus.durable()
            assert [row for row in journal.read(types=[OrderIntended]) if row.event == intended]
            await floor.handler.stop("the test is over", cancel_orders=False)

        await floor.run(play)


@pytest.mark.parametrize("is_at_hand", [False, True], ids=["a connection to be made", "a connection at hand"])
async def test_an_order_waits_until_what_was_written_ahead_is_durable(
    tmp_path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch, *, is_at_hand: bool
) -> None:
    """When the moment comes before the disk has taken even that, nothing leaves."""
    venue = ScriptedVenue(is_at_hand=is_at_hand)
    monkeypatch.setattr(promptness, "QUICK_SECONDS", -1.0)  # No commit on the loop: it would wait for the stuck disk.
    with open_journal(tmp_path / "journal.sqlite", threaded=True, linger_seconds=0.0) as journal:
        floor = floor_on(journal, venue, monkeypatch)
        floor.bus.subscribe_inline("stuck", [OrderPrepared], lambda envelope: disk.takes.clear())

        async def play() -> None:
            await floor.bus.publish(plan_of(SELL, buy("LAST", "150")))
            while not floor.of(OrderPrepared) or not floor.of(OrderIntended):
                await asyncio.to_thread(int)
            order = floor.of(OrderIntended)[0].order  # type: ignore[attr-defined]
            floor.fill(order)
            while len(floor.of(OrderIntended)) < 2:
                await asyncio.to_thread(int)
            await a_while()
            assert "LAST" not in [order.symbol for order in venue.sent]
            disk.takes.set()
            await floor.bus.durable()
            while "LAST" not in [order.symbol for order in venue.sent]:
                await asyncio.to_thread(int)
            await floor.handler.stop("the test is over", cancel_orders=False)

        await floor.run(play)


async def test_with_a_connection_at_hand_the_order_leaves_within_the_fill() -> None:
    """Before the report of the fill has been published to its end: the books, the end of the sale and its own record come behind it."""
    venue = ScriptedVenue(is_at_hand=True)
    floor = Floor(venue)
    heard: list[tuple[str, int]] = []
    floor.bus.subscribe_inline("books", [OrderFilled, OrderIntended], lambda one: heard.append((type(one.event).__name__, len(venue.sent))))

    async def play() -> None:
        await floor.bus.publish(plan_of(SELL, buy("LAST", "150")))
        while not floor.of(OrderPrepared) or not venue.sent:
            await breathe()
        for _ in range(20):  # The handler is idle again.
            await breathe()
        heard.clear()
        floor.fill(venue.sent[0])
        assert [order.symbol for order in venue.sent] == ["RICH", "LAST"]
        assert heard == [("OrderFilled", 2), ("OrderIntended", 2)]
        await floor.handler.stop("the test is over", cancel_orders=False)

    await floor.run(play)


async def test_a_closed_gate_withholds_what_could_leave_at_once() -> None:
    """It is asked in the same breath."""
    venue = ScriptedVenue(is_at_hand=True)
    floor = Floor(venue)

    async def play() -> None:
        await floor.bus.publish(plan_of(SELL, buy("LAST", "150")))
        while not floor.of(OrderPrepared) or not venue.sent:
            await breathe()
        for _ in range(20):
            await breathe()
        floor.gate.kill("the switch was pulled")
        floor.fill(venue.sent[0])
        for _ in range(20):
            await breathe()
        assert [order.symbol for order in venue.sent] == ["RICH"]
        await floor.handler.stop("the test is over", cancel_orders=False)

    await floor.run(play)


# --- what a crash leaves ---


def replayed(*events: Event) -> tuple[OrderStates, list[Event]]:
    """Return the states after a replay, and the list of what they publish from then on, which they hear too."""
    posted: list[Event] = []

    def post(event: Event, correlation: str | None = None) -> None:
        posted.append(event)
        states(Envelope(100 + len(posted), event, 0.0))

    states = OrderStates(post)
    for number, event in enumerate(events, 1):
        states.replay(Envelope(number, event, 0.0))
    return states, posted


def test_what_was_written_ahead_is_presumed_to_have_been_sent() -> None:
    """Its order exists from then on, open and unconfirmed, so it is looked up; the next start after that presumes nothing a second time."""
    states, posted = replayed(PREPARED)
    assert states.settle() == 1

    (intended,) = posted
    assert isinstance(intended, OrderIntended)
    assert intended.is_presumed
    assert (KEY, Decimal(10), "ladder", 1) == (intended.order.client_order_id, intended.order.quantity, intended.tactic, intended.rung)
    (order,) = states.open_orders()
    assert OrderState.INTENDED is order.state
    again, _ = replayed(PREPARED, intended)
    assert again.settle() == 0


INTENDED = OrderIntended(at=START, rebalance_id="20250303.1", intent_id="SPY", attempt=1, order=ORDER, is_prepared=True)


@pytest.mark.parametrize(
    "after",
    [
        INTENDED,
        OrderUnprepared(at=START, client_order_id=KEY, reason="the intent has ended"),
        RebalanceCompleted(at=START, rebalance_id="20250303.1", outcomes=()),
        RebalanceParked(at=START, rebalance_id="20250303.1", reason="cut-off", outcomes=()),
        DaemonStopped(at=START, open_orders=()),
    ],
    ids=lambda event: type(event).__name__,
)
def test_nothing_is_presumed_of_what_was_intended_or_withdrawn(after: Event) -> None:
    """Whatever left before these was written down before them."""
    states, posted = replayed(PREPARED, after)
    states.settle()
    assert not [event for event in posted if isinstance(event, OrderIntended)]


def test_the_end_of_another_rebalance_withdraws_nothing() -> None:
    """Only what belongs to it."""
    states, _ = replayed(PREPARED, RebalanceCompleted(at=START, rebalance_id="20250228.1", outcomes=()))
    assert states.settle() == 1


def test_a_presumed_order_is_what_the_venue_has() -> None:
    """Fewer shares at some price: those are the order, and when they are filled it is."""
    states, posted = replayed(PREPARED)
    states.settle()
    states(Envelope(200, ExecutionReported(at=START, report=msgspec.structs.replace(report_of(ORDER, "query", "new"))), 0.0))
    order = states.get(KEY)
    assert order is not None
    assert (Decimal(7), OrderState.WORKING, False) == (order.request.quantity, order.state, order.is_presumed)

    filled = report_of(ORDER, "fill", "filled", last="7", cumulative="7", execution="x")
    states(Envelope(201, ExecutionReported(at=START, report=filled), 0.0))
    assert ["filled"] == [event.state for event in posted if isinstance(event, OrderClosed)]
    assert [Decimal(7)] == [event.fill.quantity for event in posted if isinstance(event, OrderFilled)]


@pytest.mark.parametrize(
    ("changes", "is_altered"),
    [
        ({}, False),
        ({"quantity": Decimal(10)}, False),
        ({"quantity": Decimal(11)}, True),
        ({"symbol": "TLT"}, True),
        ({"side": Side.SELL}, True),
    ],
    ids=str,
)
def test_an_order_that_was_never_written_ahead_is_not_taken_for_one(changes: dict[str, object], *, is_altered: bool) -> None:
    """More shares, another symbol or the other side: a comparison names it as altered, and nothing is adopted."""
    states, _ = replayed(PREPARED)
    states.settle()
    order = states.get(KEY)
    assert order is not None
    seen = msgspec.structs.replace(report_of(ORDER, "query", "new"), **changes)
    assert is_altered is order.is_altered_by(seen.symbol, seen.side, seen.quantity)
    states(Envelope(200, ExecutionReported(at=START, report=seen), 0.0))
    after = states.get(KEY)
    assert after is not None
    assert is_altered is after.is_presumed


def test_a_presumed_order_that_the_venue_does_not_know_has_ended() -> None:
    """Then the intent goes on with its next attempt; the id is not used again."""
    states, _ = replayed(PREPARED)
    states.settle()
    states(Envelope(200, OrderNotFound(at=START, client_order_id=KEY), 0.0))
    order = states.get(KEY)
    assert order is not None
    assert OrderState.NEVER_SENT is order.state

    desk = Desk(intent("SPY", Side.BUY, "10"), cash="2000")
    desk.run.epoch = "e"
    desk.run.resume([order], START)
    (submit,) = [one for one in desk.step() if isinstance(one, OrderIntended)]
    assert "e-20250303.1-SPY-2" == submit.order.client_order_id


async def test_a_floor_prepares_what_waits_and_withdraws_it_at_its_end() -> None:
    """The handler writes what the pacing says, under the rebalance that it belongs to."""
    venue = ScriptedVenue()
    floor = Floor(venue)

    async def play() -> None:
        await floor.plan(SELL, buy("LAST", "150"))
        while not floor.of(OrderPrepared):
            await asyncio.to_thread(int)
        (prepared,) = floor.of(OrderPrepared)
        assert isinstance(prepared, OrderPrepared)
        assert ("20250303.1", "LAST", Decimal(150)) == (prepared.rebalance_id, prepared.symbol, prepared.quantity)
        await floor.handler.stop("the test is over", cancel_orders=False)

    await floor.run(play)


# --- any crash ---


def lived(steps: list[tuple[str, str]]) -> list[Event]:
    """Return the journal of a run that took these steps with its intents: write ahead, send, be refused, withdraw."""
    events: list[Event] = []
    attempts: dict[str, int] = {}
    ahead: dict[str, OrderPrepared] = {}
    working: dict[str, NewOrder] = {}
    for symbol, step in steps:
        attempt = attempts.get(symbol, 0) + 1
        key = f"e-20250303.1-{symbol}-{attempt}"
        if step == "prepare" and symbol not in ahead:
            named = {"intent_id": symbol, "symbol": symbol, "attempt": attempt, "client_order_id": key}
            ahead[symbol] = msgspec.structs.replace(PREPARED, **named)
            events.append(ahead[symbol])
        elif step == "send" and symbol not in working:
            order = msgspec.structs.replace(ORDER, client_order_id=key, symbol=symbol)
            is_prepared = ahead.pop(symbol, None) is not None
            named = {"intent_id": symbol, "attempt": attempt, "order": order, "is_prepared": is_prepared}
            events.append(msgspec.structs.replace(INTENDED, **named))
            attempts[symbol], working[symbol] = attempt, order
        elif step == "refuse" and symbol in working:
            gone = working.pop(symbol)
            events.append(OrderRejected(at=START, client_order_id=gone.client_order_id, code=1, message="no"))
        elif step == "withdraw" and symbol in ahead and symbol not in working:
            events.append(OrderUnprepared(at=START, client_order_id=ahead.pop(symbol).client_order_id, reason="parked"))
    return events


STEPS = st.lists(st.tuples(st.sampled_from(["A", "B", "C"]), st.sampled_from(["prepare", "send", "refuse", "withdraw"])), max_size=40)


@given(STEPS, st.data())
def test_whatever_may_be_at_the_venue_is_known_after_any_crash(steps: list[tuple[str, str]], data: st.DataObject) -> None:
    """However much of the end of the journal is lost: every order that may have left is asked about, and its id is not used for another."""
    events = lived(steps)
    kept = data.draw(st.integers(0, len(events)))
    ahead = set[str]()
    for event in events[:kept]:
        if isinstance(event, OrderPrepared):
            ahead.add(event.client_order_id)
        elif isinstance(event, OrderUnprepared):
            ahead.discard(event.client_order_id)  # What is prepared anew leaves only once that is on the disk.
    may_be_there = {
        event.order.client_order_id
        for place, event in enumerate(events)
        if isinstance(event, OrderIntended) and (place < kept or (event.is_prepared and event.order.client_order_id in ahead))
    }
    states, _ = replayed(*events[:kept])
    states.settle()
    assert may_be_there <= {order.client_order_id for order in states}
    ended = {event.client_order_id for event in events[:kept] if isinstance(event, OrderRejected)}
    assert may_be_there - ended <= {order.client_order_id for order in states.open_orders()}

    desk = Desk(*(intent(symbol, Side.BUY, "10") for symbol in "ABC"), cash="9999")
    desk.run.epoch = "e"
    desk.run.resume(states, START)
    for work in desk.run.works.values():
        work.live.clear()
        work.stage = Stage.WAITING
    sent = {one.order.client_order_id for one in desk.step() if isinstance(one, OrderIntended)}
    assert not sent & (may_be_there | ahead & {order.client_order_id for order in states})
