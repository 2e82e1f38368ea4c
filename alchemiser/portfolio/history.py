"""Who held what at the end of which day, and who traded for how many dollars on it: what dividends and fees are divided by.

It is kept as changes by day, so that a fact that is heard of late, or taken back, finds its place. Days are those of New York. What is too
old to be asked for is forgotten now and then, not day by day.
"""

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
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
_BEFORE_ALL: Final = "0001-01-01"
_KEPT: Final = timedelta(days=KEPT_DAYS)
_FEES_KEPT: Final = timedelta(days=2 * FEES_WITHIN_DAYS)


class Dollars(msgspec.Struct):
    """What a strategy traded on a day, and which part of it were sales."""

    traded: Decimal = ZERO
    sold: Decimal = ZERO


class History(msgspec.Struct):
    """``moves`` are changes of shares by symbol, strategy and day, oldest first; ``trades`` the dollars traded by day and strategy."""

    moves: dict[str, dict[str, dict[str, Decimal]]] = {}
    trades: dict[str, dict[str, Dollars]] = {}

    def traded(self, strategy: str, symbol: str, at: datetime, quantity: Decimal, value: Decimal) -> None:
        """Take in a trade: signed shares, and what they were worth, in dollars of the same sign."""
        day, is_sale = day_of(at), quantity < 0
        self.moved(strategy, symbol, day, quantity)
        self._turned_over(strategy, day, -value if is_sale else value, is_sale=is_sale)

    def undone(self, strategy: str, symbol: str, at: datetime, quantity: Decimal, value: Decimal) -> None:
        """Take a trade back that was taken in as :meth:`traded` with the same arguments."""
        day, is_sale = day_of(at), quantity < 0
        self.moved(strategy, symbol, day, -quantity)
        self._turned_over(strategy, day, value if is_sale else -value, is_sale=is_sale)

    def moved(self, strategy: str, symbol: str, day: str, quantity: Decimal) -> None:
        """Take in that a strategy's shares changed on a day."""
        by_strategy = self.moves.get(symbol)
        if by_strategy is None:
            by_strategy = self.moves[symbol] = {}
        days = by_strategy.get(strategy)
        if days is None:
            by_strategy[strategy] = {day: quantity}
        elif day in days:
            days[day] += quantity
        elif day > next(reversed(days)):
            days[day] = quantity
        else:  # It was heard of late. The oldest stand first.
            by_strategy[strategy] = dict(sorted({**days, day: quantity}.items()))

    def renamed(self, old: str, new: str) -> None:
        """Keep what is known of a symbol under its new name."""
        for strategy, days in self.moves.pop(old, {}).items():
            for day, quantity in days.items():
                self.moved(strategy, new, day, quantity)

    def held_before(self, symbol: str, day: date) -> dict[str, Decimal]:
        """Return what each strategy held of a symbol when that day began; strategies that held nothing are left out."""
        first = day.isoformat()
        held = {
            name: sum((quantity for on, quantity in days.items() if on < first), ZERO)
            for name, days in sorted(self.moves.get(symbol, {}).items())
        }
        return {name: quantity for name, quantity in held.items() if quantity}

    def days_of(self, symbol: str) -> list[date]:
        """Return the days on which the shares of a symbol changed, newest first."""
        days = {day for by_day in self.moves.get(symbol, {}).values() for day in by_day}
        return [date.fromisoformat(day) for day in sorted(days, reverse=True) if day != _BEFORE_ALL]

    def traded_before(self, day: date) -> dict[str, Decimal]:
        """Return the dollars that each strategy sold, or else traded, on the last day with trades before that one."""
        last, first = day.isoformat(), (day - timedelta(days=FEES_WITHIN_DAYS)).isoformat()
        days = [on for on in self.trades if first <= on < last]
        if not days:
            return {}
        found = self.trades[max(days)]
        sold = {name: dollars.sold for name, dollars in sorted(found.items()) if dollars.sold > 0}
        return sold or {name: dollars.traded for name, dollars in sorted(found.items()) if dollars.traded > 0}

    def forget(self, today: date) -> None:
        """Make one sum of what is older than is ever asked for; what adds up to nothing is forgotten."""
        oldest, recent = (today - _KEPT).isoformat(), (today - _FEES_KEPT).isoformat()
        summed_up = {
            symbol: {strategy: kept for strategy, days in by_strategy.items() if (kept := _summed_up(days, oldest))}
            for symbol, by_strategy in self.moves.items()
        }
        self.moves = {symbol: by_strategy for symbol, by_strategy in summed_up.items() if by_strategy}
        self.trades = {day: by_name for day, by_name in self.trades.items() if day >= recent}

    def _turned_over(self, strategy: str, day: str, dollars: Decimal, *, is_sale: bool) -> None:
        by_name = self.trades.get(day)
        if by_name is None:
            by_name = self.trades[day] = {}
        found = by_name.get(strategy)
        if found is None:
            found = by_name[strategy] = Dollars()
        found.traded += dollars
        if is_sale:
            found.sold += dollars


def _summed_up(days: dict[str, Decimal], oldest: str) -> dict[str, Decimal]:
    """Return changes by day, of which those before a day have become one sum, the first."""
    before = sum([days.pop(day) for day in [*takewhile(oldest.__gt__, days)]], ZERO)
    return {_BEFORE_ALL: before, **days} if before else days


def day_of(at: datetime) -> str:
    """Return the day of New York, as text, of a time at which somebody may trade."""
    return (at - _BEHIND).date().isoformat()


def begins(day: date) -> datetime:
    """Return a time before anybody trades on a day of New York, and after everybody has on the day before."""
    return datetime.combine(day, time(), UTC) + _BEHIND
