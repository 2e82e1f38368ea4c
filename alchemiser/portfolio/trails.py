"""The deeds of a strategy in one symbol that the market may still take back or correct, and the lots there were before them.

A deed is a trade, or what an issuer did to the shares between two trades. A book is what its deeds make it, in the order in which they
were done. While a trade may still turn out otherwise it is kept here, so that
the lots can be worked out anew: afterwards the book is what it would be if a broken execution had never been, and a corrected one had been
right at once. So it does not matter which of two facts is heard of first.
"""

from bisect import bisect_right
from collections.abc import Container
from decimal import Decimal
from functools import cached_property

import msgspec

from alchemiser.domain.money import ZERO
from alchemiser.portfolio.lots import Deed, Lots, Trade, done_all


class Trail(msgspec.Struct, kw_only=True, dict=True):
    """The lots ``before`` and the trades since, in the order of their times; trades of one moment stand as they came.

    ``has_broken`` says that a trade was taken back: then shares may be owed that had been sold.
    """

    before: Lots = ()
    trades: list[Deed] = []
    has_broken: bool = False

    @cached_property
    def _lots_after(self) -> dict[str, Lots]:
        """The lots after a trade, by its execution, where they were told: what settles is not worked out again. Not remembered."""
        return {}

    def append(self, trade: Deed, lots: Lots) -> None:
        """Take in a trade that :meth:`is_next`, and the lots that it left."""
        self.trades.append(trade)
        self._lots_after[trade.execution_id] = lots

    def is_next(self, trade: Deed) -> bool:
        """Whether a trade comes after all others and may not stand in for one of them, so that nothing has to be worked out anew."""
        return not self.has_broken and (not self.trades or trade.at >= self.trades[-1].at)

    def with_trade(self, trade: Deed) -> "Trail":
        """Return the trail with one more trade, at its place: that of the trade it stands in for, or that of its time."""
        place = self._place_of(trade.execution_id)
        if place is not None:
            right = msgspec.structs.replace(trade, at=self.trades[place].at)
            return self._with([*self.trades[:place], right, *self.trades[place + 1 :]])
        place = bisect_right(self.trades, trade.at, key=lambda one: one.at)
        return self._with([*self.trades[:place], trade, *self.trades[place:]])

    def without(self, execution_id: str, *, replaced_by: str | None) -> "Trail":
        """Return the trail without a trade; ``replaced_by`` is the one that its place is kept for."""
        place, broken = self._place_of(execution_id), self.named(execution_id)
        if place is None or broken is None:
            return self
        kept = [] if replaced_by is None else [msgspec.structs.replace(broken, execution_id=replaced_by, quantity=ZERO)]
        return Trail(before=self.before, trades=[*self.trades[:place], *kept, *self.trades[place + 1 :]], has_broken=True)

    def has(self, execution_id: str) -> bool:
        """Return whether a deed is in the trail."""
        return self._place_of(execution_id) is not None

    def without_deed(self, execution_id: str) -> "Trail":
        """Return the trail without a deed, what an issuer did for instance; shares that it brought and that were sold since are owed."""
        kept: list[Deed] = [deed for deed in self.trades if deed.execution_id != execution_id]
        return Trail(before=self.before, trades=kept, has_broken=True)

    def worked_out(self, symbol: str) -> tuple[Lots, Decimal]:
        """Return the lots that the trades leave, and what they have realised, in dollars."""
        return done_all(symbol, self.before, self.trades)

    def settle(self, symbol: str, may_change: Container[str]) -> bool:
        """Forget the oldest trades, that cannot change any more: they are in the lots before. Return whether any is left."""
        count = 0
        for trade in self.trades:
            if trade.execution_id in may_change:
                break
            count += 1
        else:
            return False  # The lots are in the book.
        self.has_broken = False
        if count:
            settled, known = self.trades[:count], self._lots_after
            lots = known.get(settled[-1].execution_id)
            self.before = done_all(symbol, self.before, settled)[0] if lots is None else lots
            for trade in settled:
                known.pop(trade.execution_id, None)
            del self.trades[:count]
        return True

    def named(self, execution_id: str) -> Trade | None:
        """Return a trade by its execution, ``None`` when it is not among those that may be taken back."""
        place = self._place_of(execution_id)
        found = None if place is None else self.trades[place]
        return found if isinstance(found, Trade) else None

    def _place_of(self, execution_id: str) -> int | None:
        return next((place for place, trade in enumerate(self.trades) if trade.execution_id == execution_id), None)

    def _with(self, trades: list[Deed]) -> "Trail":
        return Trail(before=self.before, trades=trades, has_broken=self.has_broken)
