"""The vectorised backtest: small tables of closes in, equity and targets out."""

from collections.abc import Mapping, Sequence
from datetime import date

import numpy as np
import pytest

from alchemiser.backtest.result import BacktestResult, Opens, Terms
from alchemiser.backtest.vector import run_vector
from alchemiser.domain.errors import DataError
from alchemiser.strategies.panel import PricePanel
from alchemiser.strategies.symphony.check import check_text
from alchemiser.strategies.symphony.strategy import SymphonyStrategy

FIRST = date(2025, 3, 3)
"""A Monday."""
DAYS = [FIRST.toordinal() + offset for offset in (0, 1, 2, 3, 4, 7, 8, 9, 10, 11)]

# Signal S above 100 selects A, otherwise B.
SWITCH = '(if (> (current-price "S") 100) [(asset "A")] [(asset "B")])'
HALVES = '(weight-equal [(asset "A") (asset "B")])'


def strategy(root: str, header: str = "{:rebalance-frequency :daily}", name: str = "s", allocation: float = 1.0) -> SymphonyStrategy:
    return SymphonyStrategy(name, allocation, check_text(f'(defsymphony "T" {header} {root})'))


def panel(**closes: Sequence[float | None]) -> PricePanel:
    history = {}
    for symbol, values in closes.items():
        known = [(day, value) for day, value in zip(DAYS, values, strict=False) if value is not None]
        history[symbol] = (np.array([day for day, _ in known], dtype=np.int64), np.array([value for _, value in known], dtype=np.float64))
    return PricePanel(history)


def run(
    prices: PricePanel,
    *strategies: SymphonyStrategy,
    terms: Terms | None = None,
    start: date | None = FIRST,
    end: date | None = None,
    opens: Mapping[str, Mapping[int, float]] | None = None,
) -> BacktestResult:
    ticks = iter((10.0, 10.5))
    return run_vector(
        strategies, prices, terms or Terms(cash=1_000.0), timer=lambda: next(ticks), start=start, end=end, opens=Opens(opens or {})
    )


def weights(result: BacktestResult) -> list[dict[str, float]]:
    return [target.weights for target in result.targets]


def test_a_decision_earns_from_its_own_close_on() -> None:
    """The close of the day of decision is the price of the fill: day d's target earns from d to d+1."""
    prices = panel(S=[101, 99, 101, 99], A=[10, 11, 12, 13], B=[50, 40, 60, 30])
    result = run(prices, strategy(SWITCH))

    # A 10 -> 11 earns 10 %, B 40 -> 60 earns 50 %, A 12 -> 13 earns a twelfth.
    assert result.equity == pytest.approx([1_000, 1_100, 1_650, 1_650 * 13 / 12])
    assert weights(result) == [{"A": 1.0}, {"B": 1.0}, {"A": 1.0}, {"B": 1.0}]
    assert [target.date for target in result.targets] == result.dates
    assert (result.engine, result.sessions, result.seconds) == ("vector", 4, 0.5)
    assert (result.start, result.end) == (FIRST, date(2025, 3, 6))
    assert result.failures == []
    assert result.metrics.costs == 0.0


def test_a_decision_filled_at_the_next_open_earns_from_there() -> None:
    """With next-open the decision of d is filled at the open of d+1; the last one is never filled."""
    prices = panel(S=[101, 99, 101, 99], A=[10, 11, 12, 13], B=[50, 40, 60, 30])
    opens = {"A": dict(zip(DAYS, [9.0, 10.5, 11.5, 12.5], strict=False)), "B": dict(zip(DAYS, [55.0, 45.0, 48.0, 50.0], strict=False))}
    result = run(prices, strategy(SWITCH), terms=Terms(cash=1_000.0, fill="next-open"), opens=opens)

    second = 1_000 / 10.5 * 11
    third = 1_000 / 10.5 * 11.5 / 48 * 60
    fourth = 1_000 / 10.5 * 11.5 / 48 * 50 / 12.5 * 13
    assert result.equity == pytest.approx([1_000, second, third, fourth])


def test_costs_are_charged_on_what_is_traded() -> None:
    """Ten basis points of the first purchase, then of both sides of a complete switch, then nothing when nothing is traded."""
    prices = panel(S=[101, 99, 99], A=[10, 10, 10], B=[50, 50, 50])
    result = run(prices, strategy(SWITCH), terms=Terms(cash=1_000.0, slippage_bps=10.0))

    assert result.equity == pytest.approx([999.0, 999.0 * 0.998, 999.0 * 0.998])
    assert result.metrics.costs == pytest.approx(1.0 + 999.0 * 0.002)
    assert result.metrics.turnover == pytest.approx(1.5 * 252 / 2)


def test_a_strategy_without_a_target_keeps_what_it_holds() -> None:
    """Before the first target there is cash; a day without a target trades nothing and is reported with its reason."""
    prices = panel(S=[None, 101, None, None, 99], A=[10, 11, 12, 13, 14], B=[50, 50, 50, 50, 50])
    result = run(prices, strategy(SWITCH))

    assert result.equity == pytest.approx([1_000, 1_000, 1_000 * 12 / 11, 1_000 * 13 / 11, 1_000 * 14 / 11])
    assert weights(result) == [{"A": 1.0}, {"B": 1.0}]
    assert [(failure.first.day, failure.last.day, failure.sessions) for failure in result.failures] == [(3, 3, 1), (5, 6, 2)]
    assert "the bars of S begin only on 2025-03-04" in result.failures[0].reason
    assert "S has no bar on 2025-03-05" in result.failures[1].reason


