"""Live against backtest: a day worked out by hand, every kind of deviation planted alone, and parts that always add up."""

from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alchemiser.backtest.live_day import panel_of
from alchemiser.backtest.result import Terms
from alchemiser.backtest.vector import run_vector
from alchemiser.domain.activities import AccountActivity, ActivityEntry, Treatment
from alchemiser.domain.day_comparison import Compared, OtherWeight, Part, StrategyDay, compared
from alchemiser.domain.events import (
    ActivityBooked,
    DayCompared,
    FillBooked,
    FillBroken,
    KillSwitchPulled,
    RebalanceParked,
    RecoveryCompleted,
    StrategyFailed,
    StrategyReloaded,
    TargetProposed,
)
from alchemiser.domain.intents import Crossing
from alchemiser.domain.orders import Side
from alchemiser.domain.rebalancing import Frequency, Header
from alchemiser.strategies.panel import PricePanel
from tests.unit.backtest.lived_days import FIRST, LivedDays, Table, history_before, intent, session_of

D = Decimal
SECOND = date(2025, 3, 4)
CLOSES = {"AAA": "10.10", "BBB": "20.40"}
CAPITAL = {"one": "1000", "two": "1000"}

ONE = Table("one", {FIRST: {"AAA": 1.0}, SECOND: {"BBB": 1.0}})
TWO = Table("two", {FIRST: {"BBB": 1.0}, SECOND: {"AAA": 0.5, "BBB": 0.5}})


def numbers(day: StrategyDay) -> Compared:
    """Return the numbers of a strategy, which must be there."""
    assert day.compared is not None, day.reason
    return day.compared


def parts_of(day: StrategyDay) -> dict[str, str]:
    """Return the parts that are not zero, in dollars."""
    return {part.part.value: f"{part.dollars.normalize():f}" for part in numbers(day).parts if part.dollars}


def first_day(price: str = "10.01") -> LivedDays:
    """Live the first day: ``one`` buys 100 AAA at that price where the mid is 10.00, ``two`` 50 BBB at the mid of 20.00."""
    days = LivedDays([ONE, TWO])
    days.open(FIRST)
    days.decide({"AAA": 10.0, "BBB": 20.0})
    wanted = [intent("AAA", Side.BUY, "10", one="100"), intent("BBB", Side.BUY, "20", two="50")]
    days.plan(CAPITAL, {"AAA": "10", "BBB": "20"}, wanted)
    days.fill("AAA", Side.BUY, "100", price)
    days.fill("BBB", Side.BUY, "50", "20")
    return days


def test_the_first_day_by_hand() -> None:
    """Bought with cash, valued at the close: the only difference is what was paid over the mid."""
    days = first_day()
    days.close("2029")
    found = days.compared(CLOSES)

    # one, live: 100 x 10.10 - 100 x 10.01 = 9.00; backtest: 100 x (10.10 - 10.00) = 10.00; of 0.5 x 2000 = 1000 dollars.
    one = numbers(found["one"])
    assert (one.capital, one.live, one.backtest, one.difference) == (D(1000), D(9), D(10), D(-1))
    assert (one.live_bps, one.backtest_bps, one.difference_bps) == (D(90), D(100), D(-10))
    assert parts_of(found["one"]) == {"execution": "-1"}
    # two: 50 x 20.40 - 50 x 20.00 = 20.00 in both.
    two = numbers(found["two"])
    assert (two.live, two.backtest, two.difference_bps) == (D(20), D(20), D(0))
    assert parts_of(found["two"]) == {}


