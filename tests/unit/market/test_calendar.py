"""The calendar: sessions, half days, daylight saving, and what it refuses to answer."""

import csv
import os
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alchemiser.domain.errors import DataError
from alchemiser.domain.market import Session
from alchemiser.market.calendar import NEW_YORK, TradingCalendar, midnight, new_york_date

REAL_BARS = Path(os.environ.get("ALCHEMISER_TEST_BARS", Path(__file__).parents[4] / "shared" / "data" / "daily"))


@pytest.fixture(scope="module")
def calendar() -> TradingCalendar:
    return TradingCalendar.new_york()


def local_hours(session: Session) -> tuple[str, str]:
    return f"{session.opens_at.astimezone(NEW_YORK):%H:%M}", f"{session.closes_at.astimezone(NEW_YORK):%H:%M}"


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    "day",
    ["2024-11-29", "2024-12-24", "2024-07-03", "2025-07-03", "2025-11-28", "2025-12-24", "2023-07-03", "2026-11-27", "2027-11-26"],
)
def test_half_days_close_at_one(calendar: TradingCalendar, day: str) -> None:
    """A known half day opens as usual and closes at 13:00 in New York."""
    session = calendar.session(date.fromisoformat(day))
    assert session is not None
    assert session.is_half_day
    assert local_hours(session) == ("09:30", "13:00")


def test_the_half_days_of_the_early_nineties_closed_at_two(calendar: TradingCalendar) -> None:
    """An early close at another hour than 13:00 is kept as it was."""
    session = calendar.session(date(1992, 11, 27))
    assert session is not None
    assert local_hours(session) == ("09:30", "14:00")


@pytest.mark.parametrize(
    "day",
    [
        "2001-09-11",
        "2004-06-11",
        "2012-10-29",
        "2018-12-05",
        "2022-06-20",
        "2024-03-29",
        "2025-01-09",
        "2025-06-19",
        "2025-03-30",
        "2027-12-24",
    ],
)
def test_closed_days_have_no_session(calendar: TradingCalendar, day: str) -> None:
    """Holidays, weekends and the days on which the exchange stayed shut have no session."""
    assert calendar.session(date.fromisoformat(day)) is None


@pytest.mark.parametrize(
    ("day", "opens", "closes"),
    [
        ("2025-03-07", "2025-03-07T14:30", "2025-03-07T21:00"),
        ("2025-03-10", "2025-03-10T13:30", "2025-03-10T20:00"),
        ("2025-10-31", "2025-10-31T13:30", "2025-10-31T20:00"),
        ("2025-11-03", "2025-11-03T14:30", "2025-11-03T21:00"),
        ("2006-04-03", "2006-04-03T13:30", "2006-04-03T20:00"),
        ("2006-03-31", "2006-03-31T14:30", "2006-03-31T21:00"),
    ],
)
def test_hours_follow_daylight_saving(calendar: TradingCalendar, day: str, opens: str, closes: str) -> None:
    """The session keeps its hours on the New York wall on both sides of a clock change, by the rules of that year."""
    session = calendar.session(date.fromisoformat(day))
    assert session == Session(date=date.fromisoformat(day), opens_at=utc(opens), closes_at=utc(closes))


def test_a_year_has_the_published_number_of_sessions(calendar: TradingCalendar) -> None:
    """The counts of sessions per year are the exchange's own."""
    counts = {year: len(calendar.sessions(date(year, 1, 1), date(year, 12, 31))) for year in (2001, 2012, 2020, 2024, 2025)}
    assert counts == {2001: 248, 2012: 250, 2020: 253, 2024: 252, 2025: 250}


def test_sessions_agree_with_real_bars(calendar: TradingCalendar) -> None:
    """From 1993 to 2025 the calendar has a session on exactly the days on which SPY has a bar."""
    path = REAL_BARS / "SPY.csv"
    if not path.exists():
        pytest.skip(f"no real bars at {path}")
    with path.open(newline="") as file:
        days = [date.fromisoformat(row["date"]) for row in csv.DictReader(file)]
    assert [session.date for session in calendar.sessions(days[0], days[-1])] == days


def test_sessions_includes_both_ends(calendar: TradingCalendar) -> None:
    """A range includes its first and last day, over the turn of a year, and an upside-down range is empty."""
    days = [session.date for session in calendar.sessions(date(2024, 12, 31), date(2025, 1, 2))]
    assert days == [date(2024, 12, 31), date(2025, 1, 2)]
    assert calendar.sessions(date(2025, 1, 2), date(2025, 1, 1)) == ()


def test_the_open_belongs_to_the_session_and_the_close_does_not(calendar: TradingCalendar) -> None:
    """Regular hours are half open: trading is possible at the open and no longer at the close."""
    session = calendar.session(date(2025, 3, 31))
    assert session is not None
    assert calendar.session_at(session.opens_at) == session
    assert calendar.session_at(session.closes_at - timedelta(microseconds=1)) == session
    assert calendar.session_at(session.closes_at) is None
    assert calendar.session_at(session.opens_at - timedelta(seconds=1)) is None
    assert calendar.session_at(utc("2025-03-30T15:00")) is None


def test_next_session_of_a_day_is_after_that_day(calendar: TradingCalendar) -> None:
    """After a date comes the next date with a session, over a long weekend too."""
    assert calendar.next_session(date(2025, 4, 17)).date == date(2025, 4, 21)
    assert calendar.previous_session(date(2025, 4, 21)).date == date(2025, 4, 17)


