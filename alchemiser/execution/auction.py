"""Market-on-close and limit-on-close: the whole shares of an intent go into the closing auction, the fraction goes by a day order before.

The venue takes orders for the auction until a cut-off before the close (half days shift with their close), and only whole shares. What
comes too late, is less than a share, or is refused falls to the alternative of the settings. One order is live at a time, so the fraction
is worked first, for a bounded time; what is left of it is parked with its reason.
"""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from alchemiser.domain.market import Quote, Session
from alchemiser.domain.money import ONE, truncate_shares
from alchemiser.domain.orders import CLS, LIMIT, MARKET
from alchemiser.execution.decisions import Fall, Keep, Move, Send, Situation
from alchemiser.execution.ladder import Ladder
from alchemiser.execution.pricing import worst_price
from alchemiser.market.schedule import Schedule

FRACTION_TRIES: Final = 2
"""How many orders the fraction of a share gets before the whole shares go without it."""

AUCTION_GRACE: Final = timedelta(seconds=30)
"""How long after the close the venue may take to say how the auction ended."""


class Auction(Struct, frozen=True):
    """An order for the closing auction; ``limit_bps`` from the arrival price makes it limit-on-close, ``None`` market-on-close.

    ``cut_off`` says until when the venue takes it. ``ladder`` works the fraction of a share: its last rung prices it.
    """

    ladder: Ladder
    name: str
    cut_off: Schedule
    limit_bps: Decimal | None = None

    def deadline(self, begun: datetime, started: datetime, cut_off: datetime, session: Session) -> datetime:
        """Return when the intent has to end: shortly after the close."""
        return session.closes_at + AUCTION_GRACE

    def open(self, situation: Situation) -> Send | Fall:
        """Send the fraction while there is time for it, then the whole shares."""
        closes_at = self.cut_off.at(situation.session)
        if situation.now >= min(closes_at, situation.cut_off):
            return Fall(f"the closing auction takes no more orders since {closes_at:%H:%M:%S} UTC")
        whole = truncate_shares(situation.leaves, whole=True)
        if whole < ONE:
            return Fall("the closing auction takes whole shares only, and less than one is left")
        if self._works_fraction(situation, closes_at):
            part = replace(situation, rung=len(self.ladder.rungs) - 1, leaves=situation.leaves - whole)
            fraction = self.ladder.open(part, step="fraction")
            if isinstance(fraction, Send):
                return Send(fraction.quantity, fraction.order_type, fraction.limit_price, situation.rung, fraction.step)
        if self.limit_bps is None:
            return Send(whole, MARKET, None, situation.rung, "auction", CLS)
        intent, slippage = situation.intent, min(self.limit_bps, self.ladder.rules.max_slippage_bps)
        price = worst_price(intent.side, intent.reference_price, slippage)
        return Send(whole, LIMIT, price, situation.rung, "auction", CLS)

    def watch(self, situation: Situation) -> Keep | Move:
        """Leave the auction order alone until its auction is over; give the fraction its time, and no more."""
        live = situation.live
        assert live is not None
        if live.order.time_in_force is CLS:
            return Keep(situation.deadline)
        until = min(live.since + self._fraction_time(), self.cut_off.at(situation.session) - self._fraction_time() / 2)
        if situation.now >= until:
            return Move("the fraction was not filled in its time", live.rung + 1)
        return Keep(until)

    def _works_fraction(self, situation: Situation, closes_at: datetime) -> bool:
        fraction = situation.leaves - truncate_shares(situation.leaves, whole=True)
        is_worth_it = situation.intent.is_fractionable and fraction * situation.intent.reference_price >= ONE
        has_time = situation.rung < FRACTION_TRIES and situation.now < closes_at - self._fraction_time()
        return is_worth_it and has_time and isinstance(situation.quote, Quote)

    def _fraction_time(self) -> timedelta:
        return timedelta(seconds=self.ladder.rules.rung_seconds)
