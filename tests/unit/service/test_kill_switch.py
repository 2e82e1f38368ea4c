"""The kill switch beside the bus: however it is pulled it works, is written down, and is told to a bus that may come late or be gone."""

import asyncio
import os
import signal
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict

from alchemiser.bus.envelope import Envelope
from alchemiser.domain.errors import BusClosed, VenueUnavailable
from alchemiser.domain.events import (
    Event,
    ExecutionReported,
    KillSwitchPulled,
    KillSwitchReported,
    OrderIntended,
    RebalanceParked,
    RebalancePlanned,
    ReconciliationDue,
    RecoveryCompleted,
    TradingStateChanged,
)
from alchemiser.domain.ids import FIRST_KILL_NUMBER, is_of_a_kill, rebalance_id
from alchemiser.domain.orders import NewOrder, OrderType, Side, TimeInForce
from alchemiser.execution.kill import KillVenue
from alchemiser.service.clock import VirtualClock
from alchemiser.service.kill_record import (
    DIRECT_FILE,
    RECORD_FILE,
    SWITCH_FILE,
    KillRecord,
    SentOrder,
    new_record,
    pull_switch,
    read_record,
    read_switch,
    write_record,
)
from alchemiser.service.kill_signal import EARLY
from alchemiser.service.kill_switch import KillSwitch, KillSwitchParts
from alchemiser.service.story import Storyteller
from tests.solipsism import virtual
from tests.unit.execution.test_kill import Broker, report

START = datetime(2025, 3, 3, 15, 0, tzinfo=UTC)
BOOKS = {"a": {"SPY": Decimal(6), "OLD": Decimal(-1)}, "b": {"SPY": Decimal(4)}}


@dataclass
class House:
    """A switch in a state directory, with a broker and a bus that may or may not be there."""

    state: Path
    broker: Broker
    clock: VirtualClock
    switch: KillSwitch
    told: list[Event] = field(default_factory=list)
    gate: list[str] = field(default_factory=list)
    known: dict[str, object] = field(default_factory=dict)
    heard_at: datetime | None = None
    is_closed: bool = False

    def post(self, event: Event) -> None:
        """Take an event, as a bus would."""
        if self.is_closed:
            raise BusClosed("the bus has ended")
        self.told.append(event)

    def attach(self) -> None:
        """Let the daemon come."""
        self.switch.attach(
            post=self.post, books=lambda: BOOKS, close_gate=self.gate.append, heard=lambda: self.heard_at, known=self.known.get
        )

    def kinds(self) -> list[type[Event]]:
        """Return the types of what was told."""
        return [type(event) for event in self.told]

    def on_disk(self) -> KillRecord:
        """Return the record."""
        record = read_record(self.state / RECORD_FILE)
        assert record is not None
        return record


def lived(
    state: Path, play: Callable[[House], Awaitable[None]], broker: Broker | None = None, *, attached: bool = True, end_seconds: float = 10.0
) -> House:
    """Play with a switch and return the house."""

    async def main() -> House:
        clock, venue = VirtualClock(START), broker or Broker()

        @asynccontextmanager
        async def open_venue() -> AsyncIterator[KillVenue]:
            yield venue

        parts = KillSwitchParts(
            state=state,
            clock=clock,
            epoch="e1",
            open_venue=open_venue,
            books=lambda: {"a": {"SPY": Decimal(1)}},
            poll_seconds=1.0,
            end_seconds=end_seconds,
        )
        house = House(state, venue, clock, KillSwitch(parts))
        async with house.switch:
            if attached:
                house.attach()
            await play(house)
        return house

    return virtual(main)


async def nothing(house: House) -> None:
    """Do nothing."""


async def pulled(house: House) -> None:
    """Pull it and wait for its end."""
    house.switch.pull("operator", "drill")
    assert await house.switch.wait(600.0)


def sent(symbol: str = "SPY", quantity: str = "10", attempt: int = 1) -> SentOrder:
    """Return an order of an earlier kill."""
    order = NewOrder(
        client_order_id=f"e1-20250303.9001-{symbol}-{attempt}",
        symbol=symbol,
        side=Side.SELL,
        quantity=Decimal(quantity),
        order_type=OrderType.MARKET,
        time_in_force=TimeInForce.DAY,
    )
    return SentOrder(order=order, attempt=attempt, price=Decimal(100), at=START)


