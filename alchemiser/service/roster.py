"""The strategies of this run: those that could be loaded, and those that could not, which fail every decision by name.

A wrong strategy stops itself only: it keeps what it holds and its share of the account. When none is left, the daemon does not start.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import structlog

from alchemiser.domain.account import Asset
from alchemiser.domain.errors import StrategyError
from alchemiser.domain.rebalancing import Header
from alchemiser.service.settings import Settings
from alchemiser.strategies.base import Decider, LoadedStrategy
from alchemiser.strategies.outcome import NotComputable, Proposal
from alchemiser.strategies.panel import Panel
from alchemiser.strategies.sources import StrategySource, load_all
from alchemiser.strategies.symphony.evaluate import rules_of

_log = structlog.get_logger(__name__)


class RefusedStrategy:
    """Stands in the place of a strategy that cannot run, and says why at every decision."""

    symbols: tuple[str, ...] = ()
    symbols_held: tuple[str, ...] = ()
    bars_needed = 0
    bars_settled = 0
    is_large = False

    def __init__(self, name: str, allocation: float, reason: str, header: Header) -> None:
        self.name = name
        self.allocation = allocation
        self.header = header
        self._reason = reason

    def on(self, panel: Panel) -> Decider:
        """Return itself: prices change nothing."""
        return self

    def decide(self, place: int, *, explain: bool = True) -> Proposal | NotComputable:
        """Return the reason why it was refused."""
        return NotComputable((self._reason,))


def wanted_strategies(settings: Settings) -> list[StrategySource]:
    """Return the strategies that the settings name, in their order."""
    allocations = settings.allocations()
    return [
        StrategySource(name, strategy.source or name, float(allocations[name]), rules_of(strategy.on_missing, strategy.volatility))
        for name, strategy in settings.strategies.items()
    ]


def load_roster(settings: Settings) -> tuple[LoadedStrategy, ...]:
    """Load the strategies of the settings, in their order. Raises the first error when not one of them can run."""
    wanted = wanted_strategies(settings)
    loaded, refused = load_all(wanted)
    return _with_refused(wanted, loaded, refused)


def without_unknown_symbols(roster: Sequence[LoadedStrategy], known: Mapping[str, object], place: Path | str) -> tuple[LoadedStrategy, ...]:
    """Refuse the strategies that need a symbol which ``place`` does not know. Raises the first error when no other is left."""
    refused: dict[str, StrategyError] = {}
    for strategy in roster:
        unknown = [symbol for symbol in strategy.symbols if symbol not in known]
        if unknown:
            refused[strategy.name] = StrategyError(f"strategy {strategy.name} needs {', '.join(unknown)}, unknown to {place}")
    wanted = [StrategySource(strategy.name, "", strategy.allocation) for strategy in roster]
    return _with_refused(wanted, [strategy for strategy in roster if strategy.name not in refused], refused)


def untradable_symbols(roster: Sequence[LoadedStrategy], assets: Mapping[str, Asset]) -> dict[str, list[str]]:
    """Return in words, by strategy, the symbols that it may hold and the broker does not trade; strategies without any are left out."""
    found: dict[str, list[str]] = {}
    for strategy in roster:
        if remarks := broker_remarks((), strategy.symbols_held, assets):
            found[strategy.name] = remarks
    return found


def broker_remarks(symbols: Sequence[str], held: Sequence[str], assets: Mapping[str, Asset]) -> list[str]:
    """Return in words which of the symbols the broker does not know, and which of those that may be held it does not trade."""
    unknown = [f"{symbol} is unknown to the broker" for symbol in symbols if symbol not in assets]
    return unknown + [f"{symbol} cannot be traded at the broker" for symbol in held if symbol in assets and not assets[symbol].is_tradable]


def _with_refused(
    wanted: Sequence[StrategySource], loaded: Sequence[LoadedStrategy], refused: Mapping[str, StrategyError]
) -> tuple[LoadedStrategy, ...]:
    able = {strategy.name: strategy for strategy in loaded}
    if not any(not isinstance(strategy, RefusedStrategy) for strategy in loaded):
        for error in refused.values():
            raise error
    roster: list[LoadedStrategy] = []
    for source in wanted:
        if source.name in able:
            roster.append(able[source.name])
        else:
            reason = str(refused[source.name])
            _log.error("strategy_refused", strategy=source.name, reason=reason)
            roster.append(RefusedStrategy(source.name, source.allocation, reason, able[next(iter(able))].header))
    return tuple(roster)
