"""The pre-trade checks: each refusal is a named code with the numbers in its message. Pure.

An intent is checked when the plan is made, before anything of it can be sent, against the circumstances of that moment. The checks run in
the order of ``CHECKS``, and the first refusal counts. What an order must pass again when its price is known, the collar around the quote,
the orders of a session and the submit gate, is looked at by the execution room each time.

``docs/checks.md`` is made of this table.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

import msgspec

from alchemiser.domain.account import Asset
from alchemiser.domain.errors import OrderDenied
from alchemiser.domain.intents import Intent
from alchemiser.domain.money import ZERO
from alchemiser.domain.orders import BUY, SELL, Side
from alchemiser.domain.trading import TradingScopes

CLOSING_MINIMUM = Decimal(1)
"""A position may be closed down to the venue's smallest order of one dollar, whatever the smallest trade is."""

ALLOWANCE_TOLERANCE = Decimal("0.001")
"""A strategy may go beyond its capital by this share of it: prices move between the plan's steps of rounding."""

_MOST_OF_CAPITAL = 1 + ALLOWANCE_TOLERANCE


class DenialCode(StrEnum):
    """Every reason for which our own checks refuse a wanted change."""

    ACCOUNT_BLOCKED = "account_blocked"
    TRADING_STATE = "trading_state"
    OUTSIDE_SESSION = "outside_session"
    AFTER_CUT_OFF = "after_cut_off"
    UNKNOWN_SYMBOL = "unknown_symbol"
    NOT_TRADABLE = "not_tradable"
    NOT_FRACTIONABLE = "not_fractionable"
    NO_PRICE = "no_price"
    STALE_DATA = "stale_data"
    PRICE_COLLAR = "price_collar"
    HALTED = "halted"
    PARKED = "parked"
    DUPLICATE_INTENT = "duplicate_intent"
    WASH_TRADE = "wash_trade"
    EXCEEDS_HOLDINGS = "exceeds_holdings"
    HELD_FOR_ORDERS = "held_for_orders"
    BELOW_MINIMUM = "below_minimum"
    ORDER_NOTIONAL = "order_notional"
    DAILY_NOTIONAL = "daily_notional"
    POSITION_WEIGHT = "position_weight"
    BUYING_POWER = "buying_power"
    STRATEGY_ALLOWANCE = "strategy_allowance"
    ORDERS_PER_DAY = "orders_per_day"


class RiskLimits(msgspec.Struct, frozen=True, kw_only=True):
    """The limits of the account; amounts in dollars, weights as shares of equity, ``None`` for no limit."""

    minimum_notional: Decimal = Decimal(5)
    maximum_order_notional: Decimal | None = None
    maximum_daily_notional: Decimal | None = None
    maximum_position_weight: Decimal | None = None
    maximum_orders_per_day: int | None = None
    price_collar_bps: Decimal | None = None


class Circumstances(msgspec.Struct, frozen=True):
    """What an intent is checked against. A part that is ``None`` is not known, and its checks are passed.

    ``held`` are the shares of our ledger, ``free`` what the broker would let us sell; ``fresh`` the symbols whose price is of this moment,
    ``mids`` the mids of usable quotes; ``parked`` the symbols of which nothing may be sent, with the reason; ``open_sides`` the sides of
    orders that are open; ``traded_today`` dollars bought and sold in the session. ``buying_power`` counts what could be sold first.
    ``shares`` are the strategies' shares of the equity, ``books`` what each holds. ``closes_at`` is the cut-off of the running session.
    ``trading`` are the restrictions of the account and of strategies.
    """

    at: datetime
    held: Mapping[str, Decimal]
    free: Mapping[str, Decimal] | None = None
    assets: Mapping[str, Asset] | None = None
    fresh: frozenset[str] | None = None
    mids: Mapping[str, Decimal] = {}
    halted: frozenset[str] = frozenset()
    parked: Mapping[str, str] = {}
    open_sides: Mapping[str, frozenset[Side]] = {}
    account_blocks: tuple[str, ...] = ()
    buying_power: Decimal | None = None
    traded_today: Decimal = ZERO
    orders_today: int = 0
    shares: Mapping[str, Decimal] | None = None
    books: Mapping[str, Mapping[str, Decimal]] = {}
    is_in_session: bool = True
    closes_at: datetime | None = None
    trading: TradingScopes = msgspec.field(default_factory=TradingScopes)

    @property
    def is_calm(self) -> bool:
        """Whether nothing is the matter: the session runs, nothing is restricted, parked or halted, and no order is open."""
        unrest = self.account_blocks or self.trading.by_scope or self.halted or self.parked or self.open_sides
        return not unrest and self.is_in_session and (self.closes_at is None or self.at < self.closes_at)


