"""Answers and control: what an operator asks for happens and is durable, or is refused with the reason and nothing was done."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from unittest.mock import patch

import pytest

from alchemiser.bus.bus import Bus
from alchemiser.bus.envelope import Envelope
from alchemiser.bus.reports import TurnReport
from alchemiser.domain.errors import NotReady, UsageError
from alchemiser.domain.events import (
    ActivityBooked,
    DecisionDue,
    Event,
    FlattenOrdered,
    GuardTripped,
    KillSwitchPulled,
    KillSwitchReported,
    LedgerCompared,
    LotsNamed,
    QuoteUpdated,
    Reconciled,
    ReconciliationDue,
    ReconciliationFailed,
    RecoveryCompleted,
    SessionClosed,
    StreamConnected,
    StreamLost,
    SymbolCleared,
    SymbolParked,
    TradingStateChanged,
)
from alchemiser.domain.reconciliation import Difference, DifferenceCode, Parking
from alchemiser.domain.setting_change import SettingChange
from alchemiser.execution.gate import SubmitGate
from alchemiser.journal.journal import Journal
from alchemiser.market.calendar import TradingCalendar
from alchemiser.market.quotes import QuoteBook
from alchemiser.market.schedule import parse_schedule
from alchemiser.service.answers import BY_HAND, DURABLE_SECONDS, Answers
from alchemiser.service.clock import VirtualClock
from alchemiser.service.health import HealthReport
from alchemiser.service.http import Action
from alchemiser.service.preview import Preview
from alchemiser.service.reconciliations import Reconciliations
from alchemiser.service.reload import Asked
from alchemiser.service.state import JournaledState
from alchemiser.service.view import RESOURCES, document, to_json
from alchemiser.service.vitals import Vitals
from tests.solipsism import virtual
from tests.unit.service.trading_day import COMPLETED, DAY, DECISION, EVENING, FILLS, KEY, MORNING, SESSION, observed

NOON = datetime(2025, 3, 3, 17, 0, tzinfo=UTC)


class Counting(Journal):
    """A journal that counts how often somebody waited for durability."""

    waits = 0

    async def durable(self, sequence: int) -> None:
        """Count and wait."""
        self.waits += 1
        await super().durable(sequence)


async def nothing_planned() -> Preview:
    """Return that there is no plan."""
    return Preview(as_of=NOON, reason="nothing is wanted")


class House:
    """The bus with a journal and all that answers, wired as in the daemon."""

    def __init__(self, directory: Path, at: datetime) -> None:
        loop = asyncio.get_running_loop()
        self.clock = VirtualClock(at)
        self.journal = Counting.open(directory / "journal.sqlite", new_epoch=lambda: "abc123", threaded=False)
        self.bus = Bus(clock=self.clock, tap=self.journal)
        self.state = JournaledState(self.bus.post)
        self.gate = SubmitGate(now=self.clock.now, cut_off=parse_schedule("close - 1m").at)
        self.quotes = QuoteBook()
        self.vitals = Vitals(loop_time=loop.time, now=self.clock.now, limit_seconds=60)
        self.reconciliations = Reconciliations(every_seconds=900, clock=self.clock, publish=self.bus.publish)
        self.answers = Answers(
            state=self.state,
            bus=self.bus,
            gate=self.gate,
            quotes=self.quotes,
            vitals=self.vitals,
            journal=self.journal,
            calendar=TradingCalendar.new_york(),
            clock=self.clock,
            preview=nothing_planned,
            cut_off=parse_schedule("close - 1m").at,
            reconciliations=self.reconciliations,
            stop=lambda reason: {"stopping": True, "why": reason},
            rearm=self.rearm,
            reload=self.reload,
        )
        self.bus.subscribe_inline("quotes", (QuoteUpdated,), self.quotes)
        for part in (
            self.state.orders,
            self.state.parked,
            self.reconciliations,
            self.state.ledger,
            self.state.rebalances,
            self.state.trading,
            self.state.guards,
            self.state.overview,
            self.gate,
        ):
            self.bus.subscribe_inline(type(part).__name__, part.listens_to, part)

    async def reload(self, by: str, *, only_checks: bool) -> Asked:
        """Stand for the settings."""
        change = SettingChange(key="by", before=by, after=str(only_checks), takes_effect="at once")
        return Asked(changes=(change,), waits_for=None)

    async def rearm(self, guard: str, strategy: str | None, **how: object) -> dict[str, object]:
        """Stand for the guards."""
        return {"armed": guard, "strategy": strategy, **how}

    def live(self, *events: Event) -> None:
        """Publish these events."""
        for event in events:
            self.bus.post(event)

    def ready(self, *events: Event) -> None:
        """Be in session and ready, then publish these events."""
        recovered = RecoveryCompleted(at=self.clock.now(), events_replayed=0, fills_recovered=0, open_orders=0)
        self.live(*MORNING, recovered, *events)

    async def of(self, kind: type[Event]) -> list[Event]:
        """Return the journaled events of one type."""
        await self.bus.durable()
        return [envelope.event for envelope in self.journal.read(types=(kind,))]


def asked(directory: Path, play: Callable[[House], Awaitable[None]], at: datetime = NOON) -> None:
    """Play in a house at a time."""

    async def main() -> None:
        house = House(directory, at)
        try:
            await play(house)
        finally:
            house.journal.close()

    virtual(main)


def codes(report: HealthReport) -> list[str]:
    """Return the codes of the reasons."""
    return [reason.code for reason in report.reasons]


@pytest.mark.parametrize(("action", "state"), [("pause", "paused"), ("resume", "active"), ("halt", "halted"), ("reduce", "reducing")])
def test_the_trading_state_is_changed_by_the_operator(tmp_path: Path, action: Action, state: str) -> None:
    """At any time of the day; it is durable before the answer says so."""

    async def play(house: House) -> None:
        waits = house.journal.waits
        assert {"trading": state, "durable": True} == await house.answers.control(action, {"reason": "drill"})
        assert house.journal.waits == waits + 1
        (changed,) = await house.of(TradingStateChanged)
        assert TradingStateChanged(at=NOON, state=state, by="operator", reason="drill") == changed
        assert ("trading" in house.gate.reasons) is (state in ("paused", "halted"))
        assert (house.gate.reduces is not None) is (state == "reducing")

    asked(tmp_path, play)


@pytest.mark.parametrize(("action", "state"), [("pause", "paused"), ("halt", "halted"), ("reduce", "reducing")])
def test_one_strategy_has_a_state_of_its_own(tmp_path: Path, action: Action, state: str) -> None:
    """The gate stays open for the others, and `status` tells of it; an unknown name changes nothing."""

    async def play(house: House) -> None:
        house.ready(*DECISION)
        (name, *_) = house.state.overview.started.strategies  # type: ignore[union-attr]
        assert {"trading": state, "durable": True, "strategy": name} == await house.answers.control(
            action, {"strategy": name, "reason": "drill"}
        )
        assert house.gate.is_open
        trading = house.answers.status()["trading"]
        assert ("active", state) == (trading["state"], trading["strategies"][name]["state"])
        assert {"trading": "active", "durable": True, "strategy": name} == await house.answers.control("resume", {"strategy": name})
        with pytest.raises(UsageError, match="there is no strategy 'nobody'; there are"):
            await house.answers.control(action, {"strategy": "nobody"})

    asked(tmp_path, play)


def test_what_a_guard_holds_back_is_not_resumed(tmp_path: Path) -> None:
    """The operator's own pause is lifted by it, a guard's restriction is not: it has to be re-armed by name."""

    async def play(house: House) -> None:
        house.live(TradingStateChanged(at=NOON, state="reducing", by="guard:drawdown", reason="down 30 %"))
        with pytest.raises(NotReady, match="drawdown holds trading back; re-arm it"):
            await house.answers.control("resume", {})
        assert house.state.trading.state == "reducing"
        assert "trading" in codes(house.answers.health())
        assert {"trading": "halted", "durable": True} == await house.answers.control("halt", {})

    asked(tmp_path, play)


TRIPPED = GuardTripped(
    at=NOON,
    guard="strategy_drawdown",
    strategy="klm",
    action="alarm",
    value=Decimal("0.31"),
    limit=Decimal("0.3"),
    cleared=Decimal("0.25"),
    text="down by 31 %",
)


def test_a_tripped_guard_is_told_and_an_alarm_keeps_nobody_from_trading(tmp_path: Path) -> None:
    """It is a reason of the health with its numbers and what to do, in `status`, and in the metrics."""

    async def play(house: House) -> None:
        house.ready(StreamConnected(at=NOON, stream="market"), TRIPPED)
        house.vitals.on_turn(TurnReport(seconds=0.0, answered={}, busy={}, overdue={}))
        house.live(TradingStateChanged(at=NOON, state="paused", by="operator", reason="lunch", strategy="klm"))
        report = house.answers.health()
        assert report.ready
        assert ["guard", "strategy_trading"] == codes(report)
        assert all(reason.is_alarm and reason.remedy for reason in report.reasons)
        assert "strategy_drawdown:klm (alarm): down by 31 %" == report.reasons[0].text
        assert ["alarm", "alarm"] == [reason["severity"] for reason in report.document()["reasons"]]
        (trip,) = house.answers.status()["guards"]
        assert ("strategy_drawdown", "klm", None) == (trip["guard"], trip["strategy"], trip["cleared_at"])
        assert {"strategy_drawdown": 1} == house.answers.gauges().guards_tripped

    asked(tmp_path, play)


def test_a_guard_is_armed_again_by_its_name(tmp_path: Path) -> None:
    """The strategy may be part of the name, as it is told everywhere; the answer waits for the disk."""

    async def play(house: House) -> None:
        waits = house.journal.waits
        done = await house.answers.control("rearm", {"guard": "strategy_drawdown:klm", "reason": "seen", "reset": True})
        assert {"armed": "strategy_drawdown", "strategy": "klm", "by": "operator", "reason": "seen", "reset": True} == done
        assert house.journal.waits == waits + 1
        named = await house.answers.control("rearm", {"guard": "drawdown", "strategy": "klm"})
        assert ("klm", False) == (named["strategy"], named["reset"])
        for nonsense in ({}, {"guard": 5}, {"guard": "drawdown", "strategy": 5}):
            with pytest.raises(UsageError, match="rearm needs the name of a guard"):
                await house.answers.control("rearm", nonsense)

    asked(tmp_path, play)


def test_lots_are_named_once_nothing_is_being_traded(tmp_path: Path) -> None:
    """The answer waits for the disk and says what is held; lots that are not, and a rebalance in progress, are refused by name."""

    async def play(house: House) -> None:
        house.ready(*DECISION)
        await house.bus.durable()
        with pytest.raises(NotReady, match=f"rebalance {KEY} is in progress"):
            await house.answers.control("lots", {"symbol": "SPY", "lots": ["e2"]})
        house.live(*FILLS)
        await house.bus.durable()
        waits = house.journal.waits
        done = await house.answers.control("lots", {"symbol": "spy", "lots": ["e2"], "reason": "tax"})
        assert {"symbol": "SPY", "sold_first": ["e2"], "held": ["e1", "e2"]} == done
        assert house.journal.waits == waits + 1
        (named,) = await house.of(LotsNamed)
        assert isinstance(named, LotsNamed)
        assert ("SPY", ("e2",), "operator", "tax") == (named.symbol, named.lots, named.by, named.reason)
        with pytest.raises(UsageError, match=r"no lot of SPY was bought by e9; held are e1, e2\. Nothing was done"):
            await house.answers.control("lots", {"symbol": "SPY", "lots": ["e9"]})
        for nonsense in ({}, {"symbol": 5}, {"symbol": "SPY", "lots": "e2"}, {"symbol": "SPY", "lots": [5]}):
            with pytest.raises(UsageError, match="lots needs a symbol and a list"):
                await house.answers.control("lots", nonsense)
        assert 1 == len(await house.of(LotsNamed))

    asked(tmp_path, play)


class Switch:
    """A kill switch that remembers how it was pulled."""

    def __init__(self) -> None:
        self.pulled: list[tuple[str, str, bool]] = []
        self.why_not: str | None = None

    def pull(self, by: str, reason: str, *, flattens: bool = False) -> None:
        """Remember it."""
        self.pulled.append((by, reason, flattens))

    async def wait(self, seconds: float) -> bool:
        """Be done."""
        return True

    def document(self) -> dict[str, object] | None:
        """Say what was done."""
        return {"is_over": True} if self.pulled else None

    def why_not_resume(self) -> str | None:
        """Say what the test wants."""
        return self.why_not


def test_the_kill_switch_is_pulled_and_told(tmp_path: Path) -> None:
    """Its report is the answer and in `status`; nobody resumes while it says no; without one it is refused."""

    async def play(house: House) -> None:
        with pytest.raises(NotReady, match="no kill switch"):
            await house.answers.control("kill", {})
        switch = Switch()
        house.answers._kill_switch = switch  # type: ignore[assignment]
        assert house.answers.status()["kill"] is None
        assert {"kill": {"is_over": True}} == await house.answers.control("kill", {"reason": "drill", "flatten": True})
        await house.answers.control("kill", {"flatten": "yes"})
        assert [("operator", "drill", True), ("operator", "asked for by the operator", False)] == switch.pulled
        assert {"is_over": True} == house.answers.status()["kill"]
        switch.why_not = "the file is there"
        with pytest.raises(NotReady, match="resume: the file is there"):
            await house.answers.control("resume", {})
        switch.why_not = None
        assert "active" == (await house.answers.control("resume", {}))["trading"]

    asked(tmp_path, play)


def test_a_kill_that_is_over_is_told_from_the_journal(tmp_path: Path) -> None:
    """As long as trading is halted: what it did, and before that, that it was pulled."""

    async def play(house: House) -> None:
        house.live(
            KillSwitchPulled(at=NOON, by="file", reason="drill", flattens=False, pulled_at=NOON),
            TradingStateChanged(at=NOON, state="halted", by="kill switch", reason="drill"),
        )
        assert {"by": "file", "reason": "drill", "at": NOON, "flattens": False, "is_over": False} == house.answers.status()["kill"]
        house.live(KillSwitchReported(at=NOON, ended={"a": "canceled"}, sold={}, could_not=("nothing",)))
        told = house.answers.status()["kill"]
        assert (True, {"a": "canceled"}, ["nothing"]) == (told["is_over"], told["ended"], told["could_not"])
        house.gate.kill("the kill switch was pulled")
        assert {"killed", "trading"} <= set(codes(house.answers.health()))
        await house.answers.control("resume", {})
        assert house.answers.status()["kill"] is None
        assert "killed" not in house.gate.reasons

    asked(tmp_path, play)


def test_who_flattens_does_not_want_it_bought_again(tmp_path: Path) -> None:
    """Trading is reducing from then on, until somebody resumes it."""

    async def play(house: House) -> None:
        house.ready(*DECISION, *FILLS)
        await house.answers.control("flatten", {"reason": "enough"})
        assert ("reducing", "everything was to be sold: enough") == (house.state.trading.state, house.state.trading.reason)

    asked(tmp_path, play)


@pytest.mark.parametrize("action", ["pause", "halt", "resume"])
def test_a_slow_disk_does_not_keep_the_operator_waiting(tmp_path: Path, action: Action) -> None:
    """It is in effect at once; the answer says that it is still being written, and it is written all the same."""

    async def play(house: House) -> None:
        flushed = asyncio.Event()

        async def slow(sequence: int) -> None:
            await flushed.wait()

        with patch.object(house.journal, "durable", slow):
            began = asyncio.get_running_loop().time()
            told = await house.answers.control(action, {"reason": "drill"})
            assert asyncio.get_running_loop().time() - began == pytest.approx(DURABLE_SECONDS, abs=0.01)
        assert told["durable"] is False
        assert house.state.trading.state == told["trading"]
        (changed,) = await house.of(TradingStateChanged)
        assert isinstance(changed, TradingStateChanged)
        assert changed.state == told["trading"]

    asked(tmp_path, play)


@pytest.mark.parametrize("action", ["pause", "halt"])
def test_what_stops_waits_for_no_full_mailbox(tmp_path: Path, action: Action) -> None:
    """A handler that is stuck with a full mailbox holds back publishers, not the kill switch."""

    async def play(house: House) -> None:
        async def stuck(envelope: Envelope) -> None:
            await asyncio.Event().wait()

        house.bus.subscribe("stuck", (TradingStateChanged,), stuck, capacity=1)
        house.bus.post(TradingStateChanged(at=NOON, state="active", by="operator", reason=""))
        async with asyncio.timeout(1):
            await house.answers.control(action, {})
        assert not house.gate.is_open

    asked(tmp_path, play)


def test_a_halt_needs_no_reason_and_no_session(tmp_path: Path) -> None:
    """The kill switch works at night, before recovery and without words."""

    async def play(house: House) -> None:
        await house.answers.control("halt", {})
        assert house.state.trading.state == "halted"
        assert house.state.trading.reason == "asked for by the operator"

    asked(tmp_path, play, datetime(2025, 3, 2, 3, 0, tzinfo=UTC))


def test_a_rebalance_is_a_decision_under_the_next_number(tmp_path: Path) -> None:
    """Its reason is the operator's."""

    async def play(house: House) -> None:
        house.ready()
        assert {"rebalance": KEY} == await house.answers.control("rebalance", {"reason": "new strategy"})
        (due,) = await house.of(DecisionDue)
        assert isinstance(due, DecisionDue)
        assert (KEY, DAY, "new strategy") == (due.rebalance_id, due.session, due.reason)
        assert {"rebalance": "20250303.2"} == await house.answers.control("rebalance", {})

    asked(tmp_path, play)


