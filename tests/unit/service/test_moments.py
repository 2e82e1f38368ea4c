"""Moments of a session."""

from datetime import UTC, date, datetime

import pytest

from alchemiser.domain.market import Session
from alchemiser.service.moments import Anchor, SessionMoment

FULL_DAY = Session(
    date=date(2025, 3, 3), opens_at=datetime(2025, 3, 3, 14, 30, tzinfo=UTC), closes_at=datetime(2025, 3, 3, 21, 0, tzinfo=UTC)
)
HALF_DAY = Session(
    date=date(2025, 7, 3), opens_at=datetime(2025, 7, 3, 13, 30, tzinfo=UTC), closes_at=datetime(2025, 7, 3, 17, 0, tzinfo=UTC)
)


@pytest.mark.parametrize(
    ("text", "anchor", "seconds"),
    [
        ("close", Anchor.CLOSE, 0.0),
        ("open", Anchor.OPEN, 0.0),
        ("close - 10m", Anchor.CLOSE, -600.0),
        ("close-90s", Anchor.CLOSE, -90.0),
        ("  open + 1.5h ", Anchor.OPEN, 5400.0),
        ("close - 0m", Anchor.CLOSE, 0.0),
    ],
)
def test_reads_moments(text: str, anchor: Anchor, seconds: float) -> None:
    """A moment is an anchor and a signed number of seconds, minutes or hours."""
    assert SessionMoment(anchor, seconds) == SessionMoment.parse(text)


@pytest.mark.parametrize("text", ["", "noon", "close - 10", "close - m", "close 10m", "15:50", "close - -1m", "close - 1d", "open + nan"])
def test_refuses_what_is_no_moment(text: str) -> None:
    """Anything else is refused with an example of what was expected."""
    with pytest.raises(ValueError, match=r"close - 10m"):
        SessionMoment.parse(text)


@pytest.mark.parametrize("text", ["close + 1m", "open - 1s"])
def test_refuses_a_moment_outside_every_session(text: str) -> None:
    """No decision can be made before the open or after the close."""
    with pytest.raises(ValueError, match="outside the session"):
        SessionMoment.parse(text)


def test_follows_the_close_of_a_half_day() -> None:
    """Ten minutes before the close is three hours earlier on a half day."""
    moment = SessionMoment.parse("close - 10m")

    assert datetime(2025, 3, 3, 20, 50, tzinfo=UTC) == moment.of(FULL_DAY)
    assert datetime(2025, 7, 3, 16, 50, tzinfo=UTC) == moment.of(HALF_DAY)


def test_stays_inside_a_session_that_is_shorter_than_the_offset() -> None:
    """Five hours before the close of a half day is its open, not the night before."""
    assert HALF_DAY.opens_at == SessionMoment.parse("close - 5h").of(HALF_DAY)
    assert HALF_DAY.closes_at == SessionMoment.parse("open + 5h").of(HALF_DAY)


@pytest.mark.parametrize("text", ["close", "open", "close - 10m", "open + 90s", "close - 2h", "open + 1.5s"])
def test_is_written_as_it_is_read(text: str) -> None:
    """The text form of a moment reads back as the same moment."""
    assert text == str(SessionMoment.parse(text))
