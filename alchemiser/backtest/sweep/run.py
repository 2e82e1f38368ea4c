"""A sweep from beginning to end: propose, look up what is known, evaluate the rest side by side, write, rank, and walk forward.

What was written is never evaluated again, so a sweep that was killed goes on where it was when it is called again.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import date
from functools import partial
from typing import Final

import msgspec
import numpy as np

from alchemiser.backtest.inference import SharpeTest, sharpe_test
from alchemiser.backtest.metrics import Metrics, metrics_of
from alchemiser.backtest.sweep.bench import Bench, Curve, Plan, Scored
from alchemiser.backtest.sweep.folds import Fold
from alchemiser.backtest.sweep.objective import WORST, score_of
from alchemiser.backtest.sweep.results import Ranked, Results
from alchemiser.backtest.sweep.search import Search
from alchemiser.backtest.sweep.space import Values
from alchemiser.backtest.sweep.workers import Workers
from alchemiser.domain.errors import DataError

PORTION: Final = 16
"""So many variants go to a worker at a time, and are written together."""

MakeSearch = Callable[[int], Search]
"""Returns a search; the number tells searches of one sweep apart."""

Told = Callable[[int], object]
"""Hears how many variants more are done."""


class ChosenFold(msgspec.Struct, frozen=True, kw_only=True):
    """One step of a walk-forward: what was chosen on which sessions, how good it was there, and the figure of the sessions after."""

    train_start: date
    train_end: date
    test_end: date
    parameters: dict[str, float]
    train_score: float
    test_score: float | None


class WalkForward(msgspec.Struct, frozen=True, kw_only=True):
    """The stitched sessions that no choice had seen: their equity, and its figures.

    ``switches_are_charged`` is false where the targets of two variants cannot be joined and their curves are chained instead.
    """

    folds: list[ChosenFold]
    dates: list[date]
    equity: list[float]
    metrics: Metrics
    switches_are_charged: bool
    probabilistic_sharpe: float | None


class Best(msgspec.Struct, frozen=True, kw_only=True):
    """The best variant, with what its Sharpe ratio is worth after so many were tried."""

    parameters: dict[str, float]
    metrics: Metrics
    sharpe_test: SharpeTest


class Sweep:
    """Runs the searches of a job."""

    def __init__(self, bench: Bench, workers: Workers, results: Results, *, told: Told) -> None:
        self._bench = bench
        self._workers = workers
        self._results = results
        self._told = told
        self._names = [dimension.name for dimension in bench.job.dimensions]
        self._known = results.known(self._names)
        self.evaluated = 0
        self.failure: str | None = None
        """Why the first of the variants that could not be run could not."""

    def search(self, make: MakeSearch) -> None:
        """Run one search over all sessions."""
        self._run(make(0), self._whole)

    def walk(self, make: MakeSearch, *, is_learning: bool) -> WalkForward:
        """Choose in every fold and return the stitched rest.

        A search that learns is run anew for every fold, and is told of that fold's training only, so that it has not seen what comes.
        Raises ``DataError`` when no variant could be run in the training of a fold.
        """
        folds = self._bench.job.folds
        chosen: list[Scored] = []
        tried: list[Scored] = [] if is_learning else self._run(make(0), self._whole)
        for number in range(len(folds)):
            if is_learning:
                tried = self._run(make(number), partial(_of_fold, number))
            runnable = [scored for scored in tried if scored.folds and scored.folds[number] > WORST]
            if not runnable:
                where = self._bench.panel.session(folds[number].chosen)
                raise DataError(f"in the training up to {where} no variant has a figure to choose by; start later or train longer")
            chosen.append(max(runnable, key=lambda scored: scored.folds[number]))
        return self._stitched([scored.values for scored in chosen], [scored.folds[place] for place, scored in enumerate(chosen)])

    def ranked(self, count: int) -> list[Ranked]:
        """Return the best variants of these parameters by the objective, those of earlier sweeps included."""
        return self._results.ranked(self._bench.job.objective, count, self._names)

    def best(self) -> Best | None:
        """Return the best variant of these parameters by the objective, ``None`` when none could be run."""
        ranked = self.ranked(1)
        if not ranked:
            return None
        values = tuple(ranked[0].parameters[name] for name in self._names)
        trials, variance = len(self._results), self._results.trial_variance()
        equity = self._bench.curve(values).equity
        tested = sharpe_test(equity, trials=trials, risk_free=self._bench.job.risk_free, trial_variance=variance)  # type: ignore[arg-type]
        return Best(parameters=ranked[0].parameters, metrics=ranked[0].metrics, sharpe_test=tested)

    def _run(self, search: Search, score: Callable[[Scored], float]) -> list[Scored]:
        done: list[Scored] = []
        for values in search.proposed():
            missing = list(dict.fromkeys(each for each in values if each not in self._known))
            self._told(len(values) - len(missing))
            for answers in self._workers.scored(list(_portions(missing, self._workers.count))):
                self._results.add(self._names, answers)
                self._known.update((answer.values, answer) for answer in answers)
                self.evaluated += len(answers)
                self._told(len(answers))
            for each in values:
                scored = self._known[each]
                self.failure = self.failure or scored.error
                search.told(each, score(scored))
                done.append(scored)
        return done

    def _whole(self, scored: Scored) -> float:
        """Return the score of a variant over all sessions."""
        if scored.metrics is None:
            return WORST
        objective = self._bench.job.objective
        value = getattr(scored.metrics, objective)
        if value is None:
            return WORST
        return -float(value) if objective in ("volatility", "max_drawdown") else float(value)

    def _stitched(self, chosen: Sequence[Values], scores: Sequence[float]) -> WalkForward:
        bench, job = self._bench, self._bench.job
        plans = {values: bench.plan(values) for values in dict.fromkeys(chosen)}
        first = job.folds[0].chosen
        joined = _joined(job.folds, [plans[values] for values in chosen])
        if joined is not None:
            curve = bench.curve_of(joined, first)
            equity, metrics = curve.equity, curve.metrics(job.cash, job.risk_free)
        else:
            equity = _chained(job.folds, [bench.curve(values) for values in chosen], job.cash)
            metrics = metrics_of(equity, initial=job.cash, risk_free=job.risk_free)
        days = bench.panel.sessions(first, job.folds[-1].test_last)
        folds = []
        for fold, values, score in zip(job.folds, chosen, scores, strict=True):
            tested = score_of(equity[fold.chosen - first : fold.test_last - first + 1], job.objective, job.risk_free)
            folds.append(
                ChosenFold(
                    train_start=bench.panel.session(fold.train_first),
                    train_end=bench.panel.session(fold.chosen),
                    test_end=bench.panel.session(fold.test_last),
                    parameters=dict(zip(self._names, values, strict=True)),
                    train_score=score,
                    test_score=None if tested == WORST else tested,
                )
            )
        return WalkForward(
            folds=folds,
            dates=days,
            equity=equity.tolist(),
            metrics=metrics,
            switches_are_charged=joined is not None,
            probabilistic_sharpe=sharpe_test(equity, risk_free=job.risk_free).probabilistic,  # type: ignore[arg-type]
        )


def _of_fold(number: int, scored: Scored) -> float:
    return scored.folds[number] if scored.folds else WORST


def _portions(values: Sequence[Values], workers: int) -> Iterator[Sequence[Values]]:
    """Yield the variants in portions, small enough that every worker has some."""
    size = max(1, min(PORTION, -(-len(values) // max(1, workers))))
    for low in range(0, len(values), size):
        yield values[low : low + size]


def _joined(folds: Sequence[Fold], plans: Sequence[Plan | None]) -> Plan | None:
    """Return the plan that follows each fold's choice from its close on, ``None`` where one of them is not known beforehand.

    At the close of a choice its latest target is traded to at once, unless the choice stays what it was.
    """
    known = [plan for plan in plans if plan is not None]
    if len(known) < len(plans):
        return None
    symbols = tuple(sorted({symbol for plan in known for symbol in plan.symbols}))
    row_of = {symbol: row for row, symbol in enumerate(symbols)}
    places, columns = [], []
    before: Plan | None = None
    for fold, plan in zip(folds, known, strict=True):
        rows = [row_of[symbol] for symbol in plan.symbols]
        is_kept, before = plan is before, plan
        latest = int(np.searchsorted(plan.rebalanced, fold.chosen, side="left" if is_kept else "right")) - (not is_kept)
        end = int(np.searchsorted(plan.rebalanced, fold.test_last, side="right" if fold is folds[-1] else "left"))
        for index in range(max(latest, 0), end):
            column = np.zeros(len(symbols))
            column[rows] = plan.weights[:, index]
            places.append(max(int(plan.rebalanced[index]), fold.chosen))
            columns.append(column)
    return Plan(symbols, np.array(places, dtype=np.intp), np.array(columns).reshape(len(columns), len(symbols)).T)


def _chained(folds: Sequence[Fold], curves: Sequence[Curve], cash: float) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    equity = [cash]
    for fold, curve in zip(folds, curves, strict=True):
        stretch = curve.equity[fold.chosen - curve.first : fold.test_last - curve.first + 1]
        equity += (equity[-1] * stretch[1:] / stretch[0]).tolist()
    return np.array(equity)
