"""Whether an order may enter: every check before an order object exists, in the venue's order (sections 2.2, 2.3, 3.8 and 9).

Promises: a refusal changes nothing; what is admitted is affordable and sells no more than is free. What happens afterwards is the
matter of ``floor``.
"""

from collections.abc import Collection
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Final

from alchemiser.domain.money import ZERO, truncate_shares
from alchemiser.exchange import rules
from alchemiser.exchange.account import Account
from alchemiser.exchange.assets import AssetRecord
from alchemiser.exchange.blotter import Blotter
from alchemiser.exchange.errors import forbidden, insufficient_buying_power, insufficient_quantity, invalid, unprocessable
from alchemiser.exchange.ids import uuid_text
from alchemiser.exchange.legs import check_exits, check_group, with_legs
from alchemiser.exchange.margin import Valuation, effective_multiplier
from alchemiser.exchange.matching import trail
from alchemiser.exchange.open_orders import OpenInSymbol
from alchemiser.exchange.orders import CLOSING, OrderStatus, TimeInForce, VenueOrder
from alchemiser.exchange.requests import OrderRequest, ReplaceRequest
from alchemiser.exchange.reservations import inferred_intent, reference_price, reserved_dollars, short_hold_price
from alchemiser.exchange.settings import ExchangeSettings
from alchemiser.exchange.snapshot import ExchangeState
from alchemiser.exchange.standing import Standing
from alchemiser.exchange.timeline import NEW_YORK, Timeline

_ACCEPTED: Final = OrderStatus.ACCEPTED

_NOT_REPLACEABLE: Final = {
    OrderStatus.ACCEPTED: "cannot replace order in accepted status",
    OrderStatus.PENDING_NEW: "unable to replace order, order isn't sent to exchange yet",
    OrderStatus.PENDING_REPLACE: "order chain not fully replaced",
    OrderStatus.REPLACED: "order already replaced",
}
_REPLACEABLE: Final = (OrderStatus.NEW, OrderStatus.PARTIALLY_FILLED, OrderStatus.HELD)


