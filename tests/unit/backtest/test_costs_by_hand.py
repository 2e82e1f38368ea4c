"""Every cost of the event engine, to the cent, worked out by hand on an account that changes from A to B at prices that stand still."""

from datetime import date

import numpy as np
import pytest

from alchemiser.backtest.event_engine import run_event
from alchemiser.backtest.result import BacktestResult, Charges, Terms
from alchemiser.strategies.panel import PricePanel
from alchemiser.strategies.symphony.check import check_text
from alchemiser.strategies.symphony.strategy import SymphonyStrategy

SIGNAL = [10.0, 11.0, 12.0, 11.0, 10.0]
"""It rises on the second and third day, when A is held, and falls afterwards, when B is."""


def changed_once(charges: Charges, *, days: int = 5, cash: float = 10_000.0, slippage_bps: float = 0.0) -> BacktestResult:
    """Hold A at 100 dollars, then B at 50; what is held stays as it is until the target is another."""
    first = date(2025, 3, 3).toordinal()
    found = np.array([day for day in range(first, first + 2 * days) if date.fromordinal(day).weekday() < 5][:days], dtype=np.int64)
    signal = np.array(SIGNAL + [9.0 - place / 100 for place in range(days - 5)])
    prices = {"A": np.full(days, 100.0), "B": np.full(days, 50.0), "SIGNAL": signal}
    text = '(defsymphony "C" {} (if (> (cumulative-return "SIGNAL" {:window 1}) 0) [(asset "A")] [(asset "B")]))'
    panel = PricePanel({symbol: (found, closes) for symbol, closes in prices.items()})
    terms = Terms(cash=cash, slippage_bps=slippage_bps)
    return run_event([SymphonyStrategy("c", 1.0, check_text(text))], panel, terms, timer=lambda: 0.0, charges=charges)


def cents(result: BacktestResult) -> list[float]:
    return [round(value, 2) for value in result.equity]


@pytest.mark.parametrize(("spread_bps", "slippage_bps"), [(20.0, 0.0), (0.0, 10.0), (10.0, 5.0)])
def test_half_the_spread_and_the_slippage_are_paid_on_every_order(spread_bps: float, slippage_bps: float) -> None:
    """Ten basis points either way, however they are made up; what a whole turn costs, twenty, is kept back.

    9,980 dollars buy 99.8 A at 100.10, which leaves 10.02 in cash: 9,990.02. They are sold at 99.90 for 9,970.02; of 9,990.02 dollars 0.2 %
    are kept back, so 199.4008 B are bought at 50.05 for 9,980.01, and 9,970.04 dollars of B and 3 cents are left.
    """
    result = changed_once(Charges(spread_bps=spread_bps), slippage_bps=slippage_bps)

    assert cents(result) == [9_990.02, 9_990.02, 9_970.07, 9_970.07]
    assert result.metrics.costs == pytest.approx(29.93, abs=0.005)


def test_the_regulators_fees_are_taken_the_morning_after() -> None:
    """Of 100 A sold for 10,000 dollars, and 300 shares traded since the last morning at most.

    The purchase of 100 A costs CAT 0.0003, a cent. The sale: SEC 10,000 x 0.0000206 = 0.206, 21 cents; TAF 100 x 0.000195, 2 cents; CAT of
    100 A and 200 B, 0.0009, a cent: 24 cents.
    """
    result = changed_once(Charges(fees=True))

    assert cents(result) == [10_000.00, 9_999.99, 9_999.99, 9_999.75]
    assert result.metrics.costs == pytest.approx(0.25, abs=0.005)


def test_debts_cost_interest_once_a_month() -> None:
    """The fees of a million that changes from A to B are owed, for nothing is sold for them, at 36 % a year: 0.1 % a night.

    CAT of the purchase of 10,000 A on Tuesday the 4th, 3 cents, is owed from the close of the 5th. The sale on the 6th costs SEC 20.60, TAF
    1.95 and CAT 9 cents, so 22.64 are taken on the 7th. 2 nights of 0.03 and, to the 1st of April, 25 of 22.67: 566.81 dollar days, 57
    cents, taken on the 1st.
    """
    free = changed_once(Charges(fees=True), days=25, cash=1_000_000.0)
    owing = changed_once(Charges(fees=True, margin_rate=0.36), days=25, cash=1_000_000.0)
    apart = [round(before - after, 2) for before, after in zip(free.equity, owing.equity, strict=True)]

    assert cents(free)[:5] == [1_000_000.00, 999_999.97, 999_999.97, 999_977.33, 999_977.33]
    assert apart == [0.57 if day >= date(2025, 4, 1) else 0.0 for day in free.dates]
    assert date(2025, 4, 1) in free.dates
    assert owing.metrics.costs - free.metrics.costs == pytest.approx(0.57, abs=0.005)


def test_without_costs_nothing_is_lost() -> None:
    """The same changes at prices that stand still."""
    assert cents(changed_once(Charges())) == [10_000.0] * 4