def second_day() -> LivedDays:
    """Live both days; on the second all that can happen to a plan happens.

    ``one`` turns from AAA into BBB, ``two`` from BBB into half of each. At the mids of 10.20 and 20.00 ``two`` wants 500 / 10.20 =
    49.019607843 AAA, which ``one`` gives it inside the account, and gives ``one`` 25 BBB. Of the other 50.980392157 AAA of ``one`` the plan
    sells 50 whole ones. Of the other 25 BBB that ``one`` wants 20 are bought.
    """
    days = first_day()
    days.close("2029")
    days.feed(DayCompared(at=days.at, session=FIRST, rebalance_id=None, strategies=(), closes=decimals(CLOSES), limit_bps=D(50)))
    days.open(SECOND)
    days.decide({"AAA": 10.2, "BBB": 20.0})
    crossings = [
        Crossing(symbol="AAA", seller="one", buyer="two", quantity=D("49.019607843"), price=D("10.20")),
        Crossing(symbol="BBB", seller="two", buyer="one", quantity=D(25), price=D(20)),
    ]
    wanted = [intent("AAA", Side.SELL, "10.20", one="50"), intent("BBB", Side.BUY, "20", one="25")]
    days.plan(CAPITAL, {"AAA": "10.20", "BBB": "20"}, wanted, crossings)
    days.fill("AAA", Side.SELL, "50", "10.18")
    days.fill("BBB", Side.BUY, "20", "20.05")
    days.row("FEE", "-0.02")
    return days


def decimals(prices: dict[str, str]) -> dict[str, Decimal]:
    """Return prices as decimals."""
    return {symbol: D(price) for symbol, price in prices.items()}


def test_the_second_day_by_hand() -> None:
    """Crossing, rounding, slippage, an order that was not filled, a fee: each dollar of the difference has its place."""
    days = second_day()
    facts = days.close()
    # The fee is for the trades of the session before, 1001 dollars by one and 1000 by two. In whole cents
    # two's part of it is cut to nothing, and one pays it all.
    assert facts.fees == {"one": D("0.02")}
    found = days.compared({"AAA": "10.40", "BBB": "20.50"})

    # one holds 100 - 49.019607843 - 50 = 0.980392157 AAA and 25 + 20 = 45 BBB:        0.980392157 x 10.40 + 45 x 20.50 = 932.6960784328
    # its cash: 49.019607843 x 10.20 + 50 x 10.18 - 25 x 20 - 20 x 20.05 - 0.02  = 107.9799999986
    # it began with 100 AAA at the close of 10.10                                       = 1010
    one = numbers(found["one"])
    assert one.capital == D("1014.5")  # half of 2029
    assert one.live == D("30.6760784314")
    # The backtest sells 100 AAA at 10.20, 0.10 over the last close, and buys 1000 / 20 = 50 BBB, which gain 0.50: 10 + 25
    assert one.backtest == D(35)
    assert parts_of(found["one"]) == {
        "plan": "0.1960784314",  # 0.980392157 AAA too many, which rose by 0.20
        "unfilled": "-2.5",  # 5 BBB too few, which rose by 0.50
        "execution": "-2",  # 50 x (10.18 - 10.20) + 20 x (20.00 - 20.05)
        "fees": "-0.02",
    }
    # In basis points of 1014.50, each rounded to four places.
    bps = {part.part: part.bps for part in one.parts}
    assert (bps[Part.PLAN], bps[Part.UNFILLED], bps[Part.EXECUTION]) == (D("1.9328"), D("-24.6427"), D("-19.7141"))
    assert bps[Part.FEES] == D("-0.1971")
    assert (one.backtest_bps, one.difference_bps, one.live_bps) == (D("344.9975"), D("-42.6211"), D("302.3764"))

    # two sells 25 of 50 BBB and buys 49.019607843 AAA, all inside the account, and does what the backtest does:
    # 50 x (20.00 - 20.40) + 49.019607843 x 0.20 + 25 x 0.50 = -20 + 9.8039215686 + 12.5
    two = numbers(found["two"])
    assert two.backtest == D("2.3039215686")
    assert (two.live, two.difference_bps) == (D("2.3039215686"), D(0))


# --- planted deviations: each is attributed to its part, and to no other ---


def sold_at_a_bad_price() -> LivedDays:
    return first_day(price="10.03")


