"""The panel of prices: alignment, reasons for what cannot be had, and the live bar."""

from datetime import date

import numpy as np
import pytest

from alchemiser.domain.errors import DataError
from alchemiser.market.arrays import Floats
from alchemiser.market.history import DailyHistory
from alchemiser.market.indicators import Measure
from alchemiser.strategies.live_panel import LivePanel
from alchemiser.strategies.outcome import NotComputable
from alchemiser.strategies.panel import Column, PricePanel

FIRST = date(2025, 3, 3).toordinal()
PRICE = Measure("current-price")
AVERAGE = Measure("moving-average-price", (3,))


def series(offsets: list[int], closes: list[float]) -> tuple[np.ndarray[tuple[int], np.dtype[np.int64]], Floats]:
    return np.array([FIRST + offset for offset in offsets], dtype=np.int64), np.array(closes)


def listed(column: Column) -> list[float | None]:
    return [column.at(place) for place in range(len(column.values))]


def panel() -> PricePanel:
    return PricePanel(
        {
            "OLD": series([0, 1, 2, 3, 4], [10.0, 11.0, 12.0, 13.0, 14.0]),
            "THIN": series([0, 1, 3], [20.0, 21.0, 24.0]),
            "YOUNG": series([3, 4], [30.0, 31.0]),
            "EMPTY": series([], []),
        },
        absent={"GONE": "GONE.csv is missing"},
    )


def test_indicators_run_over_the_symbols_own_bars() -> None:
    """A symbol that skips a session has no value there, and its next value is over its own last bars."""
    assert listed(panel().column("OLD", AVERAGE)) == [None, None, 11.0, 12.0, 13.0]
    assert listed(panel().column("THIN", PRICE)) == [20.0, 21.0, None, 24.0, None]
    assert listed(panel().column("THIN", Measure("moving-average-price", (2,)))) == [None, 20.5, None, 22.5, None]


@pytest.mark.parametrize(
    ("symbol", "measure", "place", "reason"),
    [
        ("OLD", AVERAGE, 1, "OLD has 2 closes up to 2025-03-04, moving-average-price(OLD, 3) needs 3"),
        ("THIN", PRICE, 2, "THIN has no bar on 2025-03-05, its latest is of 2025-03-04"),
        ("YOUNG", PRICE, 0, "the bars of YOUNG begin only on 2025-03-06, after 2025-03-03"),
        ("EMPTY", PRICE, 0, "there are no bars of EMPTY"),
        ("GONE", PRICE, 0, "GONE.csv is missing"),
        ("NEVER", PRICE, 0, "there are no bars of NEVER"),
    ],
)
def test_reasons(symbol: str, measure: Measure, place: int, reason: str) -> None:
    """What cannot be computed says exactly what is missing."""
    assert NotComputable((reason,)) == panel().value(symbol, measure, place)


def test_values_prices_and_closes() -> None:
    """What can be computed is a number; prices leave out who has none; closes end at the session asked for and cannot be written to."""
    closes = panel().closes("THIN", 2)

    assert panel().value("OLD", AVERAGE, 2) == 11.0
    assert panel().prices(["OLD", "THIN", "GONE"], 4) == {"OLD": 14.0}
    assert closes.tolist() == [20.0, 21.0]
    assert not closes.flags.writeable
    assert len(panel().closes("GONE", 2)) == 0


def test_sessions() -> None:
    """The sessions are the days that any symbol has; a day between two of them belongs to the one before."""
    prices = panel()

    assert (len(prices), prices.last) == (5, 4)
    assert prices.session(4) == date(2025, 3, 7)
    assert [prices.place_through(day) for day in (date(2025, 3, 2), date(2025, 3, 5), date(2026, 1, 1))] == [-1, 2, 4]


def test_a_panel_can_be_cut() -> None:
    """Bars after the day it ends on are not in it."""
    prices = PricePanel({"OLD": series([0, 1, 2], [10.0, 11.0, 12.0])}, until=date(2025, 3, 4))

    assert len(prices) == 2
    assert listed(prices.column("OLD", PRICE)) == [10.0, 11.0]


def test_a_panel_without_bars_decides_nothing() -> None:
    """An empty panel says so instead of answering with an index error."""
    with pytest.raises(DataError, match="not a single bar"):
        _ = PricePanel({}).last


@pytest.mark.parametrize(
    ("offsets", "closes", "words"),
    [
        ([0, 1], [1.0, 0.0], "the close of 2025-03-04 is 0.0, not a positive number"),
        ([0, 1], [1.0, float("nan")], "the close of 2025-03-04 is nan"),
        ([0, 1], [1.0, 1e308], "the close of 2025-03-04 is 1e\\+308, not a positive number between"),
        ([0, 1], [1e-300, 1.0], "the close of 2025-03-03 is 1e-300, not a positive number between"),
        ([0, 0], [1.0, 2.0], "the bar of 2025-03-03 follows that of 2025-03-03"),
        ([1, 0], [1.0, 2.0], "the bar of 2025-03-03 follows that of 2025-03-04"),
        ([0], [1.0, 2.0], "1 days and 2 closes"),
    ],
)
def test_bad_series_are_refused(offsets: list[int], closes: list[float], words: str) -> None:
    """Days out of order and closes that are no prices never get in."""
    with pytest.raises(DataError, match=words):
        PricePanel({"BAD": series(offsets, closes)})


def test_live_prices_are_the_last_bar() -> None:
    """The panel of a decision ends with the live prices; a bar of today in the history gives way to them."""
    history = DailyHistory()
    history.add_ordinals("SPY", *series([0, 1, 2], [10.0, 11.0, 99.0]))
    history.add_ordinals("TLT", *series([0, 1], [20.0, 21.0]))
    today = date(2025, 3, 5)
    prices = LivePanel(PricePanel.before(history, today), today, {"SPY": 12.5}, absent={"TLT": "the quote of TLT is 40 s old"})

    assert [prices.value("SPY", PRICE, place) for place in range(3)] == [10.0, 11.0, 12.5]
    assert (len(prices), prices.session(prices.last), prices.session(0)) == (3, today, date(2025, 3, 3))
    assert prices.value("SPY", AVERAGE, 2) == (10.0 + 11.0 + 12.5) / 3
    assert str(prices.value("TLT", PRICE, prices.last)) == "the quote of TLT is 40 s old"
    assert str(prices.value("GLD", PRICE, prices.last)) == "there is no live price of GLD"
    assert "SPY has 3 closes up to 2025-03-05" in str(prices.value("SPY", Measure("rsi", (9,)), 2))
    assert prices.closes("SPY", 2).tolist() == [10.0, 11.0, 12.5]
    assert prices.closes("TLT", 2).tolist() == [20.0, 21.0]
    assert prices.closes("SPY", 0).tolist() == [10.0]
    assert (prices.prices(["SPY", "TLT"], 2), prices.prices(["SPY", "TLT"], 1)) == ({"SPY": 12.5}, {"SPY": 11.0, "TLT": 21.0})


def test_wrong_live_prices_are_refused() -> None:
    """A live price that is no price, a history that reaches today, and no live price at all are told apart and refused."""
    history = PricePanel({"SPY": series([0, 1], [10.0, 11.0])})

    with pytest.raises(DataError, match="live price 0"):
        LivePanel(history, date(2025, 3, 5), {"SPY": 0.0})
    with pytest.raises(DataError, match="the history reaches 2025-03-04"):
        LivePanel(history, date(2025, 3, 4), {"SPY": 1.0})
    with pytest.raises(DataError, match="not a single live price"):
        _ = LivePanel(history, date(2025, 3, 5), {}).last
