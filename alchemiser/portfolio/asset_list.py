"""What the broker says of the symbols, asked a few minutes before a decision and kept for the day.

The broker answers with the list of all assets it knows, megabytes of it, whatever is asked for: nothing to wait for while a rebalance is
due. What it says changes overnight; should it change within the day, the broker refuses the order and says so.
"""

from collections.abc import Awaitable, Callable, Sequence
from datetime import date

import structlog

from alchemiser.bus.envelope import Envelope
from alchemiser.domain.account import Asset
from alchemiser.domain.errors import VenueError
from alchemiser.domain.events import DecisionApproached, Event
from alchemiser.domain.runtime import Clock
from alchemiser.market.calendar import new_york_date

_log = structlog.get_logger(__name__)


class AssetList:
    """The assets of one day. ``ask`` asks the broker; ``wanted`` says which symbols are likely to be needed, and must not await."""

    listens_to = (DecisionApproached,)

    def __init__(
        self, ask: Callable[[Sequence[str]], Awaitable[dict[str, Asset]]], *, clock: Clock, wanted: Callable[[], Sequence[str]]
    ) -> None:
        self._ask = ask
        self._clock = clock
        self._wanted = wanted
        self._asked_on: date | None = None
        self._asked: frozenset[str] = frozenset()
        self._known: dict[str, Asset] = {}

    async def handle(self, envelope: Envelope) -> None:
        """Ask ahead of a decision. What fails is asked again when it is needed."""
        event: Event = envelope.event
        if isinstance(event, DecisionApproached):
            try:
                await self.of(self._wanted())
            except VenueError as error:
                _log.warning("assets_not_fetched", reason=str(error), next="asked for again at the rebalance")

    async def of(self, symbols: Sequence[str]) -> dict[str, Asset]:
        """Return what the broker said today of these symbols; unknown and inactive ones are absent. Raises ``VenueError``."""
        today = new_york_date(self._clock.now())
        if self._asked_on != today or not self._asked.issuperset(symbols):
            asked = frozenset(symbols) | frozenset(self._wanted())
            self._known = await self._ask(sorted(asked))
            self._asked, self._asked_on = asked, today
        return {symbol: self._known[symbol] for symbol in symbols if symbol in self._known}
