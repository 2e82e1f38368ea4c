"""The open orders of one exchange and what they hold together, kept up to date order by order.

Promises: taking in an order, changing it and letting it go cost the same with ten thousand others open as with none, and so does every
sum; each sum is exactly what :mod:`~alchemiser.exchange.reservations` finds by walking through all of them. Who changes the amounts of an
open order says so with :meth:`OpenOrders.put`.

Orders that hold something together (an order and its pending replacement, the exits of one position) are a family: what a family holds is
found by the definition itself, over its few members, and the sums are those of the families.
"""

from collections.abc import Collection, Iterator, Mapping
from decimal import Context, Decimal, Inexact
from typing import Final

from alchemiser.domain.money import ZERO
from alchemiser.exchange.assets import AssetRecord
from alchemiser.exchange.orders import OrderStatus, PositionIntent, VenueOrder
from alchemiser.exchange.reservations import held_by, held_shares_of, reserved_dollars_of
from alchemiser.exchange.wash import WashTable

_EXACT: Final = Context(prec=200, traps=[Inexact])
"""A running total that was rounded once would be wrong for ever; this one has room for any sum of the numbers that are accepted."""


_ACCEPTED: Final = OrderStatus.ACCEPTED


class _Family:
    """Open orders whose reservations overlap, and what they hold together: dollars before margin, and shares.

    ``names`` are the ids of all that ever were in it, and of an entry that has ended: whoever comes later finds it by them.
    """

    __slots__ = ("dollars", "is_marginable", "members", "names", "shares", "symbol")

    def __init__(self, symbol: str, *, is_marginable: bool) -> None:
        self.symbol = symbol
        self.is_marginable = is_marginable
        self.members: dict[str, VenueOrder] = {}
        self.names: list[str] = []
        self.dollars = ZERO
        self.shares = ZERO


class OpenInSymbol:
    """The open orders of one symbol, oldest first, how many have which intent, the shares they hold, and what they might trade with."""

    __slots__ = ("intents", "orders", "shares", "wash")

    def __init__(self) -> None:
        self.orders: dict[str, VenueOrder] = {}
        self.intents: dict[PositionIntent, int] = {}
        self.shares = ZERO
        self.wash = WashTable()


class OpenOrders:
    """The open orders of one exchange: ``orders`` by id, oldest first, and ``by_symbol`` those of each symbol that has any.

    Everybody may look at both; who changes an order calls :meth:`put`, :meth:`note_sent` and :meth:`discard`.
    """

    def __init__(self, assets: Mapping[str, AssetRecord]) -> None:
        """``assets`` are asked for what may be bought on margin."""
        self._assets = assets
        self.orders: dict[str, VenueOrder] = {}
        self.by_symbol: dict[str, OpenInSymbol] = {}
        self._families: dict[str, _Family] = {}
        self._dollars = {True: ZERO, False: ZERO}
        self._sent: dict[bool, set[str]] = {True: set(), False: set()}

    def any_sent(self, *, extended_hours_only: bool) -> bool:
        """Whether an order has been sent to the market and does not wait there for the closing auction."""
        return bool(self._sent[True]) or (not extended_hours_only and bool(self._sent[False]))

    def reserved_buying_power(self, multiplier: int, excluding: Collection[VenueOrder] = ()) -> Decimal:
        """Return the buying power that open orders hold, but for those that ``excluding`` names."""
        if not excluding:
            return self._dollars[True] + self._dollars[False] * multiplier
        # Exact until the end: what is taken away again leaves no rounding behind.
        dollars = dict(self._dollars)
        for family, left in self._families_without(excluding):
            change = _EXACT.subtract(reserved_dollars_of(left), family.dollars)
            dollars[family.is_marginable] = _EXACT.add(dollars[family.is_marginable], change)
        return dollars[True] + dollars[False] * multiplier

    def held_shares(self, symbol: str, excluding: Collection[VenueOrder] = ()) -> Decimal:
        """Return the shares of a position that open orders hold, but for those that ``excluding`` names; never negative."""
        found = self.by_symbol.get(symbol)
        if found is None:
            return ZERO
        total = found.shares
        if not excluding:
            return total
        for family, left in self._families_without(excluding):
            if family.symbol == symbol:
                total += held_shares_of(left) - family.shares
        return total

    def put(self, order: VenueOrder) -> None:
        """Take in an order, or note that what it holds or its limit has changed; one that has ended is let go."""
        if not order.is_open:
            self.discard(order)
            return
        symbol = self.by_symbol.get(order.symbol)
        if symbol is None:
            symbol = self.by_symbol[order.symbol] = OpenInSymbol()
        if order.id not in self.orders:
            self.orders[order.id] = symbol.orders[order.id] = order
            symbol.intents[order.position_intent] = symbol.intents.get(order.position_intent, 0) + 1
            self._join_family(order)
            self.note_sent(order)
        symbol.wash.put(order)
        self._recount(self._families[order.id], symbol)

    def note_sent(self, order: VenueOrder) -> None:
        """Note that the status of an open order has changed: it may have been sent to the market."""
        if order.status is not _ACCEPTED and order.time_in_force != "cls":
            self._sent[order.extended_hours].add(order.id)
        else:
            self._sent[order.extended_hours].discard(order.id)

    def discard(self, order: VenueOrder) -> None:
        """Let an order go, if it is here."""
        if self.orders.pop(order.id, None) is None:
            return
        symbol, family = self.by_symbol[order.symbol], self._families[order.id]
        del symbol.orders[order.id], family.members[order.id]
        symbol.intents[order.position_intent] -= 1
        symbol.wash.discard(order)
        self._sent[order.extended_hours].discard(order.id)
        self._recount(family, symbol)
        if not family.members:
            for name in family.names:
                del self._families[name]
        if not symbol.orders:
            assert symbol.shares == 0, f"{symbol.shares} shares of {order.symbol} are held by nobody"
            del self.by_symbol[order.symbol]

    def _join_family(self, order: VenueOrder) -> None:
        parent, replaces = order.parent_id, order.replaces
        family = self._families.get(parent or order.id)
        if family is None and (parent is not None or replaces is not None):
            family = self._families.get(replaces or order.id)
        if family is None:
            family = _Family(order.symbol, is_marginable=self._assets[order.symbol].marginable)
        family.members[order.id] = order
        for name in (order.id,) if parent is None else (order.id, parent):
            if name not in self._families:
                self._families[name] = family
                family.names.append(name)

    def _families_without(self, excluding: Collection[VenueOrder]) -> Iterator[tuple[_Family, list[VenueOrder]]]:
        """Yield each family that one of these orders belongs to, with those of its members that are left without them."""
        names = dict.fromkeys(order.id for order in excluding if order.id in self.orders)
        seen: list[_Family] = []
        for name in names:
            family = self._families[name]
            if family not in seen:
                seen.append(family)
                yield family, [member for member in family.members.values() if member.id not in names]

    def _recount(self, family: _Family, symbol: OpenInSymbol) -> None:
        """Bring the sums up to what the members of a family hold now."""
        dollars, shares = held_by(family.members.values()) if family.members else (ZERO, ZERO)
        if dollars != family.dollars:
            change = _EXACT.subtract(dollars, family.dollars)
            self._dollars[family.is_marginable] = _EXACT.add(self._dollars[family.is_marginable], change)
            family.dollars = dollars
        if shares != family.shares:
            symbol.shares = _EXACT.add(symbol.shares, _EXACT.subtract(shares, family.shares))
            family.shares = shares
