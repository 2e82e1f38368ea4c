"""Slices: the children add up to the parent, fall due over the window, and each climbs its rungs inside its own time."""

from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alchemiser.domain.market import Session
from alchemiser.domain.orders import OrderType
from alchemiser.execution.decisions import GiveUp, Keep, Move, Send, Situation, Wait
from alchemiser.execution.ladder import LadderRules, ladder_of
from alchemiser.execution.slices import U_SHAPED_VOLUME, Sliced, schedule, volume_share
from tests.unit.execution.situations import CLOSES_AT, HALF_DAY, NOON, OPENS_AT, SESSION, quote, situation, standing, wanted

WINDOW = timedelta(minutes=4)


def sliced(*, count: int = 4, window: float = 240.0, profile: tuple[float, ...] | None = None, fallback: str = "market") -> Sliced:
    """Return a tactic of four slices over four minutes."""
    rules = LadderRules(fallback=fallback)
    return Sliced(ladder_of(rules), "vwap" if profile else "twap", window, count, profile)


@settings(deadline=None)
@given(
    quantity=st.decimals("0.000000001", "5000", places=9),
    price=st.sampled_from(["0.75", "3", "100", "4200"]),
    count=st.integers(1, 40),
    whole=st.booleans(),
    profile=st.sampled_from([None, U_SHAPED_VOLUME, (1.0,), (0.001, 900.0)]),
    minutes=st.integers(1, 380),
    start=st.integers(0, 300),
)
def test_the_children_add_up_to_the_parent(
    quantity: Decimal, price: str, count: int, whole: bool, profile: tuple[float, ...] | None, minutes: int, start: int
) -> None:
    """Nothing is lost or added by cutting; no child is smaller than the venue takes unless the parent is; all are due in the window."""
    intent = wanted(quantity=str(quantity.to_integral_value() + 1 if whole else quantity), price=price, is_fractionable=not whole)
    begins, ends = OPENS_AT + timedelta(minutes=start), OPENS_AT + timedelta(minutes=start + minutes)

    slices = schedule(intent, begins, ends, count, profile, SESSION)
    children = [slices[0].cumulative, *(later.cumulative - earlier.cumulative for earlier, later in pairwise(slices))]
    assert sum(children) == intent.quantity
    assert 1 <= len(slices) <= count
    assert slices[0].due == begins
    assert all(earlier.due < later.due < ends for earlier, later in pairwise(slices))
    if len(slices) > 1:
        least = Decimal(1) if whole else 1 / Decimal(price)
        assert all(child >= least for child in children)
    if whole:
        assert all(child == child.to_integral_value() for child in children)


def test_a_small_order_has_fewer_slices() -> None:
    """Three shares that cannot be cut are three slices of the ten that were asked for; one share is one."""
    three = schedule(wanted(quantity="3", is_fractionable=False), NOON, NOON + WINDOW, 10, None, SESSION)
    one = schedule(wanted(quantity="1", is_fractionable=False), NOON, NOON + WINDOW, 10, None, SESSION)
    assert [1, 2, 3] == [part.cumulative for part in three]
    assert [1] == [part.cumulative for part in one]


@pytest.mark.parametrize(
    ("session", "fraction", "expected"),
    [
        (SESSION, 0.0, 0.0),
        (SESSION, 1 / 13, 0.155),
        (SESSION, 0.5, 0.155 + 0.09 + 0.075 + 0.065 + 0.058 + 0.052 + 0.025),
        (SESSION, 12 / 13, 0.84),
        (SESSION, 1.0, 1.0),
        (HALF_DAY, 1 / 13, 0.155),
        (HALF_DAY, 12 / 13, 0.84),
    ],
)
def test_the_curve_is_a_u(session: Session, fraction: float, expected: float) -> None:
    """The table of docs/tactics.md: percent of the volume by half hours, stretched over a half day."""
    moment = session.opens_at + (session.closes_at - session.opens_at) * fraction
    assert expected == pytest.approx(volume_share(U_SHAPED_VOLUME, session, moment), abs=1e-6)


def test_before_the_open_and_after_the_close_nothing_is_traded() -> None:
    """The curve ends where the session does."""
    assert volume_share(U_SHAPED_VOLUME, SESSION, OPENS_AT - timedelta(hours=1)) == 0.0
    assert volume_share(U_SHAPED_VOLUME, SESSION, CLOSES_AT + timedelta(hours=1)) == pytest.approx(1.0)


def test_volume_weighs_the_slices() -> None:
    """Over a whole day the first and the last half hour get most, noon least."""
    slices = schedule(wanted(quantity="1000"), OPENS_AT, CLOSES_AT, 13, U_SHAPED_VOLUME, SESSION)
    sizes = [slices[0].cumulative, *(later.cumulative - earlier.cumulative for earlier, later in pairwise(slices))]
    assert [155, 90, 75, 65, 58, 52, 50, 48, 50, 55, 62, 80, 160] == [round(size) for size in sizes]


