"""Every distinct portfolio once: a number stands for it, and an array of numbers for what a node holds on all days.

A portfolio is kept as the recipe it was mixed by, numbers of other portfolios and their shares, and worked out when somebody wants its
weights. Most nodes hold a handful of portfolios over thousands of days, so combining nodes is combining a handful of numbers; and what is
mixed anew every day, such as an inverse volatility weighting, costs nothing on the days on which it is not selected.
"""

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from itertools import zip_longest

import numpy as np

from alchemiser.market.arrays import Flags, Floats, Numbers, Places
from alchemiser.strategies.panel import Column

NOTHING = -1
"""Stands for a portfolio that cannot be computed."""
LEFT_OUT = -2
"""Stands for a child that a filter has not kept."""

WIDE = 32
"""A mix of more parts than this keeps its parts in an array."""
FEW = 256
"""Up to so many different mixes of one node are known by what they are made of; more of them are kept in an array and not compared."""

Weights = dict[str, float]
Recipe = tuple[tuple[int, ...], tuple[float, ...]]
Shares = tuple[float, ...] | Floats | None
"""One share per part, or one per part and mix; without any, parts that are not left out get equal ones."""


def add(total: Weights, share: float, part: Mapping[str, float]) -> None:
    """Add a share of a portfolio to another. All mixing is done by this, so that one day and all days agree to the last bit."""
    for symbol, weight in part.items():
        total[symbol] = total.get(symbol, 0.0) + share * weight


