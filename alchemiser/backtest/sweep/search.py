"""Which variants to try: all of a grid, or what Optuna proposes from what it has seen.

A search asks for as many variants at once as it likes, however many workers there are, and hears of all of them before it asks again: so
the same seed tries the same variants on one core and on a hundred, and a search that was killed is simply run again, with the variants
that are known answered at once.
"""

import importlib
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, Final, Protocol

from alchemiser.backtest.sweep.objective import WORST
from alchemiser.backtest.sweep.space import Dimension, Values, grid_of, grid_size
from alchemiser.domain.errors import UsageError

AT_ONCE: Final = 32
"""Optuna proposes so many variants before it hears of them."""
GRID_AT_ONCE: Final = 512


class Search(Protocol):
    """Proposes variants."""

    @property
    def total(self) -> int:
        """How many variants will be proposed."""

    def proposed(self) -> Iterator[list[Values]]:
        """Yield variants to try; each time, the scores of those before have been told."""

    def told(self, values: Values, score: float) -> None:
        """Hear how good a variant is; larger is better."""


class Grid:
    """Every variant, in order."""

    def __init__(self, dimensions: Sequence[Dimension]) -> None:
        self._dimensions = dimensions
        self.total = grid_size(dimensions)

    def proposed(self) -> Iterator[list[Values]]:
        """Yield all of them."""
        every = grid_of(self._dimensions)
        while portion := list(islice(every, GRID_AT_ONCE)):
            yield portion

    def told(self, values: Values, score: float) -> None:
        """Hear it; a grid learns nothing."""


class Optuna:
    """A study of Optuna with its tree-structured estimator. A variant that was proposed already is proposed again, and costs nothing."""

    def __init__(self, dimensions: Sequence[Dimension], *, trials: int, seed: int) -> None:
        """Raises ``UsageError`` when the extra ``sweep`` is not installed."""
        try:
            optuna = importlib.import_module("optuna")
        except ModuleNotFoundError as error:
            raise UsageError(f"--search optuna needs {error.name}, which is not installed: pip install 'alchemiser[sweep]'") from error
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._dimensions = dimensions
        self._distributions = {
            dimension.name: optuna.distributions.CategoricalDistribution(dimension.values)
            if not dimension.is_range
            else optuna.distributions.IntDistribution(0, len(dimension.values) - 1)
            for dimension in dimensions
        }
        self._study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed, constant_liar=True))
        self._failed = optuna.trial.TrialState.FAIL
        self._open: list[tuple[Any, Values]] = []
        self.total = trials

    def proposed(self) -> Iterator[list[Values]]:
        """Yield what the sampler proposes."""
        left = self.total
        while left:
            self._open = []
            for _ in range(min(AT_ONCE, left)):
                trial = self._study.ask(self._distributions)
                self._open.append((trial, tuple(self._value(dimension, trial.params[dimension.name]) for dimension in self._dimensions)))
            left -= len(self._open)
            yield [values for _, values in self._open]

    def told(self, values: Values, score: float) -> None:
        """Tell the study of every open trial with these values."""
        for trial, asked in self._open:
            if asked == values:
                if score == WORST:
                    self._study.tell(trial, state=self._failed)
                else:
                    self._study.tell(trial, score)
        self._open = [(trial, asked) for trial, asked in self._open if asked != values]

    def _value(self, dimension: Dimension, chosen: Any) -> float:
        return dimension.values[int(chosen)] if dimension.is_range else float(chosen)
