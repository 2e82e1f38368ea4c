"""The guards at work on a bus: what makes them look, what they publish, and how they are armed again."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TypeVar

import msgspec
import pytest

from alchemiser.bus.bus import Bus
from alchemiser.bus.envelope import Envelope
from alchemiser.domain.account import Account
from alchemiser.domain.errors import NotReady, UsageError
from alchemiser.domain.events import (
    AccountObserved,
    BarClosed,
    Event,
    GuardCleared,
    GuardRearmed,
    GuardTripped,
    LedgerCompared,
    OrderClosed,
    ProfitPeaked,
    RebalanceCompleted,
    RebalancePlanned,
    Reconciled,
    RecoveryCompleted,
    ResultReported,
    SessionClosed,
    SessionOpened,
    StreamLost,
    TimerElapsed,
    TradingStateChanged,
)
from alchemiser.domain.market import Bar, Session
from alchemiser.domain.reconciliation import Difference, DifferenceCode
from alchemiser.domain.shortfall import Shortfall, Slippage
from alchemiser.risk.guard_state import GuardState
from alchemiser.risk.guards import GuardAction, GuardName, GuardRule
from alchemiser.risk.handler import Books, GuardKeeper, GuardParts
from alchemiser.risk.state import TradingState
from alchemiser.service.clock import VirtualClock
from tests.solipsism import virtual

E = TypeVar("E", bound=Event)
START = datetime(2025, 3, 3, 15, 0, tzinfo=UTC)
DAY = date(2025, 3, 3)
SESSION = Session(date=DAY, opens_at=START, closes_at=START + timedelta(hours=6))
ACCOUNT = Account(account_number="A", cash=Decimal(1_000), equity=Decimal(0), buying_power=Decimal(0), multiplier=1)


def rule(action: GuardAction, limit: str, cleared: str) -> GuardRule:
    """Return a rule."""
    return GuardRule(action=action, limit=Decimal(limit), cleared=Decimal(cleared))


RULES = {
    GuardName.DAILY_LOSS: rule(GuardAction.HALT, "0.1", "0.05"),
    GuardName.STRATEGY_DAILY_LOSS: rule(GuardAction.OFF, "0.1", "0.05"),
    GuardName.DRAWDOWN: rule(GuardAction.OFF, "0.1", "0.05"),
    GuardName.STRATEGY_DRAWDOWN: rule(GuardAction.REDUCE, "0.3", "0.2"),
    GuardName.REJECTS: rule(GuardAction.ALARM, "2", "0"),
    GuardName.SLIPPAGE: rule(GuardAction.ALARM, "50", "25"),
    GuardName.STALE_DATA: rule(GuardAction.HALT, "60", "10"),
    GuardName.LEDGER: rule(GuardAction.ALARM, "1", "0.01"),
}
PLAN = RebalancePlanned(
    at=START,
    rebalance_id="20250303.1",
    session=DAY,
    equity=Decimal(2_000),
    cash=Decimal(0),
    target={},
    prices={},
    capital={"a": Decimal(1_000), "b": Decimal(1_000)},
    intents=(),
    denials=(),
    crossings=(),
)
BAR = Bar(symbol="SPY", start=START, open=1, high=1, low=1, close=1, volume=1)


class Watch:
    """The bus with the guards; ``profit`` is what each strategy has now, ``ages`` those of the quotes that are needed."""

    def __init__(self) -> None:
        self.clock = VirtualClock(START)
        self.bus = Bus(clock=self.clock)
        self.events: list[Event] = []
        self.state = GuardState()
        self.trading = TradingState()
        self.profit = {"a": Decimal(0), "b": Decimal(0)}
        self.ages: dict[str, float | None] = {}
        self.cash = Decimal(1_000)
        self.keeper = GuardKeeper(
            GuardParts(
                state=self.state,
                trading=self.trading.scopes,
                rules=RULES,
                clock=self.clock,
                publish=self.bus.publish,
                books=lambda: Books(realised=self.profit, unrealised={}, income={}, holdings={}, cash=self.cash),
                marks=lambda: {"SPY": Decimal(100)},
                ages=lambda now: self.ages,
            )
        )
        self.bus.subscribe_inline("memory", (Event,), lambda envelope: self.events.append(envelope.event))
        for name, part in (("state", self.state), ("trading", self.trading)):
            self.bus.subscribe_inline(name, part.listens_to, part)
        self.bus.subscribe("guards", GuardKeeper.listens_to, self.keeper.handle)

    def of(self, kind: type[E]) -> list[E]:
        """Return the events of one type."""
        return [event for event in self.events if isinstance(event, kind)]

    async def tell(self, *events: Event) -> None:
        """Publish these and let the guards deal with them."""
        for event in events:
            await self.bus.publish(event)
        await self.clock.sleep(0.01)

    async def bars(self, count: int) -> None:
        """Let so many minutes pass with their bars."""
        for _ in range(count):
            await self.clock.sleep(60)
            await self.tell(BarClosed(at=self.clock.now(), bar=BAR))

    async def rearm(self, guard: str, strategy: str | None = None, *, reset: bool = False) -> dict[str, object]:
        """Arm a guard again."""
        done = await self.keeper.rearm(guard, strategy, by="operator", reason="seen", reset=reset)
        await self.clock.sleep(0.01)
        return done


def watched(play: Callable[[Watch], Awaitable[None]], *, opened: bool = True) -> Watch:
    """Play before the guards, by default in an open session with a plan, and return what came of it."""

    async def main() -> Watch:
        watch = Watch()
        async with asyncio.TaskGroup() as group:
            started = asyncio.Event()
            group.create_task(watch.bus.run(started.set))
            await started.wait()
            if opened:
                await watch.tell(SessionOpened(at=START, session=SESSION), PLAN)
            await play(watch)
            assert (await watch.bus.close(drain_seconds=5)).unfinished == ()
        return watch

    return virtual(main)


def rejected(number: int) -> OrderClosed:
    """Return the end of an order that the venue refused."""
    return OrderClosed(
        at=START,
        client_order_id=f"x{number}",
        symbol="SPY",
        state="rejected",
        cumulative_quantity=Decimal(0),
        average_price=None,
        reason="no",
    )


def ended(bps: float) -> RebalanceCompleted:
    """Return the end of a rebalance that paid so much."""
    total = Slippage(quantity=Decimal(1), value=Decimal(100), arrival_cost=Decimal(1), arrival_bps=bps)
    return RebalanceCompleted(at=START, rebalance_id="20250303.1", outcomes=(), shortfall=Shortfall(total=total))


def test_a_loss_halts_the_account_and_only_a_person_lifts_it() -> None:
    """Once it has been so for two looks: the numbers are in the event, the halt is the guard's own, and being clear lifts nothing."""

    async def play(watch: Watch) -> None:
        watch.profit["a"] = Decimal(-210)
        await watch.bars(1)
        assert [] == watch.of(GuardTripped)  # One quote may be wrong.
        await watch.bars(2)
        assert watch.trading.state == "halted"
        with pytest.raises(NotReady, match=r"daily_loss is not clear: it reads 10\.50% of their capital, it is clear at 5\.00%"):
            await watch.rearm("daily_loss")
        watch.profit["a"] = Decimal(-90)
        await watch.bars(2)
        assert watch.trading.state == "halted"
        assert {"armed": "daily_loss", "measures_anew": False, "lifted": "halted"} == await watch.rearm("daily_loss")

    watch = watched(play)
    (trip,) = watch.of(GuardTripped)
    assert ("daily_loss", None, "halt", Decimal("0.105")) == (trip.guard, trip.strategy, trip.action, trip.value)
    assert "0.00 dollars at the last close is -210.00 now" in trip.text
    assert "that is 10.50% of their capital, the limit is 10.00% of their capital" in trip.text
    assert 1 == len(watch.of(GuardCleared)) == len(watch.of(GuardRearmed))
    assert [("halted", "guard:daily_loss"), ("active", "guard:daily_loss")] == [(e.state, e.by) for e in watch.of(TradingStateChanged)]
    assert "active" == watch.trading.state