def test_flattening_is_ordered_by_name(tmp_path: Path) -> None:
    """It shares the numbers of the decisions."""

    async def play(house: House) -> None:
        house.ready(*DECISION, *FILLS)
        assert {"rebalance": "20250303.2"} == await house.answers.control("flatten", {})
        (ordered,) = await house.of(FlattenOrdered)
        assert isinstance(ordered, FlattenOrdered)
        assert ("20250303.2", "operator") == (ordered.rebalance_id, ordered.by)

    asked(tmp_path, play)


@pytest.mark.parametrize("action", ["rebalance", "flatten"])
@pytest.mark.parametrize(
    "at",
    [
        datetime(2025, 3, 2, 17, 0, tzinfo=UTC),
        SESSION.opens_at - timedelta(seconds=1),
        SESSION.closes_at - timedelta(seconds=30),
        SESSION.closes_at,
    ],
    ids=["sunday", "before the open", "after the cut-off", "at the close"],
)
def test_outside_the_session_nothing_is_traded(tmp_path: Path, action: Action, at: datetime) -> None:
    """The refusal says that nothing was done."""

    async def play(house: House) -> None:
        house.ready()
        with pytest.raises(NotReady, match=f"{action}: the exchange is closed or the cut-off has passed; nothing was done"):
            await house.answers.control(action, {})
        assert await house.of(DecisionDue) == await house.of(FlattenOrdered) == []

    asked(tmp_path, play, at)


