"""The execution handler: outcomes are told apart, nothing is sent twice, what cannot be read is looked up."""

import asyncio
import gc
from collections import deque
from datetime import datetime, timedelta
from decimal import Decimal

import msgspec
import pytest

from alchemiser.bus.envelope import Envelope
from alchemiser.domain.account import BrokerActivity
from alchemiser.domain.errors import (
    CredentialsRefused,
    NotFoundAtVenue,
    OutcomeUnknown,
    RateLimited,
    VenueError,
    VenueUnavailable,
)
from alchemiser.domain.errors import OrderRejected as RejectedByVenue
from alchemiser.domain.events import (
    AccountObserved,
    CancelRequested,
    Event,
    ExecutionReported,
    GapOpened,
    OrderClosed,
    OrderFilled,
    OrderIntended,
    OrderNotFound,
    OrderOutcomeUnknown,
    OrderRejected,
    OrderWithheld,
    QuoteUpdated,
    RebalanceCompleted,
    RebalanceParked,
    RecoveryCompleted,
    SessionClosed,
    SessionOpened,
    StreamConnected,
    TradingStateChanged,
)
from alchemiser.domain.intents import Intent, Wish
from alchemiser.domain.market import Quote
from alchemiser.domain.orders import ExecutionReport, NewOrder, Side
from alchemiser.domain.venue import After
from alchemiser.execution.ladder import LadderRules
from alchemiser.execution.requests import LOOK_REASON, NOT_FOUND_ANSWERS, SENDERS
from tests.solipsism import virtual
from tests.unit.execution.desk import SESSION, START, Floor, ScriptedVenue, buy, order_of, plan_of, report_of


def played(venue: ScriptedVenue, *, fills: bool = True) -> Floor:
    """Run one rebalance of one buy to its end; ``fills`` fills each order that arrives without a script of its own."""
    floors: list[Floor] = []

    async def main() -> None:
        floor = Floor(venue)
        floors.append(floor)
        if fills:
            accept = venue.submit

            async def submit(order: NewOrder, *, after: After | None = None) -> object:
                scripted = bool(venue.submits)
                report = await accept(order, after=after)
                if not scripted:
                    floor.fill(order)
                return report

            venue.submit = submit  # type: ignore[method-assign, assignment]
        venue.on_cancel = lambda key: floor.report(
            next(order for order in venue.sent if f"v-{order.client_order_id}" == key), "canceled", "canceled"
        )

        async def play() -> None:
            await floor.plan(buy())
            await floor.ended.wait()

        await floor.run(play)

    virtual(main)
    return floors[0]


def test_a_plan_is_worked_to_its_end() -> None:
    """Intended, sent, filled, closed, completed: in this order."""
    floor = played(ScriptedVenue())

    kinds = [name for name in floor.names() if name.startswith(("Order", "Rebalance"))]
    assert ["RebalancePlanned", "OrderIntended", "OrderFilled", "OrderClosed", "RebalanceCompleted"] == kinds


def test_an_empty_plan_completes_at_once() -> None:
    """Nothing to do is a completed rebalance."""

    async def main() -> None:
        floor = Floor(ScriptedVenue())

        async def play() -> None:
            await floor.plan()
            await floor.ended.wait()

        await floor.run(play)
        assert len(floor.of(RebalanceCompleted)) == 1

    virtual(main)


def test_a_plan_that_comes_while_the_tasks_end_leaves_no_work_half_begun() -> None:
    """The order is intended, nothing is sent, and no coroutine is left that nobody awaits, which would be told of at any later moment."""
    venue = ScriptedVenue()

    async def main() -> None:
        floor = Floor(venue)
        owning = asyncio.create_task(floor.handler.run())
        bus = asyncio.create_task(floor.bus.run())
        await asyncio.wait([owning], timeout=1)
        owning.cancel()
        await asyncio.wait([owning])
        floor.bus.post(StreamConnected(at=START, stream="orders"))
        floor.bus.post(SessionOpened(at=START, session=SESSION))
        await floor.bus.publish(RecoveryCompleted(at=START, events_replayed=0, fills_recovered=0, open_orders=0))
        await floor.plan(buy())
        await floor.bus.close(drain_seconds=5)
        await asyncio.wait([bus])
        gc.collect()
        assert floor.of(OrderIntended)
        assert venue.sent == []

    virtual(main)


