"""Our wire types against the official contract: the models and enums of alpaca-py.

Every field that we read exists there under that name with a type we can read; what may be null there may be null here, or is named below
with the reason; every word that we send or act upon is one of theirs.
"""

import types
import typing
import warnings
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any, Final
from uuid import UUID

import msgspec
import pytest
from pydantic import BaseModel

from alchemiser.alpaca import market_wire, wire
from alchemiser.alpaca.market_stream import CHANNELS
from alchemiser.domain.orders import NewOrder, OrderType, Side, TimeInForce
from tests.unit.alpaca.fakes import START, order_json, update_json

with warnings.catch_warnings():
    # Importing any part of alpaca-py imports its streams, which stand on the legacy client of websockets.
    warnings.filterwarnings("ignore", message=r"websockets\.legacy is deprecated", category=DeprecationWarning)
    from alpaca.data import mappings
    from alpaca.data import models as data_models
    from alpaca.data.live import websocket
    from alpaca.trading import enums, models
    from alpaca.trading.requests import LimitOrderRequest

NULL_THERE_NEEDED_HERE: Final = {
    "WireAccount": {"cash", "equity", "buying_power"},  # a daemon that does not know its cash may not start
}

COMPATIBLE: Final[dict[type, set[Any]]] = {
    str: {str, UUID, Enum},
    Decimal: {str, float},
    float: {float, int},
    datetime: {datetime},
    date: {date},
    bool: {bool},
    int: {int},
}

TRADING: Final[list[tuple[type[msgspec.Struct], type[BaseModel], set[str]]]] = [
    # ours, theirs, members of the protocol reference that the model does not have
    (wire.WireOrder, models.Order, set()),
    (wire.WireUpdate, models.TradeUpdate, {"event_id", "at", "previous_execution_id"}),
    (wire.WireAccount, models.TradeAccount, set()),
    (wire.WirePosition, models.Position, set()),
    (wire.WireAsset, models.Asset, set()),
    (wire.WireActivity, models.TradeActivity, {"previous_id"}),
    (wire.WireClock, models.Clock, set()),
]

DATA: Final[list[tuple[type[msgspec.Struct], dict[str, str], type[BaseModel], set[str]]]] = [
    (market_wire.WireQuote, mappings.QUOTE_MAPPING, data_models.Quote, {"S"}),
    (market_wire.WireTrade, mappings.TRADE_MAPPING, data_models.Trade, {"S"}),
    (market_wire.WireMinuteBar, mappings.BAR_MAPPING, data_models.Bar, {"S"}),
    (market_wire.WireStatus, mappings.TRADING_STATUS_MAPPING, data_models.TradingStatus, {"S"}),
    (market_wire.RestBar, mappings.BAR_MAPPING, data_models.Bar, set()),
    (market_wire.RestQuote, mappings.QUOTE_MAPPING, data_models.Quote, set()),
    (market_wire.RestTrade, mappings.TRADE_MAPPING, data_models.Trade, set()),
    (market_wire.RestSnapshot, mappings.SNAPSHOT_MAPPING, data_models.Snapshot, set()),
]


def kinds(annotation: Any) -> set[Any]:
    """Return the plain types of an annotation; an enum is ``Enum``, another model or struct is ``object``."""
    origin = typing.get_origin(annotation)
    if origin in (typing.Union, types.UnionType):
        return set().union(*(kinds(part) for part in typing.get_args(annotation)))
    if origin is typing.Annotated:
        return kinds(typing.get_args(annotation)[0])
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return {Enum}
    if isinstance(annotation, type) and issubclass(annotation, BaseModel | msgspec.Struct):
        return {object}
    return {annotation}


def check_field(ours: type[msgspec.Struct], field: msgspec.structs.FieldInfo, theirs: Any) -> None:
    mine, their = kinds(field.type), kinds(theirs)
    if type(None) in their and field.encode_name not in NULL_THERE_NEEDED_HERE.get(ours.__name__, set()):
        assert type(None) in mine, f"{ours.__name__}.{field.encode_name} may be null"
    for kind in mine - {type(None), object}:
        assert COMPATIBLE[kind] & their or object in their or kind is int, f"{ours.__name__}.{field.encode_name}: {mine} against {their}"


@pytest.mark.parametrize(("ours", "theirs", "newer"), TRADING, ids=[row[0].__name__ for row in TRADING])
def test_trading_types(ours: type[msgspec.Struct], theirs: type[BaseModel], newer: set[str]) -> None:
    """Each field that we read is a field of the official model, of a type that we can read, and no stricter about null."""
    for field in msgspec.structs.fields(ours):
        if field.encode_name not in newer:
            check_field(ours, field, theirs.model_fields[field.encode_name].annotation)


