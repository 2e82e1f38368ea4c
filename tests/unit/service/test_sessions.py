"""The moments of a session follow the settings of that moment."""

from datetime import UTC, date, datetime

import pytest

from alchemiser.domain.errors import InvariantBroken
from alchemiser.market.calendar import TradingCalendar
from alchemiser.service.sessions import SessionTimes
from alchemiser.service.settings import Settings

HALF_DAY = date(2024, 11, 29)


def test_moments_hang_on_the_close_and_on_the_settings_of_now() -> None:
    """A half day shifts them; new settings count at once."""
    running = [Settings.model_validate({"schedule": {"decision": "close - 10m"}, "execution": {"cutoff": "close - 2m"}})]
    times = SessionTimes(TradingCalendar.new_york(), lambda: running[-1])
    session = times.session_of(HALF_DAY)

    assert datetime(2024, 11, 29, 17, 50, tzinfo=UTC) == times.decision(session)
    assert datetime(2024, 11, 29, 17, 58, tzinfo=UTC) == times.cut_off(session) == times.cut_off_on(HALF_DAY)
    running.append(Settings.model_validate({"schedule": {"decision": "close - 30m"}, "execution": {"cutoff": "close - 5m"}}))
    assert datetime(2024, 11, 29, 17, 30, tzinfo=UTC) == times.decision(session)
    assert datetime(2024, 11, 29, 17, 55, tzinfo=UTC) == times.cut_off_on(HALF_DAY)


def test_a_plan_for_a_closed_day_stops_the_daemon() -> None:
    """Nothing could be traded then, so whoever planned it is wrong."""
    times = SessionTimes(TradingCalendar.new_york(), Settings)
    with pytest.raises(InvariantBroken, match="2025-03-02, on which the exchange is closed"):
        times.cut_off_on(date(2025, 3, 2))