def test_an_unknown_outcome_is_looked_up_and_never_repeated() -> None:
    """A submit that timed out but arrived is found by its id; the venue sees one order."""
    venue = ScriptedVenue()
    lost: list[NewOrder] = []
    venue.submits = deque([OutcomeUnknown("no answer within 10 s")])
    venue.look_ups = deque([VenueUnavailable("down"), NotFoundAtVenue("not yet")])

    async def main() -> Floor:
        floor = Floor(venue)

        async def play() -> None:
            await floor.plan(buy())
            while not venue.sent:
                await floor.clock.sleep(0.1)
            order = venue.sent[0]
            lost.append(order)
            quantity = str(order.quantity)
            venue.known[order.client_order_id] = report_of(order, "query", "filled", cumulative=quantity)
            await floor.clock.sleep(1.2)
            floor.fill(order)
            await floor.ended.wait()

        await floor.run(play)
        return floor

    floor = virtual(main)
    assert len(venue.sent) == 1
    assert len(floor.of(OrderOutcomeUnknown)) == 1
    assert len(floor.of(OrderFilled)) == 1
    assert len(floor.of(RebalanceCompleted)) == 1


def test_an_order_that_the_venue_does_not_know_goes_again_under_its_id() -> None:
    """Only after several answers that the id is unknown is the same order sent again, under the same id."""
    venue = ScriptedVenue(submits=deque([OutcomeUnknown("connection lost")]))
    floor = played(venue)

    assert len(floor.of(OrderNotFound)) == 1
    assert len(venue.sent) == 2
    assert venue.sent[0] == venue.sent[1]
    assert NOT_FOUND_ANSWERS > 1
    assert len(floor.of(OrderFilled)) == 1


@pytest.mark.parametrize("error", [VenueUnavailable("refused"), RateLimited("429", retry_after_seconds=1)])
def test_what_did_not_reach_the_venue_goes_again_under_its_id(error: VenueUnavailable) -> None:
    """Nothing was done there, so the same order may go again after a pause."""
    venue = ScriptedVenue(submits=deque([error]))
    floor = played(venue)

    assert len(floor.of(OrderWithheld)) == 1
    assert venue.sent[0] == venue.sent[1]
    assert len(floor.of(RebalanceCompleted)) == 1


def test_a_refusal_is_kept_in_the_venues_words_and_tried_under_a_new_id() -> None:
    """A proven refusal ends that order; the next attempt has an id of its own."""
    venue = ScriptedVenue(submits=deque([RejectedByVenue("insufficient buying power", code=40310000, status=403)]))
    floor = played(venue)

    (rejected,) = floor.of(OrderRejected)
    assert isinstance(rejected, OrderRejected)
    assert (rejected.code, rejected.message) == (40310000, "insufficient buying power")
    assert venue.sent[0].client_order_id != venue.sent[1].client_order_id


def test_refused_credentials_halt_trading() -> None:
    """A key that stopped working is for a person; nothing is retried."""
    venue = ScriptedVenue(submits=deque([CredentialsRefused("forbidden.")]))
    floor = played(venue)

    (halted,) = floor.of(TradingStateChanged)
    assert isinstance(halted, TradingStateChanged)
    assert halted.state == "halted"
    assert len(venue.sent) == 1
    assert len(floor.of(RebalanceParked)) == 1


def test_an_order_that_does_not_fill_is_cancelled_and_sent_again() -> None:
    """A rung that runs out: cancel, its confirmation, the remainder."""
    venue = ScriptedVenue(submits=deque([lambda order: None]))
    floor = played(venue)

    assert [f"v-{venue.sent[0].client_order_id}"] == venue.cancelled
    states = [event.state for event in floor.of(OrderClosed) if isinstance(event, OrderClosed)]
    assert ["cancelled", "filled"] == states


