"""The reader of the account's activities: asks the broker what happened without a trade, and has the ledger book it.

It is asked for at every comparison with the broker (a start, a gap, the timer), when a session opens, a few minutes before a decision, and
when the books of a session are closed. One question at a time; rows that are known are known by their ids.

What issuers do happens over night: as long as nobody has answered since a session opened, the books may hold shares that have been split
or have another name by now. So the question is asked until it is answered, and no decision is planned before.
"""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta
from itertools import chain, repeat
from typing import Final

import structlog

from alchemiser.bus.envelope import Envelope
from alchemiser.domain.activities import AccountActivity, SpinOff
from alchemiser.domain.errors import CredentialsRefused, VenueError, VenueUnavailable
from alchemiser.domain.events import DecisionApproached, SessionOpened
from alchemiser.domain.runtime import Clock
from alchemiser.domain.venue import Venue
from alchemiser.portfolio.ledger import Ledger

OVERLAP: Final = timedelta(days=2)
"""How much further back the broker is asked: it may look at the day of a row and not at the time at which it wrote it."""

RETRY_SECONDS: Final = (2.0, 5.0, 15.0, 60.0)
"""Pauses after which the broker is asked again, ahead of a session or of a decision; the last repeats."""

_log = structlog.get_logger(__name__)


class ActivityReader:
    """Keeps the ledger up to what happened without a trade. ``spin_offs`` is what a person says of spin-offs, by the new symbol."""

    listens_to = (SessionOpened, DecisionApproached)

    def __init__(self, venue: Venue, ledger: Ledger, spin_offs: Mapping[str, SpinOff], clock: Clock) -> None:
        self._venue = venue
        self._ledger = ledger
        self.spin_offs = spin_offs
        self._clock = clock
        self._turn = asyncio.Lock()
        self._unanswered = asyncio.Event()
        self._is_night_untold = False
        self._is_refused = False

    async def catch_up(self) -> int:
        """Have everything booked that the broker tells of; return how many rows that were.

        Raises ``VenueUnavailable`` and ``CredentialsRefused``. A broker that does not serve the list at all is not asked for it again:
        what it would have told shows as differences of shares and cash.
        """
        async with self._turn:
            rows = await self._rows()
            self._unanswered.clear()
            self._is_night_untold = False
            return self._ledger.take(rows, self.spin_offs)

    async def hear_of_the_night(self) -> None:
        """Catch up if nobody has told yet what happened before the session opened. Raises as :meth:`catch_up`; else nothing is asked."""
        if self._is_night_untold:
            await self.catch_up()

    async def handle(self, envelope: Envelope) -> None:
        """Catch up ahead of a session and of a decision; what cannot be asked now is asked by :meth:`run`."""
        if isinstance(envelope.event, SessionOpened):
            self._is_night_untold = True
        if not await self._is_answered():
            self._unanswered.set()

    async def run(self) -> None:
        """Ask again what was not answered ahead of a session or of a decision, until somebody has heard the answer; until cancelled."""
        while True:
            await self._unanswered.wait()
            for pause in chain(RETRY_SECONDS, repeat(RETRY_SECONDS[-1])):
                await self._clock.sleep(pause)
                if not self._unanswered.is_set() or await self._is_answered():
                    break

    async def _is_answered(self) -> bool:
        try:
            await self.catch_up()
        except VenueError as error:
            _log.warning("activities_not_read", reason=str(error), action="they are asked for again")
            return False
        return True

    async def _rows(self) -> Sequence[AccountActivity]:
        since = self._ledger.activities_since
        if since is None or self._is_refused:
            return ()
        try:
            return await self._venue.activities_since(since - OVERLAP)
        except (VenueUnavailable, CredentialsRefused):
            raise
        except VenueError as error:
            self._is_refused = True
            _log.warning("activities_not_served", reason=str(error), action="differences of shares and cash are shown, not explained")
            return ()
