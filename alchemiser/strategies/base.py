"""What every strategy is to the rest of the house: symbols it needs, history it needs, and weights for a moment, or a reason.

Two kinds exist: symphonies (:mod:`alchemiser.strategies.symphony`) and Python classes (:mod:`alchemiser.strategies.python`). Both
answer the same two questions: :class:`LoadedStrategy` says what a strategy needs, :class:`Decider` decides on given prices.
"""

from collections.abc import Iterable
from typing import Protocol, runtime_checkable

from alchemiser.domain.rebalancing import Header
from alchemiser.market.arrays import Flags, Floats
from alchemiser.strategies.outcome import NotComputable, Proposal
from alchemiser.strategies.panel import Panel


class Decider(Protocol):
    """A strategy bound to a panel of prices, so that what it computes over time is shared by all its decisions."""

    def decide(self, place: int, *, explain: bool = True) -> Proposal | NotComputable:
        """Return the target at the session of that place in the panel, from prices up to and including that session.

        Without ``explain`` the path is left out, and of a missing target the reason may be.
        """


@runtime_checkable
class AllSessions(Protocol):
    """A decider that knows its targets of every session at once."""

    def has_target(self) -> Flags:
        """Return for every session whether there is a target."""

    def all_weights(self) -> tuple[list[str], Floats]:
        """Return symbols, and the weights of each on every session: a row per symbol, zeros where there is no target."""


class LoadedStrategy(Protocol):
    """A strategy that was read, checked and given its share of the account."""

    @property
    def name(self) -> str:
        """The name under which it trades; unique among the strategies that run together."""

    @property
    def allocation(self) -> float:
        """Its share of the account."""

    @property
    def symbols(self) -> tuple[str, ...]:
        """Every symbol whose prices it may need, sorted."""

    @property
    def symbols_held(self) -> tuple[str, ...]:
        """Those of them that it may hold, hence trade."""

    @property
    def bars_needed(self) -> int:
        """The fewest daily closes per symbol with which every number it uses exists."""

    @property
    def bars_settled(self) -> int:
        """The closes per symbol after which more history changes nothing that matters."""

    @property
    def header(self) -> Header:
        """When its target is acted upon."""

    @property
    def is_large(self) -> bool:
        """Whether one decision may take so long that it belongs in a thread."""

    def on(self, panel: Panel) -> Decider:
        """Return the strategy bound to these prices."""


def symbols_of(strategies: Iterable[LoadedStrategy]) -> tuple[str, ...]:
    """Return every symbol whose prices any of the strategies may need, sorted."""
    return tuple(sorted({symbol for strategy in strategies for symbol in strategy.symbols}))
