"""The daily history: what it refuses, and that what it hands out stays as it was."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alchemiser.domain.errors import DataError
from alchemiser.domain.market import Bar
from alchemiser.market.calendar import TradingCalendar, midnight
from alchemiser.market.history import DailyHistory

DAYS = [date(2025, 3, 26), date(2025, 3, 27), date(2025, 3, 28)]
TODAY = date(2025, 3, 31)


def history() -> DailyHistory:
    made = DailyHistory()
    made.add("SPY", DAYS, [1.0, 2.0, 3.0])
    return made


def test_closes_come_back_as_they_went_in() -> None:
    """Closes are float arrays, oldest first, with their days beside them."""
    assert history().closes("SPY").tolist() == [1.0, 2.0, 3.0]
    assert [date.fromordinal(day) for day in history().days("SPY").tolist()] == DAYS
    assert history().last_day("SPY") == DAYS[-1]
    assert history().symbols == ("SPY",)


def test_a_history_can_be_cut_at_a_day() -> None:
    """Closes through a day include that day and nothing after it, also when the day has no bar."""
    assert history().closes("SPY", through=date(2025, 3, 27)).tolist() == [1.0, 2.0]
    assert history().closes("SPY", through=TODAY).tolist() == [1.0, 2.0, 3.0]
    assert history().days("SPY", through=date(2025, 3, 26)).tolist() == [DAYS[0].toordinal()]


def test_bars_of_the_venue_become_closes_of_their_new_york_days() -> None:
    """The day of a bar is that of its start in New York, not in UTC."""
    bars = [
        Bar(symbol="SPY", start=midnight(day), open=1, high=3, low=1, close=2 + i, volume=5)
        for i, day in enumerate((date(2025, 3, 7), date(2025, 3, 10)))
    ]
    made = DailyHistory.from_bars({"SPY": bars, "BIL": []})
    assert made.last_day("SPY") == date(2025, 3, 10)
    assert made.last_day("BIL") is None
    assert made.closes("BIL").tolist() == []


@pytest.mark.parametrize(
    ("days", "closes", "message"),
    [
        ([DAYS[1], DAYS[0]], [1.0, 2.0], "SPY: 2025-03-26 comes after 2025-03-27"),
        ([DAYS[0], DAYS[0]], [1.0, 2.0], "SPY: 2025-03-26 is there twice"),
        ([DAYS[0], DAYS[1]], [1.0, 0.0], "SPY: the close 0.0 of 2025-03-27"),
        ([DAYS[0], DAYS[1]], [-1.0, 2.0], "SPY: the close -1.0 of 2025-03-26"),
        ([DAYS[0], DAYS[1]], [1.0, float("nan")], "SPY: the close nan of 2025-03-27"),
        ([DAYS[0], DAYS[1]], [1.0, float("inf")], "SPY: the close inf of 2025-03-27"),
        ([DAYS[0]], [1.0, 2.0], "SPY: 1 days and 2 closes"),
    ],
)
def test_a_wrong_history_is_refused(days: list[date], closes: list[float], message: str) -> None:
    """Disorder, duplicates and closes that are no prices are named with symbol and day."""
    with pytest.raises(DataError, match=message):
        DailyHistory().add("SPY", days, closes)


def test_appending_checks_the_same_rules() -> None:
    """The next close must come after the last and be a price; a refused one changes nothing."""
    made = history()
    with pytest.raises(DataError, match="there twice"):
        made.append("SPY", DAYS[-1], 4.0)
    with pytest.raises(DataError, match="not a positive number"):
        made.append("SPY", TODAY, 0.0)
    assert made.closes("SPY").tolist() == [1.0, 2.0, 3.0]
    made.append("SPY", TODAY, 4.0)
    assert made.closes("SPY").tolist() == [1.0, 2.0, 3.0, 4.0]
    assert made.last_day("SPY") == TODAY


def test_appending_to_an_unknown_symbol_begins_its_history() -> None:
    """The first close of a new symbol needs no ceremony, but is checked like any other."""
    made = DailyHistory()
    with pytest.raises(DataError, match="not a positive number"):
        made.append("NEW", TODAY, float("nan"))
    made.append("NEW", TODAY, 5.0)
    assert made.closes("NEW").tolist() == [5.0]


def test_the_live_price_is_the_last_bar() -> None:
    """The live price follows the closes of earlier days without entering the history."""
    made = history()
    assert made.closes_with_live("SPY", TODAY, 9.0).tolist() == [1.0, 2.0, 3.0, 9.0]
    assert made.closes("SPY").tolist() == [1.0, 2.0, 3.0]


def test_the_live_price_takes_the_place_of_todays_running_bar() -> None:
    """A venue that already sends a bar for today does not make today count twice."""
    made = history()
    made.append("SPY", TODAY, 4.0)
    assert made.closes_with_live("SPY", TODAY, 9.0).tolist() == [1.0, 2.0, 3.0, 9.0]
    assert made.closes_with_live("SPY", DAYS[1], 9.0).tolist() == [1.0, 9.0]


@pytest.mark.parametrize("price", [0.0, -1.0, float("nan"), float("inf")])
def test_a_live_price_that_is_no_price_is_refused(price: float) -> None:
    """A missing price never becomes an indicator."""
    with pytest.raises(DataError, match="SPY: the live price"):
        history().closes_with_live("SPY", TODAY, price)


def test_adding_the_live_price_does_not_copy_the_history() -> None:
    """The closes and the closes with a live price share their memory."""
    made = history()
    assert np.shares_memory(made.closes("SPY"), made.closes_with_live("SPY", TODAY, 9.0))


def test_arrays_are_read_only() -> None:
    """Nobody can change the history through an array he was handed."""
    made = history()
    for array in (made.closes("SPY"), made.closes_with_live("SPY", TODAY, 9.0), made.days("SPY")):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 5


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 3)), max_size=80))
def test_an_array_handed_out_never_changes(steps: list[tuple[bool, int]]) -> None:
    """Whatever is appended or priced live later, in whatever order, earlier answers keep their values."""
    made = history()
    handed_out: list[tuple[np.ndarray, list[float]]] = []
    expected, day = [1.0, 2.0, 3.0], TODAY
    for is_close, price in steps:
        if is_close:
            made.append("SPY", day, float(price))
            expected.append(float(price))
            day += timedelta(days=1)
            handed_out.append((made.closes("SPY"), list(expected)))
        else:
            handed_out.append((made.closes_with_live("SPY", day, float(price)), [*expected, float(price)]))
    assert all(array.tolist() == values for array, values in handed_out)
    assert made.closes("SPY").tolist() == expected
    assert len(made.days("SPY")) == len(expected)


def test_sessions_without_a_bar_are_named() -> None:
    """Missing sessions are those of the calendar from the first close on, the last asked for included."""
    calendar = TradingCalendar.new_york()
    made = DailyHistory()
    made.add("NLR", [date(2025, 3, 24), date(2025, 3, 26), date(2025, 3, 28)], [1.0, 2.0, 3.0])
    made.add("NEW", [], [])
    assert made.bars_missing("NLR", calendar, through=TODAY) == (date(2025, 3, 25), date(2025, 3, 27), TODAY)
    assert made.bars_missing("NLR", calendar, through=date(2025, 3, 24)) == ()
    assert made.bars_missing("NEW", calendar, through=TODAY) == ()


def test_symbols_that_are_behind_are_named() -> None:
    """A symbol whose last close is too old, empty or unknown is behind."""
    made = history()
    made.add("OLD", DAYS[:1], [1.0])
    made.add("NONE", [], [])
    assert made.symbols_behind(["SPY", "OLD", "NONE", "WHO"], DAYS[-1]) == ("OLD", "NONE", "WHO")


def test_aligned_closes_share_their_days() -> None:
    """Several symbols are cut to the days that all of them have."""
    made = history()
    made.add("BIL", [DAYS[0], DAYS[2], TODAY], [7.0, 8.0, 9.0])
    days, closes = made.aligned(["SPY", "BIL"])
    assert days.tolist() == [DAYS[0].toordinal(), DAYS[2].toordinal()]
    assert closes.tolist() == [[1.0, 3.0], [7.0, 8.0]]
    days, closes = made.aligned(["BIL"], through=DAYS[1])
    assert closes.tolist() == [[7.0]]
    with pytest.raises(DataError, match="no symbols"):
        made.aligned([])


def test_an_unknown_symbol_is_an_error() -> None:
    """Nothing is invented for a symbol that was never added; the error lists those that were."""
    with pytest.raises(DataError, match="QQQ: no daily history is known; known are SPY"):
        history().closes("QQQ")


def test_a_bar_without_zone_is_refused() -> None:
    """A naive start of a bar could be any day."""
    naive = datetime(2025, 3, 31, tzinfo=UTC).replace(tzinfo=None)
    with pytest.raises(ValueError, match="no time zone"):
        DailyHistory.from_bars({"SPY": [Bar(symbol="SPY", start=naive, open=1, high=1, low=1, close=1, volume=1)]})