def half_filled() -> LivedDays:
    days = LivedDays([ONE, TWO])
    days.open(FIRST)
    days.decide({"AAA": 10.0, "BBB": 20.0})
    wanted = [intent("AAA", Side.BUY, "10", one="100"), intent("BBB", Side.BUY, "20", two="50")]
    days.plan(CAPITAL, {"AAA": "10", "BBB": "20"}, wanted)
    days.fill("AAA", Side.BUY, "40", "10")
    return days


def planned_less() -> LivedDays:
    days = LivedDays([ONE, TWO])
    days.open(FIRST)
    days.decide({"AAA": 10.0, "BBB": 20.0})
    days.plan(CAPITAL, {"AAA": "10", "BBB": "20"}, [intent("AAA", Side.BUY, "10", one="90")])
    days.fill("AAA", Side.BUY, "90", "10")
    return days


def crossed_off_the_mid() -> LivedDays:
    days = first_day(price="10")
    days.close("2000")
    days.open(SECOND)
    days.decide({"AAA": 10.0, "BBB": 20.0})
    crossing = Crossing(symbol="AAA", seller="one", buyer="two", quantity=D(10), price=D("10.05"))
    days.plan(CAPITAL, {"AAA": "10", "BBB": "20"}, crossings=[crossing])
    return days


def late_fill_of_the_day_before() -> LivedDays:
    days = half_filled()
    yesterday = days.key
    days.close("2000")
    days.open(SECOND)
    days.fill("AAA", Side.BUY, "60", "9.95", key=yesterday)
    days.decide({"AAA": 10.0, "BBB": 20.0})
    days.plan(CAPITAL, {"AAA": "10", "BBB": "20"})
    return days


@pytest.mark.parametrize(
    ("lived", "wanted"),
    [
        (sold_at_a_bad_price, {"execution": "-3"}),  # 100 x 0.03
        (half_filled, {"unfilled": "-6"}),  # 60 AAA that rose by 0.10
        (planned_less, {"plan": "-1"}),  # 10 AAA that rose by 0.10
    ],
)
def test_a_deviation_goes_to_its_part(lived: Callable[[], LivedDays], wanted: dict[str, str]) -> None:
    """And to no other: the closes are 10.10 and 20.40."""
    days = lived()
    days.close()
    assert parts_of(days.compared(CLOSES)["one"]) == wanted


def test_a_crossing_off_the_mid_is_a_part_of_its_own() -> None:
    """What one gained by it the other lost: 10 x 0.05."""
    days = crossed_off_the_mid()
    days.close()
    found = days.compared(CLOSES, {"AAA": "10", "BBB": "20"})
    assert [parts_of(found[name])[Part.CROSSING] for name in ("one", "two")] == ["0.5", "-0.5"]


def test_a_fill_that_belongs_to_no_plan_of_the_day_is_told_by_itself() -> None:
    """60 AAA at 9.95, of yesterday's order: until the decision at 10.00 they gain 3.00, and from then on the plan has them."""
    days = late_fill_of_the_day_before()
    days.close()
    assert parts_of(days.compared(CLOSES, {"AAA": "10", "BBB": "20"})["one"])[Part.OTHER] == "3"


def test_a_strategy_that_decides_otherwise_in_the_backtest_is_named_with_its_symbols() -> None:
    """Live it wanted AAA, on the same bars it now wants half of each: 50 AAA too many and 25 BBB too few, at +0.10 and +0.40."""
    days = first_day(price="10")
    days.close()
    other = msgspec.structs.replace(ONE, wants={FIRST: {"AAA": 0.5, "BBB": 0.5}})
    one = days.compared(CLOSES, strategies=[other, TWO])["one"]

    assert parts_of(one) == {"decision": "-5"}
    assert one.other_weights == (OtherWeight(symbol="AAA", live=1.0, backtest=0.5), OtherWeight(symbol="BBB", live=0.0, backtest=0.5))


