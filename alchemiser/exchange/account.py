"""The account behind the exchange: cash, positions and what they are worth. Exact arithmetic, no orders, no clock.

Promises: an execution moves cash by exactly quantity times price; a position never goes through zero in one execution; a position
of zero shares does not exist. Average entry prices follow the venue: weighted during the day, first in first out from the next day on.
"""

from collections.abc import Callable, Mapping
from decimal import ROUND_CEILING, ROUND_HALF_EVEN, Decimal
from typing import Final

import msgspec

from alchemiser.domain.errors import InvariantBroken
from alchemiser.domain.money import CENT, ZERO
from alchemiser.exchange.assets import AssetRecord

_ENTRY_PRICE_QUANTUM: Final = Decimal("0.000000000001")
_LOW_PRICE: Final = Decimal("2.50")
_SHORT_LOW_PRICE: Final = Decimal(5)
_SHORT_PERCENT: Final = Decimal(30)
_LIMITED_MARGIN_EQUITY: Final = Decimal(2000)

SEC_RATE: Final = Decimal("0.0000206")
TAF_RATE: Final = Decimal("0.000195")
TAF_MOST: Final = Decimal("9.79")
CAT_RATE: Final = Decimal("0.000003")


class Lot(msgspec.Struct):
    """Shares bought (or sold short) in one execution; the quantity has the sign of the position."""

    quantity: Decimal
    price: Decimal
    is_carried: bool = False


class Position(msgspec.Struct):
    """The net position in one symbol: signed shares, the entry price that the venue shows, and the lots in order of time."""

    symbol: str
    quantity: Decimal
    average_entry_price: Decimal
    lots: list[Lot]

    @property
    def cost_basis(self) -> Decimal:
        """Signed shares times entry price."""
        return self.quantity * self.average_entry_price


class Configuration(msgspec.Struct):
    """What the account's owner has chosen (section 8.2)."""

    fractional_trading: bool = True
    no_shorting: bool = False
    suspend_trade: bool = False
    ptp_no_exception_entry: bool = False
    disable_overnight_trading: bool = False
    max_margin_multiplier: str = "4"
    max_options_trading_level: int = 0
    trade_confirm_email: str = "all"


class FeesOfDay(msgspec.Struct):
    """Fees of one trading day before they are rounded up and posted (section 9.5)."""

    sec: Decimal = ZERO
    taf: Decimal = ZERO
    cat: Decimal = ZERO

    def add(self, sign: int, quantity: Decimal, price: Decimal) -> None:
        """Charge one execution."""
        self.cat += quantity * CAT_RATE
        if sign < 0:
            self.sec += quantity * price * SEC_RATE
            self.taf += min(quantity * TAF_RATE, TAF_MOST)

    def rounded(self) -> dict[str, Decimal]:
        """Return each fee that is due, by name, rounded up to the cent."""
        sums = {"SEC": self.sec, "TAF": self.taf, "CAT": self.cat}
        return {name: amount.quantize(CENT, rounding=ROUND_CEILING) for name, amount in sums.items() if amount > 0}


class Account(msgspec.Struct, kw_only=True):
    """Cash and positions. ``last_equity`` and ``last_maintenance_margin`` are of the previous session's close."""

    id: str
    number: str
    cash: Decimal
    last_equity: Decimal
    last_maintenance_margin: Decimal = ZERO
    close_equity: Decimal | None = None
    close_maintenance_margin: Decimal = ZERO
    positions: dict[str, Position] = {}
    configuration: Configuration = msgspec.field(default_factory=Configuration)
    fees: FeesOfDay = msgspec.field(default_factory=FeesOfDay)

    def quantity(self, symbol: str) -> Decimal:
        """Return the signed shares held."""
        position = self.positions.get(symbol)
        return ZERO if position is None else position.quantity

    def book(self, symbol: str, sign: int, quantity: Decimal, price: Decimal) -> Decimal:
        """Book one execution and return the signed position after it. Raises ``InvariantBroken`` if it would go through zero."""
        self.cash -= sign * quantity * price
        change = sign * quantity
        position = self.positions.get(symbol)
        if position is None:
            lot = Lot(quantity=change, price=price)
            self.positions[symbol] = Position(symbol=symbol, quantity=change, average_entry_price=price, lots=[lot])
            return change
        after = position.quantity + change
        if after * position.quantity < 0:
            raise InvariantBroken(f"an execution of {change} would take {position.quantity} shares of {symbol} through zero")
        if change * position.quantity > 0:
            value = position.cost_basis + change * price
            position.average_entry_price = (value / after).quantize(_ENTRY_PRICE_QUANTUM, rounding=ROUND_HALF_EVEN)
            position.lots.append(Lot(quantity=change, price=price))
        else:
            _consume(position.lots, quantity)
        position.quantity = after
        if after == 0:
            del self.positions[symbol]
        return after

    def roll_day(self) -> None:
        """Begin a trading day: the last close becomes yesterday's, all lots are carried ones, entry prices become first in first out."""
        if self.close_equity is not None:
            self.last_equity = self.close_equity
            self.last_maintenance_margin = self.close_maintenance_margin
        for position in self.positions.values():
            value = sum((lot.quantity * lot.price for lot in position.lots), ZERO)
            position.average_entry_price = (value / position.quantity).quantize(_ENTRY_PRICE_QUANTUM, rounding=ROUND_HALF_EVEN)
            for lot in position.lots:
                lot.is_carried = True


