"""Who held what at the end of which day, and who traded for how many dollars on it: what dividends and fees are divided by.

It is kept as changes by day, so that a fact that is heard of late, or taken back, finds its place. Days are those of New York. What is too
old to be asked for is forgotten now and then, not day by day.
"""

from bisect import bisect_left
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from operator import attrgetter
from typing import Final

import msgspec

from alchemiser.domain.money import ZERO

KEPT_DAYS: Final = 120
"""How long changes are kept by day at least: a dividend is paid within weeks of its ex-date. What is older becomes one sum."""

FEES_WITHIN_DAYS: Final = 10
"""How long before the day of a fee the trades may be that it is for."""

# Nobody trades between midnight and four in New York: five hours behind UTC is the right day in summer, too, and costs no time zone.
_BEHIND: Final = timedelta(hours=5)
_KEPT: Final = timedelta(days=KEPT_DAYS)
_day_of_move = attrgetter("day")


class Move(msgspec.Struct):
    """How a strategy's shares of a symbol changed on a day, the dollars that it traded of them, and which part of these were sales."""

    day: date
    quantity: Decimal = ZERO
    traded: Decimal = ZERO
    sold: Decimal = ZERO


class History(msgspec.Struct):
    """``moves`` are the changes by symbol and strategy, one a day, the oldest first; ``before`` is the sum of older ones."""

    moves: dict[str, dict[str, list[Move]]] = {}
    before: dict[str, dict[str, Decimal]] = {}

    def traded(self, strategy: str, symbol: str, at: datetime, quantity: Decimal, cash: Decimal) -> None:
        """Take in a trade: signed shares, and the dollars that flowed, which have the other sign."""
        if quantity < ZERO:
            self._add(strategy, symbol, Move(day_of(at), quantity, cash, cash))
        else:
            self._add(strategy, symbol, Move(day_of(at), quantity, -cash))

    def undone(self, strategy: str, symbol: str, at: datetime, quantity: Decimal, cash: Decimal) -> None:
        """Take a trade back that was taken in as :meth:`traded` with the same arguments."""
        if quantity < ZERO:
            self._add(strategy, symbol, Move(day_of(at), -quantity, -cash, -cash))
        else:
            self._add(strategy, symbol, Move(day_of(at), -quantity, cash))

    def moved(self, strategy: str, symbol: str, day: date, quantity: Decimal) -> None:
        """Take in that a strategy's shares changed on a day, without a trade."""
        self._add(strategy, symbol, Move(day, quantity))

    def renamed(self, old: str, new: str) -> None:
        """Keep what is known of a symbol under its new name."""
        for strategy, moves in self.moves.pop(old, {}).items():
            for move in moves:
                self._add(strategy, new, move)
        for strategy, quantity in self.before.pop(old, {}).items():
            held = self.before.setdefault(new, {})
            held[strategy] = held.get(strategy, ZERO) + quantity

    def held_before(self, symbol: str, day: date) -> dict[str, Decimal]:
        """Return what each strategy held of a symbol when that day began; strategies that held nothing are left out."""
        held = dict(self.before.get(symbol, {}))
        for name, moves in self.moves.get(symbol, {}).items():
            held[name] = sum([move.quantity for move in moves if move.day < day], held.get(name, ZERO))
        return {name: quantity for name, quantity in sorted(held.items()) if quantity}

    def days_of(self, symbol: str) -> list[date]:
        """Return the days on which the shares of a symbol changed, newest first."""
        return sorted({move.day for moves in self.moves.get(symbol, {}).values() for move in moves}, reverse=True)

    def traded_before(self, day: date) -> dict[str, Decimal]:
        """Return the dollars that each strategy sold, or else traded, on the last day with trades before that one."""
        first = day - timedelta(days=FEES_WITHIN_DAYS)
        days: dict[date, dict[str, list[Move]]] = {}
        for by_strategy in self.moves.values():
            for name, moves in by_strategy.items():
                for move in moves:
                    if first <= move.day < day:
                        days.setdefault(move.day, {}).setdefault(name, []).append(move)
        for on in sorted(days, reverse=True):
            by_name = days[on]
            sold = {name: sum([move.sold for move in moves], ZERO) for name, moves in sorted(by_name.items())}
            traded = {name: sum([move.traded for move in moves], ZERO) for name, moves in sorted(by_name.items())}
            for dollars in (sold, traded):
                if any(amount > 0 for amount in dollars.values()):
                    return {name: amount for name, amount in dollars.items() if amount > 0}
        return {}

    def forget(self, today: date) -> None:
        """Make one sum of what is older than is ever asked for; what adds up to nothing is forgotten."""
        oldest = today - _KEPT
        for symbol, by_strategy in self.moves.items():
            held = self.before.setdefault(symbol, {})
            for strategy, moves in by_strategy.items():
                count = bisect_left(moves, oldest, key=_day_of_move)
                held[strategy] = sum([move.quantity for move in moves[:count]], held.get(strategy, ZERO))
                del moves[:count]
        self.moves = {symbol: by_strategy for symbol, by_strategy in self.moves.items() if any(by_strategy.values())}
        kept = {symbol: {name: quantity for name, quantity in held.items() if quantity} for symbol, held in self.before.items()}
        self.before = {symbol: held for symbol, held in kept.items() if held}

    def _add(self, strategy: str, symbol: str, move: Move) -> None:
        moves = self.moves.setdefault(symbol, {}).setdefault(strategy, [])
        if not moves or moves[-1].day < move.day:  # As nearly always.
            moves.append(move)
            return
        place = bisect_left(moves, move.day, key=_day_of_move)
        there = moves[place]
        if there.day != move.day:
            moves.insert(place, move)
            return
        there.quantity += move.quantity
        there.traded += move.traded
        there.sold += move.sold


def day_of(at: datetime) -> date:
    """Return the day of New York of a time at which somebody may trade."""
    return (at - _BEHIND).date()


def begins(day: date) -> datetime:
    """Return a time before anybody trades on a day of New York, and after everybody has on the day before."""
    return datetime.combine(day, time(), UTC) + _BEHIND
