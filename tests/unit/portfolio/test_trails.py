"""Deeds that may still be taken back: what has settled is in the lots before, whether its lots were told or are worked out."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from alchemiser.portfolio.lots import Lots, Trade, traded
from alchemiser.portfolio.trails import Trail

BEGAN = datetime(2025, 3, 3, 15, tzinfo=UTC)
SYMBOL = "SPY"


def trade(number: int, quantity: Decimal) -> Trade:
    """Return one trade of a day."""
    return Trade(execution_id=f"e{number}", quantity=quantity, price=Decimal(100 + number), at=BEGAN + timedelta(days=number))


def told(quantities: list[Decimal]) -> Trail:
    """Return a trail that was told what each trade left."""
    trail = Trail()
    lots: Lots = ()
    for number, quantity in enumerate(quantities):
        one = trade(number, quantity)
        lots, _ = traded(SYMBOL, lots, one)
        trail.append(one, lots)
    return trail


@given(
    st.lists(st.sampled_from([Decimal(3), Decimal(1), Decimal(-1), Decimal(-2)]), min_size=1, max_size=8),
    st.lists(st.integers(0, 8), min_size=1, max_size=3).map(sorted),
)
def test_what_settles_is_the_same_from_lots_that_were_told(quantities: list[Decimal], firsts: list[int]) -> None:
    """A trail that was restored knows no lots but those before, works the others out, and settles to the same."""
    trail = told(quantities)
    restored = msgspec.json.decode(msgspec.json.encode(trail), type=Trail)
    left = trail.worked_out(SYMBOL)[0]
    for first in firsts:
        may_change = {f"e{number}" for number in range(first, len(quantities))}

        assert restored.settle(SYMBOL, may_change) == trail.settle(SYMBOL, may_change) == bool(may_change)

        assert restored == trail
        if may_change:
            assert len(may_change) == len(trail.trades)
            assert left == trail.worked_out(SYMBOL)[0]


def test_a_trade_after_a_restart_settles_behind_those_before() -> None:
    """Lots that are told behind trades whose lots nobody told are not taken for those of the first."""
    trail: Trail = msgspec.json.decode(msgspec.json.encode(told([Decimal(3), Decimal(1)])), type=Trail)
    before: Lots = trail.worked_out(SYMBOL)[0]
    sale = trade(2, Decimal(-2))
    trail.append(sale, traded(SYMBOL, before, sale)[0])

    assert trail.settle(SYMBOL, {"e2"})

    assert before == trail.before
    assert [sale] == trail.trades