def test_a_fill_that_the_stream_lost_is_found_when_the_cancel_comes_too_late() -> None:
    """The venue refuses a cancel because the order is filled: its executions are asked for and booked, once."""
    venue = ScriptedVenue(cancels=deque([RejectedByVenue('order is already in "filled" state', code=42210000, status=422)]))

    def fills_silently(order: NewOrder) -> None:
        quantity = str(order.quantity)
        venue.known[order.client_order_id] = report_of(order, "query", "filled", cumulative=quantity)
        venue.activities.append(
            BrokerActivity(
                activity_id="a",
                execution_id="silent",
                venue_order_id=f"v-{order.client_order_id}",
                symbol=order.symbol,
                side="buy",
                quantity=order.quantity,
                price=Decimal(100),
                cumulative_quantity=order.quantity,
                at=START,
            )
        )

    venue.submits = deque([fills_silently])
    floor = played(venue)

    assert len(venue.sent) == 1
    assert ["silent"] == [event.fill.execution_id for event in floor.of(OrderFilled) if isinstance(event, OrderFilled)]
    assert len(floor.of(RebalanceCompleted)) == 1


@pytest.mark.parametrize("is_at_hand", [True, False])
def test_the_gate_is_asked_when_an_order_is_about_to_leave(is_at_hand: bool) -> None:
    """Whoever kills while the intention is written down is heard, over a connection at hand and on the ordinary road."""
    venue = ScriptedVenue(is_at_hand=is_at_hand)

    async def main() -> Floor:
        floor = Floor(venue)
        floor.bus.subscribe_inline("killer", (OrderIntended,), lambda envelope: floor.gate.kill("killed by the test"))
        await floor.work(buy())
        return floor

    floor = virtual(main)
    assert not venue.sent
    assert ["killed by the test"] == [event.reason for event in floor.of(OrderWithheld) if isinstance(event, OrderWithheld)]
    assert len(floor.of(RebalanceParked)) == 1


def test_what_is_filled_as_it_leaves_releases_the_next_order_in_the_same_look() -> None:
    """The cash of a fill counts from when it is told of: the handler need not be woken for what it would look at anyway."""
    venue = ScriptedVenue(is_at_hand=True)

    async def main() -> tuple[Floor, int]:
        floor = Floor(venue)
        venue.submits = deque([floor.fill] * 3)
        await floor.work(buy("OLD", "10", Side.SELL), buy("NEW", "105"), buy("TOO", "5"))
        return floor, next(one.handled for one in floor.bus.statistics() if one.name == "execution")

    floor, handled = virtual(main)
    assert ["OLD", "NEW", "TOO"] == [order.symbol for order in venue.sent]
    assert len(floor.of(RebalanceCompleted)) == 1
    assert handled == 2, "the end of recovery and the plan"


def test_no_more_requests_that_wait_are_under_way_than_that_many() -> None:
    """A venue that does not answer is not asked for everything at once; what follows goes as the answers come."""
    venue, answers = ScriptedVenue(), asyncio.Event()
    under_way, most = list[str](), list[int]()
    accept = venue.submit

    async def submit(order: NewOrder, *, after: After | None = None) -> ExecutionReport:
        under_way.append(order.symbol)
        most.append(len(under_way))
        await answers.wait()
        under_way.remove(order.symbol)
        return await accept(order, after=after)

    venue.submit = submit  # type: ignore[method-assign]

    async def main() -> Floor:
        floor = Floor(venue)
        intents = [buy(f"S{number}", "1") for number in range(3 * SENDERS)]

        async def play() -> None:
            await floor.plan(*intents)
            await floor.clock.sleep(0.5)
            assert len(under_way) == SENDERS
            answers.set()
            await floor.clock.sleep(0.5)
            for order in venue.sent:
                floor.fill(order)
            await floor.ended.wait()

        await floor.run(play)
        return floor

    floor = virtual(main)
    assert max(most) == SENDERS
    assert len(venue.sent) == 3 * SENDERS
    assert len(floor.of(RebalanceCompleted)) == 1