@pytest.mark.parametrize(("ours", "mapping", "theirs", "more"), DATA, ids=[row[0].__name__ for row in DATA])
def test_data_types(ours: type[msgspec.Struct], mapping: dict[str, str], theirs: type[BaseModel], more: set[str]) -> None:
    """Each short name that we read is one of the official names, of a type that we can read."""
    for field in msgspec.structs.fields(ours):
        if field.encode_name not in more:
            check_field(ours, field, theirs.model_fields[mapping[field.encode_name]].annotation)


def test_calendar() -> None:
    """The days of the calendar have these names; its times are New York's clock times."""
    row = {"date": "2025-11-28", "open": "09:30", "close": "13:00"}
    theirs = models.Calendar(**row)
    mine = wire.session_of(msgspec.convert(row, wire.WireSession))
    assert theirs.date == mine.date
    assert theirs.close == mine.closes_at.astimezone(wire.NEW_YORK).replace(tzinfo=None)


def words(enum: type[Enum]) -> set[str]:
    return {member.value for member in enum}


def test_words_that_are_sent() -> None:
    """Sides, order types and times in force exist at the venue."""
    assert set(Side) <= words(enums.OrderSide)
    assert set(OrderType) <= words(enums.OrderType)
    assert set(TimeInForce) <= words(enums.TimeInForce)


def test_words_that_are_acted_upon() -> None:
    """Events, states and account states that mean something here are words of the venue.

    Busts and corrections are in the venue's documentation only; the official model takes any word for an event.
    """
    assert words(enums.TradeEvent) >= {"fill", "partial_fill"}
    assert words(enums.OrderStatus) >= {"filled", "canceled", "expired", "rejected", "replaced", "pending_cancel"}
    assert words(enums.AccountStatus) >= {"ACTIVE", "PAPER_ONLY", "ACCOUNT_UPDATED", "LIMITED"}


def test_stream_channels() -> None:
    """The channels that we subscribe to, and the tags that we know, are the official ones."""
    assert set(CHANNELS) <= set(websocket._CHANNEL_TYPES.values())
    assert {"q", "t", "b", "s", "c", "x", "error", "subscription"} <= words(websocket._MsgType)


@pytest.mark.parametrize("status", sorted(words(enums.OrderStatus)))
def test_every_status_is_read(status: str) -> None:
    """No status of the official enum is an error here."""
    order = msgspec.convert(order_json(status=status), wire.WireOrder, strict=False)
    assert wire.order_report(order, source="query", fallback_at=START).status == status


@pytest.mark.parametrize("event", sorted(words(enums.TradeEvent)))
def test_every_event_is_read(event: str) -> None:
    """No event of the official enum is an error here."""
    update = msgspec.convert(update_json(event=event)["data"], wire.WireUpdate, strict=False)
    assert wire.update_report(update, fallback_at=START).event == event


def test_the_same_update_means_the_same() -> None:
    """One frame, read by both: the same ids, quantities and times; ours are exact."""
    data = update_json()["data"]
    theirs = models.TradeUpdate(**data)
    mine = wire.update_report(msgspec.json.decode(msgspec.json.encode(data), type=wire.WireUpdate), fallback_at=START)
    assert str(theirs.execution_id) == mine.execution_id
    assert str(theirs.order.id) == mine.venue_order_id
    assert theirs.timestamp == mine.at
    assert (theirs.price, theirs.qty, theirs.position_qty) == (179.08, 100.0, 100.0)
    assert (mine.last_price, mine.last_quantity, mine.position_quantity) == (Decimal("179.08"), Decimal(100), Decimal(100))


def test_our_order_body_is_a_request_of_theirs() -> None:
    """What we send is what the official client would send, but for the type of its numbers."""
    order = NewOrder(
        client_order_id="e1-20250303.1-s1-1",
        symbol="SPY",
        side=Side.SELL,
        quantity=Decimal("1.5"),
        order_type=OrderType.LIMIT,
        time_in_force=TimeInForce.DAY,
        limit_price=Decimal("590.25"),
    )
    mine = wire.order_body(order)
    theirs = LimitOrderRequest(**mine).to_request_fields()
    assert theirs.keys() == mine.keys()
    assert {name: str(getattr(value, "value", value)) for name, value in theirs.items()} == mine
