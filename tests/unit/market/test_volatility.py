"""The volatility of a portfolio, against the textbook, and its honest absence."""

import math
import statistics
from datetime import date, timedelta

import pytest

from alchemiser.market.history import DailyHistory
from alchemiser.market.volatility import yearly_volatility

DAYS = [date(2025, 1, 1) + timedelta(days=n) for n in range(6)]


def history() -> DailyHistory:
    found = DailyHistory()
    found.add("AAA", DAYS, [100.0, 110.0, 99.0, 108.9, 98.01, 107.811])
    found.add("BBB", DAYS[1:], [50.0, 50.5, 51.0, 50.0, 50.2])
    return found


def test_it_is_the_deviation_of_daily_returns() -> None:
    """Half in cash moves half as much."""
    moves = [0.1, -0.1, 0.1, -0.1, 0.1]
    expected = statistics.stdev(moves) * math.sqrt(252)

    assert yearly_volatility(history(), {"AAA": 1.0}, sessions=5) == pytest.approx(expected)
    assert yearly_volatility(history(), {"AAA": 0.5}, sessions=5) == pytest.approx(expected / 2)


def test_symbols_are_taken_together_on_common_days() -> None:
    """The portfolio's own returns are measured, so what moves against each other calms it."""
    aaa, bbb = [-0.1, 0.1, -0.1, 0.1], [50.5 / 50 - 1, 51 / 50.5 - 1, 50 / 51 - 1, 50.2 / 50 - 1]
    mixed = [0.5 * left + 0.5 * right for left, right in zip(aaa, bbb, strict=True)]

    found = yearly_volatility(history(), {"AAA": 0.5, "BBB": 0.5}, sessions=4)
    assert found == pytest.approx(statistics.stdev(mixed) * math.sqrt(252))


@pytest.mark.parametrize(("weights", "sessions"), [({"AAA": 1.0}, 6), ({"AAA": 0.5, "BBB": 0.5}, 5), ({"XXX": 1.0}, 2)])
def test_too_little_history_is_no_number(weights: dict[str, float], sessions: int) -> None:
    """Nothing is guessed from fewer sessions than were asked for, nor for symbols without any."""
    assert yearly_volatility(history(), weights, sessions=sessions) is None


def test_cash_does_not_move() -> None:
    """An empty portfolio has a volatility of nothing, whatever the history."""
    assert yearly_volatility(DailyHistory(), {"AAA": 0.0}, sessions=60) == 0.0
