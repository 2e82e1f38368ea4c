"""A crash at every durable boundary of a day: just before each commit of the journal and just after it, then a restart.

What comes out is compared with the day without a crash: the same holdings, or a rebalance that was parked with its reason; and, as in every
run, no second order, no lost fill and books that equal the exchange's.
"""

from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from tests.simulation.campaign import play
from tests.simulation.checker import broken_rules
from tests.simulation.faults import End, EndKind, Scenario
from tests.simulation.menu import day
from tests.simulation.record import Record

SEED = 9
FIRST_DAY = date(2025, 7, 2)
"""The day after it is a half day: where nothing happens but prices, there is less of that."""

PARTS = 8
TOLERANCE = Decimal("0.02")
"""By how much of its worth a holding may differ: who decides anew after a restart meets other prices."""


def small_day(*ends: End) -> Scenario:
    """Return two days of two strategies, so that there are sells too, with these ends of daemons."""
    return day(SEED, first=FIRST_DAY, days=2, ends=ends, minutes=10.5)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Record:
    """The day without a crash."""
    record = play(small_day(), tmp_path_factory.mktemp("undisturbed"))
    assert broken_rules(record) == []
    return record


def worth(record: Record) -> dict[str, Decimal]:
    """Return what is held of each symbol, in dollars."""
    return {position["symbol"]: Decimal(position["market_value"]) for position in record.positions}


def differences(record: Record, undisturbed: Record) -> list[str]:
    """Return what is held otherwise than without a crash; nothing where the rebalance was parked with a reason."""
    if any(row.event["reason"] for row in record.of("RebalanceParked")) or any(row.event["reason"] for row in record.of("DecisionMissed")):
        return []
    ours, theirs = worth(record), worth(undisturbed)
    equity = Decimal(undisturbed.account["equity"])
    return [
        f"{symbol}: {ours.get(symbol, 0)} dollars are held, without a crash {theirs.get(symbol, 0)}"
        for symbol in sorted({*ours, *theirs})
        if abs(ours.get(symbol, Decimal(0)) - theirs.get(symbol, Decimal(0))) > TOLERANCE * equity
    ]


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", ["crash before boundary", "crash after boundary"])
@pytest.mark.parametrize("part", range(PARTS))
def test_a_crash_at_every_durable_boundary(tmp_path: Path, undisturbed: Record, kind: EndKind, part: int) -> None:
    """Whichever commit was the last, or the first that was not, the day ends as if nothing had happened, or says why not."""
    commits = undisturbed.lives[0].commits
    assert commits > 10
    wrong: dict[int, list[str]] = {}
    for number in range(1 + part, commits + 1, PARTS):
        directory = tmp_path / str(number)
        directory.mkdir()
        record = play(small_day(End(kind, 1.0, event="commit", count=number)), directory)
        assert record.struck == (kind + " commit",)
        found = [*broken_rules(record), *differences(record, undisturbed)]
        if found:
            wrong[number] = found
    assert wrong == {}


def left_ahead(record: Record) -> int:
    """Return how many orders arrived while only what was written ahead of them was on the disk."""
    return sum({row.kind for row in arrival.written} == {"OrderPrepared"} for arrival in record.arrivals)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_an_order_that_left_on_what_was_written_ahead_is_found_after_a_crash(tmp_path: Path, undisturbed: Record) -> None:
    """Among the crashes of a day are some between an order's leaving and its record: the next start finds the order at the venue."""
    found = 0
    last = undisturbed.lives[0].commits
    for number in range(last - 17, last + 1, 3):  # The second day: its buys wait for the cash of its sells.
        directory = tmp_path / str(number)
        directory.mkdir()
        record = play(small_day(End("crash before boundary", 1.0, event="commit", count=number)), directory)
        presumed = {row.event["order"]["client_order_id"] for row in record.of("OrderIntended") if row.event["is_presumed"]}
        at_exchange = presumed & {order["client_order_id"] for order in record.orders}
        assert len(at_exchange) <= left_ahead(record)
        found += len(at_exchange)
        assert broken_rules(record) == []
    assert found >= 2


def test_holdings_that_differ_are_seen(undisturbed: Record, tmp_path: Path) -> None:
    """The comparison says no to a day on which a part of the orders was never sent."""
    half = play(small_day(End("stop", 900.0, at=undisturbed.of("RebalancePlanned")[0].at)), tmp_path)
    assert worth(undisturbed)
    assert half.of("RebalanceParked") or differences(half, undisturbed)