def test_an_order_whose_gate_closed_before_it_left_is_withheld() -> None:
    """Between the intention and the request a gap may open: then nothing leaves."""
    venue = ScriptedVenue()

    async def main() -> Floor:
        floor = Floor(venue)

        async def play() -> None:
            # Published together: the plan is dealt with after both, and the gate is closed when the order would leave.
            await floor.plan(buy())
            floor.bus.post(GapOpened(at=START, stream="orders", since=START, reason="test"))
            await floor.clock.sleep(30)
            assert venue.sent == []
            floor.bus.post(SessionClosed(at=START, session=SESSION))
            await floor.ended.wait()

        await floor.run(play)
        return floor

    floor = virtual(main)
    assert len(floor.of(RebalanceParked)) == 1


@pytest.mark.parametrize("silence", [CredentialsRefused("unauthorized."), VenueError("HTTP 400 bad request"), VenueUnavailable("503")])
def test_no_error_ends_a_look_up(silence: VenueError) -> None:
    """Whatever the venue says instead of an answer proves nothing about the order; a refused key halts trading, once."""
    venue = ScriptedVenue(submits=deque([OutcomeUnknown("504")]), look_ups=deque([silence, silence, silence]))

    async def main() -> Floor:
        floor = Floor(venue)

        async def play() -> None:
            order = order_of(buy())
            venue.known[order.client_order_id] = report_of(order, "query", "new")
            await floor.plan(buy())
            await floor.clock.sleep(10)
            await floor.handler.stop("the test is over", cancel_orders=False)

        await floor.run(play)
        return floor

    floor = virtual(main)
    assert len(venue.sent) == 1
    assert not venue.look_ups
    assert [event.report.source for event in floor.of(ExecutionReported) if isinstance(event, ExecutionReported)]
    assert len(floor.of(TradingStateChanged)) == isinstance(silence, CredentialsRefused)


def test_halting_cancels_what_is_working_and_parks() -> None:
    """A halt takes back the live order and ends the rebalance with that reason."""
    venue = ScriptedVenue(submits=deque([lambda order: None]))

    async def main() -> Floor:
        floor = Floor(venue)
        venue.on_cancel = lambda key: floor.report(venue.sent[0], "canceled", "canceled")

        async def play() -> None:
            await floor.plan(buy())
            await floor.clock.sleep(1)
            await floor.bus.publish(TradingStateChanged(at=START, state="halted", by="operator", reason="drill"))
            await floor.ended.wait()

        await floor.run(play)
        return floor

    floor = virtual(main)
    (parked,) = floor.of(RebalanceParked)
    assert isinstance(parked, RebalanceParked)
    assert "trading was halted by operator: drill" in parked.reason
    assert len(venue.cancelled) == 1


def barred(intents: tuple[Intent, ...], *changes: TradingStateChanged, before: bool = False, is_flatten: bool = False) -> dict[str, str]:
    """Return how each intent ended, when trading changes before the plan or while its orders work; a sale fills after a second."""
    venue = ScriptedVenue()

    async def main() -> Floor:
        floor = Floor(venue)
        venue.on_cancel = lambda key: floor.report(next(o for o in venue.sent if f"v-{o.client_order_id}" == key), "canceled", "canceled")

        async def play() -> None:
            planned = msgspec.structs.replace(plan_of(*intents), is_flatten=is_flatten)
            for change in changes if before else ():
                await floor.bus.publish(change)
            await floor.bus.publish(planned)
            await floor.clock.sleep(1)
            for change in () if before else changes:
                await floor.bus.publish(change)
            await floor.clock.sleep(1)
            for order in venue.sent:
                if f"v-{order.client_order_id}" not in venue.cancelled:
                    floor.fill(order)
            await floor.ended.wait()

        await floor.run(play)
        return floor

    floor = virtual(main)
    (end,) = [event for event in floor.events if isinstance(event, RebalanceCompleted | RebalanceParked)]
    return {outcome.symbol: outcome.reason or outcome.state for outcome in end.outcomes}


