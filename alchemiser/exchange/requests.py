"""What clients ask of the trading API, read from JSON bodies and query strings into values (sections 3.2, 3.3, 3.8 and 8.6).

Shape and fields are checked here, with the venue's words; whether the account may do it is the matter of ``rules``. Numbers are taken as
numbers or as strings; a float counts as the decimal number it prints as. Unknown members are ignored, as the venue does.
"""

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Final, Literal
from uuid import UUID

import msgspec

from alchemiser.domain.money import CENT, ONE, SHARE_QUANTUM, truncate_shares
from alchemiser.exchange.errors import bad_request, invalid, unprocessable
from alchemiser.exchange.orders import OrderType, PositionIntent, Side, TimeInForce

MAX_CLIENT_ORDER_ID_CHARACTERS: Final = 128
LARGEST_NUMBER: Final = Decimal(1_000_000_000)
"""No quantity, price or amount may be larger: products of any two stay exact in the decimal context."""
SMALLEST_NUMBER: Final = SHARE_QUANTUM
_SMALLEST_TRAIL_PERCENT: Final = Decimal("0.1")
_ALL_PERCENT: Final = Decimal(100)
_NUMBER: Final = re.compile(r"[+-]?(\d{1,40}(\.\d{0,40})?|\.\d{1,40})([eE][+-]?\d{1,3})?", re.ASCII)


class OrderRequest(msgspec.Struct, frozen=True, kw_only=True):
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
    fields = _mapping(body)
    symbol = fields.get("symbol")
    if not isinstance(symbol, str) or not symbol:
        raise invalid("symbol is required")
    _refuse_complex(fields)
    request = OrderRequest(
        symbol=symbol,
        side=_choice(fields, "side", Side),
        type=_choice(fields, "type", OrderType),
        time_in_force=_choice(fields, "time_in_force", TimeInForce),
        qty=_shares(fields),
        notional=_positive(fields, "notional"),
        limit_price=_positive(fields, "limit_price"),
        stop_price=_positive(fields, "stop_price"),
        trail_price=_positive(fields, "trail_price"),
        trail_percent=_positive(fields, "trail_percent"),
        extended_hours=_flag(fields, "extended_hours"),
        client_order_id=_client_order_id(fields),
        position_intent=_choice(fields, "position_intent", PositionIntent) if fields.get("position_intent") else None,
    )
    _check_amount(request)
    _check_prices(request)
    return request


def parse_replace(body: object) -> ReplaceRequest:
    """Read the body of ``PATCH /v2/orders/{id}``. Raises ``ApiError`` for a malformed field."""
    fields = _mapping(body)
    if fields.get("notional") is not None:
        raise unprocessable("notional orders cannot be replaced")
    quantity = _positive(fields, "qty")
    if quantity is not None and quantity != quantity.to_integral_value():
        raise invalid("qty must be an integer")
    return ReplaceRequest(
        qty=quantity,
        time_in_force=_choice(fields, "time_in_force", TimeInForce) if fields.get("time_in_force") else None,
        limit_price=_positive(fields, "limit_price"),
        stop_price=_positive(fields, "stop_price"),
        trail=_positive(fields, "trail"),
        client_order_id=_client_order_id(fields),
    )


def parse_order_filter(query: Mapping[str, str]) -> OrderFilter:
    """Read the query of ``GET /v2/orders``. Raises ``ApiError`` for a value that cannot be read."""
    cursors = [name for name in ("before_order_id", "after_order_id") if query.get(name)]
    if len(cursors) > 1:
        raise invalid("only one of before_order_id and after_order_id is accepted")
    if cursors and (query.get("after") or query.get("until")):
        raise invalid(f"{cursors[0]} cannot be used with after or until")
    return OrderFilter(
        status=_choice(query, "status", ListStatus, "open"),
        limit=_count(query, "limit", default=50, most=500),
        after=_time(query, "after"),
        until=_time(query, "until"),
        direction=_choice(query, "direction", Direction, "desc"),
        nested=_flag(query, "nested"),
        symbols=_names(query, "symbols"),
        side=_choice(query, "side", Side) if query.get("side") else None,
        asset_classes=_names(query, "asset_class"),
        before_order_id=_optional_id(query, "before_order_id"),
        after_order_id=_optional_id(query, "after_order_id"),
    )


def parse_activity_filter(query: Mapping[str, str], kind: str | None = None) -> ActivityFilter:
    """Read the query of ``GET /v2/account/activities``, or of its one-type form. Raises ``ApiError`` for what cannot be read."""
    types = (kind,) if kind else _names(query, "activity_types")
    if types and query.get("category"):
        raise invalid("only one of activity_types and category is accepted")
    on = _time(query, "date")
    return ActivityFilter(
        types=types,
        category=_choice(query, "category", ActivityCategory) if query.get("category") else None,
        order_id=_optional_id(query, "order_id"),
        on=None if on is None else on.date(),
        after=_time(query, "after"),
        until=_time(query, "until"),
        direction=_choice(query, "direction", Direction, "desc"),
        page_size=_count(query, "page_size", default=100, most=100),
        page_token=query.get("page_token") or None,
    )


