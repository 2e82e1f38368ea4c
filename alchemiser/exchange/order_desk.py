"""The order desk: what clients may do with open orders and positions, once the exchange has caught up (sections 3.6 to 3.8, 8.4).

Every method is told the exchange's time; a refusal raises ``ApiError`` and changes nothing. Lists of orders are worked off row by row, as
the 207 answers show them: a row that is refused does not keep the others back.
"""

from datetime import datetime
from decimal import Decimal
from typing import Any

from alchemiser.domain.money import truncate_shares
from alchemiser.exchange.admission import Admission
from alchemiser.exchange.blotter import Blotter
from alchemiser.exchange.errors import ApiError, invalid, not_found, unprocessable
from alchemiser.exchange.floor import Floor
from alchemiser.exchange.orders import OrderStatus, Side, VenueOrder, order_json
from alchemiser.exchange.requests import OrderRequest, ReplaceRequest
from alchemiser.exchange.settings import ExchangeSettings
from alchemiser.exchange.snapshot import ExchangeState
from alchemiser.exchange.standing import Standing


class OrderDesk:
    """The desk of one exchange."""

    def __init__(
        self,
        state: ExchangeState,
        *,
        blotter: Blotter,
        standing: Standing,
        admission: Admission,
        floor: Floor,
        settings: ExchangeSettings,
    ) -> None:
        self._state = state
        self._blotter = blotter
        self._standing = standing
        self._admission = admission
        self._floor = floor
        self._settings = settings

    def replace(self, order_id: str, request: ReplaceRequest, at: datetime) -> VenueOrder:
        """Replace a working order and return the new one; until that is done the old one may still be filled."""
        old = self._blotter.get(order_id)
        new = self._admission.admit_replacement(old, request, at, is_live=self._floor.is_session_open_for(old))
        self._floor.enter_replacement(old, new, at)
        return new

    def cancel(self, order_id: str, at: datetime) -> None:
        """Ask for a cancel. Asking again meanwhile is harmless unless switched."""
        order = self._blotter.get(order_id)
        if order.status is OrderStatus.PENDING_CANCEL and self._settings.repeated_cancel_status == 422:
            raise unprocessable(f'order is already in "{order.status.value}" state')
        self._ask_cancel(order, at)

    def cancel_all(self, at: datetime) -> list[dict[str, Any]]:
        """Ask for the cancel of every open order; return the rows of the answer, with the error of those that are refused."""
        rows: list[dict[str, Any]] = []
        for order in self._blotter.open_orders():
            try:
                # An earlier order of its group may have taken it along.
                if order.is_open:
                    self._ask_cancel(order, at)
                rows.append({"id": order.id, "status": 200})
            except ApiError as refusal:
                rows.append({"id": order.id, "status": refusal.status, "body": refusal.body()})
        return rows

    def close(self, symbol: str, at: datetime, qty: Decimal | None = None, percentage: Decimal | None = None) -> VenueOrder:
        """Close a position, or a part of it, with a market order; ``symbol`` may be an asset id.

        Raises the 404 of an unknown symbol and of a position that does not exist, and the 403 of shares that open orders hold.
        """
        asset = self._standing.asset_to_hold(symbol)
        held = self._state.account.quantity(asset.symbol)
        if held == 0:
            raise not_found("position does not exist")
        quantity = abs(held) if qty is None else qty
        if percentage is not None:
            quantity = truncate_shares(abs(held) * percentage / 100)
        if quantity <= 0:
            raise invalid("qty must be > 0")
        side: Side = "sell" if held > 0 else "buy"
        request = OrderRequest(symbol=asset.symbol, side=side, type="market", time_in_force="day", qty=quantity)
        order = self._admission.admit(request, at, is_liquidation=True)
        self._floor.enter(order, at)
        return order

    def close_all(self, at: datetime, *, cancel_orders: bool) -> list[dict[str, Any]]:
        """Close every position, with ``cancel_orders`` after cancelling every open order; return the rows of the answer."""
        if cancel_orders:
            for order in self._blotter.open_orders():
                if order.is_open:
                    self._floor.cancel_now(order, at)
        rows: list[dict[str, Any]] = []
        for symbol in sorted(self._state.account.positions):
            try:
                rows.append({"symbol": symbol, "status": 200, "body": order_json(self.close(symbol, at))})
            except ApiError as refusal:
                rows.append({"symbol": symbol, "status": refusal.status, "body": {"symbol": symbol, **refusal.body()}})
        return rows

    def _ask_cancel(self, order: VenueOrder, at: datetime) -> None:
        if order.status is OrderStatus.PENDING_CANCEL:
            return
        if not order.is_open:
            raise unprocessable(f'order is already in "{order.status.value}" state')
        predecessor = None if order.replaces is None else self._blotter.find(order.replaces)
        if order.status is OrderStatus.PENDING_REPLACE or (predecessor is not None and predecessor.is_open):
            raise unprocessable("unable to cancel order, replace is pending")
        self._floor.ask_cancel(order, at)
