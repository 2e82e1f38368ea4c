"""The rebalancer: one plan from all answers, nothing from late ones, and at every end a stated reason and a compared ledger."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import TypeVar

import msgspec
import pytest

from alchemiser.bus.bus import Bus
from alchemiser.bus.envelope import Envelope
from alchemiser.domain.account import Account, Asset, BrokerPosition
from alchemiser.domain.errors import OrderDenied, VenueError, VenueUnavailable
from alchemiser.domain.events import (
    AccountObserved,
    DaemonStarted,
    DecisionDue,
    Event,
    FlattenOrdered,
    LedgerCompared,
    OrderFilled,
    OrderIntended,
    RebalanceCompleted,
    RebalanceParked,
    RebalancePlanned,
    ResultReported,
    SessionClosed,
    StrategyFailed,
    TargetProposed,
    TimerElapsed,
    TradingStateChanged,
)
from alchemiser.domain.intents import Intent, Wish
from alchemiser.domain.market import Session
from alchemiser.domain.orders import Fill, NewOrder, OrderType, Side, TimeInForce
from alchemiser.domain.trading import TradingScopes
from alchemiser.domain.venue import Venue
from alchemiser.portfolio.band import Band
from alchemiser.portfolio.handler import Rebalancer
from alchemiser.portfolio.ledger import Ledger
from alchemiser.portfolio.plan import PlanRules
from alchemiser.portfolio.planning import PortfolioParts
from alchemiser.service.clock import VirtualClock
from tests.solipsism import virtual

E = TypeVar("E", bound=Event)

START = datetime(2025, 3, 3, 20, 50, tzinfo=UTC)
DAY = date(2025, 3, 3)
SESSION = Session(date=DAY, opens_at=START - timedelta(hours=6), closes_at=START + timedelta(minutes=10))
ACCOUNT = Account(account_number="A", cash=Decimal(10_000), equity=Decimal(12_000), buying_power=Decimal(10_000), multiplier=1)
KEY = "20250303.1"


def position(symbol: str, quantity: str, price: str | None = "100") -> BrokerPosition:
    """Return a position as the broker has it."""
    return BrokerPosition(
        symbol=symbol,
        quantity=Decimal(quantity),
        available_quantity=Decimal(quantity),
        average_entry_price=Decimal(100),
        current_price=None if price is None else Decimal(price),
    )


class Broker:
    """The part of a venue that the rebalancer asks: the account and its positions. ``failing`` is raised first."""

    def __init__(self, account: Account = ACCOUNT, positions: Sequence[BrokerPosition] = ()) -> None:
        self.held = account
        self.rows = tuple(positions)
        self.failing: deque[VenueError] = deque()
        self.asked = 0

    async def account_and_positions(self) -> tuple[Account, tuple[BrokerPosition, ...]]:
        """Return the account and the positions."""
        self.asked += 1
        if self.failing:
            raise self.failing.popleft()
        return self.held, self.rows


class Desk:
    """The bus with a ledger and the rebalancer on virtual time. Strategies ``a`` and ``b`` have half of the account each."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self.clock = VirtualClock(START)
        self.bus = Bus(clock=self.clock)
        self.events: list[Event] = []
        self.ledger = Ledger(self.bus.post)
        self.mids: dict[str, float] = {"SPY": 100.0, "QQQ": 200.0, "OLD": 50.0}
        self.assets_asked: list[tuple[str, ...]] = []
        self.unfinished: str | None = None
        self.trading = TradingScopes()
        self.night_untold: VenueError | None = None
        self.has_room = asyncio.Event()
        self.has_room.set()
        self.rebalancer = Rebalancer(
            PortfolioParts(
                venue=_venue(broker),
                ledger=self.ledger,
                clock=self.clock,
                publish=self._publish,
                mids=lambda symbol, now: self.mids.get(symbol),
                assets=self._assets,
                check=lambda *circumstances: _denying_pennies,
                rules=PlanRules(band=Band(absolute=0.01), cash_reserve=Decimal(0)),
                allocations={"a": Decimal("0.5"), "b": Decimal("0.5")},
                unfinished=lambda: self.unfinished,
                trading=self.trading,
                hear_of_the_night=self._hear_of_the_night,
            )
        )
        self.bus.subscribe_inline("ledger", self.ledger.listens_to, self.ledger)
        self.bus.subscribe_inline("memory", (Event,), lambda envelope: self.events.append(envelope.event))
        self.bus.subscribe("rebalancer", self.rebalancer.listens_to, self.rebalancer.handle, wants=self.rebalancer.wants)

    async def _publish(self, event: Event, correlation: str | None = None) -> Envelope:
        await self.has_room.wait()
        return await self.bus.publish(event, correlation=correlation)

    async def _hear_of_the_night(self) -> None:
        if self.night_untold is not None:
            raise self.night_untold

    async def _assets(self, symbols: Sequence[str]) -> dict[str, Asset]:
        self.assets_asked.append(tuple(symbols))
        return {symbol: Asset(symbol=symbol, is_tradable=True, is_fractionable=True) for symbol in symbols}

    def of(self, kind: type[E]) -> list[E]:
        """Return the events of one type."""
        return [event for event in self.events if isinstance(event, kind)]

    def hold(self, strategy: str, symbol: str, quantity: str, price: str = "100") -> None:
        """Book a purchase of a strategy, as an earlier rebalance would have."""
        shares, key = Decimal(quantity), f"e-20250228.1-{symbol}{strategy}-1"
        wish = Wish(strategy=strategy, quantity=shares)
        intent = Intent(
            intent_id=symbol, symbol=symbol, side=Side.BUY, quantity=shares, reference_price=Decimal(price), drift=0.1, wishes=(wish,)
        )
        order = NewOrder(
            client_order_id=key,
            symbol=symbol,
            side=Side.BUY,
            quantity=shares,
            order_type=OrderType.MARKET,
            time_in_force=TimeInForce.DAY,
        )
        fill = Fill(
            execution_id=key,
            client_order_id=key,
            venue_order_id=key,
            symbol=symbol,
            side=Side.BUY,
            quantity=shares,
            price=Decimal(price),
            at=START,
        )
        self.bus.post(DaemonStarted(at=START, mode="paper", version="0", epoch="e", account_number="A", strategies={strategy: 1.0}))
        self.bus.post(plan_of(intent))
        self.bus.post(OrderIntended(at=START, rebalance_id="20250228.1", intent_id=symbol, attempt=1, order=order))
        self.bus.post(OrderFilled(at=START, fill=fill))

    def due(self, key: str = KEY) -> None:
        """Let a decision be due."""
        self.bus.post(DecisionDue(at=self.clock.now(), rebalance_id=key, session=DAY, reason="schedule"))

    def propose(self, strategy: str, weights: dict[str, float], key: str = KEY, prices: dict[str, float] | None = None) -> None:
        """Let a strategy answer with a target."""
        self.bus.post(
            TargetProposed(at=self.clock.now(), rebalance_id=key, strategy=strategy, weights=weights, prices=prices or {}, explanation=())
        )

    def fail(self, strategy: str, key: str = KEY) -> None:
        """Let a strategy answer with a reason."""
        self.bus.post(StrategyFailed(at=self.clock.now(), rebalance_id=key, strategy=strategy, reason="no bars of SPY"))


