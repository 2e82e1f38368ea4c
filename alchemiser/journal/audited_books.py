"""What each strategy holds and has earned, reckoned from the events once more, sharing nothing with the ledger.

``audit`` feeds it and compares what the journal claims with what comes of it here.
"""

from bisect import bisect_right
from datetime import datetime
from decimal import Decimal
from typing import Final

import msgspec

from alchemiser.domain.activities import LotMethod, Treatment
from alchemiser.domain.events import ActivityBooked, DaemonStarted, LotsNamed
from alchemiser.domain.money import CENT, ONE, ZERO
from alchemiser.domain.orders import Fill, Side

_DUST: Final = Decimal("0.00000001")
"""Shares that a ratio which never ends may leave."""


class Traded(msgspec.Struct, frozen=True):
    """Signed shares of one strategy that changed hands at a price, then; nameless when they were crossed inside."""

    execution_id: str
    quantity: Decimal
    price: Decimal
    at: datetime
    method: LotMethod = LotMethod.FIFO
    picks: tuple[str, ...] = ()


class Changed(msgspec.Struct, frozen=True):
    """What an issuer did: the shares became ``factor`` times as many, ``cost`` went with others; ``arrived`` came, at a price."""

    execution_id: str
    at: datetime
    factor: Decimal = ONE
    cost: Decimal = ZERO
    cash: Decimal = ZERO
    arrived: tuple[tuple[Decimal, Decimal, str], ...] = ()


class Position(msgspec.Struct):
    """What a strategy traded of one symbol, in the order of the times, and what that leaves: first in, first out.

    Prices of shares that an issuer has changed may never end: from then on profits are compared to the cent. Where the shares of two
    symbols became one, ``is_blended``, nothing is said of which were sold.
    """

    trades: list[Traded | Changed] = []
    lots: list[tuple[Decimal, Decimal, str]] = []
    realised: Decimal = ZERO
    is_changed: bool = False
    is_reshaped: bool = False
    is_blended: bool = False

    def take_in(self, one: Traded | Changed) -> None:
        """Count one more trade, at its place."""
        if not self.is_changed and (not self.trades or one.at >= self.trades[-1].at):
            self.trades.append(one)
            self._count(one)
            return
        place = next(
            (place for place, other in enumerate(self.trades) if one.execution_id and other.execution_id == one.execution_id), None
        )
        if place is not None and isinstance(one, Traded):
            self.trades[place] = msgspec.structs.replace(one, at=self.trades[place].at)
        else:
            self.trades.insert(bisect_right(self.trades, one.at, key=lambda other: other.at), one)
        self.count_again()

    def count_again(self) -> None:
        """Count all trades from the first."""
        self.lots, self.realised = [], ZERO
        for one in self.trades:
            self._count(one)

    def agrees(self, said: Decimal, made: Decimal) -> bool:
        """Whether a profit is what it should be."""
        return said == made or self.is_blended or (self.is_reshaped and abs(said - made) < CENT)

    def _count(self, one: Traded | Changed) -> None:
        if isinstance(one, Changed):
            self._reshape(one)
        else:
            self._trade(one)

    def _reshape(self, one: Changed) -> None:
        if not one.factor:
            self.realised += one.cash - sum((held * cost for held, cost, _ in self.lots), ZERO)
            self.lots = []
        else:
            whole = sum((held * cost for held, cost, _ in self.lots), ZERO)
            left = (whole - one.cost) / whole if whole else ONE
            self.lots = [(held * one.factor, cost * left / one.factor, name) for held, cost, name in self.lots]
        self.lots.extend(one.arrived)

    def _trade(self, one: Traded) -> None:
        left = one.quantity
        while left and self.lots and (self.lots[0][0] > 0) != (left > 0):
            place = self._place(one)
            held, cost, name = self.lots.pop(place)
            taken = min(abs(held), abs(left)) * (1 if held > 0 else -1)
            if self.is_reshaped and abs(taken - held) < _DUST:
                taken = held
            left += taken
            if self.is_reshaped and abs(left) < _DUST:
                left = ZERO
            self.realised += taken * (one.price - cost)
            if taken != held:
                self.lots.insert(place, (held - taken, cost, name))
        if left:
            self.lots.append((left, one.price, one.execution_id))

    def _place(self, one: Traded) -> int:
        """Return the place of the lot that a sale closes next; what is owed is given back in its order."""
        if one.quantity > 0 or one.method is LotMethod.FIFO:
            return 0
        if one.method is LotMethod.LIFO:
            return len(self.lots) - 1
        if one.method is LotMethod.HIGHEST_COST:
            return max(range(len(self.lots)), key=lambda place: (self.lots[place][1], -place))
        names = [name for _, _, name in self.lots]
        return next((names.index(pick) for pick in one.picks if pick in names), 0)