class Holdings:
    """Portfolios by number."""

    def __init__(self) -> None:
        self._count = 0
        self._assets: dict[str, int] = {}
        self._numbers: dict[Recipe, int] = {}
        self._recipes: dict[int, Recipe] = {}
        self._blocks: list[tuple[int, Numbers, Places, Shares]] = []
        self._firsts: list[int] = []  # the first number of each block
        self._weights: dict[int, Weights] = {}

    def of_asset(self, symbol: str) -> int:
        """Return the number of all in one symbol."""
        number = self._assets.get(symbol)
        if number is None:
            number = self._assets[symbol] = self._new()
            self._weights[number] = {symbol: 1.0}
        return number

    def compact(self, numbers: Numbers) -> Numbers:
        """Return numbers in the smallest type that holds all there are so far."""
        return numbers.astype(np.int16 if self._count < np.iinfo(np.int16).max else np.int32, copy=False)

    def weights(self, number: int) -> Weights:
        """Return the weights behind a number, in the order in which the tree reaches the symbols."""
        known, waiting = self._weights, [number]
        while waiting:
            current = waiting[-1]
            if current in known:
                waiting.pop()
                continue
            parts = self._parts_of(current)
            unknown = [part for part, _ in parts if part not in known]
            if unknown:
                waiting.extend(unknown)
                continue
            mixed: Weights = {}
            for part, share in parts:
                add(mixed, share, known[part])
            known[current] = mixed
        return known[number]

    def __len__(self) -> int:
        return self._count

    def mixed(self, parts: Sequence[Numbers], shares: tuple[float, ...] | None = None) -> Numbers:
        """Return for each session the mix of the parts; without ``shares`` those not left out get equal ones.

        A session on which a part cannot be computed has nothing.
        """
        sessions = len(parts[0])
        is_start = np.zeros(sessions, dtype=np.bool_)
        is_start[:1] = True
        for part in parts:
            is_start[1:] |= part[1:] != part[:-1]
        starts = np.flatnonzero(is_start)
        # Row by row into one array: stacking would hold every row twice.
        rows = np.empty((len(parts), len(starts)), dtype=max(part.dtype for part in parts))
        for place, part in enumerate(parts):
            rows[place] = part[starts]
        columns, column_of = self._distinct(rows)
        chosen = _computable(columns)
        found = np.full(columns.shape[1], NOTHING, dtype=np.int32)
        found[chosen] = self._of_columns(columns, chosen, shares)
        return np.repeat(found[column_of], np.diff(np.append(starts, sessions)))

    def block(self, columns: Numbers, chosen: Places, shares: Shares) -> Numbers:
        """Return new numbers for mixes, one per column chosen; what they weigh is worked out when somebody asks."""
        first = self._count
        self._count += len(chosen)
        self._blocks.append((first, columns, chosen, shares))
        self._firsts.append(first)
        return np.arange(first, self._count, dtype=np.int32)

    def matrix(self, held: Numbers) -> tuple[list[str], Floats]:
        """Return symbols, and a column of their weights for each of these portfolios, zeros where it is ``NOTHING``.

        The weights are those of :meth:`weights` to the last bit: a mix of every session is added up part by part, all sessions at once.
        """
        symbols = list(self._assets)
        wanted = self._closure(held[held >= 0])
        row_of = np.full(self._count + 1, len(wanted), dtype=np.intp)  # the last is that of NOTHING
        row_of[wanted] = np.arange(len(wanted))
        table = np.zeros((len(wanted) + 1, len(symbols)))
        for block, first, last in self._runs(wanted):  # ascending: the parts of a mix have smaller numbers
            if block >= 0:
                self._fill_block(block, wanted[first:last], table[first:last], table, row_of)
            else:
                self._fill_rows(wanted[first:last].tolist(), table, row_of)
        return symbols, np.ascontiguousarray(table.T).take(row_of[held], axis=1)

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

    def _closure(self, numbers: Numbers) -> Numbers:
        """Return these numbers and all that they are made of, ascending."""
        # Marks instead of sets, from the last number to the first: there may be as many as sessions, and parts have smaller numbers.
        needed = np.zeros(self._count, dtype=np.bool_)
        needed[numbers] = True
        end = self._count
        for first, columns, chosen, _ in reversed(self._blocks):
            behind = first + len(chosen)
            self._mark_parts(needed, behind, end)
            mixed = columns[:, chosen[needed[first:behind]]]
            needed[mixed[mixed >= 0]] = True
            end = first
        self._mark_parts(needed, 0, end)
        return np.flatnonzero(needed)

    def _mark_parts(self, needed: Flags, first: int, end: int) -> None:
        """Mark the parts of the numbers needed from ``first`` to before ``end``, which are in no block."""
        waiting = (np.flatnonzero(needed[first:end]) + first).tolist()
        while waiting:
            parts, _ = self._recipes.get(waiting.pop(), ((), ()))
            for part in parts:
                if not needed[part]:
                    needed[part] = True
                    if part >= first:
                        waiting.append(part)

    def _runs(self, numbers: Numbers) -> list[tuple[int, int, int]]:
        """Return the block, -1 for none, and the bounds of each run of ascending numbers that belong to one."""
        if not len(numbers):
            return []
        blocks = np.searchsorted(self._firsts, numbers, side="right") - 1
        ends = np.array([0, *(first + len(chosen) for first, _, chosen, _ in self._blocks)])
        blocks = np.where(numbers < ends[blocks + 1], blocks, -1)
        bounds = np.flatnonzero(np.diff(blocks)) + 1
        starts = [0, *bounds.tolist()]
        return list(zip(blocks[starts].tolist(), starts, [*bounds.tolist(), len(numbers)], strict=True))

    def _fill_rows(self, numbers: Sequence[int], table: Floats, row_of: Places) -> None:
        """Fill the rows of these numbers: those whose parts are filled already together, part after part."""
        column_of = {symbol: column for column, symbol in enumerate(self._assets)}
        waiting: list[int] = []
        for number in numbers:
            if number not in self._recipes:
                for symbol, weight in self._weights[number].items():
                    table[row_of[number], column_of[symbol]] = weight
                continue
            if waiting and max(self._recipes[number][0]) >= waiting[0]:
                self._fill_recipes(waiting, table, row_of)
                waiting = []
            waiting.append(number)
        self._fill_recipes(waiting, table, row_of)

    def _fill_recipes(self, numbers: Sequence[int], table: Floats, row_of: Places) -> None:
        recipes = [self._recipes[number] for number in numbers]
        rows = row_of[np.array(numbers, dtype=np.intp)]
        slots = zip_longest(*(parts for parts, _ in recipes), fillvalue=NOTHING)
        shares_of = zip_longest(*(shares for _, shares in recipes), fillvalue=0.0)
        for parts, shares in zip(slots, shares_of, strict=True):
            table[rows] += np.array(shares)[:, None] * table[row_of[list(parts)]]

    def _fill_block(self, block: int, members: Numbers, rows: Floats, table: Floats, row_of: Places) -> None:
        first, columns, chosen, shares = self._blocks[block]
        places = chosen[members - first]
        parts = columns[:, places]
        if isinstance(shares, np.ndarray):
            given = shares[:, places]
        elif shares is None:
            kept = parts != LEFT_OUT
            given = kept / kept.sum(axis=0)
        else:
            given = np.broadcast_to(np.array(shares)[:, None], parts.shape)
        for part, share in zip(parts, given, strict=True):
            used = np.flatnonzero(share)
            if (part == part[0]).all():
                # Mostly a part is one symbol on all sessions: nothing has to be looked up in the table then.
                weights = table[row_of[part[0]]]
                for column in np.flatnonzero(weights).tolist():
                    rows[used, column] += share[used] * weights[column]
            else:
                rows[used] += share[used, None] * table[row_of[part[used]]]

    def _new(self) -> int:
        self._count += 1
        return self._count - 1

    def _distinct(self, columns: Numbers) -> tuple[Numbers, Places]:
        """Return the different columns, as far as comparing them is cheap, and which of them stands where."""
        base = self._count - LEFT_OUT
        if base ** len(columns) >= np.iinfo(np.int64).max:
            return columns, np.arange(columns.shape[1])
        keys = np.zeros(columns.shape[1], dtype=np.int64)
        for row in columns:
            keys = keys * base + (row.astype(np.int64) - LEFT_OUT)
        _, places, column_of = np.unique(keys, return_index=True, return_inverse=True)
        return columns[:, places], column_of

    def _of_columns(self, columns: Numbers, chosen: Places, shares: tuple[float, ...] | None) -> Numbers:
        if len(columns) > WIDE or len(chosen) > FEW:
            return self.block(columns, chosen, shares)
        return np.array([self._of_recipe(_recipe_of(column, shares)) for column in columns[:, chosen].T.tolist()], dtype=np.int32)

    def _of_recipe(self, recipe: Recipe) -> int:
        number = self._numbers.get(recipe)
        if number is None:
            number = self._numbers[recipe] = self._new()
            self._recipes[number] = recipe
        return number

    def _parts_of(self, number: int) -> list[tuple[int, float]]:
        recipe = self._recipes.get(number)
        if recipe is not None:
            return list(zip(*recipe, strict=True))
        first, columns, chosen, shares = self._blocks[bisect_right(self._firsts, number) - 1]
        place = chosen.item(number - first)
        return _shared(columns[:, place].tolist(), shares[:, place].tolist() if isinstance(shares, np.ndarray) else shares)


def _computable(columns: Numbers) -> Places:
    """Return the columns in which every part can be computed and at least one is not left out. Row by row, because there may be many."""
    has_nothing = np.zeros(columns.shape[1], dtype=np.bool_)
    is_left_out = np.ones(columns.shape[1], dtype=np.bool_)
    for row in columns:
        has_nothing |= row == NOTHING
        is_left_out &= row == LEFT_OUT
    return np.flatnonzero(~(has_nothing | is_left_out))


def _shared(numbers: Sequence[int], shares: Sequence[float] | None) -> list[tuple[int, float]]:
    """Return the numbers of a column that get something, and the share of each."""
    if shares is None:
        kept = [number for number in numbers if number != LEFT_OUT]
        return [(number, 1.0 / len(kept)) for number in kept]
    return [(number, share) for number, share in zip(numbers, shares, strict=True) if share]


def _recipe_of(numbers: Sequence[int], shares: Sequence[float] | None) -> Recipe:
    parts = _shared(numbers, shares)
    return tuple([number for number, _ in parts]), tuple([share for _, share in parts])
