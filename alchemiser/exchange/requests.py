"""What clients ask of the trading API, read from JSON bodies and query strings into values (sections 3.2, 3.3, 3.8 and 8.6).

Shape and fields are checked here, with the venue's words; whether the account may do it is the matter of ``rules``. Numbers are taken as
numbers or as strings; a float counts as the decimal number it prints as. Unknown members are ignored, as the venue does.
"""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final, Literal, TypeVar, cast
from uuid import UUID

import msgspec

from alchemiser.domain.money import CENT, ZERO, truncate_shares
from alchemiser.exchange.errors import ApiError, bad_request, invalid, unprocessable
from alchemiser.exchange.orders import OrderType, PositionIntent, Side, TimeInForce

MAX_CLIENT_ORDER_ID_CHARACTERS: Final = 128
_LARGEST: Final = Decimal(1_000_000_000)
_SMALLEST_TRAIL_PERCENT: Final = Decimal("0.1")

T = TypeVar("T")


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


class OrderFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which orders a list is to hold; all bounds are exclusive."""

    status: Literal["open", "closed", "all"] = "open"
    limit: int = 50
    after: datetime | None = None
    until: datetime | None = None
    direction: Literal["asc", "desc"] = "desc"
    nested: bool = False
    symbols: tuple[str, ...] = ()
    side: Side | None = None
    asset_classes: tuple[str, ...] = ()
    before_order_id: str | None = None
    after_order_id: str | None = None


class ActivityFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which account activities a page is to hold; ``page_token`` is the id of the last row received."""

    types: tuple[str, ...] = ()
    category: Literal["trade_activity", "non_trade_activity"] | None = None
    order_id: str | None = None
    on: date | None = None
    after: datetime | None = None
    until: datetime | None = None
    direction: Literal["asc", "desc"] = "desc"
    page_size: int = 100
    page_token: str | None = None


def parse_order(body: object) -> OrderRequest:
    """Read the body of ``POST /v2/orders``. Raises ``ApiError`` with the venue's words for what is wrong."""
    raise NotImplementedError


def parse_replace(body: object) -> ReplaceRequest:
    """Read the body of ``PATCH /v2/orders/{id}``."""
    raise NotImplementedError


def parse_order_filter(query: Mapping[str, str]) -> OrderFilter:
    """Read the query of ``GET /v2/orders``."""
    raise NotImplementedError


def parse_activity_filter(query: Mapping[str, str], kind: str | None = None) -> ActivityFilter:
    """Read the query of ``GET /v2/account/activities``, or of its one-type form."""
    raise NotImplementedError


def parse_close(query: Mapping[str, str]) -> tuple[Decimal | None, Decimal | None]:
    """Read (qty, percentage) from the query of ``DELETE /v2/positions/{symbol}``."""
    raise NotImplementedError