def record_of(*orders: SentOrder, is_over: bool = True, epoch: str = "e1", flattens: bool = True) -> KillRecord:
    """Return the record of an earlier kill."""
    return KillRecord(
        pulled_at=START - timedelta(minutes=5),
        by="command line",
        reason="drill",
        flattens=flattens,
        number=FIRST_KILL_NUMBER,
        rebalance_id="20250303.9001",
        epoch=epoch,
        orders=list(orders),
        is_over=is_over,
    )


def test_nothing_happens_unless_it_is_pulled(tmp_path: Path) -> None:
    """No request, no event, no file."""
    house = lived(tmp_path, nothing)

    assert ([], [], []) == (house.broker.asked, house.told, house.gate)
    assert (None, None) == (house.switch.document(), house.switch.why_not_resume())
    assert [] == list(tmp_path.iterdir())


def test_pulled_it_closes_the_gate_by_a_call_and_halts(tmp_path: Path) -> None:
    """Before it has asked anything of the venue; then it cancels, and says so everywhere."""

    async def play(house: House) -> None:
        house.switch.pull("operator", "drill")
        assert ["the kill switch was pulled by operator: drill"] == house.gate
        assert [KillSwitchPulled, TradingStateChanged] == house.kinds()
        assert [] == house.broker.asked
        assert not house.on_disk().is_over
        assert "still at work" in (house.switch.why_not_resume() or "")
        assert not await house.switch.wait(1.0)
        assert await house.switch.wait(60.0)

    house = lived(tmp_path, play, Broker(open={"a": report("a", "new")}))
    change = house.told[1]
    assert isinstance(change, TradingStateChanged)
    assert ("halted", "kill switch", "pulled by operator: drill") == (change.state, change.by, change.reason)
    assert [ExecutionReported, KillSwitchReported, ReconciliationDue] == house.kinds()[2:]
    assert ({"a": "canceled"}, True) == (house.on_disk().ended, house.on_disk().is_over)
    document = house.switch.document()
    assert document is not None
    assert ("operator", True, {"a": "canceled"}) == (document["by"], document["is_over"], document["ended"])


def test_its_sales_are_planned_for_who_holds_the_shares(tmp_path: Path) -> None:
    """The wishes add up; each order is in the record on the disk before it leaves; the plan ends with what was sold."""
    broker = Broker(shares={"SPY": Decimal(10)})
    taken = broker.submit

    async def submit(order: NewOrder) -> Any:
        on_disk = read_record(tmp_path / RECORD_FILE)
        assert on_disk is not None
        assert [order] == [one.order for one in on_disk.orders]
        return await taken(order)

    broker.submit = submit  # type: ignore[method-assign]

    async def play(house: House) -> None:
        house.switch.pull("operator", "drill", flattens=True)
        await house.switch.wait(600.0)

    house = lived(tmp_path, play, broker)
    (plan,) = [event for event in house.told if isinstance(event, RebalancePlanned)]
    (intent,) = plan.intents
    assert {"a": Decimal(6), "b": Decimal(4)} == {wish.strategy: wish.quantity for wish in intent.wishes}
    assert (True, "20250303.9001") == (plan.is_flatten, plan.rebalance_id)
    (intended,) = [event for event in house.told if isinstance(event, OrderIntended)]
    assert "e1-20250303.9001-SPY-1" == intended.order.client_order_id
    (parked,) = [event for event in house.told if isinstance(event, RebalanceParked)]
    assert ("everything was sold by the kill switch", ["filled"]) == (parked.reason, [one.state for one in parked.outcomes])
    assert {"SPY": Decimal(10)} == house.on_disk().sold


@pytest.mark.parametrize(("filled", "state"), [("4", "partial"), ("0", "unfilled")])
def test_what_was_not_sold_is_told(tmp_path: Path, filled: str, state: str) -> None:
    """In the end of its plan, in the report, in the record."""
    fills = iter([("canceled", filled), ("canceled", "0"), ("canceled", "0")])

    async def play(house: House) -> None:
        house.switch.pull("operator", "drill", flattens=True)
        await house.switch.wait(600.0)

    house = lived(tmp_path, play, Broker(shares={"SPY": Decimal(10)}, fills=lambda order: next(fills)))
    (parked,) = [event for event in house.told if isinstance(event, RebalanceParked)]
    assert [state] == [one.state for one in parked.outcomes]
    assert "were not sold after 3 orders" in parked.reason
    (told,) = [event for event in house.told if isinstance(event, KillSwitchReported)]
    assert house.on_disk().could_not == list(told.could_not) != []