class Question(msgspec.Struct, frozen=True):
    """One intent, the circumstances, the limits, and the equity in dollars that weights are shares of.

    What most checks ask for is worked out once: ``notional`` are the dollars that would be traded at the price of the decision, ``asset``
    is what the broker says of the symbol, when it was asked.
    """

    intent: Intent
    now: Circumstances
    limits: RiskLimits
    equity: Decimal
    symbol: str
    is_buy: bool
    notional: Decimal
    asset: Asset | None


class PreTradeCheck(msgspec.Struct, frozen=True):
    """One check: its code, what it is about, and the function that returns the refusal in words or ``None``.

    ``side`` is the only one of which it refuses anything, ``limit`` the one of the limits without which it refuses nothing; nor does it in
    calm circumstances when it is ``of_unrest``, nor of a symbol that the broker trades in fractions when it is ``of_asset``.
    """

    code: DenialCode
    about: str
    refuses: Callable[[Question], str | None]
    side: Side | None = None
    limit: str | None = None
    of_unrest: bool = False
    of_asset: bool = False


def _account_blocked(ask: Question) -> str | None:
    blocks = ask.now.account_blocks
    return f"the account may not trade: {', '.join(blocks)}" if blocks else None


def _trading_state(ask: Question) -> str | None:
    return ask.now.trading.denies(ask.intent.side, (wish.strategy for wish in ask.intent.wishes))


def _outside_session(ask: Question) -> str | None:
    return None if ask.now.is_in_session else f"the exchange is closed at {ask.now.at:%Y-%m-%d %H:%M} UTC"


def _after_cut_off(ask: Question) -> str | None:
    end = ask.now.closes_at
    return f"the cut-off of {end:%H:%M:%S} UTC has passed" if end is not None and ask.now.at >= end else None


def _unknown_symbol(ask: Question) -> str | None:
    unknown = ask.now.assets is not None and ask.asset is None
    return f"the broker does not know {ask.symbol}" if unknown else None


def _not_tradable(ask: Question) -> str | None:
    return f"the broker does not trade {ask.symbol}" if ask.asset is not None and not ask.asset.is_tradable else None


def _not_fractionable(ask: Question) -> str | None:
    if ask.asset is None or ask.asset.is_fractionable or ask.intent.quantity == ask.intent.quantity.to_integral_value():
        return None
    return f"{ask.intent.quantity} {ask.symbol} is no whole number, and the broker trades no fractions of it"


def _stale_data(ask: Question) -> str | None:
    if not ask.is_buy or ask.now.fresh is None or ask.symbol in ask.now.fresh:
        return None
    return f"{ask.symbol} has neither a usable quote nor a price of this decision; it may be sold, not bought"


def _price_collar(ask: Question) -> str | None:
    mid, collar, price = ask.now.mids.get(ask.symbol), ask.limits.price_collar_bps, ask.intent.reference_price
    if mid is None or collar is None or abs(price - mid) <= mid * collar / 10_000:
        return None
    return f"{ask.symbol} was decided at {price}, the mid is {mid}: further apart than {collar} basis points"


def _halted(ask: Question) -> str | None:
    return f"{ask.symbol} is halted" if ask.symbol in ask.now.halted else None


def _parked(ask: Question) -> str | None:
    reason = ask.now.parked.get(ask.symbol)
    return None if reason is None else f"{ask.symbol} is parked: {reason}"


def _duplicate_intent(ask: Question) -> str | None:
    is_open = ask.intent.side in ask.now.open_sides.get(ask.symbol, ())
    return f"an order to {ask.intent.side.value} {ask.symbol} is open already" if is_open else None


def _wash_trade(ask: Question) -> str | None:
    other = SELL if ask.is_buy else BUY
    is_open = other in ask.now.open_sides.get(ask.symbol, ())
    return f"an order to {other.value} {ask.symbol} is open: the two could trade with each other" if is_open else None


def _exceeds_holdings(ask: Question) -> str | None:
    held = ask.now.held.get(ask.symbol, ZERO)
    if ask.is_buy or ask.intent.quantity <= held:
        return None
    return f"{ask.intent.quantity} {ask.symbol} were to be sold, {held} are held"


def _held_for_orders(ask: Question) -> str | None:
    if ask.is_buy or ask.now.free is None:
        return None
    free = ask.now.free.get(ask.symbol, ZERO)
    if ask.intent.quantity <= free:
        return None
    return f"{ask.intent.quantity} {ask.symbol} were to be sold, the broker has {free} free of other orders"


