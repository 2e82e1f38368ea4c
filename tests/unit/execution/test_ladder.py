"""The ladder: each rung crosses more of the spread, stands as long as spread and hour say, and ends as the settings say."""

from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from alchemiser.domain.market import Quote
from alchemiser.domain.orders import NewOrder, OrderType, Side, TimeInForce
from alchemiser.execution.decisions import GiveUp, Keep, Move, Send, Wait
from alchemiser.execution.ladder import Ladder, LadderRules, ladder_of, stands_seconds
from tests.unit.execution.situations import CLOSES_AT, OPENS_AT, SESSION, quote, situation, standing

NOON = OPENS_AT + timedelta(hours=3)


def ladder(fallback: str = "market", **rules: object) -> Ladder:
    """Return the ladder of the default rungs."""
    return ladder_of(LadderRules(fallback=fallback, **rules))  # type: ignore[arg-type]


def test_the_rungs_climb_to_the_far_side_and_then_comes_the_last_resort() -> None:
    """Rung by rung a limit order at the live quote; after the last one a market order."""
    found = [ladder().open(situation(rung=rung, quote=quote(99.90, 100.10))) for rung in range(4)]

    assert [Decimal("100.00"), Decimal("100.05"), Decimal("100.10"), None] == [one.limit_price for one in found if isinstance(one, Send)]
    assert ["rung 1", "rung 2", "rung 3", "last resort"] == [one.step for one in found if isinstance(one, Send)]
    assert OrderType.MARKET is found[3].order_type  # type: ignore[union-attr]
    assert {TimeInForce.DAY} == {one.time_in_force for one in found if isinstance(one, Send)}


def test_a_ladder_that_parks_gives_up_and_one_that_leaves_keeps_its_last_price() -> None:
    """The last resort is stated in the settings: nothing more, or the last limit until the deadline."""
    assert GiveUp("the ladder is used up") == ladder("park").open(situation(rung=3))
    left = ladder("leave").open(situation(rung=3, quote=quote(99.90, 100.10)))
    assert isinstance(left, Send)
    assert Decimal("100.10") == left.limit_price
    now = NOON + timedelta(seconds=170)
    assert Keep(situation().deadline) == ladder("leave").watch(situation(now=now, live=standing(left.limit_price, rung=2, since=NOON)))


@pytest.mark.parametrize("fault", ["absent", "halted", "stale", "ahead", "zero", "one_sided", "locked", "crossed"])
def test_a_quote_that_is_not_usable_prices_nothing(fault: str) -> None:
    """Whatever the rung, the market order of the last resort included: without a quote nothing is sent."""
    for rung in range(4):
        assert Wait(f"no usable quote: {fault}") == ladder().open(situation(rung=rung, quote=fault))


@pytest.mark.parametrize(
    ("spread_cents", "moment", "expected"),
    [
        (2, NOON, 5.0),
        (9, NOON, 5.0),
        (11, NOON, 7.5),
        (49, NOON, 7.5),
        (51, NOON, 10.0),
        (300, NOON, 10.0),
        (2, OPENS_AT, 10.0),
        (51, OPENS_AT + timedelta(minutes=14), 20.0),
        (2, OPENS_AT + timedelta(minutes=15), 5.0),
        (2, CLOSES_AT - timedelta(minutes=5, seconds=1), 5.0),
        (2, CLOSES_AT - timedelta(minutes=5), 2.5),
        (51, CLOSES_AT - timedelta(minutes=1), 5.0),
    ],
)
def test_how_long_a_rung_stands(spread_cents: int, moment: datetime, expected: float) -> None:
    """The table of docs/tactics.md: longer where the spread is wide and after the open, shorter before the close."""
    live = quote(100 - spread_cents / 200, 100 + spread_cents / 200)
    assert expected == pytest.approx(stands_seconds(LadderRules(), live, moment, SESSION))


def test_without_a_quote_a_rung_has_its_plain_time() -> None:
    """What is not known makes nobody wait."""
    assert stands_seconds(LadderRules(), "stale", NOON, SESSION) == pytest.approx(5.0)


def test_every_rung_gets_its_turn_before_the_deadline() -> None:
    """With twelve seconds left and three rungs and the last resort to go, each has three."""
    deadline = NOON + timedelta(seconds=12)
    live = standing("100", rung=0, since=NOON)

    assert Keep(NOON + timedelta(seconds=3)) == ladder().watch(situation(now=NOON, deadline=deadline, live=live))
    move = ladder().watch(situation(now=NOON + timedelta(seconds=3), deadline=deadline, live=live))
    assert Move("not filled within 3 s", 1) == move


def test_a_rung_whose_time_is_over_moves_up() -> None:
    """Not before, and at once then."""
    live = standing("100", rung=1, since=NOON)

    assert Keep(NOON + timedelta(seconds=5)) == ladder().watch(situation(now=NOON + timedelta(seconds=4.9), live=live))
    assert Move("not filled within 5 s", 2) == ladder().watch(situation(now=NOON + timedelta(seconds=5), live=live))


def test_a_market_that_moved_away_is_followed_after_a_moment() -> None:
    """A quote event re-pegs the order on its rung, but not every tick of it."""
    live = standing("100", rung=0, since=NOON)
    away = quote(100.4, 100.42)

    assert isinstance(ladder().watch(situation(now=NOON + timedelta(seconds=0.9), live=live, quote=away)), Keep)
    assert Move("the market has moved away", 0) == ladder().watch(situation(now=NOON + timedelta(seconds=1), live=live, quote=away))
    assert isinstance(ladder().watch(situation(now=NOON + timedelta(seconds=1), live=live, quote="stale")), Keep)


def test_a_market_order_is_never_behind() -> None:
    """It has no limit that could be left behind, and is moved only when its time is over."""
    base = standing("100", rung=3, since=NOON)
    order = NewOrder(
        client_order_id="e-20250303.1-SPY-4",
        symbol="SPY",
        side=Side.BUY,
        quantity=Decimal(10),
        order_type=OrderType.MARKET,
        time_in_force=TimeInForce.DAY,
    )
    live = type(base)(order, NOON, 3, NOON)
    far = Quote(symbol="SPY", bid=200, bid_size=1, ask=201, ask_size=1, at=NOON)
    assert isinstance(ladder().watch(situation(now=NOON + timedelta(seconds=2), live=live, quote=far)), Keep)


def test_following_the_market_does_not_start_the_rung_anew() -> None:
    """In a market that runs away every second the ladder climbs when the time of its rung is over."""
    live = standing("100", rung=0, since=NOON + timedelta(seconds=4.5), rung_since=NOON)
    assert Move("not filled within 5 s", 1) == ladder().watch(situation(now=NOON + timedelta(seconds=5), live=live))
