"""The place where variants are evaluated: one panel, one set of indicators, one evaluated base, and variant after variant on top of it.

A worker has one bench for as long as it lives. The same variant gives the same figures on every bench, whatever was evaluated before.
"""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from alchemiser.backtest.at_once import acted_upon, lived, marks_of
from alchemiser.backtest.metrics import SESSIONS_PER_YEAR, Metrics, metrics_of
from alchemiser.backtest.result import Terms
from alchemiser.backtest.sweep.job import Job, JobStrategy, unpacked
from alchemiser.backtest.sweep.objective import score_of
from alchemiser.backtest.sweep.space import Values
from alchemiser.backtest.vector import run_vector
from alchemiser.domain.errors import AlchemiserError, DataError, UsageError
from alchemiser.domain.rebalancing import Header
from alchemiser.market.arrays import Floats, Places
from alchemiser.strategies.base import LoadedStrategy
from alchemiser.strategies.outcome import NotComputable
from alchemiser.strategies.panel import PricePanel
from alchemiser.strategies.python import PythonStrategy
from alchemiser.strategies.sources import StrategySource, load_strategy, version_of
from alchemiser.strategies.symphony.check import check_bytes
from alchemiser.strategies.symphony.strategy import SymphonyStrategy
from alchemiser.strategies.symphony.variants import Knob, Targets, VariantHistory, knobs_of, varied

ALLOCATION = "allocation"


class Scored(msgspec.Struct, frozen=True):
    """What became of a variant: its figures and its score in the training of each fold, or why it cannot be run."""

    values: Values
    metrics: Metrics | None
    folds: tuple[float, ...] = ()
    error: str | None = None


class Curve(msgspec.Struct, frozen=True):
    """The equity at every close from the place ``first`` of the panel on, what was traded as a share of it, and dollars of costs."""

    first: int
    equity: Floats
    traded_shares: Floats
    costs: float

    def metrics(self, initial: float, risk_free: float = 0.0) -> Metrics:
        """Return the figures of the curve."""
        return metrics_of(self.equity, initial=initial, traded_shares=self.traded_shares, costs=self.costs, risk_free=risk_free)


class Plan(msgspec.Struct, frozen=True):
    """When a variant acts, and on which targets: a column of ``weights`` per rebalance, a row per symbol."""

    symbols: tuple[str, ...]
    rebalanced: Places
    weights: Floats