@pytest.mark.parametrize("action", ["rebalance", "flatten"])
def test_with_a_closed_gate_nothing_is_traded(tmp_path: Path, action: Action) -> None:
    """Every reason of the gate is in the refusal."""

    async def play(house: House) -> None:
        house.ready(
            TradingStateChanged(at=NOON, state="halted", by="operator", reason="drill"),
            StreamLost(at=NOON, stream="orders", reason="reset"),
        )
        with pytest.raises(NotReady, match=r"not connected: reset.*nothing was done") as refused:
            await house.answers.control(action, {})
        assert "drill" in str(refused.value)
        assert await house.of(FlattenOrdered) == []

    asked(tmp_path, play)


@pytest.mark.parametrize("action", ["rebalance", "flatten"])
def test_one_rebalance_at_a_time(tmp_path: Path, action: Action) -> None:
    """What is in progress is named; when it has ended the next may begin."""

    async def play(house: House) -> None:
        house.ready(*DECISION)
        with pytest.raises(NotReady, match=f"{action}: rebalance {KEY} is in progress"):
            await house.answers.control(action, {})
        house.live(COMPLETED)
        assert {"rebalance": "20250303.2"} == await house.answers.control(action, {})

    asked(tmp_path, play)


def test_health_of_a_daemon_that_may_trade(tmp_path: Path) -> None:
    """Live and ready, also when the exchange has closed."""

    async def play(house: House) -> None:
        assert not house.answers.health().ready
        house.ready()
        assert HealthReport(live=True, ready=True) == house.answers.health()
        house.live(SessionClosed(at=SESSION.closes_at, session=SESSION))
        assert house.answers.health().ready
        assert not house.gate.is_open

    asked(tmp_path, play)