def _venue(broker: Broker) -> Venue:
    return broker  # type: ignore[return-value] # the rebalancer asks for nothing else


def _denying_pennies(intent: Intent, equity: Decimal) -> OrderDenied | None:
    return OrderDenied("below_minimum", intent.symbol) if intent.quantity * intent.reference_price < 5 else None


def plan_of(intent: Intent) -> RebalancePlanned:
    """Return the plan of an earlier day."""
    return RebalancePlanned(
        at=START,
        rebalance_id="20250228.1",
        session=date(2025, 2, 28),
        equity=Decimal(0),
        cash=Decimal(0),
        target={},
        prices={},
        capital={},
        intents=(intent,),
        denials=(),
        crossings=(),
    )


def played(play: Callable[[Desk], Awaitable[None]], broker: Broker | None = None) -> Desk:
    """Run a desk while ``play`` plays, wait until it is quiet, and return it."""

    async def main() -> Desk:
        desk = Desk(broker or Broker())
        async with asyncio.TaskGroup() as group:
            started = asyncio.Event()
            group.create_task(desk.bus.run(started.set))
            await started.wait()
            await play(desk)
            await desk.clock.sleep(60)
            report = await desk.bus.close(drain_seconds=5)
        assert report.unfinished == ()
        return desk

    return virtual(main)


