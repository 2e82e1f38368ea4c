"""Deposits, withdrawals and whole shares."""

from datetime import date
from itertools import pairwise

import numpy as np
import pytest

from alchemiser.backtest.event_engine import run_event
from alchemiser.backtest.flows import CashFlow, DatedFlow, flows_of, left_out, parse_flow, performance_of
from alchemiser.backtest.record import Recorder
from alchemiser.backtest.result import Terms
from alchemiser.backtest.vector import run_vector
from alchemiser.domain.errors import DataError, UsageError
from alchemiser.domain.rebalancing import Frequency
from alchemiser.strategies.panel import PricePanel
from tests.unit.backtest.test_engines import HEADERS, SPREAD, SWITCH, strategy, walks, weekdays

HALVES = '(weight-equal [(asset "A") (asset "B")])'


def prices(**closes: list[float]) -> PricePanel:
    return PricePanel({symbol: (weekdays(len(values)), np.array(values)) for symbol, values in closes.items()})


def test_flows_are_read() -> None:
    """An amount and a date or a period; anything else is refused in words."""
    assert parse_flow("500@monthly") == CashFlow(500.0, Frequency.MONTHLY)
    assert parse_flow("-2000.5@2024-07-01") == CashFlow(-2000.5, date(2024, 7, 1))
    for text in (
        "500",
        "500@daily",
        "x@monthly",
        "0@monthly",
        "inf@monthly",
        "1e13@monthly",
        "-1e300@weekly",
        "nan@2024-07-01",
        "1@2024-7-1",
    ):
        with pytest.raises(UsageError, match="--flow"):
            parse_flow(text)


def test_a_schedule_falls_on_the_first_session_of_each_period() -> None:
    """Never on the first session of the run; a date that is no session falls on the next one, and those of one session are one."""
    dates = [date.fromordinal(int(day)) for day in weekdays(25)]
    wanted = [
        CashFlow(100.0, Frequency.WEEKLY),
        CashFlow(-30.0, date(2025, 3, 9)),
        CashFlow(7.0, Frequency.MONTHLY),
        CashFlow(1.0, dates[0]),
    ]

    assert flows_of(wanted, dates) == [
        DatedFlow(date(2025, 3, 10), 70.0),
        DatedFlow(date(2025, 3, 17), 100.0),
        DatedFlow(date(2025, 3, 24), 100.0),
        DatedFlow(date(2025, 3, 31), 100.0),
        DatedFlow(date(2025, 4, 1), 7.0),
    ]


def test_a_date_outside_of_the_run_is_told_and_not_booked() -> None:
    """Neither the first session nor a day before it books anything, nor one after the last; a schedule is never outside."""
    dates = [date.fromordinal(int(day)) for day in weekdays(5)]
    before, after = date(2020, 1, 1), date(2030, 1, 1)
    wanted = [CashFlow(5.0, day) for day in (before, dates[0], dates[1], after)] + [CashFlow(1.0, Frequency.YEARLY)]

    assert left_out(wanted, dates) == [DatedFlow(day, 5.0) for day in (before, dates[0], after)]
    assert flows_of(wanted, dates) == [DatedFlow(dates[1], 5.0)]


def test_money_is_no_performance() -> None:
    """By hand: 1,000 in A; 500 come on the second day at the close, 300 go on the fourth; the figures are those of A alone."""
    terms = Terms(cash=1_000.0, flows=(CashFlow(500.0, date(2025, 3, 4)), CashFlow(-300.0, date(2025, 3, 6))))
    recorder = Recorder()
    result = run_vector([strategy('(asset "A")')], prices(A=[10.0, 11.0, 12.1, 11.0, 22.0]), terms, timer=lambda: 0.0, recorder=recorder)

    # 100 shares; 1,100 and 500 buy 145.4545; 1,760; 1,600 less 300 are 118.1818 shares; they double.
    assert result.equity == pytest.approx([1_000.0, 1_600.0, 1_760.0, 1_300.0, 2_600.0])
    assert result.flows == [DatedFlow(date(2025, 3, 4), 500.0), DatedFlow(date(2025, 3, 6), -300.0)]
    assert performance_of(result.equity, result.dates, result.flows) == pytest.approx([1_000.0, 1_100.0, 1_210.0, 1_100.0, 2_200.0])
    assert result.metrics.total_return == pytest.approx(1.2)
    assert recorder.book.contributions()[0].profit == pytest.approx(2_600.0 - 1_000.0 - 200.0)
    assert recorder.book.strategies[0].profit == pytest.approx(1_400.0)