def test_pulled_again_it_can_only_be_asked_to_sell_too(tmp_path: Path) -> None:
    """The same kill goes on; after its end another begins under the next number."""

    async def play(house: House) -> None:
        house.switch.pull("operator", "drill")
        house.switch.pull("signal", "again")
        assert not house.on_disk().flattens
        house.switch.pull("operator", "and sell", flattens=True)
        assert house.on_disk().flattens
        await house.switch.wait(600.0)
        assert 1 == house.kinds().count(KillSwitchPulled)
        await pulled(house)
        assert "20250303.9002" == house.on_disk().rebalance_id

    assert ["e1-20250303.9001-SPY-1"] == list(lived(tmp_path, play, Broker(shares={"SPY": Decimal(10)})).broker.sent)


def lines_of(house: House, captured: list[EventDict]) -> list[EventDict]:
    """Return the lines of the log about a pulled switch, the story's of what was told among them."""
    for number, event in enumerate(house.told):
        if isinstance(event, Storyteller.listens_to):
            Storyteller()(Envelope(number, event, 0.0))
    return [line for line in captured if line["event"] == "kill_switch_pulled"]


def test_the_log_has_one_line_of_a_pull(tmp_path: Path) -> None:
    """Written at once and by the switch itself, because the bus may be stuck; at a level that wakes somebody."""
    with capture_logs() as captured:
        house = lived(tmp_path, pulled)
        (line,) = lines_of(house, captured)

    assert ("operator", "drill", "error") == (line["by"], line["reason"], line["log_level"])


def test_the_log_has_one_line_of_a_pull_beside_the_daemon(tmp_path: Path) -> None:
    """Another process pulled it; the daemon writes the line when it takes the kill over."""
    write_record(tmp_path / DIRECT_FILE, record_of())
    with capture_logs() as captured:
        house = lived(tmp_path, nothing)
        (line,) = lines_of(house, captured)

    assert ("command line", "2025-03-03T14:55:00+00:00") == (line["by"], line["pulled_at"])


def test_a_bus_that_is_not_there_yet_hears_of_it_when_it_comes(tmp_path: Path) -> None:
    """It works without: the gate of the daemon is closed as soon as there is one, and what it sold is taken over."""

    async def play(house: House) -> None:
        house.switch.pull("signal", "SIGUSR1", flattens=True)
        await house.switch.wait(600.0)
        assert [] == house.told
        house.attach()

    house = lived(tmp_path, play, Broker(shares={"SPY": Decimal(1)}), attached=False)
    assert ["the kill switch was pulled by signal: SIGUSR1"] == house.gate
    assert [KillSwitchPulled, TradingStateChanged, RebalancePlanned, OrderIntended, ReconciliationDue] == house.kinds()


def test_a_bus_that_is_gone_keeps_nothing_from_being_done(tmp_path: Path) -> None:
    """While the daemon stops, for instance; the record has it."""

    async def play(house: House) -> None:
        house.is_closed = True
        await pulled(house)

    house = lived(tmp_path, play, Broker(open={"a": report("a", "new")}))
    assert [] == house.told
    assert {"a": "canceled"} == house.on_disk().ended


def test_the_end_of_the_process_waits_for_it_but_not_for_ever(tmp_path: Path) -> None:
    """A kill that is quick is finished; with a venue that is down the record says that it is not over."""
    broker = Broker(open={"a": report("a", "new")})

    async def play(house: House) -> None:
        house.switch.pull("operator", "drill")

    assert lived(tmp_path, play, broker).on_disk().is_over
    broker = Broker(open={"a": report("a", "new")})
    broker.lists.extend([VenueUnavailable("down")] * 1000)
    assert not lived(tmp_path, play, broker).on_disk().is_over


