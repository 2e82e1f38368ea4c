"""The books of all strategies side by side, and what is needed to change them when an earlier fact turns out otherwise.

A struct that changes in place: the ledger decides what is booked, this books it. A book is what its deeds make it, in the order in which
they were done; deeds that may still be taken back are kept in trails.
"""

from collections.abc import Container
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Final

import msgspec

from alchemiser.domain.errors import InvariantBroken
from alchemiser.domain.money import ZERO
from alchemiser.portfolio.history import History, begins
from alchemiser.portfolio.lots import Book, Deed, Lots, Reshaping, Trade, done, done_all, quantity_of, traded
from alchemiser.portfolio.trails import Trail

SPLITS_KEPT: Final = timedelta(days=30)
"""How long after a split, at least, a trade from before it may be heard of."""


class Renaming(msgspec.Struct, frozen=True, kw_only=True):
    """What a symbol has been called since."""

    symbol: str
    at: datetime


class Foreseen(msgspec.Struct, frozen=True):
    """What a trade will do to the book of a strategy: the lots after it, the cash that flows, and what it realises in dollars.

    ``trail`` is the one that it joins at the end, ``None`` where it has its place between others. All holds until the shelf is changed.
    """

    strategy: str
    symbol: str
    trade: Trade
    book: Book
    trail: Trail | None
    cash: Decimal
    lots: Lots
    realised: Decimal