def test_new_rules_judge_what_comes_and_lift_nothing() -> None:
    """A wider limit that is reloaded takes a loss for what it is from then on; what the old one tripped stays tripped."""
    wider = {**RULES, GuardName.DAILY_LOSS: rule(GuardAction.HALT, "0.5", "0.4")}

    async def lost_under_the_wider(watch: Watch) -> None:
        watch.keeper.work_by(wider)
        watch.profit["a"] = Decimal(-210)
        await watch.bars(3)

    async def lost_before_it(watch: Watch) -> None:
        watch.profit["a"] = Decimal(-210)
        await watch.bars(3)
        watch.keeper.work_by(wider)
        await watch.bars(3)
        assert watch.trading.state == "halted"

    assert [] == watched(lost_under_the_wider).of(GuardTripped)
    assert 1 == len(watched(lost_before_it).of(GuardTripped))


def test_one_wrong_quote_trips_nothing() -> None:
    """What was beyond the limit and is back begins anew."""

    async def play(watch: Watch) -> None:
        for _ in range(3):
            watch.profit["a"] = Decimal(-900)
            await watch.bars(1)
            watch.profit["a"] = Decimal(0)
            await watch.bars(1)

    assert [] == watched(play).of(GuardTripped)


def test_a_strategy_in_drawdown_is_reduced_alone_and_measures_anew_when_told() -> None:
    """Its peak was seen between results, and is in the journal; after the reset the same profit is no drawdown."""

    async def play(watch: Watch) -> None:
        watch.profit["a"] = Decimal(200)
        await watch.bars(1)
        watch.profit["a"] = Decimal(-110)
        await watch.bars(2)
        assert "active" == watch.trading.state
        assert "reducing" == watch.trading.scopes.strategies()["a"].state
        with pytest.raises(UsageError, match="strategy_drawdown has not tripped; tripped: strategy_drawdown:a"):
            await watch.rearm("strategy_drawdown")
        assert "reducing" == (await watch.rearm("strategy_drawdown", "a", reset=True))["lifted"]
        await watch.bars(3)

    watch = watched(play)
    assert [{"": Decimal(200), "a": Decimal(200)}] == [peak.profits for peak in watch.of(ProfitPeaked)]
    assert ["a"] == [trip.strategy for trip in watch.of(GuardTripped)]
    assert Decimal(-110) == watch.state.peaks["a"]
    assert {} == watch.trading.scopes.strategies()