def test_the_file_pulls_it_once_for_each_text(tmp_path: Path) -> None:
    """While it is there nobody resumes; made again after it was removed it pulls again; the word in it asks for a sale."""

    async def play(house: House) -> None:
        pull_switch(tmp_path, "")
        await house.clock.sleep(30)
        assert f"{tmp_path / SWITCH_FILE} is there; remove it first" in (house.switch.why_not_resume() or "")
        assert 1 == house.kinds().count(KillSwitchPulled)
        (tmp_path / SWITCH_FILE).unlink()
        await house.clock.sleep(5)
        assert house.switch.why_not_resume() is None
        pull_switch(tmp_path, "please FLATTEN")
        await house.clock.sleep(30)

    house = lived(tmp_path, play)
    assert [("file", False), ("file", True)] == [(event.by, event.flattens) for event in house.told if isinstance(event, KillSwitchPulled)]
    assert "please FLATTEN" in house.on_disk().reason


def test_the_file_counts_from_the_first_moment_of_a_start(tmp_path: Path) -> None:
    """Before there is a daemon."""
    pull_switch(tmp_path, "")
    assert lived(tmp_path, nothing, attached=False).on_disk().is_over


@pytest.mark.parametrize("is_early", [False, True], ids=["while it is there", "before it is there"])
async def test_the_signal_pulls_it(tmp_path: Path, *, is_early: bool) -> None:
    """On a real loop, with a real signal; one that came while the process was starting counts. Afterwards it ends nobody either."""

    @asynccontextmanager
    async def open_venue() -> AsyncIterator[KillVenue]:
        yield Broker()

    parts = KillSwitchParts(
        state=tmp_path, clock=VirtualClock(START), epoch="e1", open_venue=open_venue, books=dict, takes_signals=True, end_seconds=0.01
    )
    before = signal.getsignal(signal.SIGUSR1)
    EARLY.listen()
    try:
        if is_early:
            os.kill(os.getpid(), signal.SIGUSR1)
        async with KillSwitch(parts) as switch:
            if not is_early:
                assert switch.record is None
                os.kill(os.getpid(), signal.SIGUSR1)
            while switch.record is None:
                await asyncio.to_thread(int)
            assert "signal" == switch.record.by
            assert ("starting" in switch.record.reason) == is_early
        os.kill(os.getpid(), signal.SIGUSR1)
        assert EARLY.taken()
        assert not EARLY.taken()
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_elsewhere_than_in_the_main_thread_no_signal_can_be_heard() -> None:
    """The daemon runs in a thread of somebody else's program: nothing is changed for it."""
    before = signal.getsignal(signal.SIGUSR1)
    thread = threading.Thread(target=EARLY.listen)
    thread.start()
    thread.join()
    assert before == signal.getsignal(signal.SIGUSR1)


def test_what_the_command_line_sold_is_taken_over_at_the_next_start(tmp_path: Path) -> None:
    """Halted, planned for who holds the shares, intended under the ids that were sent; a second attempt is of the same sale."""
    write_record(tmp_path / DIRECT_FILE, record_of(sent(), sent(quantity="3", attempt=2)))
    house = lived(tmp_path, nothing)

    assert [KillSwitchPulled, TradingStateChanged, RebalancePlanned, OrderIntended, OrderIntended, ReconciliationDue] == house.kinds()
    (plan,) = [event for event in house.told if isinstance(event, RebalancePlanned)]
    assert [Decimal(10)] == [intent.quantity for intent in plan.intents]


def test_what_the_command_line_does_while_the_daemon_runs_is_taken_over_as_it_comes(tmp_path: Path) -> None:
    """Each order once; what the journal has already is left alone."""

    async def play(house: House) -> None:
        write_record(tmp_path / DIRECT_FILE, record_of())
        await house.clock.sleep(5)
        assert [KillSwitchPulled, TradingStateChanged] == house.kinds()
        house.heard_at = START
        write_record(tmp_path / DIRECT_FILE, record_of(sent()))
        await house.clock.sleep(5)
        house.known[sent().order.client_order_id] = object()
        write_record(tmp_path / DIRECT_FILE, record_of(sent(), sent("OLD")))
        await house.clock.sleep(5)

    house = lived(tmp_path, play)
    assert ["SPY", "OLD"] == [event.order.symbol for event in house.told if isinstance(event, OrderIntended)]