def plans(desk: Desk) -> list[RebalancePlanned]:
    """Return the plans of today."""
    return [plan for plan in desk.of(RebalancePlanned) if plan.session == DAY]


def wanted(plan: RebalancePlanned) -> list[tuple[str, str, Decimal]]:
    """Return the intents in short."""
    return [(intent.side.value, intent.symbol, intent.quantity) for intent in plan.intents]


def test_a_plan_waits_for_every_strategy() -> None:
    """The first answer alone moves nothing: the second may cross it."""

    async def play(desk: Desk) -> None:
        desk.due()
        desk.propose("a", {"SPY": 1.0})
        await desk.clock.sleep(30)
        assert plans(desk) == []
        assert desk.broker.asked == 0
        desk.propose("b", {"QQQ": 1.0})

    desk = played(play)
    (plan,) = plans(desk)
    assert [("buy", "QQQ", Decimal(25)), ("buy", "SPY", Decimal(50))] == sorted(wanted(plan))
    assert {"SPY": 0.5, "QQQ": 0.5} == plan.target
    assert (KEY, DAY, Decimal(10_000)) == (plan.rebalance_id, plan.session, plan.cash)
    assert desk.broker.asked == 1
    assert [("QQQ", "SPY")] == desk.assets_asked
    (observed,) = desk.of(AccountObserved)
    assert observed.reason == "decision"


def test_a_plan_belongs_to_its_rebalance() -> None:
    """Its envelope names the rebalance, which is how its effects are found later."""
    seen: list[Envelope] = []

    async def play(desk: Desk) -> None:
        desk.bus.subscribe_inline("plans", (RebalancePlanned,), seen.append)
        desk.due()
        desk.propose("a", {"SPY": 1.0})
        desk.fail("b")

    played(play)
    assert [KEY] == [envelope.correlation for envelope in seen]


def test_a_failed_strategy_keeps_what_it_holds() -> None:
    """The others trade their own share, and what it holds is neither sold nor added to."""

    async def play(desk: Desk) -> None:
        desk.hold("b", "QQQ", "10", "200")
        desk.due()
        desk.fail("b")
        desk.propose("a", {"SPY": 1.0})

    desk = played(play, Broker(positions=[position("QQQ", "10", "200")]))
    (plan,) = plans(desk)
    assert [("buy", "SPY", Decimal(60))] == wanted(plan)
    assert {"a": Decimal(6_000), "b": Decimal(6_000)} == plan.capital


def test_without_a_single_target_the_rebalance_is_parked() -> None:
    """The reasons of all strategies are the reason, and the broker is not even asked."""

    async def play(desk: Desk) -> None:
        desk.due()
        desk.fail("a")
        desk.fail("b")

    desk = played(play)
    (parked,) = desk.of(RebalanceParked)
    assert parked.reason == "no strategy computed a target: a: no bars of SPY; b: no bars of SPY"
    assert (desk.broker.asked, plans(desk)) == (0, [])


def test_without_word_of_the_night_no_decision_is_planned() -> None:
    """What was split over night would be bought once more, at a fraction of its price."""

    async def play(desk: Desk) -> None:
        desk.night_untold = VenueUnavailable("the activities cannot be read")
        desk.due()
        desk.propose("a", {"SPY": 1.0})
        desk.propose("b", {"QQQ": 1.0})

    desk = played(play)
    (parked,) = desk.of(RebalanceParked)
    assert parked.reason == "no plan was made: the activities cannot be read"
    assert plans(desk) == []


def test_answers_to_another_decision_are_ignored() -> None:
    """Late ones, and those of a decision that never was."""

    async def play(desk: Desk) -> None:
        desk.propose("a", {"SPY": 1.0})
        desk.due()
        desk.propose("a", {"QQQ": 1.0}, key="20250228.1")
        desk.propose("a", {"SPY": 1.0})
        desk.fail("b", key="20250303.2")
        desk.propose("b", {"SPY": 1.0})
        await desk.clock.sleep(1)
        desk.propose("b", {"QQQ": 1.0})

    (plan,) = plans(played(play))
    assert [("buy", "SPY", Decimal(100))] == wanted(plan)


