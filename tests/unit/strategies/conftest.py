"""Numbers for decisions: injected, without any price history."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import pytest

from alchemiser.market.indicators import Measure
from alchemiser.strategies.outcome import NotComputable
from alchemiser.strategies.symphony.tree import Group, Node

DEFAULTS = {
    "rsi": 50.0,
    "current-price": 100.0,
    "moving-average-price": 95.0,
    "exponential-moving-average-price": 95.0,
    "cumulative-return": 0.0,
    "moving-average-return": 0.0,
    "stdev-return": 1.0,
    "stdev-price": 1.0,
    "max-drawdown": 0.0,
}


@dataclass
class InjectedReadings:
    """Readings by the text of the measure, such as ``rsi(SPY, 10)``; of a group, by its name; otherwise the defaults of the tables.

    ``missing`` names measures that cannot be computed. ``asked`` keeps what was looked at.
    """

    values: Mapping[str, float] = field(default_factory=dict)
    missing: frozenset[str] = frozenset()
    asked: list[str] = field(default_factory=list)

    def of_symbol(self, symbol: str, measure: Measure) -> float | NotComputable:
        return self._read(measure.of(symbol), measure)

    def of_node(self, node: Node, measure: Measure) -> float | NotComputable:
        assert isinstance(node, Group)
        return self._read(measure.of(node.name), measure)

    def volatility(self, node: Node, holdings: Mapping[str, float], measure: Measure) -> float | NotComputable:
        if isinstance(node, Group):
            return self._read(measure.of(node.name), measure)
        (symbol,) = holdings
        return self._read(measure.of(symbol), measure)

    def _read(self, text: str, measure: Measure) -> float | NotComputable:
        self.asked.append(text)
        if text in self.missing:
            return NotComputable((f"{text} is missing",))
        return self.values.get(text, DEFAULTS[measure.name])


@pytest.fixture
def readings() -> Callable[..., InjectedReadings]:
    """Return the maker of injected readings."""

    def make(values: Mapping[str, float] | None = None, missing: frozenset[str] = frozenset()) -> InjectedReadings:
        return InjectedReadings(values or {}, missing)

    return make