@pytest.mark.parametrize(
    ("seconds", "filled", "quantity", "limit", "step"),
    [
        (0, "0", "2.5", "100.00", "slice 1 of 4"),
        (0, "1", "1.5", "100.00", "slice 1 of 4"),
        (20, "0", "2.5", "100.01", "slice 1 of 4"),
        (60, "2.5", "2.5", "100.00", "slice 2 of 4"),
        (60, "1.25", "3.75", "100.00", "slice 2 of 4"),
        (185, "2.5", "7.5", "100.00", "slice 4 of 4"),
    ],
)
def test_what_is_sent_is_what_the_schedule_is_ahead_by(seconds: int, filled: str, quantity: str, limit: str, step: str) -> None:
    """By the clock and the fills alone, so that a restart carries on; what was not filled rolls into the next slice."""
    found = sliced().open(situation(now=NOON + timedelta(seconds=seconds), filled=filled))
    assert isinstance(found, Send)
    assert (Decimal(quantity), Decimal(limit), step) == (found.quantity, found.limit_price, found.step)


def test_between_two_slices_nothing_is_sent() -> None:
    """A filled slice waits for the next one to fall due."""
    found = sliced().open(situation(now=NOON + timedelta(seconds=10), filled="2.5"))
    assert Wait("slice 2 of 4 is due at 17:31:00 UTC", NOON + timedelta(seconds=60)) == found


@pytest.mark.parametrize(("fallback", "expected"), [("market", OrderType.MARKET), ("leave", OrderType.LIMIT), ("park", None)])
def test_after_the_last_slice_comes_the_last_resort(fallback: str, expected: OrderType | None) -> None:
    """What no slice filled ends as the settings say."""
    found = sliced(fallback=fallback).open(situation(now=NOON + timedelta(seconds=241), filled="7"))
    if expected is None:
        assert GiveUp("the ladder is used up") == found
    else:
        assert isinstance(found, Send)
        assert (expected, Decimal(3)) == (found.order_type, found.quantity)


def test_a_live_child_moves_with_the_schedule() -> None:
    """To the next rung of its slice, and to the next slice when that is due."""
    live = standing("100", rung=0, since=NOON)

    assert Keep(NOON + timedelta(seconds=20)) == sliced().watch(situation(now=NOON + timedelta(seconds=2), live=live))
    assert Move("not filled by 17:30:20 UTC", 1) == sliced().watch(situation(now=NOON + timedelta(seconds=20), live=live))
    assert Move("slice 2 is due", 0) == sliced().watch(situation(now=NOON + timedelta(seconds=60), live=live))
    late = standing("100.01", rung=2, since=NOON + timedelta(seconds=225))
    assert Move("not filled by 17:34:00 UTC", 3) == sliced().watch(situation(now=NOON + timedelta(seconds=240), live=late))
    left = situation(now=NOON + timedelta(seconds=250), live=late)
    assert Keep(left.deadline) == sliced(fallback="leave").watch(left)


def test_a_child_follows_the_market() -> None:
    """A quote event re-pegs it."""
    live = standing("100", rung=0, since=NOON)
    moved = sliced().watch(situation(now=NOON + timedelta(seconds=2), live=live, quote=quote(100.4, 100.42)))
    assert Move("the market has moved away", 0) == moved


def test_the_window_ends_before_the_cut_off() -> None:
    """However long the window: the last resort has its time before the last moment at which an order may stand."""
    begun = CLOSES_AT - timedelta(minutes=3)
    cut_off = CLOSES_AT - timedelta(minutes=1)
    late = situation(now=cut_off - timedelta(seconds=16), begun=begun, filled="0")
    over = situation(now=cut_off - timedelta(seconds=14), begun=begun, filled="0")

    assert cut_off == sliced().deadline(begun, begun, cut_off, SESSION)
    in_time, at_last = sliced().open(late), sliced().open(over)
    assert isinstance(in_time, Send)
    assert isinstance(at_last, Send)
    assert (OrderType.LIMIT, OrderType.MARKET) == (in_time.order_type, at_last.order_type)


@settings(deadline=None)
@given(seconds=st.floats(0, 400), filled=st.integers(0, 10), since=st.floats(0, 400))
def test_a_look_is_never_for_the_past(seconds: float, filled: int, since: float) -> None:
    """Whatever the moment, asking again is asked for later than now: nobody spins."""
    now = NOON + timedelta(seconds=seconds)
    tactic = sliced()
    opened = tactic.open(_at(now, filled))
    if isinstance(opened, Wait) and opened.until is not None:
        assert opened.until > now
    live = standing("100", rung=0, since=min(now, NOON + timedelta(seconds=since)))
    watched = tactic.watch(situation(now=now, filled=str(filled), live=live))
    if isinstance(watched, Keep):
        assert watched.until >= now


def _at(now: datetime, filled: int) -> Situation:
    return situation(now=now, filled=str(filled))