def test_health_names_everything_that_is_wrong(tmp_path: Path) -> None:
    """The streams, the ledger, the account, trading."""

    async def play(house: House) -> None:
        house.ready(
            StreamLost(at=NOON, stream="market", reason="reset"),
            LedgerCompared(at=NOON, session=None, differences=("SPY: 1 and 2", "cash: 3 and 4")),
            observed("0", "0", {}, blocks=("trading_blocked",)),
            TradingStateChanged(at=NOON, state="paused", by="operator", reason="lunch"),
        )
        report = house.answers.health()
        assert (True, False) == (report.live, report.ready)
        assert ["trading", "market_stream", "ledger", "account"] == codes(report)
        texts = {reason.code: reason.text for reason in report.reasons}
        assert texts["ledger"] == "SPY: 1 and 2; cash: 3 and 4"
        assert "trading_blocked" in texts["account"]

        house.live(
            StreamConnected(at=NOON, stream="market"),
            LedgerCompared(at=NOON, session=None, differences=()),
            observed("0", "0", {}),
            TradingStateChanged(at=NOON, state="active", by="operator", reason=""),
        )
        assert house.answers.health().ready

    asked(tmp_path, play)


def test_health_is_not_live_when_the_bus_stands_still(tmp_path: Path) -> None:
    """The turns of the bus are what counts, in seconds of the loop."""

    async def play(house: House) -> None:
        house.ready()
        await house.clock.sleep(121)
        assert ["bus_silent"] == codes(house.answers.health())
        house.vitals.on_turn(TurnReport(seconds=0.1, answered={}, busy={}, overdue={}))
        assert house.answers.health().is_well

    asked(tmp_path, play)


