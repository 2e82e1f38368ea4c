"""The pre-trade checks: each refusal is a named code with the numbers in its message. Pure.

An intent is checked once, when the plan is made, before anything of it can be sent.
"""

from collections.abc import Callable
from decimal import Decimal
from enum import StrEnum

import msgspec

from alchemiser.domain.errors import OrderDenied
from alchemiser.domain.intents import Intent
from alchemiser.domain.orders import Side


class DenialCode(StrEnum):
    """Every reason for which our own checks refuse a wanted change."""

    UNKNOWN_SYMBOL = "unknown_symbol"
    NOT_TRADABLE = "not_tradable"
    NO_PRICE = "no_price"
    HALTED = "halted"
    PARKED = "parked"
    BELOW_MINIMUM = "below_minimum"
    EXCEEDS_HOLDINGS = "exceeds_holdings"
    ORDER_NOTIONAL = "order_notional"
    POSITION_WEIGHT = "position_weight"


class RiskLimits(msgspec.Struct, frozen=True, kw_only=True):
    """The limits of the account; amounts in dollars, weights as shares of equity, ``None`` for no limit."""

    minimum_notional: Decimal = Decimal(5)
    maximum_order_notional: Decimal | None = None
    maximum_position_weight: Decimal | None = None


def check_intent(
    intent: Intent,
    equity: Decimal,
    *,
    limits: RiskLimits,
    held: Callable[[str], Decimal],
    is_halted: Callable[[str], bool],
    why_parked: Callable[[str], str | None] = lambda symbol: None,
) -> OrderDenied | None:
    """Return why an intent may not be sent, or ``None``.

    ``held`` gives the shares our ledger holds of a symbol, ``why_parked`` says why nothing of a symbol may be sent.
    """
    symbol, notional = intent.symbol, intent.quantity * intent.reference_price
    if is_halted(symbol):
        return OrderDenied(DenialCode.HALTED, f"{symbol} is halted; nothing of it is sent")
    if (parked := why_parked(symbol)) is not None:
        return OrderDenied(DenialCode.PARKED, f"{parked}; nothing of it is sent")
    if intent.side is Side.SELL and intent.quantity > held(symbol):
        return OrderDenied(DenialCode.EXCEEDS_HOLDINGS, f"{intent.quantity} {symbol} were to be sold, {held(symbol)} are held")
    closes = intent.side is Side.SELL and intent.quantity == held(symbol)
    if notional < limits.minimum_notional and not (closes and notional >= 1):
        return OrderDenied(
            DenialCode.BELOW_MINIMUM, f"{symbol} for {notional:.2f} is below the smallest trade of {limits.minimum_notional}"
        )
    if limits.maximum_order_notional is not None and notional > limits.maximum_order_notional:
        return OrderDenied(
            DenialCode.ORDER_NOTIONAL, f"{symbol} for {notional:.2f} is above the largest order of {limits.maximum_order_notional}"
        )
    position = (held(symbol) + intent.quantity) * intent.reference_price
    most = limits.maximum_position_weight
    if intent.side is Side.BUY and most is not None and position > most * equity:
        return OrderDenied(
            DenialCode.POSITION_WEIGHT, f"{symbol} would be worth {position:.2f}, above {most} of the equity of {equity:.2f}"
        )
    return None
