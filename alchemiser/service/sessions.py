"""When a session decides and when it must be done, by the settings that hold at that moment."""

from collections.abc import Callable
from datetime import date, datetime

from alchemiser.domain.errors import InvariantBroken
from alchemiser.domain.market import Session
from alchemiser.market.calendar import TradingCalendar
from alchemiser.service.settings import Settings


class SessionTimes:
    """Answers the rooms that know a session, or only its day. ``settings`` returns those by which the daemon works now."""

    def __init__(self, calendar: TradingCalendar, settings: Callable[[], Settings]) -> None:
        self._calendar = calendar
        self._settings = settings

    def decision(self, session: Session) -> datetime:
        """Return when the strategies decide."""
        return self._settings().schedule.decision.at(session)

    def cut_off(self, session: Session) -> datetime:
        """Return from when on nothing more is sent."""
        return self._settings().execution.cutoff.at(session)

    def session_of(self, day: date) -> Session:
        """Return the session of a day for which something was planned. Raises ``InvariantBroken`` when the exchange is closed then."""
        session = self._calendar.session(day)
        if session is None:
            raise InvariantBroken(f"a rebalance was planned for {day}, on which the exchange is closed; the daemon stops")
        return session

    def cut_off_on(self, day: date) -> datetime:
        """Return the cut-off of that session."""
        return self.cut_off(self.session_of(day))
