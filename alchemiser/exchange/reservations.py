"""What open orders hold of the account: dollars of buying power, shares of a position. Pure: the definition, for a few orders or for all.

While a replacement is pending, old and new order together hold the larger of the two (section 3.8); so do the exits of one position (3.9).
Exits whose entry is not filled yet hold nothing. The sums over all open orders are kept by :mod:`~alchemiser.exchange.open_orders`.
"""

from collections.abc import Callable, Collection
from decimal import Decimal
from typing import Final

from alchemiser.domain.money import ZERO
from alchemiser.exchange.book import Book
from alchemiser.exchange.orders import OrderType, PositionIntent, Side, VenueOrder
from alchemiser.exchange.timeline import CLOSED, REGULAR, Phase

_CLOSING: Final = ("sell_to_close", "buy_to_close")
_SHORT_ROOM: Final = Decimal("1.03")


def reserved_dollars(order: VenueOrder) -> Decimal:
    """Return the dollars an order holds: what its leaves may cost, nothing for an order that closes a position."""
    if order.position_intent in _CLOSING:
        return ZERO
    if order.notional is None:
        return order.leaves_quantity * order.hold_price
    return order.leaves_notional if order.is_open else ZERO


def reserved_dollars_of(orders: Collection[VenueOrder]) -> Decimal:
    """Return the dollars that open orders hold together, before anything is lent on them."""
    return _together(orders, reserved_dollars)


def held_shares_of(orders: Collection[VenueOrder]) -> Decimal:
    """Return the shares that open orders of one position hold together; never negative."""
    return _together([order for order in orders if order.is_closing and not order.is_dormant], _leaves)


def held_by(orders: Collection[VenueOrder]) -> tuple[Decimal, Decimal]:
    """Return the dollars and the shares that some open orders of one symbol hold together."""
    if len(orders) > 1:
        return reserved_dollars_of(orders), held_shares_of(orders)
    # Nearly every order stands alone.
    (order,) = orders
    if order.position_intent in _CLOSING:
        return ZERO, ZERO if order.is_dormant else order.leaves_quantity
    return reserved_dollars(order), ZERO


def inferred_intent(side: Side, position: Decimal) -> PositionIntent:
    """Return what an order does to a position of that many signed shares."""
    if side == "buy":
        return "buy_to_close" if position < 0 else "buy_to_open"
    return "sell_to_close" if position > 0 else "sell_to_open"


def reference_price(kind: OrderType, side: Side, limit: Decimal | None, stop: Decimal | None, book: Book, phase: Phase) -> Decimal | None:
    """Return the price per share at which an order is expected to trade, before it does (section 9.2); ``None`` when nobody knows.

    Orders with a price: that price. Others: the far side of the NBBO in the regular session, the middle in extended hours,
    the last trade while the market is closed.
    """
    if limit is not None:
        return limit
    if kind in ("stop", "trailing_stop") and stop is not None:
        return stop
    if phase is REGULAR:
        far = book.far(1 if side == "buy" else -1)
        return book.last if far is None else far.price
    first, second = (book.last, book.mid) if phase is CLOSED else (book.mid, book.last)
    return second if first is None else first


def hold_price(side: Side, intent: PositionIntent, price: Decimal, book: Book, *, has_limit: bool) -> Decimal:
    """Return the dollars per share to reserve: for a short sale the larger of its limit and three percent above the ask."""
    if intent != "sell_to_open":
        return price
    ask = book.far(1)
    room = (price if ask is None else ask.price) * _SHORT_ROOM
    return max(price, room) if has_limit else room


def _leaves(order: VenueOrder) -> Decimal:
    return order.leaves_quantity


def _together(orders: Collection[VenueOrder], held: Callable[[VenueOrder], Decimal]) -> Decimal:
    """Return the sum of what orders hold, where those that stand for one another count once, with the larger amount."""
    if len(orders) < 2:
        return sum(map(held, orders), ZERO)
    listed = {order.id for order in orders}
    holds: dict[str, Decimal] = {}
    for order in orders:
        chain = _chain(order, listed)
        holds[chain] = max(holds.get(chain, ZERO), held(order))
    return sum(holds.values(), ZERO)


def _chain(order: VenueOrder, listed: Collection[str]) -> str:
    if order.parent_id is not None:
        return order.parent_id
    return order.replaces if order.replaces is not None and order.replaces in listed else order.id