def test_what_does_not_trade_today_keeps_a_deposit_in_cash_and_sells_for_a_withdrawal() -> None:
    """With a monthly header the deposit waits; the withdrawal takes it first, and then a part of both holdings."""
    terms = Terms(cash=1_000.0, flows=(CashFlow(200.0, date(2025, 3, 4)), CashFlow(-700.0, date(2025, 3, 5))), slippage_bps=100.0)
    recorder = Recorder()
    monthly = strategy(HALVES, HEADERS[2])
    result = run_vector([monthly], prices(A=[10.0] * 4, B=[20.0] * 4), terms, timer=lambda: 0.0, recorder=recorder)

    # 990 after the purchase; 1,190; 500 of 990 are lacking, and 5.05 more pay for selling them.
    assert result.equity == pytest.approx([990.0, 1_190.0, 490.0 - 500.0 * 0.01 / 0.99, 490.0 - 500.0 * 0.01 / 0.99])
    assert result.metrics.costs == pytest.approx(10.0 + 500.0 * 0.01 / 0.99)
    assert [trade.symbol for trade in recorder.book.trades] == ["A", "B", "A", "B"]
    assert sum(one.profit for one in recorder.book.contributions()) == pytest.approx(result.equity[-1] - 1_000.0 + 500.0)


def test_more_than_there_is_cannot_be_withdrawn() -> None:
    """A withdrawal beyond the account ends the run with its date, as does one that the event engine was given."""
    terms = Terms(cash=1_000.0, flows=(CashFlow(-2_000.0, date(2025, 3, 5)),))
    with pytest.raises(DataError, match=r"the withdrawal of 2,000\.00 on 2025-03-05 is more than the account holds"):
        run_vector([strategy('(asset "A")')], prices(A=[10.0] * 4), terms, timer=lambda: 0.0)
    with pytest.raises(UsageError, match="need the vector engine"):
        run_event([strategy('(asset "A")')], prices(A=[10.0] * 4), terms, timer=lambda: 0.0)


def test_a_flow_changes_no_performance_where_everything_is_rebalanced() -> None:
    """A daily strategy without costs performs the same with any schedule."""
    panel, _ = walks(7)
    plain = run_vector([strategy(SPREAD)], panel, Terms(), timer=lambda: 0.0)
    flows = (CashFlow(5_000.0, Frequency.WEEKLY), CashFlow(-9_000.0, Frequency.MONTHLY))
    result = run_vector([strategy(SPREAD)], panel, Terms(flows=flows), timer=lambda: 0.0)

    assert performance_of(result.equity, result.dates, result.flows) == pytest.approx(plain.equity, rel=1e-12)
    assert result.metrics.sharpe == pytest.approx(plain.metrics.sharpe, rel=1e-9)
    assert result.equity[-1] != pytest.approx(plain.equity[-1])


@pytest.mark.parametrize("bps", [0.0, 25.0])
def test_whole_shares_are_whole_and_the_rest_is_cash(bps: float) -> None:
    """Every position is a whole number, cash is never negative, and the curve stays near that of fractions."""
    panel, _ = walks(7)
    recorder = Recorder()
    fractions = run_vector([strategy(SWITCH)], panel, Terms(slippage_bps=bps), timer=lambda: 0.0)
    whole = run_vector([strategy(SWITCH)], panel, Terms(whole_shares=True, slippage_bps=bps), timer=lambda: 0.0, recorder=recorder)

    assert all(trade.position == int(trade.position) for trade in recorder.book.trades)
    assert np.max(np.sum(list(recorder.book.weights().values()), axis=0)) <= 1.0 + 1e-12
    assert whole.equity == pytest.approx(fractions.equity, rel=0.02)
    assert whole.equity != fractions.equity


def test_both_engines_buy_the_same_whole_shares() -> None:
    """Without costs the curves are one here, too."""
    panel, _ = walks(11)
    terms = Terms(whole_shares=True)
    vector, event = (engine([strategy(SPREAD)], panel, terms, timer=lambda: 0.0) for engine in (run_vector, run_event))

    assert event.equity == pytest.approx(vector.equity, rel=1e-9)
    assert any(before != after for before, after in pairwise(vector.equity))
