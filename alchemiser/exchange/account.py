"""The account behind the exchange: cash, positions and what they are worth. Exact arithmetic, no orders, no clock.

Promises: an execution moves cash by exactly quantity times price, or by whole cents where that is chosen, and then the cash is never more
than half a cent from the exact sum; a position never goes through zero in one execution; a position of zero shares does not exist. Average
entry prices follow the venue: weighted during the day, first in first out from the next day on.
"""

from datetime import date
from decimal import ROUND_HALF_EVEN, Context, Decimal, Inexact
from typing import Final

import msgspec

from alchemiser.domain.errors import InvariantBroken
from alchemiser.domain.money import ZERO, to_cents, truncate_shares
from alchemiser.exchange.charges import FeesOfDay, Interest
from alchemiser.exchange.margin_calls import MarginRecord

_ENTRY_PRICE_QUANTUM: Final = Decimal("0.000000000001")
_to_entry_price: Final = Context(rounding=ROUND_HALF_EVEN).quantize  # By place, and without looking for the context of the thread.
_EXACT: Final = Context(prec=200, traps=[Inexact])
"""What the lots cost is never rounded on the way; this has room for any sum of the numbers that are accepted."""


class Lot(msgspec.Struct, frozen=True, gc=False):
    """Shares bought (or sold short) in one execution; the quantity has the sign of the position."""

    quantity: Decimal
    price: Decimal
    is_carried: bool = False


class Position(msgspec.Struct):
    """The net position in one symbol: signed shares, the entry price that the venue shows, and the lots in order of time.

    ``lots_cost`` is what the lots cost together, to the last digit; ``None`` where nobody has asked for it since shares came without a
    trade. A position that is added to every day has hundreds of lots, and every day asks what they cost.
    """

    symbol: str
    quantity: Decimal
    average_entry_price: Decimal
    lots: list[Lot]
    lots_cost: Decimal | None = None

    @property
    def cost_basis(self) -> Decimal:
        """Signed shares times entry price."""
        return self.quantity * self.average_entry_price

    def copy(self) -> "Position":
        """Return a position of its own, with the same lots."""
        return Position(self.symbol, self.quantity, self.average_entry_price, self.lots.copy(), self.lots_cost)

    def carry(self) -> None:
        """Begin a day: every lot is one of an earlier day, and the entry price the average of those that are left."""
        lots = self.lots
        place = len(lots) - 1
        while place >= 0 and not (lot := lots[place]).is_carried:  # What the day has added is behind what it began with.
            lots[place] = Lot(lot.quantity, lot.price, True)
            place -= 1
        if self.lots_cost is None:
            cost = ZERO
            for lot in lots:
                cost = _EXACT.fma(lot.quantity, lot.price, cost)
            self.lots_cost = cost
        self.average_entry_price = _to_entry_price(self.lots_cost / self.quantity, _ENTRY_PRICE_QUANTUM)

    def consume(self, change: Decimal) -> None:
        """Take shares from the oldest lots, to whose sign that of the change is opposite."""
        lots, cost, is_long = self.lots, self.lots_cost, change < ZERO
        while change:
            lot = lots[0]
            left = lot.quantity + change
            if left and (left > ZERO) == is_long:
                lots[0] = Lot(left, lot.price, lot.is_carried)
                taken, change = change, ZERO
            else:
                del lots[0]
                taken, change = -lot.quantity, left
            if cost is not None:
                cost = _EXACT.fma(taken, lot.price, cost)
        self.lots_cost = cost

    def split(self, new: Decimal, old: Decimal, *, is_whole: bool) -> Decimal:
        """Turn every ``old`` shares into ``new`` ones at the same cost, when a day begins.

        Return the signed fraction of a share that cannot be held.
        """
        exact = self.quantity * new / old
        after = truncate_shares(exact, whole=is_whole)
        left, lots = after, []
        for lot in reversed(self.lots):
            # The oldest lot takes up what rounding leaves, so that the lots add up to the position.
            share = min(truncate_shares(abs(lot.quantity) * new / old), abs(left))
            quantity = left if lot is self.lots[0] else share.copy_sign(left)
            left -= quantity
            price = _to_entry_price(lot.price * old / new, _ENTRY_PRICE_QUANTUM)
            lots.append(Lot(quantity=quantity, price=price, is_carried=lot.is_carried))
        self.lots = [lot for lot in reversed(lots) if lot.quantity]
        self.lots_cost = None
        self.quantity = after
        if after:
            self.carry()
        return exact - after


class Opening(msgspec.Struct):
    """The positions with which a trading day began, after what issuers did to them over night."""

    on: date
    positions: dict[str, Position] = {}


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


