"""Prices of orders from a quote, inside the bounds of the settings and on the venue's tick. Pure.

Every function here is given a usable quote: two-sided, neither locked nor crossed, fresh. What makes a quote unusable is decided where
quotes are kept; no price is ever made without one.
"""

from decimal import Decimal

from alchemiser.domain.market import Quote
from alchemiser.domain.money import ONE, from_float, round_price_down, round_price_up, truncate_shares
from alchemiser.domain.orders import BUY, NewOrder, Side

BASIS_POINT = Decimal("0.0001")


def limit_price(
    side: Side, quote: Quote, rung: Decimal, arrival_price: Decimal, max_slippage_bps: Decimal, through_bps: Decimal = Decimal(0)
) -> Decimal:
    """Return the limit in dollars, on the venue's tick: our own side of the quote and ``rung`` of the spread beyond, inside the bound.

    ``through_bps`` is how much further than that the limit may pay, in basis points: room for a far side that moves meanwhile.
    """
    bid, ask = from_float(quote.bid), from_float(quote.ask)
    worst = arrival_price * (1 + side.sign * max_slippage_bps * BASIS_POINT)
    room = 1 + side.sign * through_bps * BASIS_POINT
    if side is BUY:
        return round_price_down(min(round_price_up((bid + rung * (ask - bid)) * room), worst))
    return round_price_up(max(round_price_down((ask - rung * (ask - bid)) * room), worst))


def worst_price(side: Side, arrival_price: Decimal, slippage_bps: Decimal) -> Decimal:
    """Return the worst acceptable limit in dollars, on the tick: never further than ``slippage_bps`` from the arrival price."""
    worst = arrival_price * (1 + side.sign * slippage_bps * BASIS_POINT)
    return round_price_down(worst) if side is BUY else round_price_up(worst)


def spread_bps(quote: Quote) -> float:
    """Return the spread in basis points of the mid."""
    return (quote.ask - quote.bid) / quote.mid * 10_000


def is_behind(order: NewOrder, quote: Quote, rung: Decimal) -> bool:
    """Whether the market has moved away: a rung that takes the far side no longer reaches it, any other is worse than our own side."""
    if order.limit_price is None:
        return False
    takes = rung >= 1
    if order.side is BUY:
        return order.limit_price < from_float(quote.ask if takes else quote.bid)
    return order.limit_price > from_float(quote.bid if takes else quote.ask)


def takes_liquidity(side: Side, limit: Decimal | None, quote: Quote) -> bool:
    """Whether an order of that limit, ``None`` for a market order, would trade with what is displayed on the far side."""
    if limit is None:
        return True
    return limit >= from_float(quote.ask) if side is BUY else limit <= from_float(quote.bid)


def within_displayed(side: Side, quantity: Decimal, quote: Quote, share: Decimal, *, whole: bool) -> Decimal:
    """Return how many shares may be asked for at once: at most ``share`` of what the far side displays, and always at least one share."""
    displayed = from_float(quote.ask_size if side is BUY else quote.bid_size)
    return min(quantity, max(truncate_shares(displayed * share, whole=whole), ONE))


def is_outside_collar(side: Side, limit: Decimal, quote: Quote, collar_bps: Decimal) -> bool:
    """Whether a limit would pay more beyond the mid than the collar allows: the quote's spread is then too wide to be believed."""
    mid = from_float(quote.mid)
    return (limit - mid) * side.sign > mid * collar_bps * BASIS_POINT