class Shelf(msgspec.Struct, kw_only=True):
    """The ``books`` by strategy; ``trails`` are the deeds that may still be taken back, by strategy and symbol.

    ``renamed`` maps a symbol to the one its shares became last: a trade from before that which is heard of later belongs there.
    ``splits`` are the splits of the last weeks by symbol: a trade from before one is split when it is heard of, whoever held what then.
    """

    books: dict[str, Book] = {}
    trails: dict[str, dict[str, Trail]] = {}
    history: History = msgspec.field(default_factory=History)
    renamed: dict[str, Renaming] = {}
    splits: dict[str, list[Reshaping]] = {}

    def book_of(self, strategy: str) -> Book:
        """Return the book of a strategy, a new one if it has none."""
        book = self.books.get(strategy)
        if book is None:
            book = self.books[strategy] = Book()
        return book

    def lots_of(self, strategy: str, symbol: str, at: datetime | None = None) -> Lots:
        """Return the lots that a strategy holds of a symbol, or held at a time since when what was done may still be taken back."""
        trail = self.trails.get(strategy, {}).get(symbol)
        if at is not None and trail is not None and trail.trades and trail.trades[-1].at > at:
            return done_all(symbol, trail.before, [deed for deed in trail.trades if deed.at <= at])[0]
        book = self.books.get(strategy)
        return () if book is None else book.lots.get(symbol, ())

    def holders(self, symbol: str, at: datetime | None = None) -> dict[str, Decimal]:
        """Return the shares of a symbol by strategy, in the order of names; strategies without any are left out."""
        held = {name: quantity_of(self.lots_of(name, symbol, at)) for name in sorted(self.books)}
        return {name: quantity for name, quantity in held.items() if quantity}

    def name_at(self, symbol: str, at: datetime) -> str:
        """Return under which symbol shares are kept that were traded then."""
        seen = {symbol}
        while (later := self.renamed.get(symbol)) is not None and at < later.at and later.symbol not in seen:
            symbol = later.symbol
            seen.add(symbol)
        return symbol

    def foreseen(self, strategy: str, symbol: str, trade: Trade) -> Foreseen:
        """Return what a trade would do; nothing is changed.

        Raises ``InvariantBroken`` when the strategy does not hold what is sold: selling what a strategy does not own is never booked, but
        where the market has taken back what it did own.
        """
        if self.renamed:
            symbol = self.name_at(symbol, trade.at)
        book = self.books.get(strategy) or Book()
        before = book.lots.get(symbol, ())
        trails = self.trails.get(strategy)
        trail = (trails and trails.get(symbol)) or Trail(before=before)
        quantity = trade.quantity
        cash = -quantity * trade.price
        # A trade that comes after all others, as nearly every one does, changes the lots there are; any other has them worked out anew.
        if symbol in self.splits or not trail.is_next(trade):
            return Foreseen(strategy, symbol, trade, book, None, cash, *self._outcome(strategy, symbol, trade))
        lots, realised = traded(symbol, before, trade)
        if quantity < ZERO and lots and lots[0].quantity < ZERO:  # All lots of a symbol have one sign.
            raise _oversold(symbol, before, trade)
        return Foreseen(strategy, symbol, trade, book, trail, cash, lots, realised)

    def carry_out(self, foreseen: Foreseen) -> None:
        """Change a strategy's book as was foreseen of a trade, and keep the trade for as long as it may be taken back."""
        strategy, symbol, trade, trail = foreseen.strategy, foreseen.symbol, foreseen.trade, foreseen.trail
        book, lots, cash, quantity = foreseen.book, foreseen.lots, foreseen.cash, trade.quantity
        if trail is None:
            self.books[strategy] = book
            self._keep(strategy, symbol, trade)
            book.change(symbol, lots, foreseen.realised, cash)
        else:
            if not trail.trades:  # Then both may be new.
                self.books[strategy] = book
                self.trails.setdefault(strategy, {})[symbol] = trail
            trail.append(trade, lots)
            book.change(symbol, lots, foreseen.realised, cash, quantity)
        self.history.traded(strategy, symbol, trade.at, quantity, cash)

    def reshape(self, strategy: str, symbol: str, deed: Reshaping, *, on: date, cash: Decimal = ZERO) -> None:
        """Change a strategy's lots of a symbol by what an issuer did on a day; ``cash`` is what it brought to the book, in dollars."""
        book = self.book_of(strategy)
        before = book.quantity(symbol)
        lots, realised = self._outcome(strategy, symbol, deed)
        self._keep(strategy, symbol, deed)
        book.change(symbol, lots, realised=realised, cash=cash)
        self.history.moved(strategy, symbol, on, quantity_of(lots) - before)

    def has_deed(self, strategy: str, symbol: str, execution_id: str) -> bool:
        """Return whether a deed is among those that may still be taken back."""
        return self._trail_of(strategy, symbol).has(execution_id)

    def undo(self, strategy: str, symbol: str, execution_id: str, *, on: date) -> None:
        """Make a strategy's lots of a symbol what they would be if an issuer had never done that; its cash is the caller's."""
        book, trail = self.book_of(strategy), self._trail_of(strategy, symbol)
        before, shorter = book.quantity(symbol), trail.without_deed(execution_id)
        lots, realised = self._reworked(symbol, trail, shorter)
        self.trails.setdefault(strategy, {})[symbol] = shorter
        book.change(symbol, lots, realised=realised)
        self.history.moved(strategy, symbol, on, quantity_of(lots) - before)

    def remember_split(self, symbol: str, split: Reshaping) -> None:
        """Take note of the ratio of a split, for trades from before it that are heard of later."""
        self.splits.setdefault(symbol, []).append(split)

    def take_back(self, strategy: str, symbol: str, trade: Trade, *, replaced_by: str | None) -> None:
        """Make a strategy's book what it would be without a trade that was booked."""
        trail = self._trail_of(strategy, symbol)
        broken = trail.named(trade.execution_id)
        cash = trade.quantity * trade.price
        if broken is None:
            # Its shares have become one with those of another symbol: nobody can say which they are. They go back as they came.
            back = msgspec.structs.replace(trade, execution_id=f"{trade.execution_id} taken back", quantity=-trade.quantity)
            lots, realised = done(symbol, self.lots_of(strategy, symbol), back)
            self.trails.get(strategy, {}).pop(symbol, None)
        else:
            shorter = trail.without(trade.execution_id, replaced_by=replaced_by)
            lots, realised = self._reworked(symbol, trail, shorter)
            self.trails.setdefault(strategy, {})[symbol] = shorter
        self.book_of(strategy).change(symbol, lots, realised=realised, cash=cash)
        self.history.undone(strategy, symbol, (broken or trade).at, trade.quantity, -cash)

    def rename(self, old: str, new: str, at: datetime) -> None:
        """Keep all that is known of the shares of one symbol, lots and trails, under another."""
        for strategy, book in self.books.items():
            lots = tuple(msgspec.structs.replace(lot, symbol=new) for lot in book.lots.get(old, ()))
            book.change(old, ())
            there = book.lots.get(new, ())
            trails = self.trails.get(strategy, {})
            moved = trails.pop(old, None)
            if lots and there:
                trails.pop(new, None)  # The shares of both are one from here on, and what was done to either stands.
            elif moved is not None:
                trails[new] = _under(new, moved)
            book.change(new, tuple(sorted((*lots, *there), key=lambda lot: lot.opened_at)))
        self.history.renamed(old, new)
        self.renamed[old] = Renaming(symbol=new, at=at)
        later = self.renamed.get(new)
        if later is not None and later.symbol == old:
            del self.renamed[new]  # It is called what it was called before.

    def settle(self, may_change: Container[str]) -> None:
        """Forget the deeds that cannot turn out otherwise any more; the books stay."""
        for strategy, trails in self.trails.items():
            self.trails[strategy] = {symbol: trail for symbol, trail in trails.items() if trail.settle(symbol, may_change)}

    def forget(self, today: date) -> None:
        """Forget what is older than is ever asked for: the splits and the days of the history."""
        recent = begins(today - SPLITS_KEPT)
        kept = {symbol: [split for split in splits if split.at >= recent] for symbol, splits in self.splits.items()}
        self.splits = {symbol: splits for symbol, splits in kept.items() if splits}
        self.history.forget(today)

    def _trail_of(self, strategy: str, symbol: str) -> Trail:
        return self.trails.get(strategy, {}).get(symbol) or Trail(before=self.lots_of(strategy, symbol))

    def _trail_for(self, strategy: str, symbol: str, deed: Deed) -> Trail:
        """Return the trail that a deed is to join: with the splits since then, also those at which nothing was held."""
        trail = self._trail_of(strategy, symbol)
        for split in self.splits.get(symbol, ()) if isinstance(deed, Trade) else ():
            if deed.at < split.at and all(one.execution_id != split.execution_id for one in trail.trades):
                trail = trail.with_trade(split)
        return trail

    def _keep(self, strategy: str, symbol: str, deed: Deed) -> None:
        trail = self._trail_for(strategy, symbol, deed)
        if trail.is_next(deed):
            trail.trades.append(deed)
        else:
            trail = trail.with_trade(deed)
        self.trails.setdefault(strategy, {})[symbol] = trail

    def _outcome(self, strategy: str, symbol: str, deed: Deed) -> tuple[Lots, Decimal]:
        """Return the lots after a deed and what it realises."""
        before, trail = self.lots_of(strategy, symbol), self._trail_for(strategy, symbol, deed)
        if trail.is_next(deed):
            lots, realised = done(symbol, before, deed)
        else:
            lots, realised = self._reworked(symbol, self._trail_of(strategy, symbol), trail.with_trade(deed))
        if isinstance(deed, Trade) and deed.quantity < 0 and not trail.has_broken and lots and lots[0].quantity < 0:
            raise _oversold(symbol, before, deed)
        return lots, realised

    def _reworked(self, symbol: str, before: Trail, after: Trail) -> tuple[Lots, Decimal]:
        """Return the lots when the deeds are ``after`` and no longer ``before``, and how much more they realise."""
        _, realised_before = before.worked_out(symbol)
        lots, realised = after.worked_out(symbol)
        return lots, realised - realised_before


def _oversold(symbol: str, before: Lots, trade: Trade) -> InvariantBroken:
    held = quantity_of(before)
    return InvariantBroken(f"a sale of {-trade.quantity} {symbol} was to be booked where only {held} are held; the daemon stops")


def _under(symbol: str, trail: Trail) -> Trail:
    """Return a trail whose lots have another symbol."""
    before = tuple(msgspec.structs.replace(lot, symbol=symbol) for lot in trail.before)
    deeds = [
        msgspec.structs.replace(deed, arrived=tuple(msgspec.structs.replace(lot, symbol=symbol) for lot in deed.arrived))
        if isinstance(deed, Reshaping)
        else deed
        for deed in trail.trades
    ]
    return Trail(before=before, trades=deeds, has_broken=trail.has_broken)