def test_gauges_before_anything_is_known(tmp_path: Path) -> None:
    """A scrape may come before the first event."""

    async def play(house: House) -> None:
        gauges = house.answers.gauges()
        assert (None, None, {}, {}, "active", None, 0) == (
            gauges.equity,
            gauges.cash,
            gauges.orders_by_state,
            gauges.realised,
            gauges.trading_state,
            gauges.last_decision_at,
            gauges.events_published,
        )

    asked(tmp_path, play)


def test_gauges_tell_orders_money_and_handlers(tmp_path: Path) -> None:
    """Profit is marked at the live quote, and at the broker's price where there is none."""

    async def play(house: House) -> None:
        house.ready(*DECISION)
        assert {"intended": 1} == house.answers.gauges().orders_by_state
        house.live(*FILLS, *EVENING[:3])
        gauges = house.answers.gauges()
        assert (Decimal(2010), Decimal(1000), {}) == (gauges.equity, gauges.cash, gauges.orders_by_state)
        assert {"one": Decimal(10), "two": Decimal(0)} == gauges.unrealised
        assert {"orders": True, "market": True} == gauges.streams_connected
        assert gauges.last_decision_at == DECISION[0].at
        assert gauges.events_published == house.bus.last_sequence
        assert "Ledger" in [handler.name for handler in gauges.handlers]

        house.live(QuoteUpdated(at=NOON, symbol="SPY", bid=101.5, bid_size=1, ask=102.5, ask_size=1))
        assert {"one": Decimal(20), "two": Decimal(0)} == house.answers.gauges().unrealised
        house.live(QuoteUpdated(at=NOON, symbol="SPY", bid=0.0, bid_size=0, ask=102.5, ask_size=1))
        assert {"one": Decimal(10), "two": Decimal(0)} == house.answers.gauges().unrealised

    asked(tmp_path, play)


