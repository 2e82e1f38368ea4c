"""Orders as the venue keeps them, the transitions their status may make, and the events that tell of them (sections 3.4, 4 and 5.2).

A :class:`VenueOrder` is a mutable record: the exchange is its only writer, and every change of status goes through
:meth:`VenueOrder.move_to`, which refuses a transition that section 4 does not know. What leaves the exchange is JSON made here.
"""

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final, Literal

import msgspec

from alchemiser.domain.errors import InvariantBroken
from alchemiser.domain.money import ZERO
from alchemiser.exchange.formats import average_member, id_member, number_member, text_member, time_member
from alchemiser.exchange.ids import ulid_text, uuid_text

Side = Literal["buy", "sell"]
OrderType = Literal["market", "limit", "stop", "stop_limit", "trailing_stop"]
TimeInForce = Literal["day", "gtc", "opg", "cls", "ioc", "fok"]
OrderClass = Literal["", "bracket", "oco", "oto"]
PositionIntent = Literal["buy_to_open", "buy_to_close", "sell_to_open", "sell_to_close"]

CLOSING: Final = ("sell_to_close", "buy_to_close")
"""The intents of orders that reduce a position."""


class OrderStatus(StrEnum):
    """The states an order of this exchange can be in."""

    ACCEPTED = "accepted"
    PENDING_NEW = "pending_new"
    NEW = "new"
    HELD = "held"
    PARTIALLY_FILLED = "partially_filled"
    PENDING_CANCEL = "pending_cancel"
    PENDING_REPLACE = "pending_replace"
    ACCEPTED_FOR_BIDDING = "accepted_for_bidding"
    STOPPED = "stopped"
    SUSPENDED = "suspended"
    CALCULATED = "calculated"
    DONE_FOR_DAY = "done_for_day"
    FILLED = "filled"
    CANCELED = "canceled"
    EXPIRED = "expired"
    REJECTED = "rejected"
    REPLACED = "replaced"


_S = OrderStatus
TERMINAL: Final = frozenset({_S.FILLED, _S.CANCELED, _S.EXPIRED, _S.REJECTED, _S.REPLACED})
_ENDED_BY_TIME: Final = frozenset({_S.CANCELED, _S.EXPIRED})
_PENDING: Final = frozenset({_S.PENDING_CANCEL, _S.PENDING_REPLACE})
_WORKING: Final = frozenset({_S.PARTIALLY_FILLED, _S.FILLED, *_PENDING, *_ENDED_BY_TIME})
_PARKED: Final = frozenset({_S.ACCEPTED_FOR_BIDDING, _S.STOPPED, _S.SUSPENDED, _S.CALCULATED, _S.DONE_FOR_DAY})
TRANSITIONS: Final[dict[OrderStatus, frozenset[OrderStatus]]] = {
    _S.ACCEPTED: frozenset({_S.PENDING_NEW, _S.REJECTED, *_ENDED_BY_TIME}),
    _S.PENDING_NEW: frozenset({_S.NEW, _S.ACCEPTED, _S.PENDING_CANCEL, _S.REJECTED, *_ENDED_BY_TIME}),
    _S.NEW: _WORKING | _PARKED | {_S.REJECTED},
    **dict.fromkeys(sorted(_PARKED), _ENDED_BY_TIME | {_S.NEW, _S.PENDING_CANCEL, _S.REJECTED}),
    # A stop-loss that waits beside its take-profit is filled without ever having been new (3.9).
    _S.HELD: _WORKING | {_S.NEW, _S.REJECTED},
    # An order whose executions are all broken is as new.
    _S.PARTIALLY_FILLED: _WORKING | {_S.NEW},
    # A cancel that the market refuses leaves the order as it was.
    _S.PENDING_CANCEL: frozenset({_S.FILLED, _S.NEW, _S.PARTIALLY_FILLED, _S.REJECTED, *_ENDED_BY_TIME}),
    _S.PENDING_REPLACE: frozenset({_S.REPLACED, _S.NEW, _S.HELD, _S.PARTIALLY_FILLED, _S.FILLED, _S.REJECTED, *_ENDED_BY_TIME}),
    **dict.fromkeys(sorted(TERMINAL), frozenset()),
}
"""From each status, those that may follow it; nothing follows a terminal one."""


STATUS_NAMES: Final = {status: status.value for status in _S}
"""What the venue calls each status."""

# A member of an enumeration takes its time to be looked up, and these are asked for with every order.
_REPLACED: Final = _S.REPLACED
_YOUNG: Final = frozenset({_S.ACCEPTED, _S.PENDING_NEW})

_NULL: Final = "null"
_NO_LATER_LIFE: Final = '"canceled_at":null,"failed_at":null,"replaced_at":null,"cancel_requested_at":null,"replaced_by":null,'
_NO_TRAIL: Final = '"trail_percent":null,"trail_price":null,"hwm":null,'

