"""Headers in the daemon: what a strategy last traded to, and when it keeps what it holds."""

from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from alchemiser.bus.envelope import Envelope
from alchemiser.domain.events import DecisionDue, Event, FlattenOrdered, RebalanceParked, RebalancePlanned, TargetProposed
from alchemiser.domain.rebalancing import Frequency, Header
from alchemiser.portfolio.standing import StandingTargets
from tests.unit.portfolio.test_rebalancer import DAY, KEY, Desk, played

START = datetime(2025, 3, 3, 20, 50, tzinfo=UTC)
MONTHLY = Header(Frequency.MONTHLY)
CORRIDOR = Header(threshold=0.1)


def proposed(strategy: str, weights: dict[str, float], key: str = "20250303.1", header: Header = MONTHLY) -> TargetProposed:
    return TargetProposed(at=START, rebalance_id=key, strategy=strategy, weights=weights, prices={}, explanation=(), header=header)


def planned(key: str = "20250303.1", session: date = date(2025, 3, 3), kept: dict[str, str] | None = None) -> RebalancePlanned:
    zero = Decimal(0)
    return RebalancePlanned(
        at=START,
        rebalance_id=key,
        session=session,
        equity=zero,
        cash=zero,
        target={},
        prices={},
        capital={},
        intents=(),
        denials=(),
        crossings=(),
        kept=kept or {},
    )


def after(*events: Event) -> StandingTargets:
    standing = StandingTargets()
    for sequence, event in enumerate(events, start=1):
        standing(Envelope(sequence, event, 0.0))
    return standing


# --- what stands ---


def test_a_plan_makes_the_proposals_in_it_stand() -> None:
    """Only of the strategies that traded, and only what they proposed for that very rebalance."""
    stale, kept, traded = proposed("stale", {"A": 1.0}, "20250228.1"), proposed("kept", {"B": 1.0}), proposed("traded", {"C": 1.0})
    standing = after(stale, kept, traded, planned(kept={"kept": "it failed"})).by_strategy

    assert ["traded"] == list(standing)
    assert (standing["traded"].session, standing["traded"].weights) == (date(2025, 3, 3), {"C": 1.0})


def test_weights_are_told_of_those_that_have_traded() -> None:
    """A strategy that keeps what it holds and has never traded follows nothing."""
    standing = after(proposed("a", {"A": 1.0}), proposed("b", {"B": 1.0}), planned())
    assert {"b": {"B": 1.0}} == standing.weights_of(["b", "new"])


def test_what_was_not_carried_out_does_not_stand() -> None:
    """A parked rebalance takes its own targets back, a sale of everything takes all of them: they are due again."""
    first, second = (proposed("a", {"A": 1.0}), planned()), (proposed("b", {"B": 1.0}, "20250304.1"), planned("20250304.1"))
    parked = RebalanceParked(at=START, rebalance_id="20250304.1", reason="cut-off", outcomes=())
    flattened = FlattenOrdered(at=START, rebalance_id="20250304.2", session=DAY, by="operator")

    assert ["a", "b"] == list(after(*first, *second).by_strategy)
    assert ["a"] == list(after(*first, *second, parked).by_strategy)
    assert not after(*first, flattened).by_strategy


# --- what the rebalancer makes of it ---


def plan_after(
    play: Callable[[Desk], Awaitable[None]],
    *,
    last: date,
    held: dict[str, str],
    weights: dict[str, float],
    header: Header,
    reason: str = "schedule",
    before: dict[str, float] | None = None,
) -> RebalancePlanned:
    """Return the plan of a decision for which strategy a holds shares since ``last``, and b holds nothing and wants nothing held back."""

    async def decide(desk: Desk) -> None:
        for symbol, quantity in held.items():
            desk.hold("a", symbol, quantity)
            desk.mids[symbol] = 100.0
        for event in (proposed("a", before or weights, "20250228.9", header), planned("20250228.9", last)):
            desk.rebalancer._parts.standing(Envelope(1, event, 0.0))
        desk.bus.post(DecisionDue(at=START, rebalance_id=KEY, session=DAY, reason=reason))
        desk.bus.post(proposed("a", weights, KEY, header))
        desk.propose("b", {"ZZZ": 1.0}, prices={"ZZZ": 50.0})
        await play(desk)

    (plan,) = [plan for plan in played(decide).of(RebalancePlanned) if plan.rebalance_id == KEY]
    return plan


async def nothing_more(desk: Desk) -> None:
    """Leave it at the decision."""


@pytest.mark.parametrize(
    ("header", "last", "held", "weights", "before", "keeps"),
    [
        (MONTHLY, date(2025, 3, 3), {"AAA": "1", "BBB": "1"}, {"AAA": 0.9, "BBB": 0.1}, None, "rebalanced monthly, last on 2025-03-03"),
        (MONTHLY, date(2025, 2, 28), {"AAA": "1", "BBB": "1"}, {"AAA": 0.9, "BBB": 0.1}, None, None),
        (CORRIDOR, date(2025, 2, 28), {"AAA": "11", "BBB": "9"}, {"AAA": 0.5, "BBB": 0.5}, None, "within 0.1 of their target"),
        (CORRIDOR, date(2025, 2, 28), {"AAA": "13", "BBB": "7"}, {"AAA": 0.5, "BBB": 0.5}, None, None),
        (CORRIDOR, date(2025, 2, 28), {"AAA": "11", "BBB": "9"}, {"AAA": 0.5, "BBB": 0.5}, {"AAA": 0.5, "CCC": 0.5}, None),
        (Header(), date(2025, 2, 28), {"AAA": "13", "BBB": "7"}, {"AAA": 0.5, "BBB": 0.5}, None, "asks for nothing else"),
        (Header(Frequency.DAILY), date(2025, 3, 3), {"AAA": "11", "BBB": "9"}, {"AAA": 0.5, "BBB": 0.5}, None, None),
    ],
)
def test_a_strategy_that_is_not_due_keeps_what_it_holds(
    header: Header, last: date, held: dict[str, str], weights: dict[str, float], before: dict[str, float] | None, keeps: str | None
) -> None:
    """Calendar, corridor and change of selection decide who trades; who does not is named with the reason, and the others trade."""
    plan = plan_after(nothing_more, last=last, held=held, weights=weights, header=header, before=before)
    traded = {intent.symbol for intent in plan.intents}

    assert "ZZZ" in traded
    if keeps is None:
        assert plan.kept == {}
        assert traded & {"AAA", "BBB"}
    else:
        assert keeps in plan.kept["a"]
        assert not traded & {"AAA", "BBB"}
        assert plan.target == {"ZZZ": 0.5} | {symbol: weight / 2 for symbol, weight in weights.items()}, "it still follows its last target"


def test_who_asks_for_a_rebalance_gets_one() -> None:
    """A decision that an operator asked for is acted upon whatever the headers say."""
    plan = plan_after(
        nothing_more, last=date(2025, 3, 3), held={"AAA": "1"}, weights={"AAA": 1.0}, header=MONTHLY, reason="asked for by the operator"
    )

    assert plan.kept == {}
    assert "AAA" in {intent.symbol for intent in plan.intents}


def test_the_first_target_is_acted_upon() -> None:
    """A strategy that never traded is due, whatever its header."""

    async def decide(desk: Desk) -> None:
        desk.due()
        desk.bus.post(proposed("a", {"AAA": 1.0}, KEY, CORRIDOR))
        desk.fail("b")

    (plan,) = played(decide).of(RebalancePlanned)

    assert plan.kept == {"b": "no bars of SPY"}
