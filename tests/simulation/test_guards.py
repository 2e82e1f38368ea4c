"""The guards in whole days of the whole daemon: they see what the market does, act on it, and forget nothing over night."""

from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import pytest

from alchemiser.domain.events import Event, GuardTripped, OrderIntended, RebalanceParked, RebalancePlanned, TradingStateChanged
from alchemiser.domain.orders import Side
from tests.simulation.days import journal_of, simulate

E = TypeVar("E", bound=Event)
STRATEGIES = {
    "rotation": {"source": "tests.simulation.traders:ShippedRotation"},
    "still": {"source": "tests.simulation.rotations:HoldOne"},
}


def played(state: Path, days: int, **guards: dict[str, Any]) -> list[Event]:
    """Play some days with these guards and return what happened."""
    limits = {f"risk.guards.{name}.{key}": value for name, one in guards.items() for key, value in one.items()}
    assert 0 == simulate(state, days=days, overrides={"strategies": STRATEGIES, **limits})
    return [envelope.event for envelope in journal_of(state)]


def of(events: list[Event], kind: type[E]) -> list[E]:
    """Return the events of one type."""
    return [event for event in events if isinstance(event, kind)]


@pytest.mark.slow
def test_by_default_a_quiet_week_trips_nothing(tmp_path: Path) -> None:
    """The defaults are for what is out of the ordinary."""
    events = played(tmp_path, 3)

    assert 3 == len(of(events, RebalancePlanned))
    assert ([], []) == (of(events, GuardTripped), of(events, TradingStateChanged))


@pytest.mark.slow
def test_a_strategy_that_loses_is_reduced_alone_also_after_a_restart(tmp_path: Path) -> None:
    """Whatever it loses trips it: from then on it buys nothing, and the other strategy trades as ever."""
    tiny = {"action": "reduce", "limit": 0.000001, "cleared": 0}
    first = played(tmp_path, 1, strategy_drawdown=tiny)
    tripped = {event.strategy for event in of(first, GuardTripped)}
    assert "rotation" in tripped  # Half the spread is a loss.

    events = played(tmp_path, 3, strategy_drawdown=tiny)
    assert {event.guard for event in of(events, GuardTripped)} == {"strategy_drawdown"}
    assert {event.state for event in of(events, TradingStateChanged)} == {"reducing"}
    for plan in of(events, RebalancePlanned)[1:]:
        assert "rotation" not in {wish.strategy for intent in plan.intents if intent.side is Side.BUY for wish in intent.wishes}
        assert "reducing" in {note.code for note in plan.adjustments if note.subject == "rotation"}


@pytest.mark.slow
def test_an_account_that_loses_is_halted_and_stays_so(tmp_path: Path) -> None:
    """No plan is made on any later day, and the reason has the numbers."""
    events = played(tmp_path, 3, drawdown={"action": "halt", "limit": 0.000001, "cleared": 0})

    trip, *again = of(events, GuardTripped)
    assert all(one.guard == "drawdown" for one in again)  # At a new best it is clear, and below it trips again.
    assert ("drawdown", "halt", None) == (trip.guard, trip.action, trip.strategy)
    assert "of their capital, the limit is" in trip.text
    assert trip.value > Decimal(0)
    (plan,) = of(events, RebalancePlanned)
    later = [event.reason for event in of(events, RebalanceParked) if event.rebalance_id != plan.rebalance_id]
    assert 2 == len(later)
    assert all("no plan was made: trading was halted by guard:drawdown: a profit of" in reason for reason in later)
    assert {plan.rebalance_id} == {event.rebalance_id for event in of(events, OrderIntended)}
