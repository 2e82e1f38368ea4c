"""The trading side of Alpaca's JSON: only the fields that are used, and what they mean in the domain.

Unknown fields and unknown words (an event, a status) are kept or ignored, never an error: a value that the venue adds one day must not
lose a fill. What is needed and missing, a number that is not finite, a time without its zone are ``msgspec.ValidationError``:
nothing is guessed.
"""

from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Final, get_args
from zoneinfo import ZoneInfo

import msgspec

from alchemiser.domain.account import Account, Asset, BrokerActivity, BrokerPosition
from alchemiser.domain.activities import AccountActivity
from alchemiser.domain.market import Session
from alchemiser.domain.money import ZERO, number_string
from alchemiser.domain.orders import CORRECTIONS, ExecutionReport, NewOrder, Side

NEW_YORK: Final = ZoneInfo("America/New_York")
"""Where the exchange's days and clock times are."""

Moment = Annotated[datetime, msgspec.Meta(tz=True)]
"""A time with its zone."""

_OPEN_ACCOUNTS: Final = frozenset({"ACTIVE", "PAPER_ONLY", "ACCOUNT_UPDATED", "LIMITED"})
_BLOCKING_FLAGS: Final = ("account_blocked", "trading_blocked", "trade_suspended_by_user")
_EXECUTION_EVENTS: Final = frozenset({"fill", "partial_fill", "trade_bust", "trade_correct"})


class Exact(msgspec.Struct, frozen=True):
    """A record whose numbers are exact and finite."""

    _numbers: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls) -> None:
        # Known once: an order object has many fields and four numbers, and is read while an order waits.
        cls._numbers = tuple(name for name, kind in cls.__annotations__.items() if kind is Decimal or Decimal in get_args(kind))

    def __post_init__(self) -> None:
        for name in self._numbers:
            value = getattr(self, name)
            if value is not None and not value.is_finite():
                raise ValueError(f"{name} is {value}, expected a finite number")


class WireOrder(Exact, frozen=True):
    """An order object, of REST or inside a stream's update."""

    id: str
    status: str
    client_order_id: str = ""
    symbol: str | None = None
    side: str | None = None
    qty: Decimal | None = None
    filled_qty: Decimal | None = None
    filled_avg_price: Decimal | None = None
    limit_price: Decimal | None = None
    created_at: Moment | None = None
    submitted_at: Moment | None = None
    updated_at: Moment | None = None
    replaced_by: str | None = None
    replaces: str | None = None


class WireUpdate(Exact, frozen=True):
    """The ``data`` of one message of the ``trade_updates`` stream."""

    event: str
    order: WireOrder
    event_id: str | int | None = None
    execution_id: str | None = None
    previous_execution_id: str | None = None
    timestamp: Moment | None = None
    at: Moment | None = None
    price: Decimal | None = None
    qty: Decimal | None = None
    position_qty: Decimal | None = None


class WireAccount(Exact, frozen=True):
    """The account object."""

    account_number: str
    status: str
    cash: Decimal
    equity: Decimal
    buying_power: Decimal
    multiplier: Decimal | None = None
    account_blocked: bool | None = None
    trading_blocked: bool | None = None
    trade_suspended_by_user: bool | None = None


class WirePosition(Exact, frozen=True):
    """A position object; shorts have a negative quantity."""

    symbol: str
    qty: Decimal
    avg_entry_price: Decimal
    qty_available: Decimal | None = None
    current_price: Decimal | None = None


class WireAsset(msgspec.Struct, frozen=True, gc=False):
    """An asset object. There are more than ten thousand, so it is kept lean."""

    symbol: str
    tradable: bool
    fractionable: bool = False
    shortable: bool = False


class WireActivity(Exact, frozen=True):
    """An account activity that is a fill, or takes one back."""

    id: str
    order_id: str
    symbol: str
    side: str
    qty: Decimal
    price: Decimal
    cum_qty: Decimal
    transaction_time: Moment
    type: str = "fill"
    previous_id: str | None = None


class WireNonTrade(Exact, frozen=True):
    """An account activity that is no fill. Only its id and its type are always there."""

    id: str
    activity_type: str
    on: date | None = msgspec.field(default=None, name="date")
    created_at: Moment | None = None
    net_amount: Decimal | None = None
    symbol: str | None = None
    qty: Decimal | None = None
    price: Decimal | None = None
    per_share_amount: Decimal | None = None
    description: str | None = None
    activity_sub_type: str | None = None
    status: str | None = None
    group_id: str | None = None
    previous_id: str | None = None


class WireSession(msgspec.Struct, frozen=True):
    """A day of the calendar; its times are New York's."""

    date: date
    open: str
    close: str


class WireClock(msgspec.Struct, frozen=True):
    """The venue's clock."""

    timestamp: Moment


def side_of(word: str | None) -> Side:
    """Return the side a word of the venue stands for; old rows say ``sell_short``. Raises ``ValueError`` for any other word."""
    if word == "buy":
        return Side.BUY
    if word in ("sell", "sell_short"):
        return Side.SELL
    raise msgspec.ValidationError(f"side is {word!r}, expected buy or sell")


def order_report(order: WireOrder, *, source: str, fallback_at: datetime) -> ExecutionReport:
    """Return what an order object says: state and totals, and no single execution.

    Raises ``msgspec.ValidationError`` for an order that is not a plain buy or sell of one symbol.
    """
    return ExecutionReport(
        event="query",
        source=source,
        at=order.updated_at or order.submitted_at or order.created_at or fallback_at,
        **_identity(order),
    )


