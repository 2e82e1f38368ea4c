"""The reader of the account's activities: asks the broker what happened without a trade, and has the ledger book it.

It is asked for at every comparison with the broker (a start, a gap, the timer), when a session opens, a few minutes before a decision, and
when the books of a session are closed. One question at a time; rows that are known are known by their ids.
"""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Final

import structlog

from alchemiser.bus.envelope import Envelope
from alchemiser.domain.activities import SpinOff
from alchemiser.domain.errors import CredentialsRefused, VenueError, VenueUnavailable
from alchemiser.domain.events import DecisionApproached, SessionOpened
from alchemiser.domain.venue import Venue
from alchemiser.portfolio.ledger import Ledger

OVERLAP: Final = timedelta(days=2)
"""How much further back the broker is asked: it may look at the day of a row and not at the time at which it wrote it."""

_log = structlog.get_logger(__name__)


class ActivityReader:
    """Keeps the ledger up to what happened without a trade. ``spin_offs`` is what a person says of spin-offs, by the new symbol."""

    listens_to = (SessionOpened, DecisionApproached)

    def __init__(self, venue: Venue, ledger: Ledger, spin_offs: Mapping[str, SpinOff]) -> None:
        self._venue = venue
        self._ledger = ledger
        self.spin_offs = spin_offs
        self._turn = asyncio.Lock()
        self._is_refused = False

    async def catch_up(self) -> int:
        """Have everything booked that the broker tells of; return how many rows that were.

        Raises ``VenueUnavailable`` and ``CredentialsRefused``. A broker that does not serve the list at all is not asked for it again:
        what it would have told shows as differences of shares and cash.
        """
        async with self._turn:
            since = self._ledger.activities_since
            if since is None or self._is_refused:
                return 0
            try:
                rows = await self._venue.activities_since(since - OVERLAP)
            except (VenueUnavailable, CredentialsRefused):
                raise
            except VenueError as error:
                self._is_refused = True
                _log.warning("activities_not_served", reason=str(error), action="differences of shares and cash are shown, not explained")
                return 0
            return self._ledger.take(rows, self.spin_offs)

    async def handle(self, envelope: Envelope) -> None:
        """Catch up ahead of a session and of a decision; what cannot be asked now is asked at the next comparison."""
        try:
            await self.catch_up()
        except VenueError as error:
            _log.warning("activities_not_read", reason=str(error), action="they are asked for at the next comparison")
