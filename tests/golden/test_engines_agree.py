"""Both engines on real days: every shipped strategy, and all that can decide together, give the same equity on every day.

The bars are not part of the repository; without them the tests are skipped.
"""

import time
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from alchemiser.backtest.event_engine import run_event
from alchemiser.backtest.result import BacktestResult, Charges, Terms
from alchemiser.backtest.vector import run_vector
from alchemiser.cli.price_files import read_history
from alchemiser.strategies.base import LoadedStrategy
from alchemiser.strategies.panel import PricePanel
from alchemiser.strategies.sources import StrategySource, load_strategy

BARS = Path(__file__).parents[3] / "shared" / "data" / "daily"
PYTHON = ("alchemiser.strategies.catalog.dual_momentum:DualMomentum", "alchemiser.strategies.catalog.risk_parity:RiskParity")
TERMS = Terms()
SOURCES = ("nuclear", "tecl", *PYTHON)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not BARS.is_dir(), reason="the real bars are not here"),
    pytest.mark.timeout(300),
]


def load(*sources: str) -> tuple[list[LoadedStrategy], PricePanel]:
    """Return strategies of equal shares, and the panel of what they need."""
    loaded = [load_strategy(StrategySource(f"s{place}", source, 1.0 / len(sources))) for place, source in enumerate(sources)]
    return loaded, read_history(BARS, {symbol for one in loaded for symbol in one.symbols}, as_of=date.max)[1]


def apart(first: BacktestResult, second: BacktestResult) -> float:
    """Return the largest relative distance of the two curves."""
    assert first.dates == second.dates
    return float(np.max(np.abs(np.array(second.equity) / np.array(first.equity) - 1.0)))


@pytest.mark.parametrize("source", SOURCES)
def test_without_costs_the_equity_is_the_same_on_every_day(source: str) -> None:
    """Within 1e-9 with exact cash, within 1e-6 with cash in cents; the targets and the sessions without one are the same, too."""
    strategies, panel = load(source)
    vector = run_vector(strategies, panel, TERMS, timer=time.perf_counter)
    event = run_event(strategies, panel, TERMS, timer=time.perf_counter)
    in_cents = run_event(strategies, panel, TERMS, timer=time.perf_counter, charges=Charges(in_cents=True))

    assert vector.sessions > 3_000
    assert apart(vector, event) < 1e-9
    assert apart(vector, in_cents) < 1e-6
    assert [target.date for target in vector.targets] == [target.date for target in event.targets]
    assert vector.failures == event.failures


@pytest.mark.parametrize("sources", [("tecl", "nuclear"), ("nuclear", *PYTHON)])
def test_strategies_that_share_an_account_agree_too(sources: tuple[str, ...]) -> None:
    """Also on the years in which one of them has no target on most days and the others trade beside what it keeps."""
    strategies, panel = load(*sources)
    vector, event = (engine(strategies, panel, TERMS, timer=time.perf_counter) for engine in (run_vector, run_event))

    assert vector.sessions > 3_000
    assert len(vector.failures) > 10
    assert apart(vector, event) < 1e-9