def test_a_strategy_that_answers_twice_counts_once() -> None:
    """Its last answer is its answer; the other strategy is still waited for."""

    async def play(desk: Desk) -> None:
        desk.due()
        desk.propose("a", {"QQQ": 1.0})
        desk.propose("a", {"SPY": 1.0})
        await desk.clock.sleep(1)
        assert plans(desk) == []
        desk.fail("b")

    (plan,) = plans(played(play))
    assert [("buy", "SPY", Decimal(50))] == wanted(plan)


def test_the_last_answer_of_a_strategy_counts_also_after_a_failure() -> None:
    """A strategy that failed at first and answered then has answered."""

    async def play(desk: Desk) -> None:
        desk.due()
        desk.fail("a")
        desk.propose("a", {"SPY": 1.0})
        desk.fail("b")

    (plan,) = plans(played(play))
    assert [("buy", "SPY", Decimal(50))] == wanted(plan)


def test_a_newer_decision_takes_the_place_of_one_that_still_waits() -> None:
    """The older one ends with that reason: whoever waits for its end, the clock for one, does not wait for ever."""

    async def play(desk: Desk) -> None:
        desk.due()
        desk.propose("a", {"QQQ": 1.0})
        desk.due("20250303.2")
        desk.propose("b", {"QQQ": 1.0})
        desk.propose("a", {"SPY": 1.0}, key="20250303.2")
        desk.propose("b", {"SPY": 1.0}, key="20250303.2")

    desk = played(play)
    (parked,), (plan,) = desk.of(RebalanceParked), plans(desk)
    assert (KEY, "20250303.2") == (parked.rebalance_id, plan.rebalance_id)
    assert "20250303.2" in parked.reason
    assert desk.events.index(parked) < desk.events.index(plan)


def test_nothing_is_planned_on_top_of_a_rebalance_in_progress() -> None:
    """Its orders may still fill, and their fills belong to its plan."""

    async def play(desk: Desk) -> None:
        desk.unfinished = "20250303.1"
        desk.due("20250303.2")
        desk.propose("a", {"SPY": 1.0}, key="20250303.2")
        desk.propose("b", {"SPY": 1.0}, key="20250303.2")
        await desk.clock.sleep(1)
        desk.bus.post(FlattenOrdered(at=desk.clock.now(), rebalance_id="20250303.3", session=DAY, by="operator"))

    desk = played(play)
    assert plans(desk) == []
    assert ["20250303.2", "20250303.3"] == [parked.rebalance_id for parked in desk.of(RebalanceParked)]
    assert all("rebalance 20250303.1 is in progress" in parked.reason for parked in desk.of(RebalanceParked))


def test_a_blocked_account_is_not_traded() -> None:
    """The broker's flags are named in the reason."""
    blocked = msgspec.structs.replace(ACCOUNT, blocks=("trading_blocked", "account_blocked"))

    async def play(desk: Desk) -> None:
        desk.due()
        desk.propose("a", {"SPY": 1.0})
        desk.propose("b", {"SPY": 1.0})

    desk = played(play, Broker(blocked))
    (parked,) = desk.of(RebalanceParked)
    assert parked.reason == "the account may not trade: trading_blocked, account_blocked"
    assert plans(desk) == []


def test_a_broker_that_cannot_be_asked_parks_the_rebalance() -> None:
    """No plan is made from guesses, and the next decision is a new one."""

    async def play(desk: Desk) -> None:
        desk.broker.failing.append(VenueUnavailable("503 from /v2/account"))
        for key in (KEY, "20250303.2"):
            desk.due(key)
            desk.propose("a", {"SPY": 1.0}, key=key)
            desk.propose("b", {"SPY": 1.0}, key=key)

    desk = played(play)
    (parked,) = desk.of(RebalanceParked)
    assert parked.reason == "no plan was made: 503 from /v2/account"
    assert ["20250303.2"] == [plan.rebalance_id for plan in plans(desk)]


def test_a_holding_that_cannot_be_valued_parks_the_rebalance() -> None:
    """Every share of the equity would be a guess."""

    async def play(desk: Desk) -> None:
        desk.hold("a", "GONE", "10")
        desk.due()
        desk.propose("a", {"SPY": 1.0})
        desk.propose("b", {"SPY": 1.0})

    desk = played(play)
    (parked,) = desk.of(RebalanceParked)
    assert parked.reason.startswith("no plan was made: no_price")
    assert plans(desk) == []