_STAMPS: Final = {
    _S.FILLED: "filled_at",
    _S.CANCELED: "canceled_at",
    _S.EXPIRED: "expired_at",
    _S.REJECTED: "failed_at",
    _S.REPLACED: "replaced_at",
    _S.PENDING_CANCEL: "cancel_requested_at",
}
"""Which time a status stamps."""


class VenueOrder(msgspec.Struct, array_like=True, gc=False):
    """One order with its legs. The first group is the request, the second its life, the third what only the matching knows.

    ``filled_value`` is the exact sum of quantity times price. ``hold_price`` and ``hold_quantity`` are what the account reserves: dollars
    per share for an order that opens, shares for one that closes. ``good_for`` is the session a day order lives in.
    ``is_total`` says of a replacement that its quantity was asked for as a total, of which ``filled_before`` has been counted already.
    ``parent_id`` is set on legs; one that ``is_dormant`` waits for its entry to be filled and holds nothing yet. Replaced legs stay in
    ``legs``. An order never leads back to itself, so that the garbage collector need not look at the thousands that are kept.
    """

    id: str
    client_order_id: str
    asset_id: str
    symbol: str
    side: Side
    type: OrderType
    time_in_force: TimeInForce
    position_intent: PositionIntent
    qty: Decimal | None
    notional: Decimal | None
    limit_price: Decimal | None
    stop_price: Decimal | None
    trail_price: Decimal | None
    trail_percent: Decimal | None
    extended_hours: bool

    status: OrderStatus
    created_at: datetime
    submitted_at: datetime
    updated_at: datetime
    filled_qty: Decimal = ZERO
    filled_value: Decimal = ZERO
    hwm: Decimal | None = None
    expires_at: datetime | None = None
    filled_at: datetime | None = None
    expired_at: datetime | None = None
    canceled_at: datetime | None = None
    failed_at: datetime | None = None
    replaced_at: datetime | None = None
    cancel_requested_at: datetime | None = None
    replaced_by: str | None = None
    replaces: str | None = None

    sequence: int = 0
    hold_price: Decimal = ZERO
    hold_quantity: Decimal = ZERO
    good_for: date | None = None
    is_matchable: bool = False
    is_elected: bool = False
    is_resting: bool = False
    queue_ahead: Decimal | None = None
    collar_reference: Decimal | None = None
    is_total: bool = False
    filled_before: Decimal = ZERO

    order_class: OrderClass = ""
    parent_id: str | None = None
    is_dormant: bool = False
    legs: tuple["VenueOrder", ...] = ()

    @property
    def sign(self) -> int:
        """Plus one for a buy, minus one for a sell."""
        return 1 if self.side == "buy" else -1

    @property
    def is_open(self) -> bool:
        """Whether the order has not ended."""
        return self.status not in TERMINAL

    @property
    def is_closing(self) -> bool:
        """Whether the order reduces a position."""
        return self.position_intent in CLOSING

    def leaves(self) -> Decimal:
        """Return the shares still to be filled; for a notional order what its reservation stands for. Zero once it has ended."""
        if self.status in TERMINAL:
            return ZERO
        wanted = self.hold_quantity if self.qty is None else self.qty
        # Nearly every question is about an order that nothing has been filled of.
        return max(wanted - self.filled_qty, ZERO) if self.filled_qty else wanted

    @property
    def leaves_notional(self) -> Decimal:
        """Dollars a notional order may still trade."""
        return ZERO if self.notional is None else max(self.notional - self.filled_value, ZERO)

    @property
    def average_price(self) -> Decimal | None:
        """Average price of what is filled."""
        return self.filled_value / self.filled_qty if self.filled_qty else None

    def move_to(self, status: OrderStatus, at: datetime) -> None:
        """Change the status and stamp the time that belongs to it. Raises ``InvariantBroken`` for an impossible transition."""
        if status not in TRANSITIONS[self.status]:
            raise InvariantBroken(f"order {self.id} cannot go from {self.status} to {status}")
        self.status = status
        self.updated_at = at
        if status in TERMINAL:
            if self.is_matchable:
                self.is_matchable = False
            if status is not _REPLACED and self.replaced_by is not None:
                self.replaced_by = None
        stamp = _STAMPS.get(status)
        if stamp is not None:
            setattr(self, stamp, at)