def test_the_running_daemon_answers_every_question(tmp_path: Path) -> None:
    """As of now, with its own events."""

    async def play(house: House) -> None:
        house.ready(*DECISION, *FILLS)
        assert house.answers.as_of() == house.clock.now()
        for resource in RESOURCES:
            assert to_json(document(house.answers, resource, live=True))
        await house.bus.durable()
        last = house.answers.events(-1, 1)[0]
        assert (house.journal.last_sequence, "RebalanceCompleted") == (last["sequence"], last["type"])

    asked(tmp_path, play)


def test_a_stop_is_passed_on_with_its_reason_at_any_time(tmp_path: Path) -> None:
    """Also outside of a session and with the gate closed: leaving is always possible."""

    async def play(house: House) -> None:
        assert {"stopping": True, "why": "new kernel"} == await house.answers.control("stop", {"reason": "new kernel"})

    asked(tmp_path, play)


PARKING = Parking(code="position_less", reason="the broker has less", since=NOON)
SHORT = Difference(code=DifferenceCode.POSITION_LESS, subject="SPY", symbol="SPY", ours="10", theirs="6")


def test_a_comparison_is_asked_for_and_its_answer_awaited(tmp_path: Path) -> None:
    """At any time of the day; the operator sees each difference with both sides, its meaning and what is done about it."""

    async def play(house: House) -> None:
        house.live(*MORNING)

        def compare(envelope: Envelope) -> None:
            done = Reconciled(at=NOON, reason="drill", attempts=4, reports=(), differences=(SHORT,), parked={"SPY": PARKING})
            house.bus.post(done)

        house.bus.subscribe_inline("venue", (ReconciliationDue,), compare)
        answer = await house.answers.control("reconcile", {"reason": "drill"})
        (row,) = answer["reconciliation"]["differences"]
        assert answer["parked"] == ["SPY"]
        assert (4, "drill", None) == tuple(answer["reconciliation"][name] for name in ("attempts", "reason", "failed"))
        assert ("position_less", "parked", "10", "6") == tuple(row[name] for name in ("code", "remedy", "ours", "theirs"))
        assert row["meaning"]
        assert answer["reconciliation"] == house.answers.status()["reconciliation"]
        assert ["SPY"] == list(house.answers.status()["parked"])
        assert "parked" in codes(house.answers.health())
        assert "since" not in (house.gate.why_not("QQQ") or "")

    asked(tmp_path, play)


