"""Executions that turn out otherwise: trades that the market breaks, and trades whose price or quantity it corrects (section 4.2).

Promises: afterwards cash, fees, what is unsettled and the position are what they would be if the execution had never been, or had been
right at once: the positions of the day are worked out anew from its opening and from the executions as they stand. An order that had
ended stays ended, with less filled; one that is open may trade again what was taken back. Orders that no longer fit the position are
cancelled. The order stream says ``trade_bust`` or ``trade_correct``, the activities get a row of that type, the rows that were stay.

What a trading day has begun with is kept until trades of the day before have settled; what is older cannot be changed any more, nor what
an issuer has since turned into other shares. A dividend that was owed for shares at their ex-date stays as it was counted then.
"""

from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from typing import Final

import msgspec

from alchemiser.domain.money import ZERO, number_string
from alchemiser.exchange.account import Account, Position
from alchemiser.exchange.activities import Activity, ActivityLog, Traded
from alchemiser.exchange.blotter import Blotter
from alchemiser.exchange.errors import invalid, not_found, unprocessable
from alchemiser.exchange.floor import Floor
from alchemiser.exchange.orders import OrderStatus, VenueOrder
from alchemiser.exchange.settings import ExchangeSettings
from alchemiser.exchange.snapshot import ExchangeState
from alchemiser.exchange.timeline import NEW_YORK

_SHARES_CHANGED: Final = frozenset({"SPLIT", "SPIN", "NC", "MA", "REORG"})


