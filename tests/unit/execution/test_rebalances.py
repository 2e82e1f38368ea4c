"""The memory of rebalances: a session is decided once, also across restarts, and what did not end is known."""

from datetime import date

import msgspec

from alchemiser.bus.envelope import Envelope
from alchemiser.domain.events import (
    DecisionDue,
    DecisionMissed,
    Event,
    FlattenOrdered,
    RebalanceCompleted,
    RebalanceParked,
    RebalancePlanned,
    TimerElapsed,
)
from alchemiser.execution.rebalances import Rebalances
from tests.unit.execution.desk import START, plan_of

DAY, NEXT_DAY = date(2025, 3, 3), date(2025, 3, 4)


def after(*events: Event) -> Rebalances:
    """Return the memory of these events."""
    rebalances = Rebalances()
    for number, event in enumerate(events, start=1):
        rebalances(Envelope(number, event, 0.0))
    return rebalances


def due(number: int = 1, day: date = DAY) -> DecisionDue:
    """Return a decision that is due."""
    return DecisionDue(at=START, rebalance_id=f"{day:%Y%m%d}.{number}", session=day, reason="schedule")


def planned(number: int = 1) -> RebalancePlanned:
    """Return the plan of a decision of the first day."""
    return msgspec.structs.replace(plan_of(), rebalance_id=f"20250303.{number}")


def parked(number: int = 1) -> RebalanceParked:
    """Return the end of a rebalance that was parked."""
    return RebalanceParked(at=START, rebalance_id=f"20250303.{number}", reason="test", outcomes=())


def completed(number: int = 1) -> RebalanceCompleted:
    """Return the end of a rebalance that was carried out."""
    return RebalanceCompleted(at=START, rebalance_id=f"20250303.{number}", outcomes=())


def test_rebalances_are_numbered_within_their_session() -> None:
    """Scheduled decisions and flattenings share the numbers; each session begins at one."""
    flatten = FlattenOrdered(at=START, rebalance_id="20250303.2", session=DAY, by="operator")

    assert Rebalances().next_number(DAY) == 1
    assert after(due(), flatten).next_number(DAY) == 3
    assert after(due(), flatten).next_number(NEXT_DAY) == 1


def test_a_decision_without_a_plan_settles_nothing() -> None:
    """The process ended between the decision and the plan: the next one decides again."""
    assert not after(due()).is_settled(DAY)
    assert after(due()).unfinished is None


def test_a_plan_settles_its_session() -> None:
    """With a plan there is something to carry on, and no second decision."""
    rebalances = after(due(), planned())

    assert rebalances.is_settled(DAY)
    assert not rebalances.is_settled(NEXT_DAY)
    assert rebalances.unfinished == planned()
    assert rebalances.unfinished_id() == "20250303.1"
    assert rebalances.last is None


def test_a_stated_miss_and_a_parked_decision_settle_their_session() -> None:
    """It was said why there is no plan; that is the session's decision."""
    missed = DecisionMissed(at=START, session=DAY, reason="too late")

    assert after(missed).is_settled(DAY)
    assert after(due(), parked()).is_settled(DAY)
    assert not after(due(day=NEXT_DAY), parked()).is_settled(NEXT_DAY)


def test_an_end_leaves_nothing_unfinished() -> None:
    """Completed or parked, the next start has nothing to take up."""
    for end in (completed(), parked()):
        rebalances = after(due(), planned(), end)

        assert rebalances.unfinished is None
        assert rebalances.unfinished_id() is None
        assert rebalances.last == end


def test_the_end_of_another_rebalance_leaves_the_present_one_unfinished() -> None:
    """One that a newer plan took the place of ends after the newer one was planned: the newer one is still to be carried out."""
    rebalances = after(due(), planned(), due(2), planned(2), parked(1))

    assert rebalances.unfinished == planned(2)
    assert rebalances.last == parked(1)


def test_a_decision_is_undecided_until_it_has_a_plan_or_an_end() -> None:
    """What an earlier process was about to decide is known after a restart, and nothing else is taken for it."""
    flatten = FlattenOrdered(at=START, rebalance_id="20250303.2", session=DAY, by="operator")

    assert after().undecided is None
    assert after(due()).undecided == due()
    for end in (planned(), parked(), completed()):
        assert after(due(), end).undecided is None
        assert after(due(), end, flatten).undecided == flatten
    assert after(due(), due(2), parked(1)).undecided == due(2)
    assert after(due(), planned(), due(2), completed(1)).undecided == due(2)


def test_other_events_change_nothing() -> None:
    """Only decisions, plans and ends are its business."""
    rebalances = after(TimerElapsed(at=START, kind="execution", key=""))

    assert (None, None) == (rebalances.unfinished, rebalances.last)
