"""The trading states: which of several restrictions holds, what each allows, and who lifts which."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alchemiser.domain.events import TradingStateChanged
from alchemiser.domain.orders import Side
from alchemiser.domain.trading import STATES, TradingScopes

AT = datetime(2025, 3, 3, 15, 0, tzinfo=UTC)


def changed(state: str, by: str = "operator", strategy: str | None = None, minutes: int = 0, reason: str = "drill") -> TradingStateChanged:
    """Return a change of a trading state."""
    return TradingStateChanged(at=AT + timedelta(minutes=minutes), state=state, by=by, reason=reason, strategy=strategy)


def after(*changes: TradingStateChanged) -> TradingScopes:
    """Return what holds after these changes."""
    scopes = TradingScopes()
    for change in changes:
        scopes.apply(change)
    return scopes


def account(scopes: TradingScopes) -> str:
    """Return the state of the account."""
    return "active" if scopes.account is None else scopes.account.state


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ((), "active"),
        ((changed("halted"), changed("paused")), "paused"),
        ((changed("halted", by="execution"), changed("active")), "active"),
        ((changed("paused"), changed("reducing", by="guard:drawdown")), "paused"),
        ((changed("reducing", by="guard:drawdown"), changed("active")), "reducing"),
        ((changed("halted", by="guard:drawdown"), changed("reducing", by="guard:rejects")), "halted"),
        ((changed("halted", by="guard:drawdown"), changed("active", by="guard:rejects")), "halted"),
        ((changed("halted", by="guard:drawdown"), changed("active", by="guard:drawdown")), "active"),
        ((changed("paused"), changed("halted", by="guard:drawdown"), changed("active", by="guard:drawdown")), "paused"),
        ((changed("halted", strategy="a"),), "active"),
    ],
)
def test_the_strictest_restriction_counts(changes: tuple[TradingStateChanged, ...], state: str) -> None:
    """Operator and daemon share one place, in which the last word counts; each guard has its own and lifts only that."""
    assert state == account(after(*changes))


@given(st.lists(st.tuples(st.sampled_from(STATES), st.sampled_from(["operator", "execution", "guard:a", "guard:b"]))))
def test_lifting_everything_leaves_nothing(changes: list[tuple[str, str]]) -> None:
    """Whatever came before: when every place has said active, trading is active and nothing is remembered."""
    places = ("operator", "guard:a", "guard:b")
    scopes = after(*(changed(state, by=by) for state, by in changes), *(changed("active", by=by) for by in places))

    assert {} == scopes.by_scope


def test_a_restriction_said_again_keeps_its_time() -> None:
    """A restart says again what holds, and did not begin with it."""
    scopes = after(changed("halted"), changed("halted", minutes=60))
    assert scopes.account is not None
    assert AT == scopes.account.since
    scopes.apply(changed("halted", minutes=90, reason="another"))
    assert (AT + timedelta(minutes=90), "another") == (scopes.account.since, scopes.account.reason)


@pytest.mark.parametrize(
    ("state", "strategy", "bought", "sold", "goes_on_buying", "goes_on_selling"),
    [
        ("active", None, True, True, True, True),
        ("reducing", None, False, True, False, True),
        ("paused", None, True, True, True, True),  # The gate holds it back for as long as it lasts.
        ("halted", None, False, False, True, True),  # The whole rebalance is stopped, not single intents.
        ("reducing", "a", False, True, False, True),
        ("paused", "a", False, True, True, True),
        ("halted", "a", False, True, False, False),
        ("halted", "b", True, True, True, True),
    ],
)
def test_what_each_state_allows(
    state: str, strategy: str | None, bought: bool, sold: bool, goes_on_buying: bool, goes_on_selling: bool
) -> None:
    """Of what is planned for strategy a, and of what is at work for it already."""
    scopes = after(changed(state, strategy=strategy))

    assert (bought, sold) == (scopes.denies(Side.BUY, ["a"]) is None, scopes.denies(Side.SELL, ["a"]) is None)
    assert (goes_on_buying, goes_on_selling) == (scopes.ends(Side.BUY, ["a"]) is None, scopes.ends(Side.SELL, ["a"]) is None)
    assert scopes.ends(Side.SELL, ["a"], is_flatten=True) is None


def test_a_strategy_that_may_not_trade_keeps_what_it_holds() -> None:
    """Paused and halted strategies keep it, reducing ones may sell; a reducing account reduces every strategy."""
    scopes = after(changed("paused", strategy="a"), changed("reducing", strategy="b", by="guard:strategy_drawdown"))

    assert "trading of a was paused by operator: drill" == scopes.keeps("a")
    assert None is scopes.keeps("b")
    assert {"b": "trading of b was reduced by guard:strategy_drawdown: drill"} == scopes.reducing(["a", "b"])
    assert ["a", "b"] == list(scopes.strategies())
    scopes.apply(changed("reducing"))
    assert "trading was reduced by operator: drill" == scopes.reducing(["a"])["a"]