def _below_minimum(ask: Question) -> str | None:
    least = ask.limits.minimum_notional
    if ask.notional >= least:
        return None
    closes = not ask.is_buy and ask.intent.quantity == ask.now.held.get(ask.symbol, ZERO)
    if closes and ask.notional >= CLOSING_MINIMUM:
        return None
    return f"{ask.symbol} for {ask.notional:.2f} is below the smallest trade of {least}"


def _order_notional(ask: Question) -> str | None:
    most = ask.limits.maximum_order_notional
    if most is None or ask.notional <= most:
        return None
    return f"{ask.symbol} for {ask.notional:.2f} is above the largest order of {most}"


def _daily_notional(ask: Question) -> str | None:
    most, already = ask.limits.maximum_daily_notional, ask.now.traded_today
    # What lowers risk is never stopped for having traded much.
    if not ask.is_buy or most is None or already + ask.notional <= most:
        return None
    return f"{ask.symbol} for {ask.notional:.2f} after {already:.2f} in this session is above the {most} of a day"


def _position_weight(ask: Question) -> str | None:
    most = ask.limits.maximum_position_weight
    if not ask.is_buy or most is None:
        return None
    value = (ask.now.held.get(ask.symbol, ZERO) + ask.intent.quantity) * ask.intent.reference_price
    if value <= most * ask.equity:
        return None
    return f"{ask.symbol} would be worth {value:.2f}, above {most} of the equity of {ask.equity:.2f}"


def _buying_power(ask: Question) -> str | None:
    power = ask.now.buying_power
    if not ask.is_buy or power is None or ask.notional <= power:
        return None
    return f"{ask.symbol} for {ask.notional:.2f} is above the buying power of {power:.2f}, what could be sold first included"


def _strategy_allowance(ask: Question) -> str | None:
    intent, now = ask.intent, ask.now
    if not ask.is_buy or now.shares is None:
        return None
    for wish in intent.wishes:
        name = wish.strategy
        held = now.books.get(name, {}).get(ask.symbol, ZERO)
        capital, value = now.shares.get(name, ZERO) * ask.equity, (held + wish.quantity) * intent.reference_price
        if value > capital * _MOST_OF_CAPITAL:
            return f"{name} would hold {ask.symbol} for {value:.2f}, its capital is {capital:.2f}"
    return None


def _orders_per_day(ask: Question) -> str | None:
    most = ask.limits.maximum_orders_per_day
    if not ask.is_buy or most is None or ask.now.orders_today < most:
        return None
    return f"{ask.now.orders_today} orders were sent in this session, the limit is {most}; nothing more is bought"


CHECKS: tuple[PreTradeCheck, ...] = (
    PreTradeCheck(DenialCode.ACCOUNT_BLOCKED, "No flag of the account forbids trading.", _account_blocked, of_unrest=True),
    PreTradeCheck(
        DenialCode.TRADING_STATE,
        "Trading is not halted; nothing is bought while it is reducing, nor for a strategy that may not trade.",
        _trading_state,
        of_unrest=True,
    ),
    PreTradeCheck(DenialCode.OUTSIDE_SESSION, "The exchange is open.", _outside_session, of_unrest=True),
    PreTradeCheck(DenialCode.AFTER_CUT_OFF, "The cut-off of the session has not passed.", _after_cut_off, of_unrest=True),
    PreTradeCheck(DenialCode.UNKNOWN_SYMBOL, "The broker knows the symbol.", _unknown_symbol, of_asset=True),
    PreTradeCheck(DenialCode.NOT_TRADABLE, "The broker trades the symbol.", _not_tradable, of_asset=True),
    PreTradeCheck(DenialCode.NOT_FRACTIONABLE, "Fractions are wanted only where the broker trades them.", _not_fractionable, of_asset=True),
    PreTradeCheck(DenialCode.STALE_DATA, "What is bought has a price of this moment.", _stale_data, BUY),
    PreTradeCheck(DenialCode.PRICE_COLLAR, "The price of the decision is near the quote.", _price_collar, limit="price_collar_bps"),
    PreTradeCheck(DenialCode.HALTED, "The symbol is not halted.", _halted, of_unrest=True),
    PreTradeCheck(DenialCode.PARKED, "The symbol is not parked by a reconciliation.", _parked, of_unrest=True),
    PreTradeCheck(DenialCode.DUPLICATE_INTENT, "No order on the same side of the symbol is open.", _duplicate_intent, of_unrest=True),
    PreTradeCheck(DenialCode.WASH_TRADE, "No order on the other side of the symbol is open.", _wash_trade, of_unrest=True),
    PreTradeCheck(DenialCode.EXCEEDS_HOLDINGS, "Only what the ledger holds is sold.", _exceeds_holdings, SELL),
    PreTradeCheck(DenialCode.HELD_FOR_ORDERS, "Only what the broker has free of other orders is sold.", _held_for_orders, SELL),
    PreTradeCheck(DenialCode.BELOW_MINIMUM, "The trade is not too small; a whole position may be closed from a dollar.", _below_minimum),
    PreTradeCheck(DenialCode.ORDER_NOTIONAL, "The order is not too large.", _order_notional, limit="maximum_order_notional"),
    PreTradeCheck(
        DenialCode.DAILY_NOTIONAL,
        "The session has not traded too much for another buy.",
        _daily_notional,
        BUY,
        limit="maximum_daily_notional",
    ),
    PreTradeCheck(
        DenialCode.POSITION_WEIGHT,
        "The position does not become too large a share of the equity.",
        _position_weight,
        BUY,
        limit="maximum_position_weight",
    ),
    PreTradeCheck(DenialCode.BUYING_POWER, "The broker would let the account buy this much.", _buying_power, BUY),
    PreTradeCheck(DenialCode.STRATEGY_ALLOWANCE, "No strategy puts more than its capital into a symbol.", _strategy_allowance, BUY),
    PreTradeCheck(
        DenialCode.ORDERS_PER_DAY,
        "The session has not seen too many orders for another buy.",
        _orders_per_day,
        BUY,
        limit="maximum_orders_per_day",
    ),
)
"""Every check that runs on an intent, in this order. ``no_price`` is found earlier: without a price there is no intent."""

