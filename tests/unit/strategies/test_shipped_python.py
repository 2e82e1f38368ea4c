"""The shipped strategies in Python: what they hold and why, and no look-ahead."""

from collections.abc import Mapping

import numpy as np
import pytest

from alchemiser.strategies.base import LoadedStrategy
from alchemiser.strategies.catalog.dual_momentum import DualMomentum
from alchemiser.strategies.catalog.risk_parity import RiskParity
from alchemiser.strategies.outcome import NotComputable, Proposal
from alchemiser.strategies.panel import PricePanel
from alchemiser.strategies.python import Strategy
from alchemiser.strategies.sources import StrategySource, load_strategy

SESSIONS = 300
DAYS = np.arange(738_000, 738_000 + SESSIONS, dtype=np.int64)
SOURCES = ("dual_momentum", "risk_parity")


def loaded(source: str) -> LoadedStrategy:
    return load_strategy(StrategySource("it", source, 1.0))


def panel(drifts: Mapping[str, float], sessions: int = SESSIONS) -> PricePanel:
    """Return random walks, each with its drift per session."""
    dice = np.random.default_rng(4)
    walks = {symbol: 100 * np.exp(np.cumsum(dice.normal(drift, 0.005, SESSIONS))) for symbol, drift in drifts.items()}
    return PricePanel({symbol: (DAYS[:sessions], closes[:sessions]) for symbol, closes in walks.items()})


def proposal(source: str, prices: PricePanel) -> Proposal:
    outcome = loaded(source).on(prices).decide(prices.last)
    assert isinstance(outcome, Proposal), outcome
    return outcome


@pytest.mark.parametrize(("name", "kind"), [("dual_momentum", DualMomentum), ("risk_parity", RiskParity)])
def test_a_shipped_class_has_a_name(name: str, kind: type[Strategy]) -> None:
    """By its name or as ``module:Class``, it is the same strategy."""
    assert loaded(name).symbols_held == loaded(f"{kind.__module__}:{kind.__name__}").symbols_held
    assert set(loaded(name).symbols) == set(kind.symbols)


@pytest.mark.parametrize(
    ("drifts", "held"),
    [((0.004, 0.001, 0.0), "SPY"), ((0.001, 0.004, 0.0), "EFA"), ((-0.004, -0.004, 0.0), "AGG")],
)
def test_dual_momentum_holds_the_strongest(drifts: tuple[float, float, float], held: str) -> None:
    """The stronger market while it beats bills, bonds otherwise; the gains are in the explanation."""
    spy, efa, bil = drifts
    outcome = proposal(SOURCES[0], panel({"SPY": spy, "EFA": efa, "AGG": 0.0, "BIL": bil}))

    assert outcome.weights == {held: 1.0}
    assert "SPY gained" in outcome.explanation[0]


def test_risk_parity_is_scaled_to_its_target() -> None:
    """At about five percent a year nothing is scaled; a wilder market leaves room for bills."""
    calm = proposal(SOURCES[1], panel(dict.fromkeys(("SPY", "TLT", "GLD", "BIL"), 0.0)))
    wild_prices = {symbol: (DAYS, panel({"A": 0.0}).closes("A", SESSIONS - 1) ** 5) for symbol in ("SPY", "TLT", "GLD")}
    wild = proposal(SOURCES[1], PricePanel({**wild_prices, "BIL": (DAYS, np.full(SESSIONS, 90.0))}))

    assert "BIL" not in calm.weights
    assert sum(calm.weights.values()) == pytest.approx(1.0, abs=1e-12)
    assert wild.weights["SPY"] == pytest.approx(wild.weights["GLD"])
    assert 0.5 < wild.weights["BIL"] < 1
    assert "is wanted" in wild.explanation[0]


def test_prices_that_never_move_stop_risk_parity() -> None:
    """One over no volatility is no weight."""
    still = {symbol: (DAYS, np.full(SESSIONS, 50.0)) for symbol in ("SPY", "TLT", "GLD", "BIL")}

    assert "has not moved" in str(loaded(SOURCES[1]).on(PricePanel(still)).decide(SESSIONS - 1))


@pytest.mark.parametrize("source", SOURCES)
def test_cutting_the_data_changes_no_day(source: str) -> None:
    """Decided on the whole history or on what was known that day: the same answer, on every day."""
    symbols = dict.fromkeys(loaded(source).symbols, 0.0005)
    whole, decided = loaded(source).on(panel(symbols)), 0
    for place in range(SESSIONS):
        cut = panel(symbols, place + 1)
        actual = loaded(source).on(cut).decide(cut.last)
        assert whole.decide(place) == actual
        decided += not isinstance(actual, NotComputable)
    assert decided == SESSIONS - loaded(source).bars_needed + 1