def test_prices_are_live_or_else_those_of_the_decision_or_else_the_brokers() -> None:
    """In this order; a symbol with none of them is denied by name."""

    async def play(desk: Desk) -> None:
        desk.mids = {"SPY": 100.0}
        desk.hold("a", "OLD", "10", "50")
        desk.due()
        desk.propose("a", {"SPY": 0.4, "QQQ": 0.4, "DARK": 0.2}, prices={"SPY": 90.0, "QQQ": 210.0})
        desk.fail("b")

    desk = played(play, Broker(positions=[position("OLD", "10", "55"), position("DARK", "1", None)]))
    (plan,) = plans(desk)
    assert {"SPY": Decimal(100), "QQQ": Decimal(210), "OLD": Decimal(55)} == plan.prices
    assert [("no_price", "DARK")] == [(denial.code, denial.symbol) for denial in plan.denials]


def test_a_price_below_its_last_decimal_is_none() -> None:
    """Nothing is divided by it: the symbol is denied by name, and the others are traded."""

    async def play(desk: Desk) -> None:
        desk.mids = {"SPY": 100.0, "DUST": 0.0000001}
        desk.due()
        desk.propose("a", {"SPY": 0.5, "DUST": 0.5})
        desk.fail("b")

    (plan,) = plans(played(play))
    assert [("no_price", "DUST")] == [(denial.code, denial.symbol) for denial in plan.denials]
    assert ["SPY"] == [intent.symbol for intent in plan.intents]


def test_what_a_check_refuses_is_in_the_plan() -> None:
    """Each denial with its code; the rest is traded."""

    async def play(desk: Desk) -> None:
        desk.due()
        desk.propose("a", {"SPY": 0.9999, "QQQ": 0.0001})
        desk.fail("b")

    (plan,) = plans(played(play))
    assert ["SPY"] == [intent.symbol for intent in plan.intents]
    assert [("below_minimum", "QQQ")] == [(denial.code, denial.symbol) for denial in plan.denials]


def test_flattening_sells_everything_that_the_strategies_hold() -> None:
    """Those of the settings, and one that is no longer in them; what belongs to nobody of ours stays."""

    async def play(desk: Desk) -> None:
        desk.hold("a", "SPY", "10")
        desk.hold("b", "QQQ", "5", "200")
        desk.hold("removed", "OLD", "20", "50")
        desk.bus.post(FlattenOrdered(at=desk.clock.now(), rebalance_id=KEY, session=DAY, by="operator"))

    held = [position("SPY", "12"), position("QQQ", "5"), position("OLD", "20"), position("MINE", "7")]
    (plan,) = plans(played(play, Broker(positions=held)))
    assert [("sell", "OLD", Decimal(20)), ("sell", "QQQ", Decimal(5)), ("sell", "SPY", Decimal(10))] == sorted(
        wanted(plan), key=lambda row: row[1]
    )
    assert plan.target == {}


def test_flattening_ends_a_decision_that_still_waits() -> None:
    """What the strategies answer afterwards would buy again."""

    async def play(desk: Desk) -> None:
        desk.hold("a", "SPY", "10")
        desk.due()
        desk.propose("a", {"SPY": 1.0})
        desk.bus.post(FlattenOrdered(at=desk.clock.now(), rebalance_id="20250303.2", session=DAY, by="operator"))
        desk.propose("b", {"SPY": 1.0})

    desk = played(play)
    (plan,), (parked,) = plans(desk), desk.of(RebalanceParked)
    assert ("20250303.2", KEY) == (plan.rebalance_id, parked.rebalance_id)
    assert [("sell", "SPY", Decimal(10))] == wanted(plan)


def test_a_decision_that_is_due_after_flattening_has_its_turn_after_it() -> None:
    """It is dealt with in its turn although the rebalancer was busy when both were told of, and is not parked by what came before it."""

    async def play(desk: Desk) -> None:
        desk.has_room.clear()
        desk.bus.post(SessionClosed(at=desk.clock.now(), session=SESSION))
        await desk.clock.sleep(1)  # The books are being closed.
        desk.bus.post(FlattenOrdered(at=desk.clock.now(), rebalance_id=KEY, session=DAY, by="operator"))
        for key in ("20250303.2", "20250303.3"):
            desk.due(key)
            desk.propose("a", {"SPY": 1.0}, key=key)
            desk.propose("b", {"SPY": 1.0}, key=key)
        desk.has_room.set()

    desk = played(play)
    assert [KEY, "20250303.2", "20250303.3"] == [plan.rebalance_id for plan in plans(desk)]
    assert desk.of(RebalanceParked) == []


