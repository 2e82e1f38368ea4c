"""Wash sales: losses that a purchase of the same shares within thirty days before or after disallows for the tax, and where they go. Pure.

The account is one taxpayer: a purchase of one strategy washes the loss of another. Losses are taken in the order of the sales. Each is
matched with shares bought from thirty days before to thirty days after the sale, the first bought first, that were not part of what
was sold and have not replaced others before. The part of the loss that they replace is disallowed and added to their cost, and so it may
be disallowed again when they are sold. The books themselves stay as they are: these are marks beside them.

What it does not know: other accounts of the same person, shares that are *substantially identical* under another symbol, and dividends that
were reinvested by the broker.
"""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import groupby
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from alchemiser.domain.money import ZERO, to_cents
from alchemiser.portfolio.closed_lots import ClosedLot, Purchase

WINDOW: Final = timedelta(days=30)
"""How long before and after a sale at a loss a purchase replaces what was sold."""

_NEW_YORK: Final = ZoneInfo("America/New_York")


class TaxLot(msgspec.Struct, frozen=True, kw_only=True):
    """A closed lot as the tax sees it: its cost with the losses that were added to it, and what of its own loss is disallowed, in dollars.

    ``held_since`` is when the holding period began, which is earlier than the purchase for shares that replaced others.
    """

    closed: ClosedLot
    basis: Decimal
    disallowed: Decimal = ZERO
    held_since: datetime

    @property
    def acquired(self) -> date:
        """The day on which the shares were bought, in New York."""
        return day_of(self.closed.acquired_at)

    @property
    def sold(self) -> date:
        """The day on which they were sold, in New York."""
        return day_of(self.closed.sold_at)

    @property
    def is_long_term(self) -> bool:
        """Whether they were held for more than a year."""
        return self.sold > _a_year_after(day_of(self.held_since))

    @property
    def code(self) -> str:
        """The code of form 8949, column (f): ``W`` for a wash sale."""
        return "W" if self.disallowed else ""

    @property
    def gain(self) -> Decimal:
        """The gain or loss that counts: proceeds less basis, and what is disallowed added."""
        return self.closed.proceeds - self.basis + self.disallowed


class _Shares(msgspec.Struct):
    """A purchase, what of it has not replaced anything yet, and by how much a share of those that have became dearer."""

    bought: Purchase
    free: Decimal
    added: list[tuple[Decimal, Decimal, timedelta]] = []


def tax_lots(closed: Sequence[ClosedLot], purchases: Sequence[Purchase]) -> list[TaxLot]:
    """Return every closed lot with its wash-sale marks, in the order of the sales."""
    shares = [_Shares(bought=one, free=one.quantity) for one in sorted(purchases, key=lambda one: (one.at, one.lot, one.strategy))]
    of_lot: dict[tuple[str, str, str], _Shares] = {(one.bought.strategy, one.bought.symbol, one.bought.lot): one for one in shares}
    by_symbol: dict[str, list[_Shares]] = {}
    for one in shares:
        by_symbol.setdefault(one.bought.symbol, []).append(one)
    found = []
    sales = sorted(closed, key=lambda one: (one.sold_at, one.sale, one.acquired_at, one.lot, one.strategy))
    sold_of_lot: dict[tuple[str, str, str], Decimal] = {}
    for _, group in groupby(sales, key=lambda one: (one.sold_at, one.sale)):
        together = list(group)
        for lot in together:
            # Shares that are sold, and be it in the same sale, replace nothing any more.
            key = (lot.strategy, lot.symbol, lot.lot)
            sold_of_lot[key] = sold_of_lot.get(key, ZERO) + lot.quantity
            if (own := of_lot.get(key)) is not None:
                own.free = min(own.free, max(own.bought.quantity - sold_of_lot[key], ZERO))
        for lot in together:
            own = of_lot.get((lot.strategy, lot.symbol, lot.lot))
            extra, earlier = (ZERO, timedelta(0)) if own is None else _taken_over(own, lot.quantity)
            loss, disallowed = to_cents(lot.cost + extra - lot.proceeds), ZERO
            if loss > 0:
                disallowed = _disallow(lot, loss, by_symbol.get(lot.symbol, ()), lot.sold_at - lot.acquired_at + earlier)
            found.append(TaxLot(closed=lot, basis=lot.cost + extra, disallowed=disallowed, held_since=lot.acquired_at - earlier))
    return found


def _disallow(lot: ClosedLot, loss: Decimal, shares: Sequence[_Shares], held: timedelta) -> Decimal:
    """Match a loss with shares that replace what was sold, add it to their cost, and return how much of it is disallowed."""
    sold_on, open_shares, disallowed = day_of(lot.sold_at), lot.quantity, ZERO
    for one in shares:
        is_other = (one.bought.strategy, one.bought.lot) != (lot.strategy, lot.lot)
        if not open_shares or not is_other or not one.free or abs(day_of(one.bought.at) - sold_on) > WINDOW:
            continue
        taken = min(one.free, open_shares)
        part = loss - disallowed if taken == lot.quantity else to_cents(loss * taken / lot.quantity)
        part = min(part, loss - disallowed)
        one.free -= taken
        one.added.append((taken, part, held))
        open_shares -= taken
        disallowed += part
    return disallowed


def _taken_over(own: _Shares, quantity: Decimal) -> tuple[Decimal, timedelta]:
    """Return what earlier losses add to the cost of some shares of a purchase that are sold now, and how much longer they count as held."""
    extra, earlier, left = ZERO, timedelta(0), quantity
    remaining: list[tuple[Decimal, Decimal, timedelta]] = []
    for shares, amount, held in own.added:
        taken = min(shares, left)
        part = amount if taken == shares else to_cents(amount * taken / shares)
        left -= taken
        if taken:
            extra += part
            earlier = max(earlier, held)
        if shares - taken:
            remaining.append((shares - taken, amount - part, held))
    own.added = remaining
    return extra, earlier


def day_of(at: datetime) -> date:
    """Return the day of New York."""
    return at.astimezone(_NEW_YORK).date()


def _a_year_after(day: date) -> date:
    try:
        return day.replace(year=day.year + 1)
    except ValueError:
        return day.replace(year=day.year + 1, day=28)
