"""The daily history: what it refuses, and that what it hands out stays as it was."""

from datetime import UTC, date, datetime

import numpy as np
import pytest

from alchemiser.domain.errors import DataError
from alchemiser.domain.market import Bar
from alchemiser.market.calendar import midnight
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
    assert [date.fromordinal(day) for day in made.days("SPY").tolist()] == [date(2025, 3, 7), date(2025, 3, 10)]
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


def test_arrays_are_read_only() -> None:
    """Nobody can change the history through an array he was handed."""
    made = history()
    for array in (made.closes("SPY"), made.closes("SPY", through=DAYS[1]), made.days("SPY")):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 5


def test_an_array_handed_out_never_changes() -> None:
    """Neither by what was given in, nor by a whole new history of the symbol."""
    given_in = np.array([1.0, 2.0, 3.0])
    made = DailyHistory()
    made.add("SPY", DAYS, given_in)
    before = made.closes("SPY")
    given_in[0] = 9.0
    made.add("SPY", DAYS[:1], [7.0])

    assert before.tolist() == [1.0, 2.0, 3.0]
    assert made.closes("SPY").tolist() == [7.0]


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