Checks = Mapping[tuple[Side, bool], Sequence[tuple[DenialCode, Callable[[Question], str | None]]]]
"""The checks by side, and by whether the broker trades fractions of the symbol, each in their order: its code, and what refuses."""

ALL_CHECKS: Checks = {(side, is_plain): [(check.code, check.refuses) for check in CHECKS] for side in Side for is_plain in (False, True)}


def checks_by(limits: RiskLimits) -> dict[bool, Checks]:
    """Return the checks that can refuse anything by these limits: in calm circumstances, when most cannot, and in others."""
    asked = [check for check in CHECKS if check.limit is None or getattr(limits, check.limit) is not None]

    def chosen(*, side: Side, is_plain: bool, is_calm: bool) -> list[tuple[DenialCode, Callable[[Question], str | None]]]:
        kept = [check for check in asked if check.side in (None, side)]
        kept = [check for check in kept if not (is_calm and check.of_unrest) and not (is_plain and check.of_asset)]
        return [(check.code, check.refuses) for check in kept]

    return {
        is_calm: {(side, is_plain): chosen(side=side, is_plain=is_plain, is_calm=is_calm) for side, is_plain in ALL_CHECKS}
        for is_calm in (False, True)
    }


def check_intent(
    intent: Intent, equity: Decimal, now: Circumstances, limits: RiskLimits, checks: Checks = ALL_CHECKS
) -> OrderDenied | None:
    """Return why an intent may not be sent, by the first check that refuses it, or ``None``.

    ``checks`` are those of :func:`checks_by` for such circumstances, where many intents are asked about in the same ones.
    """
    symbol, side, assets = intent.symbol, intent.side, now.assets
    asset = None if assets is None else assets.get(symbol)
    asked = Question(intent, now, limits, equity, symbol, side is BUY, intent.quantity * intent.reference_price, asset)
    is_plain = asset is not None and asset.is_tradable and asset.is_fractionable
    for code, refuses in checks[side, is_plain]:
        refusal = refuses(asked)
        if refusal is not None:
            return OrderDenied(code, f"{refusal}; nothing of it is sent")
    return None


def checks_as_markdown() -> str:
    """Return the page ``docs/checks.md``."""
    rows = "".join(f"| {place} | `{check.code.value}` | {check.about} |\n" for place, check in enumerate(CHECKS, 1))
    return (
        "# Pre-trade checks\n\n"
        "Made from `alchemiser/risk/checks.py`; do not edit.\n\n"
        "Every wanted change passes these checks when the plan is made, in this order. The first that refuses gives its code to the\n"
        "denial, with the numbers in words; the rest of the plan goes on. A change without any price is denied with `no_price` before.\n\n"
        "| # | Code | What must hold |\n|---|---|---|\n" + rows
    )
