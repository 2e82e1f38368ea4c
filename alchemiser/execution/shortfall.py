"""The shortfall reporter: when the session of a rebalance is over, it asks for the closes and publishes the cost against them.

What it still owes is in the journal: a restart after the close reports what the process before it could not. A venue that cannot be asked
is asked again at the next occasion.
"""

from collections.abc import Awaitable, Callable
from datetime import date
from decimal import Decimal

import structlog

from alchemiser.bus.envelope import Envelope
from alchemiser.domain.errors import VenueError
from alchemiser.domain.events import RebalanceCompleted, RebalanceParked, RecoveryCompleted, SessionClosed, ShortfallReported
from alchemiser.domain.market import MarketSnapshot
from alchemiser.domain.money import from_float
from alchemiser.domain.runtime import Clock
from alchemiser.domain.shortfall import Shortfall
from alchemiser.domain.venue import Venue
from alchemiser.execution.costs import with_closes
from alchemiser.market.calendar import NEW_YORK

_log = structlog.get_logger(__name__)


class ShortfallReporter:
    """Reports each rebalance once.

    ``owed`` gives the costs that wait for their close, by rebalance; ``is_over`` says whether a session has ended.
    """

    listens_to = (SessionClosed, RebalanceCompleted, RebalanceParked, RecoveryCompleted)

    def __init__(
        self,
        *,
        venue: Venue,
        clock: Clock,
        publish: Callable[..., Awaitable[object]],
        owed: Callable[[], dict[str, Shortfall]],
        is_over: Callable[[date], bool],
    ) -> None:
        self._venue = venue
        self._clock = clock
        self._publish = publish
        self._owed = owed
        self._is_over = is_over

    async def handle(self, envelope: Envelope) -> None:
        """Report what can be reported now."""
        due = {key: shortfall for key, shortfall in self._owed().items() if self._is_over(session_of(key))}
        traded = {order.symbol for shortfall in due.values() for order in shortfall.orders}
        symbols = sorted(traded | {one.symbol for shortfall in due.values() for one in shortfall.unfilled})
        if not symbols:
            return
        try:
            snapshots = await self._venue.snapshots(symbols)
        except VenueError as error:
            _log.warning("closes_not_known", rebalances=list(due), error=str(error))
            return
        for key, shortfall in due.items():
            closes = closes_of(snapshots, session_of(key))
            reported = with_closes(shortfall, closes)
            event = ShortfallReported(at=self._clock.now(), rebalance_id=key, session=session_of(key), closes=closes, shortfall=reported)
            await self._publish(event, correlation=key)


def session_of(rebalance_id: str) -> date:
    """Return the day of a rebalance, which its id begins with."""
    return date.fromisoformat(rebalance_id.partition(".")[0])


def closes_of(snapshots: dict[str, MarketSnapshot], session: date) -> dict[str, Decimal]:
    """Return the closes of a session from the daily bars of snapshots, in dollars; symbols without a bar of that day are absent."""
    closes: dict[str, Decimal] = {}
    for symbol in sorted(snapshots):
        for bar in (snapshots[symbol].today, snapshots[symbol].previous):
            if bar is not None and bar.start.astimezone(NEW_YORK).date() == session:
                closes[symbol] = from_float(bar.close)
                break
    return closes
