"""Dividends and splits, read off the daily bars: what section 7.4 calls cash dividends, forward splits and reverse splits.

A dividend is what the dividend-adjusted close lost against the traded one over night; its rate is dollars per share of the ex-date. Rates
are exact for splits and good to about a hundredth of a cent for dividends. The process date is taken to be the ex-date.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import Any, Final, NamedTuple

from alchemiser.exchange.assets import asset_id_of
from alchemiser.exchange.series import Adjustment
from alchemiser.exchange.tape import MarketTape
from alchemiser.exchange.turns import Work, at_once
from alchemiser.market.calendar import midnight, new_york_date

_NEWS_REACH: Final = timedelta(days=366)
_LOOK_BACK: Final = timedelta(days=10)
_ONE_DAY: Final = timedelta(days=1)
_IN_ONE_GO: Final = timedelta(days=120)
_SMALLEST_YIELD: Final = 1e-5


class ActionBook:
    """The corporate actions that clients may know of: those of the tape, and those that were announced by hand.

    The tape is read when somebody asks and not before, some months of a symbol at a time: announcing costs the same whatever it holds.
    """

    def __init__(self, tape: MarketTape) -> None:
        self._tape = tape
        self._announced: dict[str, list[dict[str, Any]]] = {}
        self._news: list[ActionNews] = []
        self._fresh: list[ActionNews] = []
        self._tape_told_until = date.min

    def add(self, groups: Mapping[str, Sequence[Mapping[str, Any]]], now: datetime) -> None:
        """Remember actions announced now, in the groups of section 7.4; a row with a known id replaces the one there was."""
        for group, rows in groups.items():
            self._fresh.extend(ActionNews(now, group, {"process_date": _process_date(row), **row}) for row in rows)
            known = self._announced.setdefault(group, [])
            ids = {row["id"] for row in rows}
            known[:] = [*(row for row in known if row["id"] not in ids), *(dict(row) for row in rows)]

    def find(self, symbols: Sequence[str] | None, start: date, end: date, now: datetime) -> Work[dict[str, list[dict[str, Any]]]]:
        """Find the actions of some symbols, or all, with a process date from ``start`` to ``end``, both included, by group.

        The tape's are known up to today; what was announced is known from then on, ahead of its date too.
        """
        listed = [symbol for symbol in self._tape.symbols if symbols is None or symbol in symbols]
        groups = yield from search(self._tape, listed, start, min(end, new_york_date(now)), now)
        for group, rows in self._announced.items():
            for row in rows:
                if start.isoformat() <= _process_date(row) <= end.isoformat() and (symbols is None or symbol_of(row) in symbols):
                    groups.setdefault(group, []).append({"process_date": _process_date(row), **row})
        return groups

    def news(self, now: datetime) -> Work[Sequence["ActionNews"]]:
        """Find what has become known so far, oldest first: the tape's actions on their process date.

        Whoever asks, and whenever, gets the same news in the same places.
        """
        today, told_until = new_york_date(now), self._tape_told_until
        if told_until < today:
            # The last year is enough for whoever asks what there was.
            first = max(told_until + _ONE_DAY, today - _NEWS_REACH)
            groups = yield from search(self._tape, self._tape.symbols, first, today, now)
            if self._tape_told_until == told_until:
                self._tape_told_until = today
                found = [
                    ActionNews(midnight(date.fromisoformat(row["process_date"])), group, row)
                    for group, rows in groups.items()
                    for row in rows
                ]
                self._fresh[:0] = sorted(found, key=lambda news: (news.at, symbol_of(news.row)))
        if self._fresh:
            self._news.extend(sorted(self._fresh, key=lambda news: news.at))
            self._fresh.clear()
        return self._news


class ActionNews(NamedTuple):
    """An action that became known at a moment, with the group of section 7.4 that it belongs to."""

    at: datetime
    group: str
    row: dict[str, Any]


def symbol_of(row: Mapping[str, Any]) -> str:
    """Return the symbol whose holders an action concerns."""
    names = ("symbol", "source_symbol", "old_symbol", "acquiree_symbol")
    return next((str(row[name]) for name in names if name in row), "")


def _process_date(row: Mapping[str, Any]) -> str:
    return str(row.get("process_date") or row.get("ex_date") or row.get("effective_date"))


def corporate_actions(tape: MarketTape, symbols: Iterable[str], start: date, end: date, until: datetime) -> dict[str, list[dict[str, Any]]]:
    """Return the actions with an ex-date from ``start`` to ``end``, both included, by group; groups without any are left out."""
    return at_once(search(tape, symbols, start, end, until))


def search(tape: MarketTape, symbols: Iterable[str], start: date, end: date, until: datetime) -> Work[dict[str, list[dict[str, Any]]]]:
    """Find what :func:`corporate_actions` returns, some months of a symbol at a time: bars of years take long to make."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for symbol in symbols:
        begin = max(start, tape.first_day(symbol))
        while begin <= end:
            last = min(begin + _IN_ONE_GO, end)
            for group, row in (*_dividends(tape, symbol, begin, last, until), *splits(tape, symbol, begin, last)):
                groups.setdefault(group, []).append(row)
            begin = last + _ONE_DAY
            yield
    return groups


def _dividends(tape: MarketTape, symbol: str, start: date, end: date, until: datetime) -> Iterator[tuple[str, dict[str, Any]]]:
    bars = [
        tape.daily_bars(symbol, start - _LOOK_BACK, end, kind, until=until) for kind in (Adjustment.RAW, Adjustment.SPLIT, Adjustment.ALL)
    ]
    for (_, before, paid_before), (raw, bar, paid) in pairwise(zip(*bars, strict=True)):
        on = new_york_date(bar.start)
        if on < start:
            continue
        loss = 1 - (paid_before.close / before.close) / (paid.close / bar.close)
        if loss > _SMALLEST_YIELD:
            rate = round(before.close * (raw.close / bar.close) * loss, 4)
            row = {**_named(symbol, on, "dividend"), "rate": rate, "special": False, "foreign": False, "cusip": ""}
            yield "cash_dividends", row


def splits(tape: MarketTape, symbol: str, start: date, end: date) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the splits of a symbol with an ex-date from ``start`` to ``end``, both included, each with its group."""
    for on, ratio in tape.splits(symbol, start, end):
        row = {**_named(symbol, on, "split"), "new_rate": ratio.numerator, "old_rate": ratio.denominator}
        if ratio > 1:
            yield "forward_splits", {**row, "cusip": ""}
        elif ratio < 1:
            yield "reverse_splits", {**row, "old_cusip": "", "new_cusip": ""}


def _named(symbol: str, on: date, kind: str) -> dict[str, Any]:
    return {
        "id": asset_id_of(f"{symbol} {kind} {on}"),
        "symbol": symbol,
        "process_date": on.isoformat(),
        "ex_date": on.isoformat(),
        "record_date": on.isoformat(),
        "payable_date": on.isoformat(),
    }