@pytest.mark.parametrize(
    ("at", "following", "before"),
    [
        ("2025-03-31T13:29:59", date(2025, 3, 31), date(2025, 3, 28)),
        ("2025-03-31T13:30:00", date(2025, 4, 1), date(2025, 3, 28)),
        ("2025-03-31T20:00:00", date(2025, 4, 1), date(2025, 3, 31)),
        ("2025-04-01T03:59:59", date(2025, 4, 1), date(2025, 3, 31)),
        ("2025-03-29T12:00:00", date(2025, 3, 31), date(2025, 3, 28)),
    ],
)
def test_next_and_previous_session_of_a_moment(calendar: TradingCalendar, at: str, following: date, before: date) -> None:
    """After a moment comes the next open; before it lies the last close that has happened."""
    assert calendar.next_session(utc(at)).date == following
    assert calendar.previous_session(utc(at)).date == before


@pytest.mark.parametrize("day", [date(1989, 12, 29), date(2028, 1, 3)])
def test_days_outside_the_table_are_refused(calendar: TradingCalendar, day: date) -> None:
    """Nothing is guessed about days that the table does not cover; the error names the range and the day."""
    with pytest.raises(DataError, match=rf"1990-01-01 to 2027-12-31.*{day}"):
        calendar.session(day)
    with pytest.raises(DataError):
        calendar.sessions(day, day)


def test_walking_off_the_table_is_refused(calendar: TradingCalendar) -> None:
    """The session after the last is unknown, not the first of next year."""
    with pytest.raises(DataError, match="2028-01-01"):
        calendar.next_session(date(2027, 12, 31))
    with pytest.raises(DataError, match="1989-12-31"):
        calendar.previous_session(date(1990, 1, 2))


def test_a_calendar_of_the_table_cannot_reach_beyond_it() -> None:
    """Asking the table for years it does not have is refused when the calendar is made."""
    with pytest.raises(DataError, match="1990 to 2027"):
        TradingCalendar(date(2020, 1, 1), date(2030, 12, 31))


def test_a_moment_without_a_zone_is_refused(calendar: TradingCalendar) -> None:
    """A naive moment could be any day; it is a mistake of the caller."""
    with pytest.raises(ValueError, match="no time zone"):
        calendar.session_at(datetime(2025, 3, 31, 14, 0))  # noqa: DTZ001 - the mistake under test


def test_midnight_is_that_of_new_york() -> None:
    """A daily bar starts at 05:00 or 04:00 UTC, by season."""
    assert midnight(date(2025, 1, 3)) == utc("2025-01-03T05:00")
    assert midnight(date(2025, 7, 3)) == utc("2025-07-03T04:00")
    assert new_york_date(utc("2025-07-03T03:59")) == date(2025, 7, 2)


def test_the_calendar_of_the_broker_answers_like_the_table(calendar: TradingCalendar) -> None:
    """A calendar made from sessions has those sessions and no other, in whatever order they came."""
    sessions = calendar.sessions(date(2024, 11, 1), date(2025, 1, 31))
    broker = TradingCalendar.from_sessions(reversed(sessions), start=date(2024, 11, 1), end=date(2025, 2, 2))
    assert broker.sessions(date(2024, 11, 1), date(2025, 2, 2)) == sessions
    assert broker.session(date(2024, 11, 28)) is None
    assert broker.differences(calendar) == ()
    with pytest.raises(DataError):
        broker.session(date(2025, 2, 3))


def test_differences_name_the_day_and_both_hours(calendar: TradingCalendar) -> None:
    """A day that one calendar lacks and a close at another hour are both found, with words for the operator."""
    sessions = list(calendar.sessions(date(2024, 11, 25), date(2024, 12, 6)))
    half = next(session for session in sessions if session.date == date(2024, 11, 29))
    full = Session(date=half.date, opens_at=half.opens_at, closes_at=half.closes_at + timedelta(hours=3))
    broker = TradingCalendar.from_sessions([full if s is half else s for s in sessions if s.date != date(2024, 12, 2)])
    assert [str(difference) for difference in broker.differences(calendar)] == [
        "2024-11-29: 09:30 to 16:00 here, 09:30 to 13:00 there",
        "2024-12-02: no session here, 09:30 to 16:00 there",
    ]


def test_a_broken_list_of_sessions_is_refused(calendar: TradingCalendar) -> None:
    """Empty, doubled, misplaced and upside-down sessions of a broker are errors that name the day."""
    session = calendar.session(date(2025, 3, 31))
    assert session is not None
    with pytest.raises(DataError, match="without a single session"):
        TradingCalendar.from_sessions([])
    with pytest.raises(DataError, match="2025-03-31 twice"):
        TradingCalendar.from_sessions([session, session])
    with pytest.raises(DataError, match="outside the calendar"):
        TradingCalendar.from_sessions([session], start=date(2025, 4, 1), end=date(2025, 4, 2))
    with pytest.raises(DataError, match="before it opens"):
        TradingCalendar.from_sessions([Session(date=session.date, opens_at=session.closes_at, closes_at=session.opens_at)])


@given(day=st.integers(0, 15_000), minutes=st.integers(0, 1_439) | st.integers(0, 360))
def test_the_date_of_new_york_is_that_of_its_time_zone(day: int, minutes: int) -> None:
    """Whatever the hour, and more often around midnight in New York, in winter and in summer."""
    at = utc("1990-01-01") + timedelta(days=day, minutes=minutes)
    assert at.astimezone(NEW_YORK).date() == new_york_date(at)
