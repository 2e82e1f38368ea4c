"""What a person sees of ``pnl``, ``positions``, ``orders`` and ``events``: the figures that matter, per strategy, with small curves."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alchemiser.cli.chart import bar, sparkline
from alchemiser.cli.glance import events_text, orders_text, pnl_text, positions_text

ROW = {"session": "2025-03-03", "equity": "10000", "drawdown": 0.0, "profit": {"klm": "100", "tecl": "-20"}}
LATER = {"session": "2025-03-04", "equity": "9000", "drawdown": 0.1, "profit": {"klm": "-50.5"}}
KLM = {"realised": "10", "unrealised": "-30.5", "total": "-20.5", "holdings": {"SOXL": "2.5"}, "returns": {"time_weighted": -0.0123}}
TECL = {"realised": "0", "unrealised": "0", "total": "0", "holdings": {}}
PNL: dict[str, Any] = {
    "equity": "9500",
    "cash": "12.345",
    "strategies": {"klm": KLM, "tecl": TECL, "new": TECL},
    "returns": {"time_weighted": 0.05, "money_weighted": 0.04},
    "shortfall": {
        "rebalance": "20250304.1",
        "total": {"arrival_bps": 1.25, "arrival_cost": "3.5", "value": "28000"},
        "steps": {"ladder: rung 1": {"arrival_bps": -2.0, "arrival_cost": "-1", "value": "5000"}},
        "strategies": {"klm": None},
    },
    "income": "4.5",
    "account_income": "0",
    "transferred": "-100",
}


def test_the_money_is_told_in_one_line() -> None:
    """Equity, cash, profit, what happened since the last close, how far from the best, the return."""
    first, flows, curve, *_ = pnl_text(PNL, [ROW, LATER]).splitlines()

    middle = "profit -20.50   since the close of 2025-03-04 +500.00   5.00% below the best"
    assert first == f"equity 9,500.00   cash 12.34   {middle}   return +5.00% (+4.00% by money)"
    assert flows == "dividends and fees +4.50   moved in -100.00"
    assert curve == "█▁  2025-03-03 to 2025-03-04"


def test_each_strategy_has_a_line_with_its_curve() -> None:
    """One without a close has none; one that was not there in every session has what there is."""
    text = pnl_text(PNL, [ROW, LATER])
    klm, tecl, new = [line for line in text.splitlines() if line.startswith(("klm", "tecl", "new"))]

    assert ["klm", "-20.50", "+30.00", "+10.00", "-30.50", "-1.23%", "█▁", "SOXL", "2.5"] == klm.split()
    assert ["tecl", "+0.00", "+20.00", "+0.00", "+0.00", "-", "▁", "nothing"] == tecl.split()
    assert ["new", "+0.00", "-", "+0.00", "+0.00", "-", "-", "nothing"] == new.split()
    costs = [line.split() for line in text.splitlines()[-3:]]
    assert [["rebalance", "20250304.1", "bps", "gained", "traded"], ["in", "all", "+1.2", "-3.50", "28,000.00"]] == costs[:2]
    assert ["ladder:", "rung", "1", "-2.0", "+1.00", "5,000.00"] == costs[2]


def test_money_without_sessions_strategies_and_costs_is_told_too() -> None:
    """On the first day; and before the first look at the account that is all that can be said."""
    text = pnl_text({"equity": "100", "cash": "100", "strategies": {}, "shortfall": {"rebalance": "x", "total": None}}, [])

    assert "equity 100.00   cash 100.00   profit +0.00   return -\n" == text
    assert "Nothing is known of the account yet.\n" == pnl_text({"equity": None}, [])
    worthless = {"equity": "0", "cash": "0", "strategies": {}}
    assert "0.00% below the best" in pnl_text(worthless, [{**ROW, "equity": "0"}])


def test_the_largest_position_comes_first_with_its_share_and_whose_it_is() -> None:
    """What the broker counts otherwise is told, and what has no price is not worth nothing by a lie."""
    text = positions_text(
        [
            {"symbol": "BIL", "quantity": "1", "price": "25", "value": "25", "strategies": {"a": "1"}, "broker_quantity": "1"},
            {"symbol": "SPY", "quantity": "3", "price": "25", "value": "75", "strategies": {"a": "1", "b": "2"}, "broker_quantity": "4"},
            {"symbol": "GLD", "quantity": "0", "price": None, "value": None, "strategies": {}, "broker_quantity": "7"},
        ]
    )
    lines = text.splitlines()

    assert "3 symbols for 100.00" == lines[0]
    assert ["SPY", "3", "25.00", "75.00", "75.0%", "█" * 9, "a", "1,", "b", "2", "4"] == lines[3].split()
    assert ["BIL", "25.0%", "the same"] == [lines[4].split()[0], lines[4].split()[4], " ".join(lines[4].split()[-2:])]
    assert "nobody here" in lines[5]
    assert "Nothing is held.\n" == positions_text([])


def order(**changes: Any) -> dict[str, Any]:
    """Return an order as the API tells of it."""
    fields = {
        "client_order_id": "e-1",
        "intended_at": "2025-03-03T20:50:01.5+00:00",
        "side": "buy",
        "symbol": "SPY",
        "quantity": "10",
        "cumulative_quantity": "5",
        "average_price": None,
        "limit_price": "99.5",
        "state": "working",
        "type": "limit",
        "step": "ladder: rung 1",
        "reason": None,
    }
    return fields | changes


def test_orders_tell_how_far_they_are_and_what_they_cost() -> None:
    """The price is what was paid, before the first fill the limit; an order of old has no cost in memory."""
    ended = order(state="filled", cumulative_quantity="10", average_price="99.4", arrival_bps=-1.26, step=None, reason="too late")
    lines = orders_text([order(), ended]).splitlines()

    assert "2 orders, 1 at work" == lines[0]
    assert "20:50:01  buy   SPY     5 of 10   ████      99.50  working" in lines[3]
    assert lines[3].split()[-6:] == ["working", "-", "ladder:", "rung", "1", "e-1"]
    assert ["99.40", "filled", "-1.3", "limit", "e-1", "too", "late"] == lines[4].split()[-7:]
    assert "No orders in this session.\n" == orders_text([])


@pytest.mark.parametrize(
    ("values", "line", "plain"),
    [([], "", ""), ([5.0], "▁", "_"), ([1.0, 1.0], "▁▁", "__"), ([0.0, 7.0], "▁█", "_#"), ([0.0, 1.0, 2.0, 7.0], "▁▂▃█", "_..#")],
)
def test_a_curve_in_one_line(values: list[float], line: str, plain: str) -> None:
    """Between its lowest and its highest; flat is low, none is nothing."""
    assert line == sparkline(values)
    assert len(plain) == len(sparkline(values, is_plain=True))
    assert sparkline(values, is_plain=True).isascii()


@given(st.lists(st.floats(-1e12, 1e12), min_size=1, max_size=300))
def test_a_curve_has_its_ends_whatever_the_values(values: list[float]) -> None:
    """Never wider than asked for; its last mark is that of the last value."""
    line = sparkline(values)

    assert 1 <= len(line) <= 24
    assert len(line) == min(24, len(values))
    if len(values) <= 24 and max(values) > min(values):
        assert line[values.index(max(values))] == "█"
        assert line[values.index(min(values))] == "▁"


@pytest.mark.parametrize(
    ("share", "shown", "plain"),
    [(0.0, "", ""), (1.0, "████", "####"), (0.5, "██", "##"), (0.53, "██▏", "##"), (-1.0, "", ""), (9.0, "████", "####")],
)
def test_a_share_is_a_bar(share: float, shown: str, plain: str) -> None:
    """In eighths of a character, cut off at its ends."""
    assert (shown, plain) == (bar(share, width=4), bar(share, width=4, is_plain=True))


def test_events_are_a_line_each_and_long_ones_are_cut() -> None:
    """An event is its number, its time, its type, what it says and what led to it, on one line; what is longer than a story is cut."""
    place = {"sequence": 7, "at": "2025-03-03T15:50:00+00:00", "correlation": "20250303.1"}
    rows = [
        {**place, "type": "DaemonStopping", "causation": None, "reason": "the last session is over"},
        {**place, "type": "TargetProposed", "causation": 6, "weights": {"TECL": 0.5}, "notes": ["x" * 1000], "is_late": False},
    ]

    first, second = events_text(rows).splitlines()

    assert first == '       7  2025-03-03T15:50:00+00:00  DaemonStopping        reason="the last session is over"'
    assert second.startswith("       7  2025-03-03T15:50:00+00:00  TargetProposed        weights={TECL 0.5}  notes=[xxx")
    assert second.endswith("x…  <- 6")
    assert len(second) < 320
    assert events_text([]) == "No events.\n"
