"""Plain orders, read in one go: the bodies of ``POST /v2/orders`` that clients send nearly always.

Plain is a simple market or limit order whose numbers are strings of digits and in which nothing is wrong or unknown. Of everything else
:func:`read_order` takes the long way, :func:`~alchemiser.exchange.requests.parse_order`, which also finds the words for what is wrong;
for a plain order both give the same.
"""

from decimal import Decimal
from typing import Annotated, Final, Literal

import msgspec

from alchemiser.domain.money import truncate_shares
from alchemiser.exchange.fields import MAX_CLIENT_ORDER_ID_CHARACTERS
from alchemiser.exchange.http_forms import json_of
from alchemiser.exchange.orders import Side, TimeInForce
from alchemiser.exchange.requests import OrderRequest, parse_order

_Digits = Annotated[str, msgspec.Meta(pattern=r"^[0-9]{1,9}(\.[0-9]{1,9})?\Z")]
"""Less than the largest number that is accepted, and not finer than a share can be cut."""


class _PlainOrder(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    symbol: Annotated[str, msgspec.Meta(min_length=1)]
    qty: _Digits
    side: Side
    type: Literal["market", "limit"]
    time_in_force: TimeInForce
    limit_price: _Digits | None = None
    client_order_id: Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_CLIENT_ORDER_ID_CHARACTERS)] | None = None
    extended_hours: bool = False


_DECODER: Final = msgspec.json.Decoder(_PlainOrder)


def read_order(data: bytes) -> OrderRequest:
    """Return the order that a body asks for. Raises ``ApiError`` with the venue's words for what is wrong."""
    try:
        plain = _DECODER.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return parse_order(json_of(data))
    quantity, limit = Decimal(plain.qty), None if plain.limit_price is None else Decimal(plain.limit_price)
    if not quantity or (limit is None) != (plain.type == "market") or limit == 0:
        return parse_order(json_of(data))
    return OrderRequest(
        symbol=plain.symbol,
        side=plain.side,
        type=plain.type,
        time_in_force=plain.time_in_force,
        qty=truncate_shares(quantity),
        limit_price=limit,
        extended_hours=plain.extended_hours,
        client_order_id=plain.client_order_id,
    )