class Account(msgspec.Struct, kw_only=True):
    """Cash and positions. ``last_equity`` and ``last_maintenance_margin`` are of the previous session's close.

    ``unsettled`` is what sales have brought and the clearing has not paid out, by the date on which it does. ``openings`` are the last two:
    as long as a trade has not settled it can still be broken, and the position is then worked out anew. ``below_cents`` is what an account
    that ``is_in_cents`` still owes for its executions, half a cent at most; negative, what it is owed.
    """

    id: str
    number: str
    cash: Decimal
    last_equity: Decimal
    last_maintenance_margin: Decimal = ZERO
    close_equity: Decimal | None = None
    close_maintenance_margin: Decimal = ZERO
    positions: dict[str, Position] = {}
    openings: list[Opening] = []
    configuration: Configuration = msgspec.field(default_factory=Configuration)
    fees: FeesOfDay = msgspec.field(default_factory=FeesOfDay)
    interest: Interest = msgspec.field(default_factory=Interest)
    margin: MarginRecord = msgspec.field(default_factory=MarginRecord)
    unsettled: dict[date, Decimal] = {}
    is_in_cents: bool = False
    below_cents: Decimal = ZERO
    is_blocked: bool = False
    is_trading_blocked: bool = False
    is_transfer_blocked: bool = False

    @property
    def settled_cash(self) -> Decimal:
        """Cash without the proceeds of sales that have not settled."""
        return self.cash - sum(self.unsettled.values(), ZERO)

    def quantity(self, symbol: str) -> Decimal:
        """Return the signed shares held."""
        position = self.positions.get(symbol)
        return ZERO if position is None else position.quantity

    def book(self, symbol: str, sign: int, quantity: Decimal, price: Decimal, settles: date | None = None) -> Decimal:
        """Book one execution and return the signed position after it. Raises ``InvariantBroken`` if it would go through zero."""
        worth = quantity * price
        value = self._whole_cents(sign, worth) if self.is_in_cents else worth
        if sign > 0:
            change = quantity
            self.cash -= value
        else:
            change, worth = -quantity, -worth
            self.cash += value
            if settles is not None:
                self.unsettled[settles] = self.unsettled.get(settles, ZERO) + value
        position = self.positions.get(symbol)
        if position is None:
            self.positions[symbol] = Position(symbol, change, price, [Lot(change, price)])
            return change
        held = position.quantity
        after, is_long = held + change, held > ZERO
        if is_long == (sign > 0):
            cost = held * position.average_entry_price + worth
            position.average_entry_price = _to_entry_price(cost / after, _ENTRY_PRICE_QUANTUM)
            position.lots.append(Lot(change, price))
            if position.lots_cost is not None:
                position.lots_cost = _EXACT.fma(change, price, position.lots_cost)
        elif not after:
            del self.positions[symbol]
            return after
        elif (after > ZERO) == is_long:
            position.consume(change)
        else:
            raise InvariantBroken(f"an execution of {change} would take {held} shares of {symbol} through zero")
        position.quantity = after
        return after

    def _whole_cents(self, sign: int, value: Decimal) -> Decimal:
        """Return what an execution moves the cash by; what rounding leaves is carried into the next, so that errors do not add up."""
        owed = sign * value + self.below_cents
        moved = to_cents(owed)
        self.below_cents = owed - moved
        return sign * moved

    def deliver(self, symbol: str, change: Decimal, price: Decimal, *, is_carried: bool = False) -> None:
        """Put shares into the account, or take them out of it, without a trade: no cash moves. They may turn a position around."""
        cash = self.cash
        self.exchange_shares(symbol, change, price)
        self.cash = cash
        position = self.positions.get(symbol)
        if is_carried and position is not None:
            lot = position.lots[-1]
            position.lots[-1] = Lot(lot.quantity, lot.price, is_carried=True)

    def exchange_shares(self, symbol: str, change: Decimal, price: Decimal) -> None:
        """Book signed shares without a settlement; they may turn a position around."""
        held = self.quantity(symbol)
        sign = 1 if change > 0 else -1
        closing = min(abs(change), abs(held)) if held * change < 0 else ZERO
        for part in (closing, abs(change) - closing):
            if part:
                self.book(symbol, sign, part, price)

    def keep_opening(self, on: date) -> None:
        """Remember with which positions a trading day begins; call it when issuers are done."""
        positions = {}
        for symbol, held in self.positions.items():
            positions[symbol] = held.copy()
        self.openings = [*self.openings[-1:], Opening(on, positions)]

    def roll_day(self, on: date) -> None:
        """Begin a trading day: proceeds settle, the close becomes yesterday's, all lots are carried, entry prices first in first out."""
        for settles in list(self.unsettled):
            if settles <= on:
                del self.unsettled[settles]
        if self.close_equity is not None:
            self.last_equity = self.close_equity
            self.last_maintenance_margin = self.close_maintenance_margin
        for position in self.positions.values():
            position.carry()
