"""What a strategy wants and what a rebalance makes of it: targets, intents, denials, crossings."""

from decimal import Decimal

import msgspec

from alchemiser.domain.orders import Side


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """How many shares of an intent one strategy asked for; positive, in the direction of the intent."""

    strategy: str
    quantity: Decimal


class Intent(msgspec.Struct, frozen=True, kw_only=True):
    """One wanted change of one symbol in a rebalance.

    ``intent_id`` is unique within the rebalance. ``reference_price`` is the arrival price: the mid, in dollars, when the decision was made.
    ``drift`` is the share of equity that the change corrects, positive; buys with the largest go first. The wishes add up to the quantity.
    """

    intent_id: str
    symbol: str
    side: Side
    quantity: Decimal
    reference_price: Decimal
    drift: float
    wishes: tuple[Wish, ...]
    is_fractionable: bool = True


class Denial(msgspec.Struct, frozen=True, kw_only=True):
    """One wanted change that our own checks refused, with the code of the check and the numbers in words."""

    symbol: str
    side: Side
    quantity: Decimal
    code: str
    message: str


class Adjustment(msgspec.Struct, frozen=True, kw_only=True):
    """One change that a constraint made to what the strategies want, with the numbers in words.

    ``subject`` is a symbol, a group or the account; ``before`` and ``after`` are fractions: weights, turnover or volatility.
    """

    code: str
    subject: str
    before: float
    after: float
    message: str


class Crossing(msgspec.Struct, frozen=True, kw_only=True):
    """Shares that one strategy sold to another inside the account at the mid of the decision; nothing was sent."""

    symbol: str
    seller: str
    buyer: str
    quantity: Decimal
    price: Decimal


class IntentOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """How one intent ended: ``state`` is ``filled``, ``partial`` or ``unfilled``; slippage is against the arrival price.

    ``tactic`` is the one that worked it last; ``fell_because`` says why that is not the one that the settings name.
    """

    intent_id: str
    symbol: str
    side: Side
    quantity: Decimal
    filled_quantity: Decimal
    average_price: Decimal | None
    slippage_bps: float | None
    state: str
    reason: str | None = None
    attempts: int = 0
    tactic: str = ""
    fell_because: str | None = None
