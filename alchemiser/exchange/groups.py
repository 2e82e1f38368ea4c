"""How the orders of a bracket, oco or oto live together (section 3.9).

Exits sleep until their entry is completely filled. Then the take-profit becomes new and the stop-loss stays held beside it; the stop that
is elected cancels the take-profit and is filled without having been new. What one exit fills the other loses. Any end of one that is not
a fill ends the others.
"""

from datetime import datetime, timedelta
from decimal import Decimal

from alchemiser.exchange.agenda import Agenda
from alchemiser.exchange.blotter import Blotter
from alchemiser.exchange.orders import OrderStatus, VenueOrder
from alchemiser.exchange.settings import ExchangeSettings
from alchemiser.exchange.standing import Standing


class Groups:
    """The complex orders of one exchange; what it is told of simple orders it lets pass."""

    def __init__(self, blotter: Blotter, agenda: Agenda, standing: Standing, settings: ExchangeSettings) -> None:
        self._blotter = blotter
        self._agenda = agenda
        self._standing = standing
        self._settings = settings

    def acknowledged(self, order: VenueOrder, at: datetime) -> None:
        """The take-profit of an oco order works: its stop-loss listens to the market from now on."""
        if order.order_class == "oco":
            for leg in order.legs:
                if leg.is_open:
                    self._plan_match(leg, at)

    def executed(self, order: VenueOrder, quantity: Decimal, at: datetime) -> None:
        """An order of a group was filled, wholly or in part."""
        if not order.is_closing:
            if order.status is OrderStatus.FILLED:
                self._agenda.plan(at + timedelta(milliseconds=self._settings.acknowledge_ms), "activate", order.id)
            return
        for other in self._others(order):
            if order.status is OrderStatus.FILLED:
                self._end(other, OrderStatus.CANCELED, at)
            elif other.qty is not None:
                other.qty -= quantity
                self._blotter.restate(other, at)

    def elected(self, order: VenueOrder, at: datetime) -> None:
        """A stop-loss goes to the market: nothing else may close the position now."""
        if order.order_class and order.is_closing:
            for other in self._others(order):
                self._end(other, OrderStatus.CANCELED, at)

    def ended(self, order: VenueOrder, at: datetime) -> None:
        """An order ended otherwise than by a fill or a replacement: so do the others of its group."""
        if not order.order_class or self.is_waiting(order):
            return
        for other in self._others(order):
            expires = order.status is OrderStatus.EXPIRED and not other.is_dormant and other.status is not OrderStatus.PENDING_CANCEL
            self._end(other, OrderStatus.EXPIRED if expires else OrderStatus.CANCELED, at)

    def activate(self, entry: VenueOrder, at: datetime) -> None:
        """Wake the exits of an entry that is completely filled, for as many shares as no other order has taken meanwhile."""
        free = self._standing.free_shares(entry.symbol)
        for leg in entry.legs:
            leg.is_dormant = False
            self._blotter.hold_anew(leg)
            assert leg.qty is not None, f"leg {leg.id} has no quantity"
            if free < leg.qty and leg.is_open:
                self._shrink(leg, free, at)
            if leg.status is OrderStatus.HELD and not self.is_waiting(leg):
                self.wake(leg, at)

    def wake_unless_dormant(self, leg: VenueOrder, at: datetime) -> None:
        """Let an exit that a replacement was pending for go on where it stands."""
        if not leg.is_dormant:
            self.wake(leg, at)

    def wake(self, leg: VenueOrder, at: datetime) -> None:
        """Let an exit listen to the market; one that must not wait for a take-profit is new."""
        has_profit_beside = any(other.type == "limit" for other in self._others(leg))
        if leg.type == "limit" or not has_profit_beside:
            self._blotter.transition(leg, OrderStatus.NEW, at)
        self._plan_match(leg, at)

    def is_waiting(self, order: VenueOrder) -> bool:
        """Whether an order is a replacement that has not taken the place of its predecessor."""
        predecessor = None if order.replaces is None else self._blotter.find(order.replaces)
        return predecessor is not None and predecessor.status is not OrderStatus.REPLACED

    def _shrink(self, leg: VenueOrder, quantity: Decimal, at: datetime) -> None:
        if quantity > 0:
            leg.qty = quantity
            self._blotter.restate(leg, at)
        else:
            self._blotter.transition(leg, OrderStatus.REJECTED, at)

    def _others(self, order: VenueOrder) -> list[VenueOrder]:
        """Return the other open orders of a group, but for a replacement of the order itself, which its own end will refuse."""
        return [other for other in self._blotter.group(order) if other is not order and other.replaces != order.id]

    def _end(self, order: VenueOrder, status: OrderStatus, at: datetime) -> None:
        self._blotter.transition(order, status, at, told=self._settings.sibling_cancel_event)

    def _plan_match(self, leg: VenueOrder, at: datetime) -> None:
        self._agenda.plan(at + timedelta(milliseconds=self._settings.match_ms), "match", leg.id)