def changed(state: str, strategy: str | None = None) -> TradingStateChanged:
    """Return a change of a trading state."""
    return TradingStateChanged(at=START, state=state, by="operator", reason="drill", strategy=strategy)


SELL = msgspec.structs.replace(buy("QQQ"), side=Side.SELL)
OTHERS = msgspec.structs.replace(buy("OLD", "1"), wishes=(Wish(strategy="t", quantity=Decimal(1)),))
REDUCED, HALTED_S = "trading was reduced by operator: drill", "trading of s was halted by operator: drill"


@pytest.mark.parametrize("before", [True, False], ids=["before the plan", "at work"])
def test_while_reducing_buys_are_taken_back_and_sales_go_on(before: bool) -> None:
    """Of the account: every buy; of a strategy: every buy in which it takes part."""
    everything = {"SPY": REDUCED, "QQQ": "filled", "OLD": REDUCED}
    assert everything == barred((SELL, buy(), OTHERS), changed("reducing"), before=before)
    its_own = {"SPY": "trading of s was reduced by operator: drill", "QQQ": "filled", "OLD": "filled"}
    assert its_own == barred((SELL, buy(), OTHERS), changed("reducing", "s"), before=before)


def test_a_halted_strategy_leaves_what_it_takes_part_in_and_others_go_on() -> None:
    """A pause of it concerns the next plan only; a sale of everything that was ordered goes on all the same."""
    assert {"SPY": HALTED_S, "QQQ": HALTED_S, "OLD": "filled"} == barred((SELL, buy(), OTHERS), changed("halted", "s"))
    assert {"SPY": "filled", "QQQ": "filled", "OLD": "filled"} == barred((SELL, buy(), OTHERS), changed("paused", "s"))
    assert {"QQQ": "filled"} == barred((SELL,), changed("halted", "s"), before=True, is_flatten=True)


def test_a_plan_that_begins_under_a_halt_ends_at_once() -> None:
    """Nothing of it waits at the gate until its deadline."""
    assert {"SPY": "trading was halted by operator: drill"} == barred((buy(),), changed("halted"), before=True)


def test_stopping_cancels_and_leaves_the_rebalance_for_the_next_start() -> None:
    """An orderly stop ends no rebalance: the journal says that it is unfinished, and the next process takes it up."""
    venue = ScriptedVenue(submits=deque([lambda order: None]))

    async def main() -> None:
        floor = Floor(venue)
        ended = asyncio.Event()

        def confirm(venue_order_id: str) -> None:
            floor.report(venue.sent[0], "canceled", "canceled")
            ended.set()

        venue.on_cancel = confirm

        async def play() -> None:
            await floor.plan(buy())
            await floor.clock.sleep(1)
            await floor.handler.stop("SIGTERM", cancel_orders=True)
            await ended.wait()

        await floor.run(play)
        assert floor.orders.open_orders() == ()
        assert floor.rebalances.unfinished is not None
        assert floor.handler.active is None

    virtual(main)


def filling(floor: Floor) -> None:
    """Let every order that arrives from now on be filled."""
    accept = floor.venue.submit

    async def submit(order: NewOrder, *, after: After | None = None) -> object:
        report = await accept(order, after=after)
        floor.fill(order)
        return report

    floor.venue.submit = submit  # type: ignore[method-assign, assignment]


def restarted(*reports: ExecutionReport) -> Floor:
    """Return a floor that fills whatever arrives, after a process that sent the order of one buy and heard these reports of it."""
    floor = Floor(ScriptedVenue())
    filling(floor)
    intended = OrderIntended(at=START, rebalance_id="20250303.1", intent_id="SPY", attempt=1, order=order_of(buy()))
    floor.rebalances(Envelope(1, plan_of(buy()), 0.0))
    for number, event in enumerate((intended, *(ExecutionReported(at=START, report=report) for report in reports)), start=2):
        floor.orders.replay(Envelope(number, event, 0.0))
    return floor


