"""Where a sweep runs makes no difference: this process, processes that share the bars, a search that learns."""

import os
import signal
from pathlib import Path

import numpy as np
import pytest

from alchemiser.backtest.sweep import search as searches
from alchemiser.backtest.sweep.bench import Bench, Scored
from alchemiser.backtest.sweep.folds import folds_of
from alchemiser.backtest.sweep.job import unpacked
from alchemiser.backtest.sweep.objective import WORST
from alchemiser.backtest.sweep.run import Sweep
from alchemiser.backtest.sweep.search import AT_ONCE, Grid, Optuna
from alchemiser.backtest.sweep.space import Values, dimension_of
from alchemiser.backtest.sweep.workers import HereAndNow, processes
from alchemiser.domain.errors import DataError, UsageError
from tests.unit.backtest.sweep.harness import bars_of, job_of, opened, sweep_of
from tests.unit.strategies.test_variants import panel

SPACE = [dimension_of("3:threshold=30..70:1"), dimension_of("4:window=4,8,12")]


def test_bars_travel_as_they_are() -> None:
    """As one block of memory, read without a copy, and nobody can write into it."""
    job, block = job_of()
    before, after = bars_of(panel()), unpacked(block, job.layout)

    for symbol, (days, closes) in before.items():
        np.testing.assert_array_equal(days, after[symbol][0])
        np.testing.assert_array_equal(closes, after[symbol][1])
        assert not after[symbol][1].flags.writeable


@pytest.mark.slow
def test_processes_give_the_same_results(tmp_path: Path) -> None:
    """To the last bit, in whatever order they are done; the shared memory is gone afterwards."""
    job, block = job_of()
    found = []
    with opened(tmp_path / "a.db", job, block) as results:
        sweep_of(job, block, results).search(lambda number: Grid(job.dimensions))
        found.append(results.known([dimension.name for dimension in job.dimensions]))
    before = set(os.listdir("/dev/shm"))
    with opened(tmp_path / "b.db", job, block) as results, processes(job, block, 2) as workers:
        assert workers.count == 2
        sweep_of(job, block, results, workers).search(lambda number: Grid(job.dimensions))
        found.append(results.known([dimension.name for dimension in job.dimensions]))

    assert found[0] == found[1]
    assert len(found[0]) == 10
    assert set(os.listdir("/dev/shm")) <= before


@pytest.mark.slow
def test_a_worker_that_dies_is_said() -> None:
    """What was done stays in the results."""
    job, block = job_of()
    with processes(job, block, 1) as workers:
        answers = workers.scored([[(50.0, float(window))] for window in range(2, 4_000)])
        assert next(answers)[0].metrics is not None
        (process,) = workers._executor._processes
        os.kill(process, signal.SIGKILL)
        with pytest.raises(DataError, match="a worker process of the sweep ended"):
            list(answers)


# --- Optuna ---


def proposals(trials: int, seed: int, peak: float = 55.0) -> list[Values]:
    """Return what a study proposes when the score is the nearness to a peak."""
    study = Optuna(SPACE, trials=trials, seed=seed)
    found = []
    for values in study.proposed():
        assert len(values) <= AT_ONCE
        for each in values:
            study.told(each, WORST if each[1] == 4.0 else -abs(each[0] - peak))
        found += values
    return found


@pytest.mark.slow
def test_a_study_learns_and_is_the_same_again() -> None:
    """The later half lies nearer to the peak than the first; the same seed proposes the same variants; failures are left out."""
    pytest.importorskip("optuna", reason="the extra sweep is not installed")
    found = proposals(160, 1)

    assert len(found) == 160
    assert found == proposals(160, 1)
    assert found != proposals(160, 2)
    distances = [abs(values[0] - 55.0) for values in found]
    assert np.mean(distances[96:]) < 0.6 * np.mean(distances[:32])
    assert {value for value, _ in found} <= set(SPACE[0].values)


@pytest.mark.slow
def test_a_search_that_learns_is_told_of_its_own_training_only(tmp_path: Path) -> None:
    """Each fold has a study of its own; a variant that two of them propose is evaluated once."""
    pytest.importorskip("optuna", reason="the extra sweep is not installed")
    folds = folds_of("anchored", 10, 159, train=60, test=45)
    job, block = job_of(folds=folds)
    bench = Bench(job, block)
    heard: list[tuple[int, Values, float]] = []

    class Listening(Optuna):
        """Remembers what it is told."""

        def __init__(self, number: int) -> None:
            super().__init__(job.dimensions, trials=6, seed=number)
            self.number = number

        def told(self, values: Values, score: float) -> None:
            """Hear and remember."""
            heard.append((self.number, values, score))
            super().told(values, score)

    with opened(tmp_path / "s.db", job, block) as results:
        sweep = Sweep(bench, HereAndNow(bench), results, told=lambda more: None)
        walked = sweep.walk(Listening, is_learning=True)
        assert len(results) == sweep.evaluated <= 10
    assert len(walked.folds) == len(folds) == 2
    assert len(heard) == 12
    scored: dict[Values, Scored] = {values: bench.scored(values) for _, values, _ in heard}
    assert all(score == scored[values].folds[number] for number, values, score in heard)


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Instead of a traceback."""

    def missing(name: str) -> None:
        raise ModuleNotFoundError("no", name=name)

    monkeypatch.setattr(searches.importlib, "import_module", missing)  # type: ignore[attr-defined]
    with pytest.raises(UsageError, match=r"alchemiser\[sweep\]"):
        Optuna(SPACE, trials=1, seed=0)
