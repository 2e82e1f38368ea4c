"""What clients ask of the trading API, read from JSON bodies and query strings into values (sections 3.2, 3.3, 3.8, 3.9 and 8.6).

Shape and fields are checked here, with the venue's words; whether the account may do it is the matter of ``rules`` and ``admission``.
"""

from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final, Literal

import msgspec

from alchemiser.domain.money import ONE, ZERO, truncate_shares
from alchemiser.exchange.errors import forbidden, invalid, unprocessable
from alchemiser.exchange.fields import (
    LARGEST_NUMBER,
    read_choice,
    read_client_order_id,
    read_count,
    read_flag,
    read_id,
    read_names,
    read_number,
    read_object,
    read_positive,
    read_shares,
    read_time,
)
from alchemiser.exchange.orders import OrderClass, OrderType, PositionIntent, Side, TimeInForce

_SMALLEST_TRAIL_PERCENT: Final = Decimal("0.1")
_ALL_PERCENT: Final = Decimal(100)
_SMALLEST_NOTIONAL: Final = ONE


class Exits(msgspec.Struct, frozen=True, kw_only=True):
    """The legs a complex order asks for: a limit that takes the profit, a stop, or a stop with a limit, that ends the loss."""

    take_profit: Decimal | None = None
    stop_price: Decimal | None = None
    stop_limit_price: Decimal | None = None