class Bench:
    """Evaluates the variants of a job. Raises ``UsageError`` for a key that none of its strategies has."""

    def __init__(self, job: Job, block: Any) -> None:
        self.job = job
        self.panel = PricePanel(unpacked(block, job.layout), absent=job.absent)
        self._days = self.panel.sessions(job.first, job.last)
        self._marks: dict[str, Floats] = {}
        self._parts = [_Part(strategy, self.panel) for strategy in job.strategies]
        self._keys = [[self._resolved(key) for key in dimension.keys] for dimension in job.dimensions]

    def scored(self, values: Values) -> Scored:
        """Return the figures of a variant; one that cannot be run says why."""
        try:
            curve = self.curve(values)
        except AlchemiserError as error:
            return Scored(values, None, error=str(error))
        first, job = self.job.first, self.job
        folds = tuple(
            score_of(curve.equity[fold.train_first - first : fold.chosen - first + 1], job.objective, job.risk_free) for fold in job.folds
        )
        return Scored(values, curve.metrics(job.cash, job.risk_free), folds)

    def curve(self, values: Values) -> Curve:
        """Return the equity of a variant. Raises ``UsageError`` or ``DataError`` when it cannot be run."""
        plan = self.plan(values)
        return self._run(values) if plan is None else self.curve_of(plan, self.job.first)

    def curve_of(self, plan: Plan, first: int) -> Curve:
        """Return the equity of a plan, from the place ``first`` on."""
        terms = Terms(cash=self.job.cash, slippage_bps=self.job.slippage_bps)
        end = self.job.last + 1
        marks = [self._marks_of(symbol)[first:end] for symbol in plan.symbols]
        life = lived(plan.weights, plan.rebalanced - first, marks, marks, end - first, terms)
        return Curve(first, life.equity, life.traded, life.costs)

    def plan(self, values: Values) -> Plan | None:
        """Return when a variant acts and on what, ``None`` where that depends on how far its holdings drift."""
        parts = self._changed(values)
        if any(part.header.threshold is not None for part, *_ in parts):
            return None
        plans = [(self._plan_of(part, changes), share) for part, changes, share in parts]
        (base, _), *others = plans
        if not others:
            return base
        if any(not np.array_equal(plan.rebalanced, base.rebalanced) for plan, _ in others):
            return None
        symbols = tuple(sorted({symbol for plan, _ in plans for symbol in plan.symbols}))
        weights = np.zeros((len(symbols), len(base.rebalanced)))
        for plan, share in plans:
            weights[[symbols.index(symbol) for symbol in plan.symbols]] += share * plan.weights
        return Plan(symbols, base.rebalanced, weights)

    def strategies(self, values: Values) -> list[LoadedStrategy]:
        """Return the strategies of a variant."""
        return [part.strategy(changes, share) for part, changes, share in self._changed(values)]

    def _plan_of(self, part: "_Part", changes: Mapping[str, float]) -> Plan:
        first, last = self.job.first, self.job.last
        targets = part.targets(changes, first, last)
        rows = targets.rows[first : last + 1]
        # Behind the targets stands an empty one, which is that of the place -1.
        weights = np.hstack([targets.weights, np.zeros((len(targets.symbols), 1))]).take(rows, axis=1)
        used = np.flatnonzero(weights.any(axis=1))
        acted = np.flatnonzero(acted_upon(part.header, weights, rows >= 0, self._days))
        return Plan(tuple(targets.symbols[place] for place in used.tolist()), acted + first, weights[np.ix_(used, acted)])

    def _marks_of(self, symbol: str) -> Floats:
        marks = self._marks.get(symbol)
        if marks is None:
            marks = self._marks[symbol] = marks_of(self.panel, symbol)
        return marks

    def _run(self, values: Values) -> Curve:
        job, panel = self.job, self.panel
        terms = Terms(cash=job.cash, slippage_bps=job.slippage_bps, risk_free=job.risk_free)
        first, last = panel.session(job.first), panel.session(job.last)
        result = run_vector(self.strategies(values), panel, terms, timer=float, start=first, end=last)
        traded = np.array([2.0 * result.metrics.turnover * (result.sessions - 1) / SESSIONS_PER_YEAR])
        return Curve(job.first, np.array(result.equity), traded, result.metrics.costs)

    def _changed(self, values: Values) -> list[tuple["_Part", dict[str, float], float]]:
        """Return each strategy with its changes and its share of the account."""
        changes: list[dict[str, float]] = [{} for _ in self._parts]
        fixed: dict[int, float] = {}
        for keys, value in zip(self._keys, values, strict=True):
            for place, key in keys:
                if key == ALLOCATION:
                    fixed[place] = value
                else:
                    changes[place][key] = value
        shares = _shares([part.allocation for part in self._parts], fixed)
        return list(zip(self._parts, changes, shares, strict=True))

    def _resolved(self, key: str) -> tuple[int, str]:
        """Return which strategy a key belongs to, and its name there."""
        name, separator, rest = key.partition("/")
        for place, part in enumerate(self._parts):
            if separator and name != part.name:
                continue
            if (separator or len(self._parts) == 1) and part.knows(own := rest if separator else key):
                return place, own
        names = ", ".join(part.name for part in self._parts)
        hint = "" if len(self._parts) == 1 else f"; with several strategies it begins with one of {names} and a slash"
        raise UsageError(f"--vary {key}: there is no such number to vary{hint}. See: alchemiser sweep knobs")