def test_the_record_of_another_journal_is_none_of_this_one(tmp_path: Path) -> None:
    """Its ids would be unknown for ever."""
    write_record(tmp_path / RECORD_FILE, record_of(sent(), epoch="e0"))
    assert [] == lived(tmp_path, nothing).told


def test_a_kill_that_a_crash_cut_off_goes_on(tmp_path: Path) -> None:
    """It cancels at once; it sells as soon as the books follow the venue, for before that nobody knows what is left to be sold."""
    write_record(tmp_path / RECORD_FILE, record_of(is_over=False))

    async def play(house: House) -> None:
        assert not await house.switch.wait(120.0)
        document = house.switch.document()
        assert document is not None
        assert ("waiting for the books", {"a": "canceled"}) == (document["stage"], document["ended"])
        assert {} == house.broker.sent
        house.switch(Envelope(1, RecoveryCompleted(at=START, events_replayed=0, fills_recovered=0, open_orders=0), 0.0))
        assert await house.switch.wait(60.0)

    house = lived(tmp_path, play, Broker(open={"a": report("a", "new")}, shares={"SPY": Decimal(10)}))
    again = house.on_disk()
    assert ("restart", True, {"a": "canceled"}, True) == (again.by, again.is_over, again.ended, again.flattens)
    assert {"SPY": Decimal(10)} == again.sold
    assert ["e1-20250303.9002-SPY-1"] == list(house.broker.sent)


def test_a_kill_that_a_crash_cut_off_and_that_was_not_to_sell_does_not(tmp_path: Path) -> None:
    """It cancels and is over, whatever the books are."""
    write_record(tmp_path / RECORD_FILE, record_of(is_over=False, flattens=False))
    house = lived(tmp_path, nothing, Broker(shares={"SPY": Decimal(10)}))
    assert (True, False, {}) == (house.on_disk().is_over, house.on_disk().flattens, house.broker.sent)
    assert "sold" not in house.on_disk().reason


def test_a_second_crash_forgets_the_sale_as_little_as_the_first(tmp_path: Path) -> None:
    """Pulled again before the daemon was there, without a word of a sale, and cut off again: the record still asks for it."""
    write_record(tmp_path / RECORD_FILE, record_of(is_over=False))

    async def play(house: House) -> None:
        house.switch.pull("signal", "again")
        assert (house.on_disk().flattens, house.on_disk().is_over) == (True, False)
        house.attach()

    lived(tmp_path, play, attached=False, end_seconds=1.0)
    record = read_record(tmp_path / RECORD_FILE)
    assert record is not None
    assert (record.flattens, record.is_over, record.by) == (True, False, "signal")


def test_a_record_that_cannot_be_written_or_read_stops_nothing(tmp_path: Path) -> None:
    """The disk is full, or somebody has been at the file."""
    record = record_of()
    assert not write_record(tmp_path / "no such folder" / RECORD_FILE, record)
    assert write_record(tmp_path / RECORD_FILE, record)
    assert record == read_record(tmp_path / RECORD_FILE)
    (tmp_path / RECORD_FILE).write_text("{")
    assert None is read_record(tmp_path / RECORD_FILE) is read_record(tmp_path / "nothing")


def test_a_switch_that_cannot_be_read_is_pulled(tmp_path: Path) -> None:
    """It is there, and that is what counts."""
    assert read_switch(tmp_path) is None
    (tmp_path / SWITCH_FILE).mkdir()
    assert "" == read_switch(tmp_path)


def test_kills_are_counted_by_session(tmp_path: Path) -> None:
    """Their numbers are those of no decision; a new session begins anew."""
    path = tmp_path / RECORD_FILE

    def begun(now: datetime) -> str:
        record = new_record(path, now=now, by="x", reason="", flattens=False, epoch="e1", first_number=FIRST_KILL_NUMBER)
        write_record(path, record)
        return record.rebalance_id

    keys = [begun(START), begun(START + timedelta(hours=1)), begun(START + timedelta(days=1))]
    assert ["20250303.9001", "20250303.9002", "20250304.9001"] == keys
    assert all(is_of_a_kill(key) for key in keys)
    assert not is_of_a_kill(rebalance_id(START.date(), 1))
    assert msgspec.json.decode(path.read_bytes())["number"] == FIRST_KILL_NUMBER