def test_holdings_drift_between_rebalances() -> None:
    """Daily brings the halves back every day; weekly lets them drift until the first session of the next week."""
    prices = panel(A=[10, 20, 40, 80, 80, 80, 160], B=[10] * 7)
    daily, weekly = run(prices, strategy(HALVES)), run(prices, strategy(HALVES, "{:rebalance-frequency :weekly}"))

    assert daily.equity[:4] == pytest.approx([1_000, 1_500, 2_250, 3_375])
    assert weekly.equity == pytest.approx([1_000, 1_500, 2_500, 4_500, 4_500, 4_500, 6_750])
    assert [target.date.day for target in weekly.targets] == [3, 10]


def test_a_corridor_trades_when_it_is_left() -> None:
    """Within ten points nothing happens; beyond them everything is brought back."""
    prices = panel(A=[10, 12, 15, 15], B=[10, 10, 10, 10])
    result = run(prices, strategy(HALVES, "{:rebalance-threshold 0.1}"))

    # 12 against 10 is 54.5 %, 15 against 10 is 60 %: exactly ten points, not more than ten.
    assert [target.date.day for target in result.targets] == [3]
    moved = run(panel(A=[10, 12, 15.2, 15.2], B=[10] * 4), strategy(HALVES, "{:rebalance-threshold 0.1}"))
    assert [target.date.day for target in moved.targets] == [3, 5]


def test_strategies_share_the_account_by_their_allocations() -> None:
    """Those that trade on a session share what they have together; what both trade in opposite directions costs nothing."""
    prices = panel(S=[101, 99], A=[10, 20], B=[10, 10])
    up, down = strategy(SWITCH, name="up", allocation=0.75), strategy(SWITCH.replace("> ", "<= "), name="down", allocation=0.25)
    result = run(prices, up, down, terms=Terms(cash=1_000.0, slippage_bps=100.0))

    assert weights(result) == [pytest.approx({"A": 0.75, "B": 0.25}), pytest.approx({"A": 0.25, "B": 0.75})]
    # After the purchases 990: 742.5 in A that doubles, 247.5 in B. Then 1732.5, of which a quarter is to be A: A sells 1051.875,
    # and B buys as much.
    assert result.equity == pytest.approx([990.0, 1_732.5 - 2 * 1_051.875 * 0.01])


def test_one_failing_strategy_keeps_its_part_while_the_other_trades() -> None:
    """The part of a strategy without a target is left alone: the other trades with its own."""
    prices = panel(S=[101, None, None], A=[10, 20, 20], B=[10, 10, 20])
    result = run(prices, strategy(SWITCH, name="fails", allocation=0.5), strategy('(asset "B")', name="holds", allocation=0.5))

    assert result.equity == pytest.approx([1_000, 1_500, 2_000])
    assert weights(result)[1] == pytest.approx({"A": 0.5, "B": 0.5})


def test_what_stops_trading_is_sold_at_its_last_close() -> None:
    """A symbol whose bars end is valued at its last close, and sold there when the target moves on."""
    prices = panel(S=[101, 101, 99, 99], A=[10, 11, None, None], B=[50, 50, 50, 100])
    result = run(prices, strategy(SWITCH))

    assert result.equity == pytest.approx([1_000, 1_100, 1_100, 2_200])


def test_a_fill_at_an_open_that_is_not_known_waits() -> None:
    """Without an open there is nothing to fill at: the failure is reported and the next decision trades."""
    prices = panel(A=[10, 10, 10, 20])
    opens = {"A": {DAYS[2]: 10.0, DAYS[3]: 10.0}}
    result = run(prices, strategy('(asset "A")'), terms=Terms(cash=1_000.0, fill="next-open"), opens=opens)

    assert result.equity == pytest.approx([1_000, 1_000, 1_000, 2_000])
    assert result.failures[0].reason == "A cannot be bought on 2025-03-04: no price to fill at"


def test_the_range_of_a_run() -> None:
    """Without a start it begins at the first target; start and end need not be sessions; history before the start counts."""
    prices = panel(S=[None, None, 101, 101, 101, 101], A=[10, 10, 10, 20, 20, 20], B=[1] * 6)

    assert run(prices, strategy(SWITCH), start=None).start == date(2025, 3, 5)
    weekend = run(prices, strategy(SWITCH), start=date(2025, 3, 6), end=date(2025, 3, 9))
    assert (weekend.start, weekend.end, weekend.sessions) == (date(2025, 3, 6), date(2025, 3, 7), 2)


def test_ranges_without_a_session_are_refused() -> None:
    """A range beside the bars, and strategies that never have a target, are refused with what there is."""
    prices = panel(A=[10, 10], B=[10, 10])
    with pytest.raises(DataError, match="the last before is that of 2025-03-04"):
        run(prices, strategy('(asset "A")'), start=date(2026, 1, 1))
    with pytest.raises(DataError, match=r"no session with a target; on the last session s: .*there are no bars of S"):
        run(prices, strategy(SWITCH), start=None)
    with pytest.raises(DataError, match="there are no bars"):
        run(panel(), strategy(SWITCH), start=None, end=date(2025, 1, 1))