def test_a_comparison_that_failed_or_takes_too_long_is_refused_in_words(tmp_path: Path) -> None:
    """The venue's error is passed on; what is still going on is said to be."""

    async def play(house: House) -> None:
        house.live(*MORNING)
        with pytest.raises(NotReady, match="has not ended within 45 s"):
            await house.answers.control("reconcile", {})
        house.live(ReconciliationFailed(at=NOON, reason="gap", code="venue_unavailable", error="no answer", retries=True))
        with pytest.raises(NotReady, match=r"within 45 s \(so far: no answer\)"):
            await house.answers.control("reconcile", {})
        failed = ReconciliationFailed(at=NOON, reason="x", code="credentials_refused", error="unauthorized.", retries=False)
        house.bus.subscribe_inline("venue", (ReconciliationDue,), lambda envelope: house.live(failed))
        with pytest.raises(NotReady, match="could not be compared with: unauthorized"):
            await house.answers.control("reconcile", {})
        assert house.answers.status()["reconciliation"]["failed"]["code"] == "credentials_refused"

    asked(tmp_path, play)


def test_without_the_order_stream_nothing_is_compared(tmp_path: Path) -> None:
    """Nobody waits for an answer that only a new connection can bring."""

    async def play(house: House) -> None:
        house.live(*MORNING, StreamLost(at=NOON, stream="orders", reason="away"))
        with pytest.raises(NotReady, match="the order stream is away: what it misses is asked for"):
            await house.answers.control("reconcile", {})

    asked(tmp_path, play)