def test_a_strategy_that_failed_live_and_not_in_the_backtest_is_a_decision_that_differs() -> None:
    """It kept its cash; the backtest buys 100 AAA, which gain 0.10 each."""
    days = LivedDays([ONE, TWO])
    days.open(FIRST)
    history = history_before(FIRST)
    failed = StrategyFailed(
        at=days.at,
        rebalance_id=days.key,
        strategy="one",
        reason="it raised",
        prices={"AAA": 10.0, "BBB": 20.0},
        bars=history.version_of(ONE.symbols),
    )
    days.decide({"AAA": 10.0, "BBB": 20.0}, others=[failed])
    days.plan(CAPITAL, {"BBB": "20"}, [intent("BBB", Side.BUY, "20", two="50")])
    days.fill("BBB", Side.BUY, "50", "20")
    days.close()
    one = days.compared(CLOSES)["one"]

    assert parts_of(one) == {"decision": "-10"}
    assert one.other_weights == (OtherWeight(symbol="AAA", live=None, backtest=1.0),)


def one_holds_a_hundred(strategies: list[Table]) -> LivedDays:
    """Live a first day on which the first strategy buys 100 AAA at 10."""
    days = LivedDays(strategies)
    days.open(FIRST)
    days.decide({"AAA": 10.0, "BBB": 20.0})
    days.plan(CAPITAL, {"AAA": "10", "BBB": "20"}, [intent("AAA", Side.BUY, "10", one="100")])
    days.fill("AAA", Side.BUY, "100", "10")
    days.close()
    return days


def test_a_strategy_that_fails_in_both_keeps_what_it_holds_in_both() -> None:
    """There is no difference, and it is a number and not a guess."""
    unable = msgspec.structs.replace(ONE, wants={FIRST: {"AAA": 1.0}})
    days = one_holds_a_hundred([unable, TWO])
    days.open(SECOND)
    days.decide({"AAA": 10.2, "BBB": 20.0})
    days.plan(CAPITAL, {"BBB": "20"})
    days.close()
    one = days.compared({"AAA": "10.40", "BBB": "20.50"}, CLOSES)["one"]

    assert (numbers(one).live, numbers(one).backtest, one.other_weights) == (D(30), D(30), ())


def test_a_header_holds_the_backtest_back_as_it_does_live() -> None:
    """A weekly strategy that traded on Monday keeps what it holds on Tuesday, whatever it would rather have; asked by hand it trades."""
    weekly = msgspec.structs.replace(ONE, header=Header(Frequency.WEEKLY))
    for reason, wanted in (("schedule", {}), ("an operator asked", {"plan": "-25"})):
        days = one_holds_a_hundred([weekly, TWO])
        days.open(SECOND)
        days.decide({"AAA": 10.0, "BBB": 20.0}, reason=reason)
        days.plan(CAPITAL, {"AAA": "10", "BBB": "20"})
        days.close()
        # Asked by hand it was to sell 100 AAA, flat since, and to buy 50 BBB, which gain 0.50.
        assert parts_of(days.compared({"AAA": "10.00", "BBB": "20.50"}, {"AAA": "10.00"})["one"]) == wanted, reason


# --- what cannot be known is named ---


def spoilt(how: str) -> tuple[LivedDays, dict[str, StrategyDay]]:
    """Live the first day with something that keeps it from being compared."""
    days = first_day()
    match how:
        case "kill":
            days.feed(KillSwitchPulled(at=days.at, by="file", reason="drill", flattens=True, pulled_at=days.at))
        case "flatten":
            days.plan(CAPITAL, {}, number=2, is_flatten=True)
        case "again":
            days.plan(CAPITAL, {}, number=2)
        case "reload":
            days.feed(StrategyReloaded(at=days.at, strategy="one", changes=("x",)))
    days.close()
    return days, days.compared(CLOSES)


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("kill", "the kill switch was pulled by file"),
        ("flatten", "somebody had everything sold"),
        ("again", "20250303.1 and 20250303.2 were planned; only a session of one plan is compared"),
        ("reload", "its file was changed after the decision"),
    ],
)
def test_a_day_that_the_backtest_cannot_live_has_a_reason_and_no_number(how: str, reason: str) -> None:
    """The reason is in words; a strategy that it does not concern has its numbers."""
    _, found = spoilt(how)
    assert (found["one"].reason, found["one"].compared) == (reason, None)
    assert (found["two"].compared is not None) == (how == "reload")


