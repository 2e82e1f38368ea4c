"""What open orders hold of the account: dollars of buying power, shares of a position. Pure: the definition, for a few orders or for all.

While a replacement is pending, old and new order together hold the larger of the two (section 3.8); so do the exits of one position (3.9).
Exits whose entry is not filled yet hold nothing. The sums over all open orders are kept by :mod:`~alchemiser.exchange.open_orders`.
"""

from collections.abc import Callable, Collection
from decimal import Decimal
from typing import Final

from alchemiser.domain.money import ZERO
from alchemiser.exchange.account import Position
from alchemiser.exchange.book import Book
from alchemiser.exchange.matching import working_limit
from alchemiser.exchange.orders import CLOSING, PositionIntent, Side, VenueOrder
from alchemiser.exchange.timeline import CLOSED, REGULAR, Phase

_SHORT_ROOM: Final = Decimal("1.03")


def reserved_dollars(order: VenueOrder) -> Decimal:
    """Return the dollars an order holds: what its leaves may cost, nothing for an order that closes a position."""
    if order.position_intent in CLOSING:
        return ZERO
    if order.notional is None:
        return order.leaves() * order.hold_price
    return order.leaves_notional if order.is_open else ZERO


def reserved_dollars_of(orders: Collection[VenueOrder]) -> Decimal:
    """Return the dollars that open orders hold together, before anything is lent on them."""
    return _together(orders, reserved_dollars)


def held_shares_of(orders: Collection[VenueOrder]) -> Decimal:
    """Return the shares that open orders of one position hold together; never negative."""
    return _together([order for order in orders if order.is_closing and not order.is_dormant], VenueOrder.leaves)


def held_by(orders: Collection[VenueOrder]) -> tuple[Decimal, Decimal]:
    """Return the dollars and the shares that some open orders of one symbol hold together."""
    if len(orders) > 1:
        return reserved_dollars_of(orders), held_shares_of(orders)
    # Nearly every order stands alone.
    (order,) = orders
    if order.position_intent in CLOSING:
        return ZERO, ZERO if order.is_dormant else order.leaves()
    return reserved_dollars(order), ZERO


def inferred_intent(side: Side, position: Position | None) -> PositionIntent:
    """Return what an order does to a position."""
    if side == "buy":
        return "buy_to_open" if position is None or position.quantity > ZERO else "buy_to_close"
    return "sell_to_open" if position is None or position.quantity < ZERO else "sell_to_close"


def reference_price(order: VenueOrder, book: Book, phase: Phase) -> Decimal | None:
    """Return the price per share at which an order is expected to trade, before it does (section 9.2); ``None`` when nobody knows.

    Orders with a price: that price. Others: the far side of the NBBO in the regular session, the middle in extended hours,
    the last trade while the market is closed.
    """
    if order.limit_price is not None:
        return order.limit_price
    if order.stop_price is not None:
        return working_limit(order) or order.stop_price
    if phase is REGULAR:
        far = book.far(order.side)
        return book.last if far is None else far.price
    first, second = (book.last, book.mid()) if phase is CLOSED else (book.mid(), book.last)
    return second if first is None else first


def short_hold_price(limit: Decimal | None, price: Decimal, book: Book) -> Decimal:
    """Return the dollars per share that a short sale reserves: the larger of its limit and three percent above the ask."""
    ask = book.far("buy")
    room = (price if ask is None else ask.price) * _SHORT_ROOM
    return room if limit is None else max(price, room)


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
