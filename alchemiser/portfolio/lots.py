"""The book of one strategy: lots bought and not yet sold, cash that flowed, profit realised. Exact, first in first out.

Values and pure transitions: :meth:`Book.after` returns a new book and leaves the old one as it was. A lot of less than nothing is of shares
that are owed: they were sold, and then the market took back the purchase they came from. The next purchase returns them first.
"""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal

import msgspec

from alchemiser.domain.money import ZERO


class Trade(msgspec.Struct, frozen=True, kw_only=True):
    """One strategy's part of an execution or a crossing: signed shares, dollars per share, and when shares changed hands."""

    execution_id: str
    quantity: Decimal
    price: Decimal
    at: datetime


class Lot(msgspec.Struct, frozen=True, kw_only=True):
    """Shares of one symbol bought in one execution and still held; ``price`` in dollars per share. Negative when they are owed."""

    symbol: str
    quantity: Decimal
    price: Decimal
    opened_at: datetime
    execution_id: str


Lots = tuple[Lot, ...]


def traded(symbol: str, lots: Lots, trade: Trade) -> tuple[Lots, Decimal]:
    """Return the lots after a trade and the profit it realised: it closes the oldest lots of the other sign, the rest is a new lot."""
    left, realised = trade.quantity, ZERO
    kept = list(lots)
    if lots and (lots[0].quantity > 0) != (left > 0):  # All lots of a symbol have one sign.
        kept = []
        for lot in lots:
            closed = min(lot.quantity, -left) if lot.quantity > 0 else max(lot.quantity, -left)
            left += closed
            realised += closed * (trade.price - lot.price)
            if closed != lot.quantity:
                kept.append(msgspec.structs.replace(lot, quantity=lot.quantity - closed))
    if left:
        kept.append(Lot(symbol=symbol, quantity=left, price=trade.price, opened_at=trade.at, execution_id=trade.execution_id))
    return tuple(kept), realised


def traded_all(symbol: str, lots: Lots, trades: Iterable[Trade]) -> tuple[Lots, Decimal]:
    """Return the lots after some trades, in that order, and the profit that they realised together."""
    realised = ZERO
    for trade in trades:
        lots, earned = traded(symbol, lots, trade)
        realised += earned
    return lots, realised


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

    def after(self, symbol: str, trade: Trade) -> "Book":
        """Return the book after a trade."""
        lots, realised = traded(symbol, self.lots.get(symbol, ()), trade)
        return self.changed(symbol, lots, realised=realised, cash=-trade.quantity * trade.price)

    def changed(self, symbol: str, lots: Lots, *, realised: Decimal, cash: Decimal) -> "Book":
        """Return the book with these lots of a symbol, and with so much more realised and flowed, in dollars."""
        by_symbol = {**self.lots, symbol: lots}
        if not lots:
            del by_symbol[symbol]
        return msgspec.structs.replace(self, lots=by_symbol, cash_flow=self.cash_flow + cash, realised=self.realised + realised)

    def unrealised(self, prices: dict[str, Decimal]) -> Decimal:
        """Return the profit not yet realised at these prices; a symbol without a price counts at cost."""
        total = ZERO
        for symbol in self.lots:
            if symbol in prices:
                total += self.quantity(symbol) * prices[symbol] - self.cost(symbol)
        return total