def order_text(order: VenueOrder, nested: bool = True) -> str:
    """Return the venue's description of an order as JSON (section 3.4), with its legs if ``nested``: the answer to a submit has them.

    It is written for every answer and every event, so it is put together from its parts and not by way of a mapping.
    """
    legs = _NULL
    if nested and order.legs:
        standing = [order_text(leg) for leg in order.legs if leg.status is not _REPLACED]
        legs = f"[{','.join(standing)}]" if standing else _NULL
    kind, created = order.type, time_member(order.created_at)
    updated = created if order.updated_at is order.created_at else time_member(order.updated_at)
    submitted = created if order.submitted_at is order.created_at else time_member(order.submitted_at)
    return (
        f'{{"id":"{order.id}","client_order_id":{text_member(order.client_order_id)},"created_at":{created},'
        f'"updated_at":{updated},"submitted_at":{submitted},{_life(order)}'
        f'"replaces":{id_member(order.replaces)},"asset_id":"{order.asset_id}",'
        f'"symbol":{text_member(order.symbol)},"asset_class":"us_equity","notional":{number_member(order.notional)},'
        f'"qty":{number_member(order.qty)},"filled_qty":{number_member(order.filled_qty)},'
        f'"filled_avg_price":{average_member(order.average_price)},"order_class":"{order.order_class}","order_type":"{kind}",'
        f'"type":"{kind}","side":"{order.side}","position_intent":"{order.position_intent}",'
        f'"time_in_force":"{order.time_in_force}","limit_price":{number_member(order.limit_price)},'
        f'"stop_price":{number_member(order.stop_price)},"status":"{order.status}",'
        f'"extended_hours":{"true" if order.extended_hours else "false"},"legs":{legs},'
        f'{_trail(order) if kind == "trailing_stop" else _NO_TRAIL}"subtag":null,"source":null}}'
    )


def _life(order: VenueOrder) -> str:
    """Return the members that tell what has become of an order; of one that has just come in nothing has."""
    expires = "" if order.expires_at is None else f'"expires_at":{time_member(order.expires_at)},'
    if order.status in _YOUNG:
        return f'"filled_at":null,"expired_at":null,{expires}{_NO_LATER_LIFE}'
    return (
        f'"filled_at":{time_member(order.filled_at)},"expired_at":{time_member(order.expired_at)},{expires}'
        f'"canceled_at":{time_member(order.canceled_at)},"failed_at":{time_member(order.failed_at)},'
        f'"replaced_at":{time_member(order.replaced_at)},"cancel_requested_at":{time_member(order.cancel_requested_at)},'
        f'"replaced_by":{id_member(order.replaced_by)},'
    )


def _trail(order: VenueOrder) -> str:
    percent, price = number_member(order.trail_percent), number_member(order.trail_price)
    return f'"trail_percent":{percent},"trail_price":{price},"hwm":{number_member(order.hwm)},'


def order_json(order: VenueOrder, nested: bool = True) -> dict[str, Any]:
    """Return what :func:`order_text` says."""
    found: dict[str, Any] = msgspec.json.decode(order_text(order, nested))
    return found


class OrderUpdate(msgspec.Struct, frozen=True, gc=False):
    """One event of the order stream; ``state`` is a copy of the order as it was after it. Prices and quantities only for executions.

    ``previous_execution_id`` is the execution that is broken or corrected. ``number`` is that of its id, in 16 bytes; ``execution`` is an
    execution id, ``execution_bits`` the 16 random bytes of one that is not written yet.
    The ids and the JSON are written when somebody asks for them, the JSON once (``written``): most events of a busy exchange are heard by
    nobody.
    """

    event: str
    number: bytes
    at: datetime
    state: VenueOrder
    execution: str | None = msgspec.field(default=None, name="execution_id")
    execution_bits: bytes | None = None
    price: Decimal | None = None
    qty: Decimal | None = None
    position_qty: Decimal | None = None
    settle_date: date | None = None
    previous_execution_id: str | None = None
    reason: str | None = None
    written: bytes | None = None

    @property
    def id(self) -> str:
        """The id of the event, which sorts by time."""
        return ulid_text(int.from_bytes(self.number))

    @property
    def execution_id(self) -> str | None:
        """The id of the execution, or of the report that an event stands for; the first events of an order have none."""
        return self.execution if self.execution_bits is None else uuid_text(int.from_bytes(self.execution_bits))

    @property
    def order(self) -> dict[str, Any]:
        """The order's JSON in the state after the event."""
        return order_json(self.state, nested=False)

    @property
    def payload(self) -> bytes:
        """The ``data`` member of the frame (section 5.2) as JSON."""
        if self.written is None:
            msgspec.structs.force_setattr(self, "written", self._text().encode())
        assert self.written is not None
        return self.written

    def json(self) -> dict[str, Any]:
        """Return what the payload says."""
        found: dict[str, Any] = msgspec.json.decode(self.payload)
        return found

    def _text(self) -> str:
        at, execution = time_member(self.at), ""
        if self.qty is not None:
            settles = "null" if self.settle_date is None else f'"{self.settle_date.isoformat()}"'
            execution = (
                f'"price":{number_member(self.price)},"qty":{number_member(self.qty)},'
                f'"position_qty":{number_member(self.position_qty)},"settle_date":{settles},"swap_rate":"1",'
            )
        if self.previous_execution_id is not None:
            execution += f'"previous_execution_id":"{self.previous_execution_id}",'
        if self.reason is not None:
            execution += f'"reason":{text_member(self.reason)},'
        return (
            f'{{"event":"{self.event}","event_id":"{self.id}","at":{at},"timestamp":{at},'
            f'"execution_id":{id_member(self.execution_id)},{execution}"order":{order_text(self.state, nested=False)}}}'
        )
