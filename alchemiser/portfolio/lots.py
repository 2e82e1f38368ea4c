"""The book of one strategy: lots bought and not yet sold, cash that flowed, profit realised. Exact.

Lots are values; what a trade or an issuer does to them is a pure function. A lot of less than nothing is of shares that are owed: they
were sold, and then the market took back the purchase they came from. The next purchase returns them first.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal
from functools import cached_property
from typing import Final

import msgspec

from alchemiser.domain.activities import FIFO, LotMethod
from alchemiser.domain.money import ONE, ZERO, truncate_shares

PRICE_QUANTUM: Final = Decimal("0.00000001")
"""Prices of lots whose cost does not divide by their shares; what this leaves of the cost is kept beside."""


class Trade(msgspec.Struct, frozen=True, kw_only=True, tag="trade"):
    """One strategy's part of an execution or a crossing: signed shares, dollars per share, and when shares changed hands.

    ``method`` says which lots a sale closes, ``picks`` those that a person named, by the executions that bought them.
    """

    execution_id: str
    quantity: Decimal
    price: Decimal
    at: datetime
    method: LotMethod = FIFO
    picks: tuple[str, ...] = ()


class Lot(msgspec.Struct, frozen=True, kw_only=True):
    """Shares of one symbol bought in one execution and still held; ``price`` in dollars per share. Negative when they are owed.

    ``rest`` is what of the cost the price does not hold, in dollars: a split may leave a price that never ends.
    """

    symbol: str
    quantity: Decimal
    price: Decimal
    opened_at: datetime
    execution_id: str
    rest: Decimal = ZERO

    @property
    def cost(self) -> Decimal:
        """What the shares cost, in dollars."""
        return self.quantity * self.price + self.rest

    def costing(self, quantity: Decimal, cost: Decimal, symbol: str | None = None) -> "Lot":
        """Return a lot of that many shares that cost so much, bought when and by what this one was."""
        price = (cost / quantity).quantize(PRICE_QUANTUM, rounding=ROUND_HALF_EVEN)
        return Lot(
            symbol=symbol or self.symbol,
            quantity=quantity,
            price=price,
            opened_at=self.opened_at,
            execution_id=self.execution_id,
            rest=cost - quantity * price,
        )


Lots = tuple[Lot, ...]

_NOTHING: Final = (ZERO, ZERO)
"""No shares, which cost nothing."""


class Reshaping(msgspec.Struct, frozen=True, kw_only=True, tag="reshaping"):
    """What an issuer did to the shares that a strategy held of one symbol, without a trade.

    Every ``old`` shares became ``new`` ones at the same cost; none are left of them when ``new`` is 0, and ``cash`` is what they brought.
    ``cost_moved`` is what of the cost went with shares of another symbol, in dollars. ``arrived`` are the lots that came.
    """

    execution_id: str
    at: datetime
    old: Decimal = ONE
    new: Decimal = ONE
    cash: Decimal = ZERO
    cost_moved: Decimal = ZERO
    arrived: Lots = ()


Deed = Trade | Reshaping


def done(symbol: str, lots: Lots, deed: Deed) -> tuple[Lots, Decimal]:
    """Return the lots after a trade or what an issuer did, and the profit that it realised in dollars."""
    return traded(symbol, lots, deed) if isinstance(deed, Trade) else reshaped(lots, deed)


def done_all(symbol: str, lots: Lots, deeds: Iterable[Deed]) -> tuple[Lots, Decimal]:
    """Return the lots after some deeds, in that order, and the profit that they realised together."""
    realised = ZERO
    for deed in deeds:
        lots, earned = done(symbol, lots, deed)
        realised += earned
    return lots, realised


def traded(symbol: str, lots: Lots, trade: Trade) -> tuple[Lots, Decimal]:
    """Return the lots after a trade and the profit it realised: it closes lots of the other sign, the rest is a new lot."""
    left, price, realised = trade.quantity, trade.price, ZERO
    if not left:
        return lots, realised
    is_sale = left < ZERO
    if lots and (lots[0].quantity < ZERO) is not is_sale:  # All lots of a symbol have one sign.
        if is_sale and trade.method is not FIFO:
            return _sold(symbol, lots, trade)
        for place, lot in enumerate(lots, 1):
            held = lot.quantity
            after = held + left
            if after and (after < ZERO) is not is_sale:  # A part of this lot is enough.
                rest = Lot(
                    symbol=symbol,
                    quantity=after,
                    price=lot.price,
                    opened_at=lot.opened_at,
                    execution_id=lot.execution_id,
                    rest=lot.rest,
                )
                return (rest, *lots[place:]), realised + left * (lot.price - price)
            realised += held * (price - lot.price) - lot.rest
            if not after:
                return lots[place:], realised
            left = after
        lots = ()
    lots += (Lot(symbol=symbol, quantity=left, price=price, opened_at=trade.at, execution_id=trade.execution_id),)
    return lots, realised


def closing_order(lots: Lots, trade: Trade) -> list[int]:
    """Return the places of the lots in the order in which a sale closes them."""
    places = list(range(len(lots)))
    match trade.method:
        case LotMethod.LIFO:
            places.reverse()
        case LotMethod.HIGHEST_COST:
            places.sort(key=lambda place: -lots[place].cost / lots[place].quantity)
        case LotMethod.SPECIFIC:
            named = {name: number for number, name in enumerate(trade.picks)}
            places.sort(key=lambda place: named.get(lots[place].execution_id, len(named)))
        case _:
            pass  # First in, first out: the order in which they are.
    return places


def _sold(symbol: str, lots: Lots, trade: Trade) -> tuple[Lots, Decimal]:
    """Close lots in another order than that of their age; what is left of them stands as before."""
    left, realised = trade.quantity, ZERO
    after = dict(enumerate(lots))
    for place in closing_order(lots, trade):
        if not left:
            break
        lot = lots[place]
        remaining = lot.quantity + left
        if remaining > 0:
            realised += left * (lot.price - trade.price)
            after[place] = msgspec.structs.replace(lot, quantity=remaining)
            left = ZERO
        else:
            realised += lot.quantity * (trade.price - lot.price) - lot.rest
            del after[place]
            left = remaining
    owed = (Lot(symbol=symbol, quantity=left, price=trade.price, opened_at=trade.at, execution_id=trade.execution_id),) if left else ()
    return (*after.values(), *owed), realised


def reshaped(lots: Lots, deed: Reshaping) -> tuple[Lots, Decimal]:
    """Return the lots after what an issuer did, and the profit that it realised: only shares that are gone realise one."""
    realised = ZERO
    if deed.cost_moved and not lots:
        realised = deed.cost_moved  # Their purchase was taken back since: the others still cost what went with them, and nobody paid it.
    elif deed.cost_moved:
        parts = cost_parts(lots, deed.cost_moved)
        lots = tuple(lot.costing(lot.quantity, lot.cost - moved) for lot, moved in zip(lots, parts, strict=True))
    if deed.new != deed.old:
        lots, realised = _rescaled(lots, deed)
    if deed.arrived:
        lots = tuple(sorted((*lots, *deed.arrived), key=lambda lot: lot.opened_at))
    return lots, realised


def cost_parts(lots: Lots, amount: Decimal) -> tuple[Decimal, ...]:
    """Divide an amount by what each lot cost, to eight decimals; the oldest takes what that leaves."""
    whole = cost_of(lots)
    later = [(amount * lot.cost / whole).quantize(PRICE_QUANTUM, rounding=ROUND_HALF_EVEN) if whole else ZERO for lot in lots[1:]]
    return (amount - sum(later, ZERO), *later)


def _rescaled(lots: Lots, deed: Reshaping) -> tuple[Lots, Decimal]:
    held, cost = quantity_of(lots), cost_of(lots)
    # What was heard of in time is exactly what the broker makes of it; otherwise the same ratio applies to what there was.
    target = deed.new if held == deed.old else truncate_shares(held * deed.new / deed.old)
    if not target:
        return (), deed.cash - cost
    later = [truncate_shares(lot.quantity * deed.new / deed.old) for lot in lots[1:]]
    sizes = [target - sum(later, ZERO), *later]  # The oldest lot takes up what cutting to nine decimals leaves.
    lost = sum((lot.cost for lot, size in zip(lots, sizes, strict=True) if not size), ZERO)
    kept = []
    for lot, size in zip(lots, sizes, strict=True):
        if size:
            kept.append(lot.costing(size, lot.cost + lost))
            lost = ZERO
    return tuple(kept), ZERO


def quantity_of(lots: Lots) -> Decimal:
    """Return the shares of some lots."""
    return sum([lot.quantity for lot in lots], ZERO)


def cost_of(lots: Lots) -> Decimal:
    """Return what the shares of some lots cost, in dollars."""
    return sum([lot.quantity * lot.price + lot.rest for lot in lots], ZERO)


class Book(msgspec.Struct, kw_only=True, dict=True):
    """What one strategy holds and has earned, in dollars.

    ``lots`` maps a symbol to its lots, oldest first; ``cash_flow`` is the sum of all that came in and went out; ``realised`` is what sales
    earned, ``income`` what shares paid and trading cost: dividends less what was withheld of them and less fees.
    """

    lots: dict[str, Lots] = {}
    cash_flow: Decimal = ZERO
    realised: Decimal = ZERO
    income: Decimal = ZERO

    @cached_property
    def _totals(self) -> dict[str, tuple[Decimal, Decimal]]:
        """The shares and their cost of the symbols that were asked for: a position may have dozens of lots. Not remembered."""
        return {}

    def _total(self, symbol: str) -> tuple[Decimal, Decimal]:
        lots = self.lots.get(symbol, ())
        total = self._totals[symbol] = quantity_of(lots), cost_of(lots)
        return total

    def quantity(self, symbol: str) -> Decimal:
        """Return the shares of a symbol in this book."""
        return (self._totals.get(symbol) or self._total(symbol))[0]

    def holdings(self) -> dict[str, Decimal]:
        """Return the shares of every symbol in this book, by symbol in order."""
        totals, held = self._totals, {}
        for symbol in sorted(self.lots):
            held[symbol] = (totals.get(symbol) or self._total(symbol))[0]
        return held

    def cost(self, symbol: str) -> Decimal:
        """Return what the shares of a symbol cost, in dollars."""
        return cost_of(self.lots.get(symbol, ()))

    def after(self, symbol: str, trade: Trade) -> "Book":
        """Return the book after a trade; this one stays as it is."""
        lots, realised = traded(symbol, self.lots.get(symbol, ()), trade)
        book = msgspec.structs.replace(self, lots=dict(self.lots))
        book.change(symbol, lots, realised, -trade.quantity * trade.price, trade.quantity)
        return book

    def change(self, symbol: str, lots: Lots, realised: Decimal = ZERO, cash: Decimal = ZERO, moved: Decimal | None = None) -> None:
        """Make these the lots of a symbol, with so much more realised and flowed, in dollars.

        ``moved`` are the signed shares of a trade, if one trade of the lots there were has made them: then nothing is added up anew.
        """
        held, totals = self.lots, self._totals
        total = totals.pop(symbol, None)
        if symbol not in held:
            total = _NOTHING
        if lots:
            held[symbol] = lots
            if total is not None and moved is not None:  # What was paid and is not lost is what the shares cost.
                totals[symbol] = total[0] + moved, total[1] + realised - cash
        else:
            held.pop(symbol, None)
        self.cash_flow += cash
        self.realised += realised

    def unrealised(self, prices: Mapping[str, Decimal]) -> Decimal:
        """Return the profit not yet realised at these prices; a symbol without a price counts at cost."""
        unrealised = ZERO
        for symbol in self.lots:
            if symbol in prices:
                quantity, cost = self._totals.get(symbol) or self._total(symbol)
                unrealised += quantity * prices[symbol] - cost
        return unrealised
