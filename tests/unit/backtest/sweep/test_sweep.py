"""A sweep: each variant has the figures of its own back-test, nothing is evaluated twice, and a walk forward has seen nothing ahead."""

import hashlib
import sqlite3
from collections.abc import Iterator, Sequence
from datetime import date
from functools import partial
from itertools import pairwise
from pathlib import Path

import msgspec
import numpy as np
import pytest

from alchemiser.backtest.inference import sharpe_test
from alchemiser.backtest.result import Terms
from alchemiser.backtest.sweep import run
from alchemiser.backtest.sweep.bench import Bench, Scored
from alchemiser.backtest.sweep.folds import folds_of
from alchemiser.backtest.sweep.job import Job, JobStrategy
from alchemiser.backtest.sweep.results import Results, question_of
from alchemiser.backtest.sweep.search import Grid
from alchemiser.backtest.sweep.space import Values
from alchemiser.backtest.sweep.workers import HereAndNow
from alchemiser.backtest.vector import run_vector
from alchemiser.domain.errors import DataError, UsageError
from alchemiser.strategies.catalog import dual_momentum
from alchemiser.strategies.sources import StrategySource, load_strategy, version_of
from alchemiser.strategies.symphony.evaluate import STOP
from tests.unit.backtest.sweep.harness import OWN, job_of, opened, sweep_of
from tests.unit.strategies.test_variants import ALL_FORMS, panel

OTHER = JobStrategy("other", 0.5, STOP, symphony=b'(defsymphony "Other" {:rebalance-frequency :daily} (asset "CCC"))')
TWIN = msgspec.structs.replace(OWN, name="twin", allocation=0.5)
MONTHLY = JobStrategy("own", 1.0, STOP, symphony=ALL_FORMS.replace(":daily", ":monthly").encode())
SELECTION = JobStrategy("own", 1.0, STOP, symphony=ALL_FORMS.replace(":rebalance-frequency :daily", ':asset-class "EQUITIES"').encode())
CORRIDOR = JobStrategy("own", 1.0, STOP, symphony=ALL_FORMS.replace(":rebalance-frequency :daily", ":rebalance-threshold 0.05").encode())


@pytest.mark.parametrize(
    ("strategies", "vary"),
    [
        ((OWN,), ("3:threshold=45,55", "5:count=1..3")),
        ((MONTHLY,), ("3:threshold=45,55", "4:window=4,9")),
        ((SELECTION,), ("3:threshold=45,55", "5:count=1,2")),
        ((CORRIDOR,), ("3:threshold=45,55", "6:window+7:window=3,5")),
        ((msgspec.structs.replace(OWN, allocation=0.5), TWIN), ("own/3:threshold=45,55", "twin/allocation=0.2,0.9")),
        ((msgspec.structs.replace(OWN, allocation=0.5), OTHER), ("own/3:threshold=45,55", "other/allocation=0.2,0.9")),
    ],
    ids=["daily", "monthly", "selection", "corridor", "twins", "two"],
)
def test_a_variant_has_the_figures_of_its_own_backtest(strategies: tuple[JobStrategy, ...], vary: Sequence[str]) -> None:
    """Whether it is computed at once or session by session."""
    job, block = job_of(strategies=strategies, vary=vary)
    bench = Bench(job, block)
    prices = panel()
    for portion in Grid(job.dimensions).proposed():
        for values in portion:
            scored = bench.scored(values)
            terms = Terms(slippage_bps=2.0)
            result = run_vector(bench.strategies(values), prices, terms, timer=float, start=prices.session(10))
            assert scored.metrics is not None
            for field in msgspec.structs.fields(result.metrics):
                assert getattr(scored.metrics, field.name) == pytest.approx(getattr(result.metrics, field.name), rel=1e-9), field.name
    assert bench.plan(job.dimensions[0].values[:1] + job.dimensions[1].values[:1]) is None or strategies != (CORRIDOR,)


