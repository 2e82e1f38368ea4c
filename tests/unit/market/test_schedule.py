"""The schedule of decisions: its grammar, and the moment it names on full and short sessions."""

from datetime import date

import pytest

from alchemiser.market.calendar import NEW_YORK, TradingCalendar
from alchemiser.market.schedule import parse_schedule

FULL_DAY = date(2025, 3, 31)
HALF_DAY = date(2024, 11, 29)


def moment(day: date, text: str) -> str:
    session = TradingCalendar.new_york().session(day)
    assert session is not None
    return f"{parse_schedule(text).at(session).astimezone(NEW_YORK):%H:%M:%S}"


@pytest.mark.parametrize(
    ("text", "full", "half"),
    [
        ("close - 10m", "15:50:00", "12:50:00"),
        ("close-10m", "15:50:00", "12:50:00"),
        (" Close - 90 s ", "15:58:30", "12:58:30"),
        ("close", "16:00:00", "13:00:00"),
        ("open", "09:30:00", "09:30:00"),
        ("open + 5m", "09:35:00", "09:35:00"),
        ("open + 1h", "10:30:00", "10:30:00"),
        ("open + 0m", "09:30:00", "09:30:00"),
        ("15:50", "15:50:00", "12:50:00"),
        ("9:45", "09:45:00", "09:45:00"),
        ("12:59:30", "12:59:30", "12:59:30"),
        ("13:00", "13:00:00", "10:00:00"),
        ("open + 5h", "14:30:00", "11:30:00"),
        ("close - 5h", "11:00:00", "09:30:00"),
    ],
)
def test_moment_on_full_and_half_days(text: str, full: str, half: str) -> None:
    """A schedule names a moment inside every session; on a short one a late moment keeps its distance from the close."""
    assert moment(FULL_DAY, text) == full
    assert moment(HALF_DAY, text) == half


@pytest.mark.parametrize("day", [date(2025, 3, 7), date(2025, 3, 10), date(2025, 10, 31), date(2025, 11, 3)])
def test_wall_times_follow_daylight_saving(day: date) -> None:
    """A wall time is the same wall time on both sides of a clock change."""
    assert moment(day, "15:50") == "15:50:00"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not a time of a session"),
        ("noon", "not a time of a session"),
        ("close - 10", "not a time of a session"),
        ("close - 10 minutes", "not a time of a session"),
        ("close + 5m", "outside the regular session"),
        ("open - 5m", "outside the regular session"),
        ("close - 7h", "longer than a session"),
        ("open + 390m", "longer than a session"),
        ("25:00", "not a time of day"),
        ("15:60", "not a time of day"),
        ("16:00", "outside the regular session"),
        ("09:29", "outside the regular session"),
    ],
)
def test_a_wrong_schedule_is_a_wrong_setting(text: str, reason: str) -> None:
    """What can never lie inside a session is refused, with the text and what was expected."""
    with pytest.raises(ValueError, match=reason) as refusal:
        parse_schedule(text)
    assert "close - 10m" in str(refusal.value)
