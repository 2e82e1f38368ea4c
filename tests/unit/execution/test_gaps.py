"""The gap keeper: after a start and after every break the venue is asked what was missed, before anything is sent."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from decimal import Decimal

import msgspec
import pytest

from alchemiser.bus.bus import Bus
from alchemiser.bus.envelope import Envelope
from alchemiser.domain.account import Account, BrokerActivity, BrokerPosition
from alchemiser.domain.errors import CredentialsRefused, OutcomeUnknown, VenueUnavailable
from alchemiser.domain.events import (
    CancelRequested,
    Event,
    ExecutionReported,
    FrameUnreadable,
    GapClosed,
    GapOpened,
    OrderFilled,
    OrderIntended,
    OrderRejected,
    Reconciled,
    ReconciliationDue,
    ReconciliationFailed,
    RecoveryCompleted,
    SessionOpened,
    StreamConnected,
    StreamLost,
    StreamSilent,
)
from alchemiser.domain.orders import ExecutionReport, NewOrder, OrderState
from alchemiser.domain.reconciliation import DifferenceCode
from alchemiser.execution.gaps import RETRY_SECONDS, GapKeeper
from alchemiser.execution.gate import SubmitGate
from alchemiser.execution.order_states import OrderStates
from alchemiser.execution.parking import ParkedSymbols
from alchemiser.execution.reconciler import ATTEMPT_PAUSES_SECONDS, OVERLAP, Reconciler, ReconcilerParts
from alchemiser.service.clock import VirtualClock
from tests.solipsism import virtual
from tests.unit.execution.desk import ACCOUNT, SESSION, START, ScriptedVenue, activity, buy, order_of, report_of

SPY, QQQ = order_of(buy("SPY")), order_of(buy("QQQ"))


class ListingVenue(ScriptedVenue):
    """Remembers since when executions were asked for and which orders were looked up, and keeps to the time that was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked_from: list[datetime | None] = []
        self.looked_up: list[str] = []
        self.on_list: Callable[[], None] = lambda: None
        self.working: tuple[NewOrder, ...] = ()
        self.lost: set[str] = set()

    async def open_orders(self) -> tuple[ExecutionReport, ...]:
        """List the open orders; something may happen meanwhile."""
        listed = await super().open_orders()
        self.on_list()
        named = {report.client_order_id for report in listed} | self.known.keys() | self.lost
        return (*listed, *(report_of(order, "query", "new") for order in self.working if order.client_order_id not in named))

    async def account_and_positions(self) -> tuple[Account, tuple[BrokerPosition, ...]]:
        """Hold what was executed."""
        held: dict[str, Decimal] = {}
        for one in self.activities:
            held[one.symbol] = held.get(one.symbol, Decimal(0)) + one.quantity
        blank = BrokerPosition(
            symbol="", quantity=Decimal(0), available_quantity=Decimal(0), average_entry_price=Decimal(1), current_price=None
        )
        positions = tuple(
            msgspec.structs.replace(blank, symbol=name, quantity=held[name], available_quantity=held[name]) for name in sorted(held)
        )
        return ACCOUNT, positions

    async def order_by_client_id(self, client_order_id: str) -> ExecutionReport:
        """Look the order up."""
        self.looked_up.append(client_order_id)
        return await super().order_by_client_id(client_order_id)

    async def fills_since(self, after: datetime | None) -> tuple[BrokerActivity, ...]:
        """Return the executions from that time on."""
        self.asked_from.append(after)
        return tuple(activity for activity in self.activities if after is None or activity.at >= after)


