"""The guards' verdicts and readings: what trips at which number, what clears it, and what the words say."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alchemiser.domain.account import Account, BrokerPosition
from alchemiser.domain.reconciliation import Difference, DifferenceCode
from alchemiser.domain.shortfall import Shortfall, Slippage
from alchemiser.domain.trading import ACCOUNT
from alchemiser.risk import readings
from alchemiser.risk.guards import (
    MEANINGS,
    GuardAction,
    GuardName,
    GuardRule,
    Reading,
    Trip,
    Verdict,
    guards_as_markdown,
    in_words,
    judge,
    source_of,
)
from alchemiser.service.rules import guard_rules
from alchemiser.service.settings import Settings

AT = datetime(2025, 3, 3, 15, 0, tzinfo=UTC)
RULE = GuardRule(action=GuardAction.HALT, limit=Decimal("0.2"), cleared=Decimal("0.1"))


def trip(cleared_at: datetime | None = None) -> Trip:
    """Return a guard that has tripped."""
    return Trip(
        guard="drawdown",
        strategy=None,
        action="halt",
        value=Decimal("0.25"),
        limit=RULE.limit,
        cleared=RULE.cleared,
        text="down",
        at=AT,
        cleared_at=cleared_at,
    )


@pytest.mark.parametrize(
    ("standing", "value", "expected"),
    [
        (None, "0.1999", None),
        (None, "0.2", Verdict.TRIPS),
        (None, "0.05", None),
        (trip(), "0.3", None),
        (trip(), "0.1001", None),
        (trip(), "0.1", Verdict.CLEARS),
        (trip(AT), "0.05", None),
        (trip(AT), "0.15", None),
        (trip(AT), "0.2", Verdict.TRIPS),
    ],
)
def test_it_trips_at_its_limit_and_clears_at_its_cleared_level(standing: Trip | None, value: str, expected: Verdict | None) -> None:
    """Once each way: what lies between the two levels changes nothing."""
    assert expected == judge(RULE, standing, Decimal(value))


@given(st.lists(st.decimals(0, 1, places=3)))
def test_trips_and_clears_take_turns(values: list[Decimal]) -> None:
    """However the value wanders: between two trips it was clear, and an alarm never flaps at the limit."""
    standing: Trip | None = None
    told: list[Verdict] = []
    for value in values:
        verdict = judge(RULE, standing, value)
        if verdict is not None:
            told.append(verdict)
            standing = trip() if verdict is Verdict.TRIPS else trip(AT)
    assert all(verdict is (Verdict.TRIPS if place % 2 == 0 else Verdict.CLEARS) for place, verdict in enumerate(told))


def test_a_guard_that_is_off_reads_and_says_nothing() -> None:
    """Also not that it is clear."""
    off = GuardRule(action=GuardAction.OFF, limit=Decimal(1), cleared=Decimal(0))
    assert None is judge(off, None, Decimal(9)) is judge(off, trip(), Decimal(0))


@pytest.mark.parametrize(
    ("guard", "value", "words"),
    [
        (GuardName.DRAWDOWN, "0.1234", "12.34% of their capital"),
        (GuardName.STRATEGY_DAILY_LOSS, "0.05", "5.00% of its capital"),
        (GuardName.REJECTS, "5", "5 orders"),
        (GuardName.SLIPPAGE, "51.256", "51.26 basis points"),
    ],
)
def test_a_value_is_told_with_its_unit(guard: GuardName, value: str, words: str) -> None:
    """Nobody has to look up what 0.12 is."""
    assert words == in_words(guard, Decimal(value))


def test_what_restricts_is_known_by_its_action() -> None:
    """An alarm holds nothing back."""
    assert trip().restricts
    assert "guard:drawdown" == source_of(trip().guard)
    assert not Trip(**{name: getattr(trip(), name) for name in trip().__struct_fields__} | {"action": "alarm"}).restricts


def test_a_loss_is_measured_from_the_last_close_as_a_share_of_capital() -> None:
    """Negative when it is a gain; a strategy has a guard of its own."""
    account = readings.loss(Decimal(-400), Decimal(100), Decimal(10_000), ACCOUNT, is_sure=True)
    own = readings.loss(Decimal(300), Decimal(100), Decimal(1_000), "klm", is_sure=False)

    assert ("daily_loss", Decimal("0.05"), True) == (account.key, account.value, account.is_sure)
    assert "100.00 dollars at the last close is -400.00 now: 500.00 of a capital of 10000.00 lost" in account.text
    assert ("strategy_daily_loss:klm", Decimal("-0.2"), False) == (own.key, own.value, own.is_sure)


def test_a_drawdown_is_measured_from_the_best_profit() -> None:
    """At a new best it is nothing."""
    down = readings.drawdown(Decimal(100), Decimal(400), Decimal(1_000), "klm", is_sure=True)

    assert ("strategy_drawdown:klm", Decimal("0.3")) == (down.key, down.value)
    assert Decimal(0) == readings.drawdown(Decimal(500), Decimal(400), Decimal(1_000), ACCOUNT, is_sure=True).value


def test_refusals_in_a_row_are_told_with_the_last_reason() -> None:
    """Without one before the first."""
    assert "refused 3 orders one after the other, the last because: no" in readings.rejects(3, "no").text
    assert readings.rejects(0, "").text.endswith("one after the other")


def test_slippage_is_that_of_a_rebalance_that_traded() -> None:
    """Against the arrival price."""
    total = Slippage(quantity=Decimal(10), value=Decimal(1_000), arrival_cost=Decimal(6), arrival_bps=60.0)
    reading = readings.slippage("20250303.1", Shortfall(total=total))

    assert reading is not None
    assert Decimal(60) == reading.value
    assert "20250303.1 paid 6.00 dollars on 1000.00, 60.0 basis points" in reading.text
    assert None is readings.slippage("x", None) is readings.slippage("x", Shortfall())


def test_the_oldest_quote_counts_and_one_that_never_came_is_as_old_as_the_session() -> None:
    """Without a rebalance no quote is needed, and nothing is old."""
    ages = readings.ages_of({"SPY": 3.0, "QQQ": None}, AT, AT - timedelta(seconds=90))
    reading = readings.oldest_quote(ages)

    assert Decimal(90) == reading.value
    assert "the quote of QQQ is 90 seconds old, the oldest of 2" in reading.text
    assert not reading.is_sure
    assert Decimal(0) == readings.oldest_quote({}).value
    assert {"QQQ": 0.0} == readings.ages_of({"QQQ": None}, AT, None)


def position(symbol: str, quantity: str, price: str | None) -> BrokerPosition:
    """Return a position as the broker has it."""
    shares = Decimal(quantity)
    return BrokerPosition(
        symbol=symbol,
        quantity=shares,
        available_quantity=shares,
        average_entry_price=Decimal(1),
        current_price=None if price is None else Decimal(price),
    )


def test_what_the_broker_has_less_is_counted_in_dollars() -> None:
    """More at the broker is somebody else's; a symbol without a price is never counted as nothing."""
    account = Account(account_number="A", cash=Decimal(990), equity=Decimal(0), buying_power=Decimal(0), multiplier=1)
    held = {"SPY": Decimal(10), "QQQ": Decimal(1), "OLD": Decimal(3), "DIA": Decimal(2)}
    rows = (position("SPY", "8", "100"), position("QQQ", "5", "50"), position("OLD", "1", None))

    reading = readings.books_against(held, Decimal(1_000), account, rows)
    assert Decimal(2 * 100 + 2 * 1 + 2 * 1 + 10) == reading.value
    assert "2 DIA, 2 OLD, 2 SPY, cash +10.00" in reading.text
    same = readings.books_against({"QQQ": Decimal(5)}, Decimal(990), account, rows)
    assert (Decimal(0), "ledger and broker differ by 0.00 dollars") == (same.value, same.text)
    assert Decimal(0) == readings.books_against({}, None, account, rows).value