def test_missing_prices_and_bars_are_named() -> None:
    """Nothing is put in their place."""
    days = first_day()
    days.close()
    found = days.compared({"BBB": "20.40"})
    assert found["one"].reason == "the close of AAA on 2025-03-03 is not known"
    assert found["two"].compared is not None

    reasons = {day.reason for day in days.compared(CLOSES, history="no route to host").values()}
    assert reasons == {"the bars of its decision are not to be had: no route to host"}

    changed = history_before(FIRST)
    days_of, closes = changed.days("AAA"), changed.closes("AAA")
    changed.add_ordinals("AAA", np.append(days_of, FIRST.toordinal()), np.append(closes, 11.0))
    assert str(days.compared(CLOSES, history=changed)["one"].reason).startswith("the bars that can be had are not those of its decision")


def test_a_holding_without_a_close_of_the_day_before_is_named() -> None:
    """The gain since then cannot be said, and so neither return can."""
    days = first_day()
    days.close()
    days.open(SECOND)
    days.decide({"AAA": 10.2, "BBB": 20.0})
    days.plan(CAPITAL, {"AAA": "10.20", "BBB": "20"})
    days.close()
    assert days.compared(CLOSES, {"BBB": "20"})["one"].reason == "the close of AAA before 2025-03-04 is not known"


def test_a_session_without_a_plan_says_why_there_was_none() -> None:
    """No decision was due, or it was made and parked."""
    days = LivedDays([ONE, TWO])
    days.open(FIRST)
    days.close()
    assert {day.reason for day in days.compared(CLOSES).values()} == {"nothing was planned: no decision was due"}

    days = LivedDays([ONE, TWO])
    days.open(FIRST)
    days.decide({"AAA": 10.0, "BBB": 20.0})
    days.feed(RebalanceParked(at=days.at, rebalance_id=days.key, reason="the account is blocked", outcomes=()))
    days.close()
    assert {day.reason for day in days.compared(CLOSES).values()} == {"nothing was planned: the account is blocked"}


def test_an_answer_of_an_old_journal_is_not_guessed_at() -> None:
    """It does not say on which bars it decided."""
    days = LivedDays([ONE, TWO])
    days.open(FIRST)
    old = TargetProposed(at=days.at, rebalance_id=days.key, strategy="one", weights={"AAA": 1.0}, prices={"AAA": 10.0}, explanation=())
    days.decide({"AAA": 10.0, "BBB": 20.0}, others=[old])
    days.plan(CAPITAL, {"AAA": "10", "BBB": "20"})
    days.close()
    assert "the journal does not say which" in str(days.compared(CLOSES)["one"].reason)


def test_shares_that_change_without_a_trade_after_the_decision_are_named() -> None:
    """A split between decision and close: the closes are of other shares than the plan was."""
    days = first_day()
    row = AccountActivity(activity_id="split", kind="SPLIT", on=SECOND, at=days.at + timedelta(minutes=1), symbol="AAA", quantity=D(100))
    entry = ActivityEntry(strategy="one", symbol="AAA", quantity=D(100))
    days.feed(ActivityBooked(at=days.at, activity=row, treatment=Treatment.SPLIT, entries=(entry,), old=D(100), new=D(200)))
    days.close()
    assert days.compared(CLOSES)["one"].reason == "its shares of AAA changed without a trade after the decision"


