"""Books of lots and the splitting of shared fills: exact, whatever the fractions."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alchemiser.domain.errors import InvariantBroken
from alchemiser.portfolio.attribution import split_fill
from alchemiser.portfolio.lots import Book, Reshaping, Trade, reshaped, traded

AT = datetime(2025, 3, 3, 20, 50, tzinfo=UTC)
SHARES = st.decimals(min_value="0.000000001", max_value="100000", places=9)
PRICES = st.decimals(min_value="0.01", max_value="5000", places=2)


def trade(quantity: str | Decimal, price: str | Decimal, name: str = "x") -> Trade:
    """Return a trade of signed shares."""
    return Trade(execution_id=name, quantity=Decimal(quantity), price=Decimal(price), at=AT)


def test_the_first_lot_in_is_the_first_out() -> None:
    """A sale realises against the oldest lots."""
    book = Book().after("A", trade("10", "5")).after("A", trade("10", "8")).after("A", trade("-15", "9"))

    assert book.realised == 10 * (9 - 5) + 5 * (9 - 8)
    assert book.quantity("A") == 5
    assert book.cost("A") == 40
    assert book.cash_flow == -50 - 80 + 135


@given(st.lists(st.tuples(st.booleans(), SHARES, PRICES), max_size=20))
def test_profit_is_cash_plus_what_is_held(trades: list[tuple[bool, Decimal, Decimal]]) -> None:
    """Realised plus unrealised profit is exactly the cash that flowed plus the value held, after every trade, and while shares are owed."""
    book, mark = Book(), {"A": Decimal("123.45")}
    for is_buy, quantity, price in trades:
        book = book.after("A", trade(quantity if is_buy else -quantity, price))

        value = book.quantity("A") * mark["A"]
        assert book.realised + book.unrealised(mark) == book.cash_flow + value
        assert len({lot.quantity > 0 for lot in book.lots.get("A", ())}) <= 1


@given(st.lists(st.tuples(st.booleans(), st.booleans(), SHARES, PRICES), max_size=20))
def test_what_is_added_up_with_every_trade_is_what_the_lots_add_up_to(trades: list[tuple[bool, bool, Decimal, Decimal]]) -> None:
    """Whether somebody asked between two trades or not: the shares and the profit are those of the lots."""
    book, mark = Book(), {"A": Decimal("123.45")}
    for is_asked, is_buy, quantity, price in trades:
        one = trade(quantity if is_buy else -quantity, price)
        lots, realised = traded("A", book.lots.get("A", ()), one)
        book.change("A", lots, realised=realised, cash=-one.quantity * price, moved=one.quantity)
        if is_asked:
            assert book.quantity("A") == sum(lot.quantity for lot in lots)
            assert book.unrealised(mark) == sum(lot.quantity * mark["A"] - lot.cost for lot in lots)


@given(st.dictionaries(st.sampled_from("abcdefg"), SHARES, min_size=1), st.integers(min_value=1, max_value=10_000))
def test_the_parts_of_a_fill_add_up(waiting: dict[str, Decimal], share: int) -> None:
    """No part is negative or more than was waited for, and together they are the fill."""
    quantity = (sum(waiting.values(), Decimal(0)) * share / 10_000).quantize(Decimal("1e-9"))

    parts = split_fill(quantity, waiting)

    assert quantity == sum(parts.values(), Decimal(0))
    assert all(0 < part <= waiting[name] for name, part in parts.items())


def test_what_nobody_waits_for_is_an_invariant_broken() -> None:
    """More shares than were asked for mean that the books no longer know what happened."""
    with pytest.raises(InvariantBroken):
        split_fill(Decimal(3), {"a": Decimal(1), "b": Decimal(1)})


def test_the_rest_of_an_uneven_split_goes_by_the_stated_rule() -> None:
    """What the cutting leaves goes to who waits for most, first by name among equals."""
    parts = split_fill(Decimal("0.000000001"), {"b": Decimal(1), "a": Decimal(1)})

    assert {"a": Decimal("0.000000001")} == parts


def test_cost_that_moves_from_shares_that_are_gone_is_realised() -> None:
    """Their purchase was taken back since, and paid for is nothing; what came of them still costs what went with it, so that is a gain."""
    assert reshaped((), Reshaping(execution_id="d", at=AT, cost_moved=Decimal(5))) == ((), Decimal(5))


def test_a_lot_that_a_reverse_split_leaves_nothing_of_gives_its_cost_to_the_others() -> None:
    """Nine decimals are all there are: no dollar of cost is lost with the shares."""
    book = Book().after("A", trade("10", "5")).after("A", trade("0.000000001", "1000000"))
    lots, realised = reshaped(book.lots["A"], Reshaping(execution_id="d", at=AT, old=Decimal(10), new=Decimal(1)))
    assert realised == 0
    assert [lot.quantity for lot in lots] == [1]
    assert sum(lot.cost for lot in lots) == book.cost("A")
