"""The trading state: what was last decided, by whom and why, also after a restart."""

from datetime import UTC, datetime, timedelta

import pytest

from alchemiser.bus.envelope import Envelope
from alchemiser.domain.events import Event, KillSwitchPulled, KillSwitchReported, TimerElapsed, TradingStateChanged
from alchemiser.domain.trading import STATES
from alchemiser.risk.state import TradingState

AT = datetime(2025, 3, 3, 15, 0, tzinfo=UTC)


def after(*events: Event) -> TradingState:
    """Return the state after these events."""
    trading = TradingState()
    for number, event in enumerate(events, start=1):
        trading(Envelope(number, event, 0.0))
    return trading


def changed(state: str, minutes: int = 0, by: str = "operator") -> TradingStateChanged:
    """Return a change of the state."""
    return TradingStateChanged(at=AT + timedelta(minutes=minutes), state=state, by=by, reason=f"{state} for a test")


def test_a_new_account_trades() -> None:
    """Nothing has to be switched on."""
    trading = TradingState()

    assert ("active", "start", "", None) == (trading.state, trading.by, trading.reason, trading.since)
    assert trading.state in STATES


@pytest.mark.parametrize("state", STATES)
def test_the_last_change_counts(state: str) -> None:
    """With who, why and since when."""
    trading = after(changed("halted", by="execution"), changed(state, 5))

    assert (state, "operator", f"{state} for a test") == (trading.state, trading.by, trading.reason)
    assert trading.since == AT + timedelta(minutes=5)


def test_other_events_change_nothing() -> None:
    """A halt is lifted by a person, not by what happens next."""
    trading = after(changed("halted"), TimerElapsed(at=AT, kind="execution", key=""))

    assert trading.state == "halted"


def test_every_restriction_is_said_again_at_a_start() -> None:
    """The gate of a new process has heard of none: the account's, each strategy's, and those of the guards."""
    halted = changed("halted")
    guard = TradingStateChanged(at=AT, state="reducing", by="guard:drawdown", reason="down", strategy="a")
    later = AT + timedelta(days=1)
    trading = after(halted, guard)

    again = trading.restated(later)
    assert [("halted", "operator", None), ("reducing", "guard:drawdown", "a")] == [(one.state, one.by, one.strategy) for one in again]
    assert {later} == {one.at for one in again}
    assert AT == after(halted, guard, *again).since


def test_a_state_of_a_strategy_is_none_of_the_account() -> None:
    """Nor does it say who changed the account last."""
    trading = after(changed("active"), TradingStateChanged(at=AT, state="halted", by="guard:x", reason="", strategy="a"))

    assert ("active", "operator") == (trading.state, trading.by)


def test_what_is_remembered_is_taken_up_in_place() -> None:
    """Whoever was given the scopes before a snapshot was read sees what it says."""
    trading, other = TradingState(), after(changed("halted"))
    scopes = trading.scopes
    trading.remember(other.memory())

    assert scopes is trading.scopes
    assert scopes.account is not None
    assert trading.state == "halted"


def test_the_last_kill_is_remembered_with_what_came_of_it() -> None:
    """A new one has no report yet."""
    pulled = KillSwitchPulled(at=AT, by="file", reason="drill", flattens=False, pulled_at=AT)
    over = KillSwitchReported(at=AT, ended={"a": "canceled"}, sold={}, could_not=())

    assert (pulled, None) == ((trading := after(pulled)).killed, trading.kill)
    assert (pulled, over) == ((trading := after(pulled, over)).killed, trading.kill)
    assert (pulled, None) == ((trading := after(over, pulled)).killed, trading.kill)
    other = TradingState()
    other.remember(after(pulled, over).memory())
    assert (pulled, over) == (other.killed, other.kill)
