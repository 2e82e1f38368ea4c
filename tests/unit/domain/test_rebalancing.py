"""When a target is acted upon."""

from datetime import date

import pytest

from alchemiser.domain.rebalancing import Frequency, Header, is_due, largest_drift, period_of, why_not_due

HALVES = {"A": 0.5, "B": 0.5}


def drifted(a_return: float, b_return: float) -> dict[str, float]:
    a, b = 0.5 * (1 + a_return), 0.5 * (1 + b_return)
    return {"A": a / (a + b), "B": b / (a + b)}


@pytest.mark.parametrize(
    ("target", "actual", "due"),
    [
        (HALVES, drifted(0.20, -0.10), False),
        (HALVES, drifted(0.45, -0.05), True),
        ({"B": 1.0}, {"A": 1.0}, True),
        ({"A": 0.45, "B": 0.55}, HALVES, False),
        ({"A": 0.35, "B": 0.65}, HALVES, True),
    ],
)
def test_the_corridor(target: dict[str, float], actual: dict[str, float], due: bool) -> None:
    """A corridor of ten points holds back smaller drifts, never a change of what is selected (worked examples 20, 20b, 20c)."""
    previous = HALVES if "A" in target else {"A": 1.0}
    header = Header(Frequency.NONE, 0.1)

    assert due is is_due(header, today=date(2025, 3, 4), acted_on=date(2025, 3, 3), target=target, previous=previous, actual=actual)


@pytest.mark.parametrize(
    ("frequency", "same", "other"),
    [
        (Frequency.WEEKLY, date(2025, 3, 7), date(2025, 3, 10)),
        (Frequency.WEEKLY, date(2025, 3, 3), date(2024, 3, 4)),
        (Frequency.MONTHLY, date(2025, 3, 31), date(2025, 4, 1)),
        (Frequency.QUARTERLY, date(2025, 1, 2), date(2025, 4, 1)),
        (Frequency.YEARLY, date(2025, 12, 31), date(2026, 1, 2)),
    ],
)
def test_calendar_frequencies(frequency: Frequency, same: date, other: date) -> None:
    """A period is acted upon once: on its first session with a target, not again before the next period begins."""
    header = Header(frequency)

    def due(today: date, acted_on: date | None) -> bool:
        return is_due(header, today=today, acted_on=acted_on, target=HALVES, previous=HALVES, actual={"A": 0.9, "B": 0.1})

    assert not due(same, date(2025, 3, 3) if frequency is not Frequency.YEARLY else date(2025, 1, 2))
    assert due(other, date(2025, 3, 3))
    assert due(same, None)


def test_daily_is_due_whenever_it_is_decided() -> None:
    """Also a second decision of the same session, which somebody asked for."""
    day = date(2025, 3, 3)

    assert is_due(Header(Frequency.DAILY), today=day, acted_on=day, target=HALVES, previous=HALVES, actual=HALVES)


def test_the_reason_why_a_target_waits() -> None:
    """What holds a strategy back is said in words, with the numbers."""

    def reason(header: Header) -> str:
        found = why_not_due(
            header, today=date(2025, 3, 4), acted_on=date(2025, 3, 3), target=HALVES, previous=HALVES, actual={"A": 0.52, "B": 0.48}
        )
        assert found is not None
        return found

    assert reason(Header(Frequency.MONTHLY)) == "it is rebalanced monthly, last on 2025-03-03"
    assert reason(Header(threshold=0.1)) == "its weights are within 0.1 of their target, the farthest is 0.0200 away"
    assert "since 2025-03-03" in reason(Header())
    assert (str(Header(Frequency.MONTHLY)), str(Header(threshold=0.05))) == ("monthly", "threshold 0.05")


def test_without_an_entry_only_a_change_of_selection_trades() -> None:
    """No frequency and no corridor: trade once, then when other symbols are selected, whatever the drift."""

    def due(target: dict[str, float]) -> bool:
        return is_due(Header(), today=date(2025, 3, 4), acted_on=date(2025, 3, 3), target=target, previous=HALVES, actual={"A": 1.0})

    assert not due({"A": 0.9, "B": 0.1})
    assert due({"A": 0.5, "C": 0.5})


def test_periods_and_drift() -> None:
    """An ISO week belongs to one year only; a symbol missing on one side drifts by its whole weight."""
    assert period_of(Frequency.WEEKLY, date(2024, 12, 30)) == period_of(Frequency.WEEKLY, date(2025, 1, 3))
    assert largest_drift({"A": 1.0}, {"B": 1.0}) == 1.0
    assert largest_drift({}, {}) == 0.0