def check_that_the_rest_was_bought(floor: Floor) -> None:
    """Four of the ten shares were bought before the restart: six are left, and then it is done."""
    assert [("e-20250303.1-SPY-2", Decimal(6))] == [(order.client_order_id, order.quantity) for order in floor.venue.sent]
    (completed,) = floor.of(RebalanceCompleted)
    assert isinstance(completed, RebalanceCompleted)
    assert completed.outcomes[0].filled_quantity == 10


def test_a_restart_takes_up_the_unfinished_rebalance() -> None:
    """The orders of the process before count; what they left is worked by this one, under the next attempt's id."""

    async def main() -> Floor:
        first = order_of(buy())
        part = report_of(first, "partial_fill", "partially_filled", last="4", cumulative="4", execution="before")
        floor = restarted(part, report_of(first, "canceled", "canceled", cumulative="4"))
        await floor.run(floor.ended.wait)
        return floor

    check_that_the_rest_was_bought(virtual(main))


def test_what_is_told_while_recovery_ends_counts_once() -> None:
    """The order states know of a fill, and of its correction, before the end of recovery is dealt with, behind which they are told."""

    async def main() -> Floor:
        first = order_of(buy())
        floor = restarted(report_of(first, "new", "new"))
        floor.venue.on_cancel = lambda key: floor.report(first, "canceled", "canceled", cumulative="4")
        corrected = report_of(first, "trade_correct", "partially_filled", last="4", cumulative="4", execution="corrected")

        async def play() -> None:
            floor.bus.post(StreamConnected(at=START, stream="orders"))
            floor.bus.post(SessionOpened(at=START, session=SESSION))
            floor.bus.post(RecoveryCompleted(at=START, events_replayed=0, fills_recovered=0, open_orders=1))
            floor.report(first, "partial_fill", "partially_filled", last="4", cumulative="4", execution="late")
            floor.bus.post(ExecutionReported(at=START, report=msgspec.structs.replace(corrected, previous_execution_id="late")))
            await floor.ended.wait()

        await floor.run(play, open_gate=False)
        return floor

    check_that_the_rest_was_bought(virtual(main))


def test_at_a_restart_unknown_orders_are_looked_up_and_orphans_cancelled() -> None:
    """What an earlier process sent and never heard of is asked about; an open order that no rebalance owns is taken back."""
    venue = ScriptedVenue()

    async def main() -> Floor:
        floor = Floor(venue)
        unknown, orphan = order_of(buy("A")), order_of(buy("B"))
        venue.on_cancel = lambda key: floor.report(orphan, "canceled", "canceled")

        async def play() -> None:
            await floor.clock.sleep(60)

        for order in (unknown, orphan):
            floor.bus.post(OrderIntended(at=START, rebalance_id="20250303.1", intent_id=order.symbol, attempt=1, order=order))
        floor.report(orphan, "new", "new")
        await floor.run(play)
        return floor

    floor = virtual(main)
    assert ["e-20250303.1-A-1"] == [event.client_order_id for event in floor.of(OrderNotFound) if isinstance(event, OrderNotFound)]
    assert ["v-e-20250303.1-B-1"] == venue.cancelled
    assert floor.orders.open_orders() == ()


def test_an_order_that_never_arrived_ends_although_an_earlier_start_asked_for_its_cancel() -> None:
    """What counts is that the venue never said it has the order: a cancel that was asked for meanwhile does not hide the question."""
    venue = ScriptedVenue()

    async def main() -> Floor:
        floor = Floor(venue)
        lost = order_of(buy("A"))

        async def play() -> None:
            await floor.clock.sleep(60)

        floor.bus.post(OrderIntended(at=START, rebalance_id="20250303.1", intent_id="A", attempt=1, order=lost))
        floor.bus.post(CancelRequested(at=START, client_order_id=lost.client_order_id, reason="the daemon is stopping"))
        await floor.run(play)
        return floor

    floor = virtual(main)
    assert ["e-20250303.1-A-1"] == [event.client_order_id for event in floor.of(OrderNotFound) if isinstance(event, OrderNotFound)]
    assert floor.orders.open_orders() == ()