def parse_close(query: Mapping[str, str]) -> tuple[Decimal | None, Decimal | None]:
    """Read (qty, percentage) from the query of ``DELETE /v2/positions/{symbol}``. Raises ``ApiError`` when both are given."""
    quantity, percentage = _shares(query), _positive(query, "percentage")
    if quantity is not None and percentage is not None:
        raise invalid("only one of qty or percentage is accepted")
    if percentage is not None and percentage > _ALL_PERCENT:
        raise invalid("percentage must be between 0 and 100")
    return quantity, None if percentage is None else truncate_shares(percentage)


def parse_flag(query: Mapping[str, Any], name: str) -> bool:
    """Read a boolean in any of the spellings that clients use; absent is false. Raises ``ApiError`` for anything else."""
    return _flag(query, name)


def parse_order_id(text: str) -> str:
    """Return an order id in its dashed form. Raises the 422 that the venue gives for what is no UUID."""
    try:
        return str(UUID(text))
    except ValueError:
        raise invalid("order_id is missing") from None


def _mapping(body: object) -> Mapping[str, Any]:
    if not isinstance(body, Mapping):
        raise bad_request("request body format is invalid")
    return body


def _number(fields: Mapping[str, Any], name: str) -> Decimal | None:
    value = fields.get(name)
    if value is None or value == "":
        return None
    readable = isinstance(value, int | float | str | Decimal) and not isinstance(value, bool)
    # A float means the number it prints as; what prints as nan or inf does not match.
    text = repr(value) if isinstance(value, float) else str(value)[:100] if readable else ""
    if not _NUMBER.fullmatch(text):
        raise invalid(f"{name.replace('_', ' ')} is not a number")
    return Decimal(text)


def _positive(fields: Mapping[str, Any], name: str) -> Decimal | None:
    number = _number(fields, name)
    words = name.replace("_", " ")
    if number is not None and number < SMALLEST_NUMBER:
        raise invalid(f"{words} must be > 0")
    if number is not None and number > LARGEST_NUMBER:
        raise invalid(f"{words} must be <= {LARGEST_NUMBER}")
    return number


def _shares(fields: Mapping[str, Any]) -> Decimal | None:
    # The venue cuts what is finer than nine decimals without a word.
    quantity = _positive(fields, "qty")
    return None if quantity is None else truncate_shares(quantity)


def _choice(fields: Mapping[str, Any], name: str, allowed: object, default: str | None = None) -> Any:
    value = fields.get(name)
    if value is None or value == "":
        value = default
    if value is None:
        raise invalid(f"{name} is required")
    try:
        return msgspec.convert(value, type=allowed)
    except msgspec.ValidationError:
        raise invalid(f"invalid {name}: {str(value)[:40]}") from None


def _flag(fields: Mapping[str, Any], name: str) -> bool:
    value = fields.get(name)
    if value is None or value == "":
        return False
    text = str(value).lower()
    if text not in ("true", "false", "1", "0"):
        raise invalid(f"invalid {name}: {text[:40]}")
    return text in ("true", "1")


def _count(query: Mapping[str, str], name: str, *, default: int, most: int) -> int:
    text = query.get(name)
    if not text:
        return default
    if not text.isascii() or not text.isdigit() or len(text) > 9 or not 1 <= int(text) <= most:
        raise invalid(f"{name} must be between 1 and {most}")
    return int(text)


def _names(query: Mapping[str, str], name: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in query.get(name, "").split(",") if part.strip())


def _time(query: Mapping[str, str], name: str) -> datetime | None:
    text = query.get(name)
    if not text:
        return None
    try:
        # An unescaped plus sign of the offset arrives as a space.
        at = datetime.fromisoformat(text.replace(" ", "+") if "T" in text else text)
    except ValueError:
        raise invalid(f"invalid {name}: {text[:40]}") from None
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def _optional_id(query: Mapping[str, str], name: str) -> str | None:
    text = query.get(name)
    return parse_order_id(text) if text else None


def _client_order_id(fields: Mapping[str, Any]) -> str | None:
    value = fields.get("client_order_id")
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise invalid("client_order_id must be a string")
    if len(value) > MAX_CLIENT_ORDER_ID_CHARACTERS:
        raise invalid("client_order_id must be no more than 128 characters")
    return value


def _refuse_complex(fields: Mapping[str, Any]) -> None:
    order_class = fields.get("order_class")
    if order_class not in (None, "", "simple"):
        if order_class in ("bracket", "oco", "oto", "mleg"):
            raise unprocessable(f"{order_class} orders are not allowed for this account")
        raise invalid(f"invalid order_class: {str(order_class)[:40]}")
    if fields.get("take_profit") is not None or fields.get("stop_loss") is not None:
        # Taking the entry and dropping its protection would be the worst reading.
        raise unprocessable("take_profit and stop_loss require order_class bracket, oco or oto")


def _check_amount(request: OrderRequest) -> None:
    if request.qty is not None and request.notional is not None:
        raise invalid("only one of qty or notional is accepted")
    if request.qty is None and request.notional is None:
        raise invalid("qty or notional is required")
    if request.notional is None:
        return
    if request.notional < ONE:
        raise unprocessable("notional amount must be >= 1.00")
    if request.notional != request.notional.quantize(CENT):
        raise unprocessable("notional value must be limited to 2 decimal places")


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
