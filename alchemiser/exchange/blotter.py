"""The orders of the exchange: found by id, by client order id, by symbol; every change of one told on the order stream.

The blotter is the only place where ids are made and events are emitted. Client order ids are never forgotten: one that was used once is
refused for ever, as the venue does.
"""

import math
from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from itertools import islice
from random import Random
from typing import Final

import msgspec

from alchemiser.exchange.activities import Traded
from alchemiser.exchange.archive import SEGMENT, seal, unseal
from alchemiser.exchange.assets import AssetRecord
from alchemiser.exchange.errors import not_found
from alchemiser.exchange.fields import parse_order_id
from alchemiser.exchange.ids import RANDOM_BITS, ulid, uuid_text
from alchemiser.exchange.open_orders import OpenOrders
from alchemiser.exchange.orders import STATUS_NAMES, TERMINAL, OrderStatus, OrderUpdate, VenueOrder
from alchemiser.exchange.requests import OrderFilter
from alchemiser.exchange.settings import ExchangeSettings
from alchemiser.exchange.snapshot import ExchangeState

_NO_EXECUTION: Final = ("pending_new", "accepted")
"""Events that have no execution id."""

_ACCEPTED: Final = OrderStatus.ACCEPTED


class Blotter:
    """The orders of one exchange; the state holds them, the indexes here are made from it."""

    def __init__(self, state: ExchangeState, random: Random, settings: ExchangeSettings, assets: Mapping[str, AssetRecord]) -> None:
        self._state = state
        self._settings = settings
        self._random = random
        self.open = OpenOrders(assets)
        """What is open and what it holds; only the blotter changes it."""
        self._last_event = int(state.last_event_id)
        self._touched: dict[str, None] | None = None
        self._sealed: set[str] = set()
        # An order that was changed after it had been sealed is there twice; the later one counts.
        trees = {tree.id: tree for tree in (*unseal(state.archive, VenueOrder), *state.orders)}
        self._all = sorted((order for tree in trees.values() for order in (tree, *tree.legs)), key=_by_sequence)
        self._by_id = {order.id: order for order in self._all}
        self.by_client_id = {order.client_order_id: order for order in self._all}
        """The orders by client order id, for whoever asks whether one was ever used; only the blotter changes it."""
        for order in self._all:
            if order.is_open:
                self.open.put(order)

    def new_uuid(self) -> str:
        """Return a fresh random id."""
        return uuid_text(self._random.getrandbits(128))

    def add(self, order: VenueOrder) -> None:
        """Take in a new order with its legs."""
        parent = None if order.parent_id is None else self._by_id[order.parent_id]
        if parent is None:
            self._state.orders.append(order)
        else:
            parent.legs += (order,)
        if self._touched is not None:
            self.touch(order)
        state = self._state
        for each in (order, *order.legs) if order.legs else (order,):
            state.sequence += 1
            each.sequence = state.sequence
            self._all.append(each)
            self._by_id[each.id] = self.by_client_id[each.client_order_id] = each
            if each.status not in TERMINAL:
                self.open.put(each)

    def group(self, order: VenueOrder) -> list[VenueOrder]:
        """Return the open orders that live and die with an order, the entry first; replacements that are pending belong to them."""
        parent = order if order.parent_id is None else self._by_id[order.parent_id]
        predecessor = self._by_id.get(parent.replaces or "")
        if predecessor is not None and predecessor.is_open:
            parent = predecessor
        successor = self._by_id.get(parent.replaced_by or "", parent)
        parents = (parent,) if successor is parent else (parent, successor)
        return [member for member in (*parents, *parent.legs) if member.is_open]

    def hand_over(self, old: VenueOrder, new: VenueOrder) -> None:
        """Give the legs of an order to its replacement."""
        new.legs, old.legs = old.legs, ()
        self.touch(old)
        self.touch(new)
        for leg in new.legs:
            leg.parent_id = new.id

    def get(self, order_id: str) -> VenueOrder:
        """Return an order by its id, dashed or not. Raises the 404 of an unknown one, the 422 of what is no id."""
        order = self._by_id.get(order_id) or self._by_id.get(parse_order_id(order_id))
        if order is None:
            raise not_found(f"order not found for {order_id}")
        return order

    def find(self, order_id: str) -> VenueOrder | None:
        """Return an order by its id as the exchange itself wrote it."""
        return self._by_id.get(order_id)

    def get_by_client_id(self, client_order_id: str) -> VenueOrder:
        """Return an order by its client order id. Raises the 404 of an unknown one."""
        order = self.by_client_id.get(client_order_id)
        if order is None:
            raise not_found(f"order not found for {client_order_id}")
        return order

    def open_orders(self) -> list[VenueOrder]:
        """Return every open order, oldest first."""
        return list(self.open.orders.values())

    def open_of(self, symbol: str) -> list[VenueOrder]:
        """Return the open orders of a symbol, oldest first."""
        found = self.open.by_symbol.get(symbol)
        return [] if found is None else list(found.orders.values())

    def touch(self, order: VenueOrder) -> None:
        """Note that something of an order may change, so that it is kept with the next change; whoever asks the blotter need not."""
        if self._touched is not None:
            self._touched[order.parent_id or order.id] = None

    def restate(self, order: VenueOrder, at: datetime) -> None:
        """Tell that the amounts or prices of an open order were changed otherwise than by an execution, and count what it holds anew."""
        self.open.put(order)
        self.emit("restated", order, at)

    def hold_anew(self, order: VenueOrder) -> None:
        """Count anew what an order holds, of which nothing is told."""
        self.touch(order)
        self.open.put(order)

    def transition(self, order: VenueOrder, status: OrderStatus, at: datetime, event: str | None = None, *, told: bool = True) -> None:
        """Change an order's status and, if ``told``, tell it under the status's own name unless ``event`` names another."""
        self.touch(order)
        is_sent = order.status is _ACCEPTED or status is _ACCEPTED
        order.move_to(status, at)
        if status in TERMINAL:
            self.open.discard(order)
        elif is_sent:
            self.open.note_sent(order)
        if told:
            self.emit(event or STATUS_NAMES[status], order, at)

    def emit(self, event: str, order: VenueOrder, at: datetime) -> None:
        """Tell something of an order that is no execution."""
        self.touch(order)
        bits = None if event in _NO_EXECUTION else self._random.getrandbits(128).to_bytes(16)
        self._last_event = number = ulid(at, self._last_event, self._random.getrandbits(RANDOM_BITS))
        update = OrderUpdate(event=event, number=number.to_bytes(16), at=at, state=msgspec.structs.replace(order), execution_bits=bits)
        self._state.updates.append(update)

    def executed(
        self,
        order: VenueOrder,
        traded: Traded,
        position: Decimal,
        at: datetime,
        event: str | None = None,
        quantity: Decimal | None = None,
        reason: str | None = None,
    ) -> None:
        """Tell an execution, or with ``event`` what became of the one that it is ``instead_of``, and of how many shares that says more.

        The order is in the state after it, and ``position`` the signed shares that are then held.
        """
        if self._touched is not None:
            self.touch(order)
        if is_open := order.status not in TERMINAL:
            self.open.put(order)
        elif order.id in self.open.orders:  # One that was filled as it came never was there.
            self.open.discard(order)
        self._last_event = number = ulid(at, self._last_event, self._random.getrandbits(RANDOM_BITS))
        self._state.updates.append(
            OrderUpdate(
                event or ("partial_fill" if is_open else "fill"),
                number.to_bytes(16),
                at,
                msgspec.structs.replace(order),
                traded.execution_id,
                None,
                traded.price,
                traded.quantity if quantity is None else quantity,
                position,
                traded.settles,
                traded.instead_of,
                reason,
            )
        )

    def keep_change(self, order: VenueOrder) -> None:
        """Make sure that a change of an order that may have ended long ago is saved."""
        self.touch(order)
        tree = order if order.parent_id is None else self._by_id[order.parent_id]
        if all(kept is not tree for kept in self._state.orders):
            self._state.orders.append(tree)

    def listing(self, wanted: OrderFilter) -> list[VenueOrder]:
        """Return the orders a list is to hold. Raises the 404 of an unknown cursor.

        With ``nested`` legs are rolled up: what is listed and counted are whole groups, open while anything in them is.
        """
        after = -1 if wanted.after_order_id is None else self.get(wanted.after_order_id).sequence
        before = math.inf if wanted.before_order_id is None else self.get(wanted.before_order_id).sequence
        matching = (order for order in self._candidates(wanted) if after < order.sequence < before and self._matches(order, wanted))
        return list(islice(matching, wanted.limit))

    def _candidates(self, wanted: OrderFilter) -> Iterator[VenueOrder]:
        orders = self._all
        if wanted.status == "open":
            orders = self.open_orders()
            if wanted.nested:
                parents = {order.parent_id or order.id for order in orders}
                orders = sorted((self._by_id[parent] for parent in parents), key=_by_sequence)
        return reversed(orders) if wanted.direction == "desc" else iter(orders)

    def _matches(self, order: VenueOrder, wanted: OrderFilter) -> bool:
        if wanted.nested and order.parent_id is not None:
            return False
        return (
            (wanted.status == "all" or self._is_listed_open(order, wanted) == (wanted.status == "open"))
            and (wanted.after is None or order.submitted_at > wanted.after)
            and (wanted.until is None or order.submitted_at < wanted.until)
            and (not wanted.symbols or order.symbol in wanted.symbols)
            and (wanted.side is None or order.side == wanted.side)
            and (not wanted.asset_classes or "us_equity" in wanted.asset_classes)
        )

    def _is_listed_open(self, order: VenueOrder, wanted: OrderFilter) -> bool:
        if wanted.nested:
            return any(member.is_open for member in (order, *order.legs))
        if order.status is OrderStatus.HELD:
            return self._settings.held_legs_listed_as == "open"
        return order.is_open

    def take_changes(self) -> tuple[list[VenueOrder], list[str]]:
        """Return the orders, each with its legs, of which something may have changed since the last call, the first time all.

        Second come the ids of those that were sealed meanwhile. Until the first call nothing is noted.
        """
        self.complete_state()
        touched, self._touched = self._touched, {}
        sealed, self._sealed = self._sealed, set()
        if touched is None:
            return list(self._state.orders), []
        return [self._by_id[tree_id] for tree_id in touched if tree_id not in sealed], sorted(sealed)

    def complete_state(self) -> None:
        """Bring the state up to what a snapshot needs: the last event's id, and ended orders sealed, a segment at a time."""
        # 128 bits do not fit the integers of a snapshot, so the state has the number as text.
        self._state.last_event_id = str(self._last_event)
        # Each open tree has at least one open order, so that at least two segments of trees have ended.
        while len(self._state.orders) - len(self.open.orders) >= 2 * SEGMENT:
            ended = [tree for tree in self._state.orders if not any(order.is_open for order in (tree, *tree.legs))][:SEGMENT]
            self._state.archive.append(seal(ended))
            last = {tree.id for tree in ended}
            self._state.orders = [tree for tree in self._state.orders if tree.id not in last]
            if self._touched is not None:
                self._sealed |= last


def _by_sequence(order: VenueOrder) -> int:
    return order.sequence