class Floor:
    """The bus with the gap keeper, the gate and the order states on virtual time."""

    def __init__(self, venue: ListingVenue, *orders: NewOrder, fills: tuple[Event, ...] = ()) -> None:
        self.venue = venue
        self.clock = VirtualClock(START)
        self.bus = Bus(clock=self.clock)
        self.events: list[Event] = []
        self.orders = OrderStates(self.bus.post)
        self.gate = SubmitGate(now=self.clock.now, cut_off=lambda session: session.closes_at)
        for number, order in enumerate(orders, start=1):
            intended = OrderIntended(at=START, rebalance_id="20250303.1", intent_id=order.symbol, attempt=1, order=order)
            self.orders.replay(Envelope(number, intended, 0.0))
            self.orders.replay(Envelope(number, ExecutionReported(at=START, report=report_of(order, "new", "new")), 0.0))
        for event in fills:
            self.orders.replay(Envelope(9, event, 0.0))
        self.parked = ParkedSymbols()
        venue.working = orders
        self.keeper = GapKeeper(
            reconciler=Reconciler(
                ReconcilerParts(
                    venue=venue,
                    orders=self.orders,
                    parked=self.parked,
                    holdings=self.holdings,
                    cash=lambda: None,
                    unfinished=lambda: "20250303.1",
                    clock=self.clock,
                    publish=self.bus.publish,
                    post=self.bus.post,
                    durable=self.bus.durable,
                    epoch="e",
                )
            ),
            orders=self.orders,
            clock=self.clock,
            publish=self.bus.publish,
            post=self.bus.post,
            replayed=12,
        )
        self.bus.subscribe_inline("orders", self.orders.listens_to, self.orders)
        self.bus.subscribe_inline("gate", self.gate.listens_to, self.gate)
        self.bus.subscribe_inline("parked", self.parked.listens_to, self.parked)
        self.bus.subscribe_inline("gap notes", self.keeper.notes, self.keeper.note)
        self.bus.subscribe_inline("memory", (Event,), lambda envelope: self.events.append(envelope.event))
        self.bus.subscribe("gap keeper", self.keeper.listens_to, self.keeper.handle)

    def holdings(self) -> dict[str, Decimal]:
        """Return what the executions make, as books would."""
        held: dict[str, Decimal] = {}
        for fill in self.orders.fills.values():
            held[fill.symbol] = held.get(fill.symbol, Decimal(0)) + fill.quantity
        return held

    def names(self) -> list[str]:
        """Return what happened, in order."""
        return [type(event).__name__ for event in self.events]

    def of(self, kind: type[Event]) -> list[Event]:
        """Return the events of one type."""
        return [event for event in self.events if isinstance(event, kind)]

    def connect(self) -> None:
        """Let the order stream be connected."""
        self.bus.post(StreamConnected(at=self.clock.now(), stream="orders"))

    def lose(self, reason: str = "reset") -> None:
        """Let the order stream be lost."""
        self.bus.post(StreamLost(at=self.clock.now(), stream="orders", reason=reason))

    def hear(self, report: ExecutionReport) -> None:
        """Let the order stream say something."""
        self.bus.post(ExecutionReported(at=self.clock.now(), report=report))


def played(floor_of: Callable[[], Floor], play: Callable[[Floor], Awaitable[None]]) -> Floor:
    """Run a floor in session while ``play`` plays, and return it."""

    async def main() -> Floor:
        floor = floor_of()
        async with asyncio.TaskGroup() as group:
            started = asyncio.Event()
            group.create_task(floor.bus.run(started.set))
            await started.wait()
            floor.bus.post(SessionOpened(at=START, session=SESSION))
            await play(floor)
            await floor.bus.close(drain_seconds=5)
        return floor

    return virtual(main)


async def started(floor: Floor) -> None:
    """Connect for the first time."""
    floor.connect()
    await floor.clock.sleep(0.1)


def fill_report(order: NewOrder, execution: str, quantity: str, total: str) -> ExecutionReport:
    """Return what the stream says of an execution."""
    event, status = ("fill", "filled") if Decimal(total) >= order.quantity else ("partial_fill", "partially_filled")
    return report_of(order, event, status, last=quantity, cumulative=total, execution=execution)


