"""The marketable-limit ladder: at which price the next attempt of an intent is sent.

Each attempt is a day limit order that crosses a larger share of the live spread than the attempt before (half is the mid, one is the far
side), never beyond the allowed slippage from the arrival price. When the rungs are used up the ladder falls back, as the settings say, to a
market order or to parking what is left. A quote that is missing, stale, one-sided, locked or crossed never prices an order.
"""

from decimal import Decimal

import msgspec

from alchemiser.domain.intents import Intent
from alchemiser.domain.market import Quote
from alchemiser.domain.money import from_float, round_price_down, round_price_up, truncate_shares
from alchemiser.domain.orders import NewOrder, OrderType, Side, TimeInForce

BASIS_POINT = Decimal("0.0001")


class LadderRules(msgspec.Struct, frozen=True, kw_only=True):
    """How orders are worked.

    ``rungs`` are the shares of the spread that the attempts cross, in order; ``rung_seconds`` is how long one attempt may stand;
    ``max_slippage_bps`` bounds every limit against the arrival price; ``fallback`` is ``market`` or ``park``; an intent is parked after
    ``order_deadline_seconds``, whatever it waits for. No limit is sent that pays more than ``price_collar_bps`` beyond the mid, and no
    order beyond ``max_orders_per_session``.
    """

    rungs: tuple[Decimal, ...] = (Decimal("0.5"), Decimal("0.75"), Decimal(1))
    rung_seconds: float = 5.0
    minimum_repeg_seconds: float = 1.0
    max_slippage_bps: Decimal = Decimal(100)
    price_collar_bps: Decimal = Decimal(500)
    max_orders_per_session: int = 1_000
    fallback: str = "market"
    order_deadline_seconds: float = 180.0


def limit_price(side: Side, quote: Quote, rung: Decimal, arrival_price: Decimal, max_slippage_bps: Decimal) -> Decimal:
    """Return the limit in dollars, on the venue's tick: our own side of the quote and ``rung`` of the spread beyond, inside the bound."""
    bid, ask = from_float(quote.bid), from_float(quote.ask)
    worst = arrival_price * (1 + side.sign * max_slippage_bps * BASIS_POINT)
    if side is Side.BUY:
        return round_price_down(min(round_price_up(bid + rung * (ask - bid)), worst))
    return round_price_up(max(round_price_down(ask - rung * (ask - bid)), worst))


def is_behind(order: NewOrder, quote: Quote, rung: Decimal) -> bool:
    """Whether the market has moved away: a rung that takes the far side no longer reaches it, any other is worse than our own side."""
    if order.limit_price is None:
        return False
    takes = rung >= 1
    if order.side is Side.BUY:
        return order.limit_price < from_float(quote.ask if takes else quote.bid)
    return order.limit_price > from_float(quote.bid if takes else quote.ask)


def is_outside_collar(order: NewOrder, quote: Quote, collar_bps: Decimal) -> bool:
    """Whether a limit would pay more beyond the mid than the collar allows: the quote's spread is then too wide to be believed."""
    mid = from_float(quote.mid)
    return order.limit_price is not None and (order.limit_price - mid) * order.side.sign > mid * collar_bps * BASIS_POINT


def next_order(intent: Intent, client_order_id: str, quantity: Decimal, rung: int, quote: Quote, rules: LadderRules) -> NewOrder | None:
    """Return the order of the ``rung``-th attempt (from 0), or ``None`` when the ladder has ended in parking."""
    is_fallback = rung >= len(rules.rungs)
    if is_fallback and rules.fallback != "market":
        return None
    price = None if is_fallback else limit_price(intent.side, quote, rules.rungs[rung], intent.reference_price, rules.max_slippage_bps)
    return NewOrder(
        client_order_id=client_order_id,
        symbol=intent.symbol,
        side=intent.side,
        quantity=truncate_shares(quantity, whole=not intent.is_fractionable),
        order_type=OrderType.MARKET if is_fallback else OrderType.LIMIT,
        time_in_force=TimeInForce.DAY,
        limit_price=price,
    )