def test_a_python_strategy_is_varied_by_its_attributes() -> None:
    """The public numbers of its class, as whole numbers where they are."""
    symbols = ("AGG", "BIL", "EFA", "SPY")
    source = "alchemiser.strategies.catalog.dual_momentum:DualMomentum"
    strategy = JobStrategy("dual", 1.0, STOP, source=source)
    job, block = job_of(strategies=(strategy,), vary=("lookback_sessions=20,60",), symbols=symbols, sessions=140)
    bench = Bench(job, block)
    first, second = (bench.curve((window,)).equity for window in (20.0, 60.0))

    assert not np.array_equal(first, second)
    assert bench.scored((20.5,)).error == "lookback_sessions = 20.5: expected a whole number"
    with pytest.raises(UsageError, match="no such number to vary"):
        Bench(*job_of(strategies=(strategy,), vary=("nothing=1",), symbols=symbols))


def test_an_edited_class_is_another_question() -> None:
    """What was swept with the file of yesterday is not the result of today's, and no worker that keeps yesterday's is asked."""
    symbols = ("AGG", "BIL", "EFA", "SPY")
    source = "alchemiser.strategies.catalog.dual_momentum:DualMomentum"
    load_strategy(StrategySource("dual", source, 1.0))
    loaded = JobStrategy("dual", 1.0, STOP, source=source, version=version_of(source))
    (job, block), (other, _) = (
        job_of(strategies=(strategy,), vary=("lookback_sessions=20",), symbols=symbols)
        for strategy in (loaded, msgspec.structs.replace(loaded, version="of another file"))
    )

    assert loaded.version == hashlib.sha256(Path(dual_momentum.__file__).read_bytes()).hexdigest()
    assert Bench(job, block).scored((20.0,)).error is None
    assert question_of(job, block) != question_of(other, block)
    with pytest.raises(DataError, match="a worker has loaded another version of its file"):
        Bench(other, block)


@pytest.mark.parametrize(
    ("strategies", "key", "said"),
    [
        ((OWN,), "99:window", "no such number to vary. See: alchemiser sweep knobs"),
        ((OWN, OTHER), "3:window", "it begins with one of own, other and a slash"),
        ((OWN, OTHER), "third/3:window", "no such number"),
    ],
)
def test_an_unknown_key_is_refused(strategies: tuple[JobStrategy, ...], key: str, said: str) -> None:
    """With where to look."""
    with pytest.raises(UsageError, match=said):
        Bench(*job_of(strategies=strategies, vary=(f"{key}=1",)))


def test_a_variant_that_cannot_be_run_says_why(tmp_path: Path) -> None:
    """It stands in the results with its reason, and the others are ranked."""
    job, block = job_of(vary=("5:count=2,3,4",))
    with opened(tmp_path / "s.db", job, block) as results:
        sweep_of(job, block, results).search(lambda number: Grid(job.dimensions))
        assert [(entry[0], "cannot keep 4 of its 3" in entry[1]) for entry in results.failures()] == [({"5:count": 4.0}, True)]
        assert len(results.ranked("sharpe", 10)) == 2
    for given, said in (((0.7, 0.6), "leave nothing"), ((0.3, 0.3), "leave nothing"), ((0.3, 0.7), None)):
        both, block = job_of(strategies=(OWN, TWIN), vary=("own/allocation=0.3,0.7", "twin/allocation=0.3,0.6,0.7"))
        error = Bench(both, block).scored(given).error
        assert (error is None) if said is None else (said in (error or ""))
    shares, block = job_of(strategies=(msgspec.structs.replace(OWN, allocation=1.0),), vary=("allocation=0.5,1",))
    bench = Bench(shares, block)
    assert (bench.scored((0.5,)).metrics, bench.scored((1.0,)).error) == (None, None)


class Counting(HereAndNow):
    """Counts, and fails after so many portions."""

    count = 2

    def __init__(self, bench: Bench, fail_after: int | None = None) -> None:
        super().__init__(bench)
        self.asked: list[Values] = []
        self.left = fail_after

    def scored(self, portions: Sequence[Sequence[Values]]) -> Iterator[list[Scored]]:
        """Evaluate, unless the time has come."""
        for portion in portions:
            if self.left is not None:
                if not self.left:
                    raise DataError("killed")
                self.left -= 1
            self.asked += portion
            yield from super().scored([portion])