def executions(floor: Floor) -> list[str]:
    """Return the executions that were published, in order."""
    return [event.fill.execution_id for event in floor.of(OrderFilled) if isinstance(event, OrderFilled)]


def test_a_start_is_the_first_gap() -> None:
    """Nothing is sent before the venue was asked; with nothing ever sent there is nothing to ask for."""
    venue = ListingVenue()
    floor = played(lambda: Floor(venue), started)

    (recovered,) = floor.of(RecoveryCompleted)
    assert recovered == RecoveryCompleted(at=recovered.at, events_replayed=12, fills_recovered=0, open_orders=0)
    assert venue.asked_from == []
    assert floor.of(GapOpened) == []
    assert floor.gate.is_open


def test_a_start_applies_what_was_missed_while_the_daemon_was_away() -> None:
    """One order was partly filled and is still open, one was filled to the end and is no longer listed."""
    venue = ListingVenue()
    venue.listed = [report_of(SPY, "query", "partially_filled", cumulative="4")]
    venue.known[QQQ.client_order_id] = report_of(QQQ, "query", "filled", cumulative="10")
    venue.activities = [
        activity(SPY, "s", "4", "4", START + timedelta(seconds=1)),
        activity(QQQ, "q", "10", "10", START + timedelta(seconds=2)),
    ]
    floor = played(lambda: Floor(venue, SPY, QQQ), started)

    (recovered,) = floor.of(RecoveryCompleted)
    assert isinstance(recovered, RecoveryCompleted)
    assert (2, 1) == (recovered.fills_recovered, recovered.open_orders)
    assert ["s", "q"] == executions(floor)
    assert [QQQ.client_order_id] == venue.looked_up
    assert floor.names().index("OrderFilled") < floor.names().index("RecoveryCompleted")


def test_an_order_that_the_venue_lost_parks_its_symbol() -> None:
    """It had confirmed the order and does not find it, however often it is asked: no state is invented, and nothing of it is sent."""
    venue = ListingVenue()
    venue.lost = {SPY.client_order_id}

    async def play(floor: Floor) -> None:
        await started(floor)
        await floor.clock.sleep(sum(ATTEMPT_PAUSES_SECONDS))

    floor = played(lambda: Floor(venue, SPY), play)
    order = floor.orders.get(SPY.client_order_id)
    assert order is not None
    assert order.state is OrderState.WORKING
    assert venue.looked_up == [SPY.client_order_id] * 4
    assert floor.gate.is_open
    assert ["SPY"] == list(floor.parked.by_symbol)
    assert len(floor.of(RecoveryCompleted)) == 1


def test_orders_of_others_are_not_reported() -> None:
    """A person trades the same account; what they do is not an event of ours."""
    venue = ListingVenue()
    by_hand = msgspec.structs.replace(order_of(buy("DIA")), client_order_id="5680c4bc-9ac1-4a12-a44c-df427ba53032")
    venue.listed = [report_of(SPY, "query", "new"), report_of(by_hand, "query", "new")]
    floor = played(lambda: Floor(venue, SPY), started)

    (done,) = floor.of(Reconciled)
    assert isinstance(done, Reconciled)
    assert done.reports == ()
    assert [(DifferenceCode.ORDER_FOREIGN, "DIA")] == [(one.code, one.symbol) for one in done.differences]
    assert venue.cancelled == []
    assert floor.orders.foreign_reports == 0