class _Part:
    """One strategy of the job on the panel."""

    def __init__(self, wanted: JobStrategy, panel: PricePanel) -> None:
        self.name, self.allocation = wanted.name, wanted.allocation
        self._panel = panel
        self._history: VariantHistory | None = None
        self._knobs: dict[str, Knob] = {}
        if wanted.symphony is not None:
            self._base: LoadedStrategy = SymphonyStrategy(wanted.name, wanted.allocation, check_bytes(wanted.symphony), wanted.rules)
        else:
            self._base = load_strategy(StrategySource(wanted.name, wanted.source, wanted.allocation, wanted.rules))
            if wanted.version and wanted.version != version_of(wanted.source):
                raise DataError(f"{wanted.source}: a worker has loaded another version of its file; give it this one, and start it anew")
        if isinstance(self._base, SymphonyStrategy):
            self._history = VariantHistory(self._base.symphony, panel, wanted.rules)
            self._knobs = {knob.key: knob for knob in knobs_of(self._base.symphony)}

    @property
    def header(self) -> Header:
        return self._base.header

    def knows(self, key: str) -> bool:
        return key == ALLOCATION or key in self._knobs or key in attributes_of(self._base)

    def strategy(self, changes: Mapping[str, float], allocation: float) -> LoadedStrategy:
        base = self._base
        if isinstance(base, SymphonyStrategy):
            symphony = varied(base.symphony, {self._knobs[key]: value for key, value in changes.items()})
            return msgspec.structs.replace(base, allocation=allocation, symphony=symphony)
        assert isinstance(base, PythonStrategy), "there are two kinds of strategies"
        return msgspec.structs.replace(base, allocation=allocation, strategy=_with_attributes(base, changes))

    def targets(self, changes: Mapping[str, float], first: int, last: int) -> Targets:
        strategy = self.strategy(changes, self.allocation)
        if isinstance(strategy, SymphonyStrategy) and self._history is not None:
            return self._history.targets(strategy.symphony)
        return _decided(strategy, self._panel, first, last)


def attributes_of(strategy: LoadedStrategy) -> dict[str, float]:
    """Return the numbers of a Python strategy that can be varied: its public attributes; empty for a symphony."""
    if not isinstance(strategy, PythonStrategy):
        return {}
    own = strategy.strategy
    names = [name for name in dir(own) if not name.startswith("_") and name != "bars_needed"]
    values = {name: getattr(own, name) for name in names}
    return {name: float(value) for name, value in values.items() if isinstance(value, int | float) and not isinstance(value, bool)}


def _with_attributes(strategy: PythonStrategy, changes: Mapping[str, float]) -> Any:
    changed = copy.copy(strategy.strategy)
    for name, value in changes.items():
        if isinstance(getattr(changed, name), int):
            if value != int(value):
                raise UsageError(f"{name} = {value:g}: expected a whole number")
            setattr(changed, name, int(value))
        else:
            setattr(changed, name, value)
    return changed


def _decided(strategy: LoadedStrategy, panel: PricePanel, first: int, last: int) -> Targets:
    """Return the targets of a strategy that is asked session by session."""
    decider = strategy.on(panel)
    symbols = strategy.symbols_held
    row_of = {symbol: row for row, symbol in enumerate(symbols)}
    rows = np.full(len(panel), -1, dtype=np.int64)
    found: dict[tuple[tuple[str, float], ...], int] = {}
    for place in range(first, last + 1):
        outcome = decider.decide(place, explain=False)
        if not isinstance(outcome, NotComputable):
            rows[place] = found.setdefault(tuple(outcome.weights.items()), len(found))
    weights = np.zeros((len(symbols), len(found)))
    for target, column in found.items():
        for symbol, weight in target:
            weights[row_of[symbol], column] = weight
    return Targets(symbols, rows, weights)


def _shares(allocations: Sequence[float], fixed: Mapping[int, float]) -> list[float]:
    """Return the shares with some of them fixed; the others keep their proportions and all add up to 1."""
    taken = sum(fixed.values())
    rest = sum(share for place, share in enumerate(allocations) if place not in fixed)
    if taken > 1.0 + 1e-9 or (not rest and abs(taken - 1.0) > 1e-9):
        raise UsageError(f"allocations of {taken:g} in all leave nothing that adds up to 1")
    return [fixed[place] if place in fixed else share / rest * (1.0 - taken) for place, share in enumerate(allocations)]