def test_a_sweep_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was written is not evaluated again; a wider grid evaluates what is new; another question is refused."""
    monkeypatch.setattr(run, "PORTION", 2)
    job, block = job_of()
    bench = Bench(job, block)
    with opened(tmp_path / "s.db", job, block) as results, pytest.raises(DataError, match="killed"):
        sweep_of(job, block, results, Counting(bench, fail_after=3)).search(lambda number: Grid(job.dimensions))
    with opened(tmp_path / "s.db", job, block) as results:
        assert len(results) == 6
        workers = Counting(bench)
        sweep = sweep_of(job, block, results, workers)
        sweep.search(lambda number: Grid(job.dimensions))
        assert (len(results), len(workers.asked), sweep.evaluated) == (10, 4, 4)
    wider, _ = job_of(vary=("3:threshold=40..60:5", "4:window=4,8,12"))
    with opened(tmp_path / "s.db", wider, block) as results:
        sweep = sweep_of(wider, block, results)
        sweep.search(lambda number: Grid(wider.dimensions))
        assert (len(results), sweep.evaluated) == (15, 5)
        best = sweep.best()
        assert best is not None
        assert best.parameters == results.ranked("sharpe", 1)[0].parameters
        equity = Bench(wider, block).curve(tuple(best.parameters.values())).equity.tolist()
        variance = results.trial_variance()
        assert best.sharpe_test == sharpe_test(equity, trials=15, trial_variance=variance)
        assert variance is not None
        assert variance > 0
    costly = msgspec.structs.replace(job, slippage_bps=3.0)
    with pytest.raises(DataError, match="other strategies, bars, terms"), opened(tmp_path / "s.db", costly, block):
        pass


def test_a_grid_of_other_numbers_in_the_same_file_has_a_best_of_its_own(tmp_path: Path) -> None:
    """A better variant of other parameters stands in the file, and not in the way of what this sweep can write and say."""
    wide, block = job_of()
    narrow, _ = job_of(vary=("4:window=1,8",))
    with opened(tmp_path / "s.db", narrow, block) as results:
        sweep = sweep_of(narrow, block, results)
        sweep.search(lambda number: Grid(narrow.dimensions))
        alone = sweep.best()
    with opened(tmp_path / "s.db", wide, block) as results:
        sweep_of(wide, block, results).search(lambda number: Grid(wide.dimensions))
        before = results.ranked("sharpe", 1)[0]
        assert before.parameters.keys() == {"3:threshold", "4:window"}, "the test wants the best of the file to be of the other grid"
        again = sweep_of(narrow, block, results)
        again.search(lambda number: Grid(narrow.dimensions))
        best = again.best()
        assert again.evaluated == 0
        assert [entry.parameters.keys() for entry in again.ranked(10)] == [{"4:window"}] * 2
    assert alone is not None
    assert best is not None
    assert (best.parameters, best.metrics, best.sharpe_test.trials) == (alone.parameters, alone.metrics, 12)


def test_ranking_is_by_any_figure_and_immediate(tmp_path: Path) -> None:
    """The least drawdown first and the largest return first, from an index, in a file that any tool reads."""
    job, block = job_of()
    with opened(tmp_path / "s.db", job, block) as results:
        sweep_of(job, block, results).search(lambda number: Grid(job.dimensions))
        drawdowns = [entry.metrics.max_drawdown for entry in results.ranked("max_drawdown", 5)]
        returns = [entry.metrics.total_return for entry in results.ranked("total_return", 5)]
        results.remember_objective("calmar")
        assert results.objective == "calmar"
    assert drawdowns == sorted(drawdowns)
    assert returns == sorted(returns, reverse=True)
    connection = sqlite3.connect(tmp_path / "s.db")
    plan = connection.execute("EXPLAIN QUERY PLAN SELECT * FROM variants WHERE sharpe IS NOT NULL ORDER BY sharpe DESC, id LIMIT 9")
    assert "USING INDEX by_sharpe" in plan.fetchall()[0][3]
    connection.close()


def test_what_is_no_result_is_refused(tmp_path: Path) -> None:
    """Nothing, something else, an empty database, a folder."""
    with pytest.raises(DataError, match="there are no results"), Results.opened(tmp_path / "none.db"):
        pass
    (tmp_path / "text.db").write_text("not a database, but long enough to be taken for one by its size" * 20)
    with pytest.raises(DataError, match="left as it is"), Results.opened(tmp_path / "text.db"):
        pass
    (tmp_path / "damaged.db").write_bytes(b"SQLite format 3\0" + b"?" * 4096)
    with pytest.raises(DataError, match="cannot be read"), Results.opened(tmp_path / "damaged.db"):
        pass
    (tmp_path / "empty.db").touch()
    with pytest.raises(DataError, match="not the results of a sweep"), Results.opened(tmp_path / "empty.db"):
        pass
    with pytest.raises(DataError, match="cannot be opened"), Results.opened(tmp_path, "question"):
        pass


@pytest.mark.parametrize("walk", ["rolling", "anchored"])
@pytest.mark.parametrize("strategy", [OWN, pytest.param(CORRIDOR, marks=pytest.mark.slow)], ids=["daily", "corridor"])
def test_walking_forward_has_seen_nothing_ahead(walk: str, strategy: JobStrategy, tmp_path: Path) -> None:
    """With the bars after a choice taken away, every choice before is the same, and so is the equity."""
    stitched = []
    for sessions in (160, 121):
        folds = folds_of(walk, 10, sessions - 1, train=40, test=20)  # type: ignore[arg-type]
        job, block = job_of(folds=folds, strategies=(strategy,), through=sessions)
        with opened(tmp_path / f"{walk}{sessions}.db", job, block) as results:
            stitched.append(sweep_of(job, block, results).walk(partial(_grid, job), is_learning=False))
    long, short = stitched

    shared = [fold for fold in short.folds if fold.test_end < date(2024, 5, 1)]
    assert len(shared) >= 2
    for ours, theirs in zip(shared, long.folds, strict=False):
        assert (ours.parameters, ours.train_score, ours.train_end) == (theirs.parameters, theirs.train_score, theirs.train_end)
    assert len(short.equity) > 60
    np.testing.assert_allclose(short.equity[:-1], long.equity[: len(short.equity) - 1], rtol=1e-12)
    assert long.switches_are_charged is (strategy is OWN)
    assert [later.train_end for _, later in pairwise(long.folds)] == [earlier.test_end for earlier, _ in pairwise(long.folds)]


def test_one_choice_walks_as_it_is(tmp_path: Path) -> None:
    """With a single variant the stitched equity is that variant's own, from the first choice on, traded into at that close."""
    folds = folds_of("rolling", 10, 159, train=40, test=20)
    job, block = job_of(vary=("3:threshold=50",), folds=folds)
    with opened(tmp_path / "s.db", job, block) as results:
        walked = sweep_of(job, block, results).walk(lambda number: Grid(job.dimensions), is_learning=False)
    own = Bench(job, block).curve((50.0,)).equity[folds[0].chosen - job.first :]
    ratio = np.array(walked.equity) / own

    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-12)
    assert walked.folds[0].test_score is not None


def test_a_training_without_any_figure_is_refused(tmp_path: Path) -> None:
    """Before there is enough history nothing can be chosen by."""
    folds = folds_of("rolling", 0, 159, train=3, test=20)
    job, block = job_of(folds=folds)
    job = msgspec.structs.replace(job, first=0)
    with opened(tmp_path / "s.db", job, block) as results, pytest.raises(DataError, match="no variant has a figure to choose by"):
        sweep_of(job, block, results).walk(lambda number: Grid(job.dimensions), is_learning=False)


def _grid(job: Job, number: int) -> Grid:
    assert number == 0, "a grid is asked once"
    return Grid(job.dimensions)