def test_a_break_opens_a_gap_that_closes_when_the_venue_was_asked() -> None:
    """While it is open the gate is closed, and what was missed is applied before it opens."""
    venue = ListingVenue()

    async def play(floor: Floor) -> None:
        await started(floor)
        floor.lose()
        await floor.clock.sleep(5)
        assert {"orders", "gap orders"} == set(floor.gate.reasons)
        venue.known[SPY.client_order_id] = report_of(SPY, "query", "filled", cumulative="10")
        venue.activities = [activity(SPY, "s", "10", "10", floor.clock.now())]
        floor.connect()
        assert ["gap orders"] == list(floor.gate.reasons)
        await floor.clock.sleep(0.1)
        assert floor.gate.is_open

    floor = played(lambda: Floor(venue, SPY), play)
    (opened,), (closed,) = floor.of(GapOpened), floor.of(GapClosed)
    assert isinstance(opened, GapOpened)
    assert isinstance(closed, GapClosed)
    assert (opened.since, "reset") == (closed.since, opened.reason)
    assert closed.fills_recovered == 1
    assert ["s"] == executions(floor)
    assert floor.names().index("OrderFilled") < floor.names().index("GapClosed")


def test_what_the_stream_brought_already_is_not_published_again() -> None:
    """The window that is asked for overlaps with what is known."""
    venue = ListingVenue()

    async def play(floor: Floor) -> None:
        await started(floor)
        floor.hear(fill_report(SPY, "a", "4", "4"))
        floor.lose()
        venue.listed = [report_of(SPY, "query", "partially_filled", cumulative="7")]
        venue.activities = [
            activity(SPY, "a", "4", "4", START),
            activity(SPY, "b", "3", "7", floor.clock.now()),
        ]
        floor.connect()
        await floor.clock.sleep(1)
        floor.lose()
        floor.connect()
        await floor.clock.sleep(1)

    floor = played(lambda: Floor(venue, SPY), play)
    assert ["a", "b"] == executions(floor)
    assert [1, 0] == [event.fills_recovered for event in floor.of(GapClosed) if isinstance(event, GapClosed)]


@pytest.mark.parametrize("error", [VenueUnavailable("503"), OutcomeUnknown("no answer within 10 s")])
def test_it_keeps_asking_while_the_venue_is_away(error: VenueUnavailable | OutcomeUnknown) -> None:
    """With pauses of market time that grow to a bound; the gap stays open as long as it takes."""
    venue = ListingVenue()
    venue.failing = deque([error] * 7)
    waits = [*RETRY_SECONDS, RETRY_SECONDS[-1], RETRY_SECONDS[-1]]

    async def play(floor: Floor) -> None:
        floor.connect()
        await floor.clock.sleep(sum(waits) - 0.5)
        assert "recovery" in floor.gate.reasons
        await floor.clock.sleep(1)
        assert floor.gate.is_open

    floor = played(lambda: Floor(venue, SPY), play)
    (recovered,) = floor.of(RecoveryCompleted)
    assert recovered.at >= START + timedelta(seconds=sum(waits))


def test_an_execution_before_one_that_the_new_connection_brought_is_not_forgotten() -> None:
    """While the venue is still being asked the stream goes on: what is asked for begins where the break was, not at the newest fill."""
    venue = ListingVenue()

    async def play(floor: Floor) -> None:
        await started(floor)
        floor.lose()
        venue.activities = [activity(SPY, "in-the-gap", "10", "10", START + timedelta(seconds=3))]
        venue.known[SPY.client_order_id] = report_of(SPY, "query", "filled", cumulative="10")
        venue.listed = [report_of(QQQ, "query", "new")]
        await floor.clock.sleep(20)
        venue.failing = deque([VenueUnavailable("503")])
        floor.connect()
        after = fill_report(QQQ, "after-the-gap", "4", "4")
        at = START + timedelta(seconds=20)
        floor.hear(msgspec.structs.replace(after, at=at))
        await floor.clock.sleep(5)

    floor = played(lambda: Floor(venue, SPY, QQQ), play)
    assert {"in-the-gap", "after-the-gap"} == set(executions(floor))


