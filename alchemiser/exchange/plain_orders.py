"""Plain orders, read in one go: the bodies of ``POST /v2/orders`` that clients send nearly always.

Plain is a simple market or limit order whose numbers are strings of digits and in which nothing is wrong or unknown. Of everything else
:func:`read_order` takes the long way, :func:`~alchemiser.exchange.requests.parse_order`, which also finds the words for what is wrong;
for a plain order both give the same.
"""

import re
from decimal import Decimal
from functools import lru_cache
from typing import Annotated, Final, Literal

import msgspec

from alchemiser.domain.money import truncate_shares
from alchemiser.exchange.fields import MAX_CLIENT_ORDER_ID_CHARACTERS
from alchemiser.exchange.http_forms import json_of
from alchemiser.exchange.orders import Side, TimeInForce
from alchemiser.exchange.requests import OrderRequest, parse_order

_DIGITS: Final = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")
"""Less than the largest number that is accepted, and not finer than a share can be cut."""


class _PlainOrder(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    symbol: Annotated[str, msgspec.Meta(min_length=1)]
    qty: str
    side: Side
    type: Literal["market", "limit"]
    time_in_force: TimeInForce
    limit_price: str | None = None
    client_order_id: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_CLIENT_ORDER_ID_CHARACTERS)] | None = None
    extended_hours: bool = False


_DECODER: Final = msgspec.json.Decoder(_PlainOrder)


def read_order(data: bytes) -> OrderRequest:
    """Return the order that a body asks for. Raises ``ApiError`` with the venue's words for what is wrong."""
    try:
        plain = _DECODER.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return parse_order(json_of(data))
    quantity = _shares(plain.qty)
    limit = None if plain.limit_price is None else _price(plain.limit_price)
    has_prices = bool(limit) if plain.type == "limit" else plain.limit_price is None
    if not quantity or not has_prices:
        return parse_order(json_of(data))
    return OrderRequest(
        symbol=plain.symbol,
        side=plain.side,
        type=plain.type,
        time_in_force=plain.time_in_force,
        qty=quantity,
        limit_price=limit,
        extended_hours=plain.extended_hours,
        client_order_id=plain.client_order_id,
    )


@lru_cache(maxsize=1_024)
def _price(text: str) -> Decimal | None:
    """Return a plain number, ``None`` for any other text; clients send the same few again and again."""
    return Decimal(text) if _DIGITS.fullmatch(text) else None


@lru_cache(maxsize=1_024)
def _shares(text: str) -> Decimal | None:
    return truncate_shares(Decimal(text)) if _DIGITS.fullmatch(text) else None