class AuditedBooks:
    """What each strategy holds and has earned, once more and on its own."""

    def __init__(self) -> None:
        self._positions: dict[tuple[str, str], Position] = {}
        self._lots = LotMethod.FIFO
        self._specific: dict[str, tuple[str, ...]] = {}
        self._named: dict[str, tuple[str, ...]] = {}
        self._expected: dict[str, tuple[LotMethod, tuple[str, ...]]] = {}

    def follow(self, said: DaemonStarted | LotsNamed) -> None:
        """Close lots from here on as the settings say, and where a person named some, those first."""
        if isinstance(said, LotsNamed):
            self._named[said.symbol] = said.lots
        else:
            self._lots, self._specific = said.lots, said.specific

    def expect(self, fill: Fill) -> None:
        """Take note of how a fill closes lots: as it holds when it is heard of."""
        if fill.side is Side.SELL:
            self._expected[fill.execution_id] = self._closing_of(fill.symbol)

    def _closing_of(self, symbol: str) -> tuple[LotMethod, tuple[str, ...]]:
        named = self._named.get(symbol, ())
        return LotMethod.SPECIFIC if named else self._lots, named or self._specific.get(symbol, ())

    def trade(self, key: tuple[str, str], one: Traded, said: Decimal | None = None) -> list[str]:
        """Count a trade of a strategy in a symbol; ``said`` is the profit that its booking claims."""
        (strategy, symbol), position = key, self._positions.setdefault(key, Position())
        before = position.realised
        if one.quantity < 0:
            method, picks = self._expected.get(one.execution_id) or self._closing_of(symbol)
            one = msgspec.structs.replace(one, method=method, picks=picks)
        position.take_in(one)
        problems = []
        if one.quantity < 0 and position.lots and position.lots[0][0] < 0 and not position.is_changed:
            held = sum((quantity for quantity, _, _ in position.lots), ZERO) - one.quantity
            problems.append(f"{strategy} sells {-one.quantity} {symbol} and holds {held}")
        if said is not None and not position.agrees(said, position.realised - before):
            problems.append(
                f"{strategy} is said to have earned {said} with {abs(one.quantity)} {symbol}, its lots say {position.realised - before}"
            )
        return problems

    def take_back(self, fill: Fill, replaced_by: str | None) -> None:
        """Count an execution no more; its place is kept for the one that replaces it. What was sold of it since is owed."""
        for (_, symbol), position in self._positions.items():
            if symbol != fill.symbol or all(one.execution_id != fill.execution_id for one in position.trades):
                continue
            kept = [] if replaced_by is None else [replaced_by]
            position.trades = [
                one
                for traded in position.trades
                for one in (
                    [traded]
                    if traded.execution_id != fill.execution_id or not isinstance(traded, Traded)
                    else [msgspec.structs.replace(traded, execution_id=name, quantity=ZERO) for name in kept]
                )
            ]
            position.is_changed = True
            position.count_again()

    def change(self, event: ActivityBooked) -> None:
        """Count what a row without a trade does to shares."""
        row, new = event.activity, event.new_symbol
        for entry in event.entries:
            if entry.symbol is None or not (entry.quantity or entry.cost):
                continue
            position = self._positions.setdefault((entry.strategy, entry.symbol), Position())
            held = sum((quantity for quantity, _, _ in position.lots), ZERO)
            if event.treatment is Treatment.EXCHANGE:
                if entry.symbol == row.symbol and new is not None:
                    came = next(one.quantity for one in event.entries if (one.strategy, one.symbol) == (entry.strategy, new))
                    self._exchange(entry.strategy, row.symbol, new, came / held if held else ONE)
                continue
            position.is_reshaped = True
            position.is_blended |= entry.quantity > 0 and bool(entry.cost) and bool(position.lots)
            if event.treatment is Treatment.SPIN_OFF and entry.quantity:
                price = entry.cost / entry.quantity
                position.take_in(Changed(row.activity_id, row.at, arrived=((entry.quantity, price, row.activity_id),)))
            elif event.treatment is Treatment.SPIN_OFF:
                position.take_in(Changed(row.activity_id, row.at, cost=-entry.cost))
            else:
                factor = (held + entry.quantity) / held if held else ONE
                position.take_in(Changed(row.activity_id, row.at, factor=factor, cash=entry.cash))

    def _exchange(self, strategy: str, old: str, new: str, factor: Decimal) -> None:
        gone, there = self._positions.pop((strategy, old), Position()), self._positions.get((strategy, new))
        if factor != ONE:
            gone.is_reshaped = True
            gone.take_in(Changed("", gone.trades[-1].at, factor=factor))
        if there is not None:
            gone.is_blended = bool(gone.lots) and bool(there.lots)
            gone.lots.extend(there.lots)
            gone.realised += there.realised
            gone.trades = sorted((*gone.trades, *there.trades), key=lambda one: one.at)
            gone.is_changed = True
        self._positions[strategy, new] = gone

    def compare(self, said: dict[str, Decimal]) -> list[str]:
        """Compare the profit that a result claims."""
        made = dict.fromkeys(said, ZERO)
        whole = {name: Position() for name in said}
        for (strategy, _), position in self._positions.items():
            if strategy in made:
                made[strategy] += position.realised
                whole[strategy].is_reshaped |= position.is_reshaped
                whole[strategy].is_blended |= position.is_blended
        return [
            f"the result of {strategy} is {amount}, its sales make {made[strategy]}"
            for strategy, amount in said.items()
            if not whole[strategy].agrees(amount, made[strategy])
        ]