def test_the_venue_is_asked_from_the_last_known_execution_on() -> None:
    """A little overlap, because clocks need not agree; never for the whole history of the account."""
    venue = ListingVenue()
    venue.listed = [report_of(SPY, "query", "partially_filled", cumulative="4")]
    first = ExecutionReported(at=START, report=fill_report(SPY, "a", "4", "4"))

    played(lambda: Floor(venue, SPY, fills=(first,)), started)
    assert [START - OVERLAP] == venue.asked_from

    fresh = ListingVenue()
    played(lambda: Floor(fresh, SPY), started)
    assert [START - OVERLAP] == fresh.asked_from


def test_an_order_that_lacks_executions_is_asked_about_from_its_beginning() -> None:
    """The venue counts more than we have seen, of an order older than the last known execution."""
    venue = ListingVenue()
    venue.known[SPY.client_order_id] = report_of(SPY, "query", "filled", cumulative="10")
    venue.activities = [activity(SPY, "early", "10", "10", START + timedelta(seconds=5))]
    venue.listed = [report_of(QQQ, "query", "partially_filled", cumulative="4")]
    later = fill_report(QQQ, "later", "4", "4")
    late = msgspec.structs.replace(later, at=START + timedelta(minutes=2))

    floor = played(lambda: Floor(venue, SPY, QQQ, fills=(ExecutionReported(at=START, report=late),)), started)
    assert ["early"] == executions(floor)


def test_a_gap_stays_open_when_the_stream_breaks_again_during_the_asking() -> None:
    """What the second break may have hidden was not asked for: closing for the first alone would open the gate on it."""
    venue = ListingVenue()

    async def play(floor: Floor) -> None:
        await started(floor)
        floor.lose("first")
        await floor.clock.sleep(1)

        def break_again() -> None:
            venue.on_list = lambda: None
            floor.lose("second")

        venue.on_list = break_again
        floor.connect()
        await floor.clock.sleep(1)
        assert floor.of(GapClosed) == []
        assert {"orders", "gap orders"} == set(floor.gate.reasons)
        floor.connect()
        await floor.clock.sleep(1)

    floor = played(lambda: Floor(venue, SPY), play)
    assert len(floor.of(GapOpened)) == len(floor.of(GapClosed)) == 1
    assert floor.gate.is_open


def test_the_first_recovery_waits_for_a_connection_that_holds() -> None:
    """A stream that breaks during the first asking is a start that has not happened yet."""
    venue = ListingVenue()

    async def play(floor: Floor) -> None:
        venue.on_list = floor.lose
        floor.connect()
        await floor.clock.sleep(1)
        assert floor.of(RecoveryCompleted) == []
        assert "recovery" in floor.gate.reasons
        venue.on_list = lambda: None
        floor.connect()
        await floor.clock.sleep(1)

    floor = played(lambda: Floor(venue, SPY), play)
    assert len(floor.of(RecoveryCompleted)) == 1
    assert floor.of(GapOpened) == []
    assert floor.gate.is_open


def test_an_unreadable_frame_is_a_gap_of_its_own() -> None:
    """It may have been a fill: the venue is asked, and the connection stays."""
    venue = ListingVenue()

    async def play(floor: Floor) -> None:
        await started(floor)
        venue.known[SPY.client_order_id] = report_of(SPY, "query", "filled", cumulative="10")
        venue.activities = [activity(SPY, "unread", "10", "10", floor.clock.now())]
        floor.bus.post(FrameUnreadable(at=floor.clock.now(), stream="orders", raw="{", error="truncated"))
        await floor.clock.sleep(1)

    floor = played(lambda: Floor(venue, SPY), play)
    assert ["unread"] == executions(floor)
    (opened,) = floor.of(GapOpened)
    assert isinstance(opened, GapOpened)
    assert "truncated" in opened.reason
    assert len(floor.of(GapClosed)) == 1
    assert floor.gate.is_open


