"""Who held what at the end of which day, and who traded for how many dollars on it: what dividends and fees are divided by.

It is kept as changes by day, so that a fact that is heard of late, or taken back, finds its place. Days are those of New York. What is too
old to be asked for is forgotten now and then, not day by day.
"""

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import lru_cache
from itertools import takewhile
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


class Move(msgspec.Struct):
    """How a strategy's shares of a symbol changed on a day, the dollars that it traded of them, and which part of these were sales."""

    quantity: Decimal = ZERO
    traded: Decimal = ZERO
    sold: Decimal = ZERO


class History(msgspec.Struct):
    """``days`` are the changes by day, strategy and symbol, the oldest first; ``before`` the sum of older ones by symbol and strategy."""

    days: dict[str, dict[str, dict[str, Move]]] = {}
    before: dict[str, dict[str, Decimal]] = {}

    def traded(self, strategy: str, symbol: str, at: datetime, quantity: Decimal, value: Decimal) -> None:
        """Take in a trade: signed shares, and what they were worth, in dollars of the same sign."""
        move = self._move_of(strategy, symbol, day_of(at))
        move.quantity += quantity
        if quantity < 0:
            move.traded -= value
            move.sold -= value
        else:
            move.traded += value

    def undone(self, strategy: str, symbol: str, at: datetime, quantity: Decimal, value: Decimal) -> None:
        """Take a trade back that was taken in as :meth:`traded` with the same arguments."""
        move = self._move_of(strategy, symbol, day_of(at))
        move.quantity -= quantity
        if quantity < 0:
            move.traded += value
            move.sold += value
        else:
            move.traded -= value

    def moved(self, strategy: str, symbol: str, day: str, quantity: Decimal) -> None:
        """Take in that a strategy's shares changed on a day, without a trade."""
        self._move_of(strategy, symbol, day).quantity += quantity

    def renamed(self, old: str, new: str) -> None:
        """Keep what is known of a symbol under its new name."""
        for by_strategy in self.days.values():
            for moves in by_strategy.values():
                move = moves.pop(old, None)
                if move is not None:
                    there = moves.setdefault(new, Move())
                    there.quantity += move.quantity
                    there.traded += move.traded
                    there.sold += move.sold
        for strategy, quantity in self.before.pop(old, {}).items():
            held = self.before.setdefault(new, {})
            held[strategy] = held.get(strategy, ZERO) + quantity

    def held_before(self, symbol: str, day: date) -> dict[str, Decimal]:
        """Return what each strategy held of a symbol when that day began; strategies that held nothing are left out."""
        first = day.isoformat()
        held = dict(self.before.get(symbol, {}))
        for on in takewhile(first.__gt__, self.days):
            for name, moves in self.days[on].items():
                if symbol in moves:
                    held[name] = held.get(name, ZERO) + moves[symbol].quantity
        return {name: quantity for name, quantity in sorted(held.items()) if quantity}

    def days_of(self, symbol: str) -> list[date]:
        """Return the days on which the shares of a symbol changed, newest first."""
        days = [day for day, by_strategy in self.days.items() if any(symbol in moves for moves in by_strategy.values())]
        return [date.fromisoformat(day) for day in reversed(days)]

    def traded_before(self, day: date) -> dict[str, Decimal]:
        """Return the dollars that each strategy sold, or else traded, on the last day with trades before that one."""
        last, first = day.isoformat(), (day - timedelta(days=FEES_WITHIN_DAYS)).isoformat()
        for on in [on for on in reversed(self.days) if first <= on < last]:
            by_name = sorted(self.days[on].items())
            sold = {name: sum([move.sold for move in moves.values()], ZERO) for name, moves in by_name}
            traded = {name: sum([move.traded for move in moves.values()], ZERO) for name, moves in by_name}
            for dollars in (sold, traded):
                if any(amount > 0 for amount in dollars.values()):
                    return {name: amount for name, amount in dollars.items() if amount > 0}
        return {}

    def forget(self, today: date) -> None:
        """Make one sum of what is older than is ever asked for; what adds up to nothing is forgotten."""
        oldest = (today - _KEPT).isoformat()
        for day in [*takewhile(oldest.__gt__, self.days)]:
            for strategy, moves in self.days.pop(day).items():
                for symbol, move in moves.items():
                    held = self.before.setdefault(symbol, {})
                    held[strategy] = held.get(strategy, ZERO) + move.quantity
        kept = {symbol: {name: quantity for name, quantity in held.items() if quantity} for symbol, held in self.before.items()}
        self.before = {symbol: held for symbol, held in kept.items() if held}

    def _move_of(self, strategy: str, symbol: str, day: str) -> Move:
        by_strategy = self.days.get(day)
        if by_strategy is None:
            is_late = bool(self.days) and day < next(reversed(self.days))
            by_strategy = self.days[day] = {}
            if is_late:
                self.days = dict(sorted(self.days.items()))
        moves = by_strategy.get(strategy)
        if moves is None:
            moves = by_strategy[strategy] = {}
        move = moves.get(symbol)
        if move is None:
            move = moves[symbol] = Move()
        return move


@lru_cache(maxsize=64)
def day_of(at: datetime) -> str:
    """Return the day of New York, as text, of a time at which somebody may trade. Many trades have the same one."""
    return (at - _BEHIND).date().isoformat()


def begins(day: date) -> datetime:
    """Return a time before anybody trades on a day of New York, and after everybody has on the day before."""
    return datetime.combine(day, time(), UTC) + _BEHIND
