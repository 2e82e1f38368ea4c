"""Whole days with splits over night and dividends: what is booked is what the exchange did, every evening, and nothing is parked."""

from datetime import date
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import pytest

from alchemiser.domain.activities import Treatment
from alchemiser.domain.events import ActivityBooked, LedgerCompared, Reconciled, ResultReported
from alchemiser.exchange.generator import SyntheticMarket
from alchemiser.exchange.tape import MarketTape
from alchemiser.market.calendar import TradingCalendar
from alchemiser.service.book_export import tables_of
from alchemiser.service.offline import view_from_journal
from tests.simulation.days import journal_of, simulate
from tests.simulation.rotations import HoldNine
from tests.simulation.test_days import of_type

SEED = 1


def market(symbols: tuple[str, ...]) -> MarketTape:
    """Return the market that the days are played on."""
    calendar = TradingCalendar.new_york()
    return MarketTape(SyntheticMarket(calendar, SEED, symbols=symbols, splits=True), calendar, symbols, SEED, splits=True)


@pytest.mark.slow
def test_splits_and_dividends_are_booked_as_the_exchange_carries_them_out(tmp_path: Path) -> None:
    """The books agree with the broker at every look, a split keeps the cost, and the P&L has the dividends."""
    tape = market(HoldNine.symbols)
    sessions = tape.calendar.sessions(date(2025, 1, 2), date(2025, 6, 30))
    splits = {on for symbol in HoldNine.symbols for on, _ in tape.splits(symbol, sessions[0].date, sessions[-1].date)}
    start = next(one.date for one, after in pairwise(sessions) if after.date in splits)
    overrides = {
        "strategies": {"nine": {"source": "tests.simulation.rotations:HoldNine"}},
        "embedded.seed": SEED,
        "embedded.splits": True,
        "embedded.dividends": True,
    }
    assert simulate(tmp_path, days=2, start=start, overrides=overrides) == 0
    journal = journal_of(tmp_path)

    booked = of_type(journal, ActivityBooked)
    assert Treatment.SPLIT in {one.treatment for one in booked}
    assert {one.treatment for one in booked} <= {Treatment.SPLIT, Treatment.DIVIDEND}
    assert [()] * len(of_type(journal, LedgerCompared)) == [one.differences for one in of_type(journal, LedgerCompared)]
    assert all(not one.parked for one in of_type(journal, Reconciled))
    assert len(of_type(journal, ResultReported)) == 2
    for one in booked:
        assert one.activity.amount == sum((entry.cash for entry in one.entries), Decimal(0)) + one.account_cash

    view = view_from_journal(tmp_path).pnl()
    dividends = sum((one.activity.amount for one in booked), Decimal(0))
    assert dividends == view["income"] + view["account_income"]
    assert view["returns"]["time_weighted"] == pytest.approx(float(view["equity"] / 100_000) - 1)
    (lots,) = [table.rows for table in tables_of(tmp_path) if table.name == "lots"]
    assert len({row["symbol"] for row in lots}) == len(HoldNine.symbols)
