"""The account's arithmetic: exact cash, entry prices, lots, margins."""

from datetime import date
from decimal import Context, Decimal, Inexact
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alchemiser.domain.errors import InvariantBroken
from alchemiser.exchange.account import Account, Position
from alchemiser.exchange.assets import listed
from alchemiser.exchange.charges import FeesOfDay
from alchemiser.exchange.margin import maintenance_margin
from alchemiser.exchange.settings import ExchangeSettings


def account(cash: int = 1000) -> Account:
    """An account with some cash."""
    return Account(id="a", number="PA3", cash=Decimal(cash), last_equity=Decimal(cash))


def test_entry_prices_are_weighted_by_day_and_first_in_first_out_overnight() -> None:
    """A sale does not move the average; the next day it is that of the lots that are left."""
    made = account()
    made.book("X", 1, Decimal(10), Decimal(10))
    made.book("X", 1, Decimal(10), Decimal(20))
    made.book("X", -1, Decimal(10), Decimal(30))
    assert Decimal(15) == made.positions["X"].average_entry_price
    made.roll_day(date(2025, 1, 7))
    assert Decimal(20) == made.positions["X"].average_entry_price
    made.book("X", -1, Decimal(4), Decimal(30))
    assert [Decimal(6)] == [lot.quantity for lot in made.positions["X"].lots]


def test_a_position_never_goes_through_zero() -> None:
    """That would be a bug of the matching, and stops it."""
    made = account()
    made.book("X", -1, Decimal(5), Decimal(10))
    with pytest.raises(InvariantBroken, match="through zero"):
        made.book("X", 1, Decimal(6), Decimal(10))


def test_an_empty_position_does_not_exist() -> None:
    """Short or long, once it is zero it is gone."""
    made = account()
    made.book("X", -1, Decimal(5), Decimal(10))
    assert Decimal(0) == made.book("X", 1, Decimal(5), Decimal(9))
    assert ({}, Decimal(1005)) == (made.positions, made.cash)


EXACT = Context(prec=300, traps=[Inexact])


def all_together(held: Position) -> Decimal:
    """What the lots of a position cost."""
    cost = Decimal(0)
    for lot in held.lots:
        cost = EXACT.add(cost, EXACT.multiply(lot.quantity, lot.price))
    return cost


FILLS = st.lists(
    st.tuples(st.decimals("0.000000001", "100000", places=9, allow_nan=False), st.decimals("0.0001", "10000", places=4, allow_nan=False)),
    min_size=1,
    max_size=12,
)


@settings(deadline=None, max_examples=100)
@given(FILLS, st.lists(st.sampled_from(["add", "reduce", "day", "split"]), min_size=1, max_size=12))
def test_what_the_lots_cost_is_known_to_the_last_digit(fills: list[tuple[Decimal, Decimal]], deeds: list[str]) -> None:
    """It is kept trade by trade, and is what all lots together say, whatever has happened to them; the entry price of a day follows."""
    made = account()
    for side in (1, -1):
        if made.quantity("X"):
            made.exchange_shares("X", -made.quantity("X"), Decimal(1))
        for number, deed in enumerate(deeds):
            quantity, price = fills[number % len(fills)]
            held = abs(made.quantity("X"))
            if deed == "day":
                made.roll_day(date(2025, 1, 7))
            elif deed == "split" and held:
                made.positions["X"].split(Decimal(3), Decimal(2), is_whole=False)
            elif deed == "reduce" and held:
                made.book("X", -side, min(quantity, held), price)
            else:
                made.book("X", side, quantity, price)
            made_of = made.positions.get("X")
            if made_of is not None and made_of.lots_cost is not None:
                assert EXACT.compare(made_of.lots_cost, all_together(made_of)) == 0
    made.roll_day(date(2025, 1, 8))
    for held_now in made.positions.values():
        average = all_together(held_now) / held_now.quantity
        assert held_now.average_entry_price == average.quantize(Decimal("0.000000000001"))


@settings(deadline=None, max_examples=100)
@given(FILLS)
def test_cash_and_shares_are_exact(fills: list[tuple[Decimal, Decimal]]) -> None:
    """However odd the numbers: buying and selling at the same prices ends where it began."""
    made = account()
    for quantity, price in fills:
        made.book("X", 1, quantity, price)
    assert sum((quantity for quantity, _ in fills), Decimal(0)) == made.quantity("X")
    assert sum((lot.quantity for lot in made.positions["X"].lots), Decimal(0)) == made.quantity("X")
    for quantity, price in fills:
        made.book("X", -1, quantity, price)
    assert (Decimal(1000), Decimal(0)) == (made.cash, made.quantity("X"))


@pytest.mark.parametrize(
    ("symbol", "quantity", "price", "margin"),
    [
        ("SPY", 10, "100", "300"),
        ("UVXY", 10, "100", "500"),
        ("TQQQ", 10, "100", "750"),
        ("SPY", 10, "2.40", "24"),
        ("SPY", -10, "100", "300"),
        ("SPY", -10, "10", "50"),
        ("SPY", -10, "4", "40"),
        ("SPY", -10, "2", "25"),
    ],
)
def test_maintenance_margins(symbol: str, quantity: int, price: str, margin: str) -> None:
    """Section 9.2: thirty percent, leveraged funds more, cheap shares wholly, shorts with a floor per share."""
    assert Decimal(margin) == maintenance_margin(listed(symbol), Decimal(quantity), Decimal(price), low_price=Decimal("2.50"))


def test_fees_are_summed_before_they_are_rounded_up() -> None:
    """Per account and day; TAF has a most per execution; a day without trades has none."""
    fees = FeesOfDay()
    charged: dict[str, Any] = {"filled_before": Decimal(0), "on": date(2026, 1, 6), "settings": ExchangeSettings()}
    assert {} == fees.rounded()
    fees.add(1, Decimal(1000), Decimal(10), **charged)
    assert {"CAT": Decimal("0.01")} == fees.rounded()
    fees.add(-1, Decimal(1_000_000), Decimal(1), **charged)
    assert {"SEC": Decimal("20.60"), "TAF": Decimal("9.79"), "CAT": Decimal("3.01")} == fees.rounded()


def test_an_account_in_cents_is_never_more_than_half_a_cent_away() -> None:
    """What rounding leaves of one execution counts in the next: by hand, three purchases of a third of a cent too much."""
    account = Account(id="a", number="1", cash=Decimal(100), last_equity=Decimal(100), is_in_cents=True)
    cash = []
    for _ in range(3):
        account.book("A", 1, Decimal(1), Decimal("10.003"))
        cash.append(account.cash)

    assert cash == [Decimal("90.00"), Decimal("79.99"), Decimal("69.99")]  # Exactly 89.997, 79.994 and 69.991.