@pytest.mark.parametrize("is_flatten", [True, False])
def test_a_decision_that_is_due_while_another_is_given_up_is_not_lost(is_flatten: bool) -> None:
    """The end of the one that is given up may have to wait for room; what is due meanwhile comes next, and every decision ends."""

    async def play(desk: Desk) -> None:
        desk.due()
        desk.has_room.clear()
        if is_flatten:
            desk.bus.post(FlattenOrdered(at=desk.clock.now(), rebalance_id="20250303.2", session=DAY, by="operator"))
        else:
            desk.due("20250303.2")
        await desk.clock.sleep(1)
        desk.due("20250303.3")
        desk.propose("a", {"SPY": 1.0}, key="20250303.3")
        desk.propose("b", {"SPY": 1.0}, key="20250303.3")
        desk.has_room.set()

    desk = played(play)
    ends = {event.rebalance_id for event in desk.events if isinstance(event, RebalancePlanned | RebalanceParked)}
    assert {KEY, "20250303.2", "20250303.3"} <= ends
    assert "20250303.3" in [plan.rebalance_id for plan in plans(desk)]


@pytest.mark.parametrize("seed", range(30))
def test_every_decision_ends_once_and_in_its_turn(seed: int) -> None:
    """Whatever comes while publishing waits: a plan or its refusal for each, in the order in which they were due."""
    random, keys = Random(seed), list[str]()

    async def play(desk: Desk) -> None:
        for number in range(40):
            key = f"20250303.{number}"
            deed = random.choice(["due", "due", "flatten", "answer", "answer", "answer", "closed", "room", "wait"])
            if deed == "due":
                keys.append(key)
                desk.due(key)
            elif deed == "flatten":
                keys.append(key)
                desk.bus.post(FlattenOrdered(at=desk.clock.now(), rebalance_id=key, session=DAY, by="operator"))
            elif deed == "answer" and keys:
                name, key = random.choice("ab"), random.choice(keys[-2:])
                if random.random() < 0.5:
                    desk.fail(name, key=key)
                else:
                    desk.propose(name, {"SPY": 1.0}, key=key)
            elif deed == "closed":
                desk.bus.post(SessionClosed(at=desk.clock.now(), session=SESSION))
            elif deed == "room":
                (desk.has_room.clear if desk.has_room.is_set() else desk.has_room.set)()
            elif deed == "wait":
                await desk.clock.sleep(random.choice([0.0, 1.0]))
        desk.has_room.set()
        desk.bus.post(SessionClosed(at=desk.clock.now(), session=SESSION))

    desk = played(play)
    assert keys == [event.rebalance_id for event in desk.events if isinstance(event, RebalancePlanned | RebalanceParked)]


def test_flattening_waits_for_no_word_of_the_night() -> None:
    """Whoever wants out sells what the books hold; too few shares are better than none."""

    async def play(desk: Desk) -> None:
        desk.night_untold = VenueUnavailable("the activities cannot be read")
        desk.hold("a", "SPY", "10")
        desk.bus.post(FlattenOrdered(at=desk.clock.now(), rebalance_id=KEY, session=DAY, by="operator"))

    (plan,) = plans(played(play))
    assert [("sell", "SPY", Decimal(10))] == wanted(plan)


def test_a_strategy_that_is_no_longer_wanted_keeps_its_shares_in_a_decision() -> None:
    """Taking it out of the settings sells nothing: a person flattens it, or gives it back."""

    async def play(desk: Desk) -> None:
        desk.hold("removed", "OLD", "20", "50")
        desk.due()
        desk.propose("a", {"SPY": 1.0})
        desk.fail("b")

    (plan,) = plans(played(play))
    assert ["SPY"] == [intent.symbol for intent in plan.intents]


