"""Closed lots and wash sales, by hand: which losses are disallowed, where they go, and how long shares count as held."""

from decimal import Decimal

import pytest

from alchemiser.domain.money import number_string
from alchemiser.portfolio.closed_lots import ClosedLot, Purchase, walked
from alchemiser.portfolio.wash import TaxLot, tax_lots
from tests.unit.portfolio.bookkeeping import Bookkeeping

D = Decimal


def seen(books: Bookkeeping) -> list[TaxLot]:
    """Return the closed lots of some books with their marks."""
    rows = [
        row
        for strategy, trails in books.ledger.memory().shelf.trails.items()
        for symbol, trail in trails.items()
        for row in walked(strategy, symbol, trail.before, trail.trades)
    ]
    return tax_lots([row for row in rows if isinstance(row, ClosedLot)], [row for row in rows if isinstance(row, Purchase)])


def told(*facts: str) -> list[TaxLot]:
    """Return what the facts lead to; ``N days`` lets days pass without a session, so that nothing is forgotten."""
    books = Bookkeeping(cash="100000")
    for fact in facts:
        if fact.endswith(" days"):
            books.skip(int(fact.split()[0]))
        else:
            books.tell(fact)
    return seen(books)


TABLES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "a loss and nothing bought is a loss": (
        ("x: a buys 10 SPY at 20", "40 days", "y: a sells 10 SPY at 15"),
        ("10 x: 150 - 200 W0 = -50",),
    ),
    "bought again within thirty days: the whole loss is disallowed and makes the new shares dearer": (
        (
            "x: a buys 10 SPY at 20",
            "40 days",
            "y: a sells 10 SPY at 15",
            "30 days",
            "z: a buys 10 SPY at 16",
            "40 days",
            "u: a sells 10 SPY at 18",
        ),
        # 160 + 50 = 210; 180 - 210 = -30
        ("10 x: 150 - 200 W50 = 0", "10 z: 180 - 210 W0 = -30"),
    ),
    "on the thirty-first day it is too late": (
        ("x: a buys 10 SPY at 20", "40 days", "y: a sells 10 SPY at 15", "31 days", "z: a buys 10 SPY at 16"),
        ("10 x: 150 - 200 W0 = -50",),
    ),
    "bought before the sale counts too, and only for as many shares": (
        ("x: a buys 10 SPY at 20", "20 days", "z: a buys 4 SPY at 16", "5 days", "y: a sells 10 SPY at 15"),
        # Four of ten shares are replaced: 20 of 50 dollars.
        ("10 x: 150 - 200 W20 = -30",),
    ),
    "what is sold with it replaces nothing": (
        ("x: a buys 10 SPY at 20", "5 days", "z: a buys 10 SPY at 18", "5 days", "y: a sells 20 SPY at 15"),
        ("10 x: 150 - 200 W0 = -50", "10 z: 150 - 180 W0 = -30"),
    ),
    "another strategy of the account washes it as well": (
        (
            "x: a buys 10 SPY at 20",
            "40 days",
            "y: a sells 10 SPY at 15",
            "2 days",
            "z: b buys 6 SPY at 14",
            "40 days",
            "u: b sells 6 SPY at 20",
        ),
        # Six of ten: 30 of 50 dollars; 84 + 30 = 114; 120 - 114 = 6
        ("10 x: 150 - 200 W30 = -20", "6 z: 120 - 114 W0 = 6"),
    ),
    "a disallowed loss may be disallowed again": (
        (
            "x: a buys 10 SPY at 20",
            "40 days",
            "y: a sells 10 SPY at 15",
            "1 days",
            "z: a buys 10 SPY at 15",
            "40 days",
            "u: a sells 10 SPY at 14",
            "1 days",
            "v: a buys 10 SPY at 14",
            "40 days",
            "w: a sells 10 SPY at 21",
        ),
        # 150 + 50 = 200; 140 - 200 = -60 disallowed; 140 + 60 = 200; 210 - 200 = 10, and over all -50 - 10 + 70 = 10.
        ("10 x: 150 - 200 W50 = 0", "10 z: 140 - 200 W60 = 0", "10 v: 210 - 200 W0 = 10"),
    ),
    "a gain is no wash sale": (
        ("x: a buys 10 SPY at 20", "40 days", "y: a sells 10 SPY at 25", "1 days", "z: a buys 10 SPY at 25"),
        ("10 x: 250 - 200 W0 = 50",),
    ),
    "a split between them changes the shares and not the cost": (
        ("x: a buys 10 SPY at 20", "40 days", "SPY splits 2 for 1, +10", "y: a sells 20 SPY at 9"),
        ("20 x: 180 - 200 W0 = -20",),
    ),
}


@pytest.mark.parametrize("name", TABLES)
def test_the_marks_are_those_of_the_table(name: str) -> None:
    """Shares and lot: proceeds less basis, what is disallowed, and what counts."""
    facts, expected = TABLES[name]
    rows = [
        f"{number_string(one.closed.quantity)} {one.closed.lot}: {number_string(one.closed.proceeds)} - {number_string(one.basis)}"
        f" W{number_string(one.disallowed)} = {number_string(one.gain)}"
        for one in told(*facts)
    ]
    assert list(expected) == rows


def test_the_holding_period_of_what_was_sold_goes_to_what_replaces_it() -> None:
    """Held for 200 days before, and 200 after: more than a year together, though neither is."""
    first, second = told(
        "x: a buys 10 SPY at 20",
        "200 days",
        "y: a sells 10 SPY at 15",
        "1 days",
        "z: a buys 10 SPY at 15",
        "200 days",
        "u: a sells 10 SPY at 18",
    )
    assert (False, True) == (first.is_long_term, second.is_long_term)
    assert ("W", "") == (first.code, second.code)


def test_more_than_a_year_is_long_term() -> None:
    """A year and a day is; a year to the day is not."""
    for days, expected in ((365, False), (366, True)):
        (lot,) = told("x: a buys 1 SPY at 20", f"{days} days", "y: a sells 1 SPY at 21")
        assert expected is lot.is_long_term


def test_what_an_issuer_closes_is_sold() -> None:
    """A merger for cash closes every lot, and the cash adds up."""
    rows = told("x: a buys 3 SPY at 20", "y: a buys 4 SPY at 30", "1 days", "7 SPY go for 100")
    assert [("x", D("42.86"), D(60)), ("y", D("57.14"), D(120))] == [(one.closed.lot, one.closed.proceeds, one.basis) for one in rows]


def test_shares_that_were_owed_are_closed_when_they_are_bought_back() -> None:
    """Sold at 25 before they were bought at 24: one dollar a share."""
    rows = told("x: a buys 10 SPY at 20", "y: a sells 10 SPY at 25", "break x", "z: a buys 10 SPY at 24")
    assert [("z", "y", D(250), D(240))] == [(one.closed.lot, one.closed.sale, one.closed.proceeds, one.closed.cost) for one in rows]