def test_a_second_unreadable_frame_during_the_asking_is_asked_about_too() -> None:
    """One gap, closed when the venue was asked after the last of them."""
    venue = ListingVenue()

    def unreadable(floor: Floor) -> None:
        venue.on_list = lambda: None
        floor.bus.post(FrameUnreadable(at=floor.clock.now(), stream="orders", raw="{", error="again"))

    async def play(floor: Floor) -> None:
        await started(floor)
        venue.asked_from.clear()
        venue.on_list = lambda: unreadable(floor)
        floor.bus.post(FrameUnreadable(at=floor.clock.now(), stream="orders", raw="{", error="first"))
        await floor.clock.sleep(1)

    floor = played(lambda: Floor(venue, SPY), play)
    assert len(venue.asked_from) == 2
    assert len(floor.of(GapOpened)) == len(floor.of(GapClosed)) == 1


def test_the_market_stream_is_not_its_business() -> None:
    """Missed quotes are replaced by the next ones."""
    venue = ListingVenue()

    async def play(floor: Floor) -> None:
        await started(floor)
        at = floor.clock.now()
        floor.bus.post(StreamLost(at=at, stream="market", reason="reset"))
        floor.bus.post(FrameUnreadable(at=at, stream="market", raw="", error=""))
        floor.bus.post(StreamConnected(at=at, stream="market"))
        await floor.clock.sleep(1)

    floor = played(lambda: Floor(venue, SPY), play)
    assert floor.of(GapOpened) == []
    assert len(venue.asked_from) == 1


def test_a_connection_without_a_break_asks_nothing() -> None:
    """The second of two connections in a row has hidden nothing."""
    venue = ListingVenue()

    async def play(floor: Floor) -> None:
        await started(floor)
        await started(floor)

    floor = played(lambda: Floor(venue, SPY), play)
    assert len(venue.asked_from) == 1
    assert floor.of(GapClosed) == []


def test_a_gap_stays_open_until_the_venue_lists_what_it_counts_as_filled() -> None:
    """An order is filled and its execution is not listed yet: going on would buy again what was bought."""
    venue = ListingVenue()
    venue.known[SPY.client_order_id] = report_of(SPY, "query", "filled", cumulative="10")

    async def play(floor: Floor) -> None:
        await started(floor)
        assert floor.of(RecoveryCompleted) == []
        assert not floor.gate.is_open
        venue.activities = [activity(SPY, "late", "10", "10", START)]
        await floor.clock.sleep(RETRY_SECONDS[0])

    floor = played(lambda: Floor(venue, SPY), play)

    assert executions(floor) == ["late"]
    assert len(floor.of(RecoveryCompleted)) == 1
    assert floor.gate.is_open


def test_refused_credentials_keep_the_gap_open_and_are_said_once() -> None:
    """A key that is refused cannot be mended by the daemon: it says what happened, sends nothing, and keeps asking."""
    venue = ListingVenue()

    async def play(floor: Floor) -> None:
        await started(floor)
        venue.failing = deque([CredentialsRefused("unauthorized.")] * 4 + [VenueUnavailable("503")])
        floor.lose()
        floor.connect()
        await floor.clock.sleep(sum(RETRY_SECONDS[:4]) - 0.5)
        assert {"gap orders", "reconciling", "venue"} >= set(floor.gate.reasons) >= {"gap orders", "venue"}
        assert floor.gate.reasons["venue"] == "credentials_refused: unauthorized.; the daemon keeps asking"
        await floor.clock.sleep(40)

    floor = played(lambda: Floor(venue, SPY), play)
    failed = [event for event in floor.of(ReconciliationFailed) if isinstance(event, ReconciliationFailed)]
    assert [("credentials_refused", True), ("venue_unavailable", True)] == [(event.code, event.retries) for event in failed]
    assert floor.gate.is_open