def test_the_ledger_is_compared_at_the_end_of_a_session() -> None:
    """Each difference is named in words; none when they agree."""

    async def play(desk: Desk) -> None:
        desk.hold("a", "SPY", "10")
        desk.bus.post(AccountObserved(at=START, account=msgspec.structs.replace(ACCOUNT, cash=Decimal(9_990)), positions=(), reason="x"))
        desk.bus.post(SessionClosed(at=desk.clock.now(), session=SESSION))
        await desk.clock.sleep(1)
        desk.broker.rows = (position("SPY", "10"),)
        desk.broker.held = msgspec.structs.replace(ACCOUNT, cash=Decimal(8_990))
        desk.bus.post(SessionClosed(at=desk.clock.now(), session=SESSION))

    desk = played(play)
    first, second = desk.of(LedgerCompared)
    assert ("SPY: the books hold 10, the broker 0", "cash: the books hold 8990.00, the broker 10000.00") == first.differences
    assert ((), DAY) == (second.differences, second.session)


def test_each_session_ends_with_its_result() -> None:
    """Equity and cash as the broker has them, profit per strategy from our books at the broker's prices."""

    async def play(desk: Desk) -> None:
        desk.hold("a", "SPY", "10")
        desk.hold("b", "QQQ", "5", "200")
        desk.bus.post(SessionClosed(at=desk.clock.now(), session=SESSION))

    desk = played(play, Broker(positions=[position("SPY", "10", "101.5"), position("QQQ", "5", None)]))
    (result,), (compared,) = desk.of(ResultReported), desk.of(LedgerCompared)
    assert (DAY, Decimal(12_000), Decimal(10_000)) == (result.session, result.equity, result.cash)
    assert {"a": Decimal(15), "b": Decimal(0)} == result.unrealised
    assert {"a": Decimal(0), "b": Decimal(0)} == result.realised
    assert compared.session == DAY


def test_the_books_are_closed_when_the_auction_has_spoken() -> None:
    """A rebalance that still waits for the closing auction: its fills come first, then the result, and only once."""

    async def play(desk: Desk) -> None:
        desk.unfinished = "20250303.1"
        desk.bus.post(SessionClosed(at=desk.clock.now(), session=SESSION))
        await desk.clock.sleep(3)
        assert desk.of(ResultReported) == []
        desk.unfinished = None
        desk.bus.post(RebalanceCompleted(at=desk.clock.now(), rebalance_id="20250303.1", outcomes=()))
        await desk.clock.sleep(1)
        desk.bus.post(RebalanceCompleted(at=desk.clock.now(), rebalance_id="20250303.2", outcomes=()))

    desk = played(play)
    assert [DAY] == [result.session for result in desk.of(ResultReported)]


def test_a_decision_that_waits_for_an_answer_ends_with_its_session() -> None:
    """A strategy hangs: the rebalance is parked with that reason, the books are closed once, and what comes later plans nothing."""

    async def play(desk: Desk) -> None:
        desk.due()
        desk.propose("a", {"SPY": 1.0})
        await desk.clock.sleep(1)
        desk.bus.post(SessionClosed(at=desk.clock.now(), session=SESSION))
        await desk.clock.sleep(1)
        desk.propose("b", {"SPY": 1.0})

    desk = played(play)
    assert ["the session closed before every strategy had answered"] == [parked.reason for parked in desk.of(RebalanceParked)]
    assert desk.of(RebalancePlanned) == []
    assert [DAY] == [result.session for result in desk.of(ResultReported)]


def test_a_decision_that_ends_with_its_session_does_not_close_the_books_of_a_rebalance_in_progress() -> None:
    """The fills of the closing auction come first, whatever else is parked meanwhile."""

    async def play(desk: Desk) -> None:
        desk.due()
        desk.unfinished = "20250303.0"
        desk.bus.post(SessionClosed(at=desk.clock.now(), session=SESSION))
        await desk.clock.sleep(3)
        assert [parked.reason for parked in desk.of(RebalanceParked)] == ["the session closed before every strategy had answered"]
        assert desk.of(ResultReported) == []
        desk.unfinished = None
        desk.bus.post(RebalanceCompleted(at=desk.clock.now(), rebalance_id="20250303.0", outcomes=()))

    desk = played(play)
    assert [DAY] == [result.session for result in desk.of(ResultReported)]


