"""Every distinct portfolio once: a number stands for it, and an array of numbers for what a node holds on all days.

A portfolio is kept as the recipe it was mixed by, numbers of other portfolios and their shares, and worked out when somebody wants its
weights. Most nodes hold a handful of portfolios over thousands of days, so combining nodes is combining a handful of numbers; and what is
mixed anew every day, such as an inverse volatility weighting, costs nothing on the days on which it is not selected.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import numpy as np

from alchemiser.market.arrays import Numbers
from alchemiser.strategies.panel import Column

NOTHING = -1
"""Stands for a portfolio that cannot be computed."""
LEFT_OUT = -2
"""Stands for a child that a filter has not kept."""

WIDE = 32
"""A mix of more parts than this keeps its parts in an array, and the same mix made twice stays two."""

Weights = dict[str, float]
Recipe = tuple[tuple[int, ...], tuple[float, ...]]


def add(total: Weights, share: float, part: Mapping[str, float]) -> None:
    """Add a share of a portfolio to another. All mixing is done by this, so that one day and all days agree to the last bit."""
    for symbol, weight in part.items():
        total[symbol] = total.get(symbol, 0.0) + share * weight


class Holdings:
    """Portfolios by number."""

    def __init__(self) -> None:
        self._recipes: list[Recipe | Callable[[], Recipe]] = []
        self._weights: list[Weights | None] = []
        self._numbers: dict[str | Recipe, int] = {}

    def of_asset(self, symbol: str) -> int:
        """Return the number of all in one symbol."""
        number = self._numbers.get(symbol)
        if number is None:
            number = self._numbers[symbol] = len(self._recipes)
            self._recipes.append(((), ()))
            self._weights.append({symbol: 1.0})
        return number

    def of_mix(self, numbers: tuple[int, ...], shares: tuple[float, ...]) -> int:
        """Return the number of a mix of portfolios, each with its share."""
        recipe = (numbers, shares)
        number = self._numbers.get(recipe)
        if number is None:
            number = self._numbers[recipe] = len(self._recipes)
            self._recipes.append(recipe)
            self._weights.append(None)
        return number

    def compact(self, numbers: Numbers) -> Numbers:
        """Return numbers in the smallest type that holds all there are so far."""
        return numbers.astype(np.int16 if len(self._recipes) < np.iinfo(np.int16).max else np.int32, copy=False)

    def weights(self, number: int) -> Weights:
        """Return the weights behind a number, in the order in which the tree reaches the symbols."""
        waiting = [number]
        while waiting:
            current = waiting[-1]
            recipe = self._recipes[current]
            numbers, shares = recipe() if callable(recipe) else recipe
            unknown = [part for part in numbers if self._weights[part] is None]
            if self._weights[current] is None and unknown:
                waiting.extend(unknown)
                continue
            waiting.pop()
            if self._weights[current] is None:
                mixed: Weights = {}
                for part, share in zip(numbers, shares, strict=True):
                    add(mixed, share, self._weights[part] or {})
                self._weights[current] = mixed
        found = self._weights[number]
        assert found is not None
        return found

    def mixed(self, parts: Sequence[Numbers], shares: Sequence[float] | None = None) -> Numbers:
        """Return for each session the mix of the parts; without ``shares`` those not left out get equal ones.

        A session on which a part cannot be computed has nothing.
        """
        sessions = len(parts[0])
        is_start = np.zeros(sessions, dtype=np.bool_)
        is_start[:1] = True
        for part in parts:
            is_start[1:] |= part[1:] != part[:-1]
        starts = np.flatnonzero(is_start)
        columns = np.stack([part[starts] for part in parts])
        fixed = None if shares is None else tuple(shares)
        found = self._wide(columns, fixed) if len(parts) > WIDE else self._narrow(columns, fixed)
        return np.repeat(np.array(found, dtype=np.int32), np.diff(np.append(starts, sessions)))

    def average(self, held: Numbers, column_of: Callable[[str], Column]) -> Column:
        """Return for each session the average, by weight, of a number of each symbol held; it is known where all of them are."""
        numbers, row_of = np.unique(held, return_inverse=True)
        rows = [{} if number == NOTHING else self.weights(number) for number in numbers.tolist()]
        index = {symbol: place for place, symbol in enumerate(dict.fromkeys(symbol for row in rows for symbol in row))}
        columns = [column_of(symbol) for symbol in index]
        sessions = np.arange(len(held))
        # Behind the symbols stands one that is always known and zero: it fills up the rows that hold fewer.
        values = np.stack([*(column.values for column in columns), np.zeros(len(held))])
        known = np.stack([*(column.known for column in columns), np.ones(len(held), dtype=np.bool_)])
        width = max((len(row) for row in rows), default=0)
        symbols = np.array([[index[s] for s in row] + [len(index)] * (width - len(row)) for row in rows], dtype=np.intp)
        weights = np.array([[*row.values(), *[0.0] * (width - len(row))] for row in rows], dtype=np.float64)
        total, is_known = np.zeros(len(held)), held != NOTHING
        for slot in range(width):
            symbol = symbols[row_of, slot]
            total += weights[row_of, slot] * values[symbol, sessions]
            is_known &= known[symbol, sessions]
        return Column(total, is_known)

    def _narrow(self, columns: Numbers, shares: tuple[float, ...] | None) -> list[int]:
        known: dict[tuple[int, ...], int] = {}
        found: list[int] = []
        for row in columns.T.tolist():
            key = tuple(row)
            number = known.get(key)
            if number is None:
                number = known[key] = self._mix_of(key, shares)
            found.append(number)
        return found

    def _wide(self, columns: Numbers, shares: tuple[float, ...] | None) -> list[int]:
        nothing = (columns == NOTHING).any(axis=0) | (columns == LEFT_OUT).all(axis=0)
        found: list[int] = []
        for place, is_nothing in enumerate(nothing.tolist()):
            found.append(NOTHING if is_nothing else len(self._recipes))
            if not is_nothing:
                self._recipes.append(partial(_recipe_of, columns, place, shares))
                self._weights.append(None)
        return found

    def _mix_of(self, row: tuple[int, ...], shares: tuple[float, ...] | None) -> int:
        if NOTHING in row:
            return NOTHING
        numbers, parts = _kept(row, shares)
        return self.of_mix(numbers, parts) if numbers else NOTHING


def _recipe_of(columns: Numbers, place: int, shares: tuple[float, ...] | None) -> Recipe:
    return _kept(tuple(columns[:, place].tolist()), shares)


def _kept(row: tuple[int, ...], shares: tuple[float, ...] | None) -> Recipe:
    """Return the numbers that were not left out, and the share of each."""
    if shares is not None:
        return row, shares
    kept = tuple(number for number in row if number != LEFT_OUT)
    return kept, (1.0 / len(kept),) * len(kept) if kept else ()
