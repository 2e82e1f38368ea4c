"""The peg ladder: limit orders at the live quote, each rung crossing a larger share of the spread than the one before.

A rung that is used up, or that the market has left behind, is moved to where the quote is. When no rung is left the last resort of the
settings applies: a market order, the last limit left standing, or parking. The marketable limit is the same with rungs that all take the
far side. A quote that is missing, stale, one-sided, locked or crossed never prices an order.
"""

from datetime import datetime, timedelta
from decimal import Decimal
from functools import lru_cache

import msgspec
from msgspec import Struct

from alchemiser.domain.market import Quote, Session
from alchemiser.domain.money import ONE, ZERO
from alchemiser.domain.orders import LIMIT, MARKET
from alchemiser.execution.decisions import GiveUp, Keep, Move, Send, Situation, Wait
from alchemiser.execution.pricing import is_behind, limit_price, spread_bps

SPREAD_PATIENCE = ((50.0, 2.0), (10.0, 1.5), (0.0, 1.0))
"""From that many basis points of spread on, a rung stands that many times as long: the wider, the more there is to gain by waiting."""

OPENING_PATIENCE = 2.0
"""How many times as long a rung stands in the first minutes of a session, when quotes are wide and jump."""

MARKET_CUSHION = Decimal("1.01")
"""Cash set aside for a market buy, relative to the ask: it may walk the book."""

CLOSING_HASTE = 0.5
"""How many times as long a rung stands in the last minutes of a session."""


class LadderRules(msgspec.Struct, frozen=True, kw_only=True):
    """How orders are worked.

    ``rungs`` are the shares of the spread that the attempts cross, in order; ``rung_seconds`` is how long one of them may stand in quiet
    times (see :func:`stands_seconds`); ``max_slippage_bps`` bounds every limit against the arrival price; ``fallback`` is ``market``,
    ``leave`` or ``park``; an intent is parked after ``order_deadline_seconds``, whatever it waits for. No limit is sent that pays more than
    ``price_collar_bps`` beyond the mid, no order that takes more than ``max_displayed_share`` of the far side (``None``: any), and none
    beyond ``max_orders_per_session``. ``replaces`` says whether a limit may be moved by a replacement where the venue allows it.
    Of a market buy ``market_cushion`` times the ask is set aside, and what is worth less than ``smallest_order`` dollars counts as filled.
    """

    rungs: tuple[Decimal, ...] = (Decimal("0.5"), Decimal("0.75"), Decimal(1))
    rung_seconds: float = 5.0
    minimum_repeg_seconds: float = 1.0
    opening_minutes: float = 15.0
    closing_minutes: float = 5.0
    max_slippage_bps: Decimal = Decimal(100)
    price_collar_bps: Decimal = Decimal(500)
    max_displayed_share: Decimal | None = None
    max_orders_per_session: int = 1_000
    fallback: str = "market"
    order_deadline_seconds: float = 180.0
    replaces: bool = True
    market_cushion: Decimal = MARKET_CUSHION
    smallest_order: Decimal = ONE


@lru_cache(maxsize=64)
def duration(seconds: float) -> timedelta:
    """Return so many seconds of the rules as a time. The same few are asked for with every rebalance."""
    return timedelta(seconds=seconds)


def stands_seconds(rules: LadderRules, quote: Quote | str, now: datetime, session: Session) -> float:
    """Return how long a rung may stand: longer where the spread is wide and after the open, shorter before the close."""
    seconds = rules.rung_seconds
    if isinstance(quote, Quote):
        spread = spread_bps(quote)
        seconds *= next(factor for least, factor in SPREAD_PATIENCE if spread >= least)
    if now < session.opens_at + timedelta(minutes=rules.opening_minutes):
        seconds *= OPENING_PATIENCE
    if now >= session.closes_at - timedelta(minutes=rules.closing_minutes):
        seconds *= CLOSING_HASTE
    return seconds


class Ladder(Struct, frozen=True):
    """The ladder over ``rungs``, on which an intent is worked for ``lasts`` at most.

    ``through_bps`` is how much further than its share of the spread each limit may pay.
    """

    rules: LadderRules
    rungs: tuple[Decimal, ...]
    lasts: timedelta
    name: str = "ladder"
    through_bps: Decimal = ZERO

    def deadline(self, begun: datetime, started: datetime, cut_off: datetime, session: Session) -> datetime:
        """Return when the intent has to end."""
        ends = started + self.lasts
        return ends if ends < cut_off else cut_off

    def open(self, situation: Situation, step: str | None = None) -> Send | Wait | GiveUp:
        """Price the present rung; past the last one, the last resort. ``step`` names the order, by default after its rung."""
        quote, rung, intent = situation.quote, situation.rung, situation.intent
        if isinstance(quote, str):
            return Wait(f"no usable quote: {quote}")
        if rung >= len(self.rungs):
            if self.rules.fallback == "market":
                return Send(situation.leaves, MARKET, None, rung, "last resort")
            if self.rules.fallback != "leave":
                return GiveUp("the ladder is used up")
            rung = len(self.rungs) - 1
        price = limit_price(
            intent.side, quote, self.rungs[rung], intent.reference_price, self.rules.max_slippage_bps, through_bps=self.through_bps
        )
        return Send(situation.leaves, LIMIT, price, rung, step or f"rung {rung + 1}")

    def watch(self, situation: Situation) -> Keep | Move:
        """Climb when the time of the rung is over, follow when the market has moved away."""
        live = situation.live
        assert live is not None
        # Following the market does not start the rung anew: in a market that runs the ladder climbs all the same.
        begun = live.rung_since
        rest = situation.deadline - begun
        # Whatever the patience, every rung that is left and the last resort get their turn before the deadline.
        fair_share = rest.total_seconds() / (max(len(self.rungs) - live.rung, 0) + 1)
        patience = stands_seconds(self.rules, situation.quote, begun, situation.session)
        seconds = max(min(patience, fair_share), self.rules.minimum_repeg_seconds)
        if self.is_last_word(live.rung):
            return Keep(situation.deadline)
        if situation.now >= begun + timedelta(seconds=seconds):
            return Move(f"not filled within {seconds:g} s", live.rung + 1)
        if self.is_left_behind(situation):
            return Move("the market has moved away", live.rung)
        return Keep(begun + timedelta(seconds=seconds))

    def is_last_word(self, rung: int) -> bool:
        """Whether an order of that rung is left standing as it is until the deadline."""
        return self.rules.fallback == "leave" and rung >= len(self.rungs) - 1

    def is_left_behind(self, situation: Situation) -> bool:
        """Whether the live order has stood for a moment and the market has moved away from it."""
        live, quote = situation.live, situation.quote
        if live is None or not isinstance(quote, Quote):
            return False
        if situation.now < live.since + timedelta(seconds=self.rules.minimum_repeg_seconds):
            return False
        return is_behind(live.order, quote, self.rungs[min(live.rung, len(self.rungs) - 1)])


def ladder_of(rules: LadderRules) -> Ladder:
    """Return the ladder of these rules."""
    return Ladder(rules, rules.rungs, duration(rules.order_deadline_seconds))