def test_the_result_of_a_session_is_worth_asking_again() -> None:
    """A hiccup at the close is no reason to be without the day's result."""

    async def play(desk: Desk) -> None:
        desk.broker.failing.extend([VenueUnavailable("503"), VenueUnavailable("503")])
        desk.bus.post(SessionClosed(at=desk.clock.now(), session=SESSION))

    desk = played(play)
    assert [DAY] == [result.session for result in desk.of(ResultReported)]
    assert [()] == [compared.differences for compared in desk.of(LedgerCompared)]


def test_a_broker_that_stays_away_ends_the_session_without_a_result() -> None:
    """It is asked a stated number of times; what is said then is that it could not be asked."""

    async def play(desk: Desk) -> None:
        desk.broker.failing.extend([VenueUnavailable("503")] * 20)
        desk.bus.post(SessionClosed(at=desk.clock.now(), session=SESSION))

    desk = played(play)
    assert desk.of(ResultReported) == []
    assert [("the broker could not be asked: 503",)] == [compared.differences for compared in desk.of(LedgerCompared)]
    assert desk.broker.asked < 10


def test_other_events_are_not_its_business() -> None:
    """It may be handed anything."""

    async def play(desk: Desk) -> None:
        await desk.rebalancer.handle(Envelope(1, TimerElapsed(at=START, kind="execution", key=""), 0.0))

    assert played(play).events == []


def restricted(desk: Desk, state: str, strategy: str | None = None) -> None:
    """Leave the account or a strategy in a state."""
    desk.trading.apply(TradingStateChanged(at=START, state=state, by="operator", reason="drill", strategy=strategy))


def test_a_halted_account_has_no_plan() -> None:
    """The decision ends at once with the reason, and the broker is not even asked; the next one is due as ever."""

    async def play(desk: Desk) -> None:
        restricted(desk, "halted")
        desk.due()
        desk.propose("a", {"SPY": 1.0})
        desk.propose("b", {"SPY": 1.0})

    desk = played(play)
    (parked,) = desk.of(RebalanceParked)
    assert "no plan was made: trading was halted by operator: drill" == parked.reason
    assert 0 == desk.broker.asked


@pytest.mark.parametrize("state", ["paused", "halted"])
def test_a_strategy_that_may_not_trade_keeps_what_it_holds(state: str) -> None:
    """The others trade; the plan says why it does not."""

    async def play(desk: Desk) -> None:
        desk.hold("b", "QQQ", "10", "200")
        restricted(desk, state, "b")
        desk.due()
        desk.propose("a", {"SPY": 1.0})
        desk.propose("b", {"SPY": 1.0})

    desk = played(play, Broker(positions=(position("QQQ", "10", "200"),)))
    (plan,) = plans(desk)
    assert {"b": f"trading of b was {state} by operator: drill"} == plan.kept
    assert [("buy", "SPY")] == [one[:2] for one in wanted(plan)]
    assert ["a"] == [wish.strategy for intent in plan.intents for wish in intent.wishes]


def test_a_reducing_account_plans_sales_only_and_says_so_of_each_strategy() -> None:
    """What each would have bought is in the adjustments."""

    async def play(desk: Desk) -> None:
        desk.hold("b", "QQQ", "10", "200")
        restricted(desk, "reducing")
        desk.due()
        desk.propose("a", {"SPY": 1.0})
        desk.propose("b", {"SPY": 1.0})

    desk = played(play, Broker(positions=(position("QQQ", "10", "200"),)))
    (plan,) = plans(desk)
    assert [("sell", "QQQ", Decimal(10))] == wanted(plan)
    assert [("reducing", "a"), ("reducing", "b")] == [(note.code, note.subject) for note in plan.adjustments]


def test_everything_is_sold_whatever_the_state_of_a_strategy_is() -> None:
    """An order to flatten is the operator's, and so was the halt."""

    async def play(desk: Desk) -> None:
        desk.hold("b", "QQQ", "10", "200")
        restricted(desk, "halted", "b")
        desk.bus.post(FlattenOrdered(at=START, rebalance_id=KEY, session=DAY, by="operator"))

    desk = played(play, Broker(positions=(position("QQQ", "10", "200"),)))
    (plan,) = plans(desk)
    assert plan.is_flatten
    assert [("sell", "QQQ", Decimal(10))] == wanted(plan)