def comparing(house: House, broker_cash: str) -> None:
    """Compare the cash of the books with a broker that has so much, whenever that is asked for."""

    def compare(envelope: Envelope) -> None:
        ours = house.state.ledger.cash
        assert ours is not None
        theirs = Decimal(broker_cash)
        code = DifferenceCode.CASH_MORE if theirs > ours else DifferenceCode.CASH_LESS
        cash = Difference(code=code, subject="cash", symbol=None, ours=f"{ours:.2f}", theirs=f"{theirs:.2f}")
        found = (SHORT, cash) if ours != theirs else (SHORT,)
        house.live(observed(broker_cash, broker_cash, {}))
        house.live(Reconciled(at=NOON, reason="drill", attempts=1, reports=(), differences=found, parked={}))

    house.bus.subscribe_inline("venue", (ReconciliationDue,), compare)


@pytest.mark.parametrize("amount", ["1.23", "-1.23"])
def test_a_difference_of_cash_is_booked_by_hand(tmp_path: Path, amount: str) -> None:
    """To the account and to no strategy, once, durable, with the reason; the next comparison finds none."""

    async def play(house: House) -> None:
        house.live(*MORNING, observed("2000", "2000", {}))
        assert house.state.ledger.cash is not None
        comparing(house, str(house.state.ledger.cash + Decimal(amount)))

        done = await house.answers.control("reconcile", {"accept_cash": amount, "reason": "GME by hand"})

        assert done["accepted_cash"] == Decimal(amount)
        assert [row["code"] for row in done["reconciliation"]["differences"]] == ["position_less"]
        (event,) = await house.of(ActivityBooked)
        assert isinstance(event, ActivityBooked)
        assert (event.account_cash, event.activity.kind, event.activity.description) == (Decimal(amount), BY_HAND, "GME by hand")
        assert house.answers.pnl()["account_income"] == Decimal(amount)
        with pytest.raises(UsageError, match="there is none"):
            await house.answers.control("reconcile", {"accept_cash": amount})

    asked(tmp_path, play)


@pytest.mark.parametrize(
    ("amount", "words"),
    [
        ("1.24", r"it is \+1.23 dollars"),
        ("-1.23", r"it is \+1.23 dollars"),
        ("much", "must be dollars like"),
        ("sNaN", "must be dollars like"),
        ("-Infinity", "must be dollars like"),
    ],
)
def test_only_the_difference_that_is_found_is_booked(tmp_path: Path, amount: str, words: str) -> None:
    """To the cent: what somebody has explained is what he has seen."""

    async def play(house: House) -> None:
        house.live(*MORNING, observed("2000", "2000", {}))
        assert house.state.ledger.cash is not None
        comparing(house, str(house.state.ledger.cash + Decimal("1.23")))

        with pytest.raises(UsageError, match=words):
            await house.answers.control("reconcile", {"accept_cash": amount})

        assert await house.of(ActivityBooked) == []

    asked(tmp_path, play)


def test_a_parked_symbol_is_cleared_by_hand(tmp_path: Path) -> None:
    """Only one that is parked; it is durable before the answer says so, and nothing else happens."""

    async def play(house: House) -> None:
        house.live(*MORNING, SymbolParked(at=NOON, symbol="SPY", parking=PARKING))
        assert house.state.parked.why("SPY") == "SPY is parked: the broker has less"
        for clear in (["QQQ"], "SPY", [1]):
            with pytest.raises(UsageError):
                await house.answers.control("reconcile", {"clear": clear})
        assert "parked" in codes(house.answers.health())
        assert {"cleared": ["SPY"]} == await house.answers.control("reconcile", {"clear": ["SPY"], "reason": "counted by hand"})
        assert [SymbolCleared(at=NOON, symbol="SPY", by="operator", reason="counted by hand")] == await house.of(SymbolCleared)
        assert house.state.parked.why("SPY") is None
        assert "parked" not in codes(house.answers.health())

    asked(tmp_path, play)


@pytest.mark.parametrize(
    ("arguments", "by", "checks"),
    [({}, "operator: asked for by the operator", "False"), ({"reason": "operator", "check": True}, "operator", "True")],
)
async def test_a_reload_is_asked_for_by_the_operator(tmp_path: Path, arguments: dict[str, object], by: str, checks: str) -> None:
    """Who asked and why is handed on, and so is that nothing is to be changed."""
    house = House(tmp_path, NOON)

    done = await house.answers.control("reload", arguments)

    assert [(change.before, change.after) for change in done["changes"]] == [(by, checks)]
    house.journal.close()