def test_the_result_of_a_session_is_believed_at_once() -> None:
    """It rests on the broker's prices, not on a quote."""

    async def play(watch: Watch) -> None:
        lost = {"a": Decimal(-300), "b": Decimal(0)}
        await watch.tell(ResultReported(at=START, session=DAY, equity=Decimal(0), cash=Decimal(0), realised=lost, unrealised={}))

    assert ["daily_loss", "strategy_drawdown"] == [trip.guard for trip in watched(play).of(GuardTripped)]


def test_outside_the_session_and_without_capital_prices_are_not_looked_at() -> None:
    """A bar of the night is no loss of the day, and before the first plan there is nothing to lose a share of."""

    async def play(watch: Watch) -> None:
        watch.profit["a"] = Decimal(-900)
        await watch.tell(SessionClosed(at=START, session=SESSION))
        await watch.bars(3)

    async def early(watch: Watch) -> None:
        watch.profit["a"] = Decimal(-900)
        await watch.tell(SessionOpened(at=START, session=SESSION))
        await watch.bars(3)

    assert [] == watched(play).of(GuardTripped) == watched(early, opened=False).of(GuardTripped)


def test_bars_of_many_symbols_are_one_look() -> None:
    """All of one minute come together."""

    async def play(watch: Watch) -> None:
        watch.profit["a"] = Decimal(-900)
        await watch.clock.sleep(60)
        await watch.tell(*(BarClosed(at=watch.clock.now(), bar=BAR) for _ in range(20)))
        before = dict(watch.keeper.readings)
        watch.profit["a"] = Decimal(0)
        await watch.tell(BarClosed(at=watch.clock.now(), bar=BAR))
        assert before == watch.keeper.readings

    watched(play)


def test_refusals_alarm_and_are_forgotten_by_a_reset() -> None:
    """An alarm restricts nothing; a reset begins to count anew."""

    async def play(watch: Watch) -> None:
        for number in range(3):
            await watch.tell(rejected(number))
        assert {"armed": "rejects", "measures_anew": True, "lifted": None} == await watch.rearm("rejects", reset=True)
        await watch.tell(rejected(4))

    watch = watched(play)
    (trip,) = watch.of(GuardTripped)
    assert "the venue refused 2 orders one after the other, the last because: no" in trip.text
    assert [] == watch.of(TradingStateChanged)


def test_a_dear_rebalance_alarms_and_a_cheap_one_clears() -> None:
    """Twice dear after it was clear trips twice; what was not traded says nothing."""

    async def play(watch: Watch) -> None:
        await watch.tell(ended(60.0), ended(70.0), msgspec.structs.replace(ended(0.0), shortfall=None), ended(10.0), ended(60.0))

    watch = watched(play)
    assert [Decimal(60), Decimal(60)] == [trip.value for trip in watch.of(GuardTripped)]
    assert [Decimal(10)] == [clear.value for clear in watch.of(GuardCleared)]


