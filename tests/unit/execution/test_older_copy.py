"""An older copy of the journal: which orders are asked for, and which answers prove that the journal lacks its own orders."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec

from alchemiser.domain.account import BrokerActivity
from alchemiser.domain.reconciliation import Difference, DifferenceCode
from alchemiser.execution.older_copy import LOOKED_UP_AT_MOST, orders_not_held, orders_to_ask_for

COMPARED = datetime(2025, 3, 3, 21, 0, tzinfo=UTC)
EXECUTION = BrokerActivity(
    activity_id="1",
    execution_id="x",
    venue_order_id="v",
    symbol="BRK.B",
    side="buy",
    quantity=Decimal(1),
    price=Decimal(100),
    cumulative_quantity=Decimal(1),
    at=COMPARED + timedelta(days=1),
)


def asked(*executions: BrokerActivity, known: tuple[str, ...] = (), at_venue: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Return what is asked for."""
    return orders_to_ask_for(executions, known, at_venue, after=COMPARED, epoch="e")


def test_an_execution_of_nobody_is_asked_for_by_the_id_that_our_first_order_would_have_had() -> None:
    """Once for each symbol of a day; the day is that of New York."""
    late = msgspec.structs.replace(EXECUTION, at=datetime(2025, 3, 6, 1, 0, tzinfo=UTC))
    assert asked(EXECUTION, EXECUTION, late) == ("e-20250304.1-BRK.B-1", "e-20250305.1-BRK.B-1")


def test_what_is_known_or_older_or_taken_back_is_not_asked_for() -> None:
    """An order that the journal holds, or has forgotten since, proves nothing."""
    assert asked(EXECUTION, known=("e-20250304.1-BRK.B-1",)) == ()
    assert asked(EXECUTION, at_venue=("v",)) == ()
    assert asked(msgspec.structs.replace(EXECUTION, at=COMPARED)) == ()
    assert asked(msgspec.structs.replace(EXECUTION, correction="trade_bust")) == ()
    assert asked(msgspec.structs.replace(EXECUTION, symbol="NO SYMBOL OF OURS")) == ()


def test_a_handful_is_asked_for_at_most() -> None:
    """One that the venue knows is enough, and a busy account of somebody else costs no hundred requests."""
    many = [msgspec.structs.replace(EXECUTION, symbol=f"S{number}") for number in range(LOOKED_UP_AT_MOST + 5)]
    assert len(asked(*many)) == LOOKED_UP_AT_MOST


def test_a_live_order_of_ours_that_is_not_held_proves_it_and_a_sale_of_the_kill_switch_does_not() -> None:
    """What the kill switch sends is written down beside the journal, because it waits for none."""

    def found(key: str, code: DifferenceCode = DifferenceCode.ORDER_UNRECORDED) -> Difference:
        return Difference(code=code, subject=key, symbol="SPY", ours="unknown", theirs="buy 1")

    ours = "e-20250304.1-SPY-1"
    assert list(orders_not_held([found(ours)])) == [ours]
    assert list(orders_not_held([found("e-20250304.9001-SPY-1")])) == []
    assert list(orders_not_held([found(ours, DifferenceCode.ORDER_OF_ANOTHER_JOURNAL), found("x", DifferenceCode.ORDER_FOREIGN)])) == []