def test_quotes_move_a_working_order_and_nothing_else() -> None:
    """A thousand quotes that change nothing send nothing; one that leaves the order behind pegs it anew; others are nobody's business."""
    venue = ScriptedVenue()

    async def main() -> None:
        floor = Floor(venue)
        bid = [99.99]

        def quote(symbol: str, now: datetime) -> Quote:
            return Quote(symbol=symbol, bid=bid[0], bid_size=100, ask=bid[0] + 0.02, ask_size=100, at=now)

        floor.handler._parts = msgspec.structs.replace(floor.handler._parts, quotes=quote)
        venue.on_cancel = lambda key: floor.report(venue.sent[0], "canceled", "canceled")

        def say(symbol: str) -> None:
            floor.bus.post(QuoteUpdated(at=floor.clock.now(), symbol=symbol, bid=bid[0], bid_size=1, ask=bid[0] + 0.02, ask_size=1))

        async def play() -> None:
            say("SPY")
            await floor.plan(buy())
            for number in range(1_000):
                say("SPY" if number % 2 else "OTHER")
                await floor.clock.sleep(0.001)
            assert len(venue.sent) == 1
            assert venue.cancelled == []
            bid[0] = 100.2
            await floor.clock.sleep(0.5)
            say("SPY")
            await floor.clock.sleep(0.2)
            assert len(venue.sent) == 2
            await floor.handler.stop("the test is over", cancel_orders=False)
            say("SPY")

        await floor.run(play)

    virtual(main)


def test_the_deadline_of_an_intent_is_kept_when_nothing_happens() -> None:
    """Without fills, confirmations or answers the rebalance still ends, with reasons."""
    venue = ScriptedVenue(submits=deque([lambda order: None] * 20))
    venue.on_cancel = lambda key: None

    async def main() -> timedelta:
        floor = Floor(venue)

        async def play() -> None:
            await floor.plan(buy())
            await floor.ended.wait()

        await floor.run(play)
        (parked,) = floor.of(RebalanceParked)
        assert isinstance(parked, RebalanceParked)
        assert "never confirmed" in parked.reason
        return parked.at - START

    assert virtual(main) < timedelta(minutes=5)


def replacing(venue: ScriptedVenue, *, reached: int = 1) -> Floor:
    """Run one rebalance of one buy whose first order does not fill; the ``reached``-th replacement fills, or what is sent instead."""

    async def main() -> Floor:
        floor = Floor(venue, LadderRules(rungs=(Decimal(0), Decimal("0.5"), Decimal(1))))
        replaced: list[NewOrder] = []

        def put(old: NewOrder, new: NewOrder) -> None:
            replaced.append(new)
            floor.report(old, "replaced", "replaced")
            if len(replaced) == reached:
                floor.fill(new)

        venue.on_replace = put
        venue.on_cancel = lambda key: floor.report(
            next(order for order in venue.sent if f"v-{order.client_order_id}" == key), "canceled", "canceled"
        )
        accept = venue.submit

        async def submit(order: NewOrder, *, after: After | None = None) -> object:
            report = await accept(order, after=after)
            floor.report(order, "new", "new")
            if len(venue.sent) > 1:
                floor.fill(order)
            return report

        venue.submit = submit  # type: ignore[method-assign, assignment]

        async def play() -> None:
            await floor.plan(buy())
            await floor.ended.wait()

        await floor.run(play)
        return floor

    return virtual(main)


def test_a_working_order_is_replaced_by_one_request() -> None:
    """Nothing is cancelled; the new order is intended, durable, before the request leaves, and names the one it replaces."""
    venue = ScriptedVenue()
    floor = replacing(venue, reached=2)

    assert venue.cancelled == []
    assert [f"e-20250303.1-SPY-{number}" for number in (1, 2, 3)] == [order.client_order_id for order in venue.sent]
    intended = [event for event in floor.events if isinstance(event, OrderIntended)]
    assert [None, "e-20250303.1-SPY-1", "e-20250303.1-SPY-2"] == [event.replaces for event in intended]
    assert ["rung 1", "rung 2", "rung 3"] == [event.step for event in intended]
    closed = {event.client_order_id: event.state for event in floor.events if isinstance(event, OrderClosed)}
    assert {"e-20250303.1-SPY-1": "replaced", "e-20250303.1-SPY-2": "replaced", "e-20250303.1-SPY-3": "filled"} == closed
    assert len(floor.of(RebalanceCompleted)) == 1