def test_the_differences_of_a_comparison_are_counted_in_dollars() -> None:
    """Those between books and broker alone; orders and fills that were behind are applied and no difference any more."""

    def row(code: DifferenceCode, symbol: str | None, ours: str, theirs: str) -> Difference:
        return Difference(code=code, subject=symbol or "cash", symbol=symbol, ours=ours, theirs=theirs)

    found = (
        row(DifferenceCode.POSITION_LESS, "SPY", "10", "8"),
        row(DifferenceCode.POSITION_MISSING, "QQQ", "3", "0"),
        row(DifferenceCode.CASH_MORE, None, "100.00", "101.50"),
        row(DifferenceCode.FILL_MISSED, "SPY", "nothing", "a fill"),
    )
    reading = readings.differences_of(found, {"SPY": Decimal(100)})

    assert Decimal("204.5") == reading.value
    assert "position_less SPY" in reading.text
    assert "fill_missed" not in reading.text


def test_a_dividend_is_no_loss() -> None:
    """The price falls by what is paid, and what is paid counts."""
    before = readings.profits({"a": Decimal(0)}, {"a": Decimal(10)}, {})
    assert before == readings.profits({"a": Decimal(0)}, {"a": Decimal(8)}, {"a": Decimal(2)})


def test_the_account_is_the_sum_of_its_strategies() -> None:
    """Also of one that holds nothing any more."""
    assert {ACCOUNT: Decimal(5), "a": Decimal(7), "b": Decimal(-2)} == readings.profits(
        {"a": Decimal(3), "b": Decimal(-2)}, {"a": Decimal(4)}, {}
    )


def test_every_guard_has_a_meaning_a_setting_and_a_line_in_the_page() -> None:
    """The page is made of the code; the defaults only alarm."""
    rules = guard_rules(Settings())

    assert list(MEANINGS) == list(rules) == list(GuardName)
    assert {GuardAction.ALARM} == {rule.action for rule in rules.values()}
    page = (Path(__file__).parents[3] / "docs" / "risk.md").read_text()
    assert guards_as_markdown(rules) in page


def test_a_reading_names_its_guard() -> None:
    """With the strategy, where it is about one."""
    assert "ledger" == Reading(guard=GuardName.LEDGER, value=Decimal(0), text="").key
