"""Lots that were bought and sold again, a row for each part of a lot that a sale closed; and the purchases that wash sales look for. Pure.

They follow from the deeds of a book and are not remembered by it: whoever needs them reads them off the whole journal, where executions
that were taken back have gone and those that were corrected are right.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from decimal import Decimal

import msgspec

from alchemiser.domain.money import ZERO
from alchemiser.portfolio.lots import Deed, Lot, Lots, Reshaping, Trade, closing_order, done


class ClosedLot(msgspec.Struct, frozen=True, kw_only=True):
    """Shares of one lot that one sale closed: what they cost and what they brought, in dollars.

    ``lot`` is the execution that bought them, ``sale`` the one that sold them.
    """

    strategy: str
    symbol: str
    quantity: Decimal
    acquired_at: datetime
    sold_at: datetime
    proceeds: Decimal
    cost: Decimal
    lot: str
    sale: str

    @property
    def gain(self) -> Decimal:
        """What was earned, negative for a loss."""
        return self.proceeds - self.cost


class Purchase(msgspec.Struct, frozen=True, kw_only=True):
    """Shares that were bought."""

    strategy: str
    symbol: str
    quantity: Decimal
    at: datetime
    lot: str


def walked(strategy: str, symbol: str, before: Lots, deeds: Iterable[Deed]) -> Iterator[ClosedLot | Purchase]:
    """Yield what was bought and what was closed by some deeds, in their order."""
    lots = before
    for deed in deeds:
        if isinstance(deed, Trade):
            yield from _traded(strategy, symbol, lots, deed)
        elif deed.new == 0:
            yield from _gone(strategy, symbol, lots, deed)
        lots, _ = done(symbol, lots, deed)


def _traded(strategy: str, symbol: str, lots: Lots, trade: Trade) -> Iterator[ClosedLot | Purchase]:
    left = trade.quantity
    is_sale = left < 0
    for place in closing_order(lots, trade):
        lot = lots[place]
        if not left or (lot.quantity < 0) == is_sale:
            break
        closed = lot.quantity if abs(lot.quantity) <= abs(left) else -left
        left += closed
        yield _closed(strategy, symbol, lot, closed, trade)
    if left > 0:
        yield Purchase(strategy=strategy, symbol=symbol, quantity=left, at=trade.at, lot=trade.execution_id)


def _closed(strategy: str, symbol: str, lot: Lot, closed: Decimal, trade: Trade) -> ClosedLot:
    cost = lot.cost if closed == lot.quantity else closed * lot.price
    brought = closed * trade.price
    if closed < 0:  # Owed shares were bought back: the purchase came after the sale.
        return ClosedLot(
            strategy=strategy,
            symbol=symbol,
            quantity=-closed,
            acquired_at=trade.at,
            sold_at=lot.opened_at,
            proceeds=-cost,
            cost=-brought,
            lot=trade.execution_id,
            sale=lot.execution_id,
        )
    return ClosedLot(
        strategy=strategy,
        symbol=symbol,
        quantity=closed,
        acquired_at=lot.opened_at,
        sold_at=trade.at,
        proceeds=brought,
        cost=cost,
        lot=lot.execution_id,
        sale=trade.execution_id,
    )


def _gone(strategy: str, symbol: str, lots: Lots, deed: Reshaping) -> Iterator[ClosedLot]:
    """Yield the lots that an issuer closed; the last takes what cutting the cash to cents leaves."""
    held = sum((lot.quantity for lot in lots), ZERO)
    left = deed.cash
    for number, lot in enumerate(lots, start=1):
        part = left if number == len(lots) else (deed.cash * lot.quantity / held).quantize(Decimal("0.01"))
        left -= part
        yield ClosedLot(
            strategy=strategy,
            symbol=symbol,
            quantity=lot.quantity,
            acquired_at=lot.opened_at,
            sold_at=deed.at,
            proceeds=part,
            cost=lot.cost,
            lot=lot.execution_id,
            sale=deed.execution_id,
        )