class OrderRequest(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An order as a client asks for it; exactly one of ``qty`` and ``notional`` is set, prices as the type needs them."""

    symbol: str
    side: Side
    type: OrderType
    time_in_force: TimeInForce
    qty: Decimal | None = None
    notional: Decimal | None = None
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    trail_price: Decimal | None = None
    trail_percent: Decimal | None = None
    extended_hours: bool = False
    client_order_id: str | None = None
    position_intent: PositionIntent | None = None
    order_class: OrderClass = ""
    exits: Exits | None = None


class ReplaceRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A change of an order; what is ``None`` stays as it is."""

    qty: Decimal | None = None
    time_in_force: TimeInForce | None = None
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    trail: Decimal | None = None
    client_order_id: str | None = None


ListStatus = Literal["open", "closed", "all"]
Direction = Literal["asc", "desc"]
ActivityCategory = Literal["trade_activity", "non_trade_activity"]


class OrderFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which orders a list is to hold; all bounds are exclusive."""

    status: ListStatus = "open"
    limit: int = 50
    after: datetime | None = None
    until: datetime | None = None
    direction: Direction = "desc"
    nested: bool = False
    symbols: tuple[str, ...] = ()
    side: Side | None = None
    asset_classes: tuple[str, ...] = ()
    before_order_id: str | None = None
    after_order_id: str | None = None


class ActivityFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which account activities a page is to hold; ``page_token`` is the id of the last row received."""

    types: tuple[str, ...] = ()
    category: ActivityCategory | None = None
    order_id: str | None = None
    on: date | None = None
    after: datetime | None = None
    until: datetime | None = None
    direction: Direction = "desc"
    page_size: int = 100
    page_token: str | None = None


def parse_order(body: object) -> OrderRequest:
    """Read the body of ``POST /v2/orders``. Raises ``ApiError`` with the venue's words for what is wrong."""
    fields = read_object(body)
    order_class = _order_class(fields)
    symbol = fields.get("symbol")
    if not isinstance(symbol, str) or not symbol:
        raise invalid("symbol is required")
    exits = _exits(fields, order_class)
    limit_price = read_positive(fields, "limit_price")
    if order_class == "oco" and exits is not None:
        # The take-profit is the order itself; clients may name its price in either place.
        limit_price = exits.take_profit if exits.take_profit is not None else limit_price
        exits = msgspec.structs.replace(exits, take_profit=limit_price)
    request = OrderRequest(
        symbol=symbol,
        side=read_choice(fields, "side", Side),
        type=read_choice(fields, "type", OrderType),
        time_in_force=read_choice(fields, "time_in_force", TimeInForce),
        qty=read_shares(fields),
        notional=read_positive(fields, "notional"),
        limit_price=limit_price,
        stop_price=read_positive(fields, "stop_price"),
        trail_price=read_positive(fields, "trail_price"),
        trail_percent=read_positive(fields, "trail_percent"),
        extended_hours=read_flag(fields, "extended_hours"),
        client_order_id=read_client_order_id(fields),
        position_intent=read_choice(fields, "position_intent", PositionIntent) if fields.get("position_intent") not in (None, "") else None,
        order_class=order_class,
        exits=exits,
    )
    _check_exits(request)
    _check_amount(request)
    _check_prices(request)
    return request


def parse_replace(body: object) -> ReplaceRequest:
    """Read the body of ``PATCH /v2/orders/{id}``. Raises ``ApiError`` for a malformed field."""
    fields = read_object(body)
    if fields.get("notional") is not None:
        raise unprocessable("notional orders cannot be replaced")
    quantity = read_positive(fields, "qty")
    if quantity is not None and quantity != quantity.to_integral_value():
        raise invalid("qty must be an integer")
    return ReplaceRequest(
        qty=quantity,
        time_in_force=read_choice(fields, "time_in_force", TimeInForce) if fields.get("time_in_force") else None,
        limit_price=read_positive(fields, "limit_price"),
        stop_price=read_positive(fields, "stop_price"),
        trail=read_positive(fields, "trail"),
        client_order_id=read_client_order_id(fields),
    )


def parse_order_filter(query: Mapping[str, str]) -> OrderFilter:
    """Read the query of ``GET /v2/orders``. Raises ``ApiError`` for a value that cannot be read."""
    cursors = [name for name in ("before_order_id", "after_order_id") if query.get(name)]
    if len(cursors) > 1:
        raise invalid("only one of before_order_id and after_order_id is accepted")
    if cursors and (query.get("after") or query.get("until")):
        raise invalid(f"{cursors[0]} cannot be used with after or until")
    return OrderFilter(
        status=read_choice(query, "status", ListStatus, "open"),
        limit=read_count(query, "limit", default=50, most=500),
        after=read_time(query, "after"),
        until=read_time(query, "until"),
        direction=read_choice(query, "direction", Direction, "desc"),
        nested=read_flag(query, "nested"),
        symbols=read_names(query, "symbols"),
        side=read_choice(query, "side", Side) if query.get("side") else None,
        asset_classes=read_names(query, "asset_class"),
        before_order_id=read_id(query, "before_order_id"),
        after_order_id=read_id(query, "after_order_id"),
    )


def parse_activity_filter(query: Mapping[str, str], kind: str | None = None) -> ActivityFilter:
    """Read the query of ``GET /v2/account/activities``, or of its one-type form. Raises ``ApiError`` for what cannot be read."""
    types = (kind,) if kind else read_names(query, "activity_types")
    if types and query.get("category"):
        raise invalid("only one of activity_types and category is accepted")
    on = read_time(query, "date")
    return ActivityFilter(
        types=types,
        category=read_choice(query, "category", ActivityCategory) if query.get("category") else None,
        order_id=read_id(query, "order_id"),
        on=None if on is None else on.date(),
        after=read_time(query, "after"),
        until=read_time(query, "until"),
        direction=read_choice(query, "direction", Direction, "desc"),
        page_size=read_count(query, "page_size", default=100, most=100),
        page_token=query.get("page_token") or None,
    )


def parse_close(query: Mapping[str, str]) -> tuple[Decimal | None, Decimal | None]:
    """Read (qty, percentage) from the query of ``DELETE /v2/positions/{symbol}``. Raises ``ApiError`` when both are given."""
    quantity, percentage = read_shares(query), read_positive(query, "percentage")
    if quantity is not None and percentage is not None:
        raise invalid("only one of qty or percentage is accepted")
    if percentage is not None and percentage > _ALL_PERCENT:
        raise invalid("percentage must be between 0 and 100")
    return quantity, None if percentage is None else truncate_shares(percentage)


def _order_class(fields: Mapping[str, Any]) -> OrderClass:
    name = fields.get("order_class")
    if name == "mleg":
        raise forbidden("account not eligible to trade options")
    if name in (None, "", "simple"):
        return ""
    found: OrderClass = read_choice(fields, "order_class", OrderClass)
    return found


def _exits(fields: Mapping[str, Any], order_class: OrderClass) -> Exits | None:
    profit, loss = fields.get("take_profit"), fields.get("stop_loss")
    if not order_class:
        if profit is not None or loss is not None:
            # Taking the entry and dropping its protection would be the worst reading.
            raise unprocessable("take_profit and stop_loss require order_class bracket, oco or oto")
        return None
    return Exits(
        take_profit=_exit_price("take_profit", profit, "limit_price"),
        stop_price=_exit_price("stop_loss", loss, "stop_price"),
        stop_limit_price=_exit_price("stop_loss", loss, "limit_price"),
    )


def _exit_price(name: str, fields: object, member: str) -> Decimal | None:
    if fields is None:
        return None
    if not isinstance(fields, Mapping):
        raise invalid(f"{name} must be an object")
    price = read_number(fields, member)
    if price is not None and not ZERO < price <= LARGEST_NUMBER:
        raise invalid(f"{name}.{member} must be > 0")
    return price


def _check_exits(request: OrderRequest) -> None:
    exits, name = request.exits, request.order_class
    if exits is None:
        return
    if name == "oto":
        if (exits.take_profit is None) == (exits.stop_price is None):
            raise unprocessable("oto orders require either take_profit.limit_price or stop_loss.stop_price")
    elif exits.take_profit is None:
        raise unprocessable(f"{name} orders require take_profit.limit_price")
    if exits.stop_price is None and (name != "oto" or exits.stop_limit_price is not None):
        raise unprocessable(f"{name} orders require stop_loss.stop_price")
    if name == "oco" and request.type != "limit":
        raise unprocessable("oco orders must be limit orders")
    if request.type not in ("market", "limit"):
        raise unprocessable(f"{name} orders must be market or limit orders")
    if request.time_in_force not in ("day", "gtc"):
        raise unprocessable(f"{name} orders must be DAY or GTC orders")
    if request.extended_hours:
        raise unprocessable(f"{name} orders are not supported in extended hours")
    if request.qty is None or request.qty != request.qty.to_integral_value():
        raise unprocessable("fractional orders must be simple orders")


def _check_amount(request: OrderRequest) -> None:
    if request.qty is not None and request.notional is not None:
        raise invalid("only one of qty or notional is accepted")
    if request.qty is None and request.notional is None:
        raise invalid("qty or notional is required")
    if request.notional is None:
        return
    if request.notional < _SMALLEST_NOTIONAL:
        raise unprocessable("notional amount must be >= 1.00")


def _check_prices(request: OrderRequest) -> None:
    has_limit, has_stop = request.limit_price is not None, request.stop_price is not None
    trails = (request.trail_price is not None) + (request.trail_percent is not None)
    if trails and request.type != "trailing_stop":
        raise invalid("trail_price and trail_percent are only for trailing stop orders")
    match request.type:
        case "market" if has_limit or has_stop:
            raise invalid("market orders require no stop or limit price")
        case "limit" if not has_limit:
            raise invalid("limit orders require a limit price")
        case "limit" if has_stop:
            raise invalid("limit orders require no stop price")
        case "stop" if not has_stop:
            raise invalid("stop orders require a stop price")
        case "stop" if has_limit:
            raise invalid("stop orders require no limit price")
        case "stop_limit" if not (has_limit and has_stop):
            raise invalid("stop limit orders require both stop and limit price")
        case "trailing_stop" if trails != 1:
            raise invalid("trailing stop orders must specify one of trail_price or trail_percent")
        case "trailing_stop" if has_limit or has_stop:
            raise invalid("trailing stop orders require no stop or limit price")
        case _:
            pass
    if request.trail_percent is not None and request.trail_percent < _SMALLEST_TRAIL_PERCENT:
        raise invalid("trail percent must be >= 0.1")