class Corrections:
    """What becomes of the executions of one exchange."""

    def __init__(self, state: ExchangeState, *, blotter: Blotter, floor: Floor, log: ActivityLog, settings: ExchangeSettings) -> None:
        self._state = state
        self._blotter = blotter
        self._floor = floor
        self._log = log
        self._settings = settings

    def last_execution(self, symbol: str | None) -> str | None:
        """Return the id of the last execution that stands, of a symbol or of any; ``None`` when there is none."""
        gone: set[str] = set()
        for activity in self._log.latest():
            traded = activity.traded
            if traded is None or (symbol is not None and traded.symbol != symbol):
                continue
            if traded.instead_of is not None:
                gone.add(traded.instead_of)
            if traded.quantity and traded.execution_id not in gone:
                return traded.execution_id
        return None

    def bust(self, execution_id: str, at: datetime) -> VenueOrder:
        """Break an execution and return its order. Raises the 404 of an unknown one, the 422 of one that cannot be changed any more."""
        found, before = self._standing(execution_id)
        broken = msgspec.structs.replace(before, execution_id="", quantity=ZERO, fees=None)
        return self._change(found, before, broken, at)

    def correct(
        self, execution_id: str, at: datetime, *, price: Decimal | None, by: Decimal | None, quantity: Decimal | None
    ) -> VenueOrder:
        """Give an execution another price, one that is higher ``by`` some dollars, or another quantity, and return its order.

        Raises the 404 of an unknown execution, and the 422 of one that cannot be changed any more, of a quantity that the order did not
        ask for, and of a correction that corrects nothing.
        """
        found, before = self._standing(execution_id)
        right = before.price if price is None else price
        after = msgspec.structs.replace(
            before, price=right + (by or ZERO), quantity=before.quantity if quantity is None else quantity, fees=None
        )
        if after.price <= 0 or after.quantity <= 0:
            raise invalid("price and qty must be > 0")
        if (after.price, after.quantity) == (before.price, before.quantity):
            raise unprocessable("execution parameters are not changed")
        return self._change(found, before, after, at)

    def _standing(self, execution_id: str) -> tuple[Activity, Traded]:
        for activity in self._log.latest():
            traded = activity.traded
            if traded is None:
                continue
            if traded.instead_of == execution_id:
                raise unprocessable(f"execution {execution_id} has been corrected or broken already")
            if traded.execution_id == execution_id and traded.quantity:
                return activity, traded
        raise not_found(f"execution not found for {execution_id}")

    def _change(self, found: Activity, before: Traded, after: Traded, at: datetime) -> VenueOrder:
        order = self._blotter.get(found.order_id or "")
        filled = order.filled_qty - before.quantity + after.quantity
        if order.qty is not None and filled > order.qty:
            raise unprocessable(f"qty {after.quantity} is more than order {order.id} asked for")
        since = self._day_of(found, before)
        after = msgspec.structs.replace(after, execution_id=self._blotter.new_uuid(), instead_of=before.execution_id)
        order.filled_qty = filled
        order.filled_value += after.quantity * after.price - before.quantity * before.price
        after = self._move_money(order, before, after, at)
        if order.status is OrderStatus.PARTIALLY_FILLED and not filled:
            order.move_to(OrderStatus.NEW, at)
        order.updated_at = at
        self._blotter.keep_change(order)
        self._tell(order, found, before, after, at, since)
        self._floor.cancel_misfits(order.symbol, at)
        return order

    def _move_money(self, order: VenueOrder, before: Traded, after: Traded, at: datetime) -> Traded:
        """Move cash, what is unsettled, and fees; return the execution with the fees that are now charged for it."""
        account = self._state.account
        proceeds = -before.sign * (after.quantity * after.price - before.quantity * before.price)
        account.cash += proceeds
        if before.sign < 0 and before.settles in account.unsettled:
            account.unsettled[before.settles] += proceeds
        if before.fees is not None:
            account.fees.include(before.fees, times=-1)
        if not after.quantity or not self._settings.fees:
            return after
        return msgspec.structs.replace(after, fees=self._floor.charge(order, after.quantity, after.price, at))

    def _tell(self, order: VenueOrder, found: Activity, before: Traded, after: Traded, at: datetime, since: date) -> None:
        is_bust = not after.quantity
        event = "trade_bust" if is_bust else "trade_correct"
        quantity = -before.quantity if is_bust else after.quantity
        row = {"type": event, "qty": number_string(quantity), "previous_id": found.id}
        self._log.add_execution(order, after, at, correction=row)
        _put(self._state.account.positions, order.symbol, self._worked_out(order.symbol, since))
        self._blotter.executed(
            order,
            after,
            self._state.account.quantity(order.symbol),
            at,
            event=event,
            quantity=quantity,
            reason="TRADE_BUST" if is_bust else None,
        )

    # --- the position ---

    def _day_of(self, found: Activity, before: Traded) -> date:
        """Return the day of an execution. Raises the 422 of one that is no longer known well enough to be changed."""
        day = self._original_day(found)
        if day not in [opening.on for opening in self._state.account.openings]:
            raise unprocessable(f"execution {before.execution_id} has settled and cannot be changed any more")
        for activity in self._log.latest():
            if activity is found:
                break
            is_stock_dividend = activity.type == "DIV" and "per_share_amount" not in activity.row
            if (activity.type in _SHARES_CHANGED or is_stock_dividend) and activity.row.get("symbol") == before.symbol:
                raise unprocessable(f"the issuer has changed the shares of execution {before.execution_id}; it cannot be changed any more")
        return day

    def _original_day(self, activity: Activity) -> date:
        """Return the day of the execution that a row is of, or corrects."""
        rows = {row.traded.execution_id: row for row in self._log.latest() if row.traded is not None}
        while activity.traded is not None and activity.traded.instead_of is not None:
            activity = rows[activity.traded.instead_of]
        return activity.at.astimezone(NEW_YORK).date()

    def _worked_out(self, symbol: str, since: date) -> Position | None:
        """Return the position of a symbol, worked out anew from the opening of that day on; later openings are put right."""
        held: Position | None = None
        for opening in self._state.account.openings:
            if opening.on < since:
                continue
            if opening.on == since:
                found = opening.positions.get(symbol)
                held = None if found is None else found.copy()
            else:
                if held is not None:
                    held.carry()
                _put(opening.positions, symbol, None if held is None else held.copy())
            held = _replayed(held, symbol, self._executions(symbol, opening.on))
        return held

    def _executions(self, symbol: str, on: date) -> Iterator[Traded]:
        """Yield the executions of a symbol and day as they stand, in the order in which they were made."""
        newer: dict[str, Traded] = {}
        standing: list[Traded] = []
        for activity in self._log.latest():
            traded = activity.traded
            if activity.at.astimezone(NEW_YORK).date() < on:
                break
            if traded is None or traded.symbol != symbol:
                continue
            now = newer.get(traded.execution_id, traded)
            if traded.instead_of is not None:
                newer[traded.instead_of] = now
            elif activity.at.astimezone(NEW_YORK).date() == on:
                standing.append(now)
        return (traded for traded in reversed(standing) if traded.quantity)


def _put(positions: dict[str, Position], symbol: str, held: Position | None) -> None:
    if held is None:
        positions.pop(symbol, None)
    else:
        positions[symbol] = held


def _replayed(held: Position | None, symbol: str, executions: Iterator[Traded]) -> Position | None:
    """Return the position after some executions."""
    aside = Account(id="", number="", cash=ZERO, last_equity=ZERO, positions={} if held is None else {symbol: held})
    for traded in executions:
        aside.exchange_shares(symbol, traded.sign * traded.quantity, traded.price)
    return aside.positions.get(symbol)
