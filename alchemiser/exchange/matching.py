"""Which execution an order gets next from a level of the book: pure decisions, one execution at a time.

Engine ``book``: a marketable order takes the displayed size at the NBBO; what is larger waits for the next quote (limit) or walks on,
each displayed size a step worse, up to the collar (market). An order that rested gets its own limit. Engine ``paper``: any size at the
NBBO, one look in ten for a random part only. Engine ``instant``: all of it at the NBBO. None ever trades at a price worse than the order's
limit.
"""

from collections.abc import Callable
from decimal import Decimal
from random import Random
from typing import Final

import msgspec

from alchemiser.domain.money import CENT, ONE, ZERO, from_float, round_price_down, tick_of, truncate_shares
from alchemiser.exchange.book import Band, Book, Level, is_within
from alchemiser.exchange.orders import VenueOrder
from alchemiser.exchange.settings import ExchangeSettings

_BUY_STOP_LOW_PRICE: Final = Decimal(50)
_BUY_STOP_ROOM_LOW: Final = Decimal("1.04")
_BUY_STOP_ROOM: Final = Decimal("1.025")


Free = Callable[[VenueOrder], Decimal | None]
"""How many shares may go to a notional order, ``None`` for as many as its dollars buy; of other orders it is never asked."""


class Execution(msgspec.Struct, frozen=True, gc=False):
    """One execution; ``completes`` says that the order wants no more after it."""

    quantity: Decimal
    price: Decimal
    completes: bool


def working_limit(order: VenueOrder) -> Decimal | None:
    """Return the price an order may not trade beyond, ``None`` for one that takes the market."""
    if order.type == "stop" and order.side == "buy" and order.stop_price is not None:
        # The venue turns buy stops into stop-limits: 4 % of room below 50 dollars, 2.5 % from there on.
        room = _BUY_STOP_ROOM_LOW if order.stop_price < _BUY_STOP_LOW_PRICE else _BUY_STOP_ROOM
        return round_price_down(order.stop_price * room)
    return order.limit_price


def is_triggered(order: VenueOrder) -> bool:
    """Whether an order is past its stop, or has none."""
    return order.is_elected or order.type in ("market", "limit")


def elects(order: VenueOrder, price: Decimal) -> bool:
    """Whether a trade at ``price`` sets off the order's stop."""
    return order.stop_price is not None and (price - order.stop_price) * order.sign >= 0


def trail(order: VenueOrder, price: Decimal) -> None:
    """Move the high-water mark and the stop of a trailing order after a trade at ``price``."""
    best = price if order.hwm is None else (min if order.side == "buy" else max)(order.hwm, price)
    order.hwm = best
    distance = order.trail_price if order.trail_percent is None else best * order.trail_percent / 100
    assert distance is not None, f"trailing order {order.id} has no trail"
    order.stop_price = max((best + order.sign * distance).quantize(CENT), CENT)


def is_behind(order: VenueOrder, price: Decimal) -> bool:
    """Whether a limit keeps an order from trading at ``price`` or at any better one; of stops nothing is said."""
    limit = order.limit_price
    if order.type != "limit" or limit is None:
        return False
    return limit < price if order.side == "buy" else limit > price


def is_marketable(order: VenueOrder, price: Decimal) -> bool:
    """Whether the order's limit, if it has one, allows a trade at ``price``."""
    limit = working_limit(order) if order.type == "stop" else order.limit_price
    return limit is None or (limit >= price if order.side == "buy" else limit <= price)


def wanted_quantity(order: VenueOrder, price: Decimal, free: Free) -> Decimal:
    """Return how many shares the order would take at ``price``."""
    if order.notional is None:
        return order.leaves()
    wanted, most = truncate_shares(order.leaves_notional / price), free(order)
    return wanted if most is None else min(wanted, most)


def whole_execution(order: VenueOrder, price: Decimal, free: Free) -> Execution | None:
    """Return the execution of all that an order wants at one price, as in an auction, if its limit allows."""
    if (order.limit_price is not None or order.type == "stop") and not is_marketable(order, price):  # Most are without a limit.
        return None
    if order.notional is None:
        quantity = order.leaves()
        return Execution(quantity, price, True) if quantity > ZERO else None
    return _execution(order, wanted_quantity(order, price, free), price, free)