def test_an_execution_that_is_taken_back_is_as_if_it_had_never_been() -> None:
    """The order counts as not filled; one of an earlier day leaves books that do not add up, which is said."""
    days = half_filled()
    again = days.fill("AAA", Side.BUY, "60", "10")
    days.feed(FillBroken(at=days.at, fill=again, replaced_by=None, reason="bust"))
    days.close()
    assert parts_of(days.compared(CLOSES)["one"]) == {"unfilled": "-6"}

    days = half_filled()
    late = days.fill("AAA", Side.BUY, "60", "10")
    (booking,) = [event for event in days.events if isinstance(event, FillBooked) and event.execution_id == late.execution_id]
    days.feed(FillBroken(at=days.at, fill=late, replaced_by=None, reason="bust"))
    days.feed(booking)  # It was on its way.
    days.close()
    assert parts_of(days.compared(CLOSES)["one"]) == {"unfilled": "-6"}

    days = half_filled()
    early = days.fill("AAA", Side.BUY, "60", "9")
    days.close()
    days.open(SECOND)
    days.decide({"AAA": 10.0, "BBB": 20.0})
    days.plan(CAPITAL, {"AAA": "10", "BBB": "20"})
    days.feed(FillBroken(at=days.at, fill=early, replaced_by=None, reason="bust"))
    days.close()
    assert "in a way that no plan, fill or fee of the session explains" in str(days.compared(CLOSES, CLOSES)["one"].reason)


def test_a_strategy_that_gave_no_answer_is_gone_or_has_no_money_is_named() -> None:
    """Each with what is missing."""
    days = first_day()
    facts = days.close()
    assert days.compared(CLOSES, strategies=[TWO])["one"].reason == "it is no longer in the settings"

    facts.equity = D(0)
    assert days.compared(CLOSES)["one"].reason == "its share of the account was worth nothing"
    facts.equity = None
    assert days.compared(CLOSES)["one"].reason == "what the account was worth before the session is not known"
    del facts.shares["one"]
    assert days.compared(CLOSES)["one"].reason == "it has no share of the account"
    del facts.answers["one"]
    assert days.compared(CLOSES)["one"].reason == "it gave no answer to 20250303.1"


def test_a_price_or_bars_that_cannot_be_used_are_named() -> None:
    """A price at the decision that nobody wrote down, and a live price that is none."""
    days = first_day()
    facts = days.close()
    assert facts.plan is not None
    other = msgspec.structs.replace(ONE, wants={FIRST: {"CCC": 1.0}})
    assert days.compared(CLOSES, strategies=[other, TWO])["one"].reason == "the price of CCC at the decision is not known"

    facts.plan = msgspec.structs.replace(facts.plan, prices={})
    assert days.compared(CLOSES)["one"].compared is not None, "the price that the decision saw stands in for that of the plan"

    facts.answers["one"] = msgspec.structs.replace(facts.answers["one"], prices={"AAA": -1.0})
    assert str(days.compared(CLOSES)["one"].reason).startswith(
        "the bars of its decision cannot be used: AAA: the close of 2025-03-03 is -1.0"
    )


# --- when a session ends ---


def test_a_session_whose_end_nobody_saw_ends_at_the_first_recovery_after_its_close() -> None:
    """The process died at five to four: what it had done is compared in the evening, once; until then a recovery changes nothing."""
    days = first_day()
    recovered = RecoveryCompleted(at=days.at, events_replayed=1, fills_recovered=0, open_orders=0)
    days.feed(recovered)
    assert days.record.ended is None
    days.feed(msgspec.structs.replace(recovered, at=session_of(FIRST).closes_at))
    assert parts_of(days.compared(CLOSES)["one"]) == {"execution": "-1"}
    days.feed(DayCompared(at=days.at, session=FIRST, rebalance_id=None, strategies=(), closes={}, limit_bps=D(50)))
    assert days.record.ended is None
    days.feed(msgspec.structs.replace(recovered, at=session_of(FIRST).closes_at))
    assert days.record.ended is None


def test_a_session_that_nobody_saw_end_at_all_ends_when_the_next_one_opens() -> None:
    """The books go on without a hole."""
    days = first_day()
    days.open(SECOND)
    assert days.record.ended is not None
    assert days.record.ended.session == session_of(FIRST)
    assert days.record.today.start["one"].holdings == {"AAA": D(100)}


