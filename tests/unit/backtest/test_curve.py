"""The equity of all sessions at once is that of the engine that goes session by session."""

from datetime import date

import numpy as np
import pytest

from alchemiser.backtest.curve import Marks, Periods, curve_of, is_known_beforehand, rebalances_of
from alchemiser.backtest.result import BacktestResult, Terms
from alchemiser.backtest.vector import run_vector
from alchemiser.domain.rebalancing import Frequency, Header
from alchemiser.strategies.panel import PricePanel
from alchemiser.strategies.symphony.check import check_text
from alchemiser.strategies.symphony.evaluate import STOP
from alchemiser.strategies.symphony.strategy import SymphonyStrategy
from alchemiser.strategies.symphony.variants import VariantHistory
from tests.unit.strategies.test_variants import ALL_FORMS, panel

HEADERS = [Header(frequency) for frequency in Frequency]


def strategy(header: Header) -> SymphonyStrategy:
    words = "" if header.frequency is Frequency.NONE else f":rebalance-frequency :{header.frequency}"
    text = ALL_FORMS.replace(":rebalance-frequency :daily", words or ':asset-class "EQUITIES"')
    return SymphonyStrategy("own", 1.0, check_text(text))


def both(header: Header, prices: PricePanel, first: int, last: int, slippage: float) -> tuple[BacktestResult, object]:
    own = strategy(header)
    terms = Terms(slippage_bps=slippage)
    result = run_vector([own], prices, terms, timer=float, start=prices.session(first), end=prices.session(last))
    targets = VariantHistory(own.symphony, prices, STOP).targets(own.symphony)
    held = targets.weights > 0
    rebalanced = rebalances_of(own.header, targets.rows >= 0, targets.rows, held, Periods(prices), first, last)
    weights = targets.weights[targets.rows[rebalanced]]
    curve = curve_of(weights, rebalanced, Marks(prices).of(targets.symbols), first, last, cash=100_000.0, slippage_bps=slippage)
    np.testing.assert_allclose(curve.equity, result.equity, rtol=1e-12)
    assert curve.metrics(100_000.0).turnover == pytest.approx(result.metrics.turnover, rel=1e-10)
    assert curve.costs == pytest.approx(result.metrics.costs, rel=1e-10)
    return result, curve


@pytest.mark.parametrize("header", HEADERS, ids=str)
@pytest.mark.parametrize("slippage", [0.0, 7.5])
def test_the_curve_is_that_of_the_engine(header: Header, slippage: float) -> None:
    """Every calendar frequency, with gaps, before the first target, and from the middle on; with and without costs."""
    prices = panel(sessions=200)
    for first, last in ((0, 199), (60, 150), (3, 4)):
        both(header, prices, first, last, slippage)


def test_a_run_without_a_target_keeps_its_cash() -> None:
    """Before there is enough history nothing is held."""
    result, _ = both(Header(Frequency.DAILY), panel(), 0, 1, 5.0)

    assert result.equity == [100_000.0, 100_000.0]


def test_a_corridor_is_not_known_beforehand() -> None:
    """When it acts depends on how far its holdings have drifted."""
    assert not is_known_beforehand(Header(threshold=0.05))
    assert all(is_known_beforehand(header) for header in HEADERS)


def test_a_symbol_is_worth_its_last_close() -> None:
    """Where it has no bar, and before its first, when nothing of it can be held, 1."""
    days = np.array([date(2025, 3, day).toordinal() for day in (3, 4, 5)])
    marks = Marks(PricePanel({"AAA": (days, np.array([1.0, 2.0, 3.0])), "BBB": (days[1:2], np.array([7.0]))}))

    assert marks.of(("AAA", "BBB")).tolist() == [[1, 2, 3], [1, 7, 7]]
    assert marks.of(()).shape == (0, 3)
