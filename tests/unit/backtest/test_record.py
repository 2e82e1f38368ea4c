"""The book of a run: it adds up, whatever was traded."""

from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alchemiser.backtest.analysis import Questions, analyse, exposure_of
from alchemiser.backtest.data_version import data_version
from alchemiser.backtest.document import digest_of, document_of
from alchemiser.backtest.record import Recorder
from alchemiser.backtest.result import BacktestResult, Charges, FillAt, Opens, Terms
from alchemiser.backtest.vector import run_vector
from tests.unit.backtest.test_vector import DAYS, FIRST, HALVES, SWITCH, panel, strategy

PRICES = st.lists(st.floats(min_value=20.0, max_value=200.0), min_size=10, max_size=10)


def record(*, terms: Terms | None = None, **closes: list[float]) -> tuple[BacktestResult, Recorder]:
    """Run two strategies over closes of A, B and S, with opens half way between the closes."""
    recorder = Recorder()
    halves = strategy(HALVES, "{:rebalance-frequency :weekly}", name="halves", allocation=0.4)
    mixed = [strategy(SWITCH, name="switch", allocation=0.6), halves]
    opens = {}
    for symbol, values in closes.items():
        opens[symbol] = {day: (before + close) / 2 for day, before, close in zip(DAYS, [values[0], *values], values, strict=False)}
    result = run_vector(
        mixed,
        panel(**closes),
        terms or Terms(cash=1_000.0),
        timer=lambda: 0.0,
        start=FIRST,
        opens=Opens(opens),
        recorder=recorder,
    )
    return result, recorder


@given(PRICES, PRICES, PRICES, st.sampled_from([0.0, 25.0]), st.sampled_from(["close", "next-open"]))
def test_the_parts_are_the_whole(a: list[float], b: list[float], s: list[float], slippage_bps: float, fill: FillAt) -> None:
    """Profits per symbol and per strategy add up to that of the account, costs too, and weights never exceed one."""
    result, recorder = record(terms=Terms(cash=1_000.0, slippage_bps=slippage_bps, fill=fill), A=a, B=b, S=s)
    book = recorder.book
    profit = result.equity[-1] - 1_000.0

    for entries in (book.contributions(), book.strategies):
        assert sum(entry.profit for entry in entries) == pytest.approx(profit, abs=1e-8)
        assert sum(entry.costs for entry in entries) == pytest.approx(result.metrics.costs, abs=1e-8)
    invested = sum(book.weights().values(), np.zeros(len(result.dates)))
    # A strategy that trades alone trades its share of the account: what the others hold beyond theirs it cannot buy with, and the reverse
    # stays in cash.
    assert np.max(invested) <= 1.0 + 1e-9
    assert invested[:2] == pytest.approx([0.0 if fill == "next-open" else 1.0, invested[1]])
    years = [activity for activity in book.activity() if activity.trades]
    assert sum(year.costs for year in years) == pytest.approx(result.metrics.costs, abs=1e-8)


def test_trades_are_netted_over_the_strategies() -> None:
    """The account's trades, positions and costs of a small run, by hand."""
    result, recorder = record(terms=Terms(cash=1_000.0, slippage_bps=100.0), A=[10.0, 20.0], B=[10.0, 10.0], S=[101.0, 99.0])
    first = [(trade.symbol, trade.shares, trade.cost, trade.position) for trade in recorder.trades[:2]]

    # 60 % and half of 40 % in A: 800 of A and 200 of B, less one percent. Then the switch sells its A, 1,188, for 60 % of 1,782 in B, less
    # the costs of both; the halves wait for Monday, and what is left waits in cash.
    assert first == [("A", pytest.approx(79.2), pytest.approx(8.0), pytest.approx(79.2)), ("B", *map(pytest.approx, (19.8, 2.0, 19.8)))]
    sold, capital = 594.0 * 2, 0.6 * 1_782.0
    cost = (sold + capital) * 0.01
    bought = capital - cost
    after = [(trade.symbol, trade.shares, trade.cost) for trade in recorder.trades[2:]]
    assert after == [("A", *map(pytest.approx, (-59.4, sold * 0.01))), ("B", *map(pytest.approx, (bought / 10, capital * 0.01)))]
    assert {entry.name: entry.profit for entry in recorder.book.strategies} == pytest.approx(
        {"switch": sold - cost - 600.0, "halves": 594.0 - 400.0}
    )
    (year,) = recorder.book.activity()
    assert (year.year, year.rebalances, year.trades) == (2025, 2, 4)
    assert year.bought == pytest.approx(792 + 198 + bought)
    assert result.equity[-1] == pytest.approx(sold - cost + 594.0)


def test_a_recorder_changes_nothing() -> None:
    """The run is the same with and without one."""
    a, b, s = [10.0, 20.0, 15.0], [10.0, 10.0, 12.0], [101.0, 99.0, 101.0]
    with_one, _ = record(A=a, B=b, S=s)
    halves = strategy(HALVES, "{:rebalance-frequency :weekly}", name="halves", allocation=0.4)
    mixed = [strategy(SWITCH, name="switch", allocation=0.6), halves]
    without = run_vector(mixed, panel(A=a, B=b, S=s), Terms(cash=1_000.0), timer=lambda: 0.0, start=FIRST)

    assert with_one == without


def test_exposure_of_weights() -> None:
    """The invested share on average and at most, and the share of sessions with anything at all."""
    found = exposure_of({"A": np.array([0.0, 0.5, 1.0, 0.25]), "B": np.array([0.0, 0.25, 0.0, 0.0])}, 4)

    assert (found.average, found.maximum, found.time_in_market) == (0.5, 1.0, 0.75)
    assert exposure_of({}, 3).time_in_market == 0.0


def test_the_digest_is_of_everything_but_the_time_it_took() -> None:
    """The same inputs give the same document but for the seconds; another figure gives another digest."""
    result, recorder = record(A=[10.0, 20.0], B=[10.0, 10.0], S=[101.0, 99.0])
    data = data_version({"A": (np.array([FIRST.toordinal()]), np.array([10.0]))})
    one = document_of(result, analyse(recorder.book, data, Questions(bootstrap=10)), Terms(), Charges())
    other = document_of(result, analyse(recorder.book, data, Questions(bootstrap=10, seed=1)), Terms(), Charges())

    assert one["digest"] == digest_of({**one, "seconds": 99.0})
    assert one["digest"] != other["digest"]
    assert one["data"]["symbols"][0]["first"] == str(date(2025, 3, 3))
    assert analyse(recorder.book, data, Questions(bootstrap=0), ("S", [1.0, 2.0])).intervals is None


def test_what_sums_of_floats_leave_behind_is_no_trade() -> None:
    """A position that a rebalance finds where it should be was not traded, however its last digit moved; a sale of all of it was."""
    recorder = Recorder()
    held = 1_234.567
    prices, day = {"A": 80.0}, date(2024, 1, 2)
    recorder.filled(day, before={"A": held}, after={"A": held * (1.0 + 4e-16)}, prices=prices, costs={"A": 2e-13})
    recorder.filled(day, before={"A": held}, after={"A": held * (1.0 + 1e-9)}, prices=prices, costs={})
    recorder.filled(day, before={"A": held}, after={}, prices=prices, costs={"A": 0.1})
    recorder.filled(day, before={}, after={"A": 1e-6}, prices=prices, costs={})

    assert [held * 1e-9, -held, 1e-6] == pytest.approx([trade.shares for trade in recorder.trades])
