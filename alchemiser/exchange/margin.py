"""What the account is worth, what its positions must be backed with, and what it may therefore spend (sections 8.1 and 9.2). Pure."""

from collections.abc import Collection, Iterable, Mapping
from decimal import Decimal
from typing import Final

import msgspec

from alchemiser.domain.money import CENT, ZERO
from alchemiser.exchange.account import Account
from alchemiser.exchange.assets import AssetRecord
from alchemiser.exchange.settings import ExchangeSettings

_SHORT_LOW_PRICE: Final = Decimal(5)
_SHORT_LEAST: Final = Decimal("2.50")
_SHORT_PERCENT: Final = Decimal(30)
_LIMITED_MARGIN_EQUITY: Final = Decimal(2000)
_GROSS_CAP: Final = 6
_CONCENTRATION: Final = Decimal("0.70")
_CONCENTRATED_CASH: Final = Decimal(-100_000)
_CONCENTRATED_PERCENT: Final = Decimal(50)


Holding = tuple[str, Decimal, Decimal]
"""A symbol, the signed shares of it, and the price that they are valued at."""


class Valuation(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What an account is worth at one moment; ``unmarginable`` is the value of the positions on which nothing is lent.

    What its positions must be backed with is :func:`total_maintenance`, which hardly anybody asks for.

    ``equity`` is cash plus the value of all positions, short ones counting negative. ``buying_power`` is what may be spent before open
    orders are counted: cash without a loan, else a multiple of the equity less the exposure.
    """

    cash: Decimal
    equity: Decimal
    long_value: Decimal
    short_value: Decimal
    unmarginable: Decimal
    multiplier: int
    buying_power: Decimal

    @property
    def initial_margin(self) -> Decimal:
        """What the positions needed when they were opened: half their value, all of it where nothing is lent."""
        return (self.long_value - self.short_value + self.unmarginable) / 2

    @property
    def regt_buying_power(self) -> Decimal:
        """Buying power under Regulation T."""
        return max(self.equity - self.initial_margin, ZERO) * 2

    @property
    def is_over_gross_cap(self) -> bool:
        """Whether positions are worth more than six times the equity: then the venue only lets them be closed."""
        return self.long_value - self.short_value > _GROSS_CAP * max(self.equity, ZERO)


def margin_weight(asset: AssetRecord, multiplier: int) -> int:
    """Return how many dollars of buying power one dollar of the asset uses: without margin nothing is lent on it."""
    return 1 if asset.marginable else multiplier


def effective_multiplier(equity: Decimal, offered: str, chosen: str, is_regular_session: bool, is_frozen: bool = False) -> int:
    """Return the leverage in force: 1 below 2,000 dollars and after an unmet call, four only inside the regular session.

    It is never more than the owner chose.
    """
    if equity < _LIMITED_MARGIN_EQUITY or is_frozen:
        return 1
    most = int(offered if offered < chosen else chosen)  # Of one digit each.
    return most if is_regular_session or most < 2 else 2


def maintenance_margin(asset: AssetRecord, quantity: Decimal, price: Decimal, low_price: Decimal) -> Decimal:
    """Return the maintenance margin of a position (9.2) in an account that does not owe much."""
    return _backing(asset, quantity, price, quantity * price, low_price, asset.maintenance_percent)


def total_maintenance(
    holdings: Collection[Holding], cash: Decimal, assets: Mapping[str, AssetRecord], low_price: Decimal
) -> tuple[Decimal, Decimal]:
    """Return the worth and the maintenance margin of holdings beside that much cash.

    Who owes much and holds mostly one symbol needs half of its value.
    """
    owes_much = may_concentrate(cash)
    gross = sum((abs(quantity * price) for _, quantity, price in holdings), ZERO) if owes_much else ZERO
    worth = total = ZERO
    for symbol, quantity, price in holdings:
        asset, value = assets[symbol], quantity * price
        percent = asset.maintenance_percent
        if owes_much and value >= _CONCENTRATION * gross and percent < _CONCENTRATED_PERCENT:
            percent = _CONCENTRATED_PERCENT
        worth += value
        total += _backing(asset, quantity, price, value, low_price, percent)
    return worth, total


def may_concentrate(cash: Decimal) -> bool:
    """Whether an account with that much cash owes enough for its largest holding to need more margin."""
    return cash <= _CONCENTRATED_CASH


def value_account(
    account: Account,
    assets: Mapping[str, AssetRecord],
    holdings: Collection[Holding],
    settings: ExchangeSettings,
    is_regular_session: bool,
    is_frozen: bool = False,
) -> Valuation:
    """Value the account with its ``holdings``."""
    long_value = short_value = unmarginable = ZERO
    for symbol, quantity, price in holdings:
        value = quantity * price
        if value > ZERO:
            long_value += value
        else:
            short_value += value
        if not assets[symbol].marginable:
            unmarginable += abs(value)
    equity = account.cash + long_value + short_value
    most = account.configuration.max_margin_multiplier
    multiplier = effective_multiplier(equity, settings.multiplier, most, is_regular_session, is_frozen)
    if multiplier == 1:
        power = account.settled_cash if settings.settled_cash_only else account.cash
    elif multiplier == 4 and settings.intraday_power == "last_equity":
        # The legacy formula counts what was bought today only: carried positions are in the maintenance margin of the last close.
        power = 4 * (account.last_equity - account.last_maintenance_margin) - _bought_today(account, holdings)
    else:
        exposure = long_value - short_value
        if unmarginable:  # What cannot be margined counts ``multiplier`` times.
            exposure += unmarginable * (multiplier - 1)
        power = multiplier * equity - exposure
    return Valuation(
        cash=account.cash,
        equity=equity,
        long_value=long_value,
        short_value=short_value,
        unmarginable=unmarginable,
        multiplier=multiplier,
        buying_power=power if power > ZERO else ZERO,
    )


def _backing(asset: AssetRecord, quantity: Decimal, price: Decimal, value: Decimal, low_price: Decimal, percent: Decimal) -> Decimal:
    """Return the maintenance margin of a position; ``percent`` is that of the value of a long one."""
    if quantity < ZERO:
        is_low = price < _SHORT_LOW_PRICE
        return -quantity * max(_SHORT_LEAST if is_low else _SHORT_LOW_PRICE, price * (100 if is_low else _SHORT_PERCENT) / 100)
    return value * percent * CENT if asset.marginable and price >= low_price else value


def _bought_today(account: Account, holdings: Iterable[Holding]) -> Decimal:
    return sum(
        (abs(lot.quantity) * price for symbol, _, price in holdings for lot in account.positions[symbol].lots if not lot.is_carried),
        ZERO,
    )
