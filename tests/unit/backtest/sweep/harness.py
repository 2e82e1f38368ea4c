"""A small sweep: a symphony of three symbols on seeded prices."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np

from alchemiser.backtest.sweep.bench import Bench
from alchemiser.backtest.sweep.folds import Fold
from alchemiser.backtest.sweep.job import Job, JobStrategy, packed
from alchemiser.backtest.sweep.objective import Objective
from alchemiser.backtest.sweep.results import Results, question_of
from alchemiser.backtest.sweep.run import Sweep
from alchemiser.backtest.sweep.space import dimension_of
from alchemiser.backtest.sweep.workers import HereAndNow, Workers
from alchemiser.market.arrays import Days, Floats
from alchemiser.strategies.panel import PRICE, PricePanel
from alchemiser.strategies.symphony.evaluate import STOP
from tests.unit.strategies.test_variants import ALL_FORMS, SYMBOLS, panel

VARY = ("3:threshold=40..60:5", "4:window=4,8")
OWN = JobStrategy("own", 1.0, STOP, symphony=ALL_FORMS.encode())


def bars_of(prices: PricePanel) -> dict[str, tuple[Days, Floats]]:
    """Return the closes of a panel by symbol."""
    days = np.array([prices.session(place).toordinal() for place in range(len(prices))], dtype=np.int64)
    columns = {symbol: prices.column(symbol, PRICE) for symbol in prices.symbols}
    return {symbol: (days[column.known], column.values[column.known]) for symbol, column in columns.items()}


def job_of(
    *,
    vary: Sequence[str] = VARY,
    strategies: tuple[JobStrategy, ...] = (OWN,),
    folds: tuple[Fold, ...] = (),
    objective: Objective = "sharpe",
    sessions: int = 160,
    symbols: tuple[str, ...] = SYMBOLS,
    through: int | None = None,
) -> tuple[Job, bytes]:
    """Return a job and its block of bars, those of the first sessions only with ``through``."""
    prices = panel(symbols, sessions)
    end = prices.session((through or sessions) - 1).toordinal()
    bars = {symbol: (days[days <= end], closes[days <= end]) for symbol, (days, closes) in bars_of(prices).items()}
    block, layout = packed(bars)
    job = Job(
        strategies=strategies,
        dimensions=tuple(dimension_of(text) for text in vary),
        layout=layout,
        absent={},
        first=10,
        last=(through or sessions) - 1,
        cash=100_000.0,
        slippage_bps=2.0,
        risk_free=0.0,
        objective=objective,
        folds=folds,
    )
    return job, block


def sweep_of(job: Job, block: bytes, results: Results, workers: Workers | None = None) -> Sweep:
    """Return a sweep in this process."""
    bench = Bench(job, block)
    return Sweep(bench, workers or HereAndNow(bench), results, told=lambda more: None)


def opened(path: Path, job: Job, block: bytes) -> AbstractContextManager[Results]:
    """Open the results of a job."""
    return Results.opened(path, question_of(job, block))
