"""The dates of a timeline are those of New York, and trades settle on the next trading day."""

from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from alchemiser.exchange.timeline import NEW_YORK, Timeline
from tests.unit.exchange.core.scene import HALF_DAY, HOLIDAY, MONDAY, session_of, utc

MOMENTS = st.lists(st.integers(0, 60 * 24 * 160).map(lambda minutes: utc(0) + timedelta(minutes=minutes)), min_size=1, max_size=8)
"""Minutes from January to the end of the calendar in June: clocks are changed in between."""


@given(MOMENTS, st.booleans())
def test_the_date_is_that_of_new_york(moments: list[datetime], overnight: bool) -> None:
    """Whichever trading day runs or was asked for last, a moment has the date that the time zone gives it."""
    timeline = Timeline(session_of, overnight=overnight)
    for at in moments:
        assert at.astimezone(NEW_YORK).date() == timeline.date_of(at)
        timeline.day_ending_after(at)
        assert at.astimezone(NEW_YORK).date() == timeline.date_of(at)


def test_trades_settle_on_the_next_trading_day() -> None:
    """The day after, weekends and holidays left out; a trade of the night is one of the day that follows it."""
    timeline = Timeline(session_of, overnight=True)
    friday = MONDAY + timedelta(days=4)
    settles = {
        utc(15): MONDAY + timedelta(days=1),
        utc(17, on=HALF_DAY): friday,  # The holiday is between them.
        utc(15, on=friday): MONDAY + timedelta(days=7),
        utc(2, on=MONDAY + timedelta(days=1)): MONDAY + timedelta(days=2),  # Nine in the evening of Monday.
        utc(7, on=MONDAY + timedelta(days=1)): MONDAY + timedelta(days=2),
    }
    assert HOLIDAY == HALF_DAY + timedelta(days=1)
    assert settles == {at: timeline.settlement_date(at) for at in settles}
