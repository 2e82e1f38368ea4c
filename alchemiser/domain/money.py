"""Exact money: ``Decimal`` prices and quantities, the venue's tick rule, and the border to floats.

Prices of orders, quantities and cash are ``Decimal``; quotes and indicators are floats. A float enters this side only through
:func:`from_float`, so that the border can be searched for.
"""

from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_FLOOR, ROUND_HALF_EVEN, Context, Decimal
from functools import lru_cache

from msgspec.json import Decoder, encode

ZERO = Decimal(0)
ONE = Decimal(1)
CENT = Decimal("0.01")
SUB_CENT = Decimal("0.0001")
SHARE_QUANTUM = Decimal("0.000000001")
"""The venue's finest share quantity: nine decimals, more are cut off."""

_float_of = Decoder(float).decode
_QUANTA = tuple(ONE.scaleb(-decimals) for decimals in range(20))

# The methods of a context take what they need by place and look for no context of the thread: half of what the same of a number costs.
_NEAREST, _DOWN = Context(rounding=ROUND_HALF_EVEN), Context(rounding=ROUND_DOWN)
_exactly, _to_nearest, _cut = _NEAREST.create_decimal, _NEAREST.quantize, _DOWN.quantize


def from_float(value: float, decimals: int = 6) -> Decimal:
    """Return the decimal number that ``value`` prints as, rounded half-even to ``decimals`` places.

    Raises ``decimal.InvalidOperation`` for what is no finite number.
    """
    # The encoder prints the digits of ``repr``, several times as fast.
    return _to_nearest(_exactly(encode(value).decode()), _QUANTA[decimals])


def printed(value: float) -> Decimal:
    """Return the decimal number that a finite ``value`` prints as, with all of its digits."""
    return _exactly(encode(value).decode())


def to_float(value: Decimal) -> float:
    """Return the float nearest to a finite number, the very one that ``float`` returns."""
    # The decoder reads the digits several times as fast; only the sign of a plain zero it does not see.
    return _float_of(str(value)) if value else float(value)


@lru_cache(maxsize=1_024)
def fraction(value: float) -> Decimal:
    """Return a weight, or another fraction, to twelve decimals. The same few come again with every decision."""
    return from_float(value, 12)


def tick_of(price: Decimal) -> Decimal:
    """Return the smallest price step the venue accepts: a cent from one dollar up, a hundredth of a cent below."""
    return CENT if price >= ONE else SUB_CENT


def round_price_up(price: Decimal) -> Decimal:
    """Return the lowest acceptable order price that is not below ``price``."""
    return price.quantize(tick_of(price), rounding=ROUND_CEILING)


def round_price_down(price: Decimal) -> Decimal:
    """Return the highest acceptable order price that is not above ``price``."""
    return price.quantize(tick_of(price), rounding=ROUND_FLOOR)


def truncate_shares(quantity: Decimal, whole: bool = False) -> Decimal:
    """Cut a share quantity toward zero to the venue's nine decimals, or to whole shares."""
    return _cut(quantity, ONE if whole else SHARE_QUANTUM)


def to_cents(amount: Decimal) -> Decimal:
    """Round an amount of money half-even to cents."""
    return _to_nearest(amount, CENT)


def number_string(value: Decimal) -> str:
    """Return ``value`` the way the venue writes numbers: no exponent, no trailing zeros, ``0`` for zero."""
    text = f"{value:f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("", "-0", "-") else text
