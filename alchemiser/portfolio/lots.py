"""The book of one strategy: lots bought and not yet sold, cash that flowed, profit realised. Exact, first in first out.

Values and pure transitions: :meth:`Book.apply` returns a new book and leaves the old one as it was.
"""

from datetime import datetime
from decimal import Decimal

import msgspec

from alchemiser.domain.errors import InvariantBroken
from alchemiser.domain.money import ZERO


class Lot(msgspec.Struct, frozen=True, kw_only=True):
    """Shares of one symbol bought in one execution and still held; ``price`` in dollars per share."""

    symbol: str
    quantity: Decimal
    price: Decimal
    opened_at: datetime
    execution_id: str


class Book(msgspec.Struct, frozen=True, kw_only=True):
    """What one strategy holds and has earned.

    ``lots`` maps a symbol to its lots, oldest first; ``cash_flow`` is the sum of what its sells brought and its buys took, in dollars.
    """

    lots: dict[str, tuple[Lot, ...]] = {}
    cash_flow: Decimal = ZERO
    realised: Decimal = ZERO

    def quantity(self, symbol: str) -> Decimal:
        """Return the shares of a symbol in this book."""
        return sum((lot.quantity for lot in self.lots.get(symbol, ())), ZERO)

    def holdings(self) -> dict[str, Decimal]:
        """Return the shares of every symbol in this book, by symbol in order."""
        return {symbol: self.quantity(symbol) for symbol in sorted(self.lots)}

    def cost(self, symbol: str) -> Decimal:
        """Return what the shares of a symbol cost, in dollars."""
        return sum((lot.quantity * lot.price for lot in self.lots.get(symbol, ())), ZERO)

    def buy(self, symbol: str, quantity: Decimal, price: Decimal, *, at: datetime, execution_id: str) -> "Book":
        """Return the book after a purchase."""
        lot = Lot(symbol=symbol, quantity=quantity, price=price, opened_at=at, execution_id=execution_id)
        lots = {**self.lots, symbol: (*self.lots.get(symbol, ()), lot)}
        return msgspec.structs.replace(self, lots=lots, cash_flow=self.cash_flow - quantity * price)

    def sell(self, symbol: str, quantity: Decimal, price: Decimal) -> tuple["Book", Decimal]:
        """Return the book after a sale and the profit it realised.

        Raises ``InvariantBroken`` when the book does not hold that many shares: selling what a strategy does not own is never booked.
        """
        left, realised = quantity, ZERO
        kept: list[Lot] = []
        for lot in self.lots.get(symbol, ()):
            taken = min(left, lot.quantity)
            left -= taken
            realised += taken * (price - lot.price)
            if taken < lot.quantity:
                kept.append(msgspec.structs.replace(lot, quantity=lot.quantity - taken))
        if left:
            held = self.quantity(symbol)
            raise InvariantBroken(f"a sale of {quantity} {symbol} was to be booked where only {held} are held; the daemon stops")
        lots = {**self.lots, symbol: tuple(kept)}
        if not kept:
            del lots[symbol]
        flow = self.cash_flow + quantity * price
        return msgspec.structs.replace(self, lots=lots, cash_flow=flow, realised=self.realised + realised), realised

    def first(self, symbol: str, quantity: Decimal) -> tuple[Lot, ...]:
        """Return the lots, or parts of lots, that a sale of so many shares takes."""
        taken: list[Lot] = []
        left = quantity
        for lot in self.lots.get(symbol, ()):
            part = min(left, lot.quantity)
            if part > 0:
                taken.append(msgspec.structs.replace(lot, quantity=part))
            left -= part
        return tuple(taken)

    def without_purchase(self, symbol: str, quantity: Decimal, price: Decimal, execution_id: str) -> "Book":
        """Return the book as if that purchase had not been made.

        Its own lots go first. What has been sold of them by now was sold from the next lots, and earned what those cost. Shares that the
        book does not hold any more cannot be given back: they stay booked, and the comparison with the broker names them.
        """
        own = [lot for lot in self.lots.get(symbol, ()) if lot.execution_id == execution_id]
        others = [lot for lot in self.lots.get(symbol, ()) if lot.execution_id != execution_id]
        left, realised, kept = quantity, ZERO, dict[int, Lot]()
        for lot in (*own, *others):
            taken = min(left, lot.quantity)
            left -= taken
            realised += taken * (price - lot.price)
            if taken < lot.quantity:
                kept[id(lot)] = msgspec.structs.replace(lot, quantity=lot.quantity - taken)
        lots = {**self.lots, symbol: tuple(kept[id(lot)] for lot in self.lots.get(symbol, ()) if id(lot) in kept)}
        if not lots[symbol]:
            del lots[symbol]
        flow = self.cash_flow + (quantity - left) * price
        return msgspec.structs.replace(self, lots=lots, cash_flow=flow, realised=self.realised + realised)

    def without_sale(self, symbol: str, taken: tuple[Lot, ...], price: Decimal) -> "Book":
        """Return the book as if the sale that took these lots had not been made: they are its oldest again."""
        quantity = sum((lot.quantity for lot in taken), ZERO)
        realised = sum((lot.quantity * (price - lot.price) for lot in taken), ZERO)
        lots = {**self.lots, symbol: (*taken, *self.lots.get(symbol, ()))}
        flow = self.cash_flow - quantity * price
        return msgspec.structs.replace(self, lots=lots, cash_flow=flow, realised=self.realised - realised)

    def unrealised(self, prices: dict[str, Decimal]) -> Decimal:
        """Return the profit not yet realised at these prices; a symbol without a price counts at cost."""
        total = ZERO
        for symbol in self.lots:
            if symbol in prices:
                total += self.quantity(symbol) * prices[symbol] - self.cost(symbol)
        return total