# --- properties ---

shares = st.decimals(min_value="0.001", max_value="40", places=9, allow_nan=False)
prices = st.decimals(min_value="5", max_value="30", places=4, allow_nan=False)


@given(
    bought=prices,
    sold=prices,
    mid=prices,
    closes=st.tuples(prices, prices),
    part=shares,
    crossed=shares,
    fee=st.decimals(min_value="0", max_value="3", places=2, allow_nan=False),
    weight=st.floats(0.0, 1.0),
)
def test_the_parts_add_up_to_the_difference(
    bought: Decimal,
    sold: Decimal,
    mid: Decimal,
    closes: tuple[Decimal, Decimal],
    part: Decimal,
    crossed: Decimal,
    fee: Decimal,
    weight: float,
) -> None:
    """To the last digit in dollars and in basis points, whatever was planned, filled, crossed and charged, and whatever is decided anew."""
    days = first_day(price=str(bought))
    days.close("2029")
    days.open(SECOND)
    days.decide({"AAA": 10.2, "BBB": 20.0})
    crossing = Crossing(symbol="AAA", seller="one", buyer="two", quantity=crossed, price=sold)
    days.plan(CAPITAL, {"AAA": str(mid), "BBB": "20"}, [intent("AAA", Side.SELL, str(mid), one="45")], [crossing])
    days.fill("AAA", Side.SELL, str(part), str(sold))
    days.row("FEE", str(-fee))
    days.close()
    other = msgspec.structs.replace(ONE, wants={SECOND: {"AAA": weight, "BBB": 1.0 - weight}})
    told = {"AAA": str(closes[0]), "BBB": str(closes[1])}
    for day in days.compared(told, CLOSES, strategies=[other, TWO]).values():
        one = numbers(day)
        assert one.live - one.backtest == sum((entry.dollars for entry in one.parts), D(0))
        assert one.live_bps - one.backtest_bps == one.difference_bps == sum((entry.bps for entry in one.parts), D(0))


def test_numbers_that_do_not_add_up_are_refused() -> None:
    """A difference without a cause is no report."""
    with pytest.raises(ValueError, match=r"its books moved by \+1 dollars"):
        compared(D(1000), D(3), D(1), [(Part.FEES, D(1))])


@given(weight=st.floats(0.0, 1.0), mids=st.tuples(prices, prices), closes=st.tuples(prices, prices))
def test_the_backtest_of_a_day_is_that_of_the_vector_engine(
    weight: float, mids: tuple[Decimal, Decimal], closes: tuple[Decimal, Decimal]
) -> None:
    """From the decision to the close it earns what ``run_vector`` earns from one bar to the next, with the same money."""
    alone = Table("one", {FIRST: {"AAA": weight, "BBB": 1.0 - weight}}, allocation=1.0)
    live = dict(zip(("AAA", "BBB"), map(float, mids), strict=True))
    days = LivedDays([alone])
    days.open(FIRST)
    days.decide(live)
    days.plan({"one": "1000"}, {symbol: str(price) for symbol, price in zip(("AAA", "BBB"), mids, strict=True)})
    days.close()
    told = dict(zip(("AAA", "BBB"), map(str, closes), strict=True))
    ours = numbers(days.compared(told)["one"]).backtest

    today = panel_of(history_before(FIRST), alone.symbols, FIRST, live)
    columns = {}
    for place, symbol in enumerate(alone.symbols):
        before = today.closes(symbol, today.last)
        sessions = [today.session(number).toordinal() for number in range(len(today))]
        columns[symbol] = (np.array([*sessions, SECOND.toordinal()]), np.array([*before.tolist(), float(closes[place])]))
    run = run_vector([alone], PricePanel(columns), Terms(cash=1000.0), timer=lambda: 0.0, start=FIRST, end=SECOND)
    assert run.equity[1] - run.equity[0] == pytest.approx(float(ours), abs=1e-6)
