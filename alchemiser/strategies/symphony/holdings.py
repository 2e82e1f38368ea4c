"""Every distinct portfolio once: a number stands for it, and an array of numbers for what a node holds on all days.

A portfolio is kept as the recipe it was mixed by, numbers of other portfolios and their shares, and worked out when somebody wants its
weights. Most nodes hold a handful of portfolios over thousands of days, so combining nodes is combining a handful of numbers; and what is
mixed anew every day, such as an inverse volatility weighting, costs nothing on the days on which it is not selected.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from alchemiser.strategies.panel import Column

Numbers = NDArray[np.int32]
"""One portfolio per session."""

NOTHING = -1
"""Stands for a portfolio that cannot be computed."""
LEFT_OUT = -2
"""Stands for a child that a filter has not kept."""

Weights = dict[str, float]
Recipe = tuple[tuple[int, ...], tuple[float, ...]]


def add(total: Weights, share: float, part: Mapping[str, float]) -> None:
    """Add a share of a portfolio to another. All mixing is done by this, so that one day and all days agree to the last bit."""
    for symbol, weight in part.items():
        total[symbol] = total.get(symbol, 0.0) + share * weight


class Holdings:
    """Portfolios by number."""

    def __init__(self) -> None:
        self._recipes: list[Recipe] = []
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

    def weights(self, number: int) -> Weights:
        """Return the weights behind a number, in the order in which the tree reaches the symbols."""
        waiting = [number]
        while waiting:
            current = waiting[-1]
            numbers, shares = self._recipes[current]
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
        matrix = np.stack(parts)
        fixed = None if shares is None else tuple(shares)
        known: dict[tuple[int, ...], int] = {}
        changed = np.flatnonzero((matrix[:, 1:] != matrix[:, :-1]).any(axis=0)) + 1
        starts = np.concatenate(([0], changed)) if matrix.shape[1] else changed
        found: list[int] = []
        for row in matrix[:, starts].T.tolist():
            key = tuple(row)
            number = known.get(key)
            if number is None:
                number = known[key] = self._mix_of(key, fixed)
            found.append(number)
        lengths = np.diff(np.append(starts, matrix.shape[1]))
        return np.repeat(np.array(found, dtype=np.int32), lengths)

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

    def _mix_of(self, row: tuple[int, ...], shares: tuple[float, ...] | None) -> int:
        if NOTHING in row:
            return NOTHING
        if shares is None:
            row = tuple(number for number in row if number != LEFT_OUT)
            shares = (1.0 / len(row),) * len(row) if row else ()
        return self.of_mix(row, shares) if row else NOTHING
