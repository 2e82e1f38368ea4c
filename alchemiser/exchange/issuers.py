"""Carries out corporate actions when their ex-date begins, and pays the dividends that are owed."""

from collections.abc import Iterable
from datetime import date, datetime
from decimal import Decimal
from typing import Final

from alchemiser.domain.money import CENT, ZERO, number_string, round_price_down, round_price_up, to_cents, truncate_shares
from alchemiser.exchange.activities import ActivityLog, other_activity
from alchemiser.exchange.blotter import Blotter
from alchemiser.exchange.floor import Floor
from alchemiser.exchange.issuer_actions import CorporateAction, Entitlement
from alchemiser.exchange.orders import OrderStatus, VenueOrder
from alchemiser.exchange.settings import ExchangeSettings
from alchemiser.exchange.snapshot import ExchangeState
from alchemiser.exchange.standing import Standing

_ROW_OF: Final = {"name_change": "NC", "cash_merger": "MA", "worthless_removal": "REORG"}


class Issuers:
    """The corporate actions of one exchange."""

    def __init__(
        self, state: ExchangeState, *, blotter: Blotter, standing: Standing, floor: Floor, log: ActivityLog, settings: ExchangeSettings
    ) -> None:
        self._state = state
        self._blotter = blotter
        self._standing = standing
        self._floor = floor
        self._log = log
        self._settings = settings

    def announce(self, actions: Iterable[CorporateAction], after: date) -> None:
        """Schedule actions with an ex-date later than ``after``; those known already and those of the past are left out."""
        known = {action.id for action in self._state.actions}
        self._state.actions += [action for action in actions if action.ex_date > after and action.id not in known]
        self._state.actions.sort(key=lambda action: (action.ex_date, action.symbol, action.id))

    def begin_day(self, on: date, at: datetime) -> None:
        """Carry out what takes effect on that day, then pay what is payable."""
        state = self._state
        while state.actions and state.actions[0].ex_date <= on:
            self._carry_out(state.actions.pop(0), on, at)
        for owed in list(state.entitlements):
            if owed.payable <= on:
                state.entitlements.remove(owed)
                self._pay(owed, on, at)

    def _carry_out(self, action: CorporateAction, on: date, at: datetime) -> None:
        match action.kind:
            case "split" | "stock_dividend":
                self._split(action, on, at)
            case "cash_dividend":
                self._go_ex(action, at)
            case "spin_off":
                self._spin_off(action, on, at)
            case _:
                self._take_away(action, on, at)
        for symbol in (action.symbol, action.new_symbol):
            if symbol is not None:
                self._floor.cancel_misfits(symbol, at)

    def _split(self, action: CorporateAction, on: date, at: datetime) -> None:
        symbol, ratio = action.symbol, action.ratio
        book = self._state.books[symbol]
        book.rescale(ratio)
        for order in self._blotter.open_of(symbol):
            if ratio < 1:
                self._cancel(order, at)
            elif _is_restatable(order):
                _resize(order, ratio)
                self._blotter.restate(order, at)
        position = self._state.account.positions.get(symbol)
        if position is None:
            return
        before = position.quantity
        is_whole = not self._standing.asset(symbol).fractionable
        left_over = position.split(action.new_rate, action.old_rate, is_whole=is_whole)
        cash = to_cents(left_over * self._standing.price_of(symbol))
        self._state.account.cash += cash
        kind = "SPLIT" if action.kind == "split" else "DIV"
        text = f"{symbol} {action.new_rate} for {action.old_rate}"
        sub_type = None if action.kind == "split" else "SDIV"
        self._row(kind, on, at, text, symbol=symbol, quantity=position.quantity - before, amount=cash, sub_type=sub_type)
        if position.quantity == 0:
            del self._state.account.positions[symbol]

    def _go_ex(self, action: CorporateAction, at: datetime) -> None:
        if not self._settings.dividends:
            return
        for order in self._blotter.open_of(action.symbol):
            if not _is_restatable(order) or (order.type == "limit") != (order.side == "buy"):
                continue
            if _reduce(order, action.cash):
                self._blotter.restate(order, at)
            else:
                self._cancel(order, at)
        quantity = self._state.account.quantity(action.symbol)
        if quantity:
            payable = action.payable_date or action.ex_date
            owed = Entitlement(
                action_id=action.id,
                symbol=action.symbol,
                quantity=quantity,
                per_share=action.cash,
                payable=payable,
                record_date=action.ex_date,
            )
            self._state.entitlements.append(owed)

    def _pay(self, owed: Entitlement, on: date, at: datetime) -> None:
        cash = to_cents(owed.quantity * owed.per_share)
        self._state.account.cash += cash
        recorded = "" if owed.record_date is None else f", Rec Date: {owed.record_date}"
        text = f"Cash DIV @ {owed.per_share:f}, Pos QTY: {number_string(owed.quantity)}{recorded}"
        self._row("DIV", on, at, text, symbol=owed.symbol, quantity=owed.quantity, amount=cash, per_share=owed.per_share, sub_type="CDIV")

    def _spin_off(self, action: CorporateAction, on: date, at: datetime) -> None:
        assert action.new_symbol is not None, f"spin-off {action.id} names no new symbol"
        shares = truncate_shares(self._state.account.quantity(action.symbol) * action.new_rate / action.old_rate)
        if shares:
            self._state.account.deliver(action.new_symbol, shares, ZERO)
            text = f"{action.new_symbol} spun off from {action.symbol}"
            self._row("SPIN", on, at, text, symbol=action.new_symbol, quantity=shares)

    def _take_away(self, action: CorporateAction, on: date, at: datetime) -> None:
        """Remove the shares of a symbol for a new name or for cash."""
        symbol, account = action.symbol, self._state.account
        for order in self._blotter.open_of(symbol):
            self._cancel(order, at)
        position = account.positions.pop(symbol, None)
        if position is None:
            return
        quantity, text = position.quantity, f"{symbol} {action.kind.replace('_', ' ')}"
        cash = to_cents(quantity * action.cash)
        account.cash += cash
        # Both rows of an exchange of shares are of one group, so that it can be told what became of which.
        group = None if action.new_symbol is None else action.id
        self._row(_ROW_OF[action.kind], on, at, text, symbol=symbol, quantity=-quantity, amount=cash, group_id=group)
        if action.new_symbol is not None:
            self._state.books[action.new_symbol].go_on_from(self._state.books[symbol])
            for lot in position.lots:
                account.deliver(action.new_symbol, lot.quantity, lot.price, is_carried=True)
            self._row(_ROW_OF[action.kind], on, at, text, symbol=action.new_symbol, quantity=quantity, group_id=group)

    def _cancel(self, order: VenueOrder, at: datetime) -> None:
        # An earlier order of its group may have taken it along.
        if order.is_open:
            self._floor.end(order, OrderStatus.CANCELED, at)

    def _row(
        self,
        kind: str,
        on: date,
        at: datetime,
        text: str,
        *,
        symbol: str,
        quantity: Decimal,
        amount: Decimal = ZERO,
        per_share: Decimal | None = None,
        sub_type: str | None = None,
        group_id: str | None = None,
    ) -> None:
        self._log.add(
            other_activity(
                kind,
                activity_uuid=self._blotter.new_uuid(),
                at=at,
                on=on,
                description=text,
                amount=amount,
                symbol=symbol,
                quantity=quantity,
                per_share=per_share,
                sub_type=sub_type,
                group_id=group_id,
            )
        )


def _is_restatable(order: VenueOrder) -> bool:
    return order.time_in_force == "gtc" and not order.order_class and order.type != "market"


def _resize(order: VenueOrder, ratio: Decimal) -> None:
    """Restate an order for a forward split: more shares at lower prices."""
    assert order.qty is not None, f"gtc order {order.id} has no quantity"
    order.qty = order.filled_qty + truncate_shares(order.leaves() * ratio, whole=True)
    order.hold_quantity = order.qty
    order.hold_price /= ratio
    round_price = round_price_down if order.side == "buy" else round_price_up
    for name in ("limit_price", "stop_price", "trail_price", "hwm"):
        price = getattr(order, name)
        if price is not None:
            setattr(order, name, round_price(price / ratio))


def _reduce(order: VenueOrder, cash: Decimal) -> bool:
    """Restate a buy limit or a sell stop for a dividend; ``False`` when nothing is left of its price."""
    for name in ("limit_price", "stop_price", "hwm"):
        price = getattr(order, name)
        if price is not None:
            setattr(order, name, round_price_down(price - cash))
            if price - cash < CENT:
                return False
    return True