class Valuation(msgspec.Struct, frozen=True, kw_only=True):
    """What an account is worth at one moment. ``exposure`` counts what cannot be margined ``multiplier`` times."""

    cash: Decimal
    long_value: Decimal
    short_value: Decimal
    initial_margin: Decimal
    maintenance_margin: Decimal
    multiplier: int
    exposure: Decimal

    @property
    def equity(self) -> Decimal:
        """Cash plus the value of all positions, short ones counting negative."""
        return self.cash + self.long_value + self.short_value

    @property
    def regt_buying_power(self) -> Decimal:
        """Buying power under Regulation T."""
        return max(self.equity - self.initial_margin, ZERO) * 2

    @property
    def buying_power(self) -> Decimal:
        """What may be spent before open orders are counted: cash without a loan, else ``multiplier`` times equity less the exposure."""
        return max(self.cash if self.multiplier == 1 else self.multiplier * self.equity - self.exposure, ZERO)


def margin_weight(asset: AssetRecord, multiplier: int) -> int:
    """Return how many dollars of buying power one dollar of the asset uses: without margin nothing is lent on it."""
    return 1 if asset.marginable else multiplier


def effective_multiplier(equity: Decimal, *, offered: str, chosen: str, is_regular_session: bool) -> int:
    """Return the leverage in force: 1 below 2,000 dollars, four only inside the regular session, never more than the owner chose."""
    if equity < _LIMITED_MARGIN_EQUITY:
        return 1
    most = min(int(offered), int(chosen))
    return most if is_regular_session else min(most, 2)


def maintenance_margin(asset: AssetRecord, quantity: Decimal, price: Decimal) -> Decimal:
    """Return the maintenance margin of a position (section 9.2)."""
    shares = abs(quantity)
    if quantity < 0:
        percent = _SHORT_PERCENT if price >= _SHORT_LOW_PRICE else Decimal(100)
        floor = _SHORT_LOW_PRICE if price >= _SHORT_LOW_PRICE else _LOW_PRICE
        return shares * max(floor, price * percent / 100)
    if not asset.marginable or price < _LOW_PRICE:
        return shares * price
    return shares * price * asset.maintenance_percent / 100


def value_account(
    account: Account, *, assets: Mapping[str, AssetRecord], price_of: Callable[[str], Decimal], offered: str, is_regular_session: bool
) -> Valuation:
    """Value the account at the prices that ``price_of`` gives."""
    long_value = short_value = initial = maintenance = unmarginable = ZERO
    for symbol, position in account.positions.items():
        price = price_of(symbol)
        value = position.quantity * price
        long_value += max(value, ZERO)
        short_value += min(value, ZERO)
        initial += abs(value) / 2 if assets[symbol].marginable else abs(value)
        unmarginable += ZERO if assets[symbol].marginable else abs(value)
        maintenance += maintenance_margin(assets[symbol], position.quantity, price)
    multiplier = effective_multiplier(
        account.cash + long_value + short_value,
        offered=offered,
        chosen=account.configuration.max_margin_multiplier,
        is_regular_session=is_regular_session,
    )
    gross = long_value - short_value
    return Valuation(
        cash=account.cash,
        long_value=long_value,
        short_value=short_value,
        initial_margin=initial,
        maintenance_margin=maintenance,
        multiplier=multiplier,
        exposure=gross + unmarginable * (multiplier - 1),
    )


def _consume(lots: list[Lot], quantity: Decimal) -> None:
    """Take shares from the oldest lots."""
    while quantity > 0:
        lot = lots[0]
        taken = min(abs(lot.quantity), quantity)
        quantity -= taken
        lot.quantity -= taken if lot.quantity > 0 else -taken
        if lot.quantity == 0:
            del lots[0]