@pytest.mark.parametrize(
    ("error", "event"),
    [
        (RejectedByVenue("cannot replace order", code=42210000, status=422), OrderRejected),
        (NotFoundAtVenue("order not found"), OrderWithheld),
        (VenueUnavailable("no connection"), OrderWithheld),
        (OutcomeUnknown("timed out"), OrderOutcomeUnknown),
    ],
)
def test_a_replacement_that_fails_falls_back_to_cancel_and_submit(error: VenueError, event: type[Event]) -> None:
    """Whatever the venue says or keeps silent about: the old order is cancelled, awaited, and only then a new one is sent."""
    venue = ScriptedVenue(replaces=deque([error]))
    floor = replacing(venue)

    assert len(floor.of(event)) == 1
    assert ["v-e-20250303.1-SPY-1"] == list(dict.fromkeys(venue.cancelled))
    assert ["e-20250303.1-SPY-1", "e-20250303.1-SPY-3"] == [order.client_order_id for order in venue.sent]
    assert len(floor.of(OrderFilled)) == 1
    assert len(floor.of(RebalanceCompleted)) == 1


def test_a_replacement_that_asks_for_more_than_is_left_is_taken_back_at_once() -> None:
    """The old order was filled in part on the way: the new one may trade at any moment, and no quote or timer is waited for."""
    venue = ScriptedVenue()

    async def main() -> None:
        floor = Floor(venue, LadderRules(rungs=(Decimal(0), Decimal("0.5"), Decimal(1))))
        loop = asyncio.get_running_loop()
        being_replaced: asyncio.Future[NewOrder] = loop.create_future()
        taken_back: asyncio.Future[datetime] = loop.create_future()
        venue.submits.append(lambda order: floor.report(order, "new", "new"))
        venue.on_replace = lambda old, new: being_replaced.set_result(old)
        venue.on_cancel = lambda key: taken_back.set_result(floor.clock.now())

        async def play() -> None:
            await floor.plan(buy())
            old = await being_replaced
            floor.report(old, "partial_fill", "partially_filled", last="3", cumulative="3", execution="x-1")
            await floor.clock.sleep(0.01)
            replaced_at = floor.clock.now()
            floor.report(old, "replaced", "replaced", cumulative="3")
            assert await taken_back == replaced_at
            await floor.handler.stop("the test is over", cancel_orders=False)

        await floor.run(play)
        assert venue.cancelled == ["v-e-20250303.1-SPY-2"]

    virtual(main)


def test_the_end_of_a_rebalance_states_its_cost() -> None:
    """Per order against the arrival price and the mid that was seen when it was sent."""
    floor = replacing(ScriptedVenue())
    (completed,) = floor.of(RebalanceCompleted)
    assert isinstance(completed, RebalanceCompleted)
    assert completed.shortfall is not None
    assert ["ladder: rung 2"] == list(completed.shortfall.steps)
    assert completed.shortfall.total is not None
    assert completed.shortfall.total.mid_bps == pytest.approx(0.0)


def test_a_refused_buy_is_followed_by_a_look_at_the_account() -> None:
    """Once for each refusal, and told as an event; a broker that cannot be asked changes nothing."""
    refusal = RejectedByVenue("insufficient buying power", code=40310000, status=403)
    floor = played(ScriptedVenue(submits=deque([refusal])))
    looks = [event for event in floor.events if isinstance(event, AccountObserved)]
    assert [LOOK_REASON] == [event.reason for event in looks]
    assert len(floor.of(RebalanceCompleted)) == 1