def test_quotes_that_grow_old_under_a_rebalance_halt_it() -> None:
    """Looked at when a deadline of the rebalance passes; when it has ended no quote is needed, and the guard is clear."""

    async def play(watch: Watch) -> None:
        watch.ages = {"SPY": 80.0, "QQQ": None}
        for _ in range(5):
            await watch.clock.sleep(3)
            await watch.tell(TimerElapsed(at=watch.clock.now(), kind="execution", key=""))
            if not watch.of(GuardTripped):
                assert "active" == watch.trading.state
        assert "halted" == watch.trading.state
        watch.ages = {}
        await watch.tell(ended(0.0))

    watch = watched(play)
    assert ["stale_data"] == [trip.guard for trip in watch.of(GuardTripped)] == [clear.guard for clear in watch.of(GuardCleared)]


def test_ledger_and_broker_are_compared_where_somebody_compares_them() -> None:
    """At the end of a session by what the broker said then, and by every reconciliation."""
    seen = AccountObserved(at=START, account=ACCOUNT, positions=(), reason="session closed")
    compared = LedgerCompared(at=START, session=DAY, differences=())
    less = Difference(code=DifferenceCode.POSITION_LESS, subject="SPY", symbol="SPY", ours="2", theirs="1")
    reconciled = Reconciled(at=START, reason="timer", attempts=1, reports=(), differences=(less,), parked={})

    async def play(watch: Watch) -> None:
        await watch.tell(compared)  # Nobody has looked at the account yet.
        watch.cash = Decimal(1_005)
        await watch.tell(seen, compared)
        watch.cash = Decimal(1_000)
        await watch.tell(compared, reconciled)

    watch = watched(play)
    assert [Decimal(5), Decimal(100)] == [trip.value for trip in watch.of(GuardTripped)]
    assert [Decimal(0)] == [clear.value for clear in watch.of(GuardCleared)]


RECOVERED = RecoveryCompleted(at=START, events_replayed=0, fills_recovered=0, open_orders=0)
TRIPPED = GuardTripped(
    at=START, guard="drawdown", strategy=None, action="halt", value=Decimal(1), limit=Decimal(1), cleared=Decimal(0), text="down"
)


def test_a_crash_between_a_trip_and_its_halt_is_made_good() -> None:
    """The next start halts; an alarm that tripped has nothing to make good."""
    alarm = msgspec.structs.replace(TRIPPED, guard="rejects", action="alarm")
    watch = watched(lambda watch: watch.tell(TRIPPED, alarm, RECOVERED, RECOVERED), opened=False)

    assert [("halted", "guard:drawdown", "down")] == [(e.state, e.by, e.reason) for e in watch.of(TradingStateChanged)]


def test_a_crash_between_arming_and_lifting_is_made_good() -> None:
    """What belongs to no trip is lifted; what the operator asked for stays."""
    left = TradingStateChanged(at=START, state="reducing", by="guard:strategy_drawdown", reason="down", strategy="a")
    own = TradingStateChanged(at=START, state="paused", by="operator", reason="lunch")
    watch = watched(lambda watch: watch.tell(left, own, RECOVERED), opened=False)

    assert {} == watch.trading.scopes.strategies()
    assert "paused" == watch.trading.state


def test_what_happened_before_a_crash_is_judged_after_it() -> None:
    """The count is in the journal; the trip that should have followed comes with the recovery."""

    async def play(watch: Watch) -> None:
        for number, event in enumerate((rejected(1), rejected(2)), start=1):
            watch.state(Envelope(number, event, 0.0))
        await watch.tell(RECOVERED)

    assert ["rejects"] == [trip.guard for trip in watched(play, opened=False).of(GuardTripped)]


def test_what_cannot_be_armed_is_refused_by_name() -> None:
    """A guard that there is not, and one that has not tripped."""

    async def play(watch: Watch) -> None:
        with pytest.raises(UsageError, match="there is no guard 'luck'; there are daily_loss, "):
            await watch.rearm("luck")
        with pytest.raises(UsageError, match="slippage has not tripped; tripped: none"):
            await watch.rearm("slippage")
        await watch.tell(TRIPPED)
        with pytest.raises(NotReady, match="of their capital, it is clear at"):
            await watch.rearm("drawdown")  # Not read since, so what it tripped at is told.

    assert [] == watched(play).of(GuardRearmed)


def test_other_news_are_none_of_the_guards() -> None:
    """Whatever else a mailbox may be given."""

    async def play(watch: Watch) -> None:
        await watch.keeper.handle(Envelope(1, StreamLost(at=START, stream="orders", reason="x"), 0.0))

    assert {"stale_data"} == set(watched(play).keeper.readings)
