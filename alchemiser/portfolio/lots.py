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

    def unrealised(self, prices: dict[str, Decimal]) -> Decimal:
        """Return the profit not yet realised at these prices; a symbol without a price counts at cost."""
        total = ZERO
        for symbol in self.lots:
            if symbol in prices:
                total += self.quantity(symbol) * prices[symbol] - self.cost(symbol)
        return total
