"""The legs of bracket, oco and oto orders: what their prices must be and what orders they become (section 3.9). Pure.

An entry (bracket, oto) has its exits as legs; of an oco order the take-profit is the order itself and the stop-loss its leg.
"""

from collections.abc import Callable
from decimal import Decimal
from typing import Final

import msgspec

from alchemiser.domain.money import CENT, number_string
from alchemiser.exchange.errors import ApiError, unprocessable
from alchemiser.exchange.orders import OrderStatus, OrderType, PositionIntent, Side, VenueOrder
from alchemiser.exchange.requests import Exits, OrderRequest
from alchemiser.exchange.rules import check_tick

_EXIT_SIDE: Final[dict[Side, Side]] = {"buy": "sell", "sell": "buy"}


def check_group(request: OrderRequest, exits: Exits, intent: PositionIntent, market: Decimal | None) -> None:
    """Refuse a complex order that does not fit the position, or whose exits are on the wrong side of their base price.

    The base price of an exit is the limit of the entry (of an oco order its take-profit), else the market; a stop must be on the losing
    side of the market in every case. ``market`` is ``None`` while nobody knows it.
    """
    name = request.order_class
    is_exit = intent in ("sell_to_close", "buy_to_close")
    if is_exit != (name == "oco"):
        raise unprocessable(f"{name} orders must be {'exit' if name == 'oco' else 'entry'} orders")
    check_tick("take_profit.limit_price", exits.take_profit)
    check_tick("stop_loss.stop_price", exits.stop_price)
    check_tick("stop_loss.limit_price", exits.stop_limit_price)
    sign = 1 if (request.side == "buy") != is_exit else -1
    check_exit_prices(exits, base=request.limit_price if request.type == "limit" else market, market=market, sign=sign, is_oco=is_exit)


def check_exit_prices(exits: Exits, *, base: Decimal | None, market: Decimal | None, sign: int, is_oco: bool = False) -> None:
    """Refuse exits on the wrong side; ``sign`` is plus one when the position they leave is long."""
    profit, stop = exits.take_profit, exits.stop_price
    if profit is not None and base is not None and not is_oco and (profit - base) * sign < CENT:
        raise _wrong_side("take_profit.limit_price", base, sign)
    for bound in (base, market, profit):
        if stop is not None and bound is not None and (bound - stop) * sign < CENT:
            raise _wrong_side("stop_loss.stop_price", bound, -sign)


def check_exits(group: list[VenueOrder], market: Decimal | None) -> None:
    """Refuse a group in which an exit has come to the wrong side; the entry is in it while it is open."""
    entry = next((order for order in group if not order.is_closing), None)
    exits = _exits_of(group)
    side = next((order.side for order in group if order.is_closing), "sell")
    base = exits.take_profit if entry is None else entry.limit_price
    check_exit_prices(exits, base=base, market=market, sign=1 if side == "sell" else -1, is_oco=entry is None)


def with_legs(order: VenueOrder, exits: Exits, fresh: Callable[[], str]) -> None:
    """Give a complex order its legs, take-profit first; ``fresh`` makes ids."""
    is_oco = order.order_class == "oco"
    if exits.take_profit is not None and not is_oco:
        order.legs += (_leg(order, fresh, "limit", limit=exits.take_profit, stop=None),)
    if exits.stop_price is not None:
        kind: OrderType = "stop" if exits.stop_limit_price is None else "stop_limit"
        order.legs += (_leg(order, fresh, kind, limit=exits.stop_limit_price, stop=exits.stop_price),)
    for leg in order.legs:
        leg.is_dormant = not is_oco


def _exits_of(group: list[VenueOrder]) -> Exits:
    profit = next((order.limit_price for order in group if order.type == "limit" and order.is_closing), None)
    stop = next((order for order in group if order.type in ("stop", "stop_limit")), None)
    if stop is None:
        return Exits(take_profit=profit)
    return Exits(take_profit=profit, stop_price=stop.stop_price, stop_limit_price=stop.limit_price)


def _wrong_side(name: str, base: Decimal, sign: int) -> ApiError:
    bound = ">= base_price + 0.01" if sign > 0 else "<= base_price - 0.01"
    error = unprocessable(f"{name} must be {bound}")
    error.extra["base_price"] = number_string(base)
    return error


def _leg(parent: VenueOrder, fresh: Callable[[], str], kind: OrderType, *, limit: Decimal | None, stop: Decimal | None) -> VenueOrder:
    is_oco = parent.order_class == "oco"
    intent: PositionIntent = "sell_to_close" if parent.side == "buy" else "buy_to_close"
    return msgspec.structs.replace(
        parent,
        id=fresh(),
        client_order_id=fresh(),
        side=parent.side if is_oco else _EXIT_SIDE[parent.side],
        position_intent=parent.position_intent if is_oco else intent,
        type=kind,
        limit_price=limit,
        stop_price=stop,
        status=OrderStatus.HELD,
        parent_id=parent.id,
        legs=(),
    )