def reopening_price(book: Book, cross: float | None) -> Decimal | None:
    """Return the one price at which the auction after a halt trades, ``None`` without a quote.

    It is what the tape says that the auction printed, where that lies within the reopening quote; else the middle of the quote, in whole
    ticks, and of a quote of one side that side.
    """
    bid, ask = book.far("sell"), book.far("buy")
    if bid is None or ask is None:
        level = bid or ask
        return None if level is None else level.price
    printed = None if cross is None else from_float(cross, decimals=book.price_decimals)
    if printed is not None and bid.price <= printed <= ask.price:
        return printed
    middle = (bid.price + ask.price) / 2
    return middle.quantize(tick_of(middle))


def next_execution(
    order: VenueOrder, level: Level, *, settings: ExchangeSettings, random: Random, free: Free, band: Band | None = None
) -> Execution | None:
    """Return the next execution of a triggered order at a live level and take it from the level; ``None`` when there is none now."""
    if band is not None and not is_within(band, level.price):
        return None
    if settings.engine == "instant":
        return whole_execution(order, level.price, free)
    if not is_marketable(order, level.price):
        return None
    if settings.engine == "paper":
        return _paper_execution(order, level, settings, random, free)
    limit = working_limit(order)
    if limit is None:
        return _walking_execution(order, level, settings, free, band)
    price = limit if order.is_resting else level.price
    if order.time_in_force == "fok" and order.leaves() > level.displayed_left:
        return None
    quantity = min(wanted_quantity(order, price, free), level.displayed_left)
    level.taken += quantity
    return _execution(order, quantity, price, free)


def trade_through_quantity(order: VenueOrder, price: Decimal, size: Decimal) -> Decimal:
    """Return how many shares of a resting order a trade of the tape at ``price`` reaches, after the queue ahead of it.

    A trade beyond the limit sweeps the queue; one at the limit serves first what was displayed there when the order joined.
    """
    limit = working_limit(order)
    if limit is None or not order.is_resting or (limit - price) * order.sign < 0:
        return ZERO
    if price != limit:
        return size
    if order.queue_ahead is None:
        return ZERO
    served = min(order.queue_ahead, size)
    order.queue_ahead -= served
    return size - served


def tape_execution(order: VenueOrder, size: Decimal, free: Free) -> Execution | None:
    """Return the execution of a resting order by a trade of the tape that reaches ``size`` shares of it."""
    limit = working_limit(order)
    assert limit is not None, f"order {order.id} rests without a limit"
    return _execution(order, min(wanted_quantity(order, limit, free), size), limit, free)


def join_queue(order: VenueOrder, near: Level | None) -> None:
    """Let an order rest: remember what is displayed ahead of it at its price, as soon as its price is the best on its side."""
    order.is_resting = True
    limit = working_limit(order)
    if limit is None or order.queue_ahead is not None:
        return
    if near is None or (limit - near.price) * order.sign > 0:
        order.queue_ahead = ZERO
    elif limit == near.price:
        order.queue_ahead = near.size


def _execution(order: VenueOrder, quantity: Decimal, price: Decimal, free: Free) -> Execution | None:
    if quantity <= 0:
        return None
    if order.notional is None:
        completes = quantity == order.leaves()
    else:
        left, most = order.leaves_notional - quantity * price, free(order)
        completes = truncate_shares(left / price) <= 0 or (most is not None and quantity >= most)
    return Execution(quantity, price, completes)


def _walking_execution(order: VenueOrder, level: Level, settings: ExchangeSettings, free: Free, band: Band | None) -> Execution | None:
    if order.collar_reference is None:
        order.collar_reference = level.price
    worst = order.collar_reference * (ONE + order.sign * settings.collar)
    if band is not None:
        worst = min(worst, band[1]) if order.sign > 0 else max(worst, band[0])
    if order.time_in_force == "fok":
        chunks = (worst - level.price) * order.sign // level.step(settings.impact_bps) + 1
        if order.leaves() > chunks * level.size - level.taken:
            return None
    price, room = level.beyond(order.sign, settings.impact_bps)
    if (worst - price) * order.sign < 0:
        return None
    quantity = min(wanted_quantity(order, price, free), room)
    level.taken += quantity
    return _execution(order, quantity, price, free)


def _paper_execution(order: VenueOrder, level: Level, settings: ExchangeSettings, random: Random, free: Free) -> Execution | None:
    wanted = wanted_quantity(order, level.price, free)
    if order.time_in_force != "fok" and wanted > 0 and random.random() < settings.partial_fill_probability:
        whole = wanted == wanted.to_integral_value()
        part = truncate_shares(wanted * Decimal(repr(random.random())), whole=whole)
        return _execution(order, part or wanted, level.price, free)
    return _execution(order, wanted, level.price, free)
