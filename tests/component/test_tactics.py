"""Each tactic trades whole days through the daemon and the embedded exchange, on virtual time; what it cost is reported and answered."""

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import pytest

from alchemiser.bus.envelope import Envelope
from alchemiser.domain.events import (
    Event,
    HandlerFailed,
    LedgerCompared,
    OrderIntended,
    RebalanceCompleted,
    RebalanceParked,
    ResultReported,
    ShortfallReported,
)
from alchemiser.domain.orders import TimeInForce
from alchemiser.service.offline import view_from_journal
from tests.simulation.days import journal_of, simulate

E = TypeVar("E", bound=Event)

HALF_DAY = date(2025, 7, 3)


def traded(state: Path, tactic: str, *, days: int = 2, start: date | None = None, **settings: Any) -> list[Envelope]:
    """Return the journal of days that were decided twenty minutes before the close."""
    overrides: Mapping[str, Any] = {
        "strategies": {"rotation": {"source": "tests.simulation.traders:Rotation"}},
        "execution.tactic": tactic,
        "schedule.decision": "close - 20m",
        **{name.replace("__", "."): value for name, value in settings.items()},
    }
    begin = {} if start is None else {"start": start}
    assert simulate(state, days=days, overrides=overrides, **begin) == 0  # type: ignore[arg-type]
    return journal_of(state)


def of_type(journal: list[Envelope], kind: type[E]) -> list[E]:
    """Return the events of one type."""
    return [envelope.event for envelope in journal if isinstance(envelope.event, kind)]


def ends_of(journal: list[Envelope]) -> list[RebalanceCompleted | RebalanceParked]:
    """Return how the rebalances ended."""
    return [envelope.event for envelope in journal if isinstance(envelope.event, RebalanceCompleted | RebalanceParked)]


@pytest.mark.parametrize(
    ("tactic", "is_fractional"),
    [
        *((name, True) for name in ("ladder", "marketable_limit", "twap", "vwap", "moc", "loc")),
        ("ladder", False),
        ("vwap", False),
        ("moc", False),
    ],
)
def test_each_tactic_trades_whole_days(tmp_path: Path, tactic: str, is_fractional: bool) -> None:
    """Every rebalance ends, nothing is over-ordered, books and broker agree, the cost is known."""
    journal = traded(tmp_path, tactic, portfolio__fractional=is_fractional)

    assert of_type(journal, HandlerFailed) == []
    assert all(not event.differences for event in of_type(journal, LedgerCompared))
    assert len(of_type(journal, ResultReported)) == 2
    ends = ends_of(journal)
    assert len(ends) == 2
    for outcome in (outcome for end in ends for outcome in end.outcomes):
        assert Decimal("0.97") * outcome.quantity <= outcome.filled_quantity <= outcome.quantity
        assert outcome.state == "filled" or "the cash reached for" in (outcome.reason or "")
        assert outcome.tactic == tactic or "the buys need its cash" in (outcome.fell_because or "")
    orders = of_type(journal, OrderIntended)
    assert tactic in {order.tactic for order in orders}
    for order in orders:
        in_auction = order.order.time_in_force is TimeInForce.CLS
        assert in_auction is (order.step == "auction")
        assert not in_auction or order.order.quantity == order.order.quantity.to_integral_value()
    reports = of_type(journal, ShortfallReported)
    assert [end.rebalance_id for end in ends] == [report.rebalance_id for report in reports]
    for end, report in zip(ends, reports, strict=True):
        total = report.shortfall.total
        assert total is not None
        assert total.close_bps is not None
        assert total.quantity == sum(outcome.filled_quantity for outcome in end.outcomes)
        assert set(report.closes) == {outcome.symbol for outcome in end.outcomes}


def test_what_it_cost_is_answered(tmp_path: Path) -> None:
    """``orders`` and ``pnl`` tell the slippage per order, per step of the tactic and per strategy."""
    journal = traded(tmp_path, "twap", days=1)
    (report,) = of_type(journal, ShortfallReported)
    view = view_from_journal(tmp_path)

    rows = {row["client_order_id"]: row for row in view.orders()}
    assert set(rows) >= {order.client_order_id for order in report.shortfall.orders}
    for order in report.shortfall.orders:
        row = rows[order.client_order_id]
        assert order.slippage is not None
        assert (order.tactic, order.step, order.arrival_price) == (row["tactic"], row["step"], row["arrival_price"])
        assert (order.slippage.arrival_bps, order.slippage.mid_bps, order.slippage.close_bps) == (
            row["arrival_bps"],
            row["mid_bps"],
            row["close_bps"],
        )
    told = view.pnl()["shortfall"]
    assert told["rebalance"] == report.rebalance_id
    assert list(told["steps"]) == [f"twap: slice {number} of 4" for number in range(1, 5)]
    assert list(told["strategies"]) == ["rotation"]


@pytest.mark.parametrize(("decision", "in_auction"), [("close - 11m", True), ("close - 10m", False)])
def test_on_a_half_day_the_auction_closes_with_the_day(tmp_path: Path, decision: str, in_auction: bool) -> None:
    """The cut-off shifts with the close; a decision that comes too late falls to the ladder, and says so."""
    journal = traded(tmp_path, "moc", days=1, start=HALF_DAY, schedule__decision=decision)

    (end,) = ends_of(journal)
    assert {("moc" if in_auction else "ladder")} == {outcome.tactic for outcome in end.outcomes}
    if not in_auction:
        assert all("takes no more orders since" in (outcome.fell_because or "") for outcome in end.outcomes)


def test_symbols_and_strategies_have_their_own_tactics(tmp_path: Path) -> None:
    """One rebalance is worked by several tactics at once, each named in its orders."""
    journal = traded(tmp_path, "ladder", days=2, execution__symbol_tactics={"AAX": "twap", "CCZ": "loc", "EEY": "marketable_limit"})

    expected = {"AAX": "twap", "CCZ": "loc", "EEY": "marketable_limit"}
    for end in ends_of(journal):
        for outcome in end.outcomes:
            assert outcome.tactic == expected.get(outcome.symbol, "ladder") or outcome.fell_because is not None
    assert len({order.tactic for order in of_type(journal, OrderIntended)}) >= 3