class Admission:
    """The door of one exchange. Orders it returns are not yet in the blotter."""

    def __init__(
        self,
        state: ExchangeState,
        *,
        blotter: Blotter,
        standing: Standing,
        timeline: Timeline,
        settings: ExchangeSettings,
        random: Random,
    ) -> None:
        self._state = state
        self._random = random
        self._blotter = blotter
        self._standing = standing
        self._timeline = timeline
        self._settings = settings

    def admit(self, request: OrderRequest, now: datetime, is_liquidation: bool = False) -> VenueOrder:
        """Return the order a request becomes, or raise the venue's refusal. A liquidation may be worth less than a dollar."""
        if request.client_order_id in self._blotter.by_client_id:
            raise invalid("client_order_id must be unique")
        asset = self._standing.asset_to_trade(request.symbol)
        account = self._state.account
        if account.is_blocked or account.is_trading_blocked or account.configuration.suspend_trade:
            raise forbidden(_why_blocked(account))
        # Of an order for shares at the market, in today's session, nothing in its terms can be wrong but a fraction.
        is_plain = request.type == "market" and request.time_in_force == "day" and request.notional is None and not request.extended_hours
        if not is_plain:
            self._check_terms(request, now)
        allows_fractions = is_liquidation or account.configuration.fractional_trading
        if not (is_plain and allows_fractions and asset.fractionable):
            rules.check_fractional(request, asset, allowed=allows_fractions)
        order = self._order_of(request, asset, now)
        if request.position_intent is not None and request.position_intent != order.position_intent:
            raise unprocessable(f"position intent mismatch, inferred: {order.position_intent}, specified: {request.position_intent}")
        if request.exits is not None:
            check_group(request, request.exits, order.position_intent, self._state.books[order.symbol].mark())
        worth, least = self._size_up(order), self._settings.smallest_order
        if worth is not None and worth < least and not is_liquidation:
            raise forbidden(f"cost basis must be >= minimal amount of order {least}")
        self._check_standing(order, asset, worth)
        if request.exits is not None:
            with_legs(order, request.exits, self._blotter.new_uuid)
        return order

    def admit_replacement(self, old: VenueOrder, request: ReplaceRequest, now: datetime, *, is_live: bool) -> VenueOrder:
        """Return the order that would take the place of ``old``, or raise the refusal. ``is_live``: the session lets ``old`` trade now."""
        self._check_replaceable(old, request, is_live=is_live)
        if request.client_order_id in self._blotter.by_client_id:
            raise invalid("client_order_id must be unique")
        new = self._successor(old, request, now)
        changed = [
            name for name in ("time_in_force", "limit_price", "stop_price", "trail_price", "trail_percent") if _differs(old, new, name)
        ]
        if not changed and request.qty in (None, old.qty):
            raise unprocessable("order parameters are not changed")
        rules.check_tick("limit_price", new.limit_price)
        if old.type != "trailing_stop":
            rules.check_tick("stop_price", new.stop_price)
        rules.check_tick("trail_price", new.trail_price)
        rules.check_time_in_force(new.type, new.time_in_force)
        if new.time_in_force != "day" and new.leaves() != new.leaves().to_integral_value():
            raise unprocessable("fractional orders must be DAY orders")
        group = self._blotter.group(old)
        if old.order_class:
            check_exits([new if order is old else order for order in group], self._state.books[old.symbol].mark())
        self._check_standing(new, self._standing.asset(new.symbol), self._size_up(new), excluding=group)
        return new

    def resized(self, old: VenueOrder, new: VenueOrder) -> bool:
        """Fit a replacement to what ``old`` filled while it was pending; ``False`` when nothing is left for it to do."""
        if new.is_total and new.qty is not None:
            left = new.qty - (old.filled_qty - new.filled_before)
            if left <= 0:
                return False
            new.qty, new.filled_before = left, old.filled_qty
            self._blotter.hold_anew(new)
        others = [order for order in self._blotter.group(old) if order is not new]
        return not new.is_closing or self._standing.free_shares(new.symbol, excluding=others) >= 0

    def _check_terms(self, request: OrderRequest, now: datetime) -> None:
        rules.check_ticks(request)
        rules.check_notional(request, self._settings)
        rules.check_time_in_force(request.type, request.time_in_force)
        rules.check_extended_hours(request, gtc_allowed=self._settings.extended_gtc)
        if request.time_in_force in ("opg", "cls"):
            self._check_window(request.time_in_force, now)

    def _check_window(self, time_in_force: TimeInForce, now: datetime) -> None:
        today = self._timeline.trading_day(now.astimezone(NEW_YORK).date())
        rules.check_window(time_in_force, today, now, cls_cut_off=timedelta(minutes=self._settings.cls_cut_off_minutes))

    def _order_of(self, request: OrderRequest, asset: AssetRecord, now: datetime) -> VenueOrder:
        good_for, expires_at = self._timeline.life_of_order(request.time_in_force, request.extended_hours, now)
        # What is asked for by its place: a call with more than fifteen names takes ten times as long.
        return VenueOrder(
            uuid_text(self._random.getrandbits(128)),
            request.client_order_id or self._blotter.new_uuid(),
            asset.asset_id,
            asset.symbol,
            request.side,
            request.type,
            request.time_in_force,
            inferred_intent(request.side, self._state.account.positions.get(asset.symbol)),
            request.qty,
            request.notional,
            request.limit_price,
            request.stop_price,
            request.trail_price,
            request.trail_percent,
            request.extended_hours,
            _ACCEPTED,
            now,
            now,
            now,
            expires_at=expires_at,
            good_for=good_for,
            order_class=request.order_class,
        )

    def _successor(self, old: VenueOrder, request: ReplaceRequest, now: datetime) -> VenueOrder:
        percent = request.trail if old.trail_percent is not None else None
        dollars = request.trail if old.trail_price is not None else None
        time_in_force = request.time_in_force or old.time_in_force
        good_for, expires_at = self._timeline.life_of_order(time_in_force, old.extended_hours, now)
        # A quantity that is asked for is the new total, so what is filled counts; one that is inherited is not reduced, as recorded
        # from the venue (Alpaca-API#165): whoever replaces a part-filled order without a quantity may buy too much.
        # The exits of one position never sell more than is left of it.
        quantity = old.qty if request.qty is None else request.qty - old.filled_qty
        is_total = request.qty is not None
        if old.qty is not None and not is_total and (self._settings.inherited_quantity == "leaves" or old.order_class):
            quantity, is_total = old.qty - old.filled_qty, True
        return VenueOrder(
            id=self._blotter.new_uuid(),
            client_order_id=request.client_order_id or self._blotter.new_uuid(),
            asset_id=old.asset_id,
            symbol=old.symbol,
            side=old.side,
            type=old.type,
            time_in_force=time_in_force,
            position_intent=old.position_intent,
            qty=quantity,
            notional=None,
            limit_price=request.limit_price or old.limit_price,
            stop_price=request.stop_price or old.stop_price,
            trail_price=dollars or old.trail_price,
            trail_percent=percent or old.trail_percent,
            extended_hours=old.extended_hours,
            hwm=old.hwm,
            status=OrderStatus.HELD if old.status is OrderStatus.HELD else OrderStatus.PENDING_NEW,
            created_at=now,
            submitted_at=now,
            updated_at=now,
            good_for=good_for,
            expires_at=expires_at,
            replaces=old.id,
            is_total=is_total,
            filled_before=old.filled_qty,
            order_class=old.order_class,
            parent_id=old.parent_id,
            is_dormant=old.is_dormant,
        )

    def _size_up(self, order: VenueOrder) -> Decimal | None:
        """Set what the order will hold, and return the dollars it is expected to be worth, ``None`` where nobody knows its price."""
        book = self._state.books[order.symbol]
        if order.type == "trailing_stop" and (mark := book.mark()) is not None:
            trail(order, mark)
        price = reference_price(order, book, self._state.phase)
        if price is None:
            order.hold_price = ZERO
            order.hold_quantity = order.qty if order.qty is not None else max(self._standing.free_shares(order.symbol), ZERO)
            return order.notional
        is_short = order.position_intent == "sell_to_open"
        order.hold_price = short_hold_price(order.limit_price, price, book) if is_short else price
        order.hold_quantity = order.qty if order.qty is not None else truncate_shares((order.notional or ZERO) / price)
        return order.hold_quantity * price if order.notional is None else order.notional

    def _check_standing(self, order: VenueOrder, asset: AssetRecord, worth: Decimal | None, excluding: Collection[VenueOrder] = ()) -> None:
        if order.is_dormant:
            return
        value, beside = None, self._blotter.open.by_symbol.get(order.symbol)
        if order.position_intent in CLOSING:
            self._check_free_shares(order, excluding)
        else:
            if not self._standing.is_paid_in_cash(order, worth or ZERO):
                value = self._standing.valuation()
            self._check_opening(order, asset, value, beside)
        # Only a refusal walks through the open orders, to name the oldest that stands in the way. Those that are left out are of the
        # same side as the order, or complex, so that none of them can.
        if beside is not None and beside.wash.might_meet(order):
            rules.check_wash_trade(order, beside.orders.values())
        lacking = None if value is None else self._standing.lacks_buying_power_for(order, value, excluding)
        if lacking is not None:
            raise insufficient_buying_power(lacking, reserved_dollars(order))

    def _check_opening(self, order: VenueOrder, asset: AssetRecord, value: Valuation | None, beside: OpenInSymbol | None) -> None:
        if rules.PTP_NO_EXCEPTION in asset.attributes and not self._state.account.configuration.ptp_no_exception_entry:
            raise forbidden(f'asset "{asset.symbol}" is a publicly traded partnership without exception')
        if order.position_intent == "sell_to_open" and value is not None:
            self._check_short(order, asset, value, beside)
        elif beside is not None and beside.intents.get("sell_to_open"):
            raise forbidden("cannot open a long buy while a short sell order is open")
        if value is not None and value.is_over_gross_cap:
            raise forbidden("gross position value exceeds 600% of equity: only closing orders are accepted")

    def _check_free_shares(self, order: VenueOrder, excluding: Collection[VenueOrder]) -> None:
        available, wanted = self._standing.free_shares(order.symbol, excluding), order.hold_quantity
        if wanted > available:
            others = [other for other in self._blotter.open_of(order.symbol) if other not in excluding]
            raise insufficient_quantity(
                order.symbol,
                requested=wanted,
                available=available,
                existing=self._state.account.quantity(order.symbol),
                held=self._standing.held_shares(order.symbol, excluding),
                related_orders=[other.id for other in others if other.is_closing],
            )

    def _check_short(self, order: VenueOrder, asset: AssetRecord, value: Valuation, beside: OpenInSymbol | None) -> None:
        if beside is not None and beside.intents.get("buy_to_open"):
            raise forbidden("cannot open a short sell while a long buy order is open")
        if order.qty is None or order.qty != order.qty.to_integral_value():
            raise unprocessable("fractional orders cannot be sold short")
        if not asset.shortable:
            raise unprocessable(f'asset "{asset.symbol}" cannot be sold short')
        if not asset.easy_to_borrow:
            # Hard-to-borrow shares need a locate, which is not to be had here.
            if order.time_in_force != "day":
                raise unprocessable(f"only day orders are allowed for hard-to-borrow asset {asset.symbol}")
            raise unprocessable(f'asset "{asset.symbol}" cannot be sold short')
        configuration = self._state.account.configuration
        multiplier = effective_multiplier(
            value.equity,
            offered=self._settings.multiplier,
            chosen=configuration.max_margin_multiplier,
            is_regular_session=False,
            is_frozen=self._standing.is_frozen(),
        )
        if not self._settings.shorting_enabled or configuration.no_shorting or multiplier == 1:
            raise forbidden("account is not allowed to short")

    def _check_replaceable(self, old: VenueOrder, request: ReplaceRequest, *, is_live: bool) -> None:
        if old.status not in _REPLACEABLE:
            raise unprocessable(_NOT_REPLACEABLE.get(old.status, "unable to replace order, order is not open"))
        if not is_live:
            raise unprocessable("unable to replace order, order isn't sent to exchange yet")
        if old.notional is not None:
            raise unprocessable("notional orders cannot be replaced")
        if old.order_class:
            self._check_group_change(old, request)
        if request.qty is not None and old.qty != request.qty and old.qty is not None and old.qty != old.qty.to_integral_value():
            raise unprocessable("qty of fractional orders cannot be replaced")
        if request.qty is not None and request.qty <= old.filled_qty:
            raise unprocessable("qty must be > filled_qty")
        if request.limit_price is not None and old.limit_price is None:
            raise unprocessable(f"limit_price is not allowed for {old.type} orders")
        if request.stop_price is not None and (old.stop_price is None or old.type == "trailing_stop"):
            raise unprocessable(f"stop_price is not allowed for {old.type} orders")
        if request.trail is not None and old.type != "trailing_stop":
            raise unprocessable(f"trail is not allowed for {old.type} orders")

    def _check_group_change(self, old: VenueOrder, request: ReplaceRequest) -> None:
        """Of a complex order only prices may change (3.9)."""
        if old.order_class == "oto" and not self._settings.oto_replaceable:
            raise unprocessable("oto orders cannot be replaced")
        for name in ("qty", "time_in_force"):
            if getattr(request, name) not in (None, getattr(old, name)):
                raise unprocessable(f"{name} of {old.order_class} orders cannot be replaced")


def _why_blocked(account: Account) -> str:
    if account.is_blocked:
        return "account is blocked"
    return "trading is blocked for this account" if account.is_trading_blocked else "new orders are rejected by user request"


def _differs(old: VenueOrder, new: VenueOrder, name: str) -> bool:
    return bool(getattr(old, name) != getattr(new, name))
