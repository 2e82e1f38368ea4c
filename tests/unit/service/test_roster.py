"""The roster: a strategy that cannot run stops itself only and says why at every decision; none at all is no start."""

from pathlib import Path
from typing import Any

import pytest

from alchemiser.domain.errors import StrategyError
from alchemiser.service.roster import RefusedStrategy, load_roster, without_unknown_symbols
from alchemiser.service.settings import Settings
from alchemiser.strategies.base import LoadedStrategy
from alchemiser.strategies.outcome import NotComputable
from alchemiser.strategies.panel import PricePanel

GOOD = "tests.unit.strategies.python_examples:Momentum"
BAD = "tests.unit.strategies.python_examples:Missing"


def roster_of(**strategies: dict[str, Any]) -> tuple[LoadedStrategy, ...]:
    """Load the strategies of these tables."""
    return load_roster(Settings.model_validate({"strategies": strategies}))


def answer(strategy: LoadedStrategy) -> NotComputable:
    """Return what a refused strategy says at a decision."""
    decided = strategy.on(PricePanel({})).decide(0)
    assert isinstance(decided, NotComputable)
    return decided


def test_strategies_keep_the_order_and_the_shares_of_the_settings() -> None:
    """Without shares they are equal; without a source the name is that of a shipped strategy."""
    roster = roster_of(mine={"source": GOOD}, tecl={})

    assert [("mine", 0.5), ("tecl", 0.5)] == [(strategy.name, strategy.allocation) for strategy in roster]
    assert roster[0].symbols == ("BIL", "SPY")
    assert not any(isinstance(strategy, RefusedStrategy) for strategy in roster)


def test_a_strategy_that_cannot_be_loaded_stops_itself_only() -> None:
    """It keeps its place and its share, needs no prices, and fails every decision with its reason."""
    good, bad = roster_of(mine={"source": GOOD, "allocation": 0.75}, wrong={"source": BAD, "allocation": 0.25})

    assert isinstance(bad, RefusedStrategy)
    assert ("wrong", 0.25, (), 0) == (bad.name, bad.allocation, bad.symbols, bad.bars_needed)
    assert (0, False, good.header) == (bad.bars_settled, bad.is_large, bad.header)
    assert "Missing" in str(answer(bad))
    assert not isinstance(good, RefusedStrategy)


def test_without_a_single_strategy_the_daemon_does_not_start() -> None:
    """The first reason is the error."""
    with pytest.raises(StrategyError, match="Missing"):
        roster_of(wrong={"source": BAD}, also_wrong={"source": "nowhere.at.all:Thing"})


def test_a_strategy_that_needs_an_unknown_symbol_is_refused() -> None:
    """The broker, or the folder of bars, does not know it: the others trade."""
    roster = roster_of(mine={"source": GOOD}, tecl={})
    first, second = without_unknown_symbols(roster, dict.fromkeys(("SPY", "BIL")), Path("bars"))

    assert first is roster[0]
    assert isinstance(second, RefusedStrategy)
    reason = str(answer(second))
    assert "strategy tecl needs" in reason
    assert "TECL" in reason
    assert "unknown to bars" in reason
    assert roster == without_unknown_symbols(roster, dict.fromkeys((*roster[0].symbols, *roster[1].symbols)), "the broker")


def test_when_every_strategy_needs_an_unknown_symbol_the_daemon_does_not_start() -> None:
    """One that was refused before is no help: it needs no symbols because it cannot run."""
    roster = roster_of(wrong={"source": BAD}, mine={"source": GOOD})

    with pytest.raises(StrategyError, match="strategy mine needs BIL, unknown to the broker"):
        without_unknown_symbols(roster, {"SPY": 1}, "the broker")


def test_a_refused_strategy_stays_refused() -> None:
    """Its own reason is kept when the symbols are checked afterwards."""
    roster = roster_of(wrong={"source": BAD}, mine={"source": GOOD})
    again = without_unknown_symbols(roster, dict.fromkeys(("SPY", "BIL")), "the broker")

    assert roster == again
    assert "Missing" in str(answer(again[0]))