@pytest.mark.parametrize("reason", ["timer", "operator"])
def test_a_comparison_that_is_due_is_made_once(reason: str) -> None:
    """The gate is closed while it is made; when the venue does not answer nothing was missed, and the next one is made in its time."""
    venue = ListingVenue()
    reasons: list[set[str]] = []

    async def play(floor: Floor) -> None:
        await started(floor)
        venue.on_list = lambda: reasons.append(set(floor.gate.reasons))
        floor.bus.post(ReconciliationDue(at=floor.clock.now(), reason=reason))
        await floor.clock.sleep(1)
        venue.failing = deque([VenueUnavailable("503")])
        floor.bus.post(ReconciliationDue(at=floor.clock.now(), reason=reason))
        await floor.clock.sleep(1)
        assert floor.gate.is_open

    floor = played(lambda: Floor(venue, SPY), play)
    assert [{"reconciling"}] == reasons
    assert ["start", reason] == [event.reason for event in floor.of(Reconciled) if isinstance(event, Reconciled)]
    (failed,) = floor.of(ReconciliationFailed)
    assert isinstance(failed, ReconciliationFailed)
    assert (reason, "venue_unavailable", False) == (failed.reason, failed.code, failed.retries)
    assert floor.of(GapOpened) == []


def stream_report(order: NewOrder, event: str, status: str, **changes: object) -> ExecutionReport:
    """Return a message of the order stream."""
    return msgspec.structs.replace(report_of(order, event, status), **changes)


@pytest.mark.parametrize(
    ("heard", "words"),
    [
        ([{"event_id": "03"}, {"event_id": "02"}], "event 02 came after event 03"),
        ([{"at": START + timedelta(seconds=9)}, {"at": START}], "came after one of"),
        ([{"cumulative_quantity": Decimal(4)}], "the venue counts 4 filled"),
        ([{"event_id": "03"}, {"event_id": "03"}], None),
        ([{"event_id": "02"}, {"event_id": "03"}, {"event_id": "02"}], None),
        ([{"at": START + timedelta(seconds=1)}, {"at": START}], None),
    ],
    ids=["ids go back", "times go back", "fills do not add up", "twice", "an old one again", "within the tolerance"],
)
def test_what_cannot_be_opens_a_gap(heard: list[dict[str, object]], words: str | None) -> None:
    """Ids and times that go back and fills that do not add up say that something is missing; a message that comes twice does not."""
    venue = ListingVenue()
    venue.activities = [activity(SPY, "lost", "4", "4", START)]

    async def play(floor: Floor) -> None:
        venue.activities = []
        await started(floor)
        if heard[0].get("cumulative_quantity"):
            venue.activities = [activity(SPY, "lost", "4", "4", START)]
            venue.listed = [report_of(SPY, "query", "partially_filled", cumulative="4")]
        for changes in heard:
            floor.hear(stream_report(SPY, "new", "new", **changes))
        if words is not None:
            assert "gap orders" in floor.gate.reasons
            assert words in floor.gate.reasons["gap orders"]
        await floor.clock.sleep(1)

    floor = played(lambda: Floor(venue, SPY), play)
    assert len(floor.of(GapOpened)) == len(floor.of(GapClosed)) == (words is not None)
    assert floor.gate.is_open
    assert ["lost"] * ("cumulative_quantity" in heard[0]) == executions(floor)


def test_an_end_that_the_stream_did_not_tell_is_owed_all_the_same() -> None:
    """Somebody asked and was told by the venue: the order has ended, and the stream is no better for it. A refused order owes nothing."""
    venue = ListingVenue()

    async def play(floor: Floor) -> None:
        await started(floor)
        since = floor.clock.now()
        floor.hear(stream_report(SPY, "query", "new", source="submit"))
        floor.hear(stream_report(SPY, "query", "canceled", source="query"))
        assert owed(floor) == (SPY.client_order_id, since)
        floor.hear(stream_report(SPY, "canceled", "canceled"))
        assert owed(floor) is None
        floor.bus.post(CancelRequested(at=since, client_order_id=QQQ.client_order_id, reason="drill"))
        floor.bus.post(OrderRejected(at=since, client_order_id=QQQ.client_order_id, code=1, message="no"))
        assert owed(floor) is None

    played(lambda: Floor(venue, SPY, QQQ), play)


