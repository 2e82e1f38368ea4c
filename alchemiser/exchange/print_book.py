"""Prints that the tape does not know: those made by hand, and what became of trades that were corrected or cancelled (section 7.3).

The trade that was is marked ``incorrect`` or ``canceled``; a correction is a print of its own, at its own time, marked ``corrected``.
The tape's bars are not changed by them. Nothing is kept over a restart, as little as a quote that was set by hand.
"""

from collections.abc import Iterator
from datetime import datetime
from heapq import merge
from typing import Final, Literal, NamedTuple

from alchemiser.exchange.path import TapePrint

Mark = Literal["canceled", "incorrect", "corrected"]

MOST_PRINTS: Final = 100_000
"""How many prints of one symbol are kept; the oldest go first."""


class MarkedPrint(NamedTuple):
    """A trade, and what became of it since."""

    trade: TapePrint
    mark: Mark | None


class PrintBook:
    """The prints and marks of one market, by symbol."""

    def __init__(self) -> None:
        self._prints: dict[str, list[MarkedPrint]] = {}
        self._marks: dict[TapePrint, Mark] = {}
        # A corrected trade stands here at the time of its correction, while the market shows it at its own.
        self._listed_as: dict[TapePrint, TapePrint] = {}
        self._silences: dict[str, list[tuple[datetime, datetime]]] = {}

    def add(self, trade: TapePrint, mark: Mark | None = None) -> None:
        """Remember a print that is not on the tape."""
        prints = self._prints.setdefault(trade.symbol, [])
        prints.append(MarkedPrint(trade, mark))
        if len(prints) > MOST_PRINTS:
            del prints[: MOST_PRINTS // 10]

    def correct(self, before: TapePrint, after: TapePrint, at: datetime) -> None:
        """Remember that a trade was another one."""
        self._marks[self._listed_as.pop(before, before)] = "incorrect"
        listed = self._listed_as[after] = TapePrint(after.symbol, after.price, after.size, at, after.number)
        self.add(listed, "corrected")

    def cancel(self, trade: TapePrint) -> None:
        """Remember that a trade never was."""
        self._marks[self._listed_as.pop(trade, trade)] = "canceled"

    def silence(self, symbol: str, begin: datetime, end: datetime) -> None:
        """Take away what the tape printed from ``begin`` on and before ``end``, when trading was paused."""
        self._silences.setdefault(symbol, []).append((begin, end))

    def is_amended(self, trade: TapePrint) -> bool:
        """Whether a trade of the tape was corrected or cancelled."""
        return bool(self._marks) and trade in self._marks

    def among(
        self, tape: Iterator[TapePrint], symbol: str, start: datetime, end: datetime, *, descending: bool = False
    ) -> Iterator[TapePrint | MarkedPrint]:
        """Yield the tape's prints with those of this book among them, from ``start`` to ``end``, both included, in order of time."""
        own, silences = self._prints.get(symbol), self._silences.get(symbol)
        if silences is not None:
            tape = (trade for trade in tape if not any(begin <= trade.at < end for begin, end in silences))
        if own is None and not self._marks:
            yield from tape
            return
        mine = [each for each in own or () if start <= each.trade.at <= end]
        mine.sort(key=lambda each: each.trade.at, reverse=descending)
        theirs = (MarkedPrint(trade, None) for trade in tape)
        for trade, mark in merge(theirs, mine, key=lambda each: each.trade.at, reverse=descending):
            yield MarkedPrint(trade, self._marks.get(trade, mark))
