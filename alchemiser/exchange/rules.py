"""The venue's trading rules that need no account: ticks, times in force, fractions, windows, wash trades (sections 3.5 and 9).

Each check returns nothing or raises the ``ApiError`` that the venue gives. Where the reference leaves a question open the choice is named.
"""

from collections.abc import Iterable
from datetime import datetime, time, timedelta
from decimal import Decimal
from typing import Final, Protocol

from alchemiser.domain.money import tick_of
from alchemiser.exchange.assets import FRACTIONAL_EXTENDED_HOURS, AssetRecord
from alchemiser.exchange.errors import forbidden, unprocessable, wash_trade
from alchemiser.exchange.orders import OrderClass, OrderType, Side, TimeInForce, VenueOrder
from alchemiser.exchange.requests import OrderRequest
from alchemiser.exchange.settings import ExchangeSettings
from alchemiser.exchange.timeline import NEW_YORK, TradingDay

PTP_NO_EXCEPTION: Final = "ptp_no_exception"

_OPG_CUT_OFF: Final = timedelta(minutes=2)
_AUCTION_WINDOW_REOPENS: Final = time(19)


class Priced(Protocol):
    """What the wash-trade table looks at in an order, be it asked for or working."""

    @property
    def type(self) -> OrderType:
        """The order type."""

    @property
    def side(self) -> Side:
        """Which way shares move."""

    @property
    def order_class(self) -> OrderClass:
        """The class, empty for a simple order."""

    @property
    def limit_price(self) -> Decimal | None:
        """The limit, if the type has one."""


def check_tick(name: str, price: Decimal | None) -> None:
    """Refuse a price finer than the venue's tick."""
    if price is not None and price % tick_of(price) != 0:
        raise unprocessable(f"invalid {name} {price:f}. sub-penny increment does not fulfill minimum pricing criteria")


def check_ticks(request: OrderRequest) -> None:
    """Refuse limit, stop and trail prices finer than the tick."""
    if request.limit_price is not None:
        check_tick("limit_price", request.limit_price)
    if request.stop_price is not None:
        check_tick("stop_price", request.stop_price)
    if request.trail_price is not None:
        check_tick("trail_price", request.trail_price)


def check_notional(request: OrderRequest, settings: ExchangeSettings) -> None:
    """Refuse an amount that is too fine, or of a type that takes none."""
    if request.notional is None:
        return
    decimals = settings.notional_decimals
    if request.notional != round(request.notional, decimals):
        raise unprocessable(f"notional value must be limited to {decimals} decimal places")
    if request.type != "market" and not settings.notional_limit_orders:
        raise unprocessable("notional orders must be market orders")


def is_fractional(request: OrderRequest) -> bool:
    """Whether an order asks for less than whole shares; every notional order does."""
    return request.qty is None or request.qty != request.qty.to_integral_value()


def check_fractional(request: OrderRequest, asset: AssetRecord, *, allowed: bool) -> None:
    """Refuse a fractional order that the asset, the account or the type does not allow."""
    if not is_fractional(request):
        return
    if not asset.fractionable:
        raise forbidden(f'asset "{asset.symbol}" is not fractionable')
    if not allowed:
        raise forbidden("fractional trading is disabled for this account")
    if request.time_in_force != "day":
        raise unprocessable("fractional orders must be DAY orders")
    if request.type == "trailing_stop":
        raise unprocessable("fractional orders must be market, limit, stop, or stop_limit orders")
    if request.extended_hours and FRACTIONAL_EXTENDED_HOURS not in asset.attributes:
        raise unprocessable(f'asset "{asset.symbol}" does not support fractional orders in extended hours')


def check_time_in_force(kind: OrderType, time_in_force: TimeInForce) -> None:
    """Refuse a pair that the matrix of section 3.5 does not hold."""
    if kind in ("stop", "stop_limit", "trailing_stop") and time_in_force not in ("day", "gtc"):
        raise unprocessable(f"invalid time_in_force {time_in_force} for {kind} orders: only day and gtc are supported")


def check_extended_hours(request: OrderRequest, *, gtc_allowed: bool) -> None:
    """Refuse anything but a day limit order in extended hours; with ``gtc_allowed`` also gtc, as the 2026 specification has it."""
    times: tuple[TimeInForce, ...] = ("day", "gtc") if gtc_allowed else ("day",)
    if request.extended_hours and (request.type != "limit" or request.time_in_force not in times):
        raise unprocessable("extended hours order must be DAY limit orders")


def check_window(time_in_force: TimeInForce, today: TradingDay | None, now: datetime, *, cls_cut_off: timedelta) -> None:
    """Refuse an auction order between the cut-off of its auction and seven in the evening; days without a session have no window.

    ``cls_cut_off`` is how long before the close the closing auction takes no more orders; half days shift with their close (choice).
    """
    if today is None or time_in_force not in ("opg", "cls"):
        return
    if now.astimezone(NEW_YORK).time() >= _AUCTION_WINDOW_REOPENS:
        return
    cut_off = today.opens_at - _OPG_CUT_OFF if time_in_force == "opg" else today.closes_at - cls_cut_off
    if now >= cut_off:
        at = cut_off.astimezone(NEW_YORK)
        clock = f"{(at.hour - 1) % 12 + 1}:{at.minute:02d}{'am' if at.hour < 12 else 'pm'}"
        raise forbidden(f"{time_in_force} orders must be submitted after 7:00pm and before {clock}")


def check_wash_trade(new: Priced, others: Iterable[VenueOrder]) -> None:
    """Refuse an order that might trade with one of ``others``: open orders of the same symbol, of either side (section 9.3)."""
    if is_wash_exempt(new):
        return
    for other in others:
        if other.side == new.side or is_wash_exempt(other):
            continue
        if not (has_limit(new) and has_limit(other)):
            raise wash_trade(other.id, "opposite side market/stop order exists")
        buy, sell = (new.limit_price, other.limit_price) if new.side == "buy" else (other.limit_price, new.limit_price)
        assert buy is not None, f"limit order to buy {other.symbol} has no limit"
        assert sell is not None, f"limit order to sell {other.symbol} has no limit"
        if buy >= sell:
            raise wash_trade(other.id, "opposite side limit order exists")


def is_wash_exempt(order: Priced) -> bool:
    """Whether the wash-trade table leaves an order alone."""
    return order.type == "trailing_stop" or order.order_class != ""


def has_limit(order: Priced) -> bool:
    """Whether an order of that type has a limit."""
    return order.type in ("limit", "stop_limit")