def owed(floor: Floor) -> tuple[str, datetime] | None:
    """Return what the stream owes now."""
    return floor.keeper.owed


def test_the_stream_owes_a_word_about_each_order() -> None:
    """From the venue's answer to a submit, or the request of a cancel, until it mentions the order, or the order ends."""
    venue = ListingVenue()

    async def play(floor: Floor) -> None:
        await started(floor)
        assert owed(floor) is None
        floor.hear(stream_report(SPY, "query", "new", source="submit"))
        since = floor.clock.now()
        assert owed(floor) == (SPY.client_order_id, since)
        floor.hear(stream_report(SPY, "new", "new"))
        assert owed(floor) is None
        floor.hear(stream_report(SPY, "query", "new", source="submit"))
        assert owed(floor) is None
        await floor.clock.sleep(1)
        asked = floor.clock.now()
        floor.bus.post(CancelRequested(at=asked, client_order_id=SPY.client_order_id, reason="drill"))
        floor.bus.post(CancelRequested(at=asked, client_order_id=QQQ.client_order_id, reason="drill"))
        assert owed(floor) == (SPY.client_order_id, asked)
        floor.hear(stream_report(SPY, "canceled", "canceled"))
        venue.known[SPY.client_order_id] = report_of(SPY, "query", "canceled")
        assert owed(floor) == (QQQ.client_order_id, asked)
        floor.bus.post(StreamSilent(at=floor.clock.now(), stream="orders", since=since, reason="silent"))
        assert "silent" in floor.gate.reasons["gap orders"]
        venue.failing = deque([VenueUnavailable("503")])
        floor.lose()
        assert owed(floor) is None
        await floor.clock.sleep(20)
        venue.failing = deque([VenueUnavailable("503")])
        floor.bus.post(CancelRequested(at=asked, client_order_id=QQQ.client_order_id, reason="drill"))
        connected = floor.clock.now()
        floor.bus.post(StreamConnected(at=connected, stream="orders"))
        assert owed(floor) == (QQQ.client_order_id, connected)
        await floor.clock.sleep(3)
        assert owed(floor) is None

    played(lambda: Floor(venue, SPY, QQQ), play)


def test_a_comparison_that_is_due_while_the_stream_is_away_waits_for_it() -> None:
    """There is a gap: what is asked for is what will close it, once the connection is back."""
    venue = ListingVenue()

    async def play(floor: Floor) -> None:
        await started(floor)
        floor.bus.post(StreamLost(at=floor.clock.now(), stream="orders", reason="reset"))
        floor.bus.post(ReconciliationDue(at=floor.clock.now(), reason="timer"))
        await floor.clock.sleep(60)
        assert len(floor.of(Reconciled)) == 1
        assert "gap orders" in floor.gate.reasons
        floor.bus.post(StreamConnected(at=floor.clock.now(), stream="orders"))
        await floor.clock.sleep(1)

    floor = played(lambda: Floor(venue, SPY), play)
    assert ["start", "gap"] == [event.reason for event in floor.of(Reconciled) if isinstance(event, Reconciled)]
    assert floor.gate.is_open


def test_the_stream_may_speak_of_orders_of_others() -> None:
    """What a person trades on the same account is no gap, and owes us nothing."""
    venue = ListingVenue()

    async def play(floor: Floor) -> None:
        await started(floor)
        by_hand = msgspec.structs.replace(order_of(buy("DIA")), client_order_id="5680c4bc-9ac1-4a12-a44c-df427ba53032")
        floor.hear(stream_report(by_hand, "new", "new"))
        await floor.clock.sleep(60)

    floor = played(lambda: Floor(venue, SPY), play)
    assert floor.of(GapOpened) == []
    assert floor.orders.foreign_reports == 1