def update_report(update: WireUpdate, *, fallback_at: datetime) -> ExecutionReport:
    """Return what one message of the order stream says. Raises ``msgspec.ValidationError`` as :func:`order_report` does.

    Other events carry an execution id too; it is kept only where price and quantity say that shares changed hands.
    """
    is_execution = update.event in _EXECUTION_EVENTS and update.price is not None and update.qty is not None
    order = update.order
    return ExecutionReport(
        event=update.event,
        at=update.timestamp or update.at or order.updated_at or fallback_at,
        event_id=None if update.event_id is None else str(update.event_id),
        execution_id=update.execution_id if is_execution else None,
        last_quantity=update.qty if is_execution else None,
        last_price=update.price if is_execution else None,
        position_quantity=update.position_qty,
        previous_execution_id=update.previous_execution_id,
        **_identity(order),
    )


def _identity(order: WireOrder) -> dict[str, Any]:
    if not order.symbol:
        raise msgspec.ValidationError(f"order {order.id} names no symbol")
    return {
        "status": order.status,
        "client_order_id": order.client_order_id,
        "venue_order_id": order.id,
        "symbol": order.symbol,
        "side": side_of(order.side),
        "quantity": order.qty,
        "cumulative_quantity": order.filled_qty or ZERO,
        "average_price": order.filled_avg_price,
        "limit_price": order.limit_price,
        "replaced_by": order.replaced_by,
        "replaces": order.replaces,
    }


def order_body(order: NewOrder) -> dict[str, str]:
    """Return the body of a submit: numbers as strings, so that no float noise reaches the venue."""
    body: dict[str, str] = {
        "symbol": order.symbol,
        "qty": number_string(order.quantity),
        "side": order.side,
        "type": order.order_type,
        "time_in_force": order.time_in_force,
        "client_order_id": order.client_order_id,
    }
    if order.limit_price is not None:
        body["limit_price"] = number_string(order.limit_price)
    return body


def account_of(wire: WireAccount) -> Account:
    """Return the account, with every reason why it may not trade; without a word about margin there is none."""
    blocks = [flag for flag in _BLOCKING_FLAGS if getattr(wire, flag)]
    if wire.status not in _OPEN_ACCOUNTS:
        blocks.append(f"status {wire.status}")
    return Account(
        account_number=wire.account_number,
        cash=wire.cash,
        equity=wire.equity,
        buying_power=wire.buying_power,
        multiplier=int(wire.multiplier or 1),
        blocks=tuple(blocks),
    )


def position_of(wire: WirePosition) -> BrokerPosition:
    """Return the position; where the venue does not say what is free, all of it is."""
    return BrokerPosition(
        symbol=wire.symbol,
        quantity=wire.qty,
        available_quantity=wire.qty if wire.qty_available is None else wire.qty_available,
        average_entry_price=wire.avg_entry_price,
        current_price=wire.current_price,
    )


def asset_of(wire: WireAsset) -> Asset:
    """Return what may be done with the symbol."""
    return Asset(symbol=wire.symbol, is_tradable=wire.tradable, is_fractionable=wire.fractionable, is_shortable=wire.shortable)


def activity_of(wire: WireActivity) -> BrokerActivity:
    """Return the fill, or what takes one back; the part of an id behind ``::`` is the id of the execution."""
    return BrokerActivity(
        activity_id=wire.id,
        execution_id=wire.id.rpartition("::")[2],
        venue_order_id=wire.order_id,
        symbol=wire.symbol,
        side=side_of(wire.side).value,
        quantity=wire.qty,
        price=wire.price,
        cumulative_quantity=wire.cum_qty,
        at=wire.transaction_time.astimezone(UTC),
        correction=wire.type if wire.type in CORRECTIONS else None,
        previous_execution_id=None if wire.previous_id is None else wire.previous_id.rpartition("::")[2],
    )


def non_trade_of(wire: WireNonTrade) -> AccountActivity:
    """Return the activity. A row that does not say when it was written says it in its id, in New York's time.

    Raises ``ValueError`` for one that says no day at all.
    """
    at = wire.created_at
    if at is None:
        at = datetime.strptime(wire.id.partition("::")[0][:14], "%Y%m%d%H%M%S").replace(tzinfo=NEW_YORK)
    return AccountActivity(
        activity_id=wire.id,
        kind=wire.activity_type,
        on=wire.on or at.astimezone(NEW_YORK).date(),
        at=at.astimezone(UTC),
        amount=wire.net_amount or Decimal(0),
        symbol=wire.symbol or None,
        quantity=wire.qty,
        per_share=wire.per_share_amount,
        price=wire.price,
        description=wire.description or "",
        sub_kind=wire.activity_sub_type,
        status=wire.status or "executed",
        group=wire.group_id,
        previous_id=wire.previous_id,
    )


def session_of(wire: WireSession) -> Session:
    """Return the session in UTC. Raises ``ValueError`` for a time that is not a time of day."""
    opens, closes = (datetime.combine(wire.date, time.fromisoformat(text), NEW_YORK).astimezone(UTC) for text in (wire.open, wire.close))
    return Session(date=wire.date, opens_at=opens, closes_at=closes)


def query(**parameters: object) -> Mapping[str, str]:
    """Return the parameters of a request that were given, as text; times in UTC with a ``Z``."""
    return {name: _parameter(value) for name, value in parameters.items() if value is not None}


def _parameter(value: object) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return str(value)
