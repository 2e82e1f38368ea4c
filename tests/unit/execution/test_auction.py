"""The closing auction: cut-offs of full and half days, whole shares only, the fraction by a day order, and what the alternative takes."""

from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from alchemiser.domain.market import Session
from alchemiser.domain.orders import OrderType, Side, TimeInForce
from alchemiser.execution.auction import AUCTION_GRACE, Auction
from alchemiser.execution.decisions import Fall, Keep, Move, Send
from alchemiser.execution.ladder import LadderRules, ladder_of
from alchemiser.market.schedule import parse_schedule
from tests.unit.execution.situations import CLOSES_AT, HALF_DAY, NOON, SESSION, situation, standing


def auction(limit_bps: str | None = None, cut_off: str = "close - 10m") -> Auction:
    """Return market-on-close, or limit-on-close with a limit."""
    rules = LadderRules()
    name, bound = ("moc", None) if limit_bps is None else ("loc", Decimal(limit_bps))
    return Auction(ladder_of(rules), name, parse_schedule(cut_off), bound)


@pytest.mark.parametrize(
    ("session", "cut_off", "minutes_before_close", "is_taken"),
    [
        (SESSION, "close - 10m", 180.0, True),
        (SESSION, "close - 10m", 10.01, True),
        (SESSION, "close - 10m", 10.0, False),
        (SESSION, "close - 10m", 5.0, False),
        (SESSION, "close - 5m", 5.01, True),
        (SESSION, "15:50", 10.01, True),
        (SESSION, "15:50", 10.0, False),
        (HALF_DAY, "close - 10m", 10.01, True),
        (HALF_DAY, "close - 10m", 10.0, False),
        (HALF_DAY, "15:50", 10.01, True),
        (HALF_DAY, "15:50", 10.0, False),
        (HALF_DAY, "close - 10m", 1.0, False),
    ],
)
def test_the_auction_has_its_cut_off(session: Session, cut_off: str, minutes_before_close: float, is_taken: bool) -> None:
    """The table of docs/tactics.md: until ten minutes before the close, on a half day before that day's close; then the alternative."""
    now = session.closes_at - timedelta(minutes=minutes_before_close)
    found = auction(cut_off=cut_off).open(situation(now=now, begun=now, session=session))
    assert is_taken is isinstance(found, Send)
    if not is_taken:
        assert isinstance(found, Fall)
        assert "takes no more orders since" in found.reason


def test_whole_shares_go_into_the_auction() -> None:
    """Market-on-close: a market order for the close, without a price and without a quote."""
    found = auction().open(situation(quantity="10", quote="stale"))
    assert Send(Decimal(10), OrderType.MARKET, None, 0, "auction", TimeInForce.CLS) == found


@pytest.mark.parametrize(
    ("side", "bps", "limit"),
    [(Side.BUY, "50", "100.50"), (Side.SELL, "50", "99.50"), (Side.BUY, "400", "101.00"), (Side.SELL, "400", "99.00")],
)
def test_a_limit_on_close_is_reckoned_from_the_arrival_price(side: Side, bps: str, limit: str) -> None:
    """On the tick, and never beyond the slippage that the settings allow for every order."""
    found = auction(bps).open(situation(side=side, quantity="10"))
    assert isinstance(found, Send)
    assert (Decimal(limit), TimeInForce.CLS, OrderType.LIMIT) == (found.limit_price, found.time_in_force, found.order_type)


def test_the_fraction_goes_first_by_a_day_order() -> None:
    """The auction takes whole shares: the rest takes the far side before, then the whole shares go."""
    first = auction().open(situation(quantity="10.25"))
    assert isinstance(first, Send)
    assert (Decimal("0.25"), TimeInForce.DAY, "fraction") == (first.quantity, first.time_in_force, first.step)
    assert Decimal("100.01") == first.limit_price

    then = auction().open(situation(quantity="10.25", filled="0.25"))
    assert isinstance(then, Send)
    assert (Decimal(10), TimeInForce.CLS) == (then.quantity, then.time_in_force)


@pytest.mark.parametrize(
    ("what", "changes"),
    [
        ("tried often enough", {"rung": 2}),
        ("no usable quote", {"quote": "stale"}),
        ("no fractions of the asset", {"is_fractionable": False}),
        ("no time left for it", {"now": CLOSES_AT - timedelta(minutes=10, seconds=4)}),
    ],
)
def test_the_whole_shares_do_not_wait_for_the_fraction(what: str, changes: dict[str, object]) -> None:
    """What keeps the fraction from being worked keeps nothing else from the auction."""
    found = auction().open(situation(quantity="10.25", **changes))  # type: ignore[arg-type]
    assert isinstance(found, Send), what
    assert (Decimal(10), TimeInForce.CLS) == (found.quantity, found.time_in_force)


def test_less_than_a_share_falls_to_the_alternative() -> None:
    """There is nothing that the auction would take."""
    found = auction().open(situation(quantity="0.9"))
    assert isinstance(found, Fall)
    assert "whole shares only" in found.reason


def test_an_auction_order_is_left_alone_until_its_auction_is_over() -> None:
    """No re-pegging, no rungs; its deadline is shortly after the close."""
    live = standing(None, since=NOON, time_in_force=TimeInForce.CLS)
    deadline = auction().deadline(NOON, NOON, CLOSES_AT - timedelta(minutes=1), SESSION)

    assert CLOSES_AT + AUCTION_GRACE == deadline
    assert Keep(deadline) == auction().watch(situation(now=CLOSES_AT, deadline=deadline, live=live))


@pytest.mark.parametrize(("seconds", "moves"), [(0.0, False), (4.9, False), (5.0, True)])
def test_the_fraction_has_its_time_and_no_more(seconds: float, moves: bool) -> None:
    """Then it is tried once more, and then the whole shares go without it."""
    now = NOON + timedelta(seconds=seconds)
    found = auction().watch(situation(now=now, live=standing("100.01", since=NOON, quantity="0.25")))
    assert moves is isinstance(found, Move)
    if isinstance(found, Move):
        assert found.rung == 1


def _late() -> datetime:
    return CLOSES_AT - timedelta(minutes=10, seconds=2)


def test_a_fraction_is_taken_back_in_time_for_the_auction() -> None:
    """However short it has stood: the whole shares have to be there before the cut-off."""
    live = standing("100.01", since=_late(), quantity="0.25")
    assert isinstance(auction().watch(situation(now=_late(), live=live)), Move)
